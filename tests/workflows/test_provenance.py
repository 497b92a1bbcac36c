"""What is sent straight to Temporal, as the Web UI and `temporal` do, is judged there by the same table, and stands on the audit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import RawValue

from activities.provenance import UNCHECKED
from domain import ids
from domain.messages import Account, Contact, JoinAsk, Signup
from domain.trial.commands import Extend
from starter.service.connect import WayIn
from store.audit import Audit, AuditRow
from tests.workflows.accounts import AE, Life
from tests.workflows.conftest import KEY
from tests.workflows.play import NOW, Play, eventually
from tests.workflows.renewals import Course
from tests.workflows.trial.test_trial import ALL_YES, SDR, opened, prequalified, unknown
from workflows.frame.provenance import given_mark, marked

CE, FINANCE = "ce-ada@tenure.example", "finance-desk@tenure.example"


async def rows(play: Play, domain: str, number: int) -> list[AuditRow]:
    """What the audit has of a trial, once it is so much."""

    async def look() -> list[AuditRow] | None:
        found = Audit(play.ledger, [play.settings.vendor_domain]).rows(subject=ids.trial(domain))
        return found if len(found) >= number else None

    found = await eventually(look)
    assert found is not None
    assert len(found) == number
    return found


def told(found: Iterable[AuditRow]) -> list[tuple[str, str, str]]:
    return [(row.who, row.what, row.outcome) for row in found]


async def test_a_decision_sent_straight_to_temporal_is_on_the_audit(play: Play) -> None:
    domain, _ = await prequalified(play)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    await handle.execute_update("extend", {"days": 15, "by": CE, "reason": "Cy asked for it"}, id="click-1")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("extend", {"days": 400, "by": CE})
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("convert", "nonsense")
    found = await rows(play, domain, 3)
    assert told(found) == [(CE, "extend days 15", "accepted"), (CE, "extend days 400", "refused"), ("nobody", "convert", "refused")]
    assert [(row.via, row.rule, row.role) for row in found] == [("temporal", "extend: ce team", "ce"), *[("temporal", UNCHECKED, "")] * 2]
    assert found[0].event == "click-1"
    assert "Cy" not in str(found)
    assert found[1].reason
    assert Audit(play.ledger, []).verify().ok


async def test_so_is_a_signal_whether_it_could_be_taken_or_not(play: Play) -> None:
    domain, _ = await prequalified(play)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    await handle.signal("extend", {"days": "soon", "by": CE})
    await rows(play, domain, 1)
    await handle.signal("opt_out", {"by": CE})
    await rows(play, domain, 2)
    await handle.signal("terminate", {"by": CE})
    found = await rows(play, domain, 3)
    assert told(found) == [(CE, "extend", "refused"), (CE, "opt_out", "accepted"), (CE, "terminate", "accepted")]
    assert "days" in found[0].reason


async def test_a_log_repeats_nothing_of_a_signal_that_is_refused(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what it says nor, where we do not know it, its name: both are on the process, which is encrypted."""
    domain, _ = await prequalified(play)
    sent: list[tuple[str, Any]] = [
        ("extend", {"days": "zq1days", "by": "zq1by"}),
        ("convert", {"seats": "zq1seats"}),
        ("answer", {"task": "zq1task", "choice": "zq1choice"}),
        ("change_domain", {"new_host": "zq1 host"}),
        ("issue_event", {"issue": "zq1issue"}),
        ("rehosted", "zq1rehosted"),
        ("zq1name", "zq1value"),
    ]
    for handle in (play.trial(domain), play.straight.get_workflow_handle(ids.trial(domain))):
        for name, value in sent:
            await handle.signal(name, value)

    async def refused() -> bool:
        return len((await play.status(domain)).notes) >= 2 * len(sent)

    await eventually(refused)
    assert sum("was refused" in record.getMessage() for record in caplog.records) >= 2 * len(sent)
    assert "zq1" not in caplog.text.lower()
    assert any("zq1days" in note for note in (await play.status(domain)).notes)


#: Each decision of a trial, as somebody might send it who knows how.
FORGED: list[tuple[str, dict[str, Any]]] = [
    ("extend", {"days": 15}),
    ("convert", {"seats": 50, "contract_end": "2027-12-31"}),
    ("terminate", {"reason": "no more"}),
    ("request_feedback", {}),
    ("change_domain", {"new_host": "src.elsewhere.example"}),
    ("new_link", {}),
    ("opt_out", {}),
]
#: Nobody; a stranger; a prospect, whom a link of ours speaks for and no message; one of ours whose role may not; a program's name.
NOT_THEY = ("", "mallory@elsewhere.example", "prospect", FINANCE, "Salesforce")


@pytest.mark.parametrize("by", NOT_THEY)
async def test_a_decision_of_nobody_who_may_changes_nothing_is_noted_and_on_the_audit(play: Play, by: str) -> None:
    domain, host = await prequalified(play)
    before, effects = await play.status(domain), play.effects(domain)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    sent = [(name, fields) for name, fields in FORGED if by != FINANCE or name not in ("new_link", "opt_out")]
    for name, fields in sent:
        await handle.signal(name, {**fields, "by": by})
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await handle.execute_update(name, {**fields, "by": by})
        assert str(refusal.value.cause)
    found = await rows(play, domain, 2 * len(sent))
    assert {row.outcome for row in found} == {"refused"}
    assert {row.who for row in found} == {(ids.digest(by) if by.endswith("elsewhere.example") else by.lower()) or "nobody"}
    after = await play.status(domain)
    noted = {tuple(line.split(" ")[2:4]) for line in after.notes}
    assert noted == {(kind, name) for kind in ("signal", "update") for name, _ in sent}
    assert after.model_copy(update={"notes": ()}) == before
    assert (after.host, after.stage) == (host, "onboarding")
    assert play.effects(domain) == effects


async def test_a_task_that_names_a_role_only_is_answered_by_that_role(play: Play) -> None:
    domain = await unknown(play)
    await play.task(domain, "triage")
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    said = {"task": "triage-1", "choice": "qualify", "checks": ALL_YES}
    for by in ("mallory@elsewhere.example", CE, FINANCE):
        await handle.signal("answer", {**said, "by": by})
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await handle.execute_update("answer", {**said, "by": by})
        assert by in str(refusal.value.cause)
    found = await rows(play, domain, 6)
    assert {(row.what, row.outcome) for row in found} == {("answer triage-1: qualify", "refused")}
    assert [task.kind for task in await play.tasks(domain)] == ["triage"]
    assert len((await play.status(domain)).notes) == 6
    await handle.signal("answer", {**said, "by": SDR})
    await play.stage(domain, "provisioning")
    last = (await rows(play, domain, 7))[-1]
    assert (last.who, last.role, last.outcome, last.rule) == (SDR, "inbound_sdr", "accepted", "answer inbound_sdr: team")
    again = play.straight.get_workflow_handle(ids.trial(domain)).execute_update("answer", {**said, "by": SDR})
    with pytest.raises(WorkflowUpdateFailedError) as late:
        await again
    assert f"triage-1 was answered by {SDR} at" in str(late.value.cause)


async def test_the_mark_of_our_programs_cannot_be_made_without_their_key(play: Play) -> None:
    domain, _ = await prequalified(play)
    forger = Client(
        play.straight.service_client, namespace=play.straight.namespace, data_converter=play.straight.data_converter,
        interceptors=[WayIn(lambda: b"another key")],
    )  # fmt: skip
    handle = forger.get_workflow_handle(ids.trial(domain))
    with pytest.raises(WorkflowUpdateFailedError, match="Workflow update failed") as refusal:
        await handle.execute_update("extend", {"days": 15, "by": CE})
    assert "carries a mark that none of our programs made" in str(refusal.value.cause)
    await handle.signal("terminate", {"by": "mallory@elsewhere.example"})
    found = await rows(play, domain, 2)
    assert [(row.what, row.outcome) for row in found] == [("extend days 15", "refused"), ("terminate", "refused")]
    assert (await play.stage(domain, "onboarding")).total_days == (await play.status(domain)).total_days


async def test_a_mark_is_good_for_the_message_that_it_was_made_for(play: Play) -> None:
    """One who reads a mark in a history cannot put it on another message, another workflow or another id."""
    marks = {
        given_mark(marked({}, KEY, workflow, name, args, event))
        for workflow in ("trial-a.com", "trial-b.com")
        for name in ("extend", "terminate")
        for args in ([{"by": CE}], [{"by": CE, "days": 15}], [])
        for event in ("", "1", "2")
    }
    assert len(marks) == 2 * 2 * 3 * 3
    assert "" not in marks
    told = Extend(by="dana@acme.com", days=15, reason="Dana, dana@acme.com, asked")
    erased = told.model_copy(update={"by": ids.erased(told.by), "reason": "somebody asked"})
    assert marked({}, KEY, "trial-a.com", "extend", [told]) == marked({}, KEY, "trial-a.com", "extend", [erased])
    assert marked({}, KEY, "trial-a.com", "extend", [Extend(by=CE)]) == marked(
        {}, KEY, "trial-a.com", "extend", [Extend(by=CE).model_dump()]
    )


async def test_what_our_programs_tell_is_not_believed_from_others(play: Play) -> None:
    domain, host = await prequalified(play)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    await handle.signal("rehosted", "src.elsewhere.example")
    await handle.signal("issue_event", {"issue": 1, "labels": ["cloud-trial/instance-ready"], "host": "src.elsewhere.example"})
    await rows(play, domain, 2)
    for name, message in (
        ("signup", Signup(contact=Contact(email=f"eve@{domain}"), at=NOW, account=Account(domain=domain, name="Eve", prequalified=True))),
        ("join", JoinAsk(contact=Contact(email=f"eve@{domain}"))),
    ):
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await handle.execute_update(name, message)
        assert "is told by our own programs only" in str(refusal.value.cause)
    found = await rows(play, domain, 4)
    assert {row.outcome for row in found} == {"refused"}
    assert [row.what for row in found] == ["rehosted", "issue_event issue 1", "signup", "join"]
    status = await play.status(domain)
    assert status.host == host
    assert ["is told by our own programs only" in note for note in status.notes] == [True, True]


async def test_the_processes_of_an_account_are_judged_so_too(play: Play) -> None:
    life = await Life.begin(play)
    stranger = "mallory@elsewhere.example"
    account = play.straight.get_workflow_handle(life.id)
    await account.signal("mark_red", {"by": stranger, "reason": "I say so"})
    await account.signal("start_renewal", {"by": stranger})
    for name, more in (("mark_red", {"reason": "I say so"}), ("start_renewal", {})):
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await account.execute_update(name, {"by": stranger, **more})
        assert f"{stranger} is not among our people" in str(refusal.value.cause)
    status = await life.status()
    assert (status.red, status.renewal, len(status.notes)) == (False, "", 4)
    assert Audit(play.ledger, [play.settings.vendor_domain]).rows(subject=life.id, outcome="accepted") == []
    await account.execute_update("mark_red", {"by": AE, "reason": "the champion left"})
    assert (await life.status()).red


async def test_what_comes_by_our_own_way_in_is_noted_there_and_not_again(play: Play) -> None:
    domain, _ = await prequalified(play)
    await play.update(domain, "extend", {"days": 15, "by": CE})
    await play.signal(domain, "request_feedback", {"by": CE})
    await play.refused(domain, "extend", {"days": 400, "by": CE})
    await play.straight.get_workflow_handle(ids.trial(domain)).signal("opt_out", {"by": CE})
    assert told(await rows(play, domain, 1)) == [(CE, "opt_out", "accepted")]


async def test_no_sign_stops_a_trial_or_its_audit(play: Play) -> None:
    """JSON can hold a sign that PostgreSQL does not take."""
    sign = "\x00"
    domain, _ = await prequalified(play)
    raw = json.dumps({"seats": 15, "by": f"ce-{sign}@tenure.example", "note": sign, "contract_end": sign}).encode()
    await play.straight.get_workflow_handle(ids.trial(domain)).signal(
        "convert", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=raw))
    )
    found = await rows(play, domain, 1)
    assert (found[0].who, found[0].outcome) == ("ce-\ufffd@tenure.example", "refused")
    assert found[0].what == "convert seats 15 contract_end \ufffd"
    await play.status(domain)


STRANGER, WRONG_ROLE = "mallory@elsewhere.example", "support-desk@tenure.example"


async def told_off(play: Play, workflow: str, messages: dict[str, dict[str, Any]]) -> None:
    """Each message by a stranger and by one of ours who may not, as a signal and as an update: nothing is accepted."""
    handle = play.straight.get_workflow_handle(workflow)
    for by in (STRANGER, WRONG_ROLE):
        for name, fields in messages.items():
            await handle.signal(name, {**fields, "by": by})
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update(name, {**fields, "by": by})

    async def all_of_them() -> list[AuditRow]:
        rows = Audit(play.ledger, [play.settings.vendor_domain]).rows(subject=workflow)
        return rows if len(rows) >= 4 * len(messages) else []

    assert {row.outcome for row in await eventually(all_of_them)} == {"refused"}


async def test_the_decisions_of_a_renewal(play: Play) -> None:
    course = await Course.begin(play, days=100)
    await play.task(course.id, "assess_ta")
    before = await course.dossier()
    await told_off(
        play,
        course.id,
        {
            "assess": {"rating": "green", "why": "I say so"},
            "move": {"renewal_on": f"{NOW.year + 2}-06-30", "reason": "I say so"},
            "cancel": {"why": "churned_early"},
            "answer": {"task": "assess_ta", "choice": "done", "fields": {}},
        },
    )
    assert await course.dossier() == before


async def test_the_decisions_about_a_red_account_and_its_plan(play: Play) -> None:
    life = await Life.marked(play)
    await told_off(play, life.red, {"resolve": {"to": "green"}, "mark_red": {"reason": "more of it"}})
    await play.task(life.plan, "plan")
    await told_off(play, life.plan, {"plan": {"drive": "x"}})
    status: dict[str, Any] = await play.env.client.get_workflow_handle(life.red).query("status")
    assert [mark["reason"] for mark in status["marks"]] == ["the champion left"]


async def test_the_answers_of_every_other_process(play: Play) -> None:
    """A task of a process that concerns nobody's trial or account is answered by those whom it is asked of, and by nobody else."""
    domain, _ = await opened(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    join = play.join_id(domain, f"eve@{domain}")
    await play.task(join, "join")
    handle = play.straight.get_workflow_handle(join)
    for by in (STRANGER, "", "finance-desk@tenure.example"):
        await handle.signal("answer", {"task": "join-1", "choice": "refused", "by": by})
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("answer", {"task": "join-1", "choice": "refused", "by": by})
    assert [task.kind for task in await play.tasks(join)] == ["join"]
    await handle.execute_update("answer", {"task": "join-1", "choice": "refused", "by": (await play.status(domain)).ae})
    assert await play.ended(join) == "refused"
