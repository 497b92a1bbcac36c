"""The whole script: every story of the demo, a quarter's renewals, and what reaches the kinds of effect that those do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from domain import ids
from domain.policy import default
from domain.upkeep import UpkeepInput
from sandbox.org import PEOPLE
from starter.errors import NotFound, Refused, TenureError
from starter.local import skip
from starter.local.demo import renewals
from starter.local.demo.company import Company
from starter.local.demo.customer import Customer
from starter.local.demo.report import Report
from starter.local.demo.trials import STORIES
from store.ledger import EffectRow
from tests.chaos.check import Run, failed_tasks, run_of
from tests.chaos.house import House
from tests.chaos.kinds import Kill
from tests.chaos.script import LINKED, PASSED_ON, PATIENCE, WITHOUT_A_CE, Patient, directing, insisted, nothing_runs
from tests.chaos.storm import Storm

#: What only accounts have, so that nothing of it can come before their first copy from the CRM.
OF_ACCOUNTS = ("SetAccount", "KeepRenewal", "ReissueKey", "SetTraits", "KeepDoc", "OpenProject", "CloseProject", "KeepRow")


class Persistent(Customer):
    """A customer whose clock is moved again when nobody answers."""

    async def _skip(self, workflow: str, length: timedelta) -> None:
        give_up, there = time.monotonic() + PATIENCE, await insisted(lambda: self._now(workflow)) + length
        while (left := there - await insisted(lambda: self._now(workflow))) > timedelta():
            try:
                await skip.skip(self._director.client, workflow, left)
            except Refused:
                return
            except (TenureError, RPCError):
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(1)


@dataclass
class Played:
    """All that was played: ``problems`` are steps that did not come true, in words."""

    run: Run
    renewals: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    minutes: float = 0.0


async def play(house: House, kills: Iterable[Kill] = (), storm: Storm | None = None) -> Played:
    """Play everything in a fresh house with customers, under a storm; a worker dies at each of ``kills``."""
    began = time.monotonic()
    kills = list(kills)
    house.doom(kill for kill in kills if kill[0] in OF_ACCOUNTS)
    async with directing(house, "tale") as director:
        stories = [*STORIES, LINKED, PASSED_ON]
        await director.introduce(stories)
        house.doom(kills)
        async with storm.over(director) if storm else nullcontext():
            companies = await director.play_all(stories)
            companies += await without_ces(director)
            await comment(director)
            report = await of_renewals(director)
            await digests_end(director, [each.domain for each in companies])
        left = await nothing_runs(director, [each.domain for each in companies])
        rows = await settled(director)
        run = run_of(companies, rows, await house.log(), {})
        run.running = left + report.left_open
        run.failed_tasks = await insisted(lambda: failed_tasks(director.client))
    problems = [f"{each.story.name}: {each.problem}" for each in companies if each.problem]
    played = Played(run, problems=problems + report.faults, minutes=(time.monotonic() - began) / 60)
    for each in report.players:
        if isinstance(each, Customer) and each.result:
            played.renewals[each.row.domain] = (str(each.result.rating), str(each.result.outcome), each.result.end)
            keys = [f"{row.system}: {row.key}" for row in rows if row.subject.startswith(f"{each.renewal}/") and row.done_at]
            run.effects[each.renewal] = sorted(keys)
    return played


async def settled(director: Patient) -> list[EffectRow]:
    """What is on record, once nothing is under way any more; or what there is after a minute, which the look then tells."""
    for _ in range(60):
        rows = await asyncio.to_thread(director.tenure.ledger.effects)
        if all(row.done_at for row in rows):
            break
        await asyncio.sleep(1)
    return rows


async def without_ces(director: Patient) -> Sequence[Company]:
    """The trial of a time at which no CE is there."""
    people = [each.email for each in PEOPLE if each.role == "ce"]

    await director.people(False, *people)
    played = await director.play_all([WITHOUT_A_CE])
    await director.people(True, *people)
    return played


async def comment(director: Patient) -> None:
    """The kind that no process asks for."""
    given = UpkeepInput(policy=default())
    handle = await insisted(
        lambda: director.client.start_workflow(
            "CommentOnIssue",
            given,
            id="upkeep-comment",
            task_queue=ids.TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=str,
        )
    )
    assert await insisted(handle.result)


async def digests_end(director: Patient, domains: Sequence[str]) -> None:
    """A day passes in which nobody else asks to join."""
    for name in {ids.join_digest(domain) for domain in domains}:
        await insisted(lambda name=name: _day_of(director, name))  # type: ignore[misc]


async def _day_of(director: Patient, workflow: str) -> None:
    with suppress(NotFound, Refused):  # nobody asked, or it has ended
        await skip.skip(director.client, workflow, timedelta(days=1, hours=1))


async def of_renewals(director: Patient) -> Report:
    """A quarter's renewals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renewals, "Customer", Persistent)
        return await renewals.play(director)
