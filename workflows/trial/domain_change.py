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
        process = self.process
        process.do(self._warning())
        process.post(self._good_sign())
        consent = await process.ask(self._consent())
        if consent is None or consent.choice == "deferred":
            await process.settle()
            return "deferred"
        if why := await self._not_moved():
            process.post(process.said("slack.not_moved", f"{input.host} keeps its name: {why}", Role.CE, Role.AE))
            await process.settle()
            return "failed"
        process.stage = "verify"
        await process.ask(self._verify())
        await process.settle()
        return "moved"

    @hears(IssueEvent)
    def issue_event(self, message: IssueEvent) -> None:
        """The issue changed, says the webhook."""
        self.requests.stir(message)

    # --- the steps ---------------------------------------------------------------------------------------------------------------------

    def _warning(self) -> Mail:
        given = self.input
        values = {
            "old_host": given.host,
            "new_host": given.new_host,
            "host": given.host,
            "first_name": given.contact.first_name or given.contact.name,
            "company": given.company or given.domain,
            "ce_name": given.ce.name if given.ce else "",
        }
        sender = (given.ce.name, given.ce.email) if given.ce else None
        to = given.contact
        return Mail(key="mail.domain_change", template="domain_change", to=to.email, to_name=to.name, sender=sender, values=values)

    def _good_sign(self) -> Post:
        given = self.input
        text = f"{given.company or given.domain} wants {given.new_host} instead of {given.host}: a good moment to talk about what comes after the trial."
        return self.process.said("slack.domain_change", text, Role.CE, Role.AE)

    async def _not_moved(self) -> str:
        """Raise the issue and wait until the Cloud team has closed it as done, or says here what became of it; returns why it was not moved."""
        given = self.input
        self.process.stage = "moving"
        request = CloudRequest(
            name="move",
            what=f"move {given.host} to {given.new_host}",
            issue=self._issue,
            choices=(AGAIN, DONE.model_copy(update={"label": "Moved"}), Choice(name="failed", label="It keeps its name")),
            every=timedelta(hours=given.policy.provisioning.poll_hours),
            team=TeamTask(
                kind=TaskKind.MOVE,
                asks="Close the issue when it is done, or say here what became of it.",
                choices=MOVES,
                due=lambda: ladder.due_in(given.policy, workflow.now(), given.policy.tasks.verify_hours),
            ),
        )
        said = await self.requests.carried_out(request)
        if said.choice == "failed":
            return (said.answer.note if said.answer else "") or "the Cloud team could not move it"
        return await self._recorded()

    def _issue(self) -> RaiseIssue:
        given = self.input
        return RaiseIssue(
            key="domain_change",
            title=f"Change the host of {given.company or given.domain} to {given.new_host}",
            intro="The admin has been warned and consents. Keep the internal host answering: our programs call the instance by no other name.",
            fields={
                "customer": given.company or given.domain,
                "host": given.host,
                "new_host": given.new_host,
                "internal_host": given.internal_host or given.host,
            },
            labels=("team/cloud", "mi", "mi/domain-change-request"),
        )

    async def _recorded(self) -> str:
        """Let the registry and the trial know; returns why the registry would not have it."""
        given, process = self.input, self.process
        moved = RegistryChange(
            subject=process.effects.subject, domain=given.domain, as_of=workflow.now(), change="rehost", host=given.new_host
        )
        try:
            await process.effects.local("registry", moved, RegistryAnswer, f"the instance is at {given.new_host} now")
        except FailureError as error:  # of a local activity it comes unwrapped
            if is_cancelled_exception(error):
                raise
            return str(error.cause or error)  # the trial was ended meanwhile, or the host is another customer's
        await process.effects.signal(given.trial, "rehosted", given.new_host)
        return ""

    def _consent(self) -> TaskSpec:
        given = self.input
        asks = "Their sign-in by SSO, permission syncing and webhooks stop working until they redo them, and old links break. They know by mail: do they want it?"
        title, choices = (
            f"Does the admin of {given.host} agree to the move?",
            (Choice(name="agreed", label="They agree"), Choice(name="deferred", label="Not now")),
        )
        return self.process.spec(TaskKind.CONSENT, title, asks, Role.CE, choices, given.policy.tasks.consent_hours)

    def _verify(self) -> TaskSpec:
        given = self.input
        asks = "Check with the admin: sign-in by SSO, permission syncing and webhooks redone?"
        done = Choice(name="verified", label="All three work")
        return self.process.spec(
            TaskKind.VERIFY, f"Verify {given.new_host} with the admin", asks, Role.CE, (done,), given.policy.tasks.verify_hours
        )
