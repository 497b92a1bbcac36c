"""What there is to kill: every kind of effect that the code knows, and the points of each at which a worker dies.

The kinds are those that some outside system carries out.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product

from activities.effects.outside_system import systems


class Point(StrEnum):
    """Where in the life of an effect the worker is killed."""

    BEFORE = "before"  #: it is recorded as begun, the outside system has not been called
    AFTER = "after"  #: the outside system has acted, nothing is recorded yet
    RECORDED = "recorded"  #: it is recorded as done, the activity has not completed
    RETRY = "retry"  #: an earlier attempt is dead; this one has asked the outside system whether it acted
    RETRY_DONE = "retry_done"  #: the same after ``after``: the outside system has acted, whether it can tell or not


#: Every kind of effect: ``OpenChannel``, ``Post`` …
KINDS: tuple[str, ...] = tuple(effect.__name__ for system in systems().values() for effect in system.effects())

Kill = tuple[str, Point]
EVERYTHING: frozenset[Kill] = frozenset(product(KINDS, Point))
