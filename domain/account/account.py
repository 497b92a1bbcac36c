"""A customer's account after the sale: who it is, who looks after it, how it does, and what its processes tell each other.

The key of an account is its registrable domain, as for a trial: people can guess the workflow ids.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from domain.base import Message
from domain.health.types import Band
from domain.people import Person, Role, Team
from domain.policy import CarriedAccountPolicy
from domain.views import ProcessStatus

Rating = Literal["green", "yellow", "red"]
Outcome = Literal["full_churn", "partial_churn", "flat", "incremental"]
Reason = Literal["low_utilization", "decreased_usage", "renewal", "red_account"]


class Customer(Message):
    """What the CRM says of one customer, as the ledger's copy has it (``as_of``). ``arr`` is in whole dollars a year.

    ``contract_end`` is the renewal date. ``subscription`` is the licence server's, on which keys are re-issued. ``health`` is the colour that
    people gave it in the CRM (*Customer Health*, B17): Green, Yellow, Red, or nothing. ``data_errors`` say, by field, what the CRM holds that
    cannot be so: there the value of before stays, or nothing is known (:mod:`domain.plausibility`).
    """

    domain: str
    id: str = ""
    name: str
    segment: str = ""
    arr: int = 0
    seats: int = 0
    contract_start: date | None = None
    contract_end: date | None = None
    deployed_on: date | None = None
    last_activity_on: date | None = None
    subscription: str = ""
    status: Literal["customer", "churned", "merged"] = "customer"
    merged_into: str = ""
    health: str = ""
    data_errors: dict[str, str] = {}
    as_of: datetime


class AccountTeam(Team):
    """Who looks after an account (roles: handbook 1). ``ts_leader`` settles what the two managers do not agree on."""

    ta: Annotated[Person | None, Role.TA] = None
    ae: Annotated[Person | None, Role.AE] = None
    ce: Annotated[Person | None, Role.CE] = None
    ta_manager: Annotated[Person | None, Role.TA_MANAGER] = None
    ae_manager: Annotated[Person | None, Role.AE_MANAGER] = None
    ts_leader: Annotated[Person | None, Role.TS_LEADERSHIP] = None
    sales_leader: Annotated[Person | None, Role.SALES_LEADERSHIP] = None


class CustomerInput(Message):
    """How every process about a customer starts; ``channel`` is where it is talked about. ``cycle`` counts its lives within one chain of runs."""

    customer: Customer
    team: AccountTeam = AccountTeam()
    policy: CarriedAccountPolicy
    channel: str = "renewals"
    cycle: int = 1


class CustomerStatus(ProcessStatus):
    """Where a process about a customer stands."""

    account: str
    name: str
    stage: str


class HealthSnapshot(Message):
    """How an account does, as the last hourly run found it. Shares are 0 to 1; None is not known, and never read as good or bad.

    ``was_at_target``: an earlier month reached the target of MAU/seats (C06). ``declining_months``: how many of the last consecutive months
    each lost at least ``red.decline_share`` of searches and code intelligence (B17). ``hand_red``: it is marked red in Vitally (D31).
    """

    as_of: datetime
    score: float | None = None
    band: Band = "unknown"
    mau_seats: float | None = None
    usage_score: float | None = None
    champion: bool | None = None
    was_at_target: bool = False
    declining_months: int = 0
    reds: tuple[str, ...] = ()
    hand_red: bool = False


class AccountFacts(Message):
    """The signal ``facts``: what changed about an account that its processes must know."""

    customer: Customer
    team: AccountTeam = AccountTeam()
    standing: HealthSnapshot | None = None


class AskAccount(Message):
    """Ask the ledger's copy for an account."""

    domain: str


class AccountView(Message):
    """The ledger's copy of an account; ``customer`` is None for a domain that is no customer's."""

    customer: Customer | None = None
    team: AccountTeam = AccountTeam()
    standing: HealthSnapshot | None = None


class RenewalFigures(Message):
    """A renewal in figures; ``arr`` is in whole dollars a year.

    ``outcome`` is the AE's projection, ``ta_outcome`` the TA's, ``system_outcome`` what the rating alone would say;
    ``amount`` is the ARR that the AE expects after the renewal.
    """

    domain: str
    name: str
    renewal_on: date
    arr: int
    rating: Rating | None = None
    outcome: Outcome | None = None
    ta_outcome: Outcome | None = None
    system_outcome: Outcome | None = None
    amount: int | None = None
    ae: str = ""


class RenewalRow(RenewalFigures):
    """A renewal as the forecast and the lists read it: the read model's row, replaced whole at each change.

    ``status`` is ``open`` until the renewal has ended.
    """

    workflow: str
    phase: str
    ta: str = ""
    status: Literal["open", "renewed", "churned", "cancelled"] = "open"
    actual_outcome: Outcome | None = None
    actual_arr: int | None = None
    forecast_at: datetime | None = None
    updated_at: datetime


class RenewalRuns(Message):
    """The signal ``renewal_runs`` to the account: a renewal has begun, or was moved by a person, and is on that day."""

    workflow: str
    renewal_on: date


class RenewalEnded(Message):
    """The signal ``renewal_ended`` to the account: what became of a renewal, and until when the next term runs."""

    workflow: str
    outcome: Outcome | None = None
    cancelled: str = ""
    contract_end: date | None = None
    arr: int | None = None


class PlanReason(Message):
    """The signal ``reason`` to a get-well plan: a reason came (``on``) or is gone. ``from_workflow`` is told of each leadership review."""

    reason: Reason
    on: bool
    why: str = ""
    from_workflow: str = ""


class PlanReviewed(Message):
    """The signal ``plan_reviewed`` to a renewal: what the leadership's review of the plan said."""

    criteria_met: bool
    note: str = ""
    by: str = ""


class PlanEnded(Message):
    """The signal ``plan_ended`` to the account."""

    workflow: str
    why: str = ""


class RedEnded(Message):
    """The signal ``red_ended`` to the account: promoted to ``to``, or the account is gone."""

    workflow: str
    to: Literal["yellow", "green", "churned"]
