"""Salesforce: the signup's lead, its conversion to an opportunity, their owners and fields; and our copy of people and accounts.

What is kept of customers after the sale stands in :mod:`activities.salesforce.account_effects`.

The custom field ``Tenure_Key__c`` holds the subject on the lead and on the opportunity, so each is found again by asking for it. A lead
is made by upsert on it, and every other act first looks whether the CRM already shows its result.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import requests
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
)
from sqlalchemy import delete, insert, select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import (
    Step,
    asking,
    forbidden,
    from_requests,
    from_status,
    limited,
    no_answer,
    refused,
    run_batch,
    translating,
    unsure,
)
from activities.salesforce import customers
from activities.salesforce.account_effects import CustomerRecords, field_names
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record, SoapFault
from activities.salesforce.customers import CustomerCopy, DomainUnread
from domain import policy as policies
from domain.effects.accounts import KeepRenewal, SetAccount
from domain.effects.models import (
    AssignOwner,
    ConvertLead,
    KeepLead,
    Receipt,
    Receipts,
    SalesforceAct,
    SalesforceBatch,
    SetLeadStatus,
    UpdateOpportunity,
)
from domain.ids import fitted
from domain.people import Role
from domain.policy import default
from domain.policy_sections import Facts, Routing
from domain.upkeep import Absent, AccountSync, CopyAccounts
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.tables import accounts, effects, roster

OPENED = "Opened"
LIMIT_RETRY = timedelta(minutes=30)  # the allowance is counted over the last 24 hours, so a short wait frees little of it
LENGTHS = {"FirstName": 40, "LastName": 80, "Company": 255, "Email": 80, "Name": 120}
RETRIED_CODES = frozenset({"UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT"})
DOWN = "SERVER_UNAVAILABLE"
LEAD_FIELDS = (
    "Id, Email, Website, Status, Sub_Status__c, Disqualified_Reason__c, OwnerId, IsConverted, ConvertedAccountId, ConvertedContactId,"
    " ConvertedOpportunityId"
)


class Salesforce:
    """The Salesforce activities on one org."""

    def __init__(self, crm: Crm, ledger: Ledger, campaign: str, routing: Routing | None = None) -> None:
        self.crm = self._crm = crm
        self._customers = CustomerRecords(crm)
        self._ledger = ledger
        self._campaign_name = campaign
        self._routing = routing or policies.default().routing
        self._campaign_id = ""
        self._converted_status = ""

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Salesforce:
        """The activities on the org that the settings name."""
        policy = policies.load(settings.policy_file) if settings.policy_file else policies.default()
        return cls(Crm.from_settings(settings), ledger, settings.salesforce_campaign, policy.routing)

    def close(self) -> None:
        """Close the connections."""
        self._crm.close()

    # --- Activities ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="salesforce", no_thread_cancel_exception=True)
    def salesforce(self, batch: SalesforceBatch) -> Receipts:
        """Keep, assign, qualify and convert the subject's lead, keep its renewal, set fields; in order, each at most once.

        Safe to repeat: done acts are answered from the ledger, and whether one that was begun has happened is read from the records
        themselves. Receipts: the id of the lead, opportunity or account; of a conversion also ``account`` and ``contact``.
        """
        return run_batch(self._ledger, "salesforce", batch, self._step, error_of)

    @activity.defn(name="salesforce_accounts")
    def sync_accounts(self, ask: CopyAccounts | None = None) -> AccountSync:
        """Copy our people, the accounts with a domain (A27) and the customers (D8), all or nothing; the round robin's memory is kept.

        Safe to repeat: it replaces the copy. Who was active at the last sync and is not now is ``absent``, once.
        """
        with asking(self._ledger, "salesforce"), translating(error_of):
            people = [_person(record) for record in self._crm.records(_PEOPLE)]
            known, unread = self._accounts()
            buyers, wrong = customers.read(self._crm, self._routing)
        as_of = datetime.now(UTC)
        if not people:
            raise refused(SYSTEM, "no user has a Tenure_Role__c; set it for those who work on trials", kind="NoPeople")
        figures = ask.facts if ask else default().facts
        absent, copied = self._replace(people, list(known.values()), buyers, as_of, figures, wrong)
        return AccountSync(
            as_of=as_of,
            people=len(people),
            accounts=len(known),
            customers=copied.customers,
            left=copied.left,
            customer_errors=copied.errors,
            odd=copied.odd,
            absent=absent,
            data_errors=(
                *(
                    f"{row['name']} ({row['domain']}) is a named account but not prequalified; every named account must be"
                    for row in known.values()
                    if row["named"] and not row["prequalified"]
                ),
                *unread,
            ),
        )

    def _accounts(self) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """The accounts by their company's key, and in words those whose domain names none. Of two, the one that is entitled to more counts."""
        known, unread = dict[str, dict[str, Any]](), list[str]()
        for record in self._crm.records(_ACCOUNTS):
            try:
                row = _account(record, customers.key_of(record, self._routing))
            except DomainUnread as error:
                if record["Type"] not in customers.TYPES:  # a customer's is told with the customers
                    unread.append(str(error))
                continue
            other = known.get(row["domain"])
            if other is None or _entitled(row) > _entitled(other):
                known[row["domain"]] = row
        return known, unread

    def _step(self, act: SalesforceAct, effect: EffectId) -> Step:
        subject = effect.subject
        match act:
            case KeepLead():
                return Step(
                    "lead.kept", f"lead of {act.company or act.domain}", lambda: self._keep(act, effect), lambda: self._kept(act, effect)
                )
            case SetLeadStatus():
                status = " / ".join(filter(None, (act.status, act.sub_status)))
                return Step("lead.status_set", f"lead to {status}", lambda: self._set_status(act, subject))
            case AssignOwner():
                return Step("owner.assigned", f"owner is {act.owner_name or act.owner}", lambda: self._assign(act, subject))
            case ConvertLead():
                return Step("lead.converted", f"convert to {act.opportunity!r}", lambda: self._convert(act, effect))
            case UpdateOpportunity():
                return Step("opportunity.updated", f"set {', '.join(act.fields)}", lambda: self._update(act, subject))
            case SetAccount() | KeepRenewal():
                return self._customers.step(act, subject)

    # --- Leads --------------------------------------------------------------------------------------------------------------

    def _keep(self, act: KeepLead, effect: EffectId) -> Receipt:
        if len(act.email) > LENGTHS["Email"]:  # cut, it would be another's; nobody could be told whose lead this is without it
            why = f"the prospect's address has {len(act.email)} characters, and a lead's Email holds {LENGTHS['Email']}"
            raise refused(SYSTEM, f"{why}; ask them for a shorter one", kind="AddressTooLong")
        fields = {
            "Email": act.email,
            "FirstName": act.first_name,
            "LastName": act.last_name or act.email.partition("@")[0],  # the CRM demands one
            "Company": act.company or act.domain,
            "Website": "" if "@" in act.domain else act.domain,  # what stands for a person at a free-mail provider is no site
            "LeadSource": act.source,
            "Status": act.status,
        }
        lead = self._crm.upsert(
            "Lead", KEY, effect.subject, {name: value[: LENGTHS.get(name, 255)] for name, value in fields.items() if value}
        )
        return self._in_campaign(lead, effect)

    def _kept(self, act: KeepLead, effect: EffectId) -> Receipt | None:
        """The lead of an earlier attempt, which may not have come to the campaign any more."""
        query = f"SELECT Id FROM Lead WHERE {KEY} = {{subject}} AND Email = {{email}}"  # noqa: S608
        lead = self._crm.first(query, subject=effect.subject, email=act.email)
        return self._in_campaign(str(lead["Id"]), effect) if lead is not None else None

    def _in_campaign(self, lead: str, effect: EffectId) -> Receipt:
        """Put the lead in the campaign, in which it can be only once."""
        self._ledger.part(effect, Receipt(ref=lead))
        if not (campaign := self._campaign()):
            activity.logger.warning("there is no campaign %r in Salesforce; the lead is in none", self._campaign_name)
            return Receipt(ref=lead, data={"no_campaign": self._campaign_name})
        try:
            self._crm.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "Status": "Responded"})
        except SalesforceError as error:
            if "DUPLICATE_VALUE" not in codes_of(error):
                raise
        return Receipt(ref=lead, data={"campaign": campaign})

    def _set_status(self, act: SetLeadStatus, subject: str) -> Receipt:
        lead = self._lead(subject)
        if lead["IsConverted"]:
            return Receipt(ref=lead["Id"], data={"held": "the lead is converted, and a converted lead cannot be changed"})
        wanted = {"Status": act.status, "Sub_Status__c": act.sub_status or None, "Disqualified_Reason__c": act.reason[:255] or None}
        self._crm.settle("Lead", lead, wanted)
        return Receipt(ref=lead["Id"])

    def _convert(self, act: ConvertLead, effect: EffectId) -> Receipt:
        """Convert, then mark the opportunity as the subject's; what an earlier attempt did of it is not done again."""
        subject = effect.subject
        lead = self._lead(subject)
        if not lead["IsConverted"]:
            account = act.account or self._account_of(lead)
            name = fitted(act.opportunity, LENGTHS["Name"])
            made = self._crm.convert_lead(lead["Id"], status=self._status_of_converted(), account=account, opportunity=name)
            ids = {"account": made.account, "contact": made.contact, "opportunity": made.opportunity}
        else:
            ids = {name: lead[f"Converted{name.capitalize()}Id"] or "" for name in ("account", "contact", "opportunity")}
        if not ids["opportunity"]:
            raise refused(SYSTEM, "the lead was converted by hand, without an opportunity; add one with this Tenure_Key__c: " + subject)
        done = Receipt(ref=ids["opportunity"], data={"account": ids["account"], "contact": ids["contact"]})
        self._ledger.part(effect, done)
        opportunity = self._crm.first(f"SELECT Id, {KEY} FROM Opportunity WHERE Id = {{id}}", id=ids["opportunity"])  # noqa: S608
        if opportunity is None or opportunity[KEY] != subject:
            fields: dict[str, Any] = {KEY: subject, "StageName": STAGE_1, "Trial_Stage__c": OPENED}
            if ce := self._ce_before(subject):
                fields["Customer_Engineer__c"] = ce
            self._crm.update("Opportunity", ids["opportunity"], fields)
        self._name_domain(ids["account"], lead)
        return done

    # --- Owners and opportunities ---------------------------------------------------------------------------------------------

    def _assign(self, act: AssignOwner, subject: str) -> Receipt:
        """The lead's owner until it is converted, the opportunity's afterwards. A lead has no field for the CE: conversion sets it."""
        data = {"owner": act.owner, **({"ce": act.ce} if act.ce else {})}
        if (opportunity := self._opportunity(subject, "OwnerId", "Customer_Engineer__c")) is not None:
            self._crm.settle("Opportunity", opportunity, {"OwnerId": act.owner, **({"Customer_Engineer__c": act.ce} if act.ce else {})})
            return Receipt(ref=opportunity["Id"], data=data)
        lead = self._lead(subject)
        self._crm.settle("Lead", lead, {"OwnerId": act.owner})
        return Receipt(ref=lead["Id"], data=data)

    def _update(self, act: UpdateOpportunity, subject: str) -> Receipt:
        opportunity = self._opportunity(subject, *field_names(act.fields))
        if opportunity is None:
            raise refused(SYSTEM, f"no opportunity has the {KEY} {subject}; convert its lead first, or keep its renewal", kind="NotFound")
        self._crm.settle("Opportunity", opportunity, act.fields)
        return Receipt(ref=opportunity["Id"])

    # --- Looking ------------------------------------------------------------------------------------------------------------

    def _lead(self, subject: str) -> Record:
        lead = self._crm.first(f"SELECT {LEAD_FIELDS} FROM Lead WHERE {KEY} = {{subject}}", subject=subject)  # noqa: S608
        if lead is None:
            raise refused(SYSTEM, f"no lead has the {KEY} {subject}; it was deleted or merged, so make it again", kind="NotFound")
        return lead

    def _opportunity(self, subject: str, *fields: str) -> Record | None:
        names = ", ".join(dict.fromkeys(("Id", *fields)))
        return self._crm.first(f"SELECT {names} FROM Opportunity WHERE {KEY} = {{subject}}", subject=subject)  # noqa: S608

    def _account_of(self, lead: Record) -> str:
        """The account whose domain is the lead's; empty when there is none, so that the conversion makes one."""
        found = self._crm.first("SELECT Id FROM Account WHERE Domain__c = {domain}", domain=lead["Website"]) if lead["Website"] else None
        return str(found["Id"]) if found is not None else ""

    def _name_domain(self, account: str, lead: Record) -> None:
        """Give an account that the conversion made its domain, so that the company's next signup finds it."""
        if lead["Website"] and not self._account_of(lead):
            made = self._crm.first("SELECT Id, Domain__c FROM Account WHERE Id = {id}", id=account)
            if made is not None and not made["Domain__c"]:
                self._crm.update("Account", account, {"Domain__c": lead["Website"]})

    def _campaign(self) -> str:
        if not self._campaign_id:
            found = self._crm.first("SELECT Id FROM Campaign WHERE Name = {name}", name=self._campaign_name)
            self._campaign_id = str(found["Id"]) if found is not None else ""
        return self._campaign_id

    def _status_of_converted(self) -> str:
        """The status that a lead takes when converted: each org names its own."""
        if not self._converted_status:
            found = list(self._crm.records("SELECT ApiName FROM LeadStatus WHERE IsConverted = true ORDER BY SortOrder"))
            if not found:
                raise refused(SYSTEM, "no lead status counts as converted; set one up in the CRM")
            names = [str(record["ApiName"]) for record in found]
            self._converted_status = next((name for name in names if "converted" in name.lower()), names[0])
        return self._converted_status

    def _ce_before(self, subject: str) -> str:
        """The CE whom the subject got while it was a lead, by the ledger; empty when none."""
        assigned = (
            select(effects.c.receipt)
            .where(effects.c.subject == subject, effects.c.act == "owner.assigned", effects.c.done_at.is_not(None))
            .order_by(effects.c.number.desc())
        )
        with self._ledger.reading() as db:
            receipts = [Receipt.model_validate(row.receipt) for row in db.execute(assigned)]
        return next((receipt.data["ce"] for receipt in receipts if "ce" in receipt.data), "")

    # --- The copy -----------------------------------------------------------------------------------------------------------

    def _replace(
        self,
        people: list[dict[str, Any]],
        known: list[dict[str, Any]],
        buyers: list[dict[str, Any]],
        as_of: datetime,
        figures: Facts,
        wrong: list[str],
    ) -> tuple[tuple[Absent, ...], CustomerCopy]:
        with self._ledger.writing() as db:
            before = {row.id: row for row in db.execute(select(roster))}
            now = {person["id"]: person for person in people}
            absent = []
            for id_, row in before.items():
                why = _why_absent(now.get(id_), as_of.date())
                if why and not _why_absent(row._asdict(), as_of.date()):
                    absent.append(Absent(id=id_, email=row.email, why=why))
            db.execute(delete(roster))
            remembered = [{**person, "last_assigned_at": getattr(before.get(person["id"]), "last_assigned_at", None)} for person in people]
            db.execute(insert(roster), remembered)
            db.execute(delete(accounts))
            if known:
                db.execute(insert(accounts), [{**row, "as_of": as_of} for row in known])
            copied = customers.replace(db, buyers, as_of, figures, wrong)
        return tuple(absent), copied


_PEOPLE = """\
SELECT Id, Name, Email, Tenure_Role__c, IsActive, Out_Of_Office_Until__c, Paired_CE__c, ManagerId
FROM User WHERE Tenure_Role__c IN {roles}""".replace("{roles}", "(" + ", ".join(f"'{role.value}'" for role in Role) + ")")

_ACCOUNTS = """\
SELECT Id, Name, Type, Domain__c, Named_Account__c, Trial_Prequalified__c, Named_SDR__c, Account_Executive__c, Customer_Engineer__c
FROM Account WHERE Domain__c != null"""


def _person(record: Record) -> dict[str, Any]:
    away = record["Out_Of_Office_Until__c"]
    return {
        "id": record["Id"],
        "name": record["Name"],
        "email": record["Email"],
        "role": record["Tenure_Role__c"],
        "active": record["IsActive"],
        "out_of_office_until": _day(away),
        "paired_ce": record["Paired_CE__c"],
        "manager": record["ManagerId"],
    }


def _entitled(row: dict[str, Any]) -> tuple[bool, bool, str]:
    return row["named"], row["prequalified"], row["id"]


def _day(text: Any) -> date | None:
    """A day; None for what is none. That one far ahead is meant, nobody doubts: somebody is away for good."""
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        return None


def _account(record: Record, domain: str) -> dict[str, Any]:
    return {
        "domain": domain,
        "id": record["Id"],
        "name": record["Name"],
        "named": record["Named_Account__c"],
        "prequalified": record["Trial_Prequalified__c"],
        "named_sdr": record["Named_SDR__c"],
        "ae": record["Account_Executive__c"],
        "ce": record["Customer_Engineer__c"],
    }


def _why_absent(person: dict[str, Any] | None, today: date) -> str:
    """Why that person cannot be given work on that day; empty when they can."""
    if person is None or not person["active"]:
        return "left"
    away = person["out_of_office_until"]
    return f"out of office until {away}" if away is not None and away > today else ""


def codes_of(error: SalesforceError) -> tuple[str, ...]:
    """Salesforce's own codes in an answer, as ``DUPLICATE_VALUE``."""
    content: Any = error.content
    return tuple(str(fault.get("errorCode", "")) for fault in content if isinstance(fault, dict)) if isinstance(content, list) else ()


def error_of(error: Exception) -> ApplicationError | None:
    """A Salesforce client's exception in Temporal's terms."""
    match error:
        case SalesforceAuthenticationFailed():
            code = str(error.code)
            if "REQUEST_LIMIT_EXCEEDED" in code or "LOGIN_RATE_EXCEEDED" in code:
                return _used_up()
            return no_answer(SYSTEM, str(error)) if DOWN in code else forbidden(SYSTEM, str(error))
        case SalesforceExpiredSession():
            return forbidden(SYSTEM, "the session has expired")
        case SalesforceRefusedRequest() if "REQUEST_LIMIT_EXCEEDED" in codes_of(error):
            return _used_up()
        case SalesforceMoreThanOneRecord():
            return refused(SYSTEM, f"more than one record has the same {KEY}; delete all but one", kind="Ambiguous")
        case SalesforceError():
            if (codes := set(codes_of(error))) & {DOWN, *RETRIED_CODES}:
                return (no_answer if DOWN in codes else unsure)(SYSTEM, _said(error))
            return from_status(SYSTEM, error.status, _said(error))
        case SoapFault(code="REQUEST_LIMIT_EXCEEDED"):
            return _used_up()
        case SoapFault(code="SERVER_UNAVAILABLE"):
            return no_answer(SYSTEM, str(error))
        case SoapFault():
            return unsure(SYSTEM, str(error)) if error.code in RETRIED_CODES else refused(SYSTEM, str(error))
        case requests.HTTPError():
            return from_status(SYSTEM, error.response.status_code, "convertLead", error.response.headers)
        case requests.RequestException():
            return from_requests(SYSTEM, error)
    return None


def _used_up() -> ApplicationError:
    return limited(SYSTEM, "the org has used up its API calls of the last 24 hours; raise the limit or stop its other users", LIMIT_RETRY)


def _said(error: SalesforceError) -> str:
    """Salesforce's codes and words; of an answer that is none of its own, the beginning."""
    content: Any = error.content
    if isinstance(content, list):
        return "; ".join(f"{fault.get('errorCode')}: {fault.get('message')}" for fault in content if isinstance(fault, dict))[:500]
    return str(content)[:200]
