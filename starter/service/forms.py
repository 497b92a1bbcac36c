"""What the ways in take and give, as models: the same for the web, the API and the command line.

Bounds stand here so that a workflow is never started with an input that its own models refuse.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from domain import names
from domain.amounts import MOST_SEATS, Typed
from domain.base import Value
from domain.decision import Decision
from domain.views import NextStep, TaskView, TrialStatus
from starter.service.events import new_event


def _a_name(text: str, info: ValidationInfo) -> str:
    """A name that the public gives, tidy; the model's ``email``, which stands before it, says whose it is."""
    name = names.tidy(text)
    if why := names.fault(name, str(info.data.get("email", ""))):
        raise ValueError(why)
    return name


def _given(name: str) -> str:
    if not name:
        raise ValueError("Enter the company.")
    return name


#: Of a person or a company. It ends in mails, channels and other systems, some of which are others'.
Name = Annotated[str, AfterValidator(_a_name), Field(json_schema_extra={"maxLength": names.LONGEST})]
GivenName = Annotated[Name, AfterValidator(_given), Field(json_schema_extra={"minLength": 1})]
Email = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
EventId = Annotated[str, StringConstraints(max_length=200, pattern=r"^[\x21-\x7e]+$")]
Via = Literal["web", "api", "cli", "rescue"]


class SignupForm(Value):
    """A submitted signup form (A3)."""

    email: Email
    first_name: Name = ""
    last_name: Name = ""
    company: Name = ""
    via: Via = "web"
    event_id: EventId = Field(default_factory=new_event)


class TrialRequestForm(Value):
    """A CE asks for a trial sized to need (A28). ``email`` is the prospect's, ``ce`` the CE's own."""

    email: Email
    first_name: Name = ""
    last_name: Name = ""
    company: GivenName
    ce: Email
    size: Literal["small", "medium", "large"] = "small"
    seats: Typed = Field(default=100, ge=1, le=MOST_SEATS)
    success_criteria: str = Field(default="", max_length=2_000)
    standard: bool = True
    event_id: EventId = Field(default_factory=new_event)


class JoinForm(Value):
    """A person of a company with an instance is blocked and asks for an invitation (A22)."""

    email: Email
    first_name: Name = ""
    last_name: Name = ""
    via: Literal["signup", "ticket"] = "ticket"
    event_id: EventId = Field(default_factory=new_event)


class TrialRow(Value):
    """One trial in a list, from the search attributes alone. ``due_at`` is when its earliest open task is due."""

    domain: str
    workflow: str
    run: str
    stage: str = ""
    owner: str = ""
    due_at: datetime | None = None
    open: bool
    status: str
    started_at: datetime
    closed_at: datetime | None = None


class TrialPage(Value):
    """One page of trials, newest first. ``counts`` are all trials by status (``running``, ``completed`` …); ``next_page`` is empty at the end."""

    rows: tuple[TrialRow, ...]
    counts: dict[str, int]
    next_page: str = ""


class TrialView(Value):
    """Everything that a person wants to know of one trial. A closed one answers too, without next steps and tasks.

    ``at`` is the trial's own time, which on a local stack may run ahead.
    """

    workflow: str
    run: str
    open: bool
    at: datetime
    status: TrialStatus
    next_steps: tuple[NextStep, ...] = ()
    dossier: tuple[Decision, ...] = ()
    tasks: tuple[TaskView, ...] = ()
