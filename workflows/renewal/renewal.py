"""A renewal, from half a year ahead to its processed end (handbook D25–D30, 4.5, 4.6).

One workflow for each account and renewal date. At 180 days a yellow or red account is flagged and assessed early. At 120 days TA and AE
fill in the health assessment, both managers review it and agree on a rating; what is at risk enters Lighthouse, beside plan and
forecast. The AE projects the outcome and keeps it up week by week, until they process the renewal: renewed, with a key on the existing
subscription, or lost. The date may move at any time, and the account may be gone before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.account.account import PlanReviewed
    from domain.renewal import decisions
    from domain.renewal.state import AssessRenewal, CancelRenewal, MoveRenewal, ProjectOutcome, RenewalInput, RenewalResult, RenewalStatus
    from domain.task import Answer, Task, TaskKind
    from workflows.frame import messages
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
        r, s = self.process, self.process.state
        await early_review.begin(r)
        r.spawn(lighthouse.watch(r))
        while s.end is None:
            try:
                await early_review.review(r)
                await assessment.assess(r)
                await plan.project(r)
                await forecast.keep(r)
                s.end = await processing.process(r)
            except BeginsAnew:
                continue
            except Cancelled:
                s.end = endings.cancel(r)
        await endings.tell(r)
        await r.settle()
        return RenewalResult(domain=input.customer.domain, rating=s.rating, outcome=s.actual_outcome, end=s.end)

    # --- a person decides: updates, each followed by its validator -------------------------------------------------------------------

    @workflow.update
    async def forecast(self, raw: Any = None) -> str:
        """The AE, or the TA, says what they expect (D29)."""
        return forecast.project(self.process, messages.parsed(ProjectOutcome, raw))

    @forecast.validator
    def _may_forecast(self, raw: Any = None) -> None:
        r, message = self.process, messages.parsed(ProjectOutcome, raw)
        messages.refuse(decisions.refuse_forecast(r.policy, r.state, r.customer.arr, message))

    @workflow.update
    async def assess(self, raw: Any = None) -> str:
        """A manager rates by hand (D27)."""
        return assessment.by_hand(self.process, messages.parsed(AssessRenewal, raw))

    @assess.validator
    def _may_assess(self, raw: Any = None) -> None:
        messages.refuse(
            decisions.refuse_assess(self.process.policy, self.process.state, messages.parsed(AssessRenewal, raw), workflow.now())
        )

    @workflow.update
    async def move(self, raw: Any = None) -> str:
        """The term ends on another day (gap 9)."""
        return changes.move(self.process, messages.parsed(MoveRenewal, raw))

    @move.validator
    def _may_move(self, raw: Any = None) -> None:
        messages.refuse(decisions.refuse_move(self.process.policy, self.process.state, messages.parsed(MoveRenewal, raw), workflow.now()))

    @workflow.update
    async def cancel(self, raw: Any = None) -> str:
        """The account churned early or was merged: there is nothing to renew."""
        return endings.take(self.process, messages.parsed(CancelRenewal, raw))

    @cancel.validator
    def _may_cancel(self, raw: Any = None) -> None:
        messages.parsed(CancelRenewal, raw)
        messages.refuse(decisions.refuse_cancel(self.process.state))

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        return decisions.refuse_answer(self.process.policy, self.process.state, self.process.customer.arr, task.spec.kind, answer)

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.PROCESS and task.answer:
            processing.take(self.process, task.answer)

    # --- the same as signals, from other workflows, `temporal workflow signal` and the Web UI: what is refused is noted ----------------

    @workflow.signal(name="forecast")
    async def _forecast(self, raw: Any = None) -> None:
        await self._signalled("forecast", raw, self._may_forecast, self.forecast)

    @workflow.signal(name="assess")
    async def _assess(self, raw: Any = None) -> None:
        await self._signalled("assess", raw, self._may_assess, self.assess)

    @workflow.signal(name="move")
    async def _move(self, raw: Any = None) -> None:
        await self._signalled("move", raw, self._may_move, self.move)

    @workflow.signal(name="cancel")
    async def _cancel(self, raw: Any = None) -> None:
        await self._signalled("cancel", raw, self._may_cancel, self.cancel)

    @workflow.signal
    def plan_reviewed(self, raw: Any = None) -> None:
        """The leadership inspected the get-well plan (D27, C34)."""
        with messages.noting(self.notes, "plan_reviewed", raw):
            messages.refuse(lighthouse.inspected(self.process, messages.parsed(PlanReviewed, raw)))

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

    # --- private -----------------------------------------------------------------------------------------------------------------------

    async def _signalled(self, name: str, raw: Any, check: Any, act: Any) -> None:
        with messages.noting(self.notes, name, raw):
            check(raw)
            await act(raw)
