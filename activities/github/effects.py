"""GitHub: the issues to the Cloud team, and the automation that makes warm instances.

Two equal posts are two issues, so every issue and comment ends in a hidden mark with its effect's name, and a run's title carries it.
After a lost answer the mark is looked for by listing, never by search, whose index lags. PyGithub's own retries are off: by default it
repeats a POST whose answer was lost.
"""

import re
import time
from collections.abc import Iterator
from functools import wraps
from itertools import islice, takewhile
from typing import TypeVar

from github import GithubException
from github.GithubObject import NotSet
from github.Issue import Issue
from temporalio import activity

from activities.asking import Ask, Scope, since
from activities.effects.outside_system import Looker, carries_out
from activities.github.client import RepositoryClient, pages
from domain.cloud.issues import Where, host_named, is_ready, speaks_for_the_team
from domain.effects.effect import Effect, Receipt
from domain.effects.github import AskIssue, CloseIssue, Comment, Dispatch, FillField, IssueState, RaiseIssue
from domain.effects.reconcile import Claim, Thing
from domain.ids import fitted
from domain.markup import line, markdown, value
from domain.upkeep import AskRuns, ReopenedIssues, RunStates
from store.effect_kinds import claim, data, named, of, ref_of
from store.ledger import EffectId, EffectRow
from store.registry import Registry

RUN_ITEMS = 1_000
LONGEST_TITLE = 256  # of an issue; a longer one is refused
AnyEffect = TypeVar("AnyEffect", bound=Effect)
_REQUEST = re.compile(r"[^\s/()\[\]'\"]+/\w{1,8}\.\d+/[\w.:@-]*\w")


_MARK = re.compile(r"<!-- tenure:(.+?) -->")
_BLOCK = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)


def mark(effect_id: EffectId) -> str:
    """The hidden line that says which effect made an issue or a comment."""
    return f"<!-- tenure:{effect_id} -->"


def mark_of(body: str | None) -> str:
    """Whose mark a body carries; empty when it carries none."""
    found = _MARK.findall(body or "")
    return str(found[-1]) if found else ""


def body_of(effect: RaiseIssue, effect_id: EffectId) -> str:
    """An issue's body: the introduction, the fields as ``name: value`` lines in a block, the mark."""
    lines = [f"{name}: {value(given)}" for name, given in effect.fields.items()]
    return "\n".join([markdown(effect.intro.strip()), "", "```", *lines, "```", "", mark(effect_id)])


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


def _closed(row: EffectRow) -> tuple[Claim, ...]:
    issue = claim(row, "issue", ref_of(row), state="closed")
    return issue, claim(row, "comment", data(row, "comment"), mark=str(named(row)))


def twice(look: Looker[AnyEffect]) -> Looker[AnyEffect]:
    """The look, and where it finds nothing another a little later: before that it does not say that something did not happen."""

    @wraps(look)
    def looked(github: RepositoryClient, effect: AnyEffect, effect_id: EffectId) -> Receipt | None:
        if (found := look(github, effect, effect_id)) is not None or not github.lag:
            return found
        time.sleep(github.lag.total_seconds())
        return look(github, effect, effect_id)

    return looked


class GitHub(RepositoryClient, name="github", title="GitHub"):
    """One repository.

    Receipts: an issue's number and ``url``; a comment's id; a dispatch's request name, which :meth:`runs` takes.
    """

    @activity.defn(name="github_issue")
    def issue(self, ask: AskIssue) -> IssueState:
        """Read an issue: labels, state with its reason, and the host that the Cloud team named last once its label says that it is ready.

        One that was deleted, or transferred to another repository, is a state as well, and no error.
        """
        with self.looking(waited_for=True):
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
                if speaks_for_the_team(said_by, login, self._settings.cloud_team(), body):
                    host = host_named(body) or host
            state: Where = "closed" if issue.state == "closed" else "open"
            return IssueState(number=ask.issue, labels=labels, state=state, host=host, reason=issue.state_reason or "")

    @activity.defn(name="github_reopened")
    def reopened(self) -> ReopenedIssues:
        """List the issues that are open again, each with the workflow by which the ledger says that it was raised."""
        with self.looking(waited_for=True):
            found = [issue for issue in self._repo().get_issues(state="open") if issue.state_reason == "reopened"]
        return Registry(self._ledger).reopened({issue.number: mark_of(issue.body) for issue in found})

    @activity.defn(name="github_runs")
    def runs(self, ask: AskRuns) -> RunStates:
        """Read which of the dispatched runs are under way or completed, and with which conclusion."""
        missing, completed, running = set(ask.requests), {}, []
        with self.looking():
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

    def _issue_of(self, _effect: RaiseIssue, effect_id: EffectId) -> Receipt | None:
        # Not by label: people may have changed the labels since. As far back as the attempt, however many were raised since.
        earliest = since(self._ledger, effect_id)
        issues = self._repo().get_issues(state="all", sort="created", direction="desc", since=earliest)
        ours = takewhile(lambda issue: issue.created_at >= earliest, issues)
        return next((_of_issue(issue) for issue in ours if mark(effect_id) in (issue.body or "")), None)

    @carries_out(RaiseIssue, act="issue.created", probe=twice(_issue_of), makes="issue", mark=str)
    def _raise(self, effect: RaiseIssue, effect_id: EffectId) -> Receipt:
        self._pace.wait()
        title, body = fitted(line(effect.title), LONGEST_TITLE), body_of(effect, effect_id)
        return _of_issue(self._repo().create_issue(title=title, body=body, labels=list(effect.labels)))

    @carries_out(FillField, act="issue.edited", claims=of("issue"))
    def _fill(self, effect: FillField, _effect_id: EffectId) -> Receipt:
        issue = self._repo().get_issue(effect.issue)
        before = issue.body or ""
        if (after := filled(before, effect.field, effect.value)) != before:
            self._pace.wait()
            issue.edit(body=after)
        return Receipt(ref=str(effect.issue))

    def _comment_of(self, effect: Comment | CloseIssue, effect_id: EffectId) -> Receipt | None:
        comments = self._repo().get_issue(effect.issue).get_comments(since=since(self._ledger, effect_id))
        return next((Receipt(ref=str(comment.id)) for comment in comments if mark(effect_id) in (comment.body or "")), None)

    @carries_out(Comment, act="comment.created", probe=twice(_comment_of), makes="comment", mark=str)
    def _comment(self, effect: Comment, effect_id: EffectId) -> Receipt:
        return self._write(effect, effect_id)

    def _write(self, effect: Comment | CloseIssue, effect_id: EffectId) -> Receipt:
        self._pace.wait()
        return Receipt(ref=str(self._repo().get_issue(effect.issue).create_comment(f"{markdown(effect.text)}\n\n{mark(effect_id)}").id))

    @carries_out(CloseIssue, act="issue.closed", claims=_closed, makes="comment", mark=str, first=lambda row: _closed(row)[1:])
    def _close(self, effect: CloseIssue, effect_id: EffectId) -> Receipt:
        try:
            comment = self._comment_of(effect, effect_id) or self._write(effect, effect_id)
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

    def _run_of(self, effect: Dispatch, effect_id: EffectId) -> Receipt | None:
        # Newest first and without any filter: with one, GitHub lists no more than 1,000.
        earliest = since(self._ledger, effect_id)
        runs = takewhile(lambda run: run.created_at >= earliest, self._repo().get_workflow(effect.workflow).get_runs())
        return Receipt(ref=str(effect_id)) if any(names(run.display_title, str(effect_id)) for run in runs) else None

    @carries_out(Dispatch, act="workflow.dispatched", probe=twice(_run_of), makes="run", mark=str)
    def _dispatch(self, effect: Dispatch, effect_id: EffectId) -> Receipt:
        """GitHub's answer names no run, so the run is known by the effect's name, which the workflow file puts into its run-name."""
        self._pace.wait()
        inputs = {**effect.inputs, "request": str(effect_id)}
        self._repo().get_workflow(effect.workflow).create_dispatch(self._settings.github_ref, inputs=inputs, throw=True)
        return Receipt(ref=str(effect_id))

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


def _of_issue(issue: Issue) -> Receipt:
    return Receipt(ref=str(issue.number), data={"url": issue.html_url})
