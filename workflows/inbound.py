"""What comes into a workflow: every message of ours is one payload, whoever sends it and however many they send with it.

A handler that is called with an argument too many raises a ``TypeError``, and that would stop the workflow until an operator notices:
a slip on the command line must not do that.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.worker import HandleSignalInput, HandleUpdateInput, Interceptor, WorkflowInboundInterceptor, WorkflowInterceptorClassInput


class OnePayload(Interceptor):
    """For a worker's ``interceptors``, and for a replayer's."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """The interceptor of one workflow."""
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Read the first payload only. A signal that nobody knows goes, name and payloads, to the handler that notes it."""
        if workflow.get_signal_handler(input.signal) is not None:
            input.args = input.args[:1]
        await super().handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """Read the first payload only."""
        input.args = input.args[:1]
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> object:
        """Read the first payload only."""
        input.args = input.args[:1]
        return await super().handle_update_handler(input)
