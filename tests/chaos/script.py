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
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from temporalio.service import RPCError

from domain import ids
from sandbox.actors import somebody
from starter.errors import Refused, TenureError
from starter.local import skip
from starter.local.demo import company, customer, director, waiting
from starter.local.demo.board import Board
from starter.local.demo.company import Company
from starter.local.demo.director import Director
from starter.local.demo.stories import PREQUALIFIED, Story
from starter.local.demo.waiting import Miss
from starter.service.bootstrap import open_tenure
from tests.chaos.house import House

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
        defaults = waiting.eventually.__kwdefaults__
        assert defaults is not None
        patch.setitem(defaults, "within", PATIENCE)
        for module in (company, customer, director):
            patch.setattr(module, "PATIENCE", PATIENCE)
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

        found = await waiting.eventually(f"the task {cue['task']}", look)
        assert found is not None
        return found

    async def until_scheduled(self, what: str, schedule: str, there: Callable[[], bool]) -> None:
        """The same, whoever is away meanwhile."""
        await insisted(lambda: super(Patient, self).until_scheduled(what, schedule, there))

    async def people(self, active: bool, *emails: str) -> None:
        """CEs come, or are away; returns once the ledger's copy of the CRM's people says so."""
        users = [{"Email": email, "Tenure_Role__c": "ce", "IsActive": active} for email in emails]
        await self.post(self.sandbox, "/_sandbox/seed", {"salesforce": {"users": users}})

        def copied() -> bool:
            return {person.email for person in self.registry.roster() if person.active is active} >= set(emails)

        await self.until_scheduled("the copy of our people", ids.ACCOUNT_SYNC, copied)

    def companies(self, stories: Sequence[Story]) -> list[Company]:
        """Those who play."""
        self.board.cast(stories)
        return [Firm(self, story) for story in stories]

    async def play_all(self, stories: Sequence[Story]) -> list[Company]:
        """Put the stories on, several at a time; the Cloud team is on cue."""
        companies = self.companies(stories)
        await self._known([company for company in companies if company.story.account])
        room = asyncio.Semaphore(director.AT_ONCE)
        await asyncio.gather(*(self._one(company, room) for company in companies))
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
                await self._stands()
        self.tell(f"day {day:g}")

    async def _stands(self) -> None:
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

        await waiting.eventually(f"the admin of {host}", admitted)
        await super().uses_it()

    async def ends(self, case: str, end: str, *, beside: str = "") -> None:
        """Wait for the end, and compare."""
        await insisted(lambda: super(Firm, self).ends(case, end, beside=beside))

    async def rescued(self, rescue: str) -> None:
        """Support signs them up."""
        async with self._director.warm_instance():
            await self.answered("rescue", "provision", workflow=rescue)
            await insisted(lambda: self._director.client.get_workflow_handle(rescue).result())
        await self._began(self.domain, "is signed up by support")


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
    board = Board(())
    with unhurried():
        async with open_tenure(house.place) as tenure, httpx.AsyncClient(trust_env=False, timeout=60) as http:
            made = Patient(tenure, house.place, http, board)
            made.tag = tag
            await made.post(house.sandbox, "/github/_control/cloud", {"mode": "off"})
            yield made


# --- stories for the kinds that the demo does not reach ----------------------------------------------------------------------------------


async def linked(c: Company) -> None:
    """The admin has lost the link, twice; nobody uses it."""
    await c.signs_up(expect="instant")
    await c.decided("new-link")
    await c.opens()
    await c.day(3)
    await c.decided("new-link")
    await c.day(15.1)
    await c.built("teardown")
    await c.ends("2.2", "terminated")


async def passed_on(c: Company) -> None:
    """The first never opens the link in their mail; a day later it is the next one's, who does, and then does not use it either."""
    await c.signs_up(expect="instant")
    await c.in_stage("onboarding")
    await c.day(1.1)
    answer = await c._form(c.address("robin"))
    c._expect("the signup", answer["outcome"], "instant")
    await c.opens("robin")
    await c.day(15.1)
    await c.built("teardown")
    await c.ends("2.2", "terminated")


NEW_CE = "ce-new@tenure.example"


async def without_a_ce(c: Company) -> None:
    """No CE is there, so the issue says TODO until the SDR names one."""
    await c.signs_up(expect="triage")
    await c.answered("triage", "qualify")
    await c.built("provision")
    await c.answered("ce_email", "assign", fields={"ce_email": NEW_CE})
    director = c._director
    assert isinstance(director, Patient)
    await director.people(True, NEW_CE)  # who may answer is known from the CRM
    await c.answered("hand_over", "hand_over")
    await c.in_stage("onboarding")
    await c.uses_it()
    await c.day(8)
    await c.decided("terminate", reason="their budget is gone")
    await c.built("teardown")
    await c.ends("3.2", "terminated")


LINKED = Story("Nectar", "2.2 new links", linked, PREQUALIFIED)
PASSED_ON = Story("Rowan", "2.2 passed on", passed_on, PREQUALIFIED)
WITHOUT_A_CE = Story("Quarry", "3.2 no CE", without_a_ce)


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
