"""Slack: the trial's channel, messages and task cards.

Slack has no idempotency of its own: two equal posts are two messages. So every message carries its effect's name as message metadata,
and after a lost answer the channel's history is searched for it before anything is posted again. The SDK's own retries are off.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from itertools import count
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.models.blocks import ContextBlock, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock
from slack_sdk.web import SlackResponse
from sqlalchemy import select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import (
    LONGEST_ANSWER,
    Step,
    forbidden,
    from_status,
    limit_wait,
    limited,
    no_answer,
    refused,
    run_batch,
    unreachable,
    unsure,
)
from activities.remote_listing import since
from domain.effects.models import ArchiveChannel, OpenChannel, Post, Receipt, Receipts, SlackAct, SlackBatch
from domain.markup import bold, code, line, slack
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.tables import effects

SYSTEM = "Slack"
EVENT_TYPE = "tenure"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
PAGE = 200
LIST_PAGE = 999  # listing is limited to some 20 calls a minute, so a large workspace needs large pages
SECTION_LIMIT = SectionBlock.text_max_length
TOPIC_LIMIT = 250
FALLBACK_LIMIT = 4_000
CACHED_NAMES = 10_000
TRIAL_CHANNEL = "cloud-trial-"

CREDENTIAL_ERRORS = frozenset(
    {
        "access_denied",
        "account_inactive",
        "ekm_access_denied",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "restricted_action",
        "restricted_action_read_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
UNCERTAIN_ERRORS = frozenset({"fatal_error", "internal_error", "team_added_to_org"})
DOWN_ERRORS = frozenset({"request_timeout", "service_unavailable"})
GONE_ERRORS = frozenset({"channel_not_found", "is_archived"})
CLOSED_ERRORS = frozenset({"not_in_channel", "method_not_supported_for_channel_type"})
_HALF = re.compile(r"&[#\w]*$")
CANNOT_JOIN_ERRORS = frozenset({"cant_invite", "user_disabled", "user_is_restricted", "user_is_ultra_restricted", "user_not_found"})


class Slack:
    """The Slack activities. One object serves all threads: the SDK's client opens a connection per call."""

    def __init__(self, client: WebClient, ledger: Ledger, alerts: str, peoples: tuple[str, ...] = ()) -> None:
        self.client = client
        self._ledger = ledger
        self._alerts = alerts
        self._peoples = frozenset({alerts, *peoples})
        self._self = ""
        self._users: dict[str, str] = {}
        self._channels: dict[tuple[str, str], str] = {}

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Slack:
        """The activities on the workspace that the settings name."""
        client = WebClient(
            token=settings.slack_token.get_secret_value(), base_url=settings.slack_url, timeout=TIMEOUT_SECONDS, retry_handlers=[]
        )
        peoples = settings.slack_red_channel, settings.slack_forecast_channel
        return cls(client, ledger, settings.slack_alerts_channel, peoples)

    @activity.defn(name="slack", no_thread_cancel_exception=True)
    def slack(self, batch: SlackBatch) -> Receipts:
        """Open a channel, post, archive; in the order of the batch, each at most once.

        Safe to repeat: done acts are answered from the ledger, one that may have happened is looked for in Slack first. Receipts:
        the channel's id for a channel, the message's ``ts`` and its channel for a message.
        """
        return run_batch(self._ledger, "slack", batch, self._step, error_of)

    def _step(self, act: SlackAct, effect: EffectId) -> Step:
        match act:
            case OpenChannel():
                # Every part of it can be repeated, so there is nothing to ask beforehand: the name is the channel's key.
                return Step("channel.opened", f"open #{act.name}", lambda: self._open(act, effect))
            case Post():
                where = f"in a thread of #{act.channel}" if act.under else f"in #{act.channel}"
                summary = f"post {act.task or act.key} {where}"
                return Step("message.posted", summary, lambda: self._post(act, effect), lambda: self._posted(act, effect))
            case ArchiveChannel():
                return Step("channel.archived", f"archive #{act.name}", lambda: self._archive(act, effect.subject))

    # --- Channels -----------------------------------------------------------------------------------------------------------

    def _open(self, act: OpenChannel, effect: EffectId) -> Receipt:
        channel = self._create_or_find(act.name)
        self._ledger.part(effect, Receipt(ref=channel["id"], data={"name": channel["name"], "asked": act.name}))
        topic = _cut(slack(" ".join(act.topic.split())), TOPIC_LIMIT)
        # Setting the same topic again would announce it in the channel again.
        if html.unescape(channel.get("topic", {}).get("value", "")) != html.unescape(topic):
            self.client.conversations_setTopic(channel=channel["id"], topic=topic)
        unknown = [email for email in act.invite if not self._invite(channel["id"], email)]
        data = {"name": channel["name"], "asked": act.name}
        if unknown:
            data["not_invited"] = ", ".join(unknown)
            activity.logger.warning("no Slack user to invite to #%s for %d address(es)", channel["name"], len(unknown))
        return Receipt(ref=channel["id"], data=data)

    def _create_or_find(self, name: str) -> dict[str, Any]:
        """The open channel of that name. An archived one keeps its name and a bot cannot revive it: then ``NAME-2`` and so on."""
        for number in count(1):
            candidate = name if number == 1 else f"{name}-{number}"
            try:
                created: dict[str, Any] = self.client.conversations_create(name=candidate)["channel"]
                return created
            except SlackApiError as error:
                if code_of(error) != "name_taken":
                    raise
            named = [channel for channel in self._list(archived=True) if channel["name"] == candidate]
            if not named:
                raise refused(SYSTEM, f"#{candidate} is the name of a private channel; rename that channel or invite our app to it")
            if (found := self._usable(candidate, named, ours=True)) is not None:
                self.client.conversations_join(channel=found["id"])
                return found
        raise AssertionError("count() has no end")

    def _usable(self, name: str, named: list[dict[str, Any]], *, ours: bool) -> dict[str, Any] | None:
        """The open channel among those of one name; None when all are archived.

        Raises for one that is not ours, where only ``ours`` may be used, and for one that another organisation reads along: a name is no
        proof, and what is said of a customer is for our own people.
        """
        opened = [channel for channel in named if not channel.get("is_archived")]
        mine = [channel for channel in opened if not ours or channel.get("creator") == self._us()]
        if not opened:
            return None
        if not mine:
            who = opened[0].get("creator") or "somebody else"
            raise refused(SYSTEM, f"#{name} was made by {who}, not by our app; rename that channel and try again", kind="NotOurs")
        if (own := next((channel for channel in mine if not shared(channel)), None)) is None:
            raise refused(SYSTEM, f"#{name} is shared with another organisation; end that, or rename it, and try again", kind="Shared")
        return own

    def _us(self) -> str:
        """Our app's user, who is the creator of what we made."""
        if not self._self:
            self._self = str(self.client.auth_test()["user_id"])
        return self._self

    def _list(self, *, archived: bool) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while cursor != "":
            answer = self.client.conversations_list(cursor=cursor, exclude_archived=not archived, limit=LIST_PAGE, types="public_channel")
            yield from answer["channels"]
            cursor = next_cursor(answer)

    def _invite(self, channel: str, email: str) -> bool:
        """Whether that person is in the channel now; False when Slack knows no such person or does not let them in."""
        if (user := self._user(email)) is None:
            return False
        try:
            self.client.conversations_invite(channel=channel, users=[user])
        except SlackApiError as error:
            if code_of(error) in ("already_in_channel", "cant_invite_self"):
                return True
            if code_of(error) in CANNOT_JOIN_ERRORS:
                return False
            raise
        return True

    def _archive(self, act: ArchiveChannel, subject: str) -> Receipt:
        channel = self._channel(subject, act.name)
        if channel is None:
            return Receipt(data={"note": "there is no such channel any more"})
        try:
            self.client.conversations_archive(channel=channel)
        except SlackApiError as error:
            if code_of(error) not in ("already_archived", "channel_not_found"):
                raise
        return Receipt(ref=channel)

    def _channel(self, subject: str, name: str) -> str | None:
        """The id of a channel: of ours by the ledger, which knows what a taken name became, else by Slack's list."""
        if (known := self._channels.get((subject, name))) is not None:
            return known
        opened = (
            select(effects.c.subject, effects.c.receipt)
            .where(effects.c.system == "slack", effects.c.act == "channel.opened", effects.c.done_at.is_not(None))
            .where(effects.c.receipt["data"]["asked"].as_string() == name)
            .order_by(effects.c.number.desc())
        )
        with self._ledger.reading() as db:
            rows = db.execute(opened).all()
        own = next((row for row in rows if row.subject == subject), None)
        if rows and own is None:
            # Another subject's: it may open a newer one of that name, so this answer is not kept.
            return Receipt.model_validate(rows[0].receipt).ref
        if own is not None:
            found: str | None = Receipt.model_validate(own.receipt).ref
        else:
            named = [channel for channel in self._list(archived=False) if channel["name"] == name]
            # The channels that settings name are people's; a trial's is one that we made.
            usable = self._usable(name, named, ours=name.startswith(TRIAL_CHANNEL) and name not in self._peoples)
            found = str(usable["id"]) if usable is not None else None
        if found is not None:
            if len(self._channels) >= CACHED_NAMES:
                self._channels.clear()
            self._channels[(subject, name)] = found
        return found

    # --- Messages -----------------------------------------------------------------------------------------------------------

    def _post(self, act: Post, effect: EffectId) -> Receipt:
        """Post where asked; in the alerts channel, saying so, when people archived or removed that channel."""
        channel = self._channel(effect.subject, act.channel)
        if channel is not None:
            try:
                return self._send(act, effect, channel, self._thread(act, effect.subject, channel))
            except SlackApiError as error:
                if code_of(error) not in GONE_ERRORS or act.channel == self._alerts:
                    raise
        instead = self._channel("", self._alerts) if act.channel != self._alerts else None
        if instead is None:
            raise refused(SYSTEM, f"there is no channel #{act.channel}; create it (and #{self._alerts}), and invite our app")
        moved = act.model_copy(update={"text": f"(#{act.channel} is gone, so this comes here)\n{act.text}"})
        receipt = self._send(moved, effect, instead, "")
        return receipt.model_copy(update={"data": {**receipt.data, "instead_of": act.channel}})

    def _send(self, act: Post, effect: EffectId, channel: str, thread: str) -> Receipt:
        called = " ".join(self._mention(email) for email in act.mention)
        text = f"{called} {slack(act.text)}".strip()
        message: dict[str, Any] = {
            "channel": channel,
            "text": _cut(text, FALLBACK_LIMIT),
            "blocks": blocks_of(act, called),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": str(effect)}},
            "unfurl_links": False,
            "unfurl_media": False,
            "link_names": False,
            "parse": "none",  # no address in the text becomes a link
            **({"thread_ts": thread} if thread else {}),
        }
        answer = self._inside(channel, lambda: self.client.chat_postMessage(**message))
        return Receipt(ref=answer["ts"], data={"channel": answer["channel"]})

    def _inside(self, channel: str, call: Callable[[], SlackResponse]) -> SlackResponse:
        """Do what only a member may; people may have put our app out of the channel meanwhile."""
        try:
            return call()
        except SlackApiError as error:
            if code_of(error) != "not_in_channel":
                raise
        self.client.conversations_join(channel=channel)
        return call()

    def _thread(self, act: Post, subject: str, channel: str) -> str:
        """The ``ts`` to answer under; empty when that message went to another channel, where it cannot be answered from here."""
        if not act.under:
            return ""
        parent = self._ledger.receipt(EffectId(subject, act.under))
        return parent.ref if parent is not None and parent.data.get("channel") == channel else ""

    def _posted(self, act: Post, effect: EffectId) -> Receipt | None:
        """The message of an earlier attempt: in the thread, in the channel, or in the alerts channel."""
        oldest = f"{since(self._ledger, effect).timestamp():.6f}"
        places = [self._channel(effect.subject, act.channel), self._channel("", self._alerts)]
        for place, channel in enumerate(dict.fromkeys(filter(None, places))):
            thread = self._thread(act, effect.subject, channel) if place == 0 else ""
            for message in self._messages(channel, thread, oldest):
                metadata = message.get("metadata", {})
                if metadata.get("event_type") == EVENT_TYPE and metadata.get("event_payload", {}).get("key") == str(effect):
                    return Receipt(ref=message["ts"], data={"channel": channel})
        return None

    def _messages(self, channel: str, thread: str, oldest: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while cursor != "":
            asked: dict[str, Any] = {
                "channel": channel,
                "oldest": oldest,
                "include_all_metadata": True,
                "limit": PAGE,
                "cursor": cursor,
            }
            read = partial(self.client.conversations_replies, ts=thread) if thread else self.client.conversations_history
            try:
                answer = self._inside(channel, partial(read, **asked))
            except SlackApiError as error:
                # Where the app cannot go it cannot have posted.
                if code_of(error) in (*GONE_ERRORS, *CLOSED_ERRORS, "thread_not_found"):
                    return
                raise
            yield from answer["messages"]
            cursor = next_cursor(answer)

    # --- People -------------------------------------------------------------------------------------------------------------

    def _user(self, email: str) -> str | None:
        """The Slack user of an e-mail address, or None."""
        if email not in self._users:
            try:
                self._users[email] = self.client.users_lookupByEmail(email=email)["user"]["id"]
            except SlackApiError as error:
                if code_of(error) != "users_not_found":
                    raise
        return self._users.get(email)

    def _mention(self, email: str) -> str:
        return f"<@{user}>" if (user := self._user(email)) else slack(email)


def blocks_of(act: Post, called: str) -> list[dict[str, Any]]:
    """The message as blocks; a task card has a heading, what is asked, the choices, and how to answer.

    ``called`` are the mentions, in mrkdwn already. All else is escaped here.
    """
    if not act.task:
        return [block.to_dict() for block in _sections(f"{called} {slack(act.text)}".strip())]
    title, _, rest = act.text.partition("\n")
    body = "\n".join(filter(None, (called, slack(rest.strip()))))
    choices = "\n".join(f"•  {code(name)}  {label}" for name, label in act.choices)
    how = slack("Answer:  " + code(f"tenure answer {act.task} CHOICE --by you@…"))
    blocks = [
        HeaderBlock(text=PlainTextObject(text=_heading(title), emoji=True)),
        *_sections(body),
        *_sections(slack(f"{bold('Choices')}\n{choices}") if choices else ""),
        ContextBlock(elements=[MarkdownTextObject(text=how, verbatim=True)]),
    ]
    return [block.to_dict() for block in blocks]


def _heading(title: str) -> str:
    bare, longest = line(title), HeaderBlock.text_max_length
    return (bare if len(bare) <= longest else f"{bare[: longest - 1]}…") or "A decision is needed"


def _sections(text: str) -> Iterator[SectionBlock]:
    """Verbatim: what looks like an address, a channel or a name is not made into a link."""
    for part in _pieces(text):
        yield SectionBlock(text=MarkdownTextObject(text=part, verbatim=True))


def _cut(text: str, longest: int) -> str:
    """The beginning of the text, not cut within an entity: half of one would be read as something else."""
    return text if len(text) <= longest else _HALF.sub("", text[:longest])


def _pieces(text: str) -> Iterator[str]:
    """The text in parts that fit a section, cut between lines where that is possible."""
    while len(text) > SECTION_LIMIT:
        cut = text.rfind("\n", 1, SECTION_LIMIT)
        cut = cut if cut > 0 else len(_cut(text, SECTION_LIMIT))
        yield text[:cut]
        text = text[cut:].lstrip("\n")
    if text:
        yield text


def shared(channel: dict[str, Any]) -> bool:
    """Whether another organisation reads along, or was invited to."""
    return any(channel.get(name) for name in ("is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared"))


def next_cursor(answer: SlackResponse) -> str:
    """The cursor of the next page; empty after the last."""
    metadata: dict[str, Any] = answer.get("response_metadata") or {}
    return str(metadata.get("next_cursor") or "")


def code_of(error: SlackApiError) -> str:
    """Slack's own name of an error, as ``name_taken``; empty when the answer was none of Slack's."""
    data = error.response.data if hasattr(error.response, "data") else error.response
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def error_of(error: Exception) -> ApplicationError | None:
    """A Slack client's exception in Temporal's terms."""
    if isinstance(error, SlackApiError):
        return _api_error(error)
    if isinstance(error, URLError) and not isinstance(error.reason, TimeoutError):
        # urllib wraps what fails up to and while sending; what is lost afterwards comes unwrapped.
        reason = error.reason
        if isinstance(reason, ConnectionRefusedError) or not isinstance(reason, ConnectionError):
            return unreachable(SYSTEM, str(reason))
    if isinstance(error, OSError | HTTPException | json.JSONDecodeError | SlackClientError):
        return no_answer(SYSTEM, f"{type(error).__name__}: {error}")
    return None


def _api_error(error: SlackApiError) -> ApplicationError:
    response, code = error.response, code_of(error)
    headers = {str(name): str(value) for name, value in response.headers.items()}
    detail = "; ".join(str(line) for line in (response.get("response_metadata") or {}).get("messages", []))
    text = f"{response.api_url.rpartition('/')[2]}: {code}{f' ({detail})' if detail else ''}"[:500]
    if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return limited(SYSTEM, text, limit_wait(headers))
    if code in CREDENTIAL_ERRORS:
        needed = response.get("needed")
        return forbidden(SYSTEM, f"{text}, which needs the scope {needed}" if needed else text)
    if response.status_code != 200:
        return from_status(SYSTEM, response.status_code, text, headers)
    if code in DOWN_ERRORS:
        return no_answer(SYSTEM, text)
    if code in UNCERTAIN_ERRORS:
        return unsure(SYSTEM, text)
    return refused(SYSTEM, text)
