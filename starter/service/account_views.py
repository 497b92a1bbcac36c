"""What the service for accounts shows: a process, an account with everything of it, its health, a quarter's forecast."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from domain.account.account import AccountTeam, Customer, HealthSnapshot, RenewalRow
from domain.base import Value
from domain.decision import Decision
from domain.forecast.comparison import Actual, Moved
from domain.forecast.rollup import Forecast
from domain.health.types import Band, Guidance, Score
from domain.views import NextStep, TaskView


class ProcessView(Value):
    """One process of an account: where it stands, what comes next, what it decided and what it asks. ``at`` is its own time."""

    workflow: str
    kind: str
    open: bool
    at: datetime
    status: dict[str, Any]
    next_steps: tuple[NextStep, ...] = ()
    dossier: tuple[Decision, ...] = ()
    tasks: tuple[TaskView, ...] = ()


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
