"""The sections that both policies have: the office, what a fact can be, how long people may take, and licence keys."""

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from domain.policy.units import Count, HourOfDay, Hours, Months, OfficeHours, Period, Seats, Section, Unit, Weekday


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):  # a directory of zones, a path, no such zone
        raise ValueError(f"{value!r} is not a time zone; write one like Europe/Berlin") from None
    return value


def _dates(value: tuple[str, ...]) -> tuple[str, ...]:
    for day in value:
        try:
            written = date.fromisoformat(day).isoformat()
        except ValueError:
            written = ""
        if written != day:  # another form would never equal a day, and the office would be open
            raise ValueError(f"{day!r} is not a date as YYYY-MM-DD")
    return value


def _one_plan(tags: tuple[str, ...]) -> tuple[str, ...]:
    plans = [tag for tag in tags if tag.startswith("plan:")]
    if len(plans) != 1:
        raise ValueError(f"exactly one plan: tag is needed, found {plans or 'none'}; a key without one unlocks everything")
    return tags


def _without(words: str, *refused: str) -> AfterValidator:
    def checked(tags: tuple[str, ...]) -> tuple[str, ...]:
        if not set(refused).isdisjoint(tags):
            raise ValueError(words)
        return tags

    return AfterValidator(checked)


TimeZone = Annotated[str, AfterValidator(_zone), Unit("time zone")]
Tags = Annotated[tuple[str, ...], AfterValidator(_one_plan), Unit("tags")]
TrialTags = Annotated[Tags, _without("license.trial: plg-trial is for the generic self-serve key only", "plg-trial")]
ProductionTags = Annotated[Tags, _without("license.production: a production key carries neither trial nor plg-trial", "trial", "plg-trial")]


class Office(Section):
    """When somebody is at work; hours are of ``timezone``, an IANA name."""

    RULES = {"opens < closes": "office.opens must be an earlier hour than office.closes"}
    opens: HourOfDay
    closes: HourOfDay
    timezone: TimeZone
    holidays: Annotated[tuple[str, ...], AfterValidator(_dates), Unit("dates")]


class Facts(Section):
    """What a date and a number of a contract can be: what lies outside is a slip of the keyboard, and a data error. How long a decision waits for one."""

    years_back: Annotated[int, Field(ge=1, le=200), Unit("years")]
    years_ahead: Annotated[int, Field(ge=2, le=200), Unit("years")]
    most_seats: Annotated[int, Field(ge=1, le=100_000_000), Unit("seats")]
    most_arr: Annotated[int, Field(ge=1, le=1_000_000_000), Unit("dollars")]
    wait_hours: Hours


class Tasks(Section):
    """How long a person may take, and when the next one is asked (gap 6)."""

    RULES = {"backup_after_hours <= manager_after_hours": "tasks: backup_after_hours must not exceed manager_after_hours"}
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


class GenericLicense(Section):
    """The key that a cohort of self-serve trials shares (A24, C01). It rotates on ``weekday``, when the office opens."""

    rotation_days: Annotated[int, Field(ge=1, le=365), Unit("days")]
    weekday: Weekday
    seats: Seats
    tags: Tags


class TrialLicense(Section):
    """The key of one trial's own (A15, A28). While a trial waits for a person its key is renewed, so many days before it ends."""

    tags: TrialTags
    seats: Seats
    waiting_days: Period
    renew_days_before: Annotated[int, Field(ge=1, le=30), Unit("days")]


class ProductionLicense(Section):
    """The key of a paid instance (A17)."""

    tags: ProductionTags
    term_months: Months
    seat_buffer: Annotated[Count, Unit("seats")]


class Licenses(Section):
    """The three kinds of licence keys. A key is good through its last day in ``timezone`` where nobody knows the customer's own."""

    timezone: TimeZone
    generic: GenericLicense
    trial: TrialLicense
    production: ProductionLicense
