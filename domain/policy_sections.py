"""What the figures of the policy mean: each section of ``policy.toml`` with the units, the bounds and the rules that hold between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from domain.base import Value


@dataclass(frozen=True)
class Unit:
    """The unit that an entry of the file must name."""

    name: str


Count = Annotated[int, Field(ge=0, le=100_000)]
Days = Annotated[int, Field(ge=0, le=3_650), Unit("days")]
Span = Annotated[int, Field(ge=1, le=3_650), Unit("days")]  # at least one: a trial of no days would end as it starts
WorkingDays = Annotated[int, Field(ge=0, le=260), Unit("working days")]
Hours = Annotated[int, Field(ge=1, le=8_760), Unit("hours")]  # at least one: a wait of no hours would turn in circles
OfficeHours = Annotated[int, Field(ge=0, le=2_000), Unit("office hours")]
Minutes = Annotated[int, Field(ge=1, le=100_000), Unit("minutes")]
Instances = Annotated[Count, Unit("instances")]
Checks = Annotated[Count, Unit("checks")]
Seats = Annotated[int, Field(ge=1, le=1_000_000), Unit("seats")]
HourOfDay = Annotated[int, Field(ge=0, le=24), Unit("hour of day")]
Tags = Annotated[tuple[str, ...], Unit("tags")]
Months = Annotated[int, Field(ge=1, le=120), Unit("months")]
Weekday = Annotated[Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], Unit("weekday")]
MODE = Unit("mode")


class Routing(Value):
    """Which mail domains name no company, and which of their subdomains name one each (A3); the lists of the packages stand beside it.

    ``not_free_mail`` are companies that the lists take for providers. ``tenant_suffixes`` give each customer a name under them.
    """

    free_mail: Annotated[tuple[str, ...], Unit("domains")]
    not_free_mail: Annotated[tuple[str, ...], Unit("domains")]
    tenant_suffixes: Annotated[tuple[str, ...], Unit("domains")]


class Cloud(Value):
    """How much room the cloud has, and what its hosts are called (A9, A26)."""

    instance_cap: Instances
    domain_suffix: Annotated[str, Unit("domain")]
    wait_recheck_hours: Hours


class Pool(Value):
    """How many warm instances wait for an instant signup (A25)."""

    target: Instances
    floor: Instances
    check_minutes: Minutes
    ready_timeout_minutes: Minutes

    @model_validator(mode="after")
    def _target_above_the_floor(self) -> Pool:
        if self.floor > self.target:
            raise ValueError("pool.floor must not exceed pool.target: a full pool would alarm")
        return self


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):  # a directory of zones, a path, no such zone
        raise ValueError(f"{value!r} is not a time zone; write one like Europe/Berlin") from None
    return value


class Office(Value):
    """When somebody is at work; hours are of ``timezone``, an IANA name."""

    opens: HourOfDay
    closes: HourOfDay
    timezone: Annotated[str, Unit("time zone")]
    holidays: Annotated[tuple[str, ...], Unit("dates")]

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        return _zone(value)

    @field_validator("holidays")
    @classmethod
    def _dates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for day in value:
            try:
                written = date.fromisoformat(day).isoformat()
            except ValueError:
                written = ""
            if written != day:  # another form would never equal a day, and the office would be open
                raise ValueError(f"{day!r} is not a date as YYYY-MM-DD")
        return value

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Office:
        if self.opens >= self.closes:
            raise ValueError("office.opens must be an earlier hour than office.closes")
        return self


class Facts(Value):
    """What a date and a number of a contract can be; what lies outside is a slip of the keyboard, and a data error."""

    years_back: Annotated[int, Field(ge=1, le=200), Unit("years")]
    years_ahead: Annotated[int, Field(ge=2, le=200), Unit("years")]
    most_seats: Annotated[int, Field(ge=1, le=100_000_000), Unit("seats")]
    most_arr: Annotated[int, Field(ge=1, le=1_000_000_000), Unit("dollars")]


class Tasks(Value):
    """How long a person may take, and when the next one is asked (gap 6)."""

    backup_after_hours: OfficeHours
    manager_after_hours: OfficeHours
    remind_manager_days: Annotated[int, Field(ge=1, le=365), Unit("days")]
    ce_hand_off_hours: OfficeHours
    ce_email_hours: OfficeHours
    raise_request_hours: OfficeHours
    join_hours: OfficeHours
    join_mail_hours: Annotated[int, Field(ge=1, le=168), Unit("hours")]
    join_mail_people: Annotated[int, Field(ge=1, le=500), Unit("people")]
    owners_hours: OfficeHours
    rescue_hours: OfficeHours
    consent_hours: OfficeHours
    verify_hours: OfficeHours
    conversion_hours: OfficeHours
    declined_hours: OfficeHours

    @model_validator(mode="after")
    def _backup_before_manager(self) -> Tasks:
        if self.backup_after_hours > self.manager_after_hours:
            raise ValueError("tasks: backup_after_hours must not exceed manager_after_hours")
        return self


class Triage(Value):
    """How soon an SDR looks at a lead (A7)."""

    first_touch_minutes: Minutes
    sla_hours: Hours


class Qualification(Value):
    """The named criteria of a lead, and how many may fail (A8)."""

    criteria: Annotated[tuple[str, ...], Field(min_length=1), Unit("checks")]
    failed_checks_allowed: Checks


class Provisioning(Value):
    """Who asks for an instance, how soon it is built, and how often that is looked at (A9, A28, C04)."""

    issue: Annotated[Literal["automatic", "by_hand"], MODE]
    office_hours: OfficeHours
    otherwise_working_days: WorkingDays
    ce_requested_working_days: WorkingDays
    poll_hours: Annotated[int, Field(ge=1, le=168), Unit("hours")]
    slug_length: Annotated[int, Field(ge=1, le=30), Unit("characters")]


class Handoff(Value):
    """Who hands an instance over, how long its links work, and how long a claim waits for its first click (C16, C17)."""

    prequalified: Annotated[Literal["automatic", "ce"], MODE]
    qualified: Annotated[Literal["automatic", "ce"], MODE]
    reset_link_ttl_hours: Hours
    share_link_ttl_hours: Hours
    confirm_hours: Hours


class Assignment(Value):
    """Whether owners are assigned before or after the lead is converted (C14)."""

    order: Annotated[Literal["assign_then_convert", "convert_then_assign"], MODE]


class SelfServe(Value):
    """The days of a self-serve trial, counted from its start (A13, C03)."""

    base_days: Span
    extension_days: Span
    warning_day: Days
    notice_day: Days

    @model_validator(mode="after")
    def _in_order(self) -> SelfServe:
        if not self.warning_day < self.notice_day < self.base_days:
            raise ValueError("trial.self_serve: warning_day < notice_day < base_days must hold")
        return self


class CeRequested(Value):
    """The days of a trial that a CE asked for, counted from its start (A28, C03)."""

    base_days: Span
    extension_days: Span
    warning_day: Days

    @model_validator(mode="after")
    def _in_order(self) -> CeRequested:
        if not self.warning_day < self.base_days:
            raise ValueError("trial.ce_requested: warning_day < base_days must hold")
        return self


class D15(Value):
    """Whether day 15 acts by itself (C02)."""

    mode: Annotated[Literal["automatic", "ask"], MODE]


class Deadline(Value):
    """What happens around a deadline that people decide, and when nobody does (C12)."""

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
    """Everything about an open trial."""

    slack_mode: Annotated[Literal["channel", "thread"], MODE]
    activity_rule: Annotated[Literal["setup_or_joiner", "any_user_event", "both"], Unit("rule")]
    activity_window_days: Span
    key_covers_days: Span
    max_extension_days: Span
    again_hours: Hours
    self_serve: SelfServe
    ce_requested: CeRequested
    d15: D15
    deadline: Deadline

    @model_validator(mode="after")
    def _key_outlives_the_trial(self) -> TrialPolicy:
        if self.self_serve.base_days > self.key_covers_days:
            raise ValueError("trial: self_serve.base_days must not exceed key_covers_days, or the generic key ends before the trial")
        return self


class Onboarding(Value):
    """On which day of the trial each onboarding mail goes out (A11, A12, A30)."""

    connect_code_host_day: Days
    invite_team_day: Days
    learn_day: Days
    usage_check_day: Days
    community_day: Days
    next_steps_day: Days


class Activation(Value):
    """What counts as activated, beside a connected code host (A19)."""

    searches: Annotated[Count, Unit("searches")]
    result_views: Annotated[Count, Unit("views")]


class Termination(Value):
    """How long a teardown may take, and how often it is looked at (A16)."""

    teardown_working_days: WorkingDays
    notice_hours: Hours
    poll_days: Annotated[int, Field(ge=1, le=30), Unit("days")]


def _one_plan(tags: tuple[str, ...]) -> tuple[str, ...]:
    plans = [tag for tag in tags if tag.startswith("plan:")]
    if len(plans) != 1:
        raise ValueError(f"exactly one plan: tag is needed, found {plans or 'none'}; a key without one unlocks everything")
    return tags


class GenericLicense(Value):
    """The key that a cohort of self-serve trials shares (A24, C01). It rotates on ``weekday``, when the office opens."""

    rotation_days: Annotated[int, Field(ge=1, le=365), Unit("days")]
    weekday: Weekday
    seats: Seats
    tags: Tags

    @model_validator(mode="after")
    def _checked(self) -> GenericLicense:
        _one_plan(self.tags)
        return self


class TrialLicense(Value):
    """The key of one trial's own (A15, A28). While a trial waits for a person its key is renewed, so many days before it ends."""

    tags: Tags
    seats: Seats
    waiting_days: Annotated[int, Field(ge=1, le=366), Unit("days")]
    renew_days_before: Annotated[int, Field(ge=1, le=30), Unit("days")]

    @model_validator(mode="after")
    def _checked(self) -> TrialLicense:
        if "plg-trial" in _one_plan(self.tags):
            raise ValueError("license.trial: plg-trial is for the generic self-serve key only")
        return self


class ProductionLicense(Value):
    """The key of a paid instance (A17)."""

    tags: Tags
    term_months: Months
    seat_buffer: Annotated[Count, Unit("seats")]

    @model_validator(mode="after")
    def _checked(self) -> ProductionLicense:
        if {"trial", "plg-trial"} & set(_one_plan(self.tags)):
            raise ValueError("license.production: a production key carries neither trial nor plg-trial")
        return self


class Licenses(Value):
    """The three kinds of licence keys. A key is good through its last day in ``timezone`` where nobody knows the customer's own."""

    timezone: Annotated[str, Unit("time zone")]
    generic: GenericLicense
    trial: TrialLicense
    production: ProductionLicense

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        return _zone(value)
