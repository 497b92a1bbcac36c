"""How a process starts another that outlives it: by a child that starts the other one, and ends.

A server that keeps a clock for each workflow does not move it on while a child runs, and a join request is open for days: were it the
trial's own child, `tenure skip` could not move the trial. The other process begins at its starter's time all the same; its id is the lock.
"""

from __future__ import annotations

from typing import Literal

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain.base import Message

Said = Literal["begun", "runs already"]

#: The change since which a trial's processes are begun this way; before it they were its children.
PATCH = "processes-beside"
#: Stands before the id of the process that a child is to start.
PREFIX = "begin-"


async def begin(kind: str, input: Message, *, id: str, summary: str) -> bool:
    """Start a workflow of that kind, whose ``run`` asks :func:`handed_on` first; False when one of that id runs already."""
    try:
        said: str = await workflow.execute_child_workflow(
            kind, input, id=PREFIX + id, result_type=str, parent_close_policy=ParentClosePolicy.ABANDON, static_summary=summary
        )
    except WorkflowAlreadyStartedError:
        return False  # it is being begun at this moment
    return said == "begun"


async def handed_on(input: Message, summary: str) -> Said | None:
    """In the child that :func:`begin` made: hand the input on to the process itself, and say what came of it. In any other, None."""
    info = workflow.info()
    if not info.workflow_id.startswith(PREFIX):
        return None
    try:
        await workflow.start_child_workflow(
            info.workflow_type,
            input,
            id=info.workflow_id.removeprefix(PREFIX),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=summary,
        )
    except WorkflowAlreadyStartedError:
        return "runs already"
    return "begun"
