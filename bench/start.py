"""How long ``tenure up`` takes until it is usable, and what it uses while nobody asks anything.

Without customers: those of the default begin their lives in the first two minutes, in which nothing is idle.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.harness import explicit, free_offset
from bench.report import Row, row
from store.settings import Settings

#: Seconds until the first round of every schedule is over, and seconds that are then watched.
SETTLE, WATCHED = 10.0, 20.0
MEGABYTE = 1_000_000


async def start() -> list[Row]:
    """Start the whole stack as ``make run`` does once ``.venv`` is there; wait until it is healthy; watch it idle; stop it."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-up-") as directory:
        offset = free_offset()
        variables = explicit(Settings(_env_file=None, data_dir=Path(directory), port_offset=offset))
        where = ("--data", directory, "--port-offset", str(offset))
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "starter.cli", "up", "--json", "--fleet", "0", *where,
            env=os.environ | variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), 90)
            took = time.monotonic() - began
            assert json.loads(said)["ready"], said
            await asyncio.sleep(SETTLE)
            busy, memory = _spent(process.pid)
            await asyncio.sleep(WATCHED)
            later, memory = _spent(process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    share = 100 * (later - busy) / WATCHED
    watched = f"all processes of the stack, over {WATCHED:.0f} s, {SETTLE:.0f} s after it was healthy"
    return [
        row("start: to healthy", took, "s", goal=8, note="`tenure up --fleet 0`, .venv in place and an empty directory"),
        row("start: idle CPU", share, "% of a core", goal=3, note=watched),
        row("start: memory", memory / MEGABYTE, "MB", goal=600, note="sum of what each process holds alone and shared (RSS)"),
    ]


def _spent(pid: int) -> tuple[float, int]:
    """Seconds of CPU and bytes of memory of a process and all under it."""
    top = psutil.Process(pid)
    family = [top, *top.children(recursive=True)]
    times = [each.cpu_times() for each in family]
    return sum(float(each.user + each.system) for each in times), sum(int(each.memory_info().rss) for each in family)
