"""The hourly run over a whole fleet: its first run, one in which nothing changed, and one in which one account of fifty did."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bench.fleet import EVERY, Hour
from bench.harness import Ground
from bench.report import Row, row

FIRST, STEADY, CHANGED = "all new", "nothing new", f"{100 // EVERY} % new"
#: Seconds of CPU at the most, by fleet: for scoring it and writing what differs, and for all of its first run.
SCORING = {10_000: 6.0, 100_000: 60.0}
WHOLE = {(100_000, FIRST): 120.0}
#: The fleet whose changed scores are written to the stand-in of Vitally; all others go as far as the call.
WRITTEN = 10_000
MEGABYTE = 1_000_000


async def hourly(ground: Ground, *, fleets: Sequence[int]) -> list[Row]:
    """Each fleet in its three runs, each in a process of its own: CPU, time and memory of what a worker does for it."""
    rows: list[Row] = []
    peaks: dict[int, int] = {}
    for accounts in fleets:
        for kind, hour in (await _three_runs(ground, accounts)).items():
            rows += _said(accounts, kind, hour, f"hourly run, {accounts:,} accounts, {kind}")
            peaks[accounts] = max(peaks.get(accounts, 0), hour.peak)
    return rows + [_each_more(smaller, larger, peaks) for smaller, larger in pairwise(fleets)]


async def _three_runs(ground: Ground, accounts: int) -> dict[str, Hour]:
    where = ground.data / f"fleet-{accounts}"
    where.mkdir()
    try:
        await _step("prepare", where, accounts)
        hours = {FIRST: await _run(where, accounts, 0), STEADY: await _run(where, accounts, 1)}
        await _step("change", where, accounts)
        offset = [ground.settings.port_offset] if accounts == WRITTEN else []
        return hours | {CHANGED: await _run(where, accounts, 2, *offset)}
    finally:
        await asyncio.to_thread(shutil.rmtree, where)


async def _run(where: Path, accounts: int, hour: int, *port_offset: int) -> Hour:
    return Hour(**json.loads(await _step("run", where, accounts, hour, *port_offset)))


async def _step(step: str, where: Path, *more: int) -> bytes:
    """One step of :mod:`bench.fleet`. Raises ``RuntimeError`` with the last words of its process when it failed."""
    pipe = asyncio.subprocess.PIPE
    command = ("-m", "bench.fleet", step, str(where), *map(str, more))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe)
    try:
        said, wrong = await process.communicate()
    finally:
        if process.returncode is None:  # whoever measures has had enough
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {wrong.decode()[-2_000:]}")
    return said


def _said(accounts: int, kind: str, hour: Hour, name: str) -> list[Row]:
    """A run's rows, with what it did in words."""
    written = ", ".join(f"{table} {number:,}" for table, number in hour.rows.items() if number)
    did = (
        f"{hour.changed:,} scores are others, {hour.signals:,} signals would be sent, {hour.scores:,} scores shown in Vitally;"
        f" rows inserted, changed or deleted: {written}; the ledger grew by {hour.ledger / MEGABYTE:.1f} MB"
    )
    parts = "; ".join(f"{part} {cpu:.2f} s ({wall:.2f} s wall)" for part, (wall, cpu) in hour.took.items())
    vitally = (
        "with the stand-in's answers" if hour.vitally else "what goes outside is counted, not sent: its time is Vitally's and the server's"
    )
    grew = f"{(hour.peak - hour.base) / MEGABYTE:.0f} MB more than before the run; NumPy and DuckDB come with the first one of a worker"
    return [
        row(f"{name}: CPU", hour.cpu, "s", goal=WHOLE.get((accounts, kind)), note=f"{parts}; {vitally}"),
        row(f"{name}: CPU of scoring", hour.took["score"][1], "s", goal=SCORING.get(accounts), note=did),
        row(f"{name}: wall", hour.wall, "s", note=f"it had {hour.cpu / hour.wall:.2f} of a core"),
        row(f"{name}: peak memory", hour.peak / MEGABYTE, "MB", note=grew),
    ]


def _each_more(smaller: int, larger: int, peaks: dict[int, int]) -> Row:
    """What a run needs of memory for each further account."""
    each = (peaks[larger] - peaks[smaller]) / (larger - smaller)
    note = f"from {peaks[smaller] / MEGABYTE:.0f} MB for {smaller:,} to {peaks[larger] / MEGABYTE:.0f} MB for {larger:,}"
    return row("hourly run: memory for each account more", each / 1_000, "kB", note=note)
