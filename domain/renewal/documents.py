"""What a renewal writes into Vitally and says in words: the health assessment, the account save plan (4.5, 4.6), and where it stands.

The handbook's own templates are private; these are its fields.
"""

from datetime import datetime

from domain.account.account import Customer, HealthSnapshot, Rating
from domain.calendar import day_of
from domain.forecast.rollup import words
from domain.markup import bold, counted
from domain.policy import AccountPolicy
from domain.renewal.state import Assessment, Projection, RenewalState, SavePlan, falls_due
from domain.views import NextStep
from domain.wording import Wording

TEXTS = Wording(__file__)


def assessment(customer: Customer, state: RenewalState, early: Assessment | None) -> tuple[str, ...]:
    """The renewal health assessment, as far as it is filled in; ``early`` is what an early one said."""
    lines = [f"Renewal date: {state.renewal_on}", f"ARR: ${customer.arr:,}; seats: {customer.seats:,}", f"Health: {health(state.standing)}"]
    if early:
        lines += [f"Early assessment of {early.at:%Y-%m-%d} (pre-filled): {_opinion(early)}"]
    lines += [f"{who}: {_opinion(each)}" for who, each in (("TA", state.ta), ("AE", state.ae)) if each]
    if state.ae:
        lines += [
            f"Champion: {_yes(state.ae.champion)}; access to the buyer: {_yes(state.ae.buyer_access)}",
            f"Projected outcome: {words(state.ae.outcome or 'none')}",
        ]
    return (*lines, f"Agreed rating: {state.rating or 'not yet'}")


def save_plan(plan: SavePlan, sponsor: str) -> tuple[str, ...]:
    """The account save plan."""
    asks, named = plan.asks or "none", sponsor or "to be named"
    said = {"Problem and goal": plan.problem, "Success criteria": plan.criteria, "Steps and owners": plan.steps, "Asks": asks}
    return tuple(f"{what}: {text}" for what, text in {**said, "Executive sponsor": named}.items())


def health(standing: HealthSnapshot | None) -> str:
    """The last health score in words."""
    if standing is None or standing.score is None:
        return "not known"
    reds = f"; poor: {', '.join(name.replace('_', ' ') for name in standing.reds)}" if standing.reds else ""
    return f"{standing.score:.1f} of 10, {standing.band}{reds}"


def in_words(policy: AccountPolicy, name: str, state: RenewalState, steps: list[NextStep], waits: list[str], now: datetime) -> str:
    """Where a renewal stands and what comes next."""
    moments = {key: falls_due(policy, state, key).at for key in ("assessment", "processing")}
    phase = TEXTS(f"phase.{state.phase}", **moments, due=state.due_on)
    left = (state.due_on - day_of(policy.office, now)).days
    when = f"{state.renewal_on}, {counted(abs(left), 'day')} {'ahead' if left >= 0 else 'ago'}"
    lines = [f"{bold(name)}: the renewal of {when} {phase}.", ""]
    lines += [f"- rated {state.rating}" + (", in Lighthouse" if state.in_lighthouse else "")] if state.rating else []
    lines += [f"- the AE projects {_projection(state.projection)}"] if state.projection else []
    lines += [f"- odd: {state.odd}"] if state.odd else []
    if state.end is None:
        lines += [f"- {step.at:%Y-%m-%d %H:%M} UTC: {step.what}" for step in steps[:4]]
        lines += [f"- waits for {each}" for each in waits]
    if state.decisions:
        last = state.decisions[-1]
        lines.append(f"- decided last ({last.what}): {last.outcome}. {last.rule}")
    return "\n".join(lines)


def colour(rating: Rating) -> str:
    """A rating as Slack shows it."""
    return {"green": "🟢", "yellow": "🟡", "red": "🔴"}[rating] + f" {rating}"


def _projection(projection: Projection) -> str:
    amount = "" if projection.amount is None else f" (${projection.amount:,})"
    return f"{words(projection.outcome)}{amount}, says {projection.by} on {projection.at:%Y-%m-%d}"


def _opinion(given: Assessment) -> str:
    parts = [given.rating, given.risk and f"risk: {given.risk}", given.utilization and f"utilization: {given.utilization}", given.by]
    return "; ".join(part for part in parts if part)


def _yes(known: bool | None) -> str:
    return "not known" if known is None else "yes" if known else "no"
