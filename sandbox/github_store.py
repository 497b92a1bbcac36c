"""What the GitHub stand-in holds, and the one place where it changes.

:class:`Hub` is the state: repositories, issues, comments, labels, workflow runs. Each change tells the listeners what happened, which
is how webhooks leave and how the scripted Cloud team notices its work; who made the change is ``actor``, a login. Every method is
safe to call from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sandbox.core import Numbers

BOT = "tenure-bot"
CLOUD = "cloud-team"
DEFAULT_LABEL_COLOR = "ededed"
WORKFLOWS: tuple[str, ...] = ("create-instance.yml", "delete-instance.yml")

State = Literal["open", "closed"]


def now() -> datetime:
    """The present moment as GitHub keeps it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class Invalid(Exception):
    """422: the request was understood and refused. ``errors`` is the list of the answer's ``errors`` field."""

    def __init__(self, resource: str, field_name: str, code: str, message: str = "", value: Any = None) -> None:
        super().__init__(f"{resource}.{field_name}: {code}")
        self.errors: list[dict[str, Any]] = [{"resource": resource, "field": field_name, "code": code}]
        if message:
            self.errors[0]["message"] = message
        if value is not None:
            self.errors[0]["value"] = value


class Missing(Exception):
    """404: no such thing. The text is the answer's ``message``."""

    def __init__(self, message: str = "Not Found") -> None:
        super().__init__(message)


class Gone(Exception):
    """410: the issue was deleted."""


class Elsewhere(Exception):
    """301: the issue was transferred. ``repo`` and ``number`` say where to."""

    def __init__(self, repo: Repo, number: int) -> None:
        super().__init__(f"{repo.full_name}#{number}")
        self.repo, self.number = repo, number


@dataclass
class User:
    """An account: a login and a number. ``association`` is what it is to the repositories: an outsider is ``NONE``."""

    login: str
    id: int
    type: str = "User"
    association: str = "MEMBER"


@dataclass
class Label:
    """A repository's label; names compare without case, as GitHub does."""

    id: int
    name: str
    color: str = DEFAULT_LABEL_COLOR
    description: str | None = None


@dataclass
class Comment:
    """A comment below an issue."""

    id: int
    author: str
    body: str
    created_at: datetime
    updated_at: datetime


@dataclass
class Milestone:
    """A milestone of a repository."""

    id: int
    number: int
    title: str
    creator: str
    created_at: datetime
    description: str | None = None
    state: State = "open"


@dataclass
class Issue:
    """An issue with everything below it. ``seen_at`` is the exact moment of creation, from which the search index lags."""

    id: int
    number: int
    title: str
    body: str | None
    author: str
    created_at: datetime
    updated_at: datetime
    seen_at: datetime
    state: State = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    milestone: int | None = None
    comments: list[Comment] = field(default_factory=list)


@dataclass
class Run:
    """One run of a workflow file. ``status`` goes queued, in_progress, completed; ``conclusion`` is set with the last."""

    id: int
    number: int
    file: str
    title: str
    inputs: dict[str, str]
    ref: str
    actor: str
    created_at: datetime
    updated_at: datetime
    status: str = "queued"
    conclusion: str | None = None


@dataclass
class Hook:
    """A webhook that was registered through the API."""

    id: int
    url: str
    secret: str
    events: list[str]
    active: bool
    created_at: datetime


@dataclass
class Repo:
    """A repository. Issues are never renumbered: ``gone`` keeps the numbers of those that were deleted (``""``) or transferred (``owner/name#7``)."""

    id: int
    owner: str
    name: str
    created_at: datetime
    issues: dict[int, Issue] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    milestones: dict[int, Milestone] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    gone: dict[int, str] = field(default_factory=dict)

    @property
    def next_number(self) -> int:
        """The number of the next issue: none is given twice."""
        return max([*self.issues, *self.gone], default=0) + 1

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Event:
    """Something that happened: GitHub's event name and action, and what it happened to."""

    name: str
    action: str
    repo: Repo
    actor: str
    issue: Issue | None = None
    comment: Comment | None = None
    label: Label | None = None
    run: Run | None = None
    changes: dict[str, Any] | None = None


@dataclass
class HubState:
    """What is kept of the hub."""

    repos: dict[str, Repo]
    users: dict[str, User]
    following_id: int


class Hub:
    """All repositories. One lock (the world's), since requests and the Cloud team's timers come from different threads."""

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        self.listeners: list[Callable[[Event], None]] = []
        self.clear()

    def clear(self) -> None:
        """Begin again without repositories; listeners stay."""
        with self.lock:
            self.repos: dict[str, Repo] = {}
            self.users: dict[str, User] = {}
            self._ids = Numbers(1001)
            for login, kind in ((BOT, "Bot"), (CLOUD, "User")):
                self.add_user(login, kind)

    def dump(self) -> HubState:
        """What is to be kept."""
        return HubState(self.repos, self.users, self._ids.following)

    def load(self, state: HubState) -> None:
        """Go on from what was kept."""
        with self.lock:
            self.repos, self.users, self._ids = state.repos, state.users, Numbers(state.following_id)

    def new_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    # --- people and repositories

    def add_user(self, login: str, kind: str = "User", association: str = "MEMBER") -> User:
        """The account of that login, made when it is new; ``NONE`` makes it an outsider, whom the repositories know nothing of."""
        with self.lock:
            if login.lower() not in self.users:
                self.users[login.lower()] = User(login, next(self._ids), kind, association)
            return self.users[login.lower()]

    def repo(self, owner: str, name: str) -> Repo:
        """The repository; made on first use, so that any configured name works."""
        with self.lock:
            key = f"{owner}/{name}".lower()
            if key not in self.repos:
                self.add_user(owner, "Organization")
                self.repos[key] = Repo(next(self._ids), owner, name, now())
            return self.repos[key]

    def issue(self, repo: Repo, number: int) -> Issue:
        """The issue of that number. Missing if there never was one, Gone if it was deleted, Elsewhere if it was transferred."""
        if number in repo.issues:
            return repo.issues[number]
        if number not in repo.gone:
            raise Missing
        place, _, there = repo.gone[number].partition("#")
        if not place:
            raise Gone
        raise Elsewhere(self.repo(*place.split("/", 1)), int(there))

    def comment(self, repo: Repo, comment_id: int) -> tuple[Issue, Comment]:
        """A comment and the issue it stands below. Missing if there is none."""
        for issue in repo.issues.values():
            for comment in issue.comments:
                if comment.id == comment_id:
                    return issue, comment
        raise Missing

    # --- issues

    def create_issue(
        self,
        repo: Repo,
        actor: str,
        title: str,
        body: str | None = None,
        labels: Iterable[str] = (),
        assignees: Iterable[str] = (),
        milestone: int | None = None,
    ) -> Issue:
        """A new issue, every time: two equal requests make two. Unknown labels are made with it; Invalid for unknown assignees."""
        with self.lock:
            if not title.strip():
                raise Invalid("Issue", "title", "missing_field")
            people = list(dict.fromkeys(assignees))
            self._check_assignees(people)
            if milestone is not None and milestone not in repo.milestones:
                raise Invalid("Issue", "milestone", "invalid", value=milestone)
            names = [self.ensure_label(repo, name).name for name in labels]
            moment, exact = now(), datetime.now(UTC)
            number = repo.next_number
            issue = Issue(next(self._ids), number, title, body, actor, moment, moment, exact, milestone=milestone)
            issue.labels = list(dict.fromkeys(names))
            issue.assignees = people
            repo.issues[number] = issue
            self._tell(Event("issues", "opened", repo, actor, issue))
            for name in issue.labels:
                self._tell(Event("issues", "labeled", repo, actor, issue, label=repo.labels[name.lower()]))
            return issue

    def edit_issue(self, repo: Repo, issue: Issue, actor: str, fields: dict[str, Any]) -> None:
        """Apply a PATCH: any of title, body, state, state_reason, labels, assignees, milestone. Invalid leaves the issue as it was."""
        with self.lock:
            self._check_edit(repo, fields)
            changes: dict[str, Any] = {}
            for name in ("title", "body"):
                if name in fields and fields[name] != getattr(issue, name):
                    changes[name] = {"from": getattr(issue, name)}
                    setattr(issue, name, fields[name])
            if "milestone" in fields:
                issue.milestone = fields["milestone"]
            if "assignees" in fields:
                issue.assignees = list(dict.fromkeys(fields["assignees"]))
            issue.updated_at = now()
            if changes:
                self._tell(Event("issues", "edited", repo, actor, issue, changes=changes))
            if "labels" in fields:
                self.set_labels(repo, issue, actor, fields["labels"])
            if "state" in fields:
                self._set_state(repo, issue, actor, fields["state"], fields.get("state_reason"))

    def delete_issue(self, repo: Repo, issue: Issue, actor: str) -> None:
        """Delete an issue, as its page lets people do (and GraphQL; REST has no such call)."""
        with self.lock:
            del repo.issues[issue.number]
            repo.gone[issue.number] = ""
            self._tell(Event("issues", "deleted", repo, actor, issue))

    def transfer_issue(self, repo: Repo, issue: Issue, actor: str, there: Repo) -> Issue:
        """Move an issue to another repository, where it has another number; its old address leads there."""
        with self.lock:
            moved = replace(issue, id=next(self._ids), number=there.next_number, comments=list(issue.comments), labels=[])
            moved.labels = [self.ensure_label(there, name).name for name in issue.labels]
            del repo.issues[issue.number]
            there.issues[moved.number] = moved
            repo.gone[issue.number] = f"{there.full_name}#{moved.number}"
            self._tell(Event("issues", "transferred", repo, actor, issue, changes={"new_issue": moved, "new_repository": there}))
            self._tell(Event("issues", "opened", there, actor, moved, changes={"old_issue": issue, "old_repository": repo}))
            return moved

    def add_comment(self, repo: Repo, issue: Issue, actor: str, body: str) -> Comment:
        """A new comment, every time. Invalid when empty."""
        with self.lock:
            if not body.strip():
                raise Invalid("IssueComment", "body", "missing_field")
            comment = Comment(next(self._ids), actor, body, now(), now())
            issue.comments.append(comment)
            issue.updated_at = comment.created_at
            self._tell(Event("issue_comment", "created", repo, actor, issue, comment=comment))
            return comment

    def edit_comment(self, repo: Repo, issue: Issue, comment: Comment, actor: str, body: str) -> None:
        """Replace a comment's text."""
        with self.lock:
            if not body.strip():
                raise Invalid("IssueComment", "body", "missing_field")
            before, comment.body, comment.updated_at = comment.body, body, now()
            issue.updated_at = comment.updated_at
            if before != body:
                self._tell(Event("issue_comment", "edited", repo, actor, issue, comment=comment, changes={"body": {"from": before}}))

    # --- labels

    def ensure_label(self, repo: Repo, name: str) -> Label:
        """The label of that name (case aside), made when the repository has none."""
        with self.lock:
            if not name or len(name) > 50:
                raise Invalid("Label", "name", "invalid" if name else "missing_field", value=name or None)
            if name.lower() not in repo.labels:
                repo.labels[name.lower()] = Label(next(self._ids), name)
            return repo.labels[name.lower()]

    def create_label(self, repo: Repo, name: str, color: str = DEFAULT_LABEL_COLOR, description: str | None = None) -> Label:
        """A new label; Invalid ``already_exists`` when the name is taken."""
        with self.lock:
            if name.lower() in repo.labels:
                raise Invalid("Label", "name", "already_exists")
            label = self.ensure_label(repo, name)
            label.color, label.description = color, description
            return label

    def delete_label(self, repo: Repo, name: str) -> None:
        """Remove a label from the repository and from all its issues."""
        with self.lock:
            if repo.labels.pop(name.lower(), None) is None:
                raise Missing
            for issue in repo.issues.values():
                issue.labels = [kept for kept in issue.labels if kept.lower() != name.lower()]

    def rename_label(self, repo: Repo, name: str, fields: dict[str, Any]) -> Label:
        """PATCH a label: ``new_name``, ``color``, ``description``."""
        with self.lock:
            label = repo.labels.get(name.lower())
            if label is None:
                raise Missing
            new = fields.get("new_name") or label.name
            if new.lower() != name.lower() and new.lower() in repo.labels:
                raise Invalid("Label", "name", "already_exists")
            for issue in repo.issues.values():
                issue.labels = [new if held.lower() == name.lower() else held for held in issue.labels]
            del repo.labels[name.lower()]
            repo.labels[new.lower()] = label
            label.name, label.color = new, fields.get("color", label.color)
            label.description = fields.get("description", label.description)
            return label

    def add_labels(self, repo: Repo, issue: Issue, actor: str, names: Iterable[str]) -> None:
        """Put labels on an issue; those already there stay, silently."""
        with self.lock:
            for name in names:
                label = self.ensure_label(repo, name)
                if label.name not in issue.labels:
                    issue.labels.append(label.name)
                    issue.updated_at = now()
                    self._tell(Event("issues", "labeled", repo, actor, issue, label=label))

    def remove_label(self, repo: Repo, issue: Issue, actor: str, name: str) -> None:
        """Take a label off an issue. Missing (``Label does not exist``) when the issue does not carry it."""
        with self.lock:
            held = next((label for label in issue.labels if label.lower() == name.lower()), None)
            if held is None:
                raise Missing("Label does not exist")
            issue.labels.remove(held)
            issue.updated_at = now()
            self._tell(Event("issues", "unlabeled", repo, actor, issue, label=repo.labels[held.lower()]))

    def set_labels(self, repo: Repo, issue: Issue, actor: str, names: Iterable[str]) -> None:
        """Make the issue carry exactly these labels."""
        with self.lock:
            wanted = [self.ensure_label(repo, name).name for name in names]
            for held in [label for label in issue.labels if label not in wanted]:
                self.remove_label(repo, issue, actor, held)
            self.add_labels(repo, issue, actor, wanted)

    # --- workflow runs

    def dispatch(self, repo: Repo, actor: str, file: str, ref: str, inputs: dict[str, str]) -> Run:
        """Queue a run of a workflow file. Its title carries the ``request`` input, as a ``run-name`` in the file would."""
        with self.lock:
            number = sum(run.file == file for run in repo.runs) + 1
            parts = [file.rsplit(".", 1)[0], inputs.get("host", ""), inputs.get("request", "")]
            moment = now()
            run = Run(next(self._ids), number, file, " ".join(p for p in parts if p), inputs, ref, actor, moment, moment)
            repo.runs.append(run)
            self._tell(Event("workflow_run", "requested", repo, actor, run=run))
            return run

    def advance_run(self, repo: Repo, run: Run, status: str, conclusion: str | None = None) -> None:
        """Move a run on: ``in_progress``, then ``completed`` with its conclusion."""
        with self.lock:
            run.status, run.conclusion, run.updated_at = status, conclusion, now()
            self._tell(Event("workflow_run", status, repo, run.actor, run=run))

    # --- looking

    def search(self, lag: timedelta) -> list[tuple[Repo, Issue]]:
        """Every issue the index knows by now, newest first: one that is younger than ``lag`` is not there yet."""
        horizon = datetime.now(UTC) - lag
        with self.lock:
            found = [(r, i) for r in self.repos.values() for i in r.issues.values() if i.seen_at <= horizon]
        return sorted(found, key=lambda pair: pair[1].seen_at, reverse=True)

    # --- private

    def _tell(self, event: Event) -> None:
        for listener in list(self.listeners):
            listener(event)

    def _check_assignees(self, logins: Iterable[str]) -> None:
        for login in logins:
            if login.lower() not in self.users:
                raise Invalid("Issue", "assignees", "invalid", value=login)

    def _check_edit(self, repo: Repo, fields: dict[str, Any]) -> None:
        if "title" in fields and not str(fields["title"] or "").strip():
            raise Invalid("Issue", "title", "missing_field")
        if "state" in fields and fields["state"] not in ("open", "closed"):
            raise Invalid("Issue", "state", "invalid", value=fields["state"])
        if fields.get("state_reason") not in (None, "completed", "not_planned", "duplicate", "reopened"):
            raise Invalid("Issue", "state_reason", "invalid", value=fields["state_reason"])
        if fields.get("milestone") is not None and fields["milestone"] not in repo.milestones:
            raise Invalid("Issue", "milestone", "invalid", value=fields["milestone"])
        self._check_assignees(fields.get("assignees") or ())

    def _set_state(self, repo: Repo, issue: Issue, actor: str, state: State, reason: str | None) -> None:
        if state == issue.state:
            issue.state_reason = reason or issue.state_reason
            return
        issue.state = state
        issue.updated_at = now()
        if state == "closed":
            issue.state_reason = reason or "completed"
            issue.closed_at, issue.closed_by = issue.updated_at, actor
        else:
            issue.state_reason, issue.closed_at, issue.closed_by = "reopened", None, None
        self._tell(Event("issues", "closed" if state == "closed" else "reopened", repo, actor, issue))
