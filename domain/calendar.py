"""The office calendar: when an SLA is due. Pure; all times are aware datetimes, results are in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.figures import Office


def is_working_day(office: Office, day: date) -> bool:
    """Monday to Friday, and no holiday of the policy."""
    return day.weekday() < 5 and day.isoformat() not in office.holidays


def day_of(office: Office, at: datetime) -> date:
    """Which day it is at the office at that moment."""
    return at.astimezone(ZoneInfo(office.timezone)).date()


def hours_of(office: Office, day: date) -> tuple[datetime, datetime]:
    """When the office opens and closes on a day, in UTC (``closes = 24`` is midnight).

    In UTC, because differences of local times forget the hour that a change of the clocks takes or gives.
    """
    zone = ZoneInfo(office.timezone)
    midnight = datetime.combine(day, time(), zone)
    opens = midnight.replace(hour=office.opens)
    closes = midnight.replace(hour=office.closes) if office.closes < 24 else datetime.combine(day + timedelta(days=1), time(), zone)
    return opens.astimezone(UTC), closes.astimezone(UTC)


def is_open(office: Office, at: datetime) -> bool:
    """Whether somebody is at work at that moment."""
    day = day_of(office, at)
    opens, closes = hours_of(office, day)
    return is_working_day(office, day) and opens <= at < closes


def add_office_hours(office: Office, start: datetime, hours: float) -> datetime:
    """The moment by which ``hours`` of office time have passed since ``start``; out of hours the clock stands.

    Work that ends with the day is due at the closing, not at the next opening.
    """
    start, left = start.astimezone(UTC), timedelta(hours=hours)
    day = day_of(office, start)
    while True:
        if is_working_day(office, day):
            opens, closes = hours_of(office, day)
            begin = max(opens, start)
            if begin < closes:
                if begin + left <= closes:
                    return begin + left
                left -= closes - begin
        day += timedelta(days=1)


def add_working_days(office: Office, start: datetime, days: int) -> datetime:
    """The close of business ``days`` working days after the day of ``start``; a day off counts as the working day before it.

    No days: today's close of business, or at once when that is over.
    """
    day = day_of(office, start)
    left = days
    while left > 0:
        day += timedelta(days=1)
        left -= is_working_day(office, day)
    while not is_working_day(office, day):
        day += timedelta(days=1)
    return max(hours_of(office, day)[1], start.astimezone(UTC))
