"""Get-well plans (D15–D17, C06, gap 11): one plan for an account, whatever its reasons; what starts one, what it asks, and when."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Literal

from pydantic.fields import FieldInfo

from domain.account.account import Customer, CustomerInput, CustomerStatus, HealthSnapshot, PlanReason, Reason
from domain.account.commands import PlanText
from domain.base import Value
from domain.calendar import Due, day_of
from domain.decision import Conclusion, known, replayable
from domain.markup import counted
from domain.policy import AccountPolicy
from domain.task import Answer, FieldSpec, TaskKind
from domain.views import ProcessState
from domain.wording import Wording, behind

TEXTS = Wording(__file__)

Track = Literal["on_track", "at_risk", "off_track"]


#: What MAU/seats says. ``LOW`` and ``DECREASED`` are reasons of a plan.
Utilization = StrEnum(
    "Utilization",
    {"LOW": "low_utilization", "DECREASED": "decreased_usage", "AT_TARGET": "at_target", "ONBOARDING": "onboarding", "UNKNOWN": "unknown"},
)
#: Whether a plan runs.
Plan = StrEnum("Plan", "OPEN ENDED")
#: What the leadership says of a plan (D16, D17).
Review = StrEnum("Review", "CONTINUE ESCALATE CRITERIA_MET")


def _question(name: str, field: FieldInfo) -> FieldSpec:
    asks = field.description or ""
    return FieldSpec(name=name, asks=(asks[:1].lower() + asks[1:]).removesuffix("."))


#: The six questions of a plan (handbook 4.4), and what a low utilization needs besides: "Account - Context on Low Utilization" (D17).
_ALL = tuple(_question(name, field) for name, field in PlanText.model_fields.items() if name != "by")
QUESTIONS, CONTEXT = _ALL[:-1], _ALL[-1]


#: A plan's project, and the project of its reason in Vitally; of the latter one is open at a time (C06).
PLAN_PROJECT = "Get Well Plan"
REASON_PROJECTS: dict[Reason, str] = {"low_utilization": "Low Utilization", "decreased_usage": "Decreased Usage"}

WORDS: dict[Reason, str] = {
    "low_utilization": "low utilization",
    "decreased_usage": "decreased usage",
    "renewal": "a renewal at risk",
    "red_account": "a red account",
}


class PlanUpdate(Value):
    """The TA's weekly word."""

    at: datetime
    by: str
    status: Track
    progress: str
    blockers: str = ""
    next: str = ""


class PlanReview(Value):
    """The leadership's word, every other week."""

    at: datetime
    by: str
    outcome: str
    note: str = ""


class GetWellState(ProcessState):
    """Everything that a plan remembers. ``projects`` are the open ones: the key of their act by template."""

    reasons: dict[Reason, PlanReason] = {}
    standing: HealthSnapshot | None = None
    fields: dict[str, str] = {}
    planned_at: datetime | None = None
    update_at: datetime | None = None
    review_at: datetime | None = None
    updates: list[PlanUpdate] = []
    reviews: list[PlanReview] = []
    projects: dict[str, str] = {}
    why_ended: str = ""


class GetWellInput(CustomerInput):
    """How a plan starts; ``state`` is the one of the run before, when it is continued."""

    reasons: tuple[PlanReason, ...] = ()
    state: GetWellState | None = None


class PlanStatus(CustomerStatus):
    """Where a plan stands."""

    reasons: dict[Reason, str] = {}
    planned_at: datetime | None = None
    fields: dict[str, str] = {}
    updates: tuple[PlanUpdate, ...] = ()
    reviews: tuple[PlanReview, ...] = ()


# --- what starts and ends one ------------------------------------------------------------------------------------------------------


@replayable("utilization", "C06")
def utilization(policy: AccountPolicy, since: date | None, standing: HealthSnapshot | None, now: datetime) -> Conclusion[Utilization]:
    """Whether MAU/seats asks for a plan (C05, C06).

    ``since`` is the day on which they became a customer. Low utilization never reached the target and is a customer for so many days;
    decreased usage was there in an earlier month. An unknown changes nothing.
    """
    target, days = policy.get_well.target_mau_seats, policy.get_well.low_utilization_tenure_days
    share = standing.mau_seats if standing else None
    tenure = (day_of(policy.office, now) - since).days if since else None
    at = standing.as_of if standing else now
    reached = {"MAU/seats": share, "target reached before": standing.was_at_target if standing else None}
    facts = (*known("warehouse", at, reached), *known("Salesforce", now, {"customer since": since}))
    if standing is None or share is None:
        return TEXTS.conclude(Utilization.UNKNOWN, "utilization.unknown", facts)
    shown, missing = TEXTS("share", share=share, target=target), TEXTS("missing", share=target - share)
    if share >= target:
        return TEXTS.conclude(Utilization.AT_TARGET, "utilization.at_target", facts, shown=shown, target=target)
    if standing.was_at_target:
        return TEXTS.conclude(Utilization.DECREASED, "utilization.decreased", facts, shown=shown, missing=missing)
    if tenure is None or tenure < days:
        rest = f"a customer for {counted(days - tenure, 'more day')}" if tenure is not None else "the day on which they became a customer"
        return TEXTS.conclude(Utilization.ONBOARDING, "utilization.onboarding", facts, days=days, shown=shown, rest=rest)
    return TEXTS.conclude(Utilization.LOW, "utilization.low", facts, tenure=tenure, shown=shown, missing=missing)


@replayable("plan", "D16")
def opened(policy: AccountPolicy, reasons: dict[Reason, PlanReason], now: datetime) -> Conclusion[Plan]:
    """A plan begins, or gets another reason."""
    each = (known(reason.from_workflow or "account", now, {WORDS[name]: reason.why}) for name, reason in reasons.items())
    return TEXTS.conclude(Plan.OPEN, "opened", tuple(chain.from_iterable(each)), reasons=said(reasons))


@replayable("plan", "D16")
def ended(policy: AccountPolicy, gone: str, now: datetime) -> Conclusion[Plan]:
    """Every reason is gone; ``gone`` says why the last one is."""
    return TEXTS.conclude(Plan.ENDED, "ended", gone=gone)


@replayable("leadership review", "D16, D17")
def reviewed(policy: AccountPolicy, answer: Answer, state: GetWellState, now: datetime) -> Conclusion[Review]:
    """The leadership's review, with the update that it stands on (D16, D17)."""
    last = state.updates[-1] if state.updates else None
    update = known(last.by, last.at, {"last update": last.status}) if last else known("TA (none yet)", now, {"last update": None})
    return TEXTS.conclude(Review(answer.choice), "reviewed", update, by=answer.by, who=answer.by, note=behind(answer.note))


def said(reasons: dict[Reason, PlanReason]) -> str:
    """The reasons in words."""
    return "; ".join(f"{WORDS[name]}{f' ({each.why})' if each.why else ''}" for name, each in reasons.items()) or "none"


# --- what it asks, and when ----------------------------------------------------------------------------------------------------------


def questions(state: GetWellState) -> tuple[FieldSpec, ...]:
    """What the plan must answer: the six questions, and why when the utilization is low (D17)."""
    return (*QUESTIONS, CONTEXT) if "low_utilization" in state.reasons else QUESTIONS


def unanswered(state: GetWellState) -> tuple[FieldSpec, ...]:
    """Which of them have no answer yet."""
    return tuple(question for question in questions(state) if not state.fields.get(question.name))


def projects(reasons: dict[Reason, PlanReason]) -> tuple[str, ...]:
    """The templates of the projects that must be open: the plan's, and one for the utilization (C06)."""
    of_reason = [REASON_PROJECTS[reason] for reason in reasons if reason in REASON_PROJECTS]
    return (PLAN_PROJECT, *of_reason[:1]) if reasons else ()


def agenda(policy: AccountPolicy, state: GetWellState) -> list[Due]:
    """What comes, in order: the TA's update each week, and the leadership's review every other week, which waits for that week's update."""
    moments: list[Due] = []
    if state.update_at:
        moments.append(Due(at=state.update_at, kind="update", what="ask the TA for the weekly update"))
    if state.review_at:
        update = next((task for task in state.tasks if task.is_open and task.spec.kind == TaskKind.UPDATE), None)
        at = max(state.review_at, update.spec.due_at) if update else state.review_at
        moments.append(Due(at=at, kind="review", what="ask the TA's manager for the review"))
    return sorted(moments, key=lambda moment: (moment.at, moment.kind == "review"))


def next_round(start: datetime, days: int, now: datetime) -> datetime:
    """The next moment of a cadence of so many days that is still ahead; rounds that were missed are not made up for."""
    return start + timedelta(days=days) * max((now - start) // timedelta(days=days) + 1, 1)


def document(customer: Customer, state: GetWellState, shown: int) -> tuple[str, ...]:
    """The plan as the document of the account: reasons, answers, and the newest updates and reviews (``shown`` of each)."""
    asked = {question.name: question.asks for question in (*QUESTIONS, CONTEXT)}
    share = state.standing.mau_seats if state.standing else None
    used = f"MAU/seats {share:.0%}" if share is not None else "MAU/seats not known"
    lines = [
        f"{customer.name}: {said(state.reasons)}",
        f"{used}; {customer.seats} seats; renewal on {customer.contract_end or 'a date not known'}",
    ]
    lines += [
        f"{asked[question.name].capitalize()}: {state.fields.get(question.name, 'not answered yet')}" for question in (*questions(state),)
    ]
    for update in reversed(state.updates[-shown:]):
        blocked = f" Blocked: {update.blockers}." if update.blockers else ""
        lines.append(
            f"{update.at:%Y-%m-%d} {update.status.replace('_', ' ')} ({update.by}): {update.progress}.{blocked} Next: {update.next}"
        )
    for review in reversed(state.reviews[-shown:]):
        lines.append(f"{review.at:%Y-%m-%d} review, {review.outcome.replace('_', ' ')} ({review.by}) {review.note}".rstrip())
    return tuple(lines)
