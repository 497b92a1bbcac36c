"""What is asked of customers' accounts: it goes to the workflow of the account, as an update that may be refused."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from domain import commands, ids, plausibility
from domain.account.account import AccountFacts, AccountTeam, Customer, HealthSnapshot
from domain.account.commands import START_RENEWAL, StartRenewal
from domain.account.lifecycle import AccountInput
from domain.base import Message
from domain.commands import Command
from domain.renewal.state import RenewalInput
from starter.errors import BadInput, NotFound, Refused
from starter.service.account_queries import AccountQueries, none_of
from starter.service.authorization import Caller
from starter.service.bootstrap import read_policies
from starter.service.temporal_errors import Closing, asking
from starter.service.tenure import Tenure
from workflows.frame.search_attributes import ACCOUNT
from workflows.renewal.process import started_as


class Accounts(AccountQueries):
    """Customers' accounts, as people and programs use them."""

    @classmethod
    def of(cls, tenure: Tenure) -> Accounts:
        """The service beside the one of trials, with the policy in force."""
        return cls(tenure, read_policies(tenure.settings)[1])

    def called_by(self, caller: Caller) -> Accounts:
        """The same service for somebody else."""
        return Accounts(self.tenure.called_by(caller), self.policy)

    async def decide(self, command: Command[Any], key: str, given: Message | Mapping[str, Any], event_id: str = "") -> str:
        """Decide about the trial or the account that ``key`` names, as any way in offers it; returns what was done, in words."""
        if command.of == commands.TRIAL:
            return await self.tenure.act(key, command.name, given, event_id)
        if command.of == commands.RENEWAL:
            row = await self.renewal_of(key)
            over = NotFound(f"{row.workflow} has ended", f"`tenure renewal show {row.domain}` says what became of it")
            return await self.tenure.decide(command, row.workflow, given, event_id, missing=over)
        if command.of == commands.ACCOUNT:
            return await self._of_account(command, key, given, event_id)
        customer, _, _ = await self.known(key)
        return await self.tenure.decide(
            command, command.of.workflow_id(customer.domain), given, event_id, missing=none_of(command.of, customer)
        )

    async def _of_account(self, command: Command[Any], key: str, given: Message | Mapping[str, Any], event_id: str) -> str:
        """An account's life is started when it has none yet; a renewal's id is the lock of its start."""
        customer, team, standing = await self._customer(key)
        workflow = ids.account(customer.domain)
        if command == START_RENEWAL:
            carry = partial(self._start_renewal, customer, team, standing)
            return await self.tenure.decide(command, workflow, given, event_id, carry)
        start = self.tenure.with_start(**self._life(customer, team))
        return await self.tenure.decide(command, workflow, given, event_id, start=start)

    def _life(self, customer: Customer, team: AccountTeam) -> dict[str, Any]:
        """What an account's process is started with."""
        settings = self.tenure.settings
        channels = {"channel": settings.slack_forecast_channel, "red_channel": settings.slack_red_channel}
        return {
            "kind": "Account",
            "given": AccountInput(customer=customer, team=team, policy=self.policy, **channels),
            "workflow_id": ids.account(customer.domain),
            "summary": f"Life of {customer.name}",
            "search_attributes": TypedSearchAttributes([SearchAttributePair(ACCOUNT, customer.domain)]),
        }

    async def tell(self, facts: AccountFacts) -> None:
        """Tell an account's process of its facts, as the hourly run found them (D12); a customer's is started when there is none yet.

        Safe to repeat: the facts say how it is. Who is a customer no more is told only if a process of theirs still runs.
        """
        customer = facts.customer
        if customer.status == "customer":
            await self.tenure.start(**self._life(customer, facts.team), start_signal="facts", start_signal_args=[facts])
            return
        workflow = ids.account(customer.domain)
        with suppress(NotFound), asking(workflow):
            await self.tenure.client.get_workflow_handle(workflow).signal("facts", facts)

    async def _start_renewal(
        self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None, decided: StartRenewal, event: str
    ) -> str:
        renewal_on = decided.renewal_on or customer.contract_end
        if renewal_on is None:
            raise BadInput(
                f"the CRM names no end of {customer.name}'s contract", "Say --date YYYY-MM-DD, or set it in the CRM", field="date"
            )
        if odd := plausibility.odd_day(self.policy.facts, renewal_on, datetime.now(UTC).date()):
            raise BadInput(odd, "Say --date YYYY-MM-DD as the contract has it", field="date")
        workflow_id = ids.renewal(customer.domain, renewal_on)
        open_now = await self.tenure.read(lambda: self.records.renewals(status="open", domain=customer.domain))
        if open_now and not (open_now[0].workflow == workflow_id and await self.tenure.began(workflow_id, event)):
            raise Refused(f"{open_now[0].workflow} is open already", f"`tenure renewal move {customer.domain} DATE` moves its date")
        given = RenewalInput(
            customer=customer,
            team=team,
            renewal_on=renewal_on,
            standing=standing,
            policy=self.policy,
            channel=self.tenure.settings.slack_forecast_channel,
        )
        try:
            summary = f"Renewal of {customer.name} on {renewal_on}"
            await self.tenure.begin("Renewal", given, workflow_id, summary, event, search_attributes=started_as(given))
        except Closing:
            raise Refused(f"{workflow_id} has run already", f"`tenure renewal show {customer.domain}` says what became of it") from None
        return f"{workflow_id}: started"

    async def _customer(self, account: str) -> tuple[Customer, AccountTeam, HealthSnapshot | None]:
        """As :meth:`known`, and a customer still. Raises :class:`Refused`."""
        customer, team, standing = await self.known(account)
        if customer.status != "customer":
            into = f" into {customer.merged_into}" if customer.merged_into else ""
            raise Refused(
                f"{customer.name} is no customer any more: the CRM says {customer.status}{into}", "Correct it in the CRM if it is one"
            )
        return customer, team, standing
