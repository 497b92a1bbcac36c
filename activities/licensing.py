"""Licence keys: a new subscription and a key for each trial, conversion, and generic cohort (A15, A17, A24); for a renewal a further
key on the customer's subscription (D30).

The API makes a new object at every call and the key cannot be asked for by our name, so each key carries two tags of ours:
``customer:<account>``, which the vendor's own process wants, and ``tenure:<digest of subject and key>``, by which a lost one is found.
The key itself goes to the vault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import Step, refused, run_batch
from activities.graphql import GraphQL, GraphQLError, translated
from activities.remote_listing import Ask, Scope, at_once, since
from domain.effects.accounts import ReissueKey
from domain.effects.models import IssueKey, LicenseAct, LicenseBatch, Receipt, Receipts
from domain.effects.reconcile import Thing
from domain.ids import digest
from domain.licence_keys import LAST_MOMENT
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.vault import Vault

SYSTEM = "Licensing"
TAG = "tenure:"
FIRST = 200
FIRST_KEYS = 20
#: How the server says that there is no such subscription.
_UNKNOWN = ("not found", "invalid id")


class Licensing:
    """Calls the licensing API."""

    def __init__(self, settings: Settings, ledger: Ledger, vault: Vault) -> None:
        self._url = settings.licensing_url
        self._ledger = ledger
        self._vault = vault
        self._graphql = GraphQL(SYSTEM, "licensing", settings.licensing_token.get_secret_value())

    def close(self) -> None:
        """Close the connections."""
        self._graphql.close()

    @activity.defn(name="licensing", no_thread_cancel_exception=True)
    def licensing(self, batch: LicenseBatch) -> Receipts:
        """Issue keys, each on a subscription of its own, and re-issue on existing ones; a generic one becomes the current cohort's.

        Safe to repeat: an attempt after a lost answer looks for the key by its tags, and uses the subscription that was made in vain.
        """
        receipts = run_batch(self._ledger, "licensing", batch, self._step, lambda error: translated(SYSTEM, error))
        for act in batch.acts:
            if isinstance(act, IssueKey) and act.purpose == "generic":
                receipt = receipts.of(act.key)
                self._ledger.add_cohort(
                    EffectId(batch.subject, act.key),
                    vault=receipt.data["vault"],
                    subscription=receipt.ref,
                    seats=act.seats,
                    tags=act.tags,
                    rotated_at=batch.as_of,
                    expires_at=act.expires_at,
                )
        return receipts

    def remote(self, ask: Ask, _scope: Scope) -> Iterator[Thing]:
        """Every key that carries a tag of ours, of whatever subscription: one list, without the keys themselves."""
        for found in self.whole("AllLicenses", ask):
            for left in (left for left in (found["info"] or {"tags": ()})["tags"] if left.startswith(TAG)):
                subscription = found["subscription"]["id"]
                state = {"revoked": "yes" if found["revokedAt"] else "no"}
                where = f"key of subscription {subscription}"
                yield Thing(kind="licence", ref=f"{subscription}/{left}", mark=left, id=found["id"], state=state, where=where)

    def _step(self, act: LicenseAct, effect: EffectId) -> Step:
        what = f"for {act.account}: {act.seats} seats until {act.expires_at:%Y-%m-%d}"
        match act:
            case IssueKey():
                issuing = _Issuing(self, act, effect)
                return Step("license.issued", f"{act.purpose} key {what}", issuing.do, issuing.probe)
            case ReissueKey():
                reissuing = _Reissuing(self, act, effect)
                return Step("license.reissued", f"renewed key {what}", reissuing.do, reissuing.probe)

    def call(self, operation: str, **variables: Any) -> dict[str, Any]:
        """One operation of the licensing API."""
        return self._graphql.call(self._url, operation, **variables)

    def whole(self, operation: str, ask: Ask = at_once, **variables: Any) -> list[dict[str, Any]]:
        """Every licence that the operation lists. The lists have no cursor, so a longer one is asked for once more, whole."""
        first = FIRST
        while True:
            found = ask(partial(self.call, operation, first=first, **variables))["dotcom"]["productLicenses"]
            if found["totalCount"] <= len(found["nodes"]):
                nodes: list[dict[str, Any]] = found["nodes"]
                return nodes
            first = int(found["totalCount"])

    def begun(self, effect: EffectId) -> datetime:
        """Since when an earlier attempt can have acted."""
        return since(self._ledger, effect)

    def part(self, effect: EffectId, receipt: Receipt) -> None:
        """Record what is made already of a key that is still to be made."""
        self._ledger.part(effect, receipt)

    def keep(self, act: LicenseAct, subscription: str, license_key: str, tags: list[str]) -> Receipt:
        """Put a key into the vault; the receipt says what it is.

        There it stays: an expired key is worth nothing, and the key's time is the workflow's, which the vault's clock is not.
        """
        purpose = act.purpose if isinstance(act, IssueKey) else "renewed"
        ref = self._vault.put("license_key", license_key, None, f"{purpose} key of {act.account}")
        data = {"vault": ref, "expires_at": act.expires_at.isoformat(), "seats": str(act.seats), "tags": ", ".join(tags)}
        return Receipt(ref=subscription, data=data)


class _Making:
    """One attempt at one key, which carries the effect's tag."""

    def __init__(self, licensing: Licensing, act: LicenseAct, effect: EffectId) -> None:
        self._licensing = licensing
        self._key = act
        self._effect = effect
        self._marker = tag(effect)
        customer = () if any(tag.startswith("customer:") for tag in act.tags) else (f"customer:{act.account.lower()}",)
        self._tags = [*act.tags, *customer, self._marker]

    def _make(self, subscription: str) -> Receipt:
        if self._key.expires_at > LAST_MOMENT:
            text = f"a key cannot end after {LAST_MOMENT:%Y-%m-%d %H:%M} UTC: its end is kept in 32 bits; choose an earlier end"
            raise refused(SYSTEM, f"{self._key.expires_at:%Y-%m-%d}: {text}", kind="TooLate")
        # The API takes whole seconds, and the receipt must say what the key says.
        license_input = {"tags": self._tags, "userCount": self._key.seats, "expiresAt": _seconds(self._key.expires_at)}
        made = self._licensing.call("IssueKey", subscription=subscription, license=license_input)["dotcom"]
        key = made["generateProductLicenseForSubscription"]["licenseKey"]
        return self._licensing.keep(self._key, subscription, key, self._tags)

    def _made(self, subscription: str, licenses: list[dict[str, Any]]) -> Receipt | None:
        """The key of an earlier attempt among a subscription's."""
        for found in licenses:
            info = found["info"]
            expires = datetime.fromisoformat(info["expiresAt"]) if info else None
            if info and expires and self._marker in info["tags"] and _seconds(expires) == _seconds(self._key.expires_at):
                return self._licensing.keep(self._key, subscription, found["licenseKey"], info["tags"])
        return None


class _Issuing(_Making):
    """A key on a subscription of its own."""

    def __init__(self, licensing: Licensing, act: IssueKey, effect: EffectId) -> None:
        super().__init__(licensing, act, effect)
        self._empty = ""

    def do(self) -> Receipt:
        """Make account, subscription and key, as far as they are not there."""
        if (account := self._account()) is None:
            account = str(self._licensing.call("CreateAccount", username=self._key.account)["createUser"]["user"]["id"])
            self._licensing.part(self._effect, Receipt(data={"account": account}))
        if not self._empty:
            self._empty = self._new_subscription(account)
            self._licensing.part(self._effect, Receipt(ref=self._empty, data={"account": account}))
        return self._make(self._empty)

    def probe(self) -> Receipt | None:
        """Find the key of an earlier attempt. A subscription without any key was made in vain by one, and is used by :meth:`do`."""
        account = self._account()
        if account is None:
            return None
        earliest = self._licensing.begun(self._effect)
        for subscription in self._subscriptions(account):
            licenses = subscription["productLicenses"]["nodes"]
            # One that was empty before the attempt is somebody else's.
            if not licenses and not subscription["isArchived"] and datetime.fromisoformat(subscription["createdAt"]) >= earliest:
                self._empty = subscription["id"]
            if (receipt := self._made(subscription["id"], licenses)) is not None:
                return receipt
        return None

    def _subscriptions(self, account: str) -> list[dict[str, Any]]:
        """All of the account's, each with all its keys."""
        asked = {"first": FIRST, "keys": FIRST_KEYS}
        while True:
            found = self._licensing.call("Subscriptions", account=account, **asked)["dotcom"]["productSubscriptions"]
            nodes: list[dict[str, Any]] = found["nodes"]
            keys = max((node["productLicenses"]["totalCount"] for node in nodes), default=0)
            if found["totalCount"] <= len(nodes) and keys <= asked["keys"]:
                return nodes
            asked = {"first": max(asked["first"], found["totalCount"]), "keys": max(asked["keys"], keys)}

    def _account(self) -> str | None:
        user = self._licensing.call("FindAccount", username=self._key.account)["user"]
        return str(user["id"]) if user else None

    def _new_subscription(self, account: str) -> str:
        made = self._licensing.call("CreateSubscription", account=account)["dotcom"]
        return str(made["createProductSubscription"]["id"])


class _Reissuing(_Making):
    """A further key on a customer's subscription, which must be there (handbook 3.1: a renewal never makes a new one)."""

    def __init__(self, licensing: Licensing, act: ReissueKey, effect: EffectId) -> None:
        super().__init__(licensing, act, effect)
        self._act = act

    def do(self) -> Receipt:
        """Make the key, once the subscription is known to be in use."""
        licenses = self._licenses()
        if not licenses:
            raise self._refused("has no key yet, so it is no customer's")
        subscription = licenses[0]["subscription"]
        if subscription["isArchived"]:
            raise self._refused("is archived")
        return self._make(subscription["id"])

    def probe(self) -> Receipt | None:
        """Find the key of an earlier attempt."""
        licenses = self._licenses()
        return self._made(licenses[0]["subscription"]["id"], licenses) if licenses else None

    def _licenses(self) -> list[dict[str, Any]]:
        """The subscription's keys, newest first. It is named by its id, or by the UUID that its page shows."""
        name = self._act.subscription
        if not name:
            raise self._refused("is not set")
        try:
            if _is_uuid(name):
                name = self._licensing.call("FindSubscription", uuid=name)["dotcom"]["productSubscription"]["id"]
            return self._licensing.whole("Licenses", subscription=name)
        except GraphQLError as error:
            if any(words in error.text.lower() for words in _UNKNOWN):
                raise self._refused("is not known to the licence server") from None
            raise

    def _refused(self, why: str) -> ApplicationError:
        named = f"the subscription {self._act.subscription!r} of {self._act.account} {why}"
        return refused(SYSTEM, f"{named}; correct the account's License_Subscription__c in the CRM", kind="NoSubscription")


def tag(effect: EffectId) -> str:
    """The tag by which an effect's key is known; no longer than a tag may be."""
    return f"{TAG}{digest(str(effect))}"


def _is_uuid(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
