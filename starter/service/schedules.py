"""The recurring work, on Temporal Schedules.

The generic key's rotation (A24), the pool (A25), the copy of the CRM (A3, A27), the issues that are open again, the health scores (D12) and the
renewals' forecast (D29).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain import ids
from domain.base import Message
from domain.forecast.weekly_round import ForecastInput
from domain.health.hourly_run import HealthInput
from domain.policy import AccountPolicy, Policy
from domain.policy.shared import Office
from domain.policy.units import Weekday
from domain.upkeep import UpkeepInput
from starter.service.bootstrap import read_policies
from store.settings import Settings

#: How old the copy of the accounts may be. A matter of the set-up, not of the trade: a signup's facts carry their own age.
ACCOUNT_SYNC_EVERY = timedelta(minutes=15)
WEEK = timedelta(days=7)
#: From Monday to Sunday, in Temporal's numbers.
WEEKDAYS: dict[str, int] = {day: number % 7 for number, day in enumerate(get_args(get_args(Weekday)[0]), 1)}
#: What each schedule is for.
NOTES = {
    ids.ACCOUNT_SYNC: "Copies accounts and our own people from the CRM",
    ids.GENERIC_LICENSE: "Rotates the generic trial key",
    ids.POOL: "Keeps the pool of warm instances filled",
    ids.REOPENED: "Looks for issues that the Cloud team took up again",
    ids.HEALTH: "Scores the health of every account",
    ids.FORECAST: "Asks the AEs about their renewals, and rolls the quarters up",
}
#: A Monday: lengths of several days that are no week are counted from the weekday that follows it.
MONDAY = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Opening:
    """When the office opens on a weekday, by its own clock."""

    office: Office
    weekday: Weekday

    def __str__(self) -> str:
        return f"{self.weekday.title()} at {self.office.opens:02}:00 ({self.office.timezone})"

    def calendar(self) -> ScheduleCalendarSpec:
        """Every week of it."""
        return ScheduleCalendarSpec(day_of_week=[ScheduleRange(WEEKDAYS[self.weekday])], hour=[ScheduleRange(self.office.opens)])

    def within(self, every: timedelta) -> timedelta:
        """How long after the beginning of each such length, which Temporal counts from 1970 on, it is; in winter's time."""
        first = MONDAY + timedelta(days=list(WEEKDAYS).index(self.weekday), hours=self.office.opens)
        return (first.replace(tzinfo=ZoneInfo(self.office.timezone)) - datetime.fromtimestamp(0, UTC)) % every


@dataclass(frozen=True)
class Recurring:
    """One schedule: its id, the workflow that it starts with ``given`` on ``queue``, and how often.

    ``at_once``: its first run is now. ``on`` is when it falls due, where it is days that lie between; the rest goes by the minutes of an
    hour, whatever the time zone.
    """

    id: str
    workflow: str
    given: Message
    every: timedelta
    on: Opening | None = None
    at_once: bool = True
    queue: str = ids.TASK_QUEUE

    def spec(self, jitter: timedelta) -> ScheduleSpec:
        """A week has a calendar, in the office's time zone; every other length is an interval. ``jitter`` keeps them apart."""
        if self.on is None:
            return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every)], jitter=jitter)
        if self.every == WEEK:
            return ScheduleSpec(calendars=[self.on.calendar()], jitter=jitter, time_zone_name=self.on.office.timezone)
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every, offset=self.on.within(self.every))], jitter=jitter)

    def __str__(self) -> str:
        if self.on is None:
            return f"every {self.every // timedelta(minutes=1)} minutes"
        return f"every {self.on}" if self.every == WEEK else f"every {self.every.days} days, beginning on a {self.on}"


def recurring(policy: Policy, accounts: AccountPolicy, settings: Settings) -> list[Recurring]:
    """All of them, as the policies have them."""
    upkeep = UpkeepInput(policy=policy, alerts_channel=settings.slack_alerts_channel)
    asking = ForecastInput(policy=accounts, channel=settings.slack_forecast_channel)
    rotation = Opening(policy.office, policy.license.generic.weekday)
    round_ = Opening(accounts.office, accounts.forecast.weekday)
    return [
        Recurring(ids.ACCOUNT_SYNC, "SyncAccounts", upkeep, ACCOUNT_SYNC_EVERY, queue=ids.BATCH_QUEUE),
        Recurring(ids.GENERIC_LICENSE, "RotateGenericKey", upkeep, timedelta(days=policy.license.generic.rotation_days), rotation),
        Recurring(ids.POOL, "RefillPool", upkeep, timedelta(minutes=policy.pool.check_minutes)),
        Recurring(ids.REOPENED, "FindReopened", upkeep, timedelta(hours=policy.provisioning.poll_hours), at_once=False),
        Recurring(
            ids.HEALTH, "ScoreHealth", HealthInput(policy=accounts), timedelta(minutes=accounts.health.every_minutes), queue=ids.BATCH_QUEUE
        ),
        # Not at once: while the first renewals begin it would keep a part of them for ever.
        Recurring(ids.FORECAST, "WeeklyForecast", asking, timedelta(days=accounts.forecast.every_days), round_, at_once=False),
    ]


async def ensure(client: Client, settings: Settings) -> dict[str, str]:
    """Make the schedules that are absent, and run them once at once; bring the others up to date, paused ones stay paused.

    They work by the policies in force. Returns what was done to each, by id.
    """
    policy, accounts = read_policies(settings)
    jitter = timedelta(seconds=settings.schedule_jitter_seconds)
    return {work.id: await _ensure(client, work, jitter) for work in recurring(policy, accounts, settings)}


async def _ensure(client: Client, work: Recurring, jitter: timedelta) -> str:
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(work.workflow, work.given, id=work.id, task_queue=work.queue, static_summary=NOTES[work.id]),
        spec=work.spec(jitter),
        # After an outage the last round that was missed is made up for, not each of them.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=work.every),
    )
    wanted.state.note = NOTES[work.id]
    try:
        await client.create_schedule(work.id, wanted, trigger_immediately=work.at_once)
    except ScheduleAlreadyRunningError:

        def renewed(found: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state = found.description.schedule.state
            return ScheduleUpdate(wanted)

        await client.get_schedule_handle(work.id).update(renewed)
        return f"{work}, as before"
    return f"made: {work}"
