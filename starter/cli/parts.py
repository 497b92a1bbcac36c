"""The parts that the commands' pages are made of. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.decision import Decision
from domain.task import Choice, FieldSpec
from domain.views import NextStep, TaskView
from starter.cli.base import console
from store.ledger import EffectRow

R = TypeVar("R")

#: Between two columns.
GAP = 2


# --- Lists -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column(Generic[R]):
    """A column of a list: its heading, what stands in it for a row, and in which style (what is a text already has its own).

    A ``figure`` stands right; it and what is ``whole`` are not broken. Where the page is too narrow columns are left out before a word is
    broken: that whose ``spare`` is 1 first, one without never.
    """

    name: str
    cell: Callable[[R], Text | str]
    style: str = ""
    figure: bool = False
    whole: bool = False
    spare: int = 0


def listed(columns: Sequence[Column[R]], rows: Iterable[R]) -> Table:
    """A table without lines, and without the columns in which nothing stands."""
    found = list(rows)
    cells = {column.name: [cell if isinstance(cell := column.cell(row), Text) else Text(cell) for row in found] for column in columns}
    shown = [column for column in columns if any(cell.plain for cell in cells[column.name])]
    texts = {column.name: [column.name, *(cell.plain for cell in cells[column.name])] for column in shown}
    longest = {name: max(map(len, said)) for name, said in texts.items()}
    word = {name: max(len(part) for text in said for part in text.split() or [""]) for name, said in texts.items()}
    rigid = {column.name for column in shown if column.figure or column.whole or word[column.name] == longest[column.name]}
    broken = max((word[column.name] for column in shown if column.name not in rigid), default=0)  # they get narrower all alike
    least = {name: longest[name] if name in rigid else min(broken, longest[name]) for name in texts}
    for column in sorted((column for column in shown if column.spare), key=lambda column: column.spare):
        if sum(least[each.name] + GAP for each in shown) > console().width:
            shown.remove(column)
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for column in shown:
        justify, rigidly = "right" if column.figure else "left", column.name in rigid
        made.add_column(column.name, style=column.style, justify=justify, no_wrap=rigidly, overflow="fold")  # type: ignore[arg-type]
    for number in range(len(found)):
        made.add_row(*(cells[column.name][number] for column in shown))
    return made


def grid(styles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Rows without headings: a column for each of ``styles``, which is not broken, and behind them what is."""
    made = Table.grid(padding=(0, GAP))
    for style in styles:
        made.add_column(style=style, no_wrap=True)
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made


def facts(rows: Iterable[tuple[str, Text | str]]) -> Table:
    """What is known, a line each, without what is empty."""
    return grid(("dim",), ((name, said) for name, said in rows if said))


# --- Parts of a page -------------------------------------------------------------------------------------------------------------------


def section(heading: str, body: Any) -> None:
    """Print a part of a page under its heading."""
    page = console()
    page.print()
    page.print(Text(heading, style="bold"))
    page.print(_indented(body, 2))


def steps(steps: Sequence[NextStep], now: datetime) -> Table:
    """What comes next, each with its time and how far off it is."""
    ahead = sorted(steps, key=lambda step: step.at)
    return grid(("cyan", "dim"), ((when(step.at), distance(step.at, now), step.what) for step in ahead))


def task(task: TaskView) -> Group:
    """An open task: what is asked, of whom, with which choices, and how to answer."""
    then = f", then of {task.asked_next}" if task.asked_next not in ("", task.assignee) else ""
    lines: list[Any] = [
        Text.assemble((task.title, "bold"), ("  due ", "dim"), (when(task.due_at), "yellow")),
        Text(task.asks),
        Text(f"asked of {task.assignee or words(task.role)}{then}", style="dim"),
    ]
    if task.checks:
        lines.append(_indented(grid(("cyan",), ((check.name, check.question) for check in task.checks)), 2))
    lines += _choices(task.choices)
    asks_checks = " --check NAME=yes|no …" if task.checks else ""
    asks_values = " --field NAME=VALUE …" if any(choice.fields for choice in task.choices) else ""
    lines.append(Text(f"→ tenure answer {task.id} CHOICE --by YOU@…{asks_checks}{asks_values}", style="dim"))
    return Group(*lines, Text(""))


def _choices(choices: Sequence[Choice]) -> list[Padding]:
    """What may be answered. What all of them take with them is said once; a label that only repeats a name is left out."""
    alike = len({choice.fields for choice in choices}) == 1
    labels = {choice.name: "" if choice.label.lower() == words(choice.name).lower() else choice.label for choice in choices}
    of_all = [_indented(each, 4) for each in (_fields(choices[0].fields) if alike else ())]
    if alike and not any(labels.values()):
        return [_indented(Text(", ".join(labels), style="bold"), 2), *of_all]
    rows = []
    for choice in choices:
        label = labels[choice.name]
        rows.append((choice.name, Group(*([Text(label)] if label else ()), *(() if alike else _fields(choice.fields)))))
    return [_indented(grid(("bold",), rows), 2), *of_all]


def _indented(part: Any, by: int) -> Padding:
    return Padding(part, (0, 0, 0, by), expand=False)


def _fields(fields: Sequence[FieldSpec]) -> list[Text]:
    """What a choice takes with it, a line each."""
    return [Text(f"{field.name}{'' if field.required else ' (may be left out)'}: {field.asks}", style="dim") for field in fields]


def decision(decision: Decision) -> Group:
    """A decision with its evidence."""
    who = f" by {decision.by}" if decision.by else ""
    rule = Text.assemble(decision.rule, (f"  [{decision.handbook}]" if decision.handbook else "", "dim"))
    evidence = [Text(f"{fact.name} = {value(fact.value)}  ({fact.source}, {when(fact.as_of)})", style="dim") for fact in decision.facts]
    if decision.nearest:
        evidence.append(Text(f"would have changed it: {decision.nearest}", style="dim italic"))
    head = Text.assemble((when(decision.at), "cyan"), "  ", (f"{words(decision.what)}: {words(decision.outcome)}", "bold"), (who, "dim"))
    return Group(head, _indented(rule, 2), *(_indented(each, 4) for each in evidence))


def effects(done: Sequence[EffectRow]) -> Table:
    """What was done, in order."""
    open_ = Text("begun, not known to be done", style="yellow")
    rows = ((when(row.as_of), row.system, row.act, row.summary, "" if row.done_at else open_) for row in done)
    return grid(("cyan", "", "dim"), rows)


# --- Words -----------------------------------------------------------------------------------------------------------------------------


def words(name: str) -> str:
    """A name of ours as words."""
    return name.replace("_", " ")


def first_line(words: str) -> str:
    """The first line of what the Web UI shows as Markdown; what follows there stands elsewhere on the page."""
    return words.partition("\n")[0].replace("**", "")


def value(value: Any) -> str:
    """A fact's value as words. That there is none is known, and said so."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "yes" if value is True else "no" if value is False else "none" if value in (None, "", []) else str(value)


def day(on: date | None) -> str:
    """A day, for people; empty for none."""
    return f"{on:%d %b %Y}" if on else ""


def when(at: datetime | None) -> str:
    """A moment, for people; empty for none."""
    return f"{at:%a %d %b %Y %H:%M} UTC" if at else ""


def distance(at: datetime, now: datetime) -> str:
    """How far off a moment is."""
    seconds = (at - now).total_seconds()
    if seconds <= 0:
        return "now"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"in {count} {unit}{'s' if count > 1 else ''}"
    return "in a moment"


def money(amount: int | None) -> str:
    """Dollars a year; empty for none."""
    return "" if amount is None else f"${amount:,}"


def person(email: str) -> str:
    """Who it is among us, short enough for a table."""
    return email.partition("@")[0]
