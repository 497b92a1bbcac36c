"""The objects of the Salesforce stand-in: their fields, key prefixes, defaults, and the custom fields that Tenure relies on.

One table, read by the describe answers, the validation of writes and the query engine alike. :data:`CUSTOM` is what an
administrator has to add to a real org.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

FieldType = Literal[
    "id", "string", "textarea", "email", "phone", "url", "picklist", "boolean", "int", "double", "currency", "percent",
    "date", "datetime", "reference",
]  # fmt: skip

TEXT: frozenset[str] = frozenset({"id", "string", "textarea", "email", "phone", "url", "picklist", "reference"})
NUMBERS: frozenset[str] = frozenset({"int", "double", "currency", "percent"})


@dataclass(frozen=True)
class Field:
    """One field. ``to`` names the objects a reference may point at, ``relationship`` the name of the dotted path through it."""

    name: str
    type: FieldType = "string"
    length: int = 255
    required: bool = False
    writable: bool = True
    external_id: bool = False
    unique: bool = False
    filterable: bool = True
    to: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    createable_only: bool = False

    @property
    def relationship(self) -> str | None:
        """``OwnerId`` is reached as ``Owner``, ``Paired_CE__c`` as ``Paired_CE__r``."""
        if self.type != "reference":
            return None
        return self.name[:-1] + "r" if self.name.endswith("__c") else self.name.removesuffix("Id")

    @property
    def custom(self) -> bool:
        """Whether an administrator made it."""
        return self.name.endswith("__c")


@dataclass(frozen=True)
class SObject:
    """An object: its fields by lower-case name, its key prefix, and the default values of a new record."""

    name: str
    prefix: str
    fields: dict[str, Field]
    defaults: dict[str, Any]
    derive: Callable[[dict[str, Any]], dict[str, Any]]
    creatable: bool = True

    def field(self, name: str) -> Field | None:
        """The field of that name, case aside."""
        return self.fields.get(name.lower())

    def through(self, relationship: str) -> Field | None:
        """The reference whose dotted path begins with ``relationship``, case aside."""
        wanted = relationship.lower()
        return next((f for f in self.fields.values() if (f.relationship or "").lower() == wanted), None)

    def required(self) -> list[str]:
        """The names a new record must have."""
        return [f.name for f in self.fields.values() if f.required]


def _text(*names: str, length: int = 255) -> list[Field]:
    return [Field(name, length=length) for name in names]


def _ref(name: str, *to: str, required: bool = False, createable_only: bool = False) -> Field:
    return Field(name, "reference", 18, required=required, to=to, createable_only=createable_only)


def _long(name: str = "Description") -> Field:
    return Field(name, "textarea", 32000, filterable=False)


def _read(name: str, kind: FieldType = "string", *to: str) -> Field:
    return Field(name, kind, 18 if to else 255, writable=False, to=to)


_USER = ("User",)
_SYSTEM = [
    _read("Id", "id"),
    _read("CreatedDate", "datetime"),
    _read("CreatedById", "reference", "User"),
    _read("LastModifiedDate", "datetime"),
    _read("LastModifiedById", "reference", "User"),
    _read("SystemModstamp", "datetime"),
]
_DELETABLE = _read("IsDeleted", "boolean")
_PERSON = [
    Field("LastName", length=80, required=True),
    Field("FirstName", length=40),
    _read("Name"),
    Field("Title", length=128),
    Field("Email", "email", 80),
    Field("Phone", "phone", 40),
]
_OWNED = [_ref("OwnerId", "User")]

LEAD_STATUSES: dict[str, bool] = {
    "New": False,
    "Working": False,
    "Approved trial": False,
    "Trial Instance Handed Off": False,
    "PQL": False,
    "Disqualified": False,
    "Qualified": True,
    "Closed - Converted": True,
}
"""Lead statuses, and whether a lead may be converted into them."""

STAGES: dict[str, tuple[int, bool, bool, str]] = {
    "Prospecting": (10, False, False, "Pipeline"),
    "Qualification": (10, False, False, "Pipeline"),
    "Needs Analysis": (20, False, False, "Pipeline"),
    "Value Proposition": (50, False, False, "Pipeline"),
    "Proposal/Price Quote": (75, False, False, "BestCase"),
    "Negotiation/Review": (90, False, False, "Forecast"),
    "Closed Won": (100, True, True, "Closed"),
    "Closed Lost": (0, True, False, "Omitted"),
}
"""Opportunity stages: probability in percent, closed, won, forecast category."""

TENURE_ROLES = (
    "inbound_sdr", "named_sdr", "ae", "ce", "ce_manager", "ae_manager", "cloud", "support", "growth",
    "ta", "ta_manager", "ts_leadership", "sales_leadership", "exec_sponsor", "finance", "sales_ops",
)  # fmt: skip

ACCOUNT_TYPES = ("Prospect", "Customer", "Former Customer", "Partner")
OPPORTUNITY_TYPES = ("New Business", "Renewal", "Expansion", "Churn")

CUSTOM: dict[str, list[Field]] = {
    "Lead": [
        Field("Tenure_Key__c", external_id=True, unique=True),
        Field("Sub_Status__c"),
        Field("Disqualified_Reason__c"),
    ],
    "Account": [
        Field("Domain__c", external_id=True, unique=True),
        Field("Named_Account__c", "boolean"),
        Field("Trial_Prequalified__c", "boolean"),
        _ref("Named_SDR__c", "User"),
        _ref("Account_Executive__c", "User"),
        _ref("Customer_Engineer__c", "User"),
        _ref("Technical_Advisor__c", "User"),
        Field("Segment__c", "picklist", values=("Strategic", "Enterprise", "Commercial")),
        Field("Seats__c", "int"),
        Field("ARR__c", "currency"),
        Field("Contract_Start__c", "date"),
        Field("Contract_End__c", "date"),
        Field("Deployed_On__c", "date"),
        Field("Customer_Health__c", "picklist", values=("Green", "Yellow", "Red")),
        Field("License_Subscription__c"),
        _ref("Merged_Into__c", "Account"),
    ],
    "Opportunity": [
        Field("Tenure_Key__c", external_id=True, unique=True),
        Field("Trial_Stage__c"),
        Field("Trial_Outcome__c"),
        Field("Trial_Activated__c", "boolean"),
        Field("Trial_Activated_At__c", "datetime"),
        Field("Trial_Ends_On__c", "date"),
        _ref("Customer_Engineer__c", "User"),
        Field("Renewal_Rating__c", "picklist", values=("green", "yellow", "red")),
        Field("Renewal_Outcome__c", "picklist", values=("full_churn", "partial_churn", "flat", "incremental")),
        Field("Contract_End__c", "date"),
        Field("Seats__c", "int"),
    ],
    "User": [
        Field("Tenure_Role__c", "picklist", values=TENURE_ROLES),
        Field("Out_Of_Office_Until__c", "date"),
        _ref("Paired_CE__c", "User"),
        Field("Region__c"),
        Field("Slack_Id__c"),
    ],
}
"""The custom fields, by object."""


def _full_name(record: dict[str, Any]) -> dict[str, Any]:
    return {"Name": " ".join(part for part in (record.get("FirstName"), record.get("LastName")) if part)}


def _by_stage(record: dict[str, Any]) -> dict[str, Any]:
    probability, closed, won, category = STAGES.get(str(record.get("StageName")), (10, False, False, "Pipeline"))
    return {"Probability": float(probability), "IsClosed": closed, "IsWon": won, "ForecastCategory": category}


def _task(record: dict[str, Any]) -> dict[str, Any]:
    return {"IsClosed": record.get("Status") == "Completed", "IsHighPriority": record.get("Priority") == "High"}


def _member(record: dict[str, Any]) -> dict[str, Any]:
    return {"HasResponded": record.get("Status") == "Responded", "LeadOrContactId": record.get("LeadId") or record.get("ContactId")}


def _nothing(record: dict[str, Any]) -> dict[str, Any]:
    return {}


def _object(
    name: str,
    prefix: str,
    fields: Iterable[Field],
    derive: Callable[[dict[str, Any]], dict[str, Any]] = _nothing,
    creatable: bool = True,
    **defaults: Any,
) -> SObject:
    kept = name in ("User", "LeadStatus")  # these are deactivated, never deleted, and have no such field
    every = [*_SYSTEM, *([] if kept else [_DELETABLE]), *fields, *CUSTOM.get(name, [])]
    falses = {"IsDeleted": False} | {f.name: False for f in every if f.type == "boolean"}
    return SObject(name, prefix, {f.name.lower(): f for f in every}, falses | defaults, derive, creatable)


def _address(prefix: str = "") -> list[Field]:
    return [Field(f"{prefix}Street", "textarea"), *_text(*[f"{prefix}{part}" for part in ("City", "State", "PostalCode", "Country")])]


OBJECTS: dict[str, SObject] = {
    made.name.lower(): made
    for made in (
        _object(
            "Lead",
            "00Q",
            [
                *_PERSON,
                Field("Company", required=True),
                *_address(),
                Field("MobilePhone", "phone", 40),
                Field("Website", "url"),
                _long(),
                *[Field(name, "picklist") for name in ("LeadSource", "Industry", "Rating")],
                Field("Status", "picklist", values=tuple(LEAD_STATUSES)),
                Field("AnnualRevenue", "currency"),
                Field("NumberOfEmployees", "int"),
                *_OWNED,
                Field("IsConverted", "boolean", createable_only=True),
                _read("ConvertedDate", "date"),
                _read("ConvertedAccountId", "reference", "Account"),
                _read("ConvertedContactId", "reference", "Contact"),
                _read("ConvertedOpportunityId", "reference", "Opportunity"),
            ],
            _full_name,
            Status="New",
        ),
        _object(
            "Account",
            "001",
            [
                Field("Name", required=True),
                Field("Type", "picklist", values=ACCOUNT_TYPES),
                *[Field(name, "picklist") for name in ("Industry", "AccountSource", "Rating")],
                _ref("ParentId", "Account"),
                *_address("Billing"),
                Field("Phone", "phone", 40),
                Field("Website", "url"),
                _long(),
                Field("AnnualRevenue", "currency"),
                Field("NumberOfEmployees", "int"),
                _read("LastActivityDate", "date"),
                *_OWNED,
            ],
        ),
        _object(
            "Contact",
            "003",
            [
                *_PERSON,
                _ref("AccountId", "Account"),
                _ref("ReportsToId", "Contact"),
                Field("MobilePhone", "phone", 40),
                Field("Department", length=80),
                Field("LeadSource", "picklist"),
                _long(),
                *_OWNED,
            ],
            _full_name,
        ),
        _object(
            "Opportunity",
            "006",
            [
                Field("Name", length=120, required=True),
                _ref("AccountId", "Account"),
                _ref("ContactId", "Contact", createable_only=True),
                _ref("CampaignId", "Campaign"),
                Field("StageName", "picklist", required=True, values=tuple(STAGES)),
                Field("CloseDate", "date", required=True),
                Field("Amount", "currency"),
                Field("Probability", "percent"),
                Field("Type", "picklist", values=OPPORTUNITY_TYPES),
                Field("LeadSource", "picklist"),
                Field("NextStep"),
                _long(),
                _read("IsClosed", "boolean"),
                _read("IsWon", "boolean"),
                _read("ForecastCategory", "picklist"),
                *_OWNED,
            ],
            _by_stage,
        ),
        _object(
            "User",
            "005",
            [
                *_PERSON,
                Field("Username", length=80, required=True),
                Field("Alias", length=8),
                Field("IsActive", "boolean"),
                _ref("ManagerId", "User"),
                Field("TimeZoneSidKey", "picklist"),
                Field("Department", length=80),
            ],
            _full_name,
            IsActive=True,
        ),
        _object(
            "Campaign",
            "701",
            [
                Field("Name", length=80, required=True),
                *[Field(name, "picklist") for name in ("Type", "Status")],
                Field("StartDate", "date"),
                Field("EndDate", "date"),
                Field("IsActive", "boolean"),
                _long(),
                *_OWNED,
            ],
            Status="Planned",
        ),
        _object(
            "CampaignMember",
            "00v",
            [
                _ref("CampaignId", "Campaign", required=True, createable_only=True),
                _ref("LeadId", "Lead", createable_only=True),
                _ref("ContactId", "Contact", createable_only=True),
                Field("Status", "picklist"),
                _read("HasResponded", "boolean"),
                _read("LeadOrContactId", "reference", "Lead", "Contact"),
            ],
            _member,
            Status="Sent",
        ),
        _object(
            "Task",
            "00T",
            [
                _ref("WhoId", "Lead", "Contact"),
                _ref("WhatId", "Account", "Opportunity", "Campaign"),
                Field("Subject"),
                Field("ActivityDate", "date"),
                Field("Status", "picklist"),
                Field("Priority", "picklist"),
                _long(),
                *_OWNED,
                _read("IsClosed", "boolean"),
                _read("IsHighPriority", "boolean"),
            ],
            _task,
            Status="Not Started",
            Priority="Normal",
        ),
        _object(
            "LeadStatus",
            "01J",
            [
                _read("MasterLabel"),
                _read("ApiName"),
                _read("IsConverted", "boolean"),
                _read("IsDefault", "boolean"),
                _read("SortOrder", "int"),
            ],
            creatable=False,
        ),
    )
}
"""Every object, by lower-case name."""


def describe(sobject: SObject) -> dict[str, Any]:
    """The ``describe`` answer of one object: what clients read at start-up to find missing custom fields."""
    return describe_global(sobject) | {
        "fields": [
            {
                "name": f.name,
                "label": f.name.removesuffix("__c").replace("_", " "),
                "type": f.type,
                "length": f.length if f.type in TEXT else 0,
                "custom": f.custom,
                "createable": f.writable,
                "updateable": f.writable and not f.createable_only,
                "nillable": not f.required and f.type != "boolean" and f.writable,
                "defaultedOnCreate": not f.writable or f.type == "boolean" or f.name == "OwnerId",
                "externalId": f.external_id,
                "idLookup": f.external_id or f.name in ("Id", "Email"),
                "unique": f.unique,
                "filterable": f.filterable,
                "sortable": f.filterable,
                "calculated": False,
                "restrictedPicklist": False,
                "referenceTo": list(f.to),
                "relationshipName": f.relationship,
                "picklistValues": [{"value": v, "label": v, "active": True, "defaultValue": False} for v in f.values],
            }
            for f in sobject.fields.values()
        ],
        "childRelationships": [],
        "recordTypeInfos": [],
    }


def describe_global(sobject: SObject) -> dict[str, Any]:
    """One object's line in the list of all objects."""
    return {
        "name": sobject.name,
        "label": sobject.name,
        "labelPlural": f"{sobject.name}s",
        "keyPrefix": sobject.prefix,
        "custom": False,
        "queryable": True,
        "createable": sobject.creatable,
        "updateable": sobject.creatable,
        "deletable": sobject.creatable,
        "retrieveable": True,
        "searchable": True,
    }
