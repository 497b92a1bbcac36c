"""What people decide about a renewal: each message, and what is made of it (:mod:`domain.commands`)."""

from datetime import date
from typing import Literal

from pydantic import ConfigDict, Field

from domain.account.account import Outcome, Rating
from domain.amounts import MOST_DOLLARS, Typed
from domain.base import Message
from domain.commands import RENEWAL, By, Command, Note
from domain.rights import ABOVE, OWN, TEAM, Group
from domain.wording import beside

SAID = beside(__file__)
_AE = {Group.AE: TEAM, **ABOVE}


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


FORECAST = Command("forecast", RENEWAL, ProjectOutcome, rights={Group.AE: OWN, Group.TA: OWN, **ABOVE}, **SAID["forecast"])
ASSESS = Command("assess", RENEWAL, AssessRenewal, rights=ABOVE, **SAID["assess"])
MOVE = Command("move", RENEWAL, MoveRenewal, rights=_AE, **SAID["move"])
CANCEL = Command("cancel", RENEWAL, CancelRenewal, rights=_AE, **SAID["cancel"])
