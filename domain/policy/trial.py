"""The sections of a trial's policy: the units, the bounds, and the rules that hold between the figures."""

from typing import Annotated, Literal

from pydantic import Field

from domain.policy.units import MODE, Checks, Count, Days, Domains, Hours, Instances, Minutes, OfficeHours, Section, Span, Unit, WorkingDays


class Routing(Section):
    """Which mail domains name no company, and which of their subdomains name one each (A3); the lists of the packages stand beside it.

    ``not_free_mail`` are companies that the lists take for providers. ``tenant_suffixes`` give each customer a name under them.
    """

    free_mail: Domains
    not_free_mail: Domains
    tenant_suffixes: Domains


class Cloud(Section):
    """How much room the cloud has, and what its hosts are called (A9, A26)."""

    instance_cap: Instances
    domain_suffix: Annotated[str, Unit("domain")]
    wait_recheck_hours: Hours


class Pool(Section):
    """How many warm instances wait for an instant signup (A25)."""

    RULES = {"floor <= target": "pool.floor must not exceed pool.target: a full pool would alarm"}
    target: Instances
    floor: Instances
    check_minutes: Minutes
    ready_timeout_minutes: Minutes


class Triage(Section):
    """How soon an SDR looks at a lead (A7)."""

    first_touch_minutes: Minutes
    sla_hours: Hours


class Qualification(Section):
    """The named criteria of a lead, and how many may fail (A8)."""

    criteria: Annotated[tuple[str, ...], Field(min_length=1), Unit("checks")]
    failed_checks_allowed: Checks


class Provisioning(Section):
    """Who asks for an instance, how soon it is built, and how often that is looked at (A9, A28, C04)."""

    issue: Annotated[Literal["automatic", "by_hand"], MODE]
    office_hours: OfficeHours
    otherwise_working_days: WorkingDays
    ce_requested_working_days: WorkingDays
    poll_hours: Annotated[int, Field(ge=1, le=168), Unit("hours")]
    slug_length: Annotated[int, Field(ge=1, le=30), Unit("characters")]


class Handoff(Section):
    """Who hands an instance over, how long its links work, and how long a claim waits for its first click (C16, C17)."""

    prequalified: Annotated[Literal["automatic", "ce"], MODE]
    qualified: Annotated[Literal["automatic", "ce"], MODE]
    reset_link_ttl_hours: Hours
    share_link_ttl_hours: Hours
    confirm_hours: Hours


class Assignment(Section):
    """Whether owners are assigned before or after the lead is converted (C14)."""

    order: Annotated[Literal["assign_then_convert", "convert_then_assign"], MODE]


class SelfServe(Section):
    """The days of a self-serve trial, counted from its start (A13, C03)."""

    RULES = {"warning_day < notice_day < base_days": "trial.self_serve: warning_day < notice_day < base_days must hold"}
    base_days: Span
    extension_days: Span
    warning_day: Days
    notice_day: Days


class CeRequested(Section):
    """The days of a trial that a CE asked for, counted from its start (A28, C03)."""

    RULES = {"warning_day < base_days": "trial.ce_requested: warning_day < base_days must hold"}
    base_days: Span
    extension_days: Span
    warning_day: Days


class D15(Section):
    """Whether day 15 acts by itself (C02)."""

    mode: Annotated[Literal["automatic", "ask"], MODE]


class Deadline(Section):
    """What happens around a deadline that people decide, and when nobody does (C12)."""

    RULES = {"manager_after_days <= grace_days": "trial.deadline: manager_after_days must not exceed grace_days"}
    ask_days_before: Days
    manager_after_days: Days
    grace_days: Days
    inactive_after_grace: Annotated[Literal["terminate", "ask"], MODE]


class TrialPolicy(Section):
    """Everything about an open trial."""

    RULES = {
        "self_serve.base_days <= key_covers_days": "trial: self_serve.base_days must not exceed key_covers_days, or the generic key ends before the trial"
    }
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


class Onboarding(Section):
    """On which day of the trial each onboarding mail goes out (A11, A12, A30)."""

    connect_code_host_day: Days
    invite_team_day: Days
    learn_day: Days
    usage_check_day: Days
    community_day: Days
    next_steps_day: Days


class Activation(Section):
    """What counts as activated, beside a connected code host (A19)."""

    searches: Annotated[Count, Unit("searches")]
    result_views: Annotated[Count, Unit("views")]


class Termination(Section):
    """How long a teardown may take, and how often it is looked at (A16)."""

    teardown_working_days: WorkingDays
    notice_hours: Hours
    poll_days: Annotated[int, Field(ge=1, le=30), Unit("days")]
