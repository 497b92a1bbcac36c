"""Asking an outside system while no worker was told to leave it alone (:mod:`store.holds`), and what its answer means for all of them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import NoAnswer, RateLimited, Unreachable, again
from store.holds import Free, Held
from store.ledger import EffectBusy, Ledger, NotDone

LONGEST_PATIENCE = timedelta(minutes=1)


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
