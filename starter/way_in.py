"""What our own clients send to a workflow is marked: the rights of whoever asks were checked before it, and the audit has it."""

from __future__ import annotations

from typing import Any

from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)

from workflows.direct import marked


class WayIn(Interceptor):
    """For every client of ours."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """The interceptor of one client."""
        return _Marking(next)


class _Marking(OutboundInterceptor):
    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        input.headers = marked(input.headers)
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        input.headers = marked(input.headers)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(self, input: StartWorkflowUpdateWithStartInput) -> WorkflowUpdateHandle[Any]:
        input.update_workflow_input.headers = marked(input.update_workflow_input.headers)
        return await super().start_update_with_start_workflow(input)
