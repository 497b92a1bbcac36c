"""What comes into a workflow: every message of ours is one payload, whoever sends it and however many they send with it.

A handler that is called with an argument too many raises a ``TypeError``, and that would stop the workflow until an operator notices:
a slip on the command line must not do that. A decision that came past our ways in is noted: :mod:`workflows.direct`.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from domain.direct import Direct
from workflows import direct


class Inbound(Interceptor):
    """For a worker's ``interceptors``, and for a replayer's. ``note`` takes what a validator refused; it must not block."""

    def __init__(self, note: direct.Note | None = None) -> None:
        self._note = note

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """The interceptor of one workflow."""
        note = self._note

        class Noting(_Inbound):
            def refused(self, seen: Direct) -> None:
                if note is not None:
                    with workflow.unsafe.sandbox_unrestricted():
                        note(seen)

        return Noting


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Mark what the workflow tells others."""
        super().init(direct.MarkedOutbound(outbound))

    def refused(self, seen: Direct) -> None:
        """Note what a validator refused."""

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Read the first payload only. A signal that nobody knows goes, name and payloads, to the handler that notes it."""
        known = workflow.get_signal_handler(input.signal) is not None
        if known:
            input.args = input.args[:1]
        if known and direct.is_direct(input.signal, input.headers):
            await direct.noted(input.signal, input.args, "", super().handle_signal(input))
        else:
            await super().handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """Read the first payload only."""
        input.args = input.args[:1]
        try:
            super().handle_update_validator(input)
        except ApplicationError as error:
            if direct.is_direct(input.update, input.headers):
                self.refused(direct.seen(input.update, input.args, input.id, error.message or "refused"))
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> object:
        """Read the first payload only."""
        input.args = input.args[:1]
        if direct.is_direct(input.update, input.headers):
            return await direct.noted(input.update, input.args, input.id, super().handle_update_handler(input))
        return await super().handle_update_handler(input)
