"""What every decision looks like: the outcome, the rule, the facts it stands on, and what would have changed it (idea 1).

A function of (policy, facts, now) decides, and is :func:`replayable`: each of its decisions keeps the inputs, so that it can be made again.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property, wraps
from typing import Any, Generic, ParamSpec, Protocol, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model
from typing_extensions import TypeVar

from domain.base import State, Value
from domain.policy import AccountPolicy, AnyPolicy, Policy

Parameters = ParamSpec("Parameters")
#: What a decision may come to: the enum of its words, for the type checker; in a decision it is plain text, as after it was sent.
Outcome = TypeVar("Outcome", bound=str, default=str, covariant=True)
#: Gives the policy of a kind and a hash.
PolicyOf = Callable[[type[AnyPolicy], str], AnyPolicy]


class Fact(Value):
    """One thing that was known: ``source`` is the system that said it, ``as_of`` when."""

    name: str
    value: JsonValue
    source: str
    as_of: datetime


def known(source: str, as_of: datetime, said: Mapping[str, JsonValue | date]) -> tuple[Fact, ...]:
    """Facts of one source and one moment, by their names; a day or a moment as ISO 8601."""
    values = ((name, value.isoformat() if isinstance(value, date) else value) for name, value in said.items())
    return tuple(Fact(name=name, value=value, source=source, as_of=as_of) for name, value in values)


class Flag(StrEnum):
    """What a decision found besides, and somebody should put right."""

    NAMED_NOT_PREQUALIFIED = "a named account is missing on the prequalified list."


class Call(Value):
    """How a decision was made: the function's name and its inputs as JSON; a policy is its hash there."""

    function: str
    inputs: dict[str, JsonValue]


class Decision(Value, Generic[Outcome]):
    """A decision that explains itself. Nobody reads its sentences but people: what follows from it stands in ``outcome`` and ``flags``.

    ``outcome`` is a word of the process (``extend``), ``rule`` one sentence, ``handbook`` the ids that it follows,
    ``nearest`` the nearest fact that would have changed the outcome, ``by`` the person if one decided. ``call`` goes to its row only,
    never into a history: no dump has it.
    """

    what: str
    outcome: Outcome
    rule: str
    handbook: str
    at: datetime
    policy: str
    facts: tuple[Fact, ...] = ()
    nearest: str = ""
    by: str = ""
    flags: tuple[Flag, ...] = ()
    call: Call | None = Field(default=None, exclude=True, repr=False)


def last_word(decisions: Iterable[Decision]) -> str:
    """Who decided what and when, for whoever comes too late: a person's last decision, else the policy's; empty when nothing was decided."""
    made = list(decisions)
    last = next((decision for decision in reversed(made) if decision.by), made[-1] if made else None)
    return f"{last.what}: {last.outcome}, decided by {last.by or 'the policy'} at {last.at:%Y-%m-%d %H:%M} UTC" if last else ""


# --- functions that decide -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conclusion(Generic[Outcome]):
    """What a function concludes; the rest of its :class:`Decision` is the same each time. ``handbook`` and ``at``: where they are other than usual."""

    outcome: Outcome
    rule: str
    nearest: str
    facts: tuple[Fact, ...] = ()
    _: KW_ONLY
    by: str = ""
    flags: tuple[Flag, ...] = ()
    handbook: str = ""
    at: datetime | None = None


class Replayable:
    """A function that decides, by its name. Its inputs are a model: a field for each parameter, of a policy its hash.

    Of a workflow's state the log is left out (decisions, tasks and notes): no function reads it.
    """

    def __init__(self, function: Callable[..., Conclusion | None], what: str, handbook: str) -> None:
        self.function, self.what, self.handbook = function, what, handbook
        self.name = f"{function.__module__.removeprefix('domain.')}.{function.__name__}"
        self._signature = inspect.signature(function)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = get_type_hints(self.function)
        return {name: hints[name] for name in self._signature.parameters}

    @cached_property
    def _policies(self) -> dict[str, type[AnyPolicy]]:
        return {name: hint for name, hint in self._hints.items() if hint in (Policy, AccountPolicy)}

    @cached_property
    def _inputs(self) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (str if name in self._policies else self._hints[name], default)
        return create_model(self.function.__name__, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def _log(self) -> dict[str, set[str]]:
        states = (name for name, hint in self._hints.items() if isinstance(hint, type) and issubclass(hint, State))
        return {name: {"decisions", "tasks", "notes"} for name in states}

    def decide(self, *args: Any, **kwargs: Any) -> Decision | None:
        """Call it, and put what it was given beside its decision."""
        given = self._signature.bind(*args, **kwargs)
        if (found := self.function(*args, **kwargs)) is None:
            return None
        hashes = {name: given.arguments[name].hash for name in self._policies}
        held = self._inputs.model_construct(None, **given.arguments | hashes)
        inputs = held.model_dump(mode="json", by_alias=True, exclude=self._log, exclude_defaults=True, warnings=False)
        usual = {"handbook": found.handbook or self.handbook, "at": found.at or given.arguments["now"]}
        call = Call(function=self.name, inputs=inputs)
        return Decision(**{**vars(found), **usual, "what": self.what, "policy": hashes["policy"], "call": call})

    def again(self, inputs: dict[str, JsonValue], policy: PolicyOf) -> Decision | None:
        """Decide from the inputs once more."""
        read = self._inputs.model_validate(inputs)
        given = {name: getattr(read, name) for name in self._hints}
        return self.decide(**{**given, **{name: policy(model, given[name]) for name, model in self._policies.items()}})


#: Every function that decides, by its name.
FUNCTIONS: dict[str, Replayable] = {}


class _Registers(Protocol):
    @overload
    def __call__(self, function: Callable[Parameters, Conclusion[Outcome]]) -> Callable[Parameters, Decision[Outcome]]: ...

    @overload
    def __call__(self, function: Callable[Parameters, Conclusion[Outcome] | None]) -> Callable[Parameters, Decision[Outcome] | None]: ...


def replayable(what: str, handbook: str) -> _Registers:
    """Make a pure function of a ``policy``, facts and ``now`` one whose decisions, on ``what``, can be made again (``tenure decisions replay``)."""

    def register(function: Callable[..., Conclusion | None]) -> Any:
        made = Replayable(function, what, handbook)
        FUNCTIONS[made.name] = made

        @wraps(function)
        def decide(*args: Any, **kwargs: Any) -> Decision | None:
            return made.decide(*args, **kwargs)

        return decide

    return register


def decide_again(call: Call, policy: PolicyOf) -> Decision | None:
    """The decision from the same inputs by today's function.

    Raises :class:`LookupError` when there is no such function any more, or no such policy, and :class:`ValueError` for inputs that it does not take.
    """
    if call.function not in FUNCTIONS:
        raise LookupError(f"there is no function {call.function}")
    return FUNCTIONS[call.function].again(call.inputs, policy)
