"""The worker's own part: how much it does at once, and that it ends as a whole."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

import worker
from store.settings import Settings


@pytest.mark.parametrize(("cores", "given", "slots"), [(1, 0, 8), (2, 0, 8), (16, 0, 64), (None, 0, 8), (16, 3, 3)])
def test_activities_at_once_go_by_the_cores_unless_somebody_says_how_many(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, given: int, slots: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert worker.slots_of(Settings(_env_file=None, worker_slots=given)) == slots


class Polls:
    """A worker that works until it is shut down, or fails at once."""

    def __init__(self, fails: bool = False) -> None:
        self.task_queue = "q"
        self._fails = fails
        self._ended = asyncio.Event()

    async def run(self) -> None:
        if self._fails:
            raise RuntimeError("the server does not want it")
        await self._ended.wait()

    async def shutdown(self) -> None:
        self._ended.set()


async def test_the_fatal_error_of_one_queue_ends_both_and_is_told() -> None:
    both: list[Any] = [Polls(), Polls(fails=True)]
    with pytest.raises(RuntimeError, match="does not want it"):
        await asyncio.wait_for(worker.run_until(asyncio.Event(), both), 30)
    assert both[0]._ended.is_set()


async def test_both_queues_are_drained_at_once() -> None:
    both: list[Any] = [Polls(), Polls()]
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run_until(stop, both))
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 30)
    assert all(each._ended.is_set() for each in both)
