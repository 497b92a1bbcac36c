"""What became of everybody: each trial's end, its effects in the ledger, and every history of the demo searched for failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from domain import ids
from starter.local.demo.company import Company, Played
from starter.local.demo.waiting import Miss, eventually
from starter.service.histories import decrypt

if TYPE_CHECKING:
    from starter.local.demo.director import Director

#: Events that are there only because time was skipped.
SKIPPING = (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
#: No failure: a message came in just when the workflow wanted to end, so the server has it look again.
LOOK_AGAIN = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
AT_ONCE = 8


@dataclass(frozen=True)
class History:
    """One run of a workflow: how many events, how long by its own clock, and its failed workflow tasks in words."""

    events: int
    length: timedelta
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One trial in the end's table."""

    company: str
    domain: str
    case: str
    end: str
    days: int
    effects: int
    events: int
    good: bool


@dataclass
class Report:
    """All of it. ``faults`` are what went wrong, in words."""

    rows: list[Row] = field(default_factory=list)
    failed_workflow_tasks: int = 0
    left_open: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every company reached its end, and nothing failed or was left open."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        trials = [{"domain": row.domain, "case": row.case, "end": row.end, "effects": row.effects} for row in self.rows]
        return {"trials": trials, "failed_workflow_tasks": self.failed_workflow_tasks, "left_open": self.left_open}

    def page(self) -> Group:
        """For people."""
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("company", "case", "what became of it"):
            table.add_column(heading, no_wrap=True)
        for heading in ("days", "effects", "events"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            end = Text(row.end or "did not end", style="green" if row.good else "bold red")
            table.add_row(Text(row.domain, style="bold"), row.case, end, str(row.days), str(row.effects), str(row.events))
        effects, events = sum(row.effects for row in self.rows), sum(row.events for row in self.rows)
        summary = (
            f"  {len(self.rows)} trials, {effects} effects, {events} events; failed workflow tasks: {self.failed_workflow_tasks};"
            f" left open: {', '.join(self.left_open) or 'none'}"
        )
        return Group(table, Text(summary, style="dim" if self.good else "bold red"))


async def of(director: Director, companies: Sequence[Company]) -> Report:
    """Look at everything that the demo left behind."""
    report = Report()
    room = asyncio.Semaphore(AT_ONCE)

    async def read(execution: WorkflowExecution) -> History:
        async with room:
            return await history(director, execution)

    for company in companies:
        await _none_runs(director, company)
        executions = await _executions(director, company)
        histories = dict(
            zip(((each.id, each.run_id) for each in executions), await asyncio.gather(*(read(each) for each in executions)), strict=True)
        )
        report.left_open += [each.id for each in executions if each.status is WorkflowExecutionStatus.RUNNING]
        failures = [failure for history in histories.values() for failure in history.failures]
        report.failed_workflow_tasks += len(failures)
        report.faults += [f"{company.story.name}: {fault}" for fault in (*failures, *([company.problem] if company.problem else []))]
        for trial in company.played:
            report.rows.append(await _row(director, company, trial, histories))
    report.faults += [f"{workflow} is still open" for workflow in report.left_open]
    return report


async def _none_runs(director: Director, company: Company) -> None:
    """Give what ends by itself the moment that it takes, and the server's list the one that it lags behind."""

    async def none() -> bool:
        return all(each.status is not WorkflowExecutionStatus.RUNNING for each in await _executions(director, company))

    if not company.problem:
        try:
            await eventually("the end of all processes", none, within=10)
        except Miss:
            return  # the report says which


async def _executions(director: Director, company: Company) -> list[WorkflowExecution]:
    """Every execution of the company: its trials, joins and moves by the domain in their ids, its others by name."""
    prefixes = (ids.trial(company.domain), f"join-{company.domain}", f"domain-change-{company.domain}")
    named = {workflow for trial in company.played for workflow in (trial.workflow, *trial.beside)} | set(company.beside)
    asked = [f"WorkflowId STARTS_WITH '{prefix}'" for prefix in prefixes] + [f"WorkflowId = '{name}'" for name in sorted(named)]
    return [each async for each in director.client.list_workflows(" OR ".join(asked))]


async def history(director: Director, execution: WorkflowExecution) -> History:
    """Read one run's history through."""
    handle = director.client.get_workflow_handle(execution.id, run_id=execution.run_id)
    events, failures = 0, []
    first = last = None
    async for event in handle.fetch_history_events():
        if event.event_type in SKIPPING:
            continue
        events, last = events + 1, event.event_time.ToDatetime()
        first = first or last
        failed = event.workflow_task_failed_event_attributes
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED and failed.cause != LOOK_AGAIN:
            await decrypt(event, director.client.data_converter)
            failures.append(f"{execution.id}, event {event.event_id}: {failed.failure.message}")
    return History(events, (last or datetime.min) - (first or datetime.min), tuple(failures))


async def _row(director: Director, company: Company, trial: Played, histories: dict[tuple[str, str], History]) -> Row:
    ledger = director.tenure.ledger
    own = f"{trial.workflow}/{trial.run[-8:]}."
    effects = await asyncio.to_thread(ledger.effects, workflow=trial.workflow)
    done = sum(row.done_at is not None and row.subject.startswith(own) for row in effects)
    for workflow in trial.beside:
        done += sum(row.done_at is not None for row in await asyncio.to_thread(ledger.effects, workflow=workflow))
    mine = histories.get((trial.workflow, trial.run), History(0, timedelta(), ()))
    events = mine.events + sum(history.events for (name, _), history in histories.items() if name in trial.beside)
    good = bool(trial.end) and not company.problem
    return Row(company.story.name, trial.domain, trial.case, trial.end, mine.length.days, done, events, good)
