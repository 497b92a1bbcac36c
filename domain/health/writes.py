"""What the hourly run writes to Vitally (D12): the health scores of the accounts whose score changed, some hundred at a time."""

from __future__ import annotations

from datetime import datetime

from domain.base import Message, Value
from domain.effects.effect import Scalar


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
