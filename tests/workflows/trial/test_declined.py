"""What the Cloud team does with a request other than what it asks: it is heard, the CE is told and asked, and nothing is believed that is not so.

Closed as not planned or as a duplicate, completed without its label, deleted, transferred, reopened; for an instance, an extension, a conversion,
a teardown and a move. By webhook, and by polling where none came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from domain import ids
from tests.workflows.play import Play, eventually
from tests.workflows.test_upkeep import scheduled
from tests.workflows.trial.test_domain_change import WARNED, asked
from tests.workflows.trial.test_trial import ALL_YES, CONVERTED, SDR, TORN_DOWN, day_0, gone, prequalified, sorted_by_system, unknown

#: What people do with an issue that they do not carry out, and how the question to the CE begins.
DECLINES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"do": "close", "reason": "not_planned"}, "was closed as not planned"),
    ({"do": "close", "reason": "duplicate"}, "was closed as a duplicate"),
    ({"do": "delete"}, "was deleted"),
    ({"do": "transfer", "to": "acme-vendor/cloud"}, "was transferred to"),
)
LABEL = "cloud-trial/instance-ready"


async def question(play: Play, workflow: str, kind: str, number: int, why: str) -> Any:
    """The CE's question on an issue; it says what happened."""
    task = await play.task(workflow, kind)
    assert (task.role, task.title.startswith(f"#{number} {why}")) == ("ce", True), task.title
    assert task.asked_next_at is not None
    return task


async def provisioning(play: Play) -> tuple[str, int]:
    """A trial that waits for its instance, and the number of the request."""
    domain = await unknown(play)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    await play.task(domain, "provision")
    return domain, (await play.issue(domain, "request")).number


async def withdrawn(play: Play, workflow: str, kind: str) -> None:
    async def look() -> bool:
        return all(task.kind != kind for task in await play.tasks(workflow))

    await eventually(look)


# --- an instance -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "why"), [*DECLINES, ({"do": "close"}, "was closed without the label")])
async def test_an_instance_that_is_not_built_is_asked_about(play: Play, does: dict[str, Any], why: str) -> None:
    """The room stays kept, nothing is handed over, and raised again it is built."""
    domain, number = await provisioning(play)
    await play.on_issue(domain, number, **does)
    asked_of = await question(play, domain, "provision-declined", number, why)
    status = await play.status(domain)
    assert (status.stage, asked_of.assignee) == ("provisioning", status.ce)
    kept = play.registry.instance_of(domain)
    assert kept is not None
    assert kept.kind == "reserved"
    await play.answer(domain, "provision-declined", "again", by=status.ce)
    again = await eventually(lambda: another(play, domain, "request", number))
    assert again != number
    await play.built(domain)
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.stage(domain, "onboarding")
    await play.did(domain, "pagerduty: page.ready")
    effects = play.effects(domain)[0]
    assert [effect for effect in effects if effect.startswith(("github", "pagerduty"))] == [
        "github: request",
        "github: request.2",
        "pagerduty: page.request",
        "pagerduty: page.ready",
    ]
    assert "slack: task.provision-declined-1" in effects


async def another(play: Play, domain: str, name: str, before: int) -> int:
    number = (await play.status(domain)).issues.get(name, 0)
    return number if number != before else 0


async def test_an_instance_that_nobody_builds_ends_the_trial_when_the_ce_says_so(play: Play) -> None:
    domain, number = await provisioning(play)
    await play.on_issue(domain, number, do="delete")
    status = await play.status(domain)
    await play.answer(domain, "provision-declined", "end", by=status.ce, note="no room in that region")
    assert (await play.ended(domain))["end"] == "disqualified"
    assert play.registry.instance_of(domain) is None
    assert {"github: request.cancel", "pagerduty: page.cancel", "mail: mail.disqualified", "registry: release"} <= set(
        play.effects(domain)[0]
    )


async def test_without_a_webhook_polling_hears_of_it_too(play: Play) -> None:
    domain, number = await provisioning(play)
    await play.quiet(domain)
    await play.on_issue(domain, number, do="close", reason="not_planned", told=False)
    await play.skip(domain, hours=play.policy.provisioning.poll_hours + 0.2)
    await question(play, domain, "provision-declined", number, "was closed as not planned")


async def test_reopened_the_question_is_withdrawn_and_the_ce_is_told(play: Play) -> None:
    domain, number = await provisioning(play)
    await play.on_issue(domain, number, do="close", reason="not_planned")
    await play.task(domain, "provision-declined")
    await play.on_issue(domain, number, do="reopen")
    await withdrawn(play, domain, "provision-declined")
    await play.did(domain, "slack: slack.provision.reopened-1")
    assert f"#{number} is open again" in play.said("slack.provision.reopened-1", ids.trial(domain))
    await play.built(domain)
    await play.task(domain, "hand_over")


@pytest.mark.parametrize("named", ["", "https://code.acme.example", "the usual place"])
async def test_a_label_without_a_host_of_ours_is_asked_about(play: Play, named: str) -> None:
    """F16: never silently the planned host; the host is told by the CE, or by a later comment."""
    domain, number = await provisioning(play)
    planned = (await play.status(domain)).host
    if named:
        await play.on_issue(domain, number, do="comment", body=f"Instance ready: {named}", told=False)
    await play.on_issue(domain, number, do="label", label="Cloud-Trial/Instance-Ready")
    await question(play, domain, "provision-declined", number, "names code.acme.example" if "https" in named else "is labelled as ready")
    assert (await play.status(domain)).stage == "provisioning"
    ce = (await play.status(domain)).ce
    evil = {"task": "provision-declined", "choice": "ready", "by": ce, "fields": {"host": "https://evil.example"}}
    assert "is no host below cloud.tenure.example" in await play.refused(domain, "answer", evil)
    other = f"other-{play.tag}.{play.policy.cloud.domain_suffix}"
    play.sandbox.world.services["instances"].create(other, kind="trial")
    if named:
        await play.on_issue(domain, number, do="comment", body=f"Sorry. **Instance ready:** [here](https://{other}/)")
    else:
        await play.answer(domain, "provision-declined", "ready", by=ce, fields={"host": f"https://{other}/"})
    await play.task(domain, "hand_over")
    assert ((await play.status(domain)).host, other == planned) == (other, False)


@contextmanager
def at_once(play: Play, does: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """The answer that tells an issue's number is lost on its way, and the Cloud team is through with the issue meanwhile."""
    play.fault("github", "cut_after", match="POST", times=1)
    hub = play.sandbox.world.services["github"].hub

    def listen(event: Any) -> None:
        if event.action == "opened":
            does(hub, event.repo, event.issue)

    hub.listeners.append(listen)
    try:
        yield
    finally:
        hub.listeners.remove(listen)


async def test_a_label_that_comes_before_the_number_is_known_counts_at_once(play: Play) -> None:
    """Nobody waits for the next poll: no clock is moved here."""
    domain = await unknown(play)
    named: list[str] = []

    def label(hub: Any, repo: Any, issue: Any) -> None:
        [host] = [line.removeprefix("host: ") for line in issue.body.splitlines() if line.startswith("host: ")]
        named.append(host)
        play.sandbox.world.services["instances"].create(host, kind="trial")
        hub.add_comment(repo, issue, "cloud-team", f"Instance ready: <https://{host}>")
        hub.add_labels(repo, issue, "cloud-team", [LABEL])

    with at_once(play, label):
        await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
        await play.task(domain, "hand_over")
    assert [(await play.status(domain)).host] == named


def close(hub: Any, repo: Any, issue: Any) -> None:
    hub.edit_issue(repo, issue, "cloud-team", {"state": "closed", "state_reason": "completed"})


@pytest.mark.parametrize(("decision", "end"), [("convert", "converted"), ("terminate", "terminated")])
async def test_what_is_done_before_the_number_is_known_counts_at_once(play: Play, decision: str, end: str) -> None:
    domain, _host = await prequalified(play)
    with at_once(play, close):
        await play.update(domain, decision, {"by": (await play.status(domain)).ce} | ({"seats": 10} if decision == "convert" else {}))
        assert (await play.ended(domain))["end"] == end


async def test_a_move_that_is_done_before_its_number_is_known_counts_at_once(play: Play) -> None:
    domain, host, new_host, change = await asked(play)
    play.sandbox.world.services["instances"].rename(host, new_host, keep=True)
    with at_once(play, close):
        await play.answer(change, "consent", "agreed")
        await play.answer(change, "verify", "verified", by=(await play.status(domain)).ce)
        assert await play.ended(change) == "moved"


async def test_an_extension_that_is_declined_before_its_number_is_known_is_asked_about_at_once(play: Play) -> None:
    domain, _host = await prequalified(play)

    def decline(hub: Any, repo: Any, issue: Any) -> None:
        hub.edit_issue(repo, issue, "cloud-team", {"state": "closed", "state_reason": "not_planned"})

    with at_once(play, decline):
        await play.update(domain, "extend", {"by": (await play.status(domain)).ce})
        await play.task(domain, "extension-1-declined")


async def test_a_strangers_comment_names_no_host(play: Play) -> None:
    domain, number = await provisioning(play)
    play.sandbox.world.services["github"].seed({"outsiders": ["mallory"]})
    evil = f"evil-{play.tag}.{play.policy.cloud.domain_suffix}"
    await play.on_issue(domain, number, do="comment", by="mallory", body=f"Instance ready: https://{evil}", told=False)
    await play.on_issue(domain, number, do="label", label=LABEL)
    await question(play, domain, "provision-declined", number, "is labelled as ready")


async def test_an_event_is_no_word_of_its_own(play: Play) -> None:
    """A forged signal makes the trial look, and believes nothing: the issue is neither closed nor labelled."""
    domain, number = await provisioning(play)
    host = f"evil-{play.tag}.{play.policy.cloud.domain_suffix}"
    for event in (
        {"issue": number, "action": "labeled", "labels": [LABEL], "host": host},
        {"issue": number, "action": "closed", "state": "closed", "reason": "completed"},
        {"issue": number, "action": "deleted", "state": "deleted"},
    ):
        await play.signal(domain, "issue_event", event)
    await play.quiet(domain)
    assert [task.kind for task in await play.tasks(domain)] == ["provision"]


async def test_a_request_that_is_reopened_later_is_asked_about(play: Play) -> None:
    """Ready, handed over, and worked on again: the CE says whether what was done stands."""
    domain, number = await provisioning(play)
    await play.built(domain)
    ce = (await play.status(domain)).ce
    await play.answer(domain, "hand_over", "hand_over", by=ce)
    await play.stage(domain, "onboarding")
    await play.on_issue(domain, number, do="close", told=False)
    await play.on_issue(domain, number, do="reopen")
    await question(play, domain, "provision-reopened", number, "was reopened after it had been done")
    await play.answer(domain, "provision-reopened", "holds", by=ce)
    await withdrawn(play, domain, "provision-reopened")
    assert (await play.status(domain)).stage == "onboarding"


# --- an extension ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "why"), DECLINES)
async def test_an_extension_that_is_declined_is_taken_back(play: Play, does: dict[str, Any], why: str) -> None:
    """The trial ends when it would have ended, the CRM says so, and the CE decides what then: nothing extends it again by itself."""
    domain, host = await prequalified(play)
    play.use(host)
    before = await play.status(domain)
    await play.update(domain, "extend", {"by": before.ce})
    await play.did(domain, "slack: slack.extend.1")
    number = (await play.issue(domain, "extend-1")).number
    await play.on_issue(domain, number, **does)
    await question(play, domain, "extension-1-declined", number, why)
    await play.answer(domain, "extension-1-declined", "take_back", by=before.ce, note="the region is full")
    await play.did(domain, "slack: slack.extend.1.back", "salesforce: crm.ends.2")
    after = await play.status(domain)
    assert (after.ends_at, after.total_days) == (before.ends_at, 15)
    assert play.effects(domain)[0] == sorted_by_system(
        [
            *day_0(host),
            "github: extend.1",
            "salesforce: crm.ends.1",
            "salesforce: crm.ends.2",
            "slack: slack.extend.1",
            "slack: task.extension-1-declined-1",
            "slack: slack.extend.1.back",
        ]
    )
    await play.skip(domain, days=16)
    assert (await play.task(domain, "deadline")).assignee == before.ce
    assert (await play.status(domain)).ends_at == before.ends_at
    assert [decision.outcome for decision in await play.dossier(domain)][:4] == ["2.2", "claimed", "extend", "take back"]
    await play.answer(domain, "deadline", "terminate", by=before.ce)
    assert (await gone(play, domain))["end"] == "terminated"


async def test_an_extension_that_is_done_is_left_alone_and_one_that_is_reopened_is_asked_about(play: Play) -> None:
    domain, _host = await prequalified(play)
    before = await play.status(domain)
    await play.update(domain, "extend", {"by": before.ce})
    number = (await play.issue(domain, "extend-1")).number
    await play.did(domain, "slack: slack.extend.1")
    await play.on_issue(domain, number, do="close")
    await play.quiet(domain)
    assert await play.tasks(domain) == []
    await play.on_issue(domain, number, do="reopen")
    await question(play, domain, "extension-1-reopened", number, "was reopened")
    await play.answer(domain, "extension-1-reopened", "take_back", by=before.ce)
    await play.did(domain, "slack: slack.extend.1.back")
    assert (await play.status(domain)).ends_at == before.ends_at


# --- a conversion ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "why"), DECLINES)
async def test_a_conversion_that_is_declined_makes_no_customer(play: Play, does: dict[str, Any], why: str) -> None:
    """No key, no mail, no word to the CRM, no paid instance in the registry; taken back, the trial goes on, and may be converted later."""
    domain, host = await prequalified(play)
    ce = (await play.status(domain)).ce
    await play.update(domain, "convert", {"seats": 10, "by": ce})
    await play.task(domain, "conversion")
    number = (await play.issue(domain, "convert")).number
    await play.on_issue(domain, number, **does)
    await question(play, domain, "conversion-declined", number, why)
    assert (await play.status(domain)).stage == "converting"
    await play.quiet(domain)
    assert play.effects(domain)[0] == sorted_by_system(
        [*day_0(host), "github: convert", "slack: task.conversion-1", "slack: task.conversion-declined-1"]
    )
    await play.answer(domain, "conversion-declined", "take_back", by=ce, note="not on that cluster")
    await play.stage(domain, "onboarding")
    assert await play.tasks(domain) == []
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.kind, owned.host) == ("trial", host)
    assert [mail for mail in play.mails(f"bo@{domain}") if "customer" in mail.lower()] == []
    await play.update(domain, "convert", {"seats": 20, "by": ce})
    second = await eventually(lambda: another(play, domain, "convert", number))
    await play.on_issue(domain, second, do="close")
    assert (await play.ended(domain))["end"] == "converted"
    effects = play.effects(domain)[0]
    assert {*CONVERTED, "github: convert.2", f"registry: convert:{host}", "salesforce: crm.outcome", "slack: slack.converted"} <= set(
        effects
    )
    assert play.licence(domain)["seats"] == 30


async def test_a_conversion_that_cannot_be_made_is_asked_about_as_well(play: Play) -> None:
    domain, host = await prequalified(play)
    ce = (await play.status(domain)).ce
    await play.update(domain, "convert", {"seats": 10, "by": ce})
    await play.answer(domain, "conversion", "failed", by="cloud-1@tenure.example", note="the disk is too small")
    number = (await play.issue(domain, "convert")).number
    task = await question(play, domain, "conversion-declined", number, "cannot be done")
    assert "the disk is too small" in task.asks
    await play.answer(domain, "conversion-declined", "again", by=ce)
    await play.made_production(domain)
    assert (await play.ended(domain))["end"] == "converted"
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.kind, owned.host) == ("production", host)


async def test_the_trials_key_stays_good_while_the_cloud_team_converts(play: Play) -> None:
    """Weeks later nobody has said a word: the team and the CE are reminded, and the key in the instance has not ended."""
    play.set(provisioning__poll_hours=168)  # the server skips no more than so many times
    domain, _host = await prequalified(play)
    await play.update(domain, "convert", {"seats": 10, "by": (await play.status(domain)).ce})
    await play.task(domain, "conversion")
    await play.skip(domain, days=50)
    assert (await play.status(domain)).stage == "converting"
    later = [effect for day in play.effects(domain).values() for effect in day]
    assert "slack: task.conversion-1.reminder-3" in later
    renewed = [effect for effect in later if effect.startswith("instance: instance.key.wait.")]
    assert renewed
    assert "instance: instance.key.production" not in later
    await play.made_production(domain)
    assert (await play.ended(domain))["end"] == "converted"


async def test_polling_hears_that_a_conversion_is_done(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.update(domain, "convert", {"seats": 10, "by": (await play.status(domain)).ce})
    await play.task(domain, "conversion")
    await play.quiet(domain)
    await play.on_issue(domain, (await play.issue(domain, "convert")).number, do="close", told=False)
    await play.skip(domain, hours=play.policy.provisioning.poll_hours + 0.2)
    assert (await play.ended(domain))["end"] == "converted"


# --- a teardown ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "why"), DECLINES)
async def test_a_teardown_that_is_declined_leaves_the_instance_standing(play: Play, does: dict[str, Any], why: str) -> None:
    """A16: domain and capacity stay taken until it is gone; raised again and closed as done, they are free."""
    domain, host = await prequalified(play)
    ce = (await play.status(domain)).ce
    await play.update(domain, "terminate", {"by": ce})
    number = (await play.issue(domain, "teardown")).number
    await play.task(domain, "teardown")
    await play.on_issue(domain, number, **does)
    await question(play, domain, "teardown-declined", number, why)
    await play.signal(domain, "issue_event", {"issue": number, "action": "closed", "state": "closed", "reason": "not_planned"})
    await play.quiet(domain)
    assert (await play.status(domain)).stage == "teardown"
    assert play.registry.instance_of(domain) is not None
    await play.answer(domain, "teardown-declined", "again", by=ce)
    second = await eventually(lambda: another(play, domain, "teardown", number))
    await play.on_issue(domain, second, do="close")
    assert (await play.ended(domain))["end"] == "terminated"
    assert play.registry.instance_of(domain) is None
    added = ["github: teardown.2", "slack: task.teardown-2", "slack: task.teardown-declined-1"]
    assert sorted(play.effects(domain)[0]) == sorted([*day_0(host), *TORN_DOWN, *added])


async def test_polling_hears_of_a_teardown_too_and_asks_once(play: Play) -> None:
    domain, _host = await prequalified(play)
    await play.update(domain, "terminate", {"by": (await play.status(domain)).ce})
    number = (await play.issue(domain, "teardown")).number
    await play.task(domain, "teardown")
    await play.quiet(domain)
    await play.on_issue(domain, number, do="close", reason="not_planned", told=False)
    for _ in range(2):
        await play.skip(domain, days=play.policy.termination.poll_days + 0.1)
    assert sorted(task.kind for task in await play.tasks(domain)) == ["teardown", "teardown-declined"]
    await play.on_issue(domain, number, do="reopen", told=False)
    await play.on_issue(domain, number, do="close", told=False)
    await play.skip(domain, days=play.policy.termination.poll_days + 0.1)
    assert (await play.ended(domain))["end"] == "terminated"


# --- a move ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("does", "why"), DECLINES)
async def test_a_move_that_is_declined_has_not_happened(play: Play, does: dict[str, Any], why: str) -> None:
    """A20: registry and trial keep the host, and so do the mails; the CE says that it keeps its name."""
    domain, host, _new_host, change = await asked(play)
    ce = (await play.status(domain)).ce
    await play.answer(change, "consent", "agreed")
    await play.task(change, "move")
    number = await play.issue_of(change, "domain_change")
    await play.on_issue(change, number, **does)
    await question(play, change, "move-declined", number, why)
    await play.answer(change, "move-declined", "failed", by=ce, note="the name is taken")
    assert await play.ended(change) == "failed"
    assert play.effects(change) == {
        0: ["github: domain_change", *WARNED, "slack: task.move-1", "slack: task.move-declined-1", "slack: slack.not_moved"]
    }
    assert (await play.status(domain)).host == host
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.host, owned.internal) == (host, None)


async def test_a_move_that_is_raised_again_is_made(play: Play) -> None:
    domain, host, new_host, change = await asked(play)
    ce = (await play.status(domain)).ce
    await play.answer(change, "consent", "agreed")
    await play.task(change, "move")
    await play.on_issue(change, await play.issue_of(change, "domain_change"), do="delete")
    await play.answer(change, "move-declined", "again", by=ce)
    second = await play.issue_of(change, "domain_change.2")
    play.sandbox.world.services["instances"].rename(host, new_host, keep=True)
    await play.on_issue(change, second, do="close")
    await play.answer(change, "verify", "verified")
    assert await play.ended(change) == "moved"
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.host, owned.internal) == (new_host, host)


# --- after the end ---------------------------------------------------------------------------------------------------------------


async def test_a_request_that_is_reopened_when_its_trial_has_ended_is_asked_about(play: Play) -> None:
    """A customer whose conversion the Cloud team takes up again: their CE hears of it, and is chased until somebody says what holds."""
    domain, _host = await prequalified(play)
    ce = (await play.status(domain)).ce
    await play.update(domain, "convert", {"seats": 10, "by": ce})
    number = (await play.issue(domain, "convert")).number
    await play.on_issue(domain, number, do="close")
    assert (await play.ended(domain))["end"] == "converted"
    with play.env.with_time_skipping_disabled():
        late = await play.tenure.late_word(ids.trial(domain), number)
        assert await play.tenure.late_word(ids.trial(domain), number) == late
        assert await play.tenure.late_word("trial-of-another-deployment.example", number) == ""
    task = await play.task(late, "late-word")
    assert (task.assignee, task.role) == (ce, "ce")
    assert task.asked_next_at is not None
    await play.skip_to(late, task.asked_next_at)
    await play.did(late, "slack: task.late-word-1.reminder-1")
    await play.answer(late, "late-word", "mine", by=ce)
    assert await play.ended(late) == "mine"
    assert [effect for day in play.effects(late).values() for effect in day] == [
        "slack: task.late-word-1",
        "slack: task.late-word-1.reminder-1",
    ]


async def told(play: Play, domain: str) -> int:
    """How often a trial was told of an issue."""
    history = await play.trial(domain).fetch_history()
    return sum(event.workflow_execution_signaled_event_attributes.signal_name == "issue_event" for event in history.events)


async def test_a_reopening_of_which_no_webhook_told_is_found(play: Play) -> None:
    """Of a trial that runs, and of one that has ended; each once, until it is closed."""
    domain, number = await provisioning(play)
    await play.built(domain)
    ce = (await play.status(domain)).ce
    await play.answer(domain, "hand_over", "hand_over", by=ce)
    await play.stage(domain, "onboarding")
    await play.on_issue(domain, number, do="close", told=False)
    customer, _host = await prequalified(play)
    await play.update(customer, "convert", {"seats": 10, "by": (await play.status(customer)).ce})
    converted = (await play.issue(customer, "convert")).number
    await play.on_issue(customer, converted, do="close")
    assert (await play.ended(customer))["end"] == "converted"
    late = ids.late_word(ids.trial(customer), converted)

    async def rounds(times: int) -> None:
        with play.env.with_time_skipping_disabled():
            assert await scheduled(play, "FindReopened", times) == [[]] * times

    await rounds(1)
    before = await told(play, domain)
    for issue in (number, converted):
        await play.on_issue(domain, issue, do="reopen", told=False)
    await rounds(2)
    await question(play, domain, "provision-reopened", number, "was reopened after it had been done")
    assert (await play.task(late, "late-word")).kind == "late-word"
    assert await told(play, domain) == before + 1
