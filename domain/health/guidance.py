"""What the health score says to people: the names and values of its traits, and what to do about one that hurts (D18–D23, B14)."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC
from typing import Any

from domain.health.types import CategoryName, Contribution, Delta, Guidance, Level, Score, TraitName
from domain.policy import AccountPolicy

#: Traits and categories in people's words.
NAMES: dict[TraitName, str] = {
    "pulse": "TA pulse",
    "versions_behind": "versions behind",
    "precise_intel": "precise code intelligence",
    "defect_tickets": "defect tickets",
    "help_tickets": "help tickets",
    "champion": "champion",
    "buyer_access": "access to the buyer",
    "last_activity": "last activity",
    "usage_score": "usage score",
    "mau_seats": "MAU/seats",
}
CATEGORY_NAMES: dict[CategoryName, str] = {
    "pulse": "Pulse",
    "technical": "Technical health",
    "relationship": "Relationships and engagement",
    "utilization": "Utilization",
}
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
    made = []
    for each in hurting:
        handbook, says = _advice(policy, each, levels)
        made.append(Guidance(trait=each.trait, level=each.level, handbook=handbook, says=says))
    return tuple(made)


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


def _advice(policy: AccountPolicy, about: Contribution, levels: Mapping[TraitName, Level]) -> tuple[str, str]:
    """The handbook's ids and the advice."""
    match about.trait:
        case "pulse":
            return "D18", (
                "Learn why from the notes and from the team that had the account before. A pulse is an opinion and may name a risk that no"
                " number shows yet: act on the risk, and write the reason down for whoever comes next."
            )
        case "versions_behind":
            return "D19", (
                "Read the notes for what hinders upgrades. List what the versions since have improved and relate it to the customer's"
                " engineering goals. Show that one upgrade may skip versions, and review whether the deployment suits them; IE helps."
                " With the AE, consider a move to cloud."
            )
        case "precise_intel":
            return "D19", (
                "Show what precise code intelligence would give their developers and learn what keeps them from running executors."
                " IE helps to set up the first language."
            )
        case "defect_tickets":
            return "B14", (
                "Go through the open defects on the account's tickets tab in Salesforce: agree with support on their order, tell the"
                " customer what is mended when, and see which an upgrade would mend. Support answers them; you watch."
            )
        case "help_tickets":
            return "B14", (
                "Read the questions on the account's tickets tab in Salesforce for what they have in common: a training, a guide or a"
                " change of the set-up may answer many at once. Support answers them; you watch."
            )
        case "champion":
            step = (
                "Mark the account red: its thread gathers who helps to find and build new champions."
                if policy.red.program == "red_accounts"
                else "Bring the account into Lighthouse: its save plan says who finds and builds new champions."
            )
            return "D20", (
                f"{step} Learn what your contacts want to reach themselves, and help them reach it; meanwhile an executive sponsor can open"
                " doors."
            )
        case "buyer_access":
            return "D21", (
                "Meet as an account team on who can reach the buyer, and ask for an executive's help where nobody can. With the champion,"
                " collect what the customer has won, and make a deck in the manner of a QBR which the champion presents inside."
            )
        case "last_activity":
            return "D22", (
                "Reach out with something of value, never only to be in touch: a new feature, an article, news of their industry, each with"
                f" your advice. After {policy.red.no_contact_days} days without contact the account is red by itself (B17)."
            )
        case "usage_score":
            cause = _suspects(levels, "versions_behind", "precise_intel", "champion")
            return "D23, D15, D17", (
                f"Few of the users come daily. {cause} Train those who could be power users on their own work: they bring the others"
                " along. An open get-well plan takes this up."
            )
        case "mau_seats":
            cause, wells = _suspects(levels, "versions_behind", "precise_intel", "champion", "usage_score"), policy.get_well
            return "D23, D15, D17", (
                f"{cause} Below {share(wells.target_mau_seats)} a get-well plan is due: as Decreased Usage where the account had reached"
                f" it, as Low Utilization where it never had and has been a customer for {wells.low_utilization_tenure_days} days."
                f" The TA updates it every {wells.update_days} days."
            )


def _suspects(levels: Mapping[TraitName, Level], *causes: TraitName) -> str:
    """Which of the usual causes of low use are there (D23)."""
    found = [f"{NAMES[each]} ({levels.get(each, 'not known')})" for each in causes if levels.get(each) != "green"]
    if found:
        return f"Look for the cause in what else is not green: {', '.join(found)}."
    return f"{listed(causes).capitalize()} are green: look for the cause in how users are brought in and trained."
