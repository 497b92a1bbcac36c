"""What a finished workflow left behind: its events, and what the service would bill for it.

Two kinds of event exist only because the trial's clock was moved by hand (time skipping). They are left out of every count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle

#: Written when somebody moves a workflow's clock; a trial that waits for its days has neither.
OF_SKIPPING = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
    }
)
_PREFIX = "EVENT_TYPE_"
#: What is one action each (docs.temporal.io/cloud/actions). A start brings its search attributes for nothing.
_ONE_ACTION = {
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    "WORKFLOW_EXECUTION_SIGNALED",
    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED",
    "TIMER_STARTED",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
    "WORKFLOW_PROPERTIES_MODIFIED",
}


@dataclass(frozen=True)
class Left:
    """The events of one run, those of skipping taken out, and the run's size in bytes as the server counts it, likewise."""

    events: tuple[HistoryEvent, ...]
    bytes: int

    @property
    def counts(self) -> Counter[str]:
        """How often each kind of event occurs, by its name without the prefix."""
        return Counter(kind(event) for event in self.events)

    @property
    def tasks(self) -> int:
        """Workflow tasks that were carried out."""
        return self.counts["WORKFLOW_TASK_COMPLETED"]


async def left_by(handle: WorkflowHandle[Any, Any]) -> Left:
    """Fetch what a run left behind."""
    description = await handle.describe()
    events = [event async for event in handle.fetch_history_events()]
    skipping = sum(event.ByteSize() for event in events if event.event_type in OF_SKIPPING)
    size = description.raw_description.workflow_execution_info.history_size_bytes
    return Left(tuple(event for event in events if event.event_type not in OF_SKIPPING), size - skipping)


def kind(event: HistoryEvent) -> str:
    """The name of an event's kind, as ``ACTIVITY_TASK_SCHEDULED``."""
    return EventType.Name(event.event_type).removeprefix(_PREFIX)


def actions(events: Sequence[HistoryEvent]) -> Counter[str]:
    """What the service bills, counted from a history by its rules; heartbeats, queries and refused updates leave no event.

    All local activities of one workflow task are one action; an activity's retries are one each, a child workflow is two.
    """
    found: Counter[str] = Counter()
    markers: set[int] = set()
    for event in events:
        name = kind(event)
        if name in _ONE_ACTION:
            found[name] += 1
        elif name == "ACTIVITY_TASK_STARTED":
            found["ACTIVITY_TASK"] += event.activity_task_started_event_attributes.attempt
        elif name == "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
            found[name] += 2
        elif name == "MARKER_RECORDED":
            markers.add(event.marker_recorded_event_attributes.workflow_task_completed_event_id)
    if markers:
        found["LOCAL_ACTIVITIES_OF_A_TASK"] = len(markers)
    return found


def said(counts: Counter[str], over: int = 1) -> str:
    """A count in words, the most frequent first; ``over`` so many runs, the mean of one."""
    return ", ".join(f"{name.lower().replace('_', ' ')} {number / over:g}" for name, number in counts.most_common())
