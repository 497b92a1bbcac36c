"""What a trial is: its stages, and everything it remembers in one model."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from domain.base import Message
from domain.decision import Decision, Flag
from domain.messages import Case, CeRequest, Contact, Origin, ProcessInput, Signup, Usage
from domain.people import Owners
from domain.trial.commands import Convert, Extend, Terminate
from domain.views import ProcessState

End = Literal["redirected", "disqualified", "denied", "moved", "terminated", "converted", "abandoned"]


#: Where a trial stands.
Stage = StrEnum(
    "Stage",
    "SIGNUP TRIAGE APPROVAL WAITLISTED PROVISIONING HAND_OFF ONBOARDING EXTENDED DECIDING TEARDOWN CONVERTING REDIRECTED "
    "DISQUALIFIED DENIED MOVED TERMINATED CONVERTED ABANDONED",
)


#: Stages in which a person's decision may still be taken.
OPEN_TO_TERMINATE = frozenset(
    {Stage.TRIAGE, Stage.APPROVAL, Stage.WAITLISTED, Stage.PROVISIONING, Stage.HAND_OFF, Stage.ONBOARDING, Stage.EXTENDED}
)
OPEN_TO_DECIDE = frozenset({Stage.ONBOARDING, Stage.EXTENDED})
OPEN_TO_CORRECT = OPEN_TO_TERMINATE | {Stage.DECIDING}


class Verdict(Message):
    """A decision that has been taken and not yet been carried out, with what it needs."""

    decision: Decision
    extend: Extend | None = None
    convert: Convert | None = None
    terminate: Terminate | None = None


class Extension(Message):
    """The last extension: who decided it (empty: the policy) and when, and when the trial ended before and ends now."""

    by: str = ""
    at: datetime
    before: datetime
    until: datetime


class TrialState(ProcessState):
    """Everything a trial remembers: one argument of continue-as-new. ``keys`` counts its own keys; ``key_until`` is when the one in use ends.

    ``full``: the last claim found the cap reached (A26). ``named_domain`` is the company that an SDR found behind a free-mail address.
    ``active``: what day 15 made of the usage. ``claim_held``: somebody else has asked for an instance whose claim is not confirmed.
    ``taken_hosts`` were named as ready, and are other companies'. ``ended_by`` is the decision that ended it.
    """

    stage: Stage = Stage.SIGNUP
    case: Case | None = None
    flags: tuple[Flag, ...] = ()
    full: bool = False
    named_domain: str = ""
    contact: Contact | None = None
    company: str = ""
    signed_up_at: datetime | None = None
    signup: Signup | None = None
    request: CeRequest | None = None
    owners: Owners = Owners()
    appointed: dict[str, str] = {}
    host: str = ""
    internal_host: str = ""
    instance_live: bool = False
    request_issue: int = 0
    issues: dict[str, int] = {}
    ready_host: str = ""
    taken_hosts: list[str] = []
    provisioning_due: datetime | None = None
    channel: str = ""
    alert: str = "slack.alert"
    started_at: datetime | None = None
    ends_at: datetime | None = None
    total_days: int = 0
    period: int = 0
    extended: Extension | None = None
    key_until: datetime | None = None
    keys: int = 0
    done: list[str] = []
    usage: Usage | None = None
    active: bool | None = None
    activated_at: datetime | None = None
    opted_out: bool = False
    feedback: Literal["", "wanted", "sent"] = ""
    capacity_freed: bool = False
    links: int = 0
    admin: str = ""
    former_admins: list[str] = []
    openings: int = 0
    claims: int = 1
    claimed_at: datetime | None = None
    claim_held: bool = False
    confirmed_at: datetime | None = None
    waiting_signups: list[Signup] = []
    verdict: Verdict | None = None
    ended_by: Decision | None = None
    end: End | None = None

    def deadline_in(self, days: int) -> datetime:
        """The trial's start plus so many days; only a started trial has deadlines."""
        if self.started_at is None:
            raise ValueError("the trial has not started")
        return self.started_at + timedelta(days=days)


class TrialInput(ProcessInput):
    """How a trial starts. ``waiting`` are signups that came while the last instance of the domain was torn down."""

    domain: str
    origin: Origin = "self_serve"
    waiting: tuple[Signup, ...] = ()
    cycle: int = 1


class TrialResult(Message):
    """What became of a trial."""

    domain: str
    case: str
    end: End
    host: str = ""
