"""The pages about customers: lists, health and the forecast. Everything that came from outside is printed as text, never as markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.account.account import Customer, HealthSnapshot, RenewalRow
from domain.forecast.comparison import Actual
from domain.forecast.rollup import Forecast, Line, Tally
from domain.health import guidance
from domain.health.types import Contribution, Score
from starter.cli import parts
from starter.cli.base import console
from starter.service.accounts import ForecastView, HealthView

STYLES = {"healthy": "green", "concerning": "yellow", "poor": "red", "green": "green", "yellow": "yellow", "red": "red"}
FIGURES = frozenset({"score", "MAU/seats", "ARR", "renewals", "expected", "not known", "value", "points", "adds", "forecast", "came"})
#: What people type again: it is broken when there is no other way.
WHOLE = frozenset({"domain", "account", "renews on", "as of"})
#: How a forecast calls the renewals that have no outcome, no rating, no AE.
NONE = {"By outcome": "not projected", "By rating": "not rated", "By owner": "nobody"}


def accounts(found: Sequence[tuple[Customer, HealthSnapshot | None]], limit: int, band: str = "") -> None:
    """Customers, with how they do; the first ``limit`` of those found, ``band`` when only those of one were asked for."""
    page = console()
    if not found:
        empty = (
            f"No customer is {band}."
            if band
            else "No customers yet. → the schedule account-sync copies them from the CRM; `tenure schedules` makes it"
        )
        page.print(Text(empty))
        return
    rows: list[Mapping[str, Text | str]] = [
        {
            "account": Text(customer.name, style="bold"),
            "domain": customer.domain,
            "health": band_of(standing),
            "score": points(standing.score if standing else None),
            "MAU/seats": share(standing.mau_seats if standing else None),
            "ARR": money(customer.arr),
            "renews on": day(customer.contract_end),
        }
        for customer, standing in found[:limit]
    ]
    page.print(parts.columns(rows, right=FIGURES, whole=WHOLE - {"account"}, spare=("account", "MAU/seats", "score")))
    bands = Counter(standing.band if standing else "unknown" for _, standing in found)
    said = ", ".join(f"{number} {name}" for name, number in bands.items()) if not band else f"{len(found)} {band}"
    more = f"; the first {limit} by name → --limit {len(found)}" if len(found) > limit else ""
    page.print(Text(said + more, style="dim"))


def health(found: HealthView) -> None:
    """A score that explains itself."""
    page, score = console(), found.score
    page.print()
    page.print(heading(found.customer, found.standing))
    if score is None:
        page.print("Not scored yet. → the hourly run scores it; trigger the schedule health-scores in the Web UI to have it now")
        return
    page.print(Text(f"scored {parts.when(score.at)}, policy {score.policy}", style="dim"))
    parts.section("What it is made of", _contributions(score))
    if score.missing:
        names = ", ".join(guidance.NAMES[name] for name in score.missing)
        page.print(Padding(Text(f"not known, and counted neither way: {names}", style="dim italic"), (0, 0, 0, 2)))
    if found.guidance:
        advice = Table.grid(padding=(0, 2))
        for each in found.guidance:
            says = Text.assemble(each.says, (f"  [{each.handbook}]", "dim"))
            advice.add_row(Text(guidance.NAMES[each.trait], style=STYLES[each.level]), says)
        parts.section("What to do, what costs most first", advice)
    if found.changes:
        parts.section("How it came to be", Group(*(_change(*change) for change in found.changes)))
    page.print()


def renewals(found: Sequence[RenewalRow], asked: str, limit: int) -> None:
    """Renewals as a table; ``asked`` says which were asked for, ``limit`` how many at most."""
    page = console()
    if not found:
        page.print(Text(f"No {asked}. → one begins by itself ahead of a contract's end; tenure renewal start ACCOUNT begins it now"))
        return
    page.print(renewals_table(found))
    more = f"; perhaps there are more → --limit {2 * limit}" if len(found) == limit else ""
    page.print(Text(f"{counted(len(found))}, {money(sum(row.arr for row in found))} ARR{more}", style="dim"))


def forecast(found: ForecastView) -> None:
    """A quarter's forecast as a page."""
    page, now = console(), found.forecast
    page.print()
    page.print(
        Text.assemble(
            (now.quarter, "bold"), (f"  {day(found.first)} to {day(found.last)}, forecast as of {parts.when(now.taken_at)}", "dim")
        )
    )
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
        page.print(_tallies(now))
        parts.section(
            "The open renewals",
            parts.columns(
                [_open(line) for line in now.lines], right=FIGURES, whole=WHOLE, spare=("rating says", "AE", "TA says", "rating")
            ),
        )
    for title, lines in (("Look at these", now.warnings), ("Where they disagree", now.disagreements)):
        if lines:
            parts.section(title, Group(*(Text(f"· {line}") for line in lines)))
    if found.moved:
        parts.section(f"Since the snapshot of {parts.when(found.since)}", _moved(found))
    if found.actual is not None:
        parts.section("What came of it", _came(found.actual))
    page.print(Text(f"\n→ the next quarter: tenure forecast --quarter {found.following}", style="dim"))


# --- The parts of these pages ----------------------------------------------------------------------------------------------------------


def heading(customer: Customer, standing: HealthSnapshot | None) -> Text:
    """Who it is, and how they do."""
    score = points(standing.score if standing else None)
    return Text.assemble((customer.name, "bold"), f"  {customer.domain}  ", band_of(standing), f" {score}" if score else "")


def renewals_table(found: Sequence[RenewalRow], *, of_one: bool = False) -> Table:
    """Renewals, a line each; without the account where all are ``of_one``."""
    rows: list[Mapping[str, Text | str]] = []
    for row in found:
        rows.append(
            {
                "renews on": day(row.renewal_on),
                "account": "" if of_one else Text(row.domain, style="bold"),
                "phase": parts.words(row.phase),
                "rating": _coloured(row.rating),
                "AE says": parts.words(row.outcome or ""),
                "TA says": parts.words(row.ta_outcome or ""),
                "ARR": money(row.arr),
                "came": "" if row.actual_arr is None else money(row.actual_arr),
                "AE": Text(person(row.ae), style="dim"),
                "TA": Text(person(row.ta), style="dim"),
            }
        )
    return parts.columns(rows, right=FIGURES, whole=WHOLE, spare=("TA", "AE", "TA says"))


def _contributions(score: Score) -> Table:
    """Each category with its mean and its traits; the parts add up to the total."""
    rows: list[Mapping[str, Text | str]] = []
    for category in score.categories:
        of = [each for each in score.contributions if each.category == category.name]
        name = f"{guidance.CATEGORY_NAMES[category.name]} {category.weight:.0f} %"
        rows += [_line(Text(name, style="bold"), points(category.score), sum(each.adds for each in of))] if of else []
        rows += [_contribution(each) for each in of]
    rows.append(_line(Text("Health score", style="bold"), "", score.total))
    return parts.columns(rows, right=FIGURES, whole=WHOLE)


def _line(name: Text, mean: str, adds: float | None) -> Mapping[str, Text | str]:
    said = Text("" if adds is None else f"{adds:.3f}", style="bold")
    return {" ": name, "value": "", "points": Text(mean, style="bold"), "adds": said, "from": "", "as of": ""}


def _contribution(each: Contribution) -> Mapping[str, Text | str]:
    return {
        " ": f"  {guidance.NAMES[each.trait]}",
        "value": guidance.words(each.trait, each.value),
        "points": Text(f"{each.points:.0f}", style=STYLES[each.level]),
        "adds": f"{each.adds:.3f}",
        "from": Text(each.source, style="dim"),
        "as of": Text(parts.day(each.as_of), style="dim"),
    }


def _change(at: Any, before: str, score: Score) -> Group:
    moved = Text.assemble(Text(before, style=STYLES.get(before, "dim")), " → ") if before != score.band else Text("")
    head = Text.assemble(
        (parts.when(at), "cyan"), "  ", moved, Text(score.band, style=STYLES.get(score.band, "dim")), f"  {points(score.total)}"
    )
    return Group(head, *(Text(f"    {each.change:+.2f}  {each.why}", style="dim") for each in score.deltas))


def _tallies(now: Forecast) -> Table:
    rows: list[Mapping[str, Text | str]] = []
    for title, tallies in (("By outcome", now.by_outcome), ("By rating", now.by_rating), ("By owner", now.by_owner)):
        rows += [_tally(title if not number else "", NONE[title], name, tally) for number, (name, tally) in enumerate(tallies.items())]
    return parts.columns(rows, right=FIGURES, whole=WHOLE)


def _tally(title: str, none: str, name: str, tally: Tally) -> Mapping[str, Text | str]:
    return {
        "": Text(title, style="bold"),
        " ": Text(none if name == "none" else parts.words(name), style=STYLES.get(name, "dim" if name == "none" else "")),
        "renewals": str(tally.renewals),
        "ARR": money(tally.arr),
        "expected": "?" if tally.unknown and tally.unknown == tally.arr else money(tally.weighted),
        "not known": money(tally.unknown) if tally.unknown else "",
    }


def _open(line: Line) -> Mapping[str, Text | str]:
    return {
        "renews on": day(line.renewal_on),
        "account": Text(line.domain, style="bold"),
        "rating": _coloured(line.rating),
        "AE says": parts.words(line.outcome or ""),
        "TA says": parts.words(line.ta_outcome or ""),
        "rating says": parts.words(line.system_outcome or ""),
        "ARR": money(line.arr),
        "expected": "?" if line.expected is None else money(line.expected),
        "AE": Text(person(line.ae), style="dim"),
    }


def _moved(found: ForecastView) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    for each in found.moved:
        style = STYLES["green"] if each.change > 0 else STYLES["red"] if each.change < 0 else "dim"
        grid.add_row(Text(signed(each.change), style=style), Text(each.name, style="bold"), Text(each.why))
    return grid


def _came(actual: Actual) -> Group:
    left = f"; {actual.open} of them still open" if actual.open else ""
    head = Text(
        f"On {parts.day(actual.taken_at)} {money(actual.forecast)} was forecast; {money(actual.actual)} came ({signed(actual.error)}). "
        f"{actual.hits} of {actual.judged} as projected{left}."
    )
    rows: list[Mapping[str, Text | str]] = [
        {
            "account": Text(line.domain, style="bold"),
            "forecast": "?" if line.forecast is None else money(line.forecast),
            "came": "?" if line.actual is None else money(line.actual),
            "as projected": "" if line.hit is None else Text("yes", style="green") if line.hit else Text("no", style="red"),
            "why": line.said,
        }
        for line in actual.lines
    ]
    return Group(head, Text(""), parts.columns(rows, right=FIGURES, whole=WHOLE)) if rows else Group(head)


# --- Words -----------------------------------------------------------------------------------------------------------------------------


def band_of(standing: HealthSnapshot | None) -> Text:
    """The band in its colour; that it is not scored is said so."""
    return Text(standing.band, style=STYLES.get(standing.band, "dim")) if standing else Text("not scored", style="dim")


def points(total: float | None) -> str:
    """A score of 0 to 10."""
    return "" if total is None else f"{total:.1f}"


def share(share: float | None) -> str:
    """A share of the seats."""
    return "" if share is None else f"{share:.2f}"


def day(on: date | None) -> str:
    """A day, for people; empty for none."""
    return f"{on:%d %b %Y}" if on else ""


def person(email: str) -> str:
    """Who it is among us, short enough for a table."""
    return email.partition("@")[0]


def money(amount: int) -> str:
    """Dollars a year."""
    return f"${amount:,}"


def signed(amount: int) -> str:
    """A change of an amount."""
    return f"{'+' if amount >= 0 else '-'}${abs(amount):,}"


def counted(number: int) -> str:
    """So many renewals."""
    return f"{number} renewal{'' if number == 1 else 's'}"


def _coloured(rating: str | None) -> Text:
    return Text(rating or "", style=STYLES.get(rating or "", ""))
