"""The forecast (D29, C13, gap 14): quarters, what a renewal is expected to bring, parts that sum to the whole, and what AEs are asked."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.account.account import Outcome, Rating, RenewalRow
from domain.forecast import rollup, weekly_round
from domain.forecast.comparison import against_actual, baseline, compare
from domain.forecast.quarters import days_of, is_closed, quarter_of
from domain.forecast.rollup import NONE, Tally, roll_up
from domain.markup import bold
from domain.policy import AccountPolicy, default_accounts
from domain.renewal.commands import ProjectOutcome

POLICY = default_accounts()
AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
#: FY27-Q4 with years that begin in February: November, December, January.
Q4 = "FY27-Q4"
AE = "ae-mira@tenure.example"


def starting(month: int) -> AccountPolicy:
    """A policy whose fiscal years begin in that month."""
    figures = POLICY.forecast.model_copy(update={"fiscal_year_starts_month": month})
    return POLICY.model_copy(update={"forecast": figures})


def row(**more: Any) -> RenewalRow:
    domain = str(more.get("domain", "acme.com"))
    on = more.get("renewal_on", date(2026, 12, 31))
    base = {"workflow": f"renewal-{domain}-{on}", "domain": domain, "name": domain.partition(".")[0].capitalize(), "renewal_on": on}
    return RenewalRow.model_validate({**base, "arr": 100_000, "phase": "forecast", "ae": AE, "updated_at": AT, **more})


# --- quarters ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "day", "quarter"),
    [
        (2, date(2026, 2, 1), "FY27-Q1"),
        (2, date(2026, 4, 30), "FY27-Q1"),
        (2, date(2026, 5, 1), "FY27-Q2"),
        (2, date(2026, 11, 1), "FY27-Q4"),
        (2, date(2027, 1, 31), "FY27-Q4"),
        (2, date(2027, 2, 1), "FY28-Q1"),
        (1, date(2026, 1, 1), "FY26-Q1"),
        (1, date(2026, 12, 31), "FY26-Q4"),
        (10, date(2026, 9, 30), "FY26-Q4"),
        (10, date(2026, 10, 1), "FY27-Q1"),
    ],
)
def test_gap_14_a_quarter_is_named_by_the_year_in_which_its_fiscal_year_ends(month: int, day: date, quarter: str) -> None:
    assert quarter_of(starting(month), day) == quarter


@given(st.dates(date(2001, 1, 1), date(2098, 12, 31)), st.integers(1, 12))
def test_every_day_lies_in_its_quarter_and_quarters_leave_no_gap(day: date, month: int) -> None:
    policy = starting(month)
    first, last = days_of(policy, quarter_of(policy, day))
    assert first <= day <= last
    assert quarter_of(policy, first) == quarter_of(policy, last) == quarter_of(policy, day)
    assert quarter_of(policy, first - timedelta(1)) != quarter_of(policy, day) != quarter_of(policy, last + timedelta(1))
    assert 88 <= (last - first).days <= 91


@pytest.mark.parametrize("nonsense", ["", "Q4", "FY27", "FY27-Q5", "fy27-q4", "FY2027-Q4", "FY27-Q4 "])
def test_what_is_no_quarter_is_said_so(nonsense: str) -> None:
    with pytest.raises(ValueError, match="write it as FY27-Q4"):
        days_of(POLICY, nonsense)


def test_a_quarter_is_closed_when_its_last_day_is_over() -> None:
    assert not is_closed(POLICY, Q4, date(2027, 1, 31))
    assert is_closed(POLICY, Q4, date(2027, 2, 1))


# --- one renewal -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "amount"),
    [
        ({"outcome": "full_churn", "rating": "green"}, 0),
        ({"outcome": "partial_churn"}, 50_000),
        ({"outcome": "partial_churn", "amount": 80_000}, 80_000),
        ({"outcome": "flat", "rating": "red"}, 100_000),
        ({"outcome": "incremental"}, 100_000),
        ({"outcome": "incremental", "amount": 130_000}, 130_000),
        ({"rating": "green"}, 95_000),
        ({"rating": "yellow"}, 70_000),
        ({"rating": "red"}, 35_000),
        ({}, None),
    ],
)
def test_d29_what_a_renewal_is_expected_to_bring(of: dict[str, Any], amount: int | None) -> None:
    """The AE's projection counts; without one what the rating promises; without either nobody knows, which is neither all nor nothing."""
    found = rollup.expected(POLICY, row(**of))
    assert found.amount == amount
    assert found.rule.endswith(".")
    assert found.handbook


@pytest.mark.parametrize(
    ("rating", "outcome", "odd"),
    [
        ("green", "full_churn", True),
        ("green", "partial_churn", True),
        ("green", "flat", False),
        ("green", "incremental", False),
        ("yellow", "full_churn", False),
        ("yellow", "partial_churn", False),
        ("yellow", "flat", True),
        ("red", "incremental", True),
        ("red", "partial_churn", False),
        (None, "flat", False),
        ("red", None, False),
    ],
)
def test_c13_what_a_rating_does_not_expect_is_warned_of(rating: Rating | None, outcome: Outcome | None, odd: bool) -> None:
    """Yellow and red are expected to lose, green to stay or grow; it is looked at, and never refused."""
    said = rollup.expectation(rating, outcome)
    assert bool(said) is odd
    if odd:
        assert str(rating) in said
        assert "C13" in said


def test_where_system_ta_and_ae_differ_it_says_who_says_what() -> None:
    assert rollup.disagreement(row(system_outcome="flat", ta_outcome="flat", outcome="flat")) == ""
    assert rollup.disagreement(row(system_outcome="flat")) == ""
    differ = row(system_outcome="partial_churn", ta_outcome="full_churn", outcome="flat")
    assert rollup.disagreement(differ) == "system says partial churn, TA says full churn, AE says flat"


# --- the roll-up -------------------------------------------------------------------------------------------------------------------

outcomes = st.sampled_from([*get_args(Outcome), None])
ratings = st.sampled_from([*get_args(Rating), None])


@st.composite
def many(draw: st.DrawFn, most: int = 8) -> list[RenewalRow]:
    rows = []
    for number in range(draw(st.integers(0, most))):
        rows.append(
            row(
                domain=f"c{number}.com",
                renewal_on=draw(st.dates(date(2026, 10, 20), date(2027, 2, 10))),
                arr=draw(st.integers(0, 3_000_000)),
                outcome=draw(outcomes),
                amount=draw(st.none() | st.integers(0, 3_000_000)),
                rating=draw(ratings),
                ae=draw(st.sampled_from(["", AE, "ae-wen@tenure.example"])),
                status=draw(st.sampled_from(["open", "open", "open", "renewed", "churned", "cancelled"])),
                actual_arr=draw(st.none() | st.integers(0, 3_000_000)),
            )
        )
    return rows


def added(tallies: list[Tally]) -> Tally:
    return Tally(**{name: sum(getattr(each, name) for each in tallies) for name in Tally.model_fields})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(many())
def test_the_parts_of_a_roll_up_sum_to_the_whole(rows: list[RenewalRow]) -> None:
    """By owner, by outcome and by rating; every open renewal of the quarter is in it once, and none of another."""
    found = roll_up(POLICY, rows, Q4, at=AT)
    first, last = days_of(POLICY, Q4)
    mine = [each for each in rows if first <= each.renewal_on <= last]
    assert sorted(line.workflow for line in found.lines) == sorted(each.workflow for each in mine if each.status == "open")
    for parts in (found.by_owner, found.by_outcome, found.by_rating):
        assert added(list(parts.values())) == found.total
    assert found.total.arr == sum(each.arr for each in mine if each.status == "open")
    assert found.total.weighted == sum(line.expected or 0 for line in found.lines)
    assert found.total.unknown == sum(line.arr for line in found.lines if line.outcome is None and line.rating is None)
    ended = [each for each in mine if each.status in ("renewed", "churned")]
    assert (found.closed.renewals, found.closed.arr) == (len(ended), sum(each.arr for each in ended))
    assert found.closed.weighted == sum(rollup.brought(each) for each in ended)
    assert found.policy == POLICY.hash


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # on a machine that others use
@given(many(), many())
def test_what_moved_sums_to_the_change_of_the_total(before: list[RenewalRow], after: list[RenewalRow]) -> None:
    """Whatever happened between two weeks, every dollar of the change has its renewal and its reason."""
    old, new = roll_up(POLICY, before, Q4, at=AT), roll_up(POLICY, after, Q4, at=AT + timedelta(weeks=1))
    moved = compare(old, new)
    assert sum(each.change for each in moved) == new.total.weighted - old.total.weighted
    assert all(each.why for each in moved)
    assert compare(old, old) == ()


def test_a_roll_up_says_who_confirmed_and_names_none_as_none() -> None:
    rows = [row(), row(domain="bolt.com", ae="ae-wen@tenure.example"), row(domain="cube.com", ae="")]
    found = roll_up(POLICY, rows, Q4, at=AT, confirmed=[AE], unconfirmed=["ae-wen@tenure.example", "ae-of-another-quarter@tenure.example"])
    assert {line.domain: line.confirmed for line in found.lines} == {"acme.com": True, "bolt.com": False, "cube.com": False}
    assert found.unconfirmed == ("ae-wen@tenure.example",)
    assert list(found.by_owner) == [AE, "ae-wen@tenure.example", NONE]
    assert list(found.by_rating) == [NONE]


def test_lines_carry_warnings_and_disagreements_by_name() -> None:
    found = roll_up(POLICY, [row(rating="red", outcome="flat", system_outcome="full_churn", ta_outcome="full_churn")], Q4, at=AT)
    assert found.warnings == ("Acme: rated red, yet flat is projected: red is expected to lose some (C13)",)
    assert found.disagreements == ("Acme: system says full churn, TA says full churn, AE says flat",)


# --- against what came -------------------------------------------------------------------------------------------------------------


def test_a_closed_quarter_is_held_against_its_forecast() -> None:
    """Hits and the error in dollars, by owner; what was cancelled is judged by nothing, what is still open is counted."""
    flat, lost, grew = (row(domain=f"{name}.com", outcome=outcome) for name, outcome in (("a", "flat"), ("b", "full_churn"), ("c", "flat")))
    unsaid, moved, late = row(domain="d.com"), row(domain="e.com", outcome="flat"), row(domain="f.com", outcome="flat", ae="")
    said = roll_up(POLICY, [flat, lost, grew, unsaid, moved, late], Q4, at=AT)
    came = [
        flat.model_copy(update={"status": "renewed", "actual_outcome": "flat", "actual_arr": 100_000}),
        lost.model_copy(update={"status": "churned", "actual_outcome": "full_churn", "actual_arr": 0}),
        grew.model_copy(update={"status": "renewed", "actual_outcome": "incremental", "actual_arr": 120_000}),
        unsaid.model_copy(update={"status": "renewed", "actual_outcome": "flat", "actual_arr": 100_000}),
        moved.model_copy(update={"status": "cancelled"}),
        late,
    ]
    found = against_actual(said, came)
    assert (found.forecast, found.actual, found.error) == (200_000, 320_000, 20_000)
    assert (found.judged, found.hits, found.open) == (3, 2, 1)
    assert found.by_owner == {AE: 20_000}
    assert found.error == sum(found.by_owner.values())
    assert {line.domain: line.hit for line in found.lines} == {"a.com": True, "b.com": True, "c.com": False, "d.com": None}


def test_a_quarter_is_held_against_the_last_snapshot_before_it_began() -> None:
    first = days_of(POLICY, Q4)[0]
    days = [first + timedelta(days) for days in (-20, -6, 1, 30)]
    taken = [roll_up(POLICY, [], Q4, at=datetime(day.year, day.month, day.day, 9, tzinfo=UTC)) for day in days]
    assert baseline(POLICY, Q4, reversed(taken)) == taken[1]
    assert baseline(POLICY, Q4, taken[2:]) == taken[2]
    assert baseline(POLICY, Q4, []) is None


# --- what an AE is asked -----------------------------------------------------------------------------------------------------------


def said(text: str, **of: Any) -> ProjectOutcome:
    [found] = weekly_round.changes(POLICY, [row(**of)], {"acme.com": text}, AE).values()
    return found


@pytest.mark.parametrize(
    ("text", "outcome", "amount", "note"),
    [
        ("flat", "flat", None, ""),
        ("FLAT: they are happy", "flat", None, "they are happy"),
        ("partial_churn 45000 they close an office", "partial_churn", 45_000, "they close an office"),
        ("partial churn, $45,000, they close 2 offices", "partial_churn", 45_000, "they close 2 offices"),
        ("partial-churn 45k", "partial_churn", 45_000, ""),
        ("full_churn", "full_churn", None, ""),
        ("full churn - the champion left", "full_churn", None, "the champion left"),
        ("incremental 0.2m", "incremental", 200_000, ""),
        ("incremental 150000", "incremental", 150_000, ""),
    ],
)
def test_what_an_ae_writes_of_a_renewal(text: str, outcome: str, amount: int | None, note: str) -> None:
    found = said(text)
    assert (found.by, found.outcome, found.amount, found.note) == (AE, outcome, amount, note)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("churn", "begin with full_churn"),
        ("flatter", "begin with full_churn"),
        ("partial_churn 45.000", "write it as 45000"),
        ("partial_churn 4,5k", "write it as 45000"),
        ("partial_churn 45x", "write it as 45000"),
        ("incremental 9999999999", "write it as 45000"),
        ("incremental 5000m", "write it as 45000"),
        ("partial_churn 100000", "does not fit partial churn"),
        ("incremental 90000", "does not fit incremental"),
        ("flat 90000", "does not fit flat"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        said(text)
    assert str(refused.value).startswith("acme.com: ")


def test_what_the_renewal_would_refuse_is_refused_at_once() -> None:
    """C13: the plan phase plans no growth; a renewal that is not rated has no outcome yet."""
    with pytest.raises(ValueError, match="growth is not planned"):
        said("incremental 120000", phase="plan")
    with pytest.raises(ValueError, match="too early to forecast"):
        said("flat", phase="assessment")


def test_a_change_names_renewals_that_are_there() -> None:
    rows = [row(), row(domain="bolt.com")]
    with pytest.raises(ValueError, match=r"no renewal 'cube.com' here; name one of: acme.com, bolt.com"):
        weekly_round.changes(POLICY, rows, {"cube.com": "flat"}, AE)
    for nothing in ({}, {"acme.com": "  ", "bolt.com": None}):
        with pytest.raises(ValueError, match="say which is different"):
            weekly_round.changes(POLICY, rows, nothing, AE)
    assert list(weekly_round.changes(POLICY, rows, {"bolt.com": "flat", "acme.com": ""}, AE)) == ["renewal-bolt.com-2026-12-31"]


def test_an_account_with_two_renewals_has_them_named_by_their_ids() -> None:
    twice = [row(), row(renewal_on=date(2027, 1, 31)), row(domain="bolt.com")]
    assert list(weekly_round.named(twice)) == ["renewal-acme.com-2026-12-31", "renewal-acme.com-2027-01-31", "bolt.com"]


def test_a_card_lists_what_stands_and_what_is_odd() -> None:
    rows = (row(rating="red", outcome="flat", system_outcome="full_churn"), row(domain="bolt.com", rating="green"))
    text = weekly_round.asks(POLICY, weekly_round.OwnLines(rows=rows, early=2))
    lines = text.splitlines()
    assert lines[1].startswith("• Acme (acme.com): 2026-12-31 (FY27-Q4), $100,000, red: flat ⚠️ rated red, yet flat is projected")
    assert "system says full churn, AE says flat" in lines[1]
    assert lines[2] == "• Bolt (bolt.com): 2026-12-31 (FY27-Q4), $100,000, green: no projection yet"
    assert lines[3] == "2 renewals not rated yet: nothing to say of them this week."
    confirm, change = weekly_round.choices(rows)
    assert (confirm.name, confirm.fields) == ("confirm", ())
    assert [(field.name, field.required) for field in change.fields] == [("acme.com", False), ("bolt.com", False)]


def test_a_card_of_very_many_stays_readable_and_answerable() -> None:
    rows = tuple(row(domain=f"c{number:03}.com") for number in range(120))
    text = weekly_round.asks(POLICY, weekly_round.OwnLines(rows=rows))
    assert len(text.splitlines()) == weekly_round.LISTED + 2
    assert "95 later ones" in text
    assert len(weekly_round.choices(rows)[1].fields) == weekly_round.CHANGEABLE <= 50


@pytest.mark.parametrize(("days", "again"), [(None, True), (6, False), (7, True), (30, True)])
def test_a_confirmation_goes_to_the_renewal_when_the_last_word_is_a_week_old(days: int | None, again: bool) -> None:
    of = row(outcome="partial_churn", amount=60_000, forecast_at=None if days is None else AT - timedelta(days=days))
    found = weekly_round.confirmations(POLICY, [of, row(domain="bolt.com", forecast_at=None)], AT, AE)
    assert list(found) == ([of.workflow] if again else [])
    assert all((one.outcome, one.amount, one.by) == ("partial_churn", 60_000, AE) for one in found.values())


def test_what_was_said_this_week_counts_before_the_renewal_has_written_it() -> None:
    rows = [row(outcome="flat"), row(domain="bolt.com", outcome="flat", status="renewed")]
    word = ProjectOutcome(by=AE, outcome="partial_churn", amount=40_000)
    new = weekly_round.applied(rows, {each.workflow: word for each in rows}, AT)
    assert [(each.outcome, each.amount, each.forecast_at) for each in new] == [("partial_churn", 40_000, AT), ("flat", None, None)]


def test_the_summary_tells_the_week() -> None:
    before = roll_up(POLICY, [row(outcome="flat"), row(domain="bolt.com", rating="green")], Q4, at=AT - timedelta(weeks=1))
    rows = [
        row(outcome="partial_churn", amount=60_000, rating="green"),
        row(domain="bolt.com", rating="green"),
        row(domain="cube.com", ae=""),
    ]
    now = roll_up(POLICY, rows, Q4, at=AT, unconfirmed=[AE])
    text = weekly_round.summary([now], {Q4: compare(before, now)}, [], AT.date())
    assert text.splitlines() == [
        bold("Forecast of 2026-11-25"),
        f"{bold('FY27-Q4')}: 3 renewals, $155,000 expected of $300,000; $100,000 neither projected nor rated",
        "  by outcome: partial churn $100,000, none $200,000; by rating: green $200,000, none $100,000",
        "  -40,000 since the last one: Acme -40,000 (outcome: flat → partial churn)",
        f"Not confirmed by {AE}: their renewals stand as they were.",
        "To look at:",
        "  Acme: rated green, yet partial churn is projected: green is expected to stay or to grow (C13)",
    ]
    assert weekly_round.summary([], {}, [], AT.date()) == f"{bold('Forecast of 2026-11-25')}: no renewal is open."


def test_the_summary_of_a_quarter_that_is_over_says_how_good_the_forecast_was() -> None:
    said = roll_up(POLICY, [row(outcome="flat")], Q4, at=AT)
    came = against_actual(said, [row(outcome="flat", status="renewed", actual_outcome="incremental", actual_arr=120_000)])
    text = weekly_round.summary([said], {}, [came], AT.date())
    assert f"{bold('FY27-Q4')} is over: $120,000 came, $20,000 more than forecast, 0 of 1 outcomes as projected." in text
