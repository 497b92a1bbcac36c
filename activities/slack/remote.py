"""What is there in Slack: our channels and messages, for the reconciliation. It reads only; it does not even join a channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from activities.remote_listing import Ask, Scope
from activities.slack.client import CLOSED_ERRORS, EVENT_TYPE, LIST_PAGE, PAGE, code_of, next_cursor
from domain.effects.reconcile import Thing, Unseen

UNSHOWN = CLOSED_ERRORS | {"channel_not_found", "thread_not_found"}


def remote(client: WebClient, ask: Ask, scope: Scope) -> Iterator[Thing | Unseen]:
    """Our channels, and the messages in every channel that our app is in; or only what is on record, when the scope is not whole.

    The list of channels names the maker; so a channel that our app made is known for ours. A thread's answers are in no list but its
    own, so a thread of ours that has answers costs a request more.
    """
    us = ask(client.auth_test)["user_id"]
    channels = scope.refs("channel")
    read = {ref.partition("/")[0]: "" for ref in scope.refs("message")}
    listed = list(_channels(client, ask))
    # Slack lets two be made with one name at the same instant; the name says no more which is meant.
    named = Counter(channel["name"] for channel in listed)
    kept = {channel["name"] for channel in listed if channel["id"] in channels}
    for channel in listed:
        made = channel.get("creator") == us and (scope.earliest is None or channel["created"] >= scope.earliest.timestamp())
        twin = named[channel["name"]] > 1 and channel["name"] in kept
        if channel["id"] in channels or (made and scope.whole) or twin:
            state = {"archived": "yes" if channel["is_archived"] else "no"}
            mark = f"made by our app: #{channel['name']}" if made or twin else ""
            yield Thing(kind="channel", ref=channel["id"], mark=mark, state=state, where=f"#{channel['name']}")
        if channel["id"] in read or (scope.whole and channel.get("is_member")):
            read[channel["id"]] = f"#{channel['name']}"
    for channel_id, name in read.items():
        yield from _messages_of(client, ask, scope, channel_id, name or channel_id)


def _channels(client: WebClient, ask: Ask) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while cursor != "":
        answer = ask(partial(client.conversations_list, cursor=cursor, limit=LIST_PAGE, types="public_channel"))
        yield from answer["channels"]
        cursor = next_cursor(answer)


def _messages_of(client: WebClient, ask: Ask, scope: Scope, channel: str, name: str) -> Iterator[Thing | Unseen]:
    for message in _pages(client, ask, scope, channel):
        if isinstance(message, str):
            # Of a channel that was deleted nothing is left to be seen; into any other our app may come back.
            if message != "channel_not_found":
                yield Unseen(kind="message", under=f"{channel}/", why=f"our app is not in {name} any more, so Slack does not show it")
            return
        if mark := _mark_of(message):
            yield _thing(channel, name, message, mark)
        # A parent that somebody deleted keeps its answers.
        if message.get("reply_count") and (mark or message.get("subtype") == "tombstone"):
            for reply in _pages(client, ask, scope, channel, message["ts"]):
                if not isinstance(reply, str) and reply["ts"] != message["ts"] and (mark := _mark_of(reply)):
                    yield _thing(channel, name, reply, mark)


def _pages(client: WebClient, ask: Ask, scope: Scope, channel: str, thread: str = "") -> Iterator[dict[str, Any] | str]:
    """A channel's messages, newest first, or a thread's; as far back as the first on record. Slack's word for it when it shows none."""
    cursor: str | None = None
    oldest = f"{scope.earliest.timestamp():.6f}" if scope.earliest is not None else None
    while cursor != "":
        asked: dict[str, Any] = {"channel": channel, "oldest": oldest, "include_all_metadata": True, "limit": PAGE, "cursor": cursor}
        read = partial(client.conversations_replies, ts=thread) if thread else client.conversations_history
        answer = ask(partial(_read, partial(read, **asked)))
        if isinstance(answer, str):
            yield answer
            return
        yield from answer["messages"]
        cursor = next_cursor(answer)


def _read(read: Callable[[], SlackResponse]) -> SlackResponse | str:
    """The answer, or Slack's word for why this place is not shown, which is no error."""
    try:
        return read()
    except SlackApiError as error:
        if code_of(error) not in UNSHOWN:
            raise
        return code_of(error)


def _mark_of(message: dict[str, Any]) -> str:
    metadata = message.get("metadata", {})
    return str(metadata.get("event_payload", {}).get("key", "")) if metadata.get("event_type") == EVENT_TYPE else ""


def _thing(channel: str, name: str, message: dict[str, Any], mark: str) -> Thing:
    return Thing(kind="message", ref=f"{channel}/{message['ts']}", mark=mark, where=f"message {message['ts']} in {name}")
