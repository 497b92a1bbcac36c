"""A company's cloud trial, from its signup to its end (handbook A3–A20, A26, A28).

One workflow for each registrable domain: the id is the lock. A signup is routed in one round trip (case 1, 2.1, 2.2 or 3). What may
not be instant is triaged by an SDR, or approved by the CE manager; then the instance is delivered and handed over. From that moment
the trial wakes at each moment of its agenda (mails, the day-10 warning, the day-12 notice, day 15, day 30 and every later deadline)
or when a person decides to extend, convert or terminate, whichever comes first: the loser never acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from domain.messages import (
        INSTANT,
        TRIAGED,
        Case,
        CeRequest,
        ChangeDomain,
        Convert,
        CorrectAdmin,
        Extend,
        IssueEvent,
        JoinAsk,
        NewLink,
        OpenLink,
        OptOut,
        RequestFeedback,
        Signup,
        SignupAnswer,
        Terminate,
    )
    from domain.policy import Policy
    from domain.task import Answer, Task, TaskKind
    from domain.trial import adoption, decisions
    from domain.trial.adoption import AdoptPolicy, Preview, WhatIf
    from domain.trial.state import OPEN_TO_DECIDE, OPEN_TO_TERMINATE, End, Stage, TrialInput, TrialResult, TrialState, Verdict
    from domain.views import TrialStatus
    from workflows.frame import messages
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks
    from workflows.trial import building, capacity, changes, claims, delivery, endings, intake, open_trial, owning, routing
    from workflows.trial.process import EndedEarly, TrialProcess


#: What people may signal.
SIGNALS = ("answer", "change_domain", "convert", "correct_admin", "extend", "new_link", "opt_out", "request_feedback", "terminate")


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
        t, s = self.process, self.process.state
        for waited in input.waiting:
            await self.routing.run(partial(routing.route, t, waited))
        if not await t.wait(lambda: s.case is not None or self.routing.busy, until=messages.soon(), summary="the signup"):
            s.end = "abandoned"
            t.enter(Stage.ABANDONED)
        else:
            await workflow.wait_condition(lambda: s.case is not None and not self.routing.busy)
            s.end = await self._course()
        t.desk.withdraw(TaskKind.OWNERS, "the trial is over")
        await t.settle()
        if s.waiting_signups:
            waiting = tuple(s.waiting_signups)
            workflow.continue_as_new(input.model_copy(update={"policy": t.policy, "waiting": waiting, "cycle": input.cycle + 1}))
        return TrialResult(domain=input.domain, case=s.case or "", end=s.end, host=s.host)

    async def _course(self) -> End:
        t, s = self.process, self.process.state
        try:
            if s.case is Case.HAS_INSTANCE:
                return await intake.redirect(t)
            if s.case is Case.CE_REQUESTED and s.request:
                await owning.owners(t, s.request.ce)
                approval = await intake.approval(t, s.request)
                if approval.outcome == "denied":
                    return await intake.deny(t, approval.rule)
            if s.case in TRIAGED:
                qualification = await intake.triage(t)
                if qualification.outcome == "disqualified":
                    return await intake.disqualify(t, qualification.rule)
                if s.case is Case.FREE_MAIL:
                    return await intake.move(t)
            if s.case in INSTANT and not s.instance_live and s.full:
                await capacity.wait_for_room(t, warm=True)
            if not s.instance_live and not await capacity.reserve(t):
                return await intake.redirect(t)
            await (delivery.instant(t) if s.instance_live else delivery.build(t))
        except EndedEarly:
            return await endings.before_the_start(t)
        return await open_trial.until_its_end(t)

    # --- a signup, a request: the answer is the routing decision ---------------------------------------------------------------------

    @workflow.update
    async def signup(self, raw: Any = None) -> SignupAnswer:
        """Route a signup (A3). The second of one domain meets the first one here."""
        signup = messages.parsed(Signup, raw)
        return await self.routing.run(lambda: routing.route(self.process, signup))

    @signup.validator
    def _may_sign_up(self, raw: Any = None) -> None:
        messages.parsed(Signup, raw)

    @workflow.update
    async def request(self, raw: Any = None) -> SignupAnswer:
        """A CE requests a trial (A28)."""
        return intake.request(self.process, messages.parsed(CeRequest, raw))

    @request.validator
    def _may_request(self, raw: Any = None) -> None:
        messages.parsed(CeRequest, raw)
        messages.refuse(intake.refuse_request(self.process))

    @workflow.update
    async def join(self, raw: Any = None) -> str:
        """A person of the domain is blocked and wants in (A22)."""
        self.process.spawn(intake.join(self.process, messages.parsed(JoinAsk, raw)))
        if self.process.state.started_at and self.process.state.confirmed_at is None:
            return "noted: it is followed up as soon as the instance's administrator has confirmed their address"
        when = "" if self.process.state.started_at else " as soon as the instance is ready"
        return f"the admin is told{when}, and the request is followed up"

    @join.validator
    def _may_join(self, raw: Any = None) -> None:
        messages.parsed(JoinAsk, raw)
        closing = self.process.state.stage is Stage.TEARDOWN or self.process.state.end is not None
        messages.refuse("the instance is being torn down: sign up again, and a new trial starts after it" if closing else None)

    # --- a person decides: updates, each followed by its validator -------------------------------------------------------------------

    @workflow.update
    async def extend(self, raw: Any = None) -> str:
        """Extend the trial (A15)."""
        message = messages.parsed(Extend, raw)
        decision = decisions.by_person(self.process.policy, "extend", message.by, message.reason, workflow.now(), self.process.state.usage)
        return self.process.take(Verdict(decision=decision, extend=message))

    @extend.validator
    def _may_extend(self, raw: Any = None) -> None:
        self._undecided()
        message, s = messages.parsed(Extend, raw), self.process.state
        messages.refuse(
            decisions.refuse_extend(self.process.policy, s.stage, message, s.extended, workflow.now(), self.process.input.origin, s.ends_at)
        )

    @workflow.update
    async def convert(self, raw: Any = None) -> str:
        """Convert the trial to a paid instance (A17)."""
        message = messages.parsed(Convert, raw)
        decision = decisions.by_person(self.process.policy, "convert", message.by, message.note, workflow.now(), self.process.state.usage)
        return self.process.take(Verdict(decision=decision, convert=message))

    @convert.validator
    def _may_convert(self, raw: Any = None) -> None:
        self._undecided()
        messages.refuse(
            decisions.refuse_convert(self.process.policy, self.process.state.stage, messages.parsed(Convert, raw), workflow.now())
        )

    @workflow.update
    async def terminate(self, raw: Any = None) -> str:
        """End the trial (A16), or cancel it before it started."""
        message = messages.parsed(Terminate, raw)
        decision = decisions.by_person(
            self.process.policy, "terminate", message.by, message.reason, workflow.now(), self.process.state.usage
        )
        return self.process.take(Verdict(decision=decision, terminate=message))

    @terminate.validator
    def _may_terminate(self, raw: Any = None) -> None:
        messages.parsed(Terminate, raw)
        self._undecided()
        messages.refuse(decisions.refuse_terminate(self.process.state.stage))

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

    @workflow.update
    async def request_feedback(self, raw: Any = None) -> str:
        """Ask the growth role for the feedback mail (A18)."""
        self.process.state.feedback = "wanted"
        if self.process.state.stage is Stage.TEARDOWN:
            endings.feedback(self.process)
            return "the feedback mail is on its way"
        return "noted: the feedback mail goes out when the trial ends without a sale"

    @request_feedback.validator
    def _may_request_feedback(self, raw: Any = None) -> None:
        messages.parsed(RequestFeedback, raw)
        messages.refuse("the feedback mail was asked for already" if self.process.state.feedback else None)

    @workflow.update
    async def change_domain(self, raw: Any = None) -> str:
        """Move the instance to a host of the customer's own (A20)."""
        return await changes.change_domain(self.process, messages.parsed(ChangeDomain, raw))

    @change_domain.validator
    def _may_change_domain(self, raw: Any = None) -> None:
        message = messages.parsed(ChangeDomain, raw)
        open_now = self.process.state.stage in OPEN_TO_DECIDE
        messages.refuse(
            decisions.refuse_host(message.new_host, self.process.state.host) if open_now else "there is no running instance to move"
        )

    @workflow.update
    async def correct_admin(self, raw: Any = None) -> str:
        """Correct the address of the initial admin (C17): the mails, the registry and the instance follow."""
        return await changes.correct_admin(self.process, messages.parsed(CorrectAdmin, raw))

    @correct_admin.validator
    def _may_correct_admin(self, raw: Any = None) -> None:
        messages.refuse(changes.refuse_admin(self.process, messages.parsed(CorrectAdmin, raw)))

    @workflow.update
    async def new_link(self, raw: Any = None) -> str:
        """Mail a new link to set the password to the admin (C17)."""
        self.process.spawn(changes.new_link(self.process))
        return "a new link is on its way to the admin's mailbox"

    @new_link.validator
    def _may_make_a_new_link(self, raw: Any = None) -> None:
        to = messages.parsed(NewLink, raw).to
        running = self.process.state.stage in OPEN_TO_DECIDE | {Stage.CONVERTING}
        messages.refuse(None if running else "there is no running instance to make a link for")
        messages.refuse(claims.refuse_opening(self.process, OpenLink(by=to)) if to else None)

    @workflow.update
    async def open_link(self, raw: Any = None) -> str:
        """The link in the admin's mail was opened: the claim is confirmed (A5, A6), and a reset link made, by the vault's reference."""
        message = messages.parsed(OpenLink, raw)
        await self.routing.run(partial(claims.confirm, self.process, message))
        return await claims.reset_link(self.process)

    @open_link.validator
    def _may_open_link(self, raw: Any = None) -> None:
        messages.refuse(claims.refuse_opening(self.process, messages.parsed(OpenLink, raw)))

    @workflow.update
    async def opt_out(self, raw: Any = None) -> str:
        """No more onboarding mail (A11)."""
        messages.parsed(OptOut, raw)
        await endings.opt_out(self.process)
        return "no more onboarding mail"

    @opt_out.validator
    def _may_opt_out(self, raw: Any = None) -> None:
        messages.parsed(OptOut, raw)

    @workflow.update
    async def adopt_policy(self, raw: Any = None) -> str:
        """Go on by another policy (idea 2): what is ahead follows its figures, what was promised stays."""
        t, message = self.process, messages.parsed(AdoptPolicy, raw)
        moved = self._moves(message.policy)
        t.record(adoption.adopted(t.policy, message, moved, workflow.now()))
        t.policy = message.policy
        return f"goes on by policy {t.policy.hash}; moments that change: {len(moved)}"

    @adopt_policy.validator
    def _may_adopt(self, raw: Any = None) -> None:
        message = messages.parsed(AdoptPolicy, raw)
        messages.refuse(None if message.by.strip() else 'say who decides: "by" must be your e-mail address')
        messages.refuse(adoption.refuse(self.process.policy, message.policy, self.process.state))

    # --- the same as signals, from `temporal workflow signal` and the Web UI: what is refused is noted on the trial --------------------

    @workflow.signal(name="extend")
    async def _extend(self, raw: Any = None) -> None:
        await self._signalled("extend", raw, self._may_extend, self.extend)

    @workflow.signal(name="convert")
    async def _convert(self, raw: Any = None) -> None:
        await self._signalled("convert", raw, self._may_convert, self.convert)

    @workflow.signal(name="terminate")
    async def _terminate(self, raw: Any = None) -> None:
        await self._signalled("terminate", raw, self._may_terminate, self.terminate)

    @workflow.signal(name="request_feedback")
    async def _request_feedback(self, raw: Any = None) -> None:
        await self._signalled("request_feedback", raw, self._may_request_feedback, self.request_feedback)

    @workflow.signal(name="change_domain")
    async def _change_domain(self, raw: Any = None) -> None:
        await self._signalled("change_domain", raw, self._may_change_domain, self.change_domain)

    @workflow.signal(name="correct_admin")
    async def _correct_admin(self, raw: Any = None) -> None:
        await self._signalled("correct_admin", raw, self._may_correct_admin, self.correct_admin)

    @workflow.signal(name="new_link")
    async def _new_link(self, raw: Any = None) -> None:
        await self._signalled("new_link", raw, self._may_make_a_new_link, self.new_link)

    @workflow.signal(name="opt_out")
    async def _opt_out(self, raw: Any = None) -> None:
        await self._signalled("opt_out", raw, self._may_opt_out, self.opt_out)

    @workflow.signal(dynamic=True)
    def _unheard_of(self, name: str, _values: Sequence[RawValue]) -> None:
        with messages.noting(self.notes, name, None):
            messages.refuse(f"there is no such signal; send one of: {', '.join(SIGNALS)}")

    @workflow.signal
    def issue_event(self, raw: Any = None) -> None:
        """An issue of ours changed, says the webhook: whoever follows it looks."""
        with messages.noting(self.notes, "issue_event", raw):
            self.process.requests.stir(messages.parsed(IssueEvent, raw))

    @workflow.signal
    def rehosted(self, raw: Any = None) -> None:
        """The instance is at another host now (A20): the registry is asked which, whoever says so."""
        with messages.noting(self.notes, "rehosted", raw):
            messages.refuse(decisions.refuse_host(str(raw), self.process.state.host))
            self.process.spawn(changes.rehosted(self.process))

    @workflow.signal
    def capacity_freed(self, raw: Any = None) -> None:
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

    @workflow.query
    def what_if(self, raw: Any = None) -> Preview:
        """What another policy would change for this trial."""
        t, policy = self.process, messages.parsed(WhatIf, raw).policy
        return Preview(
            domain=t.input.domain,
            stage=t.state.stage.value,
            policy=t.policy.hash,
            would_be=policy.hash,
            moves=self._moves(policy),
            refused=adoption.refuse(t.policy, policy, t.state) or "",
        )

    # --- private -----------------------------------------------------------------------------------------------------------------------

    def _undecided(self) -> None:
        s = self.process.state
        closing = s.stage not in OPEN_TO_TERMINATE | {Stage.SIGNUP, Stage.DECIDING}
        ended = s.ended_by if closing else None
        decided = s.verdict.decision if s.verdict else ended
        messages.refuse(("too late: " if ended else "") + decisions.already(decided) if decided else None)

    def _moves(self, policy: Policy) -> tuple[adoption.Move, ...]:
        return adoption.moves(self.process.policy, policy, self.process.input.origin, self.process.state, workflow.now())

    async def _signalled(self, name: str, raw: Any, check: Any, act: Any) -> None:
        with messages.noting(self.notes, name, raw):
            check(raw)
            await act(raw)
