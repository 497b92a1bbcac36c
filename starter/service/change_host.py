"""What may be asked of an instance whose trial is over: it was converted, and is the customer's (A17, A20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.common import WorkflowIDConflictPolicy

from domain import ids
from domain.messages import Contact, DomainChangeInput
from domain.trial import decisions
from domain.trial.commands import CHANGE_DOMAIN, ChangeDomain
from starter.errors import BadInput, NotFound, Refused
from starter.service.authorization import on_owned
from starter.service.temporal_errors import Closing, asking
from store.registry import Registry
from store.roster import current

if TYPE_CHECKING:
    from starter.service.tenure import Tenure


async def change_host(tenure: Tenure, domain: str, message: ChangeDomain, event_id: str = "") -> str:
    """Move a customer's instance to a host of their own; returns what was done, in words. One move at a time."""
    key, registry = tenure.key_of(domain), Registry(tenure.ledger)
    judge = on_owned(CHANGE_DOMAIN.name, lambda roster: current(registry.owners_of(key), roster))
    what, name = f"change_domain new_host {message.new_host[:120]}", ids.domain_change(key)
    event = tenure.event(name, "change_domain", event_id)
    async with tenure.authorization.decision(tenure.caller, judge, by=message.by, what=what, subject=name, event=event) as by:
        return await _change_host(tenure, registry, key, message.model_copy(update={"by": by}))


async def _change_host(tenure: Tenure, registry: Registry, key: str, message: ChangeDomain) -> str:
    owned = await tenure.read(lambda: registry.instance_of(key))
    if owned is None or owned.kind != "production":
        raise NotFound(f"{key} has no running instance to move", "A new signup starts a new trial")
    if why := decisions.refuse_host(message.new_host, owned.host):
        raise BadInput(why, "", field="new_host")
    owners = await tenure.read(lambda: registry.owners_of(key))
    known = await tenure.read(lambda: registry.account_of(key))
    in_a_channel = tenure.policy.trial.slack_mode == "channel"
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
        channel=f"cloud-trial-{ids.company(key)}" if in_a_channel else tenure.settings.slack_alerts_channel,
        trial=ids.trial(key),
        policy=tenure.policy,
        alerts_channel=tenure.settings.slack_alerts_channel,
    )
    name, summary = ids.domain_change(key), f"{change.host} becomes {change.new_host}"
    try:
        with asking(name):
            await tenure.client.start_workflow(
                "DomainChange",
                change,
                id=name,
                task_queue=tenure.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=summary,
            )
    except Closing:
        raise Refused(f"a move to another host is under way already: answer the tasks of {name} first", "") from None
    return f"the admin is warned of what breaks; then {summary}"
