"""A9 (5)-(9): the instance request, its ``TODO``, and the wait until the Cloud team has built it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from domain import closing, ladder
from domain.acts import (
    FillField,
    Page,
    RaiseIssue,
    RegistryAnswer,
    RegistryChange,
    ResolvePage,
)
from domain.issues import is_ready
from domain.messages import IssueEvent
from domain.people import Role
from domain.task import Choice, FieldSpec, Task, TaskSpec
from workflows.phases import owning
from workflows.trial_process import TrialProcess


async def request_issue(t: TrialProcess) -> int:
    """The instance request: raised by itself (C04), or by hand when the policy says so."""
    s = t.state
    ce = ladder.email(s.owners, Role.CE)
    request = RaiseIssue(
        key="request",
        title=f"Cloud trial instance for {s.company}",
        intro=f"Please build a trial instance for {s.company}.",
        fields={
            "customer": t.name,
            "ce_email": ce or "TODO",
            "customer_email": t.contact.email,
            "email_domain": t.input.domain.rpartition("@")[2],
            "instance_type": "trial",
            "instance_size": s.request.size if s.request else "small",
            "host": s.host,
        },
        labels=("team/cloud", "mi", "mi/instance-request", "cloud-trial"),
    )
    if t.policy.provisioning.issue == "by_hand":
        number = await _raised_by_hand(t, request)
    else:
        number = int((await t.effects.github(request)).of("request").ref or 0)
    s.request_issue = number
    s.issues = {**s.issues, "request": number}
    page = Page(key="page.request", summary=f"Cloud trial instance for {s.company}: issue #{number}", severity="warning")
    t.spawn(t.effects.pagerduty(page))
    return number


async def _raised_by_hand(t: TrialProcess, request: RaiseIssue) -> int:
    due = ladder.due_in(t.policy, workflow.now(), t.policy.tasks.raise_request_hours)
    ae, manager = ladder.email(t.state.owners, Role.AE), ladder.email(t.state.owners, Role.CE_MANAGER)
    fields = ", ".join(f"{name}: {value}" for name, value in request.fields.items())
    answer = await t.ask_or_end(
        TaskSpec(
            kind="raise_request",
            title=f"Raise the instance request of {t.state.company}",
            asks=f"Raise the issue with {fields}; then give its number.",
            role=Role.AE,
            assignee=ae,
            choices=(Choice(name="raised", label="Raised", fields=(FieldSpec(name="issue", asks="the issue's number", kind="integer"),)),),
            due_at=due,
            ladder=ladder.ordinary(t.policy, due, ae, manager, manager),
        )
    )
    return int(str(answer.fields["issue"]))


async def provisioned(t: TrialProcess, number: int) -> None:
    """Until the instance is ready: by the issue's label, by polling when no webhook came, or by the Cloud team's own word."""
    s = t.state
    ce_known = ladder.email(s.owners, Role.CE) != ""
    if not ce_known:
        t.spawn(_ask_for_ce(t, number))
    due = ladder.provisioning_due(t.policy, workflow.now(), t.input.origin == "ce_requested")
    await _built(t, number, due)
    while why := await _not_registered(t):
        _failed(t, why)
        s.ready_host = ""
        await _built(t, number, due)
    t.desk.withdraw("provision", f"{s.ready_host} is ready")
    s.host, s.instance_live = s.ready_host, True
    t.spawn(t.effects.pagerduty(ResolvePage(key="page.ready", page="page.request")))
    if not ce_known:
        await t.wait_unless_ended(lambda: ladder.email(s.owners, Role.CE) != "", summary="until the CE is known")


async def _built(t: TrialProcess, number: int, due: datetime) -> None:
    """Until somebody says at which host the instance is."""
    s, breached = t.state, workflow.now() >= due
    task = t.desk.find_open("provision") or t.desk.open(_provision_spec(t, number, due), t.alerts_channel)
    while not s.ready_host:
        poll = workflow.now() + timedelta(hours=t.policy.provisioning.poll_hours)
        until = poll if breached else min(poll, due)
        if await t.wait_unless_ended(partial(_heard, t, task), until=until, summary=f"until {s.host} is built"):
            if s.labelled_ready:
                s.labelled_ready = False
                issue = await t.effects.issue(number)  # the label's own event names no host; the comment before it may
                s.ready_host = trusted(t, issue.host if issue else "")
            elif task.answer and task.answer.choice == "ready":
                s.ready_host = trusted(t, str(task.answer.fields.get("host", "")))
            elif task.answer:
                _failed(t, task.answer.note or "no reason given")
                task = t.desk.open(_provision_spec(t, number, due), t.alerts_channel)
            continue
        if not breached and workflow.now() >= due:
            breached = True
            late = f"The provisioning SLA of {s.company} is missed: issue #{number}"
            t.spawn(t.effects.pagerduty(Page(key="page.sla", summary=late, severity="error")))
        issue = await t.effects.issue(number) if number else None
        if issue and is_ready(issue.labels):
            s.ready_host = trusted(t, issue.host)


async def _not_registered(t: TrialProcess) -> str:
    """Put the host on record as the company's; returns why the registry would not have it: the host is another company's."""
    host = t.state.ready_host
    ready = RegistryChange(
        subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="ready", host=host, admin=t.contact.email
    )
    try:
        await t.effects.local("registry", ready, RegistryAnswer, f"{host} is ready")
    except FailureError as error:  # of a local activity it comes unwrapped
        if is_cancelled_exception(error):
            raise
        return str(error.cause or error)
    return ""


def _heard(t: TrialProcess, task: Task) -> bool:
    return bool(t.state.ready_host) or t.state.labelled_ready or not task.is_open


def _failed(t: TrialProcess, why: str) -> None:
    """The automated way broke: it goes on by hand, and everybody knows (A9)."""
    s = t.state
    n = sum(task.spec.kind == "provision" for task in s.tasks)
    said = t.said(f"slack.provision-{n}.failed", f"Building {s.host} failed: {why}. It goes on by hand.", s.owners.ce)
    t.spawn(t.effects.slack(said))
    t.spawn(
        t.effects.pagerduty(Page(key=f"page.provision-{n}.failed", summary=f"Provisioning of {s.host} failed: {why}", severity="error"))
    )


def _provision_spec(t: TrialProcess, number: int, due: datetime) -> TaskSpec:
    return TaskSpec(
        kind="provision",
        title=f"Build {t.state.host} (issue #{number})",
        asks="Label the issue when the instance is ready; or say here what became of it.",
        role=Role.CLOUD,
        choices=(
            Choice(name="ready", label="Ready", fields=(FieldSpec(name="host", asks="the host, when it is another", required=False),)),
            Choice(name="failed", label="Failed: say why in the note"),
        ),
        due_at=due,
        ladder=ladder.ordinary(t.policy, due, "", ladder.email(t.state.owners, Role.CE), ladder.email(t.state.owners, Role.CE_MANAGER)),
    )


async def _ask_for_ce(t: TrialProcess, number: int) -> None:
    """The ``TODO`` of the issue: without the CE's address nobody can hand the instance over."""
    due = ladder.due_in(t.policy, workflow.now(), t.policy.tasks.ce_email_hours)
    sdr, manager = ladder.email(t.state.owners, Role.INBOUND_SDR), ladder.email(t.state.owners, Role.CE_MANAGER)
    channel, under = t.talk()
    answer = await t.ask(
        TaskSpec(
            kind="ce_email",
            title=f"Who is the CE of {t.state.company}?",
            asks=f"The request #{number} has no CE yet: without the CE's address the instance cannot be handed over.",
            role=Role.INBOUND_SDR,
            assignee=sdr,
            choices=(Choice(name="assign", label="Assign", fields=(FieldSpec(name="ce_email", asks="the CE's address", kind="email"),)),),
            due_at=due,
            ladder=ladder.ordinary(t.policy, due, sdr, manager, manager),
        ),
        channel,
        under=under,
    )
    if answer is None:
        return
    email = str(answer.fields["ce_email"])
    await owning.owners(t, email)
    owning.find_owners(t)
    if number:
        await t.effects.github(FillField(key="request.ce_email", issue=number, field="ce_email", value=email))


def issue_event(t: TrialProcess, event: IssueEvent) -> None:
    """What an issue's webhook means for the trial: ready, done, or declined."""
    s = t.state
    if event.issue == s.request_issue and is_ready(event.labels) and not s.ready_host:
        if event.host:
            s.ready_host = trusted(t, event.host)
        else:
            s.labelled_ready = True
    note_closing(t, event.issue, event.state, event.reason)


def note_closing(t: TrialProcess, number: int, state: str, reason: str) -> None:
    """Note that an issue is closed, if it is: what it asks was done, or will not be."""
    s = t.state
    if closing.is_done(state, reason) and number not in s.closed_issues:
        s.closed_issues = [*s.closed_issues, number]
    if closing.is_declined(state, reason) and number not in s.declined_issues:
        s.declined_issues = [*s.declined_issues, number]


def trusted(t: TrialProcess, host: str) -> str:
    """The host that a comment names, if it is one of ours: our operators' token is sent there."""
    return host if host.endswith("." + t.policy.cloud.domain_suffix) else t.state.host
