"""Decisions that were sent straight to Temporal, past every way in of ours: what the audit says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from domain.base import Message

#: Updates and signals by which people decide; the others come from programs, or ask for nothing but a signup.
DECISIONS = frozenset(
    {
        "adopt_policy",
        "answer",
        "assess",
        "cancel",
        "change_domain",
        "convert",
        "extend",
        "forecast",
        "mark_red",
        "move",
        "new_link",
        "opt_out",
        "plan",
        "request",
        "request_feedback",
        "resolve",
        "start_renewal",
        "terminate",
    }
)
#: Texts of messages that name nobody.
_PLAIN = ("contract_end", "rating", "outcome", "as", "renewal_on", "to", "new_host")
_LONGEST = 80


class Direct(Message):
    """A decision that nobody's rights were checked for. ``by`` is whom the message names, which anybody may claim; ``event`` is the update's id."""

    by: str = ""
    what: str
    subject: str
    outcome: Literal["accepted", "refused"]
    reason: str = ""
    event: str


def described(name: str, fields: Mapping[str, object]) -> str:
    """What was asked for, for the audit: the act and its figures. No free text, which may hold anybody's name."""
    if name == "answer":
        return f"answer {plain(fields.get('task'))}: {plain(fields.get('choice'))}"
    parts = [f"{field} {plain(value)}" for field, value in fields.items() if isinstance(value, bool | int | float) or field in _PLAIN]
    return " ".join((name, *parts))


def plain(value: object, longest: int = _LONGEST) -> str:
    """Text that any database takes, whatever was sent: no control characters, no half of a pair, no more than so long."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in str(value)[:longest])
