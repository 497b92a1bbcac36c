"""What changes on a running instance: a new reset link (C17), another host (A20), a licence key of its own (A15, A28)."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

from domain import ids, licence_keys
from domain.effects.effect import Receipt
from domain.effects.instance import CreateAdmin, SetKey
from domain.effects.licensing import IssueKey
from domain.effects.registry import AskHost, RegistryAnswer, RegistryChange
from domain.effects.salesforce import UpdateOpportunity
from domain.messages import Case, DomainChangeInput
from domain.people import Role
from domain.task import FieldSpec, field_fault
from domain.trial import decisions
from domain.trial.commands import ChangeDomain, CorrectAdmin
from domain.trial.state import OPEN_TO_CORRECT, Stage
from workflows.frame import detached, messages
from workflows.trial import intake
from workflows.trial.process import TrialProcess


async def new_link(t: TrialProcess) -> None:
    """C17: a new link by mail. An earlier one works until one of them is opened, for only then a reset link is made on the instance."""
    t.state.links += 1
    await t.do(t.mail("new_link", key=f"mail.link-{t.state.links}", link=True))


async def correct_admin(t: TrialProcess, message: CorrectAdmin) -> str:
    """C17: the initial admin has another address than was typed. Mails go there from now on; a running instance gets them as its admin."""
    s, before = t.state, t.contact
    s.contact = before.model_copy(update={"email": message.email.strip()})
    s.former_admins = [*s.former_admins, before.email]
    at = workflow.now()
    s.confirmed_at, s.claimed_at = None, at if s.claimed_at else None  # another address has to be shown to be theirs
    decided = decisions.by_person(t.policy, "corrected", message.by, "the address of the admin was wrong", at)
    t.record(decided.model_copy(update={"what": "admin", "handbook": "C17"}))
    number = len(s.former_admins)
    change = RegistryChange(
        subject=t.effects.subject, domain=t.input.domain, as_of=at, change="admin", admin=s.contact.email, number=number
    )
    await t.effects.local("registry", change, RegistryAnswer, "the admin's address")
    t.spawn(_admin_follows(t, number))
    then = "a link is on its way there" if s.started_at else "mails go there from now on"
    return f"the admin's address is corrected: {then}"


async def _admin_follows(t: TrialProcess, number: int) -> None:
    s, key = t.state, f"admin-{number}"
    if s.stage is Stage.TRIAGE:
        t.do(intake.lead(t).model_copy(update={"key": f"crm.lead-{number}"}))
    else:
        said = (
            "The admin's address was corrected; whoever had the wrong one is no admin any more. Please correct the contact in the CRM too."
        )
        t.post(t.said(f"slack.{key}", said, Role.CE))
    if s.started_at is None:
        return  # the instance is handed over to the right address
    await workflow.wait_condition(lambda: s.admin != "" or s.end is not None)
    if s.admin in ("", t.contact.email):
        return
    admin = CreateAdmin(
        key=f"instance.{key}",
        host=s.host,
        email=t.contact.email,
        name=t.contact.name,
        instead_of=s.admin,
    )
    await t.do(admin)
    s.admin = admin.email
    await t.do(t.mail("new_link", key=f"mail.{key}", link=True))


def refuse_admin(t: TrialProcess, message: CorrectAdmin) -> str | None:
    """Why the admin's address cannot become this one now; None when it can."""
    s, email = t.state, message.email.strip()
    if s.contact is None or s.case is Case.HAS_INSTANCE or s.end is not None or s.stage not in OPEN_TO_CORRECT:
        return "there is no admin of an open trial to correct: sign them up instead"
    if "@" in t.input.domain:
        return "the signup is a person's of no company yet: they sign up again with the right address"
    if fault := field_fault(FieldSpec(name="email", asks="the admin's right address", kind="email"), email):
        return fault
    host = email.rpartition("@")[2].lower()
    if host != t.input.domain and not host.endswith(f".{t.input.domain}"):
        return f"the instance is {t.input.domain}'s: its admin has an address there; somebody of another company signs up themselves"
    if email.lower() == s.contact.email.lower():
        return "that is the admin's address already"
    return None


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
    begun = await detached.begin("DomainChange", change, id=id, summary=summary)
    messages.refuse(None if begun else f"a move to another host is under way already: answer the tasks of {id} first")
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
    issued = await t.do(
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
    await t.do(SetKey(key=f"instance.{key}", host=s.host, vault=receipt.data.get("vault", "")))
    return receipt


def keep_key(t: TrialProcess) -> None:
    """The trial is open still, and its key would end: it gets another one, however long people take to decide (C12)."""
    s, days = t.state, timedelta(days=t.policy.license.trial.waiting_days)
    open_until = max(s.ends_at or workflow.now(), workflow.now() + days)
    t.spawn(own_key(t, f"key.wait.{s.keys}", licence_keys.of_trial(t.policy, open_until)))


def extended_until(t: TrialProcess) -> UpdateOpportunity:
    """The CRM's copy of the trial's end."""
    ends = t.state.ends_at
    return UpdateOpportunity(key=f"crm.ends.{t.state.period}", fields={"Trial_Ends_On__c": f"{ends:%Y-%m-%d}" if ends else None})
