"""The office calendar at its edges: opening and closing, evenings, weekends, holidays, other zones, and the change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import add_office_hours, add_working_days, hours_of, is_open, is_working_day
from domain.policy.shared import Office
from tests.domain.make import MONDAY, POLICY, moments, quickly

GMT = POLICY.office
FRIDAY = datetime(2026, 3, 6, tzinfo=UTC)
SATURDAY, SUNDAY, NEXT_MONDAY = (FRIDAY + timedelta(days=days) for days in (1, 2, 3))

OFFICES = {
    "gmt": GMT,
    "holidays": GMT.model_copy(update={"holidays": ("2026-03-09", "2026-12-25", "2026-12-28", "2027-01-01")}),
    "berlin": Office(opens=9, closes=17, timezone="Europe/Berlin", holidays=()),
    "san francisco": Office(opens=6, closes=24, timezone="America/Los_Angeles", holidays=("2026-07-03",)),
    "kolkata, all day": Office(opens=0, closes=24, timezone="Asia/Kolkata", holidays=()),
    "cairo, where the clocks change on a working day": Office(opens=0, closes=12, timezone="Africa/Cairo", holidays=()),
}
offices = st.sampled_from(list(OFFICES.values()))


def at(day: datetime, hour: int, minute: int = 0) -> datetime:
    return day.replace(hour=hour, minute=minute)


# --- open or closed --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "is_it"),
    [
        (at(FRIDAY, 6, 59), False),
        (at(FRIDAY, 7), True),
        (at(FRIDAY, 21, 59), True),
        (at(FRIDAY, 22), False),
        (at(SATURDAY, 12), False),
        (at(SUNDAY, 12), False),
        (at(NEXT_MONDAY, 7), True),
    ],
)
def test_the_office_is_open_from_seven_to_ten_on_weekdays(moment: datetime, is_it: bool) -> None:
    assert is_open(GMT, moment) is is_it


def test_a_holiday_is_no_working_day() -> None:
    office = OFFICES["holidays"]
    assert not is_working_day(office, date(2026, 3, 9))
    assert is_working_day(GMT, date(2026, 3, 9))
    assert not is_open(office, at(NEXT_MONDAY, 12))


def test_an_office_elsewhere_keeps_its_own_hours() -> None:
    berlin = OFFICES["berlin"]
    assert hours_of(berlin, date(2026, 1, 15)) == (datetime(2026, 1, 15, 8, tzinfo=UTC), datetime(2026, 1, 15, 16, tzinfo=UTC))
    assert hours_of(berlin, date(2026, 7, 15)) == (datetime(2026, 7, 15, 7, tzinfo=UTC), datetime(2026, 7, 15, 15, tzinfo=UTC))
    assert is_open(berlin, datetime(2026, 7, 15, 14, 59, tzinfo=UTC))
    assert not is_open(berlin, datetime(2026, 1, 15, 16, tzinfo=UTC))


def test_gmt_knows_no_summer_time() -> None:
    for month in (1, 7):
        assert hours_of(GMT, date(2026, month, 15)) == (
            datetime(2026, month, 15, 7, tzinfo=UTC),
            datetime(2026, month, 15, 22, tzinfo=UTC),
        )


def test_an_office_may_close_at_midnight() -> None:
    opens, closes = hours_of(OFFICES["kolkata, all day"], date(2026, 3, 6))
    assert closes - opens == timedelta(hours=24)


# --- office hours ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        (at(FRIDAY, 9), 4, at(FRIDAY, 13)),
        (at(FRIDAY, 7), 15, at(FRIDAY, 22)),  # a whole day ends with it
        (at(FRIDAY, 6), 1, at(FRIDAY, 8)),  # before the opening the clock stands
        (at(FRIDAY, 21), 1, at(FRIDAY, 22)),  # due at the closing, not at the next opening
        (at(FRIDAY, 21, 30), 1, at(NEXT_MONDAY, 7, 30)),
        (at(FRIDAY, 22), 1, at(NEXT_MONDAY, 8)),
        (at(FRIDAY, 23), 1, at(NEXT_MONDAY, 8)),
        (at(SATURDAY, 12), 4, at(NEXT_MONDAY, 11)),
        (at(SUNDAY, 23), 0, at(NEXT_MONDAY, 7)),
        (at(FRIDAY, 22), 0, at(NEXT_MONDAY, 7)),
        (at(FRIDAY, 12), 0, at(FRIDAY, 12)),
        (at(FRIDAY, 9), 45, at(NEXT_MONDAY, 9) + timedelta(days=2)),
        (at(FRIDAY, 9), 1 / 12, at(FRIDAY, 9, 5)),  # the first touch of a lead, in minutes
    ],
)
def test_office_hours_are_counted_while_the_office_is_open(start: datetime, hours: float, due: datetime) -> None:
    assert add_office_hours(GMT, start, hours) == due


def test_a_holiday_after_a_weekend_is_skipped_as_well() -> None:
    assert add_office_hours(OFFICES["holidays"], at(FRIDAY, 21, 30), 1) == at(NEXT_MONDAY + timedelta(days=1), 7, 30)


def test_office_hours_of_another_zone() -> None:
    thursday_evening = datetime(2026, 7, 2, 14, 30, tzinfo=UTC)  # 16:30 in Berlin
    assert add_office_hours(OFFICES["berlin"], thursday_evening, 1) == datetime(2026, 7, 3, 7, 30, tzinfo=UTC)


def test_an_hour_that_the_clocks_take_away_is_not_worked() -> None:
    """In Cairo the clocks go from 0:00 to 1:00 on Friday 2026-04-24: the morning until noon has eleven hours, not twelve."""
    office = OFFICES["cairo, where the clocks change on a working day"]
    opens, closes = hours_of(office, date(2026, 4, 24))
    assert closes - opens == timedelta(hours=11)
    assert add_office_hours(office, opens, 11) == closes
    local = add_office_hours(office, opens, 12).astimezone(ZoneInfo("Africa/Cairo"))
    assert (local.date(), local.hour) == (date(2026, 4, 27), 1)


@quickly
@given(office=offices, start=moments, minutes=st.integers(0, 6_000))
def test_work_is_never_due_while_the_office_is_closed(office: Office, start: datetime, minutes: int) -> None:
    due = add_office_hours(office, start, minutes / 60)
    day = due.astimezone(ZoneInfo(office.timezone)) - timedelta(microseconds=1 if minutes else 0)
    opens, closes = hours_of(office, day.date())
    assert is_working_day(office, day.date())
    assert opens <= due <= closes
    assert due >= start + timedelta(minutes=minutes)
    assert due.tzinfo is UTC


@quickly
@given(office=offices, start=moments, minutes=st.integers(0, 3_000), later=st.integers(0, 20_000), more=st.integers(0, 3_000))
def test_who_starts_later_or_takes_longer_is_never_due_earlier(
    office: Office, start: datetime, minutes: int, later: int, more: int
) -> None:
    due = add_office_hours(office, start, minutes / 60)
    assert add_office_hours(office, start + timedelta(minutes=later), minutes / 60) >= due
    assert add_office_hours(office, start, (minutes + more) / 60) >= due


@quickly
@given(office=offices, start=moments, first=st.integers(1, 40), second=st.integers(0, 40))
def test_hours_add_up(office: Office, start: datetime, first: int, second: int) -> None:
    at_once = add_office_hours(office, start, first + second)
    in_two = add_office_hours(office, add_office_hours(office, start, first), second)
    # Only a pause exactly at the closing shows: nothing more to do is due then, or at the next opening.
    assert in_two == at_once or (second == 0 and not is_open(office, at_once))


# --- working days ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        (MONDAY, 1, at(MONDAY + timedelta(days=1), 22)),
        (at(FRIDAY, 6), 1, at(NEXT_MONDAY, 22)),
        (at(FRIDAY, 23), 1, at(NEXT_MONDAY, 22)),
        (at(SATURDAY, 12), 1, at(NEXT_MONDAY, 22)),
        (at(SUNDAY, 23, 59), 1, at(NEXT_MONDAY, 22)),
        (at(NEXT_MONDAY, 0), 1, at(NEXT_MONDAY + timedelta(days=1), 22)),
        (MONDAY, 15, at(MONDAY + timedelta(days=21), 22)),
        (MONDAY, 0, at(MONDAY, 22)),
        (at(MONDAY, 23), 0, at(MONDAY, 23)),
        (at(SATURDAY, 12), 0, at(NEXT_MONDAY, 22)),
    ],
)
def test_working_days_end_with_the_close_of_business(start: datetime, days: int, due: datetime) -> None:
    assert add_working_days(GMT, start, days) == due


def test_holidays_are_no_working_days_to_count() -> None:
    christmas = datetime(2026, 12, 24, 12, tzinfo=UTC)
    assert add_working_days(OFFICES["holidays"], christmas, 1) == datetime(2026, 12, 29, 22, tzinfo=UTC)
    assert add_working_days(OFFICES["holidays"], christmas, 5) == datetime(2027, 1, 5, 22, tzinfo=UTC)


def test_the_day_is_that_of_the_office() -> None:
    """Sunday evening in UTC is Monday morning in Kolkata."""
    assert add_working_days(OFFICES["kolkata, all day"], at(SUNDAY, 20), 1) == datetime(2026, 3, 10, 18, 30, tzinfo=UTC)


@quickly
@given(office=offices, start=moments, days=st.integers(1, 30), later=st.integers(0, 20_000), more=st.integers(0, 10))
def test_working_days_are_due_on_a_working_day_and_in_order(office: Office, start: datetime, days: int, later: int, more: int) -> None:
    due = add_working_days(office, start, days)
    zone = ZoneInfo(office.timezone)
    day = (due - timedelta(microseconds=1)).astimezone(zone).date()
    assert due == hours_of(office, day)[1]
    first = start.astimezone(zone).date()
    counted = [first + timedelta(days=n) for n in range(1, (day - first).days + 1)]
    assert sum(is_working_day(office, each) for each in counted) == days
    assert add_working_days(office, start + timedelta(minutes=later), days) >= due
    assert add_working_days(office, start, days + more) >= due
