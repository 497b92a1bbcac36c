"""What is done on GitHub: the issues to the Cloud team and the automation (A25); and what an issue says now."""

from typing import Literal

from domain.base import Message, Value
from domain.cloud.issues import Where
from domain.effects.effect import Effect


class RaiseIssue(Effect, words="raise an issue: {title}"):
    """Raise an issue to the Cloud team. ``fields`` become ``name: value`` lines of the body; an unknown value is ``TODO``."""

    title: str
    intro: str
    fields: dict[str, str]
    labels: tuple[str, ...]


class FillField(Effect, words="fill in {field} of #{issue}"):
    """Replace a field's value in the body of an issue of ours (the ``TODO`` of the CE's e-mail)."""

    issue: int
    field: str
    value: str


class Comment(Effect, words="comment on #{issue}"):
    """Comment on an issue."""

    issue: int
    text: str


class CloseIssue(Effect, words="close #{issue}"):
    """Comment the reason and close an issue as not planned (a cancelled request) or completed."""

    issue: int
    reason: Literal["completed", "not_planned"]
    text: str


class Dispatch(Effect, words="start {workflow}"):
    """Start the automation that makes a warm instance of that host (A25)."""

    workflow: str
    inputs: dict[str, str]


class IssueState(Value):
    """What an issue says now; ``host`` is what the Cloud team named last as ready, once the label says so, and ``moved_to`` where it was transferred."""

    number: int
    labels: tuple[str, ...] = ()
    state: Where
    host: str = ""
    reason: str = ""
    moved_to: str = ""


class AskIssue(Message):
    """Ask what an issue says now."""

    issue: int
