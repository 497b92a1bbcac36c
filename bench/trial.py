"""The trial that is measured: self-serve, prequalified, used, extended by itself on day 15, bought on day 28."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from activities.licensing import Licensing
from activities.salesforce.effects import Salesforce
from bench.harness import Ground, until
from domain import ids, licence_keys
from domain.effects.effect import EffectBatch
from domain.effects.licensing import IssueKey
from domain.messages import SignupAnswer
from domain.trial.commands import Convert
from domain.upkeep import PoolChange
from starter.local.skip import skip
from starter.service.forms import SignupForm
from starter.service.tenure import Tenure
from store.instance_changes import Pool

#: Two moves of the clock: past the decision of day 15, and on to day 28. Nothing falls due at either end, so that a move ends at rest.
MOVES = (timedelta(days=15.1), timedelta(days=12.9))
SOLD = Convert(by="ae-jonas@tenure.example", seats=250, contract_end=date(2030, 1, 31), note="signed")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Company:
    """A company that may have an instance at once, and the address of whoever signs it up. All names have one length."""

    name: str

    @property
    def domain(self) -> str:
        """Its registrable domain, its key."""
        return f"{self.name}.com"

    @property
    def email(self) -> str:
        """The initial admin's address."""
        return f"bo@{self.domain}"

    @property
    def workflow(self) -> str:
        """The id of its trial."""
        return ids.trial(self.domain)


async def companies(ground: Ground, number: int) -> list[Company]:
    """So many new prequalified companies, a warm instance for each, and a generic key for all."""
    made = [Company(f"bench-{next(_numbers):05}") for _ in range(number)]
    policy = ground.tenure.policy
    hosts = [f"src-{company.name}.{policy.cloud.domain_suffix}" for company in made]
    accounts = [{"Name": company.name.title(), "Domain__c": company.domain, "Trial_Prequalified__c": True} for company in made]
    instances = [{"host": host, "kind": "warm", "code_hosts": 1} for host in hosts]
    await ground.sandbox("/_sandbox/seed", {"salesforce": {"accounts": accounts}, "instances": {"instances": instances}})
    await asyncio.to_thread(_known_here, ground, hosts)
    return made


def _known_here(ground: Ground, hosts: Sequence[str]) -> None:
    """What the schedules do on a stack that runs for long: copy the CRM, add what is warm, rotate the generic key."""
    settings, ledger, terms = ground.settings, ground.ledger, ground.tenure.policy.license.generic
    now = datetime.now(UTC)
    salesforce = Salesforce.from_settings(settings, ledger)
    salesforce.sync_accounts()
    salesforce.close()
    for host in hosts:
        Pool(ledger).pool_change(PoolChange(subject="bench/pool", as_of=now, host=host, change="ready"))
    if ledger.current_cohort() is None:
        until_when = licence_keys.of_cohort(ground.tenure.policy, now)
        key = IssueKey(key="key", account="plg-trial", purpose="generic", tags=terms.tags, seats=terms.seats, expires_at=until_when)
        licensing = Licensing(settings, ledger)
        licensing.carry_out(EffectBatch(subject="bench/cohort", as_of=now, effects=(key,)))
        licensing.close()


async def sign_up(tenure: Tenure, company: Company) -> SignupAnswer:
    """Fill the form in. Raises ``AssertionError`` when the answer is not the instance at once."""
    form = SignupForm(email=company.email, company=company.name.title(), first_name="Bo", last_name="Li")
    answer = await tenure.signup(form)
    assert answer.outcome == "instant", answer
    return answer


async def opened(ground: Ground, tenure: Tenure, company: Company) -> SignupAnswer:
    """A trial that has done everything of its first day and now waits for the second."""
    answer = await sign_up(tenure, company)
    await at_rest(ground.client.get_workflow_handle(company.workflow))
    return answer


async def whole(ground: Ground, tenure: Tenure, company: Company) -> WorkflowHandle[Any, Any]:
    """The whole trial, from the form to the sale. Raises ``AssertionError`` when it ends otherwise."""
    answer = await opened(ground, tenure, company)
    user = {"username": "bo", "email": company.email, "searches": 4, "result_views": 5}
    await ground.sandbox(f"/instances/_control/{answer.host}", {"users": [user]})
    for move in MOVES:
        await skip(ground.client, company.workflow, move)
    await tenure.act(company.domain, "convert", SOLD)
    handle: WorkflowHandle[Any, Any] = ground.client.get_workflow_handle(company.workflow)
    result = await handle.result()
    assert result["end"] == "converted", result
    return handle


async def at_rest(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow does nothing but wait. Asks the server only: a query would be work for the worker that is measured."""

    async def look() -> bool:
        now = (await handle.describe()).raw_description
        return not now.pending_activities and not now.HasField("pending_workflow_task")

    await until(look, f"rest of {handle.id}")


async def at_once(work: Sequence[Callable[[], Awaitable[Any]]], limit: int) -> None:
    """Carry everything out, so many at once."""
    slots = asyncio.Semaphore(limit)

    async def one(each: Callable[[], Awaitable[Any]]) -> None:
        async with slots:
            await each()

    await asyncio.gather(*(one(each) for each in work))
