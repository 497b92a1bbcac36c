"""Licence keys: a new subscription and a key for each trial, conversion, and generic cohort (A15, A17, A24); for a renewal a further
key on the customer's subscription (D30).

The API makes a new object at every call and the key cannot be asked for by our name, so each key carries two tags of ours:
``customer:<account>``, which the vendor's own process wants, and ``tenure:<digest of subject and key>``, by which a lost one is found.
The key itself goes to the vault.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from temporalio.exceptions import ApplicationError

from activities.asking import Ask, Scope, at_once, since
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.http import GraphQL, GraphQLError, Json, translated
from domain.effects.effect import Receipt
from domain.effects.licensing import IssueKey, ReissueKey
from domain.effects.reconcile import Thing
from domain.ids import digest
from domain.licence_keys import LAST_MOMENT
from store.effect_kinds import named, of, ref_of
from store.ledger import EffectId, EffectRow, Ledger
from store.settings import Settings
from store.vault import Vault

SYSTEM = "Licensing"
TAG = "tenure:"
FIRST = 200
FIRST_KEYS = 20
#: As a subscription's page shows it, with its hyphens or without.
_UUID = re.compile(r"(?:urn:)?(?:uuid:)?\{?(?:[0-9a-f]-?){32}\}?", re.IGNORECASE)
#: How the server says that there is no such subscription.
_UNKNOWN = ("not found", "invalid id")


def tag(effect_id: EffectId) -> str:
    """The tag by which an effect's key is known; no longer than a tag may be."""
    return f"{TAG}{digest(str(effect_id))}"


def _key_of(row: EffectRow) -> str:
    """A key is known by its subscription and our tag."""
    return f"{ref_of(row)}/{tag(named(row))}"


class Licensing(OutsideSystem, name="licensing", title="Licensing"):
    """Calls the licensing API."""

    _client: GraphQL
    error = staticmethod(partial(translated, SYSTEM))

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._vault = Vault(ledger, settings.key())
        self._client = GraphQL(SYSTEM, "licensing", settings.licensing_token.get_secret_value())
        self._made_in_vain: dict[EffectId, str] = {}

    def remote(self, ask: Ask, _scope: Scope) -> Iterator[Thing]:
        """Every key that carries a tag of ours, of whatever subscription: one list, without the keys themselves."""
        for found in self._listed("AllLicenses", ask):
            for left in (left for left in (found["info"] or {"tags": ()})["tags"] if left.startswith(TAG)):
                subscription = found["subscription"]["id"]
                state = {"revoked": "yes" if found["revokedAt"] else "no"}
                where = f"key of subscription {subscription}"
                yield Thing(kind="licence", ref=f"{subscription}/{left}", mark=left, id=found["id"], state=state, where=where)

    def _issued(self, effect: IssueKey, effect_id: EffectId) -> Receipt | None:
        """The key of an earlier attempt. A subscription without any key was made in vain by one, and is used by :meth:`_issue`."""
        self._made_in_vain.pop(effect_id, None)
        account = self._account(effect)
        if account is None:
            return None
        earliest = since(self._ledger, effect_id)
        for subscription in self._subscriptions(account):
            licenses = subscription["productLicenses"]["nodes"]
            # One that was empty before the attempt is somebody else's.
            if not licenses and not subscription["isArchived"] and datetime.fromisoformat(subscription["createdAt"]) >= earliest:
                self._made_in_vain[effect_id] = subscription["id"]
            if (receipt := self._found(effect, effect_id, subscription["id"], licenses)) is not None:
                self._made_in_vain.pop(effect_id, None)
                return receipt
        return None

    @carries_out(IssueKey, act="license.issued", probe=_issued, claims=of("licence", tag, _key_of, revoked="no"), makes="licence", mark=tag)
    def _issue(self, effect: IssueKey, effect_id: EffectId) -> Receipt:
        """Make account, subscription and key, as far as they are not there."""
        if (account := self._account(effect)) is None:
            account = str(self._call("CreateAccount", username=effect.account)["createUser"]["user"]["id"])
            self._ledger.part(effect_id, Receipt(data={"account": account}))
        if not (subscription := self._made_in_vain.pop(effect_id, "")):
            made = self._call("CreateSubscription", account=account)["dotcom"]
            subscription = str(made["createProductSubscription"]["id"])
            self._ledger.part(effect_id, Receipt(ref=subscription, data={"account": account}))
        return self._make(effect, effect_id, subscription)

    def _subscriptions(self, account: str) -> list[Json]:
        """All of the account's, each with all its keys."""
        asked = {"first": FIRST, "keys": FIRST_KEYS}
        while True:
            found = self._call("Subscriptions", account=account, **asked)["dotcom"]["productSubscriptions"]
            nodes: list[Json] = found["nodes"]
            keys = max((node["productLicenses"]["totalCount"] for node in nodes), default=0)
            if found["totalCount"] <= len(nodes) and keys <= asked["keys"]:
                return nodes
            asked = {"first": max(asked["first"], found["totalCount"]), "keys": max(asked["keys"], keys)}

    def _account(self, effect: IssueKey) -> str | None:
        user = self._call("FindAccount", username=effect.account)["user"]
        return str(user["id"]) if user else None

    @carries_out(ReissueKey, act="license.reissued", claims=of("licence", tag, _key_of, revoked="no"), makes="licence", mark=tag)
    def _reissue(self, effect: ReissueKey, effect_id: EffectId) -> Receipt:
        """Make the key, unless an earlier attempt did, once the subscription is known to be in use."""
        licenses = self._licenses(effect)
        if not licenses:
            raise _no_subscription(effect, "has no key yet, so it is no customer's")
        subscription = licenses[0]["subscription"]
        if (receipt := self._found(effect, effect_id, subscription["id"], licenses)) is not None:
            return receipt
        if subscription["isArchived"]:
            raise _no_subscription(effect, "is archived")
        return self._make(effect, effect_id, subscription["id"])

    def _licenses(self, effect: ReissueKey) -> list[Json]:
        """The subscription's keys, newest first. It is named by its id, or by the UUID that its page shows."""
        name = effect.subscription
        if not name:
            raise _no_subscription(effect, "is not set")
        try:
            if _UUID.fullmatch(name):
                name = self._call("FindSubscription", uuid=name)["dotcom"]["productSubscription"]["id"]
            return self._listed("Licenses", subscription=name)
        except GraphQLError as error:
            if any(words in error.text.lower() for words in _UNKNOWN):
                raise _no_subscription(effect, "is not known to the licence server") from None
            raise

    def _make(self, effect: IssueKey | ReissueKey, effect_id: EffectId, subscription: str) -> Receipt:
        if effect.expires_at > LAST_MOMENT:
            text = f"a key cannot end after {LAST_MOMENT:%Y-%m-%d %H:%M} UTC: its end is kept in 32 bits; choose an earlier end"
            raise refused(SYSTEM, f"{effect.expires_at:%Y-%m-%d}: {text}", kind="TooLate")
        customer = () if any(tag.startswith("customer:") for tag in effect.tags) else (f"customer:{effect.account.lower()}",)
        tags = [*effect.tags, *customer, tag(effect_id)]
        # The API takes whole seconds, and the receipt must say what the key says.
        license_input = {"tags": tags, "userCount": effect.seats, "expiresAt": _seconds(effect.expires_at)}
        made = self._call("IssueKey", subscription=subscription, license=license_input)["dotcom"]
        return self._keep(effect, effect_id, subscription, made["generateProductLicenseForSubscription"]["licenseKey"], tags)

    def _found(self, effect: IssueKey | ReissueKey, effect_id: EffectId, subscription: str, licenses: list[Json]) -> Receipt | None:
        """The key of an earlier attempt among a subscription's."""
        for found in licenses:
            info = found["info"]
            expires = datetime.fromisoformat(info["expiresAt"]) if info else None
            if info and expires and tag(effect_id) in info["tags"] and _seconds(expires) == _seconds(effect.expires_at):
                return self._keep(effect, effect_id, subscription, found["licenseKey"], info["tags"])
        return None

    def _keep(self, effect: IssueKey | ReissueKey, effect_id: EffectId, subscription: str, license_key: str, tags: list[str]) -> Receipt:
        """Put a key into the vault; the receipt says what it is. A generic one becomes the current cohort's.

        There it stays: an expired key is worth nothing, and the key's time is the workflow's, which the vault's clock is not.
        """
        purpose = effect.purpose if isinstance(effect, IssueKey) else "renewed"
        ref = self._vault.put("license_key", license_key, None, f"{purpose} key of {effect.account}")
        if purpose == "generic":
            self._ledger.add_cohort(
                effect_id,
                vault=ref,
                subscription=subscription,
                seats=effect.seats,
                tags=effect.tags,
                rotated_at=self._ledger.as_of(effect_id),
                expires_at=effect.expires_at,
            )
        data = {"vault": ref, "expires_at": effect.expires_at.isoformat(), "seats": str(effect.seats), "tags": ", ".join(tags)}
        return Receipt(ref=subscription, data=data)

    def _call(self, operation: str, **variables: Any) -> Json:
        """One operation of the licensing API."""
        return self._client.call(self._settings.licensing_url, operation, **variables)

    def _listed(self, operation: str, ask: Ask = at_once, **variables: Any) -> list[Json]:
        """Every licence that the operation lists."""
        return self._client.listed(self._settings.licensing_url, operation, "dotcom", "productLicenses", first=FIRST, ask=ask, **variables)


def _no_subscription(effect: ReissueKey, why: str) -> ApplicationError:
    named = f"the subscription {effect.subscription!r} of {effect.account} {why}"
    return refused(SYSTEM, f"{named}; correct the account's License_Subscription__c in the CRM", kind="NoSubscription")


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
