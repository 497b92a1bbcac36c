"""Gap 9: the date of a renewal moves, or there is nothing to renew any more.

Every moment ahead moves along, what lies in the past happens at once, and stale findings are dropped.
"""

from __future__ import annotations

from temporalio import workflow

from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import CancelRenewal, MoveRenewal
from domain.renewal.state import End, Key, Phase, falls_due
from domain.task import TaskKind
from workflows.renewal import assessment
from workflows.renewal.process import RenewalProcess

#: The moments that come again when the date moves away from them; a finding (review, assessment) is repeated only once it is stale.
AGAIN: tuple[Key, ...] = ("value_engineering", "processing", "term_end")

#: Who moves a renewal when the CRM's date has moved: the account, which knows it then.
BY_CRM = "Salesforce"


def move(renewal: RenewalProcess, message: MoveRenewal) -> str:
    """The term ends on another day; an extension of the old one is void."""
    state, now = renewal.state, workflow.now()
    decision = renewal.record(decisions.moved(renewal.policy, state, message, now))
    state.renewal_on, state.extension_days = message.renewal_on, 0
    state.done = [key for key in state.done if key not in AGAIN or falls_due(renewal.policy, state, key).at <= now]
    if decision.outcome == decisions.Change.BEGINS_ANEW:
        _forget(renewal, decision.rule)
    renewal.crm("moved", {"CloseDate": state.renewal_on.isoformat()})
    if message.by != BY_CRM:
        renewal.spawn(renewal.runs())
    renewal.say("moved", f"The renewal moves: {decision.rule}", Role.AE, Role.TA)
    return f"moved to {state.renewal_on}: {decision.outcome}"


def _forget(renewal: RenewalProcess, why: str) -> None:
    """What was found would be stale by the new date. The rating stays until there is another, and so does Lighthouse."""
    state = renewal.state
    state.done, state.planned, state.told_value_engineering, state.anew = [], False, False, True
    state.ta = state.ae = state.assessed_at = state.projection = state.ta_projection = None
    state.odd = ""
    renewal.tasks.withdraw((TaskKind.EARLY_REVIEW, *assessment.KINDS, TaskKind.PLAN, TaskKind.PROCESS), why)
    if done := renewal.project_done("the renewal's date has moved"):
        renewal.do(*done)
    renewal.enter(Phase.UPCOMING)


def cancel(renewal: RenewalProcess, message: CancelRenewal) -> str:
    """Nothing is left to renew: from this moment on nothing is asked any more."""
    decision = renewal.record(decisions.cancelled(renewal.policy, message, workflow.now()))
    renewal.state.cancel, renewal.state.why_cancelled = message, decision.rule
    renewal.nothing_more(decision.rule)
    return f"cancelled: {message.why}"


def cancelled(renewal: RenewalProcess) -> End:
    """A churn before the term's end closes the opportunity as lost; of a merger it keeps a note, since the other account goes on with it."""
    state = renewal.state
    lost = state.cancel is not None and state.cancel.why == "churned_early"
    if lost:
        state.actual_outcome, state.actual_arr = "full_churn", 0
    closed = {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn"} if lost else {}
    renewal.crm("cancelled", {**closed, "Description": state.why_cancelled})
    renewal.say("cancelled", f"Cancelled. {state.why_cancelled}", Role.AE, Role.TA)
    if done := renewal.project_done("the renewal is cancelled"):
        renewal.do(*done)
    renewal.enter(Phase.CANCELLED)
    return "cancelled"
