"""The service behind web, API and command line: a request becomes a start, an update, a signal or a query, and nothing else.

Workflows are named by string, so that a command starts without the activities' client libraries.
Errors are those of :mod:`starter.errors`; none of them leaves anything half done that asking again does not finish.
"""

from collections.abc import Mapping
from typing import Any

from temporalio.common import WorkflowIDConflictPolicy

from domain import commands, ids
from domain.base import Message
from domain.messages import Contact, DomainChangeInput, IssueEvent, JoinAsk, JoinInput, LateWordInput, OpenLink
from domain.trial import refusals
from domain.trial.commands import CHANGE_DOMAIN, NEW_LINK, ChangeDomain
from starter.errors import BadInput, NotFound, Refused
from starter.service.authorization import on_owned
from starter.service.forms import JoinForm
from starter.service.signups import Signups
from starter.service.temporal_errors import Closing, Over, asking
from store.registry import Registry
from store.roster import current


class Tenure(Signups):
    """Tenure, as people and programs use it: what may be seen and decided, and the ways into a trial."""

    # --- Decisions about a trial ----------------------------------------------------------------------------------------------

    async def act(self, domain: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """Ask a running trial for one of its decisions; returns what was done, in words. ``domain`` may be any host of the company."""
        try:
            return await self.act_on(self.workflow_of(domain), name, message, event_id)
        except (NotFound, Over):
            if name != CHANGE_DOMAIN.name:
                raise
        # The trial is over: a customer's instance may still move.
        key, registry = self.key_of(domain), Registry(self.ledger)
        return await self.decide(
            CHANGE_DOMAIN,
            ids.domain_change(key),
            message,
            event_id,
            carry=lambda decided, _: self._change_host(key, decided),
            owners=lambda roster: current(registry.owners_of(key), roster),
        )

    async def act_on(self, workflow_id: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """The same by workflow id, for a link that carries one."""
        known = {command.name: command for command in commands.of(commands.TRIAL)}
        if name not in known:
            raise BadInput(f"{name[:40]!r} cannot be asked of a trial", f"Ask one of: {', '.join(known)}")
        return await self.decide(known[name], workflow_id, message, event_id)

    async def open_link(self, workflow_id: str, email: str) -> str:
        """The reader of a mail opens the link in it, which confirms their claim: the vault's reference of the reset link that was made."""
        event, judge = self.event(workflow_id, "open_link", ""), on_owned(NEW_LINK.name, self._owners(workflow_id))
        async with self.authorization.decision(self.caller, judge, by=email, what="open_link", subject=workflow_id, event=event) as by:
            return await self.update(workflow_id, "open_link", OpenLink(by=by), event)

    async def _change_host(self, key: str, message: ChangeDomain) -> str:
        """Move the instance of a customer whose trial is over to a host of their own (A17, A20). One move at a time."""
        registry = Registry(self.ledger)
        owned, owners, known = await self.read(lambda: (registry.instance_of(key), registry.owners_of(key), registry.account_of(key)))
        if owned is None or owned.kind != "production":
            raise NotFound(f"{key} has no running instance to move", "A new signup starts a new trial")
        if why := refusals.refuse_host(message.new_host, owned.host):
            raise BadInput(why, "", field="new_host")
        in_a_channel = self.policy.trial.slack_mode == "channel"
        change = DomainChangeInput(
            domain=key,
            host=owned.host,
            internal_host=owned.internal or owned.host,
            new_host=message.new_host.strip().lower(),
            contact=Contact(email=owned.admin),
            by=message.by,
            ce=owners.ce,
            ae=owners.ae,
            company=known.account.name if known else "",
            channel=f"cloud-trial-{ids.company(key)}" if in_a_channel else self.settings.slack_alerts_channel,
            trial=ids.trial(key),
            **self.carried,
        )
        name, summary = ids.domain_change(key), f"{change.host} becomes {change.new_host}"
        try:
            await self.start("DomainChange", change, name, summary, id_conflict_policy=WorkflowIDConflictPolicy.FAIL)
        except Closing:
            raise Refused(f"a move to another host is under way already: answer the tasks of {name} first", "") from None
        return f"the admin is warned of what breaks; then {summary}"

    # --- Joins, and what an issue says ----------------------------------------------------------------------------------------

    async def join(self, form: JoinForm) -> str:
        """A colleague of an existing instance's admin is blocked and asks for an invitation (A22)."""
        address = self.outsider(form.email)
        if address.free_mail:
            raise Refused(f"{address.email} is no company address", "Ask with the address that belongs to the company of the instance")
        contact, trial = form.contact(address.email), ids.trial(address.key)
        await self.comes(contact)
        try:
            event = self.event(trial, "join", form.event_id, form.via, address.email)
            return await self.update(trial, "join", JoinAsk(contact=contact, via=form.via), event)
        except (NotFound, Over):
            pass  # the trial is over; the instance stays when it was converted
        owned = await self.read(lambda: Registry(self.ledger).instance_of(address.key))
        if owned is None:
            raise NotFound(f"{address.key} has no instance", "Sign up: the first of a company becomes its admin")
        name, admin = ids.join(address.key, address.email), owned.admin if owned.confirmed_at else ""
        ask = JoinInput(domain=address.key, contact=contact, host=owned.host, admin=admin, via=form.via, **self.carried)
        await self.start("JoinRequest", ask, name, f"Somebody wants to join {owned.host}", about="the join request")
        return f"the admin of {owned.host} is told, and the request is followed up" if admin else "the request is followed up"

    async def issue_event(self, workflow_id: str, event: IssueEvent) -> bool:
        """Tell a workflow what happened to one of its issues; False when it has ended and nobody waits for it any more."""
        try:
            with asking(workflow_id):
                await self.client.get_workflow_handle(workflow_id).signal("issue_event", event)
        except NotFound:
            return False
        return True

    async def late_word(self, workflow_id: str, issue: int) -> str:
        """Have the CE asked about an issue that was reopened after its workflow had ended; returns who asks, empty for a workflow that was never ours."""
        if not await self.read(lambda: self.ledger.effects(workflow=workflow_id)):
            return ""
        owners = await self.read(lambda: Registry(self.ledger).owners_of(ids.company_of(workflow_id)))
        ask = LateWordInput(workflow=workflow_id, issue=issue, ce=owners.ce, ae=owners.ae, **self.carried)
        name = ids.late_word(workflow_id, issue)
        await self.start("LateWord", ask, name, f"#{issue} was reopened after {workflow_id} had ended")
        return name
