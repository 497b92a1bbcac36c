"""``tenure demo --renewals``: a quarter's renewals of the sandbox's customers, each played to its end, time skipped.

The customers are the fleet that the stand-ins were seeded with; their renewals were begun by the hourly run, as in real life. What the
people say is written in :mod:`starter.local.demo.renewal_stories`, and said on cue through the public API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from domain import ids
from domain.account.account import Customer, RenewalRow
from domain.account.commands import START_RENEWAL
from domain.forecast.quarters import days_of, quarter_of
from domain.policy import AccountPolicy
from starter.errors import TenureError, Unavailable
from starter.local.demo.board import Board
from starter.local.demo.customer import Playing, said
from starter.local.demo.director import AT_ONCE, Director
from starter.local.demo.renewal_stories import SCRIPTS
from starter.local.demo.report import history
from starter.local.demo.waiting import Miss, eventually
from starter.service.accounts import Accounts

#: Customers of the stack that the demo starts for itself: so many that a quarter has about a dozen renewals.
FLEET = 60
#: The quarter that is played is the first that begins at least so far ahead: its renewals are all still to be assessed.
AHEAD = timedelta(days=25)
#: Renewals at the most: on a stack with many customers a quarter has more.
MOST = 16


@dataclass
class RenewalsReport:
    """What became of the quarter. ``faults`` are what went wrong, in words."""

    quarter: str
    customers: list[Playing] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    failed_workflow_tasks: int = 0
    left_open: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every renewal reached its end, and nothing failed or was left open."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [
            {
                "account": each.row.domain,
                "rating": each.result.rating if each.result else None,
                "outcome": each.result.outcome if each.result else None,
                "end": each.result.end if each.result else "",
            }
            for each in self.customers
        ]
        return {"renewals": rows, "failed_workflow_tasks": self.failed_workflow_tasks, "left_open": self.left_open}

    def page(self) -> Group:
        """For people."""
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("account", "what happened", "rating", "outcome", "end"):
            table.add_column(heading, no_wrap=True)
        for heading in ("ARR", "events"):
            table.add_column(heading, justify="right")
        for each in self.customers:
            end = Text(each.result.end if each.result else "did not end", style="bold red" if each.problem else "green")
            rating, outcome = (each.result.rating or "none", each.result.outcome or "none") if each.result else ("", "")
            events = str(self.events.get(each.renewal, ""))
            name = Text(each.row.domain, style="bold")
            table.add_row(name, each.case, rating, outcome.replace("_", " "), end, f"${each.row.arr:,}", events)
        left = ", ".join(self.left_open) or "none"
        summary = (
            f"  {self.quarter}: {len(self.customers)} renewals, {sum(self.events.values())} events;"
            f" failed workflow tasks: {self.failed_workflow_tasks}; left open: {left}"
        )
        return Group(table, Text(summary, style="dim" if self.good else "bold red"))


async def play(director: Director, board: Board) -> RenewalsReport:
    """Play a quarter's renewals. Raises :class:`Unavailable` when the sandbox has no customers."""
    accounts = Accounts.of(director.tenure)
    quarter = quarter_ahead(accounts.policy, datetime.now(UTC).date())
    board.say("the hourly run scores the customers, and their renewals begin")
    rows = await _begun(director, accounts, quarter)
    customers = [Playing(director, accounts, row, SCRIPTS[number % len(SCRIPTS)]) for number, row in enumerate(rows[:MOST])]
    board.cast(customers)
    board.say(f"{quarter}: {len(customers)} of {len(rows)} renewals, at most {AT_ONCE} at once")
    room = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(_one(customer, room) for customer in customers))
    board.say("looking through every history")
    return await _report(director, quarter, customers)


def quarter_ahead(policy: AccountPolicy, today: date) -> str:
    """The first fiscal quarter that begins far enough ahead of ``today``."""
    inside = quarter_of(policy, today + AHEAD)
    first, last = days_of(policy, inside)
    return inside if first >= today + AHEAD else quarter_of(policy, last + timedelta(days=1))


async def _begun(director: Director, accounts: Accounts, quarter: str) -> list[RenewalRow]:
    """The quarter's open renewals: the hourly run has had them begun, and whatever is too far ahead for that is begun by hand."""
    first, last = days_of(accounts.policy, quarter)
    records = accounts.records

    def due() -> list[Customer]:
        return [each for each in records.customers() if each.contract_end and first <= each.contract_end <= last]

    def found() -> list[RenewalRow]:
        return records.renewals(status="open", first=first, last=last)

    await director.until_scheduled("the copy of the CRM's customers", ids.ACCOUNT_SYNC, lambda: bool(records.customers()))
    customers = await asyncio.to_thread(due)
    if not customers:
        raise Unavailable(f"no customer renews in {quarter}", "Start the stack with more of them: tenure up --fleet 300")
    by_itself = datetime.now(UTC).date() + timedelta(days=accounts.policy.renewal.early_review_days - 1)
    near = [each.domain for each in customers if each.contract_end and each.contract_end <= by_itself]
    await director.until_scheduled("the renewals of the quarter", ids.HEALTH, lambda: {row.domain for row in found()} >= set(near))
    for far in {each.domain for each in customers} - {row.domain for row in await asyncio.to_thread(found)}:
        await accounts.decide(START_RENEWAL, far, {})

    async def all_begun() -> bool:
        return len(await asyncio.to_thread(found)) >= len(customers)

    await eventually("all renewals of the quarter", all_begun)
    return await asyncio.to_thread(found)


async def _one(customer: Playing, room: asyncio.Semaphore) -> None:
    async with room:
        try:
            await customer.script.play(customer)
        except (Miss, TenureError, RPCError, httpx.HTTPError, TimeoutError) as error:
            customer.fail(" ".join(str(error).split()) or type(error).__name__)
        else:
            customer.over()


async def _report(director: Director, quarter: str, customers: Sequence[Playing]) -> RenewalsReport:
    report = RenewalsReport(quarter, list(customers))
    for customer in customers:
        executions = await _executions(director, customer)
        if not customer.problem:
            with_plan = [each for each in executions if each.id == customer.plan]
            executions = await _ended(director, customer) if with_plan else executions
        for each in executions:
            found = await history(director, each)
            report.events[each.id] = report.events.get(each.id, 0) + found.events
            report.failed_workflow_tasks += len(found.failures)
            report.faults += [f"{customer.name}: {fault}" for fault in found.failures]
            if each.status is WorkflowExecutionStatus.RUNNING and (
                each.id == customer.renewal or (each.id == customer.plan and await _only_for_the_renewal(director, each.id))
            ):
                report.left_open.append(each.id)
        report.faults += [f"{customer.name}: {customer.problem}"] if customer.problem else []
    report.faults += [f"{workflow} is still open" for workflow in report.left_open]
    return report


async def _only_for_the_renewal(director: Director, plan: str) -> bool:
    """Whether a get-well plan has no other reason than the renewal: then it should have ended with it."""
    status: dict[str, Any] = await said(director.client.get_workflow_handle(plan), "status", dict[str, Any])
    return set(status.get("reasons") or ()) <= {"renewal"}


async def _ended(director: Director, customer: Playing) -> list[WorkflowExecution]:
    """The executions, once a plan that was only for the renewal has ended; a plan with other reasons goes on."""

    async def look() -> list[WorkflowExecution] | None:
        found = await _executions(director, customer)
        plans = [each for each in found if each.id == customer.plan and each.status is WorkflowExecutionStatus.RUNNING]
        return None if plans and await _only_for_the_renewal(director, customer.plan) else found

    try:
        return await eventually("the end of the get-well plan", look, within=10) or []
    except Miss:
        return await _executions(director, customer)  # the report says that it is open


async def _executions(director: Director, customer: Playing) -> list[WorkflowExecution]:
    names = (customer.renewal, customer.plan, ids.account(customer.row.domain), ids.red(customer.row.domain))
    asked = " OR ".join(f"WorkflowId = '{name}'" for name in names)
    return [each async for each in director.client.list_workflows(asked)]
