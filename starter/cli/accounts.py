"""The commands about customers' accounts: health, renewals, red accounts, get-well plans and the forecast."""

import csv
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from domain.commands import PLAN, RED, RENEWAL, Kind
from starter.cli import show_accounts, show_processes
from starter.cli.base import Account, Json, ask, emit, option
from starter.cli.decisions import Deciding
from starter.service.account_queries import csv_rows
from starter.service.accounts import Accounts

T = TypeVar("T")

account = typer.Typer(help="Look at customers' accounts.", cls=Deciding)
health = typer.Typer(help="Look at health scores and what they stand on.")
renewal = typer.Typer(help="Look at renewals and decide about them.", cls=Deciding)
red = typer.Typer(help="Look at red accounts, mark accounts red, and promote them again.", cls=Deciding)
plan = typer.Typer(help="Look at get-well plans and write them.", cls=Deciding)

Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Rows at most.")]


@account.command("list")
def account_list(
    band: Annotated[str, option("--band", "Only healthy, concerning, poor or unknown ones.")] = "", limit: Limit = 50, as_json: Json = False
) -> None:
    """List customers by name, with their health."""
    found = _ask(lambda accounts: accounts.customers(band))
    emit(found[:limit], as_json, lambda _: show_accounts.accounts(found, limit, band))


@account.command("show")
def account_show(account: Account, as_json: Json = False) -> None:
    """Show one account: its stage, health, renewals, plans, and what is asked of whom."""
    emit(_ask(lambda accounts: accounts.overview(account)), as_json, show_processes.overview)


@health.command("show")
def health_show(
    account: Account, history: Annotated[int, typer.Option("--history", help="How many of the last changes.")] = 5, as_json: Json = False
) -> None:
    """Show an account's health score: every trait's part in it, what changed and why, and what to do about what hurts."""
    emit(_ask(lambda accounts: accounts.health(account, history)), as_json, show_accounts.health)


@renewal.command("list")
def renewal_list(
    quarter: Annotated[str, option("--quarter", "Only that fiscal quarter.", "FY27-Q4")] = "",
    rating: Annotated[str, option("--rating", "Only green, yellow or red ones.")] = "",
    closed: Annotated[bool, typer.Option("--all", help="The ended ones too.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List renewals, the soonest first."""
    found = _ask(lambda accounts: accounts.renewals(quarter=quarter, status="" if closed else "open", rating=rating, limit=limit))
    words = (rating, "renewals" if closed else "open renewals", f"in {quarter.upper()}" if quarter else "")
    emit(found, as_json, lambda found: show_accounts.renewals(found, " ".join(filter(None, words)), limit))


def _add_show(group: typer.Typer, kind: Kind, summary: str) -> None:
    @group.command("show", help=summary)
    def show(account: Account, as_json: Json = False) -> None:
        emit(_ask(lambda accounts: accounts.of_kind(kind, account)), as_json, show_processes.process)


_add_show(renewal, RENEWAL, "Show an account's open renewal, or its last one.")
_add_show(red, RED, "Show why an account is red and what is done about it, or how it was when it was red last.")
_add_show(plan, PLAN, "Show an account's get-well plan.")


def forecast(
    quarter: Annotated[str, option("--quarter", "That fiscal quarter; the running one when not given.", "FY27-Q4")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the open renewals as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Show a quarter's forecast of the renewals: by outcome, rating and owner, where people disagree, and what came of a closed one."""
    found = _ask(lambda accounts: accounts.forecast(quarter))
    if as_csv:
        csv.writer(sys.stdout).writerows(csv_rows(found.forecast))
    else:
        emit(found, as_json, show_accounts.forecast)


def _ask(question: Callable[[Accounts], Awaitable[T]]) -> T:
    return ask(lambda tenure: question(Accounts.of(tenure)))
