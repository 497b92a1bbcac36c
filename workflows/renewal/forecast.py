"""D28, D29, C13: the AE projects the outcome, and keeps that up week by week until the renewal must be processed; the TA's word stands beside it.

A green renewal is only monitored: what its AE projected in the assessment stands.
"""

from collections.abc import Callable

from temporalio import workflow

from domain.amounts import dollars
from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import ProjectOutcome
from domain.renewal.state import Phase, Projection, falls_due
from domain.task import Choice, FieldSpec, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess


async def plan(renewal: RenewalProcess) -> None:
    """Until the AE has projected an outcome, or the renewal must be processed."""
    state = renewal.state
    if state.planned:
        return
    renewal.enter(Phase.PLAN)
    if state.rating == "green" and state.ae and state.ae.outcome:
        project(renewal, ProjectOutcome(by=state.ae.by, outcome=state.ae.outcome, note="as projected in the assessment"))
    elif workflow.now() < falls_due(renewal.policy, state, "processing").at:
        await _asked(renewal)
    state.planned = True


async def _asked(renewal: RenewalProcess) -> None:
    [task] = renewal.open(_spec(renewal))
    if not await _until_processing(renewal, lambda: not task.is_open, "the AE's plan"):
        renewal.tasks.withdraw(TaskKind.PLAN, "the renewal must be processed")
        renewal.say("unplanned", renewal.record(decisions.unplanned(renewal.policy, workflow.now())).rule, Role.AE_MANAGER)
    elif task.answer:
        amount = dollars(task.answer.fields.get("amount"))
        given = {"by": task.answer.by, "outcome": task.answer.choice, "amount": amount, "note": task.answer.note}
        project(renewal, ProjectOutcome.model_validate(given))


def _spec(renewal: RenewalProcess) -> TaskSpec:
    state = renewal.state
    amount = (FieldSpec(name="amount", asks="the ARR that you expect afterwards", kind="dollars"),)
    choices = tuple(
        Choice(name=each, label=words(each).capitalize(), fields=amount if each in ("partial_churn", "incremental") else ())
        for each in decisions.planned(renewal.policy)
    )
    said = f" In the assessment you projected {words(state.ae.outcome)}." if state.ae and state.ae.outcome else ""
    return renewal.spec("projection", rating=state.rating or "not rated", said=said, choices=choices)


async def keep(renewal: RenewalProcess) -> None:
    """Until it must be processed. The weekly question is asked of each AE once for all renewals (C34), so this one only listens."""
    if workflow.now() < falls_due(renewal.policy, renewal.state, "processing").at:
        renewal.enter(Phase.FORECAST)
        await _until_processing(renewal, lambda: False, "the weekly forecast, until it must be processed")


async def _until_processing(renewal: RenewalProcess, ready: Callable[[], bool], summary: str) -> bool:
    """Wait for ``ready``, at most until the renewal must be processed; value engineering is told on its day (D38)."""
    while True:
        told = "value_engineering" in renewal.state.done
        if await renewal.wait_for(ready, until="processing" if told else "value_engineering", summary=summary):
            return True
        if told:
            return False
        renewal.over_with("value_engineering")
        renewal.tell_value_engineering()


def project(renewal: RenewalProcess, message: ProjectOutcome) -> str:
    """Somebody projects an outcome. Whoever confirms what they said before changes nothing but its date."""
    state, before = renewal.state, renewal.state.projection if message.role == "ae" else renewal.state.ta_projection
    amount = message.amount if message.outcome in ("partial_churn", "incremental") else None
    if amount is None and before and before.outcome == message.outcome:
        amount = before.amount
    said = Projection(by=message.by, at=workflow.now(), outcome=message.outcome, amount=amount, note=message.note)
    changed = before is None or (before.outcome, before.amount) != (said.outcome, said.amount)
    if changed:
        renewal.record(decisions.projected(renewal.policy, state, message.role, message.outcome, message.by, workflow.now()))
        renewal.changed()
    if message.role == "ta":
        state.ta_projection = said
    else:
        state.projection = said
        renewal.tasks.withdraw(TaskKind.PLAN, f"{message.by} has projected {message.outcome}")
        if changed:
            renewal.crm("forecast", {"Renewal_Outcome__c": message.outcome})
        renewal.check_expectation()
    return f"{message.outcome}: {'taken' if changed else 'confirmed'}"
