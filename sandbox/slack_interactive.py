"""Slack's interactivity: what a person does in the chat is sent to the app, signed; what the app may do with it in return.

A click on a message's button (``POST /slack/_control/click``), the submission of a modal (``…/submit``) and a slash command
(``…/command``) are posted to the app's request URL with Slack's own signature: v0, an HMAC of the timestamp and the raw bytes
(docs.slack.dev/authentication/verifying-requests-from-slack). With each come a ``trigger_id``, good once and for three seconds, which
``views.open`` takes, and a ``response_url``, good five times within half an hour.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.core import World
from sandbox.slack_blocks import faults_of
from sandbox.slack_workspace import APP_ID, BOT_ID, TEAM_ID, Channel, Json, SlackError, User, Workspace

TRIGGER_SECONDS = 3.0
ACK_SECONDS = 3.0
RESPONSE_SECONDS = 1_800.0
RESPONSES = 5
MAX_VIEW_BYTES = 250_000


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``X-Slack-Signature`` for these raw bytes."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


@dataclass
class _Trigger:
    user: str
    given_at: float
    used: bool = False


@dataclass
class _Reply:
    channel: Channel
    ts: str
    user: str
    given_at: float
    uses: int = 0


@dataclass
class Interactions:
    """The triggers, the modals and the reply addresses of one workspace; none outlives the process."""

    world: World
    workspace: Workspace
    clock: Callable[[], float] = time.monotonic
    triggers: dict[str, _Trigger] = field(default_factory=dict)
    views: dict[str, Json] = field(default_factory=dict)
    replies: dict[str, _Reply] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget all."""
        self.triggers.clear()
        self.views.clear()
        self.replies.clear()

    # --- modals -----------------------------------------------------------------------------------------------------------------

    def open(self, trigger_id: str, view: Any) -> Json:
        """``views.open``: exchange a trigger for a modal."""
        if (trigger := self.triggers.get(trigger_id)) is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self.clock() - trigger.given_at > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        _check(view)
        external = str(view.get("external_id") or "")
        if external and any(one["external_id"] == external for one in self.views.values()):
            raise SlackError("duplicate_external_id")
        trigger.used = True
        id_ = f"V0SANDBOX{len(self.views) + 1:04d}"
        shown = {"previous_view_id": None, "root_view_id": id_, "app_id": APP_ID, "bot_id": BOT_ID, "app_installed_team_id": TEAM_ID}
        return self._keep({"id": id_, "team_id": TEAM_ID, **shown}, view, trigger.user, "view.opened")

    def update(self, id_: str, external: str, hash_: str, view: Any) -> Json:
        """``views.update``: other content for an open modal, named by its id or by the app's own."""
        found = self.views.get(id_) or next((one for one in self.views.values() if external and one["external_id"] == external), None)
        if found is None:
            raise SlackError("not_found")
        if hash_ and hash_ != found["hash"]:
            raise SlackError("hash_conflict")
        _check(view)
        return self._keep(found, view, found["_user"], "view.updated")

    def _keep(self, before: Json, view: Json, user: str, act: str) -> Json:
        given = {"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False, "notify_on_close": False}
        state = {"state": {"values": {}}, "hash": f"{time.time():.0f}.{secrets.token_hex(4)}", "_user": user}
        self.views[before["id"]] = {**before, **given, **view, **state}
        title = view["title"]["text"]
        self.world.log.effect("slack", act, f"modal {title!r} for @{self.workspace.users[user].name}", view=before["id"], user=user)
        return _shown(self.views[before["id"]])

    # --- what people do ---------------------------------------------------------------------------------------------------------

    async def click(self, request: Request) -> Response:
        """``{channel, ts, action_id, user}`` (``user`` by address or id, ``value`` of a choice): press a button of a message."""
        given = await request.json()
        user, channel = self._user(given), self.workspace.channel(given["channel"])
        message = self.workspace.message(channel, given["ts"])
        block, element = _element(message.get("blocks", []), given["action_id"])
        action = {
            "action_id": element["action_id"],
            "block_id": block.get("block_id", ""),
            "type": element["type"],
            "action_ts": f"{time.time():.6f}",
            **({"text": element["text"]} if "text" in element else {}),
            **({"value": given.get("value", element.get("value"))} if given.get("value", element.get("value")) is not None else {}),
        }
        payload = {
            "type": "block_actions",
            "container": {"type": "message", "message_ts": given["ts"], "channel_id": channel.id, "is_ephemeral": False},
            "channel": {"id": channel.id, "name": channel.name},
            "message": dict(message),
            "response_url": self._response_url(channel, given["ts"], user),
            "state": {"values": given.get("state", {})},
            "actions": [action],
        }
        return await self._send(payload, user)

    async def submit(self, request: Request) -> Response:
        """``{view, values}`` (``values``: {block_id: {action_id: value}}): submit a modal as the one for whom it was opened."""
        given = await request.json()
        if (view := self.views.get(given["view"])) is None:
            return JSONResponse({"error": f"there is no modal {given['view']!r}"}, 404)
        view["state"] = {"values": given.get("values", {})}
        user = self.workspace.users[view["_user"]]
        answer = await self._send({"type": "view_submission", "view": _shown(view), "response_urls": []}, user)
        if answer.status_code == 200 and not json.loads(bytes(answer.body)).get("body"):
            self.views.pop(given["view"], None)
        return answer

    async def command(self, request: Request) -> Response:
        """``{channel, command, text, user}``: type a slash command."""
        given = await request.json()
        user, channel = self._user(given), self.workspace.channel(given["channel"])
        form = {
            "command": given["command"],
            "text": given.get("text", ""),
            "user_id": user.id,
            "user_name": user.name,
            "channel_id": channel.id,
            "channel_name": channel.name,
            "team_id": TEAM_ID,
            "api_app_id": APP_ID,
            "response_url": self._response_url(channel, "", user),
            "trigger_id": self._trigger(user),
        }
        return await self._post(form, form["trigger_id"], self.world.slack_command_url or self.world.slack_request_url)

    async def respond(self, request: Request) -> Response:
        """What the app posts to a ``response_url``: another text in the message's place, or one that only the person sees."""
        reply = self.replies.get(request.path_params["token"])
        if reply is None or self.clock() - reply.given_at > RESPONSE_SECONDS:
            return PlainTextResponse("expired_url", 404)
        if reply.uses >= RESPONSES:
            return PlainTextResponse("used_url", 404)
        try:
            given = await request.json()
            blocks = given.get("blocks")
        except (ValueError, AttributeError):
            return PlainTextResponse("invalid_payload", 400)
        if blocks and faults_of(blocks):
            return PlainTextResponse("invalid_blocks", 400)
        reply.uses += 1
        content = {name: given[name] for name in ("text", "blocks", "metadata") if name in given}
        try:
            if given.get("delete_original"):
                self.workspace.delete(reply.channel, reply.ts)
            elif given.get("replace_original") and reply.ts:
                self.workspace.update(reply.channel, reply.ts, content)
            elif given.get("response_type") == "in_channel":
                self.workspace.post(reply.channel, {"text": "", **content})
            else:
                self.workspace.post_ephemeral(reply.channel, reply.user, content)
        except SlackError as refused:
            return PlainTextResponse(refused.error, 404)
        return PlainTextResponse("ok")

    # --- within -----------------------------------------------------------------------------------------------------------------

    def _user(self, given: Json) -> User:
        named = str(given["user"])
        if (user := self.workspace.users.get(named) or self.workspace.user_by_email(named)) is None:
            raise SlackError("user_not_found")
        return user

    def _trigger(self, user: User) -> str:
        id_ = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[id_] = _Trigger(user.id, self.clock())
        return id_

    def _response_url(self, channel: Channel, ts: str, user: User) -> str:
        token = secrets.token_urlsafe(18)
        self.replies[token] = _Reply(channel, ts, user.id, self.clock())
        return f"{self.world.public_url}/slack/response/{token}"

    async def _send(self, payload: Json, user: User) -> Response:
        trigger = self._trigger(user)
        who = {"id": user.id, "username": user.name, "name": user.name, "team_id": TEAM_ID}
        full = {"user": who, "api_app_id": APP_ID, "team": {"id": TEAM_ID, "domain": "sandbox"}, "trigger_id": trigger, **payload}
        return await self._post({"payload": json.dumps(full)}, trigger, self.world.slack_request_url)

    async def _post(self, form: Json, trigger: str, url: str) -> Response:
        """Send it signed; the app must acknowledge within three seconds. Says what it answered."""
        if not url:
            return JSONResponse({"error": "no app listens: start the sandbox with --slack-request-url"}, 409)
        body = urlencode(form).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(self.world.slack_signing_secret, stamp, body),
        }
        said: Json = {"trigger_id": trigger, "acknowledged": False, "status": None, "body": ""}
        try:
            async with httpx.AsyncClient(timeout=ACK_SECONDS, trust_env=False) as app:
                answer = await app.post(url, content=body, headers=headers)
            said |= {"acknowledged": answer.is_success, "status": answer.status_code, "body": answer.text}
        except httpx.HTTPError as error:
            said["error"] = f"{type(error).__name__}: {error}"
        return JSONResponse(said)


def _check(view: Any) -> None:
    title = view.get("title") if isinstance(view, dict) else None
    if not isinstance(title, dict) or view.get("type") != "modal" or title.get("type") != "plain_text" or not title.get("text"):
        raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] a view is a modal with a title of plain_text"]})
    if len(title["text"]) > 24:
        raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] must be less than 25 characters [/view/title]"]})
    if problems := faults_of(view.get("blocks")):
        raise SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {one}" for one in problems]})
    if any(block.get("type") == "input" for block in view["blocks"]) and not view.get("submit"):
        raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] missing required field: submit [/view]"]})
    if len(json.dumps(view).encode()) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")


def _shown(view: Json) -> Json:
    return {name: value for name, value in view.items() if not name.startswith("_")}


def _element(blocks: list[Json], action_id: str) -> tuple[Json, Json]:
    for block in blocks:
        for element in [*block.get("elements", []), *([block["accessory"]] if "accessory" in block else [])]:
            if element.get("action_id") == action_id:
                return block, element
    raise SlackError("action_not_found")
