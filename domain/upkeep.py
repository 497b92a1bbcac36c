"""What the schedules need: how full the pool is, which instances are missing, and what a copy of the CRM brought."""

import hashlib
from datetime import datetime
from typing import Literal

from domain.base import Message
from domain.messages import ProcessInput
from domain.people import Person
from domain.policy import Policy
from domain.policy.shared import Facts


class UpkeepInput(ProcessInput):
    """What every scheduled workflow is given."""


class AskPool(Message):
    """Ask how full the pool is; ``cap`` is the policy's ``cloud.instance_cap``."""

    cap: int


class PoolLevel(Message):
    """``warm`` are ready, ``pending`` are being made, ``live`` are customers'; ``cap_left`` more may be made.

    ``page`` names the page that is open because the pool is below its floor.
    """

    warm: int
    pending: int
    live: int
    cap_left: int
    pending_hosts: tuple[str, ...] = ()
    page: str = ""


class PoolChange(Message):
    """``expected``: the making of ``host`` is about to start. ``ready``: it can be given away. ``lost``: it was not made, or is broken."""

    subject: str
    as_of: datetime
    host: str
    change: Literal["expected", "ready", "lost"]
    why: str = ""


class AskRuns(Message):
    """Ask what became of dispatched runs. ``requests`` are the refs of ``Dispatch`` receipts."""

    workflow: str
    requests: tuple[str, ...]


class RunStates(Message):
    """``completed``: the conclusion (``success``, ``failure`` …) by request. ``running`` are under way; the others are not to be seen yet."""

    completed: dict[str, str] = {}
    running: tuple[str, ...] = ()


class Reopened(Message):
    """An issue of ours that the Cloud team took up again, by its number; ``workflow`` raised it, ``ce`` and ``ae`` look after the company."""

    issue: int
    workflow: str
    ce: Person | None = None
    ae: Person | None = None


class ReopenedIssues(Message):
    """All that are open again now."""

    issues: tuple[Reopened, ...] = ()


class Absent(Message):
    """A person who can take no work now."""

    id: str
    email: str
    why: str


class CopyAccounts(Message):
    """Copy the CRM's accounts; ``facts`` are the bounds of what can be so."""

    facts: Facts


class AccountSync(Message):
    """What a sync found. ``absent`` are those who left or went out of office since the last one; ``data_errors`` are in words.

    ``left`` are the customers, in words, who became none since the last one; ``customer_errors`` say what is wrong with the others, and
    ``odd`` which of their facts cannot be so, by domain and field (F15).
    """

    as_of: datetime
    people: int
    accounts: int
    customers: int = 0
    left: tuple[str, ...] = ()
    customer_errors: tuple[str, ...] = ()
    odd: dict[str, str] = {}
    absent: tuple[Absent, ...] = ()
    data_errors: tuple[str, ...] = ()


def missing(policy: Policy, coming: int, cap_left: int, seed: str) -> list[str]:
    """The random hosts of the instances to make: up to the target, and never past the cap (A25, A26).

    ``coming`` are warm or being made already; ``seed`` makes the hosts differ from run to run.
    """
    wanted = min(policy.pool.target - coming, cap_left)
    return [f"src-{hashlib.sha256(f'{seed}{n}'.encode()).hexdigest()[:8]}.{policy.cloud.domain_suffix}" for n in range(max(wanted, 0))]
