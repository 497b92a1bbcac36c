"""The life of a customer's account (D8, D9, D14–D17, B17): one workflow for each account, for years, continued as new.

It wakes when a fact has changed, or on the next day on which something may change by itself, and decides everything anew: the stage, the
onboarding goal, whether the utilization asks for a get-well plan, whether the account is red, and whether its renewal begins. What is
decided differently than before is on record, and is done: by this workflow in Vitally, else by a process of its own beside it.
"""

from collections.abc import Iterable
from datetime import date, datetime

from temporalio import workflow

from domain import ids
from domain.account import commands, get_well, lifecycle, red, red_marks
from domain.account.account import AccountFacts, HealthSnapshot, PlanEnded, PlanReason, Reason, RedEnded, RenewalEnded, RenewalRuns
from domain.account.commands import MarkAccountRed, MarkRed, StartRenewal
from domain.account.lifecycle import AccountInput, AccountState, AccountStatus, Beginning, Goal, NewDate, Stage
from domain.account.red import RedInput
from domain.decision import Decision
from domain.effects.vitally import VitallyEffect
from domain.markup import bold, code
from domain.people import Role
from domain.renewal.commands import CancelRenewal, MoveRenewal
from domain.renewal.state import RenewalInput
from workflows.account.process import AccountProcess
from workflows.frame import handlers
from workflows.frame.detached import begin
from workflows.frame.handlers import decides, hears
from workflows.frame.workflow_with_tasks import WorkflowWithTasks


@workflow.defn
class Account(WorkflowWithTasks[AccountProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: AccountInput) -> None:
        self.input, self.state = input, input.state or AccountState()
        self._begin(AccountProcess(input, self.state, stage=self.state.stage.value if self.state.stage else ""), self.in_words)
        self.moving = False

    @workflow.run
    async def run(self, input: AccountInput) -> str:
        """Look, decide, wait for the next day that matters; until the account is closed."""
        process, state = self.process, self.state
        if state.stage is None:
            await self._wake()
        await self._rounds(self._closed, self._wake, lambda: process.anew(input, state))
        await process.settle()
        if process.customer.status == "customer" and not state.lost:  # it came back meanwhile
            fresh = AccountState(since=state.since, standing=state.standing, settled=state.settled, next_end=state.next_end)
            await self._continue_as_new(lambda: process.anew(input, fresh, cycle=input.cycle + 1))
        return state.why_closed

    # --- messages ------------------------------------------------------------------------------------------------------------------------

    @hears(AccountFacts)
    def facts(self, given: AccountFacts) -> None:
        """What changed, from the hourly run. Signals may overtake each other: what is older than what is known says nothing."""
        process = self.process
        own = given.customer.domain == process.subject
        handlers.refuse(None if own else f"these are the facts of {given.customer.domain}, not of {process.subject}")
        if given.customer.as_of >= process.customer.as_of:
            process.customer, process.team = given.customer, given.team
        self._stands(given.standing)
        self._decide()

    @hears(RenewalRuns)
    def renewal_runs(self, given: RenewalRuns) -> None:
        """A renewal has begun, whoever began it, or a person moved it: its date counts from now on."""
        state = self.state
        if (state.renewal, state.renewal_on) == (given.workflow, given.renewal_on) or (state.renewal and state.renewal != given.workflow):
            return
        state.renewal, state.renewal_on, state.term_end = given.workflow, given.renewal_on, given.renewal_on
        self._decide()

    @hears(RenewalEnded)
    def renewal_ended(self, given: RenewalEnded) -> None:
        """What became of a renewal."""
        lifecycle.settle(self.state, given)
        self._decide()

    @hears(RedEnded)
    def red_ended(self, _: RedEnded) -> None:
        """It is red no more. What still makes it red is known to whoever promoted it: it marks red again only once it was gone."""
        red_marks.ended(self.process.policy, self.process.customer, self.state, workflow.now())

    @hears(PlanEnded)
    def plan_ended(self, _: PlanEnded) -> None:
        """The get-well plan is over; it ends only when this account, too, took its reasons back."""

    def _refuse_mark(self, given: MarkAccountRed) -> str | None:
        if not given.reason.strip():
            return 'say why: "reason" must not be empty'
        return "the account is closed" if self._closed() else None

    @decides(commands.MARK_ACCOUNT_RED, _refuse_mark, signed="marks it")
    async def mark_red(self, given: MarkAccountRed) -> str:
        """A person's judgement (B18): one command for every system (C20); while the account is open."""
        name, red_already = self.process.customer.name, self.state.red
        self._mark(MarkRed(by=given.by, reason=given.reason, source="judgement"))
        if red_already:
            return f"{name} is red already; the reason is told to whoever follows it: {given.reason}"
        return f"{name} is marked red in the CRM, in Vitally and in the tracker: {given.reason}"

    def _refuse_start(self, given: StartRenewal) -> str | None:
        if given.renewal_on:
            return "a renewal of another date is started by the page, the API or the command line"
        decision = self._renewal()
        return None if decision.outcome in (Beginning.WAIT, Beginning.START) else f"nothing was started: {decision.rule}"

    @decides(commands.START_RENEWAL, _refuse_start, signed="starts it")
    async def start_renewal(self, given: StartRenewal) -> str:
        """The renewal that is due next by what is known here begins now, by hand."""
        self._renew(lifecycle.begun_by_hand(self.process.policy, self.process.customer, self.state, given.by, workflow.now()))
        return f"{self.state.renewal} begins"

    @workflow.query
    def status(self) -> AccountStatus:
        """Where the account stands."""
        return self.process.status_as(AccountStatus, contract_end=lifecycle.term_end(self.process.customer, self.state))

    # --- looking and deciding --------------------------------------------------------------------------------------------------------------

    async def _wake(self) -> None:
        """A day has come: the ledger's copy, and everything decided anew."""
        self._stands((await self.process.look()).standing)
        self._decide()

    def _stands(self, standing: HealthSnapshot | None) -> None:
        known = self.state.standing
        if standing and (known is None or standing.as_of >= known.as_of):
            self.state.standing = standing

    def _decide(self) -> None:
        process, state = self.process, self.state
        if self._closed():
            return
        first, state.seen_at = state.stage is None, workflow.now()
        if process.customer.contract_start:
            state.since = min(state.since or process.customer.contract_start, process.customer.contract_start)
        self._date()
        if acts := [*self._stage(), *self._goal(first)]:
            process.do(*acts)
        process.owner = process.email(lifecycle.owner(state.stage)) or process.looked_after_by
        if self._closed():
            self._leave()
            return
        self._band()
        self._utilization()
        self._red()
        if not self.moving and (decision := self._renewal()).outcome == Beginning.START:
            self._renew(decision)
        process.publish()  # what was decided is shown now, though nobody waits for it

    def _stage(self) -> list[VitallyEffect]:
        process, state = self.process, self.state
        decision = lifecycle.stage(process.policy, process.customer, state, workflow.now())
        if state.stage is not None and decision.outcome == state.stage:
            return []
        process.record(decision)
        state.stage = Stage(decision.outcome)
        state.why_closed = decision.rule if self._closed() else ""
        process.stage = state.stage.value
        if state.stage in (Stage.ADOPTING, Stage.NURTURING):
            state.rests_in = "nurturing" if state.stage is Stage.NURTURING else "adopting"
        shown = process.traits("stage", {lifecycle.TRAIT: lifecycle.SHOWN[state.stage]})
        if state.stage is not Stage.ONBOARDING or state.project or state.goal:
            return [shown]
        project = process.opened("onboarding", lifecycle.ONBOARDING, f"{lifecycle.ONBOARDING}: {process.customer.name}")  # D9, once
        state.project = project.key
        return [shown, project]

    def _goal(self, first: bool) -> list[VitallyEffect]:
        """The goal is decided once (C05), and ends the onboarding project. Who had it behind them before we looked is not told of it."""
        process, state = self.process, self.state
        if state.goal:
            return []
        decision = lifecycle.goal(process.policy, process.customer, state, workflow.now())
        if decision is None and not self._closed():
            return []
        if decision is None or (first and state.stage is not Stage.ONBOARDING):
            state.goal = "passed"
        else:
            state.goal = "hit" if process.record(decision).outcome == Goal.HIT else "missed"
        return [process.closed(state.project, decision.rule if decision else "the account is closed")] if state.project else []

    def _band(self) -> None:
        """D14: a band that is worse than the last known one is told to the TA."""
        process, state = self.process, self.state
        if state.standing is None or state.standing.band == "unknown":
            return
        before, state.band = state.band, state.standing.band
        if before and red.BETTER[state.band] < red.BETTER[before]:
            score = f" ({state.standing.score:.1f} of 10)" if state.standing.score is not None else ""
            todo = f"What hurts, and what to do about it: {code(f'tenure health show {process.subject}')}."
            process.say("band", f"The health of {process.customer.name} was {before} and is {state.band}{score}. {todo}", Role.TA)

    def _utilization(self) -> None:
        """D15, D17: the reasons that the utilization gives, and takes back."""
        process, state = self.process, self.state
        decision = get_well.utilization(process.policy, state.since, state.standing, workflow.now())
        if decision.outcome == get_well.Utilization.UNKNOWN:
            return
        wanted: list[Reason] = [reason for reason in get_well.REASON_PROJECTS if reason == str(decision.outcome)]
        come, gone = [each for each in wanted if each not in state.plan], [each for each in state.plan if each not in wanted]
        if come or gone:
            process.record(decision)
            state.plan = wanted
            self._reasons(come, gone, decision.rule)

    def _red(self) -> None:
        """B17, D31: what makes it red, by itself or by hand, each once; and how it does is told to whoever follows it while it is red."""
        process, state, now = self.process, self.state, workflow.now()
        if marks := red_marks.news(process.policy, process.customer, state, now):
            self._mark(*marks)
        held, how = red.holding(process.policy, process.customer, state.standing, now), state.standing
        told = f"{how.band if how else ''} {how.champion if how else ''} {sorted(held)} {process.customer.health} {process.team.ta} {process.team.ta_manager}"
        if state.red and told != state.red_told:
            if state.red_told:
                self._tell_red()
            state.red_told = told

    def _date(self) -> None:
        """Gap 9: the renewal date moved, and an open renewal moves along, whoever started it. What contradicts one is told, and moves nothing."""
        process, state, now = self.process, self.state, workflow.now()
        end, against = lifecycle.crm_end(process.customer, state), lifecycle.contradiction(process.policy, process.customer, state, now)
        if not against and not self.moving:
            decision = lifecycle.moved(process.policy, process.customer, state, now)
            before, state.term_end = state.term_end, end or state.term_end
            if decision is not None and before is not None and end is not None:
                process.record(decision)
                if decision.outcome == NewDate.NEXT:
                    state.settled = sorted({*state.settled, before})
                    against = lifecycle.contradiction(process.policy, process.customer, state, now)
                else:
                    self.moving = True  # from this moment on: no renewal begins until it is known which one moves
                    process.spawn(self._move(before, end))
        state.crm_end = end
        self._contradicted(against)

    def _contradicted(self, against: str) -> None:
        """The CRM contradicts the renewal date that counts: told once, and again when it does so no more."""
        process, state, name = self.process, self.state, self.process.customer.name
        before, state.contradiction = state.contradiction, against
        if against == before:
            return
        if against:
            todo = f"Correct the contract's end in the CRM, or move the renewal: `tenure renewal move {process.subject} DATE`."
            text = f":warning: {name}: {against}, which counts until then. {todo}"
        else:
            text = f"{name}: the CRM and the renewal date {state.term_end or ''} agree again.".replace("  ", " ")
        process.say("contradiction", text, Role.AE, Role.TA)

    # --- the processes beside it -----------------------------------------------------------------------------------------------------------

    def _renewal(self) -> Decision:
        return lifecycle.renewal(self.process.policy, self.process.customer, self.state, workflow.now())

    def _renew(self, decision: Decision) -> None:
        """The renewal of this term begins, once; one that was started by hand counts, whether it runs or has ended."""
        process, state = self.process, self.state
        end = lifecycle.to_renew(process.policy, process.customer, state)
        if end is None:
            raise ValueError("only a term with an end is renewed")
        process.record(decision)
        state.renewal, state.renewal_on, state.term_end = ids.renewal(process.subject, end), end, end
        start = process.starts(RenewalInput, renewal_on=end, standing=state.standing, channel=self.input.channel)
        summary = f"renewal of {process.customer.name} on {end}"
        process.spawn(begin("Renewal", start, id=state.renewal, summary=summary, account=process.subject, once=True))

    async def _move(self, before: date, to: date) -> None:
        """Tell the renewal of that term, of which we may not know: it was started by hand. One that is over counts no more."""
        process, state = self.process, self.state
        name = state.renewal or ids.renewal(process.subject, before)
        told = MoveRenewal(by="Salesforce", renewal_on=to, reason="the contract's end in the CRM")
        runs = await process.effects.signal(name, "move", told)
        self.moving = False
        state.renewal, state.renewal_on = (name, to) if runs else ("", None)
        self._decide()

    def _reasons(self, come: list[Reason], gone: list[Reason], why: str) -> None:
        told = [PlanReason(reason=each, on=on, why=why) for on, some in ((True, come), (False, gone)) for each in some]
        self.process.spawn(self.process.reason(self.input.channel, *told))

    def _mark(self, *marks: MarkRed) -> None:
        process, state, given = self.process, self.state, self.input
        red_marks.marked(process.customer, state)
        about = {"marks": marks, "standing": state.standing, "renewal": state.renewal}
        process.spawn(process.mark(process.starts(RedInput, channel=given.red_channel, plan_channel=given.channel, **about)))

    def _tell_red(self) -> None:
        """The red account hears how it does: whose renewal ended in full churn is no customer, whatever the CRM says yet."""
        process, state, customer = self.process, self.state, self.process.customer
        if state.lost and customer.status == "customer":
            customer = customer.model_copy(update={"status": "churned"})
        facts = AccountFacts(customer=customer, team=process.team, standing=state.standing)
        process.spawn(process.effects.signal(ids.red(process.subject), "facts", facts))

    def _leave(self) -> None:
        """It is no customer any more: nothing of it goes on."""
        process, state, why = self.process, self.state, self.state.why_closed
        if state.plan:
            self._reasons([], state.plan, why)
        if state.red:
            self._tell_red()
        open_one = state.renewal or (ids.renewal(process.subject, state.term_end) if state.term_end else "")
        if open_one and not state.lost:
            told = CancelRenewal(why="churned_early", note=why, by="Salesforce")
            if process.customer.status == "merged":
                told = CancelRenewal(why="merged", note=process.customer.merged_into, by="Salesforce")
            process.spawn(process.effects.signal(open_one, "cancel", told))

    def _closed(self) -> bool:
        return self.state.stage is Stage.CLOSED

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The days on which something may change by itself."""
        return ((moment.at, moment.what) for moment in lifecycle.agenda(self.process.policy, self.process.customer, self.state))

    def in_words(self) -> str:
        """Where the account stands, for people."""
        state, process = self.state, self.process
        stage, end = state.stage.value if state.stage else "being looked at", lifecycle.term_end(process.customer, state)
        lines = [f"{bold(process.customer.name)} is {stage}; renewal date {end or 'not known'}", ""]
        lines += [f"- {step.at:%Y-%m-%d}: {step.what}" for step in process.steps(self.ahead())[:4]]
        if state.renewal:
            lines.append(f"- its renewal runs: {state.renewal}")
        if state.contradiction:
            lines.append(f"- data error: {state.contradiction}")
        if state.red or state.plan:
            reasons = ", ".join(get_well.WORDS[each] for each in state.plan) or "none"
            lines.append(f"- {'red; ' if state.red else ''}get-well reasons: {reasons}")
        if state.decisions:
            lines.append(f"- decided last ({state.decisions[-1].what}): {state.decisions[-1].outcome}. {state.decisions[-1].rule}")
        return "\n".join(lines)
