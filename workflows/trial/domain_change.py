"""A20: an instance moves from its random host to one of the customer's own.

The admin is warned of what breaks (sign-in by SSO, permission syncing, webhooks, links; a short downtime) and must consent before
anything is asked of the Cloud team; afterwards somebody verifies with the admin that the three configurations were redone.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from domain import ladder
    from domain.cloud.requests import AGAIN, DONE
    from domain.effects.github import RaiseIssue
    from domain.effects.mail import Mail
    from domain.effects.registry import RegistryAnswer, RegistryChange
    from domain.effects.slack import Post
    from domain.messages import DomainChangeInput, IssueEvent
    from domain.people import Owners, Role
    from domain.policy import Policy
    from domain.task import Choice, TaskKind, TaskSpec
    from workflows.frame.cloud_requests import CloudRequest, Requests, TeamTask
    from workflows.frame.handlers import hears
    from workflows.frame.process import Process
    from workflows.frame.workflow_with_tasks import WorkflowWithTasks

MOVES = (Choice(name="done", label="Moved"), Choice(name="failed", label="It cannot be moved: say why in the note"))


@workflow.defn
class DomainChange(WorkflowWithTasks[Process[Policy]]):
    """See the module."""

    @workflow.init
    def __init__(self, input: DomainChangeInput) -> None:
        """State only; no commands."""
        self.input = input
        owners = Owners(ce=input.ce, ae=input.ae)
        process = Process(input.policy, input.alerts_channel, team=owners, channel=input.channel)
        self._begin(process, host=input.host, new_host=input.new_host)
        self.requests = Requests(process)
        process.owner = owners.email(Role.CE)
        process.stage = "consent"

    def in_words(self) -> str:
        """Where it stands."""
        return f"{self.input.host} → {self.input.new_host}: {self.process.stage}"

    @workflow.run
    async def run(self, input: DomainChangeInput) -> str:
        """Warn, get consent, have it moved, verify."""
        p = self.process
        p.do(self._warning())
        p.post(self._good_sign())
        consent = await p.ask(self._consent())
        if consent is None or consent.choice == "deferred":
            await p.settle()
            return "deferred"
        if why := await self._not_moved():
            p.post(p.said("slack.not_moved", f"{input.host} keeps its name: {why}", Role.CE, Role.AE))
            await p.settle()
            return "failed"
        p.stage = "verify"
        await p.ask(self._verify())
        await p.settle()
        return "moved"

    @hears(IssueEvent)
    def issue_event(self, message: IssueEvent) -> None:
        """The issue changed, says the webhook."""
        self.requests.stir(message)

    # --- the steps ---------------------------------------------------------------------------------------------------------------------

    def _warning(self) -> Mail:
        i = self.input
        values = {
            "old_host": i.host,
            "new_host": i.new_host,
            "host": i.host,
            "first_name": i.contact.first_name or i.contact.name,
            "company": i.company or i.domain,
            "ce_name": i.ce.name if i.ce else "",
        }
        sender = (i.ce.name, i.ce.email) if i.ce else None
        to = i.contact
        return Mail(key="mail.domain_change", template="domain_change", to=to.email, to_name=to.name, sender=sender, values=values)

    def _good_sign(self) -> Post:
        i = self.input
        text = f"{i.company or i.domain} wants {i.new_host} instead of {i.host}: a good moment to talk about what comes after the trial."
        return self.process.said("slack.domain_change", text, Role.CE, Role.AE)

    async def _not_moved(self) -> str:
        """Raise the issue and wait until the Cloud team has closed it as done, or says here what became of it; returns why it was not moved."""
        i = self.input
        self.process.stage = "moving"
        request = CloudRequest(
            name="move",
            what=f"move {i.host} to {i.new_host}",
            issue=self._issue,
            choices=(AGAIN, DONE.model_copy(update={"label": "Moved"}), Choice(name="failed", label="It keeps its name")),
            every=timedelta(hours=i.policy.provisioning.poll_hours),
            team=TeamTask(
                kind=TaskKind.MOVE,
                asks="Close the issue when it is done, or say here what became of it.",
                choices=MOVES,
                due=lambda: ladder.due_in(i.policy, workflow.now(), i.policy.tasks.verify_hours),
            ),
        )
        said = await self.requests.carried_out(request)
        if said.choice == "failed":
            return (said.answer.note if said.answer else "") or "the Cloud team could not move it"
        return await self._recorded()

    def _issue(self) -> RaiseIssue:
        i = self.input
        return RaiseIssue(
            key="domain_change",
            title=f"Change the host of {i.company or i.domain} to {i.new_host}",
            intro="The admin has been warned and consents. Keep the internal host answering: our programs call the instance by no other name.",
            fields={
                "customer": i.company or i.domain,
                "host": i.host,
                "new_host": i.new_host,
                "internal_host": i.internal_host or i.host,
            },
            labels=("team/cloud", "mi", "mi/domain-change-request"),
        )

    async def _recorded(self) -> str:
        """Let the registry and the trial know; returns why the registry would not have it."""
        i, p = self.input, self.process
        moved = RegistryChange(subject=p.effects.subject, domain=i.domain, as_of=workflow.now(), change="rehost", host=i.new_host)
        try:
            await p.effects.local("registry", moved, RegistryAnswer, f"the instance is at {i.new_host} now")
        except FailureError as error:  # of a local activity it comes unwrapped
            if is_cancelled_exception(error):
                raise
            return str(error.cause or error)  # the trial was ended meanwhile, or the host is another customer's
        await p.effects.tell(i.trial, "rehosted", i.new_host)
        return ""

    def _consent(self) -> TaskSpec:
        i = self.input
        asks = "Their sign-in by SSO, permission syncing and webhooks stop working until they redo them, and old links break. They know by mail: do they want it?"
        title, choices = (
            f"Does the admin of {i.host} agree to the move?",
            (Choice(name="agreed", label="They agree"), Choice(name="deferred", label="Not now")),
        )
        return self.process.spec(TaskKind.CONSENT, title, asks, Role.CE, choices, i.policy.tasks.consent_hours)

    def _verify(self) -> TaskSpec:
        i = self.input
        asks = "Check with the admin: sign-in by SSO, permission syncing and webhooks redone?"
        done = Choice(name="verified", label="All three work")
        return self.process.spec(
            TaskKind.VERIFY, f"Verify {i.new_host} with the admin", asks, Role.CE, (done,), i.policy.tasks.verify_hours
        )
