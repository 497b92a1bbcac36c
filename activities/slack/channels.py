"""Slack's channels: the trial's own is made, found again by its name, and archived; the others are people's."""

import html
from collections.abc import Iterator
from functools import cached_property
from itertools import count
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy import select
from temporalio import activity

from activities.asking import at_once
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.slack.blocks import cut
from activities.slack.client import CANNOT_JOIN_ERRORS, LIST_PAGE, SYSTEM, TIMEOUT_SECONDS, allowing, code_of, error_of, pages
from domain.effects.effect import Receipt
from domain.effects.slack import ArchiveChannel, OpenChannel
from domain.markup import slack
from store.effect_kinds import of
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.tables import effects

TOPIC_LIMIT = 250
CACHED_NAMES = 10_000
TRIAL_CHANNEL = "cloud-trial-"


class Channels(OutsideSystem):
    """The channels of the workspace, and who is in them."""

    error = staticmethod(error_of)

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        token = settings.slack_token.get_secret_value()
        self.client = WebClient(token=token, base_url=settings.slack_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])
        self._alerts = settings.slack_alerts_channel
        self._peoples = frozenset({self._alerts, settings.slack_red_channel, settings.slack_forecast_channel})
        self._users: dict[str, str] = {}
        self._channels: dict[tuple[str, str], str] = {}

    def _create_or_find(self, name: str) -> dict[str, Any]:
        """The open channel of that name. An archived one keeps its name and a bot cannot revive it: then ``NAME-2`` and so on."""
        for number in count(1):
            candidate = name if number == 1 else f"{name}-{number}"
            with allowing("name_taken"):
                created: dict[str, Any] = self.client.conversations_create(name=candidate)["channel"]
                return created
            named = [channel for channel in self._list(archived=True) if channel["name"] == candidate]
            if not named:
                raise refused(SYSTEM, f"#{candidate} is the name of a private channel; rename that channel or invite our app to it")
            if (found := self._usable(candidate, named, ours=True)) is not None:
                self.client.conversations_join(channel=found["id"])
                return found
        raise AssertionError("count() has no end")

    @carries_out(
        OpenChannel, act="channel.opened", code=_create_or_find, claims=of("channel", archived="no"), makes="channel", first=of("channel")
    )
    def _open(self, effect: OpenChannel, effect_id: EffectId) -> Receipt:
        channel = self._create_or_find(effect.name)
        data = {"name": channel["name"], "asked": effect.name}
        self._ledger.part(effect_id, Receipt(ref=channel["id"], data=data))
        topic = cut(slack(" ".join(effect.topic.split())), TOPIC_LIMIT)
        # Setting the same topic again would announce it in the channel again.
        if html.unescape(channel.get("topic", {}).get("value", "")) != html.unescape(topic):
            self.client.conversations_setTopic(channel=channel["id"], topic=topic)
        if unknown := [email for email in effect.invite if not self._invite(channel["id"], email)]:
            data = {**data, "not_invited": ", ".join(unknown)}
            activity.logger.warning("no Slack user to invite to #%s for %d address(es)", channel["name"], len(unknown))
        return Receipt(ref=channel["id"], data=data)

    def _usable(self, name: str, named: list[dict[str, Any]], *, ours: bool) -> dict[str, Any] | None:
        """The open channel among those of one name; None when all are archived.

        Raises for one that is not ours, where only ``ours`` may be used, and for one that another organisation reads along: a name is no
        proof, and what is said of a customer is for our own people.
        """
        opened = [channel for channel in named if not channel.get("is_archived")]
        mine = [channel for channel in opened if not ours or channel.get("creator") == self._us]
        if not opened:
            return None
        if not mine:
            who = opened[0].get("creator") or "somebody else"
            raise refused(SYSTEM, f"#{name} was made by {who}, not by our app; rename that channel and try again", kind="NotOurs")
        if (own := next((channel for channel in mine if not shared(channel)), None)) is None:
            raise refused(SYSTEM, f"#{name} is shared with another organisation; end that, or rename it, and try again", kind="Shared")
        return own

    @cached_property
    def _us(self) -> str:
        """Our app's user, who is the creator of what we made."""
        return str(self.client.auth_test()["user_id"])

    def _list(self, *, archived: bool) -> Iterator[dict[str, Any]]:
        asked = {"exclude_archived": not archived, "limit": LIST_PAGE, "types": "public_channel"}
        for page in pages(at_once, self.client.conversations_list, **asked):
            yield from page["channels"]

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

    @carries_out(ArchiveChannel, act="channel.archived", claims=of("channel", archived="yes"))
    def _archive(self, effect: ArchiveChannel, effect_id: EffectId) -> Receipt:
        channel = self._channel(effect_id.subject, effect.name)
        if channel is None:
            return Receipt(data={"note": "there is no such channel any more"})
        with allowing("already_archived", "channel_not_found"):
            self.client.conversations_archive(channel=channel)
        return Receipt(ref=channel)

    def _channel(self, subject: str, name: str) -> str | None:
        """The id of a channel: of ours by the ledger, which knows what a taken name became, else by Slack's list."""
        if (known := self._channels.get((subject, name))) is not None:
            return known
        opened = (
            select(effects.c.subject, effects.c.receipt["ref"].as_string().label("ref"))
            .where(effects.c.system == self.name, effects.c.act == "channel.opened", effects.c.done_at.is_not(None))
            .where(effects.c.receipt["data"]["asked"].as_string() == name)
            .order_by(effects.c.number.desc())
        )
        with self._ledger.reading() as db:
            rows = db.execute(opened).all()
        found: str | None = next((row.ref for row in rows if row.subject == subject), None)
        if rows and found is None:
            # Another subject's: it may open a newer one of that name, so this answer is not kept.
            return str(rows[0].ref)
        if found is None:
            named = [channel for channel in self._list(archived=False) if channel["name"] == name]
            # The channels that settings name are people's; a trial's is one that we made.
            usable = self._usable(name, named, ours=name.startswith(TRIAL_CHANNEL) and name not in self._peoples)
            found = str(usable["id"]) if usable is not None else None
        if found is not None:
            if len(self._channels) >= CACHED_NAMES:
                self._channels.clear()
            self._channels[(subject, name)] = found
        return found

    def _user(self, email: str) -> str | None:
        """The Slack user of an e-mail address, or None."""
        if email not in self._users:
            with allowing("users_not_found"):
                self._users[email] = self.client.users_lookupByEmail(email=email)["user"]["id"]
        return self._users.get(email)


def shared(channel: dict[str, Any]) -> bool:
    """Whether another organisation reads along, or was invited to."""
    return any(channel.get(name) for name in ("is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared"))
