"""A renewal, from half a year ahead to its processed end (handbook D25–D30, 4.5, 4.6).

One workflow for each account and renewal date. At 180 days a yellow or red account is flagged and assessed early. At 120 days TA and AE
fill in the health assessment, both managers review it and agree on a rating; what is at risk enters Lighthouse, beside plan and
forecast. The AE projects the outcome and keeps it up week by week, until they process the renewal: renewed, with a key on the existing
subscription, or lost. The date may move at any time, and the account may be gone before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.account.account import PlanReviewed
    from domain.renewal import commands, decisions
    from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal, ProjectOutcome
    from domain.renewal.state import RenewalInput, RenewalResult, RenewalStatus
    from domain.task import Answer, Task, TaskKind
    from workflows.frame import messages
    from workflows.frame.handlers import decides, hears
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks
    from workflows.renewal import assessment, changes, early_review, endings, forecast, lighthouse, plan, processing
    from workflows.renewal.process import BeginsAnew, Cancelled, RenewalProcess


@workflow.defn
class Renewal(WorkflowWithTasks[RenewalProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: RenewalInput) -> None:
        """State only; no commands."""
        process = RenewalProcess(input)
        self._begin(process, notes=process.state.notes)

    @workflow.run
    async def run(self, input: RenewalInput) -> RenewalResult:
        """Review early, assess, plan, forecast, process; again from the start when the date moves that far."""
        renewal, state = self.process, self.process.state
        await early_review.begin(renewal)
        renewal.spawn(lighthouse.watch(renewal))
        while state.end is None:
            try:
                await early_review.review(renewal)
                await assessment.assess(renewal)
                await plan.project(renewal)
                await forecast.keep(renewal)
                state.end = await processing.process(renewal)
            except BeginsAnew:
                continue
            except Cancelled:
                state.end = endings.cancel(renewal)
        await endings.report(renewal)
        await renewal.settle()
        return RenewalResult(domain=input.customer.domain, rating=state.rating, outcome=state.actual_outcome, end=state.end)

    # --- a person decides: what refuses each, and what it does; each may be signalled, too ---------------------------------------------

    def may_forecast(self, message: ProjectOutcome) -> None:
        """Once it is rated, and as its amount allows."""
        messages.refuse(decisions.refuse_forecast(self.process.policy, self.process.state, self.process.customer.arr, message))

    @decides(commands.FORECAST, may_forecast)
    async def forecast(self, message: ProjectOutcome) -> str:
        """The AE, or the TA, says what they expect (D29)."""
        return forecast.project(self.process, message)

    def may_assess(self, message: AssessRenewal) -> None:
        """Once it is looked at, and until it is settled."""
        messages.refuse(decisions.refuse_assess(self.process.policy, self.process.state, message, workflow.now()))

    @decides(commands.ASSESS, may_assess)
    async def assess(self, message: AssessRenewal) -> str:
        """A manager rates by hand (D27)."""
        return assessment.by_hand(self.process, message)

    def may_move(self, message: MoveRenewal) -> None:
        """To a day that can be one, until it is settled."""
        messages.refuse(decisions.refuse_move(self.process.policy, self.process.state, message, workflow.now()))

    @decides(commands.MOVE, may_move)
    async def move(self, message: MoveRenewal) -> str:
        """The term ends on another day (gap 9)."""
        return changes.move(self.process, message)

    def may_cancel(self, _: CancelRenewal) -> None:
        """Until it is settled."""
        messages.refuse(decisions.refuse_cancel(self.process.state))

    @decides(commands.CANCEL, may_cancel)
    async def cancel(self, message: CancelRenewal) -> str:
        """The account churned early or was merged: there is nothing to renew."""
        return endings.take(self.process, message)

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        return decisions.refuse_answer(self.process.policy, self.process.state, self.process.customer.arr, task.spec.kind, answer)

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.PROCESS and task.answer:
            processing.take(self.process, task.answer)

    @hears(PlanReviewed)
    def plan_reviewed(self, message: PlanReviewed) -> None:
        """The leadership inspected the get-well plan (D27, C34)."""
        messages.refuse(lighthouse.inspected(self.process, message))

    # --- look only -------------------------------------------------------------------------------------------------------------------

    @workflow.query
    def status(self) -> RenewalStatus:
        """Where the renewal stands."""
        return self.process.status()

    def in_words(self) -> str:
        """Where it stands."""
        return self.process.in_words()

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """What comes next."""
        return self.process.ahead()
