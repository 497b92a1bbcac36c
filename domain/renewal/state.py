"""What a renewal is (D25–D30): its phases, what falls due when, the messages that it takes, and everything it remembers in one model.

Dates are days; a moment is the opening of the office on its day. Amounts are whole dollars a year.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from domain.account.account import CustomerInput, HealthSnapshot, Outcome, PlanReviewed, Rating, RenewalFigures
from domain.base import Message, Value
from domain.calendar import Due, days_after, hours_of
from domain.policy import AccountPolicy
from domain.renewal.commands import CancelRenewal
from domain.views import ProcessState, ProcessStatus

End = Literal["renewed", "churned", "cancelled"]
Key = Literal["early_review", "assessment", "value_engineering", "processing", "term_end"]


#: Where a renewal stands. Lighthouse (D27) runs beside plan and forecast, so it is no phase of its own.
Phase = StrEnum("Phase", "UPCOMING EARLY_REVIEW ASSESSMENT PLAN FORECAST PROCESSING CLOSING RENEWED CHURNED CANCELLED")


#: Phases in which an outcome may be projected, and those in which nothing may be changed any more.
PROJECTED = frozenset({Phase.PLAN, Phase.FORECAST, Phase.PROCESSING})
SETTLED = frozenset({Phase.CLOSING, Phase.RENEWED, Phase.CHURNED, Phase.CANCELLED})


class RenewalInput(CustomerInput):
    """How a renewal starts: what is known of the account, and the day its term ends."""

    renewal_on: date
    standing: HealthSnapshot | None = None


class RenewalResult(Message):
    """What became of a renewal."""

    domain: str
    rating: Rating | None
    outcome: Outcome | None
    end: End


class Assessment(Value):
    """What the TA or the AE says of a renewal's health (4.5). ``risk``: technical the TA's, business and relationship the AE's."""

    by: str
    at: datetime
    rating: Rating
    risk: str = ""
    utilization: str = ""
    champion: bool | None = None
    buyer_access: bool | None = None
    outcome: Outcome | None = None


class Projection(Value):
    """What somebody expects, and since when."""

    by: str
    at: datetime
    outcome: Outcome
    amount: int | None = None
    note: str = ""


class SavePlan(Value):
    """The account save plan (4.6): the problem, how success is counted, who does what, and what is asked of others.

    ``agreed_by`` is the AE who reviewed it; empty until then.
    """

    by: str
    at: datetime
    problem: str
    criteria: str
    steps: str
    asks: str = ""
    agreed_by: str = ""


class RenewalState(ProcessState):
    """Everything a renewal remembers. ``done`` is what fell due and is over; ``anew``: the date moved so far that all begins again.

    ``entering``: a rating has just brought it into Lighthouse. ``extension_days`` were granted beyond the term by the deal desk.
    ``project`` is the key of the open Vitally project.
    """

    renewal_on: date
    phase: Phase = Phase.UPCOMING
    standing: HealthSnapshot | None = None
    done: list[Key] = []
    anew: bool = False
    extension_days: int = 0
    project: str = ""
    early: Assessment | None = None
    ta: Assessment | None = None
    ae: Assessment | None = None
    assessed_at: datetime | None = None
    rating: Rating | None = None
    planned: bool = False
    entering: bool = False
    in_lighthouse: bool = False
    save_plan: SavePlan | None = None
    sponsor: str = ""
    reviewed: PlanReviewed | None = None
    told_value_engineering: bool = False
    projection: Projection | None = None
    ta_projection: Projection | None = None
    odd: str = ""
    actual_outcome: Outcome | None = None
    actual_arr: int | None = None
    contract_end: date | None = None
    cancel: CancelRenewal | None = None
    why_cancelled: str = ""
    end: End | None = None

    @property
    def due_on(self) -> date:
        """The day by which it must be processed: the term's end, or that of a granted extension."""
        return days_after(self.renewal_on, self.extension_days)

    @property
    def system_outcome(self) -> Outcome | None:
        """What the rating alone would say (C13)."""
        by_rating: dict[Rating, Outcome] = {"green": "flat", "yellow": "partial_churn", "red": "full_churn"}
        return by_rating[self.rating] if self.rating else None


def falls_due(policy: AccountPolicy, state: RenewalState, key: Key) -> Due:
    """When something of a renewal falls due, by its date as it stands."""
    days, what = {
        "early_review": (policy.renewal.early_review_days, "early review: is it yellow or red?"),
        "assessment": (policy.renewal.process_days, "the health assessment is asked of TA and AE"),
        "value_engineering": (policy.renewal.value_engineering_days, "value engineering is told, if the rating is yellow or red"),
        "processing": (policy.renewal.processing_days, "the AE is asked to process the renewal"),
        "term_end": (0, "the term ends; who has not answered is told"),
    }[key]
    day = days_after(state.due_on if key in ("processing", "term_end") else state.renewal_on, -days)
    return Due(key=key, at=hours_of(policy.office, day)[0], what=what)


def agenda(policy: AccountPolicy, state: RenewalState) -> list[Due]:
    """What is ahead, or due and not done, in the order of time."""
    keys: tuple[Key, ...] = ("early_review", "assessment", "value_engineering", "processing", "term_end")
    return sorted((falls_due(policy, state, key) for key in keys if key not in state.done), key=lambda each: each.at)


class RenewalStatus(RenewalFigures, ProcessStatus):
    """Where a renewal stands. ``end`` is empty while it is open; ``odd`` is what C13 would not expect."""

    due_on: date
    phase: str
    in_lighthouse: bool = False
    success_criteria: str = ""
    sponsor: str = ""
    forecast_by: str = ""
    forecast_at: datetime | None = None
    odd: str = ""
    actual_outcome: Outcome | None = None
    actual_arr: int | None = None
    contract_end: date | None = None
    end: str = ""
    ta: str = ""
