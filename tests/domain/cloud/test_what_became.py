"""What has become of an issue."""

from __future__ import annotations

import pytest

from domain.cloud import issues


@pytest.mark.parametrize(
    ("state", "reason", "done", "declined"),
    [
        ("open", "", False, False),
        ("open", "reopened", False, False),
        ("closed", "completed", True, False),
        ("closed", "", True, False),
        ("closed", "not_planned", False, True),
        ("closed", "duplicate", False, True),
        ("closed", "a_reason_of_tomorrow", False, True),
        ("deleted", "", False, True),
        ("transferred", "completed", False, True),
    ],
)
def test_done_or_declined(state: str, reason: str, done: bool, declined: bool) -> None:
    assert (issues.is_done(state, reason), issues.is_declined(state, reason)) == (done, declined)
    assert issues.became(state, reason)
