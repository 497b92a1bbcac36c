"""What people decide about a trial: each message, and what is made of it (:mod:`domain.commands`)."""

from datetime import date
from typing import Annotated

from pydantic import Field

from domain.amounts import Typed
from domain.base import Message
from domain.commands import NAMES_NOBODY, TRIAL, By, ByPerson, Command, Note
from domain.messages import CeRequest
from domain.policy import CarriedPolicy
from domain.rights import ABOVE, ANY, OPS, OWN, SALE, TEAM, Group
from domain.wording import beside

SAID = beside(__file__)
_EVERYBODY = {**SALE, Group.SDR: TEAM, Group.TA: TEAM, Group.OPS: ANY, Group.DESK: ANY}


class Extend(ByPerson):
    """Extend the trial by ``days`` (None: the policy's length for its origin). ``again``: although it was extended in this period already."""

    days: Typed | None = Field(default=None, description="How many days; the policy's length when not given.")
    reason: Note = Field(default="", description="Why, for the record.")
    again: bool = Field(default=False, description="Although somebody has extended it in this period already.")


class Convert(ByPerson):
    """Convert the trial to a paid instance: ``seats`` bought, until ``contract_end``."""

    seats: Typed | None = Field(default=None, description="Seats bought.")
    contract_end: date | None = Field(default=None, description="When the contract ends.")
    note: Note = ""


class Terminate(ByPerson):
    """End the trial now. ``feedback`` asks the growth role to send the feedback mail (A18)."""

    reason: Note = Field(default="", description="Why, for the record.")
    feedback: bool = Field(default=False, description="Ask for the prospect's feedback.")


class RequestFeedback(ByPerson):
    """The CE asks for the feedback mail of an unsuccessful trial (A18)."""


class ChangeDomain(ByPerson):
    """Move the instance from its random host to ``new_host`` (A20)."""

    new_host: Annotated[str, NAMES_NOBODY] = Field(default="", max_length=253, description="The instance's new host.")


class CorrectAdmin(ByPerson):
    """The address of the initial admin is wrong: it is ``email`` from now on, at the same company (C17)."""

    email: str = Field(default="", max_length=254, description="The right address, at the same company.")


class NewLink(ByPerson):
    """The admin missed the window: mail a new link to set the password (C17). ``to``: only if that is the admin's address."""

    to: str = Field(default="", description="Only if this is the administrator's address.")


class OptOut(ByPerson):
    """The prospect wants no more onboarding mail."""


class AdoptPolicy(Message):
    """Go on by another policy. ``by`` is who says so, ``why`` one sentence."""

    by: By
    policy: CarriedPolicy
    why: Note = ""


# It starts a trial: a form of its own reads the prospect's address.
REQUEST = Command("request", TRIAL, CeRequest, rights={Group.CE: OWN, **ABOVE}, offered=False, twin=False, **SAID["request"])
EXTEND = Command("extend", TRIAL, Extend, rights=SALE, **SAID["extend"])
CONVERT = Command("convert", TRIAL, Convert, rights=SALE, **SAID["convert"])
TERMINATE = Command("terminate", TRIAL, Terminate, rights=SALE, **SAID["terminate"])
REQUEST_FEEDBACK = Command("request_feedback", TRIAL, RequestFeedback, rights={**SALE, Group.SDR: TEAM}, **SAID["request_feedback"])
CHANGE_DOMAIN = Command("change_domain", TRIAL, ChangeDomain, rights={**SALE, Group.TA: TEAM, Group.OPS: ANY}, **SAID["change_domain"])
CORRECT_ADMIN = Command("correct_admin", TRIAL, CorrectAdmin, rights={**SALE, Group.OPS: ANY}, **SAID["correct_admin"])
NEW_LINK = Command("new_link", TRIAL, NewLink, rights=_EVERYBODY, **SAID["new_link"])
OPT_OUT = Command("opt_out", TRIAL, OptOut, rights=_EVERYBODY, **SAID["opt_out"])
# `tenure policy adopt` shows first what would change, for every trial.
ADOPT_POLICY = Command("adopt_policy", TRIAL, AdoptPolicy, rights=OPS, offered=False, twin=False, **SAID["adopt_policy"])
