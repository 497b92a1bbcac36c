"""D28, C13: the AE projects the outcome. A green renewal is only monitored: what its AE projected in the assessment stands."""

from __future__ import annotations

from temporalio import workflow

from domain.amounts import dollars
from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import ProjectOutcome
from domain.renewal.state import Phase, falls_due
from domain.task import Choice, FieldSpec, TaskKind, TaskSpec
from workflows.renewal import forecast
from workflows.renewal.process import RenewalProcess


async def project(renewal: RenewalProcess) -> None:
    """Until the AE has projected an outcome, or the renewal must be processed."""
    state = renewal.state
    if state.planned:
        return
    renewal.enter(Phase.PLAN)
    if state.rating == "green" and state.ae and state.ae.outcome:
        forecast.project(renewal, ProjectOutcome(by=state.ae.by, outcome=state.ae.outcome, note="as projected in the assessment"))
    elif workflow.now() < falls_due(renewal.policy, state, "processing").at:
        await _asked(renewal)
    state.planned = True


async def _asked(renewal: RenewalProcess) -> None:
    [task] = renewal.open(_spec(renewal))
    if not await forecast.until_processing(renewal, lambda: not task.is_open, "the AE's plan"):
        renewal.tasks.withdraw(TaskKind.PLAN, "the renewal must be processed")
        renewal.say("unplanned", renewal.record(decisions.unplanned(renewal.policy, workflow.now())).rule, Role.AE_MANAGER)
    elif task.answer:
        amount = dollars(task.answer.fields.get("amount"))
        given = {"by": task.answer.by, "outcome": task.answer.choice, "amount": amount, "note": task.answer.note}
        forecast.project(renewal, ProjectOutcome.model_validate(given))


def _spec(renewal: RenewalProcess) -> TaskSpec:
    state = renewal.state
    amount = (FieldSpec(name="amount", asks="the ARR that you expect afterwards", kind="dollars"),)
    choices = tuple(
        Choice(name=each, label=words(each).capitalize(), fields=amount if each in ("partial_churn", "incremental") else ())
        for each in decisions.planned(renewal.policy)
    )
    said = f" In the assessment you projected {words(state.ae.outcome)}." if state.ae and state.ae.outcome else ""
    asks = (
        f"It renews on {state.renewal_on} with ${renewal.customer.arr:,}, and is {state.rating or 'not rated'}. What do you project?{said}"
    )
    return renewal.spec(TaskKind.PLAN, "renewal plan", asks, Role.AE, choices, renewal.policy.renewal.plan_hours)
