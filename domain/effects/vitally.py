"""What is done in Vitally: an account's traits, documents and projects; and what the hourly run writes, some hundred scores at a time (D12)."""

from datetime import datetime

from domain.base import Message, Value
from domain.effects.effect import Effect, Scalar


class VitallyEffect(Effect):
    """An effect on Vitally."""


class SetTraits(VitallyEffect, words="set {traits}"):
    """Merge traits into the account's; ``None`` deletes one. ``account`` is its external id: the registrable domain."""

    account: str
    traits: dict[str, Scalar]


class KeepDoc(VitallyEffect, words="write {title}"):
    """Write a document of the account, or bring the one of that ``doc`` up to date. ``lines`` are its paragraphs, in plain text."""

    account: str
    doc: str
    title: str
    lines: tuple[str, ...]


class OpenProject(VitallyEffect, words="open the project {name}"):
    """Open a project of the account from the template of that name; the same key finds it again."""

    account: str
    template: str
    name: str


class CloseProject(VitallyEffect, words="complete the project: {why}"):
    """Complete the project that an earlier ``OpenProject`` of that key made, with the reason in its name's place of the history."""

    account: str
    project: str
    why: str


class ScoreWrite(Value):
    """One account's score as traits of its Vitally account; ``name`` is for an account that Vitally does not have yet."""

    domain: str
    name: str
    traits: dict[str, Scalar]


class ScoreWrites(Message):
    """Scores for Vitally. ``subject`` names the hourly run in the ledger, ``as_of`` is its time."""

    subject: str
    as_of: datetime
    scores: tuple[ScoreWrite, ...]


class ScoresWritten(Message):
    """How many accounts show their score now, and why Vitally refused the others, by domain."""

    written: int = 0
    refused: dict[str, str] = {}
