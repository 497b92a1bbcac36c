"""``tenure demo --renewals``: a quarter's renewals of the sandbox's customers, each played to its end, time skipped.

The customers are the fleet that the stand-ins were seeded with; their renewals were begun by the hourly run, as in real life.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta

from domain import ids
from domain.account.account import RenewalRow
from domain.account.commands import START_RENEWAL
from domain.forecast.quarters import days_of, quarter_of
from domain.policy import AccountPolicy
from starter.errors import Unavailable
from starter.local.demo.customer import Customer
from starter.local.demo.director import PATIENCE, Director, eventually
from starter.local.demo.player import AT_ONCE, perform, stories
from starter.local.demo.report import Report
from starter.service.accounts import Accounts

STORIES = stories("renewals")
#: Customers of the stack that the demo starts for itself: so many that a quarter has about a dozen renewals.
FLEET = 60
#: The quarter that is played is the first that begins at least so far ahead: its renewals are all still to be assessed.
AHEAD = timedelta(days=25)
#: Renewals at the most: on a stack with many customers a quarter has more.
MOST = 16


async def play(director: Director) -> Report:
    """Play a quarter's renewals. Raises :class:`Unavailable` when the sandbox has no customers."""
    accounts = Accounts.of(director.tenure)
    quarter = quarter_ahead(accounts.policy, datetime.now(UTC).date())
    director.board.say("the hourly run scores the customers, and their renewals begin")
    rows = await _begun(director, accounts, quarter)
    customers = [Customer(director, STORIES[number % len(STORIES)], row, accounts) for number, row in enumerate(rows[:MOST])]
    director.board.say(f"{quarter}: {len(customers)} of {len(rows)} renewals, at most {AT_ONCE} at once")
    await perform(director, customers)
    title = f"{quarter}: {len(customers)} renewals"
    report = Report("renewals", ("account", "what happened", "rating", "outcome", "end"), ("ARR", "events"), title)
    return await report.look_through(director, customers)


def quarter_ahead(policy: AccountPolicy, today: date) -> str:
    """The first fiscal quarter that begins far enough ahead of ``today``."""
    inside = quarter_of(policy, today + AHEAD)
    first, last = days_of(policy, inside)
    return inside if first >= today + AHEAD else quarter_of(policy, last + timedelta(days=1))


async def _begun(director: Director, accounts: Accounts, quarter: str) -> list[RenewalRow]:
    """The quarter's open renewals: the hourly run has had them begun, and whatever is too far ahead for that is begun by hand."""
    first, last = days_of(accounts.policy, quarter)
    records = accounts.records

    def found() -> list[RenewalRow]:
        return records.renewals(status="open", first=first, last=last)

    await director.until_scheduled("the copy of the CRM's customers", ids.ACCOUNT_SYNC, lambda: bool(records.standings()))
    everybody = await asyncio.to_thread(records.standings)
    customers = [each for each, _ in everybody if each.contract_end and first <= each.contract_end <= last]
    if not customers:
        raise Unavailable(f"no customer renews in {quarter}", "Start the stack with more of them: tenure up --fleet 300")
    by_itself = datetime.now(UTC).date() + timedelta(days=accounts.policy.renewal.early_review_days - 1)
    near = [each.domain for each in customers if each.contract_end and each.contract_end <= by_itself]
    within = PATIENCE + len(everybody) / director.tenure.settings.account_beginnings_per_second  # the hourly run begins so many at a time
    await director.until_scheduled(
        "the renewals of the quarter", ids.HEALTH, lambda: {row.domain for row in found()} >= set(near), within=within
    )
    for far in {each.domain for each in customers} - {row.domain for row in await asyncio.to_thread(found)}:
        await accounts.decide(START_RENEWAL, far, {})

    async def all_begun() -> bool:
        return len(await asyncio.to_thread(found)) >= len(customers)

    await eventually("all renewals of the quarter", all_begun)
    return await asyncio.to_thread(found)
