"""What people decide about a trial, and their answers to tasks: authorized, then sent to the workflow as an update."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import ValidationError
from temporalio.client import WithStartWorkflowOperation

from domain import commands, provenance
from domain.base import Message
from domain.commands import Command
from domain.messages import OpenLink
from domain.people import Person, Role
from domain.rights import Asked
from domain.task import Answer
from domain.trial.commands import CHANGE_DOMAIN, NEW_LINK, ChangeDomain, CorrectAdmin
from starter.errors import BadInput, NotFound, TenureError
from starter.service.authorization import Authorization, Caller, on_owned, on_task
from starter.service.events import event_id as derived
from starter.service.queries import Queries
from starter.service.temporal_errors import Over
from store.roster import Roster

if TYPE_CHECKING:
    from domain.addresses import Address
    from store.settings import Settings

M = TypeVar("M", bound=Message)
#: How a decision is carried out that is more than an update: its message, and the event's id.
Carry = Callable[[Any, str], Awaitable[str]]
Start = WithStartWorkflowOperation[Any, Any]


class Commands(Queries, ABC):
    """What may be decided. The connection and the rest are those of :class:`starter.service.tenure.Tenure`."""

    caller: Caller
    authorization: Authorization
    settings: Settings

    @abstractmethod
    async def update(
        self, workflow_id: str, name: str, message: Message, event_id: str, missing: TenureError | None = None, start: Start | None = None
    ) -> str:
        """Send an update to a running workflow and return what it says."""

    @abstractmethod
    def outsider(self, email: str) -> Address:
        """The address of somebody outside who may be given a trial. Raises :class:`BadInput`."""

    @abstractmethod
    async def _moved(self, domain: str, message: ChangeDomain, event_id: str) -> str:
        """Move the instance of a customer whose trial is over."""

    def called_by(self, caller: Caller) -> Self:
        """The same service for somebody else; without this it is the operator's who runs the process."""
        theirs = copy.copy(self)
        theirs.caller = caller
        return theirs

    def event(self, workflow_id: str, name: str, given: str, *space: str) -> str:
        """The id of a request of this caller to a workflow; ``given`` is the one that they gave it, which means something to them alone."""
        caller = self.caller
        return derived(self.settings.way_in_key(), given, caller.via, caller.through, caller.email, workflow_id, name, *space)

    async def decide(
        self,
        command: Command[Any],
        workflow_id: str,
        given: Message | Mapping[str, Any] | None = None,
        event_id: str = "",
        carry: Carry | None = None,
        **how: Any,
    ) -> str:
        """Authorize a decision, and have it carried out: by :meth:`update` (``how``), or by ``carry``; returns what was done, in words."""
        message = read(command.message, given)
        judge = on_owned(command.judged_as, lambda roster: self._owners(workflow_id, roster))
        event, what = self.event(workflow_id, command.name, event_id), described(command.name, message)
        decision = self.authorization.decision(
            self.caller, judge, by=str(getattr(message, "by", "")), what=what, subject=workflow_id, event=event, nameless=command.nameless
        )
        async with decision as by:
            if isinstance(message, CorrectAdmin):
                message = message.model_copy(update={"email": self.outsider(message.email).email})
            decided = message.model_copy(update={"by": by})
            return await (carry(decided, event) if carry else self._act_on(workflow_id, command.name, decided, event, **how))

    async def act(self, domain: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """Ask a running trial for one of its decisions; returns what was done, in words. ``domain`` may be any host of the company."""
        try:
            return await self.act_on(self.workflow_of(domain), name, message, event_id)
        except (NotFound, Over):
            if name != CHANGE_DOMAIN.name:
                raise
            # The trial is over: a customer's instance may still move.
            return await self._moved(domain, read(ChangeDomain, message), event_id)

    async def act_on(self, workflow_id: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """The same by workflow id, for a link that carries one."""
        known = {command.name: command for command in commands.of(commands.TRIAL)}
        if name not in known:
            raise BadInput(f"{name[:40]!r} cannot be asked of a trial", f"Ask one of: {', '.join(known)}")
        return await self.decide(known[name], workflow_id, message, event_id)

    async def open_link(self, workflow_id: str, email: str) -> str:
        """The reader of a mail opens the link in it, which confirms their claim: the vault's reference of the reset link that was made."""
        event, judge = self.event(workflow_id, "open_link", ""), on_owned(NEW_LINK.name, lambda roster: self._owners(workflow_id, roster))
        async with self.authorization.decision(self.caller, judge, by=email, what="open_link", subject=workflow_id, event=event) as by:
            return await self._open_link(workflow_id, OpenLink(by=by), event)

    async def _open_link(self, workflow_id: str, message: OpenLink, event_id: str) -> str:
        return await self.update(workflow_id, "open_link", message, event_id)

    async def _act_on(self, workflow_id: str, name: str, message: Message, event_id: str, **how: Any) -> str:
        return await self.update(workflow_id, name, message, event_id, **how)

    def _owners(self, workflow_id: str, roster: Iterable[Person]) -> Iterable[Person]:
        return Roster(self.ledger).owners(workflow_id, roster)

    async def answer(self, task_id: str, answer: Answer, event_id: str = "") -> str:
        """Answer a task, ``WORKFLOW:TASK``; one answer wins, a later one is refused with who answered and when."""
        workflow_id, _, task = task_id.strip().rpartition(":")
        if not workflow_id or not task or len(task_id) > 600:
            raise BadInput(
                f"{task_id[:60]!r} is not the id of a task", "Write it as WORKFLOW:TASK; `tenure tasks` lists them", field="task"
            )
        asked = await self._asked(workflow_id, task)
        event, what = self.event(workflow_id, f"answer {task}", event_id), described("answer", answer.model_copy(update={"task": task}))
        async with self.authorization.decision(
            self.caller, on_task(asked), by=answer.by, what=what, subject=workflow_id, event=event
        ) as by:
            judged: dict[str, Any] = {"task": task, "by": by, "unjudged": asked is None}
            if answer.choice == "qualify" and (named := answer.fields.get("domain")):
                judged["fields"] = {**answer.fields, "domain": self.company_of(str(named))}
            return await self._answer(task_id, answer.model_copy(update=judged), event)

    async def _answer(self, task_id: str, answer: Answer, event_id: str) -> str:
        return await self.update(task_id.strip().rpartition(":")[0], "answer", answer, event_id)

    async def _asked(self, workflow_id: str, task: str) -> Asked | None:
        """An open task as the rights see it, by its id or its kind; None when no such task is open: the workflow then says why."""
        view = await self.open_task(workflow_id, task)
        return None if view is None else Asked(id=view.id, role=Role(view.role), assignee=view.assignee, also=view.asked)


def described(name: str, message: Message) -> str:
    """What was asked for, for the audit: the act and its figures."""
    return provenance.described(name, message.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"by"}))


def read(model: type[M], given: Message | Mapping[str, Any] | None) -> M:
    """The message of what a person typed; a fault is theirs. Raises :class:`BadInput`."""
    if isinstance(given, model):
        return given
    try:
        return model.model_validate({name: value for name, value in dict(given or {}).items() if value is not None})
    except ValidationError as error:
        raise bad_fields(error) from None


def bad_fields(error: ValidationError) -> BadInput:
    """The first fault of a model, in words."""
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"])
    return BadInput(f"{field or 'the message'}: {fault['msg'].removeprefix('Value error, ')}", "Correct it and send it again", field=field)
