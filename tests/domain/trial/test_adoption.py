"""What another policy would change for an open trial: figures, moments, refusals, and the decision that says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policy import Policy
from domain.trial import adoption, decisions
from domain.trial.agenda import agenda
from domain.trial.state import Stage, TrialState, Verdict
from tests.domain.make import POLICY, day, facts, quickly, started, with_figures


def moved(other: Policy, state: TrialState, now: float = 1) -> list[tuple[str, str, int | None, int | None]]:
    """(what, change, the day it was on, the day it will be on)."""
    found = adoption.moves(POLICY, other, "self_serve", state, day(now))
    return [(m.what, m.change, (m.was - day(0)).days if m.was else None, (m.will - day(0)).days if m.will else None) for m in found]


def test_the_figures_that_differ_are_named_by_their_path() -> None:
    other = with_figures(trial__d15__mode="ask", onboarding__learn_day=9)
    found = {each.path: (each.was, each.will) for each in adoption.differences(POLICY, other)}
    assert found == {"trial.d15.mode": ("automatic", "ask"), "onboarding.learn_day": (10, 9)}
    assert adoption.differences(POLICY, POLICY) == []


def test_a_moment_moves_and_one_that_is_past_by_then_comes_at_once() -> None:
    other = with_figures(onboarding__learn_day=9, onboarding__invite_team_day=7)
    learn, invite = "mail: e-mail set-up and where to learn more", "mail: sign-in by SSO and inviting the team"
    assert moved(other, started()) == [(invite, "moved", 5, 7), (learn, "moved", 10, 9)]
    assert moved(other, started(), now=9.5) == [(invite, "at once", 5, 7), (learn, "at once", 10, 9)]
    assert moved(other, started(done=["mail.learn", "mail.invite_team"]), now=9.5) == []  # what was done is not done again


def test_a_mail_may_drop_behind_the_end_and_come_back() -> None:
    late = with_figures(onboarding__usage_check_day=16)
    assert moved(late, started()) == [("mail: how is it going (only after usage)", "dropped", 12, None)]
    back = adoption.moves(late, POLICY, "self_serve", started(), day(1))
    assert [(m.change, m.will) for m in back] == [("new", day(12))]


def test_the_same_moment_may_mean_something_else() -> None:
    [ask, due] = moved(with_figures(trial__d15__mode="ask"), started())
    assert ask == ("ask the CE: extend, convert or terminate (was: tell the CE what day 15 will do)", "means", 12, 12)
    assert due == ("day 15: the CE's decision is due (was: day 15: extend if active, terminate if not)", "means", 15, 15)


def test_the_promised_end_stays() -> None:
    assert moved(with_figures(trial__self_serve__base_days=20), started()) == []


@pytest.mark.parametrize("stage", [Stage.TRIAGE, Stage.PROVISIONING, Stage.WAITLISTED])
def test_before_the_start_nothing_has_a_time_yet(stage: Stage) -> None:
    assert moved(with_figures(onboarding__learn_day=9), started(stage=stage)) == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"end": "terminated"}, "is over"),
        ({"stage": Stage.TEARDOWN}, "being ended"),
        ({"stage": Stage.CONVERTING}, "being ended"),
        ({"stage": Stage.DECIDING}, "being decided at this moment"),
        (
            {"verdict": Verdict(decision=decisions.by_person(POLICY, decisions.Course.EXTEND, "ce@x.example", "", day(1), None))},
            "being ended",
        ),
    ],
)
def test_what_cannot_adopt(more: dict[str, Any], why: str) -> None:
    assert why in (adoption.refuse(POLICY, with_figures(trial__d15__mode="ask"), started(**more)) or "")


def test_the_same_policy_is_no_other_one() -> None:
    assert adoption.refuse(POLICY, POLICY, started()) == "the trial has this policy already"
    assert adoption.refuse(POLICY, with_figures(trial__d15__mode="ask"), started()) is None


def test_the_decision_names_every_figure_and_every_moment() -> None:
    other = with_figures(onboarding__learn_day=9)
    moved, why = adoption.moves(POLICY, other, "self_serve", started(), day(1)), "they read it too late"
    made = adoption.adopted(other, POLICY, "ops@tenure.example", why, moved, day(1))
    assert (made.what, made.outcome, made.by, made.policy) == ("policy", "adopted", "ops@tenure.example", other.hash)
    assert made.rule.endswith("they read it too late")
    assert facts(made) == {
        "policy before": POLICY.hash,
        "onboarding.learn_day": "10 → 9",
        "mail: e-mail set-up and where to learn more": "moved: 2026-03-12 09:00 UTC → 2026-03-11 09:00 UTC",
    }


@quickly
@given(st.integers(0, 40), st.integers(0, 40), st.floats(0, 14))
def test_what_moves_is_what_the_two_agendas_disagree_on(learn: int, invite: int, now: float) -> None:
    other = with_figures(onboarding__learn_day=learn, onboarding__invite_team_day=invite)
    ours = {(moment.what, moment.at) for moment in agenda(POLICY, "self_serve", started())}
    theirs = {(moment.what, moment.at) for moment in agenda(other, "self_serve", started())}
    found = adoption.moves(POLICY, other, "self_serve", started(), day(now))
    assert {(move.what, move.was) for move in found if move.was} | {(move.what, move.will) for move in found if move.will} == ours ^ theirs
