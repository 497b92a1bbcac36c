"""A21: the signup form failed somebody. Support hears of it by mail and calls; the trial is provisioned by the same way in, once."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ladder
    from domain.acts import Mail, Post
    from domain.messages import RescueInput, SignupAgain
    from domain.people import Role
    from domain.task import Answer, Choice, FieldSpec, Task, TaskSpec
    from domain.views import TaskView
    from workflows import inbox
    from workflows.process import Process


@workflow.defn
class SignupRescue:
    """See the module."""

    @workflow.init
    def __init__(self, input: RescueInput) -> None:
        """State only; no commands."""
        self.tasks: list[Task] = []
        self.notes: list[str] = []
        self.p = Process(input.policy, self.tasks, input.alerts_channel)
        self.p.stage = "rescue"
        self.p.in_words = lambda: f"the form failed {input.company or 'somebody'}; support calls back"

    @workflow.run
    async def run(self, input: RescueInput) -> str:
        """Mail support, ask what became of it, and sign the person up if they still want to."""
        p, who = self.p, input.contact
        values = {
            "company": input.company,
            "joiner": f"{who.name} <{who.email}>",
            "reason": input.error or "unknown",
            "event_id": workflow.info().workflow_id,
        }
        p.spawn(p.effects.mail(Mail(key="mail.signup_failed", template="signup_failed", to=input.support_email, values=values)))
        due = ladder.due_in(input.policy, workflow.now(), input.policy.tasks.rescue_hours)
        spec = TaskSpec(
            kind="rescue",
            title=f"The signup of {input.company or who.name} failed",
            asks=f"Call or write to them, with `#growth`. What went wrong: {input.error or 'unknown'}",
            role=Role.SUPPORT,
            choices=(
                Choice(
                    name="provision",
                    label="They still want it: sign them up",
                    fields=(FieldSpec(name="email", asks="their address, when the form had it wrong", kind="email", required=False),),
                ),
                Choice(name="drop", label="They do not want it any more"),
            ),
            due_at=due,
            ladder=ladder.ordinary(input.policy, due, "", "", ""),
        )
        alert = Post(key="slack.growth", channel="growth", text=f"The signup form failed {input.company or who.name}; support has a task.")
        answer = await p.ask(spec, first=(alert,))
        outcome = "dropped"
        if answer and answer.choice == "provision":
            email = str(answer.fields.get("email") or who.email)
            contact = who.model_copy(update={"email": email})
            signed = SignupAgain(domain="", contact=contact, company=input.company, event=p.effects.subject, via="rescue")
            outcome = (await p.effects.sign_up(signed)).outcome
        await p.settle()
        return outcome

    @workflow.update
    async def answer(self, raw: Any = None) -> str:
        """Answer the task."""
        task = self.p.desk.answer(inbox.parsed(Answer, raw))
        return f"{task.id}: taken"

    @answer.validator
    def _may_answer(self, raw: Any = None) -> None:
        self.p.desk.check(inbox.parsed(Answer, raw))

    @workflow.signal(name="answer")
    async def _answer(self, raw: Any = None) -> None:
        with inbox.noting(self.notes, "answer", raw):
            self._may_answer(raw)
            await self.answer(raw)

    @workflow.query
    def open_tasks(self) -> list[TaskView]:
        """What is asked of whom."""
        return self.p.desk.views()

    @workflow.query
    def status(self) -> dict[str, Any]:
        """Where it stands."""
        return {"in_words": self.p.in_words(), "notes": self.notes}
