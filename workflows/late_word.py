"""An issue is worked on again after the process that raised it has ended: nobody listens there any more, so the CE is told and asked here.

The instance of a customer whose conversion is reopened may be torn down; one that was torn down may stand again. What follows is theirs to do.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ladder
    from domain.cloud_requests import HOLDS
    from domain.messages import LateWordInput
    from domain.people import Owners, Role
    from domain.task import Choice, TaskSpec
    from workflows.asked import Asked
    from workflows.process import Process


@workflow.defn
class LateWord(Asked):
    """See the module."""

    @workflow.init
    def __init__(self, input: LateWordInput) -> None:
        """State only; no commands."""
        self.input = input
        self._begin(Process(input.policy, [], input.alerts_channel), issue=str(input.issue), raised_by=input.workflow)
        self.owners = Owners(ce=input.ce, ae=input.ae)
        self.p.stage = "late_word"
        self.p.owner = ladder.email(self.owners, Role.CE)
        self.p.in_words = lambda: f"#{input.issue} was reopened after {input.workflow}, which raised it, had ended"

    @workflow.run
    async def run(self, input: LateWordInput) -> str:
        """Tell, and ask until somebody says what becomes of it."""
        ce, ae = ladder.email(self.owners, Role.CE), ladder.email(self.owners, Role.AE)
        due = ladder.due_in(input.policy, workflow.now(), input.policy.tasks.declined_hours)
        spec = TaskSpec(
            kind="late-word",
            title=f"#{input.issue} was reopened after {input.workflow} had ended",
            asks="What the Cloud team had done is being worked on again, and no process listens to the issue any more. Ask them what holds.",
            role=Role.CE,
            assignee=ce,
            choices=(HOLDS, Choice(name="mine", label="It does not: I look after it")),
            due_at=due,
            ladder=ladder.ordinary(input.policy, due, ce, ae, ae),
        )
        answer = await self.p.ask(spec)
        await self.p.settle()
        return answer.choice if answer else "withdrawn"
