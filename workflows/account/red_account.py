"""A red account (B17, B18, D20, D31, C20): marked in every system at once, followed every week, promoted by people.

One command writes the CRM's field, Vitally's trait, the thread in the red channel and the tracker's row. The TA fills in state, needs and
actions with the AE (C19), and says every week how it goes. When the facts are better the TA's manager is asked whether it is promoted.
Where Lighthouse is the program, only the fields are written, and the open renewal is rated red: its save plan takes over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ids
    from domain.account import commands, get_well, red
    from domain.account.account import AccountFacts, AccountTeam, Customer, HealthSnapshot, PlanReason, RedEnded
    from domain.account.commands import MarkRed, Resolve
    from domain.account.red import Mark, RedInput, RedState, RedStatus, RedUpdate
    from domain.decision import Decision
    from domain.effects.effect import Effect
    from domain.effects.salesforce import SetAccount
    from domain.effects.sheets import KeepRow
    from domain.effects.slack import SlackEffect
    from domain.effects.vitally import SetTraits
    from domain.markup import bold, plain
    from domain.people import Role
    from domain.renewal.commands import AssessRenewal
    from domain.task import Task, TaskKind, TaskSpec
    from workflows.account import account_links
    from workflows.account.process import AccountProcess
    from workflows.frame import messages
    from workflows.frame.handlers import decides, hears
    from workflows.frame.tasks import card
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks

#: Under this message everything is said.
THREAD = "slack.red"
#: How many updates go on into the next run; the earlier ones stand in the histories.
KEPT = 30


@workflow.defn
class RedAccount(WorkflowWithTasks[AccountProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: RedInput) -> None:
        """State only; no commands."""
        s = self.s = input.state or RedState(standing=input.standing, at_mark=input.standing, waiting=list(input.marks))
        self.input = input
        self.tracked = input.policy.red.program == "red_accounts"
        channel = input.channel if self.tracked else input.plan_channel
        process = AccountProcess(input.policy, input.customer, input.team, s.tasks, s.decisions, channel, input.cycle)
        self._begin(process, notes=s.notes)
        process.thread = THREAD if self.tracked else ""
        process.stage = "red"
        process.started_with()

    @workflow.run
    async def run(self, input: RedInput) -> str:
        """Mark it, follow it, and write back what it is promoted to."""
        p, s = self.process, self.s
        if not s.marks:
            if not await p.wait(lambda: bool(s.waiting), until=messages.soon(), summary="the first reason"):
                return "nobody said why"
            await self._open()
        await self._rounds(lambda: s.end != "", self._round, self._next_run)
        self._close()
        await p.settle()
        if s.waiting:  # marked again while it was promoted: red anew
            fresh = RedState(standing=s.standing, at_mark=s.standing, waiting=s.waiting)
            workflow.continue_as_new(self._input(fresh, input.cycle + 1))
        return s.end

    # --- messages ----------------------------------------------------------------------------------------------------------------------

    def may_mark(self, _: MarkRed) -> None:
        """At any time: who is being promoted this moment is red anew."""

    @decides(commands.MARK_RED, may_mark)
    async def mark_red(self, given: MarkRed) -> str:
        """Mark it red, or add a reason for which it is."""
        return self._mark(given)

    def may_resolve(self, given: Resolve) -> None:
        """By somebody, once it is marked, and once."""
        messages.refuse(None if given.by.strip() else 'say who promotes it: "by" must be your e-mail address')
        messages.refuse(None if self.s.marks else "it is being marked red this moment: ask again in a minute")
        messages.refuse(f"it is {self.s.end} already; nothing was changed" if self.s.end else None)

    @decides(commands.RESOLVE, may_resolve)
    async def resolve(self, given: Resolve) -> str:
        """Promote it to yellow or green."""
        self._resolve(given)
        return f"red no more: {given.to}, and written back"

    @hears(AccountFacts)
    def facts(self, given: AccountFacts) -> None:
        """How the account does now, and who looks after it."""
        self._facts(given.customer, given.team, given.standing)

    @workflow.query
    def status(self) -> RedStatus:
        """Where it stands."""
        s, p = self.s, self.process
        return RedStatus(
            account=p.customer.domain,
            name=p.customer.name,
            stage=s.end or p.stage,
            in_words=plain(self.in_words()),
            marks=tuple(s.marks),
            fields=s.fields,
            updates=tuple(s.updates),
            notes=tuple(s.notes),
            policy=p.policy.hash,
        )

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The next weekly update."""
        return [(self.s.update_at, WEEKLY)] if self.s.update_at and not self.s.end else []

    # --- the steps, in the order in which they come --------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """C20: every system in one moment."""
        p, s = self.process, self.s
        view = await p.look()
        s.standing = s.standing or view.standing
        s.at_mark, s.shown = s.standing, p.customer.health == "Red"
        for given in s.waiting:
            self._record(given)
        s.waiting = []
        s.row = p.effects.subject  # an account that is red again has another row
        acts: tuple[SlackEffect, ...] = ()
        if self.tracked:
            text = f"🔴 {bold(f'{p.customer.name} is red')}: {red.reasons(s)}. State, needs and actions follow in this thread; ask here for help."
            acts = (
                p.said(THREAD, text, Role.TA, Role.AE, Role.TA_MANAGER, under=""),
                card(p.desk.open(self._filling(), p.channel), THREAD),
            )
        self._write("Red", True, *acts)
        self._lighthouse()
        self._plan(True, red.reasons(s))

    def _mark(self, given: MarkRed) -> str:
        """The first reason, or another one: the same thread and the same row."""
        p, s = self.process, self.s
        if not s.marks or s.end:  # it is being marked, or promoted, this moment
            s.waiting = [*s.waiting, given]
            return f"marked red: {given.reason}"
        if given.source in red.HANDS:
            return f"red already, and shown so in every system: {given.reason}"
        if given.reason in {mark.reason for mark in s.marks}:
            return f"red already, for this very reason: {given.reason}"
        self._record(given)
        if self.tracked:
            who = f" ({given.by})" if given.by else ""
            self._say("reason", f"Another reason why {p.customer.name} is red: {given.reason}{who}.", Role.TA, Role.AE)
            self._row()
        self._plan(True, red.reasons(s))
        return f"red already; the reason is added: {given.reason}"

    def _record(self, given: MarkRed) -> None:
        p, s, now = self.process, self.s, workflow.now()
        s.marks = [*s.marks, Mark(at=now, reason=given.reason, source=given.source, by=given.by)]
        p.record(red.marked(p.policy, given, p.customer, s.standing, now))

    def _facts(self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None) -> None:
        """B17: what promotes it is proposed; people decide."""
        p, s, now = self.process, self.s, workflow.now()
        p.customer, p.team, s.standing = customer, team, standing or s.standing
        p.owner = p.team.email(Role.TA) or p.owner
        if s.end or not s.marks:
            return
        if p.customer.status != "customer":
            self._ended("churned", red.gone(p.policy, p.customer, now))
            return
        if s.standing and s.standing.band != s.declined:
            s.declined = ""  # what did not convince once may do so after another band
        if p.customer.health != s.declined_health:
            s.declined_health = ""
        s.shown = s.shown or p.customer.health == "Red"
        decision = red.promotion(p.policy, s, p.customer, s.standing, now)
        to: Any = "" if decision.outcome == "red" else decision.outcome
        if to == s.proposed:
            return
        s.proposed = to
        p.record(decision)
        p.desk.withdraw(TaskKind.PROMOTE, f"the facts have changed: {decision.rule}")
        if to:
            p.open(self._promoting(decision))

    def _answered(self, task: Task) -> None:
        """What an answer brings, at once."""
        p, s, answer, now = self.process, self.s, task.answer, workflow.now()
        if answer is None or s.end:
            return
        given = {name: str(value).strip() for name, value in answer.fields.items() if value not in (None, "")}
        match task.spec.kind:
            case TaskKind.FILL | TaskKind.UPDATE:
                update = RedUpdate.model_validate({**given, "status": answer.choice, "at": now, "by": answer.by})
                s.updates = [*s.updates, update]
                s.fields = {**s.fields, **{name: text for name, text in given.items() if name in FIELDS}}
                if s.filled_at is None:
                    s.filled_at = now
                    s.update_at = get_well.next_round(now, p.policy.red.update_days, now)
                self._say(task.spec.kind, _told(update))
                self._row()
            case TaskKind.PROMOTE if answer.choice == "yes" and s.proposed:
                self._resolve(Resolve(by=answer.by, to=s.proposed, note=answer.note))
            case TaskKind.PROMOTE:
                s.declined, s.declined_health = s.standing.band if s.standing else "", p.customer.health
                s.proposed = ""
            case _:
                return

    async def _round(self) -> None:
        """A week has passed. Who looks after the account now is asked; a task that is still open is not asked a second time."""
        p, s, now = self.process, self.s, workflow.now()
        view = await p.look()
        self._facts(p.customer, p.team, view.standing)
        if s.end or s.filled_at is None:
            return
        s.update_at = get_well.next_round(s.filled_at, p.policy.red.update_days, now)
        p.ask_in_rounds(self._updating())

    def _resolve(self, given: Resolve) -> None:
        p, s = self.process, self.s
        s.note = given.note
        self._ended(given.to, red.resolved(p.policy, given.to, given.by, given.note, p.customer, s.standing, workflow.now()))

    def _ended(self, end: red.End, decision: Decision) -> None:
        self.s.end, self.s.ended_at, self.s.why_ended = end, decision.at, self.process.record(decision).rule
        self.process.look_again()

    def _close(self) -> None:
        p, s, why = self.process, self.s, self.s.why_ended
        p.stage = s.end
        p.desk.withdraw("*", f"it is red no more: {s.end}")
        post = p.said(f"slack.ended-{self._number()}", f"{bold(f'{p.customer.name} is {s.end}.')} {why}", Role.TA, Role.AE, under=THREAD)
        self._write("" if s.end == "churned" else s.end.capitalize(), False, *((post,) if self.tracked else ()))
        self._plan(False, "the customer is gone" if s.end == "churned" else f"promoted to {s.end}")
        if s.end:
            told = RedEnded(workflow=workflow.info().workflow_id, to=s.end)
            p.spawn(p.effects.tell(ids.account(p.customer.domain), "red_ended", told))

    def _next_run(self) -> RedInput:
        self.s.updates = self.s.updates[-KEPT:]
        return self._input(self.s, self.input.cycle)

    # --- tasks, acts and words -------------------------------------------------------------------------------------------------------------

    def _filling(self) -> TaskSpec:
        asks = f"Why: {red.reasons(self.s)}. Say with the AE what the state is, what is needed, and who does what."
        return self.process.spec(
            TaskKind.FILL, "state, needs and actions of a red account", asks, Role.TA, (red.FILL,), self.process.policy.red.fill_hours
        )

    def _updating(self) -> TaskSpec:
        asks = f"What changed since the last update? Needed: {self.s.fields.get('needs', '')}. Actions: {self.s.fields.get('actions', '')}."
        return self.process.spec(
            TaskKind.UPDATE, "weekly update of a red account", asks, Role.TA, red.UPDATES, self.process.policy.red.update_hours
        )

    def _promoting(self, decision: Decision) -> TaskSpec:
        title = f"promote it to {decision.outcome}?"
        asks = f"{decision.rule} It was marked red because: {red.reasons(self.s)}."
        return self.process.spec(TaskKind.PROMOTE, title, asks, Role.TA_MANAGER, red.PROMOTE, self.process.policy.red.update_hours)

    def _write(self, health: str, is_red: bool, *more: Effect) -> None:
        """One moment: field, trait, row and thread."""
        p, s, number = self.process, self.s, self._number()
        effects: list[Effect] = [SetTraits(key=f"vitally.red-{number}", account=p.customer.domain, traits={red.TRAIT: is_red})]
        if health:
            effects.append(SetAccount(key=f"crm.red-{number}", account=p.customer.id, fields={red.CRM_FIELD: health}))
        if self.tracked:
            effects.append(KeepRow(key=f"sheet.row-{number}", row=s.row, cells=red.row(p.customer, p.team, s)))
        p.do(*effects, *more)

    def _row(self) -> None:
        p = self.process
        cells = red.row(p.customer, p.team, self.s)
        p.do(KeepRow(key=f"sheet.row-{self._number()}", row=self.s.row, cells=cells))

    def _plan(self, on: bool, why: str) -> None:
        """The account's get-well plan has a reason more, or less (gap 11)."""
        given = PlanReason(reason="red_account", on=on, why=why)
        self.process.spawn(account_links.in_turn(self.process, self.input.plan_channel, given))

    def _lighthouse(self) -> None:
        """C20: where Lighthouse is the program, the open renewal is rated red; one that is not looked at yet refuses, and rates it in time."""
        p, renewal = self.process, self.input.renewal
        if not self.tracked and renewal:
            by = self.s.marks[0].by or p.team.email(Role.TA) or workflow.info().workflow_id
            p.spawn(
                p.effects.tell(renewal, "assess", AssessRenewal(by=by, rating="red", why=f"red account: {red.reasons(self.s)}"[:2_000]))
            )

    def _say(self, key: str, text: str, *mention: Role) -> None:
        self.process.post(self.process.said(f"slack.{key}-{self._number()}", text, *mention))

    def _number(self) -> int:
        """Keys of its effects are counted, through all its runs."""
        self.s.writes += 1
        return self.s.writes

    def _input(self, state: RedState, cycle: int) -> RedInput:
        p = self.process
        return self.input.model_copy(update={"customer": p.customer, "team": p.team, "state": state, "marks": (), "cycle": cycle})

    def in_words(self) -> str:
        """Where the red account stands, for people."""
        s, p = self.s, self.process
        lines = [f"{bold(p.customer.name)} is {s.end or 'red'}: {red.reasons(s) or 'it is being marked'}", ""]
        lines += [f"- {step.at:%Y-%m-%d %H:%M} UTC: {step.what}" for step in p.steps(self.ahead())[:4]]
        if s.fields:
            lines.append(f"- state: {s.fields.get('state', '')}; needed: {s.fields.get('needs', '')}")
        return "\n".join(lines)


WEEKLY = "ask the TA for the weekly update"
FIELDS = ("state", "needs", "actions")


def _told(update: RedUpdate) -> str:
    parts = [f"{bold(update.status.replace('_', ' ').capitalize())} ({update.by}): {update.state}"]
    parts += [f"Needs: {update.needs}"] if update.needs else []
    parts += [f"Actions: {update.actions}"] if update.actions else []
    return "\n".join(parts)
