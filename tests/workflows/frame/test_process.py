"""A process's wait, at the one moment that no scenario can bring about at will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workflows.frame import process
from workflows.frame.process import Process, ShownTooEarly

DUE = datetime(2026, 12, 16, 8, tzinfo=UTC)


def waiting(monkeypatch: pytest.MonkeyPatch, shown: list[datetime]) -> Process[Any]:
    """A process whose timer fires as soon as it waits; its clock then shows one moment after the other."""

    async def fires(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(
        process, "workflow", SimpleNamespace(now=lambda: shown[0] if len(shown) == 1 else shown.pop(0), wait_condition=fires)
    )
    made: Process[Any] = Process.__new__(Process)
    made.publish = lambda: None  # type: ignore[method-assign]
    made.tasks = cast(Any, SimpleNamespace(version=0, climb=list, next_at=lambda: None))
    return made


async def test_a_timer_that_fires_while_its_moment_is_days_away_is_not_acted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK shows a workflow a fired timer under the time of its last task when a query comes at that moment; what it did then no replay does."""
    p = waiting(monkeypatch, [DUE - timedelta(days=5)])
    with pytest.raises(ShownTooEarly, match=r"the timer for 2026-12-16 08:00:00\+00:00 fires at 2026-12-11 08:00:00"):
        await p.wait(lambda: False, until=DUE, summary="a mail")


async def test_clocks_may_be_a_little_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    early = DUE - timedelta(seconds=20)
    p = waiting(monkeypatch, [early, early, DUE])
    assert not await p.wait(lambda: False, until=DUE, summary="a mail")
