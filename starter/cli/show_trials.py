"""The pages that the commands print. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from domain.messages import SignupAnswer
from domain.views import TaskView
from starter.cli import parts
from starter.cli.base import console
from starter.service.forms import TrialPage, TrialView
from store.ledger import EffectRow

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


def trials(found: TrialPage, stage: str = "") -> None:
    """A page of trials; ``stage`` when only those of one were asked for."""
    page = console()
    table = parts.table("company", "stage", "owner", "next due", "since", "status")
    for row in found.rows:
        due = Text(parts.when(row.due_at), style="yellow") if row.due_at else Text("")
        table.add_row(
            Text(row.domain, style="bold"),
            parts.words(row.stage),
            row.owner,
            due,
            parts.day(row.started_at),
            "" if row.open else row.status,
        )
    if found.rows:
        page.print(table)
    elif stage:
        page.print(f"No trial is in stage {parts.words(stage)}.", markup=False)
    elif found.counts:
        page.print("No trial is open. → tenure trial list --all")
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
            (status.company or status.domain, "bold"),
            f"  {status.domain}  ",
            (parts.words(status.stage), "bold cyan" if view.open else "bold"),
        )
    )
    page.print(Text(parts.first_line(status.in_words)))
    page.print(_facts(view))
    if view.next_steps:
        parts.section("What comes next", parts.steps(view.next_steps, view.at))
    if view.tasks:
        parts.section("Open tasks", Group(*(parts.task(task) for task in view.tasks)))
    if view.dossier:
        parts.section("Decisions", Group(*(parts.decision(decision) for decision in view.dossier)))
    if status.notes:
        parts.section("Notes", Group(*(Text(f"· {note}") for note in status.notes)))
    if done:
        hidden = len(done) - LAST_EFFECTS
        parts.section("What was done", parts.effects_table(done[-LAST_EFFECTS:]))
        if hidden > 0:
            page.print(Text(f"  and {hidden} before → tenure effects {status.domain}", style="dim"))
    page.print()


def tasks(found: Sequence[TaskView], whose: str = "") -> None:
    """The open tasks, one under the other; ``whose`` when only somebody's were asked for."""
    page = console()
    if not found:
        page.print(f"No open tasks of {whose}." if whose else "No open tasks.", markup=False)
    for task in found:
        page.print(parts.task(task))


def _facts(view: TrialView) -> Text:
    status = view.status
    facts = [
        ("case", status.case),
        ("origin", "" if status.origin == "self_serve" else parts.words(status.origin)),
        ("instance", status.host),
        ("signed up", parts.when(status.signed_up_at)),
        ("started", parts.when(status.started_at)),
        ("ends", f"{parts.when(status.ends_at)} (day {status.total_days})" if status.ends_at else ""),
        ("CE", status.ce),
        ("AE", status.ae),
        ("SDR", status.sdr),
        ("issues", ", ".join(f"{parts.words(name)} #{number}" for name, number in status.issues.items())),
        ("mail", "stopped by the prospect" if status.opted_out else ""),
        ("policy", status.policy),
        ("workflow", view.workflow),
        ("its time", parts.when(view.at)),
    ]
    width = max(len(name) for name, _ in facts)
    return Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in facts if value)
