"""What the Salesforce stand-in holds, and the rules by which it changes: required fields, types, references, uniqueness, conversion.

A record is a dictionary with the API's field names and the API's own forms of values (ids of 18 characters, ``2026-01-31``,
``2026-01-31T12:00:00.000+0000``). Changes are told to ``record_effect`` once each, and only when they stay: inside
:meth:`Org.all_or_none` they are held back until it is known that nothing failed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sandbox.core import Numbers
from sandbox.org import ACCOUNTS, CAMPAIGN, PEOPLE
from sandbox.salesforce_schema import LEAD_STATUSES, OBJECTS, Field, SObject
from sandbox.salesforce_values import Ambiguous, Record, Refusal, canonical, checked_value, make_id, stamp

RecordEffect = Callable[[str, str, dict[str, Any]], None]

INTEGRATION_USER = "tenure-integration"


@dataclass
class OrgState:
    """What is kept of an organisation: its records by object (lower case) and id."""

    records: dict[str, dict[str, Record]]
    acting_user: str
    following: int


class Org:
    """All records. Thread-safe."""

    def __init__(self, record_effect: RecordEffect) -> None:
        self.lock = threading.RLock()
        self._record_effect = record_effect
        self._held: list[tuple[str, str, dict[str, Any]]] | None = None
        self.clear()

    # --- contents

    def clear(self, empty: bool = False) -> None:
        """Begin again with the default organisation, or with nothing but the user that the API acts as."""
        with self.lock:
            self._numbers = Numbers()
            self.records: dict[str, dict[str, Record]] = {name: {} for name in OBJECTS}
            self.acting_user = ""
            self.acting_user = self._put(
                "User", LastName="Integration", Username=f"{INTEGRATION_USER}@tenure.example", Email=f"{INTEGRATION_USER}@tenure.example"
            )["Id"]
            for order, (status, converted) in enumerate(LEAD_STATUSES.items(), 1):
                self._put(
                    "LeadStatus", MasterLabel=status, ApiName=status, IsConverted=converted, IsDefault=status == "New", SortOrder=order
                )
            if not empty:
                self._fill()

    def dump(self) -> OrgState:
        """What is to be kept."""
        return OrgState(self.records, self.acting_user, self._numbers.following)

    def load(self, state: OrgState) -> None:
        """Go on from what was kept; fields that an object has got since are empty."""
        with self.lock:
            for name, sobject in OBJECTS.items():
                empty = dict.fromkeys(field.name for field in sobject.fields.values())
                self.records[name] = {key: empty | held for key, held in state.records.get(name, {}).items()}
            self.acting_user, self._numbers = state.acting_user, Numbers(state.following)

    def seed(self, data: dict[str, Any]) -> None:
        """Add records, after emptying everything when ``replace`` is true. Every other key is a list of records by the API's field
        names: ``users``, ``accounts``, ``leads``, ``contacts``, ``opportunities``, ``campaigns``, ``members``, ``tasks``. A reference
        to a user may be an e-mail address. A user or account whose e-mail or domain is known is updated instead. No effects.
        """
        kinds = {
            "users": "User",
            "accounts": "Account",
            "campaigns": "Campaign",
            "leads": "Lead",
            "contacts": "Contact",
            "opportunities": "Opportunity",
            "members": "CampaignMember",
            "tasks": "Task",
        }
        with self.lock:
            if data.get("replace"):
                self.clear(empty=True)
            for key, kind in kinds.items():
                # twice for users, so that managers and partners may be named before they exist
                for last in (False, True) if key == "users" else (True,):
                    for each in data.get(key, ()):
                        self._seed_one(OBJECTS[kind.lower()], each, last)

    def _seed_one(self, sobject: SObject, said: Record, last: bool) -> None:
        values = {}
        for name, value in said.items():
            field = self._field(sobject, name)
            if field.type == "reference" and isinstance(value, str) and "@" in value:
                found = self.find_user(value)
                if found is None and last:
                    raise ValueError(f"{sobject.name}.{name}: no user {value}")
                value = found["Id"] if found else None
            values[field.name] = value
        if sobject.name == "User":
            if not values.get("Email"):
                raise ValueError("a user needs an Email")
            values.setdefault("Username", values["Email"])
            values.setdefault("LastName", str(values["Email"]).partition("@")[0])
        key = {"User": "Email", "Account": "Domain__c"}.get(sobject.name)
        known = next(
            (r for r in self.records[sobject.name.lower()].values() if key and values.get(key) and r.get(key) == values[key]), None
        )
        if known is None:
            self._put(sobject.name, **values)
        else:
            known.update(values)
            known.update(sobject.derive(known))

    def _fill(self) -> None:
        ids: dict[str, str] = {}
        for person in PEOPLE:
            first, _, last = person.name.partition(" ")
            ids[person.handle] = self._put(
                "User",
                FirstName=first,
                LastName=last,
                Email=person.email,
                Username=person.email,
                Tenure_Role__c=person.role,
                Region__c=person.region,
                Slack_Id__c=person.slack_id,
                ManagerId=ids.get(person.manager),
                Paired_CE__c=ids.get(person.ce),
            )["Id"]
        self._put("Campaign", Name=CAMPAIGN, Type="Website", Status="In Progress", IsActive=True)
        for account in ACCOUNTS:
            self._put(
                "Account",
                Name=account.name,
                Domain__c=account.domain,
                Website=f"https://{account.domain}",
                Named_Account__c=account.named,
                Trial_Prequalified__c=account.prequalified,
                Named_SDR__c=ids.get(account.sdr),
                Account_Executive__c=ids.get(account.ae),
                Customer_Engineer__c=ids.get(account.ce),
                OwnerId=ids.get(account.ae, self.acting_user),
            )

    def _put(self, kind: str, **values: Any) -> Record:
        """A record without checks and without effect: for seeding."""
        sobject = OBJECTS[kind.lower()]
        moment = stamp(datetime.now(UTC))
        record: Record = dict.fromkeys((f.name for f in sobject.fields.values()), None)
        record |= sobject.defaults | values
        if "ownerid" in sobject.fields and not record.get("OwnerId"):
            record["OwnerId"] = self.acting_user
        record["Id"] = make_id(sobject.prefix, next(self._numbers))
        record |= {"CreatedDate": moment, "LastModifiedDate": moment, "SystemModstamp": moment}
        record |= {"CreatedById": self.acting_user or record["Id"], "LastModifiedById": self.acting_user or record["Id"]}
        record |= sobject.derive(record)
        self.records[kind.lower()][record["Id"]] = record
        return record

    # --- looking

    def find_user(self, email: str) -> Record | None:
        """The user with that e-mail address, case aside."""
        return next((u for u in self.records["user"].values() if str(u["Email"]).lower() == email.lower()), None)

    def find(self, record_id: str) -> Record | None:
        """The record of any object with that id, deleted ones included."""
        prefix = record_id[:3]
        for sobject in OBJECTS.values():
            if sobject.prefix == prefix:
                return self.records[sobject.name.lower()].get(canonical(record_id))
        return None

    def get(self, sobject: SObject, record_id: str) -> Record:
        """A living record. Refusal NOT_FOUND or ENTITY_IS_DELETED (404), MALFORMED_ID (400)."""
        if not re.fullmatch(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", record_id):
            raise Refusal("NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + record_id, status=404)
        record = self.records[sobject.name.lower()].get(canonical(record_id))
        if record is None:
            raise Refusal("NOT_FOUND", "The requested resource does not exist", status=404)
        if record["IsDeleted"]:
            raise Refusal("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return record

    def by_external_id(self, sobject: SObject, field_name: str, value: str) -> Record | None:
        """The record whose external id has that value (case aside), None when there is none. Ambiguous when several have it."""
        field = sobject.field(field_name)
        if field is None or not (field.external_id or field.name == "Id"):
            raise Refusal("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field_name}", status=404)
        wanted = value.lower()
        living = (r for r in self.records[sobject.name.lower()].values() if not r["IsDeleted"])
        found = [r for r in living if str(r.get(field.name) or "").lower() == wanted]
        if len(found) > 1:
            raise Ambiguous(sobject, [r["Id"] for r in found])
        return found[0] if found else None

    # --- changing

    def create(self, sobject: SObject, said: Record) -> str:
        """A new record; its id."""
        with self.lock:
            if not sobject.creatable:
                raise Refusal("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {sobject.name}")
            values = self._checked(sobject, said, creating=True)
            missing = tuple(name for name in sobject.required() if values.get(name) in (None, ""))
            if sobject.name == "CampaignMember" and not (values.get("LeadId") or values.get("ContactId")):
                missing += ("LeadId",)
            if missing:
                raise Refusal("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
            self._check_unique(sobject, values, None)
            record = self._put(sobject.name, **values)
            if sobject.name == "Opportunity" and values.get("Probability") is not None:
                record["Probability"] = values["Probability"]
            self._note_activity(sobject, record)
            self._effect(sobject, "created", record, values)
            return str(record["Id"])

    def update(self, sobject: SObject, record_id: str, said: Record) -> None:
        """Change a record's fields. One effect also when nothing differs: the remote was written."""
        with self.lock:
            record = self.get(sobject, record_id)
            if sobject.name == "Lead" and record["IsConverted"]:
                raise Refusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
            values = self._checked(sobject, said, creating=False)
            emptied = tuple(name for name in sobject.required() if name in values and values[name] in (None, ""))
            if emptied:
                raise Refusal("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", emptied)
            self._check_unique(sobject, values, record["Id"])
            staged = "StageName" in values and values["StageName"] != record.get("StageName")
            kept = record.get("Probability")
            record.update(values)
            record.update(sobject.derive(record))
            if sobject.name == "Opportunity" and not staged:
                record["Probability"] = values.get("Probability", kept)  # only a change of stage resets it
            self._note_activity(sobject, record)
            self._touch(record)
            self._effect(sobject, "updated", record, values)

    def delete(self, sobject: SObject, record_id: str) -> None:
        """Move a record to the recycle bin, where only queryAll sees it."""
        with self.lock:
            record = self.get(sobject, record_id)
            if "isdeleted" not in sobject.fields:
                raise Refusal("INSUFFICIENT_ACCESS_OR_READONLY", f"{sobject.name} records cannot be deleted")
            record["IsDeleted"] = True
            self._touch(record)
            self._effect(sobject, "deleted", record, {})

    def upsert(self, sobject: SObject, field_name: str, value: str, said: Record) -> tuple[str, bool]:
        """Create or update by external id: (id, whether it was created). The external id must not stand in the fields too."""
        with self.lock:
            found = self.by_external_id(sobject, field_name, value)
            field = self._field(sobject, field_name)
            if any(name.lower() == field.name.lower() for name in said):
                raise Refusal("INVALID_FIELD", f"The {field.name} field should not be specified in the sobject data.")
            if found is not None:
                self.update(sobject, found["Id"], said)
                return str(found["Id"]), False
            if field.name == "Id":
                raise Refusal("NOT_FOUND", "The requested resource does not exist", status=404)
            return self.create(sobject, said | {field.name: value}), True

    def convert(
        self,
        lead_id: str,
        status: str,
        account_id: str = "",
        contact_id: str = "",
        opportunity_name: str = "",
        owner_id: str = "",
        no_opportunity: bool = False,
    ) -> dict[str, str]:
        """Convert a lead: account (unless given), contact (unless given), opportunity (unless refused). The ids that came of it.

        One effect, ``lead.converted``, for all of it. A lead is converted once: CANNOT_UPDATE_CONVERTED_LEAD afterwards.
        """
        with self.lock:
            lead = self.find(lead_id) if lead_id else None
            if lead is None or not lead_id.startswith(OBJECTS["lead"].prefix) or lead["IsDeleted"]:
                raise Refusal("INVALID_CROSS_REFERENCE_KEY", f"invalid cross reference id: {lead_id}")
            if lead["IsConverted"]:
                raise Refusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
            if not LEAD_STATUSES.get(status):
                raise Refusal("INVALID_STATUS", f"invalid convertedStatus: {status}")
            owner = self._owner_of(owner_id or lead["OwnerId"])
            account = self._reference("accountId", ("Account",), account_id) or self._account_of(lead, owner)
            known = self._reference("contactId", ("Contact",), contact_id)
            contact = self.records["contact"][known] if known else self._contact_of(lead, owner, account)
            contact["AccountId"] = contact["AccountId"] or account
            opportunity = None if no_opportunity else self._opportunity_of(lead, owner, account, opportunity_name)
            lead |= {"IsConverted": True, "Status": status, "ConvertedDate": datetime.now(UTC).date().isoformat(), "OwnerId": owner}
            lead |= {"ConvertedAccountId": account, "ConvertedContactId": contact["Id"], "ConvertedOpportunityId": opportunity}
            self._touch(lead)
            for member in self.records["campaignmember"].values():
                if member["LeadId"] == lead["Id"]:
                    member["ContactId"] = contact["Id"]
            made = {"leadId": lead["Id"], "accountId": account, "contactId": contact["Id"], "opportunityId": opportunity or ""}
            self._effect(OBJECTS["lead"], "converted", lead, made)
            return made

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Undo every change inside when an exception leaves the block; effects are told only when it ends well."""
        with self.lock:
            # a record's values never change in place, so a copy of each record is a copy of everything
            before = {kind: {key: dict(record) for key, record in held.items()} for kind, held in self.records.items()}
            self._held = []
            try:
                yield
            except BaseException:
                self.records = before
                raise
            else:
                held, self._held = self._held, None
                for act, what, data in held:
                    self._record_effect(act, what, data)
            finally:
                self._held = None

    # --- rules

    def _checked(self, sobject: SObject, said: Record, creating: bool) -> Record:
        """The fields under their own names with values in the API's form; Refusal for the first that is not acceptable."""
        values: Record = {}
        for name, value in said.items():
            if name == "attributes":
                continue
            field = self._field(sobject, name)
            if not field.writable or (field.createable_only and not creating):
                raise Refusal(
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    f"Unable to create/update fields: {field.name}. Please check the security settings of this field and verify that it is "
                    "read/write for your profile or permission set.",
                    (field.name,),
                )
            reference = field.type == "reference" and value
            values[field.name] = self._reference(field.name, field.to, str(value)) if reference else checked_value(field, value)
        if values.get("OwnerId"):
            self._owner_of(values["OwnerId"], sobject)
        return values

    def _field(self, sobject: SObject, name: str) -> Field:
        field = sobject.field(name)
        if field is None:
            raise Refusal("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
        return field

    def _reference(self, name: str, kinds: tuple[str, ...], value: str) -> str | None:
        """The 18-character id of a living record of the right kind, None for an empty value."""
        if not value:
            return None
        record = self.find(value)
        if not re.fullmatch(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", value) or value[:3] not in [OBJECTS[k.lower()].prefix for k in kinds]:
            raise Refusal("MALFORMED_ID", f"{name}: id value of incorrect type: {value}", (name,))
        if record is None or record["IsDeleted"]:
            raise Refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
        return str(record["Id"])

    def _owner_of(self, user_id: str, sobject: SObject | None = None) -> str:
        user = self.records["user"].get(canonical(user_id))
        if user is None:
            raise Refusal("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank or unknown", ("OwnerId",))
        if not user["IsActive"]:
            what = sobject.name.lower() if sobject else "lead"
            raise Refusal(
                "INACTIVE_OWNER_OR_USER", f"operation performed with inactive user [{user['Id']}] as owner of {what}", ("OwnerId",)
            )
        return str(user["Id"])

    def _check_unique(self, sobject: SObject, values: Record, own_id: str | None) -> None:
        living = [r for r in self.records[sobject.name.lower()].values() if not r["IsDeleted"] and r["Id"] != own_id]
        for field in sobject.fields.values():
            value = values.get(field.name)
            if not field.unique or value is None:
                continue
            twin = next((r for r in living if str(r.get(field.name) or "").lower() == str(value).lower()), None)
            if twin is not None:
                raise Refusal(
                    "DUPLICATE_VALUE", f"duplicate value found: {field.name} duplicates value on record with id: {twin['Id'][:15]}", (field.name,)
                )  # fmt: skip
        if sobject.name == "CampaignMember" and own_id is None:
            key = ("CampaignId", "LeadId", "ContactId")
            if any(all(r.get(name) == values.get(name) for name in key) for r in living):
                raise Refusal("DUPLICATE_VALUE", "This entity is already a member of this campaign")

    # --- conversion

    def _account_of(self, lead: Record, owner: str) -> str:
        shared = {name: lead[name] for name in ("Phone", "Website", "Industry", "AnnualRevenue", "NumberOfEmployees")}
        return str(self._put("Account", Name=lead["Company"], OwnerId=owner, **shared)["Id"])

    def _contact_of(self, lead: Record, owner: str, account: str) -> Record:
        shared = {name: lead[name] for name in ("FirstName", "LastName", "Email", "Phone", "MobilePhone", "Title", "LeadSource")}
        return self._put("Contact", AccountId=account, OwnerId=owner, **shared)

    def _opportunity_of(self, lead: Record, owner: str, account: str, name: str) -> str:
        made = self._put(
            "Opportunity",
            Name=name or f"{lead['Company']}-",
            AccountId=account,
            OwnerId=owner,
            StageName="Prospecting",
            CloseDate=_quarter_end(datetime.now(UTC).date()).isoformat(),
            LeadSource=lead["LeadSource"],
        )
        return str(made["Id"])

    # --- telling

    def _note_activity(self, sobject: SObject, record: Record) -> None:
        """A closed task's day is the last activity of the account that it is about, itself or by an opportunity or contact of it."""
        if sobject.name != "Task" or not record["IsClosed"] or not record["ActivityDate"]:
            return
        for about in (self.find(record[name] or "") for name in ("WhatId", "WhoId")):
            account = self.records["account"].get(about.get("AccountId") or about["Id"]) if about else None
            if account is not None:
                account["LastActivityDate"] = max(account["LastActivityDate"] or "", record["ActivityDate"])

    def _touch(self, record: Record) -> None:
        moment = stamp(datetime.now(UTC))
        record |= {"LastModifiedDate": moment, "SystemModstamp": moment, "LastModifiedById": self.acting_user}

    def _effect(self, sobject: SObject, act: str, record: Record, values: Record) -> None:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", sobject.name).lower()
        what = str(record.get("Name") or record.get("Subject") or record.get("Email") or record["Id"])
        told = (f"{kind}.{act}", what, {"id": record["Id"], "fields": dict(values)})
        if self._held is None:
            self._record_effect(*told)
        else:
            self._held.append(told)


def _quarter_end(day: date) -> date:
    """The last day of the quarter, which is the close date a converted lead's opportunity gets."""
    month = (day.month - 1) // 3 * 3 + 3
    following = date(day.year + month // 12, month % 12 + 1, 1)
    return following - timedelta(days=1)
