"""Days and the office calendar: when an SLA is due. Pure; all times are aware datetimes, results are in UTC.

No date makes an error here: what would lie before the first or after the last day that there is, is that day.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.base import Value
from domain.policy.shared import Office

#: Days whose hours have a moment in UTC in every time zone, with a day to spare.
FIRST_DAY, LAST_DAY = date(1, 1, 4), date(9999, 12, 28)
#: A timer of more than some centuries is none on Temporal's server: who waits longer looks again after so long.
LONGEST_TIMER = timedelta(days=3_650)
#: From here on the office's clock is not counted any more: the days ahead could not hold the work.
_FIRST_MOMENT, _LAST_MOMENT = datetime(1, 1, 4, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Due(Value):
    """Something that falls due at ``at`` by itself, in words. ``kind`` says what is done then, ``key`` is unique in its process; ``name`` is a mail's template."""

    at: datetime
    what: str
    kind: str = ""
    key: str = ""
    name: str = ""


def days_after(day: date, days: int) -> date:
    """The day so many days later (earlier, when negative)."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def moment_after(at: datetime, length: timedelta) -> datetime:
    """The moment so much later (earlier, when negative)."""
    try:
        return at + length
    except OverflowError:
        return (datetime.max if length > timedelta() else datetime.min).replace(tzinfo=at.tzinfo)


def months_after(day: date, months: int) -> date:
    """The same day of the month so many months later; where that month is too short, its last day (29 February of the next year: 28)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        return date.min if year < date.min.year else date.max
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def end_of_day(day: date, timezone: str) -> datetime:
    """The midnight that ends a day in that time zone, in UTC."""
    day = min(max(day, FIRST_DAY), LAST_DAY)
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(timezone)).astimezone(UTC)


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
    zone, day = ZoneInfo(office.timezone), min(max(day, FIRST_DAY), LAST_DAY)
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
    start, left = min(max(start, _FIRST_MOMENT), _LAST_MOMENT).astimezone(UTC), timedelta(hours=hours)
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
    start = min(max(start, _FIRST_MOMENT), _LAST_MOMENT)
    day = day_of(office, start)
    left = days
    while left > 0:
        day += timedelta(days=1)
        left -= is_working_day(office, day)
    while not is_working_day(office, day):
        day += timedelta(days=1)
    return max(hours_of(office, day)[1], start.astimezone(UTC))
