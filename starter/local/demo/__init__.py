"""``tenure demo``: a dozen companies, every case (or, with ``--renewals``, a quarter's renewals), on a running local stack or on one that starts and stops with it.

Time is skipped, people answer on cue (``sandbox/actors.py``), and nothing else is special: the stories go in by the same doors as anybody.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starter.cli.base import console, emit
from starter.local.demo import renewals, trials
from starter.local.demo.board import Board, shown_on
from starter.local.demo.director import open_director
from starter.local.demo.home import at_home
from starter.local.supervise import on_signals
from starter.run import run_cli
from starter.service.bootstrap import Environment

#: The exit code of a command that was interrupted.
INTERRUPTED = 130


def main(place: Environment, as_json: bool, *, of_renewals: bool = False) -> int:
    """Play, print what became of everybody, and return the exit code. Raises a :class:`~starter.errors.TenureError` when it cannot begin."""
    return run_cli(_unless_interrupted(_demo(place, as_json, of_renewals)))


async def _demo(place: Environment, as_json: bool, of_renewals: bool) -> int:
    board = Board()
    with shown_on(board, console(stderr=True)):
        board.cast({} if of_renewals else {story.name: story.case for story in trials.STORIES})
        board.say("starting a stack of its own" if place.stack is None else "on the stack that runs")
        async with at_home(place, renewals.FLEET if of_renewals else 0) as home:
            async with open_director(home.place, board) as director:
                found = await (renewals.play if of_renewals else trials.play)(director)
            home.keep = not found.good
    emit(found.as_json(), as_json, lambda _: found.page())
    for fault in found.faults:
        console(stderr=True).print(fault, style="red", markup=False, soft_wrap=True)
    if home.keep and home.own:
        console(stderr=True).print(f"→ its logs: {home.data / 'logs'}", style="dim", markup=False, soft_wrap=True)
    return 0 if found.good else 1


async def _unless_interrupted(work: Coroutine[Any, Any, int]) -> int:
    """Run ``work``; SIGINT or SIGTERM ends it, once, so that a second one does not cut its cleaning up short."""
    task, heard = asyncio.ensure_future(work), asyncio.Event()

    def stop() -> None:
        if not heard.is_set():
            heard.set()
            task.cancel()

    on_signals(stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not heard.is_set():
            raise
        console(stderr=True).print("Interrupted; everything that it started has stopped.", style="dim")
        return INTERRUPTED
