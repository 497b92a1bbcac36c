"""The frame of every process of a customer's account: whom it asks, what it writes where, and how the others begin and find each other.

Each has one workflow id, whoever begins it.
"""

import asyncio
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from domain import ids, plausibility
from domain.account.account import AccountTeam, AccountView, AskAccount, Customer, CustomerInput, PlanReason
from domain.account.get_well import GetWellInput
from domain.account.red import RedInput
from domain.effects.effect import Scalar
from domain.effects.vitally import CloseProject, KeepDoc, OpenProject, SetTraits
from domain.people import Role
from domain.policy import AccountPolicy
from domain.views import ProcessState
from workflows.frame.detached import begin_or_tell
from workflows.frame.effects import local
from workflows.frame.process import Process, Status
from workflows.frame.search_attributes import ACCOUNT, DUE_AT, OWNER, STAGE

#: How many updates and reviews go on into the next run.
KEPT = 30

Input = TypeVar("Input", bound=CustomerInput)


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

    def __init__(self, input: CustomerInput, state: ProcessState, *, stage: str, channel: str = "", thread: str = "") -> None:
        """``channel`` is where it is talked about, else that of the ``input``; ``thread`` is the key of the message under which."""
        super().__init__(input.policy, channel or input.channel, state=state, stage=stage, team=input.team, cycle=input.cycle)
        self._customer: Customer | None = None
        self.customer = input.customer
        self.reasons = asyncio.Lock()  #: What the get-well plan is told goes one by one: what is said last is what holds.
        self.owner, self.thread = self.looked_after_by, thread
        given = workflow.info().typed_search_attributes  # what the start brought along is not published again
        shown: list[SearchAttributeKey[Any]] = [STAGE, OWNER, DUE_AT, *self.attributes()]
        self._shown = {key: given.get(key) for key in shown}

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

    @property
    def looked_after_by(self) -> str:
        """Who looks after it: the TA's address, else the AE's."""
        return self.email(Role.TA) or self.email(Role.AE)

    def attributes(self) -> dict[SearchAttributeKey[Any], Any]:
        """The account, by its domain."""
        return {ACCOUNT: self.subject}

    def status_as(self, kind: type[Status], **more: Any) -> Status:
        """A status of that kind, of this account."""
        about = {"account": self.subject, "name": self.customer.name, "ta": self.email(Role.TA), "ae": self.email(Role.AE)}
        return super().status_as(kind, **{**about, **more})

    def titled(self, title: str) -> str:
        """The title names the account."""
        return f"{self.customer.name}: {title}"

    async def look(self) -> AccountView:
        """The ledger's copy of the account as it stands now; what it says of customer and team is kept."""
        view = await local("account", AskAccount(domain=self.subject), AccountView, "what the ledger knows")
        if view.customer is not None:
            self.customer, self.team = view.customer, view.team
        return view

    # --- what it writes, each under a key of its own: what it is, and the how manieth -----------------------------------------------

    def say(self, what: str, text: str, *mention: Role, under: str | None = None) -> None:
        """Say something where this process is talked about."""
        self.post(self.said(self.state.next(f"slack.{what}"), text, *mention, under=under))

    def traits(self, what: str, traits: dict[str, Scalar]) -> SetTraits:
        """Traits of the account."""
        return SetTraits(key=self.state.next(f"trait.{what}"), account=self.subject, traits=traits)

    def document(self, what: str, doc: str, title: str, lines: tuple[str, ...]) -> KeepDoc:
        """A document of the account, as it stands now."""
        return KeepDoc(key=self.state.next(f"doc.{what}"), account=self.subject, doc=doc, title=title, lines=lines)

    def opened(self, what: str, template: str, name: str) -> OpenProject:
        """A project of the account. Its key is what closes it."""
        return OpenProject(key=self.state.next(f"project.{what}"), account=self.subject, template=template, name=name)

    def closed(self, project: str, why: str) -> CloseProject:
        """The project that was opened under that key is complete."""
        return CloseProject(key=f"{project}.done", account=self.subject, project=project, why=why)

    # --- the processes beside it, and its own next run ------------------------------------------------------------------------------

    def starts(self, kind: type[Input], **more: Any) -> Input:
        """What another process of this account starts with."""
        return kind(customer=self.customer, team=self.team, policy=self.policy, **more)

    def anew(self, input: Input, state: ProcessState, *, cycle: int = 0, **more: Any) -> Input:
        """What its own next run starts with; another ``cycle`` has effects of its own. Earlier updates and reviews stand in the histories."""
        for said in ("updates", "reviews"):
            if given := getattr(state, said, ()):
                setattr(state, said, given[-KEPT:])
        known = {"customer": self.customer, "team": self.team, "state": state, "cycle": cycle or input.cycle}
        return input.model_copy(update={**known, **more})

    async def reason(self, channel: str, *given: PlanReason) -> None:
        """Tell the account's get-well plan that reasons came or are gone; one that comes begins the plan when there is none (gap 11).

        In turn, after what was said before: a plan that is still being begun takes longer than a word that its reason is gone.
        """
        plan, summary = ids.get_well(self.subject), f"get-well plan of {self.customer.name}"
        async with self.reasons:
            for each in given:
                if each.on:
                    start = self.starts(GetWellInput, channel=channel, reasons=(each,))
                    await begin_or_tell(self.effects, "GetWell", start, ("reason", each), id=plan, summary=summary, account=self.subject)
                else:
                    await self.effects.signal(plan, "reason", each)

    async def mark(self, start: RedInput) -> None:
        """Mark the account red, or add the reasons when it is red already (C20); ``start`` has them, and is how it begins when it is not."""
        told = [("mark_red", each) for each in start.marks]
        summary = f"{self.customer.name} is red"
        await begin_or_tell(self.effects, "RedAccount", start, *told, id=ids.red(self.subject), summary=summary, account=self.subject)
