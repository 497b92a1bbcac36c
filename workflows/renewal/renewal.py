"""A renewal, from half a year ahead to its processed end (handbook D25–D30, 4.5, 4.6).

One workflow for each account and renewal date. At 180 days a yellow or red account is flagged and assessed early. At 120 days TA and AE
fill in the health assessment, both managers review it and agree on a rating; what is at risk enters Lighthouse, beside plan and
forecast. The AE projects the outcome and keeps it up week by week, until they process the renewal: renewed, with a key on the existing
subscription, or lost. The date may move at any time, and the account may be gone before.
"""

from __future__ import annotations

from temporalio import workflow

from domain.account.account import PlanReviewed
from domain.renewal import commands, refusals
from domain.renewal.state import RenewalInput, RenewalResult
from domain.task import Answer, Task, TaskKind
from workflows.frame import handlers
from workflows.frame.handlers import hears, taken
from workflows.frame.workflow_with_tasks import WorkflowWithTasks
from workflows.renewal import assessment, changes, forecast, lighthouse, processing
from workflows.renewal.process import BeginsAnew, Cancelled, RenewalProcess


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
                state.end = changes.cancelled(renewal)
        await processing.report(renewal)
        await renewal.settle()
        return RenewalResult(domain=input.customer.domain, rating=state.rating, outcome=state.actual_outcome, end=state.end)

    # --- a person decides: what refuses each, and what it does; each may be signalled, too ---------------------------------------------

    forecast = taken(
        commands.FORECAST, forecast.project, lambda renewal, said: renewal.why_not(refusals.refuse_forecast, renewal.customer.arr, said)
    )
    assess = taken(commands.ASSESS, assessment.by_hand, lambda renewal, said: renewal.why_not(refusals.refuse_assess, said, workflow.now()))
    move = taken(commands.MOVE, changes.move, lambda renewal, said: renewal.why_not(refusals.refuse_move, said, workflow.now()))
    cancel = taken(commands.CANCEL, changes.cancel, lambda renewal, _: refusals.refuse_cancel(renewal.state))

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        return self.process.why_not(refusals.refuse_answer, self.process.customer.arr, task.spec.kind, answer)

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.PROCESS and task.answer:
            processing.take(self.process, task.answer)

    @hears(PlanReviewed)
    def plan_reviewed(self, message: PlanReviewed) -> None:
        """The leadership inspected the get-well plan (D27, C34)."""
        handlers.refuse(lighthouse.inspected(self.process, message))
