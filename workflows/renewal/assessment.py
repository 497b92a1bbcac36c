"""D26: the renewal health assessment. TA and AE fill it in, both managers review it, and one person settles what they do not agree on."""

from __future__ import annotations

from temporalio import workflow

from domain.account.account import Rating
from domain.decision import Decision
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.commands import AssessRenewal
from domain.renewal.state import Assessment, Phase
from domain.task import Answer, Check, FieldSpec, Task, TaskKind, TaskSpec
from workflows.renewal.early_review import TA_FIELDS, ratings, said_by_ta
from workflows.renewal.process import RenewalProcess

#: The tasks of this phase.
KINDS = (TaskKind.ASSESS_TA, TaskKind.ASSESS_AE, TaskKind.REVIEW_TA, TaskKind.REVIEW_AE, TaskKind.SETTLE)
CHECKS = (
    Check(name="champion", question="Is there an active champion?"),
    Check(name="buyer_access", question="Is there access to the buyer?"),
)


async def assess(renewal: RenewalProcess) -> None:
    """Assess, review, agree. It waits for people only until the renewal must be processed: then it goes on unrated."""
    state = renewal.state
    if "assessment" in state.done:
        return
    await renewal.wait_for(lambda: False, until="assessment", summary="the health assessment")
    await renewal.look()
    renewal.enter(Phase.ASSESSMENT)
    state.ta = state.ae = state.assessed_at = None
    missing = await _filled_in(renewal) or await _reviewed(renewal)
    if missing:
        for kind in KINDS:
            renewal.tasks.withdraw(kind, "the renewal must be processed")
        renewal.say(
            "unrated", renewal.record(decisions.unrated(renewal.policy, missing, workflow.now())).rule, Role.TA_MANAGER, Role.AE_MANAGER
        )
        renewal.do(renewal.assessment(), *renewal.project_done("the renewal must be processed"))
    renewal.over_with("assessment")


def by_hand(renewal: RenewalProcess, message: AssessRenewal) -> str:
    """D27: a manager's own rating; while the assessment is going on, it settles that."""
    state = renewal.state
    decision = renewal.record(decisions.by_hand(renewal.policy, message, state.standing, workflow.now()))
    if state.phase is Phase.ASSESSMENT:
        for kind in KINDS:
            renewal.tasks.withdraw(kind, f"rated by hand by {message.by}")
        _agree(renewal, message.rating, decision)
    else:
        renewal.rated(message.rating, decision)
    return f"rated {message.rating}" + (": it enters Lighthouse" if state.entering else "")


async def _filled_in(renewal: RenewalProcess) -> str:
    """TA and AE side by side; returns whoever did not answer in time."""
    state = renewal.state
    renewal.do(renewal.assessment())
    ta, ae = renewal.open(_ta(renewal), _ae(renewal))
    answered = await renewal.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the assessment by TA and AE")
    state.ta = said_by_ta(ta.answer) if ta.answer else None
    state.ae = _said_by_ae(ae.answer) if ae.answer else None
    return "" if answered else _silent(ta, ae)


async def _reviewed(renewal: RenewalProcess) -> str:
    """Both managers side by side, and who settles it when they differ; returns whoever did not answer in time."""
    state = renewal.state
    if state.assessed_at is not None:
        return ""  # rated by hand meanwhile
    renewal.do(renewal.assessment())
    ta, ae = renewal.open(_review(renewal, TaskKind.REVIEW_TA, Role.TA_MANAGER), _review(renewal, TaskKind.REVIEW_AE, Role.AE_MANAGER))
    if not await renewal.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the review by both managers"):
        return _silent(ta, ae)
    if ta.answer is None or ae.answer is None:
        return ""
    decision = renewal.record(decisions.agreed(renewal.policy, state, ta.answer, ae.answer, workflow.now()))
    if decision.outcome == decisions.Rated.DISAGREEMENT:
        [task] = renewal.open(_settle(renewal, ta.answer, ae.answer))
        if not await renewal.wait_for(lambda: not task.is_open, until="processing", summary=task.spec.title):
            return _silent(task)
        if task.answer is None:
            return ""
        decision = renewal.record(decisions.settled(renewal.policy, decision.facts, task.answer, workflow.now()))
    _agree(renewal, decision.outcome, decision)  # type: ignore[arg-type]  # the choices are the ratings
    return ""


def _agree(renewal: RenewalProcess, rating: Rating, decision: Decision) -> None:
    renewal.state.assessed_at, renewal.state.rating = workflow.now(), rating
    renewal.rated(rating, decision, renewal.assessment(), *renewal.project_done("the renewal is rated"))


def _silent(*tasks: Task) -> str:
    return " and ".join(task.spec.assignee or task.spec.role.value for task in tasks if task.is_open)


def _said_by_ae(answer: Answer) -> Assessment:
    given = {"by": answer.by, "at": workflow.now(), "rating": answer.choice, **answer.checks}
    return Assessment.model_validate(
        {**given, "risk": str(answer.fields["risk"]).strip(), "outcome": str(answer.fields["outcome"]).strip()}
    )


# --- what is asked -------------------------------------------------------------------------------------------------------------------


def _asks(renewal: RenewalProcess, what: str) -> str:
    state = renewal.state
    early = decisions.fresh(renewal.policy, state.early, workflow.now())
    before = f" The early assessment of {early.at:%d %B} said {early.rating}: {early.risk}." if early else ""
    return f"It renews on {state.renewal_on}. Health: {documents.health(state.standing)}.{before} {what}"


def _ta(renewal: RenewalProcess) -> TaskSpec:
    asks = _asks(renewal, "Rate it, and name the technical risk.")
    return renewal.spec(
        TaskKind.ASSESS_TA, "renewal health assessment (TA)", asks, Role.TA, ratings(TA_FIELDS), renewal.policy.renewal.assessment_hours
    )


def _ae(renewal: RenewalProcess) -> TaskSpec:
    outcomes = ", ".join(decisions.planned(renewal.policy))
    fields = (
        FieldSpec(name="risk", asks="the business and relationship risk"),
        FieldSpec(name="outcome", asks=f"the outcome that you project: {outcomes}"),
    )
    asks = _asks(renewal, "Rate it, name the business and relationship risk, and project the outcome.")
    choices, hours = ratings(fields, every_check=True), renewal.policy.renewal.assessment_hours
    return renewal.spec(TaskKind.ASSESS_AE, "renewal health assessment (AE)", asks, Role.AE, choices, hours, checks=CHECKS)


def _review(renewal: RenewalProcess, kind: str, role: Role) -> TaskSpec:
    state = renewal.state
    said = " ".join(f"The {who} says {each.rating}: {each.risk}." for who, each in (("TA", state.ta), ("AE", state.ae)) if each)
    asks = f"Review the health assessment in Vitally, and rate the renewal. {said}"
    choices = ratings(label="Approve as {rating}")
    return renewal.spec(kind, "review of the health assessment", asks, role, choices, renewal.policy.renewal.review_hours)


def _settle(renewal: RenewalProcess, ta: Answer, ae: Answer) -> TaskSpec:
    role = Role.TS_LEADERSHIP if renewal.team.ts_leader or not renewal.team.sales_leader else Role.SALES_LEADERSHIP
    opinions = "; ".join(f"the {who} manager says {each.choice} ({each.note or 'no note'})" for who, each in (("TA", ta), ("AE", ae)))
    asks = f"The managers do not agree: {opinions}. Your word settles it."
    return renewal.spec(TaskKind.SETTLE, "settle the renewal's rating", asks, role, ratings(), renewal.policy.renewal.settle_hours)
