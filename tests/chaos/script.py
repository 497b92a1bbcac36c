"""The script that is played, quietly and under attack: the demo's stories, told by people who do not give up.

Whoever gets no answer asks again with the same idempotency key, as a browser's form and a program do. Nothing else of the stories
is changed, so that each step still has to come true, and each trial has to end as its story says.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from temporalio.service import RPCError

from domain import ids
from sandbox.actors import somebody
from starter.errors import Refused, TenureError
from starter.local import skip
from starter.local.demo import director
from starter.local.demo.board import Board
from starter.local.demo.company import Company
from starter.local.demo.director import Director, Miss, eventually
from starter.local.demo.player import Story, perform
from starter.local.demo.trials import STORIES, introduce
from starter.service.bootstrap import open_tenure
from store.roster import Roster
from tests.chaos.house import House

T = TypeVar("T")
#: Seconds that a step may take while everything around it dies.
PATIENCE = 300.0
#: Seconds that one request may take, and between two.
ONE_ASK, BETWEEN = 25.0, 0.3
#: What a request may meet while the web, the server or the ledger is away.
AWAY = {500, 502, 503, 504}


@contextmanager
def unhurried() -> Iterator[None]:
    """The stories' steps wait longer: the demo gives up where nobody is killed."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = eventually.__kwdefaults__
        assert defaults is not None
        patch.setitem(defaults, "within", PATIENCE)
        patch.setattr(director, "PATIENCE", PATIENCE)
        yield


class Patient(Director):
    """A director who asks until there is an answer. ``on_signup`` hears of every signup that is just being sent."""

    on_signup: Callable[[], None] = staticmethod(lambda: None)

    async def post(self, base: str, path: str, body: Any) -> dict[str, Any]:
        """Post with a key of this request's own until it is answered. What was taken, and then asked again of what has ended, is done."""
        headers = self._headers(base) | ({"Idempotency-Key": uuid.uuid4().hex} if base == self.web else {})
        give_up, tries = time.monotonic() + PATIENCE, 0
        while True:
            tries, wait = tries + 1, BETWEEN
            if path == "/api/signups":
                self.on_signup()
            try:
                # The sandbox's actors are asked once: the Cloud team would do its work twice.
                within = ONE_ASK if headers else PATIENCE
                answer = await self._http.post(base + path, json=body, headers=headers, timeout=within)
            except httpx.HTTPError as error:
                said = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 400:
                    return dict(answer.json())
                said = f"{answer.status_code} {answer.text[:400]}"
                wait = float(answer.headers.get("Retry-After", BETWEEN))  # who asks more often is one who asks too often
                if tries > 1 and headers and answer.status_code == 404:
                    return {"done": "taken before, and over by now"}
                if answer.status_code not in AWAY:
                    raise Miss(f"{path}: {said}")
            if time.monotonic() > give_up:
                raise Miss(f"{path}: {said}")
            await asyncio.sleep(wait)

    async def get(self, base: str, path: str) -> Any:
        """Read, once it can be read."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._http.get(base + path, timeout=ONE_ASK, headers=self._headers(base))
            except httpx.HTTPError as error:
                said = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 400:
                    return answer.json()
                said = f"{answer.status_code} {answer.text[:400]}"
                if answer.status_code not in AWAY:
                    raise Miss(f"{path}: {said}")
            if time.monotonic() > give_up:
                raise Miss(f"{path}: {said}")
            await asyncio.sleep(BETWEEN)

    async def cue(self, part: str, **cue: Any) -> dict[str, Any]:
        """People answer and decide with a key, unlike the sandbox's actors; the Cloud team is theirs."""
        if part == "build":
            return await super().cue(part, **cue)
        if part == "decide":
            trial = await self.get(self.web, f"/api/trials/{cue['domain']}")
            by = trial["status"]["ce"] or somebody("ce")
            did = await self.post(self.web, f"/api/trials/{cue['domain']}/{cue['act']}", {**cue.get("body", {}), "by": by})
            return {"by": by, "said": did["done"]}
        task = await self._asked(cue)
        by, fails = task["assignee"] or somebody(task["role"]), cue.get("fails", ())
        checks = {check["name"]: check["name"] not in fails for check in task["checks"]}
        body = {"choice": cue["choice"], "by": by, "note": cue.get("note", ""), "checks": checks, "fields": cue.get("fields", {})}
        await self.post(self.web, f"/api/tasks/{task['id']}/answer", body)
        return {"by": by, "title": task["title"]}

    async def _asked(self, cue: dict[str, Any]) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            if "workflow" in cue:
                tasks = await self.get(self.web, f"/api/tasks?workflow={quote(cue['workflow'])}&limit=100")
            else:
                tasks = (await self.get(self.web, f"/api/trials/{cue['domain']}"))["tasks"]
            return next((task for task in tasks if cue["task"] in (task["kind"], task["task"])), None)

        found = await eventually(f"the task {cue['task']}", look)
        assert found is not None
        return found

    async def until_scheduled(self, what: str, schedule: str, there: Callable[[], bool], **how: float) -> None:
        """The same, whoever is away meanwhile."""
        await insisted(lambda: super(Patient, self).until_scheduled(what, schedule, there, **how))

    async def people(self, active: bool, *emails: str) -> None:
        """CEs come, or are away; returns once the ledger's copy of the CRM's people says so."""
        users = [{"Email": email, "Tenure_Role__c": "ce", "IsActive": active} for email in emails]
        await self.post(self.sandbox, "/_sandbox/seed", {"salesforce": {"users": users}})

        def copied() -> bool:
            return {person.email for person in Roster(self.tenure.ledger).roster() if person.active is active} >= set(emails)

        await self.until_scheduled("the copy of our people", ids.ACCOUNT_SYNC, copied)

    async def result_of(self, workflow: str, kind: type[T] | None = None, *, run: str | None = None) -> T:
        """The same, whoever is away meanwhile."""
        found: T = await insisted(lambda: super(Patient, self).result_of(workflow, kind, run=run))
        return found

    async def introduce(self, stories: Sequence[Story]) -> None:
        """Have the CRM learn of those who will play."""
        await introduce(self, [Firm(self, story) for story in stories])

    async def play_all(self, stories: Sequence[Story]) -> list[Company]:
        """Put the stories on, several at a time; the Cloud team is on cue."""
        companies: list[Company] = [Firm(self, story) for story in stories]
        await introduce(self, companies)
        await perform(self, companies)
        return companies


class Firm(Company):
    """A company whose people look and move its clock again when nobody answers."""

    async def day(self, day: float) -> None:
        """Move the trial's clock to that day, however many tries it takes."""
        give_up = time.monotonic() + PATIENCE
        while True:
            view = await self.view()
            left = datetime.fromisoformat(view["status"]["started_at"]) + timedelta(days=day) - datetime.fromisoformat(view["at"])
            if left <= timedelta():
                break
            try:
                await skip.skip(self._director.client, self.played[-1].workflow, left)
            except Refused:
                break  # it has ended
            except (TenureError, RPCError):
                if time.monotonic() > give_up:
                    raise
                await self._is_still()
        self.tell(f"day {day:g}")

    async def _is_still(self) -> None:
        """Wait until the trial's clock stands: one that was held up goes on by itself, and would be moved on too far."""
        handle, before, give_up = self._director.client.get_workflow_handle(self.played[-1].workflow), None, time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            await asyncio.sleep(2)
            with suppress(RPCError):
                raw = (await handle.describe()).raw_description
                seen = (raw.workflow_execution_info.history_length, len(raw.pending_activities), raw.HasField("pending_workflow_task"))
                if seen == before and not any(seen[1:]):
                    return
                before = seen

    async def uses_it(self) -> None:
        """Use the instance, once its admin is there: who uses it earlier would be found there as the admin."""
        host = (await self.view())["status"]["host"]

        async def admitted() -> bool:
            instances = await self._director.get(self._director.sandbox, "/instances/_control")
            return any(each["users"] for each in instances if each["host"] == host)

        await eventually(f"the admin of {host}", admitted)
        await super().uses_it()

    async def takes_over(self, mailbox: str) -> None:
        """Somebody signs up whose the trial is from now on, since the first has never opened the link."""
        answer = await self._form(self.address(mailbox))
        self._expect("the signup", answer["outcome"], "instant")

    async def has_its_ce(self, email: str) -> None:
        """The CRM learns of the CE: who may answer is known from there."""
        assert isinstance(self._director, Patient)
        await self._director.people(True, email)


async def insisted(act: Callable[[], Awaitable[Any]]) -> Any:
    """Do it again while the server, or the ledger, is away."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return await asyncio.wait_for(act(), PATIENCE)
        except (RPCError, TenureError, OperationalError):
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(BETWEEN)


@asynccontextmanager
async def directing(house: House, tag: str) -> AsyncIterator[Patient]:
    """A director in a house; ``tag`` makes the companies' domains."""
    board = Board()
    with unhurried():
        async with open_tenure(house.place) as tenure, httpx.AsyncClient(trust_env=False, timeout=60) as http:
            made = Patient(tenure, house.place, http, board)
            made.tag = tag
            await made.post(house.sandbox, "/github/_control/cloud", {"mode": "off"})
            yield made


# --- stories for the kinds that the demo does not reach ----------------------------------------------------------------------------------


NEW_CE = "ce-new@tenure.example"
#: What the CRM knows of the companies whose signups are instant.
PREQUALIFIED = {"Trial_Prequalified__c": True}
#: The demo's own, by company.
TOLD = {story.name: story for story in STORIES}
#: The admin has lost the link, twice; nobody uses it.
LINKED = Story(
    "2.2 new links",
    [
        ["signs_up", "instant"],
        ["decided", "new-link"],
        ["opens"],
        ["day", 3],
        ["decided", "new-link"],
        ["day", 15.1],
        ["built", "teardown"],
        ["ends", "2.2", "terminated"],
    ],
    "Nectar",
    PREQUALIFIED,
)
#: The first never opens the link in their mail; a day later it is the next one's, who does, and then does not use it either.
PASSED_ON = Story(
    "2.2 passed on",
    [
        ["signs_up", "instant"],
        ["in_stage", "onboarding"],
        ["day", 1.1],
        ["takes_over", "robin"],
        ["opens", "robin"],
        ["day", 15.1],
        ["built", "teardown"],
        ["ends", "2.2", "terminated"],
    ],
    "Rowan",
    PREQUALIFIED,
)
#: No CE is there, so the issue says TODO until the SDR names one.
WITHOUT_A_CE = Story(
    "3.2 no CE",
    [
        ["signs_up", "triage"],
        ["answered", "triage", "qualify"],
        ["built", "provision"],
        ["answered", "ce_email", "assign", {"fields": {"ce_email": NEW_CE}}],
        ["has_its_ce", NEW_CE],
        ["answered", "hand_over", "hand_over"],
        ["in_stage", "onboarding"],
        ["uses_it"],
        ["day", 8],
        ["decided", "terminate", {"reason": "their budget is gone"}],
        ["built", "teardown"],
        ["ends", "3.2", "terminated"],
    ],
    "Quarry",
)


async def nothing_runs(director: Patient, domains: Sequence[str], within: float = 60.0) -> list[str]:
    """The trials, joins and moves of these domains that still run after a while."""
    left: list[str] = []
    give_up = time.monotonic() + within
    while True:
        with suppress(RPCError):
            running = [each.id async for each in director.client.list_workflows("ExecutionStatus = 'Running'")]
            left = [name for name in running if any(domain in name for domain in domains)]
            if not left:
                return []
        if time.monotonic() > give_up:
            return left
        await asyncio.sleep(0.5)
