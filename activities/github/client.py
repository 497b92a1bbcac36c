"""GitHub's client: the pace of its writes, how its lists are paged, and what each of its errors means in Temporal's terms."""

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Self, TypeVar
from urllib.parse import urlsplit

import requests
from github import Auth, BadCredentialsException, Github, GithubException, RateLimitExceededException, UnknownObjectException
from github.GithubObject import GithubObject
from github.Issue import Issue
from github.PaginatedList import PaginatedList
from github.Repository import Repository
from temporalio.exceptions import ApplicationError

from activities.asking import Ask
from activities.effects.outside_system import OutsideSystem
from activities.errors import LONGEST_ANSWER, forbidden, from_status, limit_wait, limited, lost, refused, retry_after, unsure
from domain.cloud.issues import same_repository
from store.ledger import Ledger
from store.settings import Settings

SYSTEM = "GitHub"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
PER_PAGE = 100
SECONDARY_LIMIT_WAIT = timedelta(minutes=1)  # the least that GitHub asks for when it names no time

LAG = timedelta(seconds=5)  # what was written shows in GitHub's lists within seconds, not at once
WRITE_SPACING = timedelta(seconds=1)  # GitHub's own advice for writes: one after another, a second apart

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


class RepositoryClient(OutsideSystem):
    """The repository that the settings name. PyGithub's client is not thread-safe, so each thread has its own."""

    def __init__(self, settings: Settings, ledger: Ledger, lag: timedelta = LAG, write_spacing: timedelta = WRITE_SPACING) -> None:
        super().__init__(settings, ledger)
        self._name = settings.github_repo
        self._pace = Pace(write_spacing)
        self.lag = lag
        self._local = threading.local()
        self._clients: list[Github] = []

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Self:
        """The settings' repository. On this machine, where nobody limits the rate and lists are never late, nothing waits."""
        local = urlsplit(settings.github_url).hostname in ("127.0.0.1", "::1", "localhost")
        return cls(settings, ledger, timedelta(), timedelta()) if local else cls(settings, ledger)

    def close(self) -> None:
        """Close every thread's connections."""
        while self._clients:
            self._clients.pop().close()
        self._local = threading.local()

    def _repo(self) -> Repository:
        """The repository, by the calling thread's client. Lazy: naming an issue or a workflow asks nothing until a value is read."""
        client: Github | None = getattr(self._local, "client", None)
        if client is None:
            client = Github(
                base_url=self._settings.github_url.rstrip("/"),
                auth=Auth.Token(self._settings.github_token.get_secret_value()),
                timeout=TIMEOUT_SECONDS,
                per_page=PER_PAGE,
                retry=None,
                seconds_between_requests=0,  # it would space one thread's calls only; see Pace
                seconds_between_writes=0,
                lazy=True,
            )
            self._local.client = client
            self._clients.append(client)
        return client.get_repo(self._name)

    def error(self, error: Exception) -> ApplicationError | None:
        """A GitHub client's exception in Temporal's terms."""
        if isinstance(error, UnknownObjectException):
            # What a token may not see is "not found" too; only the repository itself tells the two apart.
            if self._repository_is_visible():
                return refused(SYSTEM, f"not found: {said(error)}", kind="NotFound")
            return forbidden(SYSTEM, f"it does not see the repository {self._name}")
        return error_of(error)

    def _repository_is_visible(self) -> bool:
        try:
            self._repo().complete()
        except UnknownObjectException:
            return False
        except (GithubException, requests.RequestException):
            return True  # it cannot be told now; what was asked for was answered with "not found"
        return True

    def _is_gone(self, error: GithubException) -> bool:
        """Whether an issue is deleted, or where our token does not see it; "not found" may as well mean that the repository is."""
        return error.status == 410 or (isinstance(error, UnknownObjectException) and self._repository_is_visible())

    def _is_elsewhere(self, issue: Issue) -> bool:
        """Whether what GitHub sent us on to is an issue of another repository, and not ours under a new name."""
        there = "/".join(urlsplit(str(issue.raw_data.get("repository_url") or "")).path.split("/")[-2:])
        return not same_repository(there, self._name) and not same_repository(there, self._repo().full_name)


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
        used_up = headers.get("x-ratelimit-remaining") == "0"
        if isinstance(error, RateLimitExceededException) or error.status == 429 or (error.status == 403 and used_up):
            # What it says, else until the hour's allowance is renewed.
            wait = limit_wait(headers) if used_up else retry_after(headers)
            return limited(SYSTEM, said(error), SECONDARY_LIMIT_WAIT if wait is None else wait)
        if isinstance(error, BadCredentialsException):
            return forbidden(SYSTEM, said(error))
        if error.status == 409:  # two writes at once
            return unsure(SYSTEM, said(error))
        return from_status(SYSTEM, error.status, said(error), headers)
    return lost(SYSTEM, error) if isinstance(error, requests.RequestException) else None


def said(error: GithubException) -> str:
    """GitHub's own words, with the fields that it found at fault."""
    data = error.data if isinstance(error.data, dict) else {}
    faults: Iterable[object] = data.get("errors") or ()
    return "; ".join([str(data.get("message") or error.message or f"HTTP {error.status}"), *map(str, faults)])[:500]
