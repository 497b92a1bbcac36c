"""The commands about customers' accounts: health, renewals, red accounts, get-well plans and the forecast."""

from __future__ import annotations

import csv
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any, TypeVar

import typer

from domain.account.get_well import PlanText
from starter.cli import show_accounts, show_processes
from starter.cli.base import By, Json, ask, emit, say, whole
from starter.cli.trials import pairs
from starter.errors import BadInput
from starter.service.accounts import Accounts, csv_rows
from starter.service.tenure import Tenure

T = TypeVar("T")

account = typer.Typer(help="Look at customers' accounts.", no_args_is_help=True)
health = typer.Typer(help="Look at health scores and what they stand on.", no_args_is_help=True)
renewal = typer.Typer(help="Look at renewals and decide about them.", no_args_is_help=True)
red = typer.Typer(help="Look at red accounts, mark accounts red, and promote them again.", no_args_is_help=True)
plan = typer.Typer(help="Look at get-well plans and write them.", no_args_is_help=True)

PANEL = "Customers"
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The customer: its domain, or any host of it.", show_default=False)]
Event = Annotated[
    str, typer.Option("--event-id", help="An id of your own for this event; sent twice, it has effect once.", show_default=False)
]
Quarter = Annotated[str, typer.Option("--quarter", metavar="FY27-Q4", help="Only that fiscal quarter.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Rows at most.")]
Day = Annotated[
    str, typer.Option("--date", metavar="YYYY-MM-DD", help="When the term ends; the CRM's date when not given.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(account, name="account", rich_help_panel=PANEL)
    app.add_typer(health, name="health", rich_help_panel=PANEL)
    app.add_typer(renewal, name="renewal", rich_help_panel=PANEL)
    app.add_typer(red, name="red", rich_help_panel=PANEL)
    app.add_typer(plan, name="plan", rich_help_panel=PANEL)
    app.command("forecast", rich_help_panel=PANEL)(forecast)


# --- accounts and health -------------------------------------------------------------------------------------------------------------


@account.command("list")
def account_list(
    band: Annotated[str, typer.Option("--band", help="Only healthy, concerning, poor or unknown ones.", show_default=False)] = "",
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List customers by name, with their health."""
    found = _ask(lambda accounts: accounts.accounts(band))
    rows = [{"customer": customer, "standing": standing} for customer, standing in found[:limit]]
    emit(rows, as_json, lambda: show_accounts.accounts(found, limit, band))


@account.command("show")
def account_show(account: Account, as_json: Json = False) -> None:
    """Show one account: its stage, health, renewals, plans, and what is asked of whom."""
    found = _ask(lambda accounts: accounts.overview(account))
    emit(found, as_json, lambda: show_processes.overview(found))


@health.command("show")
def health_show(
    account: Account,
    history: Annotated[int, typer.Option("--history", help="How many of the last changes.")] = 5,
    as_json: Json = False,
) -> None:
    """Show an account's health score: every trait's part in it, what changed and why, and what to do about what hurts."""
    found = _ask(lambda accounts: accounts.health(account, history))
    emit(found, as_json, lambda: show_accounts.health(found))


# --- renewals ------------------------------------------------------------------------------------------------------------------------


@renewal.command("list")
def renewal_list(
    quarter: Quarter = "",
    rating: Annotated[str, typer.Option("--rating", help="Only green, yellow or red ones.", show_default=False)] = "",
    closed: Annotated[bool, typer.Option("--all", help="The ended ones too.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List renewals, the soonest first."""
    found = _ask(lambda accounts: accounts.renewals(quarter=quarter, status="" if closed else "open", rating=rating, limit=limit))
    asked = " ".join(
        part for part in (rating, "renewals" if closed else "open renewals", f"in {quarter.upper()}" if quarter else "") if part
    )
    emit(found, as_json, lambda: show_accounts.renewals(found, asked, limit))


@renewal.command("show")
def renewal_show(account: Account, as_json: Json = False) -> None:
    """Show an account's open renewal, or its last one."""
    found = _ask(lambda accounts: accounts.renewal(account))
    emit(found, as_json, lambda: show_processes.process(found))


@renewal.command("start")
def renewal_start(account: Account, on: Day = "", by: By = "", as_json: Json = False) -> None:
    """Start a renewal by hand; what is past due by its date happens at once."""
    say(_ask(lambda accounts: accounts.start_renewal(account, _day(on, "--date"), by)), as_json)


@renewal.command("assess")
def renewal_assess(
    account: Account,
    rating: Annotated[str, typer.Option("--rating", help="green, yellow or red.", show_default=False)],
    why: Annotated[str, typer.Option("--why", help="Why, for the record.", show_default=False)],
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Rate a renewal by hand, as a manager; yellow and red enter Lighthouse."""
    say(_ask(lambda accounts: accounts.assess(account, {"rating": rating, "why": why, "by": by}, event_id)), as_json)


@renewal.command("forecast")
def renewal_forecast(
    account: Account,
    outcome: Annotated[str, typer.Option("--outcome", help="full_churn, partial_churn, flat or incremental.", show_default=False)],
    amount: Annotated[
        int | None,
        typer.Option("--amount", metavar="DOLLARS", parser=whole, help="The ARR after the renewal, in dollars.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="For the record.", show_default=False)] = "",
    as_: Annotated[str, typer.Option("--as", help="ae or ta: whose view it is. The AE's counts.")] = "ae",
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Say what is expected of a renewal."""
    said = {"outcome": outcome, "amount": amount, "note": note, "as": as_, "by": by}
    say(_ask(lambda accounts: accounts.project(account, said, event_id)), as_json)


@renewal.command("move")
def renewal_move(
    account: Account,
    on: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="When the term ends now.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False)] = "",
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Move a renewal's date; everything ahead is re-armed by the new one."""
    said = {"renewal_on": _day(on, "the date"), "reason": reason, "by": by}
    say(_ask(lambda accounts: accounts.move(account, said, event_id)), as_json)


# --- red accounts and plans ----------------------------------------------------------------------------------------------------------


@red.command("show")
def red_show(account: Account, as_json: Json = False) -> None:
    """Show why an account is red and what is done about it, or how it was when it was red last."""
    found = _ask(lambda accounts: accounts.red(account))
    emit(found, as_json, lambda: show_processes.process(found))


@red.command("mark")
def red_mark(
    account: Account,
    reason: Annotated[str, typer.Option("--reason", help="Why the account is at risk.", show_default=False)],
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Mark an account red: CRM, Vitally, #red-accounts and the tracker in one."""
    say(_ask(lambda accounts: accounts.mark_red(account, {"reason": reason, "by": by}, event_id)), as_json)


@red.command("resolve")
def red_resolve(
    account: Account,
    to: Annotated[str, typer.Option("--to", help="yellow or green.", show_default=False)],
    note: Annotated[str, typer.Option("--note", help="What changed.", show_default=False)] = "",
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Promote a red account to yellow or green."""
    say(_ask(lambda accounts: accounts.resolve_red(account, {"to": to, "note": note, "by": by}, event_id)), as_json)


@plan.command("show")
def plan_show(account: Account, as_json: Json = False) -> None:
    """Show an account's get-well plan."""
    found = _ask(lambda accounts: accounts.plan(account))
    emit(found, as_json, lambda: show_processes.process(found))


@plan.command("update")
def plan_update(
    account: Account,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME=TEXT",
            help="A part of the plan, repeatable: state, onboarding_flow, docs, syncs, drive, help, context.",
            show_default=False,
        ),
    ] = None,
    by: By = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Write an account's get-well plan, or rewrite the parts that are given."""
    parts = pairs("--field", field)
    known = [name for name in PlanText.model_fields if name != "by"]
    if unknown := sorted(set(parts) - set(known)):
        raise BadInput(f"a plan has no part {', '.join(unknown)}", f"Its parts are: {', '.join(known)}", field="field")
    say(_ask(lambda accounts: accounts.write_plan(account, {**parts, "by": by}, event_id)), as_json)


# --- the forecast --------------------------------------------------------------------------------------------------------------------


def forecast(
    quarter: Annotated[
        str, typer.Option("--quarter", metavar="FY27-Q4", help="That fiscal quarter; the running one when not given.", show_default=False)
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the open renewals as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Show a quarter's forecast of the renewals: by outcome, rating and owner, where people disagree, and what came of a closed one."""
    found = _ask(lambda accounts: accounts.forecast(quarter))
    if as_csv:
        csv.writer(sys.stdout).writerows(csv_rows(found.forecast))
        return
    emit(found, as_json, lambda: show_accounts.forecast(found))


def _ask(question: Callable[[Accounts], Awaitable[T]]) -> T:
    async def asked(tenure: Tenure) -> T:
        return await question(Accounts.of(tenure))

    return ask(asked)


def _day(text: str, what: str) -> Any:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{what} {text[:40]!r} is not a date", "Write it as YYYY-MM-DD") from None
