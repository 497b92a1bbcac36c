"""The commands about customers' accounts: health, renewals, red accounts, get-well plans and the forecast."""

from __future__ import annotations

import csv
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from starter.cli import show_accounts, show_processes
from starter.cli.base import Json, ask, emit
from starter.cli.decisions import Account, Deciding
from starter.service.accounts import Accounts, csv_rows
from starter.service.tenure import Tenure

T = TypeVar("T")

account = typer.Typer(help="Look at customers' accounts.", no_args_is_help=True, cls=Deciding)
health = typer.Typer(help="Look at health scores and what they stand on.", no_args_is_help=True)
renewal = typer.Typer(help="Look at renewals and decide about them.", no_args_is_help=True, cls=Deciding)
red = typer.Typer(help="Look at red accounts, mark accounts red, and promote them again.", no_args_is_help=True, cls=Deciding)
plan = typer.Typer(help="Look at get-well plans and write them.", no_args_is_help=True, cls=Deciding)

PANEL = "Customers"
Quarter = Annotated[str, typer.Option("--quarter", metavar="FY27-Q4", help="Only that fiscal quarter.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Rows at most.")]


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


# --- red accounts and plans ----------------------------------------------------------------------------------------------------------


@red.command("show")
def red_show(account: Account, as_json: Json = False) -> None:
    """Show why an account is red and what is done about it, or how it was when it was red last."""
    found = _ask(lambda accounts: accounts.red(account))
    emit(found, as_json, lambda: show_processes.process(found))


@plan.command("show")
def plan_show(account: Account, as_json: Json = False) -> None:
    """Show an account's get-well plan."""
    found = _ask(lambda accounts: accounts.plan(account))
    emit(found, as_json, lambda: show_processes.process(found))


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
