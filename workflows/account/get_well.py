"""A get-well plan (D15–D17, C06, gap 11): one for each account, whatever its reasons.

The TA answers the six questions; from then on the TA says every week how it goes, and the TA's manager reviews it every other week. The
document, and the projects, are kept in Vitally. Reasons come and go by signal; when the last one is gone the plan is over.
"""

from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

from domain import ids
from domain.account import commands, get_well
from domain.account.account import PlanEnded, PlanReason, PlanReviewed
from domain.account.commands import PlanText
from domain.account.get_well import GetWellInput, GetWellState, PlanReview, PlanStatus, PlanUpdate
from domain.effects.vitally import VitallyEffect
from domain.markup import bold
from domain.people import Role
from domain.task import Answer, Choice, Task, TaskKind, TaskSpec
from workflows.account.process import AccountProcess
from workflows.frame import handlers
from workflows.frame.handlers import decides, hears
from workflows.frame.workflow_with_tasks import WorkflowWithTasks

#: Under this message everything is said.
THREAD = "slack.plan"
#: How many updates and reviews the document shows.
SHOWN = 12


@workflow.defn
class GetWell(WorkflowWithTasks[AccountProcess]):
    """See the module."""

    @workflow.init
    def __init__(self, input: GetWellInput) -> None:
        self.input = input
        self.state = input.state or GetWellState(reasons={given.reason: given for given in input.reasons if given.on})
        self._begin(
            AccountProcess(input, self.state, stage="execution" if self.state.planned_at else "planning", thread=THREAD), self.in_words
        )
        self.told = False

    @workflow.run
    async def run(self, input: GetWellInput) -> str:
        """Plan, keep at it, and end when every reason is gone."""
        process, state = self.process, self.state
        if self.told and not state.reasons:
            return "every reason was gone before the plan began"
        if not await process.wait(lambda: bool(state.reasons), until=handlers.soon(), summary="the first reason"):
            return "no reason came"
        if not state.decisions:
            await self._open()
        await self._rounds(lambda: not state.reasons, self._round, lambda: process.anew(input, state, reasons=()))
        self._close()
        await process.settle()
        if state.reasons:  # one came while the plan ended: a new plan
            fresh = GetWellState(reasons=state.reasons)
            workflow.continue_as_new(process.anew(input, fresh, cycle=input.cycle + 1, reasons=()))
        return state.why_ended

    # --- it begins, for one reason or several ------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        process, state = self.process, self.state
        state.standing = (await process.look()).standing
        process.record(get_well.opened(process.policy, state.reasons, workflow.now()))
        begun = (
            f"{bold(f'{process.customer.name} gets a get-well plan')}: {get_well.said(state.reasons)}. It is talked about in this thread."
        )
        process.open(self._planning(), first=(process.said(THREAD, begun, Role.TA, Role.AE, under=""),))
        self._keep()

    @hears(PlanReason)
    def reason(self, given: PlanReason) -> None:
        """A reason came, or is gone."""
        if given.on:
            self._add(given)
        elif given.reason in self.state.reasons:
            self._drop(given)
        self.told = True
        self.process.look_again()

    def _add(self, given: PlanReason) -> None:
        """Another reason: the same plan (gap 11). It is said in the thread, and may need another project, or another answer."""
        process, state = self.process, self.state
        known = given.reason in state.reasons
        state.reasons = {**state.reasons, given.reason: given}
        if known or not state.decisions or process.stage == "ended":  # the same again; or the plan opens with it this moment
            return
        process.record(get_well.opened(process.policy, state.reasons, workflow.now()))
        another = f"Another reason for the plan of {process.customer.name}: {get_well.said({given.reason: given})}."
        process.say("reason", another, Role.TA, Role.AE)
        if state.planned_at and get_well.unanswered(state):
            process.open(self._planning())
        self._keep()

    def _drop(self, given: PlanReason) -> None:
        """A reason is gone; the last one ends the plan."""
        process, state = self.process, self.state
        state.reasons = {name: each for name, each in state.reasons.items() if name != given.reason}
        why = f"{get_well.WORDS[given.reason]}{f' ({given.why})' if given.why else ''}"
        if state.reasons:
            process.say("reason", f"No reason any more for the plan of {process.customer.name}: {why}.")
            self._keep()
        else:
            state.why_ended = process.record(get_well.ended(process.policy, why, workflow.now())).rule

    # --- the TA plans, together with the AE --------------------------------------------------------------------------------------------

    def _planning(self) -> TaskSpec:
        planned = Choice(name="planned", label="The plan is written", fields=get_well.unanswered(self.state))
        return self.process.spec("get-well-plan", why=get_well.said(self.state.reasons), choices=(planned,))

    def _refuse_plan(self, message: PlanText) -> str | None:
        if not message.parts():
            names = ", ".join(question.name for question in (*get_well.QUESTIONS, get_well.CONTEXT))
            return f"there is nothing to write; give at least one of: {names}"
        return None if self.state.reasons else "the plan is over: every reason is gone"

    @decides(commands.WRITE_PLAN, _refuse_plan, signed="writes")
    async def plan(self, message: PlanText) -> str:
        """The TA writes the plan, or rewrites parts of it."""
        parts = message.parts()
        self._write(parts, message.by)
        left = ", ".join(question.name for question in get_well.unanswered(self.state))
        return f"taken: {', '.join(parts)}; {f'still to be answered: {left}' if left else 'the plan is complete'}"

    def _write(self, parts: dict[str, str], by: str) -> None:
        """The plan is written, or rewritten. Once every question has its answer the cadence begins."""
        process, state, now, figures = self.process, self.state, workflow.now(), self.process.policy.get_well
        state.fields = {**state.fields, **parts}
        if not get_well.unanswered(state):
            process.tasks.withdraw(TaskKind.PLAN, f"the plan was written by {by}")
            if state.planned_at is None:
                state.planned_at, process.stage = now, "execution"
                state.update_at = get_well.next_round(now, figures.update_days, now)
                state.review_at = get_well.next_round(now, figures.leadership_days, now)
        elif process.tasks.find_open(TaskKind.PLAN) is None:
            process.open(self._planning())
        self._keep()
        process.look_again()

    # --- every week the TA says how it goes, every other week their manager reviews it ---------------------------------------------------

    async def _round(self) -> None:
        """A week, or two, have passed. Who looks after the account now is asked; a task that is still open is not asked a second time."""
        process, state, now, figures = self.process, self.state, workflow.now(), self.process.policy.get_well
        state.standing = (await process.look()).standing or state.standing
        process.owner = process.email(Role.TA) or process.owner
        if state.planned_at is None or not state.reasons:
            return
        if self._is_due("update"):
            state.update_at = get_well.next_round(state.planned_at, figures.update_days, now)
            why = get_well.said(state.reasons)
            process.ask_in_rounds(process.spec("get-well-update", why=why))
        if self._is_due("review"):  # not in the moment in which the update is asked for: it waits for that
            state.review_at = get_well.next_round(state.planned_at, figures.leadership_days, now)
            last = state.updates[-1] if state.updates else None
            said = f"{last.by} says {last.status.replace('_', ' ')}: {last.progress}. Next: {last.next}" if last else "No update came yet."
            process.ask_in_rounds(process.spec(TaskKind.REVIEW, last=said))

    def _is_due(self, kind: str) -> bool:
        return any(moment.kind == kind and moment.at <= workflow.now() for moment in get_well.agenda(self.process.policy, self.state))

    def _answered(self, task: Task) -> None:
        """What an answer brings, at once."""
        process, state, answer, now = self.process, self.state, task.answer, workflow.now()
        if answer is None or not state.reasons:
            return
        given = answer.texts()
        match task.spec.kind:
            case TaskKind.PLAN:
                known = {question.name for question in get_well.questions(state)}
                self._write({name: text for name, text in given.items() if name in known}, answer.by)
                return
            case TaskKind.UPDATE:
                state.updates = [*state.updates, PlanUpdate.model_validate({**given, "status": answer.choice, "at": now, "by": answer.by})]
            case TaskKind.REVIEW:
                process.record(get_well.reviewed(process.policy, answer, state, now))
                state.reviews = [*state.reviews, PlanReview(at=now, by=answer.by, outcome=answer.choice, note=answer.note)]
                self._reviewed(answer)
            case _:
                return
        self._keep()
        process.look_again()

    def _reviewed(self, answer: Answer) -> None:
        """Whoever asked for the plan hears of the review; an escalation is said to the leaderships of both sides."""
        process, name = self.process, self.process.customer.name
        told = PlanReviewed(criteria_met=answer.choice == get_well.Review.CRITERIA_MET, note=answer.note, by=answer.by)
        for asker in sorted({each.from_workflow for each in self.state.reasons.values() if each.from_workflow}):
            process.spawn(process.effects.signal(asker, "plan_reviewed", told))
        if answer.choice == get_well.Review.ESCALATE:
            text = f"The get-well plan of {name} is escalated by {answer.by}: {answer.note or 'say in this thread what is needed'}"
            process.say("escalated", text, Role.TS_LEADERSHIP, Role.SALES_LEADERSHIP)

    # --- every reason is gone ------------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        process, why = self.process, self.state.why_ended
        process.stage = "ended"
        process.tasks.withdraw("*", "the plan is over")
        over = f"The get-well plan of {process.customer.name} is over. {why}"
        process.post(process.said("slack.ended", over, Role.TA, Role.TA_MANAGER))
        self._keep()
        told = PlanEnded(workflow=workflow.info().workflow_id, why=why)
        process.spawn(process.effects.signal(ids.account(process.subject), "plan_ended", told))

    def _keep(self) -> None:
        """Vitally as it must be now: the projects that the reasons need, and the document."""
        process, state, name = self.process, self.state, self.process.customer.name
        wanted, gone = get_well.projects(state.reasons), "the reason is gone" if state.reasons else state.why_ended
        acts: list[VitallyEffect] = [process.closed(key, gone) for template, key in state.projects.items() if template not in wanted]
        new = [
            process.opened(template.lower().replace(" ", "_"), template, f"{template}: {name}")
            for template in wanted
            if template not in state.projects
        ]
        state.projects = {template: key for template, key in state.projects.items() if template in wanted} | {
            each.template: each.key for each in new
        }
        lines = get_well.document(process.customer, state, SHOWN)
        process.do(*acts, *new, process.document("plan", "get-well-plan", f"Get-well plan: {name}", lines))

    # --- where it stands -----------------------------------------------------------------------------------------------------------------

    @workflow.query
    def status(self) -> PlanStatus:
        """Where the plan stands."""
        return self.process.status_as(PlanStatus, reasons={name: each.why for name, each in self.state.reasons.items()})

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The weekly update, and the review."""
        return ((moment.at, moment.what) for moment in get_well.agenda(self.process.policy, self.state))

    def in_words(self) -> str:
        """Where the plan stands, for people."""
        state, process = self.state, self.process
        lines = [f"{bold(process.customer.name)}: {process.stage} of its get-well plan; {get_well.said(state.reasons)}", ""]
        lines += process.soon()
        if state.updates:
            lines.append(f"- last update: {state.updates[-1].status.replace('_', ' ')}, {state.updates[-1].progress}")
        return "\n".join(lines)
