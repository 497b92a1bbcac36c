"""The recurring work, on Temporal Schedules: the generic key's rotation (A24), the pool (A25), the copy of the CRM's accounts (A3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain import ids
from domain.policy import Policy
from domain.upkeep import UpkeepInput

#: How old the copy of the accounts may be. A matter of the set-up, not of the trade: a signup's facts carry their own age.
ACCOUNT_SYNC_EVERY = timedelta(minutes=15)
#: After an outage one missed round is made up for, not each of them.
CATCH_UP = timedelta(minutes=10)


@dataclass(frozen=True)
class Recurring:
    """One schedule: its id, the workflow that it starts, how often, and what it is for."""

    id: str
    workflow: str
    every: timedelta
    note: str


def recurring(policy: Policy) -> list[Recurring]:
    """All of them, as the policy has them."""
    return [
        Recurring(ids.ACCOUNT_SYNC, "SyncAccounts", ACCOUNT_SYNC_EVERY, "Copies accounts and our own people from the CRM"),
        Recurring(
            ids.GENERIC_LICENSE, "RotateGenericKey", timedelta(days=policy.license.generic.rotation_days), "Rotates the generic trial key"
        ),
        Recurring(ids.POOL, "RefillPool", timedelta(minutes=policy.pool.check_minutes), "Keeps the pool of warm instances filled"),
    ]


async def ensure(client: Client, policy: Policy, alerts_channel: str) -> dict[str, str]:
    """Make the schedules that are absent, and run each of these once at once; bring the others up to date, paused ones stay paused.

    Returns what was done to each, by id.
    """
    given = UpkeepInput(policy=policy, alerts_channel=alerts_channel)
    return {work.id: await _ensure(client, work, given) for work in recurring(policy)}


async def _ensure(client: Client, work: Recurring, given: UpkeepInput) -> str:
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(work.workflow, given, id=work.id, task_queue=ids.TASK_QUEUE, static_summary=work.note),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=work.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    wanted.state.note = work.note
    try:
        await client.create_schedule(work.id, wanted, trigger_immediately=True)
    except ScheduleAlreadyRunningError:

        def renewed(found: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state = found.description.schedule.state
            return ScheduleUpdate(wanted)

        await client.get_schedule_handle(work.id).update(renewed)
        return f"every {_words(work.every)}, as before"
    return f"made: every {_words(work.every)}"


def _words(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    return f"{days} days" if days and not rest else f"{length // timedelta(minutes=1)} minutes"
