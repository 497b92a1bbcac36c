"""D30: the AE processes the renewal. Silence never ends it: it stays open, with its reminders, beyond the end of the term."""

from __future__ import annotations

from datetime import date

from temporalio import workflow

from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.state import End, Phase, milestone
from domain.task import Answer, Choice, FieldSpec, Task, TaskKind, TaskSpec
from workflows.renewal import endings
from workflows.renewal.process import RenewalProcess

CHOICES = (
    Choice(
        name="renewed",
        label="Renewed",
        fields=(
            FieldSpec(name="seats", asks="how many seats", kind="integer"),
            FieldSpec(name="arr", asks="the new ARR", kind="dollars"),
            FieldSpec(name="contract_end", asks="the new term's last day", kind="date", required=False),
        ),
    ),
    Choice(name="churned", label="Churned", fields=(FieldSpec(name="reason", asks="why they leave"),)),
    Choice(
        name="extend",
        label="An extension, granted by the deal desk",
        fields=(
            FieldSpec(name="days", asks="how many days more", kind="integer"),
            FieldSpec(name="approved_by", asks="who of the deal desk approved it", kind="email"),
        ),
    ),
)


async def process(r: RenewalProcess) -> End | None:
    """Until it is renewed or lost; None when its date moved away meanwhile."""
    s = r.state
    r.enter(Phase.PROCESSING)
    r.over_with("processing")
    await r.look()
    while True:
        [task] = r.open(_spec(r))
        answer = await _answer(r, task, s.renewal_on)
        if answer is None:
            r.desk.withdraw(TaskKind.PROCESS, f"the renewal has moved to {s.renewal_on}")
            if workflow.now() < milestone(r.policy, s, "processing").at:
                return None
        elif answer.choice == "renewed":
            return await endings.renew(r, answer)
        elif answer.choice == "churned":
            return endings.churn(r, answer)


def take(r: RenewalProcess, answer: Answer) -> None:
    """The task was answered: from this moment on nothing else may change the renewal, or its term is longer by an extension."""
    if answer.choice == "extend":
        _extend(r, int(str(answer.fields["days"])), str(answer.fields["approved_by"]), answer.by)
    else:
        r.enter(Phase.CLOSING)
        r.nothing_more(f"the renewal is {answer.choice}")


async def _answer(r: RenewalProcess, task: Task, on: date) -> Answer | None:
    """The AE's answer, whenever it comes; None when the date moved. At the end of the term their manager hears that it is late."""
    s = r.state
    while not await r.wait_for(lambda: not task.is_open or s.renewal_on != on, until="term_end", summary="the end of the term"):
        r.over_with("term_end")
        r.say("term_end", f"The term of {r.customer.name} ends today, and the renewal is not processed.", Role.AE, Role.AE_MANAGER)
    return task.answer


def _extend(r: RenewalProcess, days: int, approved_by: str, by: str) -> None:
    """The customer goes on under a key for those days; the term's end, from which the next one counts, stays."""
    s = r.state
    decision = r.record(decisions.extended(r.policy, s, days, approved_by, by, workflow.now()))
    s.extension_days += days
    s.done = [key for key in s.done if key != "term_end"]
    r.crm("extended", {"CloseDate": s.due_on.isoformat()})
    r.say("extended", f"Extended: {decision.rule}", Role.AE)
    if r.customer.subscription:
        r.do(endings.key(r, s.next("key.extended"), r.customer.subscription, r.customer.seats, s.due_on))
    else:
        r.say("no_key", f"{r.customer.name} has no subscription on record: issue the key until {s.due_on} by hand.", Role.TA)


def _spec(r: RenewalProcess) -> TaskSpec:
    s = r.state
    said = f" You projected {words(s.projection.outcome)}." if s.projection else ""
    asks = f"The term ends on {s.due_on}; the ARR is ${r.customer.arr:,}.{said} Process the renewal opportunity, and say what became of it."
    return r.spec(TaskKind.PROCESS, "process the renewal", asks, Role.AE, CHOICES, r.policy.renewal.processing_hours)
