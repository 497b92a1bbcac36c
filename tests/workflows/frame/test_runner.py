"""A run is rebuilt whatever the core hands over together: here the end of an activity and an update, which the live run was handed one after the other."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.workflow import NondeterminismError

from workflows.frame.runner import runner

MINUTE = timedelta(minutes=1)


@workflow.defn(name="Beside")
class Beside:
    """One activity follows another, one stands alone, and an update asks for one more."""

    def __init__(self) -> None:
        self.told = False

    @workflow.run
    async def run(self) -> None:
        following = asyncio.create_task(self._following())
        await workflow.execute_activity("alone", start_to_close_timeout=MINUTE)
        await workflow.wait_condition(lambda: self.told)
        await following

    async def _following(self) -> None:
        await workflow.execute_activity("before", start_to_close_timeout=MINUTE)
        await workflow.execute_activity("after", start_to_close_timeout=MINUTE)

    @workflow.update
    async def tell(self) -> None:
        await workflow.execute_activity("told", start_to_close_timeout=MINUTE)
        self.told = True


def event(number: int, kind: str, **attributes: Any) -> dict[str, Any]:
    name = "".join(part.title() if position else part for position, part in enumerate(kind.lower().split("_")))
    return {
        "eventId": str(number),
        "eventTime": f"2026-11-30T12:00:{number:02}Z",
        "eventType": f"EVENT_TYPE_{kind}",
        f"{name}EventAttributes": attributes,
    }


def scheduled(number: int, activity: str, kind: str, after: int) -> dict[str, Any]:
    return event(
        number,
        "ACTIVITY_TASK_SCHEDULED",
        activityId=activity,
        activityType={"name": kind},
        taskQueue={"name": "q", "kind": "TASK_QUEUE_KIND_NORMAL"},
        startToCloseTimeout="60s",
        workflowTaskCompletedEventId=str(after),
    )


def ended(number: int, what: int) -> list[dict[str, Any]]:
    return [
        event(number, "ACTIVITY_TASK_STARTED", scheduledEventId=str(what), attempt=1),
        event(number + 1, "ACTIVITY_TASK_COMPLETED", scheduledEventId=str(what), startedEventId=str(number)),
    ]


def task(number: int, **flags: Any) -> list[dict[str, Any]]:
    return [
        event(number, "WORKFLOW_TASK_SCHEDULED", taskQueue={"name": "q", "kind": "TASK_QUEUE_KIND_NORMAL"}, attempt=1),
        event(number + 1, "WORKFLOW_TASK_STARTED", scheduledEventId=str(number), requestId=f"r{number}"),
        event(number + 2, "WORKFLOW_TASK_COMPLETED", scheduledEventId=str(number), startedEventId=str(number + 1), **flags),
    ]


def recorded() -> WorkflowHistory:
    """As a worker left it that had just begun to rebuild the run from where another had died."""
    events = [
        event(
            1,
            "WORKFLOW_EXECUTION_STARTED",
            workflowType={"name": "Beside"},
            taskQueue={"name": "q", "kind": "TASK_QUEUE_KIND_NORMAL"},
            workflowTaskTimeout="10s",
            originalExecutionRunId="run",
            firstExecutionRunId="run",
            attempt=1,
        ),
        *task(2, sdkMetadata={"langUsedFlags": [2], "coreUsedFlags": [1, 2, 3, 4], "sdkName": "temporal-python"}),
        scheduled(5, "1", "alone", 4),
        scheduled(6, "2", "before", 4),
        *ended(7, 5),
        *task(9),
        *ended(12, 6),
        *task(14),
        scheduled(17, "3", "after", 16),
        event(
            18,
            "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
            protocolInstanceId="u",
            acceptedRequestMessageId="u/request",
            acceptedRequestSequencingEventId="14",
            acceptedRequest={"meta": {"updateId": "u"}, "input": {"name": "tell"}},
        ),
        scheduled(19, "4", "told", 16),
    ]
    return WorkflowHistory.from_json("beside", json.dumps({"events": events}))


@pytest.mark.parametrize("inner", [None, UnsandboxedWorkflowRunner()])
async def test_an_update_comes_after_what_came_with_it(inner: WorkflowRunner | None) -> None:
    await Replayer(workflows=[Beside], workflow_runner=runner(inner)).replay_workflow(recorded())


async def test_without_us_such_a_run_is_stuck_for_good() -> None:
    """The day this fails, the order may be left to the SDK."""
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[Beside], workflow_runner=UnsandboxedWorkflowRunner()).replay_workflow(recorded())
