"""What the page shows of each service, as JSON: read from the service objects, changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = dict[str, Any]


def view_of(name: str, service: Any) -> View:
    """Return what ``service`` holds, for its page: empty for one that shows nothing but its effects."""
    make = _VIEWS.get(name)
    if make is not None:
        return make(service)
    view: View = service.view() if hasattr(service, "view") else {}
    return view


def _github(service: Any) -> View:
    return {"issues": [_issue(repo.full_name, issue) for repo, issue in reversed(service.issues())]}


def _issue(repo: str, issue: Any) -> View:
    shown = {name: getattr(issue, name) for name in ("number", "title", "body", "author", "state", "state_reason", "labels")}
    comments = [{"author": one.author, "body": one.body, "at": one.created_at.isoformat()} for one in issue.comments]
    return {"repo": repo, **shown, "comments": comments}


def _instances(service: Any) -> View:
    return {"instances": [one.describe() for one in service.all()]}


def _licensing(service: Any) -> View:
    subscriptions = [
        {
            "uuid": one.uuid,
            "owner": service.owner_of(one).username,
            "archived": one.archived,
            "licenses": [{"tags": list(each.info.tags), "users": each.info.user_count, "key": each.key} for each in one.licenses],
        }
        for one in service.subscriptions.values()
    ]
    return {"subscriptions": subscriptions}


#: The objects worth seeing and their fields; users and campaigns are scenery.
_SALESFORCE = {
    "Lead": ("Name", "Email", "Company", "Status", "Sub_Status__c", "IsConverted", "Tenure_Key__c", "CreatedDate"),
    "Opportunity": (
        "Name", "Type", "StageName", "CloseDate", "Amount", "Trial_Stage__c", "Trial_Outcome__c", "Trial_Ends_On__c",
        "Renewal_Rating__c", "Renewal_Outcome__c", "Tenure_Key__c", "CreatedDate",
    ),
    "CampaignMember": ("LeadId", "ContactId", "Status", "CreatedDate"),
    "Task": ("Subject", "Status", "WhoId", "WhatId", "CreatedDate"),
    "Account": (
        "Name", "Domain__c", "Type", "Named_Account__c", "Trial_Prequalified__c", "Segment__c", "Seats__c", "ARR__c", "Contract_End__c",
        "Deployed_On__c", "Customer_Health__c", "LastActivityDate",
    ),
}  # fmt: skip


def _salesforce(service: Any) -> View:
    with service.org.lock:
        return {
            kind: [{field: record.get(field) for field in fields} for record in reversed(service.org.records[kind.lower()].values())]
            for kind, fields in _SALESFORCE.items()
        }


def _cloud(service: Any) -> View:
    return {"state": {name: getattr(service, name) for name in ("mode", "delay_seconds", "action_delay_seconds", "fail_next")}}


_VIEWS: dict[str, Callable[[Any], View]] = {
    "github": _github,
    "salesforce": _salesforce,
    "instances": _instances,
    "licensing": _licensing,
    "cloud": _cloud,
}
