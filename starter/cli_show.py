"""The pages that the commands print. Everything that came from outside is printed as text, never as markup."""

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
    from domain.messages import SignupAnswer
    from domain.policy import Entry
    from domain.views import NextStep, TaskView, TrialStatus
    from starter.forms import TrialPage, TrialView

#: How many of a trial's effects its page shows; `tenure effects` shows all.
LAST_EFFECTS = 12


def signup(said: SignupAnswer) -> None:
    """What became of a signup."""
    page = console()
    page.print(
        Text.assemble(
            (said.outcome.replace("_", " "), "bold"), f"  case {said.case}, {said.domain}", (f"  {said.host}" if said.host else "", "cyan")
        )
    )
    page.print(Text(said.message))
    page.print(Text(f"→ tenure trial show {said.domain}", style="dim"))


def trials(found: TrialPage) -> None:
    """A page of trials."""
    page = console()
    table = _table("company", "stage", "owner", "next due", "since", "status")
    for row in found.rows:
        due = Text(_when(row.due_at), style="yellow") if row.due_at else Text("")
        table.add_row(
            Text(row.domain, style="bold"), _words(row.stage), row.owner, due, _day(row.started_at), "" if row.open else row.status
        )
    if found.rows:
        page.print(table)
    else:
        page.print("No trials here yet. → tenure signup ada@acme.example --company Acme")
    if found.counts:
        page.print(Text(", ".join(f"{count} {name}" for name, count in sorted(found.counts.items())), style="dim"))
    if found.next_page:
        page.print(Text(f"→ more: tenure trial list --page {found.next_page}", style="dim"), soft_wrap=True)


def trial(view: TrialView, done: Sequence[EffectRow]) -> None:
    """One trial as a page."""
    page, status = console(), view.status
    page.print()
    page.print(
        Text.assemble(
            (status.company or status.domain, "bold"), f"  {status.domain}  ", (_words(status.stage), "bold cyan" if view.open else "bold")
        )
    )
    page.print(Text(_first_line(status.in_words)))
    page.print(_facts(view))
    if view.next_steps:
        _section("What comes next", _steps(view.next_steps, view.at))
    if view.tasks:
        _section("Open tasks", Group(*(_task(task) for task in view.tasks)))
    if view.dossier:
        _section("Decisions", Group(*(_decision(decision) for decision in view.dossier)))
    if status.notes:
        _section("Notes", Group(*(Text(f"· {note}") for note in status.notes)))
    if done:
        hidden = len(done) - LAST_EFFECTS
        _section("What was done", _effects(done[-LAST_EFFECTS:]))
        if hidden > 0:
            page.print(Text(f"  and {hidden} before → tenure effects {status.domain}", style="dim"))
    page.print()


def tasks(found: Sequence[TaskView]) -> None:
    """The open tasks, one under the other."""
    page = console()
    if not found:
        page.print("No open tasks.")
    for task in found:
        page.print(_task(task))


def effects(done: Sequence[EffectRow]) -> None:
    """The effects as a table."""
    console().print(_effects(done) if done else "Nothing has been done for this company.")


def skipped(result: dict[str, Any]) -> None:
    """Where the clock stands now, and what happened meanwhile."""
    page = console()
    before, now = result["before"], result["now"]
    page.print(Text.assemble((result["workflow"], "bold"), f"  {_when(before)} → ", (_when(now), "bold cyan")))
    if result["effects"]:
        page.print(Padding(_effects(result["effects"]), (0, 0, 0, 2)))
    else:
        page.print(Text("  nothing was done meanwhile", style="dim"))
    status: TrialStatus | None = result["status"]
    if status is not None:
        page.print(Text.assemble((_words(status.stage), "bold"), f"  {_first_line(status.in_words)}"))
    elif not result["open"]:
        page.print(Text("It has ended.", style="bold"))


def policy(found: Sequence[Entry], hash_: str, name: str) -> None:
    """The figures, each with its unit and its handbook id."""
    table = _table("figure", "value", "unit", "id")
    for entry in found:
        value = ", ".join(str(part) for part in entry.value) if isinstance(entry.value, list) else str(entry.value)
        table.add_row(entry.path, Text(value or "none", overflow="fold"), Text(entry.unit, style="dim"), Text(entry.id, style="dim"))
    page = console()
    page.print(table)
    page.print(Text(f"{name}  {hash_}", style="dim"))


def config(rows: Sequence[dict[str, str]]) -> None:
    """The settings, each with where it is from."""
    table = _table("setting", "value", "from")
    for row in rows:
        table.add_row(
            row["name"], Text(row["value"], overflow="fold"), Text(row["source"], style="dim" if row["source"] == "default" else "cyan")
        )
    console().print(table)


# --- The parts of a page ----------------------------------------------------------------------------------------------------


def _section(heading: str, body: Any) -> None:
    page = console()
    page.print()
    page.print(Text(heading, style="bold"))
    page.print(Padding(body, (0, 0, 0, 2)))


def _facts(view: TrialView) -> Text:
    status = view.status
    facts = [
        ("case", status.case),
        ("origin", "" if status.origin == "self_serve" else _words(status.origin)),
        ("instance", status.host),
        ("signed up", _when(status.signed_up_at)),
        ("started", _when(status.started_at)),
        ("ends", f"{_when(status.ends_at)} (day {status.total_days})" if status.ends_at else ""),
        ("CE", status.ce),
        ("AE", status.ae),
        ("SDR", status.sdr),
        ("issues", ", ".join(f"{_words(name)} #{number}" for name, number in status.issues.items())),
        ("mail", "stopped by the prospect" if status.opted_out else ""),
        ("policy", status.policy),
        ("workflow", view.workflow),
        ("its time", _when(view.at)),
    ]
    width = max(len(name) for name, _ in facts)
    return Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in facts if value)


def _steps(steps: Sequence[NextStep], now: datetime) -> Table:
    grid = Table.grid(padding=(0, 2))
    for step in sorted(steps, key=lambda step: step.at):
        grid.add_row(
            Text(_when(step.at), style="cyan", no_wrap=True), Text(_distance(step.at, now), style="dim", no_wrap=True), Text(step.what)
        )
    return grid


def _task(task: TaskView) -> Group:
    lines = [
        Text.assemble((task.title, "bold"), ("  due ", "dim"), (_when(task.due_at), "yellow")),
        Text(task.asks),
        Text(f"asked of {task.assignee or _words(task.role)}" + (f", then of {task.asked_next}" if task.asked_next else ""), style="dim"),
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


def _decision(decision: Decision) -> Group:
    who = f" by {decision.by}" if decision.by else ""
    lines = [
        Text.assemble((_when(decision.at), "cyan"), "  ", (f"{_words(decision.what)}: {_words(decision.outcome)}", "bold"), (who, "dim")),
        Text.assemble("  ", decision.rule, (f"  [{decision.handbook}]" if decision.handbook else "", "dim")),
    ]
    lines += [Text(f"    {fact.name} = {_value(fact.value)}  ({fact.source}, {_when(fact.as_of)})", style="dim") for fact in decision.facts]
    if decision.nearest:
        lines.append(Text(f"    would have changed it: {decision.nearest}", style="dim italic"))
    return Group(*lines)


def _effects(done: Sequence[EffectRow]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for row in done:
        mark = Text("") if row.done_at else Text("begun, not known to be done", style="yellow")
        grid.add_row(
            Text(_when(row.as_of), style="cyan", no_wrap=True),
            Text(row.system, no_wrap=True),
            Text(row.act, style="dim", no_wrap=True),
            Text(row.summary),
            mark,
        )
    return grid


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _first_line(words: str) -> str:
    """The first line of what the Web UI shows as Markdown; what follows there stands elsewhere on the page."""
    return words.partition("\n")[0].replace("**", "")


def _value(value: Any) -> str:
    """A fact's value as words. That there is none is known, and said so."""
    return "yes" if value is True else "no" if value is False else "none" if value in (None, "", []) else str(value)


def _day(at: datetime) -> str:
    return f"{at:%d %b %Y}"


def _when(at: datetime | None) -> str:
    return f"{at:%a %d %b %Y %H:%M} UTC" if at else ""


def _distance(at: datetime, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    if seconds <= 0:
        return "now"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"in {count} {unit}{'s' if count > 1 else ''}"
    return "in a moment"
