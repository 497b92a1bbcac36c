"""What the server gets to see of a trial, and a trial whose person is erased in the middle of it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest

from domain import ids
from sandbox.core import Fault
from starter.errors import Refused
from starter.service import erasure
from starter.service.authorization import LINK
from starter.service.forms import SignupForm
from starter.service.histories import _within, decrypt
from starter.web.links import keep_feedback
from store.audit import Audit
from store.crypto.codec import ENCODING
from tests.activities.test_erasure import scanned
from tests.workflows.cacheless import replayer
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import opened

#: What the engine itself writes into a local activity's marker: its number and its type.
OF_THE_ENGINE = b'{"seq":'
#: What a message that came by a way in of ours has in its header (``workflows/frame/provenance.py``).
OUR_MARK = re.compile(rb"[0-9a-f]{64}")


async def replays(play: Play, workflow: str) -> None:
    """Its history replays, from nothing but what the server has."""
    await replayer(play.env.client.data_converter).replay_workflow(await play.env.client.get_workflow_handle(workflow).fetch_history())


async def as_text(play: Play, workflow: str) -> str:
    """The decrypted history."""
    history = await play.env.client.get_workflow_handle(workflow).fetch_history()
    for event in history.events:
        await decrypt(event, play.env.client.data_converter)
    return "".join(payload.data.decode() for event in history.events for payload in _within(event, Payload))


async def test_all_that_the_server_has_of_a_trial_is_encrypted(play: Play) -> None:
    """Inputs, results, signals, updates, summaries, details and errors; what it filters by names the company and nobody."""
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-acme")
    play.sandbox.world.faults.append(Fault("smtp", "status", times=10_000, status=450))
    await play.signup(f"bo@{domain}")
    await play.refused(domain, "extend", {"by": "ce-1@tenure.example", "days": 900})
    await play.signal(domain, "nonsense", {"about": f"bo@{domain}"})
    handle = play.trial(domain)

    async def failing() -> Any:
        pending = (await handle.describe()).raw_description.pending_activities
        return next((each.last_failure for each in pending if each.HasField("last_failure")), None)

    failure = await eventually(failing)
    assert (failure.message, failure.stack_trace) == ("Encoded failure", "")
    history = await handle.fetch_history()
    payloads = [payload for event in history.events for payload in _within(event, Payload)]
    plain = [payload.data for payload in payloads if payload.metadata["encoding"] != ENCODING]
    assert len(payloads) > 10
    assert all(data.startswith(OF_THE_ENGINE) or OUR_MARK.fullmatch(data) for data in plain), plain
    raw = b"".join(event.SerializeToString() for event in history.events)
    assert f"bo@{domain}".encode() not in raw
    assert b"ce-1@tenure" not in raw
    asked = QueryWorkflowRequest(
        namespace=play.env.client.namespace,
        execution=WorkflowExecution(workflow_id=handle.id),
        query=WorkflowQuery(query_type="__temporal_workflow_metadata"),
    )
    told = await play.env.client.workflow_service.query_workflow(asked)
    assert [payload.metadata["encoding"] for payload in told.query_result.payloads] == [ENCODING]
    shown = {pair.key.name: pair.value for pair in (await handle.describe()).typed_search_attributes}
    ce = (await play.owners_of(domain)).ce
    assert ce is not None
    assert (shown["Domain"], shown["Owner"]) == (domain, ids.handle(ce.email))
    assert "@" not in str(shown)
    assert (await play.tenure.trials(10, owner=ce.email)).rows[0].owner == ce.email
    play.sandbox.world.faults.clear()


async def test_a_trial_goes_on_and_decides_the_same_when_its_person_is_erased(play: Play) -> None:
    domain, host = await opened(play)
    email = f"bo@{domain}"
    await play.signup(f"robin@{domain}", first_name="Robin", last_name="Lindmark")
    play.use(host, users=[{"username": "robin", "searches": 9, "result_views": 9}])
    await play.skip(domain, days=3)
    await replays(play, ids.trial(domain))
    mails = len(play.box(email))
    assert mails > 2
    for gone in (email, f"robin@{domain}"):
        done = await erasure.forget(play.tenure, gone)
        assert done.anything
        assert any("contact of the open trial" in note for note in done.notes) is (gone == email)
    history = await as_text(play, ids.trial(domain))
    assert ids.erased(email) in history
    assert not any(word in history for word in (email, f"robin@{domain}", "Lindmark"))
    await replays(play, ids.trial(domain))
    await replays(play, ids.join(domain, f"robin@{domain}"))
    await play.skip(domain, days=13)
    assert (await play.stage(domain, "extended")).contact == ids.erased(email)
    assert len(play.box(email)) == mails
    told = f"{email}, Robin Lindmark and robin@{domain} agreed"  # arrives in other words than it was sent in
    await play.update(domain, "convert", {"seats": 10, "by": "ae-jonas@tenure.example", "note": told})
    await play.made_production(domain)
    await play.ended(domain)
    await replays(play, ids.trial(domain))
    assert email not in await as_text(play, ids.trial(domain))
    assert not (await erasure.forget(play.tenure, email)).anything
    audit = Audit(play.ledger, ["tenure.example"])
    assert audit.verify().ok  # what it says of them is a hash, and stays
    assert f"erase {ids.digest(email)}" in {row.what for row in audit.rows()}
    with pytest.raises(Refused, match="erased"):
        await play.signup(ids.erased(email))
    again = await play.signup(email)  # whoever comes back by themselves is a customer's person like any other
    assert again.outcome == "redirected"
    assert email in await as_text(play, ids.trial(domain))


async def test_a_second_look_after_a_whole_trial_finds_nothing_of_the_person(play: Play) -> None:
    """Everything that somebody can do from the signup to the end; then no column of any table has them in any form, the audit neither."""
    domain = play.company("umbra")
    play.crm({"Name": "Umbra", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-umbra")
    email = f"Zelda.Quimby@{domain}"
    await play.signup(email, company="Umbra", first_name="Zelda", last_name="Quimby")
    await play.stage(domain, "onboarding")
    await play.opens(email)
    await play.tenure.called_by(LINK).act(domain, "new_link", {"by": email})
    await play.did(domain, "mail: mail.link-1")
    await play.signup(f"max@{domain}", first_name="Max")
    await play.task(play.join_id(domain, f"max@{domain}"), "join")
    form = SignupForm(email=email, first_name="Zelda", last_name="Quimby", company="Umbra of Zelda Quimby")
    await play.tenure.failed_signup(form, f"the form broke for {email}, {quote(email)}")
    rescue = ids.rescue(email)  # it is over before: while it reminds, worker and history are still about to learn who is gone
    await play.answer(rescue, "rescue", "drop", by="support-1@tenure.example")
    await play.env.client.get_workflow_handle(rescue).result()
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example", "reason": f"{email} is on leave", "feedback": True})
    await play.stage(domain, "teardown")
    keep_feedback(play.ledger, ids.trial(domain), {"reason": "other", "text": "call me. Zelda Quimby"})
    await play.answer(domain, "teardown", "done", by="cloud-1@tenure.example")
    await play.ended(domain)
    local = "Zelda.Quimby"
    forms = {local, "zelda-quimby", "Zelda", "Quimby", f"{local}%40{domain}", f"Z…@{domain}", email}
    keyed = {"people", "roster"}
    assert {form for form in forms if form.lower() in scanned(play.ledger, keyed).lower()} >= {local, "Zelda", "Quimby", email}
    await erasure.forget(play.tenure, email)
    left = scanned(play.ledger, keyed).lower()
    assert {form for form in forms if form.lower() in left} == set()
    assert domain in left  # the rows stay
    assert not (await erasure.forget(play.tenure, email)).anything


async def test_nobody_erases_our_own_staff(play: Play) -> None:
    with pytest.raises(Refused, match="our own staff"):
        await erasure.forget(play.tenure, "ce-ada@tenure.example")
