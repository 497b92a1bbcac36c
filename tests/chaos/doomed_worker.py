"""A worker that kills itself, and whoever takes its place: ``python -m tests.chaos.doomed_worker``.

The worker is the product's own (``worker.main``); what it calls is wrapped here, since product code has no hooks. Around the ledger's
``once`` stand the points at which it may die (:class:`tests.chaos.kinds.Point`), with ``kill -9`` of itself. Which points are due is a
file, ``DIR/due.json`` (``DIR`` from ``CHAOS_DIR``), which a test may change at any time; a point that was used has a mark in
``DIR/marks`` and is never used again, so that the next worker gets past it.

This process only imports, and forks one worker after the other: the next one is there within a tenth of a second. It ends with SIGTERM.
Times that would only make a test wait are shorter than the product's; which ones, says :func:`shorten`.
"""

from __future__ import annotations

import contextvars
import ctypes
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

import activities.all  # imported before the fork, as all that a worker needs
import activities.errors
import activities.ledger
import activities.moment
import worker
import workflows.all
import workflows.effects
from activities.ledger import EffectId, Ledger
from domain.acts import Receipt
from tests.chaos.extra import CommentOnIssue
from tests.chaos.kinds import Point

#: Seconds that one try of an activity may take. A killed worker's activity is tried again only after it.
ONE_TRY = float(os.environ.get("CHAOS_ONE_TRY", "3"))
A_MINUTE = timedelta(minutes=1)
PR_SET_PDEATHSIG = 1

kind_of_act: contextvars.ContextVar[str] = contextvars.ContextVar("kind_of_act", default="")


class Doom:
    """The points that are due and those that were used."""

    def __init__(self, home: Path) -> None:
        self._due, self._marks = home / "due.json", home / "marks"
        self._marks.mkdir(parents=True, exist_ok=True)

    @property
    def blind(self) -> bool:
        """Whether no worker may ask what an earlier one did."""
        return (self._due.parent / "blind").exists()

    def at(self, point: Point, effect: EffectId) -> None:
        """Die here, if that is due; the mark is on disk before."""
        kind = kind_of_act.get()
        if not kind or [kind, point] not in json.loads(self._due.read_text()):
            return
        try:
            mark = os.open(self._marks / f"{kind}.{point}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return
        os.write(mark, str(effect).encode())
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the signal is on its way: nothing more is done

    def acted(self, effect: EffectId) -> bool:
        """Whether a worker has died right after the outside system did this, whatever the outside system can tell of it."""
        mark = self._marks / f"{kind_of_act.get()}.{Point.AFTER}"
        return mark.exists() and mark.read_text() == str(effect)

    def reached(self, effect: EffectId) -> None:
        """Note that a kind was at work at all."""
        if kind := kind_of_act.get():
            (self._marks.parent / f"reached.{kind}").touch()


def wrap(doom: Doom) -> None:
    """Put the points around the ledger's wrapper. Where ``DIR/blind`` is, it is broken: what was begun is done again unasked."""
    once, act_once = Ledger.once, activities.errors._once

    def knowing(ledger: Ledger, system: str, batch: Any, act: Any, *more: Any) -> Receipt:
        token = kind_of_act.set(type(act).__name__)
        try:
            return act_once(ledger, system, batch, act, *more)
        finally:
            kind_of_act.reset(token)

    def doomed(self: Ledger, effect: EffectId, *, do: Callable[[], Receipt], probe: Callable[[], Receipt | None], **how: Any) -> Receipt:
        acted = False

        def doing() -> Receipt:
            nonlocal acted
            doom.at(Point.BEFORE, effect)
            receipt = do()
            acted = True
            doom.at(Point.AFTER, effect)
            return receipt

        def asking() -> Receipt | None:
            nonlocal acted
            if doom.blind:
                return None
            found = probe()
            acted = found is not None
            doom.at(Point.RETRY_DONE if doom.acted(effect) else Point.RETRY, effect)
            return found

        doom.reached(effect)
        receipt = once(self, effect, do=doing, probe=asking, **how)
        if acted:
            doom.at(Point.RECORDED, effect)
        return receipt

    Ledger.once = doomed  # type: ignore[method-assign]
    activities.errors._once = knowing  # type: ignore[assignment]


def shorten() -> None:
    """What a test need not wait for: the end of a dead worker's try and of its tasks, the moment's patience, and what other tests check."""
    ask = workflow.execute_activity

    def soon(*args: Any, start_to_close_timeout: timedelta, heartbeat_timeout: timedelta | None = None, **how: Any) -> Any:
        within = min(start_to_close_timeout, timedelta(seconds=ONE_TRY if start_to_close_timeout <= A_MINUTE else 4 * ONE_TRY))
        beat = heartbeat_timeout and min(heartbeat_timeout, timedelta(seconds=ONE_TRY))
        return ask(*args, start_to_close_timeout=within, heartbeat_timeout=beat, **how)

    workflow.execute_activity = soon  # type: ignore[assignment]
    patient = workflows.effects.PATIENT
    patient.initial_interval, patient.backoff_coefficient, patient.maximum_interval = timedelta(seconds=0.5), 1.2, timedelta(seconds=2)
    activities.moment.PATIENCE = ONE_TRY / 2
    worker.Worker = partial(worker.Worker, sticky_queue_schedule_to_start_timeout=timedelta(seconds=1))  # type: ignore[attr-defined,assignment]
    # A trial run of each workflow at the start of a worker costs more than all the rest of it.
    SandboxedWorkflowRunner.prepare_workflow = lambda self, defn: None  # type: ignore[method-assign]
    workflows.all.ALL.append(CommentOnIssue)


def one_life() -> None:
    """Be a worker until the end, which is this process's."""
    activities.ledger._LIFE = uuid.uuid4().hex[:8]  # each of us is a process of its own
    worker.main()


def main() -> None:
    """Fork one worker after the other, until SIGTERM."""
    home = Path(os.environ["CHAOS_DIR"])
    shorten()
    wrap(Doom(home))
    child, stopping = 0, False

    def on_term(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child:
            os.kill(child, signal.SIGTERM)

    while not stopping:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            one_life()
            os._exit(0)
        signal.signal(signal.SIGTERM, on_term)
        _, status = os.waitpid(child, 0)
        child = 0
        ended = os.waitstatus_to_exitcode(status)
        sys.stderr.write(f"a worker ended with {ended}\n")
        sys.stderr.flush()
        with (home / "deaths").open("a") as file:
            file.write(f"{time.time():.2f} {ended}\n")
        if not stopping and ended != -signal.SIGKILL:
            time.sleep(0.3)  # it could not begin: Temporal is not there yet


if __name__ == "__main__":
    main()
