"""Licence keys, through the sandbox's licensing API: one key an act, on a subscription of its own, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import UNKNOWN_TRIES
from activities.licensing import Licensing
from domain.effects.effect import Effect, EffectBatch
from domain.effects.licensing import IssueKey, ReissueKey
from sandbox.core import Fault
from sandbox.graphql_api import decode_license
from sandbox.server import SandboxServer
from store.ledger import Ledger, NotDone
from store.settings import Settings
from store.vault import Vault
from tests.activities.holding import its_time_has_come

AS_OF = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
UNTIL = AS_OF + timedelta(days=37)
SUBJECT = "trial-acme.com/0a1b2c3d.1"
TRIAL = IssueKey(key="extension-key", account="acme", purpose="trial", tags=("plan:enterprise-1", "trial"), seats=100, expires_at=UNTIL)
GENERIC = TRIAL.model_copy(update={"key": "rotation-1", "account": "tenure-trials", "purpose": "generic", "seats": 1000})


@pytest.fixture
def licensing(settings: Settings, ledger: Ledger) -> Iterator[Licensing]:
    made = Licensing(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def remote(sandbox: SandboxServer) -> Any:
    return sandbox.world.services["licensing"]


def batch(*acts: Effect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def effects(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def test_a_key_goes_to_the_vault(licensing: Licensing, vault: Vault, sandbox: SandboxServer, ledger: Ledger) -> None:
    receipt = licensing.carry_out(batch(TRIAL)).of("extension-key")
    info = decode_license(vault.get(receipt.data["vault"]))
    assert info is not None
    assert (info.user_count, info.expires_at) == (100, int(UNTIL.timestamp()))
    assert info.tags[:3] == ("plan:enterprise-1", "trial", "customer:acme")
    assert info.tags[3].startswith("tenure:")
    assert receipt.data["tags"] == ", ".join(info.tags)
    assert (receipt.data["seats"], datetime.fromisoformat(receipt.data["expires_at"])) == ("100", UNTIL)
    assert vault.get(receipt.data["vault"]) not in receipt.model_dump_json()
    assert licensing.carry_out(batch(TRIAL)).of("extension-key") == receipt
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created"]
    assert ledger.current_cohort() is None


def test_each_key_has_a_subscription_of_its_own(licensing: Licensing, sandbox: SandboxServer) -> None:
    second = TRIAL.model_copy(update={"key": "production-key", "purpose": "production"})
    receipts = licensing.carry_out(batch(TRIAL, second))
    assert receipts.of("extension-key").ref != receipts.of("production-key").ref
    assert effects(sandbox).count("subscription.created") == 2
    assert effects(sandbox).count("user.created") == 1


def test_a_lost_key_is_found_by_its_tags(licensing: Licensing, vault: Vault, sandbox: SandboxServer, remote: Any) -> None:
    licensing.carry_out(batch(TRIAL, subject="trial-other.com/1.1"))  # alike, but another's
    sandbox.world.faults.append(Fault("licensing", "cut_after", match="generateProductLicense"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        licensing.carry_out(batch(TRIAL))
    made = [one.key for one in remote.licenses.values()]
    receipt = licensing.carry_out(batch(TRIAL)).of("extension-key")
    assert vault.get(receipt.data["vault"]) == made[-1] != made[0]
    assert effects(sandbox).count("license.created") == 2
    assert effects(sandbox).count("subscription.created") == 2


def test_a_subscription_made_in_vain_is_used(licensing: Licensing, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("licensing", "cut_after", match="createProductSubscription"))
    with pytest.raises(ApplicationError):
        licensing.carry_out(batch(TRIAL))
    licensing.carry_out(batch(TRIAL))
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created"]


def test_an_account_made_in_vain_is_used(licensing: Licensing, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("licensing", "cut_after", match="createUser"))
    with pytest.raises(ApplicationError):
        licensing.carry_out(batch(TRIAL))
    licensing.carry_out(batch(TRIAL))
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created"]


def test_a_cut_before_it_acts_is_made_up_for(licensing: Licensing, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("licensing", "cut_before", match="generateProductLicense"))
    with pytest.raises(ApplicationError):
        licensing.carry_out(batch(TRIAL))
    licensing.carry_out(batch(TRIAL))
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created"]


def test_a_generic_key_becomes_the_current_cohort(licensing: Licensing, ledger: Ledger) -> None:
    for number in (1, 2):
        act = GENERIC.model_copy(update={"key": f"rotation-{number}"})
        for _ in range(2):
            receipt = licensing.carry_out(batch(act, subject="generic-license/1.1")).of(act.key)
    cohort = ledger.current_cohort()
    assert cohort is not None
    assert (cohort.number, cohort.subject, cohort.vault, cohort.subscription) == (
        2,
        "generic-license/1.1",
        receipt.data["vault"],
        receipt.ref,
    )
    assert (cohort.seats, tuple(cohort.tags), cohort.rotated_at, cohort.expires_at) == (1000, GENERIC.tags, AS_OF, UNTIL)


def test_a_wrong_token_is_told(licensing: Licensing, remote: Any) -> None:
    remote.token = "another"
    with pytest.raises(NotDone, match="does not accept our credential") as refused:
        licensing.carry_out(batch(TRIAL))
    assert (refused.value.type, refused.value.next_retry_delay) == ("LicensingForbidden", timedelta(minutes=5))


def test_a_rate_limit_says_when(licensing: Licensing, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("licensing", "rate_limit", match="FindAccount", retry_after=9))
    with pytest.raises(NotDone, match=r"waiting: extension-key") as limited:
        licensing.carry_out(batch(TRIAL))
    assert limited.value.next_retry_delay == timedelta(seconds=9)
    assert ledger.effects() == []


# --- Renewals -------------------------------------------------------------------------------------------------------------

RENEWAL = "renewal-acme.com-2026-06-30/0a1b2c3d.1"
PRODUCTION = TRIAL.model_copy(update={"key": "production-key", "purpose": "production", "tags": ("plan:enterprise-1",)})
NEXT_YEAR = UNTIL + timedelta(days=365)


@pytest.fixture
def subscription(licensing: Licensing) -> str:
    """A customer's subscription, with the key of its conversion."""
    return licensing.carry_out(batch(PRODUCTION)).of("production-key").ref


def renewed(subscription: str, **changes: Any) -> ReissueKey:
    said = {"key": "key", "subscription": subscription, "account": "acme", "tags": ("plan:enterprise-1",), "seats": 250}
    return ReissueKey.model_validate({**said, "expires_at": NEXT_YEAR, **changes})


def test_a_renewal_gets_a_further_key_on_its_subscription(
    licensing: Licensing, vault: Vault, sandbox: SandboxServer, remote: Any, subscription: str, ledger: Ledger
) -> None:
    act = renewed(subscription)
    first = licensing.carry_out(batch(act, subject=RENEWAL))
    receipt = first.of("key")
    assert receipt.ref == subscription
    key = vault.get(receipt.data["vault"])
    info = decode_license(key)
    assert info is not None
    assert (info.user_count, info.expires_at) == (250, int(NEXT_YEAR.timestamp()))
    assert info.tags[:2] == ("plan:enterprise-1", "customer:acme")
    assert (receipt.data["seats"], datetime.fromisoformat(receipt.data["expires_at"])) == ("250", NEXT_YEAR)
    assert key not in receipt.model_dump_json()
    assert licensing.carry_out(batch(act, subject=RENEWAL)) == first
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created", "license.created"]
    (held,) = remote.subscriptions.values()
    assert [one.key for one in held.licenses][1] == key
    assert [row.act for row in ledger.effects()] == ["license.issued", "license.reissued"]


def test_a_subscription_may_be_named_by_its_uuid(licensing: Licensing, remote: Any, subscription: str) -> None:
    (held,) = remote.subscriptions.values()
    assert licensing.carry_out(batch(renewed(held.uuid), subject=RENEWAL)).of("key").ref == subscription
    assert len(held.licenses) == 2


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_a_lost_renewed_key_is_found_among_the_subscriptions(
    licensing: Licensing, vault: Vault, sandbox: SandboxServer, remote: Any, subscription: str, kind: Any
) -> None:
    licensing.carry_out(batch(renewed(subscription), subject="renewal-acme.com-2025-06-30/1.1"))  # alike, but another year's
    sandbox.world.faults.append(Fault("licensing", kind, match="generateProductLicense"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        licensing.carry_out(batch(renewed(subscription), subject=RENEWAL))
    receipt = licensing.carry_out(batch(renewed(subscription), subject=RENEWAL)).of("key")
    (held,) = remote.subscriptions.values()
    assert [one.key for one in held.licenses][2:] == [vault.get(receipt.data["vault"])]
    assert effects(sandbox).count("license.created") == 3


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("", "is not set"),
        ("L-0123456789", "is not known to the licence server"),
        ("00000000-0000-4000-8000-000000000000", "is not known to the licence server"),
    ],
)
def test_a_subscription_that_is_none_is_refused_with_what_to_do(
    licensing: Licensing, sandbox: SandboxServer, ledger: Ledger, named: str, why: str
) -> None:
    with pytest.raises(NotDone, match=f"{why}; correct the account's License_Subscription__c") as refused:
        licensing.carry_out(batch(renewed(named), subject=RENEWAL))
    assert (refused.value.type, refused.value.non_retryable) == ("LicensingNoSubscription", True)
    assert effects(sandbox) == []
    assert ledger.effects() == []


def test_an_archived_or_an_empty_subscription_is_refused(
    licensing: Licensing, sandbox: SandboxServer, remote: Any, subscription: str
) -> None:
    (held,) = remote.subscriptions.values()
    held.archived = True
    with pytest.raises(NotDone, match="is archived") as refused:
        licensing.carry_out(batch(renewed(subscription), subject=RENEWAL))
    assert refused.value.non_retryable
    held.archived = False
    held.licenses.clear()
    remote.licenses.clear()
    with pytest.raises(NotDone, match="has no key yet"):
        licensing.carry_out(batch(renewed(subscription), subject=RENEWAL))
    assert effects(sandbox).count("license.created") == 1


def test_a_renewed_key_waits_out_a_limit_a_failure_and_a_wrong_token(
    licensing: Licensing, sandbox: SandboxServer, remote: Any, subscription: str, ledger: Ledger
) -> None:
    act = batch(renewed(subscription), subject=RENEWAL)
    sandbox.world.faults += [
        Fault("licensing", "rate_limit", match="Licenses", retry_after=9),
        Fault("licensing", "status", match="IssueKey", status=503),
    ]
    with pytest.raises(NotDone) as limited:
        licensing.carry_out(act)
    assert limited.value.next_retry_delay == timedelta(seconds=9)
    its_time_has_come(ledger, "licensing")
    with pytest.raises(ApplicationError) as failing:
        licensing.carry_out(act)
    assert (failing.value.type, failing.value.non_retryable) == ("LicensingUnsure", False)
    its_time_has_come(ledger, "licensing")
    right, remote.token = remote.token, "another"
    with pytest.raises(NotDone, match="does not accept our credential"):
        licensing.carry_out(act)
    remote.token = right
    licensing.carry_out(act)
    assert effects(sandbox).count("license.created") == 2


# --- Errors inside a 200 ------------------------------------------------------------------------------------------------------------

ODD = '{"errors": [{"message": "pq: something nobody knows", "path": ["dotcom"]}], "data": {"dotcom": null}}'


@pytest.mark.parametrize(
    "body", [ODD, '{"errors": [{"message": "odd"}]}', '{"errors": ["odd"]}', "{}", "[]", "<html>Sign in</html>", '{"data": null}']
)
def test_an_answer_that_nobody_knows_is_asked_about_and_then_a_task(
    licensing: Licensing, sandbox: SandboxServer, ledger: Ledger, body: str
) -> None:
    sandbox.world.faults.append(Fault("licensing", "status", match="generateProductLicense", times=1000, status=200, body=body))
    for attempt in range(1, UNKNOWN_TRIES + 1):
        with pytest.raises(ApplicationError, match="may or may not have acted") as caught:
            licensing.carry_out(batch(TRIAL))
        assert caught.value.non_retryable == (attempt == UNKNOWN_TRIES)
    assert "look there whether it happened" in caught.value.message
    (row,) = ledger.effects(SUBJECT)
    assert row.done_at is None
    # A person said "try again" before it was mended: one try, and they are asked again.
    with pytest.raises(ApplicationError) as caught:
        licensing.carry_out(batch(TRIAL))
    assert caught.value.non_retryable
    sandbox.world.faults.clear()
    licensing.carry_out(batch(TRIAL))
    assert effects(sandbox) == ["user.created", "subscription.created", "license.created"]


def test_an_answer_that_nobody_knows_of_what_happened_all_the_same_is_found(licensing: Licensing, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("licensing", "cut_after", match="generateProductLicense"))
    with pytest.raises(ApplicationError):
        licensing.carry_out(batch(TRIAL))
    sandbox.world.faults.append(Fault("licensing", "status", match="FindAccount", status=200, body=ODD))
    with pytest.raises(ApplicationError, match="may or may not"):
        licensing.carry_out(batch(TRIAL))
    licensing.carry_out(batch(TRIAL))
    assert effects(sandbox).count("license.created") == 1


INVALID = [
    '{"errors": [{"message": "Variable \\"$x\\" got invalid value", "locations": [{"line": 1, "column": 2}]}]}',
    '{"errors": [{"message": "odd", "locations": [{"line": 1, "column": 2}]}], "data": null}',
    '{"errors": [{"message": "odd", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]}',
    '{"errors": [{"message": "odd", "extensions": {"code": "BAD_USER_INPUT"}}]}',
]


@pytest.mark.parametrize("body", INVALID)
def test_an_operation_that_is_not_valid_is_a_task_at_once(licensing: Licensing, sandbox: SandboxServer, body: str) -> None:
    sandbox.world.faults.append(Fault("licensing", "status", match="generateProductLicense", status=200, body=body))
    with pytest.raises(NotDone) as caught:
        licensing.carry_out(batch(TRIAL))
    assert (caught.value.type, caught.value.non_retryable) == ("LicensingRefused", True)


def test_a_key_that_ends_later_than_the_server_can_say_is_a_task_at_once(licensing: Licensing, sandbox: SandboxServer) -> None:
    late = TRIAL.model_copy(update={"expires_at": datetime(2040, 2, 1, 12, tzinfo=UTC)})
    with pytest.raises(NotDone, match="32 bits") as caught:
        licensing.carry_out(batch(late))
    assert caught.value.non_retryable
    assert effects(sandbox).count("license.created") == 0
