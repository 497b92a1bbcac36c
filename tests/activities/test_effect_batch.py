"""The moment: several systems side by side, and what is left of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.effects import batch as module
from activities.effects.batch import Moments
from domain.effects.accounts import KeepRow, SetTraits
from domain.effects.models import Mail, Moment, Page, Post, Receipt, Receipts

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ASKED = Moment(
    subject="trial-acme.com/00000000.1",
    as_of=NOW,
    slack=(Post(key="slack.alert", channel="c", text="t"),),
    mail=(Mail(key="mail.access", template="access", to="bo@acme.com"),),
    pagerduty=(Page(key="page.request", summary="s"),),
)


def done(batch: Any) -> Receipts:
    return Receipts(by_key={act.key: Receipt(ref=f"{batch.subject} {act.key}") for act in batch.acts})


def ran(**systems: Any) -> Any:
    moments = Moments({"slack": done, "mail": done, "pagerduty": done, **systems})
    try:
        return ActivityEnvironment().run(moments.moment, ASKED)
    finally:
        moments.close()


def test_every_system_gets_its_own_acts_and_gives_its_own_receipts() -> None:
    together = ran()
    assert together.left == {}
    assert {system: list(receipts.by_key) for system, receipts in together.done.items()} == {
        "slack": ["slack.alert"],
        "mail": ["mail.access"],
        "pagerduty": ["page.request"],
    }


def test_a_moment_leaves_no_system_out() -> None:
    assert set(module.BATCHES) == set(Moment.model_fields) - {"subject", "as_of"}
    red = Moment(
        subject="red-acme.com/00000000.1",
        as_of=NOW,
        vitally=(SetTraits(key="trait", account="acme.com", traits={"Account - Red Account?": True}),),
        sheets=(KeepRow(key="row", row="acme.com", cells={"Status": "red"}),),
    )
    moments = Moments({"vitally": done, "sheets": done})
    together = ActivityEnvironment().run(moments.moment, red)
    moments.close()
    assert {system: list(receipts.by_key) for system, receipts in together.done.items()} == {"vitally": ["trait"], "sheets": ["row"]}


def test_a_system_that_refuses_is_left_with_its_reason_and_the_others_are_done() -> None:
    def refuses(_batch: Any) -> Receipts:
        raise ApplicationError("Slack refused: invalid_blocks", type="SlackRefused", non_retryable=True)

    together = ran(slack=refuses)
    assert together.left == {"slack": "Slack refused: invalid_blocks"}
    assert set(together.done) == {"mail", "pagerduty"}


def test_a_system_that_hangs_is_left_and_the_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    release = threading.Event()

    def hangs(batch: Any) -> Receipts:
        release.wait(60)
        return done(batch)

    moments = Moments({"slack": hangs, "mail": done, "pagerduty": done})
    together = ActivityEnvironment().run(moments.moment, ASKED)
    release.set()
    moments.close()
    assert set(together.left) == {"slack"}
    assert set(together.done) == {"mail", "pagerduty"}


def test_systems_run_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=60)

    def waits_for_the_others(batch: Any) -> Receipts:
        meet.wait()
        return done(batch)

    assert ran(slack=waits_for_the_others, mail=waits_for_the_others, pagerduty=waits_for_the_others).left == {}


def test_a_fault_of_ours_is_no_outage() -> None:
    def breaks(_batch: Any) -> Receipts:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        ran(slack=breaks)
