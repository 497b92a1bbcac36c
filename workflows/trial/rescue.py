"""A21: the signup form failed somebody. Support hears of it by mail and calls; the trial is provisioned by the same way in, once."""

from __future__ import annotations

from temporalio import workflow

from domain.effects.mail import Mail
from domain.effects.slack import Post
from domain.messages import RescueInput, SignupAgain
from domain.policy import Policy
from domain.task import Answer, TaskKind
from workflows.frame.process import Process
from workflows.frame.workflow_with_tasks import WorkflowWithTasks


@workflow.defn
class SignupRescue(WorkflowWithTasks[Process[Policy]]):
    """See the module."""

    @workflow.init
    def __init__(self, input: RescueInput) -> None:
        self.input = input
        self._begin(
            Process(input.policy, input.alerts_channel, stage="rescue"),
            lambda: f"the form failed {input.company or 'somebody'}; support calls back",
        )

    @workflow.run
    async def run(self, input: RescueInput) -> str:
        """Mail support, ask what became of it, and sign the person up if they still want to."""
        process, who, why = self.process, input.contact, input.error or "unknown"
        values = {"joiner": who.email, "reason": why, "event_id": workflow.info().workflow_id}
        process.do(Mail(key="mail.signup_failed", template="signup_failed", to=input.support_email, values=values))
        alert = Post(key="slack.growth", channel="growth", text=f"The signup form failed {input.company or who.name}; support has a task.")
        first: tuple[Post, ...] = (alert,)
        outcome = ""
        while not outcome:
            spec = process.spec(TaskKind.RESCUE, who=input.company or who.name, why=why)
            answer = await process.ask(spec, first=first)
            if answer is None or answer.choice == "drop":
                outcome = "dropped"
            else:  # what the form would refuse as well, support is asked again, and told why
                signed, why = await process.effects.sign_up(self._again(answer))
                first, outcome = (), signed.outcome if signed else ""
        await process.settle()
        return outcome

    def _again(self, answer: Answer) -> SignupAgain:
        given = self.input
        email = str(answer.fields.get("email") or given.contact.email).strip()
        contact = given.contact.model_copy(update={"email": email})
        return SignupAgain(domain="", contact=contact, company=given.company, event=self.process.effects.subject, via="rescue")
