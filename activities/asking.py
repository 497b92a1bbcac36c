"""How outside systems are asked: while no worker was told to leave them alone, since when, and how patiently a list is read.

What their answers mean is worded by :mod:`activities.errors`; what holds one of them for every worker is kept by :mod:`store.holds`.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import NoAnswer, RateLimited, Unreachable, again, translating
from domain.effects.reconcile import Claim
from store.holds import Free, Held
from store.ledger import EffectBusy, EffectId, EffectRow, Ledger, NotDone

LONGEST_PATIENCE = timedelta(minutes=1)
CLOCK_MARGIN = timedelta(minutes=5)
"""Outside systems stamp what we make with their own clock, which may be behind ours."""

PATIENCE = timedelta(minutes=2)
TRIES = 3

Answer = TypeVar("Answer")


@contextmanager
def asking(ledger: Ledger, system: str, place: str = "", *, look: bool = False, entered: Free | None = None) -> Iterator[None]:
    """Ask a remote side for something, unless it is held; what comes of it holds it, or frees it, for every worker.

    ``system`` is its name in the ledger; ``place`` is one of several of it, as a customer's instance. Errors pass through, with the time
    of the next try. Raises :class:`NotDone` where the system is held: nothing was asked. A ``look`` is what a decision waits for, for so
    long and no longer: unless it is told to wait, it is tried again at the pace of its own retry policy. ``entered``: it was free a moment ago.
    """
    name = f"{system} {place}".strip()
    if entered is None:
        found = ledger.holds.enter(name)
        if isinstance(found, Held):
            raise held(name, found) if found.kind == "wait" or not look else again(held(name, found), None)
        entered = found
    try:
        yield
    except (RateLimited, Unreachable, NoAnswer) as error:
        said = None if isinstance(error, Unreachable) else error.next_retry_delay
        if isinstance(error, NoAnswer) and said is not None:  # it is down, however soon it says that it will be back
            said = max(said, ledger.holds.probe)
        left = ledger.holds.failed(name, entered, said)
        if left is None or said is not None:
            raise
        # Who asked in vain comes last of those who wait: another may be luckier.
        after = max(left + ledger.holds.spread(left), error.next_retry_delay or timedelta(), _patience())
        raise again(error, None if look else after) from None
    except ApplicationError as error:
        if entered.probe:
            if isinstance(error, EffectBusy):
                ledger.holds.unused(name)
            else:
                ledger.holds.answered(name)
        raise
    except BaseException:
        if entered.probe:
            ledger.holds.unused(name)
        raise
    if entered.probe:
        ledger.holds.answered(name)


def held(system: str, hold: Held) -> NotDone:
    """The remote side is left alone for now: nothing was asked of it."""
    why = "asked us to wait" if hold.kind == "wait" else "does not answer"
    text = f"{system} {why}: nobody asks it before {hold.until:%Y-%m-%d %H:%M:%S} UTC; nothing was done, and it is tried again"
    after = hold.after if hold.probed or hold.kind == "wait" else max(hold.after, _patience())
    return NotDone(text, type="SystemHeld", next_retry_delay=after)


def _patience() -> timedelta:
    """What Temporal would wait before the next try, but a minute at most: the longer it is down, the seldomer everybody looks."""
    attempt = activity.info().attempt if activity.in_activity() else 1
    return min(timedelta(seconds=2 ** min(attempt - 1, 10)), LONGEST_PATIENCE) * random.uniform(0.75, 1)  # noqa: S311  it only spreads


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
