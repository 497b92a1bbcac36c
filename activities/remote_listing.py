"""How the remote sides are looked at: since when to look for the mark of an effect that was begun, and how patiently a list is read."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from temporalio.exceptions import ApplicationError

from activities.errors import translating
from domain.effects.reconcile import Claim
from store.ledger import EffectId, EffectRow, Ledger

CLOCK_MARGIN = timedelta(minutes=5)
"""Outside systems stamp what we make with their own clock, which may be behind ours."""

PATIENCE = timedelta(minutes=2)
TRIES = 3

Answer = TypeVar("Answer")


class Ask(Protocol):
    """Makes one request of a list that is read page by page."""

    def __call__(self, call: Callable[[], Answer], /) -> Answer: ...


def at_once(call: Callable[[], Answer], /) -> Answer:
    """Make the request once; for an activity, which Temporal tries again."""
    return call()


@dataclass(frozen=True)
class Scope:
    """What a remote side is asked to show: the things of these claims, and, of the ``whole`` system, everything that carries our mark.

    ``since``: the first of the claims' effects was begun then; None when there is none.
    """

    claims: tuple[Claim, ...] = ()
    since: datetime | None = None
    whole: bool = True

    def refs(self, kind: str) -> set[str]:
        """The things of that kind that are on record."""
        return {claim.ref for claim in self.claims if claim.kind == kind}

    @property
    def earliest(self) -> datetime | None:
        """The first moment, by the remote side's clock, at which one of the things can have been made."""
        return self.since - CLOCK_MARGIN if self.since is not None else None


class RetryingReader:
    """Makes the requests of a reader that nobody tries again: it waits as long as the remote side says, and counts what it asks.

    One request waits for at most ``longest`` altogether, and is made at most three times when its answer is lost. What is no better
    then is raised, worded by ``translate`` (:mod:`activities.errors`). For reading only: a write is never simply repeated.
    """

    def __init__(
        self,
        translate: Callable[[Exception], ApplicationError | None],
        longest: timedelta = PATIENCE,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        self.requests = 0
        self._translate = translate
        self._longest = longest
        self._sleep = sleep or time.sleep
        self._count = threading.Lock()

    def __call__(self, call: Callable[[], Answer], /) -> Answer:
        waited, lost = timedelta(), 0
        while True:
            with self._count:
                self.requests += 1
            try:
                with translating(self._translate):
                    return call()
            except ApplicationError as error:
                lost += error.next_retry_delay is None
                wait = error.next_retry_delay or timedelta(seconds=lost)
                if error.non_retryable or lost >= TRIES or waited + wait > self._longest:
                    raise
                waited += wait
            self._sleep(wait.total_seconds())


def begun(ledger: Ledger, effect: EffectId) -> EffectRow | None:
    """What is on record of an effect, done or not; None before its first attempt."""
    return next((row for row in ledger.effects(effect.subject) if (row.subject, row.key) == effect), None)


def since(ledger: Ledger, effect: EffectId) -> datetime:
    """The earliest moment, by an outside system's clock, at which the effect can have happened. Real time, never the workflow's."""
    row = begun(ledger, effect)
    return (row.begun_at if row is not None else datetime.now(UTC)) - CLOCK_MARGIN
