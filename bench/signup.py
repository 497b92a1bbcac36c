"""What a sign-up takes: calls to the server before the answer, and the time to the answer beside that of a bare start."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import partial

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from bench.baseline import model
from bench.harness import Ground
from bench.history import kind, left_by
from bench.report import Row, row
from bench.trial import Company, at_once, at_rest, companies, sign_up
from bench.workers import TWIN
from starter.service.connect import WayIn
from starter.service.tenure import Tenure

IN_FLIGHT = 32
#: What the SDK counts: calls, and those that the server may hold open.
_CALLS = {"temporal_request", "temporal_long_request"}


async def signup(ground: Ground, *, alone: int, together: int) -> list[Row]:
    """``alone`` sign-ups one after the other, each beside a bare start; then ``together`` of them, 32 in flight."""
    await model(ground)  # its worker takes the bare starts
    first, *one_by_one = await companies(ground, 1 + alone)
    many = await companies(ground, together)
    return [await _calls(ground, first), await _alone(ground, one_by_one), await _together(ground, many)]


async def _calls(ground: Ground, company: Company) -> Row:
    buffer = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    where = ground.client.service_client.config.target_host
    client = await Client.connect(
        where, data_converter=ground.client.data_converter, runtime=runtime, interceptors=[WayIn(ground.settings.way_in_key)]
    )
    buffer.retrieve_updates()
    await sign_up(Tenure(client, ground.ledger, ground.settings, ground.tenure.policy), company)
    counted: Counter[str] = Counter()
    for update in buffer.retrieve_updates():
        if update.metric.name in _CALLS:
            counted[str(update.attributes["operation"])] += int(update.value)
    beside = counted.pop("PatchSchedule", 0)  # the pool's refill, sent after the answer
    handle = ground.client.get_workflow_handle(company.workflow)
    await at_rest(handle)
    local, remote = _before_the_answer((await left_by(handle)).events)
    note = f"{dict(counted)}; {local} local and {remote} remote activities before the answer" + "; then a refill" * bool(beside)
    return row("sign-up: calls before the answer", counted.total(), "", goal=1, holds=(local, remote) in ((0, 0), (1, 0)), note=note)


def _before_the_answer(events: Sequence[HistoryEvent]) -> tuple[int, int]:
    """Local and remote activities that the first update's answer waits for: it leaves when its whole workflow task is completed."""
    task, remote = 0, 0
    for event in events:
        match kind(event):
            case "WORKFLOW_TASK_COMPLETED":
                task = event.event_id
            case "WORKFLOW_EXECUTION_UPDATE_COMPLETED":
                break
            case "ACTIVITY_TASK_COMPLETED":
                remote += 1
    markers = [event.marker_recorded_event_attributes.workflow_task_completed_event_id for event in events]
    return sum(0 < marker <= task for marker in markers), remote


async def _alone(ground: Ground, needed: list[Company]) -> Row:
    took: list[float] = []
    floors: list[float] = []
    for company in needed:
        began = time.perf_counter()
        handle = await ground.client.start_workflow("Empty", id=f"empty-{uuid.uuid4().hex[:12]}", task_queue=TWIN)
        floors.append(1000 * (time.perf_counter() - began))
        await handle.result()
        began = time.perf_counter()
        await sign_up(ground.tenure, company)
        took.append(1000 * (time.perf_counter() - began))
        await at_rest(ground.client.get_workflow_handle(company.workflow))
    quarter = statistics.quantiles(took, n=4)
    note = f"p50 ÷ p50, one at a time, {len(took)} of each in turn; the middle half took {quarter[0]:.0f}..{quarter[2]:.0f} ms"
    return row("sign-up: time to the answer", took, "ms", floors=floors, goal=2.4, note=note)


async def _together(ground: Ground, needed: list[Company]) -> Row:
    took: list[float] = []
    errors: list[str] = []

    async def one(company: Company) -> None:
        began = time.perf_counter()
        try:
            await sign_up(ground.tenure, company)
        except Exception as error:  # whatever it is, it is an error that a prospect would have seen
            errors.append(f"{type(error).__name__}: {error}")
        took.append(1000 * (time.perf_counter() - began))

    began = time.perf_counter()
    await at_once([partial(one, company) for company in needed], IN_FLIGHT)
    rate = len(needed) / (time.perf_counter() - began)
    handles = [ground.client.get_workflow_handle(company.workflow) for company in needed]
    await asyncio.gather(*(at_rest(handle) for handle in handles))
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    said = f"; the first: {errors[0][:200]}" if errors else ""
    note = f"p99 ÷ p50 of {len(took)}, each with all of its first day's work; {rate:.1f} a second; {len(errors)} errors{said}"
    return row("sign-up: 32 in flight", p99, "ms", floors=statistics.median(took), goal=2.0, holds=not errors, note=note)
