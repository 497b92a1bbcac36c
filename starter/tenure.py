"""The service that every way in shares: a request becomes a start, an update, a signal or a query, and nothing else.

Workflows are named by string, so that a command starts without the activities' client libraries.
Errors are those of :mod:`starter.errors`; none of them leaves anything half done that asking again does not finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError

from domain import ids
from domain.base import Message
from domain.decision import Decision
from domain.messages import (
    Account,
    CeRequest,
    ChangeDomain,
    Contact,
    Convert,
    Extend,
    Instance,
    IssueEvent,
    JoinAsk,
    JoinInput,
    NewLink,
    OptOut,
    Origin,
    RequestFeedback,
    Signup,
    SignupAgain,
    SignupAnswer,
    Terminate,
)
from domain.policy import Policy
from domain.task import Answer
from domain.trial import Stage, TrialInput
from domain.views import NextStep, TaskView, TrialStatus
from starter import listing
from starter.addresses import Address, read_address, read_key, read_trial
from starter.asking import Closing, asking
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.failed import FailedSignups
from starter.forms import JoinForm, SignupForm, TrialPage, TrialRequestForm, TrialRow, TrialView, new_event
from workflows.attributes import DOMAIN, DUE_AT

if TYPE_CHECKING:
    from activities.ledger import EffectRow, Ledger
    from activities.settings import Settings

__all__ = ["ACTS", "JoinForm", "SignupForm", "Tenure", "TrialPage", "TrialRequestForm", "TrialRow", "TrialView"]

log = logging.getLogger(__name__)
T = TypeVar("T")
SignupVia = Literal["web", "api", "cli", "rescue", "free_mail"]

#: What may be asked of a running trial, and the message of each.
ACTS: Mapping[str, type[Message]] = {
    "extend": Extend,
    "convert": Convert,
    "terminate": Terminate,
    "request_feedback": RequestFeedback,
    "change_domain": ChangeDomain,
    "new_link": NewLink,
    "opt_out": OptOut,
}
#: Bounds of what one answer may hold, so that no question costs the server or the workers much.
MOST_ROWS = 200
MOST_TASKS = 100
SCANNED_FOR_TASKS = 500
AT_ONCE = 8
#: How long a workflow may take to say where it stands.
LOOK = timedelta(seconds=10)
#: A trial may close between our look and our message; then the next try starts a new one.
TRIES = 3


class Tenure:
    """Tenure, as people and programs use it. ``policy`` is what a new trial is given; a running one keeps its own."""

    def __init__(self, client: Client, ledger: Ledger, settings: Settings, policy: Policy, *, task_queue: str = ids.TASK_QUEUE) -> None:
        self.client = client
        self.ledger = ledger
        self.settings = settings
        self.policy = policy
        self.task_queue = task_queue
        self._failed = FailedSignups(ledger)
        self._later: set[asyncio.Task[None]] = set()

    # --- Ways into a trial --------------------------------------------------------------------------------------------------

    async def signup(self, form: SignupForm) -> SignupAnswer:
        """Sign a company up (A3): one round trip, whose answer is the routing decision. The same ``event_id`` is the same signup."""
        address = self._address(form.email)
        contact = Contact(email=address.email, first_name=form.first_name, last_name=form.last_name)
        return await self._signup(address, contact, form.company, form.via, form.event_id)

    async def sign_up_again(self, again: SignupAgain) -> SignupAnswer:
        """A process signs somebody up on their behalf: a rescue, or a free-mail signup whose company (``domain``) is known now."""
        address = self._address(again.contact.email)
        if again.domain:
            address = replace(address, key=self.key_of(again.domain), free_mail=False)
        return await self._signup(address, again.contact, again.company, again.via, again.event)

    async def _signup(self, address: Address, contact: Contact, company: str, via: SignupVia, event_id: str) -> SignupAnswer:
        account, as_of = await self._account(address)
        message = Signup(
            contact=contact.model_copy(update={"email": address.email}),
            company=company,
            at=_now(),
            account=account,
            account_as_of=as_of,
            instance=await self._instance(address),
            via=via,
        )
        answer = await self._with_start(address, "self_serve", "signup", message, event_id, SignupAnswer)
        if answer.outcome == "instant":
            self._beside(self._refill())
        return answer

    async def request_trial(self, form: TrialRequestForm) -> SignupAnswer:
        """A CE asks for a trial (A28); the manager's three checks are asked next."""
        address = self._address(form.email)
        ce = read_address(form.ce, ()).email
        account, _ = await self._account(address)
        message = CeRequest(
            contact=Contact(email=address.email, first_name=form.first_name, last_name=form.last_name),
            company=form.company,
            ce=ce,
            size=form.size,
            seats=form.seats,
            success_criteria=form.success_criteria,
            standard=form.standard,
            at=_now(),
            account=account,
        )
        return await self._with_start(address, "ce_requested", "request", message, form.event_id, SignupAnswer)

    async def act(self, domain: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """Ask a running trial to do one of :data:`ACTS`; returns what was done, in words. ``domain`` may be any host of the company."""
        return await self.act_on(self.workflow_of(domain), name, message, event_id)

    async def act_on(self, workflow_id: str, name: str, message: Message | Mapping[str, Any] | None = None, event_id: str = "") -> str:
        """The same by workflow id, for a link that carries one."""
        model = ACTS.get(name)
        if model is None:
            raise BadInput(f"{name[:40]!r} cannot be asked of a trial", f"Ask one of: {', '.join(ACTS)}")
        try:
            checked = message if isinstance(message, model) else model.model_validate(message or {})
        except ValidationError as error:
            raise bad_fields(error) from None
        return await self._update(workflow_id, name, checked, event_id)

    async def answer(self, task_id: str, answer: Answer, event_id: str = "") -> str:
        """Answer a task, ``WORKFLOW:TASK``; one answer wins, a later one is refused with who answered and when."""
        workflow_id, _, task = task_id.strip().rpartition(":")
        if not workflow_id or not task or len(task_id) > 600:
            raise BadInput(
                f"{task_id[:60]!r} is not the id of a task", "Write it as WORKFLOW:TASK; `tenure tasks` lists them", field="task"
            )
        return await self._update(workflow_id, "answer", answer.model_copy(update={"task": task}), event_id)

    async def join(self, form: JoinForm) -> str:
        """A colleague of an existing instance's admin is blocked and asks for an invitation (A22)."""
        address = self._address(form.email)
        if address.free_mail:
            raise Refused(f"{address.email} is no company address", "Ask with the address that belongs to the company of the instance")
        contact = Contact(email=address.email, first_name=form.first_name, last_name=form.last_name)
        try:
            return await self._update(ids.trial(address.key), "join", JoinAsk(contact=contact, via=form.via), form.event_id)
        except NotFound:
            return await self._join_instance(address, contact, form.via)

    async def _join_instance(self, address: Address, contact: Contact, via: Literal["signup", "ticket"]) -> str:
        """The same when the trial is over and the instance stays: it was converted."""
        from activities.registry import Registry

        owned = await self._read(lambda: Registry(self.ledger).instance_of(address.key))
        if owned is None:
            raise NotFound(f"{address.key} has no instance", "Sign up: the first of a company becomes its admin")
        ask = JoinInput(
            domain=address.key,
            contact=contact,
            host=owned.host,
            admin=owned.admin,
            via=via,
            policy=self.policy,
            alerts_channel=self.settings.slack_alerts_channel,
        )
        with asking("the join request"):
            await self.client.start_workflow(
                "JoinRequest",
                ask,
                id=ids.join(address.key, address.email),
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Somebody wants to join {owned.host}",
            )
        return f"the admin of {owned.host} is told, and the request is followed up"

    async def issue_event(self, workflow_id: str, event: IssueEvent) -> bool:
        """Tell a workflow what happened to one of its issues; False when it has ended and nobody waits for it any more."""
        try:
            with asking(workflow_id):
                await self.client.get_workflow_handle(workflow_id).signal("issue_event", event)
        except NotFound:
            return False
        return True

    # --- A signup that could not be taken (A21) -----------------------------------------------------------------------------

    async def failed_signup(self, form: SignupForm, error: str) -> str:
        """Keep a signup that went wrong and have support look after it; returns its reference. The same ``event_id`` is kept once.

        It is on record before Temporal is asked, so that an outage loses nothing: :meth:`retry_failed_signups` starts it later.
        """
        row = self._failed.row(form, error, _now())
        kept: Exception | None = None
        try:
            await asyncio.to_thread(self._failed.keep, row)
        except Exception as fault:
            kept = fault  # the ledger is down as well; perhaps Temporal is not
        try:
            await self._rescue(row.rescue_input(self.policy, self.settings), row.email)
        except Unavailable:
            if kept is not None:
                raise Unavailable("the signup could not be kept", f"Write to {self.settings.support_email}") from kept
            return row.id
        if kept is None:
            await asyncio.to_thread(self._failed.rescued, row.id, _now())
        return row.id

    async def retry_failed_signups(self) -> int:
        """Start the rescue of every failed signup that still waits for one; returns how many were started."""
        rows = await asyncio.to_thread(self._failed.waiting)
        for done, row in enumerate(rows):
            try:
                await self._rescue(row.rescue_input(self.policy, self.settings), row.email)
            except Unavailable:
                return done
            await asyncio.to_thread(self._failed.rescued, row.id, _now())
        return len(rows)

    async def _rescue(self, message: Message, email: str) -> None:
        with asking("the rescue"):
            await self.client.start_workflow(
                "SignupRescue",
                message,
                id=ids.rescue(email),
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary="A signup that the form failed",
            )

    # --- Looking ------------------------------------------------------------------------------------------------------------

    async def trials(self, limit: int = 20, page: str = "", *, stage: str = "", closed: bool = False) -> TrialPage:
        """One page of trials, newest first; the open ones, or with ``closed`` all that the server remembers. ``page`` is from the page before."""
        scope = f"WorkflowType = 'Trial' AND ExecutionStatus {'!=' if closed else '='} '{'ContinuedAsNew' if closed else 'Running'}'"
        if stage:
            if stage not in {known.value for known in Stage}:
                raise BadInput(
                    f"{stage[:40]!r} is not a stage", f"Choose one of: {', '.join(known.value for known in Stage)}", field="stage"
                )
            scope += f" AND Stage = '{stage}'"
        found = self.client.list_workflows(scope, page_size=listing.bounded(limit, MOST_ROWS), next_page_token=listing.token(page))
        with asking("the list of trials"):
            _, counted = await asyncio.gather(
                found.fetch_next_page(), self.client.count_workflows("WorkflowType = 'Trial' GROUP BY ExecutionStatus")
            )
        counts = {str(group.group_values[0]).lower(): group.count for group in counted.groups}
        return TrialPage(
            rows=tuple(listing.row(execution) for execution in found.current_page or ()),
            counts={name: count for name, count in counts.items() if name != "continuedasnew"},
            next_page=listing.page_of(found.next_page_token),
        )

    async def trial(self, domain: str) -> TrialView:
        """Everything about one company's newest trial, open or closed."""
        workflow_id = self.workflow_of(domain)
        handle = self.client.get_workflow_handle(workflow_id)
        with asking(workflow_id, missing=_no_trial(domain)):
            description = await handle.describe()
            handle = self.client.get_workflow_handle(workflow_id, run_id=description.run_id)
            status, steps, dossier, tasks = await _all(
                handle.query("status", result_type=TrialStatus, rpc_timeout=LOOK),
                handle.query("next_steps", result_type=list[NextStep], rpc_timeout=LOOK),
                handle.query("dossier", result_type=list[Decision], rpc_timeout=LOOK),
                handle.query("open_tasks", result_type=list[TaskView], rpc_timeout=LOOK),
            )
        return TrialView(
            workflow=workflow_id,
            run=description.run_id,
            open=description.status is WorkflowExecutionStatus.RUNNING,
            at=listing.clock(description),
            status=status,
            next_steps=steps,
            dossier=dossier,
            tasks=tasks,
        )

    async def tasks(self, limit: int = 50, *, role: str = "", assignee: str = "") -> list[TaskView]:
        """The open tasks of all workflows, the earliest due first; of one role, or of one person."""
        with asking("the list of tasks"):
            found = self.client.list_workflows(
                "DueAt IS NOT NULL AND ExecutionStatus = 'Running'", page_size=SCANNED_FOR_TASKS, limit=SCANNED_FOR_TASKS
            )
            waiting = [execution async for execution in found]
        waiting.sort(key=lambda execution: execution.typed_search_attributes.get(DUE_AT) or _LAST)
        wanted = listing.bounded(limit, MOST_TASKS)
        views: list[TaskView] = []
        mute: list[Unavailable] = []
        asked = 0
        for start in range(0, len(waiting), AT_ONCE):
            if len(views) >= wanted:
                break
            for tasks in await asyncio.gather(*(self._open_tasks(execution.id) for execution in waiting[start : start + AT_ONCE])):
                asked += 1
                if isinstance(tasks, Unavailable):
                    mute.append(tasks)
                else:
                    views += [task for task in tasks if role in ("", task.role) and assignee.lower() in ("", task.assignee.lower())]
        if mute and len(mute) == asked:
            raise mute[0]
        return sorted(views, key=lambda task: task.due_at)[:wanted]

    async def _open_tasks(self, workflow_id: str) -> Sequence[TaskView] | Unavailable:
        """One workflow's tasks. One that cannot say must not hide the tasks of all others, so that is no error yet."""
        try:
            with asking(workflow_id):
                handle = self.client.get_workflow_handle(workflow_id)
                views: list[TaskView] = await handle.query("open_tasks", result_type=list[TaskView], rpc_timeout=LOOK)
                return views
        except NotFound:
            return ()  # it ended since it was listed
        except Unavailable as error:
            log.warning("tasks of %s: %s", workflow_id, error)
            return error

    async def effects(self, domain: str) -> list[EffectRow]:
        """What was done in the world for a company, in the order of its trial's time."""
        return await self._read(lambda: self.ledger.effects(workflow=self.workflow_of(domain)))

    def workflow_of(self, domain: str) -> str:
        """The workflow id of the trial that a person names by domain, host or address. Raises :class:`BadInput`."""
        return read_trial(domain, self.policy.routing.free_mail)

    def key_of(self, domain: str) -> str:
        """The company's key: its registrable domain, or an address at a free-mail provider."""
        return read_key(domain, self.policy.routing.free_mail)

    async def _refill(self) -> None:
        """Let the pool replace what was claimed now instead of at its next round; the round comes anyway."""
        with suppress(RPCError):
            await self.client.get_schedule_handle(ids.POOL).trigger()

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer; kept until it is done, for a task that nobody holds may vanish."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- How ----------------------------------------------------------------------------------------------------------------

    def _address(self, email: str) -> Address:
        return read_address(email, self.policy.routing.free_mail)

    async def _with_start(self, address: Address, origin: Origin, update: str, message: Message, event_id: str, result: type[T]) -> T:
        """Update-with-start: the trial of this company, new or running, takes the message and answers."""
        workflow_id = ids.trial(address.key)
        shown = workflow_id if address.free_mail else address.key  # the address itself is personal data
        for left in reversed(range(TRIES)):
            start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                "Trial",
                TrialInput(domain=address.key, origin=origin, policy=self.policy, alerts_channel=self.settings.slack_alerts_channel),
                id=workflow_id,
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([SearchAttributePair(DOMAIN, shown)]),
                static_summary=f"Cloud trial of {shown}",
            )
            try:
                with asking(workflow_id, missing=Closing(f"{workflow_id} ended before it could answer", "Ask again")):
                    answer: T = await _patiently(
                        self.client.execute_update_with_start_workflow(
                            update, message, start_workflow_operation=start, id=event_id, result_type=result
                        )
                    )
                return answer
            except Closing as error:
                if not left:
                    raise Unavailable(f"the trial of {shown} is just ending", "Ask again in a moment") from error
        raise AssertionError("unreachable: the last try returns or raises")

    async def _update(self, workflow_id: str, name: str, message: Message, event_id: str) -> str:
        handle: WorkflowHandle[Any, Any] = self.client.get_workflow_handle(workflow_id)
        with asking(workflow_id, missing=_nothing_runs(workflow_id)):
            return str(await _patiently(handle.execute_update(name, message, id=event_id or new_event(), result_type=str)))

    async def _account(self, address: Address) -> tuple[Account | None, datetime | None]:
        """What the CRM knows of the company, from the ledger's copy, and when it was read."""
        if address.free_mail:
            return None, None
        from activities.registry import Registry

        known = await self._read(lambda: Registry(self.ledger).account_of(address.key))
        return known or (None, None)

    async def _instance(self, address: Address) -> Instance | None:
        """The instance that the company has, if any: a customer's stays theirs when its trial is long over (A4)."""
        if address.free_mail:
            return None
        from activities.registry import Registry

        owned = await self._read(lambda: Registry(self.ledger).instance_of(address.key))
        return None if owned is None else Instance.model_validate({"host": owned.host, "kind": owned.kind, "admin": owned.admin})

    async def _read(self, read: Callable[[], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return await asyncio.to_thread(read)
        except SQLAlchemyError as error:
            raise Unavailable("the ledger's database does not answer", "Check TENURE_LEDGER_URL and that the database runs") from error


def bad_fields(error: ValidationError) -> BadInput:
    """The first fault of a model, in words."""
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"])
    return BadInput(f"{field or 'the message'}: {fault['msg'].removeprefix('Value error, ')}", "Correct it and send it again", field=field)


_LAST = datetime.max.replace(tzinfo=UTC)
#: Seconds within which an update is answered; a worker that runs answers in a fraction of one.
PATIENCE = 20.0


async def _patiently(call: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await call


async def _all(*queries: Awaitable[Any]) -> list[Any]:
    """Await all; the first error is raised only when all are done, so that none is cancelled in the middle of its call."""
    results = await asyncio.gather(*queries, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


def _no_trial(domain: str) -> TenureError:
    return NotFound(f"no trial of {domain[:80]} is known", "Check the domain with `tenure trial list --all`, or sign the company up")


def _nothing_runs(workflow_id: str) -> TenureError:
    return NotFound(f"{workflow_id[:120]} is not running: it ended, or never began; nothing was changed", "A new signup starts a new trial")


def _now() -> datetime:
    return datetime.now(UTC)
