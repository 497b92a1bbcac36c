"""Vitally against the sandbox: traits, documents and projects happen once; the hourly scores keep within the rate limit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.vitally import client
from activities.vitally.client import limit_wait, pause
from activities.vitally.effects import ENDED, MARK, Vitally
from domain.effects.effect import EffectBatch
from domain.effects.vitally import CloseProject, KeepDoc, OpenProject, ScoresWritten, ScoreWrite, ScoreWrites, SetTraits, VitallyEffect
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store.ledger import Ledger, NotDone
from store.settings import Settings
from store.tables import customers
from tests.activities.holding import its_time_has_come

SUBJECT = "renewal-acme.com-2026-06-30/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
TRAITS = SetTraits(key="traits", account="acme.com", traits={"Renewal Rating": "red", "Account - Red Account?": True})
DOC = KeepDoc(key="doc.1", account="acme.com", doc="assessment", title="Health assessment", lines=("Rating: red", "R&D <left>"))
OPEN = OpenProject(key="project", account="acme.com", template="Account Save Plan", name="Save plan: Acme")
CLOSE = CloseProject(key="project.close", account="acme.com", project="project", why="the criteria are met")
ACTS = (TRAITS, DOC, OPEN, CLOSE)
ONCE = ["account.updated", "note.created", "project.created", "project.updated"]


@pytest.fixture
def vitally(settings: Settings, ledger: Ledger) -> Iterator[Vitally]:
    made = Vitally(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def remote(sandbox: SandboxServer) -> Any:
    """The stand-in, which knows Acme."""
    service = sandbox.world.services["vitally"]
    service.seed({"accounts": [{"externalId": "acme.com", "name": "Acme", "traits": {"Pulse": "Healthy"}}]})
    return service


def batch(*acts: VitallyEffect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "vitally"]


def known(ledger: Ledger, domain: str, name: str) -> None:
    """A customer in the copy of the CRM."""
    row = {"domain": domain, "id": "001", "name": name, "segment": "", "arr": 0, "seats": 0, "subscription": "", "status": "customer"}
    with ledger.writing() as db:
        db.execute(insert(customers).values(**row, merged_into="", as_of=AS_OF))


# --- Every act, once --------------------------------------------------------------------------------------------------------


def test_each_act_happens_once_and_is_answered_from_the_ledger_afterwards(
    vitally: Vitally, remote: Any, sandbox: SandboxServer, ledger: Ledger
) -> None:
    first = vitally.carry_out(batch(*ACTS))
    assert done(sandbox) == ONCE
    account = remote.account("acme.com")
    assert account["traits"] == {"Pulse": "Healthy", "Renewal Rating": "red", "Account - Red Account?": True}
    (note,), (project,) = remote.notes("acme.com"), remote.projects("acme.com")
    assert (note["subject"], note["note"]) == ("Health assessment", "<p>Rating: red</p><p>R&amp;D &lt;left&gt;</p>")
    assert datetime.fromisoformat(note["noteDate"]) == AS_OF
    assert (project["name"], project["template"], project["status"]) == ("Save plan: Acme", "Account Save Plan", "Completed")
    assert project["traits"] == {MARK: f"{SUBJECT}/project", ENDED: "the criteria are met"}
    assert [first.of(act.key).ref for act in ACTS] == [account["id"], note["id"], project["id"], project["id"]]
    assert [row.act for row in ledger.effects()] == ["traits.set", "doc.kept", "project.opened", "project.completed"]
    sandbox.world.faults.append(Fault("vitally", "status", times=1000))
    assert vitally.carry_out(batch(*ACTS)) == first


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
@pytest.mark.parametrize(
    "request_line",
    [
        "PUT /vitally/resources/accounts",
        "GET /vitally/resources/accounts/acme.com",
        "POST /vitally/resources/notes",
        "GET /vitally/resources/projectTemplates",
        "POST /vitally/resources/projects",
        "PUT /vitally/resources/projects",
    ],
)
def test_nothing_happens_twice_when_an_answer_is_lost(
    vitally: Vitally, remote: Any, sandbox: SandboxServer, kind: Any, request_line: str
) -> None:
    sandbox.world.faults.append(Fault("vitally", kind, match=request_line))
    with pytest.raises(ApplicationError, match="waiting: ") as caught:
        vitally.carry_out(batch(*ACTS))
    assert (caught.value.type, caught.value.non_retryable) == ("VitallyUnsure", False)
    assert sandbox.world.faults == []
    vitally.carry_out(batch(*ACTS))
    assert done(sandbox) == ONCE


def test_traits_are_merged_and_none_deletes_one(vitally: Vitally, remote: Any) -> None:
    vitally.carry_out(batch(TRAITS, SetTraits(key="traits.2", account="acme.com", traits={"Renewal Rating": None, "Pulse": "Poor"})))
    assert remote.account("acme.com")["traits"] == {"Account - Red Account?": True, "Pulse": "Poor"}


# --- Accounts that Vitally does not have --------------------------------------------------------------------------------------


def test_an_account_that_is_absent_is_made_under_the_customers_name(
    vitally: Vitally, sandbox: SandboxServer, ledger: Ledger, remote: Any
) -> None:
    known(ledger, "borealis.example", "Borealis Systems")
    traits = {"Renewal Rating": "green", "Pulse": None}
    receipt = vitally.carry_out(batch(SetTraits(key="traits", account="borealis.example", traits=traits))).of("traits")
    made = remote.account("borealis.example")
    assert (made["id"], made["name"], made["traits"]) == (receipt.ref, "Borealis Systems", {"Renewal Rating": "green"})
    vitally.carry_out(batch(DOC.model_copy(update={"account": "nobody.example"})))
    assert remote.account("nobody.example")["name"] == "nobody.example"
    assert done(sandbox) == ["account.created", "account.created", "note.created"]


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_an_account_whose_making_got_lost_is_made_once(vitally: Vitally, sandbox: SandboxServer, kind: Any) -> None:
    sandbox.world.faults.append(Fault("vitally", kind, match="POST"))
    with pytest.raises(ApplicationError):
        vitally.carry_out(batch(TRAITS))
    vitally.carry_out(batch(TRAITS))
    assert done(sandbox) == ["account.created"]


# --- Documents ----------------------------------------------------------------------------------------------------------------


def test_a_document_is_brought_up_to_date_and_keeps_what_people_added(vitally: Vitally, remote: Any, sandbox: SandboxServer) -> None:
    first = vitally.carry_out(batch(DOC)).of("doc.1")
    store = remote.store
    store.change("notes", store.get("notes", first.ref), {"tags": ["QBR"]})
    remote_notes = len(remote.notes())
    later = DOC.model_copy(update={"key": "doc.2", "lines": ("Rating: green",)})
    assert vitally.carry_out(batch(later)).of("doc.2") == first
    (note,) = remote.notes("acme.com")
    assert (note["note"], note["tags"], datetime.fromisoformat(note["noteDate"])) == ("<p>Rating: green</p>", ["QBR"], AS_OF)
    assert len(remote.notes()) == remote_notes
    vitally.carry_out(batch(DOC.model_copy(update={"key": "doc.3", "doc": "save plan"}), subject=SUBJECT))
    vitally.carry_out(batch(DOC, subject="renewal-acme.com-2027-06-30/ab12cd34.0"))
    assert len(remote.notes("acme.com")) == 3


def test_a_document_is_found_behind_many_notes(vitally: Vitally, remote: Any) -> None:
    first = vitally.carry_out(batch(DOC)).of("doc.1")
    of = {"accountId": remote.account("acme.com")["id"], "noteDate": "2026-03-02T10:00:00Z", "traits": {}}
    for number in range(120):
        remote.store.add("notes", {**of, "note": f"call {number}", "externalId": f"zoom-{number}"})
    assert vitally.carry_out(batch(DOC.model_copy(update={"key": "doc.2"}))).of("doc.2") == first


def test_a_document_that_somebody_deleted_is_kept_up_to_date_and_says_so(vitally: Vitally, remote: Any) -> None:
    first = vitally.carry_out(batch(DOC)).of("doc.1")
    remote.store.delete("notes", remote.store.get("notes", first.ref))
    again = vitally.carry_out(batch(DOC.model_copy(update={"key": "doc.2", "lines": ("new",)}))).of("doc.2")
    assert again.ref == first.ref
    assert "deleted" in again.data["note"]


# --- Projects -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forgets_traits", [False, True], ids=["by its mark", "by its name"])
def test_a_project_whose_opening_got_lost_is_found(
    vitally: Vitally, remote: Any, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, forgets_traits: bool
) -> None:
    vitally.carry_out(batch(OPEN, subject="renewal-acme.com-2025-06-30/ab12cd34.0"))  # alike, but another renewal's
    if forgets_traits:
        monkeypatch.setattr(remote.store, "_set_traits", lambda record, changes: None)  # a workspace that does not know them
    sandbox.world.faults.append(Fault("vitally", "cut_after", match="POST /vitally/resources/projects"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        vitally.carry_out(batch(OPEN))
    other, ours = remote.projects("acme.com")
    assert (ours["traits"] == {}) is forgets_traits
    assert vitally.carry_out(batch(OPEN)).of("project").ref == ours["id"] != other["id"]
    assert done(sandbox) == ["project.created", "project.created"]


def test_a_project_of_that_name_from_long_ago_is_not_ours(vitally: Vitally, remote: Any, sandbox: SandboxServer) -> None:
    of = {"accountId": remote.account("acme.com")["id"], "templateId": remote.template_id("Account Save Plan"), "traits": {}}
    old = remote.store.add("projects", {**of, "name": OPEN.name, "projectStatusId": remote.status_id("Completed")})
    old.fields["createdAt"] = "2020-01-01T00:00:00.000Z"
    sandbox.world.faults.append(Fault("vitally", "cut_before", match="POST /vitally/resources/projects"))
    with pytest.raises(ApplicationError):
        vitally.carry_out(batch(OPEN))
    assert vitally.carry_out(batch(OPEN)).of("project").ref != old.id
    assert done(sandbox) == ["project.created"]


def test_a_template_that_is_missing_is_refused_until_somebody_makes_it(vitally: Vitally, remote: Any, ledger: Ledger) -> None:
    act = OPEN.model_copy(update={"template": "Champion Rescue"})
    with pytest.raises(NotDone, match="no project template 'Champion Rescue'; create it in Vitally") as caught:
        vitally.carry_out(batch(act))
    assert (caught.value.type, caught.value.non_retryable) == ("VitallyNoTemplate", True)
    assert ledger.effects() == []
    remote.seed({"templates": ["Champion Rescue"]})
    vitally.carry_out(batch(act))
    assert [project["template"] for project in remote.projects("acme.com")] == ["Champion Rescue"]


def test_templates_are_looked_up_once(vitally: Vitally, remote: Any, sandbox: SandboxServer) -> None:
    vitally.carry_out(batch(OPEN))
    sandbox.world.faults.append(Fault("vitally", "status", match="projectTemplates", times=1000))
    vitally.carry_out(batch(OPEN, subject="get-well-acme.com/ab12cd34.0"))
    assert len(remote.projects("acme.com")) == 2


def test_what_was_never_opened_or_is_gone_needs_no_completing(vitally: Vitally, remote: Any, sandbox: SandboxServer) -> None:
    assert vitally.carry_out(batch(CLOSE)).of("project.close").data == {"note": "no project was opened"}
    opened = vitally.carry_out(batch(OPEN)).of("project").ref
    del remote.store.objects["projects"][opened]
    again = CLOSE.model_copy(update={"key": "project.close.2"})
    assert vitally.carry_out(batch(again)).of(again.key).data == {"note": "there is no such project any more"}
    assert done(sandbox) == ["project.created"]


def test_the_completing_status_is_the_sandboxs_by_default_and_must_be_set(
    settings: Settings, ledger: Ledger, remote: Any, vitally: Vitally
) -> None:
    assert settings.vitally_completed_status == remote.status_id("Completed")
    vitally.carry_out(batch(OPEN))
    unset = Vitally(settings.model_copy(update={"vitally_completed_status": ""}), ledger)
    with pytest.raises(NotDone, match="set TENURE_VITALLY_COMPLETED_STATUS") as caught:
        unset.carry_out(batch(CLOSE))
    unset.close()
    assert caught.value.non_retryable


# --- What goes wrong ----------------------------------------------------------------------------------------------------------


def test_a_rate_limit_waits_as_long_as_vitally_says(vitally: Vitally, remote: Any, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("vitally", "rate_limit", retry_after=9))
    with pytest.raises(NotDone, match="0 of 1 done; waiting: traits") as caught:
        vitally.carry_out(batch(TRAITS))
    assert (caught.value.type, caught.value.next_retry_delay) == ("VitallyRateLimited", timedelta(seconds=9))
    assert ledger.effects() == []
    remote.seed({"limit_per_minute": 1})
    its_time_has_come(ledger, "vitally")
    vitally.carry_out(batch(TRAITS))
    with pytest.raises(NotDone) as used_up:
        vitally.carry_out(batch(DOC))
    assert used_up.value.next_retry_delay is not None
    assert timedelta(seconds=30) < used_up.value.next_retry_delay <= timedelta(seconds=60)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit-reset": "12"}, 12),
        ({"ratelimit-reset": "0"}, 1),
        ({"ratelimit-reset": "12", "retry-after": "7"}, 7),
        ({"ratelimit-reset": "soon"}, 60),
        ({}, 60),
    ],
)
def test_how_long_a_limit_lasts(headers: dict[str, str], seconds: int) -> None:
    assert limit_wait(headers) == timedelta(seconds=seconds)


def test_a_limit_may_end_at_a_moment() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=300)
    assert timedelta(seconds=200) < limit_wait({"x-ratelimit-reset": str(int(moment.timestamp()))}) <= timedelta(seconds=300)


@pytest.mark.parametrize(
    ("status", "type_", "retried"),
    [(400, "VitallyRefused", False), (401, "VitallyForbidden", True), (404, "VitallyNotFound", False), (503, "VitallyUnsure", True)],
)
def test_what_an_answer_means(vitally: Vitally, remote: Any, sandbox: SandboxServer, status: int, type_: str, retried: bool) -> None:
    sandbox.world.faults.append(Fault("vitally", "status", match="POST /vitally/resources/notes", status=status))
    with pytest.raises(ApplicationError) as caught:
        vitally.carry_out(batch(DOC))
    assert (caught.value.type, caught.value.non_retryable) == (type_, not retried)


def test_an_answer_that_is_no_json_says_what_to_check(vitally: Vitally, remote: Any, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("vitally", "status", status=200, body="<html>Sign in</html>"))
    with pytest.raises(ApplicationError, match="check TENURE_VITALLY_URL"):
        vitally.carry_out(batch(TRAITS))


def test_a_wrong_key_waits_for_a_person_and_does_not_show_it(settings: Settings, ledger: Ledger, remote: Any) -> None:
    wrong = Vitally(settings.model_copy(update={"vitally_key": SecretStr("hunter22")}), ledger)
    with pytest.raises(NotDone, match="does not accept our credential") as caught:
        wrong.carry_out(batch(TRAITS))
    wrong.close()
    assert (caught.value.type, caught.value.next_retry_delay) == ("VitallyForbidden", timedelta(minutes=5))
    assert "hunter22" not in str(caught.value)


def test_where_nobody_listens_nothing_happened(settings: Settings, ledger: Ledger) -> None:
    gone = Vitally(settings.model_copy(update={"vitally_url": "http://127.0.0.1:9"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(TRAITS))
    with pytest.raises(NotDone, match="cannot be reached"):
        list(gone.accounts())
    gone.close()
    assert caught.value.type == "VitallyUnreachable"
    assert ledger.effects() == []


# --- The hourly run -------------------------------------------------------------------------------------------------------------


def fleet(count: int) -> list[dict[str, Any]]:
    return [{"externalId": f"c{number}.example", "name": f"C{number}", "traits": {"Pulse": "Healthy"}} for number in range(count)]


def writes(*scores: ScoreWrite) -> ScoreWrites:
    return ScoreWrites(subject="health-scores/ab12cd34.0", as_of=AS_OF, scores=scores)


def score(domain: str, **traits: Any) -> ScoreWrite:
    return ScoreWrite(domain=domain, name=domain.title(), traits={"Health Score": 7.5, "Health Band": "healthy", **traits})


@pytest.fixture
def waits(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits for the rate limit, which pass at once: the stand-in's window moves on by as much."""
    made: list[float] = []
    budget = sandbox.world.services["vitally"].budget
    clock = budget.clock
    monkeypatch.setattr(budget, "clock", lambda: clock() + sum(made))
    monkeypatch.setattr(client, "pause", made.append)
    return made


def test_every_account_is_read_page_by_page_churned_ones_too(vitally: Vitally, sandbox: SandboxServer) -> None:
    remote = sandbox.world.services["vitally"]
    remote.seed({"accounts": [*fleet(250), {"externalId": "gone.example", "churnedAt": "2026-01-01T00:00:00Z"}]})
    reading = vitally.accounts()
    first = next(reading)
    remote.store.change("accounts", remote.store.get("accounts", "c3.example"), {"traits": {"Pulse": "Poor"}})  # moves within the order
    names = [first["externalId"], *(account["externalId"] for account in reading)]
    assert sorted(names) == sorted(["gone.example", *(f"c{number}.example" for number in range(250))])


def test_reading_leaves_a_tenth_of_the_allowance_to_others(vitally: Vitally, sandbox: SandboxServer, waits: list[float]) -> None:
    remote = sandbox.world.services["vitally"]
    remote.seed({"accounts": fleet(1_500), "limit_per_minute": 10})
    assert len(list(vitally.accounts())) == 1_500
    assert waits
    assert max(waits) <= 60


def test_a_limit_in_the_middle_of_reading_is_an_error_in_temporals_terms(vitally: Vitally, sandbox: SandboxServer) -> None:
    sandbox.world.services["vitally"].seed({"accounts": fleet(150)})
    reading = vitally.accounts()
    next(reading)
    sandbox.world.faults.append(Fault("vitally", "rate_limit", retry_after=9))
    with pytest.raises(NotDone) as caught:
        list(reading)
    assert caught.value.next_retry_delay == timedelta(seconds=9)


def test_scores_are_written_once_each(vitally: Vitally, sandbox: SandboxServer, remote: Any, ledger: Ledger) -> None:
    all_ = writes(score("acme.com"), score("new.example"))
    beats: list[Any] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details)
    assert environment.run(vitally.write_scores, all_) == ScoresWritten(written=2)
    assert beats == [(0,), (1,)]
    assert remote.account("acme.com")["traits"] == {"Pulse": "Healthy", "Health Score": 7.5, "Health Band": "healthy"}
    assert remote.account("new.example")["name"] == "New.Example"
    assert done(sandbox) == ["account.updated", "account.created"]
    assert [(row.key, row.act) for row in ledger.effects()] == [
        ("score.acme.com", "score.written"),
        ("score.new.example", "score.written"),
    ]
    sandbox.world.faults.append(Fault("vitally", "status", times=1000))
    assert vitally.write_scores(all_) == ScoresWritten(written=2)


def test_a_repetition_writes_only_the_scores_that_are_left(vitally: Vitally, sandbox: SandboxServer, remote: Any) -> None:
    remote.seed({"accounts": fleet(5)})
    all_ = writes(*(score(f"c{number}.example") for number in range(5)))
    sandbox.world.faults.append(Fault("vitally", "cut_after", match="c2.example"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        vitally.write_scores(all_)
    sandbox.world.faults.append(Fault("vitally", "rate_limit", match="c4.example", retry_after=9))
    with pytest.raises(NotDone) as limited:
        vitally.write_scores(all_)
    assert limited.value.next_retry_delay == timedelta(seconds=9)
    assert vitally.write_scores(all_) == ScoresWritten(written=5)
    assert done(sandbox) == ["account.updated"] * 5


def test_an_account_that_is_refused_does_not_stop_the_others(vitally: Vitally, sandbox: SandboxServer, remote: Any) -> None:
    remote.seed({"accounts": fleet(3)})
    sandbox.world.faults.append(Fault("vitally", "status", match="c1.example", status=400))
    found = vitally.write_scores(writes(*(score(f"c{number}.example") for number in range(3))))
    assert found.written == 2
    assert list(found.refused) == ["c1.example"]
    assert "Vitally refused: HTTP 400" in found.refused["c1.example"]


def test_scores_leave_a_tenth_of_the_allowance_to_others(vitally: Vitally, sandbox: SandboxServer, remote: Any, waits: list[float]) -> None:
    remote.seed({"accounts": fleet(40), "limit_per_minute": 20})
    assert vitally.write_scores(writes(*(score(f"c{number}.example") for number in range(40)))).written == 40
    assert waits
    assert max(waits) <= 60
    assert remote.budget.remaining >= 1


def test_a_wait_heartbeats_and_ends_with_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BEAT", 0.01)
    beats: list[Any] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details)
    environment.run(pause, 0.05)
    assert len(beats) >= 2
    environment.worker_shutdown()
    with pytest.raises(NotDone, match="the worker stopped"):
        environment.run(pause, 60.0)
    pause(0.02)  # outside an activity it only waits
