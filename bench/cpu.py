"""What a trial costs a worker beside a twin that leaves the same history and does nothing: CPU of the process, in alternating blocks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from temporalio.client import WorkflowHandle

from bench.baseline import model, twin
from bench.harness import Ground
from bench.history import left_by
from bench.report import Row, median, row
from bench.trial import Company, at_once, companies, whole
from bench.workers import OFFLINE

#: Trials under way at the same time in a block.
AT_ONCE = 3
#: The blocks of one repetition, in their order: what is compared is measured before and after what it is compared with.
ORDER = ("worker", "offline", "twin", "offline", "worker")

Run = Callable[[], Awaitable[WorkflowHandle[Any, Any]]]


async def cpu(ground: Ground, *, repetitions: int, block: int) -> list[Row]:
    """CPU of the worker for each trial over the twin's: the goal is about all but the outside calls, the whole is said beside it."""
    shape = await model(ground)
    needed = await companies(ground, repetitions * block * (len(ORDER) - 1))
    spent: dict[str, list[float]] = {name: [] for name in ORDER}
    last: dict[str, WorkflowHandle[Any, Any]] = {}
    for _ in range(repetitions):
        for name in ORDER:
            runs = [_run(ground, name, needed) for _ in range(block)]
            before = ground.cpu(name)
            await at_once([partial(_keep, last, name, run) for run in runs], AT_ONCE)
            spent[name].append(1000 * (ground.cpu(name) - before) / block)
    tasks = {name: (await left_by(handle)).tasks for name, handle in last.items()}
    tasks_said = f"workflow tasks: {tasks['worker']}, offline {tasks['offline']}, twin {tasks['twin']} (model {shape.left.tasks})"
    floors = spent["twin"]
    without, whole_of_it = _pairs(spent["offline"]), _pairs(spent["worker"])
    again = [second / first for name in ("offline", "worker") for first, second in zip(spent[name][::2], spent[name][1::2], strict=True)]
    over = [one / floor for one, floor in zip(without, floors, strict=True)]
    all_over = [one / floor for one, floor in zip(whole_of_it, floors, strict=True)]
    left_out = "client libraries, HTTP, the wording of mails and cards; no codec yet"
    return [
        row("worker CPU over a no-op twin, without outside calls", without, "ms", floors=floors, ratios=over, goal=1.25,
            note=f"real workflow, activities and ledger; left out: {left_out}. {tasks_said}"),
        row("worker CPU over a no-op twin, with outside calls", whole_of_it, "ms", floors=floors, ratios=all_over,
            note="the worker of `tenure up` against the stand-ins; no goal, it explains the row above"),
        row("the same block a second time (noise)", median(again), "", note=f"A2 / A, {min(again):.2f}..{max(again):.2f}"),
    ]  # fmt: skip


async def wall(ground: Ground, *, repetitions: int) -> list[Row]:
    """Seconds from signup to end of the 28 days, one trial at a time, beside the twin driven the same way."""
    await model(ground)
    needed = await companies(ground, repetitions)
    took: list[float] = []
    floors: list[float] = []
    for company in needed:
        for run, into in ((partial(whole, ground, ground.tenure, company), took), (partial(twin, ground), floors)):
            began = time.monotonic()
            await run()
            into.append(time.monotonic() - began)
    ratios = [one / floor for one, floor in zip(took, floors, strict=True)]
    note = "time skipping on the real dev server, stand-ins over HTTP; the everyday suite's wall is that of `make test`"
    return [row("tests: wall of the whole trial", took, "s", floors=floors, ratios=ratios, goal=2.0, note=note)]


def _run(ground: Ground, name: str, needed: list[Company]) -> Run:
    if name == "twin":
        return partial(twin, ground)
    tenure = ground.tenure_on(OFFLINE) if name == "offline" else ground.tenure
    return partial(whole, ground, tenure, needed.pop())


async def _keep(last: dict[str, WorkflowHandle[Any, Any]], name: str, run: Run) -> None:
    last[name] = await run()


def _pairs(values: list[float]) -> list[float]:
    """The mean of each repetition's two blocks."""
    return [(first + second) / 2 for first, second in zip(values[::2], values[1::2], strict=True)]
