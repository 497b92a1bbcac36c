"""What was sent straight to Temporal, past our ways in, stands on the audit as what it is: a decision that nobody's rights were checked for.

Our own clients and workflows mark what they send with a header (:data:`HEADER`); their rights were checked before, and noted. A decision
without it is noted by the workflow itself, once it is carried out or refused. An update that its validator refuses leaves nothing in a
history, so the worker notes that beside the workflow: a worker that dies in the same instant leaves it off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError
from temporalio.worker import SignalExternalWorkflowInput, WorkflowOutboundInterceptor

from domain.direct import DECISIONS, Direct, described, plain
from workflows.effects import LOCAL_TRY, PATIENT

#: Says that a message came by a way in of ours. Whoever can reach Temporal can set it; it keeps slips and habits on the audit, not attacks.
HEADER = "tenure-way-in"
_MARK: Mapping[str, Payload] = {HEADER: Payload(metadata={"encoding": b"json/plain"}, data=b"true")}
#: The change that a running workflow meets at its next message: docs/changing-workflows.md.
PATCH = "direct-decisions-are-noted"

Note = Callable[[Direct], None]

#: Why the signal that is handled now was refused; its handler notes that and goes on.
_refusal: ContextVar[list[str] | None] = ContextVar("refusal", default=None)


def refused_signal(why: str) -> None:
    """Say that the signal which is handled now was refused."""
    if (found := _refusal.get()) is not None:
        found.append(why)


def marked(headers: Mapping[str, Payload]) -> dict[str, Payload]:
    """The headers of what comes by a way in of ours."""
    return {**headers, **_MARK}


def is_direct(name: str, headers: Mapping[str, Payload]) -> bool:
    """Whether a message is a decision that did not come by a way in of ours."""
    return name in DECISIONS and HEADER not in headers


def seen(name: str, args: Any, event: str, refusal: str = "") -> Direct:
    """What the audit is to say of a message, whatever was sent as one."""
    raw = args[0] if args and isinstance(args[0], Mapping) else {}
    return Direct(
        by=plain(raw.get("by") or raw.get("ce") or "", 254),
        what=described(name, raw),
        subject=workflow.info().workflow_id,
        outcome="refused" if refusal else "accepted",
        reason=plain(refusal, 500),
        event=event,
    )


async def noted(name: str, args: Any, event: str, carry_out: Awaitable[Any]) -> Any:
    """Carry a direct decision out and note what became of it, before its sender is answered. A signal has no id: its ``event`` is empty."""
    on_audit = workflow.patched(PATCH)  # asked before anything is awaited: docs/changing-workflows.md
    refusals: list[str] = []
    token = _refusal.set(refusals)
    try:
        result = await carry_out
    except ApplicationError as error:
        if on_audit:
            await _note(seen(name, args, event, error.message or "refused"))
        raise
    finally:
        _refusal.reset(token)
    if on_audit:
        await _note(seen(name, args, event, "; ".join(refusals)))
    return result


async def _note(direct: Direct) -> None:
    direct = direct if direct.event else direct.model_copy(update={"event": workflow.uuid4().hex})
    await workflow.execute_local_activity(
        "note_direct",
        direct,
        start_to_close_timeout=LOCAL_TRY,
        retry_policy=PATIENT,
        summary=f"on the audit: {direct.what}",
    )


class MarkedOutbound(WorkflowOutboundInterceptor):
    """What our workflows tell each other is marked."""

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        """Signal with the mark."""
        input.headers = marked(input.headers)
        await super().signal_external_workflow(input)
