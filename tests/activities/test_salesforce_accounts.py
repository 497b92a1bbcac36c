"""Customers' records in the CRM, against the sandbox: fields of an account, and the opportunity of a renewal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.salesforce.client import KEY, STAGE_1
from activities.salesforce.effects import Salesforce
from domain.effects.effect import EffectBatch
from domain.effects.salesforce import KeepRenewal, SalesforceEffect, SetAccount, UpdateOpportunity
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store.ledger import Ledger, NotDone
from store.settings import Settings
from tests.activities.holding import its_time_has_come

SUBJECT = "renewal-glade.example-2026-06-30/ab12cd34.0"
EARLIER_RUN = "renewal-glade.example-2026-06-30/00000000.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
CLOSE_ON = date(2026, 6, 30)


@pytest.fixture
def salesforce(settings: Settings, ledger: Ledger) -> Iterator[Salesforce]:
    made = Salesforce.from_settings(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def account(sandbox: SandboxServer) -> str:
    (found,) = [record["Id"] for record in records(sandbox, "account").values() if record["Domain__c"] == "glade.example"]
    return str(found)


def records(sandbox: SandboxServer, kind: str) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = sandbox.world.services["salesforce"].org.records[kind]
    return held


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "salesforce"]


def batch(*acts: SalesforceEffect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def keep(account: str, **changes: Any) -> KeepRenewal:
    said = {"key": "renewal", "account": account, "name": "Glade: renewal 2026", "close_on": CLOSE_ON, "amount": 120_000, "seats": 200}
    return KeepRenewal.model_validate(said | changes)


def red(account: str) -> SetAccount:
    return SetAccount(key="red", account=account, fields={"Customer_Health__c": "Red", "ARR__c": 120_000, "Description": None})


def opportunity(salesforce: Salesforce, account: str, **fields: Any) -> str:
    """One that people made, without any effect of ours."""
    made = {"Name": "By hand", "AccountId": account, "Type": "Renewal", "StageName": "Interest", "CloseDate": "2026-07-15"}
    return salesforce._client.create("Opportunity", made | fields)


# --- The account ----------------------------------------------------------------------------------------------------------


def test_an_account_gets_its_fields_once(salesforce: Salesforce, sandbox: SandboxServer, account: str) -> None:
    first = salesforce.carry_out(batch(red(account)))
    assert first.of("red").ref == account
    assert records(sandbox, "account")[account]["Customer_Health__c"] == "Red"
    assert salesforce.carry_out(batch(red(account))) == first
    assert done(sandbox) == ["account.updated"]


def test_an_account_that_shows_it_already_is_left_alone(salesforce: Salesforce, sandbox: SandboxServer, account: str) -> None:
    salesforce.carry_out(batch(red(account)))
    salesforce.carry_out(batch(red(account), subject="red-glade.example/ab12cd34.0"))
    assert done(sandbox) == ["account.updated"]


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_an_account_whose_answer_is_lost_is_set_once(salesforce: Salesforce, sandbox: SandboxServer, account: str, kind: Any) -> None:
    sandbox.world.faults.append(Fault("salesforce", kind, match="PATCH"))
    with pytest.raises(ApplicationError) as caught:
        salesforce.carry_out(batch(red(account)))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceUnsure", False)
    salesforce.carry_out(batch(red(account)))
    assert done(sandbox) == ["account.updated"]


def test_an_account_that_is_gone_is_refused_with_what_to_do(salesforce: Salesforce) -> None:
    with pytest.raises(NotDone, match="deleted or merged, so sync the accounts") as caught:
        salesforce.carry_out(batch(red("001000000000404AAA")))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceNotFound", True)


def test_a_field_that_is_none_is_refused_before_anything_is_asked(salesforce: Salesforce, sandbox: SandboxServer, account: str) -> None:
    with pytest.raises(NotDone, match="API names"):
        salesforce.carry_out(batch(SetAccount(key="red", account=account, fields={"Id FROM User --": 1})))
    with pytest.raises(NotDone, match="INVALID_FIELD") as caught:
        salesforce.carry_out(batch(SetAccount(key="red", account=account, fields={"No_Such__c": 1})))
    assert caught.value.non_retryable
    assert done(sandbox) == []


# --- The renewal's opportunity ----------------------------------------------------------------------------------------------


def test_a_renewal_without_an_opportunity_gets_one_which_the_other_acts_find(
    salesforce: Salesforce, sandbox: SandboxServer, account: str
) -> None:
    owner = str(sandbox.world.services["salesforce"].org.find_user("ae-mira@tenure.example")["Id"])
    won = UpdateOpportunity(key="won", fields={"StageName": "Closed Won", "Renewal_Outcome__c": "flat", "Contract_End__c": "2027-06-30"})
    first = salesforce.carry_out(batch(keep(account, owner=owner), won))
    made = records(sandbox, "opportunity")[first.of("renewal").ref]
    assert (made["Name"], made["AccountId"], made["Type"], made[KEY]) == ("Glade: renewal 2026", account, "Renewal", SUBJECT)
    assert (made["CloseDate"], made["Amount"], made["Seats__c"], made["OwnerId"]) == ("2026-06-30", 120_000, 200, owner)
    assert (made["StageName"], made["IsWon"], made["Renewal_Outcome__c"]) == ("Closed Won", True, "flat")
    assert first.of("renewal").data == {"name": "Glade: renewal 2026", "stage": STAGE_1}
    assert first.of("won").ref == made["Id"]
    assert salesforce.carry_out(batch(keep(account, owner=owner), won)) == first
    assert done(sandbox) == ["opportunity.created", "opportunity.updated"]


def test_the_open_renewal_nearest_to_the_date_is_adopted_as_people_left_it(
    salesforce: Salesforce, sandbox: SandboxServer, account: str
) -> None:
    other = next(id_ for id_ in records(sandbox, "account") if id_ != account)
    opportunity(salesforce, other)
    opportunity(salesforce, account, CloseDate="2027-06-30")
    opportunity(salesforce, account, Type="Expansion", CloseDate="2026-06-30")
    opportunity(salesforce, account, StageName="Closed Lost", CloseDate="2026-06-30")
    opportunity(salesforce, account, Tenure_Key__c="renewal-glade.example-2026-01-01/00000000.0", CloseDate="2026-06-30")
    near = opportunity(salesforce, account, Amount=99_000)
    before = len(records(sandbox, "opportunity"))
    receipt = salesforce.carry_out(batch(keep(account))).of("renewal")
    assert (receipt.ref, receipt.data) == (near, {"name": "By hand", "stage": "Interest", "adopted": "yes"})
    adopted = records(sandbox, "opportunity")[near]
    assert (adopted[KEY], adopted["Amount"], adopted["Seats__c"], adopted["CloseDate"]) == (SUBJECT, 99_000, 200, "2026-07-15")
    assert len(records(sandbox, "opportunity")) == before


def test_a_renewal_that_is_started_again_goes_on_with_its_opportunity(salesforce: Salesforce, sandbox: SandboxServer, account: str) -> None:
    first = salesforce.carry_out(batch(keep(account), subject=EARLIER_RUN)).of("renewal")
    assert salesforce.carry_out(batch(keep(account))).of("renewal").ref == first.ref
    assert records(sandbox, "opportunity")[first.ref][KEY] == SUBJECT


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
@pytest.mark.parametrize("there", [True, False], ids=["adopted", "made"])
def test_there_is_one_opportunity_when_an_answer_is_lost(
    salesforce: Salesforce, sandbox: SandboxServer, account: str, kind: Any, there: bool
) -> None:
    if there:
        opportunity(salesforce, account)
    before, effects = len(records(sandbox, "opportunity")), len(done(sandbox))
    sandbox.world.faults.append(Fault("salesforce", kind, match="PATCH"))
    with pytest.raises(ApplicationError) as caught:
        salesforce.carry_out(batch(keep(account)))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceUnsure", False)
    assert sandbox.world.faults == []
    receipt = salesforce.carry_out(batch(keep(account))).of("renewal")
    (ours,) = [id_ for id_, record in records(sandbox, "opportunity").items() if record[KEY] == SUBJECT]
    assert receipt.ref == ours
    assert len(records(sandbox, "opportunity")) == before + (not there)
    assert done(sandbox)[effects:] == ["opportunity.updated" if there else "opportunity.created"]


def test_a_used_up_allowance_waits_and_a_failing_server_is_asked_again(
    salesforce: Salesforce, sandbox: SandboxServer, account: str, ledger: Ledger
) -> None:
    sandbox.world.faults += [Fault("salesforce", "rate_limit", match="FROM+Opportunity"), Fault("salesforce", "status", match="PATCH")]
    with pytest.raises(NotDone) as limited:
        salesforce.carry_out(batch(keep(account)))
    assert (limited.value.type, limited.value.next_retry_delay) == ("SalesforceRateLimited", timedelta(minutes=30))
    its_time_has_come(ledger, "salesforce")
    with pytest.raises(ApplicationError) as failing:
        salesforce.carry_out(batch(keep(account)))
    assert (failing.value.type, failing.value.non_retryable) == ("SalesforceUnsure", False)
    its_time_has_come(ledger, "salesforce")
    salesforce.carry_out(batch(keep(account)))
    assert done(sandbox) == ["opportunity.created"]


def test_the_closing_fields_of_a_renewal_that_was_never_kept_are_refused(salesforce: Salesforce) -> None:
    with pytest.raises(NotDone, match="or keep its renewal") as caught:
        salesforce.carry_out(batch(UpdateOpportunity(key="lost", fields={"StageName": "Closed Lost"})))
    assert caught.value.non_retryable
