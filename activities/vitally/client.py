"""The connection to Vitally's REST API: pages, errors, and a pace that leaves room for others. Nothing is ever repeated by itself.

Every answer says how many requests are left of this minute's allowance. What is not urgent (:meth:`VitallyApi.pace`) stops while less
than a tenth is left, so that an hourly run over all accounts does not hold up what a person waits for.
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from urllib.parse import quote

import httpx
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import errors
from activities.asking import Ask, at_once
from activities.errors import limited, lost, refused
from activities.http import HttpClient, Json, said
from store.ledger import NotDone

SYSTEM = "Vitally"
PAGE = 100
#: The part of the allowance that is left to others.
RESERVE = 0.1
#: How long the window is in which requests are counted; also the wait when Vitally does not say.
WINDOW = timedelta(minutes=1)
#: Seconds between two heartbeats of an activity that waits.
BEAT = 5.0


class VitallyApi(HttpClient):
    """One workspace."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(SYSTEM, base_url=f"{url.rstrip('/')}/resources/", auth=(key, ""))
        self._left: tuple[int, int, timedelta] | None = None

    def find(self, *path: str) -> Json | None:
        """An object, or None when there is none."""
        answer = self._send("GET", path)
        return None if answer.status_code == 404 else self._json(answer)

    def post(self, kind: str, body: Json) -> Json:
        """Make an object."""
        return self._json(self._send("POST", (kind,), body))

    def put(self, *path: str, body: Json) -> Json | None:
        """Set fields of an object; None when there is none."""
        answer = self._send("PUT", path, body)
        return None if answer.status_code == 404 else self._json(answer)

    def pages(self, *path: str, paced: bool = False, ask: Ask = at_once, **query: str) -> Iterator[Json]:
        """Every object of a list, newest first.

        In the order of creation: in the other one, what changes while it is read moves to the top and is missed.
        """
        following: str | None = ""
        while following is not None:
            if paced:
                self.pace()
            asked = {"limit": str(PAGE), "sortBy": "createdAt", **query, **({"from": following} if following else {})}
            page = ask(partial(self._page, path, asked))
            yield from page["results"]
            following = page.get("next") or None

    def _page(self, path: tuple[str, ...], query: Mapping[str, str]) -> Json:
        return self._json(self._send("GET", path, query=query))

    def pace(self) -> None:
        """Wait while too little of the allowance is left; an activity goes on heartbeating, and ends when its worker stops."""
        left, self._left = self._left, None
        if left is not None and left[0] < left[1] * RESERVE:
            pause(min(left[2], WINDOW).total_seconds())

    def _send(self, method: str, path: tuple[str, ...], body: Json | None = None, query: Mapping[str, str] | None = None) -> httpx.Response:
        """One request. A 404 is the caller's to judge; every other answer that is no success is raised."""
        answer = self._http.request(method, "/".join(quote(part, safe="") for part in path), json=body, params=query)
        self._left = _allowance(answer.headers) or self._left
        if answer.status_code == 429:
            raise limited(SYSTEM, f"HTTP 429: {said(answer)}", limit_wait(answer.headers))
        return answer if answer.status_code == 404 else self.check(answer)

    def _json(self, answer: httpx.Response) -> Json:
        if answer.status_code == 404:
            raise refused(SYSTEM, f"not found: {said(answer)}", kind="NotFound")
        asked = f"{answer.request.method} {answer.request.url.path}"
        return self.content(answer, f"{asked} was not answered with JSON; check TENURE_VITALLY_URL")


def translated(error: Exception) -> ApplicationError | None:
    """A client's exception in Temporal's terms; None for one that is not of this client."""
    return lost(SYSTEM, error) if isinstance(error, httpx.HTTPError) else None


def pause(seconds: float) -> None:
    """Wait inside an activity, whose heartbeats go on. Raises :class:`NotDone` when the worker stops meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not activity.in_activity():
            time.sleep(min(left, BEAT))
            continue
        activity.heartbeat()
        activity.wait_for_worker_shutdown_sync(min(left, BEAT))
        if activity.is_worker_shutdown():
            text = "the worker stopped while it waited for its turn at Vitally; another goes on"
            raise NotDone(text, type="WorkerStopped", next_retry_delay=timedelta(seconds=left))


def limit_wait(headers: Mapping[str, str]) -> timedelta:
    """How long to wait after a 429: as long as it says, else the whole window."""
    return errors.limit_wait(headers) or WINDOW


def _allowance(headers: httpx.Headers) -> tuple[int, int, timedelta] | None:
    """What is left, of how many, and when more comes; None when the answer does not say."""
    limit = re.match(r"\d+", headers.get("ratelimit-limit", ""))
    left = headers.get("ratelimit-remaining", "")
    return (int(left), int(limit[0]), limit_wait(headers)) if limit and left.isdecimal() else None
