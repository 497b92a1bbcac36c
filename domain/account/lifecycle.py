"""The life of a customer's account (D8, D9, 4.2): its stage, its onboarding goal, its renewals, and the dates on which it must be looked at.

Everything is decided anew from the facts whenever a date has come or a fact has changed; only what was decided differently is on record.
A day begins when the office opens.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.account.account import Customer, CustomerInput, CustomerStatus, HealthSnapshot, Reason, RenewalEnded
from domain.account.red import Criterion, Hand
from domain.calendar import Due, day_of, days_after, hours_of
from domain.decision import Conclusion, Fact, replayable
from domain.markup import counted
from domain.people import Role
from domain.policy import AccountPolicy
from domain.views import ProcessState

#: The trait that shows the stage in Vitally, and the template of the onboarding project (D9).
TRAIT = "Lifecycle Stage"
ONBOARDING = "Onboarding and Enablement"


class Stage(StrEnum):
    """Where an account stands."""

    PROSPECT = "prospect"
    ONBOARDING = "onboarding"
    ADOPTING = "adopting"
    NURTURING = "nurturing"
    RENEWING = "renewing"
    CLOSED = "closed"


class Goal(StrEnum):
    """What became of the onboarding goal (D9)."""

    HIT = "hit"
    MISSED = "missed"


class Beginning(StrEnum):
    """Whether the renewal of a term begins: ``OPEN``: it runs."""

    START = "start"
    OPEN = "open"
    WAIT = "wait"
    NONE = "none"


class NewDate(StrEnum):
    """What another renewal date means: the same term's, or the next one's."""

    MOVED = "moved"
    NEXT = "next"


#: The stages as Vitally shows them (4.2).
SHOWN = {
    Stage.PROSPECT: "0. Prospect",
    Stage.ONBOARDING: "1. Onboarding",
    Stage.ADOPTING: "2. Adopting",
    Stage.NURTURING: "3. Nurturing",
    Stage.RENEWING: "4. Renewing",
    Stage.CLOSED: "Closed",
}


class AccountState(ProcessState):
    """Everything that an account remembers.

    ``since`` is the first contract's start, since a renewed term must not make it a new customer. ``term_end`` is the renewal date that
    counts, ``crm_end`` the CRM's as last seen, ``contradiction`` what the latter says against the former, ``settled`` are those whose renewal is over, ``next_end`` what the last one said of the next. ``rests_in`` is the stage outside
    renewals, ``band`` the last known one. ``plan`` are the reasons that this account gave its get-well plan.

    ``red_for`` is what it was marked red for, and does not mark it again: criteria, and the systems in which it shows. ``red_unseen`` are those
    of the systems whose copy has not shown the mark yet, ``red_over_at`` is when it was last promoted (:mod:`domain.account.red_marks`).
    """

    stage: Stage | None = None
    rests_in: Literal["adopting", "nurturing"] = "adopting"
    seen_at: datetime | None = None
    since: date | None = None
    standing: HealthSnapshot | None = None
    band: str = ""
    term_end: date | None = None
    crm_end: date | None = None
    contradiction: str = ""
    next_end: date | None = None
    settled: list[date] = []
    renewal: str = ""
    renewal_on: date | None = None
    lost: bool = False
    goal: Literal["", "hit", "missed", "passed"] = ""
    project: str = ""
    plan: list[Reason] = []
    red: bool = False
    red_for: list[Criterion | Hand] = []
    red_unseen: list[Hand] = []
    red_over_at: datetime | None = None
    red_told: str = ""
    why_closed: str = ""


class AccountInput(CustomerInput):
    """How an account's life starts; ``state`` is the one of the run before, when it is continued."""

    red_channel: str = "red-accounts"
    state: AccountState | None = None


class AccountStatus(CustomerStatus):
    """Where an account stands. ``contradiction`` is what the CRM says against the renewal date that counts."""

    since: date | None = None
    contract_end: date | None = None
    contradiction: str = ""
    goal: str = ""
    renewal: str = ""
    plan: tuple[Reason, ...] = ()
    red: bool = False
    standing: HealthSnapshot | None = None
    ta: str = ""
    ae: str = ""


def owner(stage: Stage | None) -> Role:
    """Who looks after an account (C19): the CE before the sale, the TA after it."""
    return Role.CE if stage is Stage.PROSPECT else Role.TA


def crm_end(customer: Customer, state: AccountState) -> date | None:
    """The CRM's renewal date, unless that term's renewal is over and the CRM does not know it yet."""
    return state.next_end if customer.contract_end in state.settled else customer.contract_end


def term_end(customer: Customer, state: AccountState) -> date | None:
    """The renewal date that counts: the running renewal's, whatever the CRM says; else the CRM's, or what was known before a data error."""
    if state.renewal and state.renewal_on:
        return state.renewal_on
    return state.term_end if state.contradiction else crm_end(customer, state)


def to_renew(policy: AccountPolicy, customer: Customer, state: AccountState) -> date | None:
    """The end of the term that is renewed next: the last term's renewal may be open still, and the next one begins in its own time."""
    counts, said = term_end(customer, state), crm_end(customer, state)
    return said if counts is not None and said is not None and said >= _next_term(policy, counts) else counts


def contradiction(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> str:
    """What the CRM says against the renewal date that counts, in words; empty when it says nothing against it.

    Another date that is new in the CRM and ahead is none: the renewal moves along (gap 9). One that is over, none at all, or one that
    stayed while the renewal was moved by a person is a data error.
    """
    end, running = crm_end(customer, state), state.renewal_on if state.renewal else None
    held, today = running or state.term_end, day_of(policy.office, now)
    if held is None or end == held or customer.status != "customer" or state.lost:
        return ""
    against = f"its renewal runs on {running}" if running else f"{held} was known before"
    if end is None:
        return f"the CRM names no end of the contract, and {against}" if running else ""
    if end < today and (running is not None or held >= today):
        return f"the CRM says that the contract ended on {end}, and {against}"
    if running is not None and (end == state.crm_end or running in state.settled):
        return f"the CRM says {end}, and {against}"
    return ""


# --- decisions -----------------------------------------------------------------------------------------------------------------------


@replayable("stage", "D8")
def stage(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion:
    """The stage (D8): renewing pre-empts the others; after a renewal back to adopting or nurturing by the targets; full churn closes."""
    return Conclusion(*_stage(policy, customer, state, day_of(policy.office, now)), _facts(customer, state, now))


def _stage(policy: AccountPolicy, customer: Customer, state: AccountState, today: date) -> tuple[Stage, str, str]:
    """Stage, rule and nearest fact."""
    days, since, end = policy.lifecycle, state.since, term_end(customer, state)
    if customer.status != "customer":
        into = f" into {customer.merged_into}" if customer.merged_into else ""
        return Stage.CLOSED, f"The CRM says {customer.status}{into}.", "being a customer"
    if state.lost:
        return Stage.CLOSED, "The renewal ended in full churn.", "a renewal that keeps a part"
    if since is None or since > today:
        when = f"on {since}, in {counted((since - today).days, 'day')}" if since else "on a day that is not known"
        return Stage.PROSPECT, f"The contract begins {when}; a hand-off takes {days.prospect_days} days.", "the contract's beginning"
    if end is not None and today >= days_after(end, -policy.renewal.process_days):
        left = (end - today).days
        nearest = f"a renewal date {counted(policy.renewal.process_days - left + 1, 'day')} later"
        return Stage.RENEWING, f"The renewal date {end} is {counted(left, 'day')} away: renewing pre-empts every other stage.", nearest
    if (tenure := (today - since).days) < days.onboarding_days:
        left = days.onboarding_days - tenure
        return Stage.ONBOARDING, f"Day {tenure} of the first {days.onboarding_days} since the contract began.", counted(left, "more day")
    return _by_targets(policy, state)


def _by_targets(policy: AccountPolicy, state: AccountState) -> tuple[Stage, str, str]:
    """Adopting until daily use and seats are at their targets, then nurturing. An unknown moves nobody."""
    targets, standing = policy.lifecycle, state.standing
    usage, seats = (standing.usage_score, standing.mau_seats) if standing else (None, None)
    wanted = f"usage score {targets.adopted_usage_score:.0%} and MAU/seats {targets.adopted_mau_seats:.0%}"
    if usage is None or seats is None:
        return Stage(state.rests_in), "Use is not fully known: the stage stays as it was.", "a usage score and a month of MAU/seats"
    shown = f"usage score {usage:.0%}, MAU/seats {seats:.0%}"
    if usage >= targets.adopted_usage_score and seats >= targets.adopted_mau_seats:
        return Stage.NURTURING, f"Both targets are reached: {shown}.", f"less than {wanted}"
    if state.stage is Stage.NURTURING and targets.below_targets == "stay":
        return (
            Stage.NURTURING,
            f"Below the targets ({shown}): it stays, a get-well plan cares for it.",
            "lifecycle.below_targets = adopting",
        )
    return Stage.ADOPTING, f"Below the targets: {shown}.", wanted


@replayable("onboarding goal", "D9, C05")
def goal(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion | None:
    """The onboarding goal (D9, C05), on a clock of its own: so many days after the implementation. ``hit``, ``missed``, or None while open.

    An unknown decides nothing: it is decided when MAU/seats is known.
    """
    figures, share = policy.lifecycle, state.standing.mau_seats if state.standing else None
    if customer.deployed_on is None or share is None:
        return None
    days = (day_of(policy.office, now) - customer.deployed_on).days
    reached, late = share >= figures.goal_mau_seats, days >= figures.goal_after_implementation_days
    if not (reached or late):
        return None
    missing = f"{abs(figures.goal_mau_seats - share):.0%} {'fewer' if reached else 'more'} of the seats in use"
    rule = (
        f"{share:.0%} of the seats are used monthly on day {days} after the implementation; the goal is {figures.goal_mau_seats:.0%} by day "
        f"{figures.goal_after_implementation_days}."
    )
    return Conclusion(Goal.HIT if reached else Goal.MISSED, rule, missing, _facts(customer, state, now))


@replayable("renewal", "D25, C10")
def renewal(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion:
    """Whether the renewal of this term begins (D25, C10). Never twice for one term."""
    return Conclusion(*_renewal(policy, customer, state, day_of(policy.office, now)), _facts(customer, state, now))


@replayable("renewal", "D25, C10")
def begun_by_hand(policy: AccountPolicy, customer: Customer, state: AccountState, by: str, now: datetime) -> Conclusion:
    """A person begins the renewal of this term."""
    _, rule, nearest = _renewal(policy, customer, state, day_of(policy.office, now))
    return Conclusion(Beginning.START, f"{by} began it by hand. {rule}", nearest, _facts(customer, state, now), by=by)


def _renewal(policy: AccountPolicy, customer: Customer, state: AccountState, today: date) -> tuple[Beginning, str, str]:
    """Whether it begins, rule and nearest fact."""
    end, early = to_renew(policy, customer, state), policy.renewal.early_review_days
    if end is None or customer.status != "customer" or state.lost:
        return Beginning.NONE, "There is no renewal date.", "a contract with an end"
    if state.renewal and state.renewal_on == end:
        return Beginning.OPEN, f"Its renewal runs: {state.renewal}.", "its end"
    left = (end - today).days
    away = f"The renewal date {end} is {counted(left, 'day')} away"
    if left > early:
        return Beginning.WAIT, f"{away}, it begins {early} days ahead.", f"a date {counted(left - early, 'day')} earlier"
    return Beginning.START, f"{away}: its renewal begins.", f"a date {counted(early - left + 1, 'day')} later"


@replayable("renewal date", "I")
def moved(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion | None:
    """What another renewal date in the CRM means (gap 9): the term ``moved``, or the ``next`` term is there already; None when it is the same.

    A date at least a whole term later is the next term: its own renewal begins in time. Any other is the same term's.
    """
    end, before = crm_end(customer, state), state.term_end
    if end is None or before is None or end == before or before in state.settled:
        return None
    first = _next_term(policy, before)
    facts = _facts(customer, state, now)
    if end >= first:
        return Conclusion(NewDate.NEXT, f"{before} → {end}: a whole term later, so that term is renewed.", f"a date before {first}", facts)
    rule = f"{before} → {end}: the same term, and its renewal moves along."
    return Conclusion(NewDate.MOVED, rule, f"a date on or after {first}", facts)


def _next_term(policy: AccountPolicy, end: date) -> date:
    """When the term after that one ends at the earliest: a year may have 365 days."""
    return days_after(end, policy.renewal.term_months * 365 // 12)


def settle(state: AccountState, ended: RenewalEnded) -> None:
    """A renewal is over: its term, by the date that it began with and the date that it ended with, is never renewed again."""
    begun_on = _date_in(ended.workflow)
    ours = not state.renewal or ended.workflow == state.renewal
    dates = {each for each in (begun_on, state.term_end if ours else None, state.renewal_on if ours else None) if each}
    state.settled = sorted({*state.settled, *dates})
    if ended.contract_end:
        state.next_end = ended.contract_end
        state.settled = [each for each in state.settled if each != ended.contract_end]
    if ours:
        state.renewal, state.renewal_on, state.term_end = "", None, None
    state.lost = state.lost or (ended.outcome == "full_churn" and not ended.cancelled)


def _date_in(workflow: str) -> date | None:
    try:
        return date.fromisoformat(workflow[-len("2026-01-31") :])
    except ValueError:
        return None


def _facts(customer: Customer, state: AccountState, now: datetime) -> tuple[Fact, ...]:
    standing, end = state.standing, term_end(customer, state)
    at = standing.as_of if standing else now
    return (
        Fact(name="status", value=customer.status, source="Salesforce", as_of=customer.as_of),
        Fact(name="customer since", value=state.since.isoformat() if state.since else None, source="Salesforce", as_of=customer.as_of),
        Fact(name="renewal date", value=end.isoformat() if end else None, source="Salesforce", as_of=customer.as_of),
        Fact(
            name="deployed on",
            value=customer.deployed_on.isoformat() if customer.deployed_on else None,
            source="Salesforce",
            as_of=customer.as_of,
        ),
        Fact(name="usage score", value=standing.usage_score if standing else None, source="warehouse", as_of=at),
        Fact(name="MAU/seats", value=standing.mau_seats if standing else None, source="warehouse", as_of=at),
    )


# --- when it must be looked at -------------------------------------------------------------------------------------------------------


def agenda(policy: AccountPolicy, customer: Customer, state: AccountState) -> list[Due]:
    """Every day ahead on which something may change by itself, in order; ahead of the last look (``seen_at``)."""
    cycle, red, since, end = policy.lifecycle, policy.red, state.since, term_end(customer, state)
    days: dict[date, list[str]] = {}

    def on(start: date | None, later: int, what: str) -> None:
        if start is not None:
            days.setdefault(days_after(start, later), []).append(what)

    on(since, 0, "the contract begins")
    on(since, policy.get_well.low_utilization_tenure_days, "is the utilization low?")
    on(since, cycle.onboarding_days, "the onboarding phase ends")
    if not state.goal:
        on(customer.deployed_on, cycle.goal_after_implementation_days, "is the onboarding goal reached?")
    if customer.deployed_on is None:
        on(since, red.not_deployed_days + 1, "not deployed in time: red")
    on(customer.last_activity_on, red.no_contact_days, "no interaction for so long: red")
    on(to_renew(policy, customer, state), -policy.renewal.early_review_days, "the renewal begins")
    on(end, -policy.renewal.process_days, "the stage becomes renewing")
    moments = [Due(at=hours_of(policy.office, day)[0], what="; ".join(what)) for day, what in sorted(days.items())]
    return [moment for moment in moments if state.seen_at is None or moment.at > state.seen_at]
