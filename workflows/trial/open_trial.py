"""A10–A14, A19, C02, C12: the open trial. It wakes at each moment of its agenda, or when a person decides, whichever comes first."""

from __future__ import annotations

from temporalio import workflow

from domain import ladder
from domain.decision import Decision
from domain.effects.mail import Mail
from domain.effects.salesforce import SalesforceEffect, UpdateOpportunity
from domain.people import Role
from domain.task import Answer, Choice, FieldSpec, TaskKind
from domain.trial import decisions
from domain.trial.agenda import Moment, agenda, automatic_deadline
from domain.trial.commands import Convert, Extend, Terminate
from domain.trial.state import End, Stage, Verdict
from workflows.trial import changes, endings, owning
from workflows.trial.process import TrialProcess

DECIDES = (
    Choice(name="extend", label="Extend", fields=(FieldSpec(name="days", asks="how many days more", kind="integer", required=False),)),
    Choice(
        name="convert",
        label="Convert to paid",
        fields=(
            FieldSpec(name="seats", asks="how many seats were bought", kind="integer"),
            FieldSpec(name="contract_end", asks="the contract's last day", kind="date", required=False),
        ),
    ),
    Choice(name="terminate", label="Terminate"),
)
AGREE = Choice(name="agree", label="Let the policy do it")


async def until_its_end(t: TrialProcess) -> End:
    """The open trial, until a verdict ends it; an extension re-arms every timer, and so does another policy, or another admin."""
    s = t.state
    while True:
        policy, begun = t.policy, _rhythm(t)
        ahead = agenda(policy, t.input.origin, s)
        first = ahead[0] if ahead else None
        summary = first.what if first else "a person's decision"
        decided = await t.wait(
            lambda policy=policy, begun=begun: s.verdict is not None or t.policy is not policy or _rhythm(t) != begun,  # type: ignore[misc]
            until=first.at if first else None,
            summary=summary,
        )
        if not decided:
            await _come_due(t, [m for m in ahead if m.at <= workflow.now()])
        if s.verdict is None:
            continue
        verdict, s.verdict = s.verdict, None
        if verdict.extend is not None:
            endings.extend(t, verdict.extend, verdict.decision.by)
        elif verdict.convert is not None:
            s.ended_by = verdict.decision
            if (end := await endings.convert(t, verdict.convert)) is not None:
                return end
        else:
            return await endings.terminate(t, verdict)


def _rhythm(t: TrialProcess) -> tuple[object, ...]:
    """What the timers stand on: when one of these is another, what is ahead is looked at anew."""
    return t.state.key_until, t.state.period, t.state.claims


def verdict_of(t: TrialProcess, answer: Answer) -> Verdict:
    """What an answer on a deadline's card means: the same as the update of that name (A13, A14). A card is about one period, the one that is on."""
    fields = {name: value for name, value in answer.fields.items() if value not in (None, "")}
    why, now = answer.note or "answered the card", workflow.now()
    decision = decisions.by_person(t.policy, answer.choice, answer.by, why, now, t.state.usage)
    match answer.choice:
        case "extend":
            return Verdict(
                decision=decision, extend=Extend.model_validate({**fields, "by": answer.by, "reason": answer.note, "again": True})
            )
        case "convert":
            return Verdict(decision=decision, convert=Convert.model_validate({**fields, "by": answer.by, "note": answer.note}))
        case _:
            return Verdict(decision=decision, terminate=Terminate(by=answer.by, reason=answer.note))


def refuse_answer(t: TrialProcess, answer: Answer) -> str | None:
    """Why the verdict of an answer cannot be taken."""
    verdict, s = verdict_of(t, answer), t.state
    if verdict.extend:
        return decisions.refuse_extend(t.policy, s.stage, verdict.extend, s.extended, workflow.now(), t.input.origin, s.ends_at)
    if verdict.convert:
        return decisions.refuse_convert(t.policy, t.state.stage, verdict.convert, workflow.now())
    return decisions.refuse_terminate(t.state.stage)


def take_answer(t: TrialProcess, answer: Answer) -> None:
    """A deadline's card was answered."""
    if answer.choice != "agree":
        t.take(verdict_of(t, answer))


# --- the moments -------------------------------------------------------------------------------------------------------------------


async def _come_due(t: TrialProcess, moments: list[Moment]) -> None:
    """Everything that falls due at once, with the instance's facts gathered once.

    What is due is done, and counts as that, only when nothing that it stands on has changed meanwhile; else what is ahead is looked at anew.
    """
    s, begun = t.state, _rhythm(t)
    deciding = any(moment.kind in ("due", "grace") for moment in moments)
    before = s.stage
    if deciding:
        t.enter(Stage.DECIDING)  # from here a late answer is refused, not taken and forgotten
    if any(moment.kind not in ("mail", "key") or moment.name in ("usage_check", "next_steps") for moment in moments):
        s.usage = await t.effects.usage(s.host, t.contact.email, s.former_admins)
        _activation(t)
    if any(moment.kind in ("ask", "due", "grace") for moment in moments):
        await owning.owners(t)  # whoever has left since is replaced before anybody is asked, or it is ended
        owning.find_owners(t)
    if deciding:
        t.enter(before)
    if s.verdict is not None or _rhythm(t) != begun:
        return  # a person decided while the facts were on their way, and their word stands; or the trial is another's now
    s.done = [*s.done, *(moment.key for moment in moments)]
    mails: list[Mail] = []
    for moment in moments:
        match moment.kind:
            case "mail" if not s.opted_out and decisions.mail_may_go(t.policy, moment.name, s.usage):
                mails.append(t.mail(moment.name, sender=Role.CE))  # type: ignore[arg-type]
            case "mail":
                s.notes = [*s.notes, f"held: {moment.what}"]
            case "warning" if s.usage is not None and not decisions.activity(t.policy, s.usage)[0]:
                mails.append(t.mail("inactivity_warning"))
            case "ask":
                _ask(t)
            case "due":
                _mid_trial(t)
            case "grace":
                _after_grace(t)
            case "key":
                changes.keep_key(t)
            case _:
                pass
    if mails and s.verdict is None:
        t.do(*mails)


def _activation(t: TrialProcess) -> None:
    """A19: the day on which the instance was first seen activated goes to the CRM, once."""
    s = t.state
    if s.usage and s.activated_at is None and decisions.activated(t.policy, s.usage):
        s.activated_at = workflow.now()
        fields: dict[str, str | bool | int | None] = {
            "Trial_Activated__c": True,
            "Trial_Activated_At__c": s.activated_at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        }
        acts: tuple[SalesforceEffect, ...] = (UpdateOpportunity(key="crm.activated", fields=fields),)
        t.do(*acts)


def _ask(t: TrialProcess) -> None:
    """C02, C12: the CE is told what the deadline will do, or asked what to do; one click decides."""
    s = t.state
    if s.ends_at is None:
        raise ValueError("an open trial has an end")
    first = automatic_deadline(t.input.origin, s)
    automatic = first and t.policy.trial.d15.mode == "automatic"
    forecast = decisions.mid_trial(t.policy, s.usage, workflow.now(), owned=owning.is_owned(t))
    facts = decisions.activity(t.policy, s.usage)[1] if s.usage else "the instance did not answer"
    if automatic and forecast.outcome != "ask":
        asks = f"On {s.ends_at:%a %d %b} it will {forecast.outcome} by itself: {facts}. You can overrule that here."
    else:
        asks = f"The trial ends on {s.ends_at:%a %d %b}: {facts}. Extend, convert or terminate?"
    grace = () if automatic else ladder.deadline(t.policy, s.ends_at, s.owners)
    title = f"Day {s.total_days} of {s.company}: {forecast.outcome if automatic else 'decide'}"
    t.open(t.spec(TaskKind.DEADLINE, title, asks, Role.CE, (*DECIDES, AGREE) if automatic else DECIDES, due_at=s.ends_at, rungs=grace))


def _mid_trial(t: TrialProcess) -> None:
    """Day 15 of a self-serve trial acts by itself, unless the policy or the facts ask a person (C02)."""
    decision = t.record(decisions.mid_trial(t.policy, t.state.usage, workflow.now(), owned=owning.is_owned(t)))
    t.state.active = decision.outcome == "extend"
    _act_or_ask(t, decision)


def _after_grace(t: TrialProcess) -> None:
    """The grace has ended and nobody decided (C12)."""
    _act_or_ask(t, t.record(decisions.after_grace(t.policy, t.state.usage, workflow.now(), owned=owning.is_owned(t))))


def _act_or_ask(t: TrialProcess, decision: Decision) -> None:
    s = t.state
    match decision.outcome:
        case "extend":
            s.verdict = Verdict(decision=decision, extend=Extend(reason=decision.rule))
        case "terminate":
            s.verdict = Verdict(decision=decision, terminate=Terminate(reason=decision.rule))
        case _:
            _keep_asking(t)
            return
    t.desk.withdraw(TaskKind.DEADLINE, f"the policy decided: {decision.outcome}")


def _keep_asking(t: TrialProcess) -> None:
    """Nobody may act without a person: the question stays open, with its ladder running from now on."""
    s = t.state
    if s.ends_at is None:
        raise ValueError("an open trial has an end")
    task = t.desk.find_open(TaskKind.DEADLINE)
    if task is None:
        _ask(t)
        task = t.desk.find_open(TaskKind.DEADLINE)
    if task and not task.spec.ladder:
        climbing = ladder.deadline(t.policy, s.ends_at, s.owners)
        task.spec = task.spec.model_copy(update={"ladder": climbing, "choices": DECIDES})
        task.next_at = climbing[0].at
        t.look_again()
