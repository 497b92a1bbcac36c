"""A forecast held against the one of another week, and against what came."""

from collections.abc import Iterable
from datetime import datetime

from domain.account.account import Outcome, RenewalRow
from domain.base import Message, Value
from domain.forecast.quarters import days_of
from domain.forecast.rollup import NONE, Forecast, Line, brought, words
from domain.policy import AccountPolicy


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
    for what in ("outcome", "rating", "amount", "arr", "expected"):
        before, after = (getattr(line, what) for line in (was, now))
        if before != after:
            shown = (words(str(value)) if value is not None else NONE for value in (before, after))
            return f"{'ARR' if what == 'arr' else what}: {' → '.join(shown)}"
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
    hit = None if line.outcome is None or came is None else line.outcome == came
    said = f"{said} was projected, {words(came) if came else 'something'} came"
    same = line.model_dump(include={"name", "domain", "ae", "outcome"})
    return Kept(**same, forecast=line.expected, actual=brought(row), actual_outcome=came, hit=hit, said=said)
