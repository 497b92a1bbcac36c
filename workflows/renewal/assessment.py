"""D25, D26, C10: the renewal health assessment. Half a year ahead a yellow or red account is flagged, and its TA assesses it early; later TA
and AE fill it in, both managers review it, and one person settles what they do not agree on.
"""

from temporalio import workflow

from domain.account.account import Rating
from domain.decision import Decision
from domain.effects.salesforce import KeepRenewal
from domain.markup import code
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.commands import AssessRenewal
from domain.renewal.state import Assessment, Phase, falls_due
from domain.task import Answer, Task, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

#: The project's template in Vitally.
TEMPLATE = "Renewal Health Assessment"
#: The tasks of the assessment itself.
KINDS = (TaskKind.ASSESS_TA, TaskKind.ASSESS_AE, TaskKind.REVIEW_TA, TaskKind.REVIEW_AE, TaskKind.SETTLE)
# --- half a year ahead ---------------------------------------------------------------------------------------------------------------


async def begin(renewal: RenewalProcess) -> None:
    """What the ledger knows by now, and the opportunity: the one that people made is adopted, else there is a new one."""
    await renewal.look()
    state, customer, ae = renewal.state, renewal.customer, renewal.team.ae
    opportunity = KeepRenewal(
        key="crm.renewal",
        account=customer.id,
        name=f"{customer.name}: renewal {state.renewal_on}",
        close_on=state.renewal_on,
        amount=customer.arr,
        seats=customer.seats,
        owner=ae.id if ae else "",
    )
    renewal.begin(opportunity)
    renewal.spawn(renewal.runs())


async def review_early(renewal: RenewalProcess) -> None:
    """The early review, unless it is over, or comes so late that the assessment itself is due."""
    state = renewal.state
    if "early_review" in state.done:
        return
    await renewal.wait_for(lambda: False, until="early_review", summary="the early review")
    if workflow.now() >= falls_due(renewal.policy, state, "assessment").at:
        renewal.record(decisions.early_review_skipped(renewal.policy, state, workflow.now()))
        renewal.over_with("early_review")
        return
    await renewal.look()
    decision = renewal.record(decisions.early_review(renewal.policy, state.standing, workflow.now()))
    renewal.over_with("early_review")
    if decision.outcome == decisions.EarlyReview.FLAGGED:
        await _assessed_early(renewal)
    elif decision.outcome == decisions.EarlyReview.UNKNOWN:
        look = f"Find out what is missing: {code(f'tenure health show {renewal.subject}')}."
        renewal.say("unknown", f"{decision.rule} {look}", Role.TA)


async def _assessed_early(renewal: RenewalProcess) -> None:
    """The TA's early assessment; when it does not come, the assessment itself asks the same."""
    state = renewal.state
    renewal.enter(Phase.EARLY_REVIEW)
    project = renewal.opened("early", TEMPLATE, f"{TEMPLATE} {state.renewal_on}")
    state.project = project.key
    renewal.do(project)
    [task] = renewal.open(renewal.spec(TaskKind.EARLY_REVIEW, health=documents.health(state.standing)))
    if await renewal.wait_for(lambda: not task.is_open, until="assessment", summary=task.spec.title) and task.answer:
        state.early = _opinion(task.answer, "utilization")
        renewal.do(renewal.assessment(early=True), *renewal.project_done("the early assessment is complete"))
    renewal.tasks.withdraw(TaskKind.EARLY_REVIEW, "the assessment asks the same")
    renewal.enter(Phase.UPCOMING)


# --- the assessment ------------------------------------------------------------------------------------------------------------------


async def assess(renewal: RenewalProcess) -> None:
    """Assess, review, agree. It waits for people only until the renewal must be processed: then it goes on unrated."""
    state = renewal.state
    if "assessment" in state.done:
        return
    await renewal.wait_for(lambda: False, until="assessment", summary="the health assessment")
    await renewal.look()
    renewal.enter(Phase.ASSESSMENT)
    state.ta = state.ae = state.assessed_at = None
    if missing := await _filled_in(renewal) or await _reviewed(renewal):
        renewal.tasks.withdraw(KINDS, "the renewal must be processed")
        unrated = renewal.record(decisions.unrated(renewal.policy, missing, workflow.now()))
        renewal.say("unrated", unrated.rule, Role.TA_MANAGER, Role.AE_MANAGER)
        renewal.do(renewal.assessment(), *renewal.project_done("the renewal must be processed"))
    renewal.over_with("assessment")


async def _filled_in(renewal: RenewalProcess) -> str:
    """TA and AE side by side; returns whoever did not answer in time."""
    state = renewal.state
    renewal.do(renewal.assessment())
    early = decisions.fresh(renewal.policy, state.early, workflow.now())
    before = f" The early assessment of {early.at:%d %B} said {early.rating}: {early.risk}." if early else ""
    known = f"It renews on {state.renewal_on}. Health: {documents.health(state.standing)}.{before}"
    planned = ", ".join(decisions.planned(renewal.policy))
    kinds = TaskKind.ASSESS_TA, TaskKind.ASSESS_AE
    ta, ae = renewal.open(*(renewal.spec(kind, known=known, planned=planned) for kind in kinds))
    answered = await renewal.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the assessment by TA and AE")
    state.ta = _opinion(ta.answer, "utilization") if ta.answer else None
    state.ae = _opinion(ae.answer, "outcome") if ae.answer else None
    return "" if answered else _silent(ta, ae)


async def _reviewed(renewal: RenewalProcess) -> str:
    """Both managers side by side, and who settles it when they differ; returns whoever did not answer in time."""
    if renewal.state.assessed_at is not None:
        return ""  # rated by hand meanwhile
    renewal.do(renewal.assessment())
    ta, ae = renewal.open(_review(renewal, TaskKind.REVIEW_TA, Role.TA_MANAGER), _review(renewal, TaskKind.REVIEW_AE, Role.AE_MANAGER))
    if not await renewal.wait_for(lambda: not (ta.is_open or ae.is_open), until="processing", summary="the review by both managers"):
        return _silent(ta, ae)
    if ta.answer is None or ae.answer is None:
        return ""
    decision = renewal.record(decisions.agreed(renewal.policy, renewal.state, ta.answer, ae.answer, workflow.now()))
    if decision.outcome == decisions.Rated.DISAGREEMENT:
        role = Role.TS_LEADERSHIP if renewal.team.ts_leader or not renewal.team.sales_leader else Role.SALES_LEADERSHIP
        said = ("TA", ta.answer), ("AE", ae.answer)
        opinions = "; ".join(f"the {who} manager says {each.choice} ({each.note or 'no note'})" for who, each in said)
        [task] = renewal.open(renewal.spec(TaskKind.SETTLE, role=role, opinions=opinions))
        if not await renewal.wait_for(lambda: not task.is_open, until="processing", summary=task.spec.title):
            return _silent(task)
        if task.answer is None:
            return ""
        decision = renewal.record(decisions.settled(renewal.policy, decision.facts, task.answer, workflow.now()))
    _agree(renewal, decision.outcome, decision)  # type: ignore[arg-type]  # the choices are the ratings
    return ""


def _review(renewal: RenewalProcess, kind: TaskKind, role: Role) -> TaskSpec:
    state = renewal.state
    said = " ".join(f"The {who} says {each.rating}: {each.risk}." for who, each in (("TA", state.ta), ("AE", state.ae)) if each)
    return renewal.spec("review_of_assessment", kind=kind, role=role, said=said)


def by_hand(renewal: RenewalProcess, message: AssessRenewal) -> str:
    """D27: a manager's own rating; while the assessment is going on, it settles that."""
    state = renewal.state
    decision = renewal.record(decisions.by_hand(renewal.policy, message, state.standing, workflow.now()))
    if state.phase is Phase.ASSESSMENT:
        renewal.tasks.withdraw(KINDS, f"rated by hand by {message.by}")
        _agree(renewal, message.rating, decision)
    else:
        renewal.rated(message.rating, decision)
    return f"rated {message.rating}" + (": it enters Lighthouse" if state.entering else "")


def _agree(renewal: RenewalProcess, rating: Rating, decision: Decision) -> None:
    renewal.state.assessed_at, renewal.state.rating = workflow.now(), rating
    renewal.rated(rating, decision, renewal.assessment(), *renewal.project_done("the renewal is rated"))


def _opinion(answer: Answer, also: str) -> Assessment:
    """What the TA's, or the AE's, answer means: a rating, the risk, and what else they are asked."""
    said = {name: str(answer.fields[name]).strip() for name in ("risk", also)}
    return Assessment.model_validate({**said, "by": answer.by, "at": workflow.now(), "rating": answer.choice, **answer.checks})


def _silent(*tasks: Task) -> str:
    return " and ".join(task.spec.assignee or task.spec.role.value for task in tasks if task.is_open)
