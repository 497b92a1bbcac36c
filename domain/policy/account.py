"""The sections of an account's policy: health, lifecycle, renewals, plans, red accounts and the forecast. See :mod:`domain.policy.trial`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.policy.units import (
    MODE,
    Days,
    Minutes,
    Months,
    OfficeHours,
    Percent,
    Period,
    Points,
    Section,
    Share,
    Span,
    Tickets,
    Unit,
    Versions,
    Weekday,
)


class HealthPoints(Section):
    """What a trait of each colour is worth (4.3)."""

    RULES = {"red < yellow < green": "health.points: red < yellow < green must hold"}
    green: Points
    yellow: Points
    red: Points


class HealthWeights(Section):
    """How much each category counts (C29)."""

    pulse: Percent
    technical: Percent
    relationship: Percent
    utilization: Percent

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if abs(self.pulse + self.technical + self.relationship + self.utilization - 100) > 1e-9:
            raise ValueError("health.weights must sum to 100")
        return self


class HealthTraits(Section):
    """Where each trait turns green and where it turns red; between the two it is yellow (4.3)."""

    RULES = {
        rule: f"health.traits: the limits of {name} leave no room between healthy and poor"
        for name, rule in {
            "versions_behind": "versions_behind_healthy_at_most < versions_behind_poor_at_least",
            "defect_tickets": "defect_tickets_healthy_below <= defect_tickets_poor_at_least",
            "help_tickets": "help_tickets_healthy_below <= help_tickets_poor_at_least",
            "last_activity": "last_activity_healthy_at_most_days < last_activity_poor_at_least_days",
            "usage_score": "usage_score_poor_at_most < usage_score_healthy_at_least",
            "mau_seats": "mau_seats_poor_below < mau_seats_healthy_at_least",
        }.items()
    }
    versions_behind_healthy_at_most: Versions
    versions_behind_poor_at_least: Versions
    defect_tickets_healthy_below: Tickets
    defect_tickets_poor_at_least: Tickets
    help_tickets_healthy_below: Tickets
    help_tickets_poor_at_least: Tickets
    ticket_window_days: Span
    last_activity_healthy_at_most_days: Days
    last_activity_poor_at_least_days: Days
    usage_weeks: Annotated[int, Field(ge=1, le=26), Unit("weeks")]
    usage_score_healthy_at_least: Share
    usage_score_poor_at_most: Share
    mau_seats_healthy_at_least: Share
    mau_seats_poor_below: Share


class Health(Section):
    """The health score (D12, 4.3). Where less than ``known_at_least`` of the weight is known, there is none."""

    RULES = {"poor_at_most < healthy_at_least": "health: poor_at_most < healthy_at_least must hold"}
    every_minutes: Minutes
    poor_at_most: Points
    healthy_at_least: Points
    known_at_least: Percent
    points: HealthPoints
    weights: HealthWeights
    traits: HealthTraits


class Lifecycle(Section):
    """The five stages of an account (D8, 4.2)."""

    prospect_days: Days
    onboarding_days: Span
    goal_after_implementation_days: Span
    goal_mau_seats: Share
    adopted_usage_score: Share
    adopted_mau_seats: Share
    below_targets: Annotated[Literal["stay", "adopting"], MODE]


class GetWell(Section):
    """Get-well plans, and what starts one (C06, D15–D17)."""

    target_mau_seats: Share
    low_utilization_tenure_days: Span
    planning_hours: OfficeHours
    update_days: Period
    update_hours: OfficeHours
    leadership_days: Period
    leadership_hours: OfficeHours


class Renewals(Section):
    """The five phases of a renewal (D25–D30)."""

    RULES = {"processing_days < process_days < early_review_days": "renewal: processing_days < process_days < early_review_days must hold"}
    early_review_days: Span
    process_days: Span
    assessment_fresh_days: Days
    early_review_hours: OfficeHours
    assessment_hours: OfficeHours
    review_hours: OfficeHours
    settle_hours: OfficeHours
    plan_hours: OfficeHours
    value_engineering_days: Days
    processing_days: Span
    processing_hours: OfficeHours
    plan_may_be_incremental: Annotated[Literal["yes", "no"], MODE]
    term_months: Months
    extension_days: Days


class Lighthouse(Section):
    """The program for renewals at risk (C08, 4.6)."""

    ratings: Annotated[tuple[Literal["green", "yellow", "red"], ...], Unit("ratings")]
    save_plan_hours: OfficeHours
    sponsor_hours: OfficeHours
    exit_hours: OfficeHours


class Red(Section):
    """Red accounts: which become red by themselves, and how they are followed (B17, 4.7, C20)."""

    program: Annotated[Literal["red_accounts", "lighthouse"], MODE]
    health_at_most: Points
    not_deployed_days: Span
    no_contact_days: Span
    decline_share: Share
    decline_months: Annotated[int, Field(ge=1, le=12), Unit("months")]
    fill_hours: OfficeHours
    update_days: Period
    update_hours: OfficeHours


class RatingWeights(Section):
    """How much of a renewal's ARR a rating promises, while nobody projected an outcome."""

    green: Percent
    yellow: Percent
    red: Percent


class Forecasts(Section):
    """The weekly forecast of the renewals (D29, C13, C34, gap 14). It is asked on ``weekday``, when the office opens."""

    every_days: Period
    weekday: Weekday
    confirm_hours: OfficeHours
    fiscal_year_starts_month: Annotated[int, Field(ge=1, le=12), Unit("month")]
    partial_churn_percent: Percent
    weights: RatingWeights
