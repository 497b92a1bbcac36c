"""What our own clients send to a workflow is marked: the rights of whoever asks were checked before it, and the audit has it.

What operators read of a workflow that a client starts is one line of inert words: a company's name stands in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)

from workflows.frame.provenance import marked, shown


class WayIn(Interceptor):
    """For every client of ours. ``key`` is asked for when the first message is sent."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = cache(key)

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """The interceptor of one client."""
        return _Marking(next, self._key)


class _Marking(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, key: Callable[[], bytes]) -> None:
        super().__init__(next)
        self._key = key

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        if input.start_signal:
            input.headers = marked(input.headers, self._key(), input.id, input.start_signal, input.start_signal_args)
        input.static_summary = shown(input.static_summary)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        input.headers = marked(input.headers, self._key(), input.id, input.signal, input.args)
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        input.update_id = input.update_id or uuid4().hex  # the mark is made over it
        input.headers = marked(input.headers, self._key(), input.id, input.update, input.args, input.update_id)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(self, input: StartWorkflowUpdateWithStartInput) -> WorkflowUpdateHandle[Any]:
        asked = input.update_workflow_input
        asked.update_id = asked.update_id or uuid4().hex
        asked.headers = marked(asked.headers, self._key(), input.start_workflow_input.id, asked.update, asked.args, asked.update_id)
        input.start_workflow_input.static_summary = shown(input.start_workflow_input.static_summary)
        return await super().start_update_with_start_workflow(input)
