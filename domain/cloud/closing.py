"""What has become of an issue: open, done, declined, or gone. Only what GitHub says was completed has happened."""

from __future__ import annotations

from typing import Literal

#: Where an issue is: GitHub knows the first two; of the others it says 410 or 404, and 301.
Where = Literal["open", "closed", "deleted", "transferred"]


def is_done(state: str, reason: str) -> bool:
    """Whether an issue is closed because what it asks has been done; an issue closed before reasons were told of counts as done."""
    return state == "closed" and reason in ("", "completed")


def is_declined(state: str, reason: str) -> bool:
    """Whether nothing is done on an issue any more, although nothing has been done: closed for any other reason, deleted, or transferred."""
    return state in ("deleted", "transferred") or (state == "closed" and not is_done(state, reason))


def in_words(state: str, reason: str, moved_to: str = "") -> str:
    """What became of an issue, for a sentence that begins with its number."""
    if state == "transferred":
        return f"was transferred to {moved_to or 'another repository'}"
    if state == "closed":
        return {"": "was closed", "not_planned": "was closed as not planned", "duplicate": "was closed as a duplicate"}.get(
            reason, f"was closed as {reason.replace('_', ' ')}"
        )
    return "was deleted, or is where we do not see it" if state == "deleted" else "is open again"
