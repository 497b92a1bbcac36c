"""The pages about customers: lists, health and the forecast. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.account.account import Customer, HealthSnapshot, RenewalRow
from domain.forecast.comparison import Actual, Kept
from domain.forecast.rollup import Forecast, Line, Tally
from domain.health import guidance
from domain.health.types import CATEGORY_NAMES, NAMES, Score
from starter.cli import parts
from starter.cli.base import console
from starter.cli.parts import Column, day, listed, money, person, words
from starter.service.views import CustomerLine, ForecastView, HealthView

STYLES = {"healthy": "green", "concerning": "yellow", "poor": "red", "green": "green", "yellow": "yellow", "red": "red"}

# --- Lists -----------------------------------------------------------------------------------------------------------------------------


def coloured(rating: str | None) -> Text:
    """A band or a rating in its colour; empty for none."""
    return Text(rating or "", style=STYLES.get(rating or "", "dim" if rating else ""))


def band_of(standing: HealthSnapshot | None) -> Text:
    """The band in its colour; that it is not scored is said so."""
    return coloured(standing.band) if standing else Text("not scored", style="dim")


def figure(of: Any, name: str, digits: int) -> str:
    """A figure of a standing with so many digits; empty when it is not known."""
    known = getattr(of, name, None)
    return "" if known is None else f"{known:.{digits}f}"


CUSTOMERS: Sequence[Column[CustomerLine]] = (
    Column("account", lambda line: line.customer.name, style="bold", spare=1),
    Column("domain", lambda line: line.customer.domain, whole=True),
    Column("health", lambda line: band_of(line.standing)),
    Column("score", lambda line: figure(line.standing, "score", 1), figure=True, spare=3),
    Column("MAU/seats", lambda line: figure(line.standing, "mau_seats", 2), figure=True, spare=2),
    Column("ARR", lambda line: money(line.customer.arr), figure=True),
    Column("renews on", lambda line: day(line.customer.contract_end), whole=True),
)


def renewal_columns(of: Callable[[Any], str]) -> Sequence[Column[RenewalRow]]:
    """Renewals, a line each; ``of`` says of which account one is."""
    return (
        Column("renews on", lambda row: day(row.renewal_on), whole=True),
        Column("account", of, style="bold", whole=True),
        Column("phase", lambda row: words(row.phase)),
        Column("rating", lambda row: coloured(row.rating)),
        Column("AE says", lambda row: words(row.outcome or "")),
        Column("TA says", lambda row: words(row.ta_outcome or ""), spare=3),
        Column("ARR", lambda row: money(row.arr), figure=True),
        Column("came", lambda row: money(row.actual_arr), figure=True),
        Column("AE", lambda row: person(row.ae), style="dim", spare=2),
        Column("TA", lambda row: person(row.ta), style="dim", spare=1),
    )


def accounts(found: Sequence[CustomerLine], limit: int, band: str = "") -> None:
    """Customers, with how they do; the first ``limit`` of those found, ``band`` when only those of one were asked for."""
    page = console()
    if not found:
        empty = "No customers yet. → the schedule account-sync copies them from the CRM; `tenure schedules` makes it"
        page.print(Text(f"No customer is {band}." if band else empty))
        return
    page.print(listed(CUSTOMERS, found[:limit]))
    bands = Counter(line.standing.band if line.standing else "unknown" for line in found)
    said = ", ".join(f"{number} {name}" for name, number in bands.items()) if not band else f"{len(found)} {band}"
    more = f"; the first {limit} by name → --limit {len(found)}" if len(found) > limit else ""
    page.print(Text(said + more, style="dim"))


def renewals(found: Sequence[RenewalRow], asked: str, limit: int) -> None:
    """Renewals as a table; ``asked`` says which were asked for, ``limit`` how many at most."""
    page = console()
    if not found:
        page.print(Text(f"No {asked}. → one begins by itself ahead of a contract's end; tenure renewal start ACCOUNT begins it now"))
        return
    page.print(listed(renewal_columns(lambda row: row.domain), found))
    more = f"; perhaps there are more → --limit {2 * limit}" if len(found) == limit else ""
    counted = f"{len(found)} renewal{'' if len(found) == 1 else 's'}"
    page.print(Text(f"{counted}, {money(sum(row.arr for row in found))} ARR{more}", style="dim"))


# --- Health ----------------------------------------------------------------------------------------------------------------------------


def heading(customer: Customer, standing: HealthSnapshot | None) -> Text:
    """Who it is, and how they do."""
    return Text.assemble((customer.name, "bold"), f"  {customer.domain}  ", band_of(standing), f" {figure(standing, 'score', 1)}".rstrip())


def health(found: HealthView) -> None:
    """A score that explains itself."""
    page, score = console(), found.score
    page.print()
    page.print(heading(found.customer, found.standing))
    if score is None:
        page.print("Not scored yet. → the hourly run scores it; trigger the schedule health-scores in the Web UI to have it now")
        return
    page.print(Text(f"scored {parts.when(score.at)}, policy {score.policy}", style="dim"))
    parts.section("What it is made of", listed(CONTRIBUTIONS, _contributions(score)))
    if score.missing:
        names = ", ".join(NAMES[name] for name in score.missing)
        page.print(Padding(Text(f"not known, and counted neither way: {names}", style="dim italic"), (0, 0, 0, 2)))
    if found.guidance:
        advice = [
            (Text(NAMES[each.trait], style=STYLES[each.level]), Text.assemble(each.says, (f"  [{each.handbook}]", "dim")))
            for each in found.guidance
        ]
        parts.section("What to do, what costs most first", parts.grid(("",), advice))
    if found.changes:
        parts.section("How it came to be", Group(*(_change(*change) for change in found.changes)))
    page.print()


class _Part(NamedTuple):
    """A line of a score: a category, a trait in it, or the whole."""

    name: Text | str
    points: Text
    adds: Text | str
    value: str = ""
    source: str = ""
    as_of: str = ""


CONTRIBUTIONS: Sequence[Column[_Part]] = (
    Column(" ", lambda part: part.name),
    Column("value", lambda part: part.value, figure=True),
    Column("points", lambda part: part.points, figure=True),
    Column("adds", lambda part: part.adds, figure=True),
    Column("from", lambda part: part.source, style="dim"),
    Column("as of", lambda part: part.as_of, style="dim", whole=True),
)


def _contributions(score: Score) -> Iterator[_Part]:
    """Each category with its mean and its traits; the parts add up to the total."""
    for category in score.categories:
        traits = [each for each in score.contributions if each.category == category.name]
        if traits:
            name = f"{CATEGORY_NAMES[category.name]} {category.weight:.0f} %"
            mean, adds = figure(category, "score", 1), f"{sum(each.adds for each in traits):.3f}"
            yield _Part(Text(name, style="bold"), Text(mean, style="bold"), Text(adds, style="bold"))
        for each in traits:
            points, value = Text(f"{each.points:.0f}", style=STYLES[each.level]), guidance.words(each.trait, each.value)
            yield _Part(f"  {NAMES[each.trait]}", points, f"{each.adds:.3f}", value, each.source, day(each.as_of))
    yield _Part(Text("Health score", style="bold"), Text(""), Text(figure(score, "total", 3), style="bold"))


def _change(at: Any, before: str, score: Score) -> Group:
    moved = Text.assemble(coloured(before), " → ") if before != score.band else Text("")
    head = Text.assemble((parts.when(at), "cyan"), "  ", moved, coloured(score.band), f"  {figure(score, 'total', 1)}".rstrip())
    return Group(head, *(Text(f"    {each.change:+.2f}  {each.why}", style="dim") for each in score.deltas))


# --- The forecast ----------------------------------------------------------------------------------------------------------------------

LINES: Sequence[Column[Line]] = (
    Column("renews on", lambda line: day(line.renewal_on), whole=True),
    Column("account", lambda line: line.domain, style="bold", whole=True),
    Column("rating", lambda line: coloured(line.rating), spare=4),
    Column("AE says", lambda line: words(line.outcome or "")),
    Column("TA says", lambda line: words(line.ta_outcome or ""), spare=3),
    Column("rating says", lambda line: words(line.system_outcome or ""), spare=1),
    Column("ARR", lambda line: money(line.arr), figure=True),
    Column("expected", lambda line: "?" if line.expected is None else money(line.expected), figure=True),
    Column("AE", lambda line: person(line.ae), style="dim", spare=2),
)
KEPT: Sequence[Column[Kept]] = (
    Column("account", lambda line: line.domain, style="bold", whole=True),
    Column("forecast", lambda line: "?" if line.forecast is None else money(line.forecast), figure=True),
    Column("came", lambda line: "?" if line.actual is None else money(line.actual), figure=True),
    Column("as projected", lambda line: Text("") if line.hit is None else Text(*(("yes", "green") if line.hit else ("no", "red")))),
    Column("why", lambda line: line.said),
)


class _Tallied(NamedTuple):
    title: str
    name: Text
    of: Tally


TALLIES: Sequence[Column[_Tallied]] = (
    Column("", lambda row: row.title, style="bold"),
    Column(" ", lambda row: row.name),
    Column("renewals", lambda row: str(row.of.renewals), figure=True),
    Column("ARR", lambda row: money(row.of.arr), figure=True),
    Column("expected", lambda row: "?" if row.of.unknown and row.of.unknown == row.of.arr else money(row.of.weighted), figure=True),
    Column("not known", lambda row: money(row.of.unknown or None), figure=True),
)


def forecast(found: ForecastView) -> None:
    """A quarter's forecast as a page."""
    page, now = console(), found.forecast
    days = f"  {day(found.first)} to {day(found.last)}, forecast as of {parts.when(now.taken_at)}"
    page.print()
    page.print(Text.assemble((now.quarter, "bold"), (days, "dim")))
    total, closed = now.total, now.closed
    if not total.renewals and not closed.renewals:
        page.print("No renewal falls into this quarter.")
    if total.renewals:
        unknown = f"; {money(total.unknown)} is neither projected nor rated yet, and counts for nothing" if total.unknown else ""
        expected = f", {money(total.weighted)} expected{unknown}" if total.unknown < total.arr else ", neither projected nor rated yet"
        page.print(Text(f"{total.renewals} open, {money(total.arr)} ARR{expected}"))
    if closed.renewals:
        page.print(Text(f"{closed.renewals} ended, {money(closed.arr)} ARR, {money(closed.weighted)} kept"))
    if now.lines:
        page.print()
        page.print(listed(TALLIES, _tallies(now)))
        parts.section("The open renewals", listed(LINES, now.lines))
    for title, lines in (("Look at these", now.warnings), ("Where they disagree", now.disagreements)):
        if lines:
            parts.section(title, Group(*(Text(f"· {line}") for line in lines)))
    if found.moved:
        parts.section(f"Since the snapshot of {parts.when(found.since)}", _moved(found))
    if found.actual is not None:
        parts.section("What came of it", _came(found.actual))
    page.print(Text(f"\n→ the next quarter: tenure forecast --quarter {found.following}", style="dim"))


def _tallies(now: Forecast) -> Iterator[_Tallied]:
    """What is expected, by outcome, rating and AE; those renewals that have none are called so."""
    for title, none, tallies in (
        ("By outcome", "not projected", now.by_outcome),
        ("By rating", "not rated", now.by_rating),
        ("By owner", "nobody", now.by_owner),
    ):
        for number, (name, tally) in enumerate(tallies.items()):
            said = Text(none, style="dim") if name == "none" else Text(words(name), style=STYLES.get(name, ""))
            yield _Tallied("" if number else title, said, tally)


def _moved(found: ForecastView) -> Table:
    grid = Table.grid(padding=(0, parts.GAP))
    grid.add_column(justify="right", no_wrap=True)
    for each in found.moved:
        style = STYLES["green"] if each.change > 0 else STYLES["red"] if each.change < 0 else "dim"
        grid.add_row(Text(_signed(each.change), style=style), Text(each.name, style="bold"), Text(each.why))
    return grid


def _came(actual: Actual) -> Group:
    left = f"; {actual.open} of them still open" if actual.open else ""
    head = Text(
        f"On {day(actual.taken_at)} {money(actual.forecast)} was forecast; {money(actual.actual)} came ({_signed(actual.error)}). "
        f"{actual.hits} of {actual.judged} as projected{left}."
    )
    return Group(head, Text(""), listed(KEPT, actual.lines)) if actual.lines else Group(head)


def _signed(amount: int) -> str:
    """A change of an amount."""
    return f"{'+' if amount >= 0 else '-'}{money(abs(amount))}"
