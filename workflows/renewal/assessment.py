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


async def assess(r: RenewalProcess) -> None:
    """Assess, review, agree. It waits for people only until the renewal must be processed: then it goes on unrated."""
    s = r.state
    if "assessment" in s.done:
        return
    await r.wait_for(lambda: False, until="assessment", summary="the health assessment")
    await r.look()
    r.enter(Phase.ASSESSMENT)
    s.ta = s.ae = s.assessed_at = None
    missing = await _filled_in(r) or await _reviewed(r)
    if missing:
        for kind in KINDS:
            r.desk.withdraw(kind, "the renewal must be processed")
        r.say("unrated", r.record(decisions.unrated(r.policy, missing, workflow.now())).rule, Role.TA_MANAGER, Role.AE_MANAGER)
        r.do(r.assessment(), *r.project_done("the renewal must be processed"))
    r.over_with("assessment")


def by_hand(r: RenewalProcess, message: AssessRenewal) -> str:
    """D27: a manager's own rating; while the assessment is going on, it settles that."""
    s = r.state
    decision = r.record(decisions.by_hand(r.policy, message, s.standing, workflow.now()))
    if s.phase is Phase.ASSESSMENT:
        for kind in KINDS:
            r.desk.withdraw(kind, f"rated by hand by {message.by}")
        _agree(r, message.rating, decision)
    else:
        r.rated(message.rating, decision)
    return f"rated {message.rating}" + (": it enters Lighthouse" if s.entering else "")


async def _filled_in(r: RenewalProcess) -> str:
    """TA and AE side by side; returns whoever did not answer in time."""
    s = r.state
    r.do(r.assessment())
    ta, ae = r.open(_ta(r), _ae(r))
    answered = await r.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the assessment by TA and AE")
    s.ta = said_by_ta(ta.answer) if ta.answer else None
    s.ae = _said_by_ae(ae.answer) if ae.answer else None
    return "" if answered else _silent(ta, ae)


async def _reviewed(r: RenewalProcess) -> str:
    """Both managers side by side, and who settles it when they differ; returns whoever did not answer in time."""
    s = r.state
    if s.assessed_at is not None:
        return ""  # rated by hand meanwhile
    r.do(r.assessment())
    ta, ae = r.open(_review(r, TaskKind.REVIEW_TA, Role.TA_MANAGER), _review(r, TaskKind.REVIEW_AE, Role.AE_MANAGER))
    if not await r.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the review by both managers"):
        return _silent(ta, ae)
    if ta.answer is None or ae.answer is None:
        return ""
    decision = r.record(decisions.agreed(r.policy, s, ta.answer, ae.answer, workflow.now()))
    if decision.outcome == "disagreement":
        [task] = r.open(_settle(r, ta.answer, ae.answer))
        if not await r.wait_for(lambda: not task.is_open, until="processing", summary=task.spec.title):
            return _silent(task)
        if task.answer is None:
            return ""
        decision = r.record(decisions.settled(r.policy, decision, task.answer, workflow.now()))
    _agree(r, decision.outcome, decision)  # type: ignore[arg-type]  # the choices are the ratings
    return ""


def _agree(r: RenewalProcess, rating: Rating, decision: Decision) -> None:
    r.state.assessed_at, r.state.rating = workflow.now(), rating
    r.rated(rating, decision, r.assessment(), *r.project_done("the renewal is rated"))


def _silent(*tasks: Task) -> str:
    return " and ".join(task.spec.assignee or task.spec.role.value for task in tasks if task.is_open)


def _said_by_ae(answer: Answer) -> Assessment:
    given = {"by": answer.by, "at": workflow.now(), "rating": answer.choice, **answer.checks}
    return Assessment.model_validate(
        {**given, "risk": str(answer.fields["risk"]).strip(), "outcome": str(answer.fields["outcome"]).strip()}
    )


# --- what is asked -------------------------------------------------------------------------------------------------------------------


def _asks(r: RenewalProcess, what: str) -> str:
    s = r.state
    early = decisions.fresh(r.policy, s.early, workflow.now())
    before = f" The early assessment of {early.at:%d %B} said {early.rating}: {early.risk}." if early else ""
    return f"It renews on {s.renewal_on}. Health: {documents.health(s.standing)}.{before} {what}"


def _ta(r: RenewalProcess) -> TaskSpec:
    asks = _asks(r, "Rate it, and name the technical risk.")
    return r.spec(
        TaskKind.ASSESS_TA, "renewal health assessment (TA)", asks, Role.TA, ratings(TA_FIELDS), r.policy.renewal.assessment_hours
    )


def _ae(r: RenewalProcess) -> TaskSpec:
    outcomes = ", ".join(decisions.planned(r.policy))
    fields = (
        FieldSpec(name="risk", asks="the business and relationship risk"),
        FieldSpec(name="outcome", asks=f"the outcome that you project: {outcomes}"),
    )
    asks = _asks(r, "Rate it, name the business and relationship risk, and project the outcome.")
    choices, hours = ratings(fields, every_check=True), r.policy.renewal.assessment_hours
    return r.spec(TaskKind.ASSESS_AE, "renewal health assessment (AE)", asks, Role.AE, choices, hours, checks=CHECKS)


def _review(r: RenewalProcess, kind: str, role: Role) -> TaskSpec:
    s = r.state
    said = " ".join(f"The {who} says {each.rating}: {each.risk}." for who, each in (("TA", s.ta), ("AE", s.ae)) if each)
    asks = f"Review the health assessment in Vitally, and rate the renewal. {said}"
    choices = ratings(label="Approve as {rating}")
    return r.spec(kind, "review of the health assessment", asks, role, choices, r.policy.renewal.review_hours)


def _settle(r: RenewalProcess, ta: Answer, ae: Answer) -> TaskSpec:
    role = Role.TS_LEADERSHIP if r.team.ts_leader or not r.team.sales_leader else Role.SALES_LEADERSHIP
    opinions = "; ".join(f"the {who} manager says {each.choice} ({each.note or 'no note'})" for who, each in (("TA", ta), ("AE", ae)))
    asks = f"The managers do not agree: {opinions}. Your word settles it."
    return r.spec(TaskKind.SETTLE, "settle the renewal's rating", asks, role, ratings(), r.policy.renewal.settle_hours)
