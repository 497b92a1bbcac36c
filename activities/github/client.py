"""GitHub's client: the pace of its writes, how its lists are paged, and what each of its errors means in Temporal's terms."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TypeVar

import requests
from github import BadCredentialsException, GithubException, RateLimitExceededException
from github.GithubObject import GithubObject
from github.PaginatedList import PaginatedList
from temporalio.exceptions import ApplicationError

from activities.errors import LONGEST_ANSWER, forbidden, from_status, limited, no_answer, retry_after, unreachable, unsure
from activities.remote_listing import Ask

SYSTEM = "GitHub"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
PER_PAGE = 100
SECONDARY_LIMIT_WAIT = timedelta(minutes=1)  # the least that GitHub asks for when it names no time

Item = TypeVar("Item", bound=GithubObject)


class Pace:
    """Lets the writes of all threads go one after another, ``spacing`` apart."""

    def __init__(self, spacing: timedelta) -> None:
        self._spacing = spacing.total_seconds()
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        if not self._spacing:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._spacing
        time.sleep(turn - now)


def pages(ask: Ask, found: PaginatedList[Item]) -> Iterator[Item]:
    """Every item of a list, a page at a time: a page that failed is asked for again, which the list's own iterator cannot."""
    for number in count():
        page = ask(partial(found.get_page, number))
        yield from page
        if len(page) < PER_PAGE:
            return


def error_of(error: Exception) -> ApplicationError | None:
    """A GitHub client's exception in Temporal's terms, as far as it tells by itself."""
    if isinstance(error, GithubException):
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if isinstance(error, RateLimitExceededException) or error.status == 429 or _is_exhausted(error, headers):
            return limited(SYSTEM, said(error), _limit_wait(headers))
        if isinstance(error, BadCredentialsException):
            return forbidden(SYSTEM, said(error))
        if error.status == 409:  # two writes at once
            return unsure(SYSTEM, said(error))
        return from_status(SYSTEM, error.status, said(error), headers)
    if isinstance(error, requests.ConnectTimeout):
        return unreachable(SYSTEM, "no connection in time")
    if isinstance(error, requests.RequestException):
        text = f"{type(error).__name__}: {error}"
        return unreachable(SYSTEM, text) if _never_connected(error) else no_answer(SYSTEM, text)
    return None


def _is_exhausted(error: GithubException, headers: dict[str, str]) -> bool:
    return error.status == 403 and headers.get("x-ratelimit-remaining") == "0"


def _limit_wait(headers: dict[str, str]) -> timedelta:
    """How long to wait: what GitHub says, else until the hour's allowance is renewed, else a minute."""
    if (after := retry_after(headers)) is not None:
        return after
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(datetime.fromtimestamp(int(reset), UTC) - datetime.now(UTC), timedelta()) + timedelta(seconds=1)
    return SECONDARY_LIMIT_WAIT


def _never_connected(error: requests.RequestException) -> bool:
    """Whether the connection was refused or the host unknown; urllib3 keeps that in the cause."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


def said(error: GithubException) -> str:
    """GitHub's own words, with the fields that it found at fault."""
    data = error.data if isinstance(error.data, dict) else {}
    faults: Iterable[object] = data.get("errors") or ()
    return "; ".join([str(data.get("message") or error.message or f"HTTP {error.status}"), *map(str, faults)])[:500]
