"""An issue is worked on again after the process that raised it has ended: nobody listens there any more, so the CE is told and asked here.

The instance of a customer whose conversion is reopened may be torn down; one that was torn down may stand again. What follows is theirs to do.

GitHub sends a webhook once. So the issues that are open again are looked for as well, and whoever raised one, running or not, hears of it.
"""

from __future__ import annotations

from temporalio import workflow

from domain import ids
from domain.cloud.requests import HOLDS
from domain.messages import IssueEvent, LateWordInput
from domain.people import Owners, Role
from domain.policy import Policy
from domain.task import Choice, TaskKind
from domain.upkeep import ReopenedIssues, UpkeepInput
from workflows.frame.detached import begin
from workflows.frame.effects import or_why, patient
from workflows.frame.process import Process
from workflows.frame.workflow_with_tasks import WorkflowWithTasks
from workflows.upkeep import Upkeep


@workflow.defn
class LateWord(WorkflowWithTasks[Process[Policy]]):
    """See the module."""

    @workflow.init
    def __init__(self, input: LateWordInput) -> None:
        self.input = input
        team = Owners(ce=input.ce, ae=input.ae)
        process = Process(input.policy, input.alerts_channel, team=team, stage="late_word", owner=team.email(Role.CE))
        words = f"#{input.issue} was reopened after {input.workflow}, which raised it, had ended"
        self._begin(process, lambda: words, issue=str(input.issue), raised_by=input.workflow)

    @workflow.run
    async def run(self, input: LateWordInput) -> str:
        """Tell, and ask until somebody says what becomes of it."""
        title = f"#{input.issue} was reopened after {input.workflow} had ended"
        choices = (HOLDS, Choice(name="mine", label="It does not: I look after it"))
        spec = self.process.spec(TaskKind.LATE_WORD, title=title, choices=choices)
        answer = await self.process.ask(spec)
        await self.process.settle()
        return answer.choice if answer else "withdrawn"


@workflow.defn
class FindReopened(Upkeep):
    """What the Cloud team took up again while no webhook reached us is told as by one: once, until it is closed."""

    @workflow.run
    async def run(self, input: UpkeepInput) -> ReopenedIssues | None:
        """Look, and tell of those that were not open again the last time."""
        before = workflow.get_last_completion_result(ReopenedIssues)
        found, _ = await or_why(patient("github_reopened", None, ReopenedIssues, "which issues are open again"))
        if found is None:
            return before  # what was told stays told
        known = {told.issue for told in before.issues} if before else set()
        for again in found.issues:
            if again.issue in known:
                continue
            event = IssueEvent(issue=again.issue, action="reopened", reason="reopened")
            if await self.process.effects.signal(again.workflow, "issue_event", event):
                continue
            of = {"workflow": again.workflow, "issue": again.issue, "ce": again.ce, "ae": again.ae}
            late = LateWordInput(policy=input.policy, alerts_channel=input.alerts_channel, **of)
            summary = f"#{again.issue} was reopened after {again.workflow} had ended"
            await begin("LateWord", late, id=ids.late_word(again.workflow, again.issue), summary=summary)
        await self.process.settle()
        return found
