"""A renewal's decisions (D25–D30, C08, C10, C13): its moments, its ratings, who enters and leaves Lighthouse, and every refusal."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import policy as policies
from domain.account.account import Customer, HealthSnapshot, PlanReviewed
from domain.calendar import is_open
from domain.markup import bold
from domain.policy import AccountPolicy
from domain.renewal import decisions as decide
from domain.renewal import documents as docs
from domain.renewal import refusals
from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal, ProjectOutcome
from domain.renewal.state import Assessment, Phase, Projection, RenewalState, SavePlan, agenda, falls_due
from domain.task import Answer
from tests.domain.make import MONDAY, day, quickly

POLICY = policies.default_accounts()
#: 120 days after the tests' Monday: the day of the assessment.
ON = MONDAY.date() + timedelta(days=120)
PLAN = SavePlan(
    by="ta@x.example", at=MONDAY, problem="few use it", criteria="MAU/seats at 60 %", steps="trainings", agreed_by="ae@x.example"
)


def with_figures(**figures: Any) -> AccountPolicy:
    tree = POLICY.model_dump()
    for name, value in figures.items():
        section, leaf = name.split("__")
        assert leaf in tree[section]
        tree[section][leaf] = value
    return AccountPolicy.model_validate(tree)


def state(**more: Any) -> RenewalState:
    return RenewalState.model_validate({"renewal_on": ON, **more})


def answer(choice: str, by: str = "a@x.example", **fields: Any) -> Answer:
    return Answer(task="it", choice=choice, by=by, fields=fields)


def assessment(at: datetime = MONDAY, **more: Any) -> Assessment:
    return Assessment.model_validate({"by": "ta@x.example", "at": at, "rating": "yellow", "risk": "old", **more})


# --- its moments ---------------------------------------------------------------------------------------------------------------------------


def test_each_moment_is_the_opening_of_the_office_on_its_day() -> None:
    found = {each.key: (ON - each.at.date()).days for each in agenda(POLICY, state())}
    assert found == {"early_review": 180, "assessment": 120, "value_engineering": 90, "processing": 14, "term_end": 0}
    assert {each.at.hour for each in agenda(POLICY, state())} == {POLICY.office.opens}


def test_an_extension_moves_what_is_to_be_processed_alone() -> None:
    longer = state(extension_days=20)
    assert longer.due_on == ON + timedelta(days=20)
    for key, shift in (("early_review", 0), ("assessment", 0), ("value_engineering", 0), ("processing", 20), ("term_end", 20)):
        assert falls_due(POLICY, longer, key).at - falls_due(POLICY, state(), key).at == timedelta(days=shift)  # type: ignore[arg-type]


@quickly
@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.sets(st.sampled_from(["early_review", "assessment", "processing"])))
def test_what_is_over_is_not_ahead_and_the_rest_is_in_order(on: date, done: set[str]) -> None:
    ahead = agenda(POLICY, state(renewal_on=on, done=sorted(done)))
    assert [each.at for each in ahead] == sorted(each.at for each in ahead)
    assert {each.key for each in ahead} | done == {"early_review", "assessment", "value_engineering", "processing", "term_end"}
    assert not {each.key for each in ahead} & done
    assert all(is_open(POLICY.office, each.at) or each.at.weekday() >= 5 for each in ahead)


def test_no_two_acts_of_a_renewal_share_a_key() -> None:
    s = state()
    assert [s.next("slack.moved"), s.next("slack.moved"), s.next("crm.moved")] == ["slack.moved.1", "slack.moved.2", "crm.moved.1"]


# --- rating ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("band", "outcome"), [("poor", "flagged"), ("concerning", "flagged"), ("healthy", "healthy"), ("unknown", "unknown"), (None, "unknown")]
)
def test_d25_who_is_flagged_early(band: str | None, outcome: str) -> None:
    standing = HealthSnapshot(as_of=MONDAY, score=4.0, band=band) if band else None
    decision = decide.early_review(POLICY, standing, MONDAY)
    assert (decision.outcome, decision.handbook, decision.policy) == (outcome, "D25, C10", POLICY.hash)
    assert decision.facts[0].value == (4.0 if band else None)


@pytest.mark.parametrize(("days", "kept"), [(59.9, True), (60, False), (61, False)])
def test_c10_how_long_an_early_assessment_is_fresh(days: float, kept: bool) -> None:
    early = assessment(day(0))
    assert decide.fresh(POLICY, early, day(days)) == (early if kept else None)
    assert decide.fresh(POLICY, None, day(days)) is None


@pytest.mark.parametrize(("ta", "ae", "outcome"), [("green", "green", "green"), ("red", "red", "red"), ("green", "yellow", "disagreement")])
def test_d26_two_managers_agree_or_one_person_settles_it(ta: str, ae: str, outcome: str) -> None:
    s = state(ta=assessment(), ae=assessment(rating="green", by="ae@x.example"))
    decision = decide.agreed(POLICY, s, answer(ta, "tm@x.example"), answer(ae, "am@x.example"), MONDAY)
    assert decision.outcome == outcome
    assert [(fact.name, fact.value) for fact in decision.facts[:4]] == [
        ("TA's rating", "yellow"),
        ("AE's rating", "green"),
        ("TA manager's rating", ta),
        ("AE manager's rating", ae),
    ]
    settled = decide.settled(POLICY, decision.facts, answer("red", "lead@x.example"), MONDAY)
    assert (settled.outcome, settled.by, settled.facts) == ("red", "lead@x.example", decision.facts)


# --- Lighthouse --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "inside"),
    [(("red", "yellow"), {"red", "yellow"}), (("red",), {"red"}), (("red", "yellow", "green"), {"red", "yellow", "green"})],
)
def test_c08_who_enters(members: tuple[str, ...], inside: set[str]) -> None:
    policy = with_figures(lighthouse__ratings=members)
    entered = {rating for rating in ("green", "yellow", "red") if decide.enters(policy, rating, MONDAY).outcome == "enters"}
    assert entered == inside


VOTES = (None, "leave_green", "leave_yellow", "stay")


@pytest.mark.parametrize("met", [True, False])
@pytest.mark.parametrize("sales", VOTES)
@pytest.mark.parametrize("ts", VOTES)
def test_4_6_the_one_way_out(met: bool, sales: str | None, ts: str | None) -> None:
    """The criteria are met, and both leaderships agree; of two colours the more careful one counts."""
    voted = {vote: answer(vote) for vote in ("leave_green", "leave_yellow", "stay")}
    review = PlanReviewed(criteria_met=met)
    outcome = decide.exits(POLICY, PLAN, review, voted.get(sales or ""), voted.get(ts or ""), MONDAY).outcome
    both = {sales, ts}
    if met and both == {"leave_green"}:
        assert outcome == "green"
    elif met and both <= {"leave_green", "leave_yellow"}:
        assert outcome == "yellow"
    else:
        assert outcome == "stays in"


# --- plan, forecast, processing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arr", "outcome"), [(0, "full_churn"), (1, "partial_churn"), (99, "partial_churn"), (100, "flat"), (101, "incremental")]
)
def test_d30_what_came_of_it(arr: int, outcome: str) -> None:
    decision = decide.came(POLICY, 100, arr, answer("renewed"), MONDAY)
    assert (decision.outcome, decision.rule) == (outcome, f"ARR $100 → ${arr}.")


@pytest.mark.parametrize(
    ("rating", "outcome", "odd"),
    [
        ("green", "flat", False),
        ("green", "incremental", False),
        ("green", "partial_churn", True),
        ("yellow", "flat", True),
        ("yellow", "partial_churn", False),
        ("red", "full_churn", False),
        ("red", "incremental", True),
        (None, "flat", False),
    ],
)
def test_c13_an_expectation_is_said_and_never_refused(rating: str | None, outcome: str, odd: bool) -> None:
    s = state(rating=rating, phase=Phase.FORECAST)
    decision = decide.projected(POLICY, s, "ae", outcome, "ae@x.example", MONDAY)  # type: ignore[arg-type]
    assert (decision.outcome, "C13" in decision.handbook) == (outcome, odd)
    message = ProjectOutcome.model_validate({"by": "ae@x.example", "outcome": outcome})
    assert refusals.refuse_forecast(POLICY, s, 100, message) is None


@pytest.mark.parametrize(("rating", "outcome"), [("green", "flat"), ("yellow", "partial_churn"), ("red", "full_churn"), (None, None)])
def test_what_the_rating_alone_would_say(rating: str | None, outcome: str | None) -> None:
    assert state(rating=rating).system_outcome == outcome


# --- another date ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "rated", "done", "later", "anew"),
    [
        (-100, None, [], 0.1, "early review"),  # nothing was found yet: the early review is ahead, before and after
        (-10, None, ["early_review"], 30, ""),  # under way, and by the new date it is still past the early review
        (-10, None, ["early_review"], 90, "early review"),
        (5, 1, ["assessment"], 60, ""),  # 59 days old at the new assessment's day
        (5, 1, ["assessment"], 62, "stale"),
        (5, 1, ["assessment"], -30, ""),
        (107, None, ["assessment"], 2, "never rated"),
        (107, None, ["assessment"], -1, ""),
    ],
)
def test_c10_when_all_begins_again(now: float, rated: int | None, done: list[str], later: float, anew: str) -> None:
    s = state(done=done, assessed_at=day(rated) if rated else None)
    why = decide.begins_anew(POLICY, s, ON + timedelta(days=later), day(now))
    assert anew in why
    assert bool(anew) is bool(why)
    message = MoveRenewal(by="ae@x.example", renewal_on=ON + timedelta(days=later), reason="budget")
    decision = decide.moved(POLICY, s, message, day(now))
    assert decision.outcome == ("begins anew" if why else "re-armed")
    assert "budget" in decision.rule


# --- refusals --------------------------------------------------------------------------------------------------------------------------------

BY = "ae@x.example"
OVER = [Phase.CLOSING, Phase.RENEWED, Phase.CHURNED, Phase.CANCELLED]


def forecast(**more: Any) -> ProjectOutcome:
    return ProjectOutcome.model_validate({"by": BY, "outcome": "flat", **more})


@pytest.mark.parametrize("phase", Phase)
def test_when_an_outcome_may_be_projected(phase: Phase) -> None:
    why = refusals.refuse_forecast(POLICY, state(phase=phase), 100, forecast())
    if phase in (Phase.PLAN, Phase.FORECAST, Phase.PROCESSING):
        assert why is None
    else:
        assert str(why).startswith("too late" if phase in OVER else "too early")


@pytest.mark.parametrize(
    ("outcome", "amount", "fits"),
    [
        ("full_churn", None, True),
        ("full_churn", 0, True),
        ("full_churn", 1, False),
        ("partial_churn", None, True),
        ("partial_churn", 0, False),
        ("partial_churn", 99, True),
        ("partial_churn", 100, False),
        ("flat", 100, True),
        ("flat", 99, False),
        ("incremental", 100, False),
        ("incremental", 101, True),
    ],
)
def test_an_amount_that_does_not_fit_its_outcome(outcome: str, amount: int | None, fits: bool) -> None:
    why = refusals.refuse_forecast(POLICY, state(phase=Phase.FORECAST), 100, forecast(outcome=outcome, amount=amount))
    assert (why is None) is fits
    assert fits or "leave the amount out or mend it" in str(why)


def test_c13_growth_in_the_plan_by_the_policy() -> None:
    s = state(phase=Phase.PLAN)
    assert "growth is not planned" in str(refusals.refuse_forecast(POLICY, s, 100, forecast(outcome="incremental")))
    assert refusals.refuse_forecast(POLICY, s, 100, forecast(outcome="incremental", **{"as": "ta"})) is None
    growing = with_figures(renewal__plan_may_be_incremental="yes")
    assert refusals.refuse_forecast(growing, s, 100, forecast(outcome="incremental")) is None


@pytest.mark.parametrize(
    ("given", "now", "rating", "why"),
    [
        ({"phase": "upcoming"}, -61, "red", "too early to rate: the renewal is looked at from"),
        ({"phase": "upcoming"}, -60, "red", None),
        ({"phase": "forecast"}, 30, "red", None),
        ({"phase": "processing"}, 110, "red", "too late to rate: the renewal is being processed"),
        ({"phase": "closing"}, 110, "red", "too late to rate: the renewal is being closed"),
        ({"phase": "forecast", "in_lighthouse": True}, 30, "green", "it is in Lighthouse, which it leaves only when"),
        ({"phase": "forecast", "in_lighthouse": True}, 30, "yellow", None),
    ],
)
def test_when_a_manager_may_rate(given: dict[str, Any], now: int, rating: str, why: str | None) -> None:
    message = AssessRenewal.model_validate({"by": BY, "rating": rating, "why": "layoffs"})
    found = refusals.refuse_assess(POLICY, state(**given), message, day(now))
    assert (found or "").startswith(why or "")
    assert (found is None) is (why is None)


def test_somebody_must_say_who_and_why() -> None:
    s = state(phase=Phase.FORECAST)
    assert "say who" in str(refusals.refuse_forecast(POLICY, s, 100, forecast(by=" ")))
    assert "say who" in str(refusals.refuse_assess(POLICY, s, AssessRenewal(by="", rating="red", why="x"), MONDAY))
    assert "say why" in str(refusals.refuse_assess(POLICY, s, AssessRenewal(by=BY, rating="red", why=""), MONDAY))
    assert "say who" in str(refusals.refuse_move(POLICY, s, MoveRenewal(by="", renewal_on=ON + timedelta(days=1)), MONDAY))


@pytest.mark.parametrize(("to", "why"), [(ON, "already"), (MONDAY.date() - timedelta(days=1), "is over"), (MONDAY.date(), None)])
def test_where_a_renewal_may_move(to: date, why: str | None) -> None:
    found = refusals.refuse_move(POLICY, state(), MoveRenewal(by=BY, renewal_on=to), MONDAY)
    assert (why or "") in (found or "")
    assert (found is None) is (why is None)


@pytest.mark.parametrize("phase", OVER)
def test_nothing_is_taken_once_it_is_over(phase: Phase) -> None:
    s = state(phase=phase)
    assert "too late" in str(refusals.refuse_cancel(s))
    assert "too late" in str(refusals.refuse_move(POLICY, s, MoveRenewal(by=BY, renewal_on=ON + timedelta(days=1)), MONDAY))
    cancelling = state(phase=Phase.FORECAST, cancel=CancelRenewal(why="merged"))
    assert "being cancelled (merged)" in str(refusals.refuse_cancel(cancelling))


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        ("assess_ae", answer("green", outcome="flat"), None),
        ("assess_ae", answer("green", outcome="incremental"), "growth is not planned"),
        ("assess_ae", answer("green", outcome="fine"), "'outcome' must be one of full_churn, partial_churn, flat, not 'fine'"),
        ("plan", answer("partial_churn", amount=99), None),
        ("plan", answer("partial_churn", amount="100"), "100 does not fit partial churn"),
        ("save_plan", answer("filled_in", criteria="MAU/seats at 60 %"), None),
        ("save_plan", answer("filled_in", criteria="they are happy"), "must be quantitative"),
        ("process", answer("renewed", seats=5, arr="$90"), None),
        ("process", answer("renewed", seats=5, arr=0), "a renewal brings some ARR"),
        ("process", answer("renewed", seats=5, arr=90, contract_end=ON.isoformat()), "is not after"),
        ("process", answer("renewed", seats=5, arr=90, contract_end=(ON + timedelta(days=1)).isoformat()), None),
        ("process", answer("extend", days=30), None),
        ("process", answer("extend", days="31"), "an extension may be of 30 days in all"),
        ("process", answer("churned", reason="gone"), None),
        ("review_ta", answer("green"), None),
    ],
)
def test_an_answer_whose_form_is_right_and_that_cannot_be_taken(kind: str, given: Answer, why: str | None) -> None:
    found = refusals.refuse_answer(POLICY, state(), 100, kind, given)
    assert (why or "") in (found or "")
    assert (found is None) is (why is None)


def test_an_extension_counts_those_before() -> None:
    s = state(extension_days=20)
    assert refusals.refuse_answer(POLICY, s, 100, "process", answer("extend", days=10)) is None
    assert "so 10 at most are left" in str(refusals.refuse_answer(POLICY, s, 100, "process", answer("extend", days=11)))
    decision = decide.extended(POLICY, s, 10, "desk@x.example", BY, MONDAY)
    assert (decision.outcome, decision.by) == (decide.Change.GRANTED, BY)
    assert decision.rule.startswith("10 days more until ")
    assert f"until {ON + timedelta(days=30)}, approved by desk@x.example" in decision.rule


# --- what is written ---------------------------------------------------------------------------------------------------------------------------


def test_the_assessment_and_the_save_plan_as_documents() -> None:
    customer = Customer(domain="acme.com", name="Acme", arr=120_000, seats=100, as_of=MONDAY)
    s = state(standing=HealthSnapshot(as_of=MONDAY, score=3.0, band="poor", reds=("mau_seats",)), rating="red")
    s.ta, s.ae = assessment(), assessment(by=BY, risk="a new buyer", champion=True, buyer_access=False, outcome="partial_churn")
    assert docs.assessment(customer, s, assessment(day(-50))) == (
        f"Renewal date: {ON}",
        "ARR: $120,000; seats: 100",
        "Health: 3.0 of 10, poor; poor: mau seats",
        "Early assessment of 2026-01-11 (pre-filled): yellow; risk: old; ta@x.example",
        "TA: yellow; risk: old; ta@x.example",
        "AE: yellow; risk: a new buyer; ae@x.example",
        "Champion: yes; access to the buyer: no",
        "Projected outcome: partial churn",
        "Agreed rating: red",
    )
    assert docs.assessment(customer, state(), None)[2:] == ("Health: not known", "Agreed rating: not yet")
    assert docs.save_plan(PLAN, "")[-1] == "Executive sponsor: to be named"


@pytest.mark.parametrize("phase", Phase)
def test_where_it_stands_in_words(phase: Phase) -> None:
    projection = Projection(by=BY, at=MONDAY, outcome="partial_churn", amount=90)
    s = state(phase=phase, rating="red", in_lighthouse=True, projection=projection)
    words = docs.in_words(POLICY, "Acme", s, [], ["ae: a plan"], day(121))
    assert words.startswith(f"{bold('Acme')}: the renewal of {ON}, 1 day ago is")
    assert "- rated red, in Lighthouse\n- the AE projects partial churn ($90), says ae@x.example on 2026-03-02" in words
    assert "{" not in words
