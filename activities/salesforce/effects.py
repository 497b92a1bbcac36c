"""Salesforce: the signup's lead, its conversion to an opportunity, their owners and fields; and our copy of people and accounts.

What is kept of customers after the sale stands in :mod:`activities.salesforce.account_effects`, the copy in :mod:`activities.salesforce.sync`.

The custom field ``Tenure_Key__c`` holds the subject on the lead and on the opportunity, so each is found again by asking for it. A lead
is made by upsert on it, and every other act first looks whether the CRM already shows its result.
"""

from collections.abc import Iterator
from functools import cached_property

from simple_salesforce.exceptions import SalesforceError
from sqlalchemy import select
from temporalio import activity

from activities.asking import Ask, Scope
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.salesforce import sync
from activities.salesforce.account_effects import CustomerRecords
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record
from activities.salesforce.errors import codes_of, error_of
from domain import policy as policies
from domain.effects.effect import Receipt
from domain.effects.reconcile import Claim, Thing
from domain.effects.salesforce import AssignOwner, ConvertLead, KeepLead, SetLeadStatus, UpdateOpportunity
from domain.ids import fitted
from domain.upkeep import AccountSync, CopyAccounts
from store.effect_kinds import claim, of, ref_of, subject_of
from store.ledger import EffectId, EffectRow, Ledger
from store.settings import Settings
from store.tables import effects

OPENED = "Opened"
LENGTHS = {"FirstName": 40, "LastName": 80, "Company": 255, "Email": 80, "Name": 120}
BECAME = ("account", "contact", "opportunity")
"""What a converted lead became: ``ConvertedAccountId`` and so on."""

LEAD_FIELDS = ("Email", "Website", "Status", "Sub_Status__c", "Disqualified_Reason__c", "OwnerId", "IsConverted")
#: Ids in one query; a query may have 100,000 characters, and an address of it far fewer.
IDS_AT_ONCE = 200
#: The kinds of thing that are shown: the CRM's name, and its fields.
_SHOWN = {"lead": ("Lead", f"Id, {KEY}"), "opportunity": ("Opportunity", f"Id, {KEY}"), "account": ("Account", "Id")}
_PREFIXES = {"00Q": "lead", "006": "opportunity"}


def _owned(row: EffectRow) -> tuple[Claim, ...]:
    """The lead, or the opportunity once it was converted: Salesforce's ids say which."""
    kind = _PREFIXES.get(ref_of(row)[:3])
    return (claim(row, kind, ref_of(row)),) if kind else ()


class Salesforce(CustomerRecords, OutsideSystem, name="salesforce", title="Salesforce"):
    """One org. Receipts: the id of the lead, opportunity or account; of a conversion also ``account`` and ``contact``."""

    _client: Crm
    error = staticmethod(error_of)

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._client = Crm.from_settings(settings)
        self._routing = (policies.load(settings.policy_file) if settings.policy_file else policies.default()).routing
        self._campaign_id = ""

    @activity.defn(name="salesforce_accounts")
    def sync_accounts(self, ask: CopyAccounts | None = None) -> AccountSync:
        """Copy our people, the accounts with a domain (A27) and the customers (D8). Safe to repeat: it replaces the copy."""
        with self.looking():
            found = sync.read(self._client, self._routing)
        return sync.replace(self._ledger, found, ask.facts if ask else policies.default().facts)

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing]:
        """Everything with our external id, when the scope is whole; then what is on record and was not among it, by its ids."""
        for kind, (table, fields) in _SHOWN.items():
            found = list[Record]()
            if scope.whole and KEY in fields:
                found += self._client.records(f"SELECT {fields} FROM {table} WHERE {KEY} != null", ask=ask)  # noqa: S608
            left = sorted(scope.refs(kind) - {str(record["Id"]) for record in found})
            for first in range(0, len(left), IDS_AT_ONCE):
                some = left[first : first + IDS_AT_ONCE]
                found += self._client.records(f"SELECT {fields} FROM {table} WHERE Id IN {{ids}}", ask=ask, ids=some)  # noqa: S608
            for record in found:
                yield Thing(kind=kind, ref=str(record["Id"]), mark=str(record.get(KEY) or ""), where=f"{kind} {record['Id']}")

    def _kept(self, effect: KeepLead, effect_id: EffectId) -> Receipt | None:
        """The lead of an earlier attempt, which may not have come to the campaign any more."""
        lead = self._client.find("Lead", **{KEY: effect_id.subject}, Email=effect.email)
        return self._in_campaign(str(lead["Id"]), effect_id) if lead is not None else None

    @carries_out(KeepLead, act="lead.kept", probe=_kept, makes="lead", mark=subject_of)
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
        given = {name: value[: LENGTHS.get(name, 255)] for name, value in fields.items() if value}
        return self._in_campaign(self._client.upsert("Lead", KEY, effect_id.subject, given), effect_id)

    def _in_campaign(self, lead: str, effect_id: EffectId) -> Receipt:
        """Put the lead in the campaign, in which it can be only once."""
        self._ledger.part(effect_id, Receipt(ref=lead))
        name = self._settings.salesforce_campaign
        if not self._campaign_id and (found := self._client.find("Campaign", Name=name)) is not None:
            self._campaign_id = str(found["Id"])
        if not self._campaign_id:
            activity.logger.warning("there is no campaign %r in Salesforce; the lead is in none", name)
            return Receipt(ref=lead, data={"no_campaign": name})
        try:
            self._client.create("CampaignMember", {"CampaignId": self._campaign_id, "LeadId": lead, "Status": "Responded"})
        except SalesforceError as error:
            if "DUPLICATE_VALUE" not in codes_of(error):
                raise
        return Receipt(ref=lead, data={"campaign": self._campaign_id})

    @carries_out(SetLeadStatus, act="lead.status_set", claims=of("lead"))
    def _set_status(self, effect: SetLeadStatus, effect_id: EffectId) -> Receipt:
        lead = self._lead(effect_id.subject)
        if lead["IsConverted"]:
            return Receipt(ref=lead["Id"], data={"held": "the lead is converted, and a converted lead cannot be changed"})
        wanted = {
            "Status": effect.status,
            "Sub_Status__c": effect.sub_status or None,
            "Disqualified_Reason__c": effect.reason[:255] or None,
        }
        self._client.settle("Lead", lead, wanted)
        return Receipt(ref=lead["Id"])

    @carries_out(ConvertLead, act="lead.converted", makes="opportunity", mark=subject_of)
    def _convert(self, effect: ConvertLead, effect_id: EffectId) -> Receipt:
        """Convert, then mark the opportunity as the subject's; what an earlier attempt did of it is not done again."""
        subject = effect_id.subject
        lead = self._lead(subject)
        if not lead["IsConverted"]:
            account = effect.account or self._account_of(lead)
            name = fitted(effect.opportunity, LENGTHS["Name"])
            made = self._client.convert_lead(lead["Id"], status=self._converted_status, account=account, opportunity=name)
            ids = made._asdict()
        else:
            ids = {name: lead[f"Converted{name.capitalize()}Id"] or "" for name in BECAME}
        if not ids["opportunity"]:
            raise refused(SYSTEM, "the lead was converted by hand, without an opportunity; add one with this Tenure_Key__c: " + subject)
        done = Receipt(ref=ids["opportunity"], data={"account": ids["account"], "contact": ids["contact"]})
        self._ledger.part(effect_id, done)
        opportunity = self._client.find("Opportunity", KEY, Id=ids["opportunity"])
        if opportunity is None or opportunity[KEY] != subject:
            ce = {"Customer_Engineer__c": ce} if (ce := self._ce_before(subject)) else {}
            self._client.update("Opportunity", ids["opportunity"], {KEY: subject, "StageName": STAGE_1, "Trial_Stage__c": OPENED, **ce})
        self._name_domain(ids["account"], lead)
        return done

    @carries_out(AssignOwner, act="owner.assigned", claims=_owned)
    def _assign(self, effect: AssignOwner, effect_id: EffectId) -> Receipt:
        """The lead's owner until it is converted, the opportunity's afterwards. A lead has no field for the CE: conversion sets it."""
        ce = {"ce": effect.ce} if effect.ce else {}
        opportunity = self._client.find("Opportunity", "OwnerId", "Customer_Engineer__c", **{KEY: effect_id.subject})
        kind, record = ("Opportunity", opportunity) if opportunity is not None else ("Lead", self._lead(effect_id.subject))
        of_ce = {"Customer_Engineer__c": effect.ce} if effect.ce and opportunity is not None else {}
        self._client.settle(kind, record, {"OwnerId": effect.owner, **of_ce})
        return Receipt(ref=record["Id"], data={"owner": effect.owner, **ce})

    @carries_out(UpdateOpportunity, act="opportunity.updated", claims=of("opportunity"))
    def _update(self, effect: UpdateOpportunity, effect_id: EffectId) -> Receipt:
        missing = f"no opportunity has the {KEY} {effect_id.subject}; convert its lead first, or keep its renewal"
        return self._set("Opportunity", effect.fields, missing, **{KEY: effect_id.subject})

    def _lead(self, subject: str) -> Record:
        lead = self._client.find("Lead", *LEAD_FIELDS, *(f"Converted{name.capitalize()}Id" for name in BECAME), **{KEY: subject})
        if lead is None:
            raise refused(SYSTEM, f"no lead has the {KEY} {subject}; it was deleted or merged, so make it again", kind="NotFound")
        return lead

    def _account_of(self, lead: Record) -> str:
        """The account whose domain is the lead's; empty when there is none, so that the conversion makes one."""
        found = self._client.find("Account", Domain__c=lead["Website"]) if lead["Website"] else None
        return str(found["Id"]) if found is not None else ""

    def _name_domain(self, account: str, lead: Record) -> None:
        """Give an account that the conversion made its domain, so that the company's next signup finds it."""
        if lead["Website"] and not self._account_of(lead):
            made = self._client.find("Account", "Domain__c", Id=account)
            if made is not None and not made["Domain__c"]:
                self._client.update("Account", account, {"Domain__c": lead["Website"]})

    @cached_property
    def _converted_status(self) -> str:
        """The status that a lead takes when converted: each org names its own."""
        found = self._client.records("SELECT ApiName FROM LeadStatus WHERE IsConverted = true ORDER BY SortOrder")
        if not (names := [str(record["ApiName"]) for record in found]):
            raise refused(SYSTEM, "no lead status counts as converted; set one up in the CRM")
        return next((name for name in names if "converted" in name.lower()), names[0])

    def _ce_before(self, subject: str) -> str:
        """The CE whom the subject got while it was a lead, by the ledger; empty when none."""
        ce, done = effects.c.receipt["data"]["ce"].as_string(), effects.c.done_at.is_not(None)
        assigned = select(ce).where(effects.c.subject == subject, effects.c.act == "owner.assigned", done, ce.is_not(None))
        with self._ledger.reading() as db:
            return db.execute(assigned.order_by(effects.c.number.desc()).limit(1)).scalar() or ""
