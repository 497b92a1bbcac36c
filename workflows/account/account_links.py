"""How the processes of one account begin and find each other: one workflow id each, whoever begins it."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import ids
    from domain.account.account import PlanReason
    from domain.account.get_well import GetWellInput
    from domain.account.red import RedInput
    from domain.renewal.state import RenewalInput
    from workflows.account.process import AccountProcess
    from workflows.frame.detached import begin


async def reason(process: AccountProcess, given: PlanReason, channel: str) -> None:
    """Tell the account's get-well plan that a reason came or is gone; one that comes begins the plan when there is none (gap 11)."""
    plan = ids.get_well(process.customer.domain)
    if not given.on:
        await process.effects.signal(plan, "reason", given)
        return
    start = GetWellInput(customer=process.customer, team=process.team, policy=process.policy, channel=channel, reasons=(given,))
    summary = f"get-well plan of {process.customer.name}"
    # A plan that ends between the two is begun anew.
    while not await begin("GetWell", start, id=plan, summary=summary, account=process.customer.domain) and not await process.effects.signal(
        plan, "reason", given
    ):
        workflow.logger.info("%s has just ended: it is begun anew", plan)


async def in_turn(process: AccountProcess, channel: str, *given: PlanReason) -> None:
    """The same for several, after what was said before: a plan that is still being begun takes longer than a word that its reason is gone."""
    async with process.reasons:
        for each in given:
            await reason(process, each, channel)


async def mark(process: AccountProcess, start: RedInput) -> None:
    """Mark the account red, or add the reasons when it is red already (C20); ``start`` has them, and is how it begins when it is not."""
    name, domain = ids.red(process.customer.domain), process.customer.domain
    summary = f"{process.customer.name} is red"
    while not await begin("RedAccount", start, id=name, summary=summary, account=domain):
        if all([await process.effects.signal(name, "mark_red", given) for given in start.marks]):
            return
        workflow.logger.info("%s has just ended: it is begun anew", name)


async def renew(start: RenewalInput, id: str) -> bool:
    """Begin the renewal of a term, once; False when somebody began it by hand, whether it runs or has ended."""
    summary = f"renewal of {start.customer.name} on {start.renewal_on}"
    return await begin("Renewal", start, id=id, summary=summary, account=start.customer.domain, once=True)
