"""Answers that were lost, in a world that went on meanwhile: much was added since, people closed a door, or made something alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from temporalio.exceptions import ApplicationError

from activities.asking import RetryingReader
from activities.github.effects import GitHub
from activities.licensing import FIRST_KEYS, Licensing
from activities.mail.effects import Mailer
from activities.slack.client import error_of
from activities.slack.effects import Slack
from domain.effects.effect import BatchResult, EffectBatch
from domain.effects.github import Dispatch, RaiseIssue
from domain.effects.licensing import IssueKey, ReissueKey
from domain.effects.mail import Mail
from domain.effects.slack import Post
from sandbox.core import Fault
from sandbox.github_store import CLOUD
from sandbox.graphql_api import LicenseInfo
from sandbox.licensing import License, Subscription
from sandbox.server import SandboxServer
from sandbox.slack_workspace import BOT_USER
from store.ledger import Ledger
from store.settings import Settings
from store.tables import suppressions

SUBJECT = "trial-acme.example/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
ALERTS = "cloud-trial-alerts"
KEY = IssueKey(key="key", account="acme", purpose="trial", tags=("trial",), seats=100, expires_at=AS_OF + timedelta(days=37))


def lost(sandbox: SandboxServer, service: str, match: str, act: Callable[[Any], BatchResult], batch: EffectBatch) -> None:
    """The act happens, and nobody hears of it."""
    sandbox.world.faults.append(Fault(service, "cut_after", match=match))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        act(batch)


def done(sandbox: SandboxServer, service: str, act: str) -> int:
    return sum((effect.service, effect.act) == (service, act) for effect in sandbox.world.log.effects)


def test_an_issue_is_found_however_many_were_raised_since(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    raised = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(RaiseIssue(key="issue", title="New", intro="", fields={}, labels=()),))
    with closing(GitHub.from_settings(settings, ledger)) as github:
        lost(sandbox, "github", "POST", github.carry_out, raised)
        hub = sandbox.world.services["github"].hub
        for number in range(2_005):
            hub.create_issue(hub.repo("acme-vendor", "customer"), CLOUD, f"another {number}")
        assert github.carry_out(raised).of("issue").ref == "1"
    assert done(sandbox, "github", "issue.created") == 1


def test_a_run_is_found_however_many_were_started_since(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.github_api.RUNS_FOUND", 100)
    started = EffectBatch(
        subject=SUBJECT, as_of=AS_OF, effects=(Dispatch(key="host-1", workflow="create-instance.yml", inputs={"host": "src-1.x.example"}),)
    )
    with closing(GitHub.from_settings(settings, ledger)) as github:
        lost(sandbox, "github", "dispatches", github.carry_out, started)
        repo = sandbox.world.services["github"].hub.repo("acme-vendor", "customer")
        repo.runs += [replace(repo.runs[0], id=number, title=f"other {number}", created_at=datetime.now(UTC)) for number in range(105)]
        assert github.carry_out(started).of("host-1").ref == f"{SUBJECT}/host-1"
    assert done(sandbox, "github", "workflow.dispatched") == 1


def test_before_it_says_no_it_looks_again_since_lists_are_late(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made shows in the list only while it waits."""
    raised = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(RaiseIssue(key="issue", title="New", intro="", fields={}, labels=()),))
    hub = sandbox.world.services["github"].hub
    repo = hub.repo("acme-vendor", "customer")
    late: dict[int, Any] = {}
    slept: list[float] = []

    def show(seconds: float) -> None:
        slept.append(seconds)
        repo.issues |= late

    with closing(GitHub(settings, ledger, timedelta(seconds=5), timedelta())) as github:
        lost(sandbox, "github", "POST", github.carry_out, raised)
        late |= repo.issues
        repo.issues.clear()
        monkeypatch.setattr("activities.github.client.time.sleep", show)
        assert github.carry_out(raised).of("issue").ref == "1"
    assert (slept, done(sandbox, "github", "issue.created")) == ([5.0], 1)


def test_a_message_is_found_however_many_were_posted_since(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.slack.effects.PAGE", 5)
    slack = Slack.from_settings(settings, ledger)
    posted = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(Post(key="alert", channel=ALERTS, text="New signup"),))
    lost(sandbox, "slack", "chat.postMessage", slack.carry_out, posted)
    workspace = sandbox.world.services["slack"]
    alerts = next(channel for channel in workspace.channels.values() if channel.name == ALERTS)
    for number in range(150):  # that is 30 pages
        workspace.post(alerts, {"text": f"another {number}"})
    before = done(sandbox, "slack", "message.posted")
    slack.carry_out(posted)
    assert done(sandbox, "slack", "message.posted") == before


def test_a_message_is_found_although_people_put_our_app_out_of_the_channel(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer
) -> None:
    slack = Slack.from_settings(settings, ledger)
    posted = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(Post(key="alert", channel=ALERTS, text="New signup"),))
    lost(sandbox, "slack", "chat.postMessage", slack.carry_out, posted)
    next(channel for channel in sandbox.world.services["slack"].channels.values() if channel.name == ALERTS).members.remove(BOT_USER)
    slack.carry_out(posted)
    assert done(sandbox, "slack", "message.posted") == 1


def test_somebody_elses_empty_subscription_is_left_alone(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    remote = sandbox.world.services["licensing"]
    owner = remote.add_owner("acme", "")
    theirs = Subscription(remote.new_number(), "0" * 36, owner.number, datetime.now(UTC) - timedelta(days=1))
    remote.subscriptions[theirs.number] = theirs
    with closing(Licensing(settings, ledger)) as licensing:
        lost(sandbox, "licensing", "CreateSubscription", licensing.carry_out, EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(KEY,)))
        licensing.carry_out(EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(KEY,)))
    assert theirs.licenses == []
    assert done(sandbox, "licensing", "subscription.created") == 1, "the one that was made in vain is used"


def test_a_key_is_found_beyond_the_first_page(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    remote = sandbox.world.services["licensing"]

    def add(held: Subscription, keys: int) -> None:
        for _ in range(keys):
            made = License(remote.new_number(), "k", LicenseInfo(("other",), 1, 2_000_000_000), held.number, datetime.now(UTC))
            remote.licenses[made.number] = made
            held.licenses.append(made)

    with closing(Licensing(settings, ledger)) as licensing:
        issue = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(KEY,))
        lost(sandbox, "licensing", "IssueKey", licensing.carry_out, issue)
        (held,) = remote.subscriptions.values()
        add(held, FIRST_KEYS + 5)
        for _ in range(505):
            other = Subscription(remote.new_number(), "u", held.owner, datetime.now(UTC))
            remote.subscriptions[other.number] = other
            add(other, 1)
        found = licensing.carry_out(issue).of("key").ref
        renew = ReissueKey(key="renewed", subscription=found, account="acme", tags=(), seats=5, expires_at=KEY.expires_at)
        renewal = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(renew,))
        lost(sandbox, "licensing", "IssueKey", licensing.carry_out, renewal)
        add(held, 205)
        assert licensing.carry_out(renewal).of("renewed").ref == found
    assert done(sandbox, "licensing", "license.created") == 2


def test_campaign_mail_that_was_begun_and_is_stopped_meanwhile_is_settled(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer
) -> None:
    mailer = Mailer.from_settings(settings, ledger)
    learn = Mail(key="learn", template="learn", to="ada@acme.example", values={"host": "a.example"}, campaign=True)
    lost(sandbox, "smtp", "", mailer.carry_out, EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(learn,)))
    with ledger.writing() as db:
        db.execute(insert(suppressions).values(subject=SUBJECT, why="opted out", at=AS_OF))
    receipt = mailer.carry_out(EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(learn,))).of("learn")
    assert receipt.data == {"held": "opted out", "note": "an earlier attempt may have been delivered"}
    assert done(sandbox, "smtp", "mail.accepted") == 1
    (row,) = ledger.effects(SUBJECT)
    assert row.done_at is not None, "nothing stays open for ever"
    answer = Mail(key="answer", template="learn", to="ada@acme.example", values={"host": "a.example"}, thread="learn")
    mailer.carry_out(EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(answer,)))
    assert "In-Reply-To" not in sandbox.world.services["smtp"].mails[-1].headers


def test_patience_waits_as_told_asks_again_and_gives_up() -> None:
    slept: list[float] = []
    answers: list[Exception] = [ConnectionResetError("lost"), TimeoutError("lost")]

    def call() -> str:
        if answers:
            raise answers.pop(0)
        return "there"

    ask = RetryingReader(error_of, sleep=slept.append)
    assert ask(call) == "there"
    assert (slept, ask.requests) == ([1.0, 2.0], 3)
    answers += [ConnectionResetError("lost")] * 3
    with pytest.raises(ApplicationError, match="may or may not"):
        ask(call)
    assert ask.requests == 6


def test_patience_does_not_wait_longer_than_it_has(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    slept: list[float] = []
    slack = Slack.from_settings(settings, ledger)
    for seconds, fits in ((30, True), (300, False)):
        sandbox.world.faults.append(Fault("slack", "rate_limit", retry_after=seconds))
        ask = RetryingReader(error_of, sleep=slept.append)
        if fits:
            assert ask(slack.client.auth_test)["ok"]
        else:
            with pytest.raises(ApplicationError, match="limits our rate"):
                ask(slack.client.auth_test)
    assert slept == [30.0]
