"""A company's cloud trial, from its signup to its end (handbook A3–A20, A26, A28).

One workflow for each registrable domain: the id is the lock. A signup is routed in one round trip (case 1, 2.1, 2.2 or 3). What may
not be instant is triaged by an SDR, or approved by the CE manager; then the instance is delivered and handed over. From that moment
the trial wakes at each moment of its agenda (mails, the day-10 warning, the day-12 notice, day 15, day 30 and every later deadline)
or when a person decides to extend, convert or terminate, whichever comes first: the loser never acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.messages import (
        INSTANT,
        TRIAGED,
        Case,
        CeRequest,
        IssueEvent,
        JoinAsk,
        OpenLink,
        Signup,
        SignupAnswer,
    )
    from domain.policy import Policy
    from domain.task import Answer, Task, TaskKind
    from domain.trial import adoption, commands, decisions
    from domain.trial.adoption import Preview, WhatIf
    from domain.trial.commands import AdoptPolicy, ChangeDomain, Convert, CorrectAdmin, Extend, NewLink, OptOut, RequestFeedback, Terminate
    from domain.trial.decisions import Course
    from domain.trial.state import OPEN_TO_DECIDE, OPEN_TO_TERMINATE, End, Stage, TrialInput, TrialResult, TrialState, Verdict
    from domain.views import TrialStatus
    from workflows.frame import messages
    from workflows.frame.handlers import answers, decides, hears, hears_text, looks
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks
    from workflows.trial import building, capacity, changes, claims, delivery, endings, intake, open_trial, owning, routing
    from workflows.trial.process import EndedEarly, TrialProcess


@workflow.defn
class Trial(WorkflowWithTasks[TrialProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: TrialInput) -> None:
        """State only; no commands."""
        process = TrialProcess(input, TrialState())
        self._begin(process, notes=process.state.notes)
        self.routing = messages.OneAtATime()

    @workflow.run
    async def run(self, input: TrialInput) -> TrialResult:
        """Route, deliver, keep, end."""
        trial, state = self.process, self.process.state
        for waited in input.waiting:
            await self.routing.run(partial(routing.route, trial, waited))
        if not await trial.wait(lambda: state.case is not None or self.routing.busy, until=messages.soon(), summary="the signup"):
            state.end = "abandoned"
            trial.enter(Stage.ABANDONED)
        else:
            await workflow.wait_condition(lambda: state.case is not None and not self.routing.busy)
            state.end = await self._course()
        trial.tasks.withdraw(TaskKind.OWNERS, "the trial is over")
        await trial.settle()
        if state.waiting_signups:
            waiting = tuple(state.waiting_signups)
            workflow.continue_as_new(input.model_copy(update={"policy": trial.policy, "waiting": waiting, "cycle": input.cycle + 1}))
        return TrialResult(domain=input.domain, case=state.case or "", end=state.end, host=state.host)

    async def _course(self) -> End:
        trial, state = self.process, self.process.state
        try:
            if state.case is Case.HAS_INSTANCE:
                return await intake.redirect(trial)
            if state.case is Case.CE_REQUESTED and state.request:
                await owning.owners(trial, state.request.ce)
                approval = await intake.approval(trial, state.request)
                if approval.outcome == decisions.Approval.DENIED:
                    return await intake.deny(trial, approval.rule)
            if state.case in TRIAGED:
                qualification = await intake.triage(trial)
                if qualification.outcome == decisions.Qualification.DISQUALIFIED:
                    return await intake.disqualify(trial, qualification.rule)
                if state.case is Case.FREE_MAIL:
                    return await intake.move(trial)
            if state.case in INSTANT and not state.instance_live and state.full:
                await capacity.wait_for_room(trial, warm=True)
            if not state.instance_live and not await capacity.reserve(trial):
                return await intake.redirect(trial)
            await (delivery.instant(trial) if state.instance_live else delivery.build(trial))
        except EndedEarly:
            return await endings.before_the_start(trial)
        return await open_trial.until_its_end(trial)

    # --- a signup, a request: the answer is the routing decision ---------------------------------------------------------------------

    def may_sign_up(self, message: Signup) -> None:
        """Whoever may not have a trial is told so by the routing."""

    @answers("signup", Signup, may_sign_up)
    async def signup(self, message: Signup) -> SignupAnswer:
        """Route a signup (A3). The second of one domain meets the first one here."""
        return await self.routing.run(lambda: routing.route(self.process, message))

    def may_request(self, message: CeRequest) -> None:
        """A company has one trial."""
        messages.refuse(intake.refuse_request(self.process))

    @decides(commands.REQUEST, may_request)
    async def request(self, message: CeRequest) -> SignupAnswer:
        """A CE requests a trial (A28)."""
        return intake.request(self.process, message)

    def may_join(self, message: JoinAsk) -> None:
        """Not into an instance that is being torn down."""
        closing = self.process.state.stage is Stage.TEARDOWN or self.process.state.end is not None
        messages.refuse("the instance is being torn down: sign up again, and a new trial starts after it" if closing else None)

    @answers("join", JoinAsk, may_join)
    async def join(self, message: JoinAsk) -> str:
        """A person of the domain is blocked and wants in (A22)."""
        self.process.spawn(intake.join(self.process, message))
        if self.process.state.started_at and self.process.state.confirmed_at is None:
            return "noted: it is followed up as soon as the instance's administrator has confirmed their address"
        when = "" if self.process.state.started_at else " as soon as the instance is ready"
        return f"the admin is told{when}, and the request is followed up"

    def may_open_link(self, message: OpenLink) -> None:
        """Only the admin, of an instance that runs."""
        messages.refuse(claims.refuse_opening(self.process, message))

    @answers("open_link", OpenLink, may_open_link)
    async def open_link(self, message: OpenLink) -> str:
        """The link in the admin's mail was opened: the claim is confirmed (A5, A6), and a reset link made, by the vault's reference."""
        await self.routing.run(partial(claims.confirm, self.process, message))
        return await claims.reset_link(self.process)

    # --- a person decides: what refuses each, and what it does; each may be signalled, too ---------------------------------------------

    def may_extend(self, message: Extend) -> None:
        """Once a period, within the policy's limits, before anybody has decided to end it."""
        self._undecided()
        state = self.process.state
        messages.refuse(
            decisions.refuse_extend(
                self.process.policy, state.stage, message, state.extended, workflow.now(), self.process.input.origin, state.ends_at
            )
        )

    @decides(commands.EXTEND, may_extend)
    async def extend(self, message: Extend) -> str:
        """Extend the trial (A15)."""
        decision = decisions.by_person(
            self.process.policy, Course.EXTEND, message.by, message.reason, workflow.now(), self.process.state.usage
        )
        return self.process.take(Verdict(decision=decision, extend=message))

    def may_convert(self, message: Convert) -> None:
        """With the seats and the contract's end, before anybody has decided otherwise."""
        self._undecided()
        messages.refuse(decisions.refuse_convert(self.process.policy, self.process.state.stage, message, workflow.now()))

    @decides(commands.CONVERT, may_convert)
    async def convert(self, message: Convert) -> str:
        """Convert the trial to a paid instance (A17)."""
        decision = decisions.by_person(
            self.process.policy, Course.CONVERT, message.by, message.note, workflow.now(), self.process.state.usage
        )
        return self.process.take(Verdict(decision=decision, convert=message))

    def may_terminate(self, message: Terminate) -> None:
        """Before anybody has decided otherwise."""
        self._undecided()
        messages.refuse(decisions.refuse_terminate(self.process.state.stage))

    @decides(commands.TERMINATE, may_terminate)
    async def terminate(self, message: Terminate) -> str:
        """End the trial (A16), or cancel it before it started."""
        decision = decisions.by_person(
            self.process.policy, Course.TERMINATE, message.by, message.reason, workflow.now(), self.process.state.usage
        )
        return self.process.take(Verdict(decision=decision, terminate=message))

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        if task.spec.kind == TaskKind.TRIAGE and (why := intake.refuse_company(self.process, answer)):
            return why
        if answer.choice == "ready" and (why := building.refuse_host(self.process, answer)):
            return why
        if task.spec.kind == TaskKind.DEADLINE and answer.choice != "agree":
            self._undecided()
            return open_trial.refuse_answer(self.process, answer)
        return None

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.DEADLINE and task.answer:
            open_trial.take_answer(self.process, task.answer)

    def may_request_feedback(self, message: RequestFeedback) -> None:
        """Once."""
        messages.refuse("the feedback mail was asked for already" if self.process.state.feedback else None)

    @decides(commands.REQUEST_FEEDBACK, may_request_feedback)
    async def request_feedback(self, message: RequestFeedback) -> str:
        """Ask the growth role for the feedback mail (A18)."""
        self.process.state.feedback = "wanted"
        if self.process.state.stage is Stage.TEARDOWN:
            endings.feedback(self.process)
            return "the feedback mail is on its way"
        return "noted: the feedback mail goes out when the trial ends without a sale"

    def may_change_domain(self, message: ChangeDomain) -> None:
        """To a host that can be one, while the instance runs."""
        open_now = self.process.state.stage in OPEN_TO_DECIDE
        messages.refuse(
            decisions.refuse_host(message.new_host, self.process.state.host) if open_now else "there is no running instance to move"
        )

    @decides(commands.CHANGE_DOMAIN, may_change_domain)
    async def change_domain(self, message: ChangeDomain) -> str:
        """Move the instance to a host of the customer's own (A20)."""
        return await changes.change_domain(self.process, message)

    def may_correct_admin(self, message: CorrectAdmin) -> None:
        """To an address at the same company."""
        messages.refuse(changes.refuse_admin(self.process, message))

    @decides(commands.CORRECT_ADMIN, may_correct_admin)
    async def correct_admin(self, message: CorrectAdmin) -> str:
        """Correct the address of the initial admin (C17): the mails, the registry and the instance follow."""
        return await changes.correct_admin(self.process, message)

    def may_make_a_new_link(self, message: NewLink) -> None:
        """For an instance that runs, and when an address is named, only to its admin."""
        running = self.process.state.stage in OPEN_TO_DECIDE | {Stage.CONVERTING}
        messages.refuse(None if running else "there is no running instance to make a link for")
        messages.refuse(claims.refuse_opening(self.process, OpenLink(by=message.to)) if message.to else None)

    @decides(commands.NEW_LINK, may_make_a_new_link)
    async def new_link(self, message: NewLink) -> str:
        """Mail a new link to set the password to the admin (C17)."""
        self.process.spawn(changes.new_link(self.process))
        return "a new link is on its way to the admin's mailbox"

    def may_opt_out(self, message: OptOut) -> None:
        """At any time."""

    @decides(commands.OPT_OUT, may_opt_out)
    async def opt_out(self, message: OptOut) -> str:
        """No more onboarding mail (A11)."""
        await endings.opt_out(self.process)
        return "no more onboarding mail"

    def may_adopt(self, message: AdoptPolicy) -> None:
        """Another policy than its own, while it is open."""
        messages.refuse(None if message.by.strip() else 'say who decides: "by" must be your e-mail address')
        messages.refuse(adoption.refuse(self.process.policy, message.policy, self.process.state))

    @decides(commands.ADOPT_POLICY, may_adopt)
    async def adopt_policy(self, message: AdoptPolicy) -> str:
        """Go on by another policy (idea 2): what is ahead follows its figures, what was promised stays."""
        trial = self.process
        moved = self._moves(message.policy)
        trial.record(adoption.adopted(message.policy, trial.policy, message.by, message.why, moved, workflow.now()))
        trial.policy = message.policy
        return f"goes on by policy {trial.policy.hash}; moments that change: {len(moved)}"

    # --- what programs tell ------------------------------------------------------------------------------------------------------------

    @hears(IssueEvent)
    def issue_event(self, message: IssueEvent) -> None:
        """An issue of ours changed, says the webhook: whoever follows it looks."""
        self.process.requests.stir(message)

    @hears_text
    def rehosted(self, host: str) -> None:
        """The instance is at another host now (A20): the registry is asked which, whoever says so."""
        messages.refuse(decisions.refuse_host(host, self.process.state.host))
        self.process.spawn(changes.rehosted(self.process))

    @hears_text
    def capacity_freed(self, _: str) -> None:
        """An instance was released and this company waits longest (A26)."""
        self.process.state.capacity_freed = True

    # --- look only -------------------------------------------------------------------------------------------------------------------

    @workflow.query
    def status(self) -> TrialStatus:
        """Where the trial stands."""
        return self.process.status()

    def in_words(self) -> str:
        """Where the trial stands."""
        return self.process.in_words()

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """What comes next."""
        return self.process.ahead()

    @looks(WhatIf)
    def what_if(self, message: WhatIf) -> Preview:
        """What another policy would change for this trial."""
        trial, policy = self.process, message.policy
        return Preview(
            domain=trial.input.domain,
            stage=trial.state.stage.value,
            policy=trial.policy.hash,
            would_be=policy.hash,
            moves=self._moves(policy),
            refused=adoption.refuse(trial.policy, policy, trial.state) or "",
        )

    # --- private -----------------------------------------------------------------------------------------------------------------------

    def _undecided(self) -> None:
        state = self.process.state
        closing = state.stage not in OPEN_TO_TERMINATE | {Stage.SIGNUP, Stage.DECIDING}
        ended = state.ended_by if closing else None
        decided = state.verdict.decision if state.verdict else ended
        messages.refuse(("too late: " if ended else "") + decisions.already(decided) if decided else None)

    def _moves(self, policy: Policy) -> tuple[adoption.Move, ...]:
        return adoption.moves(self.process.policy, policy, self.process.input.origin, self.process.state, workflow.now())
