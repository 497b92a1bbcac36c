"""Slack's activity against the sandbox: each act once, whatever is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.slack.blocks import SECTION_LIMIT, blocks_of
from activities.slack.client import EVENT_TYPE
from activities.slack.effects import Slack
from domain.effects.effect import EffectBatch
from domain.effects.slack import ArchiveChannel, OpenChannel, Post, SlackEffect
from domain.markup import bold
from sandbox.core import Fault
from sandbox.server import SandboxServer
from sandbox.slack_workspace import BOT_USER, Channel
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings

SUBJECT = "trial-acme.example/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAME = "cloud-trial-acme"
CE = "ce-ada@tenure.example"
OPEN = OpenChannel(key="channel", name=NAME, topic="Acme & Co: trial", invite=(CE, "nobody@elsewhere.example"))


@pytest.fixture
def slack(settings: Settings, ledger: Ledger) -> Slack:
    return Slack.from_settings(settings, ledger)


def batch(*acts: SlackEffect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "slack"]


def channel(sandbox: SandboxServer, name: str) -> Channel:
    found: Channel = next(one for one in sandbox.world.services["slack"].channels.values() if one.name == name)
    return found


def posted(sandbox: SandboxServer, name: str) -> list[dict[str, Any]]:
    return [message for message in channel(sandbox, name).messages.values() if message.get("metadata", {}).get("event_type") == EVENT_TYPE]


def test_opens_a_channel_with_topic_and_people(slack: Slack, sandbox: SandboxServer) -> None:
    receipt = slack.carry_out(batch(OPEN)).of("channel")
    made = channel(sandbox, NAME)
    assert receipt.ref == made.id
    assert receipt.data == {"name": NAME, "asked": NAME, "not_invited": "nobody@elsewhere.example"}
    assert made.topic == "Acme &amp; Co: trial"
    assert sandbox.world.services["slack"].user_by_email(CE).id in made.members
    assert done(sandbox) == ["channel.created", "channel.topic_set", "channel.invited"]


def test_a_second_run_is_answered_from_the_ledger(slack: Slack, sandbox: SandboxServer) -> None:
    acts = (OPEN, Post(key="hello", channel=NAME, text="Hello"))
    first = slack.carry_out(batch(*acts))
    before = done(sandbox)
    sandbox.world.faults.append(Fault("slack", "status", times=100))
    assert slack.carry_out(batch(*acts)) == first
    assert done(sandbox) == before


@pytest.mark.parametrize("method", ["conversations.create", "conversations.setTopic", "conversations.invite", "chat.postMessage"])
def test_a_lost_answer_makes_nothing_twice(slack: Slack, sandbox: SandboxServer, method: str) -> None:
    acts = (OPEN, Post(key="hello", channel=NAME, text="Hello"))
    sandbox.world.faults.append(Fault("slack", "cut_after", match=method))
    with pytest.raises(ApplicationError, match=r"waiting: .*hello") as caught:
        slack.carry_out(batch(*acts))
    assert not caught.value.non_retryable
    assert not isinstance(caught.value, NotDone)
    slack.carry_out(batch(*acts))
    assert len(done(sandbox)) == len(set(done(sandbox))) == 4
    assert len(posted(sandbox, NAME)) == 1


@pytest.mark.parametrize("kind", ["cut_before", "status"])
def test_a_request_that_never_acted_is_made_again(slack: Slack, sandbox: SandboxServer, kind: Any) -> None:
    sandbox.world.faults.append(Fault("slack", kind, match="chat.postMessage", status=503))
    acts = (Post(key="alert", channel="cloud-trial-alerts", text="New signup"),)
    with pytest.raises(ApplicationError) as caught:
        slack.carry_out(batch(*acts))
    assert caught.value.type == "SlackUnsure"
    slack.carry_out(batch(*acts))
    assert done(sandbox) == ["message.posted"]


@pytest.mark.parametrize("lost", ["Taken", "Still open"])
def test_a_lost_reply_in_a_thread_is_found_there(slack: Slack, sandbox: SandboxServer, lost: str) -> None:
    parent = Post(key="alert", channel="cloud-trial-alerts", text="New signup")
    reply = Post(key="answer", channel="cloud-trial-alerts", text="Taken", under="alert")
    under_the_reply = Post(key="reminder", channel="cloud-trial-alerts", text="Still open", under="answer")
    sandbox.world.faults.append(Fault("slack", "cut_after", match=lost))
    with pytest.raises(ApplicationError):
        slack.carry_out(batch(parent, reply, under_the_reply))
    receipts = slack.carry_out(batch(parent, reply, under_the_reply))
    first, second, third = posted(sandbox, "cloud-trial-alerts")
    assert second["thread_ts"] == third["thread_ts"] == first["ts"] == receipts.of("alert").ref
    where = {"channel": channel(sandbox, "cloud-trial-alerts").id, "thread": first["ts"]}
    for key, message in (("answer", second), ("reminder", third)):
        assert (receipts.of(key).ref, receipts.of(key).data) == (message["ts"], where)


def test_the_mark_is_the_effect_and_no_other_trials_message_is_taken_for_it(slack: Slack, sandbox: SandboxServer) -> None:
    post = Post(key="alert", channel="cloud-trial-alerts", text="New signup")
    slack.carry_out(batch(post, subject="trial-acme.example/ab12cd34.01"))
    sandbox.world.faults.append(Fault("slack", "cut_before", match="chat.postMessage"))
    with pytest.raises(ApplicationError):
        slack.carry_out(batch(post))
    slack.carry_out(batch(post))
    keys = [message["metadata"]["event_payload"]["key"] for message in posted(sandbox, "cloud-trial-alerts")]
    assert keys == ["trial-acme.example/ab12cd34.01/alert", f"{SUBJECT}/alert"]


def test_a_rate_limit_names_when_to_try_again(slack: Slack, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("slack", "rate_limit", retry_after=7))
    with pytest.raises(NotDone) as caught:
        slack.carry_out(batch(Post(key="alert", channel="cloud-trial-alerts", text="x")))
    assert caught.value.type == "SlackRateLimited"
    assert caught.value.next_retry_delay == timedelta(seconds=7)


def test_a_bad_token_is_tried_again_when_it_may_be_mended(sandbox: SandboxServer, settings: Settings, ledger: Ledger) -> None:
    wrong = Slack.from_settings(settings.model_copy(update={"slack_token": type(settings.slack_token)("xoxp-wrong")}), ledger)
    with pytest.raises(NotDone) as caught:
        wrong.carry_out(batch(Post(key="alert", channel="cloud-trial-alerts", text="x")))
    assert (caught.value.type, caught.value.non_retryable) == ("SlackForbidden", False)
    assert caught.value.next_retry_delay == timedelta(minutes=5)
    assert "xoxp-wrong" not in caught.value.message


def test_an_unreachable_slack_did_nothing(settings: Settings, ledger: Ledger) -> None:
    gone = Slack.from_settings(settings.model_copy(update={"slack_url": "http://127.0.0.1:9/api/"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(Post(key="alert", channel="cloud-trial-alerts", text="x")))
    assert caught.value.type == "SlackUnreachable"
    assert ledger.effects(SUBJECT) == []


def test_an_archived_name_is_not_revived_but_numbered(slack: Slack, sandbox: SandboxServer) -> None:
    join = "join-acme.example-12/ab12cd34.0"
    slack.carry_out(batch(OPEN, Post(key="hello", channel=NAME, text="First trial")))
    slack.carry_out(batch(Post(key="early", channel=NAME, text="Somebody asks"), subject=join))
    assert [message["text"] for message in posted(sandbox, NAME)] == ["First trial", "Somebody asks"]
    slack.carry_out(batch(ArchiveChannel(key="end", name=NAME)))
    assert channel(sandbox, NAME).is_archived
    again = "trial-acme.example/ef56ab78.0"
    receipts = slack.carry_out(batch(OPEN, Post(key="hello", channel=NAME, text="Second trial"), subject=again))
    assert receipts.of("channel").data["name"] == f"{NAME}-2"
    assert [message["text"] for message in posted(sandbox, f"{NAME}-2")] == ["Second trial"]
    # A subject that opened no channel means the newest.
    slack.carry_out(batch(Post(key="late", channel=NAME, text="Somebody asks"), subject=join))
    assert [message["text"] for message in posted(sandbox, f"{NAME}-2")] == ["Second trial", "Somebody asks"]
    slack.carry_out(batch(ArchiveChannel(key="end", name=NAME), subject=again))
    assert channel(sandbox, f"{NAME}-2").is_archived


def test_archiving_what_people_archived_is_fine(slack: Slack, sandbox: SandboxServer) -> None:
    slack.carry_out(batch(OPEN))
    sandbox.world.services["slack"].archive(channel(sandbox, NAME))
    assert slack.carry_out(batch(ArchiveChannel(key="end", name=NAME))).of("end").ref == channel(sandbox, NAME).id
    assert slack.carry_out(batch(ArchiveChannel(key="never", name="cloud-trial-never"))).of("never").ref == ""


def test_a_message_to_an_archived_channel_comes_to_the_alerts(slack: Slack, sandbox: SandboxServer) -> None:
    slack.carry_out(batch(OPEN))
    sandbox.world.services["slack"].archive(channel(sandbox, NAME))
    post = Post(key="d15", channel=NAME, text="Day 15: extended")
    sandbox.world.faults.append(Fault("slack", "cut_after", match="is gone"))
    with pytest.raises(ApplicationError):
        slack.carry_out(batch(post))
    receipt = slack.carry_out(batch(post)).of("d15")
    (message,) = posted(sandbox, "cloud-trial-alerts")
    assert f"#{NAME} is gone" in message["text"]
    assert receipt.ref == message["ts"]


def test_a_channel_that_never_was_and_no_alerts_channel_is_refused(settings: Settings, ledger: Ledger) -> None:
    slack = Slack.from_settings(settings.model_copy(update={"slack_alerts_channel": "no-such"}), ledger)
    with pytest.raises(NotDone, match="create it") as caught:
        slack.carry_out(batch(Post(key="x", channel="nowhere", text="x")))
    assert caught.value.non_retryable


def test_mentions_come_first_and_unknown_people_by_address(slack: Slack, sandbox: SandboxServer) -> None:
    post = Post(key="ask", channel="cloud-trial-alerts", text="please triage", mention=(CE, "<x>@elsewhere.example"))
    slack.carry_out(batch(post))
    (message,) = posted(sandbox, "cloud-trial-alerts")
    user = sandbox.world.services["slack"].user_by_email(CE).id
    assert message["text"] == f"<@{user}> &lt;x&gt;@elsewhere.example please triage"


def test_a_task_card_shows_choices_and_how_to_answer(slack: Slack, sandbox: SandboxServer) -> None:
    post = Post(
        key="card",
        channel="cloud-trial-alerts",
        text=f"{bold('Triage acme.example')}\nA new signup waits.",
        task="triage-1",
        choices=(("qualify", "Qualify"), ("disqualify", "Disqualify, with a reason")),
        mention=(CE,),
    )
    slack.carry_out(batch(post))
    (message,) = posted(sandbox, "cloud-trial-alerts")
    header, body, choices, how = message["blocks"]
    assert header["text"]["text"] == "Triage acme.example"
    assert body["text"]["text"].endswith("\nA new signup waits.")
    assert choices["text"]["text"].splitlines()[1:] == ["•  `qualify`  Qualify", "•  `disqualify`  Disqualify, with a reason"]
    assert "tenure answer triage-1 CHOICE --by" in how["elements"][0]["text"]
    assert message["text"].startswith("<@U")


def test_long_text_is_cut_into_sections_and_nothing_is_lost() -> None:
    text = "\n".join(f"line {number} " + "x" * 90 for number in range(100))
    sections = [block["text"]["text"] for block in blocks_of(Post(key="k", channel="c", text=text), "")]
    assert len(sections) > 1
    assert all(len(section) <= SECTION_LIMIT for section in sections)
    assert "\n".join(sections) == text
    unbroken = "y" * (SECTION_LIMIT * 2 + 5)
    assert "".join(block["text"]["text"] for block in blocks_of(Post(key="k", channel="c", text=unbroken), "")) == unbroken


def test_no_cut_goes_through_an_entity() -> None:
    ands = "R&D " + "&" * SECTION_LIMIT * 2
    sections = [block["text"]["text"] for block in blocks_of(Post(key="k", channel="c", text=ands), "")]
    assert "".join(sections) == "R&amp;D " + "&amp;" * SECTION_LIMIT * 2
    assert all(section.endswith(";") and len(section) <= SECTION_LIMIT for section in sections)


def test_a_topic_of_others_is_words_and_is_set_once(slack: Slack, sandbox: SandboxServer) -> None:
    acme = OPEN.model_copy(update={"topic": "Cloud trial of <!channel> R&D <https://evil.example|Reset>" + "&" * 300})
    slack.carry_out(batch(acme))
    topic = channel(sandbox, NAME).topic
    assert topic.startswith("Cloud trial of &lt;!channel&gt; R&amp;D &lt;")
    assert len(topic) <= 250
    assert topic.endswith("&amp;")
    slack.carry_out(batch(acme, subject="trial-acme.example/ab12cd34.1"))
    assert done(sandbox).count("channel.topic_set") == 1


def test_receipts_of_a_subject_are_found_by_their_effect(slack: Slack, ledger: Ledger) -> None:
    receipts = slack.carry_out(batch(Post(key="alert", channel="cloud-trial-alerts", text="x")))
    assert ledger.receipt(EffectId(SUBJECT, "alert")) == receipts.of("alert")


# --- Whose a channel is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeded", "kind"),
    [
        ({}, "SlackNotOurs"),
        ({"shared": "ext"}, "SlackNotOurs"),
        ({"ours": True, "shared": "ext"}, "SlackShared"),
        ({"ours": True, "shared": "org"}, "SlackShared"),
        ({"ours": True, "shared": "pending"}, "SlackShared"),
    ],
)
def test_a_channel_found_by_its_name_that_is_not_ours_or_is_shared_is_a_task(
    slack: Slack, sandbox: SandboxServer, seeded: dict[str, Any], kind: str
) -> None:
    sandbox.world.services["slack"].seed({"channels": [{"name": NAME, "bot": False, **seeded}]})
    for act in (OPEN, Post(key="hello", channel=NAME, text="Hello"), ArchiveChannel(key="end", name=NAME)):
        with pytest.raises(NotDone) as caught:
            slack.carry_out(batch(act))
        assert (caught.value.type, caught.value.non_retryable) == (kind, True)
        assert f"#{NAME}" in caught.value.message
    assert done(sandbox) == []


def test_a_channel_of_ours_is_found_by_its_name_beside_a_twin_of_others(slack: Slack, sandbox: SandboxServer) -> None:
    sandbox.world.services["slack"].seed({"channels": [NAME, {"name": NAME, "twin": True, "ours": True}]})
    opened = slack.carry_out(batch(OPEN)).of("channel").ref
    assert sandbox.world.services["slack"].channels[opened].creator == BOT_USER


def test_nothing_is_said_in_a_channel_of_people_that_is_shared(slack: Slack, sandbox: SandboxServer) -> None:
    sandbox.world.services["slack"].seed({"channels": [{"name": "growth", "shared": "ext"}]})
    with pytest.raises(NotDone, match="another organisation") as caught:
        slack.carry_out(batch(Post(key="said", channel="growth", text="Acme's trial ends")))
    assert caught.value.non_retryable
    assert done(sandbox) == []
