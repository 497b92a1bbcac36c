"""How the service looks: lists, one trial with everything about it, open tasks, effects. Nothing here changes anything."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from domain import ids
from domain.addresses import Address
from domain.decision import Decision
from domain.people import Role
from domain.policy import Policy
from domain.trial.state import Stage
from domain.views import NextStep, TaskView, TrialStatus
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable, require_one_of
from starter.service import views
from starter.service.authorization import Authorization, operator
from starter.service.forms import read_address, read_company, read_key, read_trial
from starter.service.temporal_errors import asking
from starter.service.views import TrialPage, TrialRow, TrialView
from store import ledger_file
from store.ledger import EffectRow, Ledger
from store.read_model import ReadModel
from store.roster import Roster
from store.settings import Settings

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")
#: Bounds of what one answer may hold, so that no question costs the server or the workers much.
MOST_ROWS = 200
MOST_TASKS = 100
#: How long a workflow may take to say where it stands, at each asking.
LOOKS = (timedelta(seconds=2), timedelta(seconds=3), timedelta(seconds=7))
#: What is answered while it is not to be asked: its worker lets go of it, it has more questions waiting than Temporal keeps, or it has just been
#: continued as new, and its first task is not there yet.
_ASK_AGAIN = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.FAILED_PRECONDITION,
)


class Queries:
    """What may be seen. ``policy`` is what a new trial is given; a running one keeps its own."""

    def __init__(self, client: Client, ledger: Ledger, settings: Settings, policy: Policy, *, task_queue: str = ids.TASK_QUEUE) -> None:
        self.client = client
        self.ledger = ledger
        self.settings = settings
        self.policy = policy
        self.task_queue = task_queue
        self.caller = operator()
        self.authorization = Authorization(ledger, (settings.vendor_domain,))

    # --- Trials -------------------------------------------------------------------------------------------------------------

    async def trials(self, limit: int = 20, page: str = "", *, stage: str = "", owner: str = "", closed: bool = False) -> TrialPage:
        """One page of trials, newest first; the open ones, or with ``closed`` all that the server remembers. ``page`` is from the page before.

        ``owner`` is one of our own people, by address or by handle.
        """
        scope = f"WorkflowType = 'Trial' AND ExecutionStatus {'!=' if closed else '='} '{'ContinuedAsNew' if closed else 'Running'}'"
        if stage:
            require_one_of([known.value for known in Stage], stage, "is not a stage", "stage")
            scope += f" AND Stage = '{stage}'"
        if owner:
            handle = ids.handle(owner) if "@" in owner else owner.strip().lower()
            if not re.fullmatch(r"p-[0-9a-f]{6}", handle):
                do = "Name a colleague by address; `tenure whois` tells a handle"
                raise BadInput(f"{owner[:60]!r} is neither an address nor a handle", do)
            scope += f" AND Owner = '{handle}'"
        found = self.client.list_workflows(scope, page_size=views.bounded(limit, MOST_ROWS), next_page_token=views.token(page))
        counting = self.client.count_workflows("WorkflowType = 'Trial' GROUP BY ExecutionStatus")
        with asking("the list of trials"):
            _, counted, staff = await asyncio.gather(found.fetch_next_page(), counting, self.staff())
        counts = {str(group.group_values[0]).lower(): group.count for group in counted.groups}
        return TrialPage(
            rows=tuple(TrialRow.of(execution, staff) for execution in found.current_page or ()),
            counts={name: count for name, count in counts.items() if name != "continuedasnew"},
            next_page=views.page_of(found.next_page_token),
        )

    async def staff(self) -> dict[str, str]:
        """The addresses of our own people by the handles under which they own workflows."""
        return {ids.handle(person.email): person.email for person in await self.read(Roster(self.ledger).roster)}

    async def trial(self, domain: str) -> TrialView:
        """Everything about one company's newest trial, open or closed."""
        do = "Check the domain with `tenure trial list --all`, or sign the company up"
        missing = NotFound(f"no trial of {domain[:80]} is known", do)
        described, seen = await self.look(self.workflow_of(domain), TrialStatus, missing)
        return TrialView(run=described.run_id, **seen)

    async def look(
        self, workflow_id: str, status: Any, missing: TenureError, *, ended: bool = True
    ) -> tuple[WorkflowExecutionDescription, dict[str, Any]]:
        """The newest run under an id: what the server says of it, and all that it says of itself, its ``status`` as that type.

        Raises ``missing`` when there is none; without ``ended`` also when it does not run any more.
        """
        with asking(workflow_id, missing=missing):
            described = await self.client.get_workflow_handle(workflow_id).describe()
            running = described.status is WorkflowExecutionStatus.RUNNING
            if not (running or ended):
                raise missing
            handle = self.client.get_workflow_handle(workflow_id, run_id=described.run_id)
            asked = {"status": status, "next_steps": list[NextStep], "dossier": list[Decision], "open_tasks": list[TaskView]}
            said = await query_all(*(query(handle, name, kind) for name, kind in asked.items()))
        seen = dict(zip(("status", "next_steps", "dossier", "tasks"), said, strict=True))
        return described, {"workflow": workflow_id, "open": running, "at": views.clock(described), **seen}

    async def found(self, scope: str, what: str) -> list[str]:
        """The ids of all workflows that a filter in the server's own words finds; ``what`` they are, for an error."""
        with asking(what):
            return [execution.id async for execution in self.client.list_workflows(scope, page_size=500)]

    async def effects(self, domain: str) -> list[EffectRow]:
        """What was done in the world for a company, in the order of its trial's time."""
        return [row.public() for row in await self.read(lambda: self.ledger.effects(workflow=self.workflow_of(domain)))]

    # --- Tasks --------------------------------------------------------------------------------------------------------------

    async def tasks(self, limit: int = 50, *, after: str = "", role: str = "", assignee: str = "", workflow: str = "") -> list[TaskView]:
        """The open tasks of all workflows, the earliest due first; of one role, of one person, or of one workflow.

        ``after`` is the id of the last task of the page before. It is one look into the ledger, whatever the number of workflows.
        """
        require_one_of([known.value for known in Role], role, "is no role", "role")
        asked = {"after": after, "role": role, "assignee": assignee.strip(), "workflow": workflow.strip()}
        wanted = views.bounded(limit, MOST_TASKS)
        return await self.read(lambda: ReadModel(self.ledger).open_tasks(wanted, **asked))

    async def open_task(self, workflow_id: str, name: str) -> TaskView | None:
        """An open task by its id or its kind; a workflow whose task the lists do not know is asked itself."""
        if known := await self.read(lambda: ReadModel(self.ledger).open_task(workflow_id, name)):
            return known
        try:
            with asking(workflow_id):
                found = await query(self.client.get_workflow_handle(workflow_id), "open_tasks", list[TaskView])
        except NotFound:
            return None
        return next((view for view in found if name in (view.task, view.kind)), None)

    # --- Who is meant -------------------------------------------------------------------------------------------------------

    def workflow_of(self, domain: str) -> str:
        """The workflow id of the trial that a person names by domain, host or address. Raises :class:`BadInput`."""
        return read_trial(domain, self.policy.routing)

    def key_of(self, domain: str) -> str:
        """The company's key: its registrable domain, or an address at a free-mail provider."""
        return read_key(domain, self.policy.routing)

    def company_of(self, named: str) -> str:
        """The key of the company that one of us names for somebody: no mail provider, and not ourselves. Raises :class:`BadInput`."""
        key = read_company(named, self.policy.routing)
        if self.is_ours(key):
            raise BadInput(f"{key} is our own domain, and no customer's", "Name the company's own domain", field="domain")
        return key

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

    def is_ours(self, host: str) -> bool:
        """Whether a host is ours, or an instance's: nobody's company, whoever has a mailbox there."""
        ours = {self.settings.vendor_domain.lower(), self.policy.cloud.domain_suffix.lower()}
        return any(host == domain or host.endswith(f".{domain}") for domain in ours)

    async def read(self, read: Callable[[], T]) -> T:
        """Read from the ledger's database, on a thread. Raises :class:`Unavailable` when it does not answer."""
        try:
            return await asyncio.to_thread(read)
        except SQLAlchemyError as error:
            do = "Ask again; if it stays, whoever runs Tenure looks at its database"
            raise Unavailable(f"the ledger {ledger_file.matter(error)}", do) from error


async def query(handle: WorkflowHandle[Any, Any], name: str, result: type[T], *message: Any) -> T:
    """Ask, and ask again: a query that meets a workflow just as its worker lets go of it is never answered, one of a busy workflow refused."""
    for patience in LOOKS:
        try:
            answer: T = await handle.query(name, args=message, result_type=result, rpc_timeout=patience)
            return answer
        except RPCError as error:
            if error.status not in _ASK_AGAIN or patience is LOOKS[-1]:
                raise
    raise AssertionError("unreachable: the last look returns or raises")


async def each_of(asked: Iterable[S], ask: Callable[[S], Awaitable[T]], at_once: int) -> list[T]:
    """What each says, in their order. So many are asked at once: each answer costs a worker a replay when its cache has not the history."""
    turns = asyncio.Semaphore(at_once)

    async def one(each: S) -> T:
        async with turns:
            return await ask(each)

    return list(await asyncio.gather(*map(one, asked)))


async def query_all(*queries: Awaitable[Any]) -> list[Any]:
    """Await all; the first error is raised only when all are done, so that none is cancelled in the middle of its call."""
    results = await asyncio.gather(*queries, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)
