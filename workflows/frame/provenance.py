"""What is sent straight to Temporal, past our ways in, is judged there: by the same table, and by who its sender is at that moment.

Our own clients and workflows mark what they send with a header that only the holder of ``TENURE_SECRET_KEY`` can make; the rights of
whoever asked were checked before, and noted. A decision without it is judged by the workflow, in a local activity that reads the roster;
what is refused changes nothing, is noted on the process and on the audit, as is what is carried out. An update that its validator refuses
leaves nothing in a history, so the worker notes that beside the workflow: a worker that dies in the same instant leaves it off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowOutboundInterceptor,
)

from domain import markup
from domain.people import Role
from domain.provenance import DECISIONS, PROGRAMS, Direct, Plea, Ruling, described, mark, plain, sealed
from domain.rights import Asked
from domain.views import TaskView
from workflows.frame.effects import local

#: Carries the mark of a way in of ours.
HEADER = "tenure-way-in"

Note = Callable[[Direct], None]


def marked(headers: Mapping[str, Payload], key: bytes, workflow_id: str, name: str, args: Any, event: str = "") -> dict[str, Payload]:
    """The headers of what comes by a way in of ours. Without a key nothing is marked, and so judged where it arrives."""
    if name not in DECISIONS | PROGRAMS or not (made := mark(key, sealed(workflow_id, name, event, args))):
        return dict(headers)
    return {**headers, HEADER: Payload(metadata={"encoding": b"text/plain"}, data=made.encode())}


def shown(summary: str | None) -> str | None:
    """A summary as the Web UI may read it, which takes Markdown."""
    return None if summary is None else markup.summary(summary)


def given_mark(headers: Mapping[str, Payload]) -> str:
    """The mark that came with a message, whoever made it; empty when none did."""
    return headers[HEADER].data.decode("ascii", "replace")[:200] if HEADER in headers else ""


def seen(name: str, args: Any, event: str, refusal: str = "", ruling: Ruling | None = None) -> Direct:
    """What the audit is to say of a message, whatever was sent as one."""
    raw = args[0] if args and isinstance(args[0], Mapping) else {}
    return Direct(
        by=plain(raw.get("by") or raw.get("ce") or "", 254),
        what=described(name, raw),
        subject=workflow.info().workflow_id,
        outcome="refused" if refusal else "accepted",
        reason=plain(refusal, 500),
        event=event or workflow.uuid4().hex,
        rule=ruling.rule if ruling else "",
        role=ruling.role if ruling else "",
    )


def asked(name: str, args: Any) -> Asked | None:
    """The open task that an answer means, as the rights see it."""
    if name != "answer" or not args or not isinstance(args[0], Mapping):
        return None
    wanted = plain(args[0].get("task", ""), 600).removeprefix(f"{workflow.info().workflow_id}:")
    views: list[TaskView] = workflow.instance().open_tasks()
    view = next((view for view in views if wanted in (view.task, view.kind)), None)
    return Asked(id=view.id, role=Role(view.role), assignee=view.assignee, also=view.asked) if view else None


async def judged(name: str, args: Any, event: str, given: str) -> Ruling:
    """Whether whoever sent this may. What they may not is on the audit when this returns."""
    about, meant = seen(name, args, event, refusal="may not"), asked(name, args)
    plea = Plea(name=name, about=about, mark=given, sealed=sealed(about.subject, name, event, args), asked=meant)
    ruling = await local("judge_direct", plea, Ruling, f"may they? {about.what}")
    if ruling.allowed and meant != asked(name, args):
        return Ruling(allowed=False, why="the task was closed or asked of somebody else meanwhile; nothing was changed")
    return ruling


async def note(direct: Direct) -> None:
    """Put it on the audit."""
    await local("note_direct", direct, type(None), f"on the audit: {direct.what}")


class Outbound(WorkflowOutboundInterceptor):
    """What our workflows tell each other is marked, and what operators read beside an activity or a child is one line of inert words."""

    def __init__(self, next: WorkflowOutboundInterceptor, key: bytes) -> None:
        super().__init__(next)
        self._key = key

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        """Start it, with its summary."""
        input.summary = shown(input.summary)
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        """Start it, with its summary."""
        input.summary = shown(input.summary)
        return super().start_local_activity(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        """Start it, with its summary."""
        input.static_summary = shown(input.static_summary)
        return await super().start_child_workflow(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        """Signal with the mark."""
        input.headers = marked(input.headers, self._key, input.workflow_id, input.signal, input.args)
        await super().signal_external_workflow(input)
