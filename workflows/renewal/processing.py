"""D30: the AE processes the renewal. Silence never ends it: it stays open, with its reminders, beyond the end of the term."""

from __future__ import annotations

from datetime import date

from temporalio import workflow

from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.state import End, Phase, falls_due
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


async def process(renewal: RenewalProcess) -> End | None:
    """Until it is renewed or lost; None when its date moved away meanwhile."""
    state = renewal.state
    renewal.enter(Phase.PROCESSING)
    renewal.over_with("processing")
    await renewal.look()
    while True:
        [task] = renewal.open(_spec(renewal))
        answer = await _answer(renewal, task, state.renewal_on)
        if answer is None:
            renewal.tasks.withdraw(TaskKind.PROCESS, f"the renewal has moved to {state.renewal_on}")
            if workflow.now() < falls_due(renewal.policy, state, "processing").at:
                return None
        elif answer.choice == "renewed":
            return await endings.renew(renewal, answer)
        elif answer.choice == "churned":
            return endings.churn(renewal, answer)


def take(renewal: RenewalProcess, answer: Answer) -> None:
    """The task was answered: from this moment on nothing else may change the renewal, or its term is longer by an extension."""
    if answer.choice == "extend":
        _extend(renewal, int(str(answer.fields["days"])), str(answer.fields["approved_by"]), answer.by)
    else:
        renewal.enter(Phase.CLOSING)
        renewal.nothing_more(f"the renewal is {answer.choice}")


async def _answer(renewal: RenewalProcess, task: Task, on: date) -> Answer | None:
    """The AE's answer, whenever it comes; None when the date moved. At the end of the term their manager hears that it is late."""
    state = renewal.state
    while not await renewal.wait_for(lambda: not task.is_open or state.renewal_on != on, until="term_end", summary="the end of the term"):
        renewal.over_with("term_end")
        renewal.say(
            "term_end", f"The term of {renewal.customer.name} ends today, and the renewal is not processed.", Role.AE, Role.AE_MANAGER
        )
    return task.answer


def _extend(renewal: RenewalProcess, days: int, approved_by: str, by: str) -> None:
    """The customer goes on under a key for those days; the term's end, from which the next one counts, stays."""
    state = renewal.state
    decision = renewal.record(decisions.extended(renewal.policy, state, days, approved_by, by, workflow.now()))
    state.extension_days += days
    state.done = [key for key in state.done if key != "term_end"]
    renewal.crm("extended", {"CloseDate": state.due_on.isoformat()})
    renewal.say("extended", f"Extended: {decision.rule}", Role.AE)
    if renewal.customer.subscription:
        renewal.do(endings.key(renewal, state.next("key.extended"), renewal.customer.subscription, renewal.customer.seats, state.due_on))
    else:
        renewal.say(
            "no_key", f"{renewal.customer.name} has no subscription on record: issue the key until {state.due_on} by hand.", Role.TA
        )


def _spec(renewal: RenewalProcess) -> TaskSpec:
    state = renewal.state
    said = f" You projected {words(state.projection.outcome)}." if state.projection else ""
    asks = f"The term ends on {state.due_on}; the ARR is ${renewal.customer.arr:,}.{said} Process the renewal opportunity, and say what became of it."
    return renewal.spec(TaskKind.PROCESS, "process the renewal", asks, Role.AE, CHOICES, renewal.policy.renewal.processing_hours)
