"""Red accounts (B17, B18, D20, D31, C20): which become red by themselves, what is tracked, and what promotes one again."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.account.account import AccountTeam, Customer, CustomerInput, CustomerStatus, HealthSnapshot
from domain.account.commands import MarkRed, Source
from domain.account.get_well import Track, tracks
from domain.base import Value
from domain.calendar import day_of
from domain.decision import Conclusion, Fact, replayable
from domain.markup import bold, counted
from domain.people import Role
from domain.policy import AccountPolicy
from domain.task import Choice, FieldSpec
from domain.views import ProcessState


class Colour(StrEnum):
    """What an account is by the facts and the people who look at it."""

    RED = "red"
    NOT_RED = "not red"
    YELLOW = "yellow"
    GREEN = "green"
    CHURNED = "churned"


Criterion = Literal["not_deployed", "health", "no_contact", "decline"]
Hand = Literal["salesforce", "vitally"]

#: The CRM's field and Vitally's trait, which one command writes (C20), and which people set, too.
CRM_FIELD = "Customer_Health__c"
TRAIT = "Account - Red Account?"
HANDS: tuple[Hand, ...] = ("salesforce", "vitally")

FILL = Choice(
    name="filled",
    label="State, needs and actions",
    fields=(
        FieldSpec(name="state", asks="what the state is"),
        FieldSpec(name="needs", asks="what the account needs, and from whom"),
        FieldSpec(name="actions", asks="who does what by when"),
    ),
)
UPDATES = tracks(
    FieldSpec(name="state", asks="what changed since the last update"),
    FieldSpec(name="needs", asks="what is needed now", required=False),
    FieldSpec(name="actions", asks="who does what by when", required=False),
)
PROMOTE = (Choice(name="yes", label="Promote it"), Choice(name="no", label="Keep it red"))


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


def findings(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> tuple[Finding, ...]:
    """The four automatic criteria (handbook 4.7)."""
    today, figures = day_of(policy.office, now), policy.red
    score, limit = (standing.score if standing else None), figures.health_at_most
    months, enough = (standing.declining_months if standing else 0), figures.decline_months
    return (
        _deployment(figures.not_deployed_days, customer, today),
        _contact(figures.no_contact_days, customer, today),
        Finding(
            name="health",
            holds=None if score is None else score <= limit,
            says=f"health score {score:g}, at most {limit:g}" if score is not None else "health score not known",
            undone_by=f"a score above {limit:g}",
            nearest=f"a score of {limit:g} or less" if score is not None else "",
            room=(score - limit) / score if score else 1.0,
        ),
        Finding(
            name="decline",
            holds=None if standing is None else months >= enough,
            says=f"search and code intelligence fell by {figures.decline_share:.0%} or more in {counted(months, 'consecutive month')}",
            undone_by="a month without such a decline",
            nearest=f"{counted(enough - months, 'more month')} with a decline of {figures.decline_share:.0%}" if standing else "",
            room=(enough - months) / enough,
        ),
    )


def _deployment(limit: int, customer: Customer, today: date) -> Finding:
    if customer.contract_start is None or customer.deployed_on is not None:
        says = f"deployed on {customer.deployed_on}" if customer.deployed_on else "not signed yet"
        return Finding(name="not_deployed", holds=False, says=says, undone_by="")
    days = (today - customer.contract_start).days
    if "deployed_on" in customer.data_errors:
        return Finding(name="not_deployed", holds=None, says="deployment not known", undone_by="a production deployment")
    return Finding(
        name="not_deployed",
        holds=days > limit,
        says=f"production not deployed {counted(days, 'day')} after the signature",
        undone_by="a production deployment",
        nearest=f"{counted(limit + 1 - days, 'more day')} without a production deployment",
        room=(limit + 1 - days) / (limit + 1),
    )


def _contact(limit: int, customer: Customer, today: date) -> Finding:
    if customer.last_activity_on is None:
        return Finding(name="no_contact", holds=None, says="last interaction not known", undone_by="an interaction")
    days = (today - customer.last_activity_on).days
    return Finding(
        name="no_contact",
        holds=days >= limit,
        says=f"no interaction for {counted(days, 'day')}",
        undone_by="an interaction",
        nearest=f"{counted(limit - days, 'more day')} without an interaction",
        room=(limit - days) / limit,
    )


@replayable("red", "B17")
def automatic(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> Conclusion:
    """Whether the facts alone make an account red (B17): when a criterion holds."""
    found = findings(policy, customer, standing, now)
    facts = evidence(customer, standing, now)
    signed = customer.contract_start is not None and customer.contract_start <= day_of(policy.office, now)
    if customer.status != "customer" or not signed:
        rule = f"Only a customer becomes red; it is {customer.status if signed else 'not signed yet'}."
        return Conclusion(Colour.NOT_RED, rule, "being a customer", facts)
    if held := [each for each in found if each.holds]:
        rule = f"{_upper('; '.join(each.says for each in held))}."
        return Conclusion(Colour.RED, rule, " and ".join(each.undone_by for each in held), facts)
    nearest = min((each for each in found if each.nearest), key=lambda each: each.room, default=None)
    otherwise = nearest.nearest if nearest else "a health score, or a date of the last interaction"
    return Conclusion(Colour.NOT_RED, "No automatic criterion holds.", otherwise, facts)


def holding(policy: AccountPolicy, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> dict[Criterion, str]:
    """The criteria that make it red, in words; none when :func:`automatic` says not red."""
    if automatic(policy, customer, standing, now).outcome == Colour.NOT_RED:
        return {}
    return {each.name: each.says for each in findings(policy, customer, standing, now) if each.holds}


def by_hand(customer: Customer, standing: HealthSnapshot | None) -> dict[Hand, str]:
    """Where it is marked red, in words: the CRM's field (B17), Vitally's trait (D31). Our own marks are there, too, once they are copied."""
    said: dict[Hand, str] = {}
    if customer.health == "Red":
        said["salesforce"] = "Customer Health is Red in the CRM"
    if standing is not None and standing.hand_red:
        said["vitally"] = "it is set as a red account in Vitally"
    return said


def evidence(customer: Customer, standing: HealthSnapshot | None, now: datetime) -> tuple[Fact, ...]:
    """What the criteria stand on, each with its source and age."""
    at = standing.as_of if standing else now
    none = "" if standing else " (none yet)"
    return (
        Fact(name="signed on", value=_day(customer.contract_start), source="Salesforce", as_of=customer.as_of),
        Fact(name="deployed on", value=_day(customer.deployed_on), source="Salesforce", as_of=customer.as_of),
        Fact(name="last activity", value=_day(customer.last_activity_on), source="Salesforce", as_of=customer.as_of),
        Fact(name="health score", value=standing.score if standing else None, source=f"health score{none}", as_of=at),
        Fact(name="declining months", value=standing.declining_months if standing else None, source=f"warehouse{none}", as_of=at),
        Fact(name="Customer Health", value=customer.health or None, source="Salesforce", as_of=customer.as_of),
        Fact(name="red account", value=standing.hand_red if standing else None, source=f"Vitally{none}", as_of=at),
    )


def _day(on: date | None) -> str | None:
    return on.isoformat() if on else None


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- marked, promoted ----------------------------------------------------------------------------------------------------------------


@replayable("red", "B18, C20")
def marked(policy: AccountPolicy, given: MarkRed, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> Conclusion:
    """An account is red, or is so for another reason (B17, B18, D31)."""
    by_facts, by_hand = given.source == "automatic", given.source in HANDS
    who, handbook, otherwise = "The facts" if by_facts else "Somebody", "B17" if by_facts else "B18", "the person's judgement"
    if by_hand:
        handbook, otherwise = ("B17", "another colour in the CRM") if given.source == "salesforce" else ("D31", "the trait not being set")
    rule, nearest = f"{given.by or who} marked it red: {given.reason}.", otherwise
    if by_facts:
        nearest = automatic(policy, customer, standing, now).nearest
    return Conclusion(Colour.RED, rule, nearest, evidence(customer, standing, now), by=given.by, handbook=f"{handbook}, C20")


BETTER = {"poor": 0, "concerning": 1, "healthy": 2}


@replayable("promotion", "B17")
def promotion(policy: AccountPolicy, state: RedState, customer: Customer, standing: HealthSnapshot | None, now: datetime) -> Conclusion:
    """Whether the manager is asked to promote it: yellow, green, or red when there is no cause (B17: judgement stays with people).

    Somebody who sets Yellow or Green in the CRM says so. Else the band must be healthy or concerning, no automatic criterion may hold, and
    what made it red must have changed: an automatic reason is gone, the band is better than at the mark, or a champion was found.
    """
    before, facts = state.at_mark, evidence(customer, standing, now)
    band = standing.band if standing else "unknown"

    def decided(outcome: Colour, rule: str, nearest: str) -> Conclusion:
        return Conclusion(outcome, rule, nearest, facts)

    still = automatic(policy, customer, standing, now)
    if state.shown and customer.health in ("Yellow", "Green") and customer.health != state.declined_health:
        though = f", though it is red by itself: {still.rule}" if still.outcome == Colour.RED else "."
        return decided(
            Colour(customer.health.lower()), f"Somebody set Customer Health to {customer.health} in the CRM{though}", "Red in the CRM"
        )
    if standing is None or band not in ("healthy", "concerning"):
        return decided(Colour.RED, f"The band is {band}.", "a concerning or healthy band")
    if still.outcome == Colour.RED:
        return decided(Colour.RED, f"It is red by itself: {still.rule}", still.nearest)
    champion = standing.champion is True and before is not None and before.champion is False
    better = before is not None and BETTER[band] > BETTER.get(before.band, BETTER["healthy"])
    if not (any(mark.source == "automatic" for mark in state.marks) or champion or better):
        return decided(Colour.RED, "Nothing that made it red has changed.", "a better band, or a new champion")
    if state.declined == band:
        return decided(Colour.RED, f"The manager keeps it red in spite of the band: {band}.", "another band")
    why = "a champion was found" if champion else f"the band is {band}"
    to = Colour.GREEN if band == "healthy" else Colour.YELLOW
    return decided(to, f"No automatic criterion holds, and {why}.", "a criterion of 4.7 that holds again")


@replayable("red", "B17")
def resolved(
    policy: AccountPolicy, to: str, by: str, note: str, customer: Customer, standing: HealthSnapshot | None, now: datetime
) -> Conclusion:
    """A person promotes it."""
    rule = f"{by} promoted it to {to}{': ' + note if note else ''}."
    return Conclusion(Colour(to), rule, "the person's judgement", evidence(customer, standing, now), by=by)


@replayable("red", "B17")
def gone(policy: AccountPolicy, customer: Customer, now: datetime) -> Conclusion:
    """The account is no customer any more."""
    into = f" into {customer.merged_into}" if customer.merged_into else ""
    rule = f"The account is {customer.status}{into}: nothing is left to save."
    return Conclusion(Colour.CHURNED, rule, "the account staying a customer")


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
