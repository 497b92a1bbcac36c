"""A broken copy of the trial, with one timer more at its start: what no running trial could survive."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.trial.state import TrialInput, TrialResult
    from workflows.trial.trial import Trial


@workflow.defn(name="Trial")
class SleepsFirst(Trial):
    """See the module."""

    @workflow.init
    def __init__(self, input: TrialInput) -> None:
        super().__init__(input)

    @workflow.run
    async def run(self, input: TrialInput) -> TrialResult:
        """Sleep, then go on as ever."""
        await workflow.sleep(timedelta(seconds=1))
        return await super().run(input)
