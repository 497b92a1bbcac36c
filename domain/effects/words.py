"""The acts in a history's words: what an operator reads beside each activity. No personal data, no secret."""

from __future__ import annotations

from collections.abc import Sequence

from domain import markup
from domain.effects.accounts import CloseProject, KeepDoc, KeepRenewal, KeepRow, OpenProject, ReissueKey, SetAccount, SetTraits
from domain.effects.effect import Act
from domain.effects.models import (
    ArchiveChannel,
    AssignOwner,
    CloseIssue,
    Comment,
    ConvertLead,
    CreateAdmin,
    Dispatch,
    FillField,
    IssueKey,
    KeepLead,
    Mail,
    OpenChannel,
    Page,
    Post,
    RaiseIssue,
    RemoveUser,
    ResetLink,
    ResolvePage,
    SetKey,
    SetLeadStatus,
    UpdateOpportunity,
)


def summary(acts: Sequence[Act]) -> str:
    """The acts of one moment on one system, as long as the server takes it."""
    return markup.summary("; ".join(map(words, acts)))


def counted(number: int, what: str) -> str:
    """A number of things: ``1 day``, ``2 days``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def words(act: Act) -> str:
    """One act."""
    match act:
        case OpenChannel():
            return f"open #{act.name}"
        case Post(task=""):
            return f"tell #{act.channel}: {_plain(act.key)}"
        case Post():
            return f"ask in #{act.channel}: {_plain(act.key)}"
        case ArchiveChannel():
            return f"archive #{act.name}"
        case RaiseIssue():
            return f"raise an issue: {act.title}"
        case FillField():
            return f"fill in {act.field} of #{act.issue}"
        case Comment():
            return f"comment on #{act.issue}"
        case CloseIssue():
            return f"close #{act.issue}"
        case Dispatch():
            return f"start {act.workflow}"
        case KeepLead():
            return "keep the lead"
        case SetLeadStatus():
            return f"lead status {act.sub_status or act.status}"
        case AssignOwner():
            return f"assign to {act.owner_name}"
        case ConvertLead():
            return "convert the lead to an opportunity"
        case UpdateOpportunity():
            return f"set {', '.join(act.fields)}"
        case CreateAdmin():
            return "make the admin"
        case ResetLink():
            return "make a reset link"
        case RemoveUser():
            return "remove the user who never came"
        case SetKey():
            return "set the licence key"
        case IssueKey():
            return f"issue a {act.purpose} key for {act.seats} seats"
        case Page():
            return f"page the Cloud team: {act.summary}"
        case ResolvePage():
            return "resolve the page"
        case Mail():
            return f"mail: {act.template.replace('_', ' ')}"
        case SetAccount():
            return f"set the account's {', '.join(act.fields)}"
        case KeepRenewal():
            return "keep the renewal opportunity"
        case ReissueKey():
            return f"re-issue the key for {act.seats} seats"
        case SetTraits():
            return f"set {', '.join(act.traits)}"
        case KeepDoc():
            return f"write {act.title}"
        case OpenProject():
            return f"open the project {act.name}"
        case CloseProject():
            return f"complete the project: {act.why}"
        case KeepRow():
            return "keep the tracker's row"
        case _:
            return act.key


def _plain(key: str) -> str:
    return key.removeprefix("slack.").removeprefix("task.").replace("_", " ").replace(".", " ")
