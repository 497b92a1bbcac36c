"""Every moment of an open trial: what happens when, by its origin, the policy's modes, an extension, and opting out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import Origin
from domain.policy import Policy
from domain.trial.agenda import agenda, automatic_deadline
from domain.trial.state import TrialState
from tests.domain.make import MONDAY, POLICY, day, quickly, started, with_figures

MAILS_TO_15 = [(2, "mail.connect_code_host"), (5, "mail.invite_team"), (10, "mail.learn"), (12, "mail.usage_check")]
MAILS_TO_30 = [*MAILS_TO_15, (20, "mail.community"), (27, "mail.next_steps")]


def plan(state: TrialState, origin: Origin = "self_serve", policy: Policy = POLICY) -> list[tuple[int, str]]:
    """(day, key) of every moment ahead."""
    return [((moment.at - MONDAY).days, moment.key) for moment in agenda(policy, origin, state)]


def what(key: str, state: TrialState, origin: Origin = "self_serve", policy: Policy = POLICY) -> str:
    [found] = [moment for moment in agenda(policy, origin, state) if moment.key == key]
    return found.what


def without_mails(moments: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(at, key) for at, key in moments if not key.startswith("mail.")]


def test_a_trial_that_has_not_started_has_nothing_ahead() -> None:
    assert agenda(POLICY, "self_serve", TrialState()) == []
    with pytest.raises(ValueError, match="has not started"):
        TrialState().deadline_in(3)


def test_a_self_serve_trial_to_day_15() -> None:
    assert plan(started()) == sorted([*MAILS_TO_15, (10, "warning"), (12, "ask.0"), (15, "due.0")])
    assert all(moment.kind == "mail" or moment.name == moment.kind for moment in agenda(POLICY, "self_serve", started()))


def test_a_trial_that_a_ce_asked_for_to_its_grace() -> None:
    assert plan(started(30), "ce_requested") == sorted([*MAILS_TO_30, (25, "warning"), (27, "ask.0"), (35, "grace.0")])


def test_day_15_is_automatic_for_self_serve_and_only_once() -> None:
    assert automatic_deadline("self_serve", started())
    assert not automatic_deadline("self_serve", started(30, period=1))
    assert not automatic_deadline("ce_requested", started(30))


def test_what_day_15_does_is_said_in_both_modes() -> None:
    """C02."""
    ask = with_figures(trial__d15__mode="ask")
    assert plan(started(), policy=ask) == plan(started())
    assert what("ask.0", started()) == "tell the CE what day 15 will do"
    assert what("due.0", started()) == "day 15: extend if active, terminate if not"
    assert what("ask.0", started(), policy=ask) == "ask the CE: extend, convert or terminate"
    assert what("due.0", started(), policy=ask) == "day 15: the CE's decision is due"


def test_the_grace_ends_as_the_policy_says() -> None:
    """C12."""
    extended = started(30, period=1)
    assert what("grace.1", extended) == "the grace ends: terminate if inactive"
    stays = with_figures(trial__deadline__inactive_after_grace="ask")
    assert what("grace.1", extended, policy=stays) == "the grace ends: stays with the manager"


@pytest.mark.parametrize(("ask_before", "grace", "ask_at", "grace_at"), [(3, 5, 27, 35), (7, 2, 23, 32)])
def test_a_later_deadline_is_asked_for_in_time_and_has_its_grace(ask_before: int, grace: int, ask_at: int, grace_at: int) -> None:
    """C12, at two values each."""
    policy = with_figures(trial__deadline__ask_days_before=ask_before, trial__deadline__grace_days=grace)
    assert without_mails(plan(started(30, period=1), policy=policy)) == [(ask_at, "ask.1"), (grace_at, "grace.1")]
    assert (grace_at, "grace.0") in plan(started(30), "ce_requested", policy)


def test_the_days_are_those_of_the_origin() -> None:
    """C03: other lengths move the moments of their origin and of no other."""
    policy = with_figures(trial__self_serve__warning_day=8, trial__self_serve__notice_day=9, trial__ce_requested__warning_day=20)
    assert without_mails(plan(started(), policy=policy)) == [(8, "warning"), (9, "ask.0"), (15, "due.0")]
    assert without_mails(plan(started(30), "ce_requested", policy)) == [(20, "warning"), (27, "ask.0"), (35, "grace.0")]


def test_an_extension_brings_a_deadline_of_its_own_and_the_mails_that_now_fit() -> None:
    done = [key for _, key in plan(started())]
    extended = started(30, period=1, done=done)
    assert plan(extended) == [(20, "mail.community"), (27, "ask.1"), (27, "mail.next_steps"), (35, "grace.1")]
    twice = started(60, period=2, done=[*done, *(key for _, key in plan(extended))])
    assert plan(twice) == [(57, "ask.2"), (65, "grace.2")]


def test_an_early_extension_takes_the_warning_and_day_15_away() -> None:
    assert plan(started(20, period=1)) == sorted([*MAILS_TO_15, (17, "ask.1"), (25, "grace.1")])


def test_who_opted_out_gets_no_mail_but_the_deadline_stands() -> None:
    assert plan(started(opted_out=True)) == [(10, "warning"), (12, "ask.0"), (15, "due.0")]


def test_mails_go_out_before_the_end_only() -> None:
    on_the_last_day = with_figures(onboarding__learn_day=15)
    assert "mail.learn" not in [key for _, key in plan(started(), policy=on_the_last_day)]
    day_before = with_figures(onboarding__learn_day=14)
    assert (14, "mail.learn") in plan(started(), policy=day_before)


@quickly
@given(
    origin=st.sampled_from(["self_serve", "ce_requested"]),
    total=st.integers(1, 120),
    period=st.integers(0, 4),
    opted_out=st.booleans(),
    done=st.sets(st.sampled_from(["mail.learn", "warning", "ask.0", "ask.1", "due.0", "grace.1"])),
)
def test_every_agenda_is_in_order_unique_and_ends_with_a_decision(
    origin: Any, total: int, period: int, opted_out: bool, done: set[str]
) -> None:
    state = started(total, period=period, opted_out=opted_out, done=sorted(done))
    moments = agenda(POLICY, origin, state)
    assert moments == sorted(moments, key=lambda moment: moment.at)
    keys = [moment.key for moment in moments]
    assert len(keys) == len(set(keys))
    assert not done & set(keys)
    assert all(moment.at < day(total) for moment in moments if moment.kind == "mail")
    assert all(moment.what for moment in moments)
    decision = "due.0" if origin == "self_serve" and period == 0 else f"grace.{period}"
    ends = [moment for moment in moments if moment.kind in ("due", "grace")]
    assert [moment.key for moment in ends] == ([] if decision in done else [decision])
    assert all(moment.at >= day(total) for moment in ends)
