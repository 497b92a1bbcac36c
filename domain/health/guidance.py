"""What the health score says to people: the names and values of its traits, and what to do about one that hurts (D18–D23, B14)."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC
from typing import Any

from domain.health.types import CATEGORY_NAMES, NAMES, Delta, Guidance, Level, Score, TraitName
from domain.policy import AccountPolicy
from domain.wording import Wording

TEXTS = Wording(__file__)

#: How the reason for a change begins that is of other traits.
SHIFT = "shift of weight because "


def words(trait: TraitName, value: Any) -> str:
    """A trait's value as people say it."""
    if isinstance(value, bool):
        return ("active" if value else "inactive") if trait == "precise_intel" else "yes" if value else "no"
    if trait in ("usage_score", "mau_seats"):
        return share(value)
    if trait == "last_activity":
        return "today" if value == 0 else "1 day ago" if value == 1 else f"{value} days ago"
    return str(value)


def share(value: float) -> str:
    """Two decimals, up to four where there are more, or "just under 0.80": it must not read as the limit that it misses."""
    whole, _, decimals = f"{value:.4f}".partition(".")
    text = f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"
    if text == f"{value:.2f}" and value != float(text):
        return f"just {'under' if value < float(text) else 'over'} {text}"
    return text


def signed(change: float) -> str:
    """A change of the total, in points."""
    return f"{round(change, 2) + 0.0:+.2f}"  # adding 0.0 makes a zero of a minus zero


def listed(traits: Collection[TraitName]) -> str:
    """Traits by name, at least one."""
    *most, last = [NAMES[each] for each in traits]
    return f"{', '.join(most)} and {last}" if most else last


def guidance(policy: AccountPolicy, score: Score) -> tuple[Guidance, ...]:
    """What to do about each trait that is not green, the one that costs the total most first; nothing where there is no total.

    It follows from the score and the policy: whoever shows a score asks for it, and no score carries it.
    """
    if score.total is None:
        return ()
    levels = {each.trait: each.level for each in score.contributions}
    known, weights = Counter(each.category for each in score.contributions), {each.name: each.weight for each in score.categories}
    hurting = sorted(
        (each for each in score.contributions if each.level != "green"),
        key=lambda each: (each.points - policy.health.points.green) * weights[each.category] / known[each.category],
    )
    return tuple(_advice(policy, each.trait, levels) for each in hurting)


def explain(policy: AccountPolicy, score: Score) -> list[str]:
    """The score for people, a line each: total and band, every category and trait, what is not known, what changed, and what to do."""
    head = f"Health {score.total:.2f} of 10: {score.band}" if score.total is not None else f"Health unknown: {_too_little(score)}"
    lines = [f"{head} ({score.at.astimezone(UTC):%d %b %Y %H:%M} UTC, policy {score.policy})."]
    for category in score.categories:
        if category.score is None:
            continue
        counts = f", counts {category.weight:.4g} %" if score.total is not None else ""
        lines.append(f"{CATEGORY_NAMES[category.name]}: {category.score:.2f} of 10{counts}.")
        lines += [
            f"  {NAMES[each.trait]} {words(each.trait, each.value)}: {each.level}{f', adds {each.adds:.2f}' if counts else ''}"
            f" ({each.source}, {each.as_of.astimezone(UTC):%d %b %Y})"
            for each in score.contributions
            if each.category == category.name
        ]
    if score.missing:
        lines.append(f"Not known, so left out: {listed(score.missing)}.")
    if score.total is None and score.contributions:
        lines.append("Nothing is proposed on so little: find out what is not known, the utilization first.")
    if score.deltas:
        lines.append(f"Since the last score {signed(sum(each.change for each in score.deltas))}:")
        reasons: dict[str, list[Delta]] = {}
        for delta in score.deltas:
            reasons.setdefault(delta.why, []).append(delta)
        for why, of in reasons.items():
            shifted = f" ({listed([each.trait for each in of])})" if why.startswith(SHIFT) else ""
            lines.append(f"  {signed(sum(each.change for each in of))} {why}{shifted}")
    if advice := guidance(policy, score):
        lines.append("What to do, what costs most first:")
        lines += [f"  {NAMES[each.trait]} ({each.level}; {each.handbook}): {each.says}" for each in advice]
    return lines


def _too_little(score: Score) -> str:
    if not score.known:
        return "no trait that counts is known"
    return f"only {score.known:.4g} % of the weight is known, and a score needs {score.needed:.4g} %"


def _advice(policy: AccountPolicy, about: TraitName, levels: Mapping[TraitName, Level]) -> Guidance:
    """What to do about a trait that is not green."""
    causes: tuple[TraitName, ...] = ("versions_behind", "precise_intel", "champion", *(("usage_score",) if about == "mau_seats" else ()))
    figures = {
        "step": TEXTS(f"program.{policy.red.program}"),
        "no_contact_days": policy.red.no_contact_days,
        "cause": _suspects(levels, *causes),
        "target": share(policy.get_well.target_mau_seats),
        "tenure_days": policy.get_well.low_utilization_tenure_days,
        "update_days": policy.get_well.update_days,
    }
    return Guidance(trait=about, level=levels[about], handbook=TEXTS(f"{about}.handbook"), says=TEXTS(f"{about}.says", **figures))


def _suspects(levels: Mapping[TraitName, Level], *causes: TraitName) -> str:
    """Which of the usual causes of low use are there (D23)."""
    found = [f"{NAMES[each]} ({levels.get(each, 'not known')})" for each in causes if levels.get(each) != "green"]
    return TEXTS("suspects.some", found=", ".join(found)) if found else TEXTS("suspects.none", causes=listed(causes).capitalize())
