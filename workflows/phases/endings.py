"""A15–A18: what a verdict does. Extension goes on; conversion and termination end the trial."""

from __future__ import annotations

from datetime import date, timedelta

from temporalio import workflow

from domain import decide, keys, ladder
from domain.acts import (
    ArchiveChannel,
    IssueKey,
    RaiseIssue,
    RegistryAnswer,
    RegistryChange,
    SetKey,
    UpdateOpportunity,
)
from domain.calendar import add_working_days, months_after
from domain.markup import bold, code
from domain.messages import Convert, Extend
from domain.people import Role
from domain.task import Choice, TaskSpec
from domain.trial import End, Extension, Stage, Verdict
from workflows.desk import card
from workflows.phases import building, changes, intake, room
from workflows.trial_process import TrialProcess


def extend(t: TrialProcess, message: Extend, by: str) -> None:
    """A15: the deadline moves at once, and the extension is asked of the Cloud team; a longer life needs a key of its own."""
    s = t.state
    if s.ends_at is None or s.started_at is None:
        raise ValueError("only a started trial is extended")
    days = decide.extension_days(t.policy, t.input.origin, message.days)
    longer = timedelta(days=days)
    s.period += 1
    before, s.ends_at = s.ends_at, s.ends_at + longer if s.ends_at + longer > workflow.now() else workflow.now() + longer
    s.extended = Extension(by=by, at=workflow.now(), before=before, until=s.ends_at)
    s.total_days = (s.ends_at - s.started_at).days
    t.enter(Stage.EXTENDED)
    t.spawn(_extended(t, s.period, days, message.reason))


async def _extended(t: TrialProcess, n: int, days: int, reason: str) -> None:
    s = t.state
    ends = f"{s.ends_at:%Y-%m-%d}"
    longest = s.ends_at or workflow.now()
    own_key = decide.needs_own_key(t.policy, s.total_days) or not keys.covers(t.policy, s.key_until, longest)
    t.spawn(t.effects.salesforce(changes.extended_until(t)))
    if own_key:
        t.spawn(changes.own_key(t, f"key.extend.{n}", keys.of_trial(t.policy, longest)))
    made = await t.effects.github(
        RaiseIssue(
            key=f"extend.{n}",
            title=f"Extend the trial of {s.company} by {days} days",
            intro=f"Please extend the trial on {s.host}.",
            fields={"customer": t.name, "host": s.host, "additional_days": str(days), "trial_ends_on": ends},
            labels=("team/cloud", "mi", "mi/extend-trial-request"),
        )
    )
    number = int(made.of(f"extend.{n}").ref or 0)
    s.issues = {**s.issues, f"extend-{n}": number}
    key = ", with a licence key of its own" if own_key else ""
    text = f"Extended by {days} days to {ends}{key}: #{number}. {reason}".strip()
    await t.effects.slack(t.said(f"slack.extend.{n}", text, s.owners.ce))


async def convert(t: TrialProcess, message: Convert) -> End:
    """A17: a new production subscription and key, never the trial's; the domain stays theirs."""
    s, terms = t.state, t.policy.license.production
    t.enter(Stage.CONVERTING)
    t.publish()
    kept = RegistryChange(
        subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="convert", host=s.host, why="converted"
    )
    await t.effects.local("registry", kept, RegistryAnswer, "the domain keeps its instance as a paid one; no more campaign mail")
    end = message.contract_end or months_after(workflow.now().date(), terms.term_months)
    fields: dict[str, str | bool | int | None] = {"Trial_Outcome__c": "converted", "Trial_Stage__c": "converted"}
    t.spawn(t.effects.salesforce(UpdateOpportunity(key="crm.outcome", fields=fields)))
    t.spawn(t.effects.mail(t.mail("converted", sender=Role.CE)))
    t.spawn(_production_key(t, message.seats or 1, end))
    made = await t.effects.github(
        RaiseIssue(
            key="convert",
            title=f"Convert the trial of {s.company} to paid",
            intro=f"Please make {s.host} a production instance: it must not be torn down.",
            fields={
                "customer": t.name,
                "host": s.host,
                "instance_type": "production",
                "seats": str(message.seats),
                "contract_end": f"{end:%Y-%m-%d}",
            },
            labels=("team/cloud", "mi", "mi/convert-request"),
        )
    )
    number = int(made.of("convert").ref or 0)
    s.issues = {**s.issues, "convert": number}
    text = f"{bold(s.company)} is a customer: {message.seats} seats until {end:%Y-%m-%d} (#{number}). A host of their own can be offered:"
    text += f" {code(f'tenure trial change-domain {t.input.domain} HOST')}."
    t.spawn(t.effects.slack(t.said("slack.converted", text, s.owners.ce, s.owners.ae)))
    t.enter(Stage.CONVERTED)
    return "converted"


async def _production_key(t: TrialProcess, seats: int, last_day: date) -> None:
    terms = t.policy.license.production
    issued = await t.effects.licensing(
        IssueKey(
            key="key.production",
            account=t.name,
            purpose="production",
            tags=(*terms.tags, f"customer:{t.name}"),
            seats=seats + terms.seat_buffer,
            expires_at=keys.through(t.policy.license, last_day),
        )
    )
    vault = issued.of("key.production").data.get("vault", "")
    await t.effects.instance(SetKey(key="instance.key.production", host=t.state.host, vault=vault))


async def terminate(t: TrialProcess, verdict: Verdict) -> End:
    """A16: notices, the teardown request, and when the Cloud team has done it, domain and capacity are free."""
    s = t.state
    why = verdict.decision.rule
    t.enter(Stage.TEARDOWN)
    t.publish()
    if verdict.terminate and verdict.terminate.feedback:
        s.feedback = s.feedback or "wanted"
    await _stop_mail(t, "terminated")
    fields: dict[str, str | bool | int | None] = {
        "Trial_Outcome__c": "terminated",
        "Trial_Stage__c": "terminated",
        "StageName": "Closed Lost",
    }
    t.spawn(t.effects.salesforce(UpdateOpportunity(key="crm.outcome", fields=fields)))
    t.spawn(t.effects.mail(t.mail("terminated", reason=why)))
    made = await t.effects.github(
        RaiseIssue(
            key="teardown",
            title=f"Tear down the trial of {s.company}",
            intro=f"Please tear {s.host} down; give {t.policy.termination.notice_hours} hour's notice in the channel first. The data cannot be recovered.",
            fields={"customer": t.name, "host": s.host, "reason": why},
            labels=("team/cloud", "mi", "mi/teardown-request"),
        )
    )
    number = int(made.of("teardown").ref or 0)
    s.issues = {**s.issues, "teardown": number}
    await _torn_down(t, number, why)
    await room.release(t)
    feedback(t)
    closing = t.said("slack.terminated", f"{s.host} is gone; domain and capacity are free.")
    t.spawn(t.effects.slack(closing, *((ArchiveChannel(key="slack.archive", name=s.channel),) if s.channel else ())))
    t.enter(Stage.TERMINATED)
    return "terminated"


async def _torn_down(t: TrialProcess, number: int, why: str) -> None:
    """Until the Cloud team has closed the issue as done, or says here that it is. One that it declines leaves the instance standing."""
    s = t.state
    due = add_working_days(t.policy.office, workflow.now(), t.policy.termination.teardown_working_days)
    manager = ladder.email(s.owners, Role.CE_MANAGER)
    task = t.desk.open(
        TaskSpec(
            kind="teardown",
            title=f"Tear down {s.host} (#{number})",
            asks="Close the issue when the instance is gone, or say so here.",
            role=Role.CLOUD,
            choices=(Choice(name="done", label="The instance is gone"),),
            due_at=due,
            ladder=ladder.ordinary(t.policy, due, "", ladder.email(s.owners, Role.CE), manager),
        ),
        t.talk()[0],
    )
    t.spawn(
        t.effects.slack(t.said("slack.terminating", f"The trial ends: {why} Teardown: #{number}.", s.owners.ce), card(task, t.talk()[1]))
    )
    told = False

    def heard() -> bool:
        return not task.is_open or number in s.closed_issues or (number in s.declined_issues and not told)

    while task.is_open and number not in s.closed_issues:
        poll = workflow.now() + timedelta(days=t.policy.termination.poll_days)
        if not await t.wait(heard, until=poll, summary=f"until {s.host} is torn down"):
            issue = await t.effects.issue(number) if number else None
            if issue:
                building.note_closing(t, number, issue.state, issue.reason)
        if number in s.declined_issues and not told and task.is_open:
            told = True
            text = f"#{number} was closed, but not as done: {s.host} still stands. Reopen it, or say here when the instance is gone."
            t.spawn(t.effects.slack(t.said("slack.teardown.declined", text, s.owners.ce)))
    t.desk.withdraw("teardown", f"{s.host} is gone")


async def before_the_start(t: TrialProcess) -> End:
    """A person ended it before it had started: the pending request is cancelled, or an instance already built is torn down."""
    s = t.state
    verdict = s.verdict
    if verdict is None:
        raise ValueError("ended early without a verdict")
    s.verdict = None
    if s.instance_live:
        return await terminate(t, verdict)
    await room.cancel(t, verdict.decision.rule)
    return await intake.disqualify(t, verdict.decision.rule)


async def opt_out(t: TrialProcess) -> None:
    """The prospect wants no more onboarding mail: none is sent from now on, not even one that waits for a retry."""
    t.state.opted_out = True
    t.desk.version += 1
    await _stop_mail(t, "the prospect opted out")


async def _stop_mail(t: TrialProcess, why: str) -> None:
    """No campaign mail from this moment on (A11)."""
    stop = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="stop_mail", why=why)
    await t.effects.local("registry", stop, RegistryAnswer, "no more campaign mail")


def feedback(t: TrialProcess) -> None:
    """A18: the growth role's mail, when the CE asked for it and the trial did not succeed."""
    s = t.state
    if s.feedback == "wanted":
        s.feedback = "sent"
        t.spawn(t.effects.mail(t.mail("feedback")))
