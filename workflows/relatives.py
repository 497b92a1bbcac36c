"""How the processes of one account start and find each other: one workflow id each, whoever starts it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain import ids
from domain.account import PlanReason
from domain.base import Message
from domain.get_well import GetWellInput
from workflows.account_process import AccountProcess
from workflows.attributes import ACCOUNT


async def begin(kind: str, input: Message, id: str, domain: str, summary: str, *, once: bool = False) -> bool:
    """Start a process of the account beside this one; False when it runs already or, with ``once``, has run before.

    It goes on when this one ends, or is continued as new.
    """
    try:
        await workflow.start_child_workflow(
            kind,
            input,
            id=id,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE if once else WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, domain)]),
            static_summary=summary,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def reason(p: AccountProcess, given: PlanReason, channel: str) -> None:
    """Tell the account's get-well plan that a reason came or is gone; one that comes starts the plan when there is none (gap 11)."""
    plan = ids.get_well(p.customer.domain)
    if not given.on:
        await p.effects.tell(plan, "reason", given)
        return
    start = GetWellInput(customer=p.customer, team=p.team, policy=p.policy, channel=channel, reasons=(given,))
    summary = f"get-well plan of {p.customer.name}"
    # A plan that ends between the two is started anew.
    while not await begin("GetWell", start, plan, p.customer.domain, summary) and not await p.effects.tell(plan, "reason", given):
        workflow.logger.info("%s has just ended: it is started anew", plan)
