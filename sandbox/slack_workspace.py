"""The state of a Slack workspace and the rules for changing it; ``sandbox/slack.py`` speaks HTTP for it.

Every method that changes something logs exactly one effect, and raises :class:`SlackError` before it has changed anything.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from sandbox.core import Numbers, World

TEAM_ID = "T0SANDBOX01"
BOT_ID = "B0SANDBOX01"
BOT_USER = "U0SANDBOXBOT"
#: Whoever set the workspace up, with the channels that are there from the beginning.
FOUNDER = "U0SANDBOXFOUNDER"
APP_ID = "A0SANDBOX01"
DEFAULT_CHANNELS = ("cloud-trial-alerts", "growth", "cloud", "renewals", "red-accounts")

Json = dict[str, Any]


class SlackError(Exception):
    """A refusal that Slack reports as ``ok: false``: its error name, and any further fields of the answer."""

    def __init__(self, error: str, **fields: Any) -> None:
        super().__init__(error)
        self.error = error
        self.fields = fields


@dataclass
class User:
    """A member of the workspace."""

    id: str
    name: str
    email: str
    real_name: str
    deleted: bool = False
    is_bot: bool = False

    def public(self) -> Json:
        """Return the user as ``users.info`` does."""
        profile = {
            "email": self.email,
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "team": TEAM_ID,
        }
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "name": self.name,
            "deleted": self.deleted,
            "real_name": self.real_name,
            "tz": "Etc/UTC",
            "tz_label": "Coordinated Universal Time",
            "tz_offset": 0,
            "profile": profile,
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 0,
        }


@dataclass
class Channel:
    """A channel, or the direct conversation with ``im_user``; ``messages`` holds what was posted, keyed by ts, oldest first."""

    id: str
    name: str
    creator: str
    created: int
    is_private: bool = False
    im_user: str = ""
    is_archived: bool = False
    shared: str = ""
    topic: str = ""
    purpose: str = ""
    previous_names: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    messages: dict[str, Json] = field(default_factory=dict)

    def public(self, *, num_members: bool = False) -> Json:
        """Return the channel as ``conversations.info`` does."""
        if self.im_user:
            common: Json = {"is_im": True, "user": self.im_user, "is_user_deleted": False}
            return {"id": self.id, "created": self.created, "is_archived": False, "is_org_shared": False, "priority": 0, **common}
        shown: Json = {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "created": self.created,
            "updated": self.created * 1000,
            "is_archived": self.is_archived,
            "is_general": False,
            "unlinked": 0,
            "is_shared": self.shared in ("ext", "org"),
            "is_org_shared": self.shared == "org",
            "is_ext_shared": self.shared == "ext",
            "is_pending_ext_shared": self.shared == "pending",
            "pending_shared": ["T0ELSEWHERE1"] if self.shared == "pending" else [],
            "shared_team_ids": [TEAM_ID],
            "context_team_id": TEAM_ID,
            "creator": self.creator,
            "is_member": BOT_USER in self.members,
            "topic": {"value": self.topic, "creator": BOT_USER if self.topic else "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": BOT_USER if self.purpose else "", "last_set": 0},
            "previous_names": self.previous_names,
        }
        return shown | ({"num_members": len(self.members)} if num_members else {})


@dataclass
class WorkspaceState:
    """What is kept of a workspace."""

    users: dict[str, User]
    channels: dict[str, Channel]
    following_id: int
    last_ts: int


class Workspace:
    """One workspace and the one bot user in it, on whose behalf every request is made."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self._ids = Numbers()
        self._last_ts = 0
        self.reset()

    def reset(self) -> None:
        """Return to an empty workspace: the bot and the default channels. Timestamps keep growing."""
        self.users = {BOT_USER: User(BOT_USER, "sandbox-bot", "", "Sandbox Bot", is_bot=True)}
        self.channels.clear()
        self._ids = Numbers()
        for name in DEFAULT_CHANNELS:
            self._add_channel(name)

    def dump(self) -> WorkspaceState:
        """What is to be kept."""
        return WorkspaceState(self.users, self.channels, self._ids.following, self._last_ts)

    def load(self, state: WorkspaceState) -> None:
        """Go on from what was kept."""
        self.users, self.channels = state.users, state.channels
        self._ids, self._last_ts = Numbers(state.following_id), state.last_ts
        for name in DEFAULT_CHANNELS:  # one that a later version brought
            if all(channel.name != name for channel in self.channels.values()):
                self._add_channel(name)

    def seed(self, data: Json) -> None:
        """Add or change users and channels; nothing of it is an effect.

        ``users``: objects with ``email`` (the key), and optional ``name``, ``real_name``, ``id`` and ``deleted``. ``channels``:
        names, or objects with ``name`` and optional ``is_private``, ``bot`` (false to leave the bot out), ``members`` (e-mails), ``ours``
        (our app made it), ``shared`` (``ext``, ``org``, ``pending``) and ``twin`` (a second one of that name, as Slack's race makes).
        """
        for entry in data.get("users", []):
            self._seed_user(entry)
        for entry in data.get("channels", []):
            self._seed_channel({"name": entry} if isinstance(entry, str) else entry)

    def _seed_user(self, entry: Json) -> None:
        known = self.user_by_email(entry["email"])
        name = entry.get("name") or entry["email"].split("@")[0]
        user = User(
            id=entry.get("id") or (known.id if known else self._new_id("U")),
            name=re.sub(r"[^a-z0-9._-]+", ".", name.lower()).strip("."),
            email=entry["email"],
            real_name=entry.get("real_name") or name,
            deleted=bool(entry.get("deleted", False)),
        )
        if known is not None and known.id != user.id:
            del self.users[known.id]
        self.users[user.id] = user

    def _seed_channel(self, entry: Json) -> None:
        check_name(entry["name"])
        there = None if entry.get("twin") else self.channel_by_name(entry["name"])
        channel = there or self._add_channel(entry["name"])
        channel.creator = BOT_USER if entry.get("ours") else channel.creator
        channel.shared = entry.get("shared", channel.shared)
        channel.is_private = bool(entry.get("is_private", channel.is_private))
        if entry.get("bot", True) is False and BOT_USER in channel.members:
            channel.members.remove(BOT_USER)
        for email in entry.get("members", []):
            user = self.user_by_email(email)
            if user is None:
                raise ValueError(f"no Slack user has the address {email!r}: seed the user first")
            if user.id not in channel.members:
                channel.members.append(user.id)

    # --- looking things up -------------------------------------------------------------------------------------------

    def user_by_email(self, email: str) -> User | None:
        """Return the user with this address, in any case."""
        return next((user for user in self.users.values() if email and user.email.lower() == email.lower()), None)

    def channel_by_name(self, name: str) -> Channel | None:
        """Return the channel with this name; an archived one still holds its name."""
        return next((channel for channel in self.channels.values() if channel.name == name and not channel.im_user), None)

    def channel(self, channel_id: str) -> Channel:
        """Return a channel by its id; a private one exists only for its members."""
        found = self.channels.get(channel_id)
        if found is None or (found.is_private and BOT_USER not in found.members):
            raise SlackError("channel_not_found")
        return found

    def message(self, channel: Channel, ts: str) -> Json:
        """Return a message by its ts."""
        if ts not in channel.messages:
            raise SlackError("message_not_found")
        return channel.messages[ts]

    def replies(self, channel: Channel, ts: str) -> list[Json]:
        """Return the replies to the message ``ts``, oldest first."""
        return [one for one in channel.messages.values() if one.get("thread_ts") == ts and one["ts"] != ts]

    def view(self) -> Json:
        """Return what the page shows: users by id, and every channel with its messages in order."""
        shown = []
        for channel in self.channels.values():
            messages = [self.shown(channel, one) for one in channel.messages.values()]
            public = channel.public() | {"members": channel.members, "messages": messages, "pins": channel.pins}
            public["name"] = channel.name or f"@{self.users[channel.im_user].name}"
            shown.append(public)
        return {"users": {user.id: user.name for user in self.users.values()}, "channels": shown}

    def shown(self, channel: Channel, message: Json) -> Json:
        """Return a message with the counts of its thread, as the API gives it out."""
        replies = self.replies(channel, message["ts"])
        if not replies:
            return dict(message)
        people = list(dict.fromkeys(one["user"] for one in replies))
        thread = {
            "thread_ts": message["ts"],
            "reply_count": len(replies),
            "reply_users_count": len(people),
            "reply_users": people,
            "latest_reply": replies[-1]["ts"],
            "is_locked": False,
            "subscribed": False,
        }
        return message | thread

    # --- channels ----------------------------------------------------------------------------------------------------

    def create_channel(self, name: str, *, is_private: bool) -> Channel:
        """Create a channel with the bot in it."""
        check_name(name)
        if self.channel_by_name(name):
            raise SlackError("name_taken")
        channel = self._add_channel(name, is_private=is_private, creator=BOT_USER)
        self._note(channel, "channel_join", f"<@{BOT_USER}> has joined the channel")
        self._log("channel.created", f"#{name} created", channel)
        return channel

    def invite(self, channel: Channel, ids: list[str], *, force: bool) -> None:
        """Add users: all of them or none, unless ``force`` says to leave out those that cannot be added."""
        self._require_open(channel)
        if not ids:
            raise SlackError("no_user")
        if len(ids) > 100:
            raise SlackError("too_many_users")
        errors = {one: self._why_not(channel, one) for one in ids}
        added = [one for one, error in errors.items() if not error]
        problems = [(one, error) for one, error in errors.items() if error]
        if problems and (not force or not added):
            raise SlackError(problems[0][1], errors=[{"user": one, "ok": False, "error": error} for one, error in problems])
        for one in added:
            channel.members.append(one)
            self._note(channel, "channel_join", f"<@{one}> has joined the channel", user=one)
        names = ", ".join(f"@{self.users[one].name}" for one in added)
        self._log("channel.invited", f"{names} invited to #{channel.name}", channel, users=added)

    def _why_not(self, channel: Channel, user: str) -> str:
        if user == BOT_USER:
            return "cant_invite_self"
        if user not in self.users:
            return "user_not_found"
        if self.users[user].deleted:
            return "cant_invite"
        return "already_in_channel" if user in channel.members else ""

    def join(self, channel: Channel) -> bool:
        """Let the bot join a public channel; False when it was in it already."""
        if channel.im_user or channel.is_private:
            raise SlackError("method_not_supported_for_channel_type")
        if channel.is_archived:
            raise SlackError("is_archived")
        if BOT_USER in channel.members:
            return False
        channel.members.append(BOT_USER)
        self._note(channel, "channel_join", f"<@{BOT_USER}> has joined the channel")
        self._log("channel.joined", f"the bot joined #{channel.name}", channel)
        return True

    def set_topic(self, channel: Channel, topic: str) -> None:
        """Set the topic, at most 250 characters."""
        self._require_open(channel)
        if len(topic) > 250:
            raise SlackError("too_long")
        channel.topic = escape(topic)
        self._note(channel, "channel_topic", f"<@{BOT_USER}> set the channel topic: {channel.topic}", topic=channel.topic)
        self._log("channel.topic_set", f"topic of #{channel.name}: {topic}", channel, topic=channel.topic)

    def set_purpose(self, channel: Channel, purpose: str) -> None:
        """Set the purpose, at most 250 characters."""
        self._require_open(channel)
        if len(purpose) > 250:
            raise SlackError("too_long")
        channel.purpose = escape(purpose)
        self._note(channel, "channel_purpose", f"<@{BOT_USER}> set the channel purpose: {channel.purpose}", purpose=channel.purpose)
        self._log("channel.purpose_set", f"purpose of #{channel.name}: {purpose}", channel, purpose=channel.purpose)

    def rename(self, channel: Channel, name: str) -> None:
        """Give the channel another name; the old one becomes free."""
        if BOT_USER not in channel.members:
            raise SlackError("not_in_channel")
        check_name(name)
        holder = self.channel_by_name(name)
        if holder is not None and holder is not channel:
            raise SlackError("name_taken")
        old, channel.name = channel.name, name
        channel.previous_names.insert(0, old)
        self._note(channel, "channel_name", f'<@{BOT_USER}> has renamed the channel from "{old}" to "{name}"', old_name=old, name=name)
        self._log("channel.renamed", f"#{old} renamed to #{name}", channel, old_name=old)

    def archive(self, channel: Channel) -> None:
        """Archive the channel: it can be read, but not changed or posted to."""
        if channel.is_archived:
            raise SlackError("already_archived")
        self._require_open(channel)
        channel.is_archived = True
        self._note(channel, "channel_archive", f"<@{BOT_USER}> archived the channel")
        self._log("channel.archived", f"#{channel.name} archived", channel)

    def unarchive(self, channel: Channel) -> None:
        """Open an archived channel again."""
        if not channel.is_archived:
            raise SlackError("not_archived")
        channel.is_archived = False
        self._note(channel, "channel_unarchive", f"<@{BOT_USER}> un-archived the channel")
        self._log("channel.unarchived", f"#{channel.name} unarchived", channel)

    # --- messages ----------------------------------------------------------------------------------------------------

    def destination(self, target: str) -> Channel:
        """Return where a message to ``target`` goes: a channel by id or name, or the direct conversation with a user by id."""
        if target in self.users and target != BOT_USER:
            return self._direct(target)
        named = self.channel_by_name(target.removeprefix("#"))
        return self.channel(target) if target in self.channels or named is None else self.channel(named.id)

    def post(self, channel: Channel, content: Json, *, thread_ts: str = "", broadcast: bool = False) -> Json:
        """Post a message; two equal requests make two messages."""
        self._require_open(channel)
        if thread_ts:
            parent = channel.messages.get(thread_ts)
            if parent is None:
                raise SlackError("thread_not_found")
            # A reply to a reply belongs to the thread's parent.
            content = content | {"thread_ts": parent.get("thread_ts", thread_ts)}
            if broadcast:
                content = content | {"subtype": "thread_broadcast"}
        message = self._add_message(channel, self.authored(content))
        self._log_message("message.posted", channel, message)
        return message

    def authored(self, content: Json) -> Json:
        """Sign ``content`` as the bot's."""
        profile = {"id": BOT_ID, "app_id": APP_ID, "name": "sandbox-bot", "deleted": False, "updated": 0, "team_id": TEAM_ID}
        author = {"user": BOT_USER, "bot_id": BOT_ID, "app_id": APP_ID, "team": TEAM_ID, "bot_profile": profile}
        return {"type": "message", **author, **content}

    def update(self, channel: Channel, ts: str, content: Json) -> Json:
        """Change one of the bot's messages. A new text without blocks drops the old blocks, as Slack does."""
        message = self._own(channel, ts, "cant_update_message")
        if channel.is_archived:
            raise SlackError("is_archived")
        if "text" in content and "blocks" not in content:
            message.pop("blocks", None)
        message.update(content)
        message["edited"] = {"user": BOT_USER, "ts": self._new_ts()}
        self._log_message("message.updated", channel, message)
        return message

    def delete(self, channel: Channel, ts: str) -> None:
        """Delete one of the bot's messages; a thread keeps a tombstone in its place."""
        message = self._own(channel, ts, "cant_delete_message")
        self._log_message("message.deleted", channel, message)
        if self.replies(channel, ts):
            stone = {"type": "message", "subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT", "hidden": True}
            channel.messages[ts] = stone | {"ts": ts}
        else:
            del channel.messages[ts]

    def post_ephemeral(self, channel: Channel, user: str, content: Json) -> str:
        """Show a message to one member only, until they reload; it is in no history. Returns its ts."""
        self._require_open(channel)
        if user not in channel.members:
            raise SlackError("user_not_in_channel")
        ts = self._new_ts()
        what = f"#{channel.name}, only for @{self.users[user].name}: {content.get('text', '')}"
        self._log("message.posted_ephemeral", what, channel, user=user, ts=ts, text=content.get("text", ""))
        return ts

    def react(self, channel: Channel, ts: str, name: str) -> None:
        """Add the bot's reaction to a message."""
        message = self.message(channel, ts)
        reactions: list[Json] = message.setdefault("reactions", [])
        found = next((one for one in reactions if one["name"] == name), None)
        if found is not None:
            raise SlackError("already_reacted")
        reactions.append({"name": name, "users": [BOT_USER], "count": 1})
        self._log("reaction.added", f":{name}: in #{channel.name}", channel, ts=ts, name=name)

    def pin(self, channel: Channel, ts: str) -> None:
        """Pin a message to its channel."""
        message = self.message(channel, ts)
        if ts in channel.pins:
            raise SlackError("already_pinned")
        channel.pins.append(ts)
        message["pinned_to"] = [channel.id]
        self._log("pin.added", f"pinned in #{channel.name}", channel, ts=ts)

    # --- within ------------------------------------------------------------------------------------------------------

    def _add_channel(self, name: str, *, is_private: bool = False, creator: str = FOUNDER) -> Channel:
        channel = Channel(self._new_id("C"), name, creator, int(time.time()), is_private, members=[BOT_USER])
        self.channels[channel.id] = channel
        return channel

    def _direct(self, user: str) -> Channel:
        """Return the direct conversation with ``user``, opened by the first message to them."""
        for channel in self.channels.values():
            if channel.im_user == user:
                return channel
        channel = Channel(self._new_id("D"), "", BOT_USER, int(time.time()), im_user=user, members=[BOT_USER, user])
        self.channels[channel.id] = channel
        return channel

    def _require_open(self, channel: Channel) -> None:
        if channel.is_archived:
            raise SlackError("is_archived")
        if BOT_USER not in channel.members:
            raise SlackError("not_in_channel")

    def _own(self, channel: Channel, ts: str, refused: str) -> Json:
        message = self.message(channel, ts)
        if message.get("bot_id") != BOT_ID or message.get("subtype", "thread_broadcast") != "thread_broadcast":
            raise SlackError(refused)
        return message

    def _add_message(self, channel: Channel, message: Json) -> Json:
        ts = self._new_ts()
        channel.messages[ts] = message | {"ts": ts}
        return channel.messages[ts]

    def _note(self, channel: Channel, subtype: str, text: str, *, user: str = BOT_USER, **fields: str) -> None:
        """Add the line that Slack itself writes into a channel's history when something about the channel changes."""
        self._add_message(channel, {"type": "message", "subtype": subtype, "user": user, "text": text, **fields})

    def _log(self, act: str, what: str, channel: Channel, **data: Any) -> None:
        self.world.log.effect("slack", act, what, channel=channel.id, channel_name=channel.name, **data)

    def _log_message(self, act: str, channel: Channel, message: Json) -> None:
        place = f"#{channel.name}" if channel.name else f"@{self.users[channel.im_user].name}"
        kept = {name: message[name] for name in ("ts", "thread_ts", "text", "metadata") if name in message}
        self._log(act, f"{place}: {readable(message.get('text', ''))}", channel, **kept)

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}0SANDBOX{next(self._ids):04d}"

    def _new_ts(self) -> str:
        """Return the current time to the microsecond, but always later than the last one: a ts is unique and grows."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"


def check_name(name: str) -> None:
    """Refuse a channel name that Slack would refuse: lower case, digits, hyphens and underscores, at most 80 characters."""
    if not name:
        raise SlackError("invalid_name_required")
    if len(name) > 80:
        raise SlackError("invalid_name_maxlength")
    if not any(one.isalnum() or one.isspace() for one in name):
        raise SlackError("invalid_name_punctuation")
    if not all(one in "-_" or (one.isalnum() and one == one.lower()) for one in name):
        raise SlackError("invalid_name_specials")


_CONTROL = r"<(?:[@#!][^<>\s|]+|(?:https?://|mailto:|tel:)[^<>|\s]+)(?:\|[^<>]*)?>"
_ENTITY = r"&(?:amp|lt|gt);"
_LINK = r"https?://[^\s<>|]+[^\s<>|.,;:!?'\")\]*_~`]"
_MARKUP = re.compile(rf"(?P<keep>{_CONTROL}|{_ENTITY})|(?P<link>{_LINK})|[&<>]")
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Return ``text`` as Slack stores it: ``& < >`` escaped outside control sequences, bare links put into angle brackets."""

    def stored(match: re.Match[str]) -> str:
        if match["keep"]:
            return match["keep"]
        if match["link"]:
            return "<" + match["link"].replace("&amp;", "&").replace("&", "&amp;") + ">"
        return _ESCAPED[match[0]]

    return _MARKUP.sub(stored, text)


def readable(text: str) -> str:
    """Return stored text for people: links as their label or address, and ``& < >`` as themselves."""
    return unescape(re.sub(r"<((?:https?|mailto|tel):[^<>|]*)(?:\|([^<>]*))?>", lambda match: match[2] or match[1], text))
