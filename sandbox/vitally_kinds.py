"""What Vitally's REST API takes and gives for each kind of object: its fields, which of them may be set, and what they must be.

From the provider's reference articles (docs.vitally.io, collection "REST API"). What may only be changed in the app, such as the
projects of a task or the dates at which a project began and ended, is refused here, so that nobody builds on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]


class VitallyRefusal(Exception):
    """A request that is answered with ``status`` and ``{"error": message}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Kind:
    """One kind of object. ``always`` may be set on POST and PUT, ``once`` on POST alone; ``fresh`` is what a new one holds beside those.

    ``owner`` says whose it is: ``one`` of accountId and organizationId exactly, ``any`` of them, or ``lists`` of such ids.
    """

    title: str
    act: str
    required: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()
    owner: str = ""
    by_external_id: bool = False
    archives: bool = False
    deletes: bool = False
    fresh: Json = field(default_factory=dict)

    @property
    def one(self) -> str:
        """What one of them is called in a sentence."""
        return f"{'an' if self.title[0] in 'AEIOU' else 'a'} {self.title}"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _none(words: str) -> Json:
    return dict.fromkeys(words.split())


#: Set by the traits of the same names, on accounts and organizations.
BY_TRAIT = ("mrr", "nextRenewalDate", "churnedAt", "trialEndDate")
_SEEN = _none("firstSeenTimestamp lastSeenTimestamp lastInboundMessageTimestamp lastOutboundMessageTimestamp")
_CUSTOMER: Json = {**dict.fromkeys(BY_TRAIT), **_SEEN, "healthScore": None, "csmId": None, "accountExecutiveId": None}

KINDS: dict[str, Kind] = {
    "accounts": Kind(
        "Account",
        "account",
        required=("externalId", "name"),
        always=_set("name traits organizationId accountOwnerId"),
        once=_set("externalId"),
        by_external_id=True,
        deletes=True,
        fresh={**_CUSTOMER, "organizationId": None, "accountOwnerId": None, "keyRoles": [], "segments": []},
    ),
    "organizations": Kind(
        "Organization",
        "organization",
        required=("externalId", "name"),
        always=_set("name traits"),
        once=_set("externalId"),
        by_external_id=True,
        fresh={**_CUSTOMER, "keyRoles": [], "segments": []},
    ),
    "users": Kind(
        "User",
        "user",
        required=("externalId",),
        always=_set("name email avatar traits accountIds organizationIds unsubscribedFromConversations joinDate"),
        once=_set("externalId"),
        owner="lists",
        by_external_id=True,
        fresh={
            **_SEEN,
            **_none("name avatar joinDate npsLastScore npsLastFeedback npsLastRespondedAt deactivatedAt unsubscribedFromConversationsAt"),
            "unsubscribedFromConversations": False,
            "permanentlyBounced": False,
            "segments": [],
            "accountIds": [],
            "organizationIds": [],
        },
    ),
    "tasks": Kind(
        "Task",
        "task",
        required=("name",),
        always=_set(
            "name description dueDate completedAt assignedToId completedById categoryId tags traits accountId organizationId",
        ),
        once=_set("externalId"),
        owner="any",
        archives=True,
        deletes=True,
        fresh={
            **_none("externalId description dueDate completedAt assignedToId completedById categoryId accountId organizationId"),
            **_none("archivedAt meetingId source"),
            "tags": [],
            "projects": [],
        },
    ),
    "notes": Kind(
        "Note",
        "note",
        required=("note", "noteDate"),
        always=_set("note noteDate subject authorId categoryId tags traits"),
        once=_set("externalId accountId organizationId"),
        owner="any",
        archives=True,
        deletes=True,
        fresh={
            **_none("externalId subject authorId categoryId accountId organizationId archivedAt source meetingDescription"),
            "tags": [],
        },
    ),
    "projects": Kind(
        "Project",
        "project",
        required=("templateId",),
        always=_set("name targetStartDate targetCompletionDate projectStatusId projectCategoryId ownedByVitallyUserId traits"),
        once=_set("templateId accountId organizationId"),
        owner="one",
        archives=True,
        deletes=True,
        fresh=_none(
            "accountId organizationId targetStartDate targetCompletionDate actualStartDate actualCompletionDate ownedByVitallyUserId archivedAt"
        ),
    ),
    "npsResponses": Kind(
        "NPS Response",
        "nps_response",
        required=("userId", "respondedAt", "score"),
        always=_set("userId respondedAt score feedback"),
        once=_set("externalId"),
        by_external_id=True,
        deletes=True,
        fresh=_none("externalId feedback"),
    ),
    "admins": Kind("Admin", "admin"),
    "projectTemplates": Kind("Project Template", "project_template"),
    "projectCategories": Kind("Project Category", "project_category"),
    "taskCategories": Kind("Task Category", "task_category"),
    "noteCategories": Kind("Note Category", "note_category"),
}
#: Kept like the others, but the API lists them nowhere: their ids are read in the app.
STATUSES = "projectStatuses"

#: Which kind the id in a field is of. Always Vitally's own id, never an externalId.
REFERENCES = {
    "accountId": "accounts",
    "accountIds": "accounts",
    "organizationId": "organizations",
    "organizationIds": "organizations",
    "assignedToId": "admins",
    "completedById": "admins",
    "authorId": "admins",
    "ownedByVitallyUserId": "admins",
    "templateId": "projectTemplates",
    "projectStatusId": STATUSES,
    "projectCategoryId": "projectCategories",
    "userId": "users",
}
_LISTS = ("tags", "accountIds", "organizationIds")
_MOMENTS = ("dueDate", "completedAt", "noteDate", "targetStartDate", "targetCompletionDate", "respondedAt", "joinDate")


def check(kind: Kind, body: Json, *, made: bool) -> None:
    """Refuse a body that lacks what a new object needs (``made``), sets what may not be set, or holds a value of the wrong form."""
    if made:
        missing = [name for name in kind.required if body.get(name) in (None, "")]
        if missing:
            raise VitallyRefusal(400, f"{missing[0]} is required to create {kind.one}")
    allowed = kind.always | kind.once if made else kind.always
    for name, value in body.items():
        # A name that an object was made with may be sent again as it was.
        if name not in allowed and not (name in kind.once and not made):
            known = ", ".join(sorted(allowed))
            raise VitallyRefusal(400, f"{name} cannot be set on {kind.one} through the API; these can: {known}")
        fault = f"{name} cannot be emptied" if name in kind.required and value in (None, "") else _fault(name, value)
        if fault:
            raise VitallyRefusal(400, fault)


def _fault(name: str, value: Any) -> str:
    """Say what is wrong with one value, nothing when it will do."""
    if name == "traits":
        return "" if isinstance(value, dict) else "traits must be an object of names and values"
    if name in _LISTS:
        return "" if isinstance(value, list) and all(isinstance(one, str) for one in value) else f"{name} must be an array of strings"
    if name == "score":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 10
        return "" if fits else "score must be a number from 0 to 10"
    if name == "unsubscribedFromConversations":
        return "" if isinstance(value, bool) else f"{name} must be true or false"
    if name == "accountOwnerId":
        return "" if value is None else "accountOwnerId can only be set to null; choose an owner in the app"
    if value is None:
        return ""
    if not isinstance(value, str):
        return f"{name} must be a string"
    if name in _MOMENTS:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return f"{name} must be a date, such as 2030-01-31T10:00:00.000Z"
    return ""
