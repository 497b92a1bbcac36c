"""What makes a worker without a workflow cache possible: local activities go as ordinary ones.

With a cache of 0 the SDK's core gives a run up while its local activity is still at work, so that the task, or the whole worker, waits for ever
(temporalio/sdk-rust#1482). What a local activity leaves in a history is replayed by ``tests/replay``.
"""

from __future__ import annotations

import os
from typing import Any

from temporalio.common import Priority
from temporalio.converter import DataConverter
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from workflows.all import ALL
from workflows.frame.provenance import Inbound
from workflows.frame.runner import runner

#: Workflows that a worker remembers between two tasks. With 0 every task replays the whole history, which `make cacheless` does.
CACHE = int(os.environ.get("WORKFLOW_CACHE", "1000"))


def replayer(converter: DataConverter) -> Replayer:
    """A replayer of what this run's workers leave."""
    also = [] if CACHE else [NothingLocal()]
    return Replayer(workflows=ALL, data_converter=converter, workflow_runner=runner(), interceptors=[Inbound(), *also])


class NothingLocal(Interceptor):
    """For a worker whose cache is 0."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_local_activity(self, input: StartLocalActivityInput) -> Any:
        return self.next.start_activity(
            StartActivityInput(
                activity=input.activity,
                args=input.args,
                activity_id=input.activity_id,
                task_queue=None,
                schedule_to_close_timeout=input.schedule_to_close_timeout,
                schedule_to_start_timeout=input.schedule_to_start_timeout,
                start_to_close_timeout=input.start_to_close_timeout,
                heartbeat_timeout=None,
                retry_policy=input.retry_policy,
                cancellation_type=input.cancellation_type,
                headers=input.headers,
                disable_eager_execution=False,
                versioning_intent=None,
                summary=input.summary,
                priority=Priority.default,
                arg_types=input.arg_types,
                ret_type=input.ret_type,
            )
        )
