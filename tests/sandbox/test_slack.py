"""The Slack stand-in, through slack_sdk and, where the library would tidy things up, through plain HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.metadata import Metadata

from sandbox.server import SandboxServer
from sandbox.slack_blocks import faults_of
from sandbox.slack_workspace import BOT_USER, DEFAULT_CHANNELS, SlackError, check_name, escape

MEMBERS = {"users": [{"email": "amber@tenure.example", "name": "amber", "id": "U1"}, {"email": "birch@tenure.example", "id": "U2"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    server.world.services["slack"].seed(MEMBERS)
    return server


@pytest.fixture
def slack(sandbox: SandboxServer) -> WebClient:
    return WebClient(token="xoxb-sandbox", base_url=f"{sandbox.url}/slack/api/", retry_handlers=[])


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def channel_id(slack: WebClient, name: str) -> str:
    channels: list[dict[str, Any]] = slack.conversations_list(limit=1000)["channels"]
    return str(next(channel["id"] for channel in channels if channel["name"] == name))


def refused(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(error.value.response["error"])


def texts(answer: Any) -> list[str]:
    return [message["text"] for message in answer["messages"]]


class TestRequests:
    def test_the_token_is_checked(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/slack/api/auth.test"
        assert httpx.post(url).json() == {"ok": False, "error": "not_authed"}
        assert httpx.post(url, headers={"Authorization": "Bearer xoxp-1"}).json() == {"ok": False, "error": "invalid_auth"}
        assert httpx.post(url, data={"token": "xoxb-sandbox"}).json()["user_id"] == BOT_USER

    def test_a_body_is_a_form_or_json(self, sandbox: SandboxServer) -> None:
        url, headers = f"{sandbox.url}/slack/api/chat.postMessage", {"Authorization": "Bearer xoxb-sandbox"}
        assert httpx.post(url, headers=headers, json={"channel": "growth", "text": "one"}).json()["ok"]
        form = {"channel": "#growth", "text": "two", "metadata": '{"event_type": "t", "event_payload": {"k": 1}}'}
        assert httpx.post(url, headers=headers, data=form).json()["message"]["metadata"] == {"event_type": "t", "event_payload": {"k": 1}}
        json_headers = headers | {"Content-Type": "application/json"}
        assert httpx.post(url, headers=json_headers, content=b"{").json()["error"] == "invalid_json"
        assert httpx.post(url, headers=json_headers, content=b"[]").json()["error"] == "json_not_object"
        assert httpx.post(url, headers=headers | {"Content-Type": "text/plain"}, content=b"x").json()["error"] == "invalid_post_type"
        assert acts(sandbox) == ["message.posted", "message.posted"]

    def test_an_unknown_method_is_named(self, slack: WebClient) -> None:
        with pytest.raises(SlackApiError) as error:
            slack.api_call("chat.shout")
        assert error.value.response.status_code == 200
        assert error.value.response.data == {"ok": False, "error": "unknown_method", "req_method": "chat.shout"}


class TestUsers:
    def test_they_are_found_by_address_and_id(self, slack: WebClient, sandbox: SandboxServer) -> None:
        assert slack.users_lookupByEmail(email="AMBER@tenure.example")["user"]["id"] == "U1"
        assert slack.users_info(user="U2")["user"]["profile"]["email"] == "birch@tenure.example"
        with pytest.raises(SlackApiError) as error:
            slack.users_lookupByEmail(email="nobody@tenure.example")
        assert refused(error) == "users_not_found"
        assert acts(sandbox) == []

    def test_the_people_of_the_crm_are_members(self, slack: WebClient, sandbox: SandboxServer) -> None:
        user = slack.users_lookupByEmail(email="ce-ada@tenure.example")["user"]
        assert user["name"] == "ce-ada"

    def test_a_user_who_left_is_listed_but_not_found(self, slack: WebClient, sandbox: SandboxServer) -> None:
        sandbox.world.services["slack"].seed({"users": [{"email": "amber@tenure.example", "deleted": True}]})
        with pytest.raises(SlackApiError) as error:
            slack.users_lookupByEmail(email="amber@tenure.example")
        assert refused(error) == "users_not_found"
        assert [user["id"] for user in slack.users_list()["members"] if user["deleted"]] == ["U1"]

    def test_the_list_is_paged_to_an_empty_cursor(self, slack: WebClient, sandbox: SandboxServer) -> None:
        pages = [page["members"] for page in slack.users_list(limit=5)]
        ids = [user["id"] for page in pages for user in page]
        assert len(pages) > 1
        assert ids == list(sandbox.world.services["slack"].users)
        assert slack.users_list()["response_metadata"]["next_cursor"] == ""

    @pytest.mark.parametrize("cursor", ["nonsense", "bmV4dDpVNDA0", "dXNlcjpVMQ=="])
    def test_a_cursor_that_was_never_given_out_is_refused(self, slack: WebClient, cursor: str) -> None:
        with pytest.raises(SlackApiError) as error:
            slack.users_list(cursor=cursor)
        assert refused(error) == "invalid_cursor"


class TestChannels:
    def test_one_is_created_with_the_bot_in_it(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = slack.conversations_create(name="trial-acme-example")["channel"]
        assert channel["is_member"]
        assert channel["creator"] == BOT_USER
        assert slack.conversations_members(channel=channel["id"])["members"] == [BOT_USER]
        assert slack.conversations_info(channel=channel["id"], include_num_members=True)["channel"]["num_members"] == 1
        assert acts(sandbox) == ["channel.created"]

    def test_a_name_stays_taken_even_when_archived(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        slack.conversations_archive(channel=channel)
        with pytest.raises(SlackApiError) as error:
            slack.conversations_create(name="trial")
        assert refused(error) == "name_taken"
        assert acts(sandbox) == ["channel.created", "channel.archived"]

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("", "invalid_name_required"),
            ("x" * 81, "invalid_name_maxlength"),
            ("Trial", "invalid_name_specials"),
            ("trial acme", "invalid_name_specials"),
            ("acme.example", "invalid_name_specials"),
            ("---", "invalid_name_punctuation"),
        ],
    )
    def test_bad_names_are_refused(self, name: str, error: str) -> None:
        with pytest.raises(SlackError, match=error):
            check_name(name)

    @pytest.mark.parametrize("name", ["x" * 80, "trial-acme_2", "7", "über"])
    def test_good_names_are_not(self, name: str) -> None:
        check_name(name)

    def test_invitations_are_all_or_none(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        with pytest.raises(SlackApiError) as error:
            slack.conversations_invite(channel=channel, users=["U1", "U404"])
        assert refused(error) == "user_not_found"
        assert error.value.response["errors"] == [{"user": "U404", "ok": False, "error": "user_not_found"}]
        slack.conversations_invite(channel=channel, users=["U1", "U2"])
        assert slack.conversations_members(channel=channel)["members"] == [BOT_USER, "U1", "U2"]
        with pytest.raises(SlackApiError) as error:
            slack.conversations_invite(channel=channel, users="U1")
        assert refused(error) == "already_in_channel"
        with pytest.raises(SlackApiError) as error:
            slack.conversations_invite(channel=channel, users=BOT_USER)
        assert refused(error) == "cant_invite_self"
        assert acts(sandbox) == ["channel.created", "channel.invited"]

    def test_force_invites_those_it_can(self, slack: WebClient) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        slack.conversations_invite(channel=channel, users="U404,U2", force=True)
        assert slack.conversations_members(channel=channel)["members"] == [BOT_USER, "U2"]

    def test_an_archived_channel_is_only_read(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = channel_id(slack, "growth")
        slack.conversations_archive(channel=channel)
        for method, given in (
            ("chat.postMessage", {"text": "hello"}),
            ("conversations.invite", {"users": "U1"}),
            ("conversations.setTopic", {"topic": "t"}),
        ):
            with pytest.raises(SlackApiError) as error:
                slack.api_call(method, json={"channel": channel, **given})
            assert refused(error) == "is_archived"
        assert texts(slack.conversations_history(channel=channel)) == [f"<@{BOT_USER}> archived the channel"]
        assert "growth" not in [one["name"] for one in slack.conversations_list(exclude_archived=True)["channels"]]
        slack.conversations_unarchive(channel=channel)
        slack.chat_postMessage(channel=channel, text="hello")
        assert acts(sandbox) == ["channel.archived", "channel.unarchived", "message.posted"]

    def test_the_bot_must_be_in_a_channel_to_post_and_may_join(self, slack: WebClient, sandbox: SandboxServer) -> None:
        sandbox.world.services["slack"].seed({"channels": [{"name": "strangers", "bot": False, "members": ["amber@tenure.example"]}]})
        channel = channel_id(slack, "strangers")
        for method in ("conversations.history", "chat.postMessage"):
            with pytest.raises(SlackApiError) as error:
                slack.api_call(method, json={"channel": channel, "text": "hello"})
            assert refused(error) == "not_in_channel"
        slack.conversations_join(channel=channel)
        assert slack.conversations_join(channel=channel)["warning"] == "already_in_channel"
        slack.chat_postMessage(channel=channel, text="hello")
        assert acts(sandbox) == ["channel.joined", "message.posted"]

    def test_a_private_channel_exists_for_its_members(self, slack: WebClient, sandbox: SandboxServer) -> None:
        sandbox.world.services["slack"].seed({"channels": [{"name": "secret", "bot": False, "is_private": True}]})
        hidden = sandbox.world.services["slack"].channel_by_name("secret").id
        with pytest.raises(SlackApiError) as error:
            slack.conversations_info(channel=hidden)
        assert refused(error) == "channel_not_found"
        own = slack.conversations_create(name="own", is_private=True)["channel"]
        assert own["is_private"]
        listed = slack.conversations_list(types="private_channel")["channels"]
        assert [channel["name"] for channel in listed] == ["own"]

    def test_topic_purpose_and_name_are_changed_once_each(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        slack.conversations_setTopic(channel=channel, topic="ends 4 May & then?")
        slack.conversations_setPurpose(channel=channel, purpose="p")
        slack.conversations_rename(channel=channel, name="trial-2")
        found = slack.conversations_info(channel=channel)["channel"]
        assert (found["topic"]["value"], found["purpose"]["value"], found["name"]) == ("ends 4 May &amp; then?", "p", "trial-2")
        with pytest.raises(SlackApiError) as error:
            slack.conversations_rename(channel=channel, name="growth")
        assert refused(error) == "name_taken"
        with pytest.raises(SlackApiError) as error:
            slack.conversations_setTopic(channel=channel, topic="x" * 251)
        assert refused(error) == "too_long"
        assert acts(sandbox) == ["channel.created", "channel.topic_set", "channel.purpose_set", "channel.renamed"]

    def test_channels_are_paged(self, slack: WebClient) -> None:
        for number in range(5):
            slack.conversations_create(name=f"trial-{number}")
        names = [channel["name"] for page in slack.conversations_list(limit=3) for channel in page["channels"]]
        assert names == [*DEFAULT_CHANNELS, *(f"trial-{number}" for number in range(5))]

    def test_a_kept_workspace_gets_the_channels_that_a_later_version_brought(self, slack: WebClient, sandbox: SandboxServer) -> None:
        workspace = sandbox.world.services["slack"]
        kept = workspace.dump()
        kept.channels = {id_: channel for id_, channel in kept.channels.items() if channel.name != "renewals"}
        workspace.load(kept)
        listed = slack.conversations_list()["channels"]
        assert sorted(channel["name"] for channel in listed) == sorted(DEFAULT_CHANNELS)
        assert len({channel["id"] for channel in listed}) == len(DEFAULT_CHANNELS)

    def test_a_channel_that_is_not_there(self, slack: WebClient, sandbox: SandboxServer) -> None:
        with pytest.raises(SlackApiError) as error:
            slack.chat_postMessage(channel="C404", text="hello")
        assert refused(error) == "channel_not_found"
        assert acts(sandbox) == []


class TestMessages:
    def test_two_equal_posts_are_two_messages(self, slack: WebClient, sandbox: SandboxServer) -> None:
        first, second = (slack.chat_postMessage(channel="growth", text="hello") for _ in range(2))
        assert float(first["ts"]) < float(second["ts"])
        assert texts(slack.conversations_history(channel=first["channel"])) == ["hello", "hello"]
        assert acts(sandbox) == ["message.posted", "message.posted"]

    def test_timestamps_stay_unique_within_one_microsecond(self, slack: WebClient, sandbox: SandboxServer, monkeypatch: Any) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
        stamps = [slack.chat_postMessage(channel="growth", text=str(number))["ts"] for number in range(3)]
        assert len(set(stamps)) == 3
        assert stamps == sorted(stamps)

    def test_metadata_is_kept_and_given_out_on_request(self, slack: WebClient) -> None:
        posted = slack.chat_postMessage(channel="growth", text="card", metadata=Metadata("task", {"key": "trial-acme.example/welcome"}))
        with_it = slack.conversations_history(channel=posted["channel"], include_all_metadata=True)["messages"][0]
        assert with_it["metadata"] == {"event_type": "task", "event_payload": {"key": "trial-acme.example/welcome"}}
        assert "metadata" not in slack.conversations_history(channel=posted["channel"])["messages"][0]

    def test_history_is_newest_first_in_pages(self, slack: WebClient) -> None:
        for number in range(7):
            channel = slack.chat_postMessage(channel="growth", text=str(number))["channel"]
        pages = [texts(page) for page in slack.conversations_history(channel=channel, limit=3)]
        assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
        last = slack.conversations_history(channel=channel)
        assert (last["has_more"], last["response_metadata"]["next_cursor"]) == (False, "")

    def test_history_between_two_moments(self, slack: WebClient) -> None:
        posted = [slack.chat_postMessage(channel="growth", text=str(number)) for number in range(5)]
        edges = {"channel": posted[0]["channel"], "oldest": posted[1]["ts"], "latest": posted[3]["ts"]}
        assert texts(slack.conversations_history(**edges)) == ["2"]
        assert texts(slack.conversations_history(**edges, inclusive=True)) == ["3", "2", "1"]
        with pytest.raises(SlackApiError) as error:
            slack.conversations_history(channel=posted[0]["channel"], oldest="yesterday")
        assert refused(error) == "invalid_ts_oldest"

    def test_replies_stay_in_their_thread(self, slack: WebClient) -> None:
        parent = slack.chat_postMessage(channel="growth", text="parent")
        channel = parent["channel"]
        reply = slack.chat_postMessage(channel=channel, text="reply", thread_ts=parent["ts"])
        slack.chat_postMessage(channel=channel, text="under the reply", thread_ts=reply["ts"])
        slack.chat_postMessage(channel=channel, text="for all", thread_ts=parent["ts"], reply_broadcast=True)
        assert texts(slack.conversations_history(channel=channel)) == ["for all", "parent"]
        thread = slack.conversations_replies(channel=channel, ts=parent["ts"])
        assert texts(thread) == ["parent", "reply", "under the reply", "for all"]
        assert thread["messages"][0]["reply_count"] == 3
        assert thread["messages"][0]["latest_reply"] == thread["messages"][-1]["ts"]
        pages = [texts(page) for page in slack.conversations_replies(channel=channel, ts=parent["ts"], limit=3)]
        assert pages == [["parent", "reply", "under the reply"], ["for all"]]
        with pytest.raises(SlackApiError) as error:
            slack.conversations_replies(channel=channel, ts="1.000001")
        assert refused(error) == "thread_not_found"

    def test_an_update_changes_the_message_in_place(self, slack: WebClient, sandbox: SandboxServer) -> None:
        block = {"type": "section", "text": {"type": "mrkdwn", "text": "*open*"}}
        posted = slack.chat_postMessage(channel="growth", text="open", blocks=[block])
        where = {"channel": posted["channel"], "ts": posted["ts"]}
        assert slack.chat_update(**where, text="answered")["message"].get("blocks") is None
        # The library wants a text beside the blocks; the API does not.
        assert slack.api_call("chat.update", json={**where, "blocks": [block]})["text"] == "answered"
        kept = slack.conversations_history(channel=posted["channel"])["messages"]
        assert [(one["text"], one["blocks"]) for one in kept] == [("answered", [block])]
        assert "edited" in kept[0]
        for ts, text, expected in [("1.000001", "x", "message_not_found"), (posted["ts"], "x" * 4001, "msg_too_long")]:
            with pytest.raises(SlackApiError) as error:
                slack.chat_update(channel=posted["channel"], ts=ts, text=text)
            assert refused(error) == expected
        assert acts(sandbox) == ["message.posted", "message.updated", "message.updated"]

    def test_the_channels_own_lines_cannot_be_updated(self, slack: WebClient) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        line = slack.conversations_history(channel=channel)["messages"][0]
        assert line["subtype"] == "channel_join"
        with pytest.raises(SlackApiError) as error:
            slack.chat_update(channel=channel, ts=line["ts"], text="never")
        assert refused(error) == "cant_update_message"

    def test_a_deleted_parent_leaves_a_tombstone(self, slack: WebClient, sandbox: SandboxServer) -> None:
        alone, parent = (slack.chat_postMessage(channel="growth", text=text) for text in ("alone", "parent"))
        slack.chat_postMessage(channel="growth", text="reply", thread_ts=parent["ts"])
        for posted in (alone, parent):
            slack.chat_delete(channel=posted["channel"], ts=posted["ts"])
        history = slack.conversations_history(channel=parent["channel"])["messages"]
        assert [message["subtype"] for message in history] == ["tombstone"]
        with pytest.raises(SlackApiError) as error:
            slack.chat_delete(channel=alone["channel"], ts=alone["ts"])
        assert refused(error) == "message_not_found"
        assert acts(sandbox).count("message.deleted") == 2

    def test_a_message_to_a_user_opens_a_direct_conversation(self, slack: WebClient) -> None:
        first, second = (slack.chat_postMessage(channel="U1", text=text) for text in ("one", "two"))
        assert first["channel"] == second["channel"]
        assert first["channel"].startswith("D")
        assert texts(slack.conversations_history(channel=first["channel"])) == ["two", "one"]
        assert [one["user"] for one in slack.conversations_list(types="im")["channels"]] == ["U1"]

    def test_an_ephemeral_message_is_in_no_history(self, slack: WebClient, sandbox: SandboxServer) -> None:
        channel = slack.conversations_create(name="trial")["channel"]["id"]
        with pytest.raises(SlackApiError) as error:
            slack.chat_postEphemeral(channel=channel, user="U1", text="psst")
        assert refused(error) == "user_not_in_channel"
        slack.conversations_invite(channel=channel, users="U1")
        assert slack.chat_postEphemeral(channel=channel, user="U1", text="psst")["message_ts"]
        assert "psst" not in texts(slack.conversations_history(channel=channel))
        assert acts(sandbox)[-1] == "message.posted_ephemeral"

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"text": ""}, "no_text"),
            ({"text": "x" * 40_001}, "msg_too_long"),
            ({"text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
            ({"text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
            ({"text": "x", "blocks": "["}, "invalid_blocks_format"),
            ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        ],
    )
    def test_what_cannot_be_posted_has_no_effect(self, slack: WebClient, sandbox: SandboxServer, given: Any, error: str) -> None:
        with pytest.raises(SlackApiError) as caught:
            slack.api_call("chat.postMessage", json={"channel": "growth", **given})
        assert refused(caught) == error
        assert acts(sandbox) == []

    def test_a_permalink_leads_to_the_page(self, slack: WebClient, sandbox: SandboxServer) -> None:
        posted = slack.chat_postMessage(channel="growth", text="hello")
        link = slack.chat_getPermalink(channel=posted["channel"], message_ts=posted["ts"])["permalink"]
        assert link == f"{sandbox.url}/slack/archives/{posted['channel']}/p{posted['ts'].replace('.', '')}"
        assert httpx.get(link).headers["location"] == f"/services/slack#{posted['channel']}"

    def test_reactions_and_pins_count_once(self, slack: WebClient, sandbox: SandboxServer) -> None:
        posted = slack.chat_postMessage(channel="growth", text="hello")
        where = {"channel": posted["channel"], "timestamp": posted["ts"]}
        slack.reactions_add(**where, name="eyes")
        slack.pins_add(**where)
        for method, expected in (("reactions.add", "already_reacted"), ("pins.add", "already_pinned")):
            with pytest.raises(SlackApiError) as error:
                slack.api_call(method, json={**where, "name": "eyes"})
            assert refused(error) == expected
        history = slack.conversations_history(channel=posted["channel"])
        assert history["messages"][0]["reactions"] == [{"name": "eyes", "users": [BOT_USER], "count": 1}]
        assert history["pin_count"] == 1
        assert acts(sandbox) == ["message.posted", "reaction.added", "pin.added"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("already &amp; escaped &lt;", "already &amp; escaped &lt;"),
        ("<@U1> see <#C1|growth> and <https://acme.example/?a=1|this>", "<@U1> see <#C1|growth> and <https://acme.example/?a=1|this>"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("at https://acme.example/x?a=1&b=2.", "at <https://acme.example/x?a=1&amp;b=2>."),
        ("> quoted", "&gt; quoted"),
    ],
)
def test_text_is_stored_as_slack_stores_it(given: str, stored: str) -> None:
    assert escape(given) == stored
    assert escape(stored) == stored


def test_the_log_shows_a_message_as_people_read_it(slack: WebClient, sandbox: SandboxServer) -> None:
    slack.chat_postMessage(channel="growth", text="R&D at https://acme.example, see <https://acme.example/x|the trial>")
    assert [effect.what for effect in sandbox.world.log.effects] == ["#growth: R&D at https://acme.example, see the trial"]


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Extend"}, "action_id": "extend", **changes}


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "actions", "elements": []}],
        [{"type": "actions", "elements": [button(), button()]}],
        [{"type": "actions", "elements": [button(text={"type": "plain_text", "text": "x" * 76})]}],
        [{"type": "actions", "elements": [button(style="green")]}],
        [{"type": "actions", "elements": [button(value="x" * 2001)]}],
        [{"type": "divider", "block_id": "same"}, {"type": "divider", "block_id": "same"}],
        [{"type": "divider"}] * 51,
        [{"type": "carousel"}],
        {"type": "divider"},
    ],
)
def test_blocks_that_slack_would_refuse(blocks: Any) -> None:
    assert faults_of(blocks)


def test_a_card_that_slack_would_take() -> None:
    text = {"type": "mrkdwn", "text": "*Acme* asks for 10 days"}
    card = [
        {"type": "header", "text": {"type": "plain_text", "text": "Extend?"}},
        {"type": "section", "text": text, "accessory": button(action_id="why")},
        {"type": "divider"},
        {"type": "context", "elements": [text]},
        {"type": "actions", "elements": [button(), button(action_id="refuse", style="danger", value="no")]},
    ]
    assert faults_of(card) == []
