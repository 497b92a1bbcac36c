"""Ready-made values for the tests of the health score: traits around every limit, other figures, and the sum done by hand, in fractions."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st

from domain import policy as policies
from domain.health.types import CATEGORIES, CategoryName, Score, TraitName, Traits
from domain.policy import AccountPolicy
from tests.domain.make import MONDAY, quickly

SHIPPED = policies.default_accounts()
#: The shipped policy, where whatever is known makes a score: so each rule can be looked at by itself.
POLICY = SHIPPED.model_copy(update={"health": SHIPPED.health.model_copy(update={"known_at_least": 0.0})})
TRAITS: tuple[TraitName, ...] = get_args(TraitName)

#: The score is cheap and its cases are many.
often = settings(quickly, max_examples=80)

#: Values of each trait from bad to good; the limits of the handbook (4.3) and what lies closest to them are among them.
FROM_BAD_TO_GOOD: dict[TraitName, list[Any]] = {
    "pulse": ["Poor", "Concerning", "Healthy"],
    "versions_behind": [9, 4, 3, 2, 1, 0],
    "precise_intel": [False, True],
    "defect_tickets": [40, 5, 4, 3, 2, 1, 0],
    "help_tickets": [90, 15, 14, 10, 9, 0],
    "champion": [False, True],
    "buyer_access": [False, True],
    "last_activity": [400, 30, 29, 15, 14, 1, 0],
    "usage_score": [0.0, 0.2, math.nextafter(0.2, 1), 0.25, math.nextafter(0.3, 0), 0.3, 0.9],
    "mau_seats": [0.0, math.nextafter(0.5, 0), 0.5, 0.6, math.nextafter(0.8, 0), 0.8, 1.3],
}


def figures(**changed: Any) -> AccountPolicy:
    """The default policy with other figures; ``weights__pulse=15`` sets ``health.weights.pulse``."""
    tree = POLICY.model_dump()
    for name, value in changed.items():
        *sections, leaf = name.split("__")
        at = tree if sections and sections[0] in tree else tree["health"]
        for section in sections:
            at = at[section]
        assert leaf in at, f"no such figure: {name}"
        at[leaf] = value
    return AccountPolicy.model_validate(tree)


def weighing(pulse: float, technical: float, relationship: float, utilization: float) -> AccountPolicy:
    """The default policy with other weights, in percent."""
    return figures(weights={"pulse": pulse, "technical": technical, "relationship": relationship, "utilization": utilization})


def traits(**known: Any) -> Traits:
    """Traits as of :data:`MONDAY`; ``last_activity=14`` is so many days ago."""
    if known.get("last_activity") is not None:
        known["last_activity_on"] = MONDAY.date() - timedelta(days=known["last_activity"])
    return Traits.model_validate({"at": MONDAY, **known})


#: One trait's value, or each trait's that is known at all.
VALUES = {trait: st.sampled_from(values) for trait, values in FROM_BAD_TO_GOOD.items()}
VALUES["usage_score"] |= st.floats(0, 1.5)
VALUES["mau_seats"] |= st.floats(0, 1.5)
known_values = st.fixed_dictionaries({}, optional=VALUES)
any_traits = known_values.map(lambda known: traits(**known))

#: Weights in hundredths of a percent that sum to 100, a zero now and then.
any_weights = st.lists(st.integers(0, 10_000), min_size=3, max_size=3).map(
    lambda cuts: [(b - a) / 100 for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 10_000], strict=True)]
)


@st.composite
def any_policy(draw: st.DrawFn) -> AccountPolicy:
    """Other weights, points and limits of MAU/seats."""
    weights = dict(zip(CATEGORIES, draw(any_weights), strict=True))
    red, yellow, green = sorted(draw(st.lists(st.integers(0, 100), min_size=3, max_size=3, unique=True)))
    poor, healthy = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True)))
    return figures(
        weights=weights,
        known_at_least=draw(st.sampled_from([0.0, 0.0, 20.0, 50.0, 100.0])),
        points={"red": red / 10, "yellow": yellow / 10, "green": green / 10},
        traits__mau_seats_poor_below=poor / 100,
        traits__mau_seats_healthy_at_least=healthy / 100,
    )


def by_hand(policy: AccountPolicy, score: Score) -> Fraction | None:
    """The total that the handbook's sum gives for the levels of a score, without floats; None where nothing counts."""
    levels = {each.trait: each.level for each in score.contributions}
    weighted = whole = Fraction(0)
    for category, members in CATEGORIES.items():
        points = [Fraction(getattr(policy.health.points, levels[trait])) for trait in members if trait in levels]
        if points:
            weight = Fraction(getattr(policy.health.weights, category))
            weighted, whole = weighted + weight * sum(points) / len(points), whole + weight
    return weighted / whole if whole and float(whole) + 1e-9 >= policy.health.known_at_least else None


def category(score: Score, name: CategoryName) -> tuple[float | None, float]:
    """A category's mean and weight."""
    [found] = [each for each in score.categories if each.name == name]
    return found.score, found.weight
