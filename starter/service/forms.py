"""What the ways in take, as models: the same for the web, the API and the command line; and the ids of clicks and requests.

Bounds stand here so that a workflow is never started with an input that its own models refuse. Addresses are read as
:mod:`domain.addresses` reads them: its faults are the user's here, a :class:`BadInput` on their field.
"""

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from domain import addresses, ids, names
from domain.amounts import MOST_SEATS, Typed
from domain.base import Value
from domain.messages import Contact
from domain.policy.trial import Routing
from starter.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")
_FREE_TRIAL = re.compile(r"trial-free-[0-9a-f]{12}")


def new_event() -> str:
    """A fresh id for one click; sent again with the same id, the same click has no second effect."""
    return str(uuid.uuid4())


def event_id(key: bytes, given: str, *space: str) -> str:
    """The id of a request to which its sender gave the id ``given`` within ``space``; a fresh one when they gave none.

    A caller may name an id (``Idempotency-Key``, a form's hidden field, ``--event-id``), so that what is sent again has no second effect:
    each entry point, caller and action has a space of its own. What a workflow and the audit get is made of it with our secret key, so
    that nobody can guess, or take beforehand, the id of another's request.
    """
    if not given:
        return new_event()
    return hmac.digest(key, json.dumps(["event", *space, given]).encode(), hashlib.sha256).hex()[:40]


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


class Newcomer(Value):
    """Somebody outside, as they type themselves in."""

    email: Email
    first_name: Name = ""
    last_name: Name = ""


class TrialRequest(Newcomer):
    """What a CE asks for: a trial sized to need (A28). ``email`` is the prospect's, ``ce`` the CE's own."""

    email: Email = Field(max_length=2_000, description="The prospect who will be the instance's administrator.")
    company: GivenName
    ce: Email = Field(max_length=254, description="The CE's own address.")
    size: Literal["small", "medium", "large"] = "small"
    seats: Typed = Field(default=100, ge=1, le=MOST_SEATS)
    success_criteria: str = Field(default="", max_length=2_000)
    standard: bool = Field(default=True, description="False when the deployment differs from the usual and a technical review comes first.")


class Form(Newcomer):
    """What each form has besides: the id of this very click."""

    event_id: EventId = Field(default_factory=new_event)

    def contact(self, email: str) -> Contact:
        """The person, at the address that was made of theirs."""
        return Contact(email=email, first_name=self.first_name, last_name=self.last_name)


class SignupForm(Form):
    """A submitted signup form (A3)."""

    company: Name = ""
    via: Via = "web"


class TrialRequestForm(Form, TrialRequest):
    """A CE's request, as one click."""


class JoinForm(Form):
    """A person of a company with an instance is blocked and asks for an invitation (A22)."""

    via: Literal["signup", "ticket"] = "ticket"


def _typed(read: Callable[P, T]) -> Callable[P, T]:
    @wraps(read)
    def reads(*args: P.args, **named: P.kwargs) -> T:
        try:
            return read(*args, **named)
        except addresses.BadAddress as error:
            raise BadInput(error.detail, error.do, field=error.field) from None

    return reads


read_address = _typed(addresses.read_address)
checked_address = _typed(addresses.checked_address)
read_key = _typed(addresses.read_key)
read_company = _typed(addresses.read_company)


def read_trial(text: str, routing: Routing) -> str:
    """The workflow id of the trial that a person named; the id of a free-mail trial stands for itself, since it hides the address."""
    named = text.strip()
    return named if _FREE_TRIAL.fullmatch(named) else ids.trial(read_key(named, routing))
