"""What changes on a running instance: a new reset link (C17), another host (A20), a licence key of its own (A15, A28)."""

from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow

from domain import ids, licence_keys
from domain.effects.instance import CreateAdmin, SetKey
from domain.effects.licensing import IssueKey
from domain.effects.registry import AskHost
from domain.effects.salesforce import UpdateOpportunity
from domain.messages import Case, DomainChangeInput
from domain.people import Role
from domain.task import FieldSpec, field_fault
from domain.trial import decisions, refusals
from domain.trial.commands import ChangeDomain, CorrectAdmin, NewLink
from domain.trial.state import OPEN_TO_CORRECT, OPEN_TO_DECIDE, Stage
from workflows.frame import detached, handlers
from workflows.frame.effects import local
from workflows.trial import intake
from workflows.trial.process import TrialProcess


def refuse_link(trial: TrialProcess, message: NewLink) -> str | None:
    """Why no new link is made: the instance must run, and an address that is named be its admin's."""
    if trial.state.stage not in OPEN_TO_DECIDE | {Stage.CONVERTING}:
        return "there is no running instance to make a link for"
    return trial.refuse_opening(message.to) if message.to else None


def new_link(trial: TrialProcess, _message: NewLink) -> str:
    """C17: a new link by mail. An earlier one works until one of them is opened, for only then a reset link is made on the instance."""
    trial.state.links += 1
    trial.do(trial.mail("new_link", key=f"mail.link-{trial.state.links}", link=True))
    return "a new link is on its way to the admin's mailbox"


async def correct_admin(trial: TrialProcess, message: CorrectAdmin) -> str:
    """C17: the initial admin has another address than was typed. Mails go there from now on; a running instance gets them as its admin."""
    state, before = trial.state, trial.contact
    state.contact = before.model_copy(update={"email": message.email.strip()})
    state.former_admins = [*state.former_admins, before.email]
    at = workflow.now()
    state.confirmed_at, state.claimed_at = None, at if state.claimed_at else None  # another address has to be shown to be theirs
    trial.record(decisions.corrected(trial.policy, message.by, at))
    number = len(state.former_admins)
    await trial.registry("the admin's address", change="admin", admin=state.contact.email, number=number)
    trial.spawn(_admin_follows(trial, number))
    then = "a link is on its way there" if state.started_at else "mails go there from now on"
    return f"the admin's address is corrected: {then}"


async def _admin_follows(trial: TrialProcess, number: int) -> None:
    state, key = trial.state, f"admin-{number}"
    if state.stage is Stage.TRIAGE:
        trial.do(intake.lead(trial).model_copy(update={"key": f"crm.lead-{number}"}))
    else:
        said = (
            "The admin's address was corrected; whoever had the wrong one is no admin any more. Please correct the contact in the CRM too."
        )
        trial.post(trial.said(f"slack.{key}", said, Role.CE))
    if state.started_at is None:
        return  # the instance is handed over to the right address
    await workflow.wait_condition(lambda: state.admin != "" or state.end is not None)
    if state.admin in ("", trial.contact.email):
        return
    who = trial.contact
    admin = CreateAdmin(key=f"instance.{key}", host=state.host, email=who.email, name=who.name, instead_of=state.admin)
    await trial.do(admin)
    state.admin = admin.email
    await trial.do(trial.mail("new_link", key=f"mail.{key}", link=True))


def refuse_admin(trial: TrialProcess, message: CorrectAdmin) -> str | None:
    """Why the admin's address cannot become this one now; None when it can."""
    state, email = trial.state, message.email.strip()
    if state.contact is None or state.case is Case.HAS_INSTANCE or state.end is not None or state.stage not in OPEN_TO_CORRECT:
        return "there is no admin of an open trial to correct: sign them up instead"
    if "@" in trial.input.domain:
        return "the signup is a person's of no company yet: they sign up again with the right address"
    if fault := field_fault(FieldSpec(name="email", asks="the admin's right address", kind="email"), email):
        return fault
    host = email.rpartition("@")[2].lower()
    if host != trial.input.domain and not host.endswith(f".{trial.input.domain}"):
        return f"the instance is {trial.input.domain}'s: its admin has an address there; somebody of another company signs up themselves"
    if email.lower() == state.contact.email.lower():
        return "that is the admin's address already"
    return None


def refuse_host(trial: TrialProcess, message: ChangeDomain) -> str | None:
    """Why the instance cannot move to a host: it must run, and the host be one."""
    if trial.state.stage not in OPEN_TO_DECIDE:
        return "there is no running instance to move"
    return refusals.refuse_host(message.new_host, trial.state.host)


async def change_domain(trial: TrialProcess, message: ChangeDomain) -> str:
    """A20: the instance gets a host of the customer's own; the AE hears of it, since it is a good time to talk."""
    state = trial.state
    change = DomainChangeInput(
        domain=trial.input.domain,
        host=state.host,
        internal_host=state.internal_host or state.host,
        new_host=message.new_host.strip().lower(),
        contact=trial.contact,
        by=message.by,
        ce=state.owners.ce,
        ae=state.owners.ae,
        company=state.company,
        channel=trial.talk()[0],
        trial=workflow.info().workflow_id,
        policy=trial.policy,
        alerts_channel=trial.alerts_channel,
    )
    summary = f"{change.host} becomes {change.new_host}"
    id = ids.domain_change(trial.input.domain)
    begun = await detached.begin("DomainChange", change, id=id, summary=summary)
    handlers.refuse(None if begun else f"a move to another host is under way already: answer the tasks of {id} first")
    return f"the admin is warned of what breaks; then {summary}"


async def rehosted(trial: TrialProcess) -> None:
    """The instance is where the registry says that it is, which nobody but a finished move writes."""
    host = await local("instance_host", AskHost(domain=trial.input.domain), str, "where is the instance now?")
    state = trial.state
    if host and host != state.host:
        state.internal_host, state.host = state.internal_host or state.host, host


async def own_key(trial: TrialProcess, key: str, until: datetime) -> None:
    """A licence key of the trial's own (A15, A28). A self-serve trial keeps what its generic key had: the tag ``plg-trial`` and the users (A24)."""
    state, terms, buffer = trial.state, trial.policy.license, trial.policy.license.production.seat_buffer
    state.key_until, state.keys = until, state.keys + 1
    if trial.input.origin == "self_serve":
        tags, seats = terms.generic.tags, terms.generic.seats
    else:
        tags, seats = terms.trial.tags, (state.request.seats if state.request else terms.trial.seats) + buffer
    await issue_key(trial, key, "trial", tags, seats, until)


async def issue_key(
    trial: TrialProcess, key: str, purpose: Literal["trial", "production"], tags: tuple[str, ...], seats: int, until: datetime
) -> None:
    """A licence key on a subscription of its own, put into the instance."""
    tags = (*tags, f"customer:{trial.name}")
    issued = await trial.do(IssueKey(key=key, account=trial.name, purpose=purpose, tags=tags, seats=seats, expires_at=until))
    await trial.do(SetKey(key=f"instance.{key}", host=trial.state.host, vault=issued.of(key).data.get("vault", "")))


def keep_key(trial: TrialProcess) -> None:
    """The trial is open still, and its key would end: it gets another one, however long people take to decide (C12)."""
    state, days = trial.state, timedelta(days=trial.policy.license.trial.waiting_days)
    open_until = max(state.ends_at or workflow.now(), workflow.now() + days)
    trial.spawn(own_key(trial, f"key.wait.{state.keys}", licence_keys.of_trial(trial.policy, open_until)))


def extended_until(trial: TrialProcess) -> UpdateOpportunity:
    """The CRM's copy of the trial's end."""
    ends = trial.state.ends_at
    return UpdateOpportunity(key=f"crm.ends.{trial.state.period}", fields={"Trial_Ends_On__c": f"{ends:%Y-%m-%d}" if ends else None})
