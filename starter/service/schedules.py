"""The recurring work, on Temporal Schedules.

The generic key's rotation (A24), the pool (A25), the copy of the CRM (A3, A27), the issues that are open again, the health scores (D12) and the
renewals' forecast (D29).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from temporalio import client as temporal
from temporalio.client import Client

from domain import ids
from domain.base import Message
from domain.forecast.weekly_round import ForecastInput
from domain.health.hourly_run import HealthInput
from domain.policy import AccountPolicy, Policy
from domain.policy.shared import Office
from domain.policy.units import Weekday
from domain.upkeep import UpkeepInput
from domain.wording import beside
from starter.service.bootstrap import read_policies
from store.settings import Settings

#: How old the copy of the accounts may be. A matter of the set-up, not of the trade: a signup's facts carry their own age.
ACCOUNT_SYNC_EVERY = timedelta(minutes=15)
WEEK = timedelta(days=7)
#: From Monday to Sunday.
WEEKDAYS: tuple[Weekday, ...] = get_args(get_args(Weekday)[0])


class Opening(NamedTuple):
    """When the office opens on a weekday, by its own clock."""

    office: Office
    weekday: Weekday

    def __str__(self) -> str:
        return f"{self.weekday.title()} at {self.office.opens:02}:00 ({self.office.timezone})"


@dataclass(frozen=True)
class Recurring:
    """One schedule: its id, the workflow that it starts with ``given`` on ``queue``, what for, and how often.

    ``at_once``: its first run is now. ``on`` is when it falls due, where it is days that lie between; the rest goes by the minutes of an
    hour, whatever the time zone.
    """

    id: str
    given: Message
    every: timedelta
    on: Opening | None
    workflow: str
    note: str
    at_once: bool = True
    queue: str = ids.TASK_QUEUE

    def spec(self, jitter: timedelta) -> temporal.ScheduleSpec:
        """A week has a calendar, in the office's time zone; every other length is an interval. ``jitter`` keeps them apart."""
        offset = None
        if self.on is not None:
            office, day = self.on.office, WEEKDAYS.index(self.on.weekday)
            if self.every == WEEK:
                on, at = temporal.ScheduleRange((day + 1) % 7), temporal.ScheduleRange(office.opens)  # Temporal's weeks begin on Sunday
                calendar = temporal.ScheduleCalendarSpec(day_of_week=[on], hour=[at])
                return temporal.ScheduleSpec(calendars=[calendar], jitter=jitter, time_zone_name=office.timezone)
            first = datetime(
                2024, 1, 1 + day, office.opens, tzinfo=ZoneInfo(office.timezone)
            )  # the year began on a Monday, in winter's time
            offset = (first - datetime.fromtimestamp(0, UTC)) % self.every  # Temporal counts them from 1970 on
        return temporal.ScheduleSpec(intervals=[temporal.ScheduleIntervalSpec(every=self.every, offset=offset)], jitter=jitter)

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
    how: dict[str, tuple[Message, timedelta, Opening | None]] = {
        ids.ACCOUNT_SYNC: (upkeep, ACCOUNT_SYNC_EVERY, None),
        ids.GENERIC_LICENSE: (upkeep, timedelta(days=policy.license.generic.rotation_days), rotation),
        ids.POOL: (upkeep, timedelta(minutes=policy.pool.check_minutes), None),
        ids.REOPENED: (upkeep, timedelta(hours=policy.provisioning.poll_hours), None),
        ids.HEALTH: (HealthInput(policy=accounts), timedelta(minutes=accounts.health.every_minutes), None),
        ids.FORECAST: (asking, timedelta(days=accounts.forecast.every_days), round_),
    }
    return [Recurring(name, *how[name], **about) for name, about in beside(__file__).items()]


async def ensure(client: Client, settings: Settings) -> dict[str, str]:
    """Make the schedules that are absent, and run them once at once; bring the others up to date, paused ones stay paused.

    They work by the policies in force. Returns what was done to each, by id.
    """
    policy, accounts = read_policies(settings)
    jitter = timedelta(seconds=settings.schedule_jitter_seconds)
    return {work.id: await _ensure(client, work, jitter) for work in recurring(policy, accounts, settings)}


async def _ensure(client: Client, work: Recurring, jitter: timedelta) -> str:
    start, note = temporal.ScheduleActionStartWorkflow, work.note
    wanted = temporal.Schedule(
        action=start(work.workflow, work.given, id=work.id, task_queue=work.queue, static_summary=note),
        spec=work.spec(jitter),
        # After an outage the last round that was missed is made up for, not each of them.
        policy=temporal.SchedulePolicy(overlap=temporal.ScheduleOverlapPolicy.SKIP, catchup_window=work.every),
        state=temporal.ScheduleState(note=note),
    )

    def renewed(found: temporal.ScheduleUpdateInput) -> temporal.ScheduleUpdate:
        wanted.state = found.description.schedule.state
        return temporal.ScheduleUpdate(wanted)

    try:
        await client.create_schedule(work.id, wanted, trigger_immediately=work.at_once)
    except temporal.ScheduleAlreadyRunningError:
        await client.get_schedule_handle(work.id).update(renewed)
        return f"{work}, as before"
    return f"made: {work}"
