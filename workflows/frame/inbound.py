"""What comes into a workflow: every message of ours is one payload, whoever sends it and however many they send with it.

A handler that is called with an argument too many raises a ``TypeError``, and that would stop the workflow until an operator notices:
a slip on the command line must not do that. A decision that came past our ways in is judged before any handler sees it: :mod:`workflows.frame.provenance`.

What is read here must be the same when a run is rebuilt, with other keys perhaps. So an update's mark is compared by its validator, which
runs once, and a handler goes by whether there is one; a signal has no validator, and is judged in a local activity, mark or not.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from domain.provenance import DECISIONS, PROGRAMS, Direct, Ruling, is_ours, sealed
from workflows.frame import handlers, provenance
from workflows.frame.tasks import refused

FORGED = (
    "this message carries a mark that none of our programs made: send it without the header, and your own rights count. "
    "If it came from a program of ours, its TENURE_SECRET_KEY is not the worker's"
)
#: How many refused messages a process remembers.
NOTES = 50
TOLD = "{!r} is told by our own programs only: use the page, the API or the command line"


class Inbound(Interceptor):
    """For a worker's ``interceptors``, and for a replayer's. ``note`` takes what a validator refused; it must not block.

    ``key`` is what our programs' marks are made with. Without one every decision is judged as a stranger's.
    """

    def __init__(self, note: provenance.Note | None = None, key: bytes = b"") -> None:
        self._note, self._key = note, key

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """The interceptor of one workflow."""
        note, way_in_key = self._note, self._key

        class Noting(_Inbound):
            key = way_in_key

            def refused(self, seen: Direct) -> None:
                if note is not None:
                    with workflow.unsafe.sandbox_unrestricted():
                        note(seen)

        return Noting


class _Inbound(WorkflowInboundInterceptor):
    key = b""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Mark what the workflow tells others."""
        super().init(provenance.Outbound(outbound, self.key))

    def refused(self, seen: Direct) -> None:
        """Note what a validator refused."""

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Read the first payload only. A signal that nobody knows goes, name and payloads, to the handler that refuses it."""
        known, name, mark = workflow.get_signal_handler(input.signal) is not None, input.signal, provenance.given_mark(input.headers)
        input.args = input.args[:1] if known else input.args
        direct, ruling, why = known and not mark and name in DECISIONS | PROGRAMS, Ruling(allowed=True), ""
        if direct and name in PROGRAMS:
            why = TOLD.format(name)
        elif known and name in DECISIONS and (name != "answer" or provenance.asked(name, input.args)):
            # An answer to what is not asked goes on: its handler says so, in the same step.
            ruling = await provenance.judged(name, input.args, "", mark)
            direct, why = ruling.allowed and bool(ruling.rule), ruling.why
        try:
            handlers.refuse(why)
            await super().handle_signal(input)
        except ApplicationError as error:
            why = _remember(error, name, "signal")
        if direct:
            await provenance.note(provenance.seen(name, input.args, "", why, ruling))

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """Read the first payload only."""
        input.args = input.args[:1]
        ours = input.update not in DECISIONS | PROGRAMS
        try:
            mark = provenance.given_mark(input.headers)
            if input.update in PROGRAMS and not mark:
                handlers.refuse(TOLD.format(input.update))
            if not ours and mark:
                ours = is_ours(self.key, mark, sealed(workflow.info().workflow_id, input.update, input.id, input.args))
                handlers.refuse(None if ours else FORGED)
            super().handle_update_validator(input)
        except ApplicationError as error:
            if not ours:
                self.refused(provenance.seen(input.update, input.args, input.id, error.message or "refused"))
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> object:
        """Read the first payload only. Whoever asks was looked up meanwhile: what could be done then may not be possible any more."""
        input.args = input.args[:1]
        name, args, event = input.update, input.args, input.id
        if name not in DECISIONS or provenance.given_mark(input.headers):
            return await super().handle_update_handler(input)
        ruling = await provenance.judged(name, args, event, "")
        if not ruling.allowed:
            _remember(refused(ruling.why), name, "update")
            handlers.refuse(ruling.why)
        try:
            super().handle_update_validator(input)
            result = await super().handle_update_handler(input)
        except ApplicationError as error:
            await provenance.note(provenance.seen(name, args, event, error.message or "refused", ruling))
            raise
        await provenance.note(provenance.seen(name, args, event, "", ruling))
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
