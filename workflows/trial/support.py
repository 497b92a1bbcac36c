"""A21, A22, C15: who could not get in.

The signup form failed somebody: support hears of it by mail and calls; the trial is provisioned by the same way in, once.

A person cannot join the instance of their company. One request per domain and person, whoever hears of it first. The instance's admin is told by mail,
in one a day that lists who asks, by address alone: nobody's words reach an admin by it, and nobody's haste. The AE (support, when it came as a ticket)
makes sure that the person gets in, and is chased until they say how it ended: invited, refused by the admin, or signed in by SSO.
"""

from datetime import timedelta

from temporalio import workflow

from domain import ids
from domain.effects.mail import Mail
from domain.effects.slack import Post
from domain.messages import JoinDigestInput, JoinInput, JoinNotice, RescueInput, SignupAgain
from domain.people import Role
from domain.policy import Policy
from domain.task import Answer, TaskKind, TaskSpec
from workflows.frame.detached import begin_or_tell
from workflows.frame.handlers import hears
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


@workflow.defn
class JoinRequest(WorkflowWithTasks[Process[Policy]]):
    """See the module."""

    @workflow.init
    def __init__(self, input: JoinInput) -> None:
        self.input = input
        owner = input.ae.email if input.ae else ""
        words = f"somebody wants to join {input.host}; {'the AE' if input.via == 'signup' else 'support'} follows up"
        self._begin(Process(input.policy, input.alerts_channel, stage="join", owner=owner), lambda: words, host=input.host)

    @workflow.run
    async def run(self, input: JoinInput) -> str:
        """Tell the person and the admin, then follow up."""
        process, who = self.process, input.contact
        values = {"host": input.host, "first_name": who.first_name or who.name, "company": input.domain}
        process.do(Mail(key="mail.existing_instance", template="existing_instance", to=who.email, to_name=who.name, values=values))
        if input.admin:
            notice, summary = JoinNotice(email=who.email, host=input.host, admin=input.admin), f"who wants to join {input.host}"
            start, id = JoinDigestInput.model_validate({**vars(input), "who": (who.email,)}), ids.join_digest(input.domain)
            process.spawn(begin_or_tell(process.effects, "JoinDigest", start, ("asks", notice), id=id, summary=summary))
        alert = f"{who.name} ({input.domain}) {'signed up' if input.via == 'signup' else 'is blocked'}, and {input.host} is theirs already."
        answer = await process.ask(self._spec(), first=(process.said("slack.alert", alert),))
        await process.settle()
        return answer.choice if answer else "withdrawn"

    def _spec(self) -> TaskSpec:
        given, from_signup = self.input, self.input.via == "signup"
        owner = given.ae.email if given.ae and from_signup else ""
        backup = given.backup if from_signup else given.ae.email if given.ae else given.backup
        role, asked = Role.AE if from_signup else Role.SUPPORT, (owner, backup, given.manager)
        return self.process.spec(TaskKind.JOIN, input=given, role=role, asked=asked)


@workflow.defn
class JoinDigest(WorkflowWithTasks[Process[Policy]]):
    """What the admin of one instance is told: at once who asked first, and then once a day who asked since, for as long as anybody does."""

    @workflow.init
    def __init__(self, input: JoinDigestInput) -> None:
        self.input = input
        self.host, self.admin = input.host, input.admin
        self.who, self.more = list(dict.fromkeys(input.who)), input.more
        self.sent, self.not_before = input.sent, input.not_before
        words = "tells the admin of {} once a day who wants to join: {} since the last mail"
        process = Process(input.policy, input.alerts_channel, stage="join")
        self._begin(process, lambda: words.format(self.host, len(self.who) + self.more), host=input.host)

    @workflow.run
    async def run(self, input: JoinDigestInput) -> int:
        """One mail a day while anybody asks; returns how many went. However many ask, no run has more of them than it can hold."""
        process, tasks = self.process, input.policy.tasks
        while True:
            if self.not_before is not None:
                await process.wait(process.may_continue, until=self.not_before, summary="who else wants to join")
            if not self.who:
                await process.settle()
                if not self.who:  # somebody may have asked meanwhile
                    return self.sent
            if process.may_continue():
                left = {"host": self.host, "admin": self.admin, "who": tuple(self.who), "more": self.more}
                left |= {"not_before": self.not_before, "sent": self.sent}
                await self._continue_as_new(lambda left=left: input.model_copy(update=left))  # type: ignore[misc]
            self.not_before = workflow.now() + timedelta(hours=tasks.join_mail_hours)
            await process.do(self._mail())

    def _mail(self) -> Mail:
        more = (f"and {self.more} more",) if self.more else ()
        values = {"host": self.host, "joiner": "\n".join((*self.who, *more))}
        self.who, self.more = [], 0
        self.sent += 1
        return Mail(key=f"mail.join_request-{self.sent}", template="join_request", to=self.admin, values=values)

    @hears(JoinNotice)
    def asks(self, notice: JoinNotice) -> None:
        """Somebody more wants to join."""
        self.host, self.admin = notice.host, notice.admin
        if notice.email in self.who:
            return
        if len(self.who) < self.input.policy.tasks.join_mail_people:
            self.who.append(notice.email)
        else:
            self.more += 1
