"""The forecast of the renewals (D29): what each is expected to bring, rolled up by quarter and owner.

Amounts are whole dollars a year; each renewal is rounded once, so that parts sum to the whole.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple, get_args

from domain.account.account import Outcome, Rating, RenewalFigures, RenewalRow
from domain.base import Message, Value
from domain.forecast.quarters import days_of
from domain.policy import AccountPolicy

#: What stands in ``by_outcome`` and ``by_rating`` for those that have none, and in ``by_owner`` for those that nobody owns.
NONE = "none"
LOSES: frozenset[Outcome] = frozenset({"full_churn", "partial_churn"})


class Expected(NamedTuple):
    """What a renewal is expected to bring, in dollars a year, and why; no ``amount``: nobody knows."""

    amount: int | None
    rule: str
    handbook: str


class Line(RenewalFigures):
    """One open renewal in a forecast: what was said of it, and what it is ``expected`` to bring by which ``rule``.

    ``confirmed``: its AE answered in the week of this forecast. ``warning`` is what C13 would not expect, ``disagreement`` who says what
    where system, TA and AE differ; both are empty otherwise.
    """

    workflow: str
    expected: int | None
    rule: str
    handbook: str
    said_at: datetime | None = None
    confirmed: bool = False
    warning: str = ""
    disagreement: str = ""


class Tally(Value):
    """So many renewals, their ARR, the ``weighted`` part that is expected of it, and the ARR of those of which nobody knows (``unknown``)."""

    renewals: int = 0
    arr: int = 0
    weighted: int = 0
    unknown: int = 0


class Forecast(Message):
    """A quarter's forecast as of ``taken_at``. ``closed`` are the quarter's renewals that have ended, with what they brought."""

    quarter: str
    taken_at: datetime
    policy: str
    lines: tuple[Line, ...] = ()
    total: Tally = Tally()
    by_owner: dict[str, Tally] = {}
    by_outcome: dict[str, Tally] = {}
    by_rating: dict[str, Tally] = {}
    closed: Tally = Tally()
    unconfirmed: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What C13 would not expect, renewal by renewal."""
        return tuple(f"{line.name}: {line.warning}" for line in self.lines if line.warning)

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Where system, TA and AE differ, renewal by renewal."""
        return tuple(f"{line.name}: {line.disagreement}" for line in self.lines if line.disagreement)


def expected(policy: AccountPolicy, row: RenewalRow) -> Expected:
    """What an open renewal is expected to bring: by the AE's projection, or by what its rating promises while there is none (C13)."""
    figures = policy.forecast
    match row.outcome:
        case "full_churn":
            return Expected(0, "The AE projects that all of it is lost.", "D28")
        case "partial_churn" if row.amount is not None:
            return Expected(row.amount, "The AE projects that this much of it stays.", "D28")
        case "partial_churn":
            rule = f"The AE projects a partial churn and no amount: {figures.partial_churn_percent:g} % of it is lost."
            return Expected(_percent(row.arr, 100 - figures.partial_churn_percent), rule, "D28")
        case "flat":
            return Expected(row.arr, "The AE projects that it stays as it is.", "D28")
        case "incremental":
            return Expected(row.arr if row.amount is None else row.amount, "The AE projects that it grows.", "C13")
    if row.rating is None:
        return Expected(None, "Neither projected nor rated yet: it counts in no weighted figure.", "D29")
    weight: float = getattr(figures.weights, row.rating)
    return Expected(_percent(row.arr, weight), f"No outcome is projected yet: a {row.rating} rating promises {weight:g} % of it.", "D29")


def expectation(rating: Rating | None, outcome: Outcome | None) -> str:
    """What is odd about a projection for that rating (C13): to be looked at, never refused. Empty when nothing is."""
    if rating is None or outcome is None:
        return ""
    if rating == "green" and outcome in LOSES:
        return f"rated green, yet {words(outcome)} is projected: green is expected to stay or to grow (C13)"
    if rating != "green" and outcome not in LOSES:
        return f"rated {rating}, yet {words(outcome)} is projected: {rating} is expected to lose some (C13)"
    return ""


def disagreement(row: RenewalRow) -> str:
    """Who says what, where those of system, TA and AE who said something do not say the same; else empty."""
    said = {"system": row.system_outcome, "TA": row.ta_outcome, "AE": row.outcome}
    known = {who: outcome for who, outcome in said.items() if outcome is not None}
    return ", ".join(f"{who} says {words(outcome)}" for who, outcome in known.items()) if len(set(known.values())) > 1 else ""


def words(outcome: str) -> str:
    """An outcome as people say it."""
    return outcome.replace("_", " ")


def _percent(amount: int, percent: float) -> int:
    return round(amount * percent / 100)


def roll_up(
    policy: AccountPolicy,
    rows: Iterable[RenewalRow],
    quarter: str,
    *,
    at: datetime,
    confirmed: Iterable[str] = (),
    unconfirmed: Iterable[str] = (),
) -> Forecast:
    """The forecast of one quarter out of all renewals' ``rows``; ``confirmed`` and ``unconfirmed`` are AEs, by e-mail address."""
    first, last = days_of(policy, quarter)
    within = sorted((row for row in rows if first <= row.renewal_on <= last), key=lambda row: (row.renewal_on, row.domain, row.workflow))
    said = frozenset(confirmed)
    lines = tuple(_line(policy, row, said) for row in within if row.status == "open")
    owners = {line.ae for line in lines}
    return Forecast(
        quarter=quarter,
        taken_at=at,
        policy=policy.hash,
        lines=lines,
        total=tally(lines),
        by_owner=_by(lines, lambda line: line.ae or NONE),
        by_outcome=_by(lines, lambda line: line.outcome or NONE, get_args(Outcome)),
        by_rating=_by(lines, lambda line: line.rating or NONE, get_args(Rating)),
        closed=_closed(within),
        unconfirmed=tuple(ae for ae in dict.fromkeys(unconfirmed) if ae in owners),
    )


def tally(lines: Iterable[Line]) -> Tally:
    """These renewals, added up."""
    found = list(lines)
    return Tally(
        renewals=len(found),
        arr=sum(line.arr for line in found),
        weighted=sum(line.expected or 0 for line in found),
        unknown=sum(line.arr for line in found if line.expected is None),
    )


def _line(policy: AccountPolicy, row: RenewalRow, confirmed: frozenset[str]) -> Line:
    amount, rule, handbook = expected(policy, row)
    return Line(
        **{name: getattr(row, name) for name in Line.model_fields if name in RenewalRow.model_fields},
        expected=amount,
        rule=rule,
        handbook=handbook,
        said_at=row.forecast_at,
        confirmed=row.ae in confirmed,
        warning=expectation(row.rating, row.outcome),
        disagreement=disagreement(row),
    )


def _by(lines: tuple[Line, ...], key: Callable[[Line], str], order: tuple[str, ...] = ()) -> dict[str, Tally]:
    """A tally for each key, in that order; what stands in none comes last, in its own."""
    groups: dict[str, list[Line]] = {name: [] for name in order}
    for line in sorted(lines, key=lambda line: (key(line) == NONE, key(line))):
        groups.setdefault(key(line), []).append(line)
    return {name: tally(group) for name, group in groups.items() if group}


def _closed(rows: Iterable[RenewalRow]) -> Tally:
    ended = [row for row in rows if row.status in ("renewed", "churned")]
    return Tally(renewals=len(ended), arr=sum(row.arr for row in ended), weighted=sum(brought(row) for row in ended))


def brought(row: RenewalRow) -> int:
    """The ARR that an ended renewal brought."""
    return 0 if row.status == "churned" else row.arr if row.actual_arr is None else row.actual_arr
