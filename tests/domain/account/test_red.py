"""Red accounts: the four automatic criteria at their edges, what is marked, what promotes, and the tracker's row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account import red
from domain.account.account import Customer, HealthSnapshot
from domain.account.commands import MarkRed
from domain.account.red import Mark, RedState, RedUpdate
from tests.domain.make import MONDAY, day, quickly
from tests.domain.make_accounts import POLICY, customer, explained, figures, on, standing, team

FINE = {"deployed_on": on(-10), "contract_start": on(-100), "last_activity_on": on(0)}


def held(known: Customer, how: HealthSnapshot | None = None, **changed: Any) -> list[str]:
    """The criteria that hold on :data:`MONDAY`; the decision says the same, and explains itself."""
    policy = figures(**changed)
    decision = explained(red.automatic(policy, known, how, MONDAY), policy)
    found = red.holding(policy, known, how, MONDAY)
    assert (decision.outcome == "red") == bool(found)
    assert all(says.lower() in decision.rule.lower() for says in found.values())
    return list(found)


@pytest.mark.parametrize(("days", "found"), [(59, []), (60, []), (61, ["not_deployed"]), (400, ["not_deployed"])])
def test_b17_not_deployed_in_60_days_after_the_signature(days: int, found: list[str]) -> None:
    assert held(customer(contract_start=on(-days))) == found
    assert held(customer(contract_start=on(-days), deployed_on=on(-1))) == []


@pytest.mark.parametrize(("score", "found"), [(5.0, ["health"]), (5.01, []), (0.0, ["health"]), (10.0, []), (None, [])])
def test_b17_a_health_score_of_5_or_less(score: float | None, found: list[str]) -> None:
    assert held(customer(**FINE), standing(score=score)) == found


@pytest.mark.parametrize(("days", "found"), [(39, []), (40, ["no_contact"]), (200, ["no_contact"])])
def test_b17_no_interaction_for_40_days(days: int, found: list[str]) -> None:
    assert held(customer(**{**FINE, "last_activity_on": on(-days)})) == found


@pytest.mark.parametrize(("months", "found"), [(0, []), (1, []), (2, ["decline"]), (5, ["decline"])])
def test_b17_a_decline_in_two_consecutive_months(months: int, found: list[str]) -> None:
    assert held(customer(**FINE), standing(score=9.0, declining_months=months)) == found


def test_b17_every_limit_is_a_figure() -> None:
    known = customer(contract_start=on(-50), last_activity_on=on(-35))
    how = standing(score=6.0, declining_months=1)
    assert held(known, how) == []
    changed = {"red__not_deployed_days": 49, "red__no_contact_days": 35, "red__health_at_most": 6.0, "red__decline_months": 1}
    assert held(known, how, **changed) == ["not_deployed", "no_contact", "health", "decline"]


def test_b17_an_unknown_makes_nothing_red() -> None:
    assert held(customer(contract_start=on(-30)), None) == []
    assert held(customer(contract_start=on(-30)), standing()) == []


@pytest.mark.parametrize("more", [{"status": "churned"}, {"status": "merged"}, {"contract_start": None}, {"contract_start": on(1)}])
def test_b17_only_a_customer_becomes_red(more: dict[str, Any]) -> None:
    assert held(customer(**{**FINE, "last_activity_on": on(-90), **more}), standing(score=1.0)) == []


@pytest.mark.parametrize(
    ("more", "how", "nearest"),
    [
        ({"last_activity_on": on(-39)}, standing(score=9.0), "1 more day without an interaction"),
        ({}, standing(score=5.1), "a score of 5 or less"),
        ({"deployed_on": None, "contract_start": on(-59)}, standing(score=9.0), "2 more days without a production deployment"),
        ({}, standing(declining_months=1), "1 more month with a decline of 5%"),
    ],
)
def test_b17_the_nearest_fact_is_named(more: dict[str, Any], how: HealthSnapshot, nearest: str) -> None:
    assert red.automatic(POLICY, customer(**{**FINE, **more}), how, MONDAY).nearest == nearest


def test_b17_what_would_undo_it_is_named() -> None:
    decision = red.automatic(POLICY, customer(**{**FINE, "last_activity_on": on(-50)}), standing(score=3.0), MONDAY)
    assert decision.nearest == "an interaction and a score above 5"
    assert decision.rule == "No interaction for 50 days; health score 3, at most 5."
    sources = {fact.name: fact.source for fact in decision.facts}
    assert sources["last activity"] == "Salesforce"
    assert sources["declining months"] == "warehouse"


@quickly
@given(
    score=st.one_of(st.none(), st.floats(0, 10)),
    silent=st.one_of(st.none(), st.integers(0, 200)),
    months=st.integers(0, 6),
    signed=st.integers(0, 300),
)
def test_b17_more_facts_on_the_bad_side_never_make_it_better(score: float | None, silent: int | None, months: int, signed: int) -> None:
    known = customer(contract_start=on(-signed), last_activity_on=None if silent is None else on(-silent))
    how = standing(score=score, declining_months=months)
    now = set(held(known, how))
    worse = known.model_copy(update={"contract_start": on(-signed - 1), "last_activity_on": on(-(silent or 0) - 41)})
    assert now <= set(held(worse, standing(score=0.0 if score is not None else None, declining_months=months + 1)))


def marked(source: Any = "judgement", at: HealthSnapshot | None = None, declined: str = "") -> RedState:
    return RedState(marks=[Mark(at=MONDAY, reason="the champion left", source=source, by="ada")], at_mark=at, declined=declined)


def promoted(state: RedState, how: HealthSnapshot | None, **more: Any) -> str:
    return explained(red.promotion(POLICY, state, customer(**{**FINE, **more}), how, MONDAY)).outcome


HEALTHY, CONCERNING, POOR = (standing(score=score, band=band) for score, band in ((9.0, "healthy"), (6.0, "concerning"), (3.0, "poor")))


@pytest.mark.parametrize(
    ("state", "how", "outcome"),
    [
        (marked("automatic", POOR), HEALTHY, "green"),
        (marked("automatic", POOR), CONCERNING, "yellow"),
        (marked("automatic", POOR), POOR, "red"),
        (marked("automatic", POOR), standing(), "red"),
        (marked("automatic", POOR), None, "red"),
        (marked("judgement", HEALTHY), HEALTHY, "red"),
        (marked("judgement", CONCERNING), HEALTHY, "green"),
        (marked("judgement", POOR), CONCERNING, "yellow"),
        (marked("judgement", None), HEALTHY, "red"),
        (marked("judgement", standing()), HEALTHY, "red"),
        (marked("judgement", HEALTHY.model_copy(update={"champion": False})), HEALTHY.model_copy(update={"champion": True}), "green"),
        (marked("automatic", POOR, declined="concerning"), CONCERNING, "red"),
        (marked("automatic", POOR, declined="concerning"), HEALTHY, "green"),
    ],
)
def test_b17_promotion_is_proposed_when_what_made_it_red_has_changed(state: RedState, how: HealthSnapshot | None, outcome: str) -> None:
    assert promoted(state, how) == outcome


def test_b17_promotion_is_not_proposed_while_a_criterion_holds() -> None:
    assert promoted(marked("automatic", POOR), HEALTHY, last_activity_on=on(-60)) == "red"


@pytest.mark.parametrize(
    ("shown", "health", "declined", "how", "outcome"),
    [
        (True, "Yellow", "", POOR, "yellow"),
        (True, "Green", "", None, "green"),
        (True, "Green", "Yellow", POOR, "green"),
        (True, "Yellow", "Yellow", POOR, "red"),
        (True, "Red", "", POOR, "red"),
        (True, "", "", POOR, "red"),
        (False, "Green", "", POOR, "red"),  # a copy of before the mark
    ],
)
def test_b17_another_colour_by_hand_is_proposed(shown: bool, health: str, declined: str, how: HealthSnapshot | None, outcome: str) -> None:
    """Whatever the facts say of it: people judge, and the manager decides."""
    state = marked("judgement", POOR)
    state.shown, state.declined_health = shown, declined
    assert promoted(state, how, health=health) == outcome


def test_b17_a_proposal_says_what_speaks_against_it() -> None:
    state = marked("judgement", POOR)
    state.shown = True
    decision = explained(red.promotion(POLICY, state, customer(**FINE, health="Yellow"), POOR, MONDAY))
    assert decision.rule == "Somebody set Customer Health to Yellow in the CRM, though it is red by itself: Health score 3, at most 5."


def test_b17_d31_where_it_is_marked_by_hand() -> None:
    assert red.by_hand(customer(**FINE), None) == {}
    assert red.by_hand(customer(**FINE, health="Yellow"), standing()) == {}
    both = red.by_hand(customer(**FINE, health="Red"), standing(hand_red=True))
    assert both == {"salesforce": "Customer Health is Red in the CRM", "vitally": "it is set as a red account in Vitally"}


@pytest.mark.parametrize(("source", "handbook"), [("salesforce", "B17, C20"), ("vitally", "D31, C20")])
def test_b17_d31_a_mark_by_hand_names_its_system(source: Any, handbook: str) -> None:
    reason = red.by_hand(customer(health="Red"), standing(hand_red=True))[source]
    decision = explained(red.marked(POLICY, MarkRed(reason=reason, source=source), customer(**FINE, health="Red"), POOR, MONDAY))
    assert (decision.outcome, decision.handbook, decision.by) == ("red", handbook, "")
    assert decision.rule == f"Somebody marked it red: {reason}."


@pytest.mark.parametrize(("source", "handbook"), [("judgement", "B18, C20"), ("automatic", "B17, C20")])
def test_whoever_marks_it_is_named(source: Any, handbook: str) -> None:
    given = MarkRed(by="ada@tenure.example" if source == "judgement" else "", reason="the champion left", source=source)
    decision = explained(red.marked(POLICY, given, customer(**FINE), POOR, MONDAY))
    assert (decision.outcome, decision.handbook, decision.by) == ("red", handbook, given.by)
    assert decision.rule == f"{given.by or 'The facts'} marked it red: the champion left."


def test_whoever_promotes_it_is_named_and_a_lost_one_too() -> None:
    promoted = explained(red.resolved(POLICY, "green", "tim@tenure.example", "new champion", customer(**FINE), HEALTHY, MONDAY))
    assert (promoted.outcome, promoted.rule) == ("green", "tim@tenure.example promoted it to green: new champion.")
    lost = explained(red.gone(POLICY, customer(status="merged", merged_into="bigger.example"), MONDAY))
    assert (lost.outcome, lost.rule) == ("churned", "The account is merged into bigger.example: nothing is left to save.")


def test_the_row_of_the_tracker() -> None:
    """B17: the columns are the tracker's, from the mark to the end."""
    state = marked()
    row = red.row(customer(), team(), state)
    assert row == {
        "Account": "Acme",
        "Reason": "the champion left",
        "Source": "judgement",
        "Since": "2026-03-02",
        "State": "",
        "Needs": "",
        "Actions": "",
        "Owner": "Tess",
        "Status": "Red",
        "Resolved": "",
    }
    state.marks = [*state.marks, Mark(at=day(3), reason="no interaction for 40 days", source="automatic")]
    state.fields = {"state": "silent", "needs": "an exec call", "actions": "AE asks"}
    state.updates = [RedUpdate(at=day(7), by="tess", status="at_risk", state="silent")]
    tracked = red.row(customer(), team(), state)
    assert tracked["Reason"] == "the champion left; no interaction for 40 days"
    assert (tracked["Source"], tracked["Since"]) == ("judgement, automatic", "2026-03-02")
    assert (tracked["State"], tracked["Needs"], tracked["Actions"]) == ("silent", "an exec call", "AE asks")
    assert tracked["Status"] == "Red, at risk"
    state.end = "yellow"
    state.ended_at = red.resolved(POLICY, "yellow", "tim", "", customer(), CONCERNING, day(9)).at
    assert [red.row(customer(), team(), state)[name] for name in ("Status", "Resolved")] == ["Yellow", "2026-03-11"]


def test_a_score_as_of_an_earlier_day_is_shown_with_its_age() -> None:
    known = red.evidence(customer(), standing(MONDAY - timedelta(days=2), score=4.0), MONDAY)
    assert {fact.name: fact.as_of for fact in known}["health score"] == MONDAY - timedelta(days=2)
