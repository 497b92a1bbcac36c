"""Salesforce: the signup's lead, its conversion to an opportunity, their owners and fields; and our copy of people and accounts.

What is kept of customers after the sale stands in :mod:`activities.salesforce.account_effects`.

The custom field ``Tenure_Key__c`` holds the subject on the lead and on the opportunity, so each is found again by asking for it. A lead
is made by upsert on it, and every other act first looks whether the CRM already shows its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from simple_salesforce.exceptions import (
    SalesforceError,
)
from sqlalchemy import delete, insert, select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import (
    asking,
    refused,
    translating,
)
from activities.remote_listing import Ask, Scope
from activities.salesforce import customers
from activities.salesforce.account_effects import CRM_TOLD, CustomerRecords, field_names
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record
from activities.salesforce.customers import CustomerCopy, DomainUnread
from activities.salesforce.errors import codes_of, error_of
from activities.salesforce.remote import remote
from domain import policy as policies
from domain.effects.effect import Receipt
from domain.effects.reconcile import Claim, Thing, Unseen
from domain.effects.salesforce import (
    AssignOwner,
    ConvertLead,
    KeepLead,
    SetLeadStatus,
    UpdateOpportunity,
)
from domain.ids import fitted
from domain.people import Role
from domain.policy import default
from domain.policy.shared import Facts
from domain.policy.trial import Routing
from domain.upkeep import Absent, AccountSync, CopyAccounts
from store.effect_kinds import claim, marked, of, subject_of
from store.ledger import EffectId, EffectRow, Ledger
from store.settings import Settings
from store.tables import accounts, effects, roster

OPENED = "Opened"
LENGTHS = {"FirstName": 40, "LastName": 80, "Company": 255, "Email": 80, "Name": 120}
LEAD_FIELDS = (
    "Id, Email, Website, Status, Sub_Status__c, Disqualified_Reason__c, OwnerId, IsConverted, ConvertedAccountId, ConvertedContactId,"
    " ConvertedOpportunityId"
)


_PREFIXES = {"00Q": "lead", "006": "opportunity"}


def _owned(row: EffectRow) -> tuple[Claim, ...]:
    """The lead, or the opportunity once it was converted: Salesforce's ids say which."""
    ref = row.receipt.ref if row.receipt is not None else ""
    kind = _PREFIXES.get(ref[:3])
    return (claim(row, kind, ref),) if kind else ()


class Salesforce(CustomerRecords, OutsideSystem, name="salesforce", title="Salesforce"):
    """One org. Receipts: the id of the lead, opportunity or account; of a conversion also ``account`` and ``contact``."""

    def __init__(self, crm: Crm, ledger: Ledger, campaign: str, routing: Routing | None = None) -> None:
        self.crm = self._crm = crm
        self._ledger = ledger
        self._campaign_name = campaign
        self._routing = routing or policies.default().routing
        self._campaign_id = ""
        self._converted_status = ""

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Salesforce:
        """The org that the settings name."""
        policy = policies.load(settings.policy_file) if settings.policy_file else policies.default()
        return cls(Crm.from_settings(settings), ledger, settings.salesforce_campaign, policy.routing)

    def error(self, error: Exception) -> ApplicationError | None:
        """A Salesforce client's exception in Temporal's terms."""
        return error_of(error)

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing | Unseen]:
        """What carries our key, and what is on record."""
        return remote(self.crm, ask, scope)

    def close(self) -> None:
        """Close the connections."""
        self._crm.close()

    # --- Activities ---------------------------------------------------------------------------------------------------------

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

    # --- Leads --------------------------------------------------------------------------------------------------------------

    def _kept(self, effect: KeepLead, effect_id: EffectId) -> Receipt | None:
        """The lead of an earlier attempt, which may not have come to the campaign any more."""
        query = f"SELECT Id FROM Lead WHERE {KEY} = {{subject}} AND Email = {{email}}"  # noqa: S608
        lead = self._crm.first(query, subject=effect_id.subject, email=effect.email)
        return self._in_campaign(str(lead["Id"]), effect_id) if lead is not None else None

    @carries_out(
        KeepLead,
        act="lead.kept",
        probe=_kept,
        asks="Asks for the lead by our external id and the address. A campaign member is refused when it is one already.",
        means="Upsert by the external id `Tenure_Key__c`, the subject.",
        window="Somebody deletes or merges the lead before the next try: it is made again.",
        told="The lead is there with its `Tenure_Key__c`.",
        claims=of("lead", subject_of),
        marks=marked("lead", subject_of),
        kinds=("lead",),
    )
    def _keep(self, effect: KeepLead, effect_id: EffectId) -> Receipt:
        if len(effect.email) > LENGTHS["Email"]:  # cut, it would be another's; nobody could be told whose lead this is without it
            why = f"the prospect's address has {len(effect.email)} characters, and a lead's Email holds {LENGTHS['Email']}"
            raise refused(SYSTEM, f"{why}; ask them for a shorter one", kind="AddressTooLong")
        fields = {
            "Email": effect.email,
            "FirstName": effect.first_name,
            "LastName": effect.last_name or effect.email.partition("@")[0],  # the CRM demands one
            "Company": effect.company or effect.domain,
            "Website": "" if "@" in effect.domain else effect.domain,  # what stands for a person at a free-mail provider is no site
            "LeadSource": effect.source,
            "Status": effect.status,
        }
        lead = self._crm.upsert(
            "Lead", KEY, effect_id.subject, {name: value[: LENGTHS.get(name, 255)] for name, value in fields.items() if value}
        )
        return self._in_campaign(lead, effect_id)

    def _in_campaign(self, lead: str, effect_id: EffectId) -> Receipt:
        """Put the lead in the campaign, in which it can be only once."""
        self._ledger.part(effect_id, Receipt(ref=lead))
        if not (campaign := self._campaign()):
            activity.logger.warning("there is no campaign %r in Salesforce; the lead is in none", self._campaign_name)
            return Receipt(ref=lead, data={"no_campaign": self._campaign_name})
        try:
            self._crm.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "Status": "Responded"})
        except SalesforceError as error:
            if "DUPLICATE_VALUE" not in codes_of(error):
                raise
        return Receipt(ref=lead, data={"campaign": campaign})

    @carries_out(
        SetLeadStatus,
        act="lead.status_set",
        asks="Reads the lead; writes only the fields that do not show their value.",
        means="The values themselves.",
        window="Somebody changes the status before the next try: ours is written over it.",
        told=CRM_TOLD,
        claims=of("lead"),
    )
    def _set_status(self, effect: SetLeadStatus, effect_id: EffectId) -> Receipt:
        lead = self._lead(effect_id.subject)
        if lead["IsConverted"]:
            return Receipt(ref=lead["Id"], data={"held": "the lead is converted, and a converted lead cannot be changed"})
        wanted = {
            "Status": effect.status,
            "Sub_Status__c": effect.sub_status or None,
            "Disqualified_Reason__c": effect.reason[:255] or None,
        }
        self._crm.settle("Lead", lead, wanted)
        return Receipt(ref=lead["Id"])

    @carries_out(
        ConvertLead,
        act="lead.converted",
        asks="Reads the lead's `IsConverted` and what it became; a lead is converted once.",
        means="The lead's own state; `Tenure_Key__c` on the opportunity.",
        window="None.",
        told="The opportunity is there with its `Tenure_Key__c`.",
        claims=of("opportunity", subject_of),
        marks=marked("opportunity", subject_of),
        kinds=("opportunity",),
    )
    def _convert(self, effect: ConvertLead, effect_id: EffectId) -> Receipt:
        """Convert, then mark the opportunity as the subject's; what an earlier attempt did of it is not done again."""
        subject = effect_id.subject
        lead = self._lead(subject)
        if not lead["IsConverted"]:
            account = effect.account or self._account_of(lead)
            name = fitted(effect.opportunity, LENGTHS["Name"])
            made = self._crm.convert_lead(lead["Id"], status=self._status_of_converted(), account=account, opportunity=name)
            ids = {"account": made.account, "contact": made.contact, "opportunity": made.opportunity}
        else:
            ids = {name: lead[f"Converted{name.capitalize()}Id"] or "" for name in ("account", "contact", "opportunity")}
        if not ids["opportunity"]:
            raise refused(SYSTEM, "the lead was converted by hand, without an opportunity; add one with this Tenure_Key__c: " + subject)
        done = Receipt(ref=ids["opportunity"], data={"account": ids["account"], "contact": ids["contact"]})
        self._ledger.part(effect_id, done)
        opportunity = self._crm.first(f"SELECT Id, {KEY} FROM Opportunity WHERE Id = {{id}}", id=ids["opportunity"])  # noqa: S608
        if opportunity is None or opportunity[KEY] != subject:
            fields: dict[str, Any] = {KEY: subject, "StageName": STAGE_1, "Trial_Stage__c": OPENED}
            if ce := self._ce_before(subject):
                fields["Customer_Engineer__c"] = ce
            self._crm.update("Opportunity", ids["opportunity"], fields)
        self._name_domain(ids["account"], lead)
        return done

    # --- Owners and opportunities ---------------------------------------------------------------------------------------------

    @carries_out(
        AssignOwner,
        act="owner.assigned",
        asks="Reads lead or opportunity; writes only what does not show its value.",
        means="The values themselves.",
        window="Somebody gives it to another owner before the next try: ours is written over it.",
        told=CRM_TOLD,
        claims=_owned,
    )
    def _assign(self, effect: AssignOwner, effect_id: EffectId) -> Receipt:
        """The lead's owner until it is converted, the opportunity's afterwards. A lead has no field for the CE: conversion sets it."""
        data = {"owner": effect.owner, **({"ce": effect.ce} if effect.ce else {})}
        if (opportunity := self._opportunity(effect_id.subject, "OwnerId", "Customer_Engineer__c")) is not None:
            self._crm.settle(
                "Opportunity", opportunity, {"OwnerId": effect.owner, **({"Customer_Engineer__c": effect.ce} if effect.ce else {})}
            )
            return Receipt(ref=opportunity["Id"], data=data)
        lead = self._lead(effect_id.subject)
        self._crm.settle("Lead", lead, {"OwnerId": effect.owner})
        return Receipt(ref=lead["Id"], data=data)

    @carries_out(
        UpdateOpportunity,
        act="opportunity.updated",
        asks="Reads the opportunity by `Tenure_Key__c`; writes only what does not show its value.",
        means="The values themselves.",
        window="Somebody changes a field before the next try: ours is written over it.",
        told=CRM_TOLD,
        claims=of("opportunity"),
    )
    def _update(self, effect: UpdateOpportunity, effect_id: EffectId) -> Receipt:
        opportunity = self._opportunity(effect_id.subject, *field_names(effect.fields))
        if opportunity is None:
            raise refused(
                SYSTEM, f"no opportunity has the {KEY} {effect_id.subject}; convert its lead first, or keep its renewal", kind="NotFound"
            )
        self._crm.settle("Opportunity", opportunity, effect.fields)
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
