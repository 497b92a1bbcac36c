"""The batch: several systems side by side, and what is left of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from temporalio.activity import _Definition
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.effects import batch as module
from activities.effects.batch import EffectBatches
from activities.effects.outside_system import OutsideSystem, systems
from domain.effects.effect import TOGETHER, BatchResult, EffectBatch, Receipt
from domain.effects.mail import Mail
from domain.effects.pagerduty import Page
from domain.effects.slack import Post
from store.ledger import Ledger
from store.settings import Settings

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ASKED = EffectBatch(
    subject="trial-acme.com/00000000.1",
    as_of=NOW,
    effects=(
        Post(key="slack.alert", channel="c", text="t"),
        Mail(key="mail.access", template="access", to="bo@acme.com"),
        Page(key="page.request", summary="s"),
    ),
)


def done(batch: EffectBatch) -> BatchResult:
    return BatchResult(receipts={effect.key: Receipt(ref=f"{batch.subject} {effect.key}") for effect in batch.effects})


class Pretended(OutsideSystem):
    """A system that does what it is given to do."""

    def __init__(self, does: Callable[[EffectBatch], BatchResult] = done) -> None:
        self._does = does

    def carry_out(self, batch: EffectBatch) -> BatchResult:
        return self._does(batch)

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Pretended:
        raise NotImplementedError

    def error(self, error: Exception) -> ApplicationError | None:
        return None


@contextmanager
def batches(**does: Callable[[EffectBatch], BatchResult]) -> Iterator[Callable[[EffectBatch], BatchResult]]:
    """Every system, which does nothing but what is given; and what carries a batch out on them."""
    made = EffectBatches({name: Pretended(does.get(name, done)) for name in systems()})
    try:
        yield lambda batch: ActivityEnvironment().run(made.carry_out, batch)
    finally:
        made.close()


def ran(**does: Callable[[EffectBatch], BatchResult]) -> BatchResult:
    with batches(**does) as carry_out:
        return carry_out(ASKED)


def test_every_system_gets_its_own_effects_and_gives_its_own_receipts() -> None:
    given: dict[str, list[str]] = {}

    def notes(system: str) -> Callable[[EffectBatch], BatchResult]:
        def does(batch: EffectBatch) -> BatchResult:
            given[system] = [effect.key for effect in batch.effects]
            return done(batch)

        return does

    found = ran(**{system: notes(system) for system in systems()})
    assert found.left == {}
    assert given == {"slack": ["slack.alert"], "mail": ["mail.access"], "pagerduty": ["page.request"]}
    assert set(found.receipts) == {"slack.alert", "mail.access", "page.request"}


def test_a_system_alone_says_itself_what_is_wrong() -> None:
    """Its error is the activity's, so that it is shown and asked again; together with others it is part of the result."""

    def refuses(_batch: EffectBatch) -> BatchResult:
        raise ApplicationError("Slack refused: invalid_blocks", type="SlackRefused", non_retryable=True)

    alone = ASKED.model_copy(update={"effects": ASKED.effects[:1]})
    with batches(slack=refuses) as carry_out, pytest.raises(ApplicationError, match="invalid_blocks"):
        carry_out(alone)
    with batches() as carry_out:
        assert set(carry_out(alone).receipts) == {"slack.alert"}


def test_there_is_an_activity_for_each_system_and_one_for_all() -> None:
    """A thread that is cancelled gets an exception wherever it stands, be it between taking a lock and holding it: it ends by itself instead."""
    made = EffectBatches({name: Pretended() for name in systems()})
    found = [_Definition.must_from_callable(each) for each in made.activities()]
    made.close()
    assert {each.name for each in found} == {TOGETHER, *systems()}
    assert all(each.no_thread_cancel_exception for each in found)


def test_a_system_that_refuses_is_left_with_its_reason_and_the_others_are_done() -> None:
    def refuses(_batch: EffectBatch) -> BatchResult:
        raise ApplicationError("Slack refused: invalid_blocks", type="SlackRefused", non_retryable=True)

    found = ran(slack=refuses)
    assert found.left == {"slack": "Slack refused: invalid_blocks"}
    assert set(found.receipts) == {"mail.access", "page.request"}


def test_a_system_that_hangs_is_left_and_the_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    release = threading.Event()

    def hangs(batch: EffectBatch) -> BatchResult:
        release.wait(60)
        return done(batch)

    with batches(slack=hangs) as carry_out:
        found = carry_out(ASKED)
        release.set()
    assert set(found.left) == {"slack"}
    assert set(found.receipts) == {"mail.access", "page.request"}


def test_systems_run_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=60)

    def waits_for_the_others(batch: EffectBatch) -> BatchResult:
        meet.wait()
        return done(batch)

    assert ran(slack=waits_for_the_others, mail=waits_for_the_others, pagerduty=waits_for_the_others).left == {}


def test_a_fault_of_ours_is_no_outage() -> None:
    def breaks(_batch: EffectBatch) -> BatchResult:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        ran(slack=breaks)
