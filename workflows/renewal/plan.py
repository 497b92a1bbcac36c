"""D28, C13: the AE projects the outcome. A green renewal is only monitored: what its AE projected in the assessment stands."""

from __future__ import annotations

from temporalio import workflow

from domain.amounts import dollars
from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import ProjectOutcome
from domain.renewal.state import Phase, milestone
from domain.task import Choice, FieldSpec, TaskKind, TaskSpec
from workflows.renewal import forecast
from workflows.renewal.process import RenewalProcess


async def project(r: RenewalProcess) -> None:
    """Until the AE has projected an outcome, or the renewal must be processed."""
    s = r.state
    if s.planned:
        return
    r.enter(Phase.PLAN)
    if s.rating == "green" and s.ae and s.ae.outcome:
        forecast.project(r, ProjectOutcome(by=s.ae.by, outcome=s.ae.outcome, note="as projected in the assessment"))
    elif workflow.now() < milestone(r.policy, s, "processing").at:
        await _asked(r)
    s.planned = True


async def _asked(r: RenewalProcess) -> None:
    [task] = r.open(_spec(r))
    if not await forecast.until_processing(r, lambda: not task.is_open, "the AE's plan"):
        r.desk.withdraw(TaskKind.PLAN, "the renewal must be processed")
        r.say("unplanned", r.record(decisions.unplanned(r.policy, workflow.now())).rule, Role.AE_MANAGER)
    elif task.answer:
        amount = dollars(task.answer.fields.get("amount"))
        given = {"by": task.answer.by, "outcome": task.answer.choice, "amount": amount, "note": task.answer.note}
        forecast.project(r, ProjectOutcome.model_validate(given))


def _spec(r: RenewalProcess) -> TaskSpec:
    s = r.state
    amount = (FieldSpec(name="amount", asks="the ARR that you expect afterwards", kind="dollars"),)
    choices = tuple(
        Choice(name=each, label=words(each).capitalize(), fields=amount if each in ("partial_churn", "incremental") else ())
        for each in decisions.planned(r.policy)
    )
    said = f" In the assessment you projected {words(s.ae.outcome)}." if s.ae and s.ae.outcome else ""
    asks = f"It renews on {s.renewal_on} with ${r.customer.arr:,}, and is {s.rating or 'not rated'}. What do you project?{said}"
    return r.spec(TaskKind.PLAN, "renewal plan", asks, Role.AE, choices, r.policy.renewal.plan_hours)
