"""What the service shows: trials, a process, an account with everything of it, its health, a quarter's forecast; and its lists, by the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

from temporalio.client import WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus

from domain import ids
from domain.account.account import AccountTeam, Customer, HealthSnapshot, RenewalRow
from domain.base import Value
from domain.decision import Decision
from domain.forecast.comparison import Actual, Moved
from domain.forecast.rollup import Forecast
from domain.health.types import Band, Guidance, Score
from domain.views import NextStep, TaskView, TrialStatus
from starter.errors import BadInput
from workflows.frame.search_attributes import DOMAIN, DUE_AT, OWNER, STAGE

T = TypeVar("T")
Status = TypeVar("Status")


class TrialRow(Value):
    """One trial in a list, from the search attributes alone. ``due_at`` is when its earliest open task is due."""

    domain: str
    workflow: str
    run: str
    stage: str = ""
    owner: str = ""
    due_at: datetime | None = None
    open: bool
    status: str
    started_at: datetime
    closed_at: datetime | None = None

    @classmethod
    def of(cls, execution: WorkflowExecution, staff: Mapping[str, str]) -> TrialRow:
        """A trial as its search attributes tell it. ``staff`` are our people's addresses by their handles; who is not among them stays a handle."""
        known = execution.typed_search_attributes
        status = execution.status or WorkflowExecutionStatus.RUNNING
        return cls(
            domain=known.get(DOMAIN) or execution.id.removeprefix("trial-"),
            workflow=execution.id,
            run=execution.run_id,
            stage=known.get(STAGE) or "",
            owner=staff.get(known.get(OWNER) or "", known.get(OWNER) or ""),
            due_at=known.get(DUE_AT),
            open=status is WorkflowExecutionStatus.RUNNING,
            status=status.name.lower(),
            started_at=execution.start_time,
            closed_at=execution.close_time,
        )


class TrialPage(Value):
    """One page of trials, newest first. ``counts`` are all trials by status (``running``, ``completed`` …); ``next_page`` is empty at the end."""

    rows: tuple[TrialRow, ...]
    counts: dict[str, int]
    next_page: str = ""


class _Process(Value, Generic[Status]):
    """A process: where it stands, what comes next, what it decided and what it asks. ``at`` is its own time, which on a local stack may run ahead."""

    workflow: str
    open: bool
    at: datetime
    status: Status
    next_steps: tuple[NextStep, ...] = ()
    dossier: tuple[Decision, ...] = ()
    tasks: tuple[TaskView, ...] = ()


class TrialView(_Process[TrialStatus]):
    """Everything that a person wants to know of one trial. A closed one answers too, without next steps and tasks."""

    run: str


class ProcessView(_Process[dict[str, Any]]):
    """Everything of one process of an account."""

    kind: str


class HealthView(Value):
    """An account's health: the score with its evidence, and how it came to be, the newest change first."""

    customer: Customer
    team: AccountTeam
    score: Score | None
    standing: HealthSnapshot | None
    guidance: tuple[Guidance, ...] = ()
    changes: tuple[tuple[datetime, Band, Score], ...] = ()


class CustomerLine(Value):
    """A customer in a list, and how it does; no standing before the first hourly run."""

    customer: Customer
    standing: HealthSnapshot | None


class AccountOverview(Value):
    """Everything about one account: who it is, how it does, its processes and its renewals."""

    customer: Customer
    team: AccountTeam
    standing: HealthSnapshot | None
    processes: tuple[ProcessView, ...] = ()
    renewals: tuple[RenewalRow, ...] = ()


class ForecastView(Value):
    """A quarter's forecast as of now, what moved since the last weekly snapshot, and for a closed quarter what came.

    ``first`` and ``last`` are the quarter's days, ``following`` is the quarter after it.
    """

    first: date
    last: date
    following: str
    forecast: Forecast
    since: datetime | None = None
    moved: tuple[Moved, ...] = ()
    actual: Actual | None = None
    snapshots: tuple[datetime, ...] = ()


def clock(description: WorkflowExecutionDescription) -> datetime:
    """The workflow's own time: the server skips time for each workflow on its own, and only on a local stack."""
    known = description.raw_description.workflow_extended_info
    if not known.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return known.time_skipping_info.current_time.ToDatetime(tzinfo=UTC)


def bounded(limit: int, most: int) -> int:
    """The limit, when it is within bounds. Raises :class:`BadInput`."""
    if not 1 <= limit <= most:
        raise BadInput(f"a page of {limit} is not given", f"Ask for 1 to {most}", field="limit")
    return limit


def page(rows: list[T], after: str, key: Callable[[T], str], limit: int, most: int) -> list[T]:
    """The rows behind the one whose key is ``after``. Raises :class:`BadInput` when it is none of them any more."""
    keys = [key(row) for row in rows] if after else []
    if after and after not in keys:
        raise BadInput(f"{after[:80]!r} is not in this list (any more)", "Ask for the first page again", field="after")
    first = keys.index(after) + 1 if after else 0
    return rows[first : first + bounded(limit, most)]


def page_of(token: bytes | None) -> str:
    """The server's token as text, with a checksum: the server tries long and hard to make sense of one that it never gave."""
    if not token:
        return ""
    text = base64.urlsafe_b64encode(token).decode()
    return f"{ids.digest(text)}.{text}"


def token(page: str) -> bytes | None:
    """The server's token of a page that :func:`page_of` named; None for the first. Raises :class:`BadInput`."""
    check, _, text = page.partition(".")
    try:
        if page and check != ids.digest(text):
            raise ValueError
        return base64.b64decode(text, altchars=b"-_", validate=True) or None
    except ValueError:
        raise BadInput("there is no such page", "Take the page from `next_page` of the page before", field="page") from None
