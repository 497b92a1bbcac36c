"""D29: the forecast. The AE's word of each week, and the TA's, until the renewal must be processed."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import workflow

from domain.renewal import decisions
from domain.renewal.commands import ProjectOutcome
from domain.renewal.state import Phase, Projection, falls_due
from domain.task import TaskKind
from workflows.renewal.process import RenewalProcess


async def keep(renewal: RenewalProcess) -> None:
    """Until it must be processed. The weekly question is asked of each AE once for all renewals (C34), so this one only listens."""
    if workflow.now() < falls_due(renewal.policy, renewal.state, "processing").at:
        renewal.enter(Phase.FORECAST)
        await until_processing(renewal, lambda: False, "the weekly forecast, until it must be processed")


async def until_processing(renewal: RenewalProcess, ready: Callable[[], bool], summary: str) -> bool:
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
