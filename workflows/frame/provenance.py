"""What is sent straight to Temporal, past our ways in, is judged there: by the same table, and by who its sender is at that moment.

Our own clients and workflows mark what they send with a header that only the holder of ``TENURE_SECRET_KEY`` can make; the rights of
whoever asked were checked before, and noted. A decision without it is judged by the workflow, in a local activity that reads the roster;
what is refused changes nothing, is noted on the process and on the audit, as is what is carried out. An update that its validator refuses
leaves nothing in a history, so the worker notes that beside the workflow: a worker that dies in the same instant leaves it off.

Every message of ours is one payload, however many are sent with it: a handler that is called with an argument too many raises a ``TypeError``, and
that would stop the workflow until an operator notices; a slip on the command line must not do that.

What is read here must be the same when a run is rebuilt, with other keys perhaps. So an update's mark is compared by its validator, which
runs once, and a handler goes by whether there is one; a signal has no validator, and is judged in a local activity, mark or not.
"""

from collections.abc import Callable, Mapping
from typing import Any

from temporalio import worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from domain import markup
from domain.people import Role
from domain.provenance import DECISIONS, PROGRAMS, Direct, Plea, Ruling, described, is_ours, mark, plain, sealed
from domain.rights import Asked
from domain.views import TaskView
from workflows.frame import handlers
from workflows.frame.effects import local
from workflows.frame.tasks import refused

#: Carries the mark of a way in of ours.
HEADER = "tenure-way-in"

Note = Callable[[Direct], None]

FORGED = (
    "this message carries a mark that none of our programs made: send it without the header, and your own rights count. "
    "If it came from a program of ours, its TENURE_SECRET_KEY is not the worker's"
)
#: How many refused messages a process remembers.
NOTES = 50
TOLD = "{!r} is told by our own programs only: use the page, the API or the command line"


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


class Outbound(worker.WorkflowOutboundInterceptor):
    """What our workflows tell each other is marked, and what operators read beside an activity or a child is one line of inert words."""

    def __init__(self, next: worker.WorkflowOutboundInterceptor, key: bytes) -> None:
        super().__init__(next)
        self._key = key

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:
        """Start it, with its summary."""
        input.summary = shown(input.summary)
        return super().start_activity(input)

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        """Start it, with its summary."""
        input.summary = shown(input.summary)
        return super().start_local_activity(input)

    async def start_child_workflow(self, input: worker.StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        """Start it, with its summary."""
        input.static_summary = shown(input.static_summary)
        return await super().start_child_workflow(input)

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:
        """Signal with the mark."""
        input.headers = marked(input.headers, self._key, input.workflow_id, input.signal, input.args)
        await super().signal_external_workflow(input)


class Inbound(worker.Interceptor):
    """For a worker's ``interceptors``, and for a replayer's. ``note`` takes what a validator refused; it must not block.

    ``key`` is what our programs' marks are made with. Without one every decision is judged as a stranger's.
    """

    def __init__(self, note: Note | None = None, key: bytes = b"") -> None:
        self._note, self._key = note, key

    def workflow_interceptor_class(self, input: worker.WorkflowInterceptorClassInput) -> type[worker.WorkflowInboundInterceptor]:
        """The interceptor of one workflow."""
        return type("OfOurs", (_Inbound,), {"key": self._key, "later": self._note and staticmethod(self._note)})


class _Inbound(worker.WorkflowInboundInterceptor):
    key = b""
    later: Note | None = None  #: Notes what a validator refused.

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        """Mark what the workflow tells others."""
        super().init(Outbound(outbound, self.key))

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        """Read the first payload only. A signal that nobody knows goes, name and payloads, to the handler that refuses it."""
        known, name, mark = workflow.get_signal_handler(input.signal) is not None, input.signal, given_mark(input.headers)
        input.args = input.args[:1] if known else input.args
        direct, ruling, why = known and not mark and name in DECISIONS | PROGRAMS, Ruling(allowed=True), ""
        if direct and name in PROGRAMS:
            why = TOLD.format(name)
        elif known and name in DECISIONS and (name != "answer" or asked(name, input.args)):
            # An answer to what is not asked goes on: its handler says so, in the same step.
            ruling = await judged(name, input.args, "", mark)
            direct, why = ruling.allowed and bool(ruling.rule), ruling.why
        try:
            handlers.refuse(why)
            await super().handle_signal(input)
        except ApplicationError as error:
            why = _remember(error, name, "signal")
        if direct:
            await note(seen(name, input.args, "", why, ruling))

    def handle_update_validator(self, input: worker.HandleUpdateInput) -> None:
        """Read the first payload only."""
        input.args = input.args[:1]
        ours = input.update not in DECISIONS | PROGRAMS
        try:
            mark = given_mark(input.headers)
            if input.update in PROGRAMS and not mark:
                handlers.refuse(TOLD.format(input.update))
            if not ours and mark:
                ours = is_ours(self.key, mark, sealed(workflow.info().workflow_id, input.update, input.id, input.args))
                handlers.refuse(None if ours else FORGED)
            super().handle_update_validator(input)
        except ApplicationError as error:
            if self.later is not None and not ours:
                with workflow.unsafe.sandbox_unrestricted():
                    self.later(seen(input.update, input.args, input.id, error.message or "refused"))
            raise

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> object:
        """Read the first payload only. Whoever asks was looked up meanwhile: what could be done then may not be possible any more."""
        input.args = input.args[:1]
        name, args, event = input.update, input.args, input.id
        if name not in DECISIONS or given_mark(input.headers):
            return await super().handle_update_handler(input)
        ruling = await judged(name, args, event, "")
        if not ruling.allowed:
            _remember(refused(ruling.why), name, "update")
            handlers.refuse(ruling.why)
        try:
            super().handle_update_validator(input)
            result = await super().handle_update_handler(input)
        except ApplicationError as error:
            await note(seen(name, args, event, error.message or "refused", ruling))
            raise
        await note(seen(name, args, event, "", ruling))
        return result


def _remember(error: ApplicationError, name: str, kind: str) -> str:
    """What cannot be taken is noted on the process, and changes nothing; returns why. An error that is no refusal is raised again."""
    if error.type != "Refused":
        raise error
    # A reason repeats what somebody sent, and a name that we do not know is their text too: neither is for a log.
    known = kind != "signal" or workflow.get_signal_handler(name) is not None
    workflow.logger.warning("%s %s was refused; why stands in the notes of the process", kind, name if known else "of an unknown name")
    notes = workflow.instance().notes
    if len(notes) < NOTES:
        notes.append(f"{workflow.now():%Y-%m-%d %H:%M} {kind} {name[:100]} refused: {error.message[:500]}")
    return error.message
