"""How workflows are run: sandboxed, with our own modules passed through."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

#: The SDK would import a workflow's module anew for every run. The linter keeps clocks, chance and I/O out of these (docs/decisions/0003).
OURS = ("domain", "workflows")


def runner() -> SandboxedWorkflowRunner:
    """The runner of every worker and replayer."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*OURS))
