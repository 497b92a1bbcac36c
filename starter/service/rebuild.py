"""`tenure rebuild`: the tables that lists read are made anew from what every open process says of itself, and what differed is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio.client import WorkflowExecutionStatus

from domain.base import Value
from domain.read_model import Rows
from starter.errors import NotFound, TenureError
from starter.service.queries import query
from starter.service.temporal_errors import asking
from store.read_model import ReadModel

if TYPE_CHECKING:
    from starter.service.tenure import Tenure

#: Workflows that are asked at once.
AT_ONCE = 8


class Rebuilt(Value):
    """``open``: processes that run; ``differed``: in words, what the tables had otherwise; ``mute``: processes that did not answer."""

    open: int
    differed: tuple[str, ...]
    mute: tuple[str, ...] = ()


async def rebuild(tenure: Tenure) -> Rebuilt:
    """Make the tables anew. What changes meanwhile is written by its own process and stays. Safe to repeat."""
    lists = ReadModel(tenure.ledger)
    known = await tenure.read(lists.open_workflows)
    with asking("the list of open processes"):
        found = tenure.client.list_workflows(
            "ExecutionStatus = 'Running' AND WorkflowType != 'Begin'"
        )  # which has no tasks, and ends at once
        running = sorted({execution.id async for execution in found} | known)
    differed: list[str] = []
    mute: list[str] = []
    for start in range(0, len(running), AT_ONCE):
        part = running[start : start + AT_ONCE]
        for workflow, told in zip(part, await asyncio.gather(*(_of(tenure, lists, each) for each in part)), strict=True):
            if told is None:
                mute.append(workflow)
            else:
                differed += told
    return Rebuilt(open=len(running), differed=tuple(differed), mute=tuple(mute))


async def _of(tenure: Tenure, lists: ReadModel, workflow: str) -> list[str] | None:
    """What differed of one workflow; None when it does not answer."""
    handle = tenure.client.get_workflow_handle(workflow)
    try:
        with asking(workflow):
            if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                raise NotFound(workflow, "")
            rows = await query(handle, "snapshot", Rows | None)  # type: ignore[arg-type]
    except NotFound:
        had = await tenure.read(lambda: lists.close(workflow))
        return [f"{workflow}: it is not open"] if had else []
    except TenureError:
        return None
    return [] if rows is None else await tenure.read(lambda: lists.replace(rows))
