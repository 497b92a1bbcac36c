"""The reconciliation against the sandbox: a quiet world matches, and what is taken away, added or left open is named; both ways."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from activities.effects.verify import known_systems, verify
from activities.github.effects import GitHub
from activities.licensing import tag
from activities.slack.effects import Slack
from domain.effects.effect import EffectBatch
from domain.effects.github import RaiseIssue
from domain.effects.reconcile import Mismatch
from domain.effects.slack import Post
from sandbox.core import Fault
from sandbox.github_store import BOT, CLOUD
from sandbox.server import SandboxServer
from sandbox.slack_workspace import BOT_USER
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.tables import effects, instances
from tests.activities.every_effect import AS_OF, CHANNEL, HOST, POOL, RENEWAL, SUBJECT, do_everything

OTHER = "trial-other.example/00000000.0"


class World:
    """Everything was done once; the tests reach into the remote sides from here."""

    def __init__(self, settings: Settings, ledger: Ledger, sandbox: SandboxServer, only: Sequence[str] = ()) -> None:
        self.settings, self.ledger, self.sandbox = settings, ledger, sandbox
        self.receipts = do_everything(settings, ledger, sandbox, only)
        services = sandbox.world.services
        self.hub = services["github"].hub
        self.repo = self.hub.repo("acme-vendor", "customer")
        self.slack, self.licensing, self.vitally, self.sheets = (services[name] for name in ("slack", "licensing", "vitally", "sheets"))
        self.records = services["salesforce"].org.records
        self.instances = services["instances"]

    def mismatches(self, system: str, *workflows: str) -> list[Mismatch]:
        (verified,) = verify(self.settings, self.ledger, (system,), workflows)
        assert verified.outcome.failed == ()
        return list(verified.outcome.mismatches)

    def found(self, system: str) -> list[tuple[str, str]]:
        return [(one.what, one.kind) for one in self.mismatches(system)]

    def channel(self, name: str) -> Any:
        return self.slack.channel_by_name(name)

    def opportunity(self) -> Any:
        return next(one for one in self.records["opportunity"].values() if one["Tenure_Key__c"] == SUBJECT)


Build = Callable[..., World]


@pytest.fixture
def build(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> Build:
    """Make a world in which only these systems were acted on."""
    return lambda *only: World(settings, ledger, sandbox, only)


@pytest.fixture
def world(build: Build) -> World:
    """One in which all were."""
    return build()


def test_a_quiet_world_matches_and_what_cannot_be_told_is_said(world: World) -> None:
    verified = verify(world.settings, world.ledger)
    assert [one.outcome.system for one in verified] == list(known_systems())
    assert [one.outcome.mismatches for one in verified] == [()] * len(known_systems())
    assert [one.outcome.failed for one in verified] == [()] * len(known_systems())
    compared = {one.outcome.system: one.outcome.compared for one in verified}
    assert compared == {
        "slack": 5,
        "github": 6,
        "instance": 4,
        "licensing": 3,
        "pagerduty": 0,
        "mail": 0,
        "salesforce": 7,
        "vitally": 5,
        "sheets": 1,
        "registry": 0,
    }
    untold = {one.outcome.system: sum(one.outcome.untold.values()) for one in verified}
    assert (untold["pagerduty"], untold["mail"], untold["registry"]) == (2, 1, 1)


def test_of_one_workflow_only_its_effects_are_judged(world: World) -> None:
    world.hub.create_issue(world.repo, BOT, "left", f"<!-- tenure:{OTHER}/issue -->")
    del world.records["opportunity"][world.opportunity()["Id"]]
    trial, renewal = SUBJECT.partition("/")[0], RENEWAL.partition("/")[0]
    assert [one.what for one in world.mismatches("salesforce", trial)] == ["missing"]
    assert world.mismatches("salesforce", renewal) == []
    assert world.mismatches("github", trial) == []
    world.hub.create_issue(world.repo, BOT, "left", f"<!-- tenure:{SUBJECT}/never -->")
    assert [one.what for one in world.mismatches("github", trial)] == ["unknown"]
    for system in known_systems():
        if system not in ("salesforce", "github"):
            assert world.mismatches(system, trial) == [], system


# --- Taken away -------------------------------------------------------------------------------------------------------------


def remove_run(world: World) -> None:
    world.repo.runs.clear()


def remove_key(world: World) -> None:
    held = next(one for one in world.licensing.subscriptions.values() if len(one.licenses) == 1)
    world.licensing.licenses = {number: one for number, one in world.licensing.licenses.items() if one not in held.licenses}
    held.licenses.clear()


def remove(kind: str) -> Callable[[World], None]:
    """As somebody in Vitally does: an account goes, a note or a project is archived."""

    def take(world: World) -> None:
        for held in list(world.vitally.store.objects[kind].values()):
            world.vitally.store.delete(kind, held)

    return take


HEADER = ["Key", "Account"]
GONE: dict[str, dict[str, Callable[[World], Any]]] = {
    "slack": {
        "message": lambda world: world.channel("cloud-trial-alerts").messages.clear(),
        "channel": lambda world: world.slack.channels.pop(world.channel(CHANNEL).id),
    },
    "github": {
        "comment": lambda world: world.repo.issues[1].comments.clear(),
        "issue": lambda world: world.repo.issues.clear(),
        "run": remove_run,
    },
    "salesforce": {
        "lead": lambda world: world.records["lead"].clear(),
        "opportunity": lambda world: world.records["opportunity"].pop(world.opportunity()["Id"]),
        "account": lambda world: world.records["account"].clear(),
    },
    "instance": {"user": lambda world: world.instances.get(HOST).accounts.clear()},
    "licensing": {"licence": remove_key},
    "vitally": {
        "document": remove("notes"),
        "project": remove("projects"),
        "account": remove("accounts"),
    },
    "sheets": {
        "row": lambda world: world.sheets.seed({"spreadsheets": {"red-accounts-tracker": {"worksheets": {"Red accounts": [HEADER]}}}})
    },
}


@pytest.mark.parametrize("system", GONE)
def test_what_was_taken_away_is_missing(build: Build, system: str) -> None:
    world = build(system)
    before: set[tuple[str, str]] = set()
    for kind, take in GONE[system].items():
        assert ("missing", kind) not in before
        take(world)
        before = set(world.found(system))
        assert ("missing", kind) in before
    assert {what for what, _ in before} == {"missing"}


# --- Changed ----------------------------------------------------------------------------------------------------------------


def test_what_was_changed_says_how(world: World) -> None:
    issue = world.repo.issues[1]
    world.hub.edit_issue(world.repo, issue, CLOUD, {"body": "rewritten", "state": "open"})
    world.channel(CHANNEL).is_archived = False
    world.opportunity()["Tenure_Key__c"] = None
    next(iter(world.licensing.licenses.values())).revoked_at = datetime.now(UTC)
    (project,) = world.vitally.projects()
    project_record = world.vitally.store.get("projects", project["id"])
    project_record.fields["projectStatusId"] = world.vitally.status_id("On Track") if _has(world, "On Track") else "another"
    world.instances.get(HOST).config = re.sub(r'"licenseKey": "[^"]*"', '"licenseKey": "by hand"', world.instances.get(HOST).config)
    details = {
        (one.system, one.kind): one.detail
        for system in ("github", "slack", "salesforce", "licensing", "vitally", "instance")
        for one in world.mismatches(system)
        if one.what == "changed"
    }
    assert details == {
        ("github", "issue"): "state is open, on record closed",
        ("slack", "channel"): "archived is no, on record yes",
        ("salesforce", "opportunity"): f"mark is gone, on record {SUBJECT}",
        ("licensing", "licence"): "revoked is yes, on record no",
        ("vitally", "project"): "completed is no, on record yes",
        ("instance", "licence key"): f"key is another one, on record {world.receipts['licensing'].of('key').data['vault']}",
    }
    assert ("changed", "issue") in world.found("github")


def _has(world: World, status: str) -> bool:
    try:
        world.vitally.status_id(status)
    except KeyError:
        return False
    return True


# --- Added ------------------------------------------------------------------------------------------------------------------


def add_message(world: World, mark: str) -> None:
    said = {"text": "x", "metadata": {"event_type": "tenure", "event_payload": {"key": mark}}}
    world.slack.post(world.channel("cloud-trial-alerts"), said)


def add_reply(world: World, mark: str) -> None:
    """In a thread, which is in no list but its own."""
    alerts = world.channel("cloud-trial-alerts")
    said = {"text": "x", "metadata": {"event_type": "tenure", "event_payload": {"key": mark}}}
    world.slack.post(alerts, said, thread_ts=next(iter(alerts.messages)))


def add_comment(world: World, mark: str) -> None:
    world.hub.add_comment(world.repo, world.repo.issues[1], BOT, f"x\n\n<!-- tenure:{mark} -->")


def add_run(world: World, mark: str) -> None:
    world.hub.dispatch(world.repo, BOT, "create-instance.yml", "main", {"host": "x.example", "request": mark})


def add_record(kind: str) -> Callable[[World, str], None]:
    def add(world: World, mark: str) -> None:
        like = next(iter(world.records[kind].values()))
        id_ = f"{str(like['Id'])[:-5]}{len(world.records[kind]):05}"
        world.records[kind][id_] = {**like, "Id": id_, "Tenure_Key__c": mark.rpartition("/")[0]}

    return add


def add_key(world: World, mark: str) -> None:
    subject, _, key = mark.rpartition("/")
    like = next(iter(world.licensing.licenses.values()))
    number = world.licensing.new_number()
    made = type(like)(number, "k", type(like.info)((tag(EffectId(subject, key)),), 1, 2_000_000_000), like.subscription, datetime.now(UTC))
    world.licensing.licenses[number] = made
    world.licensing.subscription_of(made).licenses.append(made)


def add_project(world: World, mark: str) -> None:
    like = world.vitally.projects()[0]
    traits = {"vitally.custom.tenureKey": mark}
    fields = {"templateId": like["templateId"], "accountId": like["accountId"], "name": "x", "traits": traits}
    world.vitally.store.write("projects", fields)


def add_row(world: World, mark: str) -> None:
    rows = [list(row) for row in world.sheets.rows()]
    key = "acme.example" if mark.startswith(SUBJECT) else "unknown.example"
    world.sheets.seed({"spreadsheets": {"red-accounts-tracker": {"worksheets": {"Red accounts": [*rows, [key]]}}}})


ADDED: dict[str, list[tuple[str, str, Callable[[World, str], Any]]]] = {
    "slack": [("message", "alert", add_message), ("message", "answer", add_reply)],
    "github": [
        ("issue", "issue", lambda world, mark: world.hub.create_issue(world.repo, BOT, "x", f"<!-- tenure:{mark} -->")),
        ("comment", "comment", add_comment),
        ("run", "warm.src-1.cloud.tenure.example", add_run),
    ],
    "salesforce": [("lead", "lead", add_record("lead")), ("opportunity", "convert", add_record("opportunity"))],
    "licensing": [("licence", "key", add_key)],
    "vitally": [("project", "project", add_project)],
    "sheets": [("row", "row", add_row)],
}


@pytest.mark.parametrize("system", ADDED)
def test_what_carries_a_mark_must_be_on_record_once(build: Build, system: str) -> None:
    world = build(system)
    expected: list[tuple[str, str]] = []
    for kind, key, add in ADDED[system]:
        add(world, f"{OTHER}/{key}")
        add(world, f"{POOL if kind == 'run' else SUBJECT}/{key}")
        expected += [("duplicate", kind), ("unknown", kind)]
        assert sorted(world.found(system)) == sorted(expected)


def test_a_channel_that_our_app_made_must_be_on_record(build: Build) -> None:
    world = build("slack")
    world.slack.create_channel("cloud-trial-elsewhere", is_private=False)
    (found,) = world.mismatches("slack")
    assert (found.what, found.kind) == ("unknown", "channel")
    assert "#cloud-trial-elsewhere" in found.detail


def test_a_note_with_a_name_of_ours_must_be_on_record(build: Build) -> None:
    world = build("vitally")
    account = world.vitally.account("acme.example")
    for name, theirs in ((f"{OTHER}/doc.assessment", False), ("jira-12/comment", True)):
        world.vitally.store.write(
            "notes", {"externalId": name, "accountId": account["id"], "noteDate": AS_OF.isoformat(), "subject": "x", "note": "x"}
        )
        assert len(world.found("vitally")) == 1, theirs


# --- Begun ------------------------------------------------------------------------------------------------------------------


def test_what_was_begun_and_left_is_hanging_and_what_is_under_way_is_not(build: Build) -> None:
    world = build("github")
    raised = EffectBatch(subject=OTHER, as_of=AS_OF, effects=(RaiseIssue(key="issue", title="x", intro="", fields={}, labels=()),))
    world.sandbox.world.faults.append(Fault("github", "cut_after", match="POST"))
    with closing(GitHub.from_settings(world.settings, world.ledger)) as github, pytest.raises(Exception, match="may or may not"):
        github.carry_out(raised)
    assert world.mismatches("github") == [], "it is tried again in a moment"
    row = {"system": "mail", "act": "mail.sent", "summary": "x", "as_of": AS_OF, "begun_at": datetime.now(UTC), "attempts": 1}
    with world.ledger.writing() as db:
        db.execute(effects.insert().values(subject=OTHER, key="mail", **row))
        db.execute(update(effects).where(effects.c.subject == OTHER).values(begun_at=datetime.now(UTC) - timedelta(minutes=5), attempts=3))
    (issue,), (mail,) = world.mismatches("github"), world.mismatches("mail")
    assert (issue.what, issue.effect, issue.ref) == ("hanging", f"{OTHER}/issue", "2")
    assert "it happened: #2 carries its mark" in issue.detail
    assert (mail.what, mail.effect) == ("hanging", f"{OTHER}/mail")
    assert "in 3 attempt(s); not known to be done" in mail.detail
    with world.ledger.writing() as db:
        db.execute(update(effects).where(effects.c.subject == OTHER).values(held_until=datetime.now(UTC) + timedelta(minutes=1)))
    assert world.mismatches("github") == [], "somebody is at it"


# --- What cannot be asked ---------------------------------------------------------------------------------------------------


def test_a_system_that_does_not_answer_hides_no_other(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build("slack", "github")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    down = world.settings.model_copy(update={"slack_url": "http://127.0.0.1:9/api/"})
    slack, github = verify(down, world.ledger, ("slack", "github"))
    assert "Slack cannot be reached" in slack.outcome.failed[0]
    assert slack.outcome.untold == {slack.outcome.failed[0]: 5}
    assert (slack.requests, github.outcome.failed, github.outcome.compared) == (3, (), 6)


def test_an_instance_that_does_not_answer_is_said_and_one_that_was_torn_down_is_not_asked(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build("instance")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    world.sandbox.world.faults.append(Fault("instances", "status", times=9, status=503))
    (verified,) = verify(world.settings, world.ledger, ("instance",))
    assert HOST in verified.outcome.failed[0]
    assert (verified.outcome.mismatches, sum(verified.outcome.untold.values())) == ((), 5)
    with world.ledger.writing() as db:
        db.execute(instances.delete())
    (verified,) = verify(world.settings, world.ledger, ("instance",))
    assert (verified.outcome.failed, verified.requests) == ((), 0)
    assert verified.outcome.untold == {
        "the instance stands no more, by the registry": 4,
        "on record without an id, since there was nothing to act on": 1,
    }


def test_a_channel_that_our_app_was_put_out_of_is_not_joined(build: Build) -> None:
    world = build("slack")
    world.channel("cloud-trial-alerts").members.remove(BOT_USER)
    before = len(world.sandbox.world.log.effects)
    (verified,) = verify(world.settings, world.ledger, ("slack",))
    assert list(verified.outcome.untold.values()) == [2]
    assert "our app is not in #cloud-trial-alerts" in next(iter(verified.outcome.untold))
    assert len(world.sandbox.world.log.effects) == before, "nothing was written"


def test_a_limit_is_waited_out_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("activities.asking.time.sleep", slept.append)
    for service, match in (
        ("slack", "conversations.history"),
        ("github", "issues/comments"),
        ("salesforce", "query"),
        ("licensing", ""),
        ("instances", ""),
        ("vitally", "notes"),
    ):
        world.sandbox.world.faults.append(Fault(service, "rate_limit", match=match, retry_after=7))
    world.sandbox.world.faults.append(Fault("sheets", "cut_before"))
    verified = {one.outcome.system: one for one in verify(world.settings, world.ledger)}
    failed = {system for system, one in verified.items() if one.outcome.failed}
    assert failed == {"salesforce"}, "its allowance is counted over a day, so nobody waits for it"
    assert not any(one.outcome.mismatches for one in verified.values())
    assert 7.0 in slept


@pytest.mark.long
def test_a_thousand_effects_are_listed_not_asked_for_one_by_one(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    slack, github = Slack.from_settings(settings, ledger), GitHub.from_settings(settings, ledger)
    for number in range(500):
        subject = f"trial-{number}.example/ab12cd34.0"
        slack.carry_out(EffectBatch(subject=subject, as_of=AS_OF, effects=(Post(key="hello", channel="cloud-trial-alerts", text="x"),)))
        github.carry_out(
            EffectBatch(subject=subject, as_of=AS_OF, effects=(RaiseIssue(key="issue", title="x", intro="", fields={}, labels=()),))
        )
    github.close()
    verified = {one.outcome.system: one for one in verify(settings, ledger, ("slack", "github"))}
    assert [one.outcome.mismatches for one in verified.values()] == [(), ()]
    assert [one.outcome.compared for one in verified.values()] == [500, 500]
    assert sum(one.requests for one in verified.values()) <= 20


@pytest.mark.parametrize("ours", [True, False])
def test_two_channels_of_one_name_are_reported(build: Build, ours: bool) -> None:
    world = build("slack")
    world.slack.seed({"channels": [{"name": CHANNEL, "twin": True, "ours": ours}, {"name": "growth", "twin": True}]})
    (twins,) = world.mismatches("slack")
    assert (twins.what, twins.kind) == ("duplicate", "channel")
    assert f"2 carry the mark made by our app: #{CHANNEL}" in twins.detail
