"""What a year of an account leaves behind: events and updates of each run of its process, with the hourly run's news each month or each day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from bench.customer import TA, TERM, Customer, copied
from bench.harness import Ground
from bench.history import Left, left_by, said
from bench.renewal import rated, renewed
from bench.report import Row, row
from domain.account.commands import MARK_ACCOUNT_RED, RESOLVE

MONTH = timedelta(days=30)
#: How the account does as each month begins: it grows into use, is at its targets, loses some of it, and comes back.
STEADY = {"score": 9.0, "band": "healthy", "mau_seats": 0.9, "usage_score": 0.35, "champion": True, "was_at_target": True}
FEWER = STEADY | {"score": 6.5, "band": "concerning", "mau_seats": 0.6, "champion": False}
BEGINS = {"score": 6.0, "band": "concerning", "mau_seats": 0.45, "usage_score": 0.2}
MONTHS = (BEGINS, BEGINS, *[STEADY] * 5, FEWER, FEWER, *[STEADY] * 4)
#: The months in which a person marks it red and promotes it, in which its renewal is assessed, and in which that is processed.
MARKED, PROMOTED, ASSESSED, PROCESSED = 7, 8, 8, 11
DAYS = 365


async def year(ground: Ground) -> list[Row]:
    """A year with all that belongs to it, told of once a month; then one in which its band is another every day."""
    runs = await _runs(await lived(ground))
    updates = [each.counts["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"] for each in runs]
    return [
        _events(runs, "a year of an account: events in a run"),
        row("a year of an account: updates in a run", max(updates), "", goal=500),
        _events(await _runs(await told_daily(ground)), "a year of an account, another band every day: events in a run"),
    ]


async def lived(ground: Ground) -> Customer:
    """Onboarding, its goal, nurturing, decreased usage and a red account that are overcome, a renewal, the next term."""
    now = datetime.now(UTC)
    customer = await Customer.signed(ground, now.date(), deployed_on=now.date() + timedelta(days=20))
    account = customer.account
    await customer.told(now, **MONTHS[0])
    for month, standing in enumerate(MONTHS[1:], start=1):
        await customer.morning(customer.start + month * MONTH, account)
        await customer.told(await customer.now(account), **standing)
        if month == MARKED:
            await customer.service.decide(MARK_ACCOUNT_RED, customer.domain, {"by": TA, "reason": "their champion left"})
            await customer.rest(account, customer.red)
        if month == PROMOTED:
            async with customer.heard(account):
                await customer.service.decide(RESOLVE, customer.domain, {"by": TA, "to": "yellow", "note": "a new champion"})
        if month == ASSESSED:
            await customer.morning(customer.end - timedelta(days=customer.policy.renewal.process_days), account)
            await rated(customer, "green", "flat")
        if month == PROCESSED:
            await customer.morning(customer.end - timedelta(days=customer.policy.renewal.processing_days), account)
            await renewed(customer)
            await asyncio.to_thread(copied, ground)
    await customer.morning(customer.start + TERM, account)
    status = await customer.handle(account).query("status")
    assert (status["stage"], status["goal"], status["contract_end"]) == ("nurturing", "hit", (customer.end + TERM).isoformat()), status
    return customer


async def told_daily(ground: Ground) -> Customer:
    """The same process, told of another band day after day; its clock stands, since that makes no difference to what is counted."""
    now = datetime.now(UTC)
    customer = await Customer.signed(ground, now.date() - timedelta(days=100), deployed_on=now.date() - timedelta(days=80))
    for day in range(DAYS):
        await customer.told(now + timedelta(seconds=day), **(STEADY if day % 2 else STEADY | {"score": 7.0, "band": "concerning"}))
    return customer


# --- what is counted --------------------------------------------------------------------------------------------------------------------


def _events(runs: list[Left], name: str) -> Row:
    """The events of the longest run."""
    longest = max(runs, key=lambda each: len(each.events))
    number = f"{len(runs)} runs" if len(runs) > 1 else "one run: the server suggested no other"
    note = f"{number}; {longest.tasks} workflow tasks, {longest.bytes} B; {said(longest.counts)}"
    return row(name, len(longest.events), "", goal=2_000, note=note)


async def _runs(customer: Customer) -> list[Left]:
    """What every run of the account left behind, the first one first."""
    client, account = customer.ground.client, customer.account
    first = (await client.get_workflow_handle(account).describe()).raw_description.workflow_execution_info.first_run_id
    runs: list[Left] = []
    following: str | None = first
    while following:
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(account, run_id=following)
        runs.append(await left_by(handle))
        following = runs[-1].events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs
