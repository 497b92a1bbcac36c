"""Red accounts (B17, B18, D20, D31, C20): which become red by themselves, what is tracked, and what promotes one again."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.account.account import AccountTeam, Customer, CustomerInput, CustomerStatus, HealthSnapshot
from domain.account.commands import MarkRed, Source
from domain.account.get_well import Track
from domain.base import Value
from domain.calendar import day_of
from domain.decision import Conclusion, Fact, known, replayable
from domain.markup import bold, counted
from domain.people import Role
from domain.policy import AccountPolicy
from domain.policy.account import Red
from domain.views import ProcessState
from domain.wording import Wording, behind

TEXTS = Wording(__file__)


#: What an account is by the facts and the people who look at it.
Colour = StrEnum("Colour", {"RED": "red", "NOT_RED": "not red", "YELLOW": "yellow", "GREEN": "green", "CHURNED": "churned"})


Criterion = Literal["not_deployed", "health", "no_contact", "decline"]
Hand = Literal["salesforce", "vitally"]

#: The CRM's field and Vitally's trait, which one command writes (C20), and which people set, too.
CRM_FIELD = "Customer_Health__c"
TRAIT = "Account - Red Account?"
HANDS: tuple[Hand, ...] = ("salesforce", "vitally")


class Mark(Value):
    """One reason for which an account is red."""

    at: datetime
    reason: str
    source: Source
    by: str = ""


class RedUpdate(Value):
    """What the TA says of it; the first one fills in state, needs and actions."""

    at: datetime
    by: str
    status: Track | Literal["filled"]
    state: str
    needs: str = ""
    actions: str = ""


End = Literal["", "yellow", "green", "churned"]


class RedState(ProcessState):
    """Everything a red account remembers. ``at_mark`` is how it did when it was marked; ``declined`` the band that did not convince.

    ``shown``: the CRM was seen to say Red since, so another colour in it is a person's; ``declined_health`` is the one that did not convince.
    """

    marks: list[Mark] = []
    waiting: list[MarkRed] = []
    row: str = ""
    at_mark: HealthSnapshot | None = None
    standing: HealthSnapshot | None = None
    fields: dict[str, str] = {}
    filled_at: datetime | None = None
    update_at: datetime | None = None
    updates: list[RedUpdate] = []
    proposed: Literal["", "yellow", "green"] = ""
    declined: str = ""
    shown: bool = False
    declined_health: str = ""
    end: End = ""
    note: str = ""
    ended_at: datetime | None = None
    why_ended: str = ""


class RedInput(CustomerInput):
    """How a red account starts. ``renewal`` is the open one, whose Lighthouse succeeds the thread where the policy says so (C20)."""

    channel: str = "red-accounts"
    plan_channel: str = "renewals"
    marks: tuple[MarkRed, ...] = ()
    standing: HealthSnapshot | None = None
    renewal: str = ""
    state: RedState | None = None


class RedStatus(CustomerStatus):
    """Where a red account stands."""

    marks: tuple[Mark, ...] = ()
    fields: dict[str, str] = {}
    updates: tuple[RedUpdate, ...] = ()


# --- which become red by themselves ----------------------------------------------------------------------------------------------------


class Finding(Value):
    """What one criterion says. ``holds`` is None when its fact is not known: an unknown makes nothing red. ``room`` is how far away it is."""

    name: Criterion
    holds: bool | None
    says: str
    undone_by: str
    nearest: str = ""
    room: float = 1.0


def _finding(name: Criterion, holds: bool | None, state: str = "found", *, room: float = 1.0, **values: object) -> Finding:
    """What a criterion says by its texts; ``state`` is another one where there is nothing to count."""
    nearest = TEXTS(f"{name}.nearest", **values) if state == "found" else ""
    says, undone_by = TEXTS(f"{name}.{state}", **values), TEXTS(f"{name}.undone_by", **values)
    return Finding(name=name, holds=holds, says=says, undone_by=undone_by, nearest=nearest, room=room)


def findings(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> tuple[Finding, ...]:
    """The four automatic criteria (handbook 4.7)."""
    today, figures = day_of(policy.office, now), policy.red
    return (
        _deployment(figures.not_deployed_days, customer, today),
        _contact(figures.no_contact_days, customer, today),
        _health(figures.health_at_most, standing),
        _decline(figures, standing),
    )


def _deployment(limit: int, customer: Customer, today: date) -> Finding:
    if customer.contract_start is None or customer.deployed_on is not None:
        says = f"deployed on {customer.deployed_on}" if customer.deployed_on else "not signed yet"
        return Finding(name="not_deployed", holds=False, says=says, undone_by="")
    if "deployed_on" in customer.data_errors:
        return _finding("not_deployed", None, "unknown")
    days = (today - customer.contract_start).days
    left = limit + 1 - days
    return _finding("not_deployed", days > limit, room=left / (limit + 1), days=counted(days, "day"), left=counted(left, "more day"))


def _contact(limit: int, customer: Customer, today: date) -> Finding:
    if customer.last_activity_on is None:
        return _finding("no_contact", None, "unknown")
    days = (today - customer.last_activity_on).days
    left = limit - days
    return _finding("no_contact", days >= limit, room=left / limit, days=counted(days, "day"), left=counted(left, "more day"))


def _health(limit: float, standing: HealthSnapshot | None) -> Finding:
    if standing is None or (score := standing.score) is None:
        return _finding("health", None, "unknown", limit=limit)
    return _finding("health", score <= limit, room=(score - limit) / score if score else 1.0, score=score, limit=limit)


def _decline(figures: Red, standing: HealthSnapshot | None) -> Finding:
    months, share = (standing.declining_months if standing else 0), figures.decline_share
    left, fell = figures.decline_months - months, counted(months, "consecutive month")
    if standing is None:
        return _finding("decline", None, "unknown", room=left / figures.decline_months, share=share, months=fell)
    more = counted(left, "more month")
    return _finding("decline", left <= 0, room=left / figures.decline_months, share=share, months=fell, left=more)


@replayable("red", "B17")
def automatic(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> Conclusion[Colour]:
    """Whether the facts alone make an account red (B17): when a criterion holds."""
    found, facts = findings(policy, customer, standing, now), evidence(customer, standing, now)
    signed = customer.contract_start is not None and customer.contract_start <= day_of(policy.office, now)
    if customer.status != "customer" or not signed:
        return TEXTS.conclude(Colour.NOT_RED, "automatic.no_customer", facts, status=customer.status if signed else "not signed yet")
    if held := [each for each in found if each.holds]:
        says = "; ".join(each.says for each in held)
        undone_by = " and ".join(each.undone_by for each in held)
        return TEXTS.conclude(Colour.RED, "automatic.red", facts, says=says[:1].upper() + says[1:], undone_by=undone_by)
    nearest = min((each for each in found if each.nearest), key=lambda each: each.room, default=None)
    otherwise = nearest.nearest if nearest else TEXTS("automatic.nothing_known")
    return TEXTS.conclude(Colour.NOT_RED, "automatic.not_red", facts, otherwise=otherwise)


def holding(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> dict[Criterion, str]:
    """The criteria that make it red, in words; none when :func:`automatic` says not red."""
    if automatic(policy, customer, standing, now).outcome == Colour.NOT_RED:
        return {}
    return {each.name: each.says for each in findings(policy, customer, standing, now) if each.holds}


def by_hand(customer: Customer, standing: HealthSnapshot | None) -> dict[Hand, str]:
    """Where it is marked red, in words: the CRM's field (B17), Vitally's trait (D31). Our own marks are there, too, once they are copied."""
    shown: dict[Hand, bool] = {"salesforce": customer.health == "Red", "vitally": standing is not None and standing.hand_red}
    return {hand: TEXTS(f"by_hand.{hand}") for hand in HANDS if shown[hand]}


def evidence(customer: Customer, standing: HealthSnapshot | None, now: datetime) -> tuple[Fact, ...]:
    """What the criteria stand on, each with its source and age."""
    at = standing.as_of if standing else now
    none = "" if standing else " (none yet)"
    days = {"signed on": customer.contract_start, "deployed on": customer.deployed_on, "last activity": customer.last_activity_on}
    return (
        *known("Salesforce", customer.as_of, days),
        *known(f"health score{none}", at, {"health score": standing.score if standing else None}),
        *known(f"warehouse{none}", at, {"declining months": standing.declining_months if standing else None}),
        *known("Salesforce", customer.as_of, {"Customer Health": customer.health or None}),
        *known(f"Vitally{none}", at, {"red account": standing.hand_red if standing else None}),
    )


# --- marked, promoted ----------------------------------------------------------------------------------------------------------------


@replayable("red", "B18, C20")
def marked(policy: AccountPolicy, given: MarkRed, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> Conclusion[Colour]:
    """An account is red, or is so for another reason (B17, B18, D31)."""
    nearest = automatic(policy, customer, standing, now).nearest if given.source == "automatic" else ""
    who = given.by or TEXTS(f"marked.{given.source}.who")
    facts = evidence(customer, standing, now)
    return TEXTS.conclude(Colour.RED, f"marked.{given.source}", facts, by=given.by, who=who, reason=given.reason, otherwise=nearest)


BETTER = {"poor": 0, "concerning": 1, "healthy": 2}


@replayable("promotion", "B17")
def promotion(
    policy: AccountPolicy, state: RedState, customer: Customer, standing: HealthSnapshot | None, now: datetime
) -> Conclusion[Colour]:
    """Whether the manager is asked to promote it: yellow, green, or red when there is no cause (B17: judgement stays with people).

    Somebody who sets Yellow or Green in the CRM says so. Else the band must be healthy or concerning, no automatic criterion may hold, and
    what made it red must have changed: an automatic reason is gone, the band is better than at the mark, or a champion was found.
    """
    before, facts = state.at_mark, evidence(customer, standing, now)
    band = standing.band if standing else "unknown"
    still = automatic(policy, customer, standing, now)
    if state.shown and customer.health in ("Yellow", "Green") and customer.health != state.declined_health:
        though = f", though it is red by itself: {still.rule}" if still.outcome == Colour.RED else "."
        return TEXTS.conclude(Colour(customer.health.lower()), "promotion.in_the_crm", facts, colour=customer.health, though=though)
    if standing is None or band not in ("healthy", "concerning"):
        return TEXTS.conclude(Colour.RED, "promotion.band", facts, band=band)
    if still.outcome == Colour.RED:
        return TEXTS.conclude(Colour.RED, "promotion.by_itself", facts, why=still.rule, otherwise=still.nearest)
    champion = standing.champion is True and before is not None and before.champion is False
    better = before is not None and BETTER[band] > BETTER.get(before.band, BETTER["healthy"])
    if not (any(mark.source == "automatic" for mark in state.marks) or champion or better):
        return TEXTS.conclude(Colour.RED, "promotion.nothing_changed", facts)
    if state.declined == band:
        return TEXTS.conclude(Colour.RED, "promotion.declined", facts, band=band)
    why = "a champion was found" if champion else f"the band is {band}"
    return TEXTS.conclude(Colour.GREEN if band == "healthy" else Colour.YELLOW, "promotion.promoted", facts, why=why)


@replayable("red", "B17")
def resolved(
    policy: AccountPolicy, to: str, by: str, note: str, customer: Customer, standing: HealthSnapshot | None, now: datetime
) -> Conclusion[Colour]:
    """A person promotes it."""
    return TEXTS.conclude(Colour(to), "resolved", evidence(customer, standing, now), by=by, who=by, to=to, note=behind(note))


@replayable("red", "B17")
def gone(policy: AccountPolicy, customer: Customer, now: datetime) -> Conclusion[Colour]:
    """The account is no customer any more."""
    return TEXTS.conclude(Colour.CHURNED, "gone", status=customer.status, into=behind(customer.merged_into, " into "))


# --- what is tracked -------------------------------------------------------------------------------------------------------------------


def reasons(state: RedState) -> str:
    """Why it is red, in words."""
    return "; ".join(dict.fromkeys(mark.reason for mark in state.marks))


def told(update: RedUpdate) -> str:
    """What the TA said, for the thread."""
    parts = [f"{bold(update.status.replace('_', ' ').capitalize())} ({update.by}): {update.state}"]
    parts += [f"Needs: {update.needs}"] if update.needs else []
    parts += [f"Actions: {update.actions}"] if update.actions else []
    return "\n".join(parts)


def row(customer: Customer, team: AccountTeam, state: RedState) -> dict[str, str]:
    """The tracker's row: what the sheet's columns say of it now (B17)."""
    owner = team.of(Role.TA) or team.of(Role.AE)
    last = state.updates[-1] if state.updates else None
    tracked = "Red" if last is None or last.status == "filled" else f"Red, {last.status.replace('_', ' ')}"
    return {
        "Account": customer.name,
        "Reason": reasons(state),
        "Source": ", ".join(dict.fromkeys(mark.source for mark in state.marks)),
        "Since": f"{state.marks[0].at:%Y-%m-%d}" if state.marks else "",
        "State": state.fields.get("state", ""),
        "Needs": state.fields.get("needs", ""),
        "Actions": state.fields.get("actions", ""),
        "Owner": owner.name if owner else "",
        "Status": state.end.capitalize() if state.end else tracked,
        "Resolved": f"{state.ended_at:%Y-%m-%d}" if state.ended_at else "",
    }
