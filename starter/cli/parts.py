"""The parts that the commands' pages are made of. Everything that came from outside is printed as text, never as markup."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain import markup
from domain.decision import Decision
from domain.task import Choice, FieldSpec
from domain.views import NextStep, TaskView
from store.ledger import EffectRow

#: Between two columns.
GAP = 2
STYLES = {"healthy": "green", "concerning": "yellow", "poor": "red", "green": "green", "yellow": "yellow", "red": "red"}


# --- Grids -----------------------------------------------------------------------------------------------------------------------------


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


def section(heading: str, *bodies: Any) -> Iterator[Any]:
    """A part of a page under its heading; nothing when there is nothing in it."""
    if bodies:
        texts = (Text(each) if isinstance(each, str) else each for each in bodies)
        yield from ("", Text(heading, style="bold"), _indented(Group(*texts), 2))


def told(heading: str, styles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
    """A part of a page that is a :func:`grid`; nothing when there are no rows."""
    if found := list(rows):
        yield from section(heading, grid(styles, found))


def steps(steps: Sequence[NextStep], now: datetime) -> Table:
    """What comes next, each with its time and how far off it is."""
    return grid(("cyan", "dim"), ((when(step.at), distance(step.at, now), step.what) for step in sorted(steps, key=lambda step: step.at)))


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
    lines.append(dim(f"→ tenure answer {task.id} CHOICE --by YOU@…{asks_checks}{asks_values}"))
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
    return [dim(f"{field.name}{'' if field.required else ' (may be left out)'}: {field.asks}") for field in fields]


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


def dim(text: str) -> Text:
    """A text that stands back."""
    return Text(text, style="dim")


def coloured(rating: str | None) -> Text:
    """A band or a rating in its colour; empty for none."""
    return Text(rating or "", style=STYLES.get(rating or "", "dim" if rating else ""))


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
            return f"in {markup.counted(int(seconds // size), unit)}"
    return "in a moment"


def money(amount: int | None) -> str:
    """Dollars a year; empty for none."""
    return "" if amount is None else f"${amount:,}"


def person(email: str) -> str:
    """Who it is among us, short enough for a table."""
    return email.partition("@")[0]
