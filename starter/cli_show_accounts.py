"""The pages about customers' accounts. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from starter import cli_parts as parts
from starter.cli_base import console

if TYPE_CHECKING:
    from domain.account import AccountTeam, Customer, RenewalRow, Standing
    from domain.forecast import Tally
    from domain.health_types import Score
    from starter.accounts import AccountOverview, ForecastView, HealthView, ProcessView

STYLES = {"healthy": "green", "concerning": "yellow", "poor": "red", "green": "green", "yellow": "yellow", "red": "red"}
#: What a process's page does not repeat: it stands elsewhere on it.
ELSEWHERE = frozenset({"in_words", "open_tasks", "notes", "policy", "tasks", "name", "domain"})


def accounts(found: Sequence[tuple[Customer, Standing | None]], of: int) -> None:
    """Customers, with how they do."""
    page = console()
    if not found:
        page.print("No customers here. → the hourly run copies them from the CRM; `tenure schedules` makes it")
        return
    table = parts.table("account", "domain", "health", "", "MAU/seats", "ARR", "renews on")
    for customer, standing in found:
        table.add_row(
            Text(customer.name, style="bold"),
            customer.domain,
            _band(standing.band if standing else "unknown"),
            _points(standing.score if standing else None),
            _share(standing.mau_seats if standing else None),
            _money(customer.arr),
            f"{customer.contract_end:%d %b %Y}" if customer.contract_end else "",
        )
    page.print(table)
    page.print(Text(f"{len(found)} of {of}", style="dim"))


def overview(found: AccountOverview) -> None:
    """One account as a page."""
    page = console()
    _heading(found.customer, found.standing)
    page.print(_about(found.customer, found.team, found.standing))
    if found.renewals:
        parts.section("Renewals", _renewals(found.renewals))
    for process in found.processes:
        _process(process)
    page.print(Text(f"\n→ tenure health show {found.customer.domain}", style="dim"))


def health(found: HealthView) -> None:
    """A score that explains itself."""
    page, score = console(), found.score
    _heading(found.customer, found.standing)
    if score is None:
        page.print("Not scored yet. → the hourly run scores it; trigger the schedule health-scores in the Web UI to have it now")
        return
    page.print(Text(f"scored {parts.when(score.at)}, policy {score.policy}", style="dim"))
    parts.section("What it is made of", _contributions(score))
    if score.missing:
        names = ", ".join(parts.words(name) for name in score.missing)
        page.print(Text(f"  not known, and counted neither way: {names}", style="dim italic"))
    if score.guidance:
        rows = [
            Text.assemble((parts.words(each.trait), STYLES[each.level]), f"  {each.says}", (f"  [{each.handbook}]", "dim"))
            for each in score.guidance
        ]
        parts.section("What to do", Group(*rows))
    if found.changes:
        parts.section("How it came to be", Group(*(_change(*change) for change in found.changes)))
    page.print()


def renewals(found: Sequence[RenewalRow]) -> None:
    """Renewals as a table."""
    if found:
        console().print(_renewals(found))
    else:
        console().print("No such renewals. → one begins by itself 180 days before a contract ends, or by `tenure renewal start ACCOUNT`")


def process(found: ProcessView) -> None:
    """One process of an account as a page."""
    _process(found)
    console().print()


def forecast(found: ForecastView) -> None:
    """A quarter's forecast as a page."""
    page, now = console(), found.forecast
    page.print()
    page.print(Text.assemble((now.quarter, "bold"), ("  forecast of the renewals, as of ", "dim"), (parts.when(now.taken_at), "dim")))
    total = now.total
    if not total.renewals and not now.closed.renewals:
        page.print("No renewals fall into this quarter.")
        return
    page.print(Text(f"{total.renewals} open, {_money(total.arr)} ARR, {_money(total.weighted)} expected"))
    if now.closed.renewals:
        page.print(Text(f"{now.closed.renewals} closed, {_money(now.closed.arr)} ARR, {_money(now.closed.weighted)} kept", style="dim"))
    for heading, tallies in (("By outcome", now.by_outcome), ("By rating", now.by_rating), ("By owner", now.by_owner)):
        if tallies:
            parts.section(heading, _tallies(tallies))
    _open_lines(found)
    for heading, lines in (("Look at these", now.warnings), ("Where they disagree", now.disagreements)):
        if lines:
            parts.section(heading, Group(*(Text(f"· {line}") for line in lines)))
    if found.moved:
        rows = [
            Text.assemble((f"{_signed(each.change):>14}", STYLES["green" if each.change > 0 else "red"]), f"  {each.name}: {each.why}")
            for each in found.moved
        ]
        parts.section(f"Since the snapshot of {parts.when(found.since)}", Group(*rows))
    if (came := found.actual) is not None:
        said = f"forecast {_money(came.forecast)}, came {_money(came.actual)} ({_signed(came.error)}); {came.hits} of {came.judged} as projected"
        parts.section("Forecast against actual", Text(said))
    page.print()


# --- The parts of a page ---------------------------------------------------------------------------------------------------------------


def _heading(customer: Customer, standing: Standing | None) -> None:
    band = standing.band if standing else "unknown"
    said = Text.assemble((customer.name, "bold"), f"  {customer.domain}  ", _band(band), " ", _points(standing.score if standing else None))
    console().print()
    console().print(said)


def _about(customer: Customer, team: AccountTeam, standing: Standing | None) -> Text:
    people = [(name.upper(), person.email) for name in ("ta", "ae", "ce") if (person := getattr(team, name))]
    facts = [
        ("segment", customer.segment),
        ("ARR", _money(customer.arr)),
        ("seats", f"{customer.seats:,}"),
        ("contract", f"{customer.contract_start or '?'} to {customer.contract_end or '?'}"),
        ("deployed", str(customer.deployed_on or "not yet")),
        ("MAU/seats", _share(standing.mau_seats) if standing else ""),
        ("status", "" if customer.status == "customer" else customer.status),
        *people,
    ]
    width = max(len(name) for name, _ in facts)
    return Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in facts if value)


def _contributions(score: Score) -> Table:
    table = parts.table("category", "trait", "value", "", "points", "adds", "from", "as of")
    weights = {category.name: category for category in score.categories}
    shown = ""
    for each in score.contributions:
        category = weights.get(each.category)
        first = each.category != shown
        name = f"{each.category} {category.weight:.0f} %" if first and category else ""
        shown = each.category
        table.add_row(
            Text(name, style="bold"),
            parts.words(each.trait),
            _shown(each.value),
            Text("●", style=STYLES[each.level]),
            f"{each.points:.0f}",
            f"{each.adds:.2f}",
            Text(each.source, style="dim"),
            Text(parts.day(each.as_of), style="dim"),
        )
    table.add_row("", "", "", "", "", Text(_points(score.total), style="bold"), "", "")
    return table


def _change(at: Any, before: str, score: Score) -> Group:
    head = Text.assemble((parts.when(at), "cyan"), "  ", _band(before), " → ", _band(score.band), f"  {_points(score.total)}")
    return Group(head, *(Text(f"    {each.change:+.2f}  {each.why}", style="dim") for each in score.deltas))


def _renewals(found: Sequence[RenewalRow]) -> Table:
    table = parts.table("renews on", "account", "phase", "rating", "AE says", "TA says", "ARR", "AE", "status")
    for row in found:
        table.add_row(
            f"{row.renewal_on:%d %b %Y}",
            Text(row.domain, style="bold"),
            parts.words(row.phase),
            Text(row.rating or "", style=STYLES.get(row.rating or "", "")),
            parts.words(row.actual_outcome or row.outcome or ""),
            parts.words(row.ta_outcome or ""),
            _money(row.arr),
            Text(row.ae, style="dim"),
            "" if row.status == "open" else row.status,
        )
    return table


def _process(view: ProcessView) -> None:
    page = console()
    page.print()
    page.print(Text.assemble((view.kind, "bold"), f"  {view.workflow}", ("" if view.open else "  ended", "dim")))
    page.print(Text(parts.first_line(str(view.status.get("in_words", "")))))
    facts = [
        (parts.words(name), _shown(value))
        for name, value in view.status.items()
        if name not in ELSEWHERE and value not in (None, "", [], {}, False)
    ]
    width = max((len(name) for name, _ in facts), default=0)
    page.print(Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in facts))
    if view.next_steps:
        parts.section("What comes next", parts.steps(view.next_steps, view.at))
    if view.tasks:
        parts.section("Open tasks", Group(*(parts.task(task) for task in view.tasks)))
    if view.dossier:
        parts.section("Decisions", Group(*(parts.decision(decision) for decision in view.dossier)))
    if notes := view.status.get("notes"):
        parts.section("Notes", Group(*(Text(f"· {note}") for note in notes)))


def _open_lines(found: ForecastView) -> None:
    table = parts.table("renews on", "account", "rating", "AE says", "TA says", "rating says", "ARR", "expected", "AE")
    for line in found.forecast.lines:
        table.add_row(
            f"{line.renewal_on:%d %b %Y}",
            Text(line.name, style="bold"),
            Text(line.rating or "", style=STYLES.get(line.rating or "", "")),
            parts.words(line.outcome or ""),
            parts.words(line.ta_outcome or ""),
            parts.words(line.system_outcome or ""),
            _money(line.arr),
            "?" if line.expected is None else _money(line.expected),
            Text(line.ae, style="dim"),
        )
    if found.forecast.lines:
        parts.section("The open renewals", table)


def _tallies(tallies: dict[str, Tally]) -> Table:
    table = parts.table("", "renewals", "ARR", "expected", "unknown")
    for name, tally in tallies.items():
        unknown = _money(tally.unknown) if tally.unknown else ""
        table.add_row(
            Text(parts.words(name), style=STYLES.get(name, "")), str(tally.renewals), _money(tally.arr), _money(tally.weighted), unknown
        )
    return table


def _band(band: str) -> Text:
    return Text(band, style=STYLES.get(band, "dim"))


def _points(total: float | None) -> str:
    return "" if total is None else f"{total:.1f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _money(amount: int) -> str:
    return f"${amount:,}"


def _signed(amount: int) -> str:
    return f"{'+' if amount >= 0 else '-'}${abs(amount):,}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return parts.value(value)
