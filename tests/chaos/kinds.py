"""What there is to kill: every kind of effect that the code knows, and the points of each at which a worker dies.

The kinds are read from the union types of :mod:`domain.effects.models`, so that a new one is asked for as soon as it can be written down.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Annotated, Any, get_args, get_origin

from domain.effects import models
from domain.effects.effect import Act

#: The unions of the systems' acts, by the system's name: those that a moment carries.
UNIONS: dict[str, Any] = {
    name: get_args(field.annotation)[0] for name, field in models.Moment.model_fields.items() if get_origin(field.annotation) is tuple
}


class Point(StrEnum):
    """Where in the life of an effect the worker is killed."""

    BEFORE = "before"  #: it is recorded as begun, the outside system has not been called
    AFTER = "after"  #: the outside system has acted, nothing is recorded yet
    RECORDED = "recorded"  #: it is recorded as done, the activity has not completed
    RETRY = "retry"  #: an earlier attempt is dead; this one has asked the outside system whether it acted
    RETRY_DONE = "retry_done"  #: the same after ``after``: the outside system has acted, whether it can tell or not


def kinds_of(union: Any) -> list[str]:
    """The names of the acts in a union, or of the one act that stands in the place of one."""
    if get_origin(union) is Annotated:
        return kinds_of(get_args(union)[0])
    if isinstance(union, type) and issubclass(union, Act):
        return [union.__name__]
    return [name for part in get_args(union) for name in kinds_of(part)]


#: Every kind of effect: ``OpenChannel``, ``Post`` …
KINDS: tuple[str, ...] = tuple(name for union in UNIONS.values() for name in kinds_of(union))

Kill = tuple[str, Point]
EVERYTHING: frozenset[Kill] = frozenset(product(KINDS, Point))
