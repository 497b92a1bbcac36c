"""Until when a licence key is good (F12): every key's end is decided here.

A key is good through its last day where the customer is. Nobody tells us their time zone, so it is good until that day has ended
everywhere on earth (``license.timezone``): some hours too long for most, too short for nobody.
"""

from datetime import UTC, date, datetime

from domain.calendar import days_after, end_of_day, moment_after
from domain.policy import Policy
from domain.policy.shared import Licenses

#: The last moment that ``expiresAt: Int!`` of the licence server's API can say.
LAST_MOMENT = datetime.fromtimestamp(2**31 - 1, UTC)


def through(licenses: Licenses, day: date) -> datetime:
    """The end of a key whose last day that is."""
    return end_of_day(day, licenses.timezone)


def too_far(licenses: Licenses, day: date) -> str | None:
    """Why no key can have that last day, in words (F26); None when one can. The licence server keeps a key's end in 32 bits."""
    if through(licenses, day) <= LAST_MOMENT:
        return None
    last = max(each for each in (days_after(LAST_MOMENT.date(), -n) for n in range(4)) if through(licenses, each) <= LAST_MOMENT)
    return f"{day} is later than a licence key can say: choose a day up to {last}"


def last_day_of_trial(policy: Policy, ends_at: datetime) -> date:
    """The last day of a key for a trial until then: it outlives the grace (C12), and the days in which it would be renewed."""
    return days_after(ends_at.date(), policy.trial.deadline.grace_days + policy.license.trial.renew_days_before)


def of_trial(policy: Policy, ends_at: datetime) -> datetime:
    """The end of a key for a trial until then."""
    return through(policy.license, last_day_of_trial(policy, ends_at))


def of_cohort(policy: Policy, rotated_at: datetime) -> datetime:
    """The end of a generic key (A24, C01): the last trial of its cohort has its grace, too."""
    return of_trial(policy, moment_after(rotated_at, policy.generic_key_life))


def covers(policy: Policy, until: datetime | None, ends_at: datetime) -> bool:
    """Whether a key until then outlives a trial's end and its grace; one of which nothing is known does not."""
    return until is not None and until >= end_of_day(days_after(ends_at.date(), policy.trial.deadline.grace_days), "UTC")
