"""The policy: every figure, with its unit and its handbook id, read from ``policy.toml``; see :func:`load` and :func:`load_accounts`.

One file, two policies: a workflow is given the one of its kind at start, a trial :class:`Policy`, an account and its renewals
:class:`AccountPolicy`, and keeps it; the ``hash`` names the policy in every decision.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, get_args

from pydantic import BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from domain.base import Value
from domain.policy_sections import (
    Activation,
    Assignment,
    Cloud,
    Facts,
    Handoff,
    Licenses,
    Office,
    Onboarding,
    Pool,
    Provisioning,
    Qualification,
    Routing,
    Tasks,
    Termination,
    Triage,
    TrialPolicy,
    Unit,
)
from domain.policy_sections_accounts import Forecast, GetWell, Health, Lifecycle, Lighthouse, Red, Renewals

Kind = TypeVar("Kind", bound=Value)

DEFAULT = Path(__file__).with_name("policy.toml")


class Officed(Protocol):
    """What every policy has: when the office is open, and how long people may take."""

    @property
    def office(self) -> Office:
        """When somebody is at work."""

    @property
    def tasks(self) -> Tasks:
        """When the next one is asked."""


class Policy(Value):
    """All figures of a trial. Attribute paths equal the file's: ``policy.trial.d15.mode`` is ``[trial.d15] mode``."""

    routing: Routing
    cloud: Cloud
    pool: Pool
    office: Office
    facts: Facts
    tasks: Tasks
    triage: Triage
    qualification: Qualification
    provisioning: Provisioning
    handoff: Handoff
    assignment: Assignment
    trial: TrialPolicy
    onboarding: Onboarding
    activation: Activation
    termination: Termination
    license: Licenses

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 over the canonical JSON: which policy decided.

        Not cached: a copy with other figures would take the old hash along.
        """
        return _hash(self)

    @property
    def generic_key_life(self) -> timedelta:
        """How long a generic key lives at least: one handed out on its cohort's last day must cover a whole trial (C01)."""
        return timedelta(days=self.trial.key_covers_days + self.license.generic.rotation_days)


class AccountPolicy(Value):
    """All figures of an account after the sale, its renewals and its plans."""

    office: Office
    facts: Facts
    tasks: Tasks
    license: Licenses
    health: Health
    lifecycle: Lifecycle
    get_well: GetWell
    renewal: Renewals
    lighthouse: Lighthouse
    red: Red
    forecast: Forecast

    @property
    def hash(self) -> str:
        """As :attr:`Policy.hash`."""
        return _hash(self)


def _hash(policy: Value) -> str:
    return hashlib.sha256(policy.model_dump_json().encode()).hexdigest()[:12]


def _carried(raw: object) -> object:
    """A policy that a message carries may be of another version: an entry that it lacks is the shipped one's, one too many is dropped."""
    return _over(default().model_dump(), raw) if isinstance(raw, dict) else raw


def _carried_accounts(raw: object) -> object:
    return _over(default_accounts().model_dump(), raw) if isinstance(raw, dict) else raw


def _over(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _over(value, theirs[name]) if isinstance(value, dict) and isinstance(theirs.get(name), dict) else theirs.get(name, value)
        for name, value in ours.items()
    }


#: A policy as a workflow's input carries it for months.
CarriedPolicy = Annotated[Policy, BeforeValidator(_carried)]
CarriedAccountPolicy = Annotated[AccountPolicy, BeforeValidator(_carried_accounts)]


class PolicyError(ValueError):
    """The policy file is wrong; the message names every entry at fault, with its line."""


@dataclass(frozen=True)
class Entry:
    """One line of the file: its dotted path, value, unit, handbook id and line number."""

    path: str
    value: Any
    unit: str
    id: str
    line: int


def load(path: Path = DEFAULT) -> Policy:
    """Read and check a policy file. Raises :class:`PolicyError` naming each wrong entry with its line."""
    return parse(path.read_text(encoding="utf-8"), str(path))


def load_accounts(path: Path = DEFAULT) -> AccountPolicy:
    """The same file's figures of an account. Raises :class:`PolicyError` as :func:`load` does."""
    return _parse(path.read_text(encoding="utf-8"), str(path))[1]


@cache
def default() -> Policy:
    """The policy of trials that ships with Tenure."""
    return load()


@cache
def default_accounts() -> AccountPolicy:
    """The policy of accounts that ships with Tenure."""
    return load_accounts()


def parse(text: str, name: str = "policy.toml") -> Policy:
    """Parse the whole file's text; ``name`` stands in the errors."""
    return _parse(text, name)[0]


def _parse(text: str, name: str) -> tuple[Policy, AccountPolicy]:
    entries, faults = _entries(text, name)
    lines = _lines(text)
    faults += [
        f"{name}:{entry.line}: {entry.path}: unit is {entry.unit!r}, must be {unit!r}"
        for entry in entries
        if (unit := _units().get(entry.path)) is not None and unit != entry.unit
    ]
    faults += [
        f"{name}:{entry.line}: {entry.path}: unknown key; see domain/policy.toml for the known ones"
        for entry in entries
        if entry.path not in _units()
    ]
    if faults:
        raise PolicyError("\n".join(faults))
    tree: dict[str, Any] = {}
    for entry in entries:
        *sections, leaf = entry.path.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[leaf] = entry.value
    trials, accounts = _checked(Policy, tree, lines, name), _checked(AccountPolicy, tree, lines, name)
    if isinstance(trials, Policy) and isinstance(accounts, AccountPolicy):
        return trials, accounts
    raise PolicyError("\n".join(dict.fromkeys(fault for made in (trials, accounts) if isinstance(made, list) for fault in made)))


def _checked(model: type[Kind], tree: dict[str, Any], lines: dict[str, int], name: str) -> Kind | list[str]:
    """The policy, or everything that is wrong with it."""
    try:
        # Strict, or `true` would be one day; by way of JSON, where strict knows that a list is a tuple's only form.
        return model.model_validate_json(to_json(tree), strict=True)
    except ValidationError as error:
        found = []
        for fault in error.errors():
            where = ".".join(str(part) for part in fault["loc"] if not isinstance(part, int))
            missing = fault["type"] == "missing"
            line = lines.get(where) or lines.get(where.rpartition(".")[0], 1)
            found.append(f"{name}:{line}: {where}: {'is missing' if missing else fault['msg'].removeprefix('Value error, ')}")
        return found


def entries(path: Path = DEFAULT) -> list[Entry]:
    """Every entry of a file as it stands, for ``tenure policy show``."""
    found, faults = _entries(path.read_text(encoding="utf-8"), str(path))
    if faults:
        raise PolicyError("\n".join(faults))
    return found


def _entries(text: str, name: str) -> tuple[list[Entry], list[str]]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{name}: {error}") from None
    lines = _lines(text)
    found: list[Entry] = []
    faults: list[str] = []
    for path, leaf in _leaves(tree):
        line = lines.get(path, 1)
        match leaf:
            case {"value": value, "unit": str(unit), "id": str(id_), **rest} if not rest:
                found.append(Entry(path, value, unit, id_, line))
            case _:
                faults.append(f'{name}:{line}: {path}: write it as {{ value = …, unit = "…", id = "…" }}')
    return found, faults


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and not {"value", "unit", "id"} & value.keys():
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _lines(text: str) -> dict[str, int]:
    """Where each dotted path stands; tomllib keeps no positions, and the file's form is regular."""
    section, where = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[([\w.\-]+)\]", line):
            section = heading[1]
            where[section] = number
        elif key := re.match(r"\s*([\w\-]+)\s*=", line):
            where[f"{section}.{key[1]}" if section else key[1]] = number
    return where


@cache
def _units() -> dict[str, str]:
    return {**dict(_units_of(Policy, "")), **dict(_units_of(AccountPolicy, ""))}


def _units_of(model: type[Value], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Value):
            yield from _units_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _unit(field, f"{prefix}{name}")


def _unit(field: FieldInfo, path: str) -> str:
    for mark in (*field.metadata, *(m for arg in get_args(field.annotation) for m in getattr(arg, "__metadata__", ()))):
        if isinstance(mark, Unit):
            return mark.name
    raise TypeError(f"{path} has no unit")  # a fault of this module, found by its first import in a test
