"""What the closing of an issue means: done, or declined."""

from __future__ import annotations

#: GitHub's reasons of a closing after which nothing has been done.
DECLINED = ("not_planned", "duplicate")


def is_done(state: str, reason: str) -> bool:
    """Whether an issue is closed because what it asks has been done; an issue closed before reasons were told of counts as done."""
    return state == "closed" and reason not in DECLINED


def is_declined(state: str, reason: str) -> bool:
    """Whether an issue is closed although nothing has been done."""
    return state == "closed" and reason in DECLINED
