"""The life of a customer's account (D8, D9, 4.2): its stage, its onboarding goal, its renewals, and the dates on which it must be looked at.

Everything is decided anew from the facts whenever a date has come or a fact has changed; only what was decided differently is on record.
A day begins when the office opens.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from domain.account.account import Customer, CustomerInput, CustomerStatus, HealthSnapshot, Reason, RenewalEnded
from domain.account.red import Criterion, Hand
from domain.calendar import Due, day_of, days_after, hours_of
from domain.decision import Conclusion, Fact, known, replayable
from domain.markup import counted
from domain.people import Role
from domain.policy import AccountPolicy
from domain.views import ProcessState
from domain.wording import Wording, behind

TEXTS = Wording(__file__)

#: The trait that shows the stage in Vitally, and the template of the onboarding project (D9).
TRAIT = "Lifecycle Stage"
ONBOARDING = "Onboarding and Enablement"


#: Where an account stands.
Stage = StrEnum("Stage", "PROSPECT ONBOARDING ADOPTING NURTURING RENEWING CLOSED")
#: What became of the onboarding goal (D9).
Goal = StrEnum("Goal", "HIT MISSED")
#: Whether the renewal of a term begins: ``OPEN``: it runs.
Beginning = StrEnum("Beginning", "START OPEN WAIT NONE")
#: What another renewal date means: the same term's, or the next one's.
NewDate = StrEnum("NewDate", "MOVED NEXT")


#: The stages as Vitally shows them (4.2), numbered in their order.
SHOWN = {**{each: f"{number}. {each.title()}" for number, each in enumerate(Stage)}, Stage.CLOSED: "Closed"}


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
        return TEXTS("contradiction.none", against=against) if running else ""
    if end < today and (running is not None or held >= today):
        return TEXTS("contradiction.over", end=end, against=against)
    if running is not None and (end == state.crm_end or running in state.settled):
        return TEXTS("contradiction.other", end=end, against=against)
    return ""


# --- decisions -----------------------------------------------------------------------------------------------------------------------


@replayable("stage", "D8")
def stage(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion[Stage]:
    """The stage (D8): renewing pre-empts the others; after a renewal back to adopting or nurturing by the targets; full churn closes."""
    days, since, end = policy.lifecycle, state.since, term_end(customer, state)
    today, facts = day_of(policy.office, now), _facts(customer, state, now)
    if customer.status != "customer":
        into = behind(customer.merged_into, " into ")
        return TEXTS.conclude(Stage.CLOSED, "stage.no_customer", facts, status=customer.status, into=into)
    if state.lost:
        return TEXTS.conclude(Stage.CLOSED, "stage.lost", facts)
    if since is None or since > today:
        when = f"on {since}, in {counted((since - today).days, 'day')}" if since else "on a day that is not known"
        return TEXTS.conclude(Stage.PROSPECT, "stage.prospect", facts, when=when, days=days.prospect_days)
    if end is not None and today >= days_after(end, -policy.renewal.process_days):
        left = (end - today).days
        later = counted(policy.renewal.process_days - left + 1, "day")
        return TEXTS.conclude(Stage.RENEWING, "stage.renewing", facts, end=end, left=counted(left, "day"), later=later)
    if (tenure := (today - since).days) < days.onboarding_days:
        left = days.onboarding_days - tenure
        return TEXTS.conclude(
            Stage.ONBOARDING, "stage.onboarding", facts, tenure=tenure, days=days.onboarding_days, left=counted(left, "more day")
        )
    return _by_targets(policy, state, facts)


def _by_targets(policy: AccountPolicy, state: AccountState, facts: tuple[Fact, ...]) -> Conclusion[Stage]:
    """Adopting until daily use and seats are at their targets, then nurturing. An unknown moves nobody."""
    targets, standing = policy.lifecycle, state.standing
    usage, seats = (standing.usage_score, standing.mau_seats) if standing else (None, None)
    if usage is None or seats is None:
        return TEXTS.conclude(Stage(state.rests_in), "stage.unknown", facts)
    wanted = TEXTS("use", usage=targets.adopted_usage_score, between=" and ", seats=targets.adopted_mau_seats)
    shown = TEXTS("use", usage=usage, between=", ", seats=seats)
    if usage >= targets.adopted_usage_score and seats >= targets.adopted_mau_seats:
        return TEXTS.conclude(Stage.NURTURING, "stage.nurturing", facts, shown=shown, wanted=wanted)
    if state.stage is Stage.NURTURING and targets.below_targets == "stay":
        return TEXTS.conclude(Stage.NURTURING, "stage.stays", facts, shown=shown)
    return TEXTS.conclude(Stage.ADOPTING, "stage.adopting", facts, shown=shown, wanted=wanted)


@replayable("onboarding goal", "D9, C05")
def goal(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion[Goal] | None:
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
    facts, by_day = _facts(customer, state, now), figures.goal_after_implementation_days
    outcome = Goal.HIT if reached else Goal.MISSED
    return TEXTS.conclude(outcome, "goal", facts, share=share, days=days, goal=figures.goal_mau_seats, by_day=by_day, missing=missing)


@replayable("renewal", "D25, C10")
def renewal(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion[Beginning]:
    """Whether the renewal of this term begins (D25, C10). Never twice for one term."""
    return _renewal(policy, customer, state, now)


@replayable("renewal", "D25, C10")
def begun_by_hand(policy: AccountPolicy, customer: Customer, state: AccountState, by: str, now: datetime) -> Conclusion[Beginning]:
    """A person begins the renewal of this term."""
    return _renewal(policy, customer, state, now, by)


def _renewal(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime, by: str = "") -> Conclusion[Beginning]:
    """Whether it begins; by hand it does."""
    end, early = to_renew(policy, customer, state), policy.renewal.early_review_days
    hand, facts = f"{by} began it by hand. " if by else "", _facts(customer, state, now)

    def concluded(outcome: Beginning, **said: Any) -> Conclusion[Beginning]:
        return TEXTS.conclude(Beginning.START if by else outcome, f"renewal.{outcome}", facts, by=by, hand=hand, **said)

    if end is None or customer.status != "customer" or state.lost:
        return concluded(Beginning.NONE)
    if state.renewal and state.renewal_on == end:
        return concluded(Beginning.OPEN, renewal=state.renewal)
    left = (end - day_of(policy.office, now)).days
    if left > early:
        return concluded(Beginning.WAIT, end=end, left=counted(left, "day"), early=early, earlier=counted(left - early, "day"))
    return concluded(Beginning.START, end=end, left=counted(left, "day"), later=counted(early - left + 1, "day"))


@replayable("renewal date", "I")
def moved(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> Conclusion[NewDate] | None:
    """What another renewal date in the CRM means (gap 9): the term ``moved``, or the ``next`` term is there already; None when it is the same.

    A date at least a whole term later is the next term: its own renewal begins in time. Any other is the same term's.
    """
    end, before = crm_end(customer, state), state.term_end
    if end is None or before is None or end == before or before in state.settled:
        return None
    first = _next_term(policy, before)
    outcome = NewDate.NEXT if end >= first else NewDate.MOVED
    return TEXTS.conclude(outcome, f"moved.{outcome}", _facts(customer, state, now), before=before, end=end, first=first)


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
    standing = state.standing
    days = {"customer since": state.since, "renewal date": term_end(customer, state), "deployed on": customer.deployed_on}
    usage, seats = (standing.usage_score, standing.mau_seats) if standing else (None, None)
    return (
        *known("Salesforce", customer.as_of, {"status": customer.status, **days}),
        *known("warehouse", standing.as_of if standing else now, {"usage score": usage, "MAU/seats": seats}),
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
