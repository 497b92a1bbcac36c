"""The parts that the commands' pages are made of. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.decision import Decision
from domain.task import Choice, FieldSpec
from domain.views import NextStep, TaskView
from starter.cli.base import console
from store.ledger import EffectRow

#: Between two columns.
GAP = 2


def section(heading: str, body: Any) -> None:
    """Print a part of a page under its heading."""
    page = console()
    page.print()
    page.print(Text(heading, style="bold"))
    page.print(_indented(body, 2))


def steps(steps: Sequence[NextStep], now: datetime) -> Table:
    """What comes next, each with its time and how far off it is."""
    grid = Table.grid(padding=(0, 2))
    for step in sorted(steps, key=lambda step: step.at):
        grid.add_row(
            Text(when(step.at), style="cyan", no_wrap=True), Text(distance(step.at, now), style="dim", no_wrap=True), Text(step.what)
        )
    return grid


def _then(task: TaskView) -> str:
    """Who is asked next, when that is somebody else."""
    return f", then of {task.asked_next}" if task.asked_next not in ("", task.assignee) else ""


def task(task: TaskView) -> Group:
    """An open task: what is asked, of whom, with which choices, and how to answer."""
    lines: list[Any] = [
        Text.assemble((task.title, "bold"), ("  due ", "dim"), (when(task.due_at), "yellow")),
        Text(task.asks),
        Text(f"asked of {task.assignee or words(task.role)}" + _then(task), style="dim"),
    ]
    if task.checks:
        checks = Table.grid(padding=(0, 2))
        for check in task.checks:
            checks.add_row(Text(check.name, style="cyan", no_wrap=True), Text(check.question))
        lines.append(_indented(checks, 2))
    lines += _choices(task.choices)
    asks_checks = " --check NAME=yes|no …" if task.checks else ""
    asks_values = " --field NAME=VALUE …" if any(choice.fields for choice in task.choices) else ""
    lines.append(Text(f"→ tenure answer {task.id} CHOICE --by YOU@…{asks_checks}{asks_values}", style="dim"))
    return Group(*lines, Text(""))


def _choices(choices: Sequence[Choice]) -> list[Padding]:
    """What may be answered. What all of them take with them is said once; a label that only repeats a name is left out."""
    alike = len({choice.fields for choice in choices}) == 1
    labels = {choice.name: "" if choice.label.lower() == words(choice.name).lower() else choice.label for choice in choices}
    if alike and not any(labels.values()):
        return [_indented(Text(", ".join(labels), style="bold"), 2), *(_indented(each, 4) for each in _fields(choices[0].fields))]
    grid = Table.grid(padding=(0, 2))
    for choice in choices:
        said = [Text(labels[choice.name])] if labels[choice.name] else []
        grid.add_row(Text(choice.name, style="bold", no_wrap=True), Group(*said, *([] if alike else _fields(choice.fields))))
    return [_indented(grid, 2), *(_indented(each, 4) for each in (_fields(choices[0].fields) if alike else ()))]


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


def effects_table(done: Sequence[EffectRow]) -> Table:
    """What was done, in order."""
    grid = Table.grid(padding=(0, 2))
    for row in done:
        mark = Text("") if row.done_at else Text("begun, not known to be done", style="yellow")
        grid.add_row(
            Text(when(row.as_of), style="cyan", no_wrap=True),
            Text(row.system, no_wrap=True),
            Text(row.act, style="dim", no_wrap=True),
            Text(row.summary),
            mark,
        )
    return grid


def table(*columns: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def columns(
    rows: Sequence[Mapping[str, Text | str]], *, right: Collection[str] = (), whole: Collection[str] = (), spare: Sequence[str] = ()
) -> Table:
    """A table of rows by their headings, without the columns in which nothing stands.

    Figures stand ``right``; they and what is ``whole`` are not broken. Where the page is too narrow the ``spare`` columns are left out, in
    that order, before a word is broken.
    """
    cells = {name: [str(row[name]) for row in rows] for name in rows[0]}
    shown = [name for name, texts in cells.items() if any(texts)]
    longest = {name: max(len(text) for text in (name, *cells[name])) for name in shown}
    word = {name: max(len(part) for text in (name, *cells[name]) for part in text.split() or [""]) for name in shown}
    rigid = {name for name in shown if name in right or name in whole or word[name] == longest[name]}
    broken = max((word[name] for name in shown if name not in rigid), default=0)  # they get narrower all alike
    least = {name: longest[name] if name in rigid else min(broken, longest[name]) for name in shown}
    for name in spare:
        if sum(least[each] + GAP for each in shown) > console().width and name in shown:
            shown.remove(name)
    made = table()
    for name in shown:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name in rigid, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell := row[name], Text) else Text(cell) for name in shown))
    return made


def facts(rows: Sequence[tuple[str, Text | str]]) -> Table:
    """What is known, a line each, without what is empty."""
    grid = Table.grid(padding=(0, 2))
    for name, said in rows:
        if said:
            grid.add_row(Text(name, style="dim", no_wrap=True), said if isinstance(said, Text) else Text(said))
    return grid


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


def day(at: datetime) -> str:
    """A day, for people."""
    return f"{at:%d %b %Y}"


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
