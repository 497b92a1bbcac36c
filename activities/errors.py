"""What can go wrong at an outside system, in Temporal's terms.

What an error has to tell is (1) whether the act may have happened, for the ledger, and (2) whether and when to try again, for Temporal:

    ApplicationError        it may have happened: the next attempt asks the remote side before it acts again
    ├── NoAnswer            the answer was lost, or the remote side failed as a whole (5xx, connection lost)
    ├── UnknownAnswer       it answered with what we do not know; after UNKNOWN_TRIES of them a person is asked
    └── NotDone             it did not happen: the remote side refused, or was never reached
        ├── RateLimited     the remote side said *wait* (429)
        └── Unreachable     the connection was never made

    refused      NotDone        never try again: the request itself is wrong (validation, 400, 422)
    forbidden    NotDone        try again in five minutes: an operator can mend the credential meanwhile (401, 403)
    limited      RateLimited    try again when the remote side says so
    unreachable  Unreachable    try again soon
    no_answer    NoAnswer       try again soon
    unknown      UnknownAnswer  try again soon, a few times
    unsure       —              try again soon: what is asked for failed in the middle, the remote side is well

*Wait* and no answer concern the whole remote side, so they hold it for every worker: :func:`activities.asking.asking` keeps it,
:mod:`store.holds` says how.

A message says what is wrong and what to do next; it never holds a secret, since it is shown in the Web UI. No error carries the client's
exception as its cause: Temporal keeps 4 kB of a pending activity's failure, and a chain of stack traces would leave nothing of the message.
"""

import email.utils
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import requests
from temporalio import activity
from temporalio.exceptions import ApplicationError

from store.ledger import NotDone

#: Seconds that an outside system may take for one answer: longer than the half minute after which proxies and load balancers give up, for
#: what was asked and not waited for may still be done, long after it was asked again.
LONGEST_ANSWER = 35.0

CREDENTIAL_RETRY = timedelta(minutes=5)
LIMIT_RETRY = timedelta(seconds=30)
#: A daily allowance is the longest that a system makes us wait for; what says more is asked once a day.
LONGEST_RETRY_AFTER = timedelta(days=1)
EPOCH = 1_000_000_000  # a reset that is a moment, not a span: some hosts send seconds since 1970
UNKNOWN_TRIES = 6  # with Temporal's own pauses, half a minute


class RateLimited(NotDone):
    """The remote side said *wait*; nobody is to ask it until then."""


class Unreachable(NotDone):
    """No connection was made, or the remote side put everything off."""


class NoAnswer(ApplicationError):
    """The remote side as a whole does not answer; what was asked may have happened."""


class UnknownAnswer(ApplicationError):
    """The remote side answered with an error that we do not know; what was asked may have happened."""


def refused(system: str, message: str, *, kind: str = "Refused") -> NotDone:
    """The remote side understood and said no; the same request would be refused again."""
    return NotDone(f"{system} refused: {message}", type=f"{system}{kind}", non_retryable=True)


def forbidden(system: str, message: str) -> NotDone:
    """The credential is wrong or may not do this; it is tried again every five minutes, since an operator can mend it."""
    text = f"{system} does not accept our credential: {message}; set a valid one and restart the worker, or grant the permission"
    return NotDone(text, type=f"{system}Forbidden", next_retry_delay=CREDENTIAL_RETRY)


def limited(system: str, message: str, after: timedelta | None = None) -> RateLimited:
    """The remote side limits our rate; it is tried again after the time that it names."""
    wait = min(after or LIMIT_RETRY, LONGEST_RETRY_AFTER)
    return RateLimited(f"{system} limits our rate: {message}; next try in {wait}", type=f"{system}RateLimited", next_retry_delay=wait)


def unreachable(system: str, message: str) -> Unreachable:
    """No connection was made, so nothing can have happened."""
    return Unreachable(f"{system} cannot be reached: {message}; check its address and that it runs", type=f"{system}Unreachable")


def unsure(system: str, message: str) -> ApplicationError:
    """It may have happened: what was asked for failed in the middle. The next attempt looks first."""
    return ApplicationError(_unsure(system, message), type=f"{system}Unsure")


def no_answer(system: str, message: str, *, after: timedelta | None = None) -> NoAnswer:
    """It may have happened: the remote side failed as a whole, or its answer was lost. ``after``: it said when to come again."""
    return NoAnswer(_unsure(system, message), type=f"{system}Unsure", next_retry_delay=after)


def unknown(system: str, message: str) -> UnknownAnswer:
    """It may have happened: the remote side answered with what we do not know."""
    return UnknownAnswer(_unsure(system, message), type=f"{system}Unsure")


def _unsure(system: str, message: str) -> str:
    return f"{system} may or may not have acted: {message}; the next try asks it first"


def from_status(system: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApplicationError:
    """The error for an HTTP answer that is no success. ``detail`` is the remote side's own words, shortened by the caller."""
    text = f"HTTP {status}: {detail}" if detail else f"HTTP {status}"
    headers = headers or {}
    after = retry_after(headers)
    if status == 429 or (status == 403 and (after is not None or _used_up(headers))):
        return limited(system, text, limit_wait(headers))
    if status in (401, 403):
        return forbidden(system, text)
    if status == 408 or status >= 500:
        return no_answer(system, text, after=after)
    return refused(system, text)


def from_httpx(system: str, error: httpx.HTTPError) -> ApplicationError:
    """The error for a request of httpx that got no answer."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return unreachable(system, text)
    return no_answer(system, text)


def from_requests(system: str, error: requests.RequestException) -> ApplicationError:
    """The error for a request of requests that got no answer."""
    # urllib3 keeps in the reason whether a connection was ever made.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout):
        return unreachable(system, "no connection in time")
    never = type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    return (unreachable if never else no_answer)(system, f"{type(error).__name__}: {error}")


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The time of a ``Retry-After`` header, in seconds or as a date; None when there is none that can be read."""
    value = _header(headers, "retry-after")
    if value.replace(".", "", 1).isdecimal():
        return min(timedelta(seconds=float(value)), LONGEST_RETRY_AFTER) if len(value) < 10 else LONGEST_RETRY_AFTER
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    return min(max(timedelta(), left), LONGEST_RETRY_AFTER)


def limit_wait(headers: Mapping[str, str]) -> timedelta | None:
    """How long a remote side that limits our rate wants to be left alone; None when it does not say.

    ``Retry-After``, else ``RateLimit-Reset`` or ``X-RateLimit-Reset``, in seconds or as a moment.
    """
    if (after := retry_after(headers)) is not None:
        return after
    for name in ("ratelimit-reset", "x-ratelimit-reset"):
        value = _header(headers, name).partition(".")[0]
        if value.isdecimal() and len(value) < 12:
            left = int(value) if int(value) < EPOCH else int(value) - datetime.now(UTC).timestamp()
            return min(max(timedelta(seconds=left), timedelta(seconds=1)), LONGEST_RETRY_AFTER)
    return None


def _used_up(headers: Mapping[str, str]) -> bool:
    """Whether nothing is left of what may be asked."""
    return any(_header(headers, name) == "0" for name in ("ratelimit-remaining", "x-ratelimit-remaining"))


def _header(headers: Mapping[str, str], name: str) -> str:
    """A header in whatever case, without blanks around it; empty when there is none."""
    return next((text.strip() for each, text in headers.items() if each.lower() == name), "")


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


def again(error: ApplicationError, after: timedelta | None, message: str = "") -> ApplicationError:
    """The same error with another time for the next try, or with another message."""
    words = message or error.message
    return type(error)(words, *error.details, type=error.type, non_retryable=error.non_retryable, next_retry_delay=after)
