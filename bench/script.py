"""What a workflow did to its history, read off that history: which commands each workflow task issued, after what, and how large.

The twin (``bench/synthetic.py``) follows such a script, so that it issues the same commands in the same order, whatever the trial becomes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from temporalio.api.common.v1 import Payloads
from temporalio.api.history.v1 import HistoryEvent

from bench.history import kind

#: Where a twin's worker finds the script that it follows.
VARIABLE = "BENCH_SCRIPT"
_SILENT = {"WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "ACTIVITY_TASK_STARTED"}


class Command(BaseModel):
    """One command. ``name`` is an activity's type or a search attribute's; sizes are bytes of payload, ``seconds`` a timer's length."""

    do: Literal["activity", "local", "timer", "cancel", "upsert"]
    key: int = 0
    name: str = ""
    summary: str = ""
    given: int = 0
    result: int = 0
    seconds: float = 0.0
    attributes: dict[str, str | None] = {}


class Task(BaseModel):
    """One workflow task: what it issued, and what had come since the one before (``activity 12``, ``timer 40``, ``update 1``)."""

    after: list[str] = []
    commands: list[Command] = []


class Script(BaseModel):
    """A whole run. ``updates`` are the sizes of each update's argument and of its answer."""

    given: int
    summary: str
    result: int = 0
    updates: list[tuple[int, int]] = []
    tasks: list[Task] = []


def read(events: Iterable[HistoryEvent]) -> Script:
    """The script of a completed run. Raises ``ValueError`` for an event that a twin cannot follow."""
    script = Script(given=0, summary="")
    pending: list[str] = []
    begun: dict[int, Command] = {}
    for event in events:
        match kind(event):
            case "WORKFLOW_EXECUTION_STARTED":
                script.given = _size(event.workflow_execution_started_event_attributes.input)
                script.summary = _summary(event)
            case "WORKFLOW_TASK_COMPLETED":
                script.tasks.append(Task(after=pending))
                pending = []
            case "ACTIVITY_TASK_SCHEDULED":
                asked = event.activity_task_scheduled_event_attributes
                begun[event.event_id] = Command(
                    do="activity", key=event.event_id, name=asked.activity_type.name, given=_size(asked.input), summary=_summary(event)
                )
                script.tasks[-1].commands.append(begun[event.event_id])
            case "ACTIVITY_TASK_COMPLETED":
                done = event.activity_task_completed_event_attributes
                begun[done.scheduled_event_id].result = _size(done.result)
                pending.append(f"activity {done.scheduled_event_id}")
            case "TIMER_STARTED":
                seconds = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
                script.tasks[-1].commands.append(Command(do="timer", key=event.event_id, seconds=seconds, summary=_summary(event)))
            case "TIMER_FIRED":
                pending.append(f"timer {event.timer_fired_event_attributes.started_event_id}")
            case "TIMER_CANCELED":
                cancelled = event.timer_canceled_event_attributes.started_event_id
                script.tasks[-1].commands.append(Command(do="cancel", key=cancelled))
            case "MARKER_RECORDED":
                script.tasks[-1].commands.append(_local(event))
            case "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES":
                fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                values = {name: json.loads(payload.data) if payload.data else None for name, payload in fields.items()}
                script.tasks[-1].commands.append(Command(do="upsert", attributes=values))
            case "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
                script.tasks[-1].after.append(f"update {len(script.updates)}")
                asked_for = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.args
                script.updates.append((_size(asked_for), 0))
            case "WORKFLOW_EXECUTION_UPDATE_COMPLETED":
                answer = event.workflow_execution_update_completed_event_attributes.outcome.success
                open_one = next(number for number, (_, size) in enumerate(script.updates) if not size)
                script.updates[open_one] = (script.updates[open_one][0], _size(answer))
            case "WORKFLOW_EXECUTION_COMPLETED":
                script.result = _size(event.workflow_execution_completed_event_attributes.result)
            case name if name not in _SILENT:
                raise ValueError(f"the twin cannot follow event {event.event_id}, {name}: teach bench/script.py and bench/synthetic.py")
    return script


def load() -> Script:
    """The script that this process's environment names; an empty one outside a twin's worker."""
    path = Path(os.environ.get(VARIABLE, os.devnull))
    return Script.model_validate_json(path.read_bytes()) if path.is_file() else Script(given=0, summary="")


def _local(event: HistoryEvent) -> Command:
    details = event.marker_recorded_event_attributes.details
    about = json.loads(details["data"].payloads[0].data)
    return Command(do="local", name=about["activity_type"], result=_size(details["result"]), summary=_summary(event))


def _size(payloads: Payloads) -> int:
    return sum(len(payload.data) for payload in payloads.payloads)


def _summary(event: HistoryEvent) -> str:
    data = event.user_metadata.summary.data
    return str(json.loads(data)) if data else ""
