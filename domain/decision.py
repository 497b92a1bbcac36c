"""What every decision looks like: the outcome, the rule, the facts it stands on, and what would have changed it (idea 1)."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from domain.base import Value


class Fact(Value):
    """One thing that was known: ``source`` is the system that said it, ``as_of`` when."""

    name: str
    value: JsonValue
    source: str
    as_of: datetime


class Decision(Value):
    """A decision that explains itself.

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
