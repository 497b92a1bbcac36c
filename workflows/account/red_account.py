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
        state = self.state = input.state or RedState(standing=input.standing, at_mark=input.standing, waiting=list(input.marks))
        self.input = input
        self.tracked = input.policy.red.program == "red_accounts"
        channel = input.channel if self.tracked else input.plan_channel
        process = AccountProcess(input.policy, input.customer, input.team, state.tasks, state.decisions, channel, input.cycle)
        self._begin(process, notes=state.notes)
        process.thread = THREAD if self.tracked else ""
        process.stage = "red"
        process.started_with()

    @workflow.run
    async def run(self, input: RedInput) -> str:
        """Mark it, follow it, and write back what it is promoted to."""
        process, state = self.process, self.state
        if not state.marks:
            if not await process.wait(lambda: bool(state.waiting), until=messages.soon(), summary="the first reason"):
                return "nobody said why"
            await self._open()
        await self._rounds(lambda: state.end != "", self._round, self._next_run)
        self._close()
        await process.settle()
        if state.waiting:  # marked again while it was promoted: red anew
            fresh = RedState(standing=state.standing, at_mark=state.standing, waiting=state.waiting)
            workflow.continue_as_new(self._input(fresh, input.cycle + 1))
        return state.end

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
        messages.refuse(None if self.state.marks else "it is being marked red this moment: ask again in a minute")
        messages.refuse(f"it is {self.state.end} already; nothing was changed" if self.state.end else None)

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
        state, process = self.state, self.process
        return RedStatus(
            account=process.customer.domain,
            name=process.customer.name,
            stage=state.end or process.stage,
            in_words=plain(self.in_words()),
            marks=tuple(state.marks),
            fields=state.fields,
            updates=tuple(state.updates),
            notes=tuple(state.notes),
            policy=process.policy.hash,
        )

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The next weekly update."""
        return [(self.state.update_at, WEEKLY)] if self.state.update_at and not self.state.end else []

    # --- the steps, in the order in which they come --------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """C20: every system in one moment."""
        process, state = self.process, self.state
        view = await process.look()
        state.standing = state.standing or view.standing
        state.at_mark, state.shown = state.standing, process.customer.health == "Red"
        for given in state.waiting:
            self._record(given)
        state.waiting = []
        state.row = process.effects.subject  # an account that is red again has another row
        acts: tuple[SlackEffect, ...] = ()
        if self.tracked:
            text = f"🔴 {bold(f'{process.customer.name} is red')}: {red.reasons(state)}. State, needs and actions follow in this thread; ask here for help."
            acts = (
                process.said(THREAD, text, Role.TA, Role.AE, Role.TA_MANAGER, under=""),
                card(process.tasks.open(self._filling(), process.channel), THREAD),
            )
        self._write("Red", True, *acts)
        self._lighthouse()
        self._plan(True, red.reasons(state))

    def _mark(self, given: MarkRed) -> str:
        """The first reason, or another one: the same thread and the same row."""
        process, state = self.process, self.state
        if not state.marks or state.end:  # it is being marked, or promoted, this moment
            state.waiting = [*state.waiting, given]
            return f"marked red: {given.reason}"
        if given.source in red.HANDS:
            return f"red already, and shown so in every system: {given.reason}"
        if given.reason in {mark.reason for mark in state.marks}:
            return f"red already, for this very reason: {given.reason}"
        self._record(given)
        if self.tracked:
            who = f" ({given.by})" if given.by else ""
            self._say("reason", f"Another reason why {process.customer.name} is red: {given.reason}{who}.", Role.TA, Role.AE)
            self._row()
        self._plan(True, red.reasons(state))
        return f"red already; the reason is added: {given.reason}"

    def _record(self, given: MarkRed) -> None:
        process, state, now = self.process, self.state, workflow.now()
        state.marks = [*state.marks, Mark(at=now, reason=given.reason, source=given.source, by=given.by)]
        process.record(red.marked(process.policy, given, process.customer, state.standing, now))

    def _facts(self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None) -> None:
        """B17: what promotes it is proposed; people decide."""
        process, state, now = self.process, self.state, workflow.now()
        process.customer, process.team, state.standing = customer, team, standing or state.standing
        process.owner = process.team.email(Role.TA) or process.owner
        if state.end or not state.marks:
            return
        if process.customer.status != "customer":
            self._ended("churned", red.gone(process.policy, process.customer, now))
            return
        if state.standing and state.standing.band != state.declined:
            state.declined = ""  # what did not convince once may do so after another band
        if process.customer.health != state.declined_health:
            state.declined_health = ""
        state.shown = state.shown or process.customer.health == "Red"
        decision = red.promotion(process.policy, state, process.customer, state.standing, now)
        to: Any = "" if decision.outcome == red.Colour.RED else decision.outcome
        if to == state.proposed:
            return
        state.proposed = to
        process.record(decision)
        process.tasks.withdraw(TaskKind.PROMOTE, f"the facts have changed: {decision.rule}")
        if to:
            process.open(self._promoting(decision))

    def _answered(self, task: Task) -> None:
        """What an answer brings, at once."""
        process, state, answer, now = self.process, self.state, task.answer, workflow.now()
        if answer is None or state.end:
            return
        given = {name: str(value).strip() for name, value in answer.fields.items() if value not in (None, "")}
        match task.spec.kind:
            case TaskKind.FILL | TaskKind.UPDATE:
                update = RedUpdate.model_validate({**given, "status": answer.choice, "at": now, "by": answer.by})
                state.updates = [*state.updates, update]
                state.fields = {**state.fields, **{name: text for name, text in given.items() if name in FIELDS}}
                if state.filled_at is None:
                    state.filled_at = now
                    state.update_at = get_well.next_round(now, process.policy.red.update_days, now)
                self._say(task.spec.kind, _told(update))
                self._row()
            case TaskKind.PROMOTE if answer.choice == "yes" and state.proposed:
                self._resolve(Resolve(by=answer.by, to=state.proposed, note=answer.note))
            case TaskKind.PROMOTE:
                state.declined, state.declined_health = state.standing.band if state.standing else "", process.customer.health
                state.proposed = ""
            case _:
                return

    async def _round(self) -> None:
        """A week has passed. Who looks after the account now is asked; a task that is still open is not asked a second time."""
        process, state, now = self.process, self.state, workflow.now()
        view = await process.look()
        self._facts(process.customer, process.team, view.standing)
        if state.end or state.filled_at is None:
            return
        state.update_at = get_well.next_round(state.filled_at, process.policy.red.update_days, now)
        process.ask_in_rounds(self._updating())

    def _resolve(self, given: Resolve) -> None:
        process, state = self.process, self.state
        state.note = given.note
        self._ended(
            given.to, red.resolved(process.policy, given.to, given.by, given.note, process.customer, state.standing, workflow.now())
        )

    def _ended(self, end: red.End, decision: Decision) -> None:
        self.state.end, self.state.ended_at, self.state.why_ended = end, decision.at, self.process.record(decision).rule
        self.process.look_again()

    def _close(self) -> None:
        process, state, why = self.process, self.state, self.state.why_ended
        process.stage = state.end
        process.tasks.withdraw("*", f"it is red no more: {state.end}")
        post = process.said(
            f"slack.ended-{self._number()}", f"{bold(f'{process.customer.name} is {state.end}.')} {why}", Role.TA, Role.AE, under=THREAD
        )
        self._write("" if state.end == "churned" else state.end.capitalize(), False, *((post,) if self.tracked else ()))
        self._plan(False, "the customer is gone" if state.end == "churned" else f"promoted to {state.end}")
        if state.end:
            told = RedEnded(workflow=workflow.info().workflow_id, to=state.end)
            process.spawn(process.effects.signal(ids.account(process.customer.domain), "red_ended", told))

    def _next_run(self) -> RedInput:
        self.state.updates = self.state.updates[-KEPT:]
        return self._input(self.state, self.input.cycle)

    # --- tasks, acts and words -------------------------------------------------------------------------------------------------------------

    def _filling(self) -> TaskSpec:
        asks = f"Why: {red.reasons(self.state)}. Say with the AE what the state is, what is needed, and who does what."
        return self.process.spec(
            TaskKind.FILL, "state, needs and actions of a red account", asks, Role.TA, (red.FILL,), self.process.policy.red.fill_hours
        )

    def _updating(self) -> TaskSpec:
        asks = f"What changed since the last update? Needed: {self.state.fields.get('needs', '')}. Actions: {self.state.fields.get('actions', '')}."
        return self.process.spec(
            TaskKind.UPDATE, "weekly update of a red account", asks, Role.TA, red.UPDATES, self.process.policy.red.update_hours
        )

    def _promoting(self, decision: Decision) -> TaskSpec:
        title = f"promote it to {decision.outcome}?"
        asks = f"{decision.rule} It was marked red because: {red.reasons(self.state)}."
        return self.process.spec(TaskKind.PROMOTE, title, asks, Role.TA_MANAGER, red.PROMOTE, self.process.policy.red.update_hours)

    def _write(self, health: str, is_red: bool, *more: Effect) -> None:
        """One moment: field, trait, row and thread."""
        process, state, number = self.process, self.state, self._number()
        effects: list[Effect] = [SetTraits(key=f"vitally.red-{number}", account=process.customer.domain, traits={red.TRAIT: is_red})]
        if health:
            effects.append(SetAccount(key=f"crm.red-{number}", account=process.customer.id, fields={red.CRM_FIELD: health}))
        if self.tracked:
            effects.append(KeepRow(key=f"sheet.row-{number}", row=state.row, cells=red.row(process.customer, process.team, state)))
        process.do(*effects, *more)

    def _row(self) -> None:
        process = self.process
        cells = red.row(process.customer, process.team, self.state)
        process.do(KeepRow(key=f"sheet.row-{self._number()}", row=self.state.row, cells=cells))

    def _plan(self, on: bool, why: str) -> None:
        """The account's get-well plan has a reason more, or less (gap 11)."""
        given = PlanReason(reason="red_account", on=on, why=why)
        self.process.spawn(account_links.in_turn(self.process, self.input.plan_channel, given))

    def _lighthouse(self) -> None:
        """C20: where Lighthouse is the program, the open renewal is rated red; one that is not looked at yet refuses, and rates it in time."""
        process, renewal = self.process, self.input.renewal
        if not self.tracked and renewal:
            by = self.state.marks[0].by or process.team.email(Role.TA) or workflow.info().workflow_id
            process.spawn(
                process.effects.signal(
                    renewal, "assess", AssessRenewal(by=by, rating="red", why=f"red account: {red.reasons(self.state)}"[:2_000])
                )
            )

    def _say(self, key: str, text: str, *mention: Role) -> None:
        self.process.post(self.process.said(f"slack.{key}-{self._number()}", text, *mention))

    def _number(self) -> int:
        """Keys of its effects are counted, through all its runs."""
        self.state.writes += 1
        return self.state.writes

    def _input(self, state: RedState, cycle: int) -> RedInput:
        process = self.process
        return self.input.model_copy(
            update={"customer": process.customer, "team": process.team, "state": state, "marks": (), "cycle": cycle}
        )

    def in_words(self) -> str:
        """Where the red account stands, for people."""
        state, process = self.state, self.process
        lines = [f"{bold(process.customer.name)} is {state.end or 'red'}: {red.reasons(state) or 'it is being marked'}", ""]
        lines += [f"- {step.at:%Y-%m-%d %H:%M} UTC: {step.what}" for step in process.steps(self.ahead())[:4]]
        if state.fields:
            lines.append(f"- state: {state.fields.get('state', '')}; needed: {state.fields.get('needs', '')}")
        return "\n".join(lines)


WEEKLY = "ask the TA for the weekly update"
FIELDS = ("state", "needs", "actions")


def _told(update: RedUpdate) -> str:
    parts = [f"{bold(update.status.replace('_', ' ').capitalize())} ({update.by}): {update.state}"]
    parts += [f"Needs: {update.needs}"] if update.needs else []
    parts += [f"Actions: {update.actions}"] if update.actions else []
    return "\n".join(parts)
