"""The policy: every figure, with its unit and its handbook id, read from ``domain/policy.toml``; see :func:`load` and :func:`load_accounts`.

One file, two policies: a workflow is given the one of its kind at start, a trial :class:`Policy`, an account and its renewals
:class:`AccountPolicy`, and keeps it; the ``hash`` names the policy in every decision.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from domain.base import Value
from domain.policy import account as accounts
from domain.policy import trial as trials
from domain.policy.file import DEFAULT, Entry, PolicyError, entries, read
from domain.policy.shared import Facts, Licenses, Office, Tasks

__all__ = ["DEFAULT", "Entry", "PolicyError", "entries"]  # of the file


class AnyPolicy(Value):
    """What a process decides by; here what every policy has: when the office is open, what can be so, how long people may take, and how long keys are good."""

    office: Office
    facts: Facts
    tasks: Tasks
    license: Licenses

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 over the canonical JSON: which policy decided.

        Not cached: a copy with other figures would take the old hash along.
        """
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class Policy(AnyPolicy):
    """All figures of a trial. Attribute paths equal the file's: ``policy.trial.d15.mode`` is ``[trial.d15] mode``."""

    routing: trials.Routing
    cloud: trials.Cloud
    pool: trials.Pool
    triage: trials.Triage
    qualification: trials.Qualification
    provisioning: trials.Provisioning
    handoff: trials.Handoff
    assignment: trials.Assignment
    trial: trials.TrialPolicy
    onboarding: trials.Onboarding
    activation: trials.Activation
    termination: trials.Termination

    @property
    def generic_key_life(self) -> timedelta:
        """How long a generic key lives at least: one handed out on its cohort's last day must cover a whole trial (C01)."""
        return timedelta(days=self.trial.key_covers_days + self.license.generic.rotation_days)


class AccountPolicy(AnyPolicy):
    """All figures of an account after the sale, its renewals and its plans."""

    health: accounts.Health
    lifecycle: accounts.Lifecycle
    get_well: accounts.GetWell
    renewal: accounts.Renewals
    lighthouse: accounts.Lighthouse
    red: accounts.Red
    forecast: accounts.Forecasts


class _Whole(Policy, AccountPolicy):
    """The whole file."""


def parse(text: str, name: str = "policy.toml") -> tuple[Policy, AccountPolicy]:
    """Both policies of a whole file's text; ``name`` stands in the errors. Raises :class:`PolicyError` naming each wrong entry with its line."""
    whole = read(text, name, _Whole).model_dump()
    return Policy.model_validate(whole), AccountPolicy.model_validate(whole)


def load(path: Path = DEFAULT) -> Policy:
    """The figures of trials in a file. Raises :class:`PolicyError`."""
    return parse(path.read_text(encoding="utf-8"), str(path))[0]


def load_accounts(path: Path = DEFAULT) -> AccountPolicy:
    """The same file's figures of accounts. Raises :class:`PolicyError`."""
    return parse(path.read_text(encoding="utf-8"), str(path))[1]


#: The policies that ship with Tenure.
default, default_accounts = cache(load), cache(load_accounts)


def _carried(shipped: Callable[[], AnyPolicy]) -> BeforeValidator:
    """A policy that a message carries may be of another version: an entry that it lacks is the shipped one's, one too many is dropped."""
    return BeforeValidator(lambda raw: _over(shipped().model_dump(), raw) if isinstance(raw, dict) else raw)


def _over(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _over(value, theirs[name]) if isinstance(value, dict) and isinstance(theirs.get(name), dict) else theirs.get(name, value)
        for name, value in ours.items()
    }


#: A policy as a workflow's input carries it for months.
CarriedPolicy = Annotated[Policy, _carried(default)]
CarriedAccountPolicy = Annotated[AccountPolicy, _carried(default_accounts)]
