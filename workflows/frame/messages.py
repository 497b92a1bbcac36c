"""How messages are read: plain JSON from anybody; what cannot be taken is refused with the reason, or noted when it came as a signal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.base import Message
from workflows.frame.provenance import refused_signal
from workflows.frame.tasks import refused

Model = TypeVar("Model", bound=Message)

#: How long a workflow that was started without a signup waits for one.
PATIENCE = timedelta(minutes=5)
#: How many refused signals a trial remembers.
NOTES = 50


def soon() -> datetime:
    """When a workflow gives up waiting for its first message."""
    return workflow.now() + PATIENCE


def parsed(model: type[Model], raw: object) -> Model:
    """A message out of plain JSON, from whoever sent it; refused with what is wrong and which fields there are."""
    try:
        return model.model_validate({} if raw is None else raw)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'message'}: {fault['msg']}" for fault in error.errors()[:5])
        fields = ", ".join(model.model_fields)
        raise refused(f"cannot read the message: {faults}. Send a JSON object with: {fields}") from None


def unsigned(by: str, does: str) -> str | None:
    """Why a decision of nobody cannot be taken; ``does`` says what it is to do: ``marks it``."""
    return None if by.strip() else f'say who {does}: "by" must be your e-mail address'


def refuse(why: str | None) -> None:
    """Refuse when there is a reason."""
    if why:
        raise refused(why)


@contextmanager
def noting(notes: list[str], name: str, raw: object, kind: str = "signal") -> Iterator[None]:
    """A signal that cannot be taken is noted on the process and changes nothing."""
    try:
        yield
    except ApplicationError as error:
        if error.type != "Refused":
            raise
        # A reason repeats what somebody sent, and a name that we do not know is their text too: neither is for a log.
        known = kind != "signal" or workflow.get_signal_handler(name) is not None
        workflow.logger.warning("%s %s was refused; why stands in the notes of the process", kind, name if known else "of an unknown name")
        refused_signal(error.message)
        if len(notes) < NOTES:
            notes.append(f"{workflow.now():%Y-%m-%d %H:%M} {kind} {name[:100]} refused: {error.message[:500]}")
