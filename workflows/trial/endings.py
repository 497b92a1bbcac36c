"""A15–A18: what a verdict does. Extension goes on; conversion and termination end the trial."""

from datetime import date, timedelta

from temporalio import workflow

from domain import ladder, licence_keys
from domain.calendar import add_working_days, months_after
from domain.effects.github import CloseIssue
from domain.effects.pagerduty import ResolvePage
from domain.effects.salesforce import UpdateOpportunity
from domain.effects.slack import ArchiveChannel
from domain.markup import bold, code
from domain.people import Role
from domain.task import Answer, TaskKind
from domain.trial import decisions
from domain.trial.agenda import agenda
from domain.trial.commands import Convert, Extend, OptOut, RequestFeedback
from domain.trial.decisions import Course
from domain.trial.state import End, Extension, Stage, Verdict
from workflows.frame.cloud_requests import CloudRequest, TeamTask
from workflows.trial import changes, intake, routing
from workflows.trial.process import TrialProcess


def extend(trial: TrialProcess, message: Extend, by: str) -> None:
    """A15: the deadline moves at once, and the extension is asked of the Cloud team; a longer life needs a key of its own."""
    state, now, before = trial.state, workflow.now(), trial.ends_at
    days = decisions.extension_days(trial.policy, trial.input.origin, message.days)
    longer = timedelta(days=days)
    trial.begin_period(before + longer if before + longer > now else now + longer)
    state.extended = Extension(by=by, at=now, before=before, until=trial.ends_at)
    trial.enter(Stage.EXTENDED)
    trial.spawn(_extended(trial, state.period, days, message.reason))


async def _extended(trial: TrialProcess, period: int, days: int, reason: str) -> None:
    state = trial.state
    longest, ends = trial.ends_at, f"{trial.ends_at:%Y-%m-%d}"
    own_key = decisions.needs_own_key(trial.policy, state.total_days) or not licence_keys.covers(trial.policy, state.key_until, longest)
    trial.do(changes.extended_until(trial))
    if own_key:
        trial.spawn(changes.own_key(trial, f"key.extend.{period}", licence_keys.of_trial(trial.policy, longest)))

    def raised(number: int, attempt: int) -> None:
        trial.keep_issue(f"extend-{period}", number)
        if attempt == 1:
            key = ", with a licence key of its own" if own_key else ""
            text = f"Extended by {days} days to {ends}{key}: #{number}. {reason}".strip()
            trial.post(trial.said(f"slack.extend.{period}", text, Role.CE))

    request = CloudRequest.of(
        trial,
        "extension",
        lambda: trial.about(additional_days=str(days), trial_ends_on=ends),
        key=f"extend.{period}",
        nth=period,
        words={"days": days},
        raised=raised,
        every=timedelta(days=trial.policy.termination.poll_days),
        moot=trial.over,
        undone=lambda answer: _taken_back(trial, period, days, answer),
    )
    said = await trial.requests.carried_out(request)
    if said.choice == "take_back" and said.answer:
        _taken_back(trial, period, days, said.answer)


def _taken_back(trial: TrialProcess, number: int, days: int, answer: Answer) -> None:
    """The Cloud team does not extend it: the trial ends when it would have ended without, and whoever owns it decides what then."""
    if trial.over():
        return
    trial.record(trial.by_person(Course.TAKE_BACK, answer.by, answer.note or f"extension {number} is not made"))
    trial.begin_period(max(trial.ends_at - timedelta(days=days), workflow.now()))
    trial.state.extended = None
    trial.tasks.withdraw(TaskKind.DEADLINE, f"extension {number} was taken back")
    trial.do(changes.extended_until(trial))
    text = f"Extension {number} is taken back: the trial ends on {trial.ends_at:%Y-%m-%d}."
    trial.post(trial.said(f"slack.extend.{number}.back", text, Role.CE))


async def convert(trial: TrialProcess, message: Convert) -> End | None:
    """A17: a new production subscription and key, never the trial's; the domain stays theirs.

    Nobody is told that it is a customer's, and no key of a customer is made, before the Cloud team has made the instance a production one, which
    is not torn down. Taken back, the trial goes on as it was: None.
    """
    state, terms, before = trial.state, trial.policy.license.production, trial.state.stage
    trial.enter(Stage.CONVERTING)
    trial.publish()
    end = message.contract_end or months_after(workflow.now().date(), terms.term_months)
    trial.spawn(_keep_key(trial))
    said = await trial.requests.carried_out(_conversion(trial, message, end))
    if said.choice == "take_back" and said.answer:
        why = said.answer.note or "the conversion is not made"
        trial.record(trial.by_person(Course.TAKE_BACK, said.answer.by, why))
        back = trial.said(f"slack.convert.back-{state.issues['convert']}", f"{state.host} stays on trial: {why}.", Role.CE, Role.AE)
        trial.post(back)
        trial.enter(before)
        return None
    summary = "the domain keeps its instance as a paid one; no more campaign mail"
    await trial.registry(summary, change="convert", host=state.host, why="converted")
    trial.do(UpdateOpportunity(key="crm.outcome", fields={"Trial_Outcome__c": "converted", "Trial_Stage__c": "converted"}))
    trial.do(trial.mail("converted", sender=Role.CE))
    seats, until = (message.seats or 1) + terms.seat_buffer, licence_keys.through(trial.policy.license, end)
    trial.spawn(changes.issue_key(trial, "key.production", "production", terms.tags, seats, until))  # never the trial's
    text = f"{bold(state.company)} is a customer: {message.seats} seats until {end:%Y-%m-%d} (#{said.number}). A host of their own can be offered:"
    text += f" {code(f'tenure trial change-domain {trial.input.domain} HOST')}."
    trial.post(trial.said("slack.converted", text, Role.CE, Role.AE))
    trial.enter(Stage.CONVERTED)
    return "converted"


async def _keep_key(trial: TrialProcess) -> None:
    """The trial's key stays good while the Cloud team makes the instance a production one."""
    state = trial.state

    def converting() -> bool:
        return state.stage is Stage.CONVERTING

    while converting():
        key = next((moment for moment in agenda(trial.policy, trial.input.origin, state) if moment.kind == "key"), None)
        until, known = key.at if key else None, state.key_until
        due = not await trial.wait(
            lambda known=known: not converting() or state.key_until != known,  # type: ignore[misc]
            until=until,
            summary="a new key for the trial, if it is no customer's by then",
        )
        if due and key and converting():
            state.done = [*state.done, key.key]
            changes.keep_key(trial)


def _conversion(trial: TrialProcess, message: Convert, end: date) -> CloudRequest:
    return CloudRequest.of(
        trial,
        "conversion",
        lambda: trial.about(instance_type="production", seats=str(message.seats), contract_end=f"{end:%Y-%m-%d}"),
        key="convert",
        raised=lambda number, _: trial.keep_issue("convert", number),
        every=timedelta(hours=trial.policy.provisioning.poll_hours),
        team=TeamTask(TaskKind.CONVERSION, lambda: ladder.due_in(trial.policy, workflow.now(), trial.policy.tasks.conversion_hours)),
        failed_asks=True,
    )


async def terminate(trial: TrialProcess, verdict: Verdict) -> End:
    """A16: notices, the teardown request, and when the Cloud team has done it, domain and capacity are free."""
    state = trial.state
    state.ended_by, why = verdict.decision, verdict.decision.rule
    trial.enter(Stage.TEARDOWN)
    trial.publish()
    if verdict.terminate and verdict.terminate.feedback:
        state.feedback = state.feedback or "wanted"
    await _stop_mail(trial, "terminated")
    lost = {"Trial_Outcome__c": "terminated", "Trial_Stage__c": "terminated", "StageName": "Closed Lost"}
    trial.do(UpdateOpportunity(key="crm.outcome", fields={**lost}))
    trial.do(trial.mail("terminated", reason=why))
    await trial.requests.carried_out(_teardown(trial, why))
    await routing.release(trial)
    feedback(trial)
    closing = trial.said("slack.terminated", f"{state.host} is gone; domain and capacity are free.")
    trial.do(closing, *((ArchiveChannel(key="slack.archive", name=state.channel),) if state.channel else ()))
    trial.enter(Stage.TERMINATED)
    return "terminated"


def _teardown(trial: TrialProcess, why: str) -> CloudRequest:
    """The instance stands, and domain and capacity are taken, until the issue is closed as done or somebody says that it is gone."""
    ending = trial.policy.termination
    return CloudRequest.of(
        trial,
        "teardown",
        lambda: trial.about(reason=why),
        raised=lambda number, _: trial.keep_issue("teardown", number),
        every=timedelta(days=ending.poll_days),
        team=TeamTask(
            TaskKind.TEARDOWN,
            lambda: add_working_days(trial.policy.office, workflow.now(), ending.teardown_working_days),
            announced=lambda number: (trial.said("slack.terminating", f"The trial ends: {why} Teardown: #{number}.", Role.CE),),
        ),
    )


async def before_the_start(trial: TrialProcess) -> End:
    """A person ended it before it had started: the pending request is cancelled, or an instance already built is torn down."""
    state, verdict = trial.state, trial.state.verdict
    if verdict is None:
        raise ValueError("ended early without a verdict")
    state.verdict, state.ended_by, why = None, verdict.decision, verdict.decision.rule
    if state.instance_live:
        return await terminate(trial, verdict)
    if state.request_issue:
        text = f"This request is cancelled: {why}"
        trial.do(CloseIssue(key="request.cancel", issue=state.request_issue, reason="not_planned", text=text))
        trial.do(ResolvePage(key="page.cancel", page="page.request"))
    await routing.release(trial)
    return await intake.disqualify(trial, why)


async def opt_out(trial: TrialProcess, _message: OptOut) -> str:
    """The prospect wants no more onboarding mail: none is sent from now on, not even one that waits for a retry."""
    trial.state.opted_out = True
    trial.look_again()
    await _stop_mail(trial, "the prospect opted out")
    return "no more onboarding mail"


async def _stop_mail(trial: TrialProcess, why: str) -> None:
    """No campaign mail from this moment on (A11)."""
    await trial.registry("no more campaign mail", change="stop_mail", why=why)


def refuse_feedback(trial: TrialProcess, _message: RequestFeedback) -> str | None:
    """Why the feedback mail cannot be asked for."""
    return "the feedback mail was asked for already" if trial.state.feedback else None


def request_feedback(trial: TrialProcess, _message: RequestFeedback) -> str:
    """The growth role is asked for the feedback mail (A18), once."""
    trial.state.feedback = "wanted"
    if trial.state.stage is Stage.TEARDOWN:
        feedback(trial)
        return "the feedback mail is on its way"
    return "noted: the feedback mail goes out when the trial ends without a sale"


def feedback(trial: TrialProcess) -> None:
    """A18: the growth role's mail, when the CE asked for it and the trial did not succeed."""
    if trial.state.feedback == "wanted":
        trial.state.feedback = "sent"
        trial.do(trial.mail("feedback"))
