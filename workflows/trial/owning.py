"""Gap 16: who looks after a trial, and what is done where nobody is eligible: sales ops is asked, and until then nothing ends by itself."""

from temporalio import workflow

from domain.effects.github import FillField
from domain.effects.registry import AskOwners
from domain.effects.salesforce import AssignOwner
from domain.effects.slack import OpenChannel
from domain.markup import bold
from domain.people import Owners, Role
from domain.task import Choice, FieldSpec, TaskKind, TaskSpec
from domain.trial.state import Stage
from workflows.frame.effects import local
from workflows.trial.process import TrialProcess

#: The parts of a trial that somebody must have, and what they are called.
PARTS = {"sdr": "SDR", "ae": "AE", "ce": "CE"}
ROLES = {"sdr": Role.INBOUND_SDR, "ae": Role.AE, "ce": Role.CE}


def ask_owners(trial: TrialProcess, ce_email: str = "") -> AskOwners:
    """The question who looks after the trial: those of a named account, else by round robin (A5, A6, A9)."""
    account = (trial.state.signup.account if trial.state.signup else None) or (trial.state.request.account if trial.state.request else None)
    named = account if account and account.named else None
    return AskOwners(
        subject=trial.effects.subject,
        as_of=workflow.now(),
        domain=trial.input.domain,
        account=account.id if account else "",
        named_sdr=named.named_sdr if named else None,
        ae=named.ae if named else None,
        ce=named.ce if named else None,
        ce_email=ce_email,
        appointed=trial.state.appointed,
    )


async def owners(trial: TrialProcess, ce_email: str = "") -> None:
    """Choose SDR, AE and CE, or replace whoever has left."""
    trial.state.owners = await local("owners", ask_owners(trial, ce_email), Owners, "choose the owners")
    trial.owner = trial.email(Role.CE)


def unowned(trial: TrialProcess) -> list[str]:
    """The parts that nobody has: where a CE asked for the trial there is no lead for an SDR."""
    parts = list(PARTS) if trial.input.origin == "self_serve" else ["ae", "ce"]
    return [part for part in parts if getattr(trial.state.owners, part) is None]


def is_owned(trial: TrialProcess) -> bool:
    """Whether somebody looks after the trial. One without an AE or a CE is not ended by itself (gap 16)."""
    return trial.state.owners.ae is not None and trial.state.owners.ce is not None


def find_owners(trial: TrialProcess) -> None:
    """Nobody was eligible as SDR, AE or CE: sales ops is asked to assign somebody, and chased until they did (gap 16)."""
    if not unowned(trial):
        trial.tasks.withdraw(TaskKind.OWNERS, "everybody is found")
    elif trial.tasks.find_open(TaskKind.OWNERS) is None:
        trial.spawn(_find_owners(trial))


async def _find_owners(trial: TrialProcess) -> None:
    why = ""
    while trial.state.end is None and (missing := unowned(trial)):
        before = trial.state.owners
        answer = await trial.ask(_owners_spec(trial, before, missing, why), channel=trial.alerts_channel)
        if answer is None:
            return  # settled elsewhere, or the trial is over
        given = {part: str(email).strip().lower() for part in PARTS if (email := answer.fields.get(part))}
        trial.state.appointed = {**trial.state.appointed, **given}
        await owners(trial)  # with those whom sales ops named
        left = [part for part in given if part in unowned(trial)]
        why = "; ".join(f"{given[part]} is not among our people as one who may be its {PARTS[part]}" for part in left)
        appointed(trial, before)


def _owners_spec(trial: TrialProcess, owners: Owners, missing: list[str], why: str) -> TaskSpec:
    ops, manager, leader = (owners.email(role) for role in (Role.SALES_OPS, Role.CE_MANAGER, Role.SALES_LEADERSHIP))
    whoever = "the {}'s address; empty: whoever the CRM has by now"
    fields = tuple(FieldSpec(name=part, asks=whoever.format(PARTS[part]), kind="email", required=False) for part in missing)
    choice = Choice(name="assign", label="Assign, or look in the CRM again", fields=fields)
    named, domain = " and no ".join(PARTS[part] for part in missing), trial.input.domain.rpartition("@")[2]
    before, asked = f"\nIt was tried before: {why}." if why else "", (ops, manager or leader, leader or manager)
    return trial.spec(TaskKind.OWNERS, named=named, domain=domain, before=before, choices=(choice,), asked=asked)


def assignment(trial: TrialProcess, key: str) -> AssignOwner | None:
    """The CRM's owner is the AE, with the CE beside them; None without an AE."""
    ae, ce = trial.state.owners.ae, trial.state.owners.ce
    return AssignOwner(key=key, owner=ae.id, owner_name=ae.name, ce=ce.id if ce else "") if ae else None


def appointed(trial: TrialProcess, before: Owners) -> None:
    """Whoever has a part from now on hears of it, in the trial's channel and by what is open already; the CRM has its owner."""
    state, owners = trial.state, trial.state.owners
    new = {part: person for part in PARTS if (person := getattr(owners, part)) is not None and getattr(before, part) is None}
    if not new:
        return
    number = sum(task.spec.kind == TaskKind.OWNERS for task in state.tasks)
    if state.channel:
        invite = tuple(person.email for person in new.values())
        trial.do(OpenChannel(key=f"slack.channel.{number}", name=state.channel, topic=f"Cloud trial of {state.company}", invite=invite))
    who = ", ".join(f"{PARTS[part]} {person.name}" for part, person in new.items())
    trial.post(trial.said(f"slack.owners.{number}", f"{bold(state.company)} has from now on: {who}.", *(ROLES[part] for part in new)))
    if (assigned := assignment(trial, f"crm.assign.{number}")) and ("ae" in new or "ce" in new):
        trial.do(assigned)
    if "ce" in new:
        trial.tasks.withdraw(TaskKind.CE_EMAIL, f"the CE is {new['ce'].name}")
        if state.request_issue and state.stage is Stage.PROVISIONING:
            email = new["ce"].email
            trial.do(FillField(key="request.ce_email", issue=state.request_issue, field="ce_email", value=email))
    for task in state.tasks:
        given = owners.email(task.spec.role)
        if task.is_open and not task.spec.assignee and given and task.spec.kind in (TaskKind.DEADLINE, TaskKind.HAND_OVER, TaskKind.TRIAGE):
            task.spec = task.spec.model_copy(update={"assignee": given})


async def somebody_triages(trial: TrialProcess) -> None:
    """A lead for which no SDR is eligible would wait in silence: sales ops is asked, as for a trial (gap 16)."""
    state, why = trial.state, ""
    while True:
        seen = await local("owners", ask_owners(trial).model_copy(update={"peek": True}), Owners, "is there an SDR for it")
        lead = trial.tasks.find_open(TaskKind.TRIAGE)
        if lead is None or trial.tasks.find_open(TaskKind.OWNERS):
            return
        if seen.sdr is not None:
            if "sdr" in state.appointed:
                lead.spec = lead.spec.model_copy(update={"assignee": seen.sdr.email})
            return
        answer = await trial.ask(_owners_spec(trial, seen, ["sdr"], why), channel=trial.alerts_channel)
        if answer is None:
            return
        if email := str(answer.fields.get("sdr") or "").strip().lower():
            state.appointed, why = {**state.appointed, "sdr": email}, f"{email} is not among our people as one who may be its SDR"
