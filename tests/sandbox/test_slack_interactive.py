"""What people do in Slack comes to the app signed; what the app may do in return is good once and soon."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier

from sandbox.server import SandboxServer
from sandbox.slack_interactive import Interactions
from sandbox.slack_workspace import Workspace

AMBER = "amber@tenure.example"
VIEW = {
    "type": "modal",
    "callback_id": "extend",
    "title": {"type": "plain_text", "text": "Extend"},
    "submit": {"type": "plain_text", "text": "Extend"},
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "How long?"}}],
}
BUTTON = {"type": "button", "action_id": "answer", "value": "extend", "text": {"type": "plain_text", "text": "Extend"}}
CARD: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Day 15"}},
    {"type": "actions", "block_id": "b", "elements": [BUTTON]},
]


class App:
    """An application that takes what Slack sends, and keeps it as it came."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers = [(200, b"")]
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                app.got.append((dict(self.headers.items()), body))
                status, said = app.answers[-1]
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/slack"
        self.thread = Thread(target=self.server.serve_forever)

    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(parse_qs(self.got[-1][1].decode())["payload"][0])
        return found


@pytest.fixture
def app() -> Iterator[App]:
    made = App()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


@pytest.fixture
def slack(sandbox: SandboxServer, app: App) -> Iterator[WebClient]:
    sandbox.world.slack_request_url = app.url
    sandbox.world.services["slack"].seed(
        {"users": [{"email": AMBER, "name": "amber"}], "channels": [{"name": "growth", "members": [AMBER]}]}
    )
    yield WebClient(token="xoxb-sandbox", base_url=f"{sandbox.url}/slack/api/", retry_handlers=[])
    sandbox.world.slack_request_url = ""


def click(sandbox: SandboxServer, posted: Any, **more: Any) -> dict[str, Any]:
    asked = {"channel": posted["channel"], "ts": posted["ts"], "action_id": "answer", "user": AMBER, **more}
    answer = httpx.post(f"{sandbox.url}/slack/_control/click", json=asked)
    found: dict[str, Any] = answer.json()
    return found


def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call()
    return str(caught.value.response["error"])


def test_a_click_comes_signed_with_who_where_and_what(slack: WebClient, sandbox: SandboxServer, app: App) -> None:
    posted = slack.chat_postMessage(channel="growth", text="Day 15", blocks=CARD)
    said = click(sandbox, posted)
    assert (said["acknowledged"], said["status"]) == (True, 200)
    headers, body = app.got[-1]
    verifier = SignatureVerifier(sandbox.world.slack_signing_secret)
    assert verifier.is_valid_request(body, headers)
    assert not verifier.is_valid_request(body + b" ", headers)
    assert not SignatureVerifier("another").is_valid_request(body, headers)
    payload = app.payload()
    assert payload["type"] == "block_actions"
    assert (payload["user"]["name"], payload["channel"]["name"], payload["message"]["ts"]) == ("amber", "growth", posted["ts"])
    (action,) = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("answer", "b", "extend")
    assert click(sandbox, posted, action_id="another") == {"error": "action_not_found"}
    assert click(sandbox, posted, ts="1.1") == {"error": "message_not_found"}


def test_a_trigger_opens_one_modal_within_three_seconds(slack: WebClient, sandbox: SandboxServer, app: App) -> None:
    posted = slack.chat_postMessage(channel="growth", text="Day 15", blocks=CARD)
    trigger = click(sandbox, posted)["trigger_id"]
    assert refused(lambda: slack.views_open(trigger_id="1.2.3", view=VIEW)) == "invalid_trigger_id"
    assert refused(lambda: slack.views_open(trigger_id=trigger, view={**VIEW, "type": "home"})) == "invalid_arguments"
    opened = slack.views_open(trigger_id=trigger, view={**VIEW, "external_id": "mine"})["view"]
    assert (opened["callback_id"], opened["title"]["text"]) == ("extend", "Extend")
    assert refused(lambda: slack.views_open(trigger_id=trigger, view=VIEW)) == "exchanged_trigger_id"
    another = click(sandbox, posted)["trigger_id"]
    assert refused(lambda: slack.views_open(trigger_id=another, view={**VIEW, "external_id": "mine"})) == "duplicate_external_id"
    longer = {**VIEW, "title": {"type": "plain_text", "text": "Longer"}}
    changed = slack.views_update(view_id=opened["id"], hash=opened["hash"], view=longer)["view"]
    assert changed["title"]["text"] == "Longer"
    assert refused(lambda: slack.views_update(view_id=opened["id"], hash=opened["hash"], view=longer)) == "hash_conflict"
    assert refused(lambda: slack.views_update(view_id="V0", view=longer)) == "not_found"
    submitted = {"view": opened["id"], "values": {"days": {"days": {"type": "plain_text_input", "value": "15"}}}}
    httpx.post(f"{sandbox.url}/slack/_control/submit", json=submitted).raise_for_status()
    payload = app.payload()
    assert (payload["type"], payload["user"]["name"]) == ("view_submission", "amber")
    assert payload["view"]["state"]["values"]["days"]["days"]["value"] == "15"


def test_a_trigger_is_worth_nothing_after_three_seconds(sandbox: SandboxServer) -> None:
    now = [0.0]
    workspace: Workspace = sandbox.world.services["slack"]
    interactions = Interactions(sandbox.world, workspace, clock=lambda: now[0])
    user = next(iter(workspace.users.values()))
    first, second = interactions._trigger(user), interactions._trigger(user)
    now[0] = 2.9
    assert interactions.open(first, VIEW)["type"] == "modal"
    now[0] = 3.1
    with pytest.raises(Exception, match="expired_trigger_id"):
        interactions.open(second, VIEW)


def test_a_response_url_changes_the_card_five_times(slack: WebClient, sandbox: SandboxServer, app: App) -> None:
    posted = slack.chat_postMessage(channel="growth", text="Day 15", blocks=CARD)
    click(sandbox, posted)
    url = app.payload()["response_url"]
    assert httpx.post(url, json={"replace_original": True, "text": "Answered by Amber"}).text == "ok"
    shown = slack.conversations_history(channel=posted["channel"], limit=1)["messages"][0]
    assert (shown["text"], "blocks" in shown) == ("Answered by Amber", False)
    assert httpx.post(url, json={"text": "Only you see this"}).text == "ok"
    assert httpx.post(url, content=b"{").status_code == 400
    answers = [httpx.post(url, json={"text": "again"}).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 404]
    assert httpx.post(f"{sandbox.url}/slack/response/nonsense", json={"text": "x"}).status_code == 404


def test_a_command_comes_signed(slack: WebClient, sandbox: SandboxServer, app: App) -> None:
    channel = next(one["id"] for one in slack.conversations_list()["channels"] if one["name"] == "growth")
    app.answers.append((200, b"3 tasks"))
    asked = {"channel": channel, "command": "/tenure", "text": "tasks", "user": AMBER}
    said = httpx.post(f"{sandbox.url}/slack/_control/command", json=asked).json()
    assert said["body"] == "3 tasks"
    headers, body = app.got[-1]
    assert SignatureVerifier(sandbox.world.slack_signing_secret).is_valid_request(body, headers)
    assert parse_qs(body.decode())["text"] == ["tasks"]
    assert abs(int(headers["X-Slack-Request-Timestamp"]) - time.time()) < 60


def test_an_app_that_refuses_or_is_not_there_has_not_acknowledged(slack: WebClient, sandbox: SandboxServer, app: App) -> None:
    posted = slack.chat_postMessage(channel="growth", text="Day 15", blocks=CARD)
    app.answers.append((401, b"wrong signature"))
    assert click(sandbox, posted)["acknowledged"] is False
    sandbox.world.slack_request_url = "http://127.0.0.1:9/"
    assert "error" in click(sandbox, posted)
    sandbox.world.slack_request_url = ""
    assert "no app listens" in click(sandbox, posted)["error"]


def test_only_our_own_message_can_be_changed(slack: WebClient, sandbox: SandboxServer) -> None:
    workspace: Workspace = sandbox.world.services["slack"]
    channel = workspace.channel_by_name("growth")
    assert channel is not None
    theirs = workspace._add_message(channel, {"type": "message", "user": "U1", "text": "mine"})
    assert refused(lambda: slack.chat_update(channel=channel.id, ts=theirs["ts"], text="ours")) == "cant_update_message"
    assert refused(lambda: slack.chat_update(channel=channel.id, ts="1.000001", text="ours")) == "message_not_found"


@pytest.mark.parametrize("token", ["xoxb-another", "xoxp-1", "x"])
def test_a_token_that_slack_does_not_know_is_refused(sandbox: SandboxServer, token: str) -> None:
    client = WebClient(token=token, base_url=f"{sandbox.url}/slack/api/", retry_handlers=[])
    assert refused(client.auth_test) == "invalid_auth"
    assert httpx.post(f"{sandbox.url}/slack/api/auth.test").json()["error"] == "not_authed"


@pytest.mark.parametrize("token", ["ghp_another", "x"])
def test_a_token_that_github_does_not_know_is_refused(sandbox: SandboxServer, token: str) -> None:
    answer = httpx.get(f"{sandbox.url}/github/api/v3/repos/acme-vendor/customer/issues", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
