"""A26: the cap of instances. Who comes when it is reached waits their turn, is told so, and is served when one is released."""

from __future__ import annotations

import asyncio

from tests.rows import warm_hosts
from tests.workflows.play import Play
from tests.workflows.trial.test_trial import ALL_YES, QUALIFIED_DAY_0, SDR, day_0, gone, unknown

CE = "ce-ada@tenure.example"


async def waiting(play: Play, *names: str) -> list[str]:
    """Prequalified companies that sign up, one after the other, when the cap is reached: all of them wait."""
    domains = [play.company(name) for name in names]
    play.crm(
        *({"Name": name.title(), "Domain__c": domain, "Trial_Prequalified__c": True} for name, domain in zip(names, domains, strict=True))
    )
    for name, domain in zip(names, domains, strict=True):
        answer = await play.signup(f"bo@{domain}", company=name.title())
        assert (answer.case, answer.outcome, answer.host) == ("2.2", "waitlisted", "")
        assert "you are on the list" in answer.message
        await play.did(domain, "registry: wait", "mail: mail.waitlisted", "slack: slack.waitlisted")
    return domains


WAITED = ["mail: mail.waitlisted", "registry: wait", "slack: slack.waitlisted"]


def served(host: str) -> list[str]:
    """Everything that a company which waited and was then given a warm instance saw on one day."""
    rest = [effect for effect in day_0(host) if effect != "slack: slack.alert"]
    order = ["instance", "mail", "registry", "salesforce", "slack"]
    merged = {system: [effect for effect in (*WAITED, *rest) if effect.startswith(f"{system}:")] for system in order}
    return [effect for system in order for effect in merged[system]]


async def running(play: Play, name: str) -> tuple[str, str]:
    """A company on trial."""
    domain = play.company(name)
    play.crm({"Name": name.title(), "Domain__c": domain, "Trial_Prequalified__c": True})
    [host] = play.warm(f"src-{name}")
    assert (await play.signup(f"bo@{domain}", company=name.title())).host == host
    await play.did(domain, *day_0(host))
    return domain, host


async def test_whoever_waits_longest_gets_the_instance_that_is_released(play: Play) -> None:
    """Two wait; one instance is released, and the first of them is on trial at once, though the other asked for it too."""
    play.set(cloud__instance_cap=1)
    play.cohort()
    owner, _ = await running(play, "owner")
    first, second = await waiting(play, "first", "second")
    assert play.registry.waiting() == [first, second]
    assert (await play.status(first)).stage == "waitlisted"
    [host] = play.warm("src-free")
    await play.update(owner, "terminate", {"by": CE})
    await gone(play, owner)
    await play.stage(first, "onboarding")
    await play.did(first, *served(host))
    await play.quiet(first)
    assert play.effects(first) == {0: served(host)}
    assert (await play.status(second)).stage == "waitlisted"
    assert play.registry.waiting() == [second]
    assert play.live() == 1
    assert [decision.outcome for decision in await play.dossier(first)] == ["2.2", "full", "claimed"]
    await play.quiet(second)
    assert play.effects(second) == {0: WAITED}


async def test_without_a_word_it_looks_again_every_day(play: Play) -> None:
    """The cap was full, and room came by no release of ours: a day later the company is served."""
    play.set(cloud__instance_cap=1)
    play.cohort()
    [taken] = play.taken(1)
    [domain] = await waiting(play, "acme")
    await play.skip(domain, hours=24.1)
    assert (await play.status(domain)).stage == "waitlisted"
    play.freed(taken)
    [host] = play.warm("src-free")
    await play.skip(domain, hours=24.1)
    assert (await play.stage(domain, "onboarding")).host == host
    await play.did(domain, "slack: slack.introduction", "mail: mail.ce_welcome", "salesforce: crm.convert")
    await play.quiet(domain)
    assert play.effects(domain) == {0: WAITED, 2: [effect for effect in served(host) if effect not in WAITED]}


async def test_room_but_no_warm_instance_is_built_by_hand(play: Play) -> None:
    """A25: the pool is empty when its turn comes; room is kept and the Cloud team builds."""
    play.set(cloud__instance_cap=1)
    play.cohort()
    owner, _ = await running(play, "owner")
    [domain] = await waiting(play, "acme")
    await play.update(owner, "terminate", {"by": CE})
    await gone(play, owner)
    status = await play.stage(domain, "provisioning")
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.kind, owned.host) == ("reserved", status.host)
    assert [decision.outcome for decision in await play.dossier(domain)] == ["2.2", "full", "empty"]
    await play.issue(domain, "request")


async def test_a_triaged_company_waits_for_room_after_it_qualified(play: Play) -> None:
    """Case 3: nobody waits for room who may not qualify; then told under its card, and built when room comes."""
    play.set(cloud__instance_cap=1)
    [taken] = play.taken(1)
    domain = await unknown(play)
    assert play.registry.waiting() == []
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    await play.stage(domain, "waitlisted")
    await play.did(domain, *WAITED)
    assert play.registry.waiting() == [domain]
    play.freed(taken)
    await play.skip(domain, hours=24.1)
    status = await play.stage(domain, "provisioning")
    play.sandbox.world.services["instances"].create(status.host, kind="trial")
    await play.answer(domain, "provision", "ready", by="cloud-oncall@tenure.example")
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.stage(domain, "onboarding")
    await play.did(domain, *QUALIFIED_DAY_0)
    await play.quiet(domain)
    assert play.effects(domain) == {
        0: ["mail: mail.waitlisted", "registry: wait", "salesforce: crm.lead", "slack: task.triage-1", "slack: slack.waitlisted"],
        1: [
            *QUALIFIED_DAY_0,
            f"registry: claim:{status.host}",
            "registry: owners",
            f"registry: ready:{status.host}",
            "salesforce: crm.qualified",
            "salesforce: crm.assign",
            "salesforce: crm.convert",
            "slack: slack.channel",
            "slack: slack.introduction",
            "slack: slack.ready",
            "slack: task.hand_over-1",
        ],
    }


async def test_whoever_waits_may_go_away(play: Play) -> None:
    """Ended while it waits: it leaves the queue, the lead is closed, and nobody is told of room that is not theirs."""
    play.set(cloud__instance_cap=1)
    play.taken(1)
    [domain] = await waiting(play, "acme")
    again = await play.signup(f"bo@{domain}")
    assert again.outcome == "waitlisted"
    await play.update(domain, "terminate", {"by": CE, "reason": "they bought something else"})
    assert (await play.ended(domain))["end"] == "disqualified"
    assert play.registry.waiting() == []
    assert play.effects(domain) == {
        0: [
            "mail: mail.waitlisted",
            "mail: mail.disqualified",
            "registry: wait",
            "registry: release",
            "salesforce: crm.lead",
            "salesforce: crm.disqualified",
            "slack: slack.waitlisted",
            "slack: slack.disqualified",
        ]
    }


async def test_a_release_passes_over_whoever_has_gone(play: Play) -> None:
    """The first in line was ended from outside and cannot be told: the release ends well, and the next is served by its own look."""
    play.set(cloud__instance_cap=1)
    play.cohort()
    owner, _ = await running(play, "owner")
    first, second = await waiting(play, "first", "second")
    await play.trial(first).terminate("by an operator, past Tenure")
    play.warm("src-free")
    await play.update(owner, "terminate", {"by": CE})
    assert (await gone(play, owner))["end"] == "terminated"
    await play.skip(second, hours=24.1)
    await play.stage(second, "onboarding")
    assert play.live() == 1


async def test_never_past_the_cap_with_many_at_once(play: Play) -> None:
    """Twelve companies at the same instant, room for five, eight warm instances: five are on trial, seven wait in their order."""
    play.set(cloud__instance_cap=5)
    play.cohort()
    play.warm(*(f"src-{number}" for number in range(8)))
    domains = [play.company(f"acme{number}") for number in range(12)]
    play.crm(*({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True} for domain in domains))
    answers = await asyncio.gather(*(play.signup(f"bo@{domain}") for domain in domains))
    outcomes = [answer.outcome for answer in answers]
    assert (outcomes.count("instant"), outcomes.count("waitlisted")) == (5, 7)
    assert len({answer.host for answer in answers if answer.host}) == 5
    assert play.live() == 5
    assert len(warm_hosts(play.registry)) == 3
    waits = {answer.domain for answer in answers if answer.outcome == "waitlisted"}
    for domain in waits:
        await play.did(domain, "registry: wait")
    assert set(play.registry.waiting()) == waits


async def test_a_host_that_is_another_companys_is_never_given_away(play: Play) -> None:
    """The Cloud team names the wrong host: everybody is told, the trial goes on, and the right host is taken."""
    play.cohort()
    [taken] = play.taken(1)
    theirs = play.registry.instance_of(taken)
    assert theirs is not None
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    status = await play.stage(domain, "provisioning")
    await play.answer(domain, "provision", "ready", by="cloud-oncall@tenure.example", fields={"host": theirs.host})
    await play.did(domain, "slack: slack.provision-1.failed", "pagerduty: page.provision-1.failed")
    assert theirs.host in play.said("slack.provision-1.failed", f"trial-{domain}")
    assert play.registry.instance_of(taken) == theirs
    play.sandbox.world.services["instances"].create(status.host, kind="trial")
    await play.answer(domain, "provision-2", "ready", by="cloud-oncall@tenure.example")
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    assert (await play.stage(domain, "onboarding")).host == status.host


async def test_a_wrong_host_on_the_issue_is_looked_at_again_by_and_by(play: Play) -> None:
    """Long after the SLA the issue still names another company's host: told once, and asked about as often as ever, no oftener."""
    play.set(provisioning__poll_hours=23)  # never within a second of a day's warning: the server's skipping of time would run on past both
    [taken] = play.taken(1)
    theirs = play.registry.instance_of(taken)
    assert theirs is not None
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    issue = await play.issue(domain, "request")
    hub = play.sandbox.world.services["github"].hub
    repo = hub.repo(*play.settings.github_repo.split("/"))
    await play.skip(domain, days=6)
    await play.did(domain, "pagerduty: page.sla")
    hub.add_comment(repo, issue, "cloud-team", f"Instance ready: https://{theirs.host}")
    hub.add_labels(repo, issue, "cloud-team", ["cloud-trial/instance-ready"])
    await play.skip(domain, days=2)
    await play.did(domain, "slack: slack.provision-1.failed", "pagerduty: page.provision-1.failed")
    history = await play.trial(domain).fetch_history()
    looks = [event for event in history.events if event.activity_task_scheduled_event_attributes.activity_type.name == "github_issue"]
    assert 9 <= len(looks) <= 11  # one as the wait begins, one as it begins anew
    failed = [effect for day in play.effects(domain).values() for effect in day if effect.endswith(".failed")]
    assert sorted(failed) == ["pagerduty: page.provision-1.failed", "slack: slack.provision-1.failed"]
    assert (await play.status(domain)).stage == "provisioning"
    assert f"names {theirs.host}, which is another company's" in (await play.task(domain, "provision-declined")).title
