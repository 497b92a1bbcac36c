"""The pages about customers: lists, health and the forecast."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain import markup
from domain.account.account import Customer, HealthSnapshot, RenewalRow
from domain.forecast.comparison import Actual
from domain.forecast.rollup import Forecast
from domain.health import guidance
from domain.health.types import CATEGORY_NAMES, NAMES, Score
from starter.cli import parts
from starter.cli.parts import STYLES, coloured, day, dim, money, section, when, words
from starter.cli.texts import filled, listed
from starter.service.views import CustomerLine, ForecastView, HealthView

# --- Lists -----------------------------------------------------------------------------------------------------------------------------


def band_of(standing: HealthSnapshot | None) -> Text:
    """The band in its colour; that it is not scored is said so."""
    return coloured(standing.band) if standing else dim("not scored")


def accounts(found: Sequence[CustomerLine], limit: int, band: str = "") -> Iterator[Any]:
    """Customers, with how they do; the first ``limit`` of those found, ``band`` when only those of one were asked for."""
    if not found:
        empty = "No customers yet. → the schedule account-sync copies them from the CRM; `tenure schedules` makes it"
        yield f"No customer is {band}." if band else empty
        return
    yield listed("customers", found[:limit], band=lambda line: band_of(line.standing))
    bands = Counter(line.standing.band if line.standing else "unknown" for line in found)
    said = ", ".join(f"{number} {name}" for name, number in bands.items()) if not band else f"{len(found)} {band}"
    yield dim(said + (f"; the first {limit} by name → --limit {len(found)}" if len(found) > limit else ""))


def renewals(found: Sequence[RenewalRow], asked: str, limit: int) -> Iterator[Any]:
    """Renewals as a table; ``asked`` says which were asked for, ``limit`` how many at most."""
    if not found:
        yield f"No {asked}. → one begins by itself ahead of a contract's end; tenure renewal start ACCOUNT begins it now"
        return
    yield listed("renewals", found, account=lambda row: row.domain)
    more = f"; perhaps there are more → --limit {2 * limit}" if len(found) == limit else ""
    yield dim(f"{markup.counted(len(found), 'renewal')}, {money(sum(row.arr for row in found))} ARR{more}")


# --- Health ----------------------------------------------------------------------------------------------------------------------------


def heading(customer: Customer, standing: HealthSnapshot | None) -> Text:
    """Who it is, and how they do."""
    score = filled(" {score:.1f}", standing)
    return Text.assemble((customer.name, "bold"), f"  {customer.domain}  ", band_of(standing), score)


def health(found: HealthView) -> Iterator[Any]:
    """A score that explains itself."""
    score = found.score
    yield from ("", heading(found.customer, found.standing))
    if score is None:
        yield "Not scored yet. → the hourly run scores it; trigger the schedule health-scores in the Web UI to have it now"
        return
    yield dim(f"scored {when(score.at)}, policy {score.policy}")
    yield from section("What it is made of", listed("contributions", _contributions(score)))
    if score.missing:
        names = ", ".join(NAMES[name] for name in score.missing)
        yield Padding(Text(f"not known, and counted neither way: {names}", style="dim italic"), (0, 0, 0, 2))
    advice = (
        (Text(NAMES[each.trait], style=STYLES[each.level]), Text.assemble(each.says, (f"  [{each.handbook}]", "dim")))
        for each in found.guidance
    )
    yield from parts.told("What to do, what costs most first", ("",), advice)
    yield from section("How it came to be", *(_change(*change) for change in found.changes))
    yield ""


def _contributions(score: Score) -> Iterator[dict[str, Any]]:
    """Each category with its mean and its traits; the parts add up to the total."""
    for category in score.categories:
        traits = [each for each in score.contributions if each.category == category.name]
        if traits:
            mean, adds = filled("{score:.1f}", category).plain, f"{sum(each.adds for each in traits):.3f}"
            yield _bold(name=f"{CATEGORY_NAMES[category.name]} {category.weight:.0f} %", points=mean, adds=adds)
        for each in traits:
            points, value = Text(f"{each.points:.0f}", style=STYLES[each.level]), guidance.words(each.trait, each.value)
            part = {"name": f"  {NAMES[each.trait]}", "points": points, "adds": f"{each.adds:.3f}", "value": value}
            yield {**part, "source": each.source, "as_of": each.as_of}
    yield _bold(name="Health score", adds=filled("{total:.3f}", score).plain)


def _bold(**part: str) -> dict[str, Text]:
    return {name: Text(said, style="bold") for name, said in part.items()}


def _change(at: datetime, before: str, score: Score) -> Group:
    moved = Text.assemble(coloured(before), " → ") if before != score.band else Text("")
    head = Text.assemble((when(at), "cyan"), "  ", moved, coloured(score.band), "  ", filled("{total:.1f}", score))
    head.rstrip()
    return Group(head, *(dim(f"    {each.change:+.2f}  {each.why}") for each in score.deltas))


# --- The forecast ----------------------------------------------------------------------------------------------------------------------


def forecast(found: ForecastView) -> Iterator[Any]:
    """A quarter's forecast as a page."""
    now = found.forecast
    total, closed = now.total, now.closed
    days = f"  {day(found.first)} to {day(found.last)}, forecast as of {when(now.taken_at)}"
    yield from ("", Text.assemble((now.quarter, "bold"), (days, "dim")))
    if not total.renewals and not closed.renewals:
        yield "No renewal falls into this quarter."
    if total.renewals:
        unknown = f"; {money(total.unknown)} is neither projected nor rated yet, and counts for nothing" if total.unknown else ""
        expected = f", {money(total.weighted)} expected{unknown}" if total.unknown < total.arr else ", neither projected nor rated yet"
        yield f"{total.renewals} open, {money(total.arr)} ARR{expected}"
    if closed.renewals:
        yield f"{closed.renewals} ended, {money(closed.arr)} ARR, {money(closed.weighted)} kept"
    if now.lines:
        yield from ("", listed("tallies", _tallies(now)))
        yield from section("The open renewals", listed("open_renewals", now.lines))
    yield from section("Look at these", *(f"· {line}" for line in now.warnings))
    yield from section("Where they disagree", *(f"· {line}" for line in now.disagreements))
    if found.moved:
        yield from section(f"Since the snapshot of {when(found.since)}", _moved(found))
    if found.actual is not None:
        yield from section("What came of it", *_came(found.actual))
    yield dim(f"\n→ the next quarter: tenure forecast --quarter {found.following}")


def _tallies(now: Forecast) -> Iterator[dict[str, Any]]:
    """What is expected, by outcome, rating and AE; those renewals that have none are called so."""
    for title, none, tallies in (
        ("By outcome", "not projected", now.by_outcome),
        ("By rating", "not rated", now.by_rating),
        ("By owner", "nobody", now.by_owner),
    ):
        for number, (name, tally) in enumerate(tallies.items()):
            said = dim(none) if name == "none" else Text(words(name), style=STYLES.get(name, ""))
            expected = None if tally.unknown and tally.unknown == tally.arr else tally.weighted
            yield {"title": "" if number else title, "name": said, "of": tally, "expected": expected}


def _moved(found: ForecastView) -> Table:
    grid = Table.grid(padding=(0, parts.GAP))
    grid.add_column(justify="right", no_wrap=True)
    for each in found.moved:
        style = STYLES["green"] if each.change > 0 else STYLES["red"] if each.change < 0 else "dim"
        grid.add_row(Text(_signed(each.change), style=style), Text(each.name, style="bold"), Text(each.why))
    return grid


def _came(actual: Actual) -> Iterator[Any]:
    left = f"; {actual.open} of them still open" if actual.open else ""
    yield Text(
        f"On {day(actual.taken_at)} {money(actual.forecast)} was forecast; {money(actual.actual)} came ({_signed(actual.error)}). "
        f"{actual.hits} of {actual.judged} as projected{left}."
    )
    if actual.lines:
        yield from ("", listed("kept", actual.lines, projected=lambda hit: Text(*(("yes", "green") if hit else ("no", "red")))))


def _signed(amount: int) -> str:
    """A change of an amount."""
    return f"{'+' if amount >= 0 else '-'}{money(abs(amount))}"
