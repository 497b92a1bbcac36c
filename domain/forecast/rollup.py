"""The forecast of the renewals (D29): what each is expected to bring, rolled up by quarter and owner, and held against what came.

A fiscal quarter is named by the year in which its fiscal year ends (gap 14): with years that start in February, 2026-02-01 is in
``FY27-Q1`` and 2027-01-31 in ``FY27-Q4``. A year of another century has its four digits: ``FY2127-Q1``. Amounts are whole dollars a year; each renewal is rounded once, so that parts sum to the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import NamedTuple, get_args

from domain.account.account import Outcome, Rating, RenewalFigures, RenewalRow
from domain.base import Message, Value
from domain.calendar import days_after
from domain.policy import AccountPolicy

QUARTER = re.compile(r"FY([0-9]{2}|(?!20)[0-9]{4}|10000)-Q([1-4])")
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


class Moved(Value):
    """Why a forecast differs from the one before: the ``change`` of all of them sums to the change of the weighted total."""

    name: str
    change: int
    why: str


class Kept(Value):
    """One renewal of a closed quarter: what was forecast, and what came of it. ``hit``: the outcome came as projected."""

    name: str
    domain: str
    ae: str
    forecast: int | None
    actual: int | None
    outcome: Outcome | None
    actual_outcome: Outcome | None
    hit: bool | None
    said: str


class Actual(Message):
    """A closed quarter: what a forecast of it said, and what came. ``error`` is actual less forecast, of the renewals that have both.

    ``hits`` of ``judged`` renewals came as projected. ``open``: renewals of the quarter that have not ended yet.
    """

    quarter: str
    taken_at: datetime
    forecast: int
    actual: int
    error: int
    judged: int
    hits: int
    open: int
    lines: tuple[Kept, ...] = ()
    by_owner: dict[str, int] = {}


# --- Quarters ---------------------------------------------------------------------------------------------------------------


def quarter_of(policy: AccountPolicy, on: date) -> str:
    """The fiscal quarter of a day, as ``FY27-Q4``; outside this century ``FY2127-Q4``."""
    starts = policy.forecast.fiscal_year_starts_month
    months = on.year * 12 + on.month - starts  # since the fiscal year 0 began
    year = months // 12 + (starts > 1)
    return f"FY{year - 2000:02d}-Q{months % 12 // 3 + 1}" if year // 100 == 20 else f"FY{year:04d}-Q{months % 12 // 3 + 1}"


def days_of(policy: AccountPolicy, quarter: str) -> tuple[date, date]:
    """The first and the last day of a quarter; two digits are a year of this century. Raises ``ValueError`` for what is no quarter's name."""
    found = QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError(f"{quarter!r} is no fiscal quarter; write it as FY27-Q4")
    starts = policy.forecast.fiscal_year_starts_month
    year = int(found[1]) + (2000 if len(found[1]) == 2 else 0)
    first = (year - (starts > 1)) * 12 + starts - 1 + (int(found[2]) - 1) * 3
    if first + 3 <= date.min.year * 12 or first // 12 > date.max.year:
        raise ValueError(f"{quarter!r} is no fiscal quarter that a date can be in; write it as FY27-Q4")
    last = date.max if (first + 3) // 12 > date.max.year else days_after(_first_of(first + 3), -1)
    return _first_of(max(first, date.min.year * 12)), last


def is_closed(policy: AccountPolicy, quarter: str, today: date) -> bool:
    """Whether the quarter's last day is over."""
    return days_of(policy, quarter)[1] < today


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


# --- One renewal ------------------------------------------------------------------------------------------------------------


def expected(policy: AccountPolicy, row: RenewalRow) -> Expected:
    """What an open renewal is expected to bring: by the AE's projection, or by what its rating promises while there is none (C13)."""
    figures = policy.forecast
    match row.outcome:
        case "full_churn":
            return Expected(0, "The AE projects that all of it is lost.", "D28")
        case "partial_churn" if row.amount is not None:
            return Expected(row.amount, "The AE projects that this much of it stays.", "D28")
        case "partial_churn":
            lost = figures.partial_churn_percent
            return Expected(
                _percent(row.arr, 100 - lost), f"The AE projects a partial churn and no amount: {lost:g} % of it is lost.", "D28"
            )
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


# --- The roll-up ------------------------------------------------------------------------------------------------------------


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


# --- Against another week, and against what came ------------------------------------------------------------------------------


def compare(before: Forecast, now: Forecast) -> tuple[Moved, ...]:
    """What moved the weighted total from one forecast of a quarter to a later one, the largest move first."""
    old, new = ({line.workflow: line for line in each.lines} for each in (before, now))
    moved = []
    for workflow in dict.fromkeys([*old, *new]):
        was, now_is = old.get(workflow), new.get(workflow)
        change = (now_is.expected or 0 if now_is else 0) - (was.expected or 0 if was else 0)
        why = _why_moved(was, now_is)
        if why and (line := now_is or was) is not None:
            moved.append(Moved(name=line.name, change=change, why=why))
    return tuple(sorted(moved, key=lambda each: (-abs(each.change), each.name)))


def _why_moved(was: Line | None, now: Line | None) -> str:
    """Why a renewal's line is another one; empty when nothing of it moved."""
    if was is None or now is None:
        return "new in this quarter" if was is None else "ended, or moved to another quarter"
    for what, before, after in (
        ("outcome", was.outcome, now.outcome),
        ("rating", was.rating, now.rating),
        ("amount", was.amount, now.amount),
        ("ARR", was.arr, now.arr),
        ("expected", was.expected, now.expected),
    ):
        if before != after:
            return f"{what}: {words(str(before)) if before is not None else NONE} → {words(str(after)) if after is not None else NONE}"
    return ""


def baseline(policy: AccountPolicy, quarter: str, snapshots: Iterable[Forecast]) -> Forecast | None:
    """The snapshot that a closed quarter is held against: the last one before the quarter began, else the first one of it."""
    first = days_of(policy, quarter)[0]
    in_order = sorted((each for each in snapshots if each.quarter == quarter), key=lambda each: each.taken_at)
    before = [each for each in in_order if each.taken_at.date() < first]
    return before[-1] if before else next(iter(in_order), None)


def against_actual(forecast: Forecast, rows: Iterable[RenewalRow]) -> Actual:
    """What became of the renewals of a forecast. A renewal that was cancelled (moved, merged) is judged by nothing and left out."""
    ended = {row.workflow: row for row in rows}
    lines, still_open = [], 0
    for line in forecast.lines:
        row = ended.get(line.workflow)
        if row is None or row.status == "open":
            still_open += 1
        elif row.status != "cancelled":
            lines.append(_kept(line, row))
    both = [(line.ae or NONE, line.forecast, line.actual) for line in lines if line.forecast is not None and line.actual is not None]
    judged = [line for line in lines if line.hit is not None]
    by_owner: dict[str, int] = {}
    for ae, said, came in both:
        by_owner[ae] = by_owner.get(ae, 0) + came - said
    return Actual(
        quarter=forecast.quarter,
        taken_at=forecast.taken_at,
        forecast=sum(said for _, said, _ in both),
        actual=sum(line.actual or 0 for line in lines),
        error=sum(came - said for _, said, came in both),
        judged=len(judged),
        hits=sum(bool(line.hit) for line in judged),
        open=still_open,
        lines=tuple(lines),
        by_owner=dict(sorted(by_owner.items())),
    )


def _kept(line: Line, row: RenewalRow) -> Kept:
    came = row.actual_outcome or ("full_churn" if row.status == "churned" else None)
    said = words(line.outcome) if line.outcome else "no outcome"
    return Kept(
        name=line.name,
        domain=line.domain,
        ae=line.ae,
        forecast=line.expected,
        actual=brought(row),
        outcome=line.outcome,
        actual_outcome=came,
        hit=None if line.outcome is None or came is None else line.outcome == came,
        said=f"{said} was projected, {words(came) if came else 'something'} came",
    )
