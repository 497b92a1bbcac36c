"""The hourly run's arrays: the same totals, bands and levels as one account's score, to the last bit; and NumPy only where it may be."""

from __future__ import annotations

import ast
import random
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.health import arrays, score
from domain.health.arrays import BANDS, Columns, FleetScore
from domain.health.types import Traits
from domain.policy import AccountPolicy
from tests.domain.make import MONDAY
from tests.domain.make_health import FROM_BAD_TO_GOOD, POLICY, TRAITS, any_policy, any_traits, often, traits, weighing

ROOT = Path(__file__).parents[3]
#: By code; the last one is code -1.
LEVELS = ("red", "yellow", "green", None)


def seen(fleet: FleetScore, account: int) -> tuple[float | None, str, dict[str, str]]:
    """What the arrays say of one account, in a score's terms."""
    total = float(fleet.total[account])
    levels = {trait: LEVELS[codes[account]] for trait, codes in fleet.levels.items()}
    return None if np.isnan(total) else total, BANDS[fleet.band[account]], {trait: level for trait, level in levels.items() if level}


def alone(policy: AccountPolicy, known: Traits) -> tuple[float | None, str, dict[str, str]]:
    one = score.score(policy, known)
    return one.total, one.band, {each.trait: each.level for each in one.contributions}


def random_traits(chance: random.Random) -> Traits:
    """Near the limits or anywhere, known or not, a nonsense number now and then."""
    known: dict[str, Any] = {trait: chance.choice([None, *values]) for trait, values in FROM_BAD_TO_GOOD.items()}
    if chance.random() < 0.7:
        known |= {"usage_score": chance.uniform(-0.05, 0.6), "mau_seats": chance.choice([chance.random(), float("nan"), float("inf")])}
    if chance.random() < 0.1:
        known |= {"versions_behind": -1, "last_activity": -5}
    return traits(**known)


def random_columns(accounts: int) -> Columns:
    """A fleet too large to be made of traits one by one."""
    chance = np.random.default_rng(7)

    def some(values: Any, unknown: float) -> Any:
        return np.where(chance.random(accounts) < 0.1, unknown, values)

    codes = {name: some(chance.integers(0, 2, accounts), -1).astype(np.int8) for name in ("precise_intel", "champion", "buyer_access")}
    counts = {name: some(chance.integers(0, 20, accounts), np.nan) for name in ("versions_behind", "defect_tickets", "help_tickets")}
    shares = {name: some(chance.random(accounts), np.nan) for name in ("usage_score", "mau_seats")}
    pulse = some(chance.integers(0, 3, accounts), -1).astype(np.int8)
    held: dict[Any, Any] = {"pulse": pulse, "last_activity": some(chance.integers(0, 60, accounts), np.nan), **codes, **counts, **shares}
    return held


def one_of(fleet: Columns, account: int) -> Traits:
    """An account's traits, out of the arrays."""
    held = {trait: float(fleet[trait][account]) for trait in TRAITS}
    known: dict[str, Any] = {trait: value for trait, value in held.items() if not np.isnan(value) and value != -1}
    for trait in ("precise_intel", "champion", "buyer_access"):
        known |= {trait: bool(known[trait])} if trait in known else {}
    if "pulse" in known:
        known["pulse"] = FROM_BAD_TO_GOOD["pulse"][int(known["pulse"])]
    return traits(**known)


def columns_of(accounts: Sequence[Traits]) -> Columns:
    """Columns of accounts' traits, all as of Monday."""
    return arrays.columns(
        MONDAY,
        pulse=[each.pulse for each in accounts],
        versions_behind=[each.versions_behind for each in accounts],
        precise_intel=[each.precise_intel for each in accounts],
        defect_tickets=[each.defect_tickets for each in accounts],
        help_tickets=[each.help_tickets for each in accounts],
        champion=[each.champion for each in accounts],
        buyer_access=[each.buyer_access for each in accounts],
        last_activity_on=[each.last_activity_on for each in accounts],
        usage_score=[each.usage_score for each in accounts],
        mau_seats=[each.mau_seats for each in accounts],
    )


@often
@given(any_policy(), st.lists(any_traits, max_size=8))
def test_a_fleet_is_scored_as_its_accounts_are(policy: AccountPolicy, accounts: list[Traits]) -> None:
    fleet = arrays.score(policy.health, columns_of(accounts))
    assert len(fleet.total) == len(fleet.band) == len(accounts)
    assert set(fleet.levels) == set(TRAITS)
    assert [seen(fleet, number) for number in range(len(accounts))] == [alone(policy, known) for known in accounts]


@pytest.mark.parametrize("policy", [POLICY, weighing(5, 15, 25, 55), weighing(33.3, 0, 33.3, 33.4)], ids=["default", "C29", "thirds"])
def test_many_accounts_of_every_kind_agree(policy: AccountPolicy) -> None:
    chance = random.Random(29)
    accounts = [random_traits(chance) for _ in range(600)]
    fleet = arrays.score(policy.health, columns_of(accounts))
    assert [seen(fleet, number) for number in range(len(accounts))] == [alone(policy, known) for known in accounts]
    assert set(fleet.band.tolist()) >= {0, 1, 2}


def test_codes_are_in_order_and_minus_one_is_not_known() -> None:
    accounts = [traits(mau_seats=share) for share in (0.4, 0.79, 0.8)] + [traits()]
    fleet = arrays.score(POLICY.health, columns_of(accounts))
    assert fleet.levels["mau_seats"].tolist() == [0, 1, 2, -1]
    assert fleet.levels["champion"].tolist() == [-1] * 4
    assert fleet.band.tolist() == [0, 0, 2, -1]
    assert [BANDS[code] for code in fleet.band] == ["poor", "poor", "healthy", "unknown"]
    assert fleet.total[:3].tolist() == [0.0, 5.0, 10.0]
    assert np.isnan(fleet.total[3])


def test_lists_as_a_database_gives_them() -> None:
    """SQLite has 0 and 1 for no and yes."""
    lists: dict[str, Any] = {
        "pulse": ["Poor", None],
        "versions_behind": [2, None],
        "precise_intel": [1, None],
        "defect_tickets": [0, None],
        "help_tickets": [12, None],
        "champion": [0, True],
        "buyer_access": [False, None],
        "last_activity_on": [(MONDAY - timedelta(days=14)).date(), None],
        "usage_score": [0.25, None],
        "mau_seats": [0.9, None],
    }
    made = arrays.columns(MONDAY, **lists)
    assert {len(array) for array in made.values()} == {2}
    assert made["last_activity"][0] == 14
    fleet = arrays.score(POLICY.health, made)
    assert [fleet.levels[trait].tolist() for trait in TRAITS] == [
        [0, -1],
        [1, -1],
        [2, -1],
        [2, -1],
        [1, -1],
        [0, 2],
        [0, -1],
        [2, -1],
        [1, -1],
        [2, -1],
    ]
    with pytest.raises(ValueError, match="not 'Great': put it right in Vitally"):
        arrays.columns(MONDAY, **{**lists, "pulse": ["Great", None]})
    with pytest.raises(ValueError, match="'mau_seats': 1"):
        arrays.columns(MONDAY, **{**lists, "mau_seats": [0.9]})


def test_a_fleet_of_nobody() -> None:
    fleet = arrays.score(POLICY.health, columns_of([]))
    assert (fleet.total.size, fleet.band.size) == (0, 0)


@pytest.mark.parametrize("accounts", [10_000, 100_000])
def test_a_large_fleet_agrees_too(accounts: int) -> None:
    """How long it takes is printed (``pytest -s``); ``make bench`` holds it against a goal."""
    made = random_columns(accounts)
    start = time.perf_counter()
    fleet = arrays.score(POLICY.health, made)
    sys.stdout.write(f"{accounts} accounts scored in {(time.perf_counter() - start) * 1000:.1f} ms\n")
    for account in range(0, accounts, accounts // 100):
        assert seen(fleet, account) == alone(POLICY, one_of(made, account))


def test_only_activities_know_numpy() -> None:
    """It must not come into a workflow, not even by way of what a workflow imports."""
    files = [path for part in ("domain", "workflows") for path in (ROOT / part).rglob("*.py") if path != ROOT / "domain/health/arrays.py"]
    imported = {
        f"{path.name}: {name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] == "numpy" or name.startswith("domain.health.arrays")
    }
    assert len(files) > 20
    assert not imported
