"""Gap 9: the date of a renewal moves. Every moment ahead moves along, what lies in the past happens at once, and stale findings are dropped."""

from __future__ import annotations

from temporalio import workflow

from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import MoveRenewal
from domain.renewal.state import Key, Phase, milestone
from domain.task import TaskKind
from workflows.renewal import assessment
from workflows.renewal.process import RenewalProcess

#: The moments that come again when the date moves away from them; a finding (review, assessment) is repeated only once it is stale.
AGAIN: tuple[Key, ...] = ("value_engineering", "processing", "term_end")


#: Who moves a renewal when the CRM's date has moved: the account, which knows it then.
BY_CRM = "Salesforce"


def move(r: RenewalProcess, message: MoveRenewal) -> str:
    """The term ends on another day; an extension of the old one is void."""
    s, now = r.state, workflow.now()
    decision = r.record(decisions.moved(r.policy, s, message, now))
    s.renewal_on, s.extension_days = message.renewal_on, 0
    s.done = [key for key in s.done if key not in AGAIN or milestone(r.policy, s, key).at <= now]
    if decision.outcome == "begins anew":
        _forget(r, decision.rule)
    r.crm("moved", {"CloseDate": s.renewal_on.isoformat()})
    if message.by != BY_CRM:
        r.spawn(r.runs())
    r.say("moved", f"The renewal moves: {decision.rule}", Role.AE, Role.TA)
    return f"moved to {s.renewal_on}: {decision.outcome}"


def _forget(r: RenewalProcess, why: str) -> None:
    """What was found would be stale by the new date. The rating stays until there is another, and so does Lighthouse."""
    s = r.state
    s.done, s.planned, s.told_value_engineering, s.anew = [], False, False, True
    s.ta = s.ae = s.assessed_at = s.projection = s.ta_projection = None
    s.odd = ""
    for kind in (TaskKind.EARLY_REVIEW, *assessment.KINDS, TaskKind.PLAN, TaskKind.PROCESS):
        r.desk.withdraw(kind, why)
    if done := r.project_done("the renewal's date has moved"):
        r.do(*done)
    r.enter(Phase.UPCOMING)
