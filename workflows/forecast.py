"""The weekly forecast (D29, C13, C34): every AE confirms or changes what is expected of their renewals, then the quarters are rolled up.

Nobody's silence holds it up: the AE's manager is asked next, and when the time has come it is taken with what is known, and says so.
"""

import re
from datetime import datetime, timedelta

from temporalio import workflow

from domain import ladder
from domain.forecast import weekly_round
from domain.forecast.weekly_round import AskForecast, AskLines, ForecastInput, ForecastOwners, Owner, OwnLines, TakeForecast, Taken
from domain.people import Role
from domain.policy import AccountPolicy
from domain.renewal.commands import ProjectOutcome
from domain.task import Answer, Escalation, Task
from workflows.frame.effects import local, patient
from workflows.frame.process import Process
from workflows.frame.tasks import card
from workflows.frame.workflow_with_tasks import WorkflowWithTasks

#: Cards that are posted in one activity.
CARDS = 20
TAKING = timedelta(minutes=5)


@workflow.defn
class WeeklyForecast(WorkflowWithTasks[Process[AccountPolicy]]):
    """What the open renewals are expected to bring, by quarter and owner: asked of the AEs, kept for ever, posted for everybody."""

    @workflow.init
    def __init__(self, input: ForecastInput) -> None:
        self.input = input
        self.owners: dict[str, Owner] = {}
        self.lines: dict[str, OwnLines] = {}
        self.said: dict[str, ProjectOutcome] = {}
        self.confirmed: list[str] = []
        self._begin(Process(input.policy, input.channel), self.in_words)

    @workflow.run
    async def run(self, input: ForecastInput) -> Taken:
        """Ask, wait at most until it is due, roll up, post."""
        process = self.process
        found = await local("forecast_owners", AskForecast(), ForecastOwners, "who has renewals that are rated")
        due = ladder.due_in(input.policy, workflow.now(), input.policy.forecast.confirm_hours)
        tasks = [await self._open(owner, due) for owner in found.owners]
        for first in range(0, len(tasks), CARDS):
            process.post(*(card(task) for task in tasks[first : first + CARDS]))
        process.stage = "asking" if tasks else ""
        await process.wait(lambda: not any(task.is_open for task in tasks), until=due, summary="the forecast is taken")
        process.stage = "taking" if tasks else ""
        process.tasks.withdraw("*", "the forecast was taken without an answer")
        asked = [owner.ae for owner in self.owners.values()]
        ask = TakeForecast(
            subject=process.effects.subject,
            as_of=workflow.now(),
            policy=input.policy,
            said=self.said,
            confirmed=tuple(self.confirmed),
            unconfirmed=tuple(ae for ae in asked if ae not in self.confirmed),
        )
        taken = await patient("take_forecast", ask, Taken, "roll up every quarter, keep the snapshots", TAKING)
        if taken.weighted:
            await process.do(process.said("slack.forecast", taken.text))
        await process.settle()
        return taken

    # --- Asking -----------------------------------------------------------------------------------------------------------------

    async def _open(self, owner: Owner, due: datetime) -> Task:
        """The AE's task: the manager is asked when half of the time is over, since the forecast is taken when all of it is."""
        process, policy = self.process, self.input.policy
        summary = f"the {owner.renewals} renewals of {owner.name}"
        lines = await local("forecast_lines", AskLines(ae=owner.ae), OwnLines, summary)
        half = ladder.due_in(policy, workflow.now(), policy.forecast.confirm_hours / 2)
        kind = f"forecast-{re.sub(r'[^a-z0-9]+', '-', owner.ae.partition('@')[0].lower()).strip('-') or 'nobody'}"
        kind = kind if process.tasks.find_open(kind) is None else f"{kind}-of-{len(self.owners) + 1}"
        self.owners[kind], self.lines[kind] = owner, lines
        spec = process.spec(
            "forecast",
            kind=kind,
            title=f"Forecast of {owner.name}" + (f": {owner.renewals} renewals" if owner.renewals > 1 else ""),
            text=weekly_round.asks(policy, lines),
            role=Role.AE if owner.asks == owner.ae else Role.AE_MANAGER,
            choices=weekly_round.choices(lines.rows),
            due_at=due,
            asked=(owner.asks, "", ""),
            rungs=(Escalation(at=half, asks="manager", who=owner.manager or owner.asks),),
        )
        return process.tasks.open(spec, process.channel)

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        if answer.choice != "change":
            return None
        try:
            self._changes(task, answer)
        except ValueError as error:
            return str(error)
        return None

    def _answered(self, task: Task) -> None:
        """What was said goes to the renewals at once; their own processes keep it."""
        answer = task.answer
        if answer is None or task.spec.kind not in self.lines:
            return
        rows = self.lines[task.spec.kind].rows
        confirmed = weekly_round.confirmations(self.input.policy, rows, workflow.now(), answer.by)
        changed = self._changes(task, answer) if answer.choice == "change" else {}
        self.said |= changed
        self.confirmed.append(self.owners[task.spec.kind].ae)
        self.process.spawn(self._pass_on({**confirmed, **changed}))

    def _changes(self, task: Task, answer: Answer) -> dict[str, ProjectOutcome]:
        return weekly_round.changes(self.input.policy, self.lines[task.spec.kind].rows, answer.fields, answer.by)

    async def _pass_on(self, said: dict[str, ProjectOutcome]) -> None:
        for renewal, message in said.items():
            await self.process.effects.signal(renewal, "forecast", message)

    def in_words(self) -> str:
        """Whom it waits for."""
        waiting = [task.spec.assignee or task.spec.role.value for task in self.process.tasks.all if task.is_open]
        return f"waits for {', '.join(waiting)}" if waiting else "rolls the quarters up"
