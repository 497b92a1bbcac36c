"""The policy: every figure, with its unit and its handbook id, read from ``policy.toml``; see :func:`load`.

A workflow is given its policy at start and keeps it; :attr:`Policy.hash` names the policy in every decision.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from domain.base import Value

DEFAULT = Path(__file__).with_name("policy.toml")


@dataclass(frozen=True)
class Unit:
    """The unit that an entry of the file must name."""

    name: str


Count = Annotated[int, Field(ge=0, le=100_000)]
Days = Annotated[int, Field(ge=0, le=3_650), Unit("days")]
WorkingDays = Annotated[int, Field(ge=0, le=260), Unit("working days")]
Hours = Annotated[int, Field(ge=0, le=8_760), Unit("hours")]
OfficeHours = Annotated[int, Field(ge=0, le=2_000), Unit("office hours")]
Minutes = Annotated[int, Field(ge=1, le=100_000), Unit("minutes")]
Instances = Annotated[Count, Unit("instances")]
Checks = Annotated[Count, Unit("checks")]
Seats = Annotated[int, Field(ge=1, le=1_000_000), Unit("seats")]
HourOfDay = Annotated[int, Field(ge=0, le=24), Unit("hour of day")]
Tags = Annotated[tuple[str, ...], Unit("tags")]
MODE = Unit("mode")


class Routing(Value):
    free_mail: Annotated[tuple[str, ...], Unit("domains")]


class Cloud(Value):
    instance_cap: Instances
    domain_suffix: Annotated[str, Unit("domain")]
    wait_recheck_hours: Hours


class Pool(Value):
    target: Instances
    floor: Instances
    check_minutes: Minutes
    ready_timeout_minutes: Minutes


class Office(Value):
    opens: HourOfDay
    closes: HourOfDay
    timezone: Annotated[str, Unit("time zone")]
    holidays: Annotated[tuple[str, ...], Unit("dates")]

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Office:
        if self.opens >= self.closes:
            raise ValueError("office.opens must be an earlier hour than office.closes")
        return self


class Tasks(Value):
    backup_after_hours: OfficeHours
    manager_after_hours: OfficeHours
    remind_manager_days: Annotated[int, Field(ge=1, le=365), Unit("days")]
    ce_hand_off_hours: OfficeHours
    ce_email_hours: OfficeHours
    raise_request_hours: OfficeHours
    join_hours: OfficeHours
    rescue_hours: OfficeHours
    consent_hours: OfficeHours
    verify_hours: OfficeHours


class Triage(Value):
    first_touch_minutes: Minutes
    sla_hours: Hours


class Qualification(Value):
    criteria: Annotated[tuple[str, ...], Field(min_length=1), Unit("checks")]
    failed_checks_allowed: Checks


class Provisioning(Value):
    issue: Annotated[Literal["automatic", "by_hand"], MODE]
    office_hours: OfficeHours
    otherwise_working_days: WorkingDays
    ce_requested_working_days: WorkingDays
    poll_hours: Annotated[int, Field(ge=1, le=168), Unit("hours")]
    slug_length: Annotated[int, Field(ge=1, le=30), Unit("characters")]


class Handoff(Value):
    prequalified: Annotated[Literal["automatic", "ce"], MODE]
    qualified: Annotated[Literal["automatic", "ce"], MODE]
    reset_link_ttl_hours: Hours
    share_link_ttl_hours: Hours


class Assignment(Value):
    order: Annotated[Literal["assign_then_convert", "convert_then_assign"], MODE]


class SelfServe(Value):
    base_days: Days
    extension_days: Days
    warning_day: Days
    notice_day: Days

    @model_validator(mode="after")
    def _in_order(self) -> SelfServe:
        if not self.warning_day < self.notice_day < self.base_days:
            raise ValueError("trial.self_serve: warning_day < notice_day < base_days must hold")
        return self


class CeRequested(Value):
    base_days: Days
    extension_days: Days
    warning_day: Days

    @model_validator(mode="after")
    def _in_order(self) -> CeRequested:
        if not self.warning_day < self.base_days:
            raise ValueError("trial.ce_requested: warning_day < base_days must hold")
        return self


class D15(Value):
    mode: Annotated[Literal["automatic", "ask"], MODE]


class Deadline(Value):
    ask_days_before: Days
    manager_after_days: Days
    grace_days: Days
    inactive_after_grace: Annotated[Literal["terminate", "ask"], MODE]

    @model_validator(mode="after")
    def _manager_before_the_grace_ends(self) -> Deadline:
        if self.manager_after_days > self.grace_days:
            raise ValueError("trial.deadline: manager_after_days must not exceed grace_days")
        return self


class TrialPolicy(Value):
    slack_mode: Annotated[Literal["channel", "thread"], MODE]
    activity_rule: Annotated[Literal["setup_or_joiner", "any_user_event", "both"], Unit("rule")]
    activity_window_days: Days
    key_covers_days: Days
    max_extension_days: Days
    self_serve: SelfServe
    ce_requested: CeRequested
    d15: D15
    deadline: Deadline


class Onboarding(Value):
    connect_code_host_day: Days
    invite_team_day: Days
    learn_day: Days
    usage_check_day: Days
    community_day: Days
    next_steps_day: Days


class Activation(Value):
    searches: Annotated[Count, Unit("searches")]
    result_views: Annotated[Count, Unit("views")]


class Termination(Value):
    teardown_working_days: WorkingDays
    notice_hours: Hours
    poll_days: Annotated[int, Field(ge=1, le=30), Unit("days")]


def _one_plan(tags: tuple[str, ...]) -> tuple[str, ...]:
    plans = [tag for tag in tags if tag.startswith("plan:")]
    if len(plans) != 1:
        raise ValueError(f"exactly one plan: tag is needed, found {plans or 'none'}; a key without one unlocks everything")
    return tags


class GenericLicense(Value):
    rotation_days: Annotated[int, Field(ge=1, le=365), Unit("days")]
    seats: Seats
    tags: Tags

    @model_validator(mode="after")
    def _checked(self) -> GenericLicense:
        _one_plan(self.tags)
        return self


class TrialLicense(Value):
    tags: Tags
    seats: Seats

    @model_validator(mode="after")
    def _checked(self) -> TrialLicense:
        if "plg-trial" in _one_plan(self.tags):
            raise ValueError("license.trial: plg-trial is for the generic self-serve key only")
        return self


class ProductionLicense(Value):
    tags: Tags
    term_days: Days
    seat_buffer: Annotated[Count, Unit("seats")]

    @model_validator(mode="after")
    def _checked(self) -> ProductionLicense:
        if {"trial", "plg-trial"} & set(_one_plan(self.tags)):
            raise ValueError("license.production: a production key carries neither trial nor plg-trial")
        return self


class Licenses(Value):
    generic: GenericLicense
    trial: TrialLicense
    production: ProductionLicense


class Policy(Value):
    """All figures. Attribute paths equal the file's: ``policy.trial.d15.mode`` is ``[trial.d15] mode``."""

    routing: Routing
    cloud: Cloud
    pool: Pool
    office: Office
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

    @cached_property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 over the canonical JSON: which policy decided."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def generic_key_life(self) -> timedelta:
        """How long a generic key lives: one handed out on its cohort's last day must cover a whole trial (C01)."""
        return timedelta(days=self.trial.key_covers_days + self.license.generic.rotation_days)


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


@cache
def default() -> Policy:
    """The policy that ships with Tenure."""
    return load()


def parse(text: str, name: str = "policy.toml") -> Policy:
    """Parse the file's text; ``name`` stands in the errors."""
    entries, faults = _entries(text, name)
    tree: dict[str, Any] = {}
    for entry in entries:
        *sections, leaf = entry.path.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[leaf] = entry.value
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
    try:
        return Policy.model_validate(tree)
    except ValidationError as error:
        found = []
        for fault in error.errors():
            where = ".".join(str(part) for part in fault["loc"] if not isinstance(part, int))
            missing = fault["type"] == "missing"
            line = lines.get(where) or lines.get(where.rpartition(".")[0], 1)
            found.append(f"{name}:{line}: {where}: {'is missing' if missing else fault['msg'].removeprefix('Value error, ')}")
        raise PolicyError("\n".join(found)) from None


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
    return dict(_units_of(Policy, ""))


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
