"""A9 (5)-(9): the instance request, its ``TODO``, and the wait until the Cloud team has built it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from temporalio import workflow

from domain import ladder
from domain.cloud.issues import host_of, is_ours
from domain.cloud.requests import word_on_instance
from domain.effects.github import FillField, RaiseIssue
from domain.effects.pagerduty import Page, ResolvePage
from domain.people import Role
from domain.task import Answer, TaskKind
from domain.trial.commands import Terminate
from domain.trial.decisions import Course
from domain.trial.state import Verdict
from workflows.frame.cloud_requests import CloudRequest, TeamTask
from workflows.frame.effects import or_why
from workflows.trial import owning
from workflows.trial.process import EndedEarly, TrialProcess


def request(trial: TrialProcess) -> CloudRequest:
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


async def provisioned(trial: TrialProcess, asked: CloudRequest, number: int) -> None:
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
