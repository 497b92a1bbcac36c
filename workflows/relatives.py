"""How the processes of one account begin and find each other: one workflow id each, whoever begins it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from domain import ids
    from domain.account import Beginning, PlanReason
    from domain.base import Message
    from domain.get_well import GetWellInput
    from domain.red import MarkRed, RedInput
    from domain.renewal import RenewalInput
    from workflows.account_process import AccountProcess
    from workflows.attributes import ACCOUNT


@workflow.defn
class Begin:
    """Starts a process of an account, and ends: so the process is no child of whoever asked for it, and outlives it.

    A server that keeps a clock for each workflow does not move it on while a child runs (``workflows/beside.py``).
    """

    @workflow.run
    async def run(self, given: Beginning) -> bool:
        """Whether it was started: else one of that id runs, or has run."""
        try:
            await workflow.start_child_workflow(
                given.kind,
                given.input,
                id=given.id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE if given.once else WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, given.account)]),
                static_summary=given.summary,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True


async def begin(kind: str, input: Message, id: str, domain: str, summary: str, *, once: bool = False) -> bool:
    """Begin a process of the account beside this one; False when it runs already or, with ``once``, has run before."""
    given = Beginning(kind=kind, id=id, input=input.model_dump(mode="json"), account=domain, summary=summary, once=once)
    try:
        started: bool = await workflow.execute_child_workflow(
            "Begin", given, id=f"begin-{id}", result_type=bool, parent_close_policy=ParentClosePolicy.ABANDON, static_summary=summary
        )
    except WorkflowAlreadyStartedError:
        return False  # it is being begun this moment
    return started


async def reason(p: AccountProcess, given: PlanReason, channel: str) -> None:
    """Tell the account's get-well plan that a reason came or is gone; one that comes begins the plan when there is none (gap 11)."""
    plan = ids.get_well(p.customer.domain)
    if not given.on:
        await p.effects.tell(plan, "reason", given)
        return
    start = GetWellInput(customer=p.customer, team=p.team, policy=p.policy, channel=channel, reasons=(given,))
    summary = f"get-well plan of {p.customer.name}"
    # A plan that ends between the two is begun anew.
    while not await begin("GetWell", start, plan, p.customer.domain, summary) and not await p.effects.tell(plan, "reason", given):
        workflow.logger.info("%s has just ended: it is begun anew", plan)


async def mark(p: AccountProcess, given: MarkRed, start: RedInput) -> None:
    """Mark the account red, or add a reason when it is red already (C20); ``start`` is how it begins when it is not."""
    name, domain = ids.red(p.customer.domain), p.customer.domain
    summary = f"{p.customer.name} is red"
    while not await begin("RedAccount", start, name, domain, summary) and not await p.effects.tell(name, "mark_red", given):
        workflow.logger.info("%s has just ended: it is begun anew", name)


async def renew(start: RenewalInput, id: str) -> bool:
    """Begin the renewal of a term, once; False when somebody began it by hand, whether it runs or has ended."""
    summary = f"renewal of {start.customer.name} on {start.renewal_on}"
    return await begin("Renewal", start, id, start.customer.domain, summary, once=True)
