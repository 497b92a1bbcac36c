"""How workflows are run: sandboxed, with our own modules passed through, and with all that a task brings applied before any of it is acted on."""

from __future__ import annotations

from temporalio.worker import Worker
from temporalio.worker._workflow_instance import _WorkflowLogicFlag
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

#: The SDK would import a workflow's module anew for every run. The linter keeps clocks, chance and I/O out of these (docs/decisions/0003).
OURS = ("domain", "workflows")


def runner() -> SandboxedWorkflowRunner:
    """The runner of every worker and replayer."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*OURS))


def all_at_once(worker: Worker) -> Worker:
    """The same worker, whose workflows are given all that a task brings before any code of theirs runs (docs/decisions/0015).

    The SDK records the flag in each history, so histories from before it replay as they were written.
    """
    worker._set_default_workflow_logic_flag(_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH, enabled=True)
    return worker
