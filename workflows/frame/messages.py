"""How messages are read: plain JSON from anybody; what cannot be taken is refused with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from temporalio import workflow

from domain.base import Message
from workflows.frame.tasks import refused

Model = TypeVar("Model", bound=Message)

#: How long a workflow that was started without a signup waits for one.
PATIENCE = timedelta(minutes=5)


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
