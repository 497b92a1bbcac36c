"""What people decide about a trial: each message, and what is made of it (:mod:`domain.commands`)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from domain.amounts import Typed
from domain.base import Message
from domain.commands import NAMES_NOBODY, TRIAL, By, ByPerson, Command, Note
from domain.messages import CeRequest
from domain.policy import CarriedPolicy
from domain.rights import ANY, OPS, OWN, SALE, TEAM, Group

_CE = "ce.one@tenure.example"
_EVERYBODY_BESIDE = {Group.SDR: TEAM, Group.TA: TEAM, Group.OPS: ANY, Group.DESK: ANY}


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


REQUEST = Command(
    "request",
    TRIAL,
    CeRequest,
    words="request a trial",
    handbook="A28",
    rights={Group.CE: OWN, Group.MANAGER: TEAM, Group.LEADERSHIP: ANY},
    offered=False,  # it starts a trial: a form of its own reads the prospect's address
    twin=False,
)
EXTEND = Command(
    "extend",
    TRIAL,
    Extend,
    words="extend a trial",
    handbook="A15",
    rights=SALE,
    summary="Extend the trial",
    doc="Moves the deadline. A new licence key is made only when the whole trial gets longer than the shared key covers (A15).",
    example={"by": _CE, "days": 15, "reason": "the pilot team starts next week"},
)
CONVERT = Command(
    "convert",
    TRIAL,
    Convert,
    words="convert a trial",
    handbook="A17",
    rights=SALE,
    summary="Convert the trial to a paid instance",
    doc="Asks the Cloud team to make it a production instance; once it is one, its key is made and the trial ends as converted (A17).",
    example={"by": _CE, "seats": 250, "contract_end": "2027-06-30"},
)
TERMINATE = Command(
    "terminate",
    TRIAL,
    Terminate,
    words="terminate a trial",
    handbook="A16",
    rights=SALE,
    summary="End the trial now",
    doc="Raises the teardown issue, tells the prospect, and gives back capacity and domain (A16). It cannot be undone.",
    example={"by": _CE, "reason": "they chose to host it themselves", "feedback": True},
)
REQUEST_FEEDBACK = Command(
    "request_feedback",
    TRIAL,
    RequestFeedback,
    words="ask a prospect for feedback",
    handbook="A18",
    rights={**SALE, Group.SDR: TEAM},
    summary="Ask the prospect for feedback",
    doc="Has the feedback mail of an unsuccessful trial sent (A18).",
    example={"by": _CE},
    line="trial feedback",
)
CHANGE_DOMAIN = Command(
    "change_domain",
    TRIAL,
    ChangeDomain,
    words="move an instance to another host",
    handbook="A20",
    rights={**SALE, Group.TA: TEAM, Group.OPS: ANY},
    summary="Move the instance to another host",
    doc="The administrator is told what breaks and asked to agree before anything moves (A20).",
    example={"by": _CE, "new_host": "acme.cloud.tenure.example"},
    takes=("new_host",),
    needs=("new_host",),
)
CORRECT_ADMIN = Command(
    "correct_admin",
    TRIAL,
    CorrectAdmin,
    words="correct the administrator's address",
    handbook="C17",
    rights={**SALE, Group.OPS: ANY},
    summary="Correct the administrator's address",
    doc="The mails, and the instance's administrator, follow; the wrong address is no administrator's any more (C17).",
    example={"by": _CE, "email": "dana.reyes@acme.com"},
    takes=("email",),
    needs=("email",),
)
NEW_LINK = Command(
    "new_link",
    TRIAL,
    NewLink,
    words="send the administrator a new link",
    handbook="C17",
    rights={**SALE, **_EVERYBODY_BESIDE},
    summary="Mail the administrator a new link",
    doc="Mails the administrator a new link; an earlier one works until one of them is opened (C17).",
    example={"by": _CE},
    unasked=("to",),
)
OPT_OUT = Command(
    "opt_out",
    TRIAL,
    OptOut,
    words="stop the onboarding mails",
    handbook="A11",
    rights={**SALE, **_EVERYBODY_BESIDE},
    summary="Stop the onboarding mails",
    doc="The prospect gets no more onboarding mail (A11); what the trial must tell them is mailed all the same.",
    example={"by": _CE},
)
ADOPT_POLICY = Command(
    "adopt_policy",
    TRIAL,
    AdoptPolicy,
    words="move running processes to another policy",
    rights=OPS,
    offered=False,  # `tenure policy adopt` shows first what would change, for every trial
    twin=False,
)
