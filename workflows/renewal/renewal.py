"""A renewal, from half a year ahead to its processed end (handbook D25–D30, 4.5, 4.6).

One workflow for each account and renewal date. At 180 days a yellow or red account is flagged and assessed early. At 120 days TA and AE
fill in the health assessment, both managers review it and agree on a rating; what is at risk enters Lighthouse, beside plan and
forecast. The AE projects the outcome and keeps it up week by week, until they process the renewal: renewed, with a key on the existing
subscription, or lost. The date may move at any time, and the account may be gone before.
"""

from temporalio import workflow

from domain.account.account import PlanReviewed
from domain.people import Role
from domain.renewal import commands, decisions, refusals
from domain.renewal.commands import CancelRenewal, MoveRenewal
from domain.renewal.state import End, Key, Phase, RenewalInput, RenewalResult, falls_due
from domain.task import Answer, Task, TaskKind
from workflows.frame import handlers
from workflows.frame.handlers import hears, taken
from workflows.frame.workflow_with_tasks import WorkflowWithTasks
from workflows.renewal import assessment, forecast, lighthouse, processing
from workflows.renewal.process import BeginsAnew, Cancelled, RenewalProcess

#: The moments that come again when the date moves away from them; a finding (review, assessment) is repeated only once it is stale.
AGAIN: tuple[Key, ...] = ("value_engineering", "processing", "term_end")

#: Who moves a renewal when the CRM's date has moved: the account, which knows it then.
BY_CRM = "Salesforce"


# --- gap 9: its date moves, or there is nothing to renew any more. What lies in the past happens at once, and stale findings are dropped ---


def _move(renewal: RenewalProcess, message: MoveRenewal) -> str:
    """The term ends on another day; an extension of the old one is void."""
    state, now = renewal.state, workflow.now()
    decision = renewal.record(decisions.moved(renewal.policy, state, message, now))
    state.renewal_on, state.extension_days = message.renewal_on, 0
    state.done = [key for key in state.done if key not in AGAIN or falls_due(renewal.policy, state, key).at <= now]
    if decision.outcome == decisions.Change.BEGINS_ANEW:
        _forget(renewal, decision.rule)
    renewal.crm("moved", {"CloseDate": state.renewal_on.isoformat()})
    if message.by != BY_CRM:
        renewal.spawn(renewal.runs())
    renewal.say("moved", f"The renewal moves: {decision.rule}", Role.AE, Role.TA)
    return f"moved to {state.renewal_on}: {decision.outcome}"


def _forget(renewal: RenewalProcess, why: str) -> None:
    """What was found would be stale by the new date. The rating stays until there is another, and so does Lighthouse."""
    state = renewal.state
    state.done, state.planned, state.told_value_engineering, state.anew = [], False, False, True
    state.ta = state.ae = state.assessed_at = state.projection = state.ta_projection = None
    state.odd = ""
    renewal.tasks.withdraw((TaskKind.EARLY_REVIEW, *assessment.KINDS, TaskKind.PLAN, TaskKind.PROCESS), why)
    if done := renewal.project_done("the renewal's date has moved"):
        renewal.do(*done)
    renewal.enter(Phase.UPCOMING)


def _cancel(renewal: RenewalProcess, message: CancelRenewal) -> str:
    """Nothing is left to renew: from this moment on nothing is asked any more."""
    decision = renewal.record(decisions.cancelled(renewal.policy, message, workflow.now()))
    renewal.state.cancel, renewal.state.why_cancelled = message, decision.rule
    renewal.nothing_more(decision.rule)
    return f"cancelled: {message.why}"


def _cancelled(renewal: RenewalProcess) -> End:
    """A churn before the term's end closes the opportunity as lost; of a merger it keeps a note, since the other account goes on with it."""
    state = renewal.state
    lost = state.cancel is not None and state.cancel.why == "churned_early"
    if lost:
        state.actual_outcome, state.actual_arr = "full_churn", 0
    closed = {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn"} if lost else {}
    renewal.crm("cancelled", {**closed, "Description": state.why_cancelled})
    renewal.say("cancelled", f"Cancelled. {state.why_cancelled}", Role.AE, Role.TA)
    if done := renewal.project_done("the renewal is cancelled"):
        renewal.do(*done)
    renewal.enter(Phase.CANCELLED)
    return "cancelled"


@workflow.defn
class Renewal(WorkflowWithTasks[RenewalProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: RenewalInput) -> None:
        self._begin(RenewalProcess(input))

    @workflow.run
    async def run(self, input: RenewalInput) -> RenewalResult:
        """Review early, assess, plan, forecast, process; again from the start when the date moves that far."""
        renewal, state = self.process, self.process.state
        await assessment.begin(renewal)
        renewal.spawn(lighthouse.watch(renewal))
        while state.end is None:
            try:
                await assessment.review_early(renewal)
                await assessment.assess(renewal)
                await forecast.plan(renewal)
                await forecast.keep(renewal)
                state.end = await processing.process(renewal)
            except BeginsAnew:
                continue
            except Cancelled:
                state.end = _cancelled(renewal)
        await processing.report(renewal)
        await renewal.settle()
        return RenewalResult(domain=input.customer.domain, rating=state.rating, outcome=state.actual_outcome, end=state.end)

    # --- a person decides: what refuses each, and what it does; each may be signalled, too ---------------------------------------------

    forecast = taken(
        commands.FORECAST, forecast.project, lambda renewal, said: renewal.why_not(refusals.refuse_forecast, renewal.customer.arr, said)
    )
    assess = taken(commands.ASSESS, assessment.by_hand, lambda renewal, said: renewal.why_not(refusals.refuse_assess, said, workflow.now()))
    move = taken(commands.MOVE, _move, lambda renewal, said: renewal.why_not(refusals.refuse_move, said, workflow.now()))
    cancel = taken(commands.CANCEL, _cancel, lambda renewal, _: refusals.refuse_cancel(renewal.state))

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        return self.process.why_not(refusals.refuse_answer, self.process.customer.arr, task.spec.kind, answer)

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.PROCESS and task.answer:
            processing.take(self.process, task.answer)

    @hears(PlanReviewed)
    def plan_reviewed(self, message: PlanReviewed) -> None:
        """The leadership inspected the get-well plan (D27, C34)."""
        handlers.refuse(lighthouse.inspected(self.process, message))
