"""The customers that are measured, and what happens to one: our people answer at once, time passes, the hourly run tells what changed.

A customer's processes each have a clock of their own; they are moved to the same days, one after the other. Nothing here asks a worker
how a process does: a query would be billed, and be work for the worker.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import TimeSkipper

from activities.licensing import Licensing
from activities.salesforce.effects import Salesforce
from bench.harness import Ground, until
from domain import ids
from domain.account.account import AccountFacts, HealthSnapshot
from domain.calendar import hours_of
from domain.effects.effect import EffectBatch
from domain.effects.licensing import IssueKey
from starter.local.skip import skip
from starter.service.accounts import Accounts
from store.accounts import Accounts as Records
from store.database import put
from store.tables import health

#: Our people, as the stand-in for the CRM has them.
TA, AE, TS, SALES = "ta-paz@tenure.example", "ae-mira@tenure.example", "ts-lead@tenure.example", "sales-lead@tenure.example"
TA_MANAGER, AE_MANAGER = "ta-manager@tenure.example", "ae-manager@tenure.example"
SEATS, ARR = 100, 120_000
TERM = timedelta(days=365)
#: Past the opening of the office on a day, so that what falls due at the opening is over.
MARGIN = timedelta(hours=2)
_numbers = itertools.count(1)


class Customer:
    """One customer. ``start`` is the first day of the contract, ``end`` the last; all names have one length."""

    def __init__(self, ground: Ground, start: date) -> None:
        self.ground, self.start, self.end = ground, start, start + TERM
        self.name = f"Customer {next(_numbers):05}"
        self.domain = f"{self.name.lower().replace(' ', '-')}.com"
        self.account, self.plan, self.red = ids.account(self.domain), ids.get_well(self.domain), ids.red(self.domain)
        self.renewal = ids.renewal(self.domain, self.end)
        self.service = Accounts.of(ground.tenure)
        self.policy = self.service.policy

    @classmethod
    async def signed(cls, ground: Ground, start: date, deployed_on: date | None = None) -> Customer:
        """A customer in the CRM, with a key on the licence server, whom the ledger's copy knows."""
        made = cls(ground, start)
        subscription = await asyncio.to_thread(made._key)
        record = {
            "Name": made.name,
            "Domain__c": made.domain,
            "Type": "Customer",
            "Segment__c": "Enterprise",
            "Seats__c": SEATS,
            "ARR__c": ARR,
            "Contract_Start__c": made.start.isoformat(),
            "Contract_End__c": made.end.isoformat(),
            "Deployed_On__c": deployed_on and deployed_on.isoformat(),
            "Account_Executive__c": AE,
            "Technical_Advisor__c": TA,
            "License_Subscription__c": subscription,
        }
        await ground.sandbox("/_sandbox/seed", {"salesforce": {"accounts": [record]}})
        await asyncio.to_thread(copied, ground)
        return made

    def _key(self) -> str:
        ground, terms = self.ground, self.policy.license.production
        licensing = Licensing(ground.settings, ground.ledger)
        expires = datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC)
        key = IssueKey(key="key", account=ids.company(self.domain), purpose="production", tags=terms.tags, seats=SEATS, expires_at=expires)
        sold = licensing.carry_out(EffectBatch(subject=f"bench/{self.domain}", as_of=datetime.now(UTC), effects=(key,)))
        licensing.close()
        return sold.of("key").ref

    # --- what the hourly run does ---------------------------------------------------------------------------------------------------

    async def stands(self, at: datetime, **how: Any) -> None:
        """How it does, where the hourly run puts it."""
        await asyncio.to_thread(self._stands, HealthSnapshot.model_validate({"as_of": at, **how}))

    async def told(self, at: datetime, **how: Any) -> None:
        """The hourly run has found a change, and tells the account's process, which begins when there is none."""
        await self.stands(at, **how)
        view = await asyncio.to_thread(Records(self.ground.ledger).view, self.domain)
        assert view.customer is not None
        facts = AccountFacts(customer=view.customer, team=view.team, standing=view.standing)
        await Accounts(self.ground.tenure, self.policy).tell(facts)
        await self.rest(self.account)

    def _stands(self, standing: HealthSnapshot) -> None:
        row = {
            "domain": self.domain,
            "at": standing.as_of,
            "total": standing.score,
            "band": standing.band,
            "traits": {},
            "score": {},
            "standing": standing.model_dump(mode="json"),
        }
        with self.ground.ledger.writing() as db:
            put(db, health, row)

    # --- what people do ------------------------------------------------------------------------------------------------------------

    async def answers(self, workflow: str, task: str, choice: str, by: str, **more: Any) -> None:
        """Answer an open task. Raises when there is none, or the answer is refused."""
        await self.ask(workflow, "answer", {"task": task, "choice": choice, "by": by, **more})

    async def ask(self, workflow: str, update: str, message: Mapping[str, Any]) -> None:
        """An update of one of its processes, and all that it sets going."""
        await self.handle(workflow).execute_update(update, message, result_type=str)
        await self.rest(workflow)

    async def says(self, workflow: str, signal: str, message: Mapping[str, Any]) -> None:
        """A signal to one of its processes, and all that it sets going."""
        await self.handle(workflow).signal(signal, message)
        await self.rest(workflow)

    # --- time ----------------------------------------------------------------------------------------------------------------------

    async def morning(self, day: date, *workflows: str, later: timedelta = MARGIN) -> None:
        """Move these processes past the opening of the office on a day, one after the other; one that is there already stays."""
        wanted = hours_of(self.policy.office, day)[0] + later
        for workflow in workflows:
            await self.rest(workflow)
            now = await self.now(workflow)
            if wanted > now:
                await skip(self.ground.client, workflow, wanted - now)
            await self.rest(workflow)

    async def now(self, workflow: str) -> datetime:
        """The clock of a process."""
        return await TimeSkipper(self.ground.client).get_current_time(self.handle(workflow))

    async def runs(self, workflow: str) -> bool:
        """Whether a process has not ended."""
        return (await self.handle(workflow).describe()).status is WorkflowExecutionStatus.RUNNING

    def handle(self, workflow: str) -> WorkflowHandle[Any, Any]:
        """A process of this customer."""
        return self.ground.client.get_workflow_handle(workflow)

    async def rest(self, *workflows: str) -> None:
        """Wait until these do nothing but wait; what one of them begins has begun."""
        for workflow in workflows:
            await until(lambda workflow=workflow: self._rests(workflow), f"rest of {workflow}")  # type: ignore[misc]

    async def _rests(self, workflow: str) -> bool:
        now = (await self.handle(workflow).describe()).raw_description
        return not (now.pending_activities or now.pending_children or now.HasField("pending_workflow_task"))

    @asynccontextmanager
    async def heard(self, workflow: str) -> AsyncIterator[None]:
        """What is done inside makes another process tell this one something: wait until it has heard, and is at rest again."""

        async def length() -> int:
            return (await self.handle(workflow).describe()).history_length

        before = await length()
        yield

        async def look() -> bool:
            return await length() > before

        await until(look, f"news for {workflow}")
        await self.rest(workflow)


def copied(ground: Ground) -> None:
    """What the schedule does: copy the CRM."""
    salesforce = Salesforce.from_settings(ground.settings, ground.ledger)
    salesforce.sync_accounts()
    salesforce.close()
