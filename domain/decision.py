"""What every decision looks like: the outcome, the rule, the facts it stands on, and what would have changed it (idea 1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from domain.base import Value


class Fact(Value):
    """One thing that was known: ``source`` is the system that said it, ``as_of`` when."""

    name: str
    value: JsonValue
    source: str
    as_of: datetime


class Flag(StrEnum):
    """What a decision found besides, and somebody should put right."""

    NAMED_NOT_PREQUALIFIED = "a named account is missing on the prequalified list."


class Decision(Value):
    """A decision that explains itself. Nobody reads its sentences but people: what follows from it stands in ``outcome`` and ``flags``.

    ``outcome`` is a word of the process (``extend``), ``rule`` one sentence, ``handbook`` the ids that it follows,
    ``nearest`` the nearest fact that would have changed the outcome, ``by`` the person if one decided.
    """

    what: str
    outcome: str
    rule: str
    handbook: str
    at: datetime
    policy: str
    facts: tuple[Fact, ...] = ()
    nearest: str = ""
    by: str = ""
    flags: tuple[Flag, ...] = ()


def last_word(decisions: Iterable[Decision]) -> str:
    """Who decided what and when, for whoever comes too late: a person's last decision, else the policy's; empty when nothing was decided."""
    made = list(decisions)
    last = next((decision for decision in reversed(made) if decision.by), made[-1] if made else None)
    return f"{last.what}: {last.outcome}, decided by {last.by or 'the policy'} at {last.at:%Y-%m-%d %H:%M} UTC" if last else ""
