"""Moving open trials to another policy: first what would change for which, then the update that each trial checks for itself."""

from typing import Literal

from domain.base import Value
from domain.policy import Policy
from domain.trial.adoption import Preview, WhatIf
from domain.trial.commands import AdoptPolicy
from starter.errors import NotFound, Refused, TenureError
from starter.service.queries import each_of, query
from starter.service.temporal_errors import asking
from starter.service.tenure import Tenure

#: Trials asked at once.
AT_ONCE = 16


class Adoption(Value):
    """What became of one trial: ``mute`` when it could not say, with the reason in ``says``."""

    domain: str
    workflow: str
    stage: str = ""
    preview: Preview | None = None
    outcome: Literal["would adopt", "adopted", "has it", "refused", "mute"] = "mute"
    says: str = ""


async def adoptions(tenure: Tenure, policy: Policy, where: str = "", *, by: str = "", why: str = "", do: bool = False) -> list[Adoption]:
    """Ask every open trial what ``policy`` would change, and with ``do`` have it adopted.

    ``where`` is a filter in the server's own words (``Stage = 'onboarding'``). Asked again, a trial that has the policy says so.
    Raises :class:`~starter.errors.BadInput` for a filter that the server does not read, :class:`NotFound` when it lets no trial through.
    """
    scope = "WorkflowType = 'Trial' AND ExecutionStatus = 'Running'" + (f" AND ({where})" if where else "")
    found = await tenure.found(scope, "the list of trials")
    if not found:
        raise NotFound("no open trial" + (f" with {where[:200]}" if where else ""), "Look at `tenure trial list`, or leave --where out")
    answers = await each_of(found, lambda workflow: _adopt(tenure, workflow, policy, by, why, do), AT_ONCE)
    return sorted(answers, key=lambda answer: answer.domain)


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
