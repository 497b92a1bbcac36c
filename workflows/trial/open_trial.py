"""A10–A14, A19, C02, C12: the open trial. It wakes at each moment of its agenda, or when a person decides, whichever comes first."""

from temporalio import workflow

from domain import ladder
from domain.calendar import Due
from domain.decision import Decision
from domain.effects.mail import Mail
from domain.effects.salesforce import UpdateOpportunity
from domain.people import Role
from domain.task import Answer, TaskKind
from domain.trial import decisions, refusals
from domain.trial.agenda import agenda, automatic_deadline
from domain.trial.commands import Convert, Extend, Terminate
from domain.trial.decisions import Course
from domain.trial.state import OPEN_TO_TERMINATE, End, Stage, Verdict
from workflows.frame.tasks import QUESTIONS
from workflows.trial import changes, endings, owning
from workflows.trial.process import TrialProcess

#: What a person may decide of an open trial.
Wish = Extend | Convert | Terminate


async def until_its_end(trial: TrialProcess) -> End:
    """The open trial, until a verdict ends it; an extension re-arms every timer, and so does another policy, or another admin."""
    state = trial.state
    while True:
        policy, begun = trial.policy, _rhythm(trial)
        ahead = agenda(policy, trial.input.origin, state)
        first = ahead[0] if ahead else None
        summary = first.what if first else "a person's decision"
        decided = await trial.wait(
            lambda policy=policy, begun=begun: state.verdict is not None or trial.policy is not policy or _rhythm(trial) != begun,  # type: ignore[misc]
            until=first.at if first else None,
            summary=summary,
        )
        if not decided:
            await _come_due(trial, [m for m in ahead if m.at <= workflow.now()])
        if state.verdict is None:
            continue
        verdict, state.verdict = state.verdict, None
        if verdict.extend is not None:
            endings.extend(trial, verdict.extend, verdict.decision.by)
        elif verdict.convert is not None:
            state.ended_by = verdict.decision
            if (end := await endings.convert(trial, verdict.convert)) is not None:
                return end
        else:
            return await endings.terminate(trial, verdict)


def _rhythm(trial: TrialProcess) -> tuple[object, ...]:
    """What the timers stand on: when one of these is another, what is ahead is looked at anew."""
    return trial.state.key_until, trial.state.period, trial.state.claims


def refuse(trial: TrialProcess, wish: Wish) -> str | None:
    """Why what a person decides cannot be taken: once a period, within the policy's limits, before anybody has decided to end it."""
    policy, state, now = trial.policy, trial.state, workflow.now()
    closing = state.stage not in OPEN_TO_TERMINATE | {Stage.SIGNUP, Stage.DECIDING}
    ended = state.ended_by if closing else None
    if decided := state.verdict.decision if state.verdict else ended:
        return ("too late: " if ended else "") + refusals.already(decided)
    match wish:
        case Extend():
            return refusals.refuse_extend(policy, state.stage, wish, state.extended, now, trial.input.origin, state.ends_at)
        case Convert():
            return refusals.refuse_convert(policy, state.stage, wish, now)
        case Terminate():
            return refusals.refuse_terminate(state.stage)


def take(trial: TrialProcess, wish: Wish, why: str = "") -> str:
    """Take what a person decided: the run carries it out."""
    course = Course(type(wish).__name__.lower())
    return trial.take(_verdict(trial.by_person(course, wish.by, why or (wish.note if isinstance(wish, Convert) else wish.reason)), wish))


def _verdict(decision: Decision[Course], wish: Wish) -> Verdict:
    return Verdict.model_validate({"decision": decision, type(wish).__name__.lower(): wish})


def wish_of(answer: Answer) -> Wish:
    """What an answer on a deadline's card means: the same as the update of that name (A13, A14). A card is about one period, the one that is on."""
    fields = {name: value for name, value in answer.fields.items() if value not in (None, "")}
    match answer.choice:
        case "extend":
            return Extend.model_validate({**fields, "by": answer.by, "reason": answer.note, "again": True})
        case "convert":
            return Convert.model_validate({**fields, "by": answer.by, "note": answer.note})
        case _:
            return Terminate(by=answer.by, reason=answer.note)


# --- what falls due ------------------------------------------------------------------------------------------------------------------


async def _come_due(trial: TrialProcess, ahead: list[Due]) -> None:
    """Everything that falls due at once, with the instance's facts gathered once.

    What is due is done, and counts as that, only when nothing that it stands on has changed meanwhile; else what is ahead is looked at anew.
    """
    state, begun = trial.state, _rhythm(trial)
    deciding = any(due.kind in ("due", "grace") for due in ahead)
    before = state.stage
    if deciding:
        trial.enter(Stage.DECIDING)  # from here a late answer is refused, not taken and forgotten
    if any(due.kind not in ("mail", "key") or due.name in ("usage_check", "next_steps") for due in ahead):
        state.usage = await trial.effects.usage(state.host, trial.contact.email, state.former_admins)
        if state.usage and state.activated_at is None and decisions.activated(trial.policy, state.usage):  # A19: to the CRM, once
            state.activated_at = workflow.now()
            at = state.activated_at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
            trial.do(UpdateOpportunity(key="crm.activated", fields={"Trial_Activated__c": True, "Trial_Activated_At__c": at}))
    if any(due.kind in ("ask", "due", "grace") for due in ahead):
        await owning.owners(trial)  # whoever has left since is replaced before anybody is asked, or it is ended
        owning.find_owners(trial)
    if deciding:
        trial.enter(before)
    if state.verdict is not None or _rhythm(trial) != begun:
        return  # a person decided while the facts were on their way, and their word stands; or the trial is another's now
    state.done = [*state.done, *(due.key for due in ahead)]
    mails: list[Mail] = []
    for due in ahead:
        match due.kind:
            case "mail" if not state.opted_out and decisions.mail_may_go(trial.policy, due.name, state.usage):
                mails.append(trial.mail(due.name, sender=Role.CE))  # type: ignore[arg-type]
            case "mail":
                state.notes = [*state.notes, f"held: {due.what}"]
            case "warning" if state.usage is not None and not decisions.activity(trial.policy, state.usage)[0]:
                mails.append(trial.mail("inactivity_warning"))
            case "ask":
                _ask(trial)
            case "due" | "grace":
                _decide(trial, first=due.kind == "due")
            case "key":
                changes.keep_key(trial)
            case _:
                pass
    if mails and state.verdict is None:
        trial.do(*mails)


def _ask(trial: TrialProcess) -> None:
    """C02, C12: the CE is told what the deadline will do, or asked what to do; one click decides."""
    state = trial.state
    first = automatic_deadline(trial.input.origin, state)
    automatic = first and trial.policy.trial.d15.mode == "automatic"
    forecast = decisions.mid_trial(trial.policy, state.usage, workflow.now(), owned=owning.is_owned(trial))
    facts = decisions.activity(trial.policy, state.usage)[1] if state.usage else "the instance did not answer"
    grace = () if automatic else ladder.deadline(trial.policy, trial.ends_at, state.owners)
    name = "deadline-foretold" if automatic and forecast.outcome != Course.ASK else TaskKind.DEADLINE
    course, choices = (forecast.outcome, QUESTIONS["deadline-foretold"].choices) if automatic else ("decide", ())
    spec = trial.spec(name, course=course, facts=facts, choices=choices, due_at=trial.ends_at, rungs=grace)
    trial.open(spec)


def _decide(trial: TrialProcess, *, first: bool) -> None:
    """Day 15 of a self-serve trial acts by itself (``first``), and so does a grace in which nobody decided, unless the policy or the facts ask a
    person (C02, C12).
    """
    decide = decisions.mid_trial if first else decisions.after_grace
    decision = trial.record(decide(trial.policy, trial.state.usage, workflow.now(), owned=owning.is_owned(trial)))
    if first:
        trial.state.active = decision.outcome == Course.EXTEND
    wish: Wish
    match decision.outcome:
        case Course.EXTEND:
            wish = Extend(reason=decision.rule)
        case Course.TERMINATE:
            wish = Terminate(reason=decision.rule)
        case _:
            _keep_asking(trial)
            return
    trial.state.verdict = _verdict(decision, wish)
    trial.tasks.withdraw(TaskKind.DEADLINE, f"the policy decided: {decision.outcome}")


def _keep_asking(trial: TrialProcess) -> None:
    """Nobody may act without a person: the question stays open, with its ladder running from now on."""
    task = trial.tasks.find_open(TaskKind.DEADLINE)
    if task is None:
        _ask(trial)
        task = trial.tasks.find_open(TaskKind.DEADLINE)
    if task and not task.spec.ladder:
        climbing = ladder.deadline(trial.policy, trial.ends_at, trial.state.owners)
        task.spec = task.spec.model_copy(update={"ladder": climbing, "choices": QUESTIONS[TaskKind.DEADLINE].choices})
        task.next_at = climbing[0].at
        trial.look_again()
