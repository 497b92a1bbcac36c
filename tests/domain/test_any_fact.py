"""Facts nobody means (F15): whatever date or number JSON can hold, no function of the domain raises, and what cannot be is not believed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import plausibility
from domain.account import get_well, lifecycle, red, red_marks
from domain.account.account import Customer, RenewalEnded, RenewalRow
from domain.account.get_well import GetWellState
from domain.account.lifecycle import AccountState
from domain.account.red import RedState
from domain.forecast import rollup
from domain.forecast.quarters import quarter_of
from domain.health import hourly_run, score
from domain.renewal import decisions as renewal_decide
from domain.renewal import documents
from domain.renewal import refusals as renewal_refusals
from domain.renewal import state as renewal
from domain.renewal.commands import MoveRenewal
from domain.renewal.state import RenewalState
from domain.trial import refusals
from domain.trial.commands import Convert
from domain.trial.state import Stage
from tests.domain.make import MONDAY, quickly
from tests.domain.make import POLICY as TRIALS
from tests.domain.make_accounts import POLICY, customer, reasons, standing
from tests.domain.make_health import traits

TODAY = MONDAY.date()
days = st.dates() | st.sampled_from([date.max, date.min, date(9999, 12, 30), date(202, 5, 31), date(1, 1, 2), date(1970, 1, 1), TODAY])
maybe = st.none() | days
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([-1, 0, 10**30, float("nan"), float("inf"), -float("inf")]))


@st.composite
def customers(draw: st.DrawFn) -> Customer:
    """A customer with any dates and numbers, as a signal may bring one."""
    known: dict[str, Any] = {name: draw(maybe) for name in plausibility.DATES}
    return customer(**known, seats=draw(st.integers()), arr=draw(st.integers()))


@st.composite
def states(draw: st.DrawFn) -> AccountState:
    return AccountState(
        since=draw(maybe),
        term_end=draw(maybe),
        next_end=draw(maybe),
        settled=draw(st.lists(days, max_size=2)),
        renewal=draw(st.sampled_from(["", "renewal-acme.example-9999-12-31"])),
        renewal_on=draw(maybe),
        standing=standing(score=draw(st.none() | st.floats(0, 10)), band=draw(st.sampled_from(["unknown", "poor", "healthy"]))),
        seen_at=draw(st.none() | st.just(MONDAY)),
    )


@quickly
@given(customers(), states(), days)
def test_no_date_breaks_the_life_of_an_account(known: Customer, state: AccountState, ended_on: date) -> None:
    lifecycle.stage(POLICY, known, state, MONDAY)
    lifecycle.goal(POLICY, known, state, MONDAY)
    lifecycle.renewal(POLICY, known, state, MONDAY)
    lifecycle.moved(POLICY, known, state, MONDAY)
    moments = lifecycle.agenda(POLICY, known, state)
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    red.automatic(POLICY, known, state.standing, MONDAY)
    red.holding(POLICY, known, state.standing, MONDAY)
    red.promotion(POLICY, RedState(at_mark=state.standing), known, state.standing, MONDAY)
    red_marks.news(POLICY, known, state, MONDAY)
    get_well.utilization(POLICY, state.since, state.standing, MONDAY)
    get_well.document(known, GetWellState(reasons=reasons("renewal")), 3)
    documents.assessment(known, RenewalState(renewal_on=ended_on), None)
    lifecycle.settle(state, RenewalEnded(workflow=f"renewal-acme.example-{ended_on}", contract_end=ended_on))
    lifecycle.agenda(POLICY, known, state)


@quickly
@given(days, days, st.integers(-40, 4_000_000))
def test_no_date_breaks_a_renewal(on: date, to: date, extended: int) -> None:
    state = RenewalState(renewal_on=on, extension_days=extended)
    assert len(renewal.agenda(POLICY, state)) == 5
    message = MoveRenewal(by="abe@tenure.example", renewal_on=to)
    renewal_decide.moved(POLICY, state, message, MONDAY)
    refused = renewal_refusals.refuse_move(POLICY, state, message, MONDAY)
    assert refused is not None or plausibility.odd_day(POLICY.facts, to, TODAY) is None
    documents.in_words(POLICY, "Acme", state, [], [], MONDAY)
    renewal_decide.early_review_skipped(POLICY, state, MONDAY)
    renewal_decide.extended(POLICY, state, 30, "d@tenure.example", "a@tenure.example", MONDAY)
    row = RenewalRow(workflow="w", domain="acme.example", name="Acme", renewal_on=on, arr=1, phase="plan", updated_at=MONDAY)
    quarter = quarter_of(POLICY, on)
    assert [line.workflow for line in rollup.roll_up(POLICY, [row], quarter, at=MONDAY).lines] == ["w"]


@quickly
@given(days)
def test_a_contract_that_nobody_means_is_refused_in_words(end: date) -> None:
    refused = refusals.refuse_convert(TRIALS, Stage.ONBOARDING, Convert(by="a@tenure.example", seats=5, contract_end=end), MONDAY)
    assert (refused is None) == (TODAY < end <= date(TODAY.year + TRIALS.facts.years_ahead, TODAY.month, TODAY.day))


@quickly
@given(maybe, maybe, maybe, st.none() | st.floats(0, 10))
def test_no_date_breaks_the_hourly_run(start: date | None, deployed: date | None, active: date | None, total: float | None) -> None:
    known = {"contract_start": start, "deployed_on": deployed, "last_activity_on": active}
    found = hourly_run.reds(POLICY, TODAY, total=total, declining_months=0, **known)  # type: ignore[arg-type]
    held = red.holding(POLICY, customer(**known), standing(score=total), MONDAY)
    assert set(found) == set(held)
    score.score(POLICY, traits(pulse="Healthy").model_copy(update={"last_activity_on": active}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | days.map(str) | st.just("0000-00-00"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@quickly
@given(st.dictionaries(st.sampled_from(sorted(plausibility.WORDS)), json_values), st.booleans())
def test_whatever_a_system_says_is_read_without_an_error(said: dict[str, Any], known: bool) -> None:
    """What is believed can be; what cannot is named, and leaves what was known."""
    before = customer(deployed_on=TODAY).model_dump() if known else None
    held = plausibility.read(POLICY.facts, said, before, TODAY)
    for name in plausibility.DATES:
        assert held[name] is None or plausibility.odd_day(POLICY.facts, held[name], TODAY) is None
    assert 0 <= held["seats"] <= POLICY.facts.most_seats
    assert 0 <= held["arr"] <= POLICY.facts.most_arr
    for name, why in held["data_errors"].items():
        assert why
        assert held[name] == (before[name] if before else 0 if name in plausibility.NUMBERS else None)
    json.dumps(held["data_errors"])


@pytest.mark.parametrize("end", ["9999-12-31", "0202-05-31", "0001-01-01", "1900-01-01", "1970-01-01", "2099-12-31"])
def test_a_date_nobody_means_is_a_data_error(end: str) -> None:
    held = plausibility.read(POLICY.facts, {"contract_end": end, "seats": 10}, None, TODAY)
    assert (held["contract_end"], held["seats"]) == (None, 10)
    assert held["data_errors"]["contract_end"].startswith(f"{end} cannot be meant")
    assert plausibility.read(POLICY.facts, {"contract_end": "2027-06-30"}, None, TODAY)["data_errors"] == {}


@pytest.mark.parametrize("number", [-1, -0.5, float("nan"), float("inf"), 10**12, "many", True])
@pytest.mark.parametrize("name", ["seats", "arr"])
def test_a_number_that_no_contract_has_is_a_data_error(name: str, number: Any) -> None:
    held = plausibility.read(POLICY.facts, {name: number}, {name: 50}, TODAY)
    assert held[name] == 50
    assert list(held["data_errors"]) == [name]


def test_a_slip_of_the_keyboard_moves_nothing() -> None:
    """The account goes on with what was known, and the slip is on its page; a first sight of one is not known."""
    good = customer()
    slip = good.model_copy(update={"contract_end": date(9999, 12, 31), "seats": -5})
    held = plausibility.believed(POLICY.facts, slip, good, TODAY)
    assert (held.contract_end, held.seats, sorted(held.data_errors)) == (good.contract_end, good.seats, ["contract_end", "seats"])
    assert plausibility.believed(POLICY.facts, slip, None, TODAY).contract_end is None
    assert plausibility.believed(POLICY.facts, good, held, TODAY) == good


def test_a_deployment_that_is_not_known_makes_nothing_red() -> None:
    late = datetime(2026, 8, 1, 12, tzinfo=UTC)
    assert "not_deployed" in red.holding(POLICY, customer(), None, late)
    slip = customer(data_errors={"deployed_on": "9999-12-31 cannot be meant"})
    assert red.holding(POLICY, slip, None, late) == {}
    assert (
        hourly_run.reds(
            POLICY,
            late.date(),
            total=None,
            contract_start=slip.contract_start,
            deployed_on=None,
            last_activity_on=None,
            declining_months=0,
            data_errors=slip.data_errors,
        )
        == ()
    )
