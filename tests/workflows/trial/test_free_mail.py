"""A3: a free-mail address names no company. An SDR finds out which it is, and the signup goes on under the company's own domain."""

from __future__ import annotations

import re

import pytest

from domain import ids
from domain.task import Answer
from starter.errors import BadInput
from tests.workflows.play import Play
from tests.workflows.trial.test_trial import ALL_YES, SDR, day_0, opened


async def somebody(play: Play, provider: str = "gmail.com") -> tuple[str, str]:
    """Somebody signs up with an address at a free-mail provider: the address, and the id of the trial."""
    email = f"Bo.Li-{play.tag}@{provider}"
    play.crm()
    play.cohort()
    answer = await play.signup(email, company="Acme")
    assert (answer.case, answer.outcome, answer.host) == ("free_mail", "triage", "")
    assert re.fullmatch(r"trial-free-[0-9a-f]{12}", answer.trial)
    await play.task(answer.trial, "triage")
    await play.did(answer.trial, "salesforce: crm.lead", "slack: task.triage-1")
    return email, answer.trial


async def qualify(play: Play, trial: str, domain: str, task: str = "triage") -> str:
    """The SDR has found the company."""
    return await play.answer(trial, task, "qualify", by=SDR, checks=ALL_YES, fields={"domain": domain})


MOVED = ["salesforce: crm.lead", "salesforce: crm.moved", "slack: task.triage-1", "slack: slack.moved"]


async def test_the_company_is_found_and_has_its_instance_at_once(play: Play) -> None:
    """Its domain is prequalified: the trial of the company begins as if it had signed up there, with the same person as admin."""
    email, trial = await somebody(play)
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    [host] = play.warm("src-found")
    await qualify(play, trial, f" {domain.upper()} ")
    result = await play.ended(trial)
    assert (result["case"], result["end"]) == ("free_mail", "moved")
    assert play.effects(trial) == {0: MOVED}
    assert (await play.stage(domain, "onboarding")).case == "2.2"
    await play.did(domain, *day_0(host))
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert owned.admin.lower() == email.lower()


async def test_the_company_is_not_prequalified(play: Play) -> None:
    """It is triaged again under its own domain: the criteria are the company's, and its people are asked once more."""
    _, trial = await somebody(play)
    domain = play.company()
    await qualify(play, trial, domain)
    await play.ended(trial)
    assert (await play.stage(domain, "triage")).case == "3"
    await play.did(domain, "salesforce: crm.lead", "slack: task.triage-1")
    assert play.effects(domain) == {0: ["salesforce: crm.lead", "slack: task.triage-1"]}


async def test_the_company_has_an_instance(play: Play) -> None:
    """Case 1: the person is sent there, and no second trial begins."""
    domain, host = await opened(play)
    email, trial = await somebody(play)
    await qualify(play, trial, domain)
    assert (await play.ended(trial))["end"] == "moved"
    join = play.join_id(domain, email)
    await play.task(join, "join")
    await play.did(join, "mail: mail.existing_instance")
    await play.did(ids.join_digest(domain), "mail: mail.join_request-1")
    assert host in play.box(email)[0].text
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host, opened=True)}


async def test_it_does_not_qualify(play: Play) -> None:
    """A8: told how to host it themselves."""
    email, trial = await somebody(play)
    await play.answer(trial, "triage", "disqualify", by=SDR, note="a student")
    result = await play.ended(trial)
    assert (result["case"], result["end"]) == ("free_mail", "disqualified")
    assert play.effects(trial) == {
        0: [
            "mail: mail.disqualified",
            "salesforce: crm.lead",
            "salesforce: crm.disqualified",
            "slack: task.triage-1",
            "slack: slack.disqualified",
        ]
    }
    assert len(play.box(email)) == 1


async def test_what_is_no_company_is_refused(play: Play) -> None:
    """An SDR's slip must not open a trial for everybody at a provider."""
    _, trial = await somebody(play)
    said = {"task": "triage", "choice": "qualify", "by": SDR, "checks": ALL_YES}
    assert "needs the field 'domain'" in await play.refused(trial, "answer", said)
    for provider in ("gmail.com", "GoogleMail.com", "www.gmail.com", "mx.eu.outlook.com"):
        assert "is a free-mail provider" in await play.refused(trial, "answer", {**said, "fields": {"domain": provider}})
    for domain in ("acme", "bo@acme.com", "https://acme.com", "the Acme company", "x" * 300, 7, ["acme.com"]):
        assert "must be a domain" in await play.refused(trial, "answer", {**said, "fields": {"domain": domain}})
    await play.signal(trial, "answer", {**said, "fields": {"domain": "gmail.com"}})
    assert [task.task for task in await play.tasks(trial)] == ["triage-1"]


@pytest.mark.parametrize(
    "named", ["www.gmail.com", "https://mx.yahoo.co.uk/", "hotmail.fr", "mailinator.com", "co.uk", "tenure.example", "bo@gmx.at"]
)
async def test_an_sdr_who_names_no_company_is_refused_at_the_door(play: Play, named: str) -> None:
    """Also a provider that only the lists of the packages know; nothing reaches the trial."""
    _, trial = await somebody(play)
    given = Answer(task="triage-1", choice="qualify", by=SDR, checks=ALL_YES, fields={"domain": named})
    with play.env.with_time_skipping_disabled(), pytest.raises(BadInput) as refused:
        await play.tenure.answer(f"{trial}:triage-1", given)
    assert refused.value.field == "domain"
    assert [task.task for task in await play.tasks(trial)] == ["triage-1"]


async def test_an_sdr_names_the_company_as_people_type_it(play: Play) -> None:
    _, trial = await somebody(play)
    domain = play.company()
    given = Answer(task="triage-1", choice="qualify", by=SDR, checks=ALL_YES, fields={"domain": f"HTTPS://www.{domain.upper()}/about"})
    with play.env.with_time_skipping_disabled():
        await play.tenure.answer(f"{trial}:triage-1", given)
    assert (await play.ended(trial))["end"] == "moved"
    assert (await play.stage(domain, "triage")).case == "3"


async def test_a_provider_that_the_trial_does_not_know_is_asked_again(play: Play) -> None:
    """Sent straight to Temporal: the lists are read where the company signs up, and its refusal asks the SDR again."""
    _, trial = await somebody(play)
    await qualify(play, trial, "mx.yahoo.co.uk")
    assert "mail provider for everybody" in (await play.task(trial, "triage-2")).asks


async def test_what_the_form_would_refuse_is_asked_again(play: Play) -> None:
    """A public suffix is a domain, but no company's: the SDR is asked again and told why."""
    _, trial = await somebody(play)
    await qualify(play, trial, "co.uk")
    second = await play.task(trial, "triage-2")
    assert "is not a domain" in second.asks
    domain = play.company()
    await qualify(play, trial, domain, "triage-2")
    assert (await play.ended(trial))["end"] == "moved"
    assert play.effects(trial) == {0: [*MOVED[:3], "slack: task.triage-2", "slack: slack.moved"]}
    assert (await play.stage(domain, "triage")).case == "3"


async def test_one_address_is_one_trial_in_every_spelling(play: Play) -> None:
    """The provider ignores capitals; another address at the same provider is somebody else."""
    email, trial = await somebody(play)
    again = await play.signup(email.lower())
    assert (again.trial, again.outcome) == (trial, "triage")
    for spelling in (f"b.o.l.i-{play.tag}+trial@gmail.com", f"boli-{play.tag}@GoogleMail.com"):
        assert (await play.signup(spelling)).trial == trial
    status = await play.env.client.get_workflow_handle(trial).query("status")
    assert status["contact"] == email  # mail goes to it as it was typed
    other = await play.signup(f"eve-{play.tag}@gmail.com")
    assert other.trial != trial
    await play.quiet(trial)
    assert play.effects(trial) == {0: ["salesforce: crm.lead", "slack: task.triage-1"]}


async def test_the_address_stands_in_no_id_and_no_search_attribute(play: Play) -> None:
    """What the server keeps in the clear names nobody."""
    email, trial = await somebody(play, "proton.me")
    described = await play.env.client.get_workflow_handle(trial).describe()
    clear = f"{described.id} {described.typed_search_attributes} {await described.static_summary()}".lower()
    assert email.split("@")[0].lower() not in clear
    assert "@" not in clear
