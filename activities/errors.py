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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import requests
from temporalio import activity
from temporalio.exceptions import ApplicationError

from store.ledger import NotDone

#: Seconds that an outside system may take for one answer: longer than the half minute after which proxies and load balancers give up, for
#: what was asked and not waited for may still be done, long after it was asked again.
LONGEST_ANSWER = 35.0

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


@dataclass
class Kind:
    """One kind of error, made by calling it with the remote side's name and what is wrong; ``kind`` names a special case of it."""

    name: str
    error: type[ApplicationError]
    words: str
    after: timedelta | None = None
    for_good: bool = False

    def __call__(self, system: str, message: str, after: timedelta | None = None, *, kind: str = "") -> ApplicationError:
        """The error; ``after``: it said when to come again."""
        wait = after or self.after or after
        wait = min(wait, LONGEST_RETRY_AFTER) if wait is not None else None
        text = self.words.format(system=system, message=message, wait=wait)
        return self.error(text, type=f"{system}{kind or self.name}", non_retryable=self.for_good, next_retry_delay=wait)


_CREDENTIAL = "{system} does not accept our credential: {message}; set a valid one and restart the worker, or grant the permission"
_UNSURE = "{system} may or may not have acted: {message}; the next try asks it first"

refused = Kind("Refused", NotDone, "{system} refused: {message}", for_good=True)
forbidden = Kind("Forbidden", NotDone, _CREDENTIAL, timedelta(minutes=5))
limited = Kind("RateLimited", RateLimited, "{system} limits our rate: {message}; next try in {wait}", timedelta(seconds=30))
unreachable = Kind("Unreachable", Unreachable, "{system} cannot be reached: {message}; check its address and that it runs")
no_answer = Kind("Unsure", NoAnswer, _UNSURE)
unknown = Kind("Unsure", UnknownAnswer, _UNSURE)
unsure = Kind("Unsure", ApplicationError, _UNSURE)


def from_status(system: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApplicationError:
    """The error for an HTTP answer that is no success. ``detail`` is the remote side's own words, shortened by the caller."""
    text = f"HTTP {status}: {detail}" if detail else f"HTTP {status}"
    after = retry_after(headers := headers or {})
    used_up = "0" in (_header(headers, "ratelimit-remaining"), _header(headers, "x-ratelimit-remaining"))
    if status == 429 or (status == 403 and (after is not None or used_up)):
        return limited(system, text, limit_wait(headers))
    if status in (401, 403):
        return forbidden(system, text)
    if status == 408 or status >= 500:
        return no_answer(system, text, after=after)
    return refused(system, text)


#: What the libraries call an error of a connection that was never made.
_NEVER_MADE = frozenset(
    [
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "UnsupportedProtocol",
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
    ]
)


def lost(system: str, error: Exception) -> ApplicationError:
    """The error for a request that got no answer, by whatever library: of httpx and its kin, or of requests."""
    # urllib3 keeps in the reason whether a connection was ever made.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never = {type(error).__name__, type(reason).__name__} & _NEVER_MADE
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, requests.ConnectTimeout):
        text = "no connection in time"
    return (unreachable if never else no_answer)(system, text)


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
