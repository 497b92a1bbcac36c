"""Where the sources disagree, the policy decides: each conflict at both of its values (C04, C11, C14, C16, C17)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from domain import ids
from domain.effects.registry import ClaimInstance
from domain.trial.state import TrialInput
from store.tables import share_links, vault
from tests.workflows.play import NOW, Play
from tests.workflows.trial.test_trial import ALL_YES, QUALIFIED_DAY_0, SDR, day_0, prequalified, unknown

CLOUD = "cloud-oncall@tenure.example"


async def qualified(play: Play) -> str:
    """A company that has just qualified."""
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    return domain


async def built(play: Play, domain: str) -> str:
    """The Cloud team has built its instance; the host."""
    host = (await play.stage(domain, "provisioning")).host
    play.sandbox.world.services["instances"].create(host, kind="trial")
    await play.answer(domain, "provision", "ready", by=CLOUD)
    return host


def qualified_day_0(host: str, *slack: str) -> list[str]:
    """Everything that a qualified trial does on the day on which it is built and handed over."""
    return [
        *QUALIFIED_DAY_0,
        f"registry: claim:{host}",
        "registry: owners",
        f"registry: ready:{host}",
        "salesforce: crm.lead",
        "salesforce: crm.qualified",
        "salesforce: crm.assign",
        "salesforce: crm.convert",
        "slack: task.triage-1",
        *slack,
    ]


async def test_c04_the_issue_is_raised_by_itself(play: Play) -> None:
    """The default: no person types what the system knows."""
    domain = await qualified(play)
    issue = await play.issue(domain, "request")
    assert "mi/instance-request" in issue.labels
    assert "raise_request" not in [task.kind for task in await play.tasks(domain)]


async def test_c04_the_issue_is_raised_by_hand(play: Play) -> None:
    """The AE is asked for the issue's number, told every field of it, and chased; then it goes on as ever."""
    play.set(provisioning__issue="by_hand")
    domain = await qualified(play)
    status = await play.stage(domain, "provisioning")
    task = await play.task(domain, "raise_request")
    assert (task.role, task.assignee) == ("ae", status.ae)
    for field in (f"host: {status.host}", f"customer_email: bo@{domain}", f"ce_email: {status.ce}", "instance_size: small"):
        assert field in task.asks
    assert "must be a whole number" in await play.refused(
        domain, "answer", {"task": "raise_request", "choice": "raised", "by": status.ae, "fields": {"issue": "soon"}}
    )
    hub = play.sandbox.world.services["github"].hub
    by_hand = hub.create_issue(hub.repo(*play.settings.github_repo.split("/")), status.ae, "An instance, please").number
    await play.answer(domain, "raise_request", "raised", by=status.ae, fields={"issue": by_hand})
    host = await built(play, domain)
    await play.task(domain, "hand_over")
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.stage(domain, "onboarding")
    assert (await play.status(domain)).issues["request"] == by_hand
    slack = [
        "slack: task.raise_request-1",
        "slack: slack.channel",
        "slack: slack.introduction",
        "slack: slack.ready",
        "slack: task.hand_over-1",
    ]
    expected = [effect for effect in qualified_day_0(host, *slack) if effect != "github: request"]
    await play.did(domain, *expected)
    await play.quiet(domain)
    assert play.effects(domain) == {0: expected}


async def test_c11_one_channel_for_each_trial(play: Play) -> None:
    """The default: CE and AE are invited, and what is said is said there."""
    domain, host = await prequalified(play)
    status = await play.status(domain)
    workspace = play.sandbox.world.services["slack"]
    [channel] = [each for each in workspace.channels.values() if each.name.startswith("cloud-trial-acme")]
    members = {workspace.users[member].email for member in channel.members}
    assert {status.ce, status.ae} <= members
    assert sum(f"Instance: {host}" in message["text"] for message in channel.messages.values()) == 1


async def test_c11_one_thread_under_the_alert(play: Play) -> None:
    """No channel is made, and everything that is said of the trial to its end stands under its alert."""
    play.set(trial__slack_mode="thread")
    domain, host = await prequalified(play)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await play.answer(domain, "teardown", "done", by=CLOUD)
    await play.ended(domain)
    slack = [effect for effect in play.effects(domain)[0] if effect.startswith("slack:")]
    assert slack == [
        "slack: slack.alert",
        "slack: slack.introduction",
        "slack: slack.terminating",
        "slack: task.teardown-1",
        "slack: slack.terminated",
    ]
    workspace = play.sandbox.world.services["slack"]
    assert not [each for each in workspace.channels.values() if each.name.startswith("cloud-trial-acme")]
    alerts = next(each for each in workspace.channels.values() if each.name == play.settings.slack_alerts_channel)
    root = next(ts for ts, message in alerts.messages.items() if domain in message["text"] and "thread_ts" not in message)
    assert [message.get("thread_ts", root) for message in alerts.messages.values()] == [root] * 5
    assert any(host in message["text"] for message in alerts.messages.values())


@pytest.mark.parametrize(
    ("order", "acts"), [("assign_then_convert", ["crm.assign", "crm.convert"]), ("convert_then_assign", ["crm.convert", "crm.assign"])]
)
async def test_c14_assigned_and_converted_in_either_order(play: Play, order: str, acts: list[str]) -> None:
    """Lead first or opportunity first: at the end the opportunity is the AE's, and stays in its first stage (A19)."""
    play.set(assignment__order=order)
    domain, host = await prequalified(play)
    effects = [effect for effect in day_0(host) if not effect.startswith("salesforce:")]
    crm = ["salesforce: crm.lead", *(f"salesforce: {act}" for act in acts)]
    await play.did(domain, *effects, *crm)
    await play.quiet(domain)
    assert play.effects(domain) == {0: [*effects[:6], *crm, *effects[6:]]}
    records = play.sandbox.world.services["salesforce"].org.records
    [lead] = [record for record in records["lead"].values() if record["Email"] == f"bo@{domain}"]
    opportunity = records["opportunity"][lead["ConvertedOpportunityId"]]
    ae = (await play.owners_of(domain)).ae
    assert ae is not None
    assert opportunity["OwnerId"] == ae.id
    assert (lead["IsConverted"], opportunity["IsClosed"]) == (True, False)


async def test_c16_the_ce_hands_a_prequalified_trial_over(play: Play) -> None:
    """The instance is theirs at once, its link only by the CE's hand; the trial starts then, however late that is."""
    play.set(handoff__prequalified="ce")
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    [host] = play.warm("src-acme")
    assert (await play.signup(f"bo@{domain}")).outcome == "instant"
    status = await play.stage(domain, "hand_off")
    task = await play.task(domain, "hand_over")
    assert (task.role, task.assignee) == ("ce", status.ce)
    before = ["slack: slack.alert", "slack: slack.channel", "slack: slack.introduction", "slack: slack.ready", "slack: task.hand_over-1"]
    crm = ["salesforce: crm.lead", "salesforce: crm.assign", "salesforce: crm.convert"]
    await play.did(domain, *before, *crm)
    await play.quiet(domain)
    assert play.effects(domain) == {0: [f"registry: claim:{host}", "registry: owners", *crm, *before]}
    assert play.mails(f"bo@{domain}") == []
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    started = await play.stage(domain, "onboarding")
    assert started.started_at is not None
    opened = ["instance: instance.admin", "instance: instance.key", "mail: mail.access", "mail: mail.access.copy", "mail: mail.ce_welcome"]
    await play.did(domain, *opened)
    await play.quiet(domain)
    assert play.effects(domain) == {0: [*opened, f"registry: claim:{host}", "registry: owners", *crm, *before]}


async def test_c16_a_qualified_trial_is_handed_over_by_itself(play: Play) -> None:
    """Nobody is asked: the link goes out as soon as the instance is ready."""
    play.set(handoff__qualified="automatic")
    domain = await qualified(play)
    host = await built(play, domain)
    await play.stage(domain, "onboarding")
    expected = qualified_day_0(host, "slack: slack.channel", "slack: slack.introduction", "slack: slack.ready")
    await play.did(domain, *expected)
    await play.quiet(domain)
    assert play.effects(domain) == {0: expected}
    assert "hand_over" not in [task.kind for task in await play.tasks(domain)]


@pytest.mark.parametrize(("reset", "share"), [(72, 24), (24, 24), (72, 72)])
async def test_c17_how_long_the_links_work(play: Play, reset: int, share: int) -> None:
    """The link in the mail opens for so long, and the vault forgets a reset link that nobody came for after so long, by the real clock."""
    play.set(handoff__reset_link_ttl_hours=reset, handoff__share_link_ttl_hours=share)
    before = datetime.now(UTC)
    domain, _ = await prequalified(play)
    assert await play.update(domain, "open_link", {"by": f"bo@{domain}"})
    after = datetime.now(UTC)
    with play.ledger.reading() as db:
        [link_expires] = db.execute(select(share_links.c.expires_at)).scalars()
        [value_expires] = db.execute(select(vault.c.expires_at).where(vault.c.kind == "reset_link")).scalars()
    assert before + timedelta(hours=share) <= link_expires <= after + timedelta(hours=share)
    assert before + timedelta(hours=reset) <= value_expires <= after + timedelta(hours=reset)


async def test_a_form_sent_again_after_its_worker_died_gets_what_was_claimed_for_it(play: Play) -> None:
    """The claim is made, and the worker dies before the answer is: the trial's own instance must not look like somebody's from before."""
    domain = play.company("sorrel")
    play.crm({"Name": "Sorrel", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    [host] = play.warm("sorrel")
    given = TrialInput(domain=domain, origin="self_serve", policy=play.policy, alerts_channel="cloud-trial-alerts")
    with play.env.with_time_skipping_disabled():
        begun = await play.env.client.start_workflow("Trial", given, id=ids.trial(domain), task_queue=play.queue)
    assert begun.first_execution_run_id
    subject = f"{begun.id}/{begun.first_execution_run_id[-8:]}.1"
    claim = ClaimInstance(subject=subject, domain=domain, admin=f"bo@{domain}", cap=50, warm=True, as_of=NOW)
    assert play.registry.claim(claim).host == host
    answer = await play.signup(f"bo@{domain}")
    assert (answer.outcome, answer.host) == ("instant", host)
    await play.did(domain, "instance: instance.admin", "mail: mail.instant_access")
