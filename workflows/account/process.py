"""The frame of every process of a customer's account: whom it asks, where it posts, and how it tells the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

from domain import ladder, plausibility
from domain.account.account import AccountTeam, AccountView, AskAccount, Customer
from domain.decision import Decision
from domain.effects.models import Post
from domain.people import Role
from domain.policy import AccountPolicy
from domain.task import Check, Choice, Task, TaskSpec
from domain.views import NextStep
from workflows.frame.process import Process

#: Who is asked when the owner does not answer: the backup, then the manager.
LADDERS: dict[Role, tuple[Role, Role]] = {
    Role.TA: (Role.AE, Role.TA_MANAGER),
    Role.AE: (Role.TA, Role.AE_MANAGER),
    Role.CE: (Role.TA, Role.TA_MANAGER),
    Role.TA_MANAGER: (Role.TS_LEADERSHIP, Role.TS_LEADERSHIP),
    Role.AE_MANAGER: (Role.SALES_LEADERSHIP, Role.SALES_LEADERSHIP),
    Role.TS_LEADERSHIP: (Role.TA_MANAGER, Role.SALES_LEADERSHIP),
    Role.SALES_LEADERSHIP: (Role.AE_MANAGER, Role.TS_LEADERSHIP),
}


class AccountProcess(Process[AccountPolicy]):
    """One process of one account. ``decisions`` is the list in the workflow's state: the dossier."""

    def __init__(
        self,
        policy: AccountPolicy,
        customer: Customer,
        team: AccountTeam,
        tasks: list[Task],
        decisions: list[Decision],
        channel: str,
        cycle: int = 1,
        *,
        in_turn: bool = True,
    ) -> None:
        """``channel`` is where its messages and task cards go; ``customer`` and ``team`` are as known now.

        ``in_turn`` is False in a run from before what the get-well plan is told waited for what it was told before.
        """
        super().__init__(policy, tasks, channel, cycle)
        self._customer: Customer | None = None
        self.customer = customer
        self.team = team
        self.decisions = decisions
        self.in_turn = in_turn
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

    def record(self, decision: Decision) -> Decision:
        """Add a decision to the dossier."""
        self.decisions.append(decision)
        return decision

    def spec(
        self,
        kind: str,
        title: str,
        asks: str,
        role: Role,
        choices: tuple[Choice, ...],
        hours: float,
        *,
        checks: tuple[Check, ...] = (),
        due_at: datetime | None = None,
    ) -> TaskSpec:
        """A task of a role of this account's team, due after so many office hours (or at ``due_at``), with its ladder."""
        backup, manager = LADDERS[role]
        due = due_at or ladder.due_in(self.policy, workflow.now(), hours)
        owner = self.team.email(role)
        return TaskSpec(
            kind=kind,
            title=f"{self.customer.name}: {title}",
            asks=asks,
            role=role,
            assignee=owner,
            choices=choices,
            checks=checks,
            due_at=due,
            ladder=ladder.ordinary(self.policy, due, owner, self.team.email(backup), self.team.email(manager)),
            repeat_days=self.policy.tasks.remind_manager_days,
        )

    def said(self, key: str, text: str, *mention: Role, under: str = "", channel: str = "") -> Post:
        """A message where this process is talked about."""
        people = tuple(email for role in mention if (email := self.team.email(role)))
        return Post(key=key, channel=channel or self.alerts_channel, text=text, mention=people, under=under)

    def steps(self, ahead: Iterable[tuple[datetime, str]]) -> list[NextStep]:
        """What the query ``next_steps`` answers: these moments, and whom each open task reminds when."""
        steps = [NextStep(at=at, what=what) for at, what in ahead]
        for task in self.desk.tasks:
            if task.is_open:
                rung = task.spec.ladder[task.rung].who if task.rung < len(task.spec.ladder) else task.spec.assignee
                steps.append(NextStep(at=task.next_at, what=f"remind {rung or task.spec.role.value}: {task.spec.title}"))
        return sorted(steps, key=lambda step: step.at)

    async def look(self) -> AccountView:
        """The ledger's copy of the account as it stands now; what it says of customer and team is kept."""
        view = await self.effects.local("account", AskAccount(domain=self.customer.domain), AccountView, "what the ledger knows")
        if view.customer is not None:
            self.customer, self.team = view.customer, view.team
        return view
