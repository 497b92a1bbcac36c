"""How a workflow takes messages: its handlers are typed, and here is what stands between them and whatever anybody sends.

A handler is read from plain JSON here and not by the SDK's converter, for what that cannot read fails the workflow's task until somebody
mends it: a message that is none of ours is refused with what is wrong and which fields there are; come as a signal, it is noted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from temporalio import workflow

from domain.base import Message
from domain.commands import Command
from workflows.frame.tasks import refused

W = TypeVar("W")
M = TypeVar("M", bound=Message)
R = TypeVar("R")
#: It returns a result, or what is awaited for one.
Handler = Callable[[W, M], R]
#: Why a message cannot be taken now; None when it can.
Refusal = Callable[[Any, M], str | None]
#: How long a workflow that was started without a signup waits for one.
PATIENCE = timedelta(minutes=5)


def soon() -> datetime:
    """When a workflow gives up waiting for its first message."""
    return workflow.now() + PATIENCE


def parsed(model: type[M], raw: object) -> M:
    """A message out of plain JSON, from whoever sent it; refused with what is wrong and which fields there are."""
    try:
        return model.model_validate({} if raw is None else raw)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'message'}: {fault['msg']}" for fault in error.errors()[:5])
        fields = ", ".join(model.model_fields)
        raise refused(f"cannot read the message: {faults}. Send a JSON object with: {fields}") from None


def refuse(why: str | None) -> None:
    """Refuse when there is a reason."""
    if why:
        raise refused(why)


@dataclass(frozen=True)
class _Handled(Generic[W, M, R]):
    """Stands in a class body in the place of a handler, and leaves there the handler itself, its update, and its signal twin."""

    name: str
    model: type[M]
    why_not: Refusal[M]
    handler: Handler[W, M, R]
    twin: bool = False
    signed: str = ""
    words: str | None = None

    def __set_name__(self, owner: type, attribute: str) -> None:
        name, model, why_not, handler, signed = self.name, self.model, self.why_not, self.handler, self.signed

        async def update(self: Any, raw: Any = None) -> Any:
            result = handler(self, parsed(model, raw))
            result = await result if isawaitable(result) else result
            self.process.show()
            return result

        def check(self: Any, raw: Any = None) -> None:
            message: Any = parsed(model, raw)
            if signed and not message.by.strip():
                raise refused(f'say who {signed}: "by" must be your e-mail address')
            refuse(why_not(self, message))

        async def signal(self: Any, raw: Any = None) -> None:
            check(self, raw)
            await update(self, raw)

        defined: Any = workflow.update(name=name, description=self.words)(update)
        defined.validator(check)
        setattr(owner, attribute, handler)
        setattr(owner, f"_{name}_update", defined)
        if self.twin:
            setattr(owner, f"_{name}_signal", workflow.signal(name=name, description=self.words)(signal))


def _at_any_time(_workflow: Any, _message: Any) -> None:
    return None


def decides(command: Command[M], why_not: Refusal[M] = _at_any_time, *, signed: str = "") -> Callable[[Handler[W, M, R]], Handler[W, M, R]]:
    """A handler of a decision: an update that ``why_not`` refuses, and the same as a signal, whose refusal is noted on the process.

    ``signed`` says what nobody may do without their name: ``marks it``.
    """
    words = command.words or None
    made: Any = partial(_Handled, command.name, command.message, why_not, twin=command.twin, signed=signed, words=words)
    return made  # type: ignore[no-any-return]


def taken(command: Command[M], take: Handler[Any, M, Any], unless: Refusal[M] = _at_any_time) -> Any:
    """The same handler, made of functions of the process and the message: a line in a workflow's class for each of its decisions."""
    return decides(command, lambda self, message: unless(self.process, message))(lambda self, message: take(self.process, message))


def answers(name: str, model: type[M], why_not: Refusal[M] = _at_any_time) -> Callable[[Handler[W, M, R]], Handler[W, M, R]]:
    """A handler of what our programs ask for and wait for: an update alone, that ``why_not`` refuses."""
    made: Any = partial(_Handled, name, model, why_not)
    return made  # type: ignore[no-any-return]


def hears(model: type[M] | type[str]) -> Callable[[Callable[[W, Any], None]], Callable[[W, Any], None]]:
    """A handler of what our programs tell, a message or a text: a signal of its own name; what it refuses is noted on the process."""

    def made(handler: Callable[[W, Any], None]) -> Callable[[W, Any], None]:
        def signal(self: Any, raw: Any = None) -> None:
            handler(self, parsed(model, raw) if issubclass(model, Message) else str(raw))
            self.process.show()

        signal.__qualname__, signal.__doc__ = handler.__qualname__, handler.__doc__
        return workflow.signal(name=handler.__name__)(signal)

    return made
