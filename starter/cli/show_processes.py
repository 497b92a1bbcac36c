"""The pages about processes: a trial, an account with all that runs for it, and each of these by itself. What came from outside is printed as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from domain.account.account import AccountTeam, Customer, HealthSnapshot
from domain.account.get_well import CONTEXT, QUESTIONS, PlanStatus
from domain.account.lifecycle import AccountStatus
from domain.account.red import RedStatus
from domain.plausibility import WORDS
from domain.renewal.state import RenewalStatus
from domain.views import TrialStatus
from starter.cli import parts
from starter.cli import show_accounts as pages
from starter.cli.base import console
from starter.cli.parts import day, grid, money, when, words
from starter.service.views import AccountOverview, ProcessView, TrialView
from store.ledger import EffectRow

#: A kind of process in words, and the command that shows one of an account.
KINDS = {
    "Account": ("account", ""),
    "Renewal": ("renewal", "tenure renewal show"),
    "GetWell": ("get-well plan", "tenure plan show"),
    "RedAccount": ("red account", "tenure red show"),
}
#: How much of an account's page is about what comes next, and about what was decided last; how many of a trial's effects its page shows.
AHEAD, DECIDED, LAST_EFFECTS = 8, 6, 12

Facts = Sequence[tuple[str, Text | str]]
Sections = Iterable[tuple[str, Iterable[Any]]]


# --- One process -----------------------------------------------------------------------------------------------------------------------


def process(found: ProcessView) -> None:
    """One process of an account as a page, with its evidence."""
    status, facts, sections = SHOW[found.kind](found.status)
    stage = status.phase if isinstance(status, RenewalStatus) else status.stage
    head = Text.assemble(
        (status.name, "bold"), f"  {KINDS[found.kind][0]}  ", (words(stage), "bold cyan"), ("" if found.open else "  ended", "dim")
    )
    _page(found, head, _said(found, status.name), facts, sections, status.notes)
    console().print()


def trial(found: TrialView, done: Sequence[EffectRow]) -> None:
    """One trial as a page, with the last of what was done for it."""
    status, page = found.status, console()
    stage = (words(status.stage), "bold cyan" if found.open else "bold")
    head = Text.assemble((status.company or status.domain, "bold"), f"  {status.domain}  ", stage)
    _page(found, head, parts.first_line(status.in_words), _trial(status), (), status.notes)
    if done:
        parts.section("What was done", parts.effects(done[-LAST_EFFECTS:]))
    if len(done) > LAST_EFFECTS:
        page.print(Text(f"  and {len(done) - LAST_EFFECTS} before → tenure effects {status.domain}", style="dim"))
    page.print()


def _page(found: ProcessView | TrialView, head: Text, said: str, facts: Facts, sections: Sections, notes: Sequence[str]) -> None:
    page = console()
    page.print()
    page.print(head)
    page.print(Text(said))
    page.print(parts.facts([*facts, ("workflow", found.workflow), ("its time", when(found.at))]))
    for title, bodies in (
        *sections,
        ("What comes next", [parts.steps(found.next_steps, found.at)] if found.next_steps else []),
        ("Open tasks", [parts.task(task) for task in found.tasks]),
        ("Decisions", [parts.decision(decision) for decision in found.dossier]),
        ("Notes", [Text(f"· {note}") for note in notes]),
    ):
        if bodies := list(bodies):
            parts.section(title, Group(*bodies))


def _said(found: ProcessView, name: str) -> str:
    """Where it stands in one line, without the name, which stands above."""
    return parts.first_line(str(found.status.get("in_words", ""))).removeprefix(f"{name}: ")


# --- What is known of each, and what is worth a heading of its own ------------------------------------------------------------------------


def _trial(status: TrialStatus) -> Facts:
    return [
        ("case", status.case),
        ("origin", "" if status.origin == "self_serve" else words(status.origin)),
        ("instance", status.host),
        ("signed up", when(status.signed_up_at)),
        ("started", when(status.started_at)),
        ("ends", f"{when(status.ends_at)} (day {status.total_days})" if status.ends_at else ""),
        ("CE", status.ce),
        ("AE", status.ae),
        ("SDR", status.sdr),
        ("issues", ", ".join(f"{words(name)} #{number}" for name, number in status.issues.items())),
        ("mail", "stopped by the prospect" if status.opted_out else ""),
        ("policy", status.policy),
    ]


def _life(life: AccountStatus) -> Facts:
    return [
        ("customer since", day(life.since)),
        ("stage", words(life.stage)),
        ("onboarding goal", {"passed": "behind it when it was first seen"}.get(life.goal, life.goal)),
    ]


def _account(given: dict[str, Any]) -> tuple[AccountStatus, Facts, Sections]:
    status = AccountStatus.model_validate(given)
    return status, _life(status), ()


def _renewal(given: dict[str, Any]) -> tuple[RenewalStatus, Facts, Sections]:
    status = RenewalStatus.model_validate(given)
    amount = "" if status.amount is None else f", {money(status.amount)}"
    said = f"{words(status.outcome)}{amount}, says {status.forecast_by} ({when(status.forecast_at)})" if status.outcome else ""
    came = "" if status.actual_arr is None else f", {money(status.actual_arr)}"
    facts: Facts = [
        ("renews on", day(status.renewal_on)),
        ("extended to", day(status.due_on) if status.due_on != status.renewal_on else ""),
        ("ARR", money(status.arr)),
        ("rating", pages.coloured(status.rating) or Text("not yet", style="dim")),
        ("Lighthouse", Text("in it", style="yellow") if status.in_lighthouse else ""),
        ("exit criteria", status.success_criteria),
        ("sponsor", status.sponsor),
        ("expected", said),
        ("the TA says", words(status.ta_outcome or "")),
        ("its rating says", words(status.system_outcome or "")),
        ("look at this", Text(status.odd, style="yellow")),
        ("came", f"{words(status.actual_outcome)}{came}" if status.actual_outcome else ""),
        ("next term to", day(status.contract_end)),
        ("TA", status.ta),
        ("AE", status.ae),
    ]
    return status, facts, ()


def _plan(given: dict[str, Any]) -> tuple[PlanStatus, Facts, Sections]:
    status = PlanStatus.model_validate(given)
    asked = {each.name: each.asks for each in (*QUESTIONS, CONTEXT)}
    updates = [(each.at, each.by, each.status, _lines(each.progress, blockers=each.blockers, next=each.next)) for each in status.updates]
    sections = (
        ("Why there is one", _named((words(reason), why) for reason, why in status.reasons.items())),
        ("The plan", _named((asked.get(name, words(name)), text) for name, text in status.fields.items())),
        ("Weekly updates", _told(updates)),
        ("Leadership's reviews", _told((each.at, each.by, each.outcome, each.note) for each in status.reviews)),
    )
    return status, [("planned", when(status.planned_at))], sections


def _red(given: dict[str, Any]) -> tuple[RedStatus, Facts, Sections]:
    status = RedStatus.model_validate(given)
    updates = [(each.at, each.by, each.status, _lines(each.state, needs=each.needs, actions=each.actions)) for each in status.updates]
    sections = (
        ("Why it is red", _told((mark.at, mark.by, mark.source, mark.reason) for mark in status.marks)),
        ("Where it stands", _named((words(name), text) for name, text in status.fields.items())),
        ("Updates", _told(updates)),
    )
    return status, [], sections


SHOW: dict[str, Callable[[dict[str, Any]], tuple[Any, Facts, Sections]]] = {
    "Account": _account,
    "Renewal": _renewal,
    "GetWell": _plan,
    "RedAccount": _red,
}


def _named(rows: Iterable[tuple[str, str]]) -> Iterable[Table]:
    """Texts beside what they answer; nothing when there are none."""
    made = Table.grid(padding=(0, parts.GAP))
    made.add_column(max_width=34)
    for name, text in rows:
        made.add_row(Text(name, style="dim"), Text(text))
    return [made] if made.rows else []


def _told(rows: Iterable[tuple[Any, str, str, str]]) -> Iterable[Table]:
    """Who said what when, the newest first; nothing when nobody did."""
    told = []
    for at, by, what, text in sorted(rows, key=lambda row: row[0], reverse=True):
        who = Text.assemble((words(what), "bold"), (f"  {by}" if by else "", "dim"))
        told.append((when(at), Group(who, *([Text(text)] if text else []))))
    return [grid(("cyan",), told)] if told else []


def _lines(text: str, **more: str) -> str:
    return "\n".join([text, *(f"{name}: {said}" for name, said in more.items() if said)])


# --- An account with everything of it ----------------------------------------------------------------------------------------------------


def overview(found: AccountOverview) -> None:
    """One account as a page: who it is, how it does, what runs for it, and what was decided last. Each process has a page of its own."""
    page, customer = console(), found.customer
    life = next((AccountStatus.model_validate(each.status) for each in found.processes if each.kind == "Account"), None)
    page.print()
    page.print(pages.heading(customer, found.standing))
    if life:
        page.print(Text(parts.first_line(life.in_words)))
    page.print(parts.facts([*_about(customer, found.team, found.standing), *(_life(life) if life else ())]))
    if found.renewals:
        parts.section("Renewals", parts.listed(pages.renewal_columns(lambda _: ""), found.renewals))
    running = [each for each in found.processes if each.kind != "Account"]
    if running:
        parts.section("What runs", grid(("bold",), ((KINDS[each.kind][0], _runs(each, customer)) for each in running)))
    elif life is None:
        page.print(Text("\nNothing runs for it. → the hourly run begins its life; the schedule health-scores makes it", style="dim"))
    tasks = sorted((task for each in found.processes for task in each.tasks), key=lambda task: task.due_at)
    if tasks:
        rows = (
            (when(task.due_at), parts.person(task.assignee) or words(task.role), task.title.removeprefix(f"{customer.name}: "))
            for task in tasks
        )
        parts.section("Open tasks, by when they are due", grid(("yellow", ""), rows))
    steps = [(step, each) for each in found.processes for step in each.next_steps if not step.what.startswith("remind ")]
    if steps:
        ahead = (
            (when(step.at), parts.distance(step.at, each.at), KINDS[each.kind][0], step.what)
            for step, each in sorted(steps, key=lambda ahead: ahead[0].at)[:AHEAD]
        )
        parts.section("What comes next", grid(("cyan", "dim", "dim"), ahead))
    made = sorted((decision for each in found.processes for decision in each.dossier), key=lambda made: made.at, reverse=True)
    if made:
        decided = (
            (when(each.at), Group(Text(f"{words(each.what)}: {words(each.outcome)}", style="bold"), Text(each.rule)))
            for each in made[:DECIDED]
        )
        parts.section("Decided last", grid(("cyan",), decided))
    page.print(Text(f"\n→ how the score came to be: tenure health show {customer.domain}", style="dim"))


def _about(customer: Customer, team: AccountTeam, standing: HealthSnapshot | None) -> Facts:
    wrong = "; ".join(f"{WORDS.get(name, name)}: {why}" for name, why in customer.data_errors.items())
    return [
        ("segment", customer.segment),
        ("ARR", money(customer.arr)),
        ("seats", f"{customer.seats:,}"),
        ("contract", f"{day(customer.contract_start) or '?'} to {day(customer.contract_end) or '?'}"),
        ("deployed", day(customer.deployed_on) or ("not known" if "deployed_on" in customer.data_errors else "not yet")),
        ("MAU/seats", pages.figure(standing, "mau_seats", 2)),
        ("red by itself", ", ".join(map(words, standing.reds)) if standing else ""),
        ("status", "" if customer.status == "customer" else Text(f"{customer.status} {customer.merged_into}".strip(), style="red")),
        ("wrong in the CRM", Text(wrong, style="red")),
        *((name.upper(), person.email) for name in ("ta", "ae", "ce") if (person := getattr(team, name))),
    ]


def _runs(process: ProcessView, customer: Customer) -> Text:
    """Where one of its processes stands, and how to see more of it."""
    return Text.assemble(_said(process, customer.name), "\n", (f"→ {KINDS[process.kind][1]} {customer.domain}", "dim"))
