"""The health score of all accounts at once, for the hourly run (D12): arrays in, arrays out, the same totals as :mod:`domain.health.score`.

It is for activities: a workflow must not import NumPy. Codes are -1 for not known, then 0, 1, 2 from poor to healthy; :data:`BANDS` by code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.health.score import LIMITS, PARTS, enough, weighed
from domain.health.types import CATEGORIES, TRAITS, Band, TraitName
from domain.policy.account import Health

Codes = NDArray[np.int8]
Numbers = NDArray[np.float64]
#: What is known of every account, an array a trait, all of one length. ``pulse`` is -1, 0 (Poor), 1 (Concerning), 2 (Healthy); the yes-or-no
#: traits are -1, 0, 1; numbers are NaN where they are not known, and the last activity is its age in whole days.
Columns = Mapping[TraitName, Codes | Numbers]

#: By code; the last one is code -1.
BANDS: tuple[Band, ...] = ("poor", "concerning", "healthy", "unknown")

_PULSES: Mapping[object, int] = {None: -1, "Poor": 0, "Concerning": 1, "Healthy": 2}
_ANSWERS: Mapping[object, int] = {None: -1, False: 0, True: 1}


@dataclass(frozen=True)
class FleetScore:
    """``total`` is NaN where too little is known; ``band`` and ``levels`` are codes."""

    total: Numbers
    band: Codes
    levels: dict[TraitName, Codes]


def columns(at: datetime, **said: Sequence[Any]) -> Columns:
    """Columns from plain lists as a database gives them, None for not known, in one order of accounts; named as in :class:`Traits`.

    Raises ValueError for a pulse that is none of the three words and for lists of several lengths.
    """
    if wrong := set(said["pulse"]) - _PULSES.keys():
        raise ValueError(
            f"pulse must be Healthy, Concerning, Poor or nothing, not {', '.join(sorted(map(repr, wrong)))}: put it right in Vitally"
        )
    lengths = {name: len(values) for name, values in said.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns must have one entry an account each, but have {lengths}")  # or each would be scored by its neighbour
    codes = {"pulse": _PULSES, "precise_intel": _ANSWERS, "champion": _ANSWERS, "buyer_access": _ANSWERS}
    known: dict[TraitName, Codes | Numbers] = {"last_activity": _ages(at, said["last_activity_on"])}
    for trait in TRAITS.keys() - known.keys():
        values = said[trait]
        known[trait] = np.array([codes[trait][each] for each in values], np.int8) if trait in codes else np.array(values, np.float64)
    return known


def score(health: Health, fleet: Columns) -> FleetScore:
    """The total, the band and every trait's level of each account."""
    levels = {trait: _levels(health, trait, fleet[trait]) for members in CATEGORIES.values() for trait in members}
    worth = np.array([health.points.red, health.points.yellow, health.points.green, 0.0])
    points, known = {trait: worth[level] for trait, level in levels.items()}, {trait: level >= 0 for trait, level in levels.items()}
    _, weighted, whole = weighed(health, points, known)
    total = np.full(len(fleet["pulse"]), np.nan)
    np.divide(weighted, whole, out=total, where=enough(health, whole))
    total = np.floor(total * PARTS + 0.5) / PARTS
    band = np.where(np.isnan(total), -1, 0 + (total > health.poor_at_most) + (total >= health.healthy_at_least)).astype(np.int8)
    return FleetScore(total=total, band=band, levels=levels)


def _levels(health: Health, trait: TraitName, values: Codes | Numbers) -> Codes:
    if trait == "pulse":
        return values.astype(np.int8)
    if trait not in LIMITS:  # yes or no: -1, 0, 2
        return np.where(values > 0, 2, values).astype(np.int8)
    healthy, poor = LIMITS[trait](health.traits, values)
    level = np.where(healthy, 2, np.where(poor, 0, 1))
    return np.where((values >= 0) & np.isfinite(values), level, -1).astype(np.int8)


def _ages(at: datetime, on: Sequence[date | None]) -> Numbers:
    """Whole days since each date, none of them negative."""
    days = np.array(on, dtype="datetime64[D]")
    age = (np.datetime64(at.astimezone(UTC).date(), "D") - days).astype(np.float64)
    return np.where(np.isnat(days), np.nan, np.maximum(age, 0.0))
