"""Slack's Web API over HTTP: ``/api/METHOD``, form or JSON, a bearer token, and ``ok: false`` in a 200 for every refusal.

Method names, arguments, errors and answer shapes follow docs.slack.dev/reference/methods; the workspace behind them is in
``sandbox/slack_workspace.py``, what people do there in ``sandbox/slack_interactive.py``. Nothing de-duplicates messages, as with the real one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.slack_blocks import faults_of
from sandbox.slack_interactive import Interactions
from sandbox.slack_workspace import APP_ID, BOT_ID, BOT_USER, TEAM_ID, Channel, Json, SlackError, User, Workspace, escape

MAX_TEXT = 40_000
MAX_UPDATED_TEXT = 4_000


class Arguments:
    """A request's arguments, whichever way they came; Slack takes the same names from the query, a form and a JSON body."""

    def __init__(self, values: Json) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """Return a string, empty when absent."""
        value = self._values.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean: ``true`` and ``1`` in a form, true in JSON."""
        return self.text(name).lower() in ("1", "true", "yes") if name in self else default

    def number(self, name: str, default: int) -> int:
        """Return a whole number."""
        try:
            return int(self.text(name)) if self.text(name) else default
        except ValueError:
            raise SlackError(f"invalid_{name}") from None

    def structure(self, name: str, refused: str) -> Any:
        """Return a nested value, which a form carries as JSON text; None when absent or empty text."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise SlackError(refused) from None

    def ids(self, name: str) -> list[str]:
        """Return a list of ids, which Slack writes with commas between."""
        value = self._values.get(name)
        parts = value if isinstance(value, list) else self.text(name).split(",")
        return [str(part).strip() for part in parts if str(part).strip()]

    def require(self, *names: str) -> None:
        """Refuse the request when one of the arguments is absent."""
        missing = [f"[ERROR] missing required field: {name}" for name in names if not self.text(name)]
        if missing:
            raise SlackError("invalid_arguments", response_metadata={"messages": missing})


async def _arguments(request: Request) -> tuple[Arguments, str]:
    """Read the arguments and the token of a request."""
    values: Json = dict(request.query_params)
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if request.method == "POST" and kind == "application/json":
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        values |= body
    elif request.method == "POST" and kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        values |= dict(await request.form())
    elif request.method == "POST" and await request.body():
        raise SlackError("invalid_post_type" if kind else "missing_post_type")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return Arguments(values), token if scheme.lower() == "bearer" else str(values.get("token", ""))


Item = TypeVar("Item")


def _page(items: list[Item], arguments: Arguments, key: Callable[[Item], str], *, default: int) -> tuple[list[Item], str]:
    """Cut one page out of ``items``; returns it with the cursor of the next one, empty at the end.

    A cursor names the item that comes next (``next:KEY`` in base64), so that items added meanwhile do not shift the pages.
    """
    limit = arguments.number("limit", default)
    if not 0 <= limit <= 1000:
        raise SlackError("invalid_limit")
    start = 0
    if arguments.text("cursor"):
        try:
            word, _, wanted = base64.b64decode(arguments.text("cursor"), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise SlackError("invalid_cursor") from None
        positions = [at for at, item in enumerate(items) if key(item) == wanted]
        if word != "next" or not positions:
            raise SlackError("invalid_cursor")
        start = positions[0]
    end = start + (limit or default)
    following = base64.b64encode(f"next:{key(items[end])}".encode()).decode() if end < len(items) else ""
    return items[start:end], following


def _paged(cursor: str) -> Json:
    return {"response_metadata": {"next_cursor": cursor}}


class SlackApi:
    """The methods, one Python method each: arguments in, the answer without its ``ok`` out, :class:`SlackError` for a refusal."""

    def __init__(self, world: World, workspace: Workspace, interactions: Interactions) -> None:
        self.world = world
        self.workspace = workspace
        self.interactions = interactions
        self.methods: dict[str, Callable[[Arguments], Json]] = {
            "auth.test": self.auth_test,
            "users.lookupByEmail": self.users_lookup_by_email,
            "users.info": self.users_info,
            "users.list": self.users_list,
            "conversations.create": self.conversations_create,
            "conversations.list": self.conversations_list,
            "conversations.info": self.conversations_info,
            "conversations.members": self.conversations_members,
            "conversations.invite": self.conversations_invite,
            "conversations.join": self.conversations_join,
            "conversations.rename": self.conversations_rename,
            "conversations.setTopic": self.conversations_set_topic,
            "conversations.setPurpose": self.conversations_set_purpose,
            "conversations.archive": self.conversations_archive,
            "conversations.unarchive": self.conversations_unarchive,
            "conversations.history": self.conversations_history,
            "conversations.replies": self.conversations_replies,
            "chat.postMessage": self.chat_post_message,
            "chat.postEphemeral": self.chat_post_ephemeral,
            "chat.update": self.chat_update,
            "chat.delete": self.chat_delete,
            "chat.getPermalink": self.chat_get_permalink,
            "views.open": self.views_open,
            "views.update": self.views_update,
            "reactions.add": self.reactions_add,
            "pins.add": self.pins_add,
        }

    def _channel(self, arguments: Arguments) -> Channel:
        arguments.require("channel")
        return self.workspace.channel(arguments.text("channel"))

    def auth_test(self, arguments: Arguments) -> Json:
        who = {"user": "sandbox-bot", "user_id": BOT_USER, "bot_id": BOT_ID, "team": "Sandbox", "team_id": TEAM_ID, "app_id": APP_ID}
        return {"url": f"{self.world.public_url}/slack/", "is_enterprise_install": False, **who}

    # --- users.* -----------------------------------------------------------------------------------------------------

    def users_lookup_by_email(self, arguments: Arguments) -> Json:
        arguments.require("email")
        user = self.workspace.user_by_email(arguments.text("email"))
        if user is None or user.deleted:
            raise SlackError("users_not_found")
        return {"user": user.public()}

    def users_info(self, arguments: Arguments) -> Json:
        user = self.workspace.users.get(arguments.text("user"))
        if user is None:
            raise SlackError("user_not_found")
        return {"user": user.public()}

    def users_list(self, arguments: Arguments) -> Json:
        def by_id(user: User) -> str:
            return user.id

        users, cursor = _page(list(self.workspace.users.values()), arguments, by_id, default=1000)
        return {"members": [user.public() for user in users], "cache_ts": 0, **_paged(cursor)}

    # --- conversations.* ---------------------------------------------------------------------------------------------

    def conversations_create(self, arguments: Arguments) -> Json:
        channel = self.workspace.create_channel(arguments.text("name"), is_private=arguments.flag("is_private"))
        return {"channel": channel.public()}

    def conversations_list(self, arguments: Arguments) -> Json:
        types = arguments.ids("types") or ["public_channel"]
        unknown = set(types) - {"public_channel", "private_channel", "mpim", "im"}
        if unknown:
            raise SlackError("invalid_types")

        def listed(channel: Channel) -> bool:
            if channel.im_user:
                return "im" in types
            if channel.is_archived and arguments.flag("exclude_archived"):
                return False
            if channel.is_private:
                return "private_channel" in types and BOT_USER in channel.members
            return "public_channel" in types

        channels = [channel for channel in self.workspace.channels.values() if listed(channel)]
        page, cursor = _page(channels, arguments, lambda channel: channel.id, default=100)
        return {"channels": [channel.public(num_members=True) for channel in page], **_paged(cursor)}

    def conversations_info(self, arguments: Arguments) -> Json:
        return {"channel": self._channel(arguments).public(num_members=arguments.flag("include_num_members"))}

    def conversations_members(self, arguments: Arguments) -> Json:
        members, cursor = _page(self._channel(arguments).members, arguments, str, default=100)
        return {"members": members, **_paged(cursor)}

    def conversations_invite(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        self.workspace.invite(channel, arguments.ids("users"), force=arguments.flag("force"))
        return {"channel": channel.public()}

    def conversations_join(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        if self.workspace.join(channel):
            return {"channel": channel.public()}
        warning = "already_in_channel"
        return {"channel": channel.public(), "warning": warning, "response_metadata": {"warnings": [warning]}}

    def conversations_rename(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        self.workspace.rename(channel, arguments.text("name"))
        return {"channel": channel.public()}

    def conversations_set_topic(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        self.workspace.set_topic(channel, arguments.text("topic"))
        return {"channel": channel.public()}

    def conversations_set_purpose(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        self.workspace.set_purpose(channel, arguments.text("purpose"))
        return {"channel": channel.public()}

    def conversations_archive(self, arguments: Arguments) -> Json:
        self.workspace.archive(self._channel(arguments))
        return {}

    def conversations_unarchive(self, arguments: Arguments) -> Json:
        self.workspace.unarchive(self._channel(arguments))
        return {}

    def conversations_history(self, arguments: Arguments) -> Json:
        """Newest first, without the replies of threads save those that were broadcast."""
        channel = self._readable(arguments)
        in_channel = [one for one in channel.messages.values() if one.get("thread_ts", one["ts"]) == one["ts"] or _is_broadcast(one)]
        wanted = [one for one in reversed(in_channel) if _within(one, arguments)]
        page, cursor = _page(wanted, arguments, lambda message: str(message["ts"]), default=100)
        answer: Json = {"messages": self._given_out(channel, page, arguments), "has_more": bool(cursor), "pin_count": len(channel.pins)}
        return {**answer, "channel_actions_ts": None, "channel_actions_count": 0, **_paged(cursor)}

    def conversations_replies(self, arguments: Arguments) -> Json:
        """The parent first, then its replies, oldest first; the ts of a reply gives that reply alone."""
        channel = self._readable(arguments)
        ts = arguments.text("ts")
        parent = channel.messages.get(ts)
        if parent is None:
            raise SlackError("thread_not_found")
        replies = [one for one in self.workspace.replies(channel, ts) if _within(one, arguments)]
        page, cursor = _page([parent, *replies], arguments, lambda message: str(message["ts"]), default=1000)
        return {"messages": self._given_out(channel, page, arguments), "has_more": bool(cursor), **_paged(cursor)}

    def _readable(self, arguments: Arguments) -> Channel:
        channel = self._channel(arguments)
        if BOT_USER not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def _given_out(self, channel: Channel, messages: list[Json], arguments: Arguments) -> list[Json]:
        shown = [self.workspace.shown(channel, one) for one in messages]
        if not arguments.flag("include_all_metadata"):
            for one in shown:
                one.pop("metadata", None)
        return shown

    # --- chat.*, reactions.*, pins.* ---------------------------------------------------------------------------------

    def chat_post_message(self, arguments: Arguments) -> Json:
        content = _content(arguments, MAX_TEXT)
        if not any(content.get(part) for part in ("text", "blocks", "attachments")):
            raise SlackError("no_text")
        if not arguments.text("channel"):
            raise SlackError("channel_not_found")
        channel = self.workspace.destination(arguments.text("channel"))
        broadcast = arguments.flag("reply_broadcast")
        message = self.workspace.post(channel, {"text": "", **content}, thread_ts=arguments.text("thread_ts"), broadcast=broadcast)
        return {"channel": channel.id, "ts": message["ts"], "message": dict(message)}

    def chat_post_ephemeral(self, arguments: Arguments) -> Json:
        content = _content(arguments, MAX_TEXT)
        if not any(content.get(part) for part in ("text", "blocks", "attachments")):
            raise SlackError("no_text")
        return {"message_ts": self.workspace.post_ephemeral(self._channel(arguments), arguments.text("user"), content)}

    def chat_update(self, arguments: Arguments) -> Json:
        content = _content(arguments, MAX_UPDATED_TEXT)
        if not content:
            raise SlackError("no_text")
        channel = self._channel(arguments)
        message = self.workspace.update(channel, arguments.text("ts"), content)
        return {"channel": channel.id, "ts": message["ts"], "text": message.get("text", ""), "message": dict(message)}

    def chat_delete(self, arguments: Arguments) -> Json:
        channel = self._channel(arguments)
        self.workspace.delete(channel, arguments.text("ts"))
        return {"channel": channel.id, "ts": arguments.text("ts")}

    def chat_get_permalink(self, arguments: Arguments) -> Json:
        arguments.require("channel", "message_ts")
        channel, ts = self._channel(arguments), arguments.text("message_ts")
        self.workspace.message(channel, ts)
        return {"channel": channel.id, "permalink": f"{self.world.public_url}/slack/archives/{channel.id}/p{ts.replace('.', '')}"}

    def views_open(self, arguments: Arguments) -> Json:
        arguments.require("trigger_id", "view")
        return {"view": self.interactions.open(arguments.text("trigger_id"), arguments.structure("view", "invalid_arguments"))}

    def views_update(self, arguments: Arguments) -> Json:
        arguments.require("view")
        named = (arguments.text("view_id"), arguments.text("external_id"), arguments.text("hash"))
        return {"view": self.interactions.update(*named, arguments.structure("view", "invalid_arguments"))}

    def reactions_add(self, arguments: Arguments) -> Json:
        arguments.require("channel", "name", "timestamp")
        self.workspace.react(self._channel(arguments), arguments.text("timestamp"), arguments.text("name").strip(":"))
        return {}

    def pins_add(self, arguments: Arguments) -> Json:
        arguments.require("channel")
        if not arguments.text("timestamp"):
            raise SlackError("no_item_specified")
        self.workspace.pin(self._channel(arguments), arguments.text("timestamp"))
        return {}


def _content(arguments: Arguments, longest: int) -> Json:
    """Check and return what a message says: those of text, blocks, attachments and metadata that were given."""
    content: Json = {}
    if "text" in arguments:
        if len(arguments.text("text")) > longest:
            raise SlackError("msg_too_long")
        content["text"] = escape(arguments.text("text"))
    blocks = arguments.structure("blocks", "invalid_blocks_format")
    if blocks is not None:
        problems = faults_of(blocks)
        if problems:
            raise SlackError("invalid_blocks", errors=problems, response_metadata={"messages": [f"[ERROR] {one}" for one in problems]})
        content["blocks"] = blocks
    attachments = arguments.structure("attachments", "invalid_attachments")
    if attachments is not None:
        if not isinstance(attachments, list):
            raise SlackError("invalid_attachments")
        if len(attachments) > 100:
            raise SlackError("too_many_attachments")
        content["attachments"] = attachments
    metadata = arguments.structure("metadata", "invalid_metadata_format")
    if metadata is not None:
        valid = isinstance(metadata, dict) and isinstance(metadata.get("event_payload"), dict) and metadata.get("event_type")
        if not valid:
            raise SlackError("invalid_metadata_format")
        content["metadata"] = {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}
    return content


def _is_broadcast(message: Json) -> bool:
    return message.get("subtype") == "thread_broadcast"


def _within(message: Json, arguments: Arguments) -> bool:
    """Tell whether a message lies between ``oldest`` and ``latest``, themselves included only with ``inclusive``."""
    edge = arguments.flag("inclusive")
    ts, oldest, latest = _micros(message["ts"], ""), arguments.text("oldest"), arguments.text("latest")
    if oldest and not (ts > _micros(oldest, "oldest") or (edge and ts == _micros(oldest, "oldest"))):
        return False
    return not latest or ts < _micros(latest, "latest") or (edge and ts == _micros(latest, "latest"))


def _micros(ts: str, name: str) -> int:
    """Return a ts as whole microseconds, in which two can be compared without the rounding of floats."""
    seconds, _, fraction = ts.partition(".")
    try:
        return int(seconds or "0") * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def create_app(world: World) -> Starlette:
    """Build the service: ``GET`` or ``POST /api/METHOD``, and the permalinks' ``/archives/…``, which lead to the sandbox's page."""
    workspace = Workspace(world)
    world.services["slack"] = workspace
    interactions = Interactions(world, workspace)
    world.resets += [workspace.reset, interactions.reset]
    api = SlackApi(world, workspace, interactions)

    async def call(request: Request) -> Response:
        try:
            arguments, token = await _arguments(request)
            if not token:
                raise SlackError("not_authed")
            if not hmac.compare_digest(token.encode(), world.slack_token.encode()):
                raise SlackError("invalid_auth")
            name = request.path_params["method"]
            if name not in api.methods:
                raise SlackError("unknown_method", req_method=name)
            return JSONResponse({"ok": True, **api.methods[name](arguments)})
        except SlackError as refused:
            return JSONResponse({"ok": False, "error": refused.error, **refused.fields})

    def controlled(act: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                return await act(request)
            except SlackError as refused:
                return JSONResponse({"error": refused.error}, 404)
            except (ValueError, KeyError, TypeError) as error:
                return JSONResponse({"error": f"not understood: {type(error).__name__}: {error}"}, 422)

        return answered

    async def permalink(request: Request) -> Response:
        return RedirectResponse(f"/services/slack#{request.path_params['channel']}")

    routes = [
        Route("/api/{method}", call, methods=["GET", "POST"]),
        Route("/archives/{channel}/{message}", permalink),
        Route("/response/{token}", interactions.respond, methods=["POST"]),
        Route("/_control/click", controlled(interactions.click), methods=["POST"]),
        Route("/_control/submit", controlled(interactions.submit), methods=["POST"]),
        Route("/_control/command", controlled(interactions.command), methods=["POST"]),
    ]
    return Starlette(routes=routes)
