"""A company's cloud trial, from its signup to its end (handbook A3–A20, A26, A28).

One workflow for each registrable domain: the id is the lock. A signup is routed in one round trip (case 1, 2.1, 2.2 or 3). What may
not be instant is triaged by an SDR, or approved by the CE manager; then the instance is delivered and handed over. From that moment
the trial wakes at each moment of its agenda (mails, the day-10 warning, the day-12 notice, day 15, day 30 and every later deadline)
or when a person decides to extend, convert or terminate, whichever comes first: the loser never acts.
"""

import asyncio
from typing import Any

from temporalio import workflow

from domain.messages import INSTANT, TRIAGED, Case, IssueEvent, JoinAsk, OpenLink, Signup, SignupAnswer
from domain.policy import Policy
from domain.task import Answer, Task, TaskKind
from domain.trial import adoption, commands, decisions, refusals
from domain.trial.adoption import Preview, WhatIf
from domain.trial.commands import AdoptPolicy
from domain.trial.state import End, Stage, TrialInput, TrialResult
from workflows.frame import handlers
from workflows.frame.handlers import answers, decides, hears, taken
from workflows.frame.workflow_with_tasks import WorkflowWithTasks
from workflows.trial import changes, delivery, endings, intake, open_trial, owning, routing
from workflows.trial.process import EndedEarly, TrialProcess


@workflow.defn
class Trial(WorkflowWithTasks[TrialProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: TrialInput) -> None:
        self._begin(TrialProcess(input))
        self.routing = asyncio.Lock()  #: Handlers that wait must not interleave: the second signup sees what became of the first.

    @workflow.run
    async def run(self, input: TrialInput) -> TrialResult:
        """Route, deliver, keep, end."""
        trial, state = self.process, self.process.state
        for waited in input.waiting:
            async with self.routing:
                await routing.route(trial, waited)
        if not await trial.wait(lambda: state.case is not None or self.routing.locked(), until=handlers.soon(), summary="the signup"):
            state.end = "abandoned"
            trial.enter(Stage.ABANDONED)
        else:
            await workflow.wait_condition(lambda: state.case is not None and not self.routing.locked())
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
                await routing.wait_for_room(trial, warm=True)
            if not state.instance_live and not await routing.reserve(trial):
                return await intake.redirect(trial)
            await (delivery.instant(trial) if state.instance_live else delivery.build(trial))
        except EndedEarly:
            return await endings.before_the_start(trial)
        return await open_trial.until_its_end(trial)

    # --- a signup, a request: the answer is the routing decision ---------------------------------------------------------------------

    @answers("signup", Signup)
    async def signup(self, message: Signup) -> SignupAnswer:
        """Route a signup (A3). The second of one domain meets the first one here; whoever may not have a trial is told so."""
        async with self.routing:
            return await routing.route(self.process, message)

    request = taken(commands.REQUEST, intake.request, intake.refuse_request)  #: A28: a company has one.

    @answers("join", JoinAsk, lambda self, _: intake.refuse_join(self.process))
    async def join(self, message: JoinAsk) -> str:
        """A person of the domain is blocked and wants in (A22), though not into an instance that is being torn down."""
        started, confirmed = self.process.state.started_at, self.process.state.confirmed_at
        self.process.spawn(intake.join(self.process, message))
        if started and confirmed is None:
            return "noted: it is followed up as soon as the instance's administrator has confirmed their address"
        when = "" if started else " as soon as the instance is ready"
        return f"the admin is told{when}, and the request is followed up"

    @answers("open_link", OpenLink, lambda self, message: self.process.refuse_opening(message.by))
    async def open_link(self, message: OpenLink) -> str:
        """The admin opened the link in their mail: the claim is confirmed (A5, A6), and a reset link made, by the vault's reference."""
        async with self.routing:
            await routing.confirm(self.process, message)
        return await routing.reset_link(self.process)

    # --- a person decides: what refuses each, and what it does; each may be signalled, too ---------------------------------------------

    extend = taken(commands.EXTEND, open_trial.take, open_trial.refuse)
    convert = taken(commands.CONVERT, open_trial.take, open_trial.refuse)
    terminate = taken(commands.TERMINATE, open_trial.take, open_trial.refuse)
    request_feedback = taken(commands.REQUEST_FEEDBACK, endings.request_feedback, endings.refuse_feedback)
    change_domain = taken(commands.CHANGE_DOMAIN, changes.change_domain, changes.refuse_host)
    correct_admin = taken(commands.CORRECT_ADMIN, changes.correct_admin, changes.refuse_admin)
    new_link = taken(commands.NEW_LINK, changes.new_link, changes.refuse_link)
    opt_out = taken(commands.OPT_OUT, endings.opt_out)

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        if task.spec.kind == TaskKind.TRIAGE and (why := intake.refuse_company(self.process, answer)):
            return why
        if answer.choice == "ready" and (why := delivery.refuse_host(self.process, answer)):
            return why
        if task.spec.kind == TaskKind.DEADLINE and answer.choice != "agree":
            return open_trial.refuse(self.process, open_trial.wish_of(answer))
        return None

    def _answered(self, task: Task) -> None:
        if task.spec.kind == TaskKind.DEADLINE and task.answer and task.answer.choice != "agree":
            open_trial.take(self.process, open_trial.wish_of(task.answer), task.answer.note or "answered the card")

    @decides(
        commands.ADOPT_POLICY, lambda self, said: adoption.refuse(self.process.policy, said.policy, self.process.state), signed="decides"
    )
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

    @hears(str)
    def rehosted(self, host: str) -> None:
        """The instance is at another host now (A20): the registry is asked which, whoever says so."""
        handlers.refuse(refusals.refuse_host(host, self.process.state.host))
        self.process.spawn(changes.rehosted(self.process))

    @hears(str)
    def capacity_freed(self, _: str) -> None:
        """An instance was released and this company waits longest (A26)."""
        self.process.state.capacity_freed = True

    # --- look only -------------------------------------------------------------------------------------------------------------------

    @workflow.query
    def what_if(self, raw: Any = None) -> Preview:
        """What another policy would change for this trial."""
        trial, policy = self.process, handlers.parsed(WhatIf, raw).policy
        return Preview(
            domain=trial.input.domain,
            stage=trial.state.stage.value,
            policy=trial.policy.hash,
            would_be=policy.hash,
            moves=self._moves(policy),
            refused=adoption.refuse(trial.policy, policy, trial.state) or "",
        )

    def _moves(self, policy: Policy) -> tuple[adoption.Move, ...]:
        return adoption.moves(self.process.policy, policy, self.process.input.origin, self.process.state, workflow.now())
