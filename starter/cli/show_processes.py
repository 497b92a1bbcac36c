"""The pages about processes: a trial, an account with all that runs for it, and each of these by itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from domain.account.get_well import CONTEXT, QUESTIONS, PlanStatus
from domain.account.lifecycle import AccountStatus
from domain.account.red import RedStatus
from domain.plausibility import WORDS
from domain.renewal.state import RenewalStatus
from starter.cli import parts, show_accounts
from starter.cli.parts import day, dim, grid, section, told, when, words
from starter.cli.texts import filled, known, listed, pages
from starter.service.views import AccountOverview, ProcessView, TrialView
from store.ledger import EffectRow

#: A kind of process: its status, its name in words, and the command that shows one of an account.
KINDS: dict[str, tuple[Any, str, str]] = {
    "Account": (AccountStatus, "account", ""),
    "Renewal": (RenewalStatus, "renewal", "tenure renewal show"),
    "GetWell": (PlanStatus, "get-well plan", "tenure plan show"),
    "RedAccount": (RedStatus, "red account", "tenure red show"),
}
#: How much of an account's page is about what comes next, and about what was decided last; how many of a trial's effects its page shows.
AHEAD, DECIDED, LAST_EFFECTS = 8, 6, 12

#: What a get-well plan answers, by its name.
ASKED = {each.name: each.asks for each in (*QUESTIONS, CONTEXT)}
Facts = list[tuple[str, Text | str]]
Sections = Iterable[tuple[str, Iterable[Any]]]


# --- One process -----------------------------------------------------------------------------------------------------------------------


def process(found: ProcessView) -> Iterator[Any]:
    """One process of an account as a page, with its evidence."""
    kind, name, _ = KINDS[found.kind]
    status = kind.model_validate(found.status)
    stage = status.phase if isinstance(status, RenewalStatus) else status.stage
    ended = "" if found.open else "  ended"
    head = Text.assemble((status.name, "bold"), f"  {name}  ", (words(stage), "bold cyan"), (ended, "dim"))
    yield from _page(found, head, _said(found, status.name), _facts(found.kind, status), _sections(found.kind, status), status.notes)
    yield ""


def trial(found: TrialView, done: Sequence[EffectRow]) -> Iterator[Any]:
    """One trial as a page, with the last of what was done for it."""
    status = found.status
    stage = (words(status.stage), "bold cyan" if found.open else "bold")
    head = Text.assemble((status.company or status.domain, "bold"), f"  {status.domain}  ", stage)
    facts = known(
        "trial",
        status,
        origin=lambda origin: "" if origin == "self_serve" else words(origin),
        issues=lambda issues: ", ".join(f"{words(name)} #{number}" for name, number in issues.items()),
    )
    yield from _page(found, head, parts.first_line(status.in_words), facts, (), status.notes)
    if done:
        yield from section("What was done", parts.effects(done[-LAST_EFFECTS:]))
    if len(done) > LAST_EFFECTS:
        yield dim(f"  and {len(done) - LAST_EFFECTS} before → tenure effects {status.domain}")
    yield ""


def _page(found: ProcessView | TrialView, head: Text, said: str, facts: Facts, sections: Sections, notes: Sequence[str]) -> Iterator[Any]:
    yield from ("", head, said, parts.facts([*facts, ("workflow", found.workflow), ("its time", when(found.at))]))
    for title, bodies in (
        *sections,
        ("What comes next", [parts.steps(found.next_steps, found.at)] if found.next_steps else []),
        ("Open tasks", map(parts.task, found.tasks)),
        ("Decisions", map(parts.decision, found.dossier)),
        ("Notes", (Text(f"· {note}") for note in notes)),
    ):
        yield from section(title, *bodies)


def _said(found: ProcessView, name: str) -> str:
    """Where it stands in one line, without the name, which stands above."""
    return parts.first_line(str(found.status.get("in_words", ""))).removeprefix(f"{name}: ")


# --- What is known of each, and what is worth a heading of its own ------------------------------------------------------------------------


def _facts(kind: str, status: Any) -> Facts:
    return known(
        kind,
        status,
        extended=lambda status: day(status.due_on) if status.due_on != status.renewal_on else "",
        goal=lambda goal: "behind it when it was first seen" if goal == "passed" else goal,
    )


def _sections(kind: str, status: Any) -> Sections:
    for heading, said in pages()["sections"].get(kind, {}).items():
        of = getattr(status, said["of"])
        yield heading, _named(of, ASKED if kind == "GetWell" else {}) if isinstance(of, Mapping) else _by_time(of, said)


def _named(given: Mapping[str, str], asked: Mapping[str, str]) -> Iterable[Table]:
    """Texts beside what they answer; nothing when there are none."""
    made = Table.grid(padding=(0, parts.GAP))
    made.add_column(max_width=34)
    for name, text in given.items():
        made.add_row(dim(asked.get(name, words(name))), Text(text))
    return [made] if given else []


def _by_time(given: Sequence[Any], said: Mapping[str, str]) -> Iterable[Table]:
    """Who said what when, the newest first; nothing when nobody did."""
    rows = []
    for each in sorted(given, key=lambda each: each.at, reverse=True):
        text, who = filled(said["text"], each), (f"  {each.by}" if each.by else "", "dim")
        rows.append((when(each.at), Group(Text.assemble((filled(said["what"], each).plain, "bold"), who), *([text] if text else []))))
    return [grid(("cyan",), rows)] if rows else []


# --- An account with everything of it ----------------------------------------------------------------------------------------------------


def overview(found: AccountOverview) -> Iterator[Any]:
    """One account as a page: who it is, how it does, what runs for it, and what was decided last. Each process has a page of its own."""
    customer = found.customer
    life = next((AccountStatus.model_validate(each.status) for each in found.processes if each.kind == "Account"), None)
    yield from ("", show_accounts.heading(customer, found.standing))
    if life:
        yield parts.first_line(life.in_words)
    yield parts.facts([*_about(found), *(_facts("Account", life) if life else ())])
    if found.renewals:
        yield from section("Renewals", listed("renewals", found.renewals, account=lambda _: ""))
    running = [each for each in found.processes if each.kind != "Account"]
    stand = (
        (KINDS[each.kind][1], Text.assemble(_said(each, customer.name), "\n", dim(f"→ {KINDS[each.kind][2]} {customer.domain}")))
        for each in running
    )
    yield from told("What runs", ("bold",), stand)
    if not found.processes:
        yield dim("\nNothing runs for it. → the hourly run begins its life; the schedule health-scores makes it")
    tasks = sorted((task for each in found.processes for task in each.tasks), key=lambda task: task.due_at)
    asked = (
        (when(task.due_at), parts.person(task.assignee) or words(task.role), task.title.removeprefix(f"{customer.name}: "))
        for task in tasks
    )
    yield from told("Open tasks, by when they are due", ("yellow", ""), asked)
    steps = [(step, each) for each in found.processes for step in each.next_steps if not step.what.startswith("remind ")]
    ahead = (
        (when(step.at), parts.distance(step.at, each.at), KINDS[each.kind][1], step.what)
        for step, each in sorted(steps, key=lambda ahead: ahead[0].at)[:AHEAD]
    )
    yield from told("What comes next", ("cyan", "dim", "dim"), ahead)
    made = sorted((decision for each in found.processes for decision in each.dossier), key=lambda made: made.at, reverse=True)
    decided = (
        (when(each.at), Group(Text(f"{words(each.what)}: {words(each.outcome)}", "bold"), Text(each.rule))) for each in made[:DECIDED]
    )
    yield from told("Decided last", ("cyan",), decided)
    yield dim(f"\n→ how the score came to be: tenure health show {customer.domain}")


def _about(found: AccountOverview) -> Facts:
    customer = found.customer
    return known(
        "customer",
        found,
        deployed=lambda _: day(customer.deployed_on) or ("not known" if "deployed_on" in customer.data_errors else "not yet"),
        lost=lambda _: "" if customer.status == "customer" else f"{customer.status} {customer.merged_into}".strip(),
        wrong=lambda _: "; ".join(f"{WORDS.get(name, name)}: {why}" for name, why in customer.data_errors.items()),
    )
