"""The health score: the handbook's limits at their edges, the sum, what is not known, what changed and why, and what to do."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account import red, red_marks
from domain.account.account import HealthSnapshot
from domain.account.lifecycle import AccountState
from domain.account.red import RedState
from domain.health.guidance import explain, guidance
from domain.health.score import kept, score, traits_of
from domain.health.types import CATEGORIES, NAMES, SOURCES, Band, Level, Score, TraitName, Traits
from domain.policy import AccountPolicy
from tests.domain.make import MONDAY, day
from tests.domain.make_accounts import customer
from tests.domain.make_health import (
    FROM_BAD_TO_GOOD,
    POLICY,
    SHIPPED,
    TRAITS,
    VALUES,
    any_policy,
    any_traits,
    any_weights,
    by_hand,
    category,
    figures,
    known_values,
    often,
    traits,
    weighing,
)

#: One account that has something of everything.
MIXED: dict[str, Any] = {
    "pulse": "Healthy",
    "versions_behind": 1,
    "precise_intel": True,
    "defect_tickets": 3,
    "help_tickets": 15,
    "champion": True,
    "buyer_access": False,
    "last_activity": 20,
    "usage_score": 0.31,
    "mau_seats": 0.6,
}


def standing(found: Score) -> HealthSnapshot:
    """What the account's processes are told of a score."""
    return HealthSnapshot(as_of=found.at, score=found.total, band=found.band)


def level(found: Score, trait: TraitName) -> Level:
    [one] = [each.level for each in found.contributions if each.trait == trait]
    return one


def changes(before: dict[str, Any], after: dict[str, Any], policy: AccountPolicy = POLICY) -> dict[TraitName, str]:
    """Why each trait's part of the total changed, under that policy after the default one."""
    return {each.trait: each.why for each in score(policy, traits(**after), score(POLICY, traits(**before))).deltas}


# --- the handbook's limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trait", "value", "expected"),
    [
        ("pulse", "Healthy", "green"),
        ("pulse", "Concerning", "yellow"),
        ("pulse", "Poor", "red"),
        ("versions_behind", 0, "green"),
        ("versions_behind", 1, "green"),
        ("versions_behind", 2, "yellow"),
        ("versions_behind", 3, "yellow"),
        ("versions_behind", 4, "red"),
        ("precise_intel", True, "green"),
        ("precise_intel", False, "red"),
        ("defect_tickets", 0, "green"),
        ("defect_tickets", 1, "green"),
        ("defect_tickets", 2, "yellow"),
        ("defect_tickets", 4, "yellow"),
        ("defect_tickets", 5, "red"),
        ("help_tickets", 0, "green"),
        ("help_tickets", 9, "green"),
        ("help_tickets", 10, "yellow"),
        ("help_tickets", 14, "yellow"),
        ("help_tickets", 15, "red"),
        ("champion", True, "green"),
        ("champion", False, "red"),
        ("buyer_access", True, "green"),
        ("buyer_access", False, "red"),
        ("last_activity", 0, "green"),
        ("last_activity", 14, "green"),
        ("last_activity", 15, "yellow"),
        ("last_activity", 29, "yellow"),
        ("last_activity", 30, "red"),
        ("usage_score", 0.0, "red"),
        ("usage_score", 0.20, "red"),
        ("usage_score", math.nextafter(0.20, 1), "yellow"),
        ("usage_score", math.nextafter(0.30, 0), "yellow"),
        ("usage_score", 0.30, "green"),
        ("usage_score", 1.0, "green"),
        ("mau_seats", 0.0, "red"),
        ("mau_seats", math.nextafter(0.50, 0), "red"),
        ("mau_seats", 0.50, "yellow"),
        ("mau_seats", math.nextafter(0.80, 0), "yellow"),
        ("mau_seats", 0.80, "green"),
        ("mau_seats", 1.2, "green"),
    ],
)
def test_the_published_limits_at_their_edges(trait: TraitName, value: Any, expected: Level) -> None:
    """4.3, D12, D22."""
    found = score(POLICY, traits(**{trait: value}))
    assert [(each.trait, each.level, each.value) for each in found.contributions] == [(trait, expected, value)]
    assert found.total == {"green": 10, "yellow": 5, "red": 0}[expected]


@pytest.mark.parametrize(("part", "whole"), [(3, 10), (42, 140), (300, 1000), (1, 5), (7, 35), (4, 5), (400, 500), (1, 2), (4999, 9998)])
def test_a_share_that_is_the_limit_is_read_as_the_limit(part: int, whole: int) -> None:
    """A quotient of counts lands on the very float of the limit."""
    shares = {3 / 10: ("green", "red"), 1 / 5: ("red", "red"), 4 / 5: ("green", "green"), 1 / 2: ("green", "yellow")}
    found = score(POLICY, traits(usage_score=part / whole, mau_seats=part / whole))
    assert (level(found, "usage_score"), level(found, "mau_seats")) == shares[part / whole]


@pytest.mark.parametrize(
    ("changed", "trait", "value", "usual", "then"),
    [
        ({"traits__versions_behind_healthy_at_most": 2}, "versions_behind", 2, "yellow", "green"),
        ({"traits__versions_behind_poor_at_least": 3}, "versions_behind", 3, "yellow", "red"),
        ({"traits__defect_tickets_healthy_below": 3}, "defect_tickets", 2, "yellow", "green"),
        ({"traits__defect_tickets_poor_at_least": 4}, "defect_tickets", 4, "yellow", "red"),
        ({"traits__help_tickets_healthy_below": 11}, "help_tickets", 10, "yellow", "green"),
        ({"traits__help_tickets_poor_at_least": 14}, "help_tickets", 14, "yellow", "red"),
        ({"traits__last_activity_healthy_at_most_days": 15}, "last_activity", 15, "yellow", "green"),
        ({"traits__last_activity_poor_at_least_days": 29}, "last_activity", 29, "yellow", "red"),
        ({"traits__usage_score_healthy_at_least": 0.25}, "usage_score", 0.25, "yellow", "green"),
        ({"traits__usage_score_poor_at_most": 0.25}, "usage_score", 0.25, "yellow", "red"),
        ({"traits__mau_seats_healthy_at_least": 0.60}, "mau_seats", 0.60, "yellow", "green"),
        ({"traits__mau_seats_poor_below": 0.70}, "mau_seats", 0.60, "yellow", "red"),
    ],
)
def test_every_limit_is_the_policys(changed: dict[str, Any], trait: TraitName, value: Any, usual: Level, then: Level) -> None:
    known = traits(**{trait: value})
    assert level(score(POLICY, known), trait) == usual
    assert level(score(figures(**changed), known), trait) == then


@pytest.mark.parametrize(
    ("at", "on", "days"),
    [
        (datetime(2026, 3, 16, 23, 59, tzinfo=UTC), date(2026, 3, 2), 14),
        (datetime(2026, 3, 17, 0, 0, tzinfo=UTC), date(2026, 3, 2), 15),
        (datetime(2026, 3, 17, 1, 0, tzinfo=timezone(timedelta(hours=2))), date(2026, 3, 2), 14),
        (datetime(2026, 3, 1, 12, 0, tzinfo=UTC), date(2026, 1, 30), 30),
        (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), date(2026, 3, 9), 0),
    ],
)
def test_the_last_activity_is_aged_in_whole_days_of_utc(at: datetime, on: date, days: int) -> None:
    """A meeting that the CRM has for next week is of today: somebody is in touch."""
    [found] = score(POLICY, Traits(at=at, last_activity_on=on)).contributions
    assert (found.trait, found.value) == ("last_activity", days)


# --- the sum -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "total"),
    [
        (POLICY, 0.05 * 10 + 0.05 * 6.25 + 0.15 * 5 + 0.75 * 7.5),
        (weighing(5, 15, 25, 55), 0.05 * 10 + 0.15 * 6.25 + 0.25 * 5 + 0.55 * 7.5),
    ],
)
def test_the_total_is_the_weighted_mean_of_the_categories_means(policy: AccountPolicy, total: float) -> None:
    """C29, both values."""
    found = score(policy, traits(**MIXED))
    weights = policy.health.weights
    assert category(found, "pulse") == (10, weights.pulse)
    assert category(found, "technical") == (6.25, weights.technical)
    assert category(found, "relationship") == (5, weights.relationship)
    assert category(found, "utilization") == (7.5, weights.utilization)
    assert found.total == pytest.approx(total, abs=1e-9)
    assert found.missing == ()
    assert found.band == "concerning"
    assert (found.at, found.policy) == (MONDAY, policy.hash)


@pytest.mark.parametrize("weights", sorted(set(itertools.permutations((5, 5, 15, 75)))))
def test_any_order_of_the_weights_weighs_its_own_categories(weights: tuple[float, float, float, float]) -> None:
    found = score(weighing(*weights), traits(**MIXED))
    means = (10, 6.25, 5, 7.5)
    assert found.total == pytest.approx(sum(w * m for w, m in zip(weights, means, strict=True)) / 100, abs=1e-9)
    assert [each.weight for each in found.categories] == list(weights)


@often
@given(any_policy(), any_traits)
def test_the_total_is_the_sum_done_by_hand(policy: AccountPolicy, known: Traits) -> None:
    found = score(policy, known)
    expected = by_hand(policy, found)
    if expected is None or found.total is None:
        assert (found.total, found.band, expected) == (None, "unknown", None)
        assert [each.adds for each in found.contributions] == [0.0] * len(found.contributions)
        assert [each.weight for each in found.categories] == [0.0] * 4
        return
    assert 0 <= found.total <= 10
    assert abs(found.total - expected) < 1e-9
    assert abs(sum(each.adds for each in found.contributions) - found.total) < 1e-9
    assert abs(sum(each.weight for each in found.categories) - 100) < 1e-9
    assert found.band == ("poor" if expected <= 5 else "healthy" if expected >= 8 else "concerning")


@often
@given(any_weights, st.sets(st.sampled_from(["pulse", "versions_behind", "defect_tickets", "last_activity", "usage_score", "mau_seats"])))
def test_all_yellow_is_five_whatever_the_weights_so_that_it_is_poor(weights: list[float], known: set[TraitName]) -> None:
    """The limit of a band is met exactly: floats that add to 5.000000000000001 would read as concerning."""
    yellow = {
        "pulse": "Concerning",
        "versions_behind": 2,
        "defect_tickets": 3,
        "last_activity": 20,
        "usage_score": 0.25,
        "mau_seats": 0.6,
    }
    found = score(weighing(*weights), traits(**{name: yellow[name] for name in known}))
    assert (found.total, found.band) in ((5.0, "poor"), (None, "unknown"))
    assert (found.total is None) == (not any(each.weight for each in found.categories))


@pytest.mark.parametrize(
    ("poor", "healthy", "band"),
    [(5.0, 8.0, "concerning"), (7.5, 8.0, "poor"), (5.0, 7.5, "healthy"), (7.4, 7.6, "concerning")],
)
def test_the_bands_hold_their_limits(poor: float, healthy: float, band: Band) -> None:
    """Poor up to and with the one, healthy from the other on: here at 7.5 points."""
    found = score(figures(poor_at_most=poor, healthy_at_least=healthy), traits(usage_score=0.3, mau_seats=0.5))
    assert (found.total, found.band) == (7.5, band)


@often
@given(any_policy(), known_values, st.data())
def test_a_better_trait_never_lowers_the_total(policy: AccountPolicy, known: dict[str, Any], data: st.DataObject) -> None:
    trait = data.draw(st.sampled_from(TRAITS))
    rank = FROM_BAD_TO_GOOD[trait].index if trait not in ("usage_score", "mau_seats") else float
    worse, better = sorted((data.draw(VALUES[trait]), data.draw(VALUES[trait])), key=rank)
    low, high = (score(policy, traits(**{**known, trait: value})) for value in (worse, better))
    assert low.missing == high.missing
    if low.total is not None and high.total is not None:
        assert low.total <= high.total
    assert [low.total, high.total].count(None) in (0, 2)


# --- what is not known ---------------------------------------------------------------------------------------------------------------


def test_nothing_known_is_neither_healthy_nor_poor() -> None:
    found = score(POLICY, Traits(at=MONDAY))
    assert (found.total, found.band) == (None, "unknown")
    assert found.missing == TRAITS
    assert (found.contributions, guidance(POLICY, found), found.deltas) == ((), (), ())
    assert [(each.score, each.weight) for each in found.categories] == [(None, 0.0)] * 4


def test_a_missing_trait_gives_its_weight_to_its_neighbours_and_a_missing_category_to_the_others() -> None:
    without_trait = score(POLICY, traits(**{**MIXED, "help_tickets": None}))
    assert without_trait.missing == ("help_tickets",)
    assert category(without_trait, "technical") == (25 / 3, 5)
    without_category = score(POLICY, traits(**{**MIXED, "usage_score": None, "mau_seats": None}))
    assert without_category.missing == ("usage_score", "mau_seats")
    assert category(without_category, "utilization") == (None, 0.0)
    assert [each.weight for each in without_category.categories] == [20, 20, 60, 0]
    assert without_category.total == pytest.approx(0.2 * 10 + 0.2 * 6.25 + 0.6 * 5, abs=1e-9)


@often
@given(any_traits, st.sets(st.sampled_from(TRAITS)))
def test_what_is_not_known_is_left_out_and_named(known: Traits, gone: set[TraitName]) -> None:
    fields = {trait: "last_activity_on" if trait == "last_activity" else trait for trait in TRAITS}
    whole, rest = score(POLICY, known), score(POLICY, known.model_copy(update={fields[trait]: None for trait in gone}))
    assert rest.missing == tuple(trait for trait in TRAITS if trait in gone or trait in whole.missing)
    assert {each.trait: each.level for each in rest.contributions} == {
        each.trait: each.level for each in whole.contributions if each.trait not in gone
    }
    points = [each.points for each in rest.contributions]
    assert rest.total is None if not points else min(points) <= (rest.total or 0) <= max(points)
    assert {each.trait for each in guidance(POLICY, rest)}.isdisjoint(rest.missing)


@often
@given(st.sampled_from(["green", "red"]), st.sets(st.sampled_from(TRAITS), min_size=1))
def test_a_gap_moves_a_uniform_account_nowhere(colour: str, known: set[TraitName]) -> None:
    """Read as healthy, a gap would lift an account that is all red; read as poor, it would lower one that is all green."""
    end = -1 if colour == "green" else 0
    found = score(POLICY, traits(**{trait: FROM_BAD_TO_GOOD[trait][end] for trait in known}))
    assert (found.total, found.band) == ((10, "healthy") if colour == "green" else (0, "poor"))


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, -0.1])
def test_a_number_that_cannot_be_one_is_not_known(nonsense: float) -> None:
    found = score(POLICY, traits(usage_score=nonsense, mau_seats=nonsense, champion=True))
    assert [each.trait for each in found.contributions] == ["champion"]
    assert score(POLICY, traits(versions_behind=-1, defect_tickets=-1, help_tickets=-1)).band == "unknown"


# --- too little is known -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "band"),
    [
        ({"champion": True}, "unknown"),  # was "healthy 10.0"
        ({"last_activity": 20}, "unknown"),  # was "poor 5.0", and red by itself
        ({name: value for name, value in MIXED.items() if name not in ("usage_score", "mau_seats")}, "unknown"),  # a quarter
        ({"usage_score": 0.31}, "healthy"),
        ({"mau_seats": 0.4}, "poor"),
        (MIXED, "concerning"),
    ],
)
def test_a_score_needs_half_of_the_weight(known: dict[str, Any], band: Band) -> None:
    found = score(SHIPPED, traits(**known))
    assert (found.band, found.total is None) == (band, band == "unknown")
    if band == "unknown":
        assert guidance(SHIPPED, found) == ()
        assert "health" not in red.holding(SHIPPED, customer(), standing(found), day(10))
        assert red.automatic(SHIPPED, customer(), standing(found), day(10)).outcome == "not red"
        assert found.contributions  # the evidence stays
        assert "a score needs 50 %" in explain(SHIPPED, found)[0]
        assert "Nothing is proposed on so little: find out what is not known, the utilization first." in explain(SHIPPED, found)


@often
@given(any_weights, known_values, st.integers(0, 100))
def test_a_score_needs_the_policys_part_of_the_weight(weights: list[float], known: dict[str, Any], least: int) -> None:
    policy = figures(weights=dict(zip(CATEGORIES, weights, strict=True)), known_at_least=float(least))
    found = score(policy, traits(**known))
    whole = sum(
        weight for (name, members), weight in zip(CATEGORIES.items(), weights, strict=True) if any(member in known for member in members)
    )
    assert found.known == pytest.approx(whole)
    if abs(whole - least) > 1e-6:
        assert (found.total is not None) == (whole > 0 and whole >= least)
    if found.total is None:
        assert (found.band, guidance(policy, found), sum(each.adds for each in found.contributions)) == ("unknown", (), 0)


def test_a_known_account_that_becomes_unknown_is_not_better() -> None:
    """Its change is told as a loss of knowledge; what made it red is not gone because nobody knows it any more."""
    poor, unknown = {"mau_seats": 0.1, "champion": False}, {"champion": False}
    before = score(SHIPPED, traits(**poor))
    after = score(SHIPPED, traits(**unknown), before)
    assert (before.band, after.band) == ("poor", "unknown")
    assert "MAU/seats became unknown" in " ".join(each.why for each in after.deltas)
    state = AccountState(since=customer().contract_start, standing=standing(before))
    assert [mark.source for mark in red_marks.news(SHIPPED, customer(), state, day(10))] == ["automatic"]
    red_marks.marked(customer(), state)
    red_marks.ended(SHIPPED, customer(), state, day(11))
    state.red_unseen = []
    for how in (standing(after), standing(before)):
        state.standing = how
        assert red_marks.news(SHIPPED, customer(), state, day(12)) == ()  # promoted in spite of it: not marked again
    assert red.promotion(SHIPPED, RedState(), customer(), standing(after), day(12)).outcome == "red"


# --- evidence ------------------------------------------------------------------------------------------------------------------------


def test_every_trait_names_its_source_and_its_age() -> None:
    known = traits(**MIXED, as_of={"mau_seats": day(-2), "last_activity": day(-1)})
    found = {each.trait: each for each in score(POLICY, known).contributions}
    assert {trait: each.source for trait, each in found.items()} == SOURCES
    assert tuple(SOURCES) == tuple(NAMES) == TRAITS == tuple(itertools.chain(*CATEGORIES.values()))
    assert {trait for trait in TRAITS if SOURCES[trait].startswith("TA")} == {"pulse", "champion", "buyer_access"}
    assert {trait: each.as_of for trait, each in found.items() if each.as_of != MONDAY} == {"mau_seats": day(-2), "last_activity": day(-1)}
    assert all(each.trait in CATEGORIES[each.category] for each in found.values())


@often
@given(any_policy(), any_traits, any_traits)
def test_a_score_survives_the_ledger(policy: AccountPolicy, first: Traits, then: Traits) -> None:
    before = score(policy, first)
    kept = Score.model_validate_json(before.model_dump_json())
    assert kept == before
    after = score(policy, then, kept)
    assert after == score(policy, then, before)
    assert Score.model_validate_json(after.model_dump_json()) == after


# --- what changed --------------------------------------------------------------------------------------------------------------------


@often
@given(any_policy(), any_policy(), any_traits, any_traits, st.booleans())
def test_the_deltas_sum_to_the_change(old: AccountPolicy, new: AccountPolicy, first: Traits, then: Traits, same: bool) -> None:
    """Whatever came, went or moved, under one policy or two; where there is no total, nothing adds to it."""
    before = score(old, first)
    after = score(old if same else new, then, before)
    assert abs(sum(each.change for each in after.deltas) - ((after.total or 0) - (before.total or 0))) < 1e-9
    assert len({each.trait for each in after.deltas}) == len(after.deltas)
    assert all(each.why for each in after.deltas)
    sizes = [abs(each.change) for each in after.deltas]
    assert sizes == sorted(sizes, reverse=True)
    levels = [{each.trait: each.level for each in found.contributions} for found in (before, after)]
    moved = {trait for trait in TRAITS if levels[0].get(trait) != levels[1].get(trait)}
    assert moved <= {each.trait for each in after.deltas}
    if same and set(before.missing) == set(after.missing):
        assert moved == {each.trait for each in after.deltas}


@often
@given(any_policy(), any_traits)
def test_nothing_changed_is_no_delta(policy: AccountPolicy, known: Traits) -> None:
    before = score(policy, known)
    assert before.deltas == ()
    assert score(policy, known, before).deltas == ()


def test_a_number_that_moved_within_its_colour_changed_nothing() -> None:
    assert changes({**MIXED, "mau_seats": 0.62}, MIXED) == {}


@pytest.mark.parametrize(
    ("trait", "was", "now", "why"),
    [
        ("mau_seats", 0.82, 0.74, "MAU/seats fell from 0.82 to 0.74: green to yellow"),
        ("mau_seats", 0.7996, 0.8, "MAU/seats rose from 0.7996 to 0.80: yellow to green"),
        ("mau_seats", 0.8, 0.79999, "MAU/seats fell from 0.80 to just under 0.80: green to yellow"),
        ("usage_score", 0.2, 0.200001, "usage score rose from 0.20 to just over 0.20: red to yellow"),
        ("usage_score", 0.3, 0.2, "usage score fell from 0.30 to 0.20: green to red"),
        ("versions_behind", 1, 4, "versions behind rose from 1 to 4: green to red"),
        ("defect_tickets", 5, 2, "defect tickets fell from 5 to 2: red to yellow"),
        ("help_tickets", 9, 10, "help tickets rose from 9 to 10: green to yellow"),
        ("last_activity", 14, 15, "last activity was 14 days ago, is 15 days ago: green to yellow"),
        ("last_activity", 30, 1, "last activity was 30 days ago, is 1 day ago: red to green"),
        ("last_activity", 15, 0, "last activity was 15 days ago, is today: yellow to green"),
        ("pulse", "Healthy", "Poor", "TA pulse was Healthy, is Poor: green to red"),
        ("champion", True, False, "champion was yes, is no: green to red"),
        ("precise_intel", False, True, "precise code intelligence was inactive, is active: red to green"),
    ],
)
def test_a_colour_that_changed_says_from_what_to_what(trait: TraitName, was: Any, now: Any, why: str) -> None:
    assert changes({**MIXED, trait: was}, {**MIXED, trait: now}) == {trait: why}


def test_a_trait_that_came_shifts_the_weight_of_its_neighbours_only() -> None:
    assert changes({**MIXED, "versions_behind": None}, MIXED) == {
        "versions_behind": "versions behind is known now: 1, green",
        "precise_intel": "shift of weight because versions behind is known now",
        "defect_tickets": "shift of weight because versions behind is known now",
        "help_tickets": "shift of weight because versions behind is known now",
    }


def test_a_category_that_went_shifts_everything() -> None:
    why = changes(MIXED, {**MIXED, "pulse": None, "champion": None})
    assert why["pulse"] == "TA pulse became unknown (it was Healthy, green): its weight went to what is known"
    assert why["champion"] == "champion became unknown (it was yes, green): its weight went to what is known"
    assert why["mau_seats"] == "shift of weight because TA pulse became unknown"
    assert why["buyer_access"] == "shift of weight because TA pulse became unknown and champion became unknown"
    assert set(why) == set(TRAITS)


def test_a_colour_and_a_weight_that_changed_are_both_said() -> None:
    assert changes({**MIXED, "usage_score": None}, {**MIXED, "mau_seats": 0.8})["mau_seats"] == (
        "MAU/seats rose from 0.60 to 0.80: yellow to green; shift of weight because usage score is known now"
    )


def test_the_first_and_the_last_of_all_knowledge() -> None:
    assert changes({}, {"champion": True}) == {"champion": "champion is known now: yes, green"}
    assert changes({"champion": True}, {}) == {"champion": "champion became unknown (it was yes, green)"}


def test_a_change_of_the_policy_is_named_as_such() -> None:
    """C29, and any other figure of the score."""
    assert set(changes(MIXED, MIXED, weighing(5, 15, 25, 55)).values()) == {"shift of weight because the policy weighs the categories anew"}
    assert set(changes(MIXED, MIXED, weighing(5, 15, 25, 55))) == set(TRAITS) - {"pulse"}
    limits = figures(traits__mau_seats_poor_below=0.7)
    assert changes(MIXED, MIXED, limits) == {"mau_seats": "MAU/seats is 0.60 as before: yellow to red by the policy's new limits"}
    assert changes(MIXED, {**MIXED, "mau_seats": 0.65}, limits) == {
        "mau_seats": "MAU/seats rose from 0.60 to 0.65: yellow to red by the policy's new limits"
    }
    points = figures(points__yellow=4.0)
    assert changes(MIXED, MIXED, points)["mau_seats"] == "MAU/seats is yellow as before, which the policy counts 4 points now, not 5"
    assert set(changes(MIXED, MIXED, points)) == {"defect_tickets", "last_activity", "mau_seats"}
    both = changes(MIXED, {**MIXED, "champion": None}, weighing(5, 15, 25, 55))
    assert both["buyer_access"] == "shift of weight because champion became unknown and the policy weighs the categories anew"
    assert both["mau_seats"] == "shift of weight because the policy weighs the categories anew"


def test_a_policy_that_differs_elsewhere_changes_no_score() -> None:
    other = figures(red__no_contact_days=50)
    assert other.hash != POLICY.hash
    assert changes(MIXED, MIXED, other) == {}


# --- what to do ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trait", "handbook", "says"),
    [
        ("pulse", "D18", "team that had the account before"),
        ("versions_behind", "D19", "upgrade"),
        ("precise_intel", "D19", "executors"),
        ("defect_tickets", "B14", "tickets tab"),
        ("help_tickets", "B14", "tickets tab"),
        ("champion", "D20", "Mark the account red"),
        ("buyer_access", "D21", "account team"),
        ("last_activity", "D22", "something of value"),
        ("usage_score", "D23, D15, D17", "power users"),
        ("mau_seats", "D23, D15, D17", "Low Utilization"),
    ],
)
def test_each_trait_that_hurts_has_its_guidance(trait: TraitName, handbook: str, says: str) -> None:
    green = {each: values[-1] for each, values in FROM_BAD_TO_GOOD.items()}
    assert guidance(POLICY, score(POLICY, traits(**green))) == ()
    [found] = guidance(POLICY, score(POLICY, traits(**{**green, trait: FROM_BAD_TO_GOOD[trait][0]})))
    assert (found.trait, found.level, found.handbook) == (trait, "red", handbook)
    assert says in found.says
    assert found.says.endswith(".")


@often
@given(any_policy(), any_traits)
def test_guidance_is_for_what_is_yellow_or_red_the_dearest_first(policy: AccountPolicy, known: Traits) -> None:
    found = score(policy, known)
    if found.total is None:
        assert guidance(policy, found) == ()
        return
    assert {(each.trait, each.level) for each in guidance(policy, found)} == {
        (each.trait, each.level) for each in found.contributions if each.level != "green"
    }
    gains = []
    for hint in guidance(policy, found):
        better: dict[str, Any] = (
            {"last_activity_on": known.at.date()} if hint.trait == "last_activity" else {str(hint.trait): FROM_BAD_TO_GOOD[hint.trait][-1]}
        )
        gains.append((score(policy, known.model_copy(update=better)).total or 0) - (found.total or 0))
    assert all(first >= second - 1e-9 for first, second in itertools.pairwise(gains))


def test_guidance_speaks_the_policys_figures_and_names_what_else_hurts() -> None:
    changed = figures(
        red__program="lighthouse", red__no_contact_days=50, get_well__target_mau_seats=0.7, get_well__low_utilization_tenure_days=60
    )
    says = {
        each.trait: each.says for each in guidance(changed, score(changed, traits(**{**MIXED, "champion": False, "versions_behind": None})))
    }
    assert "Bring the account into Lighthouse" in says["champion"]
    assert "After 50 days" in says["last_activity"]
    assert "versions behind (not known), champion (red)." in says["mau_seats"]
    assert "Below 0.70 a get-well plan" in says["mau_seats"]
    assert "for 60 days" in says["mau_seats"]
    [alone] = [each.says for each in guidance(POLICY, score(POLICY, traits(**MIXED))) if each.trait == "mau_seats"]
    assert alone.startswith("Versions behind, precise code intelligence, champion and usage score are green: look for the cause in how")


# --- for people and for the account's processes --------------------------------------------------------------------------------------


def test_a_score_is_explained_line_by_line() -> None:
    before = score(POLICY, traits(pulse="Healthy", precise_intel=True, champion=True, last_activity=14, mau_seats=0.82))
    known = traits(pulse="Healthy", champion=True, last_activity=15, mau_seats=0.7412, as_of={"mau_seats": day(-2)})
    found = score(POLICY, known, before)
    lines = explain(POLICY, found)
    assert lines[:11] == [
        f"Health 5.66 of 10: concerning (02 Mar 2026 09:00 UTC, policy {POLICY.hash}).",
        "Pulse: 10.00 of 10, counts 5.263 %.",
        "  TA pulse Healthy: green, adds 0.53 (TA by hand (Vitally), 02 Mar 2026)",
        "Relationships and engagement: 7.50 of 10, counts 15.79 %.",
        "  champion yes: green, adds 0.79 (TA by hand (Vitally), 02 Mar 2026)",
        "  last activity 15 days ago: yellow, adds 0.39 (Salesforce, 02 Mar 2026)",
        "Utilization: 5.00 of 10, counts 78.95 %.",
        "  MAU/seats 0.7412: yellow, adds 3.95 (warehouse, 28 Feb 2026)",
        "Not known, so left out: versions behind, precise code intelligence, defect tickets, help tickets, access to the buyer and usage score.",
        "Since the last score -4.34:",
        "  -3.55 MAU/seats fell from 0.82 to 0.7412: green to yellow; shift of weight because precise code intelligence became unknown",
    ]
    assert "  +0.07 shift of weight because precise code intelligence became unknown (champion and TA pulse)" in lines
    assert lines[-3] == "What to do, what costs most first:"
    assert lines[-2:] == [f"  {NAMES[each.trait]} ({each.level}; {each.handbook}): {each.says}" for each in guidance(POLICY, found)]


def test_no_score_is_explained_too() -> None:
    lines = explain(POLICY, score(POLICY, traits()))
    assert lines[0] == f"Health unknown: no trait that counts is known (02 Mar 2026 09:00 UTC, policy {POLICY.hash})."
    assert lines[1].startswith("Not known, so left out: TA pulse, versions behind,")
    assert len(lines) == 2


@often
@given(any_policy(), any_traits, any_traits)
def test_what_the_ledger_keeps_is_the_whole_score_and_its_traits(policy: AccountPolicy, first: Traits, then: Traits) -> None:
    """It keeps what cannot be told from the rest: no colour's source, no advice, no traits beside their own score."""
    found = score(policy, then, score(policy, first))
    text = kept(found)
    assert Score.model_validate_json(text) == found
    assert not any(word in text for word in ('"source"', '"category"', "guidance"))
    assert score(policy, traits_of(found), score(policy, first)) == found


@often
@given(any_policy(), any_traits, any_traits)
def test_every_score_can_be_explained(policy: AccountPolicy, first: Traits, then: Traits) -> None:
    found = score(policy, then, score(policy, first))
    text = "\n".join(explain(policy, found))
    assert all(f"{NAMES[each.trait]} ({each.level}; {each.handbook})" in text for each in guidance(policy, found))
    assert all(each.why in text for each in found.deltas)
    assert all(f"  {NAMES[each.trait]} " in text for each in found.contributions)
