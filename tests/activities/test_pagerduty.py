"""Pages, through the sandbox's Events API and the real client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.pagerduty import PagerDuty, client, dedup_key
from domain.effects.effect import Effect, EffectBatch
from domain.effects.pagerduty import Page, ResolvePage
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings
from tests.activities.holding import its_time_has_come

SUBJECT = "trial-acme.com/0a1b2c3d.1"
PAGE = Page(key="late-instance", summary="acme's instance is late", severity="error", link="https://github.example/issues/1")


@pytest.fixture
def pages(settings: Settings, ledger: Ledger) -> Iterator[PagerDuty]:
    made = PagerDuty(settings, ledger)
    yield made
    made.close()


def batch(*acts: Effect) -> EffectBatch:
    return EffectBatch(subject=SUBJECT, as_of=datetime(2026, 3, 2, 9, 0, tzinfo=UTC), effects=acts)


def effects(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def test_a_page_and_its_end(pages: PagerDuty, sandbox: SandboxServer) -> None:
    receipt = pages.carry_out(batch(PAGE)).of("late-instance")
    assert receipt.ref == f"{SUBJECT}/late-instance"
    [incident] = sandbox.world.services["pagerduty"].incidents
    assert (incident.summary, incident.severity, incident.source) == ("acme's instance is late", "error", "tenure")
    pages.carry_out(batch(PAGE, ResolvePage(key="made-at-last", page="late-instance")))
    assert effects(sandbox) == ["incident.triggered", "incident.resolved"]


def test_a_page_of_another_subject_is_resolved_by_its_whole_name(pages: PagerDuty, sandbox: SandboxServer) -> None:
    pages.carry_out(batch(PAGE))
    later = batch(ResolvePage(key="made-at-last", page=f"{SUBJECT}/late-instance")).model_copy(update={"subject": "pool/99999999.1"})
    pages.carry_out(later)
    [incident] = sandbox.world.services["pagerduty"].incidents
    assert incident.status == "resolved"


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_a_page_whose_answer_was_lost_is_one_page(pages: PagerDuty, sandbox: SandboxServer, kind: str) -> None:
    sandbox.world.faults.append(Fault("pagerduty", kind))  # type: ignore[arg-type]
    with pytest.raises(ApplicationError, match="may or may not have acted") as lost:
        pages.carry_out(batch(PAGE))
    assert lost.value.type == "PagerDutyUnsure"
    pages.carry_out(batch(PAGE))
    assert effects(sandbox) == ["incident.triggered"]


def test_the_library_neither_sleeps_nor_repeats(pages: PagerDuty, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("pagerduty", "rate_limit", times=1, retry_after=11))
    with pytest.raises(NotDone) as limited:
        pages.carry_out(batch(PAGE))
    assert limited.value.next_retry_delay == timedelta(seconds=11)
    its_time_has_come(ledger, "pagerduty")
    sandbox.world.faults.append(Fault("pagerduty", "status", status=503))
    with pytest.raises(ApplicationError, match="HTTP 503"):
        pages.carry_out(batch(PAGE))
    assert effects(sandbox) == []
    assert ledger.effects()[0].done_at is None


def test_an_event_that_is_refused_is_not_sent_again(settings: Settings, ledger: Ledger) -> None:
    pages = PagerDuty(settings.model_copy(update={"pagerduty_routing_key": type(settings.pagerduty_routing_key)("short")}), ledger)
    with pytest.raises(NotDone, match="should be 32 characters") as refused:
        pages.carry_out(batch(PAGE))
    assert refused.value.non_retryable
    pages.close()


def test_nobody_listens(settings: Settings, ledger: Ledger) -> None:
    pages = PagerDuty(settings.model_copy(update={"pagerduty_url": "http://127.0.0.1:9"}), ledger)
    with pytest.raises(NotDone) as refused:
        pages.carry_out(batch(PAGE))
    assert refused.value.type == "PagerDutyUnreachable"
    pages.close()


def test_a_long_summary_is_shortened(pages: PagerDuty, sandbox: SandboxServer) -> None:
    pages.carry_out(batch(PAGE.model_copy(update={"summary": "x" * 2000})))
    assert len(sandbox.world.services["pagerduty"].incidents[0].summary) == 1024


def test_the_real_service_is_reached_over_https_alone() -> None:
    real = client("https://events.eu.pagerduty.com/", "0123456789abcdef0123456789abcdef")
    assert real.url == "https://events.eu.pagerduty.com"
    real.close()


def test_a_name_that_is_too_long_has_a_stand_in() -> None:
    assert dedup_key(EffectId("a", "b")) == "a/b"
    assert len(dedup_key(EffectId("a" * 300, "b"))) == 64
