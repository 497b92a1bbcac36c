"""The acts on the outside world, as data: what a workflow may ask for, and what comes back.

The acts of one moment on one system travel in one batch, that is one activity. Each act has a ``key`` that is stable within its subject
(one trial, one rotation of a key …); subject and key together name the effect in the ledger, so that a retry does only what is left.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from domain.base import Message, Value
from domain.cloud.closing import Where
from domain.effects.accounts import KeepRenewal, ReissueKey, SetAccount, SheetsAct, VitallyAct
from domain.effects.effect import Act
from domain.effects.registry import AskHost as AskHost
from domain.effects.registry import AskOwners as AskOwners
from domain.effects.registry import Claim as Claim
from domain.effects.registry import Claimed as Claimed
from domain.effects.registry import RegistryAnswer as RegistryAnswer
from domain.effects.registry import RegistryChange as RegistryChange

# --- Slack -----------------------------------------------------------------------------------------------------------------------


class OpenChannel(Act):
    """Make the trial's channel (found again by its name) and invite these e-mail addresses of ours."""

    do: Literal["open_channel"] = "open_channel"
    name: str
    topic: str
    invite: tuple[str, ...] = ()


class Post(Act):
    """Post a message: to a channel by name, and under the message of an earlier ``Post`` when ``under`` names its key.

    ``text`` is Slack mrkdwn, already worded; ``mention`` are e-mail addresses whose Slack users are named first.
    ``task`` and ``choices`` (name, label) make it a task card: the choices and how to answer are shown.
    """

    do: Literal["post"] = "post"
    channel: str
    text: str
    under: str = ""
    mention: tuple[str, ...] = ()
    task: str = ""
    choices: tuple[tuple[str, str], ...] = ()


class ArchiveChannel(Act):
    """Archive the trial's channel."""

    do: Literal["archive_channel"] = "archive_channel"
    name: str


SlackAct = Annotated[OpenChannel | Post | ArchiveChannel, Field(discriminator="do")]

# --- GitHub ----------------------------------------------------------------------------------------------------------------------


class RaiseIssue(Act):
    """Raise an issue to the Cloud team. ``fields`` become ``name: value`` lines of the body; an unknown value is ``TODO``."""

    do: Literal["raise_issue"] = "raise_issue"
    title: str
    intro: str
    fields: dict[str, str]
    labels: tuple[str, ...]


class FillField(Act):
    """Replace a field's value in the body of an issue of ours (the ``TODO`` of the CE's e-mail)."""

    do: Literal["fill_field"] = "fill_field"
    issue: int
    field: str
    value: str


class Comment(Act):
    """Comment on an issue."""

    do: Literal["comment"] = "comment"
    issue: int
    text: str


class CloseIssue(Act):
    """Comment the reason and close an issue as not planned (a cancelled request) or completed."""

    do: Literal["close_issue"] = "close_issue"
    issue: int
    reason: Literal["completed", "not_planned"]
    text: str


class Dispatch(Act):
    """Start the automation that makes a warm instance of that host (A25)."""

    do: Literal["dispatch"] = "dispatch"
    workflow: str
    inputs: dict[str, str]


GitHubAct = Annotated[RaiseIssue | FillField | Comment | CloseIssue | Dispatch, Field(discriminator="do")]


class IssueState(Value):
    """What an issue says now; ``host`` is what the Cloud team named last as ready, once the label says so, and ``moved_to`` where it was transferred."""

    number: int
    labels: tuple[str, ...] = ()
    state: Where
    host: str = ""
    reason: str = ""
    moved_to: str = ""


# --- Salesforce ------------------------------------------------------------------------------------------------------------------


class KeepLead(Act):
    """Make the signup's lead, or find it again by its key, and put it in the campaign."""

    do: Literal["keep_lead"] = "keep_lead"
    email: str
    first_name: str
    last_name: str
    company: str
    domain: str
    source: str
    status: str = "New"


class SetLeadStatus(Act):
    """Set status, sub-status and reason of the subject's lead (canonical sub-statuses: handbook 2.1)."""

    do: Literal["set_lead_status"] = "set_lead_status"
    status: str
    sub_status: str = ""
    reason: str = ""


class AssignOwner(Act):
    """Give the subject's lead, or its opportunity once converted, to an owner (a CRM user id)."""

    do: Literal["assign_owner"] = "assign_owner"
    owner: str
    owner_name: str
    ce: str = ""


class ConvertLead(Act):
    """Convert the subject's lead to an opportunity, into the company's account when there is one. It stays in stage 1."""

    do: Literal["convert_lead"] = "convert_lead"
    account: str = ""
    opportunity: str


class UpdateOpportunity(Act):
    """Set fields of the subject's opportunity, by the CRM's API names."""

    do: Literal["update_opportunity"] = "update_opportunity"
    fields: dict[str, str | bool | int | None]


SalesforceAct = Annotated[
    KeepLead | SetLeadStatus | AssignOwner | ConvertLead | UpdateOpportunity | SetAccount | KeepRenewal, Field(discriminator="do")
]

# --- The customer's instance -----------------------------------------------------------------------------------------------------


class CreateAdmin(Act):
    """Make the initial admin's user (found again by user name). It has no password until a reset link is opened.

    ``instead_of`` is the address of who was the admin by mistake.
    """

    do: Literal["create_admin"] = "create_admin"
    host: str
    email: str
    name: str
    instead_of: str = ""


class ResetLink(Act):
    """Make a reset link for the admin, who waits for it; the previous one stops working.

    The link goes to the vault, where whoever opened the share link takes it; untaken, it is forgotten after ``ttl_hours``.
    """

    do: Literal["reset_link"] = "reset_link"
    host: str
    email: str
    ttl_hours: int


class RemoveUser(Act):
    """Remove the user of somebody who has claimed an instance and never opened the link to it."""

    do: Literal["remove_user"] = "remove_user"
    host: str
    email: str


class SetKey(Act):
    """Put a licence key of the vault into the instance's configuration. ``vault`` empty: the current generic cohort's key."""

    do: Literal["set_key"] = "set_key"
    host: str
    vault: str = ""


InstanceAct = Annotated[CreateAdmin | ResetLink | RemoveUser | SetKey, Field(discriminator="do")]

# --- Licensing -------------------------------------------------------------------------------------------------------------------


class IssueKey(Act):
    """A new subscription and a key on it, for ``account`` (a licensing user name). The key goes to the vault."""

    do: Literal["issue_key"] = "issue_key"
    account: str
    purpose: Literal["generic", "trial", "production"]
    tags: tuple[str, ...]
    seats: int
    expires_at: datetime


LicenseAct = IssueKey | ReissueKey

# --- PagerDuty -------------------------------------------------------------------------------------------------------------------


class Page(Act):
    """Page the Cloud team; the key of the effect is the dedup_key."""

    do: Literal["page"] = "page"
    summary: str
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    link: str = ""


class ResolvePage(Act):
    """Resolve the page that an earlier ``Page`` of that key made."""

    do: Literal["resolve_page"] = "resolve_page"
    page: str


PagerAct = Annotated[Page | ResolvePage, Field(discriminator="do")]

# --- E-mail ----------------------------------------------------------------------------------------------------------------------

Template = Literal[
    "sdr_welcome",
    "access",
    "instant_access",
    "ce_welcome",
    "connect_code_host",
    "invite_team",
    "learn",
    "usage_check",
    "community",
    "next_steps",
    "inactivity_warning",
    "terminated",
    "disqualified",
    "waitlisted",
    "existing_instance",
    "join_request",
    "feedback",
    "new_link",
    "domain_change",
    "converted",
    "signup_failed",
]


class Mail(Act):
    """One mail from a template. ``sender`` is one of ours (name, e-mail address); ``thread`` is the key of the mail that this one answers.

    ``link`` is the trial whose admin's reset link the mail's share link opens, for ``link_hours``; the mailer makes it, and nobody but ``to``
    gets the mail then. ``copy_of``: it is a copy, without the link, of the mail that went to that address.
    ``campaign``: not sent after the prospect opted out or the trial ended; the receipt then says ``held``.
    """

    do: Literal["mail"] = "mail"
    template: Template
    to: str
    to_name: str = ""
    cc: tuple[str, ...] = ()
    sender: tuple[str, str] | None = None
    thread: str = ""
    link: str = ""
    link_hours: int = 0
    copy_of: str = ""
    campaign: bool = False
    values: dict[str, str] = {}


MailAct = Mail

# --- Batches and receipts ----------------------------------------------------------------------------------------------------------

AnyAct = TypeVar("AnyAct")


class Batch(Message, Generic[AnyAct]):
    """The acts of one moment on one system, for ``subject``, at the workflow's time. Not before, by the real clock: it asked us to wait."""

    subject: str
    as_of: datetime
    acts: tuple[AnyAct, ...]
    not_before: datetime | None = None


class Receipt(Message):
    """What an act left behind: the remote id, and what later steps need of it. Never a secret: those are vault references."""

    ref: str = ""
    data: dict[str, str] = {}


class Receipts(Message):
    """The receipts of a batch by their keys."""

    by_key: dict[str, Receipt]

    def of(self, key: str) -> Receipt:
        """The receipt of one act."""
        return self.by_key[key]


class Moment(Message):
    """The acts of one moment on several systems, which run side by side. A system that has none is empty."""

    subject: str
    as_of: datetime
    slack: tuple[SlackAct, ...] = ()
    github: tuple[GitHubAct, ...] = ()
    salesforce: tuple[SalesforceAct, ...] = ()
    instance: tuple[InstanceAct, ...] = ()
    licensing: tuple[LicenseAct, ...] = ()
    pagerduty: tuple[PagerAct, ...] = ()
    mail: tuple[MailAct, ...] = ()
    vitally: tuple[VitallyAct, ...] = ()
    sheets: tuple[SheetsAct, ...] = ()


class Together(Message):
    """What a moment left behind: receipts of the systems that are done; why the others are left, and when to ask them, if that is known."""

    done: dict[str, Receipts] = {}
    left: dict[str, str] = {}
    not_before: dict[str, datetime] = {}


SlackBatch = Batch[SlackAct]
GitHubBatch = Batch[GitHubAct]
SalesforceBatch = Batch[SalesforceAct]
InstanceBatch = Batch[InstanceAct]
LicenseBatch = Batch[LicenseAct]
PagerBatch = Batch[PagerAct]
MailBatch = Batch[MailAct]
VitallyBatch = Batch[VitallyAct]
SheetsBatch = Batch[SheetsAct]


class AskIssue(Message):
    """Ask what an issue says now."""

    issue: int
