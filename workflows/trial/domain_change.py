"""A20: an instance moves from its random host to one of the customer's own.

The admin is warned of what breaks (sign-in by SSO, permission syncing, webhooks, links; a short downtime) and must consent before
anything is asked of the Cloud team; afterwards somebody verifies with the admin that the three configurations were redone.
"""

from datetime import timedelta

from temporalio import workflow

from domain import ladder
from domain.effects.mail import Mail
from domain.effects.registry import RegistryAnswer, RegistryChange
from domain.messages import DomainChangeInput, IssueEvent
from domain.people import Owners, Role
from domain.policy import Policy
from domain.task import TaskKind
from workflows.frame.cloud_requests import CloudRequest, Requests, TeamTask
from workflows.frame.effects import local, or_why
from workflows.frame.handlers import hears
from workflows.frame.process import Process
from workflows.frame.workflow_with_tasks import WorkflowWithTasks


@workflow.defn
class DomainChange(WorkflowWithTasks[Process[Policy]]):
    """See the module."""

    @workflow.init
    def __init__(self, input: DomainChangeInput) -> None:
        self.input = input
        team = Owners(ce=input.ce, ae=input.ae)
        process = Process(input.policy, input.alerts_channel, team=team, channel=input.channel, stage="consent", owner=team.email(Role.CE))
        self._begin(process, lambda: f"{input.host} → {input.new_host}: {process.stage}", host=input.host, new_host=input.new_host)
        self.requests = Requests(self.process)

    @workflow.run
    async def run(self, input: DomainChangeInput) -> str:
        """Warn, get consent, have it moved, verify."""
        process, company = self.process, input.company or input.domain
        process.do(self._warning(company))
        good = f"{company} wants {input.new_host} instead of {input.host}: a good moment to talk about what comes after the trial."
        process.post(process.said("slack.domain_change", good, Role.CE, Role.AE))
        outcome = "deferred"
        consent = await process.ask(process.spec(TaskKind.CONSENT, input=input))
        if consent is not None and consent.choice == "agreed":
            process.stage = "moving"
            why = await self._not_moved(company)
            if why:
                process.post(process.said("slack.not_moved", f"{input.host} keeps its name: {why}", Role.CE, Role.AE))
            else:
                process.stage = "verify"
                await process.ask(process.spec(TaskKind.VERIFY, input=input))
            outcome = "failed" if why else "moved"
        await process.settle()
        return outcome

    @hears(IssueEvent)
    def issue_event(self, message: IssueEvent) -> None:
        """The issue changed, says the webhook."""
        self.requests.stir(message)

    # --- the steps ---------------------------------------------------------------------------------------------------------------------

    def _warning(self, company: str) -> Mail:
        given, to, ce = self.input, self.input.contact, self.input.ce
        values = {
            "old_host": given.host,
            "new_host": given.new_host,
            "host": given.host,
            "first_name": to.first_name or to.name,
            "company": company,
            "ce_name": ce.name if ce else "",
        }
        sender = (ce.name, ce.email) if ce else None
        return Mail(key="mail.domain_change", template="domain_change", to=to.email, to_name=to.name, sender=sender, values=values)

    async def _not_moved(self, company: str) -> str:
        """Raise the issue and wait until the Cloud team has closed it as done, or says here what became of it; returns why it was not moved."""
        given, policy = self.input, self.process.policy
        hosts = {"host": given.host, "new_host": given.new_host, "internal_host": given.internal_host or given.host}
        request = CloudRequest.of(
            self.process,
            "move",
            lambda: {"customer": company, **hosts},
            key="domain_change",
            words={"input": given, "company": company},
            every=timedelta(hours=policy.provisioning.poll_hours),
            team=TeamTask(TaskKind.MOVE, lambda: ladder.due_in(policy, workflow.now(), policy.tasks.verify_hours)),
        )
        said = await self.requests.carried_out(request)
        if said.choice == "failed":
            return (said.answer.note if said.answer else "") or "the Cloud team could not move it"
        about = {"subject": self.process.effects.subject, "domain": given.domain, "as_of": workflow.now()}
        moved = RegistryChange(change="rehost", host=given.new_host, **about)
        # The registry would not have it when the trial was ended, or the host is another's.
        _, why = await or_why(local("registry", moved, RegistryAnswer, f"the instance is at {given.new_host} now"))
        if not why:
            await self.process.effects.signal(given.trial, "rehosted", given.new_host)
        return why
