"""What the service shows: trials, a process, an account with everything of it, its health, a quarter's forecast."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Generic, TypeVar

from domain.account.account import AccountTeam, Customer, HealthSnapshot, RenewalRow
from domain.base import Value
from domain.decision import Decision
from domain.forecast.comparison import Actual, Moved
from domain.forecast.rollup import Forecast
from domain.health.types import Band, Guidance, Score
from domain.views import NextStep, TaskView, TrialStatus

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
