"""A15–A18: what a verdict does. Extension goes on; conversion and termination end the trial."""

from __future__ import annotations

from datetime import date, timedelta

from temporalio import workflow

from domain import ladder, licence_keys
from domain.calendar import add_working_days, months_after
from domain.cloud.requests import AGAIN, DONE
from domain.effects.github import RaiseIssue
from domain.effects.instance import SetKey
from domain.effects.licensing import IssueKey
from domain.effects.registry import RegistryAnswer, RegistryChange
from domain.effects.salesforce import UpdateOpportunity
from domain.effects.slack import ArchiveChannel
from domain.markup import bold, code
from domain.people import Role
from domain.task import Answer, Choice, TaskKind
from domain.trial import decisions
from domain.trial.agenda import agenda
from domain.trial.commands import Convert, Extend
from domain.trial.state import End, Extension, Stage, Verdict
from workflows.frame.cloud_requests import CloudRequest, TeamTask
from workflows.trial import capacity, changes, intake
from workflows.trial.process import TrialProcess

TAKE_BACK = Choice(name="take_back", label="Take the extension back: the trial ends as before it")


def extend(t: TrialProcess, message: Extend, by: str) -> None:
    """A15: the deadline moves at once, and the extension is asked of the Cloud team; a longer life needs a key of its own."""
    s = t.state
    if s.ends_at is None or s.started_at is None:
        raise ValueError("only a started trial is extended")
    days = decisions.extension_days(t.policy, t.input.origin, message.days)
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
    own_key = decisions.needs_own_key(t.policy, s.total_days) or not licence_keys.covers(t.policy, s.key_until, longest)
    t.do(changes.extended_until(t))
    if own_key:
        t.spawn(changes.own_key(t, f"key.extend.{n}", licence_keys.of_trial(t.policy, longest)))

    def raised(number: int, attempt: int) -> None:
        t.numbered(f"extend-{n}")(number, attempt)
        if attempt == 1:
            key = ", with a licence key of its own" if own_key else ""
            text = f"Extended by {days} days to {ends}{key}: #{number}. {reason}".strip()
            t.post(t.said(f"slack.extend.{n}", text, Role.CE))

    request = CloudRequest(
        name=f"extension-{n}",
        what=f"extend the trial on {s.host} by {days} days",
        issue=lambda: RaiseIssue(
            key=f"extend.{n}",
            title=f"Extend the trial of {s.company} by {days} days",
            intro=f"Please extend the trial on {s.host}.",
            fields={"customer": t.name, "host": s.host, "additional_days": str(days), "trial_ends_on": ends},
            labels=("team/cloud", "mi", "mi/extend-trial-request"),
        ),
        raised=raised,
        choices=(AGAIN, DONE, TAKE_BACK),
        every=timedelta(days=t.policy.termination.poll_days),
        moot=t.over,
        undo=(TAKE_BACK,),
        undone=lambda answer: _taken_back(t, n, days, answer),
    )
    said = await t.requests.carried_out(request)
    if said.choice == TAKE_BACK.name and said.answer:
        _taken_back(t, n, days, said.answer)


def _taken_back(t: TrialProcess, n: int, days: int, answer: Answer) -> None:
    """The Cloud team does not extend it: the trial ends when it would have ended without, and whoever owns it decides what then."""
    s = t.state
    if s.ends_at is None or s.started_at is None or t.over():
        return
    t.record(decisions.by_person(t.policy, "take back", answer.by, answer.note or f"extension {n} is not made", workflow.now(), s.usage))
    s.period += 1
    s.ends_at, s.extended = max(s.ends_at - timedelta(days=days), workflow.now()), None
    s.total_days = (s.ends_at - s.started_at).days
    t.desk.withdraw(TaskKind.DEADLINE, f"extension {n} was taken back")
    t.do(changes.extended_until(t))
    text = f"Extension {n} is taken back: the trial ends on {s.ends_at:%Y-%m-%d}."
    t.post(t.said(f"slack.extend.{n}.back", text, Role.CE))


async def convert(t: TrialProcess, message: Convert) -> End | None:
    """A17: a new production subscription and key, never the trial's; the domain stays theirs.

    Nobody is told that it is a customer's, and no key of a customer is made, before the Cloud team has made the instance a production one, which
    is not torn down. Taken back, the trial goes on as it was: None.
    """
    s, terms, before = t.state, t.policy.license.production, t.state.stage
    t.enter(Stage.CONVERTING)
    t.publish()
    end = message.contract_end or months_after(workflow.now().date(), terms.term_months)
    t.spawn(_keep_key(t))
    said = await t.requests.carried_out(_conversion(t, message, end))
    if said.choice == TAKE_BACK.name and said.answer:
        why = said.answer.note or "the conversion is not made"
        t.record(decisions.by_person(t.policy, "take back", said.answer.by, why, workflow.now(), s.usage))
        back = t.said(f"slack.convert.back-{s.issues['convert']}", f"{s.host} stays on trial: {why}.", Role.CE, Role.AE)
        t.post(back)
        t.enter(before)
        return None
    kept = RegistryChange(
        subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="convert", host=s.host, why="converted"
    )
    await t.effects.local("registry", kept, RegistryAnswer, "the domain keeps its instance as a paid one; no more campaign mail")
    fields: dict[str, str | bool | int | None] = {"Trial_Outcome__c": "converted", "Trial_Stage__c": "converted"}
    t.do(UpdateOpportunity(key="crm.outcome", fields=fields))
    t.do(t.mail("converted", sender=Role.CE))
    t.spawn(_production_key(t, message.seats or 1, end))
    text = (
        f"{bold(s.company)} is a customer: {message.seats} seats until {end:%Y-%m-%d} (#{said.number}). A host of their own can be offered:"
    )
    text += f" {code(f'tenure trial change-domain {t.input.domain} HOST')}."
    t.post(t.said("slack.converted", text, Role.CE, Role.AE))
    t.enter(Stage.CONVERTED)
    return "converted"


async def _keep_key(t: TrialProcess) -> None:
    """The trial's key stays good while the Cloud team makes the instance a production one."""
    s = t.state

    def converting() -> bool:
        return s.stage is Stage.CONVERTING

    while converting():
        key = next((moment for moment in agenda(t.policy, t.input.origin, s) if moment.kind == "key"), None)
        until, known = key.at if key else None, s.key_until
        due = not await t.wait(
            lambda known=known: not converting() or s.key_until != known,  # type: ignore[misc]
            until=until,
            summary="a new key for the trial, if it is no customer's by then",
        )
        if due and key and converting():
            s.done = [*s.done, key.key]
            changes.keep_key(t)


def _conversion(t: TrialProcess, message: Convert, end: date) -> CloudRequest:
    s = t.state
    return CloudRequest(
        name="conversion",
        what=f"make {s.host} a production instance",
        issue=lambda: RaiseIssue(
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
        ),
        raised=t.numbered("convert"),
        choices=(AGAIN, DONE, TAKE_BACK.model_copy(update={"label": "Take the conversion back: the trial goes on"})),
        every=timedelta(hours=t.policy.provisioning.poll_hours),
        team=TeamTask(
            kind=TaskKind.CONVERSION,
            asks="Close the issue when it is one, or say here what became of it.",
            choices=(
                Choice(name="done", label="It is a production instance"),
                Choice(name="failed", label="It cannot be: say why in the note"),
            ),
            due=lambda: ladder.due_in(t.policy, workflow.now(), t.policy.tasks.conversion_hours),
        ),
        failed_asks=True,
    )


async def _production_key(t: TrialProcess, seats: int, last_day: date) -> None:
    terms = t.policy.license.production
    issued = await t.do(
        IssueKey(
            key="key.production",
            account=t.name,
            purpose="production",
            tags=(*terms.tags, f"customer:{t.name}"),
            seats=seats + terms.seat_buffer,
            expires_at=licence_keys.through(t.policy.license, last_day),
        )
    )
    vault = issued.of("key.production").data.get("vault", "")
    await t.do(SetKey(key="instance.key.production", host=t.state.host, vault=vault))


async def terminate(t: TrialProcess, verdict: Verdict) -> End:
    """A16: notices, the teardown request, and when the Cloud team has done it, domain and capacity are free."""
    s = t.state
    s.ended_by, why = verdict.decision, verdict.decision.rule
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
    t.do(UpdateOpportunity(key="crm.outcome", fields=fields))
    t.do(t.mail("terminated", reason=why))
    await t.requests.carried_out(_teardown(t, why))
    await capacity.release(t)
    feedback(t)
    closing = t.said("slack.terminated", f"{s.host} is gone; domain and capacity are free.")
    t.do(closing, *((ArchiveChannel(key="slack.archive", name=s.channel),) if s.channel else ()))
    t.enter(Stage.TERMINATED)
    return "terminated"


def _teardown(t: TrialProcess, why: str) -> CloudRequest:
    """The instance stands, and domain and capacity are taken, until the issue is closed as done or somebody says that it is gone."""
    s, hours, days = t.state, t.policy.termination.notice_hours, t.policy.termination.teardown_working_days
    gone = "The instance is gone"
    return CloudRequest(
        name="teardown",
        what=f"tear down {s.host}",
        issue=lambda: RaiseIssue(
            key="teardown",
            title=f"Tear down the trial of {s.company}",
            intro=f"Please tear {s.host} down; give {hours} hour's notice in the channel first. The data cannot be recovered.",
            fields={"customer": t.name, "host": s.host, "reason": why},
            labels=("team/cloud", "mi", "mi/teardown-request"),
        ),
        raised=t.numbered("teardown"),
        choices=(AGAIN, DONE.model_copy(update={"label": gone})),
        every=timedelta(days=t.policy.termination.poll_days),
        team=TeamTask(
            kind=TaskKind.TEARDOWN,
            asks="Close the issue when the instance is gone, or say so here.",
            choices=(Choice(name="done", label=gone),),
            due=lambda: add_working_days(t.policy.office, workflow.now(), days),
            announced=lambda number: (t.said("slack.terminating", f"The trial ends: {why} Teardown: #{number}.", Role.CE),),
        ),
    )


async def before_the_start(t: TrialProcess) -> End:
    """A person ended it before it had started: the pending request is cancelled, or an instance already built is torn down."""
    s = t.state
    verdict = s.verdict
    if verdict is None:
        raise ValueError("ended early without a verdict")
    s.verdict = None
    s.ended_by = verdict.decision
    if s.instance_live:
        return await terminate(t, verdict)
    await capacity.cancel(t, verdict.decision.rule)
    return await intake.disqualify(t, verdict.decision.rule)


async def opt_out(t: TrialProcess) -> None:
    """The prospect wants no more onboarding mail: none is sent from now on, not even one that waits for a retry."""
    t.state.opted_out = True
    t.look_again()
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
        t.do(t.mail("feedback"))
