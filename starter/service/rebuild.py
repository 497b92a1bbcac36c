"""`tenure rebuild`: the tables that lists read are made anew from what every open process says of itself, and what differed is told.

Between two of these a worker takes off the lists what has ended without a word.
"""

import asyncio
import logging

from temporalio.client import WorkflowExecutionStatus

from domain.base import Value
from domain.read_model import Rows
from starter.errors import NotFound, TenureError
from starter.service.queries import each_of, query
from starter.service.temporal_errors import asking
from starter.service.tenure import Tenure
from store.read_model import ReadModel

#: Workflows that are asked at once.
AT_ONCE = 8
#: How runs end that say no word; one that ends by itself takes itself off the lists.
WORDLESS = "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled')"
#: Seconds between two looks for them.
HOUR = 3_600.0

log = logging.getLogger(__name__)


class Rebuilt(Value):
    """``open``: processes that run; ``differed``: in words, what the tables had otherwise; ``mute``: processes that did not answer."""

    open: int
    differed: tuple[str, ...]
    mute: tuple[str, ...] = ()


async def rebuild(tenure: Tenure) -> Rebuilt:
    """Make the tables anew. What changes meanwhile is written by its own process and stays. Safe to repeat."""
    lists = ReadModel(tenure.ledger)
    known = await tenure.read(lists.open_workflows)
    # But those of "Begin", which has no tasks, and ends at once.
    running = await tenure.found("ExecutionStatus = 'Running' AND WorkflowType != 'Begin'", "the list of open processes")
    asked = sorted({*running, *known})
    told = dict(zip(asked, await each_of(asked, lambda workflow: _of(tenure, lists, workflow), AT_ONCE), strict=True))
    differed = tuple(words for said in told.values() for words in said or ())
    return Rebuilt(open=len(asked), differed=differed, mute=tuple(workflow for workflow, said in told.items() if said is None))


async def close_ended(tenure: Tenure) -> list[str]:
    """Take off the lists what has ended without a word, as by a termination; with one look at what ended so, and none at what runs."""
    lists = ReadModel(tenure.ledger)
    runs = await tenure.read(lists.open_runs)
    with asking("the list of processes that have ended"):
        ended = [each.run_id async for each in tenure.client.list_workflows(WORDLESS) if each.run_id in runs]
    await tenure.read(lambda: [lists.close(runs[run], run) for run in ended])
    return [runs[run] for run in ended]


async def close_ended_hourly(tenure: Tenure) -> None:
    """For a worker, as long as it works."""
    while True:
        try:
            if closed := await close_ended(tenure):
                log.info("ended without a word, and are on no list any more: %s", ", ".join(closed))
        except TenureError as error:
            log.warning("lists may show what has ended: %s", error)
        await asyncio.sleep(HOUR)


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
