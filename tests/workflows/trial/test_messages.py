"""What anybody may send to a trial: nonsense changes nothing and stops nothing, and each message does what it says, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from temporalio.client import WorkflowUpdateFailedError

from domain.trial.state import Stage
from domain.views import TrialStatus
from store.vault import Opened
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import ALL_YES, SDR, day_0, gone, prequalified, unknown

CE = "ce-ada@tenure.example"
DEEP: Any = [[[[[[[[[[[[{"a": [1, {}]}]]]]]]]]]]]]
NOBODY: tuple[Any, ...] = ("now", "", [], [1, 2], 7, -1, 10**40, 1.5, True, "x" * 20_000, DEEP)
"""What is no JSON object at all."""

#: For each message what is an object, and still cannot be taken. An empty ``terminate``, ``opt_out``, ``new_link`` or ``extend`` can.
WRONG: dict[str, tuple[Any, ...]] = {
    "extend": ({"days": "soon"}, {"days": 0}, {"days": -5}, {"days": 10**9}, {"days": 1.5}, {"days": [15]}, {"by": 7}, {"reason": "x" * 2_001}),
    "convert": (None, {}, {"seats": 0}, {"seats": "many"}, {"seats": 10**12}, {"seats": 5, "contract_end": "soon"}, {"seats": 5, "contract_end": "2001-01-01"}),
    "terminate": ({"by": []}, {"reason": {}}, {"feedback": "perhaps"}, {"reason": "x" * 2_001}),
    "answer": (None, {}, {"task": "triage"}, {"task": "nothing", "choice": "yes", "by": CE}, {"task": 1, "choice": 2, "by": 3}),
    "change_domain": (None, {}, {"new_host": 5}, {"new_host": "no host"}, {"new_host": "x" * 254}),
    "correct_admin": (None, {}, {"email": 5}, {"email": "nobody"}, {"email": "ada@elsewhere.example"}, {"email": "x" * 255}),
    "request_feedback": ({"by": 1},),
    "new_link": ({"by": ["me"]},),
    "opt_out": ({"by": {}},),
}  # fmt: skip


async def noted(play: Play, domain: str, number: int) -> TrialStatus:
    """The status, once so many signals were noted."""

    async def look() -> TrialStatus | None:
        status = await play.status(domain)
        return status if len(status.notes) >= number else None

    found = await eventually(look)
    assert found is not None
    assert len(found.notes) == number
    return found


def unchanged(before: TrialStatus, after: TrialStatus) -> None:
    """The trial stands where it stood."""
    assert after.model_copy(update={"notes": before.notes}) == before


# --- nonsense ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [sorted(WRONG)[at : at + 2] for at in range(0, len(WRONG), 2)], ids="-".join)
async def test_a_signal_of_nonsense_is_noted_and_changes_nothing(play: Play, names: list[str]) -> None:
    """Whatever the Web UI or a script sends; that no workflow task failed is asserted for every test."""
    domain, host = await prequalified(play)
    before, sent = await play.status(domain), [(name, message) for name in names for message in (*NOBODY, *WRONG[name])]
    for name, message in sent:
        await play.signal(domain, name, message)
    after = await noted(play, domain, len(sent))
    # Each is judged by itself, so a later one may be noted first.
    assert sorted(note.split(" signal ")[1].split(" refused: ")[0] for note in after.notes) == sorted(name for name, _ in sent)
    assert all(len(note) < 600 for note in after.notes)
    unchanged(before, after)
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_an_update_of_nonsense_is_refused_with_words(play: Play) -> None:
    """The caller reads what is wrong and which fields there are; nothing is noted, since they were told."""
    domain, host = await prequalified(play)
    before = await play.status(domain)
    for name, wrong in WRONG.items():
        for message in NOBODY:
            refusal = await play.refused(domain, name, message)
            assert "cannot read the message" in refusal
            assert "Send a JSON object with: " in refusal
            assert len(refusal) < 2_000
        for message in wrong:
            assert (await play.refused(domain, name, message)).startswith("Refused: ")
    assert await play.status(domain) == before
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_payloads_too_many_or_none(play: Play) -> None:
    """No payload is an empty message, and what comes after the first payload is not read."""
    domain, _ = await prequalified(play)
    for name in WRONG:
        await play.signal(domain, name, 7, {"by": CE}, "more")
    await noted(play, domain, len(WRONG))
    assert "cannot read the message" in await play.refused(domain, "extend", 7, "more", None)
    assert "say how many seats" in await play.refused(domain, "convert")
    await play.signal(domain, "convert")
    await play.signal(domain, "answer")
    await noted(play, domain, len(WRONG) + 2)
    assert "extend: taken" in await play.update(domain, "extend")
    assert (await play.stage(domain, "extended")).total_days == 30


async def test_the_ways_in_refuse_nonsense(play: Play) -> None:
    """Not through our forms, but straight to the server."""
    domain, host = await prequalified(play)
    before = await play.status(domain)
    wrong: tuple[Any, ...] = (None, "bo", 7, [], {}, {"contact": "bo"}, {"contact": {"email": 5}}, {"contact": {"email": "x" * 255}})
    for name in ("signup", "request", "join"):
        for message in wrong:
            with pytest.raises(WorkflowUpdateFailedError):
                await play.update(domain, name, message)
    assert await play.status(domain) == before
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_signals_that_only_programs_send(play: Play) -> None:
    """Issue events and hosts are checked like everything else: our operators' token goes where the trial believes its instance to be."""
    domain, host = await prequalified(play)
    before = await play.status(domain)
    for message in (*NOBODY, None, {}, {"issue": "one"}, {"issue": 1, "state": "gone"}, {"issue": 1, "labels": 5}):
        await play.signal(domain, "issue_event", message)
    hosts: tuple[Any, ...] = ("", "x", 5, None, [], "https://evil.example/", "a b.example", host)
    for message in hosts:
        await play.signal(domain, "rehosted", message)
    await play.signal(domain, "capacity_freed", "now", 2)
    await play.signal(domain, "nobody_knows_this_signal", {"by": CE}, [], "more")
    await play.signal(domain, "issue_event", {"issue": 10**18, "action": "closed", "state": "closed", "host": "evil.example"})
    after = await noted(play, domain, len(NOBODY) + 5 + len(hosts) + 1)
    assert sum("signal nobody_knows_this_signal refused: there is no such signal; send one of: answer" in note for note in after.notes) == 1
    unchanged(before, after)
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_only_so_many_notes_are_kept(play: Play) -> None:
    """A flood of nonsense fills no memory."""
    domain, _ = await prequalified(play)
    for _ in range(60):
        await play.signal(domain, "extend", "x" * 1_000)
    await play.update(domain, "extend", {"by": CE})
    assert len((await play.status(domain)).notes) == 50


# --- answers -----------------------------------------------------------------------------------------------------------------------


async def test_answers_that_cannot_be_taken_say_why(play: Play) -> None:
    """An unknown task, choice or check, and nobody's answer: each says what there is instead."""
    domain = await unknown(play)
    await play.task(domain, "triage")
    good = {"task": "triage-1", "choice": "qualify", "by": SDR, "checks": ALL_YES}
    assert "there is no task 'triage-9'; open tasks: triage-1" in await play.refused(domain, "answer", {**good, "task": "triage-9"})
    assert "choose one of: qualify, disqualify" in await play.refused(domain, "answer", {**good, "choice": "maybe"})
    assert "unknown checks tall" in await play.refused(domain, "answer", {**good, "checks": {**ALL_YES, "tall": True}})
    assert "say who answers" in await play.refused(domain, "answer", {**good, "by": "  "})
    assert (await play.stage(domain, "triage")).open_tasks == (f"trial-{domain}:triage-1",)
    await play.update(domain, "answer", {**good, "task": f"trial-{domain}:triage-1"})
    await play.stage(domain, "provisioning")


async def test_a_late_answer_says_who_answered_and_when(play: Play) -> None:
    domain = await unknown(play)
    await play.task(domain, "triage")
    before = datetime.now(UTC)
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    days = {f"{at:%Y-%m-%d}" for at in (before, datetime.now(UTC))}  # two, when it strikes midnight
    late = await play.refused(domain, "answer", {"task": "triage-1", "choice": "disqualify", "by": "sdr-noor@tenure.example"})
    assert any(f"triage-1 was answered by {SDR} at {day}" in late for day in days)
    assert "with 'qualify'; nothing was changed" in late
    await play.signal(domain, "answer", {"task": "triage-1", "choice": "disqualify", "by": "sdr-noor@tenure.example"})
    status = await noted(play, domain, 1)
    assert SDR in status.notes[0]
    await play.stage(domain, "provisioning")


async def test_a_double_click_is_one_answer(play: Play) -> None:
    """The same update id, at once and again later: the same words, and one answer."""
    domain = await unknown(play)
    await play.task(domain, "triage")
    said = {"task": "triage-1", "choice": "disqualify", "by": SDR}
    both = await asyncio.gather(*(play.update(domain, "answer", said, event="click-1") for _ in range(2)))
    assert both == ["triage-1: disqualify, taken"] * 2
    assert (await play.ended(domain))["end"] == "disqualified"
    assert await play.update(domain, "answer", said, event="click-1") == both[0]
    assert play.effects(domain) == {
        0: [
            "mail: mail.disqualified",
            "salesforce: crm.lead",
            "salesforce: crm.disqualified",
            "slack: task.triage-1",
            "slack: slack.disqualified",
        ]
    }


async def test_signals_and_updates_of_one_name_mean_the_same(play: Play) -> None:
    """`temporal workflow signal --name extend` does what the card does."""
    domain, _ = await prequalified(play)
    await play.signal(domain, "extend", {"by": CE, "days": 5})
    assert (await play.stage(domain, "extended")).total_days == 20
    await play.did(domain, "slack: slack.extend.1")
    await play.signal(domain, "terminate", {"by": CE})
    await play.task(domain, "teardown")
    await play.signal(domain, "answer", {"task": "teardown", "choice": "done", "by": "cloud-oncall@tenure.example"})
    assert (await play.ended(domain))["end"] == "terminated"


# --- what they do ------------------------------------------------------------------------------------------------------------------


async def test_opting_out_stops_the_campaign_and_nothing_else(play: Play) -> None:
    """A11: no onboarding mail from now on; the warning that the trial will end, and the notice that it did, still come."""
    domain, host = await prequalified(play)
    await play.skip(domain, days=2.1)
    await play.did(domain, "mail: mail.connect_code_host")
    assert await play.update(domain, "opt_out", {"by": f"bo@{domain}"}) == "no more onboarding mail"
    assert await play.update(domain, "opt_out") == "no more onboarding mail"
    assert (await play.status(domain)).opted_out
    await play.skip(domain, days=13)
    await gone(play, domain)
    assert play.effects(domain) == {
        0: day_0(host),
        2: ["mail: mail.connect_code_host", "registry: stop_mail"],
        10: ["mail: mail.inactivity_warning"],
        12: ["slack: task.deadline-1"],
        15: [
            "github: teardown",
            "mail: mail.terminated",
            "registry: release",
            "salesforce: crm.outcome",
            "slack: slack.terminating",
            "slack: task.teardown-1",
            "slack: slack.terminated",
            "slack: slack.archive",
        ],
    }


async def test_a_mail_that_waits_for_a_retry_is_not_sent_after_opting_out(play: Play) -> None:
    """A11: the mail server was down when the mail was due, and is back after the prospect has opted out."""
    domain, _ = await prequalified(play)
    had = len(play.box(f"bo@{domain}"))
    play.fault("smtp", "status", status=451, times=10_000)
    await play.skip(domain, days=2, hours=0.01)
    await play.quiet(domain, but="mail")
    await play.update(domain, "opt_out", {"by": f"bo@{domain}"})
    play.sandbox.world.faults.clear()
    await play.skip(domain, hours=0.1)
    await play.quiet(domain)
    assert len(play.box(f"bo@{domain}")) == had
    assert not [key for day in play.effects(domain).values() for key in day if "connect_code_host" in key]


async def test_a_new_link_is_another_one_and_is_mailed(play: Play) -> None:
    """C17: asked for twice, each a link of its own, and none kills another before one of them is opened."""
    domain, host = await prequalified(play)
    for _ in (1, 2):
        assert await play.update(domain, "new_link", {"by": CE}) == "a new link is on its way to the admin's mailbox"
    await play.did(domain, "mail: mail.link-1", "mail: mail.link-2")
    await play.quiet(domain)
    mails = ["mail: mail.link-1", "mail: mail.link-2"]
    first = day_0(host)
    assert play.effects(domain) == {0: [*first[:4], *mails, *first[4:]]}
    tokens = play.links(f"bo@{domain}")
    assert len(set(tokens)) == 3
    # The oldest: the newer ones were asked for, and it works all the same. Then it was the one that counted.
    shown = [await play.opens(f"bo@{domain}", tokens[0])]
    assert httpx.get(shown[0]).status_code == 200
    for token in tokens:
        with pytest.raises(Opened):
            await play.opens(f"bo@{domain}", token)
    assert httpx.get(shown[0]).status_code == 200
    assert play.effects(domain) == {
        0: [*first[:2], "instance: instance.link-1", *first[2:4], *mails, first[4], first[5], f"registry: confirm:{host}", *first[6:]]
    }
    assert not any(url in mail.text for url in shown for mail in play.box(f"bo@{domain}"))


async def test_feedback_is_asked_for_and_goes_out_when_the_trial_has_failed(play: Play) -> None:
    """A18: asked for while it runs, sent when it has ended without a sale, once."""
    domain, _ = await prequalified(play)
    assert "goes out when the trial ends" in await play.update(domain, "request_feedback", {"by": CE})
    assert "asked for already" in await play.refused(domain, "request_feedback", {"by": CE})
    await play.update(domain, "terminate", {"by": CE})
    await gone(play, domain)
    sent = [effect for effect in play.effects(domain)[0] if effect.startswith("mail:")]
    assert sent == ["mail: mail.instant_access", "mail: mail.ce_welcome", "mail: mail.terminated", "mail: mail.feedback"]


async def test_feedback_of_a_sale_is_never_asked_for(play: Play) -> None:
    domain, _ = await prequalified(play)
    await play.update(domain, "request_feedback", {"by": CE})
    await play.update(domain, "convert", {"by": CE, "seats": 5})
    await play.made_production(domain)
    assert (await play.ended(domain))["end"] == "converted"
    assert "mail: mail.feedback" not in play.effects(domain)[0]


async def test_what_needs_an_instance_is_refused_before_there_is_one(play: Play) -> None:
    """Too early, and the refusal says where the trial stands."""
    domain = await unknown(play)
    await play.stage(domain, Stage.TRIAGE)
    for name in ("new_link", "change_domain", "extend", "convert"):
        refusal = await play.refused(domain, name, {"by": CE, "seats": 5, "new_host": f"code.{domain}"})
        assert "no running instance" in refusal or "the trial has not started (stage triage)" in refusal


async def test_everything_is_refused_once_it_has_ended(play: Play) -> None:
    """While the instance is torn down: too late, in words; a feedback mail may still be asked for."""
    domain, _ = await prequalified(play)
    await play.update(domain, "terminate", {"by": CE})
    await play.stage(domain, "teardown")
    for name in ("extend", "convert", "terminate"):
        assert "too late" in await play.refused(domain, name, {"by": CE, "seats": 5})
    assert "no running instance" in await play.refused(domain, "new_link", {"by": CE})
    assert "being torn down" in await play.refused(domain, "join", {"contact": {"email": f"eve@{domain}"}})
    assert "on its way" in await play.update(domain, "request_feedback", {"by": CE})
    await play.did(domain, "mail: mail.feedback")
    assert (await gone(play, domain))["end"] == "terminated"
