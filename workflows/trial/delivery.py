"""A5, A6, A9, A10, A28: owners, CRM, Slack, the instance (warm, or built by the Cloud team: its request, its ``TODO``, the wait), the reset link, and
the hand-over.
"""

from datetime import datetime, timedelta
from functools import partial

from temporalio import workflow

from domain import ladder, licence_keys
from domain.cloud.issues import host_of, is_ours
from domain.cloud.requests import word_on_instance
from domain.effects.github import FillField, RaiseIssue
from domain.effects.instance import CreateAdmin, InstanceEffect, SetKey
from domain.effects.mail import Mail
from domain.effects.pagerduty import Page, ResolvePage
from domain.effects.salesforce import AssignOwner, ConvertLead, SalesforceEffect, SetLeadStatus
from domain.effects.slack import OpenChannel, Post, SlackEffect
from domain.markup import bold
from domain.messages import INSTANT, TRIAGED, Case
from domain.people import Role
from domain.task import Answer, TaskKind
from domain.trial.commands import Terminate
from domain.trial.decisions import Course
from domain.trial.state import Stage, Verdict
from workflows.frame.cloud_requests import CloudRequest, TeamTask
from workflows.frame.effects import or_why
from workflows.trial import changes, intake, owning
from workflows.trial.process import EndedEarly, TrialProcess


async def instant(trial: TrialProcess) -> None:
    """Case 2 (A5, A6): the warm instance is theirs; everything else follows at once, each system on its own."""
    if trial.state.owners.sdr is None:
        await owning.owners(trial)  # a company that waited for room has none yet
    owning.find_owners(trial)
    trial.do(*_crm(trial, intake.lead(trial)))
    _tell(trial)
    if trial.policy.handoff.prequalified == "ce":
        await _hand_over(trial, 0)
        return
    start(trial, workflow.now())
    await open_instance(trial, "instant_access")


async def build(trial: TrialProcess) -> None:
    """Case 3.2 and CE requests (A9, A28): room is reserved already, the Cloud team builds, the CE hands over."""
    await owning.owners(trial, trial.state.request.ce if trial.state.request else "")
    owning.find_owners(trial)
    trial.enter(Stage.PROVISIONING)
    qualified = SetLeadStatus(key="crm.qualified", status="Working", sub_status="Approved trial")
    trial.do(*_crm(trial, qualified if trial.state.case in TRIAGED else intake.lead(trial)))
    request = _request(trial)
    number = await trial.requests.raised(request)
    _tell(trial, number)
    if trial.input.origin == "self_serve":
        trial.do(trial.mail("sdr_welcome", sender=Role.INBOUND_SDR))
    await _provisioned(trial, request, number)
    await _hand_over(trial, number)


def start(trial: TrialProcess, at: datetime) -> None:
    """The trial starts: the admin can use the instance now (handbook 2.4). Every deadline counts from here."""
    state, lengths = trial.state, trial.policy.trial
    state.total_days = (lengths.self_serve if trial.input.origin == "self_serve" else lengths.ce_requested).base_days
    state.started_at, state.ends_at = at, at + timedelta(days=state.total_days)
    state.claimed_at = at
    trial.enter(Stage.ONBOARDING)


def _crm(trial: TrialProcess, *first: SalesforceEffect) -> tuple[SalesforceEffect, ...]:
    """Assignment and conversion in the policy's order (C14); the opportunity stays in stage 1 (A19)."""
    state = trial.state
    owners, named = state.owners, state.case is Case.NAMED
    account = state.signup.account if state.signup else state.request.account if state.request else None
    assign = owning.assignment(trial, "crm.assign")
    convert = ConvertLead(key="crm.convert", account=account.id if account else "", opportunity=f"{state.company} - cloud trial")
    route = AssignOwner(key="crm.route", owner=owners.sdr.id, owner_name=owners.sdr.name) if named and owners.sdr else None
    ordered = (assign, convert) if trial.policy.assignment.order == "assign_then_convert" else (convert, assign)
    return (*first, *(act for act in (route, *ordered) if act))


def _tell(trial: TrialProcess, issue: int = 0) -> None:
    """What `#cloud-trial-alerts` reads of a signup that no card or waiting note has told it of; the trial's channel with CE and AE (C11: or only
    the thread under the alert), and who is who in it.
    """
    state, owners, told = trial.state, trial.state.owners, list[SlackEffect]()
    if state.alert == "slack.alert":
        said = f"{bold(state.company)} ({trial.input.domain.rpartition('@')[2]}) starts a cloud trial: case {state.case}, {state.host}."
        said += "".join(f"\n⚠️ {flag}" for flag in state.flags)
        told.append(Post(key="slack.alert", channel=trial.alerts_channel, text=said))
    if trial.policy.trial.slack_mode != "thread":
        state.channel = f"cloud-trial-{trial.name}"
        people = tuple(person.email for person in (owners.ce, owners.ae) if person)
        told.append(OpenChannel(key="slack.channel", name=state.channel, topic=f"Cloud trial of {state.company}", invite=people))
    ce, ae = (person.name if person else "to be assigned" for person in (owners.ce, owners.ae))
    lines = [f"{bold(state.company)} is yours: CE {ce}, AE {ae}."]
    lines += [f"Instance request: #{issue}"] if issue else [f"Instance: {state.host}"]
    lines += [f"_{note}_" for note in owners.notes]
    trial.do(*told, trial.said("slack.introduction", "\n".join(lines), Role.CE, Role.AE))


async def open_instance(trial: TrialProcess, template: str, *before: InstanceEffect) -> None:
    """Admin user and licence key; then the mail with the link to set a password, and the CE's welcome. ``before``: what is done first."""
    state = trial.state
    admin = CreateAdmin(key=trial.keyed("instance.admin"), host=state.host, email=trial.contact.email, name=trial.contact.name)
    key = (SetKey(key=trial.keyed("instance.key"), host=state.host),) if trial.input.origin == "self_serve" else ()
    # Worded before anything is awaited: meanwhile the claim may pass on, and what follows is the next one's own.
    if template == "instant_access":
        access = trial.mail("instant_access", link=True)
    else:
        access = trial.mail("access", sender=Role.CE, link=True, thread="mail.sdr_welcome" if trial.input.origin == "self_serve" else "")
    copies, ae = list[Mail](), state.owners.ae
    if access.sender and ae and ae.email != access.sender[1]:  # the same for the AE, without the link in it (decision 0001)
        about = {"key": f"{access.key}.copy", "to": ae.email, "to_name": ae.name, "copy_of": access.to}
        copies = [access.model_copy(update={**about, "link": "", "link_hours": 0, "thread": ""})]
    welcome = trial.mail("ce_welcome", sender=Role.CE)
    made = await trial.do(*before, admin, *key)
    state.admin = admin.email
    if key and (until := made.of(key[0].key).data.get("expires_at")):
        state.key_until = datetime.fromisoformat(until)
    trial.do(access, *copies, welcome)


async def _hand_over(trial: TrialProcess, number: int) -> None:
    """A9 (9)-(12): the CE makes the link and answers the welcome mail; or it goes by itself (C16). The trial starts with that mail."""
    state = trial.state
    trial.enter(Stage.HAND_OFF)
    text = f"{state.host} is ready" + (f" (#{number})." if number else ".")
    trial.post(Post(key="slack.ready", channel=trial.alerts_channel, under=state.alert, text=text))
    prequalified = state.case in INSTANT
    if (trial.policy.handoff.prequalified if prequalified else trial.policy.handoff.qualified) == "ce":
        await trial.ask_or_end(trial.spec(TaskKind.HAND_OVER))
    if trial.input.origin == "ce_requested":
        ends_at = workflow.now() + timedelta(days=trial.policy.trial.ce_requested.base_days)
        await changes.own_key(trial, "key.trial", licence_keys.of_trial(trial.policy, ends_at))
    start(trial, workflow.now())
    await open_instance(trial, "access")


# --- an instance that must be built (A9) ------------------------------------------------------------------------------------------


def _request(trial: TrialProcess) -> CloudRequest:
    """The instance request: raised by itself (C04), or by hand when the policy says so. It may be raised again when it came to nothing."""
    state = trial.state

    def raised(number: int, attempt: int) -> None:
        state.request_issue = number
        trial.keep_issue("request", number)
        if attempt == 1:  # the page of the first stands until an instance is there, and its SLA holds
            state.provisioning_due = ladder.provisioning_due(trial.policy, workflow.now(), trial.input.origin == "ce_requested")
            page = Page(key="page.request", summary=f"Cloud trial instance for {state.company}: issue #{number}", severity="warning")
            trial.do(page)

    def overdue(number: int) -> None:
        late = f"The provisioning SLA of {state.company} is missed: issue #{number}"
        trial.do(Page(key="page.sla", summary=late, severity="error"))

    return CloudRequest.of(
        trial,
        "provision",
        lambda: _fields(trial),
        key="request",
        raised=raised,
        by_hand=partial(_raised_by_hand, trial) if trial.policy.provisioning.issue == "by_hand" else None,
        every=timedelta(hours=trial.policy.provisioning.poll_hours),
        reads=lambda issue: word_on_instance(issue, (trial.policy.cloud.domain_suffix,), state.taken_hosts),
        team=TeamTask(TaskKind.PROVISION, lambda: state.provisioning_due or workflow.now(), card=False),
        moot=lambda: trial.over() if state.instance_live else state.verdict is not None,
        overdue=overdue,
    )


def _fields(trial: TrialProcess) -> dict[str, str]:
    return {
        "customer": trial.name,
        "ce_email": trial.email(Role.CE) or "TODO",
        "customer_email": trial.contact.email,
        "email_domain": trial.input.domain.rpartition("@")[2],
        "instance_type": "trial",
        "instance_size": trial.state.request.size if trial.state.request else "small",
        "host": trial.state.host,
    }


async def _raised_by_hand(trial: TrialProcess, issue: RaiseIssue) -> int:
    fields = ", ".join(f"{name}: {value}" for name, value in issue.fields.items())
    answer = await trial.ask_or_end(trial.spec(TaskKind.RAISE_REQUEST, fields=fields))
    return int(str(answer.fields["issue"]))


async def _provisioned(trial: TrialProcess, asked: CloudRequest, number: int) -> None:
    """Until the instance is ready: by the issue's label, found by polling when no webhook came, or by the Cloud team's own word."""
    state = trial.state
    ce_known = trial.email(Role.CE) != ""
    if not ce_known:
        trial.spawn(_ask_for_ce(trial))
    said = await trial.requests.carried_out(asked, number)
    while True:
        if said.choice == "moot":
            raise EndedEarly
        if said.choice == "end" and said.answer:
            ended = Terminate(by=said.answer.by, reason=said.answer.note or "the Cloud team builds no instance")
            trial.take(Verdict(decision=trial.by_person(Course.TERMINATE, ended.by, ended.reason), terminate=ended))
            raise EndedEarly
        if said.choice == "failed" and said.answer:
            _failed(trial, said.answer.note or "no reason given")
        else:
            state.ready_host = host_of(said.host) or state.host
            ready = trial.registry(f"{state.ready_host} is ready", change="ready", host=state.ready_host, admin=trial.contact.email)
            if not (why := (await or_why(ready))[1]):
                break  # else the registry would not have it: the host is another company's
            _failed(trial, why)
            state.taken_hosts = [*state.taken_hosts, state.ready_host]
        said = await trial.requests.carried_out(asked, said.number)
    state.host, state.instance_live = state.ready_host, True
    trial.do(ResolvePage(key="page.ready", page="page.request"))
    if not ce_known:
        await trial.wait_unless_ended(lambda: trial.email(Role.CE) != "", summary="until the CE is known")


def _failed(trial: TrialProcess, why: str) -> None:
    """The automated way broke: it goes on by hand, and everybody knows (A9)."""
    state = trial.state
    number = sum(task.spec.kind == TaskKind.PROVISION for task in state.tasks)
    trial.post(trial.said(f"slack.provision-{number}.failed", f"Building {state.host} failed: {why}. It goes on by hand.", Role.CE))
    trial.do(Page(key=f"page.provision-{number}.failed", summary=f"Provisioning of {state.host} failed: {why}", severity="error"))


async def _ask_for_ce(trial: TrialProcess) -> None:
    """The ``TODO`` of the issue: without the CE's address nobody can hand the instance over."""
    answer = await trial.ask(trial.spec(TaskKind.CE_EMAIL))
    if answer is None:
        return
    email = str(answer.fields["ce_email"])
    await owning.owners(trial, email)
    owning.find_owners(trial)
    if number := trial.state.request_issue:
        await trial.do(FillField(key="request.ce_email", issue=number, field="ce_email", value=email))


def refuse_host(trial: TrialProcess, answer: Answer) -> str | None:
    """Why the host that an answer names cannot be the instance's: our operators' token is sent there."""
    named = str(answer.fields.get("host") or "").strip()
    if not named or is_ours(host_of(named), (trial.policy.cloud.domain_suffix,)):
        return None
    return f"{named!r} is no host below {trial.policy.cloud.domain_suffix}, as {trial.slug}.{trial.policy.cloud.domain_suffix}"
