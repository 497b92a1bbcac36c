"""What the figures after the sale mean: health, lifecycle, renewals, plans, red accounts and the forecast. See :mod:`domain.policy_sections`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from domain.base import Value
from domain.policy_sections import MODE, Days, Minutes, Months, OfficeHours, Span, Unit, Weekday

Points = Annotated[float, Field(ge=0, le=10), Unit("points")]
Percent = Annotated[float, Field(ge=0, le=100), Unit("percent")]
Share = Annotated[float, Field(ge=0, le=1), Unit("ratio")]
Tickets = Annotated[int, Field(ge=0, le=1_000), Unit("tickets")]
Versions = Annotated[int, Field(ge=0, le=100), Unit("versions")]
Period = Annotated[int, Field(ge=1, le=366), Unit("days")]  # at least one: a round of no days would turn in circles
Rating = Literal["green", "yellow", "red"]


class HealthPoints(Value):
    """What a trait of each colour is worth (4.3)."""

    green: Points
    yellow: Points
    red: Points

    @model_validator(mode="after")
    def _in_order(self) -> HealthPoints:
        if not self.red < self.yellow < self.green:
            raise ValueError("health.points: red < yellow < green must hold")
        return self


class HealthWeights(Value):
    """How much each category counts (C29)."""

    pulse: Percent
    technical: Percent
    relationship: Percent
    utilization: Percent

    @model_validator(mode="after")
    def _sum(self) -> HealthWeights:
        if abs(self.pulse + self.technical + self.relationship + self.utilization - 100) > 1e-9:
            raise ValueError("health.weights must sum to 100")
        return self


class HealthTraits(Value):
    """Where each trait turns green and where it turns red; between the two it is yellow (4.3)."""

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

    @model_validator(mode="after")
    def _in_order(self) -> HealthTraits:
        for name, green, red in (
            ("versions_behind", self.versions_behind_healthy_at_most, self.versions_behind_poor_at_least),
            ("defect_tickets", self.defect_tickets_healthy_below - 1, self.defect_tickets_poor_at_least),
            ("help_tickets", self.help_tickets_healthy_below - 1, self.help_tickets_poor_at_least),
            ("last_activity", self.last_activity_healthy_at_most_days, self.last_activity_poor_at_least_days),
            ("usage_score", self.usage_score_poor_at_most, self.usage_score_healthy_at_least),
            ("mau_seats", self.mau_seats_poor_below, self.mau_seats_healthy_at_least),
        ):
            if not green < red:
                raise ValueError(f"health.traits: the limits of {name} leave no room between healthy and poor")
        return self


class Health(Value):
    """The health score (D12, 4.3). Where less than ``known_at_least`` of the weight is known, there is none."""

    every_minutes: Minutes
    poor_at_most: Points
    healthy_at_least: Points
    known_at_least: Percent
    points: HealthPoints
    weights: HealthWeights
    traits: HealthTraits

    @model_validator(mode="after")
    def _bands_in_order(self) -> Health:
        if not self.poor_at_most < self.healthy_at_least:
            raise ValueError("health: poor_at_most < healthy_at_least must hold")
        return self


class Lifecycle(Value):
    """The five stages of an account (D8, 4.2)."""

    prospect_days: Days
    onboarding_days: Span
    goal_after_implementation_days: Span
    goal_mau_seats: Share
    adopted_usage_score: Share
    adopted_mau_seats: Share
    below_targets: Annotated[Literal["stay", "adopting"], MODE]


class GetWell(Value):
    """Get-well plans, and what starts one (C06, D15–D17)."""

    target_mau_seats: Share
    low_utilization_tenure_days: Span
    planning_hours: OfficeHours
    update_days: Period
    update_hours: OfficeHours
    leadership_days: Period
    leadership_hours: OfficeHours


class Renewals(Value):
    """The five phases of a renewal (D25–D30)."""

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

    @model_validator(mode="after")
    def _in_order(self) -> Renewals:
        if not self.processing_days < self.process_days < self.early_review_days:
            raise ValueError("renewal: processing_days < process_days < early_review_days must hold")
        return self


class Lighthouse(Value):
    """The program for renewals at risk (C08, 4.6)."""

    ratings: Annotated[tuple[Rating, ...], Unit("ratings")]
    save_plan_hours: OfficeHours
    sponsor_hours: OfficeHours
    exit_hours: OfficeHours


class Red(Value):
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


class RatingWeights(Value):
    """How much of a renewal's ARR a rating promises, while nobody projected an outcome."""

    green: Percent
    yellow: Percent
    red: Percent


class Forecast(Value):
    """The weekly forecast of the renewals (D29, C13, C34, gap 14). It is asked on ``weekday``, when the office opens."""

    every_days: Period
    weekday: Weekday
    confirm_hours: OfficeHours
    fiscal_year_starts_month: Annotated[int, Field(ge=1, le=12), Unit("month")]
    partial_churn_percent: Percent
    weights: RatingWeights
