"""D27, 4.6: Lighthouse, beside plan and forecast: the save plan, the executive sponsor, the inspections, and the one way out.

The TA's weekly update and the leadership's inspection are those of the account's get-well plan, so that an account has each only once
(gap 11, C34); this renewal is one of the plan's reasons, and hears of every inspection.
"""

from temporalio import workflow

from domain.account.account import PlanReviewed
from domain.effects.vitally import KeepDoc
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.state import SavePlan
from domain.task import Task, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

SAVE_PLAN_DOC = "account-save-plan"
VOTES = (TaskKind.EXIT_SALES, TaskKind.EXIT_TS)


async def watch(renewal: RenewalProcess) -> None:
    """Each time that a rating brings the account into the program, until the renewal is over."""
    while await renewal.beside(lambda: renewal.state.entering):
        await _program(renewal)


def inspected(renewal: RenewalProcess, review: PlanReviewed) -> str | None:
    """What an inspection means: criteria that are met are voted on, unmet ones end a vote. Returns why it means nothing."""
    state = renewal.state
    if renewal.over or not state.in_lighthouse:
        return "the account is not in Lighthouse"
    if review.criteria_met and (state.save_plan is None or not state.save_plan.agreed_by):
        return "the save plan, and with it the success criteria, are not agreed yet"
    state.reviewed = review
    if not review.criteria_met:
        renewal.tasks.withdraw(VOTES, "the last inspection found the criteria unmet")
    return None


async def _program(renewal: RenewalProcess) -> None:
    state = renewal.state
    state.entering, state.in_lighthouse = False, True
    state.save_plan, state.sponsor, state.reviewed = None, "", None
    renewal.spawn(renewal.is_reason(True, f"the renewal of {state.renewal_on} is {state.rating}"))
    plan, sponsor = renewal.open(_plan(renewal), renewal.spec(TaskKind.SPONSOR))
    renewal.spawn(_sponsored(renewal, sponsor))
    if await _agreed(renewal, plan):
        while await renewal.beside(lambda: state.reviewed is not None and state.reviewed.criteria_met):
            if await _left(renewal):
                return


async def _agreed(renewal: RenewalProcess, task: Task) -> bool:
    """The TA's save plan, reviewed by the AE at once, until they agree; False when the renewal is over."""
    state = renewal.state
    while answer := await renewal.answer_beside(task):
        fields = {name: str(value).strip() for name, value in answer.fields.items() if value is not None}
        state.save_plan = SavePlan.model_validate({**fields, "by": answer.by, "at": workflow.now()})
        renewal.do(_document(renewal, state.save_plan))
        written = " ".join(f"{line}." for line in documents.save_plan(state.save_plan, state.sponsor)[:4])
        [review] = renewal.open(renewal.spec(TaskKind.REVIEW_PLAN, plan=written))
        verdict = await renewal.answer_beside(review)
        if verdict is None:
            return False
        if verdict.choice == "agreed":
            state.save_plan = state.save_plan.model_copy(update={"agreed_by": verdict.by})
            return True
        [task] = renewal.open(_plan(renewal, verdict.note))
    return False


async def _sponsored(renewal: RenewalProcess, task: Task) -> None:
    state = renewal.state
    if answer := await renewal.answer_beside(task):
        state.sponsor = str(answer.fields["sponsor"])
        renewal.say("sponsor", f"Executive sponsor: {state.sponsor}.", Role.TA, Role.AE)
        if state.save_plan:
            renewal.do(_document(renewal, state.save_plan))


async def _left(renewal: RenewalProcess) -> bool:
    """The vote. Only with the criteria met, and with both leaderships' yes, does it leave; else the next inspection may ask again."""
    state = renewal.state
    if state.save_plan is None or state.reviewed is None:
        return False
    sales, ts = renewal.open(
        _vote(renewal, TaskKind.EXIT_SALES, Role.SALES_LEADERSHIP, state.reviewed),
        _vote(renewal, TaskKind.EXIT_TS, Role.TS_LEADERSHIP, state.reviewed),
    )
    if not await renewal.beside(lambda: not (sales.is_open or ts.is_open) or _stays(sales) or _stays(ts)):
        return True
    renewal.tasks.withdraw(VOTES, "the other leadership said that it stays")
    decision = renewal.record(decisions.exits(renewal.policy, state.save_plan, state.reviewed, sales.answer, ts.answer, workflow.now()))
    state.reviewed = None
    if decision.outcome == decisions.Membership.STAYS_IN:
        renewal.say("stays", f"Lighthouse: {decision.rule}", Role.TA, Role.AE)
        return False
    state.in_lighthouse = False
    renewal.rated(decision.outcome, decision, enters=False)  # type: ignore[arg-type]  # the votes name a rating
    renewal.spawn(renewal.is_reason(False, "it left Lighthouse: its success criteria are met"))
    return True


def _stays(vote: Task) -> bool:
    return vote.answer is not None and vote.answer.choice == "stay"


# --- what is asked, and written ------------------------------------------------------------------------------------------------------


def _document(renewal: RenewalProcess, plan: SavePlan) -> KeepDoc:
    lines = documents.save_plan(plan, renewal.state.sponsor)
    return renewal.document("save_plan", SAVE_PLAN_DOC, f"Account save plan: {renewal.customer.name}", lines)


def _plan(renewal: RenewalProcess, wrong: str = "") -> TaskSpec:
    return renewal.spec(TaskKind.SAVE_PLAN, again=f" The AE asks for changes: {wrong}" if wrong else "")


def _vote(renewal: RenewalProcess, kind: str, role: Role, review: PlanReviewed) -> TaskSpec:
    plan = renewal.state.save_plan
    found = f" {review.by or 'The inspection'}: {review.note}" if review.note else ""
    return renewal.spec("exit", kind=kind, role=role, criteria=plan.criteria if plan else "", found=found)
