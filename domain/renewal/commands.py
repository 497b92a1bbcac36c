"""What people decide about a renewal: each message, and what is made of it (:mod:`domain.commands`)."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import ConfigDict, Field

from domain.account.account import Outcome, Rating
from domain.amounts import MOST_DOLLARS, Typed
from domain.base import Message
from domain.commands import RENEWAL, By, Command, Note
from domain.rights import ANY, OWN, TEAM, Group

_AE, _AE_MANAGER = "ae.one@tenure.example", "ae.manager@tenure.example"
_AE_AND_ABOVE = {Group.AE: TEAM, Group.MANAGER: TEAM, Group.LEADERSHIP: ANY}


class ProjectOutcome(Message):
    """The update ``forecast``: what the AE, or the TA (``as``), expects; ``amount`` is the ARR after the renewal. The AE's word counts."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    by: By
    outcome: Outcome = Field(description="full_churn, partial_churn, flat or incremental.")
    amount: Typed | None = Field(default=None, ge=0, le=MOST_DOLLARS, description="The ARR after the renewal, in dollars.")
    note: Note = ""
    role: Literal["ae", "ta"] = Field(default="ae", alias="as", description="ae or ta: whose view it is. The AE's counts.")


class AssessRenewal(Message):
    """The update ``assess``: a manager rates by hand, which may bring the account into Lighthouse at any time (D27)."""

    by: By
    rating: Rating = Field(description="green, yellow or red.")
    why: Note = Field(description="Why, for the record.")


class MoveRenewal(Message):
    """The update ``move``: the term ends on another day."""

    by: By
    renewal_on: date = Field(description="When the term ends now.")
    reason: Note = Field(default="", description="Why, for the record.")


class CancelRenewal(Message):
    """The update ``cancel``: there is nothing to renew any more. ``note`` says why, or into which account it was merged."""

    why: Literal["churned_early", "merged"] = Field(description="churned_early or merged.")
    note: Note = Field(default="", description="What happened, or into which account it was merged.")
    by: By = ""


FORECAST = Command(
    "forecast",
    RENEWAL,
    ProjectOutcome,
    words="forecast a renewal",
    handbook="D28, D29",
    rights={Group.AE: OWN, Group.TA: OWN, Group.MANAGER: TEAM, Group.LEADERSHIP: ANY},
    summary="Say what is expected of a renewal",
    doc="The AE's word counts; the TA's stands beside it (D28, D29).",
    example={"by": _AE, "outcome": "incremental", "amount": 140_000, "note": "a second team starts in spring", "as": "ae"},
)
ASSESS = Command(
    "assess",
    RENEWAL,
    AssessRenewal,
    words="rate a renewal by hand",
    handbook="D27",
    rights={Group.MANAGER: TEAM, Group.LEADERSHIP: ANY},
    summary="Rate a renewal by hand, as a manager",
    doc="Yellow and red enter Lighthouse (D27).",
    example={"by": _AE_MANAGER, "rating": "yellow", "why": "the sponsor changed teams"},
)
MOVE = Command(
    "move",
    RENEWAL,
    MoveRenewal,
    words="move a renewal's date",
    handbook="gap 9",
    rights=_AE_AND_ABOVE,
    summary="Move a renewal's date",
    doc="Everything ahead is re-armed by the new one.",
    example={"by": _AE, "renewal_on": "2027-09-30", "reason": "co-termed with their other contract"},
    takes=("renewal_on",),
)
CANCEL = Command(
    "cancel",
    RENEWAL,
    CancelRenewal,
    words="end a renewal that there is nothing of to renew",
    handbook="D30",
    rights=_AE_AND_ABOVE,
    summary="End a renewal that there is nothing of to renew",
    doc="The account churned early, or was merged into another. It cannot be undone.",
    example={"by": _AE, "why": "merged", "note": "into globex.com"},
)
