"""What may be sent to a workflow by whom, how our own programs mark what they send, and what the audit says of what came past every way in of ours."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic_core import to_json

from domain.all import NAMED
from domain.base import Message
from domain.commands import figures, words_of
from domain.ids import digest
from domain.rights import Asked

#: The updates and signals by which people decide, those that are declared later, too.
DECISIONS = NAMED.keys()
#: What our own programs tell a workflow, and nobody else. A signup is one: it brings along what the way in read of the company.
PROGRAMS = frozenset({
    "asks", "capacity_freed", "facts", "issue_event", "join", "open_link", "plan_ended", "plan_reviewed", "reason", "red_ended", "rehosted",
    "renewal_ended", "renewal_runs", "signup",
})  # fmt: skip
#: What a message of our programs says that is no free text and names nobody; a decision's are its :meth:`domain.commands.Command.figures`.
_TOLD = frozenset({"contract_end", "outcome", "renewal_on", "to"})
_LONGEST = 80


class Direct(Message):
    """A decision that came past every way in of ours. ``by`` is whom the message names, which anybody may claim; ``event`` is the update's id;
    ``rule`` is the right that it was judged by, empty when it was not.
    """

    by: str = ""
    what: str
    subject: str
    outcome: Literal["accepted", "refused"]
    reason: str = ""
    event: str
    rule: str = ""
    role: str = ""


class Plea(Message):
    """A decision, as the workflow that got it asks whether its sender may. ``about`` is what the audit would say of it. ``mark`` is the mark
    that came with it, and ``sealed`` what such a mark is made over; ``asked`` is the open task that an answer means.
    """

    name: str
    about: Direct
    mark: str = ""
    sealed: str = ""
    asked: Asked | None = None


class Ruling(Message):
    """Whether somebody may, by which right and in which role, and if not, why not."""

    allowed: bool
    why: str = ""
    rule: str = ""
    role: str = ""


def sealed(workflow: str, name: str, event: str, args: Any) -> str:
    """What a mark is made over: whom the message is for, its name, its id (an update's; a signal has none), and what it decides, by whom.

    Texts are left out: what they say of somebody who was erased arrives in other words than it was sent in. An address counts by its digest,
    which is that of the address that stands for it then.
    """
    try:
        body = json.loads(to_json(args[0])) if args else None
    except ValueError:  # no JSON: no message of ours
        body = None
    given = body if isinstance(body, dict) else {}
    told = figures(name) if name in NAMED else _TOLD
    decided = {field: given[field] for field in sorted(told & given.keys())}
    by = [digest(str(given.get(field) or "")) for field in ("by", "ce", "email")]
    return hashlib.sha256(json.dumps([workflow, name, event, by, decided], sort_keys=True).encode()).hexdigest()


def mark(key: bytes, text: str) -> str:
    """The mark of our own programs: nobody makes one without the key. ``text`` is what :func:`sealed` gives."""
    return hmac.digest(key, text.encode(), hashlib.sha256).hex() if key else ""


def is_ours(key: bytes, given: str, text: str) -> bool:
    """Whether a mark is ours."""
    return bool(key) and hmac.compare_digest(given.encode(), mark(key, text).encode())


def described(name: str, fields: Mapping[str, object]) -> str:
    """What was asked for, for the audit: the act and its figures. No free text, which may hold anybody's name."""
    if name == "answer":
        return f"answer {plain(fields.get('task'))}: {plain(fields.get('choice'))}"
    words = words_of(name) if name in NAMED else _TOLD
    parts = [
        f"{field} {plain(value)}"
        for field, value in fields.items()
        if isinstance(value, bool | int | float) or (field in words and isinstance(value, str))
    ]
    return " ".join((name, *parts))


def plain(value: object, longest: int = _LONGEST) -> str:
    """Text that any database takes, whatever was sent: no control characters, no half of a pair, no more than so long."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in str(value)[:longest])
