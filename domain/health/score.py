"""The health score (D12, 4.3, C29): what is known of an account in, a score that explains itself out.

Each trait is green, yellow or red by the policy's limits, and worth the policy's points; a category is the mean of its known traits, the
total the weighted mean of the known categories (gap 4). What is not known is left out and named: its weight goes to what is known, so
that a gap reads neither as healthy nor as poor. Where less than the policy's part of the weight is known there is no total at all: the
account is unknown, what is known stays as evidence, and nothing is proposed. :mod:`domain.health.arrays` does the same for a hundred thousand accounts at once.
"""

import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, timedelta
from typing import Any

from domain.health.guidance import SHIFT, words
from domain.health.types import (
    CATEGORIES,
    NAMES,
    SOURCES,
    Band,
    Category,
    CategoryName,
    Contribution,
    Delta,
    Level,
    Score,
    TraitName,
    Traits,
)
from domain.policy import AccountPolicy
from domain.policy.account import Health, HealthTraits

#: (healthy?, poor?) of each trait that is a number, or of an array of them; in between it is yellow. Last activity counts in days.
LIMITS: dict[TraitName, Callable[[HealthTraits, Any], tuple[Any, Any]]] = {
    "versions_behind": lambda at, value: (value <= at.versions_behind_healthy_at_most, value >= at.versions_behind_poor_at_least),
    "defect_tickets": lambda at, value: (value < at.defect_tickets_healthy_below, value >= at.defect_tickets_poor_at_least),
    "help_tickets": lambda at, value: (value < at.help_tickets_healthy_below, value >= at.help_tickets_poor_at_least),
    "last_activity": lambda at, value: (value <= at.last_activity_healthy_at_most_days, value >= at.last_activity_poor_at_least_days),
    "usage_score": lambda at, value: (value >= at.usage_score_healthy_at_least, value <= at.usage_score_poor_at_most),
    "mau_seats": lambda at, value: (value >= at.mau_seats_healthy_at_least, value < at.mau_seats_poor_below),
}

#: A total is kept to so many parts of a point: in which order floats are added must not decide on which side of a band's limit it falls.
PARTS = 1e10

_PULSES: dict[str, Level] = {"Healthy": "green", "Concerning": "yellow", "Poor": "red"}
#: Weights are added as floats: so little less than enough is enough.
_SPARE = 1e-9
#: A smaller change is none: it comes of how floats are added.
_NOISE = 1e-12


def score(policy: AccountPolicy, traits: Traits, before: Score | None = None, *, named: str = "") -> Score:
    """The score of one account at ``traits.at`` and, with the score ``before``, what changed it. ``named`` is the policy's hash, if it is known.

    A number that cannot be one (negative, infinite, not a number) is not known; an activity later than ``traits.at`` (UTC) is of today.
    Where too little is known, or only what weighs nothing, there is no total.
    """
    health, values = policy.health, _values(traits)
    levels = {trait: _level(health.traits, trait, value) for trait, value in values.items()}
    points: dict[TraitName, float] = {trait: getattr(health.points, level) for trait, level in levels.items()}
    total, categories, known = _weigh(health, points)
    shares = _shares(categories, points)
    contributions = tuple(
        Contribution(
            trait=trait,
            value=values[trait],
            level=levels[trait],
            points=points[trait],
            adds=points[trait] * shares[trait],
            as_of=traits.as_of.get(trait, traits.at),
        )
        for trait in SOURCES
        if trait in values
    )
    scored = Score(
        at=traits.at,
        total=total,
        band=_band(health, total),
        categories=categories,
        contributions=contributions,
        missing=tuple(trait for trait in SOURCES if trait not in values),
        known=known,
        needed=health.known_at_least,
        policy=named or policy.hash,
    )
    return scored if before is None else scored.model_copy(update={"deltas": _deltas(health, before, scored)})


def kept(score: Score) -> str:
    """A score as JSON for the ledger: without what its traits' names say."""
    return score.model_dump_json(exclude={"contributions": {"__all__": {"category", "source"}}}, exclude_defaults=True)


def traits_of(score: Score) -> Traits:
    """The traits that a score was made of, out of its evidence. What cannot be a number was not known to it, and is not here."""
    known: dict[str, Any] = {each.trait: each.value for each in score.contributions}
    if (days := known.pop("last_activity", None)) is not None:
        known["last_activity_on"] = score.at.astimezone(UTC).date() - timedelta(days=int(days))
    as_of = {each.trait: each.as_of for each in score.contributions if each.as_of != score.at}
    return Traits.model_validate({"at": score.at, "as_of": as_of, **known})


def _values(traits: Traits) -> dict[TraitName, Any]:
    """What is known, by trait; the last activity as its age in whole days."""
    held = {trait: getattr(traits, trait, None) for trait in SOURCES}
    if traits.last_activity_on is not None:
        held["last_activity"] = max(0, (traits.at.astimezone(UTC).date() - traits.last_activity_on).days)
    return {
        trait: value
        for trait, value in held.items()
        if value is not None and (isinstance(value, str | bool) or 0 <= value < math.inf)  # no comparison holds for "not a number"
    }


def _level(limits: HealthTraits, trait: TraitName, value: Any) -> Level:
    if isinstance(value, str):
        return _PULSES[value]
    healthy, poor = (value, not value) if isinstance(value, bool) else LIMITS[trait](limits, value)
    return "green" if healthy else "red" if poor else "yellow"


def enough(health: Health, whole: Any) -> Any:
    """Whether so much of the weight, in percent, is known that there is a score; a number, or an array of them."""
    return (whole > 0) & (whole + _SPARE >= health.known_at_least)


def weighed(
    health: Health, points: Mapping[TraitName, Any], known: Mapping[TraitName, Any]
) -> tuple[dict[CategoryName, tuple[Any, Any]], Any, Any]:
    """Each category's mean and weight, the weighted sum, and how much of the weight is known: of one account, or arrays of many.

    ``points`` are 0 where a trait is not ``known``. Added one by one in the handbook's order, so that the last bit is the same for one and for
    many. A category counts whole when one of its traits is known.
    """
    found: dict[CategoryName, tuple[Any, Any]] = {}
    weighted: Any = 0.0
    whole: Any = 0.0
    for name, members in CATEGORIES.items():
        added, count = sum((points[trait] for trait in members), 0.0), sum(known[trait] for trait in members)
        mean, weight = added / (count + (count == 0)), getattr(health.weights, name) * (count > 0)
        found[name] = mean, weight
        weighted, whole = weighted + weight * mean, whole + weight
    return found, weighted, whole


def _weigh(health: Health, points: Mapping[TraitName, float]) -> tuple[float | None, tuple[Category, ...], float]:
    """The total, each category with what it counts in percent, and how much of the weight is known."""
    known = {trait: trait in points for trait in SOURCES}
    found, weighted, whole = weighed(health, {trait: points.get(trait, 0.0) for trait in SOURCES}, known)
    scored = bool(enough(health, whole))
    categories = tuple(
        Category(name=name, score=mean, weight=100 * weight / whole if scored else 0.0)
        if any(known[trait] for trait in CATEGORIES[name])
        else Category(name=name, score=None, weight=0.0)
        for name, (mean, weight) in found.items()
    )
    return (math.floor(weighted / whole * PARTS + 0.5) / PARTS if scored else None), categories, whole


def _band(health: Health, total: float | None) -> Band:
    if total is None:
        return "unknown"
    return "poor" if total <= health.poor_at_most else "healthy" if total >= health.healthy_at_least else "concerning"


def _shares(categories: Collection[Category], known: Collection[TraitName]) -> dict[TraitName, float]:
    """How much of the total a known trait decides, 0 to 1: an equal part of its category's weight."""
    shares: dict[TraitName, float] = {}
    for category in categories:
        members = [trait for trait in CATEGORIES[category.name] if trait in known]
        shares |= {trait: category.weight / 100 / len(members) for trait in members}
    return shares


def _deltas(health: Health, before: Score, after: Score) -> tuple[Delta, ...]:
    """What each trait adds now, less what it added before: so they sum to the change, shifts of weight included (no total adds nothing)."""
    was, now = ({each.trait: each for each in score.contributions} for score in (before, after))
    share_was, share_now = _shares(before.categories, was), _shares(after.categories, now)
    reweighted = _reweighted(health, before, was)
    deltas = []
    for trait in SOURCES:
        old, new = was.get(trait), now.get(trait)
        change = (new.adds if new else 0.0) - (old.adds if old else 0.0)
        if old and new:
            shifted = abs(share_now[trait] - share_was[trait]) > _NOISE
            why = [_moved(health.traits, old, new)] if old.level != new.level or old.points != new.points else []
            why += [SHIFT + _cause(trait, was, now, reweighted)] if shifted else []
        elif new:
            why = [f"{NAMES[trait]} is known now: {words(trait, new.value)}, {new.level}"]
        elif old:
            rest = ": its weight went to what is known" if now else ""
            why = [f"{NAMES[trait]} became unknown (it was {words(trait, old.value)}, {old.level}){rest}"]
        else:
            continue
        if why:
            deltas.append(Delta(trait=trait, change=change, why="; ".join(why)))
    return tuple(sorted(deltas, key=lambda delta: -abs(delta.change)))


def _reweighted(health: Health, before: Score, was: Collection[TraitName]) -> bool:
    """Whether the policy's weights of what was known are other ones now."""
    categories = _weigh(health, dict.fromkeys(was, 0.0))[1]
    return any(abs(old.weight - new.weight) > 1e-9 for old, new in zip(before.categories, categories, strict=False))


def _cause(trait: TraitName, was: Collection[TraitName], now: Collection[TraitName], reweighted: bool) -> str:
    """Why a trait weighs other than it did: a neighbour in its category or another whole category came or went, or the policy changed."""
    causes = [
        f"{NAMES[each]} {'is known now' if each in now else 'became unknown'}"
        for members in CATEGORIES.values()
        if trait in members or any(each in was for each in members) != any(each in now for each in members)
        for each in members
        if (each in was) != (each in now)
    ]
    return " and ".join([*causes, "the policy weighs the categories anew"] if reweighted or not causes else causes)


def _moved(limits: HealthTraits, old: Contribution, new: Contribution) -> str:
    """What a trait did whose colour, or whose colour's worth, is another than before."""
    name, before, after = NAMES[new.trait], words(new.trait, old.value), words(new.trait, new.value)
    if old.level == new.level:
        return f"{name} is {new.level} as before, which the policy counts {new.points:g} points now, not {old.points:g}"
    colours = f"{old.level} to {new.level}"
    if _level(limits, new.trait, old.value) != old.level:
        colours += " by the policy's new limits"
    if old.value == new.value:
        return f"{name} is {after} as before: {colours}"
    if new.trait in LIMITS and new.trait != "last_activity":
        return f"{name} {'rose' if float(new.value or 0) > float(old.value or 0) else 'fell'} from {before} to {after}: {colours}"
    return f"{name} was {before}, is {after}: {colours}"
