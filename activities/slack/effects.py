"""Slack: the trial's channel, messages and task cards.

Slack has no idempotency of its own: two equal posts are two messages. So every message carries its effect's name as message metadata,
and after a lost answer the channel's history is searched for it before anything is posted again. The SDK's own retries are off.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from activities.asking import Ask, Scope, since
from activities.effects.outside_system import carries_out
from activities.errors import refused
from activities.slack.blocks import blocks_of, cut
from activities.slack.channels import Channels
from activities.slack.client import CLOSED_ERRORS, EVENT_TYPE, GONE_ERRORS, PAGE, SYSTEM, allowing, code_of, mark_of, pages
from activities.slack.remote import remote
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
        """Our channels and messages."""
        return remote(self.client, ask, scope)

    def _posted(self, effect: Post, effect_id: EffectId) -> Receipt | None:
        """The message of an earlier attempt: in the thread, in the channel, or in the alerts channel."""
        oldest = f"{since(self._ledger, effect_id).timestamp():.6f}"
        places = [self._channel(effect_id.subject, effect.channel), self._channel("", self._alerts)]
        for place, channel in enumerate(dict.fromkeys(filter(None, places))):
            thread = self._thread(effect, effect_id.subject, channel) if place == 0 else ""
            for message in self._messages(channel, thread, oldest):
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
        answer = self._inside(channel, self.client.chat_postMessage, channel=channel, **message)
        return _receipt(answer["ts"], answer["channel"], thread)

    def _inside(self, channel: str, call: Callable[..., SlackResponse], /, **asked: Any) -> SlackResponse:
        """Do what only a member may; people may have put our app out of the channel meanwhile."""
        with allowing("not_in_channel"):
            return call(**asked)
        self.client.conversations_join(channel=channel)
        return call(**asked)

    def _thread(self, effect: Post, subject: str, channel: str) -> str:
        """The ``ts`` of the thread to answer in; empty when that message went to another channel, where it cannot be answered from here.

        What answers an answer stands in the thread of the first message: under an answer's own ``ts`` Slack shows nothing else.
        """
        if not effect.under:
            return ""
        parent = self._ledger.receipt(EffectId(subject, effect.under))
        return str(parent.data.get("thread", parent.ref)) if parent is not None and parent.data.get("channel") == channel else ""

    def _messages(self, channel: str, thread: str, oldest: str) -> Iterator[dict[str, Any]]:
        read = partial(self.client.conversations_replies, ts=thread) if thread else self.client.conversations_history
        asked = {"channel": channel, "oldest": oldest, "include_all_metadata": True, "limit": PAGE}
        with allowing(*GONE_ERRORS, *CLOSED_ERRORS, "thread_not_found"):  # where the app cannot go it cannot have posted
            for page in pages(partial(self._inside, channel, read), **asked):
                yield from page["messages"]

    def _mention(self, email: str) -> str:
        return f"<@{user}>" if (user := self._user(email)) else slack(email)


def _receipt(ts: str, channel: str, thread: str) -> Receipt:
    return Receipt(ref=ts, data={"channel": channel, **({"thread": thread} if thread else {})})
