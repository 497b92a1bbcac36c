"""A9 (5)-(9): the instance request, its ``TODO``, and the wait until the Cloud team has built it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from domain import ladder
from domain.cloud.issues import host_of, is_ours
from domain.cloud.requests import AGAIN, word_on_instance
from domain.effects.github import FillField, RaiseIssue
from domain.effects.pagerduty import Page, ResolvePage
from domain.effects.registry import RegistryAnswer, RegistryChange
from domain.people import Role
from domain.task import Answer, Choice, FieldSpec, TaskKind
from domain.trial import decisions
from domain.trial.commands import Terminate
from domain.trial.state import Verdict
from workflows.frame.cloud_requests import CloudRequest, TeamTask
from workflows.trial import owning
from workflows.trial.process import EndedEarly, TrialProcess

READY = Choice(name="ready", label="Ready", fields=(FieldSpec(name="host", asks="the host of the instance"),))


def request(t: TrialProcess) -> CloudRequest:
    """The instance request: raised by itself (C04), or by hand when the policy says so. It may be raised again when it came to nothing."""
    s = t.state

    def raised(number: int, attempt: int) -> None:
        s.request_issue = number
        t.numbered("request")(number, attempt)
        if attempt == 1:  # the page of the first stands until an instance is there, and its SLA holds
            s.provisioning_due = ladder.provisioning_due(t.policy, workflow.now(), t.input.origin == "ce_requested")
            page = Page(key="page.request", summary=f"Cloud trial instance for {s.company}: issue #{number}", severity="warning")
            t.do(page)

    def overdue(number: int) -> None:
        late = f"The provisioning SLA of {s.company} is missed: issue #{number}"
        t.do(Page(key="page.sla", summary=late, severity="error"))

    return CloudRequest(
        name="provision",
        what=f"build {s.host}",
        issue=lambda: _issue(t),
        raised=raised,
        by_hand=partial(_raised_by_hand, t) if t.policy.provisioning.issue == "by_hand" else None,
        choices=(READY, AGAIN, Choice(name="end", label="Give up: the trial ends")),
        every=timedelta(hours=t.policy.provisioning.poll_hours),
        reads=lambda issue: word_on_instance(issue, (t.policy.cloud.domain_suffix,), s.taken_hosts),
        team=TeamTask(
            kind=TaskKind.PROVISION,
            asks="Label the issue when the instance is ready; or say here what became of it.",
            choices=(
                READY.model_copy(update={"fields": (FieldSpec(name="host", asks="the host, when it is another", required=False),)}),
                Choice(name="failed", label="Failed: say why in the note"),
            ),
            due=lambda: s.provisioning_due or workflow.now(),
            card=False,
        ),
        moot=lambda: t.over() if s.instance_live else s.verdict is not None,
        overdue=overdue,
    )


def _issue(t: TrialProcess) -> RaiseIssue:
    s = t.state
    return RaiseIssue(
        key="request",
        title=f"Cloud trial instance for {s.company}",
        intro=f"Please build a trial instance for {s.company}.",
        fields={
            "customer": t.name,
            "ce_email": t.email(Role.CE) or "TODO",
            "customer_email": t.contact.email,
            "email_domain": t.input.domain.rpartition("@")[2],
            "instance_type": "trial",
            "instance_size": s.request.size if s.request else "small",
            "host": s.host,
        },
        labels=("team/cloud", "mi", "mi/instance-request", "cloud-trial"),
    )


async def _raised_by_hand(t: TrialProcess, issue: RaiseIssue) -> int:
    fields = ", ".join(f"{name}: {value}" for name, value in issue.fields.items())
    raised = Choice(name="raised", label="Raised", fields=(FieldSpec(name="issue", asks="the issue's number", kind="integer"),))
    title, asks = f"Raise the instance request of {t.state.company}", f"Raise the issue with {fields}; then give its number."
    answer = await t.ask_or_end(t.spec(TaskKind.RAISE_REQUEST, title, asks, Role.AE, (raised,), t.policy.tasks.raise_request_hours))
    return int(str(answer.fields["issue"]))


async def provisioned(t: TrialProcess, asked: CloudRequest, number: int) -> None:
    """Until the instance is ready: by the issue's label, found by polling when no webhook came, or by the Cloud team's own word."""
    s = t.state
    ce_known = t.email(Role.CE) != ""
    if not ce_known:
        t.spawn(_ask_for_ce(t))
    said = await t.requests.carried_out(asked, number)
    while True:
        if said.choice == "moot":
            raise EndedEarly
        if said.choice == "end" and said.answer:
            ended = Terminate(by=said.answer.by, reason=said.answer.note or "the Cloud team builds no instance")
            t.take(Verdict(decision=decisions.by_person(t.policy, "terminate", ended.by, ended.reason, workflow.now()), terminate=ended))
            raise EndedEarly
        if said.choice == "failed" and said.answer:
            _failed(t, said.answer.note or "no reason given")
        else:
            s.ready_host = host_of(said.host) or s.host
            if not (why := await _not_registered(t)):
                break
            _failed(t, why)
            s.taken_hosts = [*s.taken_hosts, s.ready_host]
        said = await t.requests.carried_out(asked, said.number)
    s.host, s.instance_live = s.ready_host, True
    t.do(ResolvePage(key="page.ready", page="page.request"))
    if not ce_known:
        await t.wait_unless_ended(lambda: t.email(Role.CE) != "", summary="until the CE is known")


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


def _failed(t: TrialProcess, why: str) -> None:
    """The automated way broke: it goes on by hand, and everybody knows (A9)."""
    s = t.state
    n = sum(task.spec.kind == TaskKind.PROVISION for task in s.tasks)
    said = t.said(f"slack.provision-{n}.failed", f"Building {s.host} failed: {why}. It goes on by hand.", Role.CE)
    t.post(said)
    t.do(Page(key=f"page.provision-{n}.failed", summary=f"Provisioning of {s.host} failed: {why}", severity="error"))


async def _ask_for_ce(t: TrialProcess) -> None:
    """The ``TODO`` of the issue: without the CE's address nobody can hand the instance over."""
    choice = Choice(name="assign", label="Assign", fields=(FieldSpec(name="ce_email", asks="the CE's address", kind="email"),))
    title = f"Who is the CE of {t.state.company}?"
    asks = f"The request #{t.state.request_issue} has no CE yet: without the CE's address the instance cannot be handed over."
    answer = await t.ask(t.spec(TaskKind.CE_EMAIL, title, asks, Role.INBOUND_SDR, (choice,), t.policy.tasks.ce_email_hours))
    if answer is None:
        return
    email = str(answer.fields["ce_email"])
    await owning.owners(t, email)
    owning.find_owners(t)
    if number := t.state.request_issue:
        await t.do(FillField(key="request.ce_email", issue=number, field="ce_email", value=email))


def refuse_host(t: TrialProcess, answer: Answer) -> str | None:
    """Why the host that an answer names cannot be the instance's: our operators' token is sent there."""
    named = str(answer.fields.get("host") or "").strip()
    if not named or is_ours(host_of(named), (t.policy.cloud.domain_suffix,)):
        return None
    return f"{named!r} is no host below {t.policy.cloud.domain_suffix}, as {t.slug}.{t.policy.cloud.domain_suffix}"
