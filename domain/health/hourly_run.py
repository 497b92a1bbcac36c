"""The hourly run over all accounts (D12): its messages, which accounts are red by themselves (B17), and what of a change is worth a signal."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import date, datetime

from domain.account.red import Criterion
from domain.base import Message
from domain.health.types import Band
from domain.policy import AccountPolicy, CarriedAccountPolicy


class HealthInput(Message):
    """What the schedule gives to each hour's run; ``channel`` hears when something keeps it from its work."""

    policy: CarriedAccountPolicy
    channel: str = "growth"


class HandCopied(Message):
    """How many accounts have traits that people set; ``unreadable`` are values that mean nothing, in words."""

    accounts: int
    unreadable: tuple[str, ...] = ()


class ScoreFleet(Message):
    """Score every customer as of a moment."""

    as_of: datetime
    policy: CarriedAccountPolicy


class FleetScored(Message):
    """What a run found. ``changed`` have another score or another colour than before; ``to_tell`` and ``to_write`` wait to be told.

    ``unknown`` accounts are in no table of the warehouse; ``snapshot`` is the month of its newest month-end snapshots; ``odd`` are its numbers
    that cannot be so, in words.
    """

    accounts: int = 0
    bands: dict[str, int] = {}
    changed: int = 0
    to_tell: int = 0
    to_write: int = 0
    unknown: int = 0
    snapshot: date | None = None
    odd: tuple[str, ...] = ()


class TellAccounts(Message):
    """Signal every account whose processes must know something new."""


class Told(Message):
    """How many accounts got their signal."""

    accounts: int = 0


class WriteScores(Message):
    """Write every score that Vitally does not show yet; ``subject`` names the run in the ledger."""

    subject: str
    as_of: datetime
    policy: CarriedAccountPolicy


class HealthRun(Message):
    """What an hour's run did; ``problems`` say in words what it could not do, and the next run makes up for."""

    as_of: datetime
    scored: FleetScored | None = None
    told: int = 0
    written: int = 0
    problems: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """The run in one line."""
        if self.scored is None:
            return "nothing was scored: " + "; ".join(self.problems)
        bands = ", ".join(f"{number} {band}" for band, number in self.scored.bands.items()) or "no accounts"
        return f"{bands}; {self.scored.changed} changed, {self.told} told, {self.written} written to Vitally"


def reds(
    policy: AccountPolicy,
    today: date,
    *,
    total: float | None,
    contract_start: date | None,
    deployed_on: date | None,
    last_activity_on: date | None,
    declining_months: int,
    data_errors: Collection[str] = (),
) -> tuple[Criterion, ...]:
    """The criteria by which a customer is red by itself: the keys of :func:`domain.account.red.holding`, for very many accounts at once (B17).

    It says no more than which they are, since it is asked of every account every hour; the words and the evidence are made when one is red.
    """
    red, found = policy.red, list[Criterion]()
    if contract_start is None or contract_start > today:
        return ()
    if deployed_on is None and "deployed_on" not in data_errors and (today - contract_start).days > red.not_deployed_days:
        found.append("not_deployed")
    if last_activity_on is not None and (today - last_activity_on).days >= red.no_contact_days:
        found.append("no_contact")
    if total is not None and total <= red.health_at_most:
        found.append("health")
    if declining_months >= red.decline_months:
        found.append("decline")
    return tuple(found)


def standpoint(
    policy: AccountPolicy,
    *,
    band: Band,
    reds: tuple[str, ...],
    health: str,
    hand_red: bool,
    champion: bool | None,
    was_at_target: bool,
    mau_seats: float | None,
    usage_score: float | None,
) -> tuple[object, ...]:
    """What of a standing the account's processes act on; two that agree in this need no signal.

    The band, whether it is red by itself and why, what people say of it in the CRM and in Vitally, the champion, and on which side of each target its use is.
    """
    lifecycle = policy.lifecycle
    targets = (policy.get_well.target_mau_seats, lifecycle.goal_mau_seats, lifecycle.adopted_mau_seats)
    sides = [None if mau_seats is None else mau_seats >= target for target in targets]
    daily = None if usage_score is None else usage_score >= lifecycle.adopted_usage_score
    return (band, reds, health, hand_red, champion, was_at_target, *sides, daily)


#: What of a customer its processes act on. The day of the last activity is not among them: it moves every day, and the score knows it.
TOLD_OF_CUSTOMER = (
    "id", "name", "segment", "arr", "seats", "contract_start", "contract_end", "deployed_on", "subscription", "status", "merged_into",
    "data_errors",
)  # fmt: skip


def digest_of(*parts: object) -> str:
    """A few letters that are others when any part is another."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def customer_parts(customer: Mapping[str, object]) -> tuple[object, ...]:
    """What of a customer's row its processes act on."""
    return tuple(customer[name] for name in TOLD_OF_CUSTOMER)
