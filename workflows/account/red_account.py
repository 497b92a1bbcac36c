"""A red account (B17, B18, D20, D31, C20): marked in every system at once, followed every week, promoted by people.

One command writes the CRM's field, Vitally's trait, the thread in the red channel and the tracker's row. The TA fills in state, needs and
actions with the AE (C19), and says every week how it goes. When the facts are better the TA's manager is asked whether it is promoted.
Where Lighthouse is the program, only the fields are written, and the open renewal is rated red: its save plan takes over.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow

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
from domain.markup import bold
from domain.people import Role
from domain.renewal.commands import AssessRenewal
from domain.task import Task, TaskKind
from workflows.account.process import AccountProcess
from workflows.frame import handlers
from workflows.frame.handlers import decides, hears
from workflows.frame.tasks import card
from workflows.frame.workflow_with_tasks import WorkflowWithTasks

#: Under this message everything is said.
THREAD = "slack.red"
#: What is tracked of it.
FIELDS = ("state", "needs", "actions")


@workflow.defn
class RedAccount(WorkflowWithTasks[AccountProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: RedInput) -> None:
        self.input = input
        self.state = input.state or RedState(standing=input.standing, at_mark=input.standing, waiting=list(input.marks))
        self.tracked = input.policy.red.program == "red_accounts"
        channel, thread = (input.channel, THREAD) if self.tracked else (input.plan_channel, "")
        self._begin(AccountProcess(input, self.state, stage="red", channel=channel, thread=thread), self.in_words)

    @workflow.run
    async def run(self, input: RedInput) -> str:
        """Mark it, follow it, and write back what it is promoted to."""
        process, state = self.process, self.state
        if not state.marks:
            if not await process.wait(lambda: bool(state.waiting), until=handlers.soon(), summary="the first reason"):
                return "nobody said why"
            await self._open()
        await self._rounds(lambda: state.end != "", self._round, lambda: process.anew(input, state, marks=()))
        self._close()
        await process.settle()
        if state.waiting:  # marked again while it was promoted: red anew
            fresh = RedState(standing=state.standing, at_mark=state.standing, waiting=state.waiting)
            workflow.continue_as_new(process.anew(input, fresh, cycle=input.cycle + 1, marks=()))
        return state.end

    # --- it is marked red, in every system at once ---------------------------------------------------------------------------------------

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
        why = red.reasons(state)
        if self.tracked:
            begun = (
                f"🔴 {bold(f'{process.customer.name} is red')}: {why}. State, needs and actions follow in this thread; ask here for help."
            )
            filling = process.tasks.open(process.spec(TaskKind.FILL, why=why), process.channel)
            acts = process.said(THREAD, begun, Role.TA, Role.AE, Role.TA_MANAGER, under=""), card(filling, THREAD)
        self._write("Red", True, *acts)
        if (
            not self.tracked and self.input.renewal
        ):  # Lighthouse is the program: a renewal that is not looked at yet refuses, and rates it in time
            by = state.marks[0].by or process.email(Role.TA) or workflow.info().workflow_id
            told = AssessRenewal(by=by, rating="red", why=f"red account: {why}"[:2_000])
            process.spawn(process.effects.signal(self.input.renewal, "assess", told))
        self._plan(True, why)

    @decides(commands.MARK_RED)
    async def mark_red(self, given: MarkRed) -> str:
        """Mark it red, or add a reason for which it is: the same thread and the same row. Who is being promoted this moment is red anew."""
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
            process.say("reason", f"Another reason why {process.customer.name} is red: {given.reason}{who}.", Role.TA, Role.AE)
            process.do(self._row())
        self._plan(True, red.reasons(state))
        return f"red already; the reason is added: {given.reason}"

    def _record(self, given: MarkRed) -> None:
        process, state, now = self.process, self.state, workflow.now()
        state.marks = [*state.marks, Mark(at=now, reason=given.reason, source=given.source, by=given.by)]
        process.record(red.marked(process.policy, given, process.customer, state.standing, now))

    # --- every week the TA says how it goes ----------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """A week has passed. Who looks after the account now is asked; a task that is still open is not asked a second time."""
        process, state, figures = self.process, self.state, self.process.policy.red
        view = await process.look()
        self._known(process.customer, process.team, view.standing)
        if state.end or state.filled_at is None:
            return
        state.update_at = get_well.next_round(state.filled_at, figures.update_days, workflow.now())
        needs, actions = state.fields.get("needs", ""), state.fields.get("actions", "")
        process.ask_in_rounds(process.spec("red-update", needs=needs, actions=actions))

    def _answered(self, task: Task) -> None:
        """What an answer brings, at once."""
        process, state, answer, now = self.process, self.state, task.answer, workflow.now()
        if answer is None or state.end:
            return
        match task.spec.kind:
            case TaskKind.FILL | TaskKind.UPDATE:
                given = answer.texts()
                update = RedUpdate.model_validate({**given, "status": answer.choice, "at": now, "by": answer.by})
                state.updates = [*state.updates, update]
                state.fields = {**state.fields, **{name: text for name, text in given.items() if name in FIELDS}}
                if state.filled_at is None:
                    state.filled_at = now
                    state.update_at = get_well.next_round(now, process.policy.red.update_days, now)
                process.say(task.spec.kind, red.told(update))
                process.do(self._row())
            case TaskKind.PROMOTE if answer.choice == "yes" and state.proposed:
                self._promote(Resolve(by=answer.by, to=state.proposed, note=answer.note))
            case TaskKind.PROMOTE:
                state.declined, state.declined_health = state.standing.band if state.standing else "", process.customer.health
                state.proposed = ""
            case _:
                return

    # --- better facts propose to promote it, and people decide -----------------------------------------------------------------------------

    @hears(AccountFacts)
    def facts(self, given: AccountFacts) -> None:
        """How the account does now, and who looks after it."""
        self._known(given.customer, given.team, given.standing)

    def _known(self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None) -> None:
        """B17: what promotes it is proposed; people decide."""
        process, state, now = self.process, self.state, workflow.now()
        process.customer, process.team, state.standing = customer, team, standing or state.standing
        process.owner = process.email(Role.TA) or process.owner
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
            why = red.reasons(state)
            process.open(process.spec(TaskKind.PROMOTE, to=decision.outcome, rule=decision.rule, why=why))

    def _refuse_resolve(self, given: Resolve) -> str | None:
        """By somebody, once it is marked, and once."""
        if not self.state.marks:
            return "it is being marked red this moment: ask again in a minute"
        return f"it is {self.state.end} already; nothing was changed" if self.state.end else None

    @decides(commands.RESOLVE, _refuse_resolve, signed="promotes it")
    async def resolve(self, given: Resolve) -> str:
        """Promote it to yellow or green."""
        self._promote(given)
        return f"red no more: {given.to}, and written back"

    def _promote(self, given: Resolve) -> None:
        process, state = self.process, self.state
        state.note = given.note
        decision = red.resolved(process.policy, given.to, given.by, given.note, process.customer, state.standing, workflow.now())
        self._ended(given.to, decision)

    def _ended(self, end: red.End, decision: Decision) -> None:
        self.state.end, self.state.ended_at, self.state.why_ended = end, decision.at, self.process.record(decision).rule
        self.process.look_again()

    # --- it is red no more ---------------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        process, state = self.process, self.state
        process.stage = state.end
        process.tasks.withdraw("*", f"it is red no more: {state.end}")
        over = f"{bold(f'{process.customer.name} is {state.end}.')} {state.why_ended}"
        closing = (process.said("slack.ended", over, Role.TA, Role.AE, under=THREAD),) if self.tracked else ()
        self._write("" if state.end == "churned" else state.end.capitalize(), False, *closing)
        self._plan(False, "the customer is gone" if state.end == "churned" else f"promoted to {state.end}")
        if state.end:
            told = RedEnded(workflow=workflow.info().workflow_id, to=state.end)
            process.spawn(process.effects.signal(ids.account(process.subject), "red_ended", told))

    # --- what it writes ------------------------------------------------------------------------------------------------------------------

    def _write(self, health: str, is_red: bool, *more: Effect) -> None:
        """One moment: trait, field, row and thread."""
        process, state = self.process, self.state
        effects: list[Effect] = [process.traits("red", {red.TRAIT: is_red})]
        if health:
            effects.append(SetAccount(key=state.next("crm.red"), account=process.customer.id, fields={red.CRM_FIELD: health}))
        if self.tracked:
            effects.append(self._row())
        process.do(*effects, *more)

    def _row(self) -> KeepRow:
        process, state = self.process, self.state
        return KeepRow(key=state.next("sheet.row"), row=state.row, cells=red.row(process.customer, process.team, state))

    def _plan(self, on: bool, why: str) -> None:
        """The account's get-well plan has a reason more, or less (gap 11)."""
        given = PlanReason(reason="red_account", on=on, why=why)
        self.process.spawn(self.process.reason(self.input.plan_channel, given))

    # --- where it stands -----------------------------------------------------------------------------------------------------------------

    @workflow.query
    def status(self) -> RedStatus:
        """Where it stands."""
        return self.process.status_as(RedStatus, stage=self.state.end or self.process.stage)

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The next weekly update."""
        return [(self.state.update_at, "ask the TA for the weekly update")] if self.state.update_at and not self.state.end else []

    def in_words(self) -> str:
        """Where the red account stands, for people."""
        state, name = self.state, self.process.customer.name
        lines = [f"{bold(name)} is {state.end or 'red'}: {red.reasons(state) or 'it is being marked'}", "", *self.process.soon()]
        if state.fields:
            lines.append(f"- state: {state.fields.get('state', '')}; needed: {state.fields.get('needs', '')}")
        return "\n".join(lines)
