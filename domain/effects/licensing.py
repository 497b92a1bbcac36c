"""What is done on the licensing API: keys (A15, A17, A24, D30)."""

from datetime import datetime
from typing import Literal

from domain.effects.effect import Effect


class IssueKey(Effect, words="issue a {purpose} key for {seats} seats"):
    """A new subscription and a key on it, for ``account`` (a licensing user name). The key goes to the vault."""

    account: str
    purpose: Literal["generic", "trial", "production"]
    tags: tuple[str, ...]
    seats: int
    expires_at: datetime


class ReissueKey(Effect, words="re-issue the key for {seats} seats"):
    """A further key on an existing subscription (D30, handbook 3.1: a renewal never makes a new subscription). The key goes to the vault."""

    subscription: str
    account: str
    tags: tuple[str, ...]
    seats: int
    expires_at: datetime
