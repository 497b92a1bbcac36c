"""How what the hourly run found reaches the processes of an account (D12)."""

from __future__ import annotations

from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from domain import ids
from domain.account.account import AccountFacts
from domain.account.lifecycle import AccountInput
from domain.policy import AccountPolicy
from starter.errors import NotFound
from starter.service.temporal_errors import asking
from starter.service.tenure import Tenure
from workflows.frame.search_attributes import ACCOUNT


async def tell_account(tenure: Tenure, policy: AccountPolicy, facts: AccountFacts) -> None:
    """Tell an account's process of its facts; a customer's is started with ``policy`` when there is none yet.

    Safe to repeat: the facts say how it is. Who is a customer no more is told only if a process of theirs still runs. Raises the errors
    of :mod:`starter.errors`.
    """
    customer, settings = facts.customer, tenure.settings
    workflow_id = ids.account(customer.domain)
    if customer.status != "customer":
        try:
            with asking(workflow_id):
                await tenure.client.get_workflow_handle(workflow_id).signal("facts", facts)
        except NotFound:
            return
    else:
        with asking(workflow_id):
            await tenure.client.start_workflow(
                "Account",
                AccountInput(
                    customer=customer,
                    team=facts.team,
                    policy=policy,
                    channel=settings.slack_forecast_channel,
                    red_channel=settings.slack_red_channel,
                ),
                id=workflow_id,
                task_queue=tenure.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, customer.domain)]),
                start_signal="facts",
                start_signal_args=[facts],
                static_summary=f"Life of {customer.name}",
            )
