"""Days near the first and the last that there is, the same day of the next year, and until when keys are good (F12, F13, F15)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import calendar, licence_keys
from domain.forecast.quarters import days_of, is_closed, quarter_of
from tests.domain.make import POLICY, quickly, with_figures
from tests.domain.make_accounts import POLICY as ACCOUNTS
from tests.domain.make_accounts import figures

any_day = st.dates() | st.sampled_from([date.min, date.max, date(202, 5, 31), date(9999, 12, 30), date(1, 1, 2), date(2028, 2, 29)])
any_number = st.integers(-5_000_000, 5_000_000)


@quickly
@given(any_day, any_number)
def test_no_day_makes_an_error(day: date, number: int) -> None:
    later = calendar.days_after(day, number)
    assert (
        later == day + timedelta(number)
        if date.min.toordinal() <= day.toordinal() + number <= date.max.toordinal()
        else later in (date.min, date.max)
    )
    assert date.min <= calendar.months_after(day, number) <= date.max
    assert calendar.hours_of(POLICY.office, day)[0].tzinfo is not None


@quickly
@given(any_day, st.floats(0, 400), st.integers(0, 400), st.sampled_from(["Etc/GMT", "Pacific/Kiritimati", "Etc/GMT+12"]))
def test_the_office_has_hours_on_every_day(day: date, hours: float, days: int, zone: str) -> None:
    office, at = with_figures(office__timezone=zone).office, datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    opens, closes = calendar.hours_of(office, day)
    assert opens < closes
    calendar.add_office_hours(office, at, hours)
    calendar.add_working_days(office, at, days)


@pytest.mark.parametrize(
    ("day", "next_year"),
    [
        ("2027-06-30", "2028-06-30"),
        ("2027-12-31", "2028-12-31"),
        ("2028-02-29", "2029-02-28"),
        ("2027-02-28", "2028-02-28"),
        ("9999-12-31", "9999-12-31"),
    ],
)
def test_f13_the_next_year_is_the_same_day(day: str, next_year: str) -> None:
    assert calendar.months_after(date.fromisoformat(day), 12) == date.fromisoformat(next_year)


@quickly
@given(st.dates(date(1, 1, 1), date(9998, 12, 31)))
def test_f13_a_term_is_the_same_day_of_the_next_year(day: date) -> None:
    later = calendar.months_after(day, 12)
    assert (later.year, later.month) == (day.year + 1, day.month)
    assert later.day == day.day or (day.month, day.day, later.day) == (2, 29, 28)


@quickly
@given(any_day, st.integers(1, 12))
def test_f15_every_day_is_in_the_quarter_of_its_name(day: date, starts: int) -> None:
    policy = figures(forecast__fiscal_year_starts_month=starts)
    name = quarter_of(policy, day)
    first, last = days_of(policy, name)
    assert first <= day <= last
    assert (last - first).days <= 92
    assert is_closed(policy, name, date.max) == (last < date.max)


def test_f15_two_centuries_have_two_quarters() -> None:
    assert [quarter_of(ACCOUNTS, date(year, 5, 31)) for year in (202, 1926, 2026, 2126, 9999)] == [
        "FY0203-Q2",
        "FY1927-Q2",
        "FY27-Q2",
        "FY2127-Q2",
        "FY10000-Q2",
    ]


@quickly
@given(st.dates(date(2, 1, 1), date(9998, 12, 1)))
def test_f12_a_key_is_good_through_its_last_day_wherever_the_customer_is(day: date) -> None:
    """The zone of the customer is not known: in none of the world's zones has the day ended before the key."""
    until = licence_keys.through(POLICY.license, day)
    assert until >= datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert until - datetime(day.year, day.month, day.day, tzinfo=UTC) <= timedelta(days=2)


def test_f12_the_last_day_of_2027_has_ended_in_every_zone() -> None:
    until = licence_keys.through(POLICY.license, date(2027, 12, 31))
    assert all(until >= datetime(2028, 1, 1, tzinfo=ZoneInfo(zone)) for zone in available_timezones())


@quickly
@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(0, 30), st.integers(1, 30))
def test_c12_a_trials_key_outlives_its_grace(at: datetime, grace: int, before: int) -> None:
    ends_at = at.replace(tzinfo=UTC)
    policy = with_figures(
        trial__deadline__grace_days=grace, trial__deadline__manager_after_days=0, license__trial__renew_days_before=before
    )
    until = licence_keys.of_trial(policy, ends_at)
    assert until - timedelta(days=before) >= ends_at + timedelta(days=grace)
    assert licence_keys.covers(policy, until, ends_at)
    assert not licence_keys.covers(policy, ends_at, ends_at)
    assert not licence_keys.covers(policy, None, ends_at)
    last_trial = ends_at + timedelta(days=policy.license.generic.rotation_days)
    assert licence_keys.covers(policy, licence_keys.of_cohort(policy, ends_at), last_trial + timedelta(days=policy.trial.key_covers_days))
