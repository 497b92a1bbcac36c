"""The recurring work, on Temporal Schedules.

The generic key's rotation (A24), the pool (A25), the copy of the CRM (A3, A27), the health scores (D12) and the renewals' forecast (D29).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

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
from domain.base import Message
from domain.fleet import HealthInput
from domain.forecast_week import ForecastInput
from domain.policy import AccountPolicy, Policy
from domain.upkeep import UpkeepInput
from starter.place import read_policies

if TYPE_CHECKING:
    from activities.settings import Settings

#: How old the copy of the accounts may be. A matter of the set-up, not of the trade: a signup's facts carry their own age.
ACCOUNT_SYNC_EVERY = timedelta(minutes=15)
#: After an outage one missed round is made up for, not each of them.
CATCH_UP = timedelta(minutes=10)


@dataclass(frozen=True)
class Recurring:
    """One schedule: its id, the workflow that it starts with ``given``, how often, and what it is for. ``at_once``: its first run is now."""

    id: str
    workflow: str
    every: timedelta
    note: str
    given: Message
    at_once: bool = True


def recurring(policy: Policy, accounts: AccountPolicy, settings: Settings) -> list[Recurring]:
    """All of them, as the policies have them."""
    upkeep = UpkeepInput(policy=policy, alerts_channel=settings.slack_alerts_channel)
    rotation, check = timedelta(days=policy.license.generic.rotation_days), timedelta(minutes=policy.pool.check_minutes)
    scores, round_ = timedelta(minutes=accounts.health.every_minutes), timedelta(days=accounts.forecast.every_days)
    return [
        Recurring(ids.ACCOUNT_SYNC, "SyncAccounts", ACCOUNT_SYNC_EVERY, "Copies accounts and our own people from the CRM", upkeep),
        Recurring(ids.GENERIC_LICENSE, "RotateGenericKey", rotation, "Rotates the generic trial key", upkeep),
        Recurring(ids.POOL, "RefillPool", check, "Keeps the pool of warm instances filled", upkeep),
        Recurring(ids.HEALTH, "ScoreHealth", scores, "Scores the health of every account", HealthInput(policy=accounts)),
        Recurring(
            ids.FORECAST,
            "WeeklyForecast",
            round_,
            "Asks the AEs about their renewals, and rolls the quarters up",
            ForecastInput(policy=accounts, channel=settings.slack_forecast_channel),
            at_once=False,  # while the first renewals begin it would keep a part of them for ever
        ),
    ]


async def ensure(client: Client, settings: Settings) -> dict[str, str]:
    """Make the schedules that are absent, and run them once at once; bring the others up to date, paused ones stay paused.

    They work by the policies in force. Returns what was done to each, by id.
    """
    policy, accounts = read_policies(settings)
    return {work.id: await _ensure(client, work) for work in recurring(policy, accounts, settings)}


async def _ensure(client: Client, work: Recurring) -> str:
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(work.workflow, work.given, id=work.id, task_queue=ids.TASK_QUEUE, static_summary=work.note),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=work.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    wanted.state.note = work.note
    try:
        await client.create_schedule(work.id, wanted, trigger_immediately=work.at_once)
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
