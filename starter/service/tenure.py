"""The service behind web, API and command line: a request becomes a start, an update, a signal or a query, and nothing else.

Workflows are named by string, so that a command starts without the activities' client libraries.
Errors are those of :mod:`starter.errors`; none of them leaves anything half done that asking again does not finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from domain import ids
from domain.base import Message
from domain.messages import (
    Account,
    CeRequest,
    CompanyInstance,
    Contact,
    IssueEvent,
    JoinAsk,
    JoinInput,
    LateWordInput,
    Origin,
    Signup,
    SignupAgain,
    SignupAnswer,
)
from domain.people import Person, Role
from domain.policy import Policy
from domain.trial.commands import REQUEST, ChangeDomain
from domain.trial.state import Stage, TrialInput
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service import erasure
from starter.service.addresses import checked_address, read_address
from starter.service.authorization import Authorization, on_owned, operator
from starter.service.change_host import change_host
from starter.service.commands import Start, bad_fields
from starter.service.events import new_event
from starter.service.forms import JoinForm, SignupForm, TrialPage, TrialRequestForm, TrialRow, TrialView
from starter.service.kept_requests import KeptRequests, ledger_in_time
from starter.service.queries import query
from starter.service.temporal_errors import Closing, Over, asking
from store.read_model import ReadModel
from store.registry import Registry
from store.roster import named
from workflows.frame.search_attributes import DOMAIN, STAGE

if TYPE_CHECKING:
    from domain.addresses import Address
    from store.ledger import Ledger
    from store.settings import Settings

__all__ = [
    "JoinForm",
    "SignupForm",
    "Tenure",
    "TrialPage",
    "TrialRequestForm",
    "TrialRow",
    "TrialView",
    "bad_fields",
]

log = logging.getLogger(__name__)
T = TypeVar("T")
SignupVia = Literal["web", "api", "cli", "rescue", "free_mail"]

#: A person looks at the page until the answer comes: hundreds of customers whose health is being looked at may wait.
SOMEBODY_WAITS = Priority(priority_key=1)
#: The memo that says which event started a process.
BEGUN_BY = "begun_by"
#: A trial may close between our look and our message; then the next try starts a new one.
TRIES = 3


class Tenure(KeptRequests):
    """Tenure, as people and programs use it. ``policy`` is what a new trial is given; a running one keeps its own."""

    def __init__(self, client: Client, ledger: Ledger, settings: Settings, policy: Policy, *, task_queue: str = ids.TASK_QUEUE) -> None:
        self.client = client
        self.ledger = ledger
        self.settings = settings
        self.policy = policy
        self.task_queue = task_queue
        self.caller = operator()
        self.authorization = Authorization(ledger, (settings.vendor_domain,))
        self._keeps(ledger, settings)
        self._later: set[asyncio.Task[None]] = set()

    # --- Ways into a trial --------------------------------------------------------------------------------------------------

    async def signup(self, form: SignupForm) -> SignupAnswer:
        """Sign a company up (A3): one round trip, whose answer is the routing decision. The same ``event_id`` is the same signup."""
        address = self.outsider(form.email)
        contact = Contact(email=address.email, first_name=form.first_name, last_name=form.last_name)
        async with ledger_in_time():
            await erasure.comes(self, contact)
        return await self._signup(address, contact, form.company, form.via, form.event_id)

    async def sign_up_again(self, again: SignupAgain) -> SignupAnswer:
        """A process signs somebody up on their behalf: a rescue, or a free-mail signup whose company (``domain``) is known now."""
        address = self.outsider(again.contact.email)
        if again.domain:
            address = replace(address, key=self.company_of(again.domain), free_mail=False)
        return await self._signup(address, again.contact, again.company, again.via, again.event)

    async def _signup(self, address: Address, contact: Contact, company: str, via: SignupVia, event_id: str) -> SignupAnswer:
        async with ledger_in_time():
            account, as_of, instance = await self._company(address)
        message = Signup(
            contact=contact.model_copy(update={"email": address.email}),
            company=company,
            at=_now(),
            account=account,
            account_as_of=as_of,
            instance=instance,
            via=via,
        )
        event = self.event(ids.trial(address.key), "signup", event_id, via, address.email)
        answer = await self._with_start(address, "self_serve", "signup", message, event, SignupAnswer)
        if answer.outcome in ("instant", "building"):
            self.later(self._refill())
        return answer

    async def request_trial(self, form: TrialRequestForm) -> SignupAnswer:
        """A CE asks for a trial (A28); the manager's three checks are asked next."""
        address = self.outsider(form.email)
        ce = checked_address(form.ce)
        what = f"request a {form.size} trial with {form.seats} seats"
        judge = on_owned(REQUEST.name, lambda roster: _the_ce(ce, roster))
        by = "" if self.caller.email else ce
        subject = ids.trial(address.key)
        form = form.model_copy(update={"event_id": self.event(subject, "request", form.event_id, address.email)})
        async with self.authorization.decision(self.caller, judge, by=by, what=what, subject=subject, event=form.event_id):
            try:
                return await self._request_trial(form, address, ce)
            except Unavailable as error:
                # The worker died over it, say. Sent again with the same event it is the same request, so that is what is done with it.
                reference = await self._keep(self._failed.request_row(form, str(error), _now()))
                raise Unavailable(
                    f"{error.detail}; your request is kept as {reference} and is sent again by itself",
                    f"Nothing is lost: look at the trial of {address.key} in some minutes, or ask again with the same event id",
                ) from error

    async def _request_trial(self, form: TrialRequestForm, address: Address, ce: str) -> SignupAnswer:
        account, _, owned = await self._company(address)
        await self._may_have_one(address, owned)
        contact = Contact(email=address.email, first_name=form.first_name, last_name=form.last_name)
        await erasure.comes(self, contact)
        message = CeRequest(
            contact=contact,
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

    async def _may_have_one(self, address: Address, owned: CompanyInstance | None) -> None:
        """Refuse a CE's request for who can have no trial; a trial that runs says for itself what it can take."""
        if address.free_mail:
            raise Refused(f"{address.email} is no company address", "Request the trial for an address that belongs to the company")
        if owned is None:
            return
        with suppress(NotFound), asking(ids.trial(address.key)):
            if (await self.client.get_workflow_handle(ids.trial(address.key)).describe()).status is WorkflowExecutionStatus.RUNNING:
                return
        raise Refused(f"{address.key} has an instance already: {owned.host}", "A company has one: more seats come with its contract")

    async def _moved(self, domain: str, message: ChangeDomain, event_id: str) -> str:
        return await change_host(self, domain, message, event_id)

    async def join(self, form: JoinForm) -> str:
        """A colleague of an existing instance's admin is blocked and asks for an invitation (A22)."""
        address = self.outsider(form.email)
        if address.free_mail:
            raise Refused(f"{address.email} is no company address", "Ask with the address that belongs to the company of the instance")
        contact = Contact(email=address.email, first_name=form.first_name, last_name=form.last_name)
        await erasure.comes(self, contact)
        try:
            trial = ids.trial(address.key)
            event = self.event(trial, "join", form.event_id, form.via, address.email)
            return await self.update(trial, "join", JoinAsk(contact=contact, via=form.via), event)
        except (NotFound, Over):
            return await self._join_instance(address, contact, form.via)

    async def _join_instance(self, address: Address, contact: Contact, via: Literal["signup", "ticket"]) -> str:
        """The same when the trial is over and the instance stays: it was converted."""
        owned = await self.read(lambda: Registry(self.ledger).instance_of(address.key))
        if owned is None:
            raise NotFound(f"{address.key} has no instance", "Sign up: the first of a company becomes its admin")
        ask = JoinInput(
            domain=address.key,
            contact=contact,
            host=owned.host,
            admin=owned.admin if owned.confirmed_at else "",
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
        return f"the admin of {owned.host} is told, and the request is followed up" if ask.admin else "the request is followed up"

    async def issue_event(self, workflow_id: str, event: IssueEvent) -> bool:
        """Tell a workflow what happened to one of its issues; False when it has ended and nobody waits for it any more."""
        try:
            with asking(workflow_id):
                await self.client.get_workflow_handle(workflow_id).signal("issue_event", event)
        except NotFound:
            return False
        return True

    async def late_word(self, workflow_id: str, issue: int) -> str:
        """Have the CE asked about an issue that was reopened after its workflow had ended; returns who asks, empty for a workflow that was never ours."""
        if not await self.read(lambda: self.ledger.effects(workflow=workflow_id)):
            return ""
        owners = await self.read(lambda: Registry(self.ledger).owners_of(ids.company_of(workflow_id)))
        ask = LateWordInput(
            workflow=workflow_id,
            issue=issue,
            ce=owners.ce,
            ae=owners.ae,
            policy=self.policy,
            alerts_channel=self.settings.slack_alerts_channel,
        )
        name = ids.late_word(workflow_id, issue)
        with asking(name):
            await self.client.start_workflow(
                "LateWord",
                ask,
                id=name,
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"#{issue} was reopened after {workflow_id} had ended",
            )
        return name

    async def _refill(self) -> None:
        """Let the pool replace what was claimed now instead of at its next round; the round comes anyway."""
        with suppress(RPCError):
            await self.client.get_schedule_handle(ids.POOL).trigger()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer; kept until it is done, for a task that nobody holds may vanish."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- How ----------------------------------------------------------------------------------------------------------------

    def check_address(self, email: str) -> None:
        """Raises :class:`BadInput` or :class:`Refused` for an address that nobody can sign up with."""
        self.outsider(email)

    def outsider(self, email: str) -> Address:
        """The address of somebody outside who wants a trial, or into one. Raises :class:`BadInput` and :class:`Refused`."""
        if ids.is_erased(email):
            raise Refused("this address stands for somebody whose data was erased", "Ask them to sign up again themselves")
        address = read_address(email, self.policy.routing)
        if address.disposable:
            raise BadInput(f"{address.host} gives out mailboxes that vanish", "Enter your work e-mail address", field="email")
        if self.is_ours(address.host):
            raise BadInput(f"{address.host} is our own domain, and no customer's", "Enter an address of the company's own", field="email")
        return address

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
                search_attributes=TypedSearchAttributes(
                    [SearchAttributePair(DOMAIN, shown), SearchAttributePair(STAGE, Stage.SIGNUP.value)]
                ),
                static_summary=f"Cloud trial of {shown}",
                priority=SOMEBODY_WAITS,
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

    async def update(
        self, workflow_id: str, name: str, message: Message, event_id: str, missing: TenureError | None = None, start: Start | None = None
    ) -> str:
        """Send an update to a running workflow and return what it says; ``missing`` is raised when none runs, unless ``start`` starts it then.

        A double click is one event.
        """
        event = event_id or new_event()
        handle: WorkflowHandle[Any, Any] = self.client.get_workflow_handle(workflow_id)
        try:
            with asking(workflow_id, missing=missing or _nothing_runs(workflow_id)):
                if start is not None:
                    with_start = self.client.execute_update_with_start_workflow
                    return str(await _patiently(with_start(name, message, start_workflow_operation=start, id=event, result_type=str)))
                return str(await _patiently(handle.execute_update(name, message, id=event, result_type=str)))
        except (NotFound, Closing) as error:
            if isinstance(error, NotFound) and name == "answer":  # the lists had a task of it: it ended without a word, as by a termination
                await self.read(lambda: ReadModel(self.ledger).close(workflow_id))
            if said := await self.what_became(workflow_id, str(getattr(message, "task", ""))):
                raise Over(f"{workflow_id} is over: {said}; nothing was changed", error.do) from error
            raise

    async def begin(
        self, kind: str, given: Message, workflow_id: str, event_id: str, attributes: TypedSearchAttributes, summary: str
    ) -> None:
        """Start a process whose id is the lock. Raises :class:`Closing` when it runs, or ran, already, unless this very event started it."""
        try:
            with asking(workflow_id):
                await self.client.start_workflow(
                    kind,
                    given,
                    id=workflow_id,
                    task_queue=self.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=attributes,
                    static_summary=summary,
                    memo={BEGUN_BY: event_id},
                )
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

    async def _company(self, address: Address) -> tuple[Account | None, datetime | None, CompanyInstance | None]:
        """What the CRM knows of the company, from the ledger's copy, and when it was read; and the instance that it has, if any.

        A customer's instance stays theirs when its trial is long over (A4).
        """
        if address.free_mail:
            return None, None, None
        known, owned = await self.read(lambda: Registry(self.ledger).company_of(address.key))
        account, as_of = known or (None, None)
        if owned is None:
            return account, as_of, None
        of = {"host": owned.host, "kind": owned.kind, "admin": owned.admin, "subject": owned.subject}
        return account, as_of, CompanyInstance.model_validate({**of, "confirmed": owned.confirmed_at is not None})


def _the_ce(ce: str, roster: Iterable[Person]) -> list[Person]:
    """The CE in whose name a trial is requested: it is theirs, or their team's."""
    known = named(ce, roster)
    return [known or Person(id="", name=ce, email=ce, role=Role.CE)]


#: Seconds within which an update is answered; a worker that runs answers in a fraction of one.
PATIENCE = 20.0


async def _patiently(call: Awaitable[T]) -> T:
    """The update's answer. The server answers a known event id as it did the first time, whatever was asked then."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await call
        except ValidationError:
            raise Refused("this event id was used for another request already", "Send each request under an id of its own") from None


def _nothing_runs(workflow_id: str) -> TenureError:
    then = "A new signup starts a new trial" if workflow_id.startswith("trial-") else "`tenure tasks` lists what is asked now"
    return NotFound(f"{workflow_id[:120]} is not running: it ended, or never began; nothing was changed", then)


def _now() -> datetime:
    return datetime.now(UTC)
