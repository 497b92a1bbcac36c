"""Slack: the trial's channel, messages and task cards.

Slack has no idempotency of its own: two equal posts are two messages. So every message carries its effect's name as message metadata,
and after a lost answer the channel's history is searched for it before anything is posted again. The SDK's own retries are off.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from slack_sdk.errors import SlackApiError

from activities.asking import Answer, Ask, Scope, since
from activities.effects.outside_system import carries_out
from activities.errors import refused
from activities.slack.blocks import blocks_of, cut
from activities.slack.channels import Channels
from activities.slack.client import EVENT_TYPE, GONE_ERRORS, LIST_PAGE, PAGE, SYSTEM, UNSHOWN, allowing, code_of, mark_of, pages
from domain.effects.effect import Receipt
from domain.effects.reconcile import Thing, Unseen
from domain.effects.slack import Post
from domain.markup import slack
from store.effect_kinds import below, of
from store.ledger import EffectId

FALLBACK_LIMIT = 4_000


class Slack(Channels, name="slack", title="Slack"):
    """The workspace. One object serves all threads: the SDK's client opens a connection per call.

    Receipts: the channel's id for a channel; the message's ``ts`` its channel and its thread's ``ts`` for a message.
    """

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing | Unseen]:
        """Our channels, and the messages in every channel that our app is in; or only what is on record, when the scope is not whole.

        The list of channels names the maker; so a channel that our app made is known for ours. It reads only: no channel is joined.
        """
        us = ask(self.client.auth_test)["user_id"]
        channels = scope.refs("channel")
        read = {ref.partition("/")[0]: "" for ref in scope.refs("message")}
        asked = pages(ask, self.client.conversations_list, limit=LIST_PAGE, types="public_channel")
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
            yield from self._shown(ask, scope, channel_id, name or channel_id)

    def _shown(self, ask: Ask, scope: Scope, channel: str, name: str) -> Iterator[Thing | Unseen]:
        """Our messages in a channel. A thread's answers are in no list but its own, so a thread of ours that has answers costs a request more."""

        def ours(thread: str = "") -> Iterator[tuple[dict[str, Any], str]]:
            for message in self._messages(lambda call: ask(partial(_if_shown, call)), channel, thread, scope.earliest):
                yield message, mark_of(message) if message["ts"] != thread else ""

        def thing(message: dict[str, Any], mark: str) -> Thing:
            return Thing(kind="message", ref=f"{channel}/{message['ts']}", mark=mark, where=f"message {message['ts']} in {name}")

        try:
            for message, mark in ours():
                if mark:
                    yield thing(message, mark)
                # A parent that somebody deleted keeps its answers.
                if message.get("reply_count") and (mark or message.get("subtype") == "tombstone"):
                    with suppress(_Unshown):
                        for reply, mark in ours(message["ts"]):
                            if mark:
                                yield thing(reply, mark)
        except _Unshown as error:
            # Of a channel that was deleted nothing is left to be seen; into any other our app may come back.
            if str(error) != "channel_not_found":
                yield Unseen(kind="message", under=f"{channel}/", why=f"our app is not in {name} any more, so Slack does not show it")

    def _posted(self, effect: Post, effect_id: EffectId) -> Receipt | None:
        """The message of an earlier attempt: in the thread, in the channel, or in the alerts channel."""
        earliest = since(self._ledger, effect_id)
        places = [self._channel(effect_id.subject, effect.channel), self._channel("", self._alerts)]
        for place, channel in enumerate(dict.fromkeys(filter(None, places))):
            thread = self._thread(effect, effect_id.subject, channel) if place == 0 else ""
            with allowing(*UNSHOWN, *GONE_ERRORS):  # where the app cannot go it cannot have posted
                for message in self._messages(partial(self._inside, channel), channel, thread, earliest):
                    if mark_of(message) == str(effect_id):
                        return _receipt(message["ts"], channel, thread)
        return None

    @carries_out(Post, act="message.posted", probe=_posted, claims=of("message", str, below("channel")), makes="message", mark=str)
    def _post(self, effect: Post, effect_id: EffectId) -> Receipt:
        """Post where asked; in the alerts channel, saying so, when people archived or removed that channel."""
        channel = self._channel(effect_id.subject, effect.channel)
        if channel is not None:
            try:
                return self._send(effect, effect_id, channel, self._thread(effect, effect_id.subject, channel))
            except SlackApiError as error:
                if code_of(error) not in GONE_ERRORS or effect.channel == self._alerts:
                    raise
        instead = self._channel("", self._alerts) if effect.channel != self._alerts else None
        if instead is None:
            raise refused(SYSTEM, f"there is no channel #{effect.channel}; create it (and #{self._alerts}), and invite our app")
        moved = effect.model_copy(update={"text": f"(#{effect.channel} is gone, so this comes here)\n{effect.text}"})
        receipt = self._send(moved, effect_id, instead, "")
        return receipt.model_copy(update={"data": {**receipt.data, "instead_of": effect.channel}})

    def _send(self, effect: Post, effect_id: EffectId, channel: str, thread: str) -> Receipt:
        called = " ".join(self._mention(email) for email in effect.mention)
        text = f"{called} {slack(effect.text)}".strip()
        message: dict[str, Any] = {
            "text": cut(text, FALLBACK_LIMIT),
            "blocks": blocks_of(effect, called),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": str(effect_id)}},
            "unfurl_links": False,
            "unfurl_media": False,
            "link_names": False,
            "parse": "none",  # no address in the text becomes a link
            **({"thread_ts": thread} if thread else {}),
        }
        answer = self._inside(channel, partial(self.client.chat_postMessage, channel=channel, **message))
        return _receipt(answer["ts"], answer["channel"], thread)

    def _inside(self, channel: str, call: Callable[[], Answer], /) -> Answer:
        """Do what only a member may; people may have put our app out of the channel meanwhile."""
        with allowing("not_in_channel"):
            return call()
        self.client.conversations_join(channel=channel)
        return call()

    def _thread(self, effect: Post, subject: str, channel: str) -> str:
        """The ``ts`` of the thread to answer in; empty when that message went to another channel, where it cannot be answered from here.

        What answers an answer stands in the thread of the first message: under an answer's own ``ts`` Slack shows nothing else.
        """
        if not effect.under:
            return ""
        parent = self._ledger.receipt(EffectId(subject, effect.under))
        return str(parent.data.get("thread", parent.ref)) if parent is not None and parent.data.get("channel") == channel else ""

    def _messages(self, ask: Ask, channel: str, thread: str, earliest: datetime | None) -> Iterator[dict[str, Any]]:
        """A channel's messages, newest first, or a thread's, since then."""
        read = partial(self.client.conversations_replies, ts=thread) if thread else self.client.conversations_history
        oldest = f"{earliest.timestamp():.6f}" if earliest is not None else None
        for page in pages(ask, read, channel=channel, oldest=oldest, include_all_metadata=True, limit=PAGE):
            yield from page["messages"]

    def _mention(self, email: str) -> str:
        return f"<@{user}>" if (user := self._user(email)) else slack(email)


class _Unshown(Exception):
    """Slack does not show this place, which is no error: its word for why."""


def _if_shown(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except SlackApiError as error:
        if (code := code_of(error)) in UNSHOWN:
            raise _Unshown(code) from None
        raise


def _receipt(ts: str, channel: str, thread: str) -> Receipt:
    return Receipt(ref=ts, data={"channel": channel, **({"thread": thread} if thread else {})})
