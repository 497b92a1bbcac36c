"""The life of a customer's account (D8, D9, D14–D17, B17): one workflow for each account, for years, continued as new.

It wakes when a fact has changed, or on the next day on which something may change by itself, and decides everything anew: the stage, the
onboarding goal, whether the utilization asks for a get-well plan, whether the account is red, and whether its renewal begins. What is
decided differently than before is on record, and is done: by this workflow in Vitally, else by a process of its own beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ids
    from domain.account import commands, get_well, lifecycle, red, red_marks
    from domain.account.account import AccountFacts, PlanEnded, PlanReason, Reason, RedEnded, RenewalEnded, RenewalRuns
    from domain.account.commands import MarkAccountRed, MarkRed, StartRenewal
    from domain.account.lifecycle import AccountInput, AccountState, AccountStatus, Stage
    from domain.account.red import RedInput
    from domain.decision import Decision
    from domain.effects.vitally import CloseProject, OpenProject, SetTraits, VitallyEffect
    from domain.markup import bold, code, plain
    from domain.people import Role
    from domain.renewal.commands import CancelRenewal, MoveRenewal
    from domain.renewal.state import RenewalInput
    from workflows.account import account_links
    from workflows.account.process import AccountProcess
    from workflows.frame import messages
    from workflows.frame.handlers import decides, hears
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks


@workflow.defn
class Account(WorkflowWithTasks[AccountProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: AccountInput) -> None:
        """State only; no commands."""
        s = self.s = input.state or AccountState()
        self.input = input
        process = AccountProcess(input.policy, input.customer, input.team, s.tasks, s.decisions, input.channel, input.cycle)
        self._begin(process, notes=s.notes)
        self.moving = False
        process.stage = s.stage.value if s.stage else ""
        process.started_with()

    @workflow.run
    async def run(self, input: AccountInput) -> str:
        """Look, decide, wait for the next day that matters; until the account is closed."""
        p, s = self.process, self.s
        if s.stage is None:
            await self._wake()
        await self._rounds(self._closed, self._wake, lambda: self._next_run(s))
        await p.settle()
        if p.customer.status == "customer" and not s.lost:  # it came back meanwhile
            fresh = AccountState(since=s.since, standing=s.standing, settled=s.settled, next_end=s.next_end)
            await self._continue_as_new(lambda: self._next_run(fresh, input.cycle + 1))
        return s.why_closed

    # --- messages ------------------------------------------------------------------------------------------------------------------------

    @hears(AccountFacts)
    def facts(self, given: AccountFacts) -> None:
        """What changed, from the hourly run."""
        domain = self.process.customer.domain
        messages.refuse(None if given.customer.domain == domain else f"these are the facts of {given.customer.domain}, not of {domain}")
        self._take(given)
        self._decide()

    @hears(RenewalRuns)
    def renewal_runs(self, given: RenewalRuns) -> None:
        """A renewal has begun, whoever began it, or a person moved it: its date counts from now on."""
        s = self.s
        if (s.renewal, s.renewal_on) == (given.workflow, given.renewal_on) or (s.renewal and s.renewal != given.workflow):
            return
        s.renewal, s.renewal_on, s.term_end = given.workflow, given.renewal_on, given.renewal_on
        self._decide()

    @hears(RenewalEnded)
    def renewal_ended(self, given: RenewalEnded) -> None:
        """What became of a renewal."""
        lifecycle.settle(self.s, given)
        self._decide()

    @hears(RedEnded)
    def red_ended(self, _: RedEnded) -> None:
        """It is red no more. What still makes it red is known to whoever promoted it: it marks red again only once it was gone."""
        red_marks.ended(self.process.policy, self.process.customer, self.s, workflow.now())

    @hears(PlanEnded)
    def plan_ended(self, _: PlanEnded) -> None:
        """The get-well plan is over; it ends only when this account, too, took its reasons back."""

    def may_mark_red(self, given: MarkAccountRed) -> None:
        """With a reason, by somebody, while the account is open."""
        messages.refuse(None if given.by.strip() else 'say who marks it: "by" must be your e-mail address')
        messages.refuse(None if given.reason.strip() else 'say why: "reason" must not be empty')
        messages.refuse("the account is closed" if self.s.stage is Stage.CLOSED else None)

    @decides(commands.MARK_ACCOUNT_RED, may_mark_red)
    async def mark_red(self, given: MarkAccountRed) -> str:
        """A person's judgement (B18): one command for every system (C20)."""
        red_already = self.s.red
        self._mark(MarkRed(by=given.by, reason=given.reason, source="judgement"))
        if red_already:
            return f"{self.process.customer.name} is red already; the reason is told to whoever follows it: {given.reason}"
        return f"{self.process.customer.name} is marked red in the CRM, in Vitally and in the tracker: {given.reason}"

    def may_start_renewal(self, given: StartRenewal) -> None:
        """The one that is due next by what is known here."""
        messages.refuse(None if given.by.strip() else 'say who starts it: "by" must be your e-mail address')
        messages.refuse("a renewal of another date is started by the page, the API or the command line" if given.renewal_on else None)
        decision = lifecycle.renewal(self.process.policy, self.process.customer, self.s, workflow.now())
        messages.refuse(None if decision.outcome in ("wait", "start") else f"nothing was started: {decision.rule}")

    @decides(commands.START_RENEWAL, may_start_renewal)
    async def start_renewal(self, given: StartRenewal) -> str:
        """The renewal of this term begins now, by hand."""
        decision = lifecycle.renewal(self.process.policy, self.process.customer, self.s, workflow.now())
        self._renew(
            decision.model_copy(update={"outcome": "start", "by": given.by, "rule": f"{given.by} began it by hand. {decision.rule}"})
        )
        return f"{self.s.renewal} begins"

    @workflow.query
    def status(self) -> AccountStatus:
        """Where the account stands."""
        s, p = self.s, self.process
        return AccountStatus(
            account=p.customer.domain,
            name=p.customer.name,
            stage=s.stage.value if s.stage else "",
            in_words=plain(self.in_words()),
            since=s.since,
            contract_end=lifecycle.term_end(p.customer, s),
            contradiction=s.contradiction,
            goal=s.goal,
            renewal=s.renewal,
            plan=tuple(s.plan),
            red=s.red,
            standing=s.standing,
            ta=p.team.email(Role.TA),
            ae=p.team.email(Role.AE),
            open_tasks=tuple(view.id for view in p.desk.views()),
            notes=tuple(s.notes),
            policy=p.policy.hash,
        )

    # --- looking and deciding --------------------------------------------------------------------------------------------------------------

    async def _wake(self) -> None:
        """A day has come: the ledger's copy, and everything decided anew."""
        view = await self.process.look()
        if view.standing and (self.s.standing is None or view.standing.as_of >= self.s.standing.as_of):
            self.s.standing = view.standing
        self._decide()

    def _take(self, given: AccountFacts) -> None:
        """Signals may overtake each other: what is older than what is known says nothing."""
        p, s = self.process, self.s
        if given.customer.as_of >= p.customer.as_of:
            p.customer, p.team = given.customer, given.team
        if given.standing and (s.standing is None or given.standing.as_of >= s.standing.as_of):
            s.standing = given.standing

    def _decide(self) -> None:
        p, s = self.process, self.s
        if self._closed():
            return
        first, s.seen_at = s.stage is None, workflow.now()
        if p.customer.contract_start:
            s.since = min(s.since or p.customer.contract_start, p.customer.contract_start)
        self._date()
        acts = [*self._stage(), *self._goal(first)]
        if acts:
            p.do(*acts)
        p.owner = p.team.email(lifecycle.owner(s.stage)) or p.team.email(Role.TA) or p.team.email(Role.AE)
        if self._closed():
            self._leave()
            return
        self._band()
        self._utilization()
        self._red()
        if not self.moving and (decision := lifecycle.renewal(p.policy, p.customer, s, workflow.now())).outcome == "start":
            self._renew(decision)

    def _stage(self) -> list[VitallyEffect]:
        p, s = self.process, self.s
        decision = lifecycle.stage(p.policy, p.customer, s, workflow.now())
        if s.stage is not None and decision.outcome == s.stage.value:
            return []
        p.record(decision)
        s.stage = Stage(decision.outcome)
        s.why_closed = decision.rule if s.stage is Stage.CLOSED else ""
        p.stage = s.stage.value
        if s.stage in (Stage.ADOPTING, Stage.NURTURING):
            s.rests_in = "nurturing" if s.stage is Stage.NURTURING else "adopting"
        account, number = p.customer.domain, self._number()
        acts: list[VitallyEffect] = [
            SetTraits(key=f"vitally.stage-{number}", account=account, traits={lifecycle.TRAIT: lifecycle.SHOWN[s.stage]})
        ]
        if s.stage is Stage.ONBOARDING and not s.project and s.goal == "":  # D9, once
            s.project = f"vitally.onboarding-{number}"
            name = f"{lifecycle.ONBOARDING}: {p.customer.name}"
            acts.append(OpenProject(key=s.project, account=account, template=lifecycle.ONBOARDING, name=name))
        return acts

    def _goal(self, first: bool) -> list[VitallyEffect]:
        """The goal is decided once (C05), and ends the onboarding project. Who had it behind them before we looked is not told of it."""
        p, s = self.process, self.s
        if s.goal:
            return []
        decision = lifecycle.goal(p.policy, p.customer, s, workflow.now())
        why = decision.rule if decision else "the account is closed"
        if decision is None and s.stage is not Stage.CLOSED:
            return []
        if decision is None or (first and s.stage is not Stage.ONBOARDING):
            s.goal = "passed"
        else:
            p.record(decision)
            s.goal = "hit" if decision.outcome == "hit" else "missed"
        if not s.project:
            return []
        return [CloseProject(key=f"{s.project}.closed", account=p.customer.domain, project=s.project, why=why)]

    def _band(self) -> None:
        """D14: a band that is worse than the last known one is told to the TA."""
        p, s = self.process, self.s
        if s.standing is None or s.standing.band == "unknown":
            return
        before, s.band = s.band, s.standing.band
        if before and red.BETTER[s.band] < red.BETTER[before]:
            score = f" ({s.standing.score:.1f} of 10)" if s.standing.score is not None else ""
            todo = f"What hurts, and what to do about it: {code(f'tenure health show {p.customer.domain}')}."
            text = f"The health of {p.customer.name} was {before} and is {s.band}{score}. {todo}"
            p.post(p.said(f"slack.band-{self._number()}", text, Role.TA))

    def _utilization(self) -> None:
        """D15, D17: the reasons that the utilization gives, and takes back."""
        p, s = self.process, self.s
        decision = get_well.utilization(p.policy, s.since, s.standing, workflow.now())
        if decision.outcome == "unknown":
            return
        wanted: list[Reason] = [reason for reason in get_well.REASON_PROJECTS if reason == decision.outcome]
        come, gone = [each for each in wanted if each not in s.plan], [each for each in s.plan if each not in wanted]
        if come or gone:
            p.record(decision)
            s.plan = wanted
            self._reasons(come, gone, decision.rule)

    def _red(self) -> None:
        """B17, D31: what makes it red, by itself or by hand, each once; and how it does is told to whoever follows it while it is red."""
        p, s, now = self.process, self.s, workflow.now()
        if marks := red_marks.news(p.policy, p.customer, s, now):
            self._mark(*marks)
        held, how = red.holding(p.policy, p.customer, s.standing, now), s.standing
        told = f"{how.band if how else ''} {how.champion if how else ''} {sorted(held)} {p.customer.health} {p.team.ta} {p.team.ta_manager}"
        if s.red and told != s.red_told:
            if s.red_told:
                p.spawn(p.effects.tell(ids.red(p.customer.domain), "facts", self._facts()))
            s.red_told = told

    def _date(self) -> None:
        """Gap 9: the renewal date moved, and an open renewal moves along, whoever started it. What contradicts one is told, and moves nothing."""
        p, s = self.process, self.s
        end, against = lifecycle.crm_end(p.customer, s), lifecycle.contradiction(p.policy, p.customer, s, workflow.now())
        if not against and not self.moving:
            decision = lifecycle.moved(p.policy, p.customer, s, workflow.now())
            before, s.term_end = s.term_end, end or s.term_end
            if decision is not None and before is not None and end is not None:
                p.record(decision)
                if decision.outcome == "next":
                    s.settled = sorted({*s.settled, before})
                    against = lifecycle.contradiction(p.policy, p.customer, s, workflow.now())
                else:
                    self.moving = True  # from this moment on: no renewal begins until it is known which one moves
                    p.spawn(self._move(before, end))
        s.crm_end = end
        self._contradicted(against)

    def _contradicted(self, against: str) -> None:
        """The CRM contradicts the renewal date that counts: told once, and again when it does so no more."""
        p, s = self.process, self.s
        before, s.contradiction = s.contradiction, against
        if against == before:
            return
        if against:
            todo = f"Correct the contract's end in the CRM, or move the renewal: `tenure renewal move {p.customer.domain} DATE`."
            text = f":warning: {p.customer.name}: {against}, which counts until then. {todo}"
        else:
            text = f"{p.customer.name}: the CRM and the renewal date {s.term_end or ''} agree again.".replace("  ", " ")
        p.post(p.said(f"slack.contradiction-{self._number()}", text, Role.AE, Role.TA))

    # --- the processes beside it -----------------------------------------------------------------------------------------------------------

    def _renew(self, decision: Decision) -> None:
        """The renewal of this term begins; one that was started by hand counts, and one that has ended, too."""
        p, s = self.process, self.s
        end = lifecycle.to_renew(p.policy, p.customer, s)
        if end is None:
            raise ValueError("only a term with an end is renewed")
        p.record(decision)
        s.renewal, s.renewal_on, s.term_end = ids.renewal(p.customer.domain, end), end, end
        start = RenewalInput(
            customer=p.customer, team=p.team, renewal_on=end, standing=s.standing, policy=p.policy, channel=self.input.channel
        )
        p.spawn(account_links.renew(start, s.renewal))

    async def _move(self, before: date, to: date) -> None:
        """Tell the renewal of that term, of which we may not know: it was started by hand. One that is over counts no more."""
        p, s = self.process, self.s
        name = s.renewal or ids.renewal(p.customer.domain, before)
        runs = await p.effects.tell(name, "move", MoveRenewal(by="Salesforce", renewal_on=to, reason="the contract's end in the CRM"))
        self.moving = False
        s.renewal, s.renewal_on = (name, to) if runs else ("", None)
        self._decide()

    def _reasons(self, come: list[Reason], gone: list[Reason], why: str) -> None:
        told = [PlanReason(reason=each, on=on, why=why) for on, some in ((True, come), (False, gone)) for each in some]
        self.process.spawn(account_links.in_turn(self.process, self.input.channel, *told))

    def _mark(self, *marks: MarkRed) -> None:
        p, s = self.process, self.s
        red_marks.marked(p.customer, s)
        start = RedInput(
            customer=p.customer,
            team=p.team,
            policy=p.policy,
            channel=self.input.red_channel,
            plan_channel=self.input.channel,
            marks=marks,
            standing=s.standing,
            renewal=s.renewal,
        )
        p.spawn(account_links.mark(p, start))

    def _leave(self) -> None:
        """It is no customer any more: nothing of it goes on."""
        p, s = self.process, self.s
        why = s.why_closed
        if s.plan:
            self._reasons([], s.plan, why)
        if s.red:
            p.spawn(p.effects.tell(ids.red(p.customer.domain), "facts", self._facts()))
        open_one = s.renewal or (ids.renewal(p.customer.domain, s.term_end) if s.term_end else "")
        if open_one and not s.lost:
            merged = p.customer.status == "merged"
            told = CancelRenewal(
                why="merged" if merged else "churned_early", note=p.customer.merged_into if merged else why, by="Salesforce"
            )
            p.spawn(p.effects.tell(open_one, "cancel", told))

    # --- small things ----------------------------------------------------------------------------------------------------------------------

    def _facts(self) -> AccountFacts:
        """What is told of it: whose renewal ended in full churn is no customer, whatever the CRM says yet."""
        p, s = self.process, self.s
        customer = p.customer.model_copy(update={"status": "churned"}) if s.lost and p.customer.status == "customer" else p.customer
        return AccountFacts(customer=customer, team=p.team, standing=s.standing)

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The days on which something may change by itself."""
        return ((moment.at, moment.what) for moment in lifecycle.agenda(self.process.policy, self.process.customer, self.s))

    def _closed(self) -> bool:
        return self.s.stage is Stage.CLOSED

    def _next_run(self, state: AccountState, cycle: int = 0) -> AccountInput:
        known = {"customer": self.process.customer, "team": self.process.team, "state": state}
        return self.input.model_copy(update={**known, "cycle": cycle or self.input.cycle})

    def _number(self) -> int:
        """Keys of its effects are counted, through all its runs."""
        self.s.writes += 1
        return self.s.writes

    def in_words(self) -> str:
        """Where the account stands, for people."""
        s, p = self.s, self.process
        end = lifecycle.term_end(p.customer, s)
        lines = [f"{bold(p.customer.name)} is {s.stage.value if s.stage else 'being looked at'}; renewal date {end or 'not known'}", ""]
        lines += [f"- {step.at:%Y-%m-%d}: {step.what}" for step in self.process.steps(self.ahead())[:4]]
        if s.renewal:
            lines.append(f"- its renewal runs: {s.renewal}")
        if s.contradiction:
            lines.append(f"- data error: {s.contradiction}")
        if s.red or s.plan:
            lines.append(f"- {'red; ' if s.red else ''}get-well reasons: {', '.join(get_well.WORDS[each] for each in s.plan) or 'none'}")
        if s.decisions:
            lines.append(f"- decided last ({s.decisions[-1].what}): {s.decisions[-1].outcome}. {s.decisions[-1].rule}")
        return "\n".join(lines)
