"""What became of everybody: each one's end, and every history of the demo searched for failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from starter.local.demo.director import Director, Miss, eventually
from starter.local.demo.player import History, Player, Row
from starter.service.histories import decrypt
from starter.service.queries import each_of

#: Events that are there only because time was skipped.
SKIPPING = (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
#: No failure: a message came in just when the workflow wanted to end, so the server has it look again.
LOOK_AGAIN = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
#: Histories that are read at once.
AT_ONCE = 8


@dataclass
class Report:
    """All of it. ``kind`` is ``trials`` or ``renewals``, with the headings of its rows; ``faults`` are what went wrong, in words."""

    kind: str
    texts: tuple[str, ...]
    figures: tuple[str, ...]
    title: str = ""
    players: Sequence[Player] = ()
    rows: list[Row] = field(default_factory=list)
    events: int = 0
    failed_workflow_tasks: int = 0
    left_open: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everybody reached their end, and nothing failed or was left open."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [dict(row.data) for row in self.rows]
        return {self.kind: rows, "failed_workflow_tasks": self.failed_workflow_tasks, "left_open": self.left_open}

    def page(self) -> Group:
        """For people."""
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), header_style="dim")
        for heading in self.texts:
            table.add_column(heading, no_wrap=True)
        for heading in self.figures:
            table.add_column(heading, justify="right")
        for row in self.rows:
            name, *between, end = row.texts
            became = Text(end or "did not end", style="green" if row.good else "bold red")
            table.add_row(Text(name, style="bold"), *between, became, *row.figures)
        left = ", ".join(self.left_open) or "none"
        summary = f"  {self.title}, {self.events} events; failed workflow tasks: {self.failed_workflow_tasks}; left open: {left}"
        return Group(table, Text(summary, style="dim" if self.good else "bold red"))

    async def look_through(self, director: Director, players: Sequence[Player]) -> Report:
        """Add all that these left behind."""
        director.board.say("looking through every history")
        self.players = players
        for player in players:
            executions = await _settled(director, player)
            found = await each_of(executions, lambda each: history(director, each), AT_ONCE)
            failures = [failure for each in found for failure in each.failures]
            self.events += sum(each.events for each in found)
            self.failed_workflow_tasks += len(failures)
            self.faults += [f"{player.name}: {fault}" for fault in (*failures, *filter(None, [player.problem]))]
            self.left_open += sorted(await player.left_open(_running(executions)))
            self.rows += await player.rows({(each.id, each.run_id): one for each, one in zip(executions, found, strict=True)})
        self.faults += [f"{workflow} is still open" for workflow in self.left_open]
        return self


async def _settled(director: Director, player: Player) -> list[WorkflowExecution]:
    """A player's executions, given the moment that an end takes and the one that the server's list lags behind."""
    found: list[WorkflowExecution] = []

    async def none_left() -> bool:
        found[:] = [each async for each in director.client.list_workflows(player.executions())]
        return bool(player.problem) or not await player.left_open(_running(found))

    with suppress(Miss):  # the report says which runs
        await eventually("the end of all processes", none_left, within=10)
    return found


def _running(executions: Sequence[WorkflowExecution]) -> set[str]:
    return {each.id for each in executions if each.status is WorkflowExecutionStatus.RUNNING}


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
