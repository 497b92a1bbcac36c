"""What it costs to carry a trial's history out again, as a worker does whose cache has lost it: CPU of this process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from bench.baseline import model
from bench.harness import Ground
from bench.report import Row, row
from bench.synthetic import Empty
from bench.workers import TWIN
from workflows.frame.runner import runner
from workflows.trial.trial import Trial


async def replay(ground: Ground, *, repetitions: int, each: int) -> list[Row]:
    """``each`` replays of one history in a row, with and without the sandbox in turn; then of the first workflow task alone."""
    shape = await model(ground)
    trial = await ground.client.get_workflow_handle(shape.workflow).fetch_history()
    handle = await ground.client.start_workflow("Empty", id=f"empty-{uuid.uuid4().hex[:12]}", task_queue=TWIN)
    await handle.result()
    empty = first_task(await handle.fetch_history())
    converter = ground.client.data_converter
    sandboxed, bare = _replayer(converter, [Trial]), _replayer(converter, [Trial], UnsandboxedWorkflowRunner())
    nothing, first = _replayer(converter, [Empty]), first_task(trial)
    for warm, history in ((sandboxed, trial), (bare, trial), (nothing, empty), (sandboxed, first)):
        await _cpu(warm, history, 1)
    inside, outside, firsts, floors = ([], [], [], [])  # type: tuple[list[float], list[float], list[float], list[float]]
    for _ in range(repetitions):
        inside.append(await _cpu(sandboxed, trial, each))
        outside.append(await _cpu(bare, trial, each))
        firsts.append(await _cpu(sandboxed, first, 4 * each))
        floors.append(await _cpu(nothing, empty, 4 * each))
    return [
        row("first task", firsts, "ms", floors=floors, ratios=_ratios(firsts, floors), goal=1.3,
            note=f"CPU of replaying the first workflow task ({len(first.events)} events) over an empty workflow's, both in the sandbox"),
        row("replay", inside, "ms", floors=outside, ratios=_ratios(inside, outside), goal=2.2,
            note=f"one trial's {len(trial.events)} events, in the sandbox over outside of it; the stored histories' pass is `make test`'s"),
    ]  # fmt: skip


def first_task(history: WorkflowHistory) -> WorkflowHistory:
    """The history up to all that its first workflow task did."""
    done = next(each for each in history.events if each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    later = (each.event_id for each in history.events if each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    end = next((number for number in later if number > done.event_id), len(history.events) + 1)
    return WorkflowHistory(history.workflow_id, history.events[: end - 1])


def _replayer(converter: DataConverter, workflows: Sequence[type], bare: UnsandboxedWorkflowRunner | None = None) -> Replayer:
    return Replayer(workflows=workflows, data_converter=converter, workflow_runner=bare or runner())


async def _cpu(replayer: Replayer, history: WorkflowHistory, times: int) -> float:
    """Milliseconds of CPU for one replay; raises what the history cannot be replayed for."""
    began = time.process_time()
    for _ in range(times):
        await replayer.replay_workflow(history)
    return 1000 * (time.process_time() - began) / times


def _ratios(values: Sequence[float], floors: Sequence[float]) -> list[float]:
    return [value / floor for value, floor in zip(values, floors, strict=True)]
