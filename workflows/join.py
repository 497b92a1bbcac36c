"""A22, C15: a person cannot join the instance of their company. One request per domain and person, whoever hears of it first.

The instance's admin is told by mail; the AE (support, when it came as a ticket) makes sure that the person gets in, and is chased
until they say how it ended: invited, refused by the admin, or signed in by SSO.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ladder
    from domain.acts import Mail, Post
    from domain.messages import JoinInput
    from domain.people import Role
    from domain.task import Choice, TaskSpec
    from workflows.asked import Asked
    from workflows.process import Process


@workflow.defn
class JoinRequest(Asked):
    """See the module."""

    @workflow.init
    def __init__(self, input: JoinInput) -> None:
        """State only; no commands."""
        self.input = input
        self._begin(Process(input.policy, [], input.alerts_channel), host=input.host)
        self.p.stage = "join"
        self.p.owner = input.ae.email if input.ae else ""
        self.p.in_words = lambda: f"somebody wants to join {input.host}; {'the AE' if input.via == 'signup' else 'support'} follows up"

    @workflow.run
    async def run(self, input: JoinInput) -> str:
        """Tell the person and the admin, then follow up."""
        p, who = self.p, input.contact
        values = {"host": input.host, "joiner": who.name, "first_name": who.first_name or who.name, "company": input.domain}
        told = Mail(key="mail.existing_instance", template="existing_instance", to=who.email, to_name=who.name, values=values)
        notice = Mail(key="mail.join_request", template="join_request", to=input.admin, values=values)
        p.spawn(p.effects.mail(*((told, notice) if input.admin else (told,))))
        alert = f"{who.name} ({input.domain}) {'signed up' if input.via == 'signup' else 'is blocked'}, and {input.host} is theirs already."
        answer = await p.ask(self._spec(), first=(Post(key="slack.alert", channel=input.alerts_channel, text=alert),))
        await p.settle()
        return answer.choice if answer else "withdrawn"

    def _spec(self) -> TaskSpec:
        i, from_signup = self.input, self.input.via == "signup"
        due = ladder.due_in(i.policy, workflow.now(), i.policy.tasks.join_hours)
        owner = i.ae.email if i.ae and from_signup else ""
        backup = i.backup if from_signup else i.ae.email if i.ae else i.backup
        return TaskSpec(
            kind="join",
            title=f"Get {i.contact.name} into {i.host}",
            asks="Reach out to the instance's admin: without SSO nobody can join uninvited.",
            role=Role.AE if from_signup else Role.SUPPORT,
            assignee=owner,
            choices=(
                Choice(name="invited", label="Invited"),
                Choice(name="refused", label="The admin refused"),
                Choice(name="sso", label="Signed in by SSO"),
            ),
            due_at=due,
            ladder=ladder.ordinary(i.policy, due, owner, backup, i.manager),
        )
