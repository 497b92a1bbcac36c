"""What is there in Slack: our channels and messages, for the reconciliation. It reads only; it does not even join a channel."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from activities.asking import Ask, Scope
from activities.slack.client import CLOSED_ERRORS, LIST_PAGE, PAGE, code_of, mark_of, pages
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
    asked = pages(lambda **given: ask(partial(client.conversations_list, **given)), limit=LIST_PAGE, types="public_channel")
    listed: list[dict[str, Any]] = [channel for page in asked for channel in page["channels"]]
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


def _messages_of(client: WebClient, ask: Ask, scope: Scope, channel: str, name: str) -> Iterator[Thing | Unseen]:
    try:
        for message in _messages(client, ask, scope, channel):
            if mark := mark_of(message):
                yield _thing(channel, name, message, mark)
            # A parent that somebody deleted keeps its answers.
            if message.get("reply_count") and (mark or message.get("subtype") == "tombstone"):
                with suppress(_Unshown):
                    for reply in _messages(client, ask, scope, channel, message["ts"]):
                        if reply["ts"] != message["ts"] and (mark := mark_of(reply)):
                            yield _thing(channel, name, reply, mark)
    except _Unshown as error:
        # Of a channel that was deleted nothing is left to be seen; into any other our app may come back.
        if error.code != "channel_not_found":
            yield Unseen(kind="message", under=f"{channel}/", why=f"our app is not in {name} any more, so Slack does not show it")


def _messages(client: WebClient, ask: Ask, scope: Scope, channel: str, thread: str = "") -> Iterator[dict[str, Any]]:
    """A channel's messages, newest first, or a thread's; as far back as the first on record. Raises :class:`_Unshown`."""
    oldest = f"{scope.earliest.timestamp():.6f}" if scope.earliest is not None else None
    read = partial(client.conversations_replies, ts=thread) if thread else client.conversations_history
    asked = {"channel": channel, "oldest": oldest, "include_all_metadata": True, "limit": PAGE}
    for page in pages(lambda **given: ask(partial(_shown, read, **given)), **asked):
        yield from page["messages"]


class _Unshown(Exception):
    """Slack does not show this place, which is no error; ``code`` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _shown(read: Callable[..., SlackResponse], **asked: Any) -> SlackResponse:
    try:
        return read(**asked)
    except SlackApiError as error:
        if code_of(error) in UNSHOWN:
            raise _Unshown(code_of(error)) from None
        raise


def _thing(channel: str, name: str, message: dict[str, Any], mark: str) -> Thing:
    return Thing(kind="message", ref=f"{channel}/{message['ts']}", mark=mark, where=f"message {message['ts']} in {name}")
