"""Moving open trials to another policy: first what would change for which, then the update that each trial checks for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

from domain.base import Value
from domain.policy import Policy
from domain.trial.adoption import Preview, WhatIf
from domain.trial.commands import AdoptPolicy
from starter.errors import NotFound, Refused, TenureError
from starter.service.queries import query
from starter.service.temporal_errors import asking

if TYPE_CHECKING:
    from temporalio.client import WorkflowExecution

    from starter.service.tenure import Tenure

#: Trials asked at once: each answer costs a worker a replay of the trial's history when it is not in its cache.
AT_ONCE = 16


class Adoption(Value):
    """What became of one trial: ``mute`` when it could not say, with the reason in ``says``."""

    domain: str
    workflow: str
    stage: str = ""
    preview: Preview | None = None
    outcome: Literal["would adopt", "adopted", "has it", "refused", "mute"] = "mute"
    says: str = ""


async def adoptions(
    tenure: Tenure, policy: Policy, where: str = "", *, by: str = "", why: str = "", do: bool = False
) -> AsyncIterator[Adoption]:
    """Ask every open trial what ``policy`` would change, and with ``do`` have it adopted; one by one as they answer.

    ``where`` is a filter in the server's own words (``Stage = 'onboarding'``). Asked again, a trial that has the policy says so.
    Raises :class:`~starter.errors.BadInput` for a filter that the server does not read, :class:`NotFound` when it lets no trial through.
    """
    scope = "WorkflowType = 'Trial' AND ExecutionStatus = 'Running'" + (f" AND ({where})" if where else "")
    found: list[WorkflowExecution] = []
    with asking("the list of trials"):
        async for execution in tenure.client.list_workflows(scope, page_size=500):
            found.append(execution)
    if not found:
        raise NotFound("no open trial" + (f" with {where[:200]}" if where else ""), "Look at `tenure trial list`, or leave --where out")
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(execution: WorkflowExecution) -> Adoption:
        async with turns:
            return await _adopt(tenure, execution.id, policy, by, why, do)

    asked = [asyncio.ensure_future(one(execution)) for execution in found]
    try:
        for answer in asyncio.as_completed(asked):
            yield await answer
    finally:
        for task in asked:
            task.cancel()


async def _adopt(tenure: Tenure, workflow: str, policy: Policy, by: str, why: str, do: bool) -> Adoption:
    handle = tenure.client.get_workflow_handle(workflow)
    about = Adoption(domain=workflow.removeprefix("trial-"), workflow=workflow)
    try:
        with asking(workflow):
            preview = await query(handle, "what_if", Preview, WhatIf(policy=policy))
        about = about.model_copy(update={"domain": preview.domain, "stage": preview.stage, "preview": preview})
        if preview.policy == preview.would_be:
            return about.model_copy(update={"outcome": "has it", "says": preview.refused})
        if preview.refused:
            return about.model_copy(update={"outcome": "refused", "says": preview.refused})
        if not do:
            return about.model_copy(update={"outcome": "would adopt"})
        event = tenure.event(workflow, "adopt_policy", f"{policy.hash} after {preview.policy}")
        said = await tenure.update(workflow, "adopt_policy", AdoptPolicy(by=by, policy=policy, why=why), event)
        return about.model_copy(update={"outcome": "adopted", "says": said})
    except Refused as error:
        return about.model_copy(update={"outcome": "refused", "says": error.detail})
    except TenureError as error:
        return about.model_copy(update={"outcome": "mute", "says": error.detail})
