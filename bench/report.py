"""How a figure is said: a JSON line for programs, a row of a table for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure.

    ``value`` is what was measured, ``floor`` the same of the least that could be (measured in turn with it), ``ratio`` one through the
    other. ``goal`` is the most that is allowed of the ratio, or of the value when there is no floor. ``ok`` is None for a figure that has
    no goal and only explains another. ``spread`` is least and most over the repetitions; an exact count has none. ``load`` is the
    machine's load average just before: above the number of cores, times say little and even ratios of times drift.
    """

    metric: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    goal: float | None = None
    ok: bool | None = None
    spread: tuple[float, float] | None = None
    note: str = ""
    load: float | None = None


def row(
    metric: str,
    values: float | Sequence[float],
    unit: str,
    *,
    floors: float | Sequence[float] | None = None,
    ratios: Sequence[float] | None = None,
    goal: float | None = None,
    note: str = "",
    holds: bool = True,
) -> Row:
    """A row from the repetitions of a figure: medians, and the spread of what the goal is about.

    ``ratios`` are taken pair by pair where value and floor were measured in turn. ``holds`` is a condition besides the goal.
    """
    value = median(values)
    floor = None if floors is None else median(floors)
    ratio = median(ratios) if ratios else None if floor is None else value / floor
    judged = value if ratio is None else ratio
    of = ratios or (values if isinstance(values, Sequence) else [])
    return Row(
        metric=metric,
        value=_short(value),
        unit=unit,
        floor=None if floor is None else _short(floor),
        ratio=None if ratio is None else _short(ratio),
        goal=goal,
        ok=None if goal is None else bool(judged <= goal and holds),
        spread=(_short(min(of)), _short(max(of))) if len(of) > 1 else None,
        note=note,
    )


def median(values: float | Sequence[float]) -> float:
    """The median; of one number itself."""
    return float(statistics.median(values)) if isinstance(values, Sequence) else float(values)


def line(said: Row) -> str:
    """The row as one line of JSON."""
    return json.dumps(asdict(said), ensure_ascii=False)


def table(rows: Sequence[Row]) -> None:
    """All rows for people, on stderr, so that stdout holds nothing but JSON lines."""
    page = Table(title="What it costs", title_justify="left")
    for name in ("metric", "value", "floor", "ratio", "goal", "", "spread", "load"):
        page.add_column(name, justify="left" if name == "metric" else "right")
    for each in rows:
        verdict = {True: "[green]ok[/]", False: "[bold red]missed[/]", None: ""}[each.ok]
        spread = f"{each.spread[0]:g}..{each.spread[1]:g}" if each.spread else ""
        goal = "" if each.goal is None else f"≤ {each.goal:g}"
        page.add_row(
            each.metric,
            f"{each.value:g} {each.unit}".strip(),
            _cell(each.floor),
            _cell(each.ratio),
            goal,
            verdict,
            spread,
            _cell(each.load),
        )
    console = Console(stderr=True)
    console.print(page)
    for each in rows:
        if each.note:
            console.print(f"[bold]{each.metric}[/]: {each.note}", highlight=False)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _short(value: float) -> float:
    """Four digits that mean something; counts stay whole."""
    return value if value == int(value) else float(f"{value:.4g}")
