"""Move one workflow's clock on: only on the local stack, whose server keeps a clock for each workflow.

The server's API for it is experimental, so it is used here and in the tests only.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.api.workflowservice.v1 import GetClusterInfoRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from starter.errors import BadInput, NotFound, Refused, Unavailable

#: How often one call may jump. A trial that polls every few hours makes many jumps in a month, more than the server's own default.
MOST_JUMPS = 2_000
#: Seconds that a skip may take, and that what was set going may need to come to rest.
PATIENCE = 120.0
SETTLE = 20.0
LONGEST = timedelta(days=3_650)

_UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


@dataclass(frozen=True)
class Skipped:
    """Where the workflow's clock stood and stands; ``open`` is whether the workflow still runs."""

    before: datetime
    now: datetime
    open: bool


def parse_duration(text: str) -> timedelta:
    """Read ``10d``, ``36h``, ``2w``, ``1d12h``. Raises :class:`BadInput`."""
    parts = re.findall(r"(\d{1,6})([wdhms])", text.strip().lower())
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text.strip().lower():
        raise BadInput(f"{text[:40]!r} is not a length of time", "Write it like 10d, 36h, 2w or 1d12h", field="duration")
    length = sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())
    if not timedelta() < length <= LONGEST:
        raise BadInput(f"{text[:40]} is out of bounds", "Skip at least one second and at most ten years", field="duration")
    return length


async def cluster_of(client: Client) -> str:
    """The server's own id, which no other server has."""
    return (await client.workflow_service.get_cluster_info(GetClusterInfoRequest())).cluster_id


async def require_local(client: Client, cluster: str | None) -> None:
    """Refuse any server but the one that the local stack of this data directory started (``cluster``; None: no stack runs)."""
    if cluster is None:
        do = "Start it with `tenure up`, or name its directory with --data"
        raise Refused("time can be skipped on the local stack only, and none runs here", do)
    if await cluster_of(client) != cluster:
        raise Refused(
            f"{client.service_client.config.target_host} is not the local stack's server; its clock is the real one",
            "Unset TEMPORAL_ADDRESS and TEMPORAL_PROFILE to reach the local stack",
        )


async def skip(client: Client, workflow_id: str, length: timedelta) -> Skipped:
    """Move the running workflow's clock on by ``length`` and wait until what fell due on the way has been done."""
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(workflow_id)
    # What begins during the skip stands still at its starter's time: it would run on through all its days otherwise.
    skipper = TimeSkipper(client, config=TimeSkippingConfig(max_session_skip_count=MOST_JUMPS, disable_propagation=True))
    try:
        description = await handle.describe()
        if description.status is not WorkflowExecutionStatus.RUNNING:
            raise Refused(f"{workflow_id} has ended; a closed workflow has no clock", "Look at what became of it with `tenure trial show`")
        async with asyncio.timeout(PATIENCE):
            await at_rest(handle)
            before = await skipper.get_current_time(handle)
            await skipper.fast_forward(handle, length)
            still_open = await at_rest(handle)
    except TimeoutError:
        raise Unavailable(
            f"{workflow_id} did not get there within {PATIENCE:.0f} seconds; it waits for {await _waits_for(handle)}",
            "Its clock goes on by itself when that is done: look at it in the Web UI, and that the worker runs",
        ) from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"there is no workflow {workflow_id}", "Look at `tenure trial list`") from None
        raise Unavailable(f"the server did not skip: {error.message}", "Try again") from error
    return Skipped(before=before, now=await skipper.get_current_time(handle), open=still_open)


async def _waits_for(handle: WorkflowHandle[object, object]) -> str:
    """What keeps the clock of a workflow, in words."""
    raw = (await handle.describe()).raw_description
    waits = [f"{each.activity_type.name} (tried {each.attempt} times)" for each in raw.pending_activities]
    waits += [each.workflow_id for each in raw.pending_children]
    waits += ["the worker"] if raw.HasField("pending_workflow_task") else []
    return ", ".join(waits) or "something outside"


async def at_rest(handle: WorkflowHandle[Any, Any]) -> bool:
    """Wait until nothing is under way; returns whether the workflow still runs. An outside system that is down is not waited for."""
    deadline = time.monotonic() + SETTLE
    while True:
        description = await handle.describe()
        if description.status is not WorkflowExecutionStatus.RUNNING:
            return False
        raw = description.raw_description
        busy = any(pending.attempt <= 1 for pending in raw.pending_activities) or raw.HasField("pending_workflow_task")
        if not busy or time.monotonic() > deadline:
            return True
        await asyncio.sleep(0.02)
