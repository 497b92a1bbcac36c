"""A5, A6, A9, A10, A28: owners, CRM, Slack, the instance (warm or built by the Cloud team), the reset link, and the hand-over."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from temporalio import workflow
from temporalio.workflow import ParentClosePolicy

from domain import ids, ladder
from domain.acts import (
    AssignOwner,
    CloseIssue,
    ConvertLead,
    CreateAdmin,
    FillField,
    IssueKey,
    OpenChannel,
    Page,
    Post,
    RaiseIssue,
    Receipt,
    RegistryAnswer,
    RegistryChange,
    ResetLink,
    ResolvePage,
    SalesforceAct,
    SetKey,
    SetLeadStatus,
    SlackAct,
    UpdateOpportunity,
)
from domain.messages import ChangeDomain, DomainChangeInput
from domain.people import Role
from domain.task import Choice, FieldSpec, Task, TaskSpec
from domain.trial import Stage
from workflows.phases import intake
from workflows.trial_process import TrialProcess


async def instant(t: TrialProcess) -> None:
    """Case 2 (A5, A6): the warm instance is theirs; everything else follows at once, each system on its own."""
    await intake.owners(t)
    t.spawn(t.effects.salesforce(*_crm(t, intake.lead(t))))
    t.spawn(t.effects.slack(*_alert(t), *_channel(t), _introduction(t)))
    if t.policy.handoff.prequalified == "ce":
        await _hand_over(t, 0)
        return
    start(t, workflow.now())
    await _open_instance(t, "instant_access")


async def build(t: TrialProcess) -> None:
    """Case 3.2 and CE requests (A9, A28): room is reserved, the Cloud team builds, the CE hands over."""
    await _room(t)
    await intake.owners(t, t.state.request.ce if t.state.request else "")
    t.enter(Stage.PROVISIONING)
    first: tuple[SalesforceAct, ...] = (
        (SetLeadStatus(key="crm.qualified", status="Working", sub_status="Approved trial"),)
        if t.state.case in ("3", "free_mail")
        else (intake.lead(t),)
    )
    t.spawn(t.effects.salesforce(*_crm(t, *first)))
    number = await _request_issue(t)
    t.spawn(t.effects.slack(*_alert(t), *_channel(t), _introduction(t, number)))
    if t.input.origin == "self_serve":
        t.spawn(t.effects.mail(t.mail("sdr_welcome", sender=Role.INBOUND_SDR)))
    await _provisioned(t, number)
    await _hand_over(t, number)


def start(t: TrialProcess, at: datetime) -> None:
    """The trial starts: the admin can use the instance now (handbook 2.4). Every deadline counts from here."""
    s, lengths = t.state, t.policy.trial
    s.total_days = (lengths.self_serve if t.input.origin == "self_serve" else lengths.ce_requested).base_days
    s.started_at, s.ends_at = at, at + timedelta(days=s.total_days)
    t.enter(Stage.ONBOARDING)


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
    s.domain_changes += 1
    channel = t.talk()[0]
    await workflow.start_child_workflow(
        "DomainChange",
        DomainChangeInput(
            domain=t.input.domain,
            host=s.host,
            new_host=message.new_host.strip().lower(),
            contact=t.contact,
            by=message.by,
            ce=s.owners.ce,
            ae=s.owners.ae,
            company=s.company,
            channel=channel,
            trial=workflow.info().workflow_id,
            policy=t.policy,
            alerts_channel=t.alerts_channel,
        ),
        id=ids.domain_change(t.input.domain, s.domain_changes),
        parent_close_policy=ParentClosePolicy.ABANDON,
        static_summary=f"{s.host} becomes {message.new_host}",
    )
    return f"the admin is warned of what breaks; then {s.host} becomes {message.new_host}"


async def cancel(t: TrialProcess, why: str) -> None:
    """A trial that ended before it started: the pending request is cancelled, the page resolved, the room freed."""
    s = t.state
    if s.request_issue:
        text = f"This request is cancelled: {why}"
        t.spawn(t.effects.github(CloseIssue(key="request.cancel", issue=s.request_issue, reason="not_planned", text=text)))
        t.spawn(t.effects.pagerduty(ResolvePage(key="page.cancel", page="page.request")))
    await release(t)


async def release(t: TrialProcess) -> None:
    """Free domain and capacity, and tell the company that waits longest."""
    gone = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="release")
    freed = await t.effects.local("registry", gone, RegistryAnswer, "free domain and capacity")
    if freed.waiting:
        await t.effects.tell(ids.trial(freed.waiting), "capacity_freed")


# --- the steps, in the order of build() --------------------------------------------------------------------------------------------


async def wait_for_room(t: TrialProcess, *, warm: bool) -> None:
    """A26: the cap is reached. The company waits its turn, is told so, and is served as soon as an instance is released."""
    s = t.state
    t.enter(Stage.WAITLISTED)
    full = f"*{s.company}* waits for room: the cap of {t.policy.cloud.instance_cap} instances is reached."
    t.spawn(
        t.effects.slack(
            Post(key="slack.waitlisted", channel=t.alerts_channel, under="" if s.alert == "slack.alert" else s.alert, text=full)
        )
    )
    s.alert = "slack.waitlisted" if s.alert == "slack.alert" else s.alert
    t.spawn(t.effects.mail(t.mail("waitlisted")))
    queue = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="wait")
    await t.effects.local("registry", queue, RegistryAnswer, "join the waiting list")
    while True:
        s.capacity_freed = False
        recheck = workflow.now() + timedelta(hours=t.policy.cloud.wait_recheck_hours)
        await t.wait_unless_ended(lambda: s.capacity_freed, until=recheck, summary="waits for room on the cloud")
        if (await intake.claim(t, warm=warm)).outcome != "full":
            return


async def _room(t: TrialProcess) -> None:
    claimed = await intake.claim(t, warm=False)
    if claimed.outcome == "full":
        await wait_for_room(t, warm=False)


def _crm(t: TrialProcess, *first: SalesforceAct) -> tuple[SalesforceAct, ...]:
    """Assignment and conversion in the policy's order (C14); the opportunity stays in stage 1 (A19)."""
    s = t.state
    o, named = s.owners, s.case == "2.1"
    account = s.signup.account if s.signup else s.request.account if s.request else None
    assign = AssignOwner(key="crm.assign", owner=o.ae.id, owner_name=o.ae.name, ce=o.ce.id if o.ce else "") if o.ae else None
    convert = ConvertLead(key="crm.convert", account=account.id if account else "", opportunity=f"{s.company} - cloud trial")
    route = AssignOwner(key="crm.route", owner=o.sdr.id, owner_name=o.sdr.name) if named and o.sdr else None
    ordered = (assign, convert) if t.policy.assignment.order == "assign_then_convert" else (convert, assign)
    return (*first, *(act for act in (route, *ordered) if act))


def _alert(t: TrialProcess) -> tuple[Post, ...]:
    """What `#cloud-trial-alerts` reads of a signup that no card or waiting note has told it of."""
    s = t.state
    if s.alert != "slack.alert":
        return ()
    said = f"*{s.company}* ({t.input.domain.rpartition('@')[2]}) starts a cloud trial: case {s.case}, {s.host}."
    errors = [d.rule.partition("Data error: ")[2] for d in s.decisions if "Data error" in d.rule]
    return (Post(key="slack.alert", channel=t.alerts_channel, text=said + "".join(f"\n:warning: {error}" for error in errors)),)


def _channel(t: TrialProcess) -> tuple[SlackAct, ...]:
    """The trial's channel with CE and AE (C11: or only the thread under the alert)."""
    if t.policy.trial.slack_mode == "thread":
        return ()
    o = t.state.owners
    t.state.channel = f"cloud-trial-{t.name}"
    people = tuple(person.email for person in (o.ce, o.ae) if person)
    return (OpenChannel(key="slack.channel", name=t.state.channel, topic=f"Cloud trial of {t.state.company}", invite=people),)


def _introduction(t: TrialProcess, issue: int = 0) -> Post:
    o = t.state.owners
    lines = [f"*{t.state.company}* is yours: CE {o.ce.name if o.ce else 'to be assigned'}, AE {o.ae.name if o.ae else 'to be assigned'}."]
    lines += [f"Instance request: #{issue}"] if issue else [f"Instance: {t.state.host}"]
    lines += [f"_{note}_" for note in o.notes]
    return t.said("slack.introduction", "\n".join(lines), o.ce, o.ae)


async def _open_instance(t: TrialProcess, template: str) -> None:
    """Admin user, reset link and licence key; then the mail with the link, and the CE's welcome."""
    s, h = t.state, t.policy.handoff
    admin = CreateAdmin(
        key="instance.admin",
        host=s.host,
        email=t.contact.email,
        name=t.contact.name,
        ttl_hours=h.reset_link_ttl_hours,
        share_ttl_hours=h.share_link_ttl_hours,
    )
    key = (SetKey(key="instance.key", host=s.host),) if t.input.origin == "self_serve" else ()
    made = await t.effects.instance(admin, *key)
    link = made.of("instance.admin").data.get("link", "")
    if template == "instant_access":
        access = t.mail("instant_access", link=link)
    else:
        access = t.mail("access", sender=Role.CE, link=link, thread="mail.sdr_welcome" if t.input.origin == "self_serve" else "")
    t.spawn(t.effects.mail(access, t.mail("ce_welcome", sender=Role.CE)))


async def _request_issue(t: TrialProcess) -> int:
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


async def _provisioned(t: TrialProcess, number: int) -> None:
    """Until the instance is ready: by the issue's label, by polling when no webhook came, or by the Cloud team's own word."""
    s = t.state
    ce_known = ladder.email(s.owners, Role.CE) != ""
    if not ce_known:
        t.spawn(_ask_for_ce(t, number))
    due = ladder.provisioning_due(t.policy, workflow.now(), t.input.origin == "ce_requested")
    breached = False
    task = t.desk.open(_provision_spec(t, number, due), t.alerts_channel)
    while not s.ready_host:
        poll = workflow.now() + timedelta(hours=t.policy.provisioning.poll_hours)
        until = poll if breached else min(poll, due)
        if await t.wait_unless_ended(partial(_heard, t, task), until=until, summary=f"until {s.host} is built"):
            if task.answer and task.answer.choice == "ready":
                s.ready_host = intake.trusted(t, str(task.answer.fields.get("host", "")))
            elif task.answer:
                _failed(t, task)
                task = t.desk.open(_provision_spec(t, number, due), t.alerts_channel)
            continue
        if not breached and workflow.now() >= due:
            breached = True
            late = f"The provisioning SLA of {s.company} is missed: issue #{number}"
            t.spawn(t.effects.pagerduty(Page(key="page.sla", summary=late, severity="error")))
        issue = await t.effects.issue(number) if number else None
        if issue and intake.READY in issue.labels:
            s.ready_host = intake.trusted(t, issue.host)
    t.desk.withdraw("provision", f"{s.ready_host} is ready")
    s.host, s.instance_live = s.ready_host, True
    ready = RegistryChange(
        subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="ready", host=s.host, admin=t.contact.email
    )
    await t.effects.local("registry", ready, RegistryAnswer, f"{s.host} is ready")
    t.spawn(t.effects.pagerduty(ResolvePage(key="page.ready", page="page.request")))
    if not ce_known:
        await t.wait_unless_ended(lambda: ladder.email(s.owners, Role.CE) != "", summary="until the CE is known")


def _heard(t: TrialProcess, task: Task) -> bool:
    return bool(t.state.ready_host) or not task.is_open


def _failed(t: TrialProcess, task: Task) -> None:
    """The automated way broke: it goes on by hand, and everybody knows (A9)."""
    s, why = t.state, (task.answer.note if task.answer else "") or "no reason given"
    said = t.said(f"slack.{task.id}.failed", f"Building {s.host} failed: {why}. It goes on by hand.", s.owners.ce)
    t.spawn(t.effects.slack(said))
    t.spawn(t.effects.pagerduty(Page(key=f"page.{task.id}.failed", summary=f"Provisioning of {s.host} failed: {why}", severity="error")))


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
    await intake.owners(t, email)
    if number:
        await t.effects.github(FillField(key="request.ce_email", issue=number, field="ce_email", value=email))


async def _hand_over(t: TrialProcess, number: int) -> None:
    """A9 (9)-(12): the CE makes the link and answers the welcome mail; or it goes by itself (C16). The trial starts with that mail."""
    s, o = t.state, t.state.owners
    t.enter(Stage.HAND_OFF)
    t.spawn(
        t.effects.slack(
            Post(
                key="slack.ready",
                channel=t.alerts_channel,
                under=s.alert,
                text=f"{s.host} is ready" + (f" (#{number})." if number else "."),
            )
        )
    )
    prequalified = s.case in ("2.1", "2.2")
    if (t.policy.handoff.prequalified if prequalified else t.policy.handoff.qualified) == "ce":
        ce, ae, manager = (ladder.email(o, role) for role in (Role.CE, Role.AE, Role.CE_MANAGER))
        due = ladder.due_in(t.policy, workflow.now(), t.policy.tasks.ce_hand_off_hours)
        await t.ask_or_end(
            TaskSpec(
                kind="hand_over",
                title=f"Hand {s.host} over to {s.company}",
                asks="Check the instance, then hand over: the reset link is made and your answer to the welcome mail is sent.",
                role=Role.CE,
                assignee=ce,
                choices=(Choice(name="hand_over", label="Hand over"),),
                due_at=due,
                ladder=ladder.ordinary(t.policy, due, ce, ae, manager),
            )
        )
    if t.input.origin == "ce_requested":
        await own_key(t, "key.trial", t.policy.trial.ce_requested.base_days)
    start(t, workflow.now())
    await _open_instance(t, "access")


async def own_key(t: TrialProcess, key: str, days: int) -> Receipt:
    """A licence key of the trial's own, on a subscription of its own, put into the instance (A15, A28)."""
    s = t.state
    issued = await t.effects.licensing(
        IssueKey(
            key=key,
            account=t.name,
            purpose="trial",
            tags=(*t.policy.license.trial.tags, f"customer:{t.name}"),
            seats=(s.request.seats if s.request else t.policy.license.trial.seats) + t.policy.license.production.seat_buffer,
            expires_at=(s.started_at or workflow.now()) + timedelta(days=days),
        )
    )
    receipt = issued.of(key)
    await t.effects.instance(SetKey(key=f"instance.{key}", host=s.host, vault=receipt.data.get("vault", "")))
    return receipt


def extended_until(t: TrialProcess) -> UpdateOpportunity:
    """The CRM's copy of the trial's end."""
    ends = t.state.ends_at
    return UpdateOpportunity(key=f"crm.ends.{t.state.period}", fields={"Trial_Ends_On__c": f"{ends:%Y-%m-%d}" if ends else None})
