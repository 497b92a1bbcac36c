"""The life of an account: its stage at every edge, the onboarding goal's own clock, when a renewal begins, and the days that matter."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account import lifecycle
from domain.account.account import RenewalEnded
from domain.account.lifecycle import AccountState, Stage
from domain.calendar import day_of
from domain.people import Role
from tests.domain.make import day, quickly
from tests.domain.make_accounts import POLICY, customer, explained, figures, on, standing

AT_TARGET = {"usage_score": 0.30, "mau_seats": 0.80}
BELOW = {"usage_score": 0.29, "mau_seats": 0.79}
RENEWAL = "renewal-acme.example-2027-03-02"


def stage_on(days: float, state: AccountState | None = None, known: dict[str, Any] | None = None, **changed: Any) -> str:
    """The stage so many days after the contract began."""
    policy = figures(**changed)
    return explained(lifecycle.stage(policy, customer(**(known or {})), state or lived(), day(days)), policy).outcome


def lived(**more: Any) -> AccountState:
    """An account that began on :data:`MONDAY`."""
    use = more.pop("use", None)
    how = standing(day(-100), **use) if use is not None else None
    return AccountState.model_validate({"since": on(0), "standing": how, **more})


@pytest.mark.parametrize(
    ("days", "stage"),
    [
        (-45, "prospect"),
        (-1, "prospect"),
        (0, "onboarding"),
        (59, "onboarding"),
        (60, "adopting"),
        (244, "adopting"),
        (245, "renewing"),
        (400, "renewing"),
    ],
)
def test_d8_the_stages_by_their_dates(days: int, stage: str) -> None:
    """Prospect until the contract begins, 60 days of onboarding, renewing from 120 days ahead of its end (365 days)."""
    assert stage_on(days, lived(use=BELOW)) == stage


@pytest.mark.parametrize(
    ("use", "stage"),
    [
        (AT_TARGET, "nurturing"),
        ({"usage_score": 0.29, "mau_seats": 0.8}, "adopting"),
        ({"usage_score": 0.3, "mau_seats": 0.79}, "adopting"),
        ({"usage_score": None, "mau_seats": 0.9}, "adopting"),
        ({}, "adopting"),
    ],
)
def test_d8_nurturing_needs_both_targets(use: dict[str, Any], stage: str) -> None:
    assert stage_on(100, lived(use=use)) == stage


@pytest.mark.parametrize(("mode", "stage"), [("stay", "nurturing"), ("adopting", "adopting")])
def test_d8_below_the_targets_in_nurturing_is_a_choice(mode: str, stage: str) -> None:
    nurturing = lived(use=BELOW, stage=Stage.NURTURING, rests_in="nurturing")
    assert stage_on(100, nurturing, lifecycle__below_targets=mode) == stage


def test_d8_an_unknown_moves_nobody() -> None:
    assert stage_on(100, lived(stage=Stage.NURTURING, rests_in="nurturing")) == "nurturing"
    assert stage_on(100, lived(stage=Stage.RENEWING, rests_in="nurturing")) == "nurturing"
    assert stage_on(100, lived(stage=Stage.ADOPTING)) == "adopting"


@pytest.mark.parametrize(("use", "stage"), [(AT_TARGET, "nurturing"), (BELOW, "adopting")])
def test_d8_after_a_renewal_the_targets_decide(use: dict[str, Any], stage: str) -> None:
    renewed = lived(use=use, stage=Stage.RENEWING, rests_in="nurturing", settled=[on(365)], next_end=on(730))
    assert stage_on(360, renewed) == stage
    assert stage_on(610, renewed) == "renewing"


def test_d8_renewing_pre_empts_onboarding() -> None:
    assert stage_on(10, lived(), {"contract_end": on(90)}) == "renewing"


@pytest.mark.parametrize("known", [{"status": "churned"}, {"status": "merged", "merged_into": "bigger.example"}])
def test_d8_who_is_no_customer_is_closed(known: dict[str, Any]) -> None:
    assert stage_on(250, lived(), known) == "closed"


def test_d8_full_churn_closes() -> None:
    assert stage_on(250, lived(lost=True)) == "closed"


def test_d8_without_dates_it_is_a_prospect_and_without_an_end_it_never_renews() -> None:
    assert stage_on(0, AccountState(), {"contract_start": None, "contract_end": None}) == "prospect"
    assert stage_on(2_000, lived(use=AT_TARGET), {"contract_end": None}) == "nurturing"


@pytest.mark.parametrize(("days", "stage"), [(45, "adopting"), (60, "onboarding"), (90, "onboarding")])
def test_c05_the_onboarding_phase_has_its_own_clock(days: int, stage: str) -> None:
    assert stage_on(50, lived(use=BELOW), lifecycle__onboarding_days=days) == stage


def goal_on(days: int, share: float | None, deployed: int | None = 0, **changed: Any) -> str | None:
    policy = figures(**changed)
    known = customer(deployed_on=None if deployed is None else on(deployed))
    decision = lifecycle.goal(policy, known, lived(use={"mau_seats": share}), day(days))
    return explained(decision, policy).outcome if decision else None


@pytest.mark.parametrize(
    ("days", "share", "deployed", "outcome"),
    [
        (44, 0.79, 0, None),
        (45, 0.79, 0, "missed"),
        (3, 0.80, 0, "hit"),
        (45, 0.80, 0, "hit"),
        (45, None, 0, None),
        (200, 0.9, None, None),
        (60, 0.5, 20, None),
        (65, 0.5, 20, "missed"),
    ],
)
def test_c05_the_goal_is_counted_from_the_implementation(days: int, share: float | None, deployed: int | None, outcome: str | None) -> None:
    assert goal_on(days, share, deployed) == outcome


@pytest.mark.parametrize(("figure", "outcome"), [(45, "missed"), (60, None)])
def test_c05_the_goals_days_are_a_figure(figure: int, outcome: str | None) -> None:
    assert goal_on(50, 0.5, lifecycle__goal_after_implementation_days=figure) == outcome
    assert goal_on(50, 0.5, lifecycle__goal_after_implementation_days=figure, lifecycle__goal_mau_seats=0.5) == "hit"


def renewal_on(days: int, state: AccountState | None = None, **known: Any) -> str:
    return explained(lifecycle.renewal(POLICY, customer(**known), state or lived(), day(days))).outcome


def test_d25_the_renewal_begins_180_days_ahead_and_once() -> None:
    assert [renewal_on(days) for days in (184, 185, 300, 365, 500)] == ["wait", "start", "start", "start", "start"]
    running = lived(renewal=RENEWAL, renewal_on=on(365))
    assert renewal_on(300, running) == "open"
    assert renewal_on(300, lived(settled=[on(365)], next_end=on(730))) == "wait"
    assert renewal_on(300, lived(settled=[on(365)])) == "none"
    assert renewal_on(300, status="churned") == "none"
    assert renewal_on(300, contract_end=None) == "none"
    assert renewal_on(300, lived(lost=True)) == "none"


def test_d25_the_next_term_has_a_renewal_of_its_own_while_the_last_one_is_still_open() -> None:
    late = lived(renewal=RENEWAL, renewal_on=on(365), settled=[on(365)])
    assert renewal_on(540, late, contract_end=on(730)) == "wait"
    assert renewal_on(550, late, contract_end=on(730)) == "start"


@pytest.mark.parametrize(("to", "outcome"), [(365, None), (366, "moved"), (300, "moved"), (729, "moved"), (730, "next"), (1_095, "next")])
def test_gap_9_a_date_a_whole_term_later_is_the_next_terms(to: int, outcome: str | None) -> None:
    decision = lifecycle.moved(POLICY, customer(contract_end=on(to)), lived(term_end=on(365)), day(200))
    assert (explained(decision).outcome if decision else None) == outcome


def test_gap_9_the_first_date_and_the_one_after_a_renewal_are_no_moves() -> None:
    assert lifecycle.moved(POLICY, customer(), lived(), day(0)) is None
    assert lifecycle.moved(POLICY, customer(contract_end=on(700)), lived(term_end=on(365), settled=[on(365)]), day(0)) is None
    assert lifecycle.moved(POLICY, customer(contract_end=None), lived(term_end=on(365)), day(0)) is None


def ended(**more: Any) -> RenewalEnded:
    return RenewalEnded.model_validate({"workflow": RENEWAL, "outcome": "flat", "contract_end": on(730), **more})


def test_a_renewal_that_ended_is_never_renewed_again_and_the_crm_may_be_late() -> None:
    state = lived(renewal=RENEWAL, renewal_on=on(365), term_end=on(365))
    lifecycle.settle(state, ended())
    assert (state.renewal, state.settled, state.next_end, state.lost) == ("", [on(365)], on(730), False)
    assert lifecycle.term_end(customer(), state) == on(730)
    assert lifecycle.term_end(customer(contract_end=on(730)), state) == on(730)
    assert lifecycle.term_end(customer(contract_end=on(800)), state) == on(800)


def test_a_renewal_that_moved_settles_both_dates() -> None:
    state = lived(renewal=RENEWAL, renewal_on=on(395), term_end=on(395))
    lifecycle.settle(state, ended())
    assert state.settled == [on(365), on(395)]


def test_a_renewal_that_somebody_began_by_hand_settles_its_term() -> None:
    state = lived(term_end=on(365))
    lifecycle.settle(state, ended())
    assert (state.settled, state.next_end) == ([on(365)], on(730))


def test_another_renewals_end_leaves_the_open_one_alone() -> None:
    state = lived(renewal="renewal-acme.example-2028-03-01", renewal_on=on(730), term_end=on(730))
    lifecycle.settle(state, ended(contract_end=None))
    assert (state.renewal, state.renewal_on, state.settled) == ("renewal-acme.example-2028-03-01", on(730), [on(365)])


def test_an_odd_id_settles_what_is_known() -> None:
    state = lived(renewal="by-hand", renewal_on=on(365), term_end=on(365))
    lifecycle.settle(state, ended(workflow="by-hand"))
    assert (state.renewal, state.settled) == ("", [on(365)])


@pytest.mark.parametrize(
    ("more", "lost"), [({"outcome": "full_churn"}, True), ({"outcome": "full_churn", "cancelled": "merged"}, False), ({}, False)]
)
def test_full_churn_loses_the_account_and_a_cancelled_renewal_does_not(more: dict[str, Any], lost: bool) -> None:
    state = lived(renewal=RENEWAL, renewal_on=on(365), term_end=on(365))
    lifecycle.settle(state, ended(contract_end=None, **more))
    assert (state.lost, state.settled) == (lost, [on(365)])


def plan(state: AccountState, **known: Any) -> list[tuple[int, str]]:
    return [((day_of(POLICY.office, moment.at) - on(0)).days, moment.what) for moment in lifecycle.agenda(POLICY, customer(**known), state)]


YEAR = [
    (0, "the contract begins"),
    (45, "is the utilization low?"),
    (60, "the onboarding phase ends"),
    (61, "not deployed in time: red"),
    (185, "the renewal begins"),
    (245, "the stage becomes renewing"),
]


def test_the_days_of_a_year() -> None:
    assert plan(lived()) == YEAR
    assert plan(lived(), deployed_on=on(20), last_activity_on=on(30)) == [
        *YEAR[:3],
        (65, "is the onboarding goal reached?"),
        (70, "no interaction for so long: red"),
        *YEAR[4:],
    ]
    assert plan(lived(), deployed_on=on(0))[1] == (45, "is the utilization low?; is the onboarding goal reached?")
    assert (65, "is the onboarding goal reached?") not in plan(lived(goal="hit"), deployed_on=on(20))


def test_only_what_lies_ahead_of_the_last_look_wakes_it() -> None:
    opening = datetime(2026, 3, 2, POLICY.office.opens, tzinfo=UTC)
    assert plan(lived(seen_at=opening)) == YEAR[1:]
    assert plan(lived(seen_at=opening - timedelta(minutes=1))) == YEAR
    assert plan(lived(seen_at=day(300))) == []


@pytest.mark.parametrize("zone", ["Etc/GMT", "America/Los_Angeles", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_a_day_has_begun_when_its_moment_comes_in_every_time_zone(zone: str) -> None:
    """Else a moment would pass, and what it was for would never be decided."""
    policy = figures(office__timezone=zone)
    state = lived(use=BELOW)
    for moment in lifecycle.agenda(policy, customer(), state):
        if moment.what == "the onboarding phase ends":
            assert lifecycle.stage(policy, customer(), state, moment.at).outcome == "adopting"
            assert lifecycle.stage(policy, customer(), state, moment.at - timedelta(hours=8)).outcome == "onboarding"
        if moment.what == "the renewal begins":
            assert lifecycle.renewal(policy, customer(), state, moment.at).outcome == "start"


@quickly
@given(
    days=st.integers(-60, 900),
    length=st.integers(30, 900),
    share=st.one_of(st.none(), st.floats(0, 1.2)),
    use=st.one_of(st.none(), st.floats(0, 1)),
)
def test_between_two_days_of_the_agenda_nothing_changes_by_itself(days: int, length: int, share: float | None, use: float | None) -> None:
    """Property: whoever looks on the agenda's days only sees every change of the stage and every beginning of a renewal."""
    state = lived(use={"mau_seats": share, "usage_score": use}, seen_at=day(days))
    known = customer(contract_end=on(length))
    ahead = lifecycle.agenda(POLICY, known, state)
    until = ahead[0].at - timedelta(seconds=1) if ahead else day(2_000)
    for decide in (lifecycle.stage, lifecycle.renewal):
        assert (
            decide(POLICY, known, state, day(days)).outcome == decide(POLICY, known, state, max(midnight_before(until), day(days))).outcome
        )


def midnight_before(at: datetime) -> datetime:
    """The last moment of the day before: a day's decision may be taken from midnight on, its moment comes when the office opens."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("stage", "role"), [(Stage.PROSPECT, Role.CE), (Stage.ONBOARDING, Role.TA), (Stage.RENEWING, Role.TA), (None, Role.TA)]
)
def test_c19_the_ta_owns_what_is_sold(stage: Stage | None, role: Role) -> None:
    assert lifecycle.owner(stage) is role


def test_every_stage_has_a_name_in_vitally() -> None:
    assert set(lifecycle.SHOWN) == set(Stage)
    assert len(set(lifecycle.SHOWN.values())) == len(Stage)


def test_the_facts_have_their_ages() -> None:
    facts = {fact.name: fact for fact in lifecycle.stage(POLICY, customer(), lived(use=BELOW), day(100)).facts}
    assert facts["renewal date"].value == date(2027, 3, 2).isoformat()
    assert (facts["MAU/seats"].value, facts["MAU/seats"].as_of) == (0.79, day(-100))
