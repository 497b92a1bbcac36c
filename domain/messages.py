"""What people and systems send to a workflow: one model per message, every later field with a default."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue, field_validator

from domain.amounts import MOST_SEATS, Typed
from domain.base import Message, Value
from domain.cloud.issues import Where
from domain.people import Person
from domain.policy import CarriedPolicy

Origin = Literal["self_serve", "ce_requested"]


class Case(StrEnum):
    """What a signup is (A3), by the handbook's numbers."""

    HAS_INSTANCE = "1"
    NAMED = "2.1"
    PREQUALIFIED = "2.2"
    NOT_PREQUALIFIED = "3"
    FREE_MAIL = "free_mail"
    CE_REQUESTED = "ce_requested"


#: Cases that get an instance at once, and those that an SDR triages.
INSTANT, TRIAGED = (Case.NAMED, Case.PREQUALIFIED), (Case.NOT_PREQUALIFIED, Case.FREE_MAIL)


class Contact(Message):
    """A person at the customer's."""

    email: str = Field(max_length=254)
    first_name: str = Field(default="", max_length=100)
    last_name: str = Field(default="", max_length=100)

    @property
    def name(self) -> str:
        """The full name, or what stands before the @."""
        return f"{self.first_name} {self.last_name}".strip() or self.email.partition("@")[0]


class Account(Message):
    """What the CRM knows of a company, as the ledger's copy has it. Ids are CRM user ids."""

    id: str = ""
    domain: str
    name: str
    named: bool = False
    prequalified: bool = False
    named_sdr: str | None = None
    ae: str | None = None
    ce: str | None = None


class CompanyInstance(Message):
    """An instance that a company has, as the registry says; ``admin`` is the initial admin's e-mail address, ``subject`` who claimed it.

    ``confirmed``: the admin has opened the link in their mail, so that they read the mail of that address.
    """

    host: str
    kind: Literal["trial", "production", "reserved"] = "trial"
    admin: str = ""
    subject: str = ""
    confirmed: bool = True


class Signup(Message):
    """A submitted signup form (A3), with the facts that the starter read from the ledger at ``at``."""

    contact: Contact
    company: str = Field(default="", max_length=200)
    at: datetime
    account: Account | None = None
    account_as_of: datetime | None = None
    instance: CompanyInstance | None = None
    via: Literal["web", "api", "cli", "rescue", "free_mail"] = "web"


class SignupAnswer(Message):
    """What becomes of a signup: the routing case, in words for the prospect, and the host when there is one."""

    domain: str
    trial: str
    case: Case
    outcome: Literal["redirected", "instant", "building", "triage", "waitlisted", "after_teardown", "unconfirmed"]
    host: str = ""
    message: str


class SignupAgain(Message):
    """A signup that a process makes on a person's behalf (A3 re-entered); ``event`` makes it one signup, however often it is tried."""

    domain: str
    contact: Contact
    company: str = ""
    event: str
    via: Literal["rescue", "free_mail"]


class CeRequest(Message):
    """A CE asks for a cloud trial sized to need (A28). ``ce`` is the CE's e-mail address."""

    contact: Contact
    company: str = Field(min_length=1, max_length=200)
    ce: str = Field(min_length=3, max_length=254)
    size: Literal["small", "medium", "large"] = "small"
    seats: Typed = Field(default=100, ge=1, le=MOST_SEATS)
    success_criteria: str = Field(default="", max_length=2_000)
    standard: bool = True
    at: datetime
    account: Account | None = None


class OpenLink(Message):
    """The link in a mail to ``by`` was opened: confirm the claim, and make a reset link on the instance."""

    by: str = ""


class JoinAsk(Message):
    """A person of the domain is blocked and asks for an invitation (A22)."""

    contact: Contact
    via: Literal["signup", "ticket"] = "ticket"


class IssueEvent(Message):
    """What happened to one of our issues, from the webhook: labels after the event, and the host that the Cloud team named.

    Whoever is told looks at the issue itself before believing any of it.
    """

    issue: int
    action: str = ""
    labels: tuple[str, ...] = ()
    state: Where = "open"
    host: str = ""
    reason: str = ""


class ProcessInput(Message):
    """What every process around trials is given."""

    policy: CarriedPolicy
    alerts_channel: str = "cloud-trial-alerts"


class JoinInput(ProcessInput):
    """A person wants in, and the instance's admin must know (A22, C15). ``backup`` and ``manager`` are asked when nobody answers."""

    domain: str
    contact: Contact
    host: str
    admin: str
    via: Literal["signup", "ticket"] = "signup"
    ae: Person | None = None
    backup: str = ""
    manager: str = ""


class JoinNotice(Message):
    """Somebody asks to join an instance: who, and whom to tell now."""

    email: str
    host: str
    admin: str


class JoinDigestInput(ProcessInput):
    """Who wants to join, for the instance's admin (A22). ``not_before``: no mail goes to the admin earlier, since one went.

    ``more``: how many asked besides ``who``.
    """

    domain: str
    host: str
    admin: str
    who: tuple[str, ...] = ()
    more: int = 0
    not_before: datetime | None = None
    sent: int = 0


class RescueInput(ProcessInput):
    """A signup that the form failed to take (A21); ``error`` says what went wrong."""

    contact: Contact
    company: str = ""
    error: str = ""
    at: datetime
    support_email: str = "support@tenure.example"


class DomainChangeInput(ProcessInput):
    """The instance of a domain moves from ``host`` to ``new_host`` (A20); ``internal_host`` is its name below our own domain, which it keeps."""

    domain: str
    host: str
    internal_host: str = ""
    new_host: str
    contact: Contact
    by: str = ""
    ce: Person | None = None
    ae: Person | None = None
    company: str = ""
    channel: str
    trial: str


class LateWordInput(ProcessInput):
    """An issue was reopened after the workflow that raised it had ended."""

    workflow: str
    issue: int
    ce: Person | None = None
    ae: Person | None = None


class Beginning(Message):
    """A process that is to begin beside the one that asks for it. ``once``: not if one of that id has ever run."""

    kind: str
    id: str
    input: dict[str, JsonValue]
    account: str = ""
    summary: str
    once: bool = False


class AskUsage(Message):
    """Ask an instance about its use. ``admin`` is the initial admin's address, which is no joiner, and ``former`` are those it was by mistake."""

    host: str
    admin: str
    former: tuple[str, ...] = ()
    as_of: datetime


class Usage(Value):
    """What an instance says about its use. Operators are not counted; ``joiners`` are users besides the initial admin."""

    as_of: datetime
    code_hosts: int = 0
    joiners: int = 0
    last_active_at: datetime | None = None
    searches: int = 0
    result_views: int = 0
    sso: bool = False

    @field_validator("code_hosts", "joiners", "searches", "result_views")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError("counts cannot be negative")
        return value
