"""A renewal's frame: its state, its waits that follow a moving date, what operators and the forecast read of it, and where it is said."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from domain import ids
from domain.account.account import AccountView, PlanReason, Rating, RenewalRow, RenewalRuns
from domain.calendar import day_of
from domain.decision import Decision
from domain.effects.effect import BatchResult, Effect
from domain.effects.salesforce import SalesforceEffect, UpdateOpportunity
from domain.effects.slack import Post
from domain.effects.vitally import KeepDoc, VitallyEffect
from domain.forecast.quarters import quarter_of
from domain.forecast.rollup import expectation
from domain.markup import bold
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.state import Key, Phase, RenewalInput, RenewalState, RenewalStatus, agenda, falls_due
from domain.task import Answer, Task
from workflows.account.process import AccountProcess
from workflows.frame.search_attributes import ACCOUNT, ARR, FORECAST, OWNER, RATING, RENEWAL_QUARTER, STAGE

#: The message under which everything about a renewal is said.
THREAD = "slack.renewal"
#: The trait that carries the rating in Vitally, and the document of the assessment.
RATING_TRAIT = "Renewal - Rating"
ASSESSMENT_DOC = "renewal-health-assessment"


class Cancelled(Exception):
    """There is nothing to renew any more; why stands in the state."""


class BeginsAnew(Exception):
    """The date moved so far that what was found is stale."""


def started_as(input: RenewalInput) -> TypedSearchAttributes:
    """The search attributes that whoever starts a renewal gives it: they cost nothing at the start."""
    customer, owner = input.customer, input.team.email(Role.TA) or input.team.email(Role.AE)
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(STAGE, Phase.UPCOMING.value),
        SearchAttributePair(ACCOUNT, customer.domain),
        SearchAttributePair(ARR, customer.arr),
        SearchAttributePair(RENEWAL_QUARTER, quarter_of(input.policy, input.renewal_on)),
    ]
    return TypedSearchAttributes([*pairs, SearchAttributePair(OWNER, ids.handle(owner))] if owner else pairs)


class RenewalProcess(AccountProcess):
    """One renewal. ``state`` is everything that it remembers."""

    state: RenewalState

    def __init__(self, input: RenewalInput) -> None:
        """``input`` never changes; ``state`` is the workflow's own."""
        state = RenewalState(renewal_on=input.renewal_on, standing=input.standing)
        super().__init__(input, state, stage=state.phase.value, thread=THREAD)
        self._begun = self._turn = False
        self._delivering = 0

    # --- where it stands -----------------------------------------------------------------------------------------------------------

    def enter(self, phase: Phase) -> None:
        """Change the phase. What operators and the forecast see follows at the next wait, with every other change of the same moment."""
        self.state.phase = phase
        self.stage = phase.value

    @property
    def over(self) -> bool:
        """Whether nothing may be asked any more: it is closed, or about to be."""
        return self.state.end is not None or self.state.cancel is not None or self.state.phase is Phase.CLOSING

    def why_not(self, refuse: Callable[..., str | None], *given: Any) -> str | None:
        """Why something cannot be taken, by the policy and all that is known; None when it can."""
        return refuse(self.policy, self.state, *given)

    async def look(self) -> AccountView:
        """What the ledger knows of customer, team and health by now."""
        view = await super().look()
        self.state.standing = view.standing or self.state.standing
        self.owner = self.looked_after_by
        return view

    # --- waiting -------------------------------------------------------------------------------------------------------------------

    async def wait_for(self, ready: Callable[[], bool], *, until: Key | None, summary: str) -> bool:
        """Wait for ``ready``, at most until that moment, wherever the date moves meanwhile; False when the moment has come.

        Raises :class:`Cancelled` or :class:`BeginsAnew` when that is what happened instead.
        """
        state = self.state
        while True:
            due = state.renewal_on, state.extension_days
            at = falls_due(self.policy, state, until).at if until and until not in state.done else None
            came = await self.wait(
                lambda due=due: ready() or state.anew or state.cancel is not None or (state.renewal_on, state.extension_days) != due,  # type: ignore[misc]
                until=at,
                summary=summary,
            )
            if state.cancel is not None:
                raise Cancelled
            if state.anew:
                state.anew = False
                raise BeginsAnew
            if not came:
                return False
            if ready():
                return True

    async def beside(self, ready: Callable[[], bool]) -> bool:
        """Wait beside the course, which has the timers and chases the tasks; False when the renewal is over."""
        await workflow.wait_condition(lambda: ready() or self.over)
        return not self.over

    async def answer_beside(self, task: Task) -> Answer | None:
        """Wait for an answer beside the course; None when the renewal is over, or the task was withdrawn."""
        return task.answer if await self.beside(lambda: not task.is_open) else None

    def over_with(self, key: Key) -> None:
        """That moment has been."""
        if key not in self.state.done:
            self.state.done = [*self.state.done, key]

    # --- acting, asking and telling ------------------------------------------------------------------------------------------------

    def do(self, *effects: Effect) -> asyncio.Task[BatchResult]:
        """As every process does; what a message asks for before :meth:`begin` waits for that, and what operators see follows."""
        self._delivering += 1
        self.changed()
        return self.spawn(self._once_begun(effects))

    def changed(self) -> None:
        """Something changed: that is shown once every part of the renewal has had its turn at this moment."""
        if not self._turn:
            self._turn = True
            self.spawn(self._end_of_turn())

    def begin(self, *first: Effect) -> None:
        """The first effects of all."""
        self._begun = True
        self.do(*first)

    @property
    def busy(self) -> bool:
        """Whether something that was asked for is not done yet."""
        return self._turn or self._delivering > 0

    async def _once_begun(self, effects: tuple[Effect, ...]) -> BatchResult:
        try:
            if not self._begun:
                await workflow.wait_condition(lambda: self._begun)
            return await self.effects.do(*effects)
        finally:
            self._delivering -= 1

    async def _end_of_turn(self) -> None:
        await workflow.wait_condition(lambda: self._begun)
        self._turn = False
        self.publish()

    def nothing_more(self, why: str) -> None:
        """Withdraw what is asked of the account's people; a refused effect is still to be done."""
        for task in self.tasks.all:
            if not task.spec.kind.startswith("fix-"):
                self.tasks.withdraw(task.spec.kind, why)

    def post(self, *posts: Post) -> None:
        """Post; the thread is opened by the first."""
        state, opening = self.state, tuple[Post, ...]()
        if THREAD not in state.counts:
            state.next(THREAD)
            text = f"{bold(f'The renewal of {self.customer.name}')} on {state.renewal_on}: ${self.customer.arr:,}, {self.customer.seats:,} seats."
            opening = (self.said(THREAD, text, Role.AE, Role.TA, under=""),)
        self.do(*opening, *posts)

    def crm(self, what: str, fields: dict[str, str | bool | int | None], *more: SalesforceEffect) -> None:
        """Set fields of the renewal's opportunity."""
        self.do(UpdateOpportunity(key=self.state.next(f"crm.{what}"), fields=fields), *more)

    def assessment(self, early: bool = False) -> KeepDoc:
        """The health assessment as it stands; what an early one said is filled in while it is fresh."""
        state = self.state
        before = None if early else decisions.fresh(self.policy, state.early, workflow.now())
        title = f"Renewal health assessment: {self.customer.name}, {state.renewal_on}"
        return self.document("assessment", ASSESSMENT_DOC, title, documents.assessment(self.customer, state, before))

    def project_done(self, why: str) -> tuple[VitallyEffect, ...]:
        """Complete the early assessment's project, if it is open."""
        state, project = self.state, self.state.project
        state.project = ""
        return (self.closed(project, why),) if project else ()

    def rated(self, rating: Rating, decision: Decision, *acts: VitallyEffect, enters: bool = True) -> None:
        """A rating, wherever it is from: everybody who reads one has it, and it may bring the account into Lighthouse."""
        state = self.state
        state.rating = rating
        if enters and not state.in_lighthouse:
            state.entering = self.record(decisions.enters(self.policy, rating, workflow.now())).outcome == decisions.Membership.ENTERS
        self.crm("rating", {"Renewal_Rating__c": rating})
        self.do(self.traits("rating", {RATING_TRAIT: rating}), *acts)
        self.say("rating", f"{documents.colour(rating)}: {decision.rule}", Role.AE, Role.TA)
        self.check_expectation()
        if "value_engineering" in state.done:
            self.tell_value_engineering()

    def check_expectation(self) -> None:
        """C13: what the AE projects should fit the rating; when it does not, that is said once, and nothing is refused."""
        state = self.state
        odd = expectation(state.rating, state.projection.outcome if state.projection else None)
        if odd and odd != state.odd:
            self.say("odd", f"⚠️ {self.customer.name}: {odd}", Role.AE)
        state.odd = odd

    def tell_value_engineering(self) -> None:
        """D38: value engineering hears of a renewal at risk, once."""
        state = self.state
        if state.rating in ("yellow", "red") and not state.told_value_engineering:
            state.told_value_engineering = True
            days = (state.due_on - day_of(self.policy.office, workflow.now())).days
            self.say(
                "value_engineering", f"Value engineering: {self.customer.name} renews in {days} days and is {state.rating}; please engage."
            )

    async def is_reason(self, on: bool, why: str) -> None:
        """The account's get-well plan is told that this renewal is a reason for it, or is one no more (gap 11)."""
        await self.reason(self.alerts_channel, PlanReason(reason="renewal", on=on, why=why, from_workflow=workflow.info().workflow_id))

    async def runs(self) -> None:
        """The account hears on which day its renewal is, whoever began or moved it: the two never disagree."""
        told = RenewalRuns(workflow=workflow.info().workflow_id, renewal_on=self.state.renewal_on)
        await self.effects.signal(ids.account(self.customer.domain), "renewal_runs", told)

    # --- what is read of it --------------------------------------------------------------------------------------------------------

    def renewal_row(self) -> RenewalRow:
        """The renewal as the forecast reads it. One that churned early is lost like any other; one that was merged is none any more."""
        state = self.state
        lost_early = state.end == "cancelled" and state.cancel is not None and state.cancel.why == "churned_early"
        return RenewalRow(
            workflow=workflow.info().workflow_id,
            domain=self.customer.domain,
            name=self.customer.name,
            renewal_on=state.renewal_on,
            arr=self.customer.arr,
            phase=state.phase.value,
            rating=state.rating,
            outcome=state.projection.outcome if state.projection else None,
            ta_outcome=state.ta_projection.outcome if state.ta_projection else None,
            system_outcome=state.system_outcome,
            amount=state.projection.amount if state.projection else None,
            ae=self.team.email(Role.AE),
            ta=self.team.email(Role.TA),
            status="churned" if lost_early else state.end or "open",
            actual_outcome=state.actual_outcome,
            actual_arr=state.actual_arr,
            forecast_at=state.projection.at if state.projection else None,
            updated_at=workflow.now(),
        )

    def status(self) -> RenewalStatus:
        """Where the renewal stands."""
        state = self.state
        return self.status_as(
            RenewalStatus,
            **vars(self.renewal_row()),
            due_on=state.due_on,
            success_criteria=state.save_plan.criteria if state.save_plan else "",
            forecast_by=state.projection.by if state.projection else "",
            end=state.end or "",
        )

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """Everything ahead. What is past due and not over is under way, or waits for what is: its phase says so."""
        now = workflow.now()
        return () if self.over else ((each.at, each.what) for each in agenda(self.policy, self.state) if each.at > now)

    def attributes(self) -> dict[SearchAttributeKey[Any], Any]:
        """What the forecast, and whoever looks after renewals, filters by."""
        state = self.state
        return {
            **super().attributes(),
            RATING: state.rating,
            FORECAST: state.projection.outcome if state.projection else None,
            RENEWAL_QUARTER: quarter_of(self.policy, state.renewal_on),
            ARR: self.customer.arr,
        }

    def in_words(self) -> str:
        """Where it stands, in words."""
        waits = [f"{task.spec.role.value}: {task.spec.title}" for task in self.tasks.all if task.is_open]
        return documents.in_words(self.policy, self.customer.name, self.state, self.steps(self.ahead()), waits, workflow.now())
