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
from datetime import timedelta
from itertools import islice, takewhile
from urllib.parse import urlsplit

import requests
from github import Auth, Github, GithubException, UnknownObjectException
from github.GithubObject import NotSet
from github.Issue import Issue
from github.Repository import Repository
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import (
    asking,
    forbidden,
    refused,
    translating,
)
from activities.github.client import PER_PAGE, SYSTEM, TIMEOUT_SECONDS, Pace, error_of, pages, said
from activities.github.text import body_of, filled, mark, mark_of, names
from activities.remote_listing import Ask, Scope, since
from domain.cloud.issues import Where, host_named, is_ready, same_repository, speaks_for_the_team
from domain.effects.effect import Receipt
from domain.effects.github import AskIssue, CloseIssue, Comment, Dispatch, FillField, IssueState, RaiseIssue
from domain.effects.reconcile import Claim, Thing
from domain.ids import fitted
from domain.markup import line, markdown
from domain.upkeep import AskRuns, ReopenedIssues, RunStates
from store.effect_kinds import claim, data, marked, named, of
from store.ledger import EffectId, EffectRow, Ledger
from store.reopened_issues import raised_by
from store.settings import Settings

RUN_ITEMS = 1_000
LAG = timedelta(seconds=5)  # what was written shows in GitHub's lists within seconds, not at once
WRITE_SPACING = timedelta(seconds=1)  # GitHub's own advice for writes: one after another, a second apart
LONGEST_TITLE = 256  # of an issue; a longer one is refused
_REQUEST = re.compile(r"[^\s/()\[\]'\"]+/\w{1,8}\.\d+/[\w.:@-]*\w")


def _closed(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    issue = claim(row, "issue", row.receipt.ref, state="closed")
    return issue, claim(row, "comment", data(row, "comment"), mark=str(named(row)))


class GitHub(OutsideSystem, name="github", title="GitHub"):
    """One repository. PyGithub's client is not thread-safe, so each thread has its own.

    Receipts: an issue's number and ``url``; a comment's id; a dispatch's request name, which :meth:`runs` takes.
    """

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
        self._pace = Pace(write_spacing)
        self._lag = lag
        self._team = tuple(team)
        self._local = threading.local()
        self._clients: list[Github] = []

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> GitHub:
        """The settings' repository. On this machine, where nobody limits the rate and lists are never late, nothing waits."""
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

    # --- Looks ---------------------------------------------------------------------------------------------------------

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

    def _twice(self, look: Callable[[], Receipt | None]) -> Receipt | None:
        """Look, and look again a little later before saying that it did not happen."""
        if (found := look()) is not None or not self._lag:
            return found
        time.sleep(self._lag.total_seconds())
        return look()

    # --- Issues -------------------------------------------------------------------------------------------------------------

    def _raised(self, _effect: RaiseIssue, effect_id: EffectId) -> Receipt | None:
        return self._twice(lambda: self._issue_of(effect_id))

    def _issue_of(self, effect_id: EffectId) -> Receipt | None:
        # Not by label: people may have changed the labels since. As far back as the attempt, however many were raised since.
        earliest = since(self._ledger, effect_id)
        issues = self._repo().get_issues(state="all", sort="created", direction="desc", since=earliest)
        ours = takewhile(lambda issue: issue.created_at >= earliest, issues)
        return next((_of_issue(issue) for issue in ours if mark(effect_id) in (issue.body or "")), None)

    @carries_out(
        RaiseIssue,
        act="issue.created",
        probe=_raised,
        asks="Lists the issues, open and closed, newest first, back to the first attempt, for the mark in the body. Never by search, "
        "whose index lags; not by label, which people change.",
        means="A hidden mark at the end of the body: `<!-- tenure:EFFECT -->`.",
        window="People delete the issue, or take the mark out of its body, before the next try: it is raised again.",
        told="The issue is there with its mark.",
        claims=of("issue", str),
        marks=marked("issue", str),
        kinds=("issue",),
    )
    def _raise(self, effect: RaiseIssue, effect_id: EffectId) -> Receipt:
        self._pace.wait()
        return _of_issue(
            self._repo().create_issue(
                title=fitted(line(effect.title), LONGEST_TITLE), body=body_of(effect, effect_id), labels=list(effect.labels)
            )
        )

    @carries_out(
        FillField,
        act="issue.edited",
        asks="Reads the body; writes only when the field does not show the value.",
        means="The value itself.",
        window="People change the field again before the next try: our value is written over theirs. GitHub has no conditional edit: what "
        "they write between our reading and our writing is lost.",
        told="The issue is there. Its body is people's too, so the value is not compared.",
        claims=of("issue"),
    )
    def _fill(self, effect: FillField, _effect_id: EffectId) -> Receipt:
        issue = self._repo().get_issue(effect.issue)
        before = issue.body or ""
        if (after := filled(before, effect.field, effect.value)) != before:
            self._pace.wait()
            issue.edit(body=after)
        return Receipt(ref=str(effect.issue))

    def _commented(self, effect: Comment | CloseIssue, effect_id: EffectId) -> Receipt | None:
        return self._twice(lambda: self._comment_of(effect.issue, effect_id))

    def _write(self, effect: Comment | CloseIssue, effect_id: EffectId) -> Receipt:
        self._pace.wait()
        return Receipt(ref=str(self._repo().get_issue(effect.issue).create_comment(f"{markdown(effect.text)}\n\n{mark(effect_id)}").id))

    def _comment_of(self, issue: int, effect_id: EffectId) -> Receipt | None:
        comments = self._repo().get_issue(issue).get_comments(since=since(self._ledger, effect_id))
        return next((Receipt(ref=str(comment.id)) for comment in comments if mark(effect_id) in (comment.body or "")), None)

    @carries_out(
        Comment,
        act="comment.created",
        probe=_commented,
        asks="Lists the issue's comments since the first attempt, page by page, for the mark.",
        means="A hidden mark at the end of the comment.",
        window="People delete the comment, or its mark, before the next try: it is written again.",
        told="The comment is there with its mark.",
        claims=of("comment", str),
        marks=marked("comment", str),
        kinds=("comment",),
    )
    def _comment(self, effect: Comment, effect_id: EffectId) -> Receipt:
        return self._write(effect, effect_id)

    def _is_gone(self, error: GithubException) -> bool:
        """Whether an issue is deleted, or where our token does not see it; "not found" may as well mean that the repository is."""
        return error.status == 410 or (isinstance(error, UnknownObjectException) and self._repository_is_visible())

    def _is_elsewhere(self, issue: Issue) -> bool:
        """Whether what GitHub sent us on to is an issue of another repository, and not ours under a new name."""
        there = "/".join(urlsplit(str(issue.raw_data.get("repository_url") or "")).path.split("/")[-2:])
        return not same_repository(there, self._name) and not same_repository(there, self._repo().full_name)

    @carries_out(
        CloseIssue,
        act="issue.closed",
        asks="Lists the issue's comments since the first attempt for the mark, and reads the issue's state; each of the two requests is "
        "made only when it is not seen.",
        means="The mark in the comment; the issue's own state.",
        window="People reopen the issue before the next try: it is closed again.",
        told="The issue is closed, and its comment is there with its mark.",
        claims=_closed,
        marks=marked("comment", str),
        kinds=("comment",),
        first=lambda row: _closed(row)[1:],
    )
    def _close(self, effect: CloseIssue, effect_id: EffectId) -> Receipt:
        try:
            comment = self._comment_of(effect.issue, effect_id) or self._write(effect, effect_id)
        except GithubException as error:
            if self._is_gone(error):  # there is nothing left to close
                return Receipt(ref=str(effect.issue), data={"gone": "deleted"})
            raise
        self._ledger.part(effect_id, Receipt(ref=str(effect.issue), data={"comment": comment.ref}))
        issue = self._repo().get_issue(effect.issue)
        if issue.state != "closed":
            self._pace.wait()
            issue.edit(state="closed", state_reason=effect.reason)
        return Receipt(ref=str(effect.issue), data={"comment": comment.ref})

    # --- Runs ---------------------------------------------------------------------------------------------------------------

    def _dispatched(self, effect: Dispatch, effect_id: EffectId) -> Receipt | None:
        return self._twice(lambda: self._run_of(effect, effect_id))

    def _run_of(self, effect: Dispatch, effect_id: EffectId) -> Receipt | None:
        # Newest first and without any filter: with one, GitHub lists no more than 1,000.
        earliest = since(self._ledger, effect_id)
        runs = takewhile(lambda run: run.created_at >= earliest, self._repo().get_workflow(effect.workflow).get_runs())
        return Receipt(ref=str(effect_id)) if any(names(run.display_title, str(effect_id)) for run in runs) else None

    @carries_out(
        Dispatch,
        act="workflow.dispatched",
        probe=_dispatched,
        asks="Lists the workflow's runs, newest first, back to the first attempt, for the effect's name in the title; without a filter, "
        "since a filtered list ends after 1,000.",
        means="The input `request`, which the workflow file puts into its `run-name`.",
        window="GitHub lists a run, as an issue and a comment, within seconds, not at once; so before a probe says no, it waits 5 s and looks "
        "again. Later than that, or when somebody deleted the run before the next try, another is started.",
        told="The run is there with the name in its title. GitHub keeps runs for 400 days at the most.",
        claims=of("run", str),
        marks=marked("run", str),
        kinds=("run",),
    )
    def _dispatch(self, effect: Dispatch, effect_id: EffectId) -> Receipt:
        """GitHub's answer names no run, so the run is known by the effect's name, which the workflow file puts into its run-name."""
        self._pace.wait()
        inputs = {**effect.inputs, "request": str(effect_id)}
        self._repo().get_workflow(effect.workflow).create_dispatch(self._ref, inputs=inputs, throw=True)
        return Receipt(ref=str(effect_id))

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


def _of_issue(issue: Issue) -> Receipt:
    return Receipt(ref=str(issue.number), data={"url": issue.html_url})
