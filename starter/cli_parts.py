"""The parts that the commands' pages are made of. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from starter.cli_base import console

if TYPE_CHECKING:
    from activities.ledger import EffectRow
    from domain.decision import Decision
    from domain.views import NextStep, TaskView


def section(heading: str, body: Any) -> None:
    """Print a part of a page under its heading."""
    page = console()
    page.print()
    page.print(Text(heading, style="bold"))
    page.print(Padding(body, (0, 0, 0, 2)))


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
    lines = [
        Text.assemble((task.title, "bold"), ("  due ", "dim"), (when(task.due_at), "yellow")),
        Text(task.asks),
        Text(f"asked of {task.assignee or words(task.role)}" + _then(task), style="dim"),
    ]
    widest = max((len(check.name) for check in task.checks), default=0)
    lines += [Text.assemble("  ", (f"{check.name:<{widest}}", "cyan"), f"  {check.question}") for check in task.checks]
    width = max(len(choice.name) for choice in task.choices) if task.choices else 0
    for choice in task.choices:
        fields = "; ".join(f"{field.name}{'' if field.required else ' (may be left out)'}: {field.asks}" for field in choice.fields)
        lines.append(
            Text.assemble("  ", (f"{choice.name:<{width}}", "bold"), f"  {choice.label}", (f"  {fields}" if fields else "", "dim"))
        )
    checks = " --check NAME=yes|no …" if task.checks else ""
    values = " --field NAME=VALUE …" if any(choice.fields for choice in task.choices) else ""
    lines.append(Text(f"→ tenure answer {task.id} CHOICE --by YOU@…{checks}{values}", style="dim"))
    return Group(*lines, Text(""))


def decision(decision: Decision) -> Group:
    """A decision with its evidence."""
    who = f" by {decision.by}" if decision.by else ""
    lines = [
        Text.assemble((when(decision.at), "cyan"), "  ", (f"{words(decision.what)}: {words(decision.outcome)}", "bold"), (who, "dim")),
        Text.assemble("  ", decision.rule, (f"  [{decision.handbook}]" if decision.handbook else "", "dim")),
    ]
    lines += [Text(f"    {fact.name} = {value(fact.value)}  ({fact.source}, {when(fact.as_of)})", style="dim") for fact in decision.facts]
    if decision.nearest:
        lines.append(Text(f"    would have changed it: {decision.nearest}", style="dim italic"))
    return Group(*lines)


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
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def words(name: str) -> str:
    """A name of ours as words."""
    return name.replace("_", " ")


def first_line(words: str) -> str:
    """The first line of what the Web UI shows as Markdown; what follows there stands elsewhere on the page."""
    return words.partition("\n")[0].replace("**", "")


def value(value: Any) -> str:
    """A fact's value as words. That there is none is known, and said so."""
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
