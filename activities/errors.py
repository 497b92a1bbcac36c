"""What can go wrong at an outside system, in Temporal's terms, and the runner that carries a batch of acts through the ledger.

What an error has to tell is (1) whether the act may have happened, for the ledger, and (2) whether and when to try again, for Temporal:

    ApplicationError        it may have happened: the next attempt asks the remote side before it acts again
    └── NotDone             it did not happen: the remote side refused, or was never reached

    refused      NotDone    never try again: the request itself is wrong (validation, 400, 422)
    forbidden    NotDone    try again in five minutes: an operator can mend the credential meanwhile (401, 403)
    limited      NotDone    try again when the remote side says so (429)
    unreachable  NotDone    try again soon: the connection was never made
    unsure       —          try again soon: the answer was lost, or the remote side failed in the middle (5xx, connection lost)

A message says what is wrong and what to do next; it never holds a secret, since it is shown in the Web UI. No error carries the client's
exception as its cause: Temporal keeps 4 kB of a pending activity's failure, and a chain of stack traces would leave nothing of the message.
"""

from __future__ import annotations

import email.utils
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import requests
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ledger import EffectId, Ledger, NotDone
from domain.act import Act
from domain.acts import Batch, Receipt, Receipts

#: Seconds that an outside system may take for one answer: longer than the half minute after which proxies and load balancers give up, for
#: what was asked and not waited for may still be done, long after it was asked again.
LONGEST_ANSWER = 35.0

CREDENTIAL_RETRY = timedelta(minutes=5)
LIMIT_RETRY = timedelta(seconds=30)
LONGEST_RETRY_AFTER = timedelta(hours=1)

AnyAct = TypeVar("AnyAct", bound=Act)
Answer = TypeVar("Answer")


def refused(system: str, message: str, *, kind: str = "Refused") -> NotDone:
    """The remote side understood and said no; the same request would be refused again."""
    return NotDone(f"{system} refused: {message}", type=f"{system}{kind}", non_retryable=True)


def forbidden(system: str, message: str) -> NotDone:
    """The credential is wrong or may not do this; it is tried again every five minutes, since an operator can mend it."""
    text = f"{system} does not accept our credential: {message}; set a valid one and restart the worker, or grant the permission"
    return NotDone(text, type=f"{system}Forbidden", next_retry_delay=CREDENTIAL_RETRY)


def limited(system: str, message: str, after: timedelta | None = None) -> NotDone:
    """The remote side limits our rate; it is tried again after the time that it names."""
    wait = min(after or LIMIT_RETRY, LONGEST_RETRY_AFTER)
    return NotDone(f"{system} limits our rate: {message}; next try in {wait}", type=f"{system}RateLimited", next_retry_delay=wait)


def unreachable(system: str, message: str) -> NotDone:
    """No connection was made, so nothing can have happened."""
    return NotDone(f"{system} cannot be reached: {message}; check its address and that it runs", type=f"{system}Unreachable")


def unsure(system: str, message: str, *, after: timedelta | None = None, kind: str = "Unsure") -> ApplicationError:
    """It may have happened: the answer was lost, or it failed in the middle. The next attempt looks first."""
    text = f"{system} may or may not have acted: {message}; the next try asks it first"
    return ApplicationError(text, type=f"{system}{kind}", next_retry_delay=after)


def from_status(system: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApplicationError:
    """The error for an HTTP answer that is no success. ``detail`` is the remote side's own words, shortened by the caller."""
    text = f"HTTP {status}: {detail}" if detail else f"HTTP {status}"
    after = retry_after(headers or {})
    if status == 429 or (status == 403 and after is not None):
        return limited(system, text, after)
    if status in (401, 403):
        return forbidden(system, text)
    if status == 408 or status >= 500:
        return unsure(system, text, after=after)
    return refused(system, text)


def from_httpx(system: str, error: httpx.HTTPError) -> ApplicationError:
    """The error for a request of httpx that got no answer."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return unreachable(system, text)
    return unsure(system, text)


def from_requests(system: str, error: requests.RequestException) -> ApplicationError:
    """The error for a request of requests that got no answer."""
    # urllib3 keeps in the reason whether a connection was ever made.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never = type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    if isinstance(error, requests.ConnectTimeout):
        return unreachable(system, "no connection in time")
    text = f"{type(error).__name__}: {error}"
    return unreachable(system, text) if never else unsure(system, text)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The time of a ``Retry-After`` header, in seconds or as a date; None when there is none that can be read."""
    value = next((text.strip() for name, text in headers.items() if name.lower() == "retry-after"), "")
    if value.replace(".", "", 1).isdecimal():
        return min(timedelta(seconds=float(value)), LONGEST_RETRY_AFTER) if len(value) < 10 else LONGEST_RETRY_AFTER
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))


@contextmanager
def translating(translate: Callable[[Exception], ApplicationError | None]) -> Iterator[None]:
    """Raise a client's exception as ``translate`` words it; where that is None, as it is: a fault of ours.

    Where the exception came from is logged at debug, by the names of its types and the lines of code, without any message: a client's
    words may hold a secret.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        if (known := translate(error)) is None:
            raise
        activity.logger.debug("%s stands for %s\n%s", known.type, _lineage(error), "".join(traceback.format_tb(error.__traceback__)))
        raise known from None


def _lineage(error: BaseException) -> str:
    """The names of an exception's types, from the outermost to the one that began it."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    name = type(error).__name__
    return f"{name} < {_lineage(before)}" if before is not None else name


@dataclass(frozen=True)
class Step:
    """How one act is done. ``act`` is a word of the log (``issue.created``), ``summary`` one line that a person understands.

    ``do`` acts and returns the receipt; ``probe`` asks the remote side whether an earlier attempt already did, and returns that
    attempt's receipt or None. A system that cannot be asked, but sees to it itself that a repetition is no second effect, has no probe.
    """

    act: str
    summary: str
    do: Callable[[], Receipt]
    probe: Callable[[], Receipt | None] = lambda: None


def run_batch(
    ledger: Ledger,
    system: str,
    batch: Batch[AnyAct],
    step: Callable[[AnyAct, EffectId], Step | Receipt],
    translate: Callable[[Exception], ApplicationError | None],
) -> Receipts:
    """Carry out the acts of a batch in their order, each at most once, and return their receipts.

    ``step`` says how an act is done (or is itself the receipt, for an act that needs no effect). ``translate`` turns a client's
    exception into one of the errors above; None means that it is a fault of ours, which is raised as it is. What is done stays done:
    the ledger keeps it, and the error says which acts still wait.
    """
    by_key: dict[str, Receipt] = {}
    for number, act in enumerate(batch.acts):
        try:
            by_key[act.key] = _once(ledger, system, batch, act, step, translate)
        except ApplicationError as error:
            raise _with_progress(error, batch, number) from None
    return Receipts(by_key=by_key)


def _once(
    ledger: Ledger,
    system: str,
    batch: Batch[AnyAct],
    act: AnyAct,
    step: Callable[[AnyAct, EffectId], Step | Receipt],
    translate: Callable[[Exception], ApplicationError | None],
) -> Receipt:
    def guarded(call: Callable[[], Answer]) -> Answer:
        # Inside the ledger's wrapper, so that it sees what the error says about whether the act happened.
        with translating(translate):
            return call()

    effect = EffectId(batch.subject, act.key)
    how = guarded(lambda: step(act, effect))
    if isinstance(how, Receipt):
        return how
    return ledger.once(
        effect,
        system=system,
        act=how.act,
        summary=how.summary,
        as_of=batch.as_of,
        do=lambda: guarded(how.do),
        probe=lambda: guarded(how.probe),
    )


def _with_progress(error: ApplicationError, batch: Batch[AnyAct], done: int) -> ApplicationError:
    """The same error, which also says how far the batch came; the Web UI shows it as the pending activity's last failure."""
    waiting = ", ".join(act.key for act in batch.acts[done:])
    progress = f"{done} of {len(batch.acts)} done; waiting: {waiting}"
    return type(error)(
        f"{error.message} [{progress}]",
        *error.details,
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay,
    )
