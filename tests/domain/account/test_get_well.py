"""Get-well plans: what starts one, at every edge; what it asks, when, and what its document says."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account import get_well
from domain.account.account import Reason
from domain.account.commands import PlanText
from domain.account.get_well import GetWellState, PlanReview, PlanUpdate
from tests.domain.make import answer, day, quickly, task
from tests.domain.make_accounts import POLICY, customer, explained, figures, on, reasons, standing

FIELDS = {question.name: f"about {question.name}" for question in get_well.QUESTIONS}


def asks_for(share: float | None, tenure: int | None, *, before: bool = False, **changed: object) -> str:
    policy = figures(**changed)
    known = standing(day(0), mau_seats=share, was_at_target=before)
    since = None if tenure is None else on(-tenure)
    return explained(get_well.utilization(policy, since, known, day(0)), policy).outcome


@pytest.mark.parametrize(
    ("share", "tenure", "before", "outcome"),
    [
        (0.79, 44, False, "onboarding"),
        (0.79, 45, False, "low_utilization"),
        (0.80, 45, False, "at_target"),
        (0.79, 45, True, "decreased_usage"),
        (0.79, 10, True, "decreased_usage"),
        (0.0, 45, False, "low_utilization"),
        (0.80, 10, True, "at_target"),
        (None, 400, True, "unknown"),
        (0.5, None, False, "onboarding"),
        (0.5, -3, False, "onboarding"),
    ],
)
def test_c06_low_utilization_never_was_at_the_target_and_decreased_usage_was(
    share: float | None, tenure: int | None, before: bool, outcome: str
) -> None:
    assert asks_for(share, tenure, before=before) == outcome


def test_c06_without_a_standing_nothing_is_decided() -> None:
    assert explained(get_well.utilization(POLICY, on(-90), None, day(0))).outcome == "unknown"


@pytest.mark.parametrize(("days", "tenure", "outcome"), [(45, 50, "low_utilization"), (60, 50, "onboarding"), (60, 60, "low_utilization")])
def test_c05_the_tenure_of_low_utilization_is_a_figure(days: int, tenure: int, outcome: str) -> None:
    assert asks_for(0.5, tenure, get_well__low_utilization_tenure_days=days) == outcome


def test_the_target_is_a_figure() -> None:
    assert asks_for(0.6, 90, get_well__target_mau_seats=0.5) == "at_target"


@quickly
@given(share=st.floats(0, 1.5), tenure=st.integers(-10, 2000), before=st.booleans())
def test_a_plan_is_asked_for_below_the_target_only(share: float, tenure: int, before: bool) -> None:
    outcome = asks_for(share, tenure, before=before)
    assert (outcome == "at_target") == (share >= POLICY.get_well.target_mau_seats)
    assert outcome != "decreased_usage" or before
    assert outcome != "low_utilization" or (tenure >= POLICY.get_well.low_utilization_tenure_days and not before)


def test_a_plan_says_why_it_opens_and_ends() -> None:
    opened = explained(get_well.opened(POLICY, reasons("low_utilization", "red_account"), day(1)))
    assert opened.rule == "One plan for all reasons: low utilization; a red account."
    assert [fact.name for fact in opened.facts] == ["low utilization", "a red account"]
    ended = explained(get_well.ended(POLICY, "a red account (promoted to green)", day(2)))
    assert (ended.outcome, "promoted to green" in ended.rule) == ("ended", True)


def test_a_review_stands_on_the_last_update() -> None:
    state = GetWellState(
        updates=[PlanUpdate(at=day(7), by="tess@tenure.example", status="at_risk", progress="a training", next="two more")]
    )
    decision = explained(get_well.reviewed(POLICY, answer("escalate", note="the platform group is missing"), state, day(14)))
    assert (decision.outcome, decision.by, decision.facts[0].value) == ("escalate", "sam@tenure.example", "at_risk")
    assert explained(get_well.reviewed(POLICY, answer("continue"), GetWellState(), day(14))).facts[0].value is None


def test_the_six_questions_and_the_context_of_a_low_utilization() -> None:
    six = GetWellState(reasons=reasons("renewal"), fields=FIELDS)
    assert len(get_well.questions(six)) == 6
    assert get_well.unanswered(six) == ()
    low = GetWellState(reasons=reasons("renewal", "low_utilization"), fields=FIELDS)
    assert [question.name for question in get_well.unanswered(low)] == ["context"]
    assert all(question.required for question in get_well.questions(low))


def test_every_question_can_be_rewritten_by_the_update() -> None:
    names = {question.name for question in (*get_well.QUESTIONS, get_well.CONTEXT)}
    assert set(PlanText.model_fields) - {"by"} == names
    assert PlanText(by="x", drive="  two trainings ", help=" ").parts() == {"drive": "two trainings"}


@pytest.mark.parametrize(
    ("given", "open_ones"),
    [
        ((), ()),
        (("renewal",), ("Get Well Plan",)),
        (("red_account", "low_utilization"), ("Get Well Plan", "Low Utilization")),
        (("decreased_usage",), ("Get Well Plan", "Decreased Usage")),
        (("low_utilization", "decreased_usage"), ("Get Well Plan", "Low Utilization")),
    ],
)
def test_c06_one_project_of_the_utilization_is_open_at_a_time(given: tuple[Reason, ...], open_ones: tuple[str, ...]) -> None:
    assert get_well.projects(reasons(*given)) == open_ones


def kinds(state: GetWellState) -> list[tuple[str, int]]:
    return [(moment.kind, (moment.at - day(0)).days) for moment in get_well.agenda(POLICY, state)]


def test_the_review_of_a_week_waits_for_its_update() -> None:
    planned = GetWellState(planned_at=day(0), update_at=day(7), review_at=day(14))
    assert kinds(planned) == [("update", 7), ("review", 14)]
    assert kinds(GetWellState()) == []
    waiting = task("update")  # due on day 1
    late = GetWellState(update_at=day(21), review_at=day(0.5), tasks=[waiting])
    assert kinds(late) == [("review", 1), ("update", 21)]
    answered = GetWellState(update_at=day(21), review_at=day(0.5), tasks=[task("update", status="answered")])
    assert kinds(answered) == [("review", 0), ("update", 21)]
    both = GetWellState(update_at=day(14), review_at=day(14))
    assert kinds(both) == [("update", 14), ("review", 14)]


@quickly
@given(days=st.integers(1, 60), later=st.floats(0, 400))
def test_the_next_round_is_ahead_and_at_most_one_round_away(days: int, later: float) -> None:
    at = get_well.next_round(day(0), days, day(later))
    assert day(later) < at <= day(later + days) or later == 0
    assert (at - day(0)).total_seconds() % (days * 86_400) == 0


def test_the_document_shows_reasons_answers_and_the_newest_updates() -> None:
    updates = [PlanUpdate(at=day(7 * week), by="tess", status="on_track", progress=f"week {week}", next="more") for week in (1, 2, 3)]
    blocked = PlanUpdate(at=day(28), by="tess", status="off_track", progress="nothing", blockers="no access", next="ask the AE")
    state = GetWellState(
        reasons=reasons("low_utilization"),
        fields={"state": "nine of ten teams"},
        standing=standing(mau_seats=0.64),
        updates=[*updates, blocked],
        reviews=[PlanReview(at=day(14), by="tim", outcome="criteria_met", note="well done")],
    )
    lines = get_well.document(customer(), state, 2)
    assert lines[0] == "Acme: low utilization"
    assert lines[1] == "MAU/seats 64%; 100 seats; renewal on 2027-03-02"
    assert "The current state, and the relationship: nine of ten teams" in lines
    assert len([line for line in lines if line.endswith("not answered yet")]) == 6
    assert lines[-3:] == (
        "2026-03-30 off track (tess): nothing. Blocked: no access. Next: ask the AE",
        "2026-03-23 on track (tess): week 3. Next: more",
        "2026-03-16 review, criteria met (tim) well done",
    )
    assert "MAU/seats not known" in get_well.document(customer(contract_end=None), GetWellState(), 2)[1]


def test_every_reason_has_words() -> None:
    assert set(get_well.WORDS) == set(get_args(Reason))
    assert get_well.said({}) == "none"
