"""What all who play have at hand: Tenure, the sandbox and its actors, the instances of the pool; and waiting until something has come true."""

import asyncio
import re
import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from temporalio.client import WorkflowHandle

from domain import ids
from starter.errors import Unavailable
from starter.local.demo.board import Board
from starter.local.skip import require_local
from starter.local.stack import OPS_FILE
from starter.local.supervise import awaited
from starter.service.bootstrap import Environment, open_tenure
from starter.service.tenure import Tenure
from store.registry import Registry

T = TypeVar("T")

#: Seconds until what was asked for must be there. What a worker was at when it died is tried again after a minute.
PATIENCE = 100.0
#: The token of a share link in a mail.
SHARED = re.compile(r"/s/([\w-]+)")
#: Seconds that one look may take before it is taken again.
LOOK = 3.0
#: Seconds until a schedule is triggered again: longer than what it starts takes.
AGAIN = 3.0


class Miss(Exception):
    """A story did not go as it is written."""


async def eventually(what: str, look: Callable[[], Awaitable[T | None]], *, within: float = PATIENCE) -> T:
    """What ``look`` finds, once it is something. Raises :class:`Miss` when it does not come."""
    if (found := await awaited(look, within)) is None:
        raise Miss(f"{what}: not within {within:.0f} seconds")
    return found


class Director:
    """What the stories share: Tenure, its public address and the sandbox's, and the pool that the instant ones draw from."""

    def __init__(self, tenure: Tenure, place: Environment, http: httpx.AsyncClient, board: Board) -> None:
        assert place.stack is not None
        self.tenure, self.client, self.board = tenure, tenure.client, board
        self.web, self.sandbox = place.stack.web, place.stack.sandbox
        self.registry = Registry(tenure.ledger)
        self._http, self._token, self._turn = http, token_of(place), asyncio.Lock()
        # Letters and digits that make no domain of another run.
        self.tag = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))

    async def result_of(self, workflow: str, kind: type[T] | None = None, *, run: str | None = None) -> T:
        """What a workflow ends with, once it has ended."""
        handle: WorkflowHandle[Any, T] = self.client.get_workflow_handle(workflow, run_id=run, result_type=kind)
        return await asyncio.wait_for(handle.result(), PATIENCE)

    @asynccontextmanager
    async def warm_instance(self) -> AsyncIterator[None]:
        """Hold this while an instant company takes an instance from the pool: one waits for it, and nobody else of ours takes it."""
        async with self._turn:
            await self.until_scheduled("a warm instance", ids.POOL, lambda: any(each.kind == "warm" for each in self.registry.instances()))
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

    async def until_scheduled(self, what: str, schedule: str, there: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Trigger a schedule until what it brings is there; a trigger is dropped while an earlier run is still at it."""

        async def look() -> bool:
            return await asyncio.to_thread(there)

        if await look():
            return
        for _ in range(int(within / AGAIN)):
            await self.client.get_schedule_handle(schedule).trigger()
            if await awaited(look, AGAIN):
                return
        raise Unavailable(f"{what} did not come within {within:.0f} seconds", f"Look at the schedule {schedule!r} in the Web UI")

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

        return _read(path, await eventually(path, look))


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
