"""Salesforce's activities against the sandbox: lead, conversion, owners, fields, and the copy of people and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from pydantic import SecretStr
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession
from sqlalchemy import select, update
from temporalio.exceptions import ApplicationError

from activities.salesforce import client
from activities.salesforce.client import STAGE_1, Crm, same
from activities.salesforce.effects import Salesforce
from domain.effects.effect import EffectBatch
from domain.effects.salesforce import AssignOwner, ConvertLead, KeepLead, SalesforceEffect, SetLeadStatus, UpdateOpportunity
from sandbox.core import Fault
from sandbox.salesforce import SESSION
from sandbox.server import SandboxServer
from store.ledger import Ledger, NotDone
from store.settings import Settings
from store.tables import accounts, roster

SUBJECT = "trial-acme.example/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEEP = KeepLead(
    key="lead",
    email="ada@acme.example",
    first_name="Ada",
    last_name="O'Neil \\ Söhne",
    company="Acme & Co <AG>",
    domain="acme.example",
    source="Cloud trial signup",
)
STATUS = SetLeadStatus(key="status", status="Approved trial", sub_status="Meets criteria", reason="fits")
CONVERT = ConvertLead(key="convert", opportunity="Acme: cloud trial & more")
UPDATE = UpdateOpportunity(
    key="stage", fields={"Trial_Stage__c": "Started", "Trial_Activated__c": True, "Trial_Activated_At__c": "2026-03-02T09:00:00+00:00"}
)


@pytest.fixture
def salesforce(settings: Settings, ledger: Ledger) -> Iterator[Salesforce]:
    made = Salesforce.from_settings(settings, ledger)
    yield made
    made.close()


def batch(*acts: SalesforceEffect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "salesforce"]


def records(sandbox: SandboxServer, kind: str) -> list[dict[str, Any]]:
    return list(sandbox.world.services["salesforce"].org.records[kind].values())


def mine(sandbox: SandboxServer, kind: str) -> dict[str, Any]:
    (found,) = [record for record in records(sandbox, kind) if record["Tenure_Key__c"] == SUBJECT]
    return found


def user(sandbox: SandboxServer, handle: str) -> str:
    return str(sandbox.world.services["salesforce"].org.find_user(f"{handle}@tenure.example")["Id"])


def life(sandbox: SandboxServer) -> tuple[SalesforceEffect, ...]:
    owner = AssignOwner(key="owner", owner=user(sandbox, "ae-mira"), owner_name="Mira Executive", ce=user(sandbox, "ce-ada"))
    return (KEEP, STATUS, owner, CONVERT, UPDATE)


def test_keeps_a_lead_in_the_campaign(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    receipt = salesforce.carry_out(batch(KEEP)).of("lead")
    lead = mine(sandbox, "lead")
    assert receipt.ref == lead["Id"]
    assert (lead["LastName"], lead["Company"], lead["Website"], lead["Status"]) == (KEEP.last_name, KEEP.company, "acme.example", "New")
    (member,) = records(sandbox, "campaignmember")
    assert (member["LeadId"], member["CampaignId"]) == (lead["Id"], receipt.data["campaign"])


def test_a_lead_gets_what_the_crm_demands_and_no_more_than_fits(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    bare = KeepLead(key="lead", email="zed@gmail.com", first_name="Z" * 90, last_name="", company="", domain="zed@gmail.com", source="web")
    salesforce.carry_out(batch(bare))
    lead = mine(sandbox, "lead")
    assert (lead["LastName"], lead["Company"], lead["FirstName"], lead["Website"]) == ("zed", "zed@gmail.com", "Z" * 40, None)


def test_a_campaign_that_does_not_exist_is_said(salesforce: Salesforce, settings: Settings, ledger: Ledger) -> None:
    other = Salesforce.from_settings(settings.model_copy(update={"salesforce_campaign": "No such campaign"}), ledger)
    assert other.carry_out(batch(KEEP)).of("lead").data == {"no_campaign": "No such campaign"}
    other.close()


ONCE = [
    "lead.created",
    "campaign_member.created",
    "lead.updated",
    "lead.updated",
    "lead.converted",
    "opportunity.updated",
    "account.updated",
    "opportunity.updated",
]


def test_a_whole_life_happens_once_and_is_answered_from_the_ledger_afterwards(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    acts = life(sandbox)
    first = salesforce.carry_out(batch(*acts))
    assert done(sandbox) == ONCE
    opportunity = mine(sandbox, "opportunity")
    assert opportunity["Id"] == first.of("convert").ref == first.of("stage").ref
    assert (opportunity["Name"], opportunity["StageName"], opportunity["Trial_Stage__c"]) == (CONVERT.opportunity, STAGE_1, "Started")
    assert opportunity["OwnerId"] == user(sandbox, "ae-mira")
    assert opportunity["Customer_Engineer__c"] == user(sandbox, "ce-ada")
    assert opportunity["Trial_Activated__c"] is True
    lead = mine(sandbox, "lead")
    assert lead["IsConverted"]
    assert (lead["Sub_Status__c"], lead["Disqualified_Reason__c"]) == ("Meets criteria", "fits")
    sandbox.world.faults.append(Fault("salesforce", "status", times=1000))
    assert salesforce.carry_out(batch(*acts)) == first


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
@pytest.mark.parametrize(
    "request_line",
    [
        "Lead/Tenure_Key__c",
        "POST /salesforce/services/data/v59.0/sobjects/CampaignMember",
        'Sub_Status__c": "Meets',
        '"OwnerId"',
        "convertLead",
        STAGE_1,
        '"Domain__c"',
        '"Started"',
    ],
)
def test_nothing_happens_twice_when_an_answer_is_lost(salesforce: Salesforce, sandbox: SandboxServer, kind: Any, request_line: str) -> None:
    acts = life(sandbox)
    sandbox.world.faults.append(Fault("salesforce", kind, match=request_line))
    with pytest.raises(ApplicationError) as caught:
        salesforce.carry_out(batch(*acts))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceUnsure", False)
    assert sandbox.world.faults == []
    salesforce.carry_out(batch(*acts))
    assert done(sandbox) == ONCE


def test_the_other_order_assigns_the_opportunity(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    keep, status, owner, convert, _ = life(sandbox)
    receipts = salesforce.carry_out(batch(keep, status, convert, owner))
    opportunity = mine(sandbox, "opportunity")
    assert receipts.of("owner").ref == opportunity["Id"]
    assert (opportunity["OwnerId"], opportunity["Customer_Engineer__c"]) == (user(sandbox, "ae-mira"), user(sandbox, "ce-ada"))


def test_converts_into_the_account_of_the_domain_or_the_one_given(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    known = {record["Domain__c"]: record["Id"] for record in records(sandbox, "account")}
    keep = KEEP.model_copy(update={"domain": "glade.example"})
    assert salesforce.carry_out(batch(keep, CONVERT)).of("convert").data["account"] == known["glade.example"]
    other = "trial-other.example/ab12cd34.0"
    convert = CONVERT.model_copy(update={"account": known["orchard.example"]})
    assert salesforce.carry_out(batch(keep, convert, subject=other)).of("convert").data["account"] == known["orchard.example"]


def test_a_new_account_gets_the_domain_for_the_next_signup(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    first = salesforce.carry_out(batch(KEEP, CONVERT)).of("convert").data["account"]
    second = salesforce.carry_out(batch(KEEP, CONVERT, subject="trial-acme.example/ef56ab78.0")).of("convert").data["account"]
    assert first == second


def test_a_converted_lead_keeps_its_status_and_says_so(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    receipt = salesforce.carry_out(batch(KEEP, CONVERT, STATUS)).of("status")
    assert "converted" in receipt.data["held"]
    assert mine(sandbox, "lead")["Sub_Status__c"] is None


def test_what_a_person_converted_by_hand_becomes_the_subjects(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    lead = salesforce.carry_out(batch(KEEP)).of("lead").ref
    made = sandbox.world.services["salesforce"].org.convert(lead, "Qualified", opportunity_name="By hand")
    assert salesforce.carry_out(batch(CONVERT)).of("convert").ref == made["opportunityId"]
    assert mine(sandbox, "opportunity")["Name"] == "By hand"


def test_no_opportunity_is_refused_with_what_to_do(salesforce: Salesforce) -> None:
    with pytest.raises(NotDone, match="convert its lead first") as caught:
        salesforce.carry_out(batch(KEEP, UPDATE))
    assert caught.value.non_retryable
    with pytest.raises(NotDone, match="API names"):
        salesforce.carry_out(batch(UPDATE.model_copy(update={"fields": {"Id FROM User --": 1}})))


def test_an_unknown_field_is_refused_for_good(salesforce: Salesforce) -> None:
    bad = UPDATE.model_copy(update={"fields": {"No_Such__c": 1}})
    with pytest.raises(NotDone, match="INVALID_FIELD") as caught:
        salesforce.carry_out(batch(KEEP, CONVERT, bad))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceRefused", True)


def test_an_owner_who_left_is_refused(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    org = sandbox.world.services["salesforce"].org
    gone = user(sandbox, "ae-wen")
    org.records["user"][gone]["IsActive"] = False
    with pytest.raises(NotDone, match="INACTIVE_OWNER_OR_USER"):
        salesforce.carry_out(batch(KEEP, AssignOwner(key="owner", owner=gone, owner_name="Wen Executive")))


def test_a_locked_row_is_tried_again(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    body = '[{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access"}]'
    sandbox.world.faults.append(Fault("salesforce", "status", match="Approved trial", status=400, body=body))
    with pytest.raises(ApplicationError) as caught:
        salesforce.carry_out(batch(KEEP, STATUS))
    assert not caught.value.non_retryable
    salesforce.carry_out(batch(KEEP, STATUS))
    assert mine(sandbox, "lead")["Status"] == "Approved trial"


@pytest.mark.parametrize("limit", [0, 3, 6])
def test_a_used_up_allowance_waits_long(salesforce: Salesforce, sandbox: SandboxServer, limit: int) -> None:
    sandbox.world.services["salesforce"].seed({"daily_limit": limit})
    with pytest.raises(NotDone) as caught:
        salesforce.carry_out(batch(KEEP, CONVERT))
    assert caught.value.type == "SalesforceRateLimited"
    assert caught.value.next_retry_delay == timedelta(minutes=30)


def test_an_expired_session_is_renewed_in_the_middle(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    salesforce.carry_out(batch(KEEP))
    sandbox.world.services["salesforce"].expire_sessions()
    salesforce.carry_out(batch(STATUS))
    sandbox.world.services["salesforce"].expire_sessions()
    crm = salesforce._client
    lead = crm.upsert("Lead", "Tenure_Key__c", "another", {"LastName": "x", "Company": "y"})
    sandbox.world.services["salesforce"].expire_sessions()
    assert crm.convert_lead(lead, status="Qualified", account="", opportunity="x").opportunity


def test_a_session_that_is_refused_after_the_login_is_one_login_and_one_request(
    salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = sandbox.world.services["salesforce"]
    refusing = Fault("salesforce", "status", match="/services/data/", status=401, times=1000)
    sandbox.world.faults.append(refusing)
    before = len(org.sessions)
    for attempt in range(3):
        with pytest.raises(NotDone) as caught:
            salesforce.carry_out(batch(KEEP))
        assert (caught.value.type, caught.value.next_retry_delay) == ("SalesforceForbidden", timedelta(minutes=5))
        # Whoever comes within the minute finds out by one request, and does not log in.
        assert (len(org.sessions) - before, 1000 - refusing.times) == (1, attempt + 1)
    monkeypatch.setattr(client, "LOGIN_PAUSE", 0.0)
    with pytest.raises(NotDone):
        salesforce.carry_out(batch(KEEP))
    assert (len(org.sessions) - before, 1000 - refusing.times) == (2, 5)
    sandbox.world.faults.clear()
    assert salesforce.carry_out(batch(KEEP)).of("lead").ref == mine(sandbox, "lead")["Id"]


def test_threads_whose_session_is_refused_log_in_once_and_none_waits_for_ever(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    org = sandbox.world.services["salesforce"]
    salesforce.carry_out(batch(KEEP))
    org.expire_sessions()
    refusing = Fault("salesforce", "status", match="/services/data/", status=401, times=1000)
    sandbox.world.faults.append(refusing)

    def attempt(number: int) -> str:
        try:
            salesforce._client.find("Lead", Email=f"{number}@acme.example")
        except SalesforceExpiredSession as error:
            return type(error).__name__
        return "taken"

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(attempt, range(24), timeout=60)) == {"SalesforceExpiredSession"}
    assert len(org.sessions) == 1
    assert 24 <= 1000 - refusing.times <= 48  # each once, and once more with the session that the login brought


def test_who_waits_while_a_login_fails_does_not_log_in_too(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    login = Fault("salesforce", "slow", match="/services/Soap/u/", seconds=0.5, times=1)
    refusing = Fault("salesforce", "status", match="/services/Soap/u/", status=503, times=1000)
    sandbox.world.services["salesforce"].seed({"logins": {"other@tenure.example": "right"}})
    sandbox.world.faults += [login, refusing]
    crm = Crm.from_settings(settings)
    begun = Barrier(6, timeout=60)

    def attempt(_number: int) -> str:
        begun.wait()
        with pytest.raises(SalesforceAuthenticationFailed):
            next(crm.records("SELECT Id FROM Lead"))
        return "refused"

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(attempt, range(6), timeout=60)) == ["refused"] * 6
    crm.close()
    assert 1000 - refusing.times <= 1


def test_a_password_that_is_refused_is_not_sent_again_by_each_who_waits(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = Fault("salesforce", "slow", match="/services/Soap/u/", times=1000)
    sandbox.world.faults.append(logins)
    sandbox.world.services["salesforce"].seed({"logins": {"other@tenure.example": "right"}})
    wrong = Salesforce.from_settings(settings.model_copy(update={"salesforce_password": SecretStr("wrong")}), ledger)
    for _ in range(20):
        with pytest.raises(NotDone) as caught:
            wrong.carry_out(batch(KEEP))
        assert (caught.value.type, caught.value.next_retry_delay) == ("SalesforceForbidden", timedelta(minutes=5))
    assert 1000 - logins.times == 1
    monkeypatch.setattr(client, "LOGIN_PAUSE", 0.0)
    with pytest.raises(NotDone):
        wrong.carry_out(batch(KEEP))
    assert 1000 - logins.times == 2
    wrong.close()


def test_a_session_id_is_enough_and_is_replaced_by_a_login_when_it_expires(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer
) -> None:
    by_session = settings.model_copy(update={"salesforce_session_id": SecretStr(SESSION), "salesforce_password": SecretStr("")})
    only = Salesforce.from_settings(by_session, ledger)
    only.carry_out(batch(KEEP))
    sandbox.world.services["salesforce"].expire_sessions()
    with pytest.raises(NotDone) as caught:
        only.carry_out(batch(STATUS))
    assert (caught.value.type, caught.value.non_retryable) == ("SalesforceForbidden", False)
    both = Salesforce.from_settings(settings.model_copy(update={"salesforce_session_id": SecretStr(SESSION)}), ledger)
    both.carry_out(batch(STATUS))
    only.close()
    both.close()
    assert mine(sandbox, "lead")["Status"] == "Approved trial"


def test_a_wrong_password_waits_for_a_person_and_does_not_show_it(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    sandbox.world.services["salesforce"].seed({"logins": {"other@tenure.example": "right"}})
    crm = Salesforce.from_settings(settings.model_copy(update={"salesforce_password": SecretStr("hunter22")}), ledger)
    with pytest.raises(NotDone) as caught:
        crm.carry_out(batch(KEEP))
    crm.close()
    assert caught.value.type == "SalesforceForbidden"
    assert "hunter22" not in str(caught.value)


def test_a_session_id_needs_its_orgs_address() -> None:
    with pytest.raises(ValueError, match="TENURE_SALESFORCE_URL"):
        Crm(session_id="abc")


def test_an_address_is_never_cut_into_anothers(salesforce: Salesforce, sandbox: SandboxServer) -> None:
    longest = f"{'a' * 62}@acme-widgets-1.com"
    assert len(longest) == 81
    with pytest.raises(ApplicationError, match="81 characters") as caught:
        salesforce.carry_out(batch(KEEP.model_copy(update={"email": longest})))
    assert caught.value.non_retryable
    assert not sandbox.world.services["salesforce"].org.records["lead"]
    salesforce.carry_out(batch(KEEP.model_copy(update={"email": longest[1:]})))
    (lead,) = sandbox.world.services["salesforce"].org.records["lead"].values()
    assert lead["Email"] == longest[1:]


def test_an_unreachable_crm_did_nothing(settings: Settings, ledger: Ledger) -> None:
    gone = Salesforce.from_settings(settings.model_copy(update={"salesforce_url": "http://127.0.0.1:9"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(KEEP))
    gone.close()
    assert caught.value.type == "SalesforceUnreachable"
    assert ledger.effects(SUBJECT) == []


def test_the_sync_copies_people_and_accounts_page_by_page(salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.services["salesforce"].seed({"batch_size": 5})
    found = salesforce.sync_accounts()
    with ledger.reading() as db:
        people = {row.email: row for row in db.execute(select(roster))}
        known = {row.domain: row for row in db.execute(select(accounts))}
    assert (found.people, found.accounts) == (len(people), len(known)) == (29, 12)
    ada = people["ce-ada@tenure.example"]
    assert (ada.role, ada.active, ada.manager) == ("ce", True, people["ce-manager@tenure.example"].id)
    assert people["ae-mira@tenure.example"].paired_ce == ada.id
    borealis = known["borealis.example"]
    assert (borealis.named, borealis.prequalified, borealis.ce) == (True, True, ada.id)
    assert found.absent == ()
    assert found.data_errors == ()


def test_the_sync_keeps_the_memory_of_the_round_robin_and_names_who_is_gone_once(
    salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger
) -> None:
    salesforce.sync_accounts()
    ids = {name: user(sandbox, name) for name in ("ae-mira", "ae-tariq", "ce-ada", "ce-boris")}
    with ledger.writing() as db:
        db.execute(update(roster).where(roster.c.id == ids["ae-mira"]).values(last_assigned_at=AS_OF))
    store = sandbox.world.services["salesforce"].org.records
    until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
    store["user"][ids["ae-tariq"]]["IsActive"] = False
    store["user"][ids["ce-ada"]]["Out_Of_Office_Until__c"] = until
    store["user"][ids["ce-boris"]]["Out_Of_Office_Until__c"] = "2020-01-01"
    for record in store["account"].values():
        if record["Domain__c"] == "cobalt.example":
            record["Trial_Prequalified__c"] = False
    found = salesforce.sync_accounts()
    assert {(one.email, one.why) for one in found.absent} == {
        ("ae-tariq@tenure.example", "left"),
        ("ce-ada@tenure.example", f"out of office until {until}"),
    }
    assert found.data_errors == ("Cobalt Freight (cobalt.example) is a named account but not prequalified; every named account must be",)
    assert salesforce.sync_accounts().absent == ()
    with ledger.reading() as db:
        rows = {row.id: row for row in db.execute(select(roster))}
    assert rows[ids["ae-mira"]].last_assigned_at == AS_OF
    assert rows[ids["ce-ada"]].out_of_office_until == date.fromisoformat(until)


def test_a_sync_that_fails_leaves_the_copy_as_it_was(salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger) -> None:
    salesforce.sync_accounts()
    sandbox.world.faults.append(Fault("salesforce", "status", match="FROM+Account", status=503))
    with pytest.raises(ApplicationError) as caught:
        salesforce.sync_accounts()
    assert not caught.value.non_retryable
    with ledger.reading() as db:
        assert len(db.execute(select(accounts)).all()) == 12


@pytest.mark.parametrize(
    ("shown", "wanted", "expected"),
    [
        (None, "", True),
        ("", None, True),
        ("2026-03-02T09:00:00.000+0000", "2026-03-02T10:00:00+01:00", True),
        ("2026-03-02T09:00:00.000+0000", "2026-03-02T10:00:00+00:00", False),
        ("The Tool", "Tidy Team", False),
        (True, True, True),
        (1, True, False),
        ("a", "b", False),
    ],
)
def test_same(shown: object, wanted: object, expected: bool) -> None:
    assert same(shown, wanted) is expected
