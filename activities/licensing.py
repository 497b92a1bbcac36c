"""Licence keys: a new subscription and a key for each trial, conversion, and generic cohort (A15, A17, A24).

The API makes a new object at every call and the key cannot be asked for by our name, so each key carries two tags of ours:
``customer:<account>``, which the vendor's own process wants, and ``tenure:<digest of subject and key>``, by which a lost one is found.
The key itself goes to the vault.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.errors import Step, run_batch
from activities.graphql import GraphQL, translated
from activities.ledger import EffectId, Ledger
from activities.settings import Settings
from activities.vault import Vault
from domain.acts import IssueKey, LicenseBatch, Receipt, Receipts
from domain.ids import digest

SYSTEM = "Licensing"


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

    @activity.defn(name="licensing")
    def licensing(self, batch: LicenseBatch) -> Receipts:
        """Issue keys, each on a subscription of its own; a generic one becomes the current cohort's.

        Safe to repeat: an attempt after a lost answer looks for the key by its tags, and uses the subscription that was made in vain.
        """
        return self._issue(batch)

    @activity.defn(name="new_cohort")
    def new_cohort(self, batch: LicenseBatch) -> Receipts:
        """Rotate the generic trial key (A24): the same as :meth:`licensing`, under the name that the history should show."""
        return self._issue(batch)

    def _issue(self, batch: LicenseBatch) -> Receipts:
        receipts = run_batch(self._ledger, "licensing", batch, self._step, lambda error: translated(SYSTEM, error))
        for act in batch.acts:
            if act.purpose == "generic":
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

    def _step(self, act: IssueKey, effect: EffectId) -> Step:
        issuing = _Issuing(self, act, f"tenure:{digest(str(effect))}")
        return Step(
            act="license.issued",
            summary=f"{act.purpose} key for {act.account}: {act.seats} seats until {act.expires_at:%Y-%m-%d}",
            do=issuing.do,
            probe=issuing.probe,
        )

    def call(self, operation: str, **variables: Any) -> dict[str, Any]:
        """One operation of the licensing API."""
        return self._graphql.call(self._url, operation, **variables)

    def keep(self, act: IssueKey, subscription: str, license_key: str, tags: list[str]) -> Receipt:
        """Put a key into the vault; the receipt says what it is.

        There it stays: an expired key is worth nothing, and the key's time is the workflow's, which the vault's clock is not.
        """
        ref = self._vault.put("license_key", license_key, None, f"{act.purpose} key of {act.account}")
        data = {"vault": ref, "expires_at": act.expires_at.isoformat(), "seats": str(act.seats), "tags": ", ".join(tags)}
        return Receipt(ref=subscription, data=data)


class _Issuing:
    """One attempt at one key."""

    def __init__(self, licensing: Licensing, act: IssueKey, marker: str) -> None:
        self._licensing = licensing
        self._act = act
        self._marker = marker
        customer = () if any(tag.startswith("customer:") for tag in act.tags) else (f"customer:{act.account.lower()}",)
        self._tags = [*act.tags, *customer, marker]
        self._empty = ""

    def do(self) -> Receipt:
        """Make account, subscription and key, as far as they are not there."""
        account = self._account() or self._licensing.call("CreateAccount", username=self._act.account)["createUser"]["user"]["id"]
        subscription = self._empty or self._new_subscription(account)
        # The API takes whole seconds, and the receipt must say what the key says.
        license_input = {"tags": self._tags, "userCount": self._act.seats, "expiresAt": _seconds(self._act.expires_at)}
        made = self._licensing.call("IssueKey", subscription=subscription, license=license_input)["dotcom"]
        key = made["generateProductLicenseForSubscription"]["licenseKey"]
        return self._licensing.keep(self._act, subscription, key, self._tags)

    def probe(self) -> Receipt | None:
        """Find the key of an earlier attempt. A subscription without any key was made in vain by one, and is used by :meth:`do`."""
        account = self._account()
        if account is None:
            return None
        for subscription in self._licensing.call("Subscriptions", account=account)["dotcom"]["productSubscriptions"]["nodes"]:
            licenses = subscription["productLicenses"]["nodes"]
            if not licenses and not subscription["isArchived"]:
                self._empty = subscription["id"]
            for found in licenses:
                info = found["info"]
                expires = datetime.fromisoformat(info["expiresAt"]) if info else None
                if info and expires and self._marker in info["tags"] and _seconds(expires) == _seconds(self._act.expires_at):
                    return self._licensing.keep(self._act, subscription["id"], found["licenseKey"], info["tags"])
        return None

    def _account(self) -> str | None:
        user = self._licensing.call("FindAccount", username=self._act.account)["user"]
        return str(user["id"]) if user else None

    def _new_subscription(self, account: str) -> str:
        made = self._licensing.call("CreateSubscription", account=account)["dotcom"]
        return str(made["createProductSubscription"]["id"])


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
