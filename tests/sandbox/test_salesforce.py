"""The Salesforce stand-in, asked by simple-salesforce: login, records, upserts, queries, conversion, composites, refusals."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)
from simple_salesforce.format import format_soql

from sandbox.salesforce import SESSION
from sandbox.salesforce import Salesforce as Service
from sandbox.salesforce_schema import CUSTOM, OBJECTS
from sandbox.salesforce_values import long_id
from sandbox.server import SandboxServer

CONTRACT = Path(__file__).parents[3] / "shared" / "contracts" / "salesforce.json.gz"


class Loopback(HTTPAdapter):
    """Sends what is meant for https://*.salesforce.com to the sandbox."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        asked = urlsplit(request.url)
        request.url = urlunsplit((self._target.scheme, self._target.netloc, self._target.path + asked.path, asked.query, ""))
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def service(sandbox: SandboxServer) -> Service:
    salesforce: Service = sandbox.world.services["salesforce"]
    return salesforce


@pytest.fixture
def http(sandbox: SandboxServer) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(f"{sandbox.url}/salesforce"))
        yield session


@pytest.fixture
def sf(http: requests.Session) -> Any:
    return Salesforce(session_id=SESSION, instance="tenure-sandbox.my.salesforce.com", session=http)


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def first_error(refused: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    told: dict[str, Any] = refused.value.content[0]
    return told


def code(refused: pytest.ExceptionInfo[Any]) -> str:
    return str(first_error(refused)["errorCode"])


LEAD = {"LastName": "Signup", "Company": "Acme", "Email": "admin@acme.example"}


class TestLogin:
    def test_by_soap_with_user_and_password(self, http: requests.Session) -> None:
        sf = Salesforce(username="bot@tenure.example", password="secret", security_token="token", session=http)
        assert sf.sf_instance == "tenure-sandbox.my.salesforce.com"
        assert sf.query("SELECT COUNT() FROM User")["totalSize"] > 10

    def test_by_oauth_password_flow(self, http: requests.Session) -> None:
        sf = Salesforce(username="bot@tenure.example", password="secret", consumer_key="k", consumer_secret="s", session=http)
        assert sf.limits()["DailyApiRequests"]["Max"] > 0

    def test_only_seeded_credentials_once_there_are_some(self, service: Service, http: requests.Session) -> None:
        service.seed({"logins": {"bot@tenure.example": "secret"}})
        with pytest.raises(SalesforceAuthenticationFailed) as refused:
            Salesforce(username="bot@tenure.example", password="wrong", security_token="", session=http)
        assert "INVALID_LOGIN" in str(refused.value)
        Salesforce(username="bot@tenure.example", password="secret", security_token="token", session=http)

    def test_an_expired_session_is_401(self, sandbox: SandboxServer, sf: Any, http: requests.Session) -> None:
        requests.post(f"{sandbox.url}/salesforce/_control/expire", timeout=5)
        with pytest.raises(SalesforceExpiredSession) as refused:
            sf.Lead.create(LEAD)
        content: Any = refused.value.content
        assert content == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        assert acts(sandbox) == []

    def test_a_client_with_a_password_logs_in_again(self, sandbox: SandboxServer, service: Service, http: requests.Session) -> None:
        sf: Any = Salesforce(username="bot@tenure.example", password="secret", security_token="", session=http)
        service.expire_sessions()
        assert sf.Lead.create(LEAD)["success"] is True
        assert acts(sandbox) == ["lead.created"]

    def test_the_daily_limit(self, sandbox: SandboxServer, service: Service, sf: Any) -> None:
        service.seed({"daily_limit": 1})
        sf.query("SELECT Id FROM Lead")
        assert sf.api_usage["api-usage"].used == 1
        with pytest.raises(SalesforceRefusedRequest) as refused:
            sf.Lead.create(LEAD)
        assert code(refused) == "REQUEST_LIMIT_EXCEEDED"
        assert acts(sandbox) == []


class TestRecords:
    def test_created_read_changed_deleted(self, sandbox: SandboxServer, sf: Any) -> None:
        made = sf.Lead.create(LEAD)
        lead = sf.Lead.get(made["id"])
        assert (len(made["id"]), made["id"][:3], made["errors"]) == (18, "00Q", [])
        assert (lead["Name"], lead["Status"], lead["IsConverted"]) == ("Signup", "New", False)
        assert datetime.strptime(lead["CreatedDate"], "%Y-%m-%dT%H:%M:%S.000%z").tzinfo is not None
        assert sf.Lead.update(made["id"], {"status": "Approved trial", "FirstName": "New"}) == 204
        assert sf.Lead.get(made["id"][:15])["Name"] == "New Signup"
        assert sf.Lead.delete(made["id"]) == 204
        with pytest.raises(SalesforceResourceNotFound) as gone:
            sf.Lead.get(made["id"])
        assert code(gone) == "ENTITY_IS_DELETED"
        assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
        assert sf.query("SELECT COUNT() FROM Lead WHERE IsDeleted = true", include_deleted=True)["totalSize"] == 1
        assert acts(sandbox) == ["lead.created", "lead.updated", "lead.deleted"]

    def test_two_equal_creates_make_two(self, sf: Any) -> None:
        assert sf.Lead.create(LEAD)["id"] != sf.Lead.create(LEAD)["id"]

    def test_ids_carry_the_checksum_that_tells_capitals(self) -> None:
        assert long_id("001D000000IqhSL") == "001D000000IqhSLIAZ"  # from the vendor's own documentation

    @pytest.mark.parametrize(
        ("body", "expected", "fields"),
        [
            ({"LastName": "x"}, "REQUIRED_FIELD_MISSING", ["Company"]),
            (LEAD | {"Nothing__c": 1}, "INVALID_FIELD", None),
            (LEAD | {"ConvertedDate": "2026-01-01"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["ConvertedDate"]),
            (LEAD | {"Email": "nobody"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
            (LEAD | {"LastName": "x" * 81}, "STRING_TOO_LONG", ["LastName"]),
            (LEAD | {"NumberOfEmployees": "many"}, "JSON_PARSER_ERROR", None),
            (LEAD | {"OwnerId": "00QHs0000000001"}, "MALFORMED_ID", ["OwnerId"]),
            (LEAD | {"OwnerId": "005Hs0000zzzzzz"}, "INVALID_CROSS_REFERENCE_KEY", ["OwnerId"]),
        ],
    )
    def test_refusals(self, sandbox: SandboxServer, sf: Any, body: dict[str, Any], expected: str, fields: list[str] | None) -> None:
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Lead.create(body)
        assert code(refused) == expected
        if fields:
            assert first_error(refused)["fields"] == fields
        assert acts(sandbox) == []

    def test_broken_json(self, sandbox: SandboxServer, http: requests.Session) -> None:
        answer = http.post(
            "https://x.my.salesforce.com/services/data/v59.0/sobjects/Lead",
            data="{",
            headers={"Authorization": f"Bearer {SESSION}", "Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")

    def test_an_unknown_object_and_an_old_version(self, sf: Any, http: requests.Session) -> None:
        with pytest.raises(SalesforceResourceNotFound):
            sf.Nothing.create({})
        old = http.get("https://x.my.salesforce.com/services/data/v25.0/limits", headers={"Authorization": f"Bearer {SESSION}"})
        assert old.status_code == 410

    def test_an_inactive_owner_is_refused(self, service: Service, sf: Any) -> None:
        service.seed({"users": [{"Email": "sdr-iris@tenure.example", "IsActive": False}]})
        user = sf.query("SELECT Id FROM User WHERE Email = 'sdr-iris@tenure.example'")["records"][0]["Id"]
        lead = sf.Lead.create(LEAD)["id"]
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Lead.update(lead, {"OwnerId": user})
        assert code(refused) == "INACTIVE_OWNER_OR_USER"

    def test_a_campaign_has_a_lead_once(self, sandbox: SandboxServer, sf: Any) -> None:
        campaign = sf.query("SELECT Id FROM Campaign WHERE Name = 'Cloud trial signup'")["records"][0]["Id"]
        lead = sf.Lead.create(LEAD)["id"]
        sf.CampaignMember.create({"CampaignId": campaign, "LeadId": lead, "Status": "Responded"})
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.CampaignMember.create({"CampaignId": campaign, "LeadId": lead})
        assert code(refused) == "DUPLICATE_VALUE"
        member = sf.query("SELECT HasResponded, Lead.Email, Campaign.Name FROM CampaignMember")["records"][0]
        assert (member["HasResponded"], member["Lead"]["Email"], member["Campaign"]["Name"]) == (
            True,
            "admin@acme.example",
            "Cloud trial signup",
        )
        assert acts(sandbox) == ["lead.created", "campaign_member.created"]

    def test_a_won_opportunity(self, sf: Any) -> None:
        deal = sf.Opportunity.create({"Name": "Acme", "StageName": "Qualification", "CloseDate": "2030-03-31"})["id"]
        assert [sf.Opportunity.get(deal)[name] for name in ("Probability", "IsClosed", "IsWon")] == [10.0, False, False]
        sf.Opportunity.update(deal, {"Probability": 35})
        sf.Opportunity.update(deal, {"Trial_Activated__c": True, "Trial_Activated_At__c": "2030-01-05T10:00:00+02:00"})
        kept = sf.Opportunity.get(deal)
        assert (kept["Probability"], kept["Trial_Activated_At__c"]) == (35.0, "2030-01-05T08:00:00.000+0000")
        sf.Opportunity.update(deal, {"StageName": "Closed Won"})
        assert [sf.Opportunity.get(deal)[name] for name in ("Probability", "IsClosed", "IsWon")] == [100.0, True, True]


class TestUpsert:
    def test_created_once_then_updated(self, sandbox: SandboxServer, sf: Any) -> None:
        path = "Tenure_Key__c/trial-acme.example%2F1"
        first = sf.Lead.upsert(path, LEAD, raw_response=True)
        second = sf.Lead.upsert(path, {"Title": "Admin"}, raw_response=True)
        assert (first.status_code, first.json()["created"]) == (201, True)
        assert (second.status_code, second.json()["created"]) == (200, False)
        assert first.json()["id"] == second.json()["id"]
        held = sf.Lead.get_by_custom_id("Tenure_Key__c", "trial-acme.example/1")
        assert (held["Title"], held["Tenure_Key__c"]) == ("Admin", "trial-acme.example/1")
        assert acts(sandbox) == ["lead.created", "lead.updated"]

    def test_the_key_must_not_stand_in_the_body(self, sandbox: SandboxServer, sf: Any) -> None:
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Lead.upsert("Tenure_Key__c/k", LEAD | {"Tenure_Key__c": "k"})
        assert code(refused) == "INVALID_FIELD"
        assert acts(sandbox) == []

    def test_a_field_that_is_no_external_id(self, sf: Any) -> None:
        with pytest.raises(SalesforceResourceNotFound):
            sf.Lead.upsert("Sub_Status__c/k", LEAD)

    def test_several_matches_are_300(self, service: Service, sf: Any) -> None:
        service.seed({"leads": [LEAD | {"Tenure_Key__c": "k"}, LEAD | {"Tenure_Key__c": "K"}]})
        with pytest.raises(SalesforceMoreThanOneRecord) as refused:
            sf.Lead.upsert("Tenure_Key__c/k", {"Title": "x"})
        content: Any = refused.value.content
        assert len(content) == 2
        assert all("/sobjects/Lead/00Q" in address for address in content)

    def test_a_unique_value_is_taken_once(self, sf: Any) -> None:
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Account.create({"Name": "Twin", "Domain__c": "Borealis.example"})
        assert code(refused) == "DUPLICATE_VALUE"
        assert first_error(refused)["fields"] == ["Domain__c"]


def names(sf: Any, query: str) -> list[str]:
    return [record["Name"] for record in sf.query(query)["records"]]


class TestQueries:
    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("Domain__c = 'DUNE.example'", ["Dune Analytics Works"]),
            ("domain__c IN ('dune.example', 'ember.example')", ["Dune Analytics Works", "Ember Games"]),
            ("Name LIKE 'b%' OR Name LIKE '%_maps'", ["Borealis Robotics", "Meridian Maps"]),
            ("Named_Account__c = true AND (NOT Name LIKE 'B%') AND Name < 'H'", ["Cobalt Freight"]),
            ("Named_Account__c = TRUE AND Account_Executive__r.Email = 'ae-wen@tenure.example'", ["Halcyon Bank"]),
            ("Account_Executive__c = null AND Name != 'Glade Foods'", ["Meridian Maps", "Orchard Payments"]),
            ("Trial_Prequalified__c = true AND Name NOT IN ('Borealis Robotics') AND Named_Account__c = true AND Name >= 'halcyon bank'",
             ["Halcyon Bank", "Juniper Grid"]),
            ("Name = 'It\\'s'", []),
            ("NumberOfEmployees > 5", []),
            ("CreatedDate = TODAY AND Name = 'Ember Games'", ["Ember Games"]),
            ("CreatedDate >= LAST_N_DAYS:3 AND CreatedDate < TOMORROW AND Name = 'Ember Games'", ["Ember Games"]),
            ("CreatedDate < 2020-01-01T00:00:00Z", []),
        ],
    )  # fmt: skip
    def test_conditions(self, sf: Any, where: str, expected: list[str]) -> None:
        assert names(sf, f"select id, name from account where {where} order by name") == expected

    def test_text_is_escaped_by_the_clients_own_means(self, service: Service, sf: Any) -> None:
        service.seed({"accounts": [{"Name": "O'Neil \\ Sons", "Domain__c": "oneil.example"}]})
        assert names(sf, format_soql("SELECT Name FROM Account WHERE Name = {}", "O'Neil \\ Sons")) == ["O'Neil \\ Sons"]
        assert names(sf, format_soql("SELECT Name FROM Account WHERE Name LIKE '{:like}%'", "O'N")) == ["O'Neil \\ Sons"]

    def test_related_fields_are_nested_and_null_without_a_target(self, sf: Any) -> None:
        rows = sf.query("SELECT Name, Account_Executive__r.Name, Account_Executive__r.Paired_CE__r.Email FROM Account ORDER BY Name")[
            "records"
        ]
        held = {row["Name"]: row["Account_Executive__r"] for row in rows}
        assert held["Borealis Robotics"]["Name"] == "Mira Executive"
        assert held["Borealis Robotics"]["Paired_CE__r"]["Email"] == "ce-ada@tenure.example"
        assert held["Glade Foods"] is None
        assert rows[0]["attributes"]["url"].startswith("/services/data/v59.0/sobjects/Account/001")

    def test_order_nulls_limit_and_offset(self, service: Service, sf: Any) -> None:
        service.seed({"replace": True, "accounts": [{"Name": "a", "Rating": "1"}, {"Name": "b"}, {"Name": "c", "Rating": "2"}]})
        assert names(sf, "SELECT Name FROM Account ORDER BY Rating") == ["b", "a", "c"]
        assert names(sf, "SELECT Name FROM Account ORDER BY Rating DESC") == ["c", "a", "b"]
        assert names(sf, "SELECT Name FROM Account ORDER BY Rating ASC NULLS LAST, Name") == ["a", "c", "b"]
        assert names(sf, "SELECT Name FROM Account ORDER BY Name LIMIT 1 OFFSET 1") == ["b"]

    def test_counts(self, sf: Any) -> None:
        counted = sf.query("SELECT COUNT() FROM Account WHERE Named_Account__c = true")
        assert (counted["totalSize"], counted["records"]) == (4, [])
        assert sf.query("SELECT COUNT(Account_Executive__c) FROM Account")["records"][0]["expr0"] == 9

    def test_batches_are_chained(self, service: Service, sf: Any) -> None:
        service.seed({"batch_size": 5})
        first = sf.query("SELECT Id FROM Account")
        assert (first["totalSize"], first["done"], len(first["records"])) == (12, False, 5)
        assert len(sf.query_all("SELECT Id FROM Account")["records"]) == 12

    def test_times_compare_as_moments(self, service: Service, sf: Any) -> None:
        service.seed({"opportunities": [{"Name": "d", "StageName": "Prospecting", "CloseDate": "2030-01-31"}]})
        moment = datetime.now(UTC).replace(microsecond=0).isoformat()
        assert names(sf, format_soql("SELECT Name FROM Opportunity WHERE CreatedDate <= {:literal}", moment)) == ["d"]
        assert names(sf, format_soql("SELECT Name FROM Opportunity WHERE CreatedDate > {:literal}", moment)) == []
        assert names(sf, "SELECT Name FROM Opportunity WHERE CloseDate > 2030-01-30 AND CloseDate <= 2030-01-31") == ["d"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("SELECT Id FROM Nothing", "INVALID_TYPE"),
            ("SELECT Nothing FROM Lead", "INVALID_FIELD"),
            ("SELECT Nobody.Name FROM Lead", "INVALID_FIELD"),
            ("SELECT Id FROM Lead WHERE IsConverted = 'true'", "INVALID_FIELD"),
            ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD"),
            ("SELECT Id FROM Lead WHERE Company = 5", "INVALID_FIELD"),
            ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD"),
            ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY"),
            ("SELECT Id Lead", "MALFORMED_QUERY"),
            ("SELECT Id FROM Lead WHERE Company = 'open", "MALFORMED_QUERY"),
            ("SELECT Id FROM Lead LIMIT many", "MALFORMED_QUERY"),
            ("SELECT Id FROM Lead WHERE Id IN (SELECT LeadId FROM CampaignMember)", "MALFORMED_QUERY"),
            ("SELECT Id FROM Lead ORDER BY Id extra", "MALFORMED_QUERY"),
        ],
    )
    def test_what_is_not_understood_is_refused(self, sf: Any, query: str, expected: str) -> None:
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.query(query)
        assert code(refused) == expected


CONVERT = """<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="urn:partner.soap.sforce.com">
<e:Header><p:SessionHeader><p:sessionId>{session}</p:sessionId></p:SessionHeader></e:Header>
<e:Body><p:convertLead><p:leadConverts>{fields}</p:leadConverts></p:convertLead></e:Body></e:Envelope>"""


class TestConversion:
    def convert(self, http: requests.Session, session: str = SESSION, **fields: str) -> requests.Response:
        inside = "".join(f"<p:{name}>{value}</p:{name}>" for name, value in fields.items())
        return http.post(
            "https://x.my.salesforce.com/services/Soap/u/59.0",
            data=CONVERT.format(session=session, fields=inside),
            headers={"Content-Type": "text/xml", "SOAPAction": "convertLead"},
        )

    def test_a_lead_becomes_account_contact_and_opportunity(self, sandbox: SandboxServer, sf: Any, http: requests.Session) -> None:
        owner = sf.query("SELECT Id FROM User WHERE Email = 'ae-mira@tenure.example'")["records"][0]["Id"]
        lead = sf.Lead.create(LEAD)["id"]
        answer = self.convert(http, leadId=lead, convertedStatus="Qualified", opportunityName="Acme trial", ownerId=owner)
        assert answer.status_code == 200
        assert "<success>true</success>" in answer.text
        held = sf.Lead.get(lead)
        assert (held["IsConverted"], held["Status"]) == (True, "Qualified")
        deal = sf.Opportunity.get(held["ConvertedOpportunityId"])
        assert (deal["Name"], deal["OwnerId"], deal["AccountId"]) == ("Acme trial", owner, held["ConvertedAccountId"])
        assert sf.Contact.get(held["ConvertedContactId"])["Email"] == "admin@acme.example"
        assert sf.Account.get(held["ConvertedAccountId"])["Name"] == "Acme"
        assert acts(sandbox) == ["lead.created", "lead.converted"]

    def test_a_lead_is_converted_once_and_then_read_only(self, sandbox: SandboxServer, sf: Any, http: requests.Session) -> None:
        lead = sf.Lead.create(LEAD)["id"]
        self.convert(http, leadId=lead, convertedStatus="Qualified")
        again = self.convert(http, leadId=lead, convertedStatus="Qualified")
        assert again.status_code == 200
        assert "<success>false</success>" in again.text
        assert "<statusCode>CANNOT_UPDATE_CONVERTED_LEAD</statusCode>" in again.text
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Lead.update(lead, {"Title": "x"})
        assert code(refused) == "CANNOT_UPDATE_CONVERTED_LEAD"
        assert acts(sandbox) == ["lead.created", "lead.converted"]

    def test_into_a_known_account_without_an_opportunity(self, sf: Any, http: requests.Session) -> None:
        account = sf.query("SELECT Id FROM Account WHERE Domain__c = 'dune.example'")["records"][0]["Id"]
        before = sf.query("SELECT COUNT() FROM Account")["totalSize"]
        lead = sf.Lead.create(LEAD)["id"]
        self.convert(http, leadId=lead, convertedStatus="Qualified", accountId=account, doNotCreateOpportunity="true")
        held = sf.Lead.get(lead)
        assert (held["ConvertedAccountId"], held["ConvertedOpportunityId"]) == (account, None)
        assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == before

    def test_refusals(self, sandbox: SandboxServer, sf: Any, http: requests.Session) -> None:
        lead = sf.Lead.create(LEAD)["id"]
        assert "INVALID_STATUS" in self.convert(http, leadId=lead, convertedStatus="New").text
        assert "INVALID_CROSS_REFERENCE_KEY" in self.convert(http, leadId="00QHs0000zzzzzz", convertedStatus="Qualified").text
        expired = self.convert(http, "gone", leadId=lead, convertedStatus="Qualified")
        assert (expired.status_code, "sf:INVALID_SESSION_ID" in expired.text) == (500, True)
        assert acts(sandbox) == ["lead.created"]

    def test_the_statuses_one_may_convert_into_can_be_asked_for(self, sf: Any) -> None:
        rows = sf.query("SELECT MasterLabel FROM LeadStatus WHERE IsConverted = true")["records"]
        assert "Qualified" in [row["MasterLabel"] for row in rows]


class TestSeveralAtOnce:
    def composite(self, sf: Any, parts: list[dict[str, Any]], together: bool) -> list[dict[str, Any]]:
        answer = sf.restful("composite", method="POST", data=json.dumps({"allOrNone": together, "compositeRequest": parts}))
        told: list[dict[str, Any]] = answer["compositeResponse"]
        return told

    def test_a_later_part_uses_an_earlier_answer(self, sandbox: SandboxServer, sf: Any) -> None:
        base = "/services/data/v59.0/sobjects"
        told = self.composite(
            sf,
            [
                {"method": "PATCH", "url": f"{base}/Lead/Tenure_Key__c/k", "referenceId": "lead", "body": LEAD},
                {"method": "POST", "url": f"{base}/Task", "referenceId": "task", "body": {"WhoId": "@{lead.id}", "Subject": "Call"}},
                {"method": "GET", "url": "/services/data/v59.0/query?q=SELECT+Who.Name+FROM+Task", "referenceId": "look"},
            ],
            True,
        )
        assert [part["httpStatusCode"] for part in told] == [201, 201, 200]
        assert told[2]["body"]["records"][0]["Who"]["Name"] == "Signup"
        assert acts(sandbox) == ["lead.created", "task.created"]

    def test_all_or_none_leaves_nothing_and_logs_nothing(self, sandbox: SandboxServer, sf: Any) -> None:
        base = "/services/data/v59.0/sobjects"
        parts = [
            {"method": "POST", "url": f"{base}/Lead", "referenceId": "a", "body": LEAD},
            {"method": "POST", "url": f"{base}/Lead", "referenceId": "b", "body": {}},
        ]
        told = self.composite(sf, parts, True)
        assert [part["body"][0]["errorCode"] for part in told] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
        assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
        assert acts(sandbox) == []
        told = self.composite(sf, parts, False)
        assert [part["httpStatusCode"] for part in told] == [201, 400]
        assert acts(sandbox) == ["lead.created"]

    def collection(self, sf: Any, method: str, path: str, records: list[dict[str, Any]], together: bool = False) -> Any:
        said = [{"attributes": {"type": "Lead"}, **record} for record in records]
        return sf.restful(f"composite/sobjects{path}", method=method, data=json.dumps({"allOrNone": together, "records": said}))

    def test_collections(self, sandbox: SandboxServer, sf: Any) -> None:
        made = self.collection(sf, "POST", "", [LEAD, {"LastName": "no company"}])
        assert [one["success"] for one in made] == [True, False]
        assert made[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
        changed = self.collection(sf, "PATCH", "", [{"id": made[0]["id"], "Title": "x"}])
        assert changed[0]["success"] is True
        upserted = self.collection(sf, "PATCH", "/Lead/Tenure_Key__c", [LEAD | {"Tenure_Key__c": "k"}, LEAD | {"Tenure_Key__c": "k"}])
        assert [one["created"] for one in upserted] == [True, False]
        gone = sf.restful("composite/sobjects", method="DELETE", params={"ids": made[0]["id"]})
        assert gone[0]["success"] is True
        assert acts(sandbox) == ["lead.created", "lead.updated", "lead.created", "lead.updated", "lead.deleted"]

    def test_a_collection_of_all_or_none(self, sandbox: SandboxServer, sf: Any) -> None:
        told = self.collection(sf, "POST", "", [LEAD, {}], together=True)
        assert [one["errors"][0]["statusCode"] for one in told] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
        assert acts(sandbox) == []


class TestOrganisation:
    def test_roles_pairs_and_managers(self, sf: Any) -> None:
        rows = sf.query("SELECT Tenure_Role__c, Paired_CE__r.Tenure_Role__c, Manager.Tenure_Role__c, IsActive FROM User")["records"]
        roles = [row["Tenure_Role__c"] for row in rows if row["Tenure_Role__c"]]
        assert {role: roles.count(role) for role in sorted(set(roles))} == {
            "ae": 4,
            "ae_manager": 1,
            "ce": 4,
            "ce_manager": 1,
            "cloud": 1,
            "exec_sponsor": 2,
            "finance": 1,
            "growth": 1,
            "inbound_sdr": 3,
            "named_sdr": 2,
            "sales_leadership": 1,
            "sales_ops": 1,
            "support": 1,
            "ta": 4,
            "ta_manager": 1,
            "ts_leadership": 1,
        }
        pairs = {row["Paired_CE__r"]["Tenure_Role__c"] for row in rows if row["Tenure_Role__c"] == "ae"}
        managers = {row["Tenure_Role__c"]: row["Manager"]["Tenure_Role__c"] for row in rows if row["Tenure_Role__c"] in ("ce", "ta")}
        assert (pairs, managers) == ({"ce"}, {"ce": "ce_manager", "ta": "ta_manager"})

    def test_named_accounts_are_prequalified_and_have_their_people(self, sf: Any) -> None:
        rows = sf.query("SELECT Trial_Prequalified__c, Named_SDR__c, Account_Executive__c FROM Account WHERE Named_Account__c = true")
        assert all(row["Trial_Prequalified__c"] and row["Named_SDR__c"] and row["Account_Executive__c"] for row in rows["records"])

    def test_seeded_people_join_or_change_or_replace(self, service: Service, sf: Any) -> None:
        service.seed(
            {
                "users": [
                    {"Email": "ae-new@tenure.example", "Tenure_Role__c": "ae", "Paired_CE__c": "ce-new@tenure.example"},
                    {"Email": "ce-new@tenure.example", "Tenure_Role__c": "ce"},
                    {"Email": "ce-ada@tenure.example", "Out_Of_Office_Until__c": "2030-01-01"},
                ],
                "accounts": [{"Domain__c": "dune.example", "Named_Account__c": True}],
            }
        )
        rows = sf.query("SELECT Paired_CE__r.Email FROM User WHERE Email = 'ae-new@tenure.example'")["records"]
        assert [row["Paired_CE__r"]["Email"] for row in rows] == ["ce-new@tenure.example"]
        assert sf.query("SELECT COUNT() FROM User WHERE Out_Of_Office_Until__c > 2029-12-31")["totalSize"] == 1
        assert sf.query("SELECT COUNT() FROM Account WHERE Domain__c = 'dune.example' AND Named_Account__c = true")["totalSize"] == 1
        service.seed({"replace": True, "users": [{"Email": "only@tenure.example", "Tenure_Role__c": "ce"}]})
        assert [r["Email"] for r in sf.query("SELECT Email FROM User WHERE Tenure_Role__c != null")["records"]] == ["only@tenure.example"]
        with pytest.raises(ValueError, match="no user nobody"):
            service.seed({"accounts": [{"Name": "x", "OwnerId": "nobody@tenure.example"}]})

    def test_a_closed_task_is_the_last_activity_of_its_account(self, sf: Any) -> None:
        account = sf.query("SELECT Id FROM Account WHERE Domain__c = 'dune.example'")["records"][0]["Id"]
        deal = sf.Opportunity.create({"Name": "d", "AccountId": account, "StageName": "Prospecting", "CloseDate": "2026-12-31"})["id"]
        contact = sf.Contact.create({"LastName": "c", "AccountId": account})["id"]

        def last() -> str | None:
            shown: str | None = sf.Account.get(account)["LastActivityDate"]
            return shown

        planned = sf.Task.create({"WhatId": account, "ActivityDate": "2026-03-01"})["id"]
        assert last() is None
        sf.Task.update(planned, {"Status": "Completed"})
        assert last() == "2026-03-01"
        sf.Task.create({"WhatId": deal, "ActivityDate": "2026-03-05", "Status": "Completed"})
        sf.Task.create({"WhoId": contact, "ActivityDate": "2026-03-09", "Status": "Completed"})
        assert last() == "2026-03-09"
        sf.Task.create({"WhatId": account, "ActivityDate": "2026-03-07", "Status": "Completed"})
        assert last() == "2026-03-09"
        with pytest.raises(SalesforceMalformedRequest) as refused:
            sf.Account.update(account, {"LastActivityDate": "2026-03-10"})
        assert code(refused) == "INVALID_FIELD_FOR_INSERT_UPDATE"

    def test_describe_names_every_custom_field(self, sf: Any) -> None:
        for name, fields in CUSTOM.items():
            told = {field["name"]: field for field in getattr(sf, name).describe()["fields"]}
            assert {field.name for field in fields} <= set(told)
        assert told["Paired_CE__c"]["relationshipName"] == "Paired_CE__r"
        assert {each["name"] for each in sf.describe()["sobjects"]} == {sobject.name for sobject in OBJECTS.values()}

    def test_standard_fields_are_those_of_the_recorded_describes(self) -> None:
        if not CONTRACT.exists():
            pytest.skip(f"{CONTRACT} is not here")
        recorded = json.loads(gzip.decompress(CONTRACT.read_bytes()))["objects"]
        for sobject in OBJECTS.values():
            real = recorded[sobject.name]
            assert real.get("keyPrefix", sobject.prefix) == sobject.prefix
            for field in sobject.fields.values():
                if field.custom:
                    continue
                assert field.name in real["fields"], f"{sobject.name}.{field.name}"
                if real["describe"]:
                    assert real["fields"][field.name]["type"] == field.type, f"{sobject.name}.{field.name}"
