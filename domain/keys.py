"""Until when a licence key is good (F12): every key's end is decided here.

A key is good through its last day where the customer is. Nobody tells us their time zone, so it is good until that day has ended
everywhere on earth (``license.timezone``): some hours too long for most, too short for nobody.
"""

from __future__ import annotations

from datetime import date, datetime

from domain.calendar import days_after, end_of_day, moment_after
from domain.figures import Licenses
from domain.policy import Policy


def through(licenses: Licenses, day: date) -> datetime:
    """The end of a key whose last day that is."""
    return end_of_day(day, licenses.timezone)


def of_trial(policy: Policy, ends_at: datetime) -> datetime:
    """The end of a key for a trial until then: it outlives the grace (C12), and the days in which it would be renewed."""
    days = policy.trial.deadline.grace_days + policy.license.trial.renew_days_before
    return through(policy.license, days_after(ends_at.date(), days))


def of_cohort(policy: Policy, rotated_at: datetime) -> datetime:
    """The end of a generic key (A24, C01): the last trial of its cohort has its grace, too."""
    return of_trial(policy, moment_after(rotated_at, policy.generic_key_life))


def covers(policy: Policy, until: datetime | None, ends_at: datetime) -> bool:
    """Whether a key until then outlives a trial's end and its grace; one of which nothing is known does not."""
    return until is not None and until >= end_of_day(days_after(ends_at.date(), policy.trial.deadline.grace_days), "UTC")
