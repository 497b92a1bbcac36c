"""The points at which a process kills itself, around the ledger's wrapper: product code has no hooks for it.

Which points are due is a file, ``DIR/due.json``, which a test may change at any time. A point that was used has a mark in ``DIR/marks``,
which is on disk before the process dies, and is never used again, so that the next process gets past it.
"""

from __future__ import annotations

import contextvars
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activities.effects.outside_system import OutsideSystem
from domain.effects.effect import Effect, EffectBatch, Receipt
from store.ledger import EffectId, Ledger
from tests.chaos.kinds import Point

kind_of_act: contextvars.ContextVar[str] = contextvars.ContextVar("kind_of_act", default="")


class Doom:
    """The points that are due and those that were used."""

    def __init__(self, home: Path) -> None:
        self._due, self._marks = home / "due.json", home / "marks"
        self._marks.mkdir(parents=True, exist_ok=True)
        self._dying = threading.Lock()

    @property
    def blind(self) -> bool:
        """Whether no worker may ask what an earlier one did."""
        return (self._due.parent / "blind").exists()

    def at(self, point: Point, effect: EffectId) -> None:
        """Die here, if that is due; the mark is on disk before."""
        kind = kind_of_act.get()
        if not kind or [kind, point] not in json.loads(self._due.read_text()):
            return
        with self._dying:  # one point, one death: whoever comes to another point meanwhile waits here for the end
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
    once, carried_out = Ledger.once, OutsideSystem._once

    def knowing(system: OutsideSystem, effect: Effect, batch: EffectBatch) -> Receipt:
        token = kind_of_act.set(type(effect).__name__)
        try:
            return carried_out(system, effect, batch)
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
    OutsideSystem._once = knowing  # type: ignore[assignment,method-assign]
