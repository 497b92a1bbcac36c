"""A company's trial, case by case (A4–A9, A13–A17, A28): what happens on which day, completely, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from domain.effects.registry import ClaimInstance
from starter.errors import Refused
from tests.rows import warm_hosts
from tests.workflows.play import NOW, Play, eventually

ALL_YES = dict.fromkeys(
    ["core_use_case", "fits_size", "right_contact", "code_host_reachable", "accepts_cloud_security", "next_step_agreed"], True
)
THREE_CHECKS = {"deal_qualified": True, "technically_qualified": True, "review_passed": True}
SDR = "sdr-iris@tenure.example"


async def prequalified(play: Play, name: str = "acme", **account: Any) -> tuple[str, str]:
    """A prequalified company that has just signed up: its domain and host."""
    domain = play.company(name)
    play.crm({"Name": name.title(), "Domain__c": domain, "Trial_Prequalified__c": True, **account})
    play.cohort()
    [host] = play.warm(f"src-{name}")
    answer = await play.signup(f"bo@{domain}", company=name.title())
    assert (answer.outcome, answer.host) == ("instant", host)
    await play.stage(domain, "onboarding")
    await play.did(domain, "mail: mail.ce_welcome", "salesforce: crm.convert", "slack: slack.introduction")
    return domain, host


async def opened(play: Play, name: str = "acme", **account: Any) -> tuple[str, str]:
    """A prequalified company whose admin has opened the link in their mail."""
    domain, host = await prequalified(play, name, **account)
    await play.opens(f"bo@{domain}")
    return domain, host


def day_0(host: str, case: str = "2.2", *, opened: bool = False) -> list[str]:
    """Everything that an instant trial does on its first day; ``opened``: the link in the mail, too."""
    route = ["salesforce: crm.route"] if case == "2.1" else []
    return [
        "instance: instance.admin",
        "instance: instance.key",
        *(["instance: instance.link-1"] if opened else []),
        "mail: mail.instant_access",
        "mail: mail.ce_welcome",
        f"registry: claim:{host}",
        "registry: owners",
        *([f"registry: confirm:{host}"] if opened else []),
        "salesforce: crm.lead",
        *route,
        "salesforce: crm.assign",
        "salesforce: crm.convert",
        "slack: slack.alert",
        "slack: slack.channel",
        "slack: slack.introduction",
    ]


TORN_DOWN = [
    "github: teardown",
    "mail: mail.terminated",
    "registry: stop_mail",
    "registry: release",
    "salesforce: crm.outcome",
    "slack: slack.terminating",
    "slack: task.teardown-1",
    "slack: slack.terminated",
    "slack: slack.archive",
]
CONVERTED = [
    "github: convert",
    "instance: instance.key.production",
    "licensing: key.production",
    "mail: mail.converted",
]


def sorted_by_system(effects: list[str]) -> list[str]:
    """As :meth:`Play.effects` lists a day: by system, and in order within one."""
    return sorted(effects, key=lambda effect: effect.partition(":")[0])


async def gone(play: Play, domain: str) -> Any:
    """The Cloud team has torn the instance down."""
    await play.answer(domain, "teardown", "done", by="cloud-1@tenure.example")
    return await play.ended(domain)


# --- case 1 and 2 ------------------------------------------------------------------------------------------------------------------


async def test_case_2_2_prequalified_inactive_is_terminated_on_day_15(play: Play) -> None:
    """A6, A13: nothing is used, the admin is warned on day 10, the CE told on day 12, and day 15 ends it."""
    domain, host = await prequalified(play)
    await play.skip(domain, days=15.1)
    await play.stage(domain, "teardown")
    result = await gone(play, domain)
    assert (result["case"], result["end"]) == ("2.2", "terminated")
    assert play.effects(domain) == {
        0: day_0(host),
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        10: ["mail: mail.learn", "mail: mail.inactivity_warning"],
        12: ["slack: task.deadline-1"],
        15: TORN_DOWN,
    }
    assert play.registry.instance_of(domain) is None
    assert [d.outcome for d in await play.dossier(domain)] == ["2.2", "claimed", "terminate"]
    [warning] = [mail for mail in play.box(f"bo@{domain}") if "is unused and ends on" in mail.subject]
    assert "in 5 days" in " ".join(warning.text.split())  # F14: of the days between the two dates, not of what is left of hours


async def test_case_2_1_named_account_keeps_its_people_and_is_converted(play: Play) -> None:
    """A5, A14, A17, A19: the named SDR, AE and CE of the account; extended once by itself, activated, converted on day 28."""
    people = play.people("named_sdr", "ae", "ce")
    named: dict[str, Any] = {
        "Named_Account__c": True,
        "Named_SDR__c": people["named_sdr"],
        "Account_Executive__c": people["ae"],
        "Customer_Engineer__c": people["ce"],
    }
    domain, host = await prequalified(play, **named)
    status = await play.status(domain)
    assert (status.case, status.sdr, status.ae, status.ce) == ("2.1", people["named_sdr"], people["ae"], people["ce"])
    play.use(host, users=[{"username": "bo", "email": f"bo@{domain}", "searches": 4, "result_views": 5}])
    await play.skip(domain, days=15.1)
    await play.stage(domain, "extended")
    await play.skip(domain, days=12.9)
    said = await play.answer(domain, "deadline", "convert", by=people["ce"], fields={"seats": 250, "contract_end": "2028-01-31"})
    assert "deadline-2: convert" in said
    await play.made_production(domain)
    assert (await play.ended(domain))["end"] == "converted"
    assert play.effects(domain) == {
        0: day_0(host, "2.1"),
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        10: ["mail: mail.learn", "salesforce: crm.activated"],
        12: ["mail: mail.usage_check", "slack: task.deadline-1"],
        15: ["github: extend.1", "salesforce: crm.ends.1", "slack: slack.extend.1"],
        20: ["mail: mail.community"],
        27: ["mail: mail.next_steps", "slack: task.deadline-2"],
        28: [*CONVERTED, f"registry: convert:{host}", "salesforce: crm.outcome", "slack: task.conversion-1", "slack: slack.converted"],
    }
    assert [d.outcome for d in await play.dossier(domain)] == ["2.1", "claimed", "extend", "convert"]
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.kind, owned.host) == ("production", host)
    key = play.licence(domain)
    assert (key["seats"], key["expires"]) == (260, "2028-02-01")  # through its last day, wherever on earth
    assert "plg-trial" not in key["tags"]
    assert "trial" not in key["tags"]


async def test_case_1_a_second_person_is_sent_to_the_instance(play: Play) -> None:
    """A4: one instance for a company; the AE and the admin hear of the second person, and no second trial starts."""
    domain, host = await opened(play)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.case, answer.outcome, answer.host) == ("1", "redirected", host)
    join = play.join_id(domain, f"eve@{domain}")
    await play.answer(join, "join", "invited", by="ae-jonas@tenure.example")
    assert await play.ended(join) == "invited"
    assert play.effects(join) == {
        0: ["mail: mail.existing_instance", "slack: slack.alert", "slack: task.join-1"],
    }
    assert play.effects(domain) == {0: day_0(host, opened=True)}


async def test_case_1_a_customer_whose_trial_has_ended(play: Play) -> None:
    """A4: after the conversion the domain keeps its instance, and a later signup is redirected by a trial of its own."""
    domain, host = await opened(play)
    await play.update(domain, "convert", {"seats": 10, "by": "ae-jonas@tenure.example"})
    await play.made_production(domain)
    await play.ended(domain)
    answer = await play.signup(f"eve@{domain}")
    assert (answer.case, answer.outcome, answer.host) == ("1", "redirected", host)
    assert (await play.ended(domain))["end"] == "redirected"


async def test_two_signups_at_the_same_instant_give_one_trial(play: Play) -> None:
    """Idea 5: the id is the lock. The second is sent to nobody before the first has confirmed their claim."""
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-a", "src-b")
    answers = await asyncio.gather(play.signup(f"bo@{domain}"), play.signup(f"eve@{domain}"))
    assert sorted(answer.outcome for answer in answers) == ["instant", "unconfirmed"]
    assert sorted(bool(answer.host) for answer in answers) == [False, True]
    assert len(warm_hosts(play.registry)) == 1


async def test_a_prequalified_company_that_meets_an_empty_pool_is_told_that_its_instance_is_built(play: Play) -> None:
    """A25: no warm instance is left, so one is built by hand; nobody looks at the request, and the answer says so."""
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    answer = await play.signup(f"bo@{domain}")
    assert (answer.case, answer.outcome) == ("2.2", "building")
    assert "being built" in answer.message
    await play.stage(domain, "provisioning")
    assert (await play.signup(f"bo@{domain}")).outcome == "building"
    await play.task(domain, "provision")
    assert [task.kind for task in await play.tasks(domain)] == ["provision"]


async def test_a_double_click_is_one_signup(play: Play) -> None:
    domain, host = await prequalified(play)
    again = await play.signup(f"bo@{domain}")
    assert (again.outcome, again.host) == ("instant", host)
    assert play.effects(domain) == {0: day_0(host)}


# --- case 3 ------------------------------------------------------------------------------------------------------------------------


async def unknown(play: Play, name: str = "dune") -> str:
    """A company that nobody knows has just signed up."""
    domain = play.company(name)
    play.crm()
    play.cohort()
    answer = await play.signup(f"bo@{domain}", company=name.title())
    assert (answer.case, answer.outcome, answer.host) == ("3", "triage", "")
    return domain


async def test_case_3_1_not_qualified(play: Play) -> None:
    """A8: the SDR says no; the lead is closed with its reason and self-hosting recommended."""
    domain = await unknown(play)
    checks = {**ALL_YES, "fits_size": False}
    await play.answer(domain, "triage", "disqualify", by=SDR, checks=checks, note="a team of three")
    assert (await play.ended(domain))["end"] == "disqualified"
    assert play.effects(domain) == {
        0: [
            "mail: mail.disqualified",
            "salesforce: crm.lead",
            "salesforce: crm.disqualified",
            "slack: task.triage-1",
            "slack: slack.disqualified",
        ]
    }


async def test_case_3_1_a_failed_criterion_disqualifies_whatever_the_choice(play: Play) -> None:
    """A8: "qualify" with a criterion that fails is no qualification, and the decision names it."""
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks={**ALL_YES, "fits_size": False})
    assert (await play.ended(domain))["end"] == "disqualified"
    decision = (await play.dossier(domain))[-1]
    assert (decision.rule, decision.nearest) == ("The lead fails: fits_size.", "a yes to fits_size")


QUALIFIED_DAY_0 = [
    "github: request",
    "instance: instance.admin",
    "instance: instance.key",
    "mail: mail.sdr_welcome",
    "mail: mail.access",
    "mail: mail.access.copy",
    "mail: mail.ce_welcome",
    "pagerduty: page.request",
    "pagerduty: page.ready",
]


async def test_case_3_2_qualified_built_and_handed_over(play: Play) -> None:
    """A9, A10: request raised, Cloud paged, ready by the issue's label, handed over by the CE; then inactive until day 15."""
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    status = await play.stage(domain, "provisioning")
    issue = await play.issue(domain, "request")
    assert f"ce_email: {status.ce}" in issue.body
    await play.built(domain)
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.stage(domain, "onboarding")
    await play.skip(domain, days=15.1)
    await gone(play, domain)
    assert play.effects(domain) == {
        0: [
            *QUALIFIED_DAY_0,
            f"registry: claim:{status.host}",
            "registry: owners",
            f"registry: ready:{status.host}",
            "salesforce: crm.lead",
            "salesforce: crm.qualified",
            "salesforce: crm.assign",
            "salesforce: crm.convert",
            "slack: task.triage-1",
            "slack: slack.channel",
            "slack: slack.introduction",
            "slack: slack.ready",
            "slack: task.hand_over-1",
        ],
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        10: ["mail: mail.learn", "mail: mail.inactivity_warning"],
        12: ["slack: task.deadline-1"],
        15: TORN_DOWN,
    }


async def test_case_3_2_without_a_webhook_polling_finds_the_label(play: Play) -> None:
    """A9: the webhook never came; the poll finds the label, and the provisioning SLA was missed and paged."""
    domain = await unknown(play)
    play.cloud()
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    await play.issue(domain, "request")
    await eventually(lambda: play.labelled(domain, "request", "cloud-trial/instance-ready"))
    await play.skip(domain, hours=73)
    await play.task(domain, "hand_over")


async def test_case_3_2_the_label_comes_without_a_host_and_the_comment_names_another(play: Play) -> None:
    """A9: the label's event carries no host; the issue is read once, and its comment names where the instance really is."""
    domain = await unknown(play)
    play.cloud("off")
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    issue = await play.issue(domain, "request")
    other = f"other-{play.tag}.{play.policy.cloud.domain_suffix}"
    play.sandbox.world.services["instances"].create(other, kind="trial")
    hub = play.sandbox.world.services["github"].hub
    repo = hub.repo(*play.settings.github_repo.split("/"))
    hub.add_comment(repo, issue, "cloud", f"Instance ready: https://{other}")
    hub.add_labels(repo, issue, "cloud", ["cloud-trial/instance-ready"])
    await play.signal(domain, "issue_event", {"issue": issue.number, "labels": ["cloud-trial/instance-ready"]})
    await play.task(domain, "hand_over")
    assert (await play.status(domain)).host == other


async def test_case_3_2_disqualified_after_it_was_qualified_cancels_the_request(play: Play) -> None:
    """A9, A8: the pending request is closed as not planned, the page resolved, the room freed."""
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    issue = await play.issue(domain, "request")
    await play.update(domain, "terminate", {"by": SDR, "reason": "a competitor"})
    assert (await play.ended(domain))["end"] == "disqualified"
    closed = await play.issue(domain, "request")
    assert (closed.number, closed.state, closed.state_reason) == (issue.number, "closed", "not_planned")
    assert play.registry.instance_of(domain) is None
    assert {"github: request.cancel", "pagerduty: page.cancel", "mail: mail.disqualified", "registry: release"} <= set(
        play.effects(domain)[0]
    )


async def test_case_3_2_without_a_ce_the_hand_off_waits(play: Play) -> None:
    """A9 (6): no CE is eligible, so the issue says TODO until the SDR names one, and the hand-off waits for it."""
    domain = play.company("dune")
    play.crm()
    play.crm(users=[{"Email": person.email, "IsActive": False} for person in play.roster() if person.role == "ce"])
    play.cohort()
    await play.signup(f"bo@{domain}")
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    issue = await play.issue(domain, "request")
    assert "ce_email: TODO" in issue.body
    await play.built(domain)
    await play.task(domain, "ce_email")
    assert (await play.status(domain)).stage == "provisioning"
    await play.answer(domain, "ce_email", "assign", by=SDR, fields={"ce_email": "ce-new@tenure.example"})
    await play.task(domain, "hand_over")

    async def filled() -> bool:
        return "ce_email: ce-new@tenure.example" in (await play.issue(domain, "request")).body

    await eventually(filled)


# --- A28: a CE requests a trial ----------------------------------------------------------------------------------------------------


async def requested(play: Play) -> str:
    """A CE has asked for a trial."""
    domain = play.company("ember")
    play.crm()
    await play.request(f"bo@{domain}", company="Ember", ce="ce-ada@tenure.example", size="large", seats=300)
    return domain


async def test_a28_denied(play: Play) -> None:
    domain = await requested(play)
    await play.answer(domain, "approval", "approve", by="ce-manager@tenure.example", checks={**THREE_CHECKS, "review_passed": False})
    assert (await play.ended(domain))["end"] == "denied"
    assert play.effects(domain) == {0: ["registry: owners", "slack: task.approval-1", "slack: slack.denied"]}


async def test_a28_30_days_own_key_gentler_rule_and_30_more(play: Play) -> None:
    """A28, C03: sized as asked, a key of its own, nothing ends on day 15; warned on day 25, asked on day 27, extended by 30."""
    domain = await requested(play)
    await play.answer(domain, "approval", "approve", by="ce-manager@tenure.example", checks=THREE_CHECKS)
    issue = await play.issue(domain, "request")
    assert "instance_size: large" in issue.body
    host = (await play.status(domain)).host
    await play.built(domain)
    await play.answer(domain, "hand_over", "hand_over", by="ce-ada@tenure.example")
    await play.stage(domain, "onboarding")
    await play.skip(domain, days=20)
    assert (await play.status(domain)).stage == "onboarding"
    await play.skip(domain, days=8)
    await play.answer(domain, "deadline", "extend", by="ce-ada@tenure.example")
    status = await play.stage(domain, "extended")
    assert status.total_days == 60
    await play.did(domain, "mail: mail.inactivity_warning", "slack: task.deadline-1")

    await play.did(domain, "instance: instance.key.extend.1", "slack: slack.extend.1", "salesforce: crm.ends.1")
    assert play.effects(domain) == {
        0: [
            "github: request",
            "instance: instance.key.trial",
            "instance: instance.admin",
            "licensing: key.trial",
            "mail: mail.access",
            "mail: mail.access.copy",
            "mail: mail.ce_welcome",
            "pagerduty: page.request",
            "pagerduty: page.ready",
            "registry: owners",
            f"registry: claim:{host}",
            f"registry: ready:{host}",
            "salesforce: crm.lead",
            "salesforce: crm.assign",
            "salesforce: crm.convert",
            "slack: task.approval-1",
            "slack: slack.channel",
            "slack: slack.introduction",
            "slack: slack.ready",
            "slack: task.hand_over-1",
        ],
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        10: ["mail: mail.learn"],
        20: ["mail: mail.community"],
        25: ["mail: mail.inactivity_warning"],
        27: ["slack: task.deadline-1"],
        28: [
            "github: extend.1",
            "instance: instance.key.extend.1",
            "licensing: key.extend.1",
            "salesforce: crm.ends.1",
            "slack: slack.extend.1",
        ],
    }


async def test_a28_a_company_that_has_an_instance_gets_no_second(play: Play) -> None:
    """A4, A28: a customer's trial is refused at once; one that gets an instance while its manager thinks is sent there."""
    domain, _host = await prequalified(play)
    with pytest.raises(Refused, match=f"a trial of {domain} is under way already, in stage onboarding"):
        await play.request(f"eve@{domain}", company="Acme", ce="ce-ada@tenure.example")
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await play.stage(domain, "teardown")
    with pytest.raises(Refused, match="being torn down: ask again when it is gone"):
        await play.request(f"eve@{domain}", company="Acme", ce="ce-ada@tenure.example")
    customer, theirs = await prequalified(play, "customer")
    await play.update(customer, "convert", {"seats": 10, "by": "ae-jonas@tenure.example"})
    await play.made_production(customer)
    await play.ended(customer)
    with pytest.raises(Refused, match=f"{customer} has an instance already: {theirs}"):
        await play.request(f"eve@{customer}", company="Customer", ce="ce-ada@tenure.example")
    with pytest.raises(Refused, match="is no company address"):
        await play.request("eve@gmail.com", company="Customer", ce="ce-ada@tenure.example")

    late = await requested(play)
    claim = ClaimInstance(subject="test/claim", domain=late, admin=f"a@{late}", cap=300, warm=False, host=f"code.{late}", as_of=NOW)
    assert play.registry.claim(claim).outcome == "claimed"
    await play.answer(late, "approval", "approve", by="ce-manager@tenure.example", checks=THREE_CHECKS)
    result = await play.ended(late)
    assert (result["case"], result["end"], result["host"]) == ("1", "redirected", f"code.{late}")
    join = play.join_id(late, f"bo@{late}")
    await play.task(join, "join")
    await play.did(join, "mail: mail.existing_instance")
    assert "mail: mail.join_request" not in play.effects(join)[0]  # who its admin is, is not ours to know
    assert [decision.outcome for decision in await play.dossier(late)] == ["approved", "owned"]
    assert play.effects(late) == {0: ["registry: owners", "slack: task.approval-1"]}


# --- deadlines: C02, C12 -----------------------------------------------------------------------------------------------------------


async def test_c02_ask_nothing_happens_on_day_15_without_the_ces_yes(play: Play) -> None:
    """C02 at its other value: the AE is asked at the due date, the manager two days later, then weekly; the trial stays."""
    play.set(trial__d15__mode="ask")
    domain, _host = await prequalified(play)
    await play.skip(domain, days=25)
    assert (await play.status(domain)).stage == "onboarding"
    effects = play.effects(domain)
    assert effects[12] == ["slack: task.deadline-1"]
    assert effects[15] == ["slack: task.deadline-1.reminder-1"]
    assert effects[17] == ["slack: task.deadline-1.reminder-2"]
    assert effects[24] == ["slack: task.deadline-1.reminder-3"]
    await play.answer(domain, "deadline", "terminate")
    assert (await gone(play, domain))["end"] == "terminated"


async def test_c02_the_ce_overrules_day_15_with_one_click(play: Play) -> None:
    """C02: an inactive trial would end on day 15; the CE extends it on day 13, and day 15 does nothing."""
    domain, _host = await prequalified(play)
    await play.skip(domain, days=13)
    await play.answer(domain, "deadline", "extend")
    status = await play.stage(domain, "extended")
    assert status.total_days == 30
    await play.skip(domain, days=4)
    assert 15 not in play.effects(domain)
    assert (await play.status(domain)).stage == "extended"


async def test_c02_agreeing_lets_the_policy_do_it(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.skip(domain, days=13)
    await play.answer(domain, "deadline", "agree")
    await play.skip(domain, days=2.1)
    await play.stage(domain, "teardown")


@pytest.mark.parametrize(("mode", "stage"), [("terminate", "teardown"), ("ask", "extended")])
async def test_c12_day_30_in_silence_inactive(play: Play, mode: str, stage: str) -> None:
    """C12: asked on day 27, the AE on day 30, the manager on day 32; the grace ends on day 35 (both values)."""
    play.set(trial__deadline__inactive_after_grace=mode)
    domain, host = await prequalified(play)
    await play.update(domain, "extend", {"by": "ce-ada@tenure.example"})
    await play.skip(domain, days=34.9)
    until_then = {
        0: sorted_by_system([*day_0(host), "github: extend.1", "salesforce: crm.ends.1", "slack: slack.extend.1"]),
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        10: ["mail: mail.learn"],  # no warning: extended on the first day, so that day 15 ends nothing
        20: ["mail: mail.community"],
        27: ["slack: task.deadline-1"],
        30: ["slack: task.deadline-1.reminder-1"],
        32: ["slack: task.deadline-1.reminder-2"],
    }
    assert play.effects(domain) == until_then
    await play.skip(domain, days=0.3)
    await play.stage(domain, stage)
    if mode == "terminate":
        await gone(play, domain)
        assert play.effects(domain) == {**until_then, 35: TORN_DOWN}
    else:
        assert play.effects(domain) == until_then


async def test_c12_an_active_trial_is_never_ended_without_a_persons_yes(play: Play) -> None:
    domain, host = await prequalified(play)
    play.use(host)
    await play.skip(domain, days=60)
    status = await play.status(domain)
    assert (status.stage, status.end) == ("extended", "")
    task = await play.task(domain, "deadline")
    assert task.asked_next_at is not None
    assert (await play.dossier(domain))[-1].outcome == "ask"
    await play.answer(domain, "deadline", "terminate", note="they bought elsewhere")
    assert (await gone(play, domain))["end"] == "terminated"


async def test_c12_the_key_of_a_trial_that_waits_for_a_person_never_ends_before_it(play: Play) -> None:
    """A15, A24: an active trial that nobody decides gets a new key in time, again and again, with the tag and the users of its first."""
    domain, host = await prequalified(play)
    play.use(host)
    cohort = play.ledger.current_cohort()
    assert cohort is not None
    good_until = [cohort.expires_at]
    for number, days in enumerate((46, 36, 36)):
        await play.skip(domain, days=days)
        await play.did(domain, f"instance: instance.key.wait.{number}")
        [renewed_at] = play.times(domain, f"key.wait.{number}")
        assert timedelta(days=2) < good_until[-1] - renewed_at <= timedelta(days=3)
        key = play.licence(domain)
        assert (key["seats"], "plg-trial" in key["tags"], "trial" in key["tags"]) == (1000, True, True)
        good_until.append(datetime.fromisoformat(f"{key['expires']}T12:00:00+00:00"))
    asked = [at for at in play.times(domain, "key.") if at]
    assert len(asked) == 3  # one at a time
    assert (await play.status(domain)).stage == "extended"
    await play.answer(domain, "deadline", "terminate", note="they bought elsewhere")
    assert (await gone(play, domain))["end"] == "terminated"
    assert len(play.times(domain, "key.")) == 3


async def test_an_instance_that_does_not_answer_is_never_ended_on_an_unknown(play: Play) -> None:
    """A13: the instance is silent on day 15; the CE is asked instead, the ladder runs, and nothing is torn down."""
    domain, host = await prequalified(play)
    await play.skip(domain, days=9)
    play.sandbox.world.services["instances"].delete(host)
    await play.skip(domain, days=9)
    status = await play.status(domain)
    assert (status.stage, status.open_tasks) == ("onboarding", (f"trial-{domain}:deadline-1",))
    assert (await play.dossier(domain))[-1].rule == "The instance did not answer: a trial is never ended on an unknown."


async def test_a_second_extension_beyond_30_days_brings_a_key_of_its_own(play: Play) -> None:
    """A15: no key at 30 days in all, one of its own at 45."""
    domain, _host = await prequalified(play)
    await play.update(domain, "extend", {"by": "ce-ada@tenure.example"})
    await play.stage(domain, "extended")
    await play.skip(domain, days=1)
    await play.update(domain, "extend", {"by": "ce-ada@tenure.example", "days": 15, "again": True})

    await play.did(domain, "slack: slack.extend.2", "instance: instance.key.extend.2", "salesforce: crm.ends.2")
    assert [effect for effect in play.effects(domain)[0] if "extend" in effect or "ends" in effect] == [
        "github: extend.1",
        "salesforce: crm.ends.1",
        "slack: slack.extend.1",
    ]
    assert play.effects(domain)[1] == [
        "github: extend.2",
        "instance: instance.key.extend.2",
        "licensing: key.extend.2",
        "salesforce: crm.ends.2",
        "slack: slack.extend.2",
    ]


async def test_a16_a18_terminated_at_once_with_feedback_and_a_signup_while_it_is_torn_down(play: Play) -> None:
    """A16, A18, gap 15: the feedback mail goes out; a signup during the teardown waits for its end and starts again."""
    domain, host = await prequalified(play)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example", "reason": "no budget", "feedback": True})
    await play.stage(domain, "teardown")
    answer = await play.signup(f"eve@{domain}")
    assert answer.outcome == "after_teardown"
    play.warm("src-next")
    await play.answer(domain, "teardown", "done", by="cloud-1@tenure.example")
    status = await play.stage(domain, "onboarding")
    assert status.host != host
    assert status.in_words.startswith(f"{status.company}: {status.host} is on trial until ")
    first_life = [row.key for row in play.ledger.effects(workflow=f"trial-{domain}") if row.subject.endswith(".1") and row.done_at]
    assert sorted(first_life) == sorted([effect.partition(": ")[2] for effect in (*day_0(host), *TORN_DOWN, "mail: mail.feedback")])


# --- the race of day 15: whoever comes first wins -----------------------------------------------------------------------------------


async def refused(play: Play, domain: str, name: str, message: dict[str, Any]) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await play.update(domain, name, message)
    return str(getattr(caught.value.cause, "message", caught.value.cause))


async def test_race_decision_then_timer_then_decision(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.skip(domain, days=14.9)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await play.stage(domain, "teardown")
    await play.skip(domain, days=0.3)
    why = await refused(play, domain, "extend", {"by": "ae-jonas@tenure.example"})
    assert "too late: already decided by ce-ada@tenure.example at" in why
    assert [d.outcome for d in await play.dossier(domain)] == ["2.2", "claimed", "terminate"]


async def test_race_decision_then_decision_then_timer(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.skip(domain, days=14.9)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    why = await refused(play, domain, "extend", {"by": "ae-jonas@tenure.example"})
    assert "already decided by ce-ada@tenure.example" in why
    await play.skip(domain, days=0.3)
    await gone(play, domain)
    assert [d.outcome for d in await play.dossier(domain)] == ["2.2", "claimed", "terminate"]
    assert sorted(effect for effect in play.effects(domain)[15] if effect.startswith("github")) == ["github: teardown"]


async def test_race_timer_then_decision_then_decision(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.skip(domain, days=15.1)
    await play.stage(domain, "teardown")
    assert "already decided by the policy at" in await refused(play, domain, "extend", {"by": "ce-ada@tenure.example"})
    assert "already decided by the policy at" in await refused(play, domain, "convert", {"by": "ae-jonas@tenure.example", "seats": 5})
    assert [d.outcome for d in await play.dossier(domain)] == ["2.2", "claimed", "terminate"]


async def test_race_two_decisions_at_once_one_wins(play: Play) -> None:
    """Both are sent together, again and again in either order: one is taken, the other is told who won."""
    for round_ in range(3):
        domain, _host = await prequalified(play, name=f"race{round_}")
        first = play.update(domain, "extend", {"by": "ce-ada@tenure.example"})
        second = play.update(domain, "terminate", {"by": "ae-jonas@tenure.example"})
        results = await asyncio.gather(*((first, second) if round_ % 2 else (second, first)), return_exceptions=True)
        taken = [result for result in results if isinstance(result, str)]
        outcomes = [d.outcome for d in await play.dossier(domain) if d.what == "decision"]
        # an extension leaves the trial open, so that a termination right after it is a decision of its own
        assert outcomes in (["extend"], ["terminate"], ["extend", "terminate"])
        assert len(taken) == len(outcomes)


async def test_race_the_timer_and_a_decision_at_the_same_moment(play: Play) -> None:
    """The clock stands a breath before day 15; the decision and the timer meet, and exactly one of them acts."""
    domain, _host = await prequalified(play)
    await play.skip(domain, days=14.99)
    ff = asyncio.create_task(play.skip(domain, days=0.02))
    late = asyncio.create_task(play.update(domain, "extend", {"by": "ce-ada@tenure.example"}))
    done = await asyncio.gather(ff, late, return_exceptions=True)
    status = await play.stage(domain, "extended", "teardown")
    outcomes = [d.outcome for d in await play.dossier(domain)][2:]
    if isinstance(done[1], str):
        assert (status.stage, outcomes) == ("extended", ["extend"])
    else:
        assert (status.stage, outcomes) == ("teardown", ["terminate"])


async def test_a_stale_card_is_refused_with_who_answered(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.skip(domain, days=13)
    ce = (await play.status(domain)).ce
    await play.answer(domain, "deadline", "extend", by=ce)
    why = await refused(play, domain, "answer", {"task": "deadline-1", "choice": "terminate", "by": "ae-jonas@tenure.example"})
    assert f"was answered by {ce}" in why
    assert "'extend'" in why
