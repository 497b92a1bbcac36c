"""The pages about the processes of a customer: the account with all of them, and each by itself. What came from outside is printed as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from domain.account.account import AccountTeam, Customer, HealthSnapshot
from domain.account.get_well import CONTEXT, QUESTIONS, PlanStatus
from domain.account.lifecycle import AccountStatus
from domain.account.red import RedStatus
from domain.plausibility import WORDS
from domain.renewal.state import RenewalStatus
from starter.cli import parts
from starter.cli import show_accounts as pages
from starter.cli.base import console
from starter.service.accounts import AccountOverview, ProcessView

#: A kind of process in words, and the command that shows one of an account.
KINDS = {
    "Account": ("account", ""),
    "Renewal": ("renewal", "tenure renewal show"),
    "GetWell": ("get-well plan", "tenure plan show"),
    "RedAccount": ("red account", "tenure red show"),
}
#: How much of an account's page is about what comes next, and about what was decided last.
AHEAD, DECIDED = 8, 6

Facts = Sequence[tuple[str, Text | str]]
Sections = Sequence[tuple[str, Group | Table]]


def overview(found: AccountOverview) -> None:
    """One account as a page: who it is, how it does, what runs for it, and what was decided last. Each process has a page of its own."""
    page, domain = console(), found.customer.domain
    life = next((AccountStatus.model_validate(each.status) for each in found.processes if each.kind == "Account"), None)
    page.print()
    page.print(pages.heading(found.customer, found.standing))
    if life:
        page.print(Text(parts.first_line(life.in_words)))
    page.print(parts.facts([*_about(found.customer, found.team, found.standing), *(_life(life) if life else ())]))
    if found.renewals:
        parts.section("Renewals", pages.renewals_table(found.renewals, of_one=True))
    running = [each for each in found.processes if each.kind != "Account"]
    if running:
        parts.section("What runs", _running(running, found.customer))
    elif life is None:
        page.print(Text("\nNothing runs for it. → the hourly run begins its life; the schedule health-scores makes it", style="dim"))
    _ahead(found)
    made = sorted((decision for each in found.processes for decision in each.dossier), key=lambda made: made.at, reverse=True)
    if made:
        grid = Table.grid(padding=(0, 2))
        for decision in made[:DECIDED]:
            what = Text(f"{parts.words(decision.what)}: {parts.words(decision.outcome)}", style="bold")
            grid.add_row(Text(parts.when(decision.at), style="cyan", no_wrap=True), Group(what, Text(decision.rule)))
        parts.section("Decided last", grid)
    page.print(Text(f"\n→ how the score came to be: tenure health show {domain}", style="dim"))


def process(found: ProcessView) -> None:
    """One process of an account as a page, with its evidence."""
    page = console()
    name, stage, facts, sections = SHOW[found.kind](found)
    page.print()
    page.print(
        Text.assemble(
            (name, "bold"), f"  {KINDS[found.kind][0]}  ", (parts.words(stage), "bold cyan"), ("" if found.open else "  ended", "dim")
        )
    )
    page.print(Text(_words(found, name)))
    page.print(parts.facts([*facts, ("workflow", found.workflow), ("its time", parts.when(found.at))]))
    for title, body in sections:
        parts.section(title, body)
    if found.next_steps:
        parts.section("What comes next", parts.steps(found.next_steps, found.at))
    if found.tasks:
        parts.section("Open tasks", Group(*(parts.task(task) for task in found.tasks)))
    if found.dossier:
        parts.section("Decisions", Group(*(parts.decision(decision) for decision in found.dossier)))
    if notes := found.status.get("notes"):
        parts.section("Notes", Group(*(Text(f"· {note}") for note in notes)))
    page.print()


# --- The parts of an account's page ----------------------------------------------------------------------------------------------------


def _about(customer: Customer, team: AccountTeam, standing: HealthSnapshot | None) -> Facts:
    people = [(name.upper(), person.email) for name in ("ta", "ae", "ce") if (person := getattr(team, name))]
    term = f"{pages.day(customer.contract_start) or '?'} to {pages.day(customer.contract_end) or '?'}"
    return [
        ("segment", customer.segment),
        ("ARR", pages.money(customer.arr)),
        ("seats", f"{customer.seats:,}"),
        ("contract", term),
        ("deployed", pages.day(customer.deployed_on) or ("not known" if "deployed_on" in customer.data_errors else "not yet")),
        ("MAU/seats", pages.share(standing.mau_seats) if standing else ""),
        ("red by itself", ", ".join(map(parts.words, standing.reds)) if standing else ""),
        ("status", "" if customer.status == "customer" else Text(f"{customer.status} {customer.merged_into}".strip(), style="red")),
        ("wrong in the CRM", Text("; ".join(f"{WORDS.get(name, name)}: {why}" for name, why in customer.data_errors.items()), style="red")),
        *people,
    ]


def _life(life: AccountStatus) -> Facts:
    return [
        ("customer since", pages.day(life.since)),
        ("stage", parts.words(life.stage)),
        ("onboarding goal", {"passed": "behind it when it was first seen"}.get(life.goal, life.goal)),
    ]


def _running(running: Sequence[ProcessView], customer: Customer) -> Table:
    grid = Table.grid(padding=(0, 2))
    for each in running:
        name, show = KINDS[each.kind]
        says = Text.assemble(_words(each, customer.name), "\n", (f"→ {show} {customer.domain}", "dim"))
        grid.add_row(Text(name, style="bold", no_wrap=True), says)
    return grid


def _ahead(found: AccountOverview) -> None:
    """What is asked, and what comes next, of all processes together."""
    tasks = sorted((task for each in found.processes for task in each.tasks), key=lambda task: task.due_at)
    if tasks:
        grid = Table.grid(padding=(0, 2))
        for task in tasks:
            whom = pages.person(task.assignee) or parts.words(task.role)
            title = task.title.removeprefix(f"{found.customer.name}: ")
            grid.add_row(Text(parts.when(task.due_at), style="yellow", no_wrap=True), Text(whom, no_wrap=True), Text(title))
        parts.section("Open tasks, by when they are due", grid)
    steps = [(step, each) for each in found.processes for step in each.next_steps if not step.what.startswith("remind ")]
    if steps:
        grid = Table.grid(padding=(0, 2))
        for step, each in sorted(steps, key=lambda ahead: ahead[0].at)[:AHEAD]:
            off = Text(parts.distance(step.at, each.at), style="dim", no_wrap=True)
            of = Text(KINDS[each.kind][0], style="dim", no_wrap=True)
            grid.add_row(Text(parts.when(step.at), style="cyan", no_wrap=True), off, of, Text(step.what))
        parts.section("What comes next", grid)


# --- One process: its name, its stage, what is known, and what is worth a heading --------------------------------------------------------


def _account(found: ProcessView) -> tuple[str, str, Facts, Sections]:
    status = AccountStatus.model_validate(found.status)
    return status.name, status.stage, _life(status), ()


def _renewal(found: ProcessView) -> tuple[str, str, Facts, Sections]:
    status = RenewalStatus.model_validate(found.status)
    amount = "" if status.amount is None else f", {pages.money(status.amount)}"
    said = f"{parts.words(status.outcome)}{amount}, says {status.forecast_by} ({parts.when(status.forecast_at)})" if status.outcome else ""
    came = "" if status.actual_arr is None else f", {pages.money(status.actual_arr)}"
    facts: Facts = [
        ("renews on", pages.day(status.renewal_on)),
        ("extended to", pages.day(status.due_on) if status.due_on != status.renewal_on else ""),
        ("ARR", pages.money(status.arr)),
        ("rating", Text(status.rating, style=pages.STYLES[status.rating]) if status.rating else Text("not yet", style="dim")),
        ("Lighthouse", Text("in it", style="yellow") if status.in_lighthouse else ""),
        ("exit criteria", status.success_criteria),
        ("sponsor", status.sponsor),
        ("expected", said),
        ("the TA says", parts.words(status.ta_outcome or "")),
        ("its rating says", parts.words(status.system_outcome or "")),
        ("look at this", Text(status.odd, style="yellow") if status.odd else ""),
        ("came", f"{parts.words(status.actual_outcome)}{came}" if status.actual_outcome else ""),
        ("next term to", pages.day(status.contract_end)),
        ("TA", status.ta),
        ("AE", status.ae),
    ]
    return status.name, status.phase, facts, ()


def _plan(found: ProcessView) -> tuple[str, str, Facts, Sections]:
    status = PlanStatus.model_validate(found.status)
    sections: list[tuple[str, Group | Table]] = []
    if status.reasons:
        sections.append(("Why there is one", _list([(parts.words(reason), why) for reason, why in status.reasons.items()])))
    if status.fields:
        asked = {each.name: each.asks for each in (*QUESTIONS, CONTEXT)}
        sections.append(("The plan", _list([(asked.get(name, parts.words(name)), text) for name, text in status.fields.items()])))
    if status.updates:
        rows = [(each.at, each.by, each.status, _said(each.progress, blockers=each.blockers, next=each.next)) for each in status.updates]
        sections.append(("Weekly updates", _told(rows)))
    if status.reviews:
        sections.append(("Leadership's reviews", _told([(each.at, each.by, each.outcome, each.note) for each in status.reviews])))
    return status.name, status.stage, [("planned", parts.when(status.planned_at))], sections


def _red(found: ProcessView) -> tuple[str, str, Facts, Sections]:
    status = RedStatus.model_validate(found.status)
    sections: list[tuple[str, Group | Table]] = []
    if status.marks:
        sections.append(("Why it is red", _told([(mark.at, mark.by, mark.source, mark.reason) for mark in status.marks])))
    if status.fields:
        sections.append(("Where it stands", _list([(parts.words(name), text) for name, text in status.fields.items()])))
    if status.updates:
        rows = [(each.at, each.by, each.status, _said(each.state, needs=each.needs, actions=each.actions)) for each in status.updates]
        sections.append(("Updates", _told(rows)))
    return status.name, status.stage, [], sections


SHOW: dict[str, Callable[[ProcessView], tuple[str, str, Facts, Sections]]] = {
    "Account": _account,
    "Renewal": _renewal,
    "GetWell": _plan,
    "RedAccount": _red,
}


def _words(found: ProcessView, name: str) -> str:
    """Where it stands in one line, without the name, which stands above."""
    return parts.first_line(str(found.status.get("in_words", ""))).removeprefix(f"{name}: ")


def _list(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(max_width=34)
    for name, text in rows:
        grid.add_row(Text(name, style="dim"), Text(text))
    return grid


def _told(rows: Sequence[tuple[datetime, str, str, str]]) -> Table:
    """Who said what when, the newest first."""
    grid = Table.grid(padding=(0, 2))
    for at, by, what, text in sorted(rows, key=lambda row: row[0], reverse=True):
        who = Text.assemble((parts.words(what), "bold"), (f"  {by}" if by else "", "dim"))
        grid.add_row(Text(parts.when(at), style="cyan", no_wrap=True), Group(who, *([Text(text)] if text else [])))
    return grid


def _said(text: str, **more: str) -> str:
    return "\n".join([text, *(f"{name}: {said}" for name, said in more.items() if said)])
