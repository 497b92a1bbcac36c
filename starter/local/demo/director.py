"""Who puts the stories on: prepares the world, plays several companies at a time, and has what each of them needs at hand."""

from __future__ import annotations

import asyncio
import re
import secrets
import string
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from domain import ids
from starter.errors import TenureError, Unavailable
from starter.local.demo.board import Board
from starter.local.demo.company import Company
from starter.local.demo.stories import Story
from starter.local.demo.waiting import PATIENCE, Miss, eventually
from starter.local.skip import require_local
from starter.local.stack import OPS_FILE
from starter.service.bootstrap import Environment, open_tenure
from starter.service.tenure import Tenure
from store.registry import Registry

#: The token of a share link in a mail.
SHARED = re.compile(r"/s/([\w-]+)")
#: Companies at once: enough to keep a small machine busy, few enough that each gets on.
AT_ONCE = 6
#: Seconds that one look may take before it is taken again.
LOOK = 3.0
#: Seconds until a schedule is triggered again: longer than what it starts takes.
AGAIN = 3.0


class Director:
    """What the stories share: Tenure, its public address and the sandbox's, and the pool that the instant ones draw from."""

    def __init__(self, tenure: Tenure, place: Environment, http: httpx.AsyncClient, board: Board) -> None:
        assert place.stack is not None
        self.tenure, self.board = tenure, board
        self.web, self.sandbox = place.stack.web, place.stack.sandbox
        self.registry = Registry(tenure.ledger)
        self._http = http
        self._token = token_of(place)
        self._turn = asyncio.Lock()
        # Letters and digits that make no domain of another run.
        self.tag = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))

    @property
    def client(self) -> Client:
        """The server's."""
        return self.tenure.client

    async def play(self, stories: Sequence[Story]) -> list[Company]:
        """Put all stories on; what went wrong with one stands in its company and stops no other."""
        companies = [Company(self, story) for story in stories]
        self.board.say("the CRM learns of the companies")
        await self._known([company for company in companies if company.story.account])
        self.board.say(f"{len(companies)} companies, at most {AT_ONCE} at once")
        room = asyncio.Semaphore(AT_ONCE)
        async with self.cloud_team_on_cue():
            await asyncio.gather(*(self._one(company, room) for company in companies))
        return companies

    async def _one(self, company: Company, room: asyncio.Semaphore) -> None:
        async with room:
            try:
                await company.story.play(company)
            except (Miss, TenureError, RPCError, httpx.HTTPError, TimeoutError) as error:
                company.fail(" ".join(str(error).split()) or type(error).__name__)
            else:
                company.over()

    async def _known(self, companies: Sequence[Company]) -> None:
        """Put the accounts into the CRM, and wait until its copy has them."""
        accounts = [{"Name": each.story.name, "Domain__c": each.domain, **(each.story.account or {})} for each in companies]
        await self.post(self.sandbox, "/_sandbox/seed", {"salesforce": {"accounts": accounts}})

        def copied() -> bool:
            return all(self.registry.account_of(company.domain) for company in companies)

        await self.until_scheduled("the copy of the CRM's accounts", ids.ACCOUNT_SYNC, copied)

    @asynccontextmanager
    async def warm_instance(self) -> AsyncIterator[None]:
        """Hold this while an instant company takes an instance from the pool: one waits for it, and nobody else of ours takes it."""
        async with self._turn:
            await self.until_scheduled("a warm instance", ids.POOL, lambda: bool(self.registry.warm_hosts()))
            yield

    @asynccontextmanager
    async def cloud_team_on_cue(self) -> AsyncIterator[None]:
        """The Cloud team does nothing by itself meanwhile: whether it is quick or slow is part of a story."""
        control = "/github/_control/cloud"
        mode = (await self.get(self.sandbox, control))["mode"]
        await self.post(self.sandbox, control, {"mode": "off"})
        try:
            yield
        finally:
            await self.post(self.sandbox, control, {"mode": mode})

    async def until_scheduled(self, what: str, schedule: str, there: Callable[[], bool]) -> None:
        """Trigger a schedule until what it brings is there; a trigger is dropped while an earlier run is still at it."""

        async def look() -> bool:
            return await asyncio.to_thread(there)

        for _ in range(int(PATIENCE / AGAIN)):
            if await look():
                return
            await self.client.get_schedule_handle(schedule).trigger()
            with suppress(Miss):
                await eventually(what, look, within=AGAIN)
        if not await look():
            raise Unavailable(f"{what} did not come within {PATIENCE:.0f} seconds", f"Look at the schedule {schedule!r} in the Web UI")

    async def cue(self, part: str, **cue: Any) -> dict[str, Any]:
        """Give an actor the cue for a part; returns what they did (see ``sandbox/actors.py``)."""
        return await self.post(self.sandbox, f"/_sandbox/people/{part}", {"tenure": self.web, "token": self._token, **cue})

    async def opened(self, email: str) -> None:
        """Press the button behind the link in the newest mail to somebody that has one, as they do: again when nothing comes of it."""

        async def pressed() -> bool:
            mails = await self.get(self.sandbox, f"/_sandbox/mail?to={quote(email)}")
            token = next((found[1] for mail in reversed(mails) if (found := SHARED.search(mail["text"]))), "")
            if not token:
                return False
            with suppress(httpx.HTTPError):
                answer = await self._http.post(f"{self.web}/s/{token}")
                if answer.status_code == httpx.codes.GONE:  # it was opened, and the answer lost
                    await self._http.post(f"{self.web}/s/{token}/new")
                return answer.status_code == httpx.codes.SEE_OTHER
            return False

        await eventually(f"the opening of a link to {email}", pressed)

    async def post(self, base: str, path: str, body: Any) -> dict[str, Any]:
        """Post JSON, and read JSON. Raises :class:`Miss` when it is refused."""
        return dict(_read(path, await self._http.post(base + path, json=body, headers=self._headers(base))))

    def _headers(self, base: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if base == self.web else {}

    async def get(self, base: str, path: str) -> Any:
        """Read JSON. Raises :class:`Miss` when it is refused.

        A query that meets a workflow just as its worker forgets it gets no answer (the SDK drops it); asked again, it does.
        """

        async def look() -> httpx.Response | None:
            with suppress(httpx.TimeoutException):
                answer = await self._http.get(base + path, timeout=LOOK, headers=self._headers(base))
                return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer
            return None

        answer = await eventually(path, look)
        assert answer is not None
        return _read(path, answer)


def token_of(place: Environment) -> str:
    """The token by which programs act on the local stack. Raises :class:`Unavailable`."""
    path = place.settings.data_dir / OPS_FILE
    try:
        return path.read_text().strip()
    except OSError:
        raise Unavailable(f"there is no {path}, which `tenure up` makes", "Start the stack again with this version") from None


def _read(path: str, answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        raise Miss(f"{path}: {answer.status_code} {answer.text[:400]}")
    return answer.json()


@asynccontextmanager
async def open_director(place: Environment, board: Board) -> AsyncIterator[Director]:
    """A director on a running local stack. Raises :class:`~starter.errors.TenureError` when it cannot be reached, or its time not skipped."""
    async with open_tenure(place) as tenure, httpx.AsyncClient(trust_env=False, timeout=120) as http:
        await require_local(tenure.client, place.cluster)
        yield Director(tenure, place, http, board)
