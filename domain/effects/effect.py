"""The effects on the outside world, as data: what a workflow may ask for, and what comes back.

An effect is a class that names its system and says itself in words; defining it makes it known (:data:`KINDS`). Each has a ``key`` that is
stable within its subject (one trial, one rotation of a key …); subject and key together name the effect in the ledger, so that a retry does
only what is left. The effects of one moment travel in one batch, that is one activity, whatever their systems.
"""

import pkgutil
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import Annotated, Any, ClassVar

from pydantic import PlainSerializer, PlainValidator

from domain import effects, markup
from domain.base import Message, Value

#: The activity that carries out the effects of several systems; one for a single system is called as the system is.
TOGETHER = "effects"

Scalar = str | bool | int | float | None

#: Every kind of effect by its name, which stands as ``do`` in a batch.
KINDS: dict[str, type["Effect"]] = {}


class Effect(Value):
    """One effect on one outside system. ``key`` is unique within the batch's subject.

    ``words`` is what an operator reads beside the activity and in the ledger, with fields in braces: no personal data, no secret.
    """

    system: ClassVar[str]
    words: ClassVar[str] = ""
    key: str

    @property
    def place(self) -> str:
        """Which of several of its system is asked, as a customer's instance; empty where there is but one."""
        return ""

    def in_words(self) -> str:
        """The words, filled in; of a table or a list its names."""
        return self.words.format_map(
            {name: ", ".join(map(str, value)) if isinstance(value, dict | tuple) else value for name, value in self}
        )

    def __init_subclass__(cls, *, system: str = "", words: str = "", **config: Any) -> None:
        """``class RaiseIssue(Effect, words="raise an issue: {title}")``; its module is named after its system, unless it names one."""
        super().__init_subclass__(**config)
        cls.system = system or getattr(cls, "system", cls.__module__.rpartition(".")[2])
        cls.words = words or cls.words

    @classmethod
    def __pydantic_init_subclass__(cls, **_given: Any) -> None:
        if not cls.words and cls.in_words is Effect.in_words:
            return  # what some effects have in common
        known = KINDS.setdefault(cls.__name__, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two effects are called {cls.__name__}: of {known.__module__} and {cls.__module__}; rename one")
        KINDS[cls.__name__] = cls


def systems() -> tuple[str, ...]:
    """The outside systems on which something can be done, by their names: every module of this package is read for them."""
    for module in pkgutil.iter_modules(effects.__path__, f"{effects.__name__}."):
        import_module(module.name)
    return tuple(sorted({kind.system for kind in KINDS.values()}))


def _read(given: Effect | Mapping[str, Any]) -> Effect:
    if isinstance(given, Effect):
        return given
    name = str(given.get("do"))
    if (kind := KINDS.get(name)) is None:
        raise ValueError(f"no effect is called {name!r}: this worker is of another version than whoever asks")
    return kind.model_validate(given)


def _written(effect: Effect) -> dict[str, Any]:
    return {"do": type(effect).__name__, **effect.model_dump(mode="json")}


class EffectBatch(Message):
    """The effects of one moment, for ``subject``, at the workflow's time. Not before, by the real clock: the system asked us to wait."""

    subject: str
    as_of: datetime
    effects: tuple[Annotated[Effect, PlainValidator(_read), PlainSerializer(_written)], ...]
    not_before: datetime | None = None

    def in_words(self) -> str:
        """All of it, as long as the server takes a summary."""
        return markup.summary("; ".join(effect.in_words() for effect in self.effects))


class Receipt(Message):
    """What an effect left behind: the remote id, and what later steps need of it. Never a secret: those are vault references."""

    ref: str = ""
    data: dict[str, str] = {}


class BatchResult(Message):
    """What a batch left behind: receipts by the effects' keys; why some systems are left, and when to ask them, if that is known."""

    receipts: dict[str, Receipt] = {}
    left: dict[str, str] = {}
    not_before: dict[str, datetime] = {}

    def of(self, key: str) -> Receipt:
        """The receipt of one effect."""
        return self.receipts[key]
