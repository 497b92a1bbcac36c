"""The frame of every process of a customer's account: whom it asks, where it posts, and how it tells the others."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from domain import plausibility
from domain.account.account import AccountTeam, AccountView, AskAccount, Customer
from domain.decision import Decision
from domain.people import Role
from domain.policy import AccountPolicy
from domain.task import Task, TaskSpec
from workflows.frame.process import Process
from workflows.frame.search_attributes import ACCOUNT


class AccountProcess(Process[AccountPolicy]):
    """One process of one account, as it is known now."""

    ladders = {
        Role.TA: (Role.AE, Role.TA_MANAGER),
        Role.AE: (Role.TA, Role.AE_MANAGER),
        Role.CE: (Role.TA, Role.TA_MANAGER),
        Role.TA_MANAGER: (Role.TS_LEADERSHIP, Role.TS_LEADERSHIP),
        Role.AE_MANAGER: (Role.SALES_LEADERSHIP, Role.SALES_LEADERSHIP),
        Role.TS_LEADERSHIP: (Role.TA_MANAGER, Role.SALES_LEADERSHIP),
        Role.SALES_LEADERSHIP: (Role.AE_MANAGER, Role.TS_LEADERSHIP),
    }
    team: AccountTeam

    def __init__(
        self,
        policy: AccountPolicy,
        customer: Customer,
        team: AccountTeam,
        tasks: list[Task],
        decisions: list[Decision],
        channel: str,
        cycle: int = 1,
    ) -> None:
        """``channel`` is where its messages and task cards go; ``tasks`` and ``decisions`` are the lists in the workflow's state."""
        super().__init__(policy, channel, tasks=tasks, decisions=decisions, team=team, cycle=cycle)
        self._customer: Customer | None = None
        self.customer = customer
        self.reasons = asyncio.Lock()  #: What the get-well plan is told goes one by one: what is said last is what holds.
        self.owner = team.email(Role.TA) or team.email(Role.AE)

    @property
    def customer(self) -> Customer:
        """The account as it is believed: what cannot be so (F15) stays as it was known before."""
        if self._customer is None:
            raise ValueError("there is no process without an account")
        return self._customer

    @customer.setter
    def customer(self, given: Customer) -> None:
        self._customer = plausibility.believed(self.policy.facts, given, self._customer, workflow.now().date())

    @property
    def subject(self) -> str:
        """The account's domain."""
        return self.customer.domain

    def attributes(self) -> dict[SearchAttributeKey[Any], Any]:
        """The account, by its domain."""
        return {ACCOUNT: self.customer.domain}

    def spec(self, kind: str, title: str, *args: Any, **options: Any) -> TaskSpec:
        """A task of the account's team, which its title names."""
        return super().spec(kind, f"{self.customer.name}: {title}", *args, **options)

    async def look(self) -> AccountView:
        """The ledger's copy of the account as it stands now; what it says of customer and team is kept."""
        view = await self.effects.local("account", AskAccount(domain=self.customer.domain), AccountView, "what the ledger knows")
        if view.customer is not None:
            self.customer, self.team = view.customer, view.team
        return view
