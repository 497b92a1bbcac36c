"""Gap 16: who looks after a trial, and what is done where nobody is eligible: sales ops is asked, and until then nothing ends by itself."""

from __future__ import annotations

from temporalio import workflow

from domain.effects.github import FillField
from domain.effects.registry import AskOwners
from domain.effects.salesforce import AssignOwner
from domain.effects.slack import OpenChannel
from domain.markup import bold
from domain.people import Owners, Role
from domain.task import Answer, Choice, FieldSpec, TaskKind, TaskSpec
from domain.trial.state import Stage
from workflows.trial.process import TrialProcess

#: The parts of a trial that somebody must have, and what they are called.
PARTS = {"sdr": "SDR", "ae": "AE", "ce": "CE"}
ROLES = {"sdr": Role.INBOUND_SDR, "ae": Role.AE, "ce": Role.CE}


def ask_owners(t: TrialProcess, ce_email: str = "") -> AskOwners:
    """The question who looks after the trial: those of a named account, else by round robin (A5, A6, A9)."""
    account = (t.state.signup.account if t.state.signup else None) or (t.state.request.account if t.state.request else None)
    named = account if account and account.named else None
    return AskOwners(
        subject=t.effects.subject,
        as_of=workflow.now(),
        domain=t.input.domain,
        account=account.id if account else "",
        named_sdr=named.named_sdr if named else None,
        ae=named.ae if named else None,
        ce=named.ce if named else None,
        ce_email=ce_email,
        appointed=t.state.appointed,
    )


async def owners(t: TrialProcess, ce_email: str = "") -> None:
    """Choose SDR, AE and CE, or replace whoever has left."""
    t.state.owners = await t.effects.local("owners", ask_owners(t, ce_email), Owners, "choose the owners")
    t.owner = t.email(Role.CE)


def unowned(t: TrialProcess) -> list[str]:
    """The parts that nobody has: where a CE asked for the trial there is no lead for an SDR."""
    parts = list(PARTS) if t.input.origin == "self_serve" else ["ae", "ce"]
    return [part for part in parts if getattr(t.state.owners, part) is None]


def is_owned(t: TrialProcess) -> bool:
    """Whether somebody looks after the trial. One without an AE or a CE is not ended by itself (gap 16)."""
    return t.state.owners.ae is not None and t.state.owners.ce is not None


def find_owners(t: TrialProcess) -> None:
    """Nobody was eligible as SDR, AE or CE: sales ops is asked to assign somebody, and chased until they did (gap 16)."""
    if not unowned(t):
        t.desk.withdraw(TaskKind.OWNERS, "everybody is found")
    elif t.desk.find_open(TaskKind.OWNERS) is None:
        t.spawn(_find_owners(t))


async def _find_owners(t: TrialProcess) -> None:
    why = ""
    while t.state.end is None and (missing := unowned(t)):
        before = t.state.owners
        answer = await t.ask(_owners_spec(t, before, missing, why), channel=t.alerts_channel)
        if answer is None:
            return  # settled elsewhere, or the trial is over
        why = await _appoint(t, answer)
        appointed(t, before)


async def _appoint(t: TrialProcess, answer: Answer) -> str:
    """Look again, with those whom sales ops named; why somebody could not be taken, in words."""
    given = {part: str(email).strip().lower() for part in PARTS if (email := answer.fields.get(part))}
    t.state.appointed = {**t.state.appointed, **given}
    await owners(t)
    refused = [f"{given[part]} is not among our people as one who may be its {PARTS[part]}" for part in given if part in unowned(t)]
    return "; ".join(refused)


def _owners_spec(t: TrialProcess, o: Owners, missing: list[str], why: str) -> TaskSpec:
    named = " and no ".join(PARTS[part] for part in missing)
    ops, manager, leader = (o.email(role) for role in (Role.SALES_OPS, Role.CE_MANAGER, Role.SALES_LEADERSHIP))
    asks = f"Nobody is eligible: {t.state.company} ({t.input.domain.rpartition('@')[2]}) has no {named}. Until somebody looks after it, it is not ended by itself."
    asks += f"\nIt was tried before: {why}." if why else ""
    fields = tuple(
        FieldSpec(name=part, asks=f"the {PARTS[part]}'s address; empty: whoever the CRM has by now", kind="email", required=False)
        for part in missing
    )
    choice = Choice(name="assign", label="Assign, or look in the CRM again", fields=fields)
    title, hours = f"Assign somebody to {t.state.company}: it has no {named}", t.policy.tasks.owners_hours
    return t.spec(TaskKind.OWNERS, title, asks, Role.SALES_OPS, (choice,), hours, asked=(ops, manager or leader, leader or manager))


def appointed(t: TrialProcess, before: Owners) -> None:
    """Whoever has a part from now on hears of it, in the trial's channel and by what is open already; the CRM has its owner."""
    s, o = t.state, t.state.owners
    new = {part: person for part in PARTS if (person := getattr(o, part)) is not None and getattr(before, part) is None}
    if not new:
        return
    n = sum(task.spec.kind == TaskKind.OWNERS for task in s.tasks)
    if s.channel:
        invite = tuple(person.email for person in new.values())
        t.do(OpenChannel(key=f"slack.channel.{n}", name=s.channel, topic=f"Cloud trial of {s.company}", invite=invite))
    who = ", ".join(f"{PARTS[part]} {person.name}" for part, person in new.items())
    t.post(t.said(f"slack.owners.{n}", f"{bold(s.company)} has from now on: {who}.", *(ROLES[part] for part in new)))
    if o.ae and ("ae" in new or "ce" in new):
        t.do(AssignOwner(key=f"crm.assign.{n}", owner=o.ae.id, owner_name=o.ae.name, ce=o.ce.id if o.ce else ""))
    if "ce" in new:
        t.desk.withdraw(TaskKind.CE_EMAIL, f"the CE is {new['ce'].name}")
        if s.request_issue and s.stage is Stage.PROVISIONING:
            email = new["ce"].email
            t.do(FillField(key="request.ce_email", issue=s.request_issue, field="ce_email", value=email))
    for task in s.tasks:
        given = o.email(task.spec.role)
        if task.is_open and not task.spec.assignee and given and task.spec.kind in (TaskKind.DEADLINE, TaskKind.HAND_OVER, TaskKind.TRIAGE):
            task.spec = task.spec.model_copy(update={"assignee": given})


async def somebody_triages(t: TrialProcess) -> None:
    """A lead for which no SDR is eligible would wait in silence: sales ops is asked, as for a trial (gap 16)."""
    s, why = t.state, ""
    while True:
        seen = await t.effects.local("owners", ask_owners(t).model_copy(update={"peek": True}), Owners, "is there an SDR for it")
        lead = t.desk.find_open(TaskKind.TRIAGE)
        if lead is None or t.desk.find_open(TaskKind.OWNERS):
            return
        if seen.sdr is not None:
            if "sdr" in s.appointed:
                lead.spec = lead.spec.model_copy(update={"assignee": seen.sdr.email})
            return
        answer = await t.ask(_owners_spec(t, seen, ["sdr"], why), channel=t.alerts_channel)
        if answer is None:
            return
        if email := str(answer.fields.get("sdr") or "").strip().lower():
            s.appointed, why = {**s.appointed, "sdr": email}, f"{email} is not among our people as one who may be its SDR"
