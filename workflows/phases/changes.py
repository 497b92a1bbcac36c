"""What changes on a running instance: a new reset link (C17), another host (A20), a licence key of its own (A15, A28)."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

from domain import ids, keys
from domain.acts import (
    AskHost,
    IssueKey,
    Receipt,
    ResetLink,
    SetKey,
    UpdateOpportunity,
)
from domain.messages import ChangeDomain, DomainChangeInput
from workflows import beside, inbox
from workflows.trial_process import TrialProcess


async def new_link(t: TrialProcess) -> None:
    """C17: a new reset link by mail; the previous one stops working."""
    s, h = t.state, t.policy.handoff
    s.links += 1
    key = f"link-{s.links}"
    made = await t.effects.instance(
        ResetLink(
            key=f"instance.{key}",
            host=s.host,
            email=t.contact.email,
            ttl_hours=h.reset_link_ttl_hours,
            share_ttl_hours=h.share_link_ttl_hours,
        )
    )
    await t.effects.mail(t.mail("new_link", key=f"mail.{key}", link=made.of(f"instance.{key}").data.get("link", "")))


async def change_domain(t: TrialProcess, message: ChangeDomain) -> str:
    """A20: the instance gets a host of the customer's own; the AE hears of it, since it is a good time to talk."""
    s = t.state
    change = DomainChangeInput(
        domain=t.input.domain,
        host=s.host,
        internal_host=s.internal_host or s.host,
        new_host=message.new_host.strip().lower(),
        contact=t.contact,
        by=message.by,
        ce=s.owners.ce,
        ae=s.owners.ae,
        company=s.company,
        channel=t.talk()[0],
        trial=workflow.info().workflow_id,
        policy=t.policy,
        alerts_channel=t.alerts_channel,
    )
    summary = f"{change.host} becomes {change.new_host}"
    id = ids.domain_change(t.input.domain)
    begun = await beside.begin("DomainChange", change, id=id, summary=summary)
    inbox.refuse(None if begun else f"a move to another host is under way already: answer the tasks of {id} first")
    return f"the admin is warned of what breaks; then {summary}"


async def rehosted(t: TrialProcess) -> None:
    """The instance is where the registry says that it is, which nobody but a finished move writes."""
    host = await t.effects.local("instance_host", AskHost(domain=t.input.domain), str, "where is the instance now?")
    s = t.state
    if host and host != s.host:
        s.internal_host, s.host = s.internal_host or s.host, host


async def own_key(t: TrialProcess, key: str, until: datetime) -> Receipt:
    """A licence key of the trial's own, on a subscription of its own, put into the instance (A15, A28).

    A self-serve trial keeps what its generic key had: the tag ``plg-trial`` and the users (A24).
    """
    s, terms, buffer = t.state, t.policy.license, t.policy.license.production.seat_buffer
    s.key_until, s.keys = until, s.keys + 1
    if t.input.origin == "self_serve":
        tags, seats = terms.generic.tags, terms.generic.seats
    else:
        tags, seats = terms.trial.tags, (s.request.seats if s.request else terms.trial.seats) + buffer
    issued = await t.effects.licensing(
        IssueKey(
            key=key,
            account=t.name,
            purpose="trial",
            tags=(*tags, f"customer:{t.name}"),
            seats=seats,
            expires_at=until,
        )
    )
    receipt = issued.of(key)
    await t.effects.instance(SetKey(key=f"instance.{key}", host=s.host, vault=receipt.data.get("vault", "")))
    return receipt


def keep_key(t: TrialProcess) -> None:
    """The trial is open still, and its key would end: it gets another one, however long people take to decide (C12)."""
    s, days = t.state, timedelta(days=t.policy.license.trial.waiting_days)
    open_until = max(s.ends_at or workflow.now(), workflow.now() + days)
    t.spawn(own_key(t, f"key.wait.{s.keys}", keys.of_trial(t.policy, open_until)))


def extended_until(t: TrialProcess) -> UpdateOpportunity:
    """The CRM's copy of the trial's end."""
    ends = t.state.ends_at
    return UpdateOpportunity(key=f"crm.ends.{t.state.period}", fields={"Trial_Ends_On__c": f"{ends:%Y-%m-%d}" if ends else None})
