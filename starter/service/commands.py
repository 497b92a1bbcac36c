"""What people decide about a process, and their answers to tasks: authorized, then sent to the workflow as an update."""

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain import provenance
from domain.base import Message
from domain.commands import Command
from domain.people import Person, Role
from domain.rights import Asked
from domain.task import Answer
from domain.trial.commands import CorrectAdmin
from starter.errors import BadInput, NotFound, Refused, TenureError
from starter.service.authorization import Caller, on_owned, on_task
from starter.service.forms import event_id as derived
from starter.service.queries import Queries, query
from starter.service.temporal_errors import Closing, Over, asking
from store.read_model import ReadModel
from store.roster import Roster

log = logging.getLogger(__name__)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
#: How a decision is carried out that is more than an update: its message, and the event's id.
Carry = Callable[[Any, str], Awaitable[str]]
Owners = Callable[[Iterable[Person]], Iterable[Person]]
Start = WithStartWorkflowOperation[Any, Any]

#: Seconds within which an update is answered; a worker that runs answers in a fraction of one.
PATIENCE = 20.0
#: The memo that says which event started a process.
BEGUN_BY = "begun_by"


class Commands(Queries):
    """What may be decided."""

    def called_by(self, caller: Caller) -> Self:
        """The same service for somebody else; without this it is the operator's who runs the process."""
        theirs = copy.copy(self)
        theirs.caller = caller
        return theirs

    def event(self, workflow_id: str, name: str, given: str, *space: str) -> str:
        """The id of a request of this caller to a workflow; ``given`` is the one that they gave it, which means something to them alone."""
        caller = self.caller
        return derived(self.settings.way_in_key(), given, caller.via, caller.through, caller.email, workflow_id, name, *space)

    @property
    def carried(self) -> dict[str, Any]:
        """What every process around trials is started with."""
        return {"policy": self.policy, "alerts_channel": self.settings.slack_alerts_channel}

    # --- Decisions ----------------------------------------------------------------------------------------------------------

    async def decide(
        self,
        command: Command[Any],
        workflow_id: str,
        given: Message | Mapping[str, Any] | None = None,
        event_id: str = "",
        carry: Carry | None = None,
        owners: Owners | None = None,
        **how: Any,
    ) -> str:
        """Authorize a decision, and have it carried out: by :meth:`update` (``how``), or by ``carry``; returns what was done, in words.

        ``owners`` looks after what is decided about; without it, whoever looks after the process.
        """
        message = read(command.message, given)
        judge = on_owned(command.judged_as, owners or self._owners(workflow_id))
        event, what = self.event(workflow_id, command.name, event_id), described(command.name, message)
        noted = {"by": str(getattr(message, "by", "")), "what": what, "subject": workflow_id, "event": event}
        async with self.authorization.decision(self.caller, judge, nameless=command.nameless, **noted) as by:
            if isinstance(message, CorrectAdmin):
                message = message.model_copy(update={"email": self.outsider(message.email).email})
            decided = message.model_copy(update={"by": by})
            return await (carry(decided, event) if carry else self.update(workflow_id, command.name, decided, event, **how))

    def _owners(self, workflow_id: str) -> Owners:
        return lambda roster: Roster(self.ledger).owners(workflow_id, roster)

    async def answer(self, task_id: str, answer: Answer, event_id: str = "") -> str:
        """Answer a task, ``WORKFLOW:TASK``; one answer wins, a later one is refused with who answered and when."""
        workflow_id, _, task = task_id.strip().rpartition(":")
        if not workflow_id or not task or len(task_id) > 600:
            do = "Write it as WORKFLOW:TASK; `tenure tasks` lists them"
            raise BadInput(f"{task_id[:60]!r} is not the id of a task", do, field="task")
        asked = await self._asked(workflow_id, task)
        judge, what = on_task(asked), described("answer", answer.model_copy(update={"task": task}))
        event = self.event(workflow_id, f"answer {task}", event_id)
        async with self.authorization.decision(self.caller, judge, by=answer.by, what=what, subject=workflow_id, event=event) as by:
            judged: dict[str, Any] = {"task": task, "by": by, "unjudged": asked is None}
            if answer.choice == "qualify" and (named := answer.fields.get("domain")):
                judged["fields"] = {**answer.fields, "domain": self.company_of(str(named))}
            return await self.update(workflow_id, "answer", answer.model_copy(update=judged), event)

    async def _asked(self, workflow_id: str, task: str) -> Asked | None:
        """An open task as the rights see it, by its id or its kind; None when no such task is open: the workflow then says why."""
        view = await self.open_task(workflow_id, task)
        return None if view is None else Asked(id=view.id, role=Role(view.role), assignee=view.assignee, also=view.asked)

    # --- To the workflow ----------------------------------------------------------------------------------------------------

    async def update(
        self, workflow_id: str, name: str, message: Message, event_id: str, missing: TenureError | None = None, start: Start | None = None
    ) -> str:
        """Send an update to a running workflow and return what it says; ``missing`` is raised when none runs, unless ``start`` starts it then.

        A double click is one event.
        """
        try:
            return await self.sent(workflow_id, name, message, event_id, str, missing or _nothing_runs(workflow_id), start)
        except (NotFound, Closing) as error:
            if isinstance(error, NotFound) and name == "answer":  # the lists had a task of it: it ended without a word, as by a termination
                await self.read(lambda: ReadModel(self.ledger).close(workflow_id))
            if said := await self.what_became(workflow_id, str(getattr(message, "task", ""))):
                raise Over(f"{workflow_id} is over: {said}; nothing was changed", error.do) from error
            raise

    async def sent(
        self, workflow_id: str, name: str, message: Message, event: str, result: type[T], missing: TenureError, start: Start | None
    ) -> T:
        """An update's answer, as it comes. The server answers a known event's id as it did the first time, whatever was asked then."""
        with asking(workflow_id, missing=missing):
            if start is not None:
                call = self.client.execute_update_with_start_workflow(
                    name, message, start_workflow_operation=start, id=event, result_type=result
                )
            else:
                handle = self.client.get_workflow_handle(workflow_id)
                call = handle.execute_update(name, message, id=event, result_type=result)
            try:
                async with asyncio.timeout(PATIENCE):
                    answer: T = await call
            except ValidationError:
                raise Refused("this event id was used for another request already", "Send each request under an id of its own") from None
        return answer

    def with_start(self, kind: str, given: Message, workflow_id: str, summary: str, **options: Any) -> Start:
        """For an update whose workflow is started when it does not run."""
        policy = WorkflowIDConflictPolicy.USE_EXISTING
        return WithStartWorkflowOperation(
            kind, given, id=workflow_id, task_queue=self.task_queue, id_conflict_policy=policy, static_summary=summary, **options
        )

    async def start(self, kind: str, given: Message, workflow_id: str, summary: str, *, about: str = "", **options: Any) -> None:
        """Start a workflow; one that runs under that id already is left alone, unless the ``options`` say otherwise.

        ``about`` is what an error calls it whose id holds an address.
        """
        options = {"id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING, "static_summary": summary, **options}
        with asking(about or workflow_id):
            await self.client.start_workflow(kind, given, id=workflow_id, task_queue=self.task_queue, **options)

    async def begin(self, kind: str, given: Message, workflow_id: str, summary: str, event_id: str, **options: Any) -> None:
        """Start a process whose id is the lock. Raises :class:`Closing` when it runs, or ran, already, unless this very event started it."""
        options |= {"id_conflict_policy": WorkflowIDConflictPolicy.FAIL, "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE}
        try:
            await self.start(kind, given, workflow_id, summary, memo={BEGUN_BY: event_id}, **options)
        except Closing:
            if not await self.began(workflow_id, event_id):
                raise

    async def began(self, workflow_id: str, event_id: str) -> bool:
        """Whether it was this event that started a process."""
        with suppress(NotFound), asking(workflow_id):
            described = await self.client.get_workflow_handle(workflow_id).describe()
            return bool(await described.memo_value(BEGUN_BY, "") == event_id)
        return False

    async def what_became(self, workflow_id: str, task: str = "") -> str:
        """Who decided what and when about a process that has ended, for whoever came too late; empty when it does not say, or goes on."""
        try:
            with asking(workflow_id):
                described = await self.client.get_workflow_handle(workflow_id).describe()
                if described.status is WorkflowExecutionStatus.RUNNING:
                    return ""
                handle = self.client.get_workflow_handle(workflow_id, run_id=described.run_id)
                return await query(handle, "what_became", str, task)
        except TenureError as error:
            log.info("what became of %s: %s", workflow_id, error)
            return ""


def described(name: str, message: Message) -> str:
    """What was asked for, for the audit: the act and its figures."""
    return provenance.described(name, message.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"by"}))


def read(model: type[M], given: M | Mapping[str, Any] | None) -> M:
    """The message of what a person typed; a fault is theirs. Raises :class:`BadInput`."""
    if isinstance(given, model):
        return given
    try:
        return model.model_validate({name: value for name, value in dict(given or {}).items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        what = f"{field or 'the message'}: {fault['msg'].removeprefix('Value error, ')}"
        raise BadInput(what, "Correct it and send it again", field=field) from None


def _nothing_runs(workflow_id: str) -> TenureError:
    then = "A new signup starts a new trial" if workflow_id.startswith("trial-") else "`tenure tasks` lists what is asked now"
    return NotFound(f"{workflow_id[:120]} is not running: it ended, or never began; nothing was changed", then)
