"""GitHub: the issues to the Cloud team, and the automation that makes warm instances.

Two equal posts are two issues, so every issue and comment ends in a hidden mark with its effect's name, and a run's title carries it.
After a lost answer the mark is looked for by listing, never by search, whose index lags. PyGithub's own retries are off: by default it
repeats a POST whose answer was lost.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice, takewhile
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from github import Auth, BadCredentialsException, Github, GithubException, RateLimitExceededException, UnknownObjectException
from github.GithubObject import GithubObject, NotSet
from github.Issue import Issue
from github.PaginatedList import PaginatedList
from github.Repository import Repository
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import (
    LONGEST_ANSWER,
    Step,
    asking,
    forbidden,
    from_status,
    limited,
    no_answer,
    refused,
    retry_after,
    run_batch,
    translating,
    unreachable,
    unsure,
)
from activities.remote_listing import Ask, Scope, since
from domain.cloud.closing import Where
from domain.cloud.issues import host_named, is_ready, same_repository, speaks_for_the_team
from domain.effects.models import (
    AskIssue,
    CloseIssue,
    Comment,
    Dispatch,
    FillField,
    GitHubAct,
    GitHubBatch,
    IssueState,
    RaiseIssue,
    Receipt,
    Receipts,
)
from domain.effects.reconcile import Thing
from domain.ids import fitted
from domain.markup import line, markdown, value
from domain.upkeep import AskRuns, ReopenedIssues, RunStates
from store.ledger import EffectId, Ledger
from store.reopened_issues import raised_by
from store.settings import Settings

SYSTEM = "GitHub"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
PER_PAGE = 100
RUN_ITEMS = 1_000
LAG = timedelta(seconds=5)  # what was written shows in GitHub's lists within seconds, not at once
WRITE_SPACING = timedelta(seconds=1)  # GitHub's own advice for writes: one after another, a second apart
LONGEST_TITLE = 256  # of an issue; a longer one is refused
SECONDARY_LIMIT_WAIT = timedelta(minutes=1)  # the least that GitHub asks for when it names no time

Item = TypeVar("Item", bound=GithubObject)

_MARK = re.compile(r"<!-- tenure:(.+?) -->")
_BLOCK = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)
_REQUEST = re.compile(r"[^\s/()\[\]'\"]+/\w{1,8}\.\d+/[\w.:@-]*\w")


class GitHub:
    """The GitHub activities on one repository. PyGithub's client is not thread-safe, so each thread has its own."""

    def __init__(
        self,
        url: str,
        token: str,
        repo: str,
        ref: str,
        ledger: Ledger,
        write_spacing: timedelta = WRITE_SPACING,
        lag: timedelta = LAG,
        team: Iterable[str] = (),
    ) -> None:
        """``team`` are logins whose comments count like those of the repository's members."""
        self._url = url.rstrip("/")
        self._token = token
        self._name = repo
        self._ref = ref
        self._ledger = ledger
        self._pace = _Pace(write_spacing)
        self._lag = lag
        self._team = tuple(team)
        self._local = threading.local()
        self._clients: list[Github] = []

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> GitHub:
        """The activities on the settings' repository. On this machine, where nobody limits the rate and lists are never late, nothing waits."""
        local = urlsplit(settings.github_url).hostname in ("127.0.0.1", "::1", "localhost")
        waits = (timedelta(), timedelta()) if local else (WRITE_SPACING, LAG)
        token = settings.github_token.get_secret_value()
        team = settings.cloud_team()
        return cls(settings.github_url, token, settings.github_repo, settings.github_ref, ledger, *waits, team=team)

    def close(self) -> None:
        """Close every thread's connections."""
        while self._clients:
            self._clients.pop().close()
        self._local = threading.local()

    # --- Activities ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="github", no_thread_cancel_exception=True)
    def github(self, batch: GitHubBatch) -> Receipts:
        """Raise, fill in, comment and close issues, dispatch runs; in the order of the batch, each at most once.

        Safe to repeat: done acts are answered from the ledger, one that may have happened is looked for by its mark first. Receipts:
        an issue's number and ``url``; a comment's id; a dispatch's request name, which :meth:`runs` takes.
        """
        return run_batch(self._ledger, "github", batch, self._step, self.error)

    @activity.defn(name="github_issue")
    def issue(self, ask: AskIssue) -> IssueState:
        """Read an issue: labels, state with its reason, and the host that the Cloud team named last once its label says that it is ready.

        One that was deleted, or transferred to another repository, is a state as well, and no error.
        """
        with asking(self._ledger, "github", look=True), translating(self.error):
            issue = self._repo().get_issue(ask.issue)
            try:
                labels = tuple(label.name for label in issue.labels)
            except GithubException as error:
                if self._is_gone(error):
                    return IssueState(number=ask.issue, state="deleted")
                raise
            if self._is_elsewhere(issue):
                return IssueState(number=ask.issue, state="transferred", moved_to=issue.html_url)
            host = ""
            for comment in issue.get_comments() if is_ready(labels) else ():
                body, login = comment.body or "", comment.user.login if comment.user else ""
                said_by = str(comment.raw_data.get("author_association") or "")
                if speaks_for_the_team(said_by, login, self._team, body):
                    host = host_named(body) or host
            state: Where = "closed" if issue.state == "closed" else "open"
            return IssueState(number=ask.issue, labels=labels, state=state, host=host, reason=issue.state_reason or "")

    @activity.defn(name="github_reopened")
    def reopened(self) -> ReopenedIssues:
        """List the issues that are open again, each with the workflow by which the ledger says that it was raised."""
        with asking(self._ledger, "github", look=True), translating(self.error):
            found = [issue for issue in self._repo().get_issues(state="open") if issue.state_reason == "reopened"]
        return raised_by(self._ledger, {issue.number: mark_of(issue.body) for issue in found})

    @activity.defn(name="github_runs")
    def runs(self, ask: AskRuns) -> RunStates:
        """Read which of the dispatched runs are under way or completed, and with which conclusion."""
        missing, completed, running = set(ask.requests), {}, []
        with asking(self._ledger, "github"), translating(self.error):
            found = self._repo().get_workflow(ask.workflow).get_runs(event="workflow_dispatch") if missing else ()
            for run in islice(found, RUN_ITEMS):
                if (request := next((name for name in missing if names(run.display_title, name)), None)) is not None:
                    missing.discard(request)
                    if run.status == "completed":
                        completed[request] = run.conclusion or "unknown"
                    else:
                        running.append(request)
                if not missing:
                    break
        return RunStates(completed=completed, running=tuple(sorted(running)))

    def _step(self, act: GitHubAct, effect: EffectId) -> Step:
        match act:
            case RaiseIssue():
                return Step("issue.created", act.title, lambda: self._raise(act, effect), self._twice(lambda: self._raised(effect)))
            case FillField():
                # Writing the same value again changes nothing, and when it stands there already nothing is written.
                return Step("issue.edited", f"#{act.issue}: fill in {act.field}", lambda: self._fill(act))
            case Comment():
                summary = f"#{act.issue}: comment {act.key}"
                probe = self._twice(lambda: self._commented(act.issue, effect))
                return Step("comment.created", summary, lambda: self._comment(act, effect), probe)
            case CloseIssue():
                # Closing is two requests; each is made only when the issue does not show it yet.
                return Step("issue.closed", f"#{act.issue}: close as {act.reason}", lambda: self._close(act, effect))
            case Dispatch():
                summary = f"run {act.workflow} {act.inputs.get('host', '')}".strip()
                probe = self._twice(lambda: self._dispatched(act, effect))
                return Step("workflow.dispatched", summary, lambda: self._dispatch(act, effect), probe)

    def _twice(self, look: Callable[[], Receipt | None]) -> Callable[[], Receipt | None]:
        """Look, and look again a little later before saying that it did not happen."""

        def probe() -> Receipt | None:
            if (found := look()) is not None or not self._lag:
                return found
            time.sleep(self._lag.total_seconds())
            return look()

        return probe

    # --- Issues -------------------------------------------------------------------------------------------------------------

    def _raise(self, act: RaiseIssue, effect: EffectId) -> Receipt:
        self._pace.wait()
        return _of_issue(
            self._repo().create_issue(title=fitted(line(act.title), LONGEST_TITLE), body=body_of(act, effect), labels=list(act.labels))
        )

    def _raised(self, effect: EffectId) -> Receipt | None:
        # Not by label: people may have changed the labels since. As far back as the attempt, however many were raised since.
        earliest = since(self._ledger, effect)
        issues = self._repo().get_issues(state="all", sort="created", direction="desc", since=earliest)
        ours = takewhile(lambda issue: issue.created_at >= earliest, issues)
        return next((_of_issue(issue) for issue in ours if mark(effect) in (issue.body or "")), None)

    def _fill(self, act: FillField) -> Receipt:
        issue = self._repo().get_issue(act.issue)
        before = issue.body or ""
        if (after := filled(before, act.field, act.value)) != before:
            self._pace.wait()
            issue.edit(body=after)
        return Receipt(ref=str(act.issue))

    def _comment(self, act: Comment | CloseIssue, effect: EffectId) -> Receipt:
        self._pace.wait()
        return Receipt(ref=str(self._repo().get_issue(act.issue).create_comment(f"{markdown(act.text)}\n\n{mark(effect)}").id))

    def _is_gone(self, error: GithubException) -> bool:
        """Whether an issue is deleted, or where our token does not see it; "not found" may as well mean that the repository is."""
        return error.status == 410 or (isinstance(error, UnknownObjectException) and self._repository_is_visible())

    def _is_elsewhere(self, issue: Issue) -> bool:
        """Whether what GitHub sent us on to is an issue of another repository, and not ours under a new name."""
        there = "/".join(urlsplit(str(issue.raw_data.get("repository_url") or "")).path.split("/")[-2:])
        return not same_repository(there, self._name) and not same_repository(there, self._repo().full_name)

    def _commented(self, issue: int, effect: EffectId) -> Receipt | None:
        comments = self._repo().get_issue(issue).get_comments(since=since(self._ledger, effect))
        return next((Receipt(ref=str(comment.id)) for comment in comments if mark(effect) in (comment.body or "")), None)

    def _close(self, act: CloseIssue, effect: EffectId) -> Receipt:
        try:
            comment = self._commented(act.issue, effect) or self._comment(act, effect)
        except GithubException as error:
            if self._is_gone(error):  # there is nothing left to close
                return Receipt(ref=str(act.issue), data={"gone": "deleted"})
            raise
        self._ledger.part(effect, Receipt(ref=str(act.issue), data={"comment": comment.ref}))
        issue = self._repo().get_issue(act.issue)
        if issue.state != "closed":
            self._pace.wait()
            issue.edit(state="closed", state_reason=act.reason)
        return Receipt(ref=str(act.issue), data={"comment": comment.ref})

    # --- Runs ---------------------------------------------------------------------------------------------------------------

    def _dispatch(self, act: Dispatch, effect: EffectId) -> Receipt:
        """GitHub's answer names no run, so the run is known by the effect's name, which the workflow file puts into its run-name."""
        self._pace.wait()
        inputs = {**act.inputs, "request": str(effect)}
        self._repo().get_workflow(act.workflow).create_dispatch(self._ref, inputs=inputs, throw=True)
        return Receipt(ref=str(effect))

    def _dispatched(self, act: Dispatch, effect: EffectId) -> Receipt | None:
        # Newest first and without any filter: with one, GitHub lists no more than 1,000.
        earliest = since(self._ledger, effect)
        runs = takewhile(lambda run: run.created_at >= earliest, self._repo().get_workflow(act.workflow).get_runs())
        return Receipt(ref=str(effect)) if any(names(run.display_title, str(effect)) for run in runs) else None

    # --- What is there ------------------------------------------------------------------------------------------------------

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing]:
        """Our issues, comments and runs, and those that carry our mark: three lists, read page by page."""
        repo, earliest = self._repo(), scope.earliest
        changed = earliest or NotSet  # what was made since has been changed since
        issues, comments = scope.refs("issue"), scope.refs("comment")
        for issue in pages(ask, repo.get_issues(state="all", sort="created", direction="desc", since=changed)):
            if (left := mark_of(issue.body)) or str(issue.number) in issues:
                number = str(issue.number)
                yield Thing(kind="issue", ref=number, mark=left, state={"state": issue.state}, where=f"#{number}")
        for comment in pages(ask, repo.get_issues_comments(sort="created", direction="desc", since=changed)):
            if (left := mark_of(comment.body)) or str(comment.id) in comments:
                where = f"comment {comment.id} of #{comment.issue_url.rpartition('/')[2]}"
                yield Thing(kind="comment", ref=str(comment.id), mark=left, where=where)
        # Without a filter: a filtered list of runs ends after 1,000.
        for run in takewhile(lambda run: earliest is None or run.created_at >= earliest, pages(ask, repo.get_workflow_runs())):
            if (request := _REQUEST.search(run.display_title)) is not None:
                yield Thing(kind="run", ref=request[0], mark=request[0], id=str(run.id), where=f"run {run.id}")

    # --- The client ---------------------------------------------------------------------------------------------------------

    def _repo(self) -> Repository:
        """The repository, by the calling thread's client. Lazy: naming an issue or a workflow asks nothing until a value is read."""
        client: Github | None = getattr(self._local, "client", None)
        if client is None:
            client = Github(
                base_url=self._url,
                auth=Auth.Token(self._token),
                timeout=TIMEOUT_SECONDS,
                per_page=PER_PAGE,
                retry=None,
                seconds_between_requests=0,  # it would space one thread's calls only; see _Pace
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
                return refused(SYSTEM, f"not found: {_said(error)}", kind="NotFound")
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


class _Pace:
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


def mark(effect: EffectId) -> str:
    """The hidden line that says which effect made an issue or a comment."""
    return f"<!-- tenure:{effect} -->"


def mark_of(body: str | None) -> str:
    """Whose mark a body carries; empty when it carries none."""
    found = _MARK.findall(body or "")
    return str(found[-1]) if found else ""


def pages(ask: Ask, found: PaginatedList[Item]) -> Iterator[Item]:
    """Every item of a list, a page at a time: a page that failed is asked for again, which the list's own iterator cannot."""
    for number in count():
        page = ask(partial(found.get_page, number))
        yield from page
        if len(page) < PER_PAGE:
            return


def body_of(act: RaiseIssue, effect: EffectId) -> str:
    """An issue's body: the introduction, the fields as ``name: value`` lines in a block, the mark."""
    lines = [f"{name}: {value(given)}" for name, given in act.fields.items()]
    return "\n".join([markdown(act.intro.strip()), "", "```", *lines, "```", "", mark(effect)])


def filled(body: str, field: str, given: str) -> str:
    """The body with the field's line rewritten, within a block of code; with the line in a block of its own when people removed it."""
    written = f"{field}: {value(given)}"
    pattern = re.compile(rf"^{re.escape(field)}:[^\r\n]*", re.MULTILINE)
    for block in _BLOCK.finditer(body):
        if pattern.search(block[0]):
            return body[: block.start()] + pattern.sub(lambda _: written, block[0], count=1) + body[block.end() :]
    return f"{body.rstrip()}\n\n```\n{written}\n```\n"


def names(title: str, request: str) -> bool:
    """Whether a run's title carries exactly this request: ``…/host-1`` is not ``…/host-10``."""
    return re.search(rf"(?<![\w./-]){re.escape(request)}(?![\w/-]|\.\w)", title) is not None


def _of_issue(issue: Issue) -> Receipt:
    return Receipt(ref=str(issue.number), data={"url": issue.html_url})


def error_of(error: Exception) -> ApplicationError | None:
    """A GitHub client's exception in Temporal's terms, as far as it tells by itself."""
    if isinstance(error, GithubException):
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if isinstance(error, RateLimitExceededException) or error.status == 429 or _is_exhausted(error, headers):
            return limited(SYSTEM, _said(error), _limit_wait(headers))
        if isinstance(error, BadCredentialsException):
            return forbidden(SYSTEM, _said(error))
        if error.status == 409:  # two writes at once
            return unsure(SYSTEM, _said(error))
        return from_status(SYSTEM, error.status, _said(error), headers)
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


def _said(error: GithubException) -> str:
    """GitHub's own words, with the fields that it found at fault."""
    data = error.data if isinstance(error.data, dict) else {}
    faults: Iterable[object] = data.get("errors") or ()
    return "; ".join([str(data.get("message") or error.message or f"HTTP {error.status}"), *map(str, faults)])[:500]
