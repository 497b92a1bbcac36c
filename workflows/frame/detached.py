"""How a process begins another that outlives it: by a small workflow that starts the other one, and ends.

A server that keeps a clock for each workflow does not move it on while a child runs, and what is begun here is open for days or months:
were it the process's own child, `tenure skip` could not move either. The other begins at its starter's time all the same; its id is the lock.
"""

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain.base import Message
from domain.messages import Beginning
from workflows.frame.effects import Effects
from workflows.frame.search_attributes import ACCOUNT


@workflow.defn
class Begin:
    """Starts a process, and ends: so the process is no child of whoever asked for it."""

    @workflow.run
    async def run(self, given: Beginning) -> bool:
        """Whether it was started: else one of that id runs or, with ``once``, has run."""
        about = TypedSearchAttributes([SearchAttributePair(ACCOUNT, given.account)]) if given.account else None
        try:
            await workflow.start_child_workflow(
                given.kind,
                given.input,
                id=given.id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE if given.once else WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=about,
                static_summary=given.summary,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True


async def begin_or_tell(
    effects: Effects, kind: str, start: Message, *told: tuple[str, Message], id: str, summary: str, account: str = ""
) -> None:
    """Begin a process or, where it runs, send it these signals (name, message); one that ends between the two is begun anew."""
    while not await begin(kind, start, id=id, summary=summary, account=account):
        if all([await effects.signal(id, name, message) for name, message in told]):
            return
        workflow.logger.info("%s has just ended: it is begun anew", id)


async def begin(kind: str, input: Message, *, id: str, summary: str, account: str = "", once: bool = False) -> bool:
    """Begin a process beside this one; False when one of that id runs already or, with ``once``, has run before.

    ``account`` is the customer whose process it is, for the search attribute.
    """
    given = Beginning(kind=kind, id=id, input=input.model_dump(mode="json"), account=account, summary=summary, once=once)
    try:
        started: bool = await workflow.execute_child_workflow(
            "Begin", given, id=f"begin-{id}", result_type=bool, parent_close_policy=ParentClosePolicy.ABANDON, static_summary=summary
        )
    except WorkflowAlreadyStartedError:
        return False  # it is being begun this moment
    return started
