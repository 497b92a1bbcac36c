"""How the service looks: lists, one trial with everything about it, open tasks, effects. Nothing here changes anything."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from domain import ids
from domain.decision import Decision
from domain.people import Role
from domain.policy import Policy
from domain.trial.state import Stage
from domain.views import NextStep, TaskView, TrialStatus
from starter.errors import BadInput, NotFound, TenureError, Unavailable
from starter.service import listing
from starter.service.addresses import read_company, read_key, read_trial
from starter.service.forms import TrialPage, TrialView
from starter.service.temporal_errors import asking
from store import ledger_file
from store.effect_log import public
from store.read_model import ReadModel
from store.registry import Registry

if TYPE_CHECKING:
    from store.ledger import EffectRow, Ledger
    from store.settings import Settings


log = logging.getLogger(__name__)

T = TypeVar("T")
#: Bounds of what one answer may hold, so that no question costs the server or the workers much.
MOST_ROWS = 200
MOST_TASKS = 100
#: How long a workflow may take to say where it stands, at each asking.
LOOKS = (timedelta(seconds=2), timedelta(seconds=3), timedelta(seconds=7))
#: What is answered while it is not to be asked: its worker lets go of it, or it has more questions waiting than Temporal keeps.
_ASK_AGAIN = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.RESOURCE_EXHAUSTED)


class Queries:
    """What may be seen. The connection and the rest are those of :class:`starter.service.tenure.Tenure`."""

    client: Client
    ledger: Ledger
    policy: Policy
    settings: Settings

    async def trials(self, limit: int = 20, page: str = "", *, stage: str = "", owner: str = "", closed: bool = False) -> TrialPage:
        """One page of trials, newest first; the open ones, or with ``closed`` all that the server remembers. ``page`` is from the page before.

        ``owner`` is one of our own people, by address or by handle.
        """
        scope = f"WorkflowType = 'Trial' AND ExecutionStatus {'!=' if closed else '='} '{'ContinuedAsNew' if closed else 'Running'}'"
        if stage:
            if stage not in {known.value for known in Stage}:
                raise BadInput(
                    f"{stage[:40]!r} is not a stage", f"Choose one of: {', '.join(known.value for known in Stage)}", field="stage"
                )
            scope += f" AND Stage = '{stage}'"
        if owner:
            handle = ids.handle(owner) if "@" in owner else owner.strip().lower()
            if not re.fullmatch(r"p-[0-9a-f]{6}", handle):
                raise BadInput(
                    f"{owner[:60]!r} is neither an address nor a handle", "Name a colleague by address; `tenure whois` tells a handle"
                )
            scope += f" AND Owner = '{handle}'"
        found = self.client.list_workflows(scope, page_size=listing.bounded(limit, MOST_ROWS), next_page_token=listing.token(page))
        with asking("the list of trials"):
            _, counted, staff = await asyncio.gather(
                found.fetch_next_page(),
                self.client.count_workflows("WorkflowType = 'Trial' GROUP BY ExecutionStatus"),
                self.staff(),
            )
        counts = {str(group.group_values[0]).lower(): group.count for group in counted.groups}
        return TrialPage(
            rows=tuple(listing.row(execution, staff) for execution in found.current_page or ()),
            counts={name: count for name, count in counts.items() if name != "continuedasnew"},
            next_page=listing.page_of(found.next_page_token),
        )

    async def staff(self) -> dict[str, str]:
        """The addresses of our own people by the handles under which they own workflows."""
        return {ids.handle(person.email): person.email for person in await self.read(Registry(self.ledger).roster)}

    async def trial(self, domain: str) -> TrialView:
        """Everything about one company's newest trial, open or closed."""
        workflow_id = self.workflow_of(domain)
        handle = self.client.get_workflow_handle(workflow_id)
        with asking(workflow_id, missing=_no_trial(domain)):
            description = await handle.describe()
            handle = self.client.get_workflow_handle(workflow_id, run_id=description.run_id)
            status, steps, dossier, tasks = await query_all(
                query(handle, "status", TrialStatus),
                query(handle, "next_steps", list[NextStep]),
                query(handle, "dossier", list[Decision]),
                query(handle, "open_tasks", list[TaskView]),
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

    async def tasks(self, limit: int = 50, *, after: str = "", role: str = "", assignee: str = "", workflow: str = "") -> list[TaskView]:
        """The open tasks of all workflows, the earliest due first; of one role, of one person, or of one workflow.

        ``after`` is the id of the last task of the page before. It is one look into the ledger, whatever the number of workflows.
        """
        if role and role not in {known.value for known in Role}:
            raise BadInput(f"{role[:40]!r} is no role", f"Choose one of: {', '.join(known.value for known in Role)}", field="role")
        wanted = listing.bounded(limit, MOST_TASKS)
        lists = ReadModel(self.ledger)
        return await self.read(
            lambda: lists.open_tasks(wanted, after=after, role=role, assignee=assignee.strip(), workflow=workflow.strip())
        )

    async def open_task(self, workflow_id: str, name: str) -> TaskView | None:
        """An open task by its id or its kind; a workflow whose task the lists do not know is asked itself."""
        lists = ReadModel(self.ledger)
        known = await self.read(lambda: lists.open_task(workflow_id, name))
        if known is not None:
            return known
        try:
            with asking(workflow_id):
                found = await query(self.client.get_workflow_handle(workflow_id), "open_tasks", list[TaskView])
        except NotFound:
            return None
        return next((view for view in found if name in (view.task, view.kind)), None)

    async def effects(self, domain: str) -> list[EffectRow]:
        """What was done in the world for a company, in the order of its trial's time."""
        return [public(row) for row in await self.read(lambda: self.ledger.effects(workflow=self.workflow_of(domain)))]

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

    def is_ours(self, host: str) -> bool:
        """Whether a host is ours, or an instance's: nobody's company, whoever has a mailbox there."""
        ours = {self.settings.vendor_domain.lower(), self.policy.cloud.domain_suffix.lower()}
        return any(host == domain or host.endswith(f".{domain}") for domain in ours)

    async def read(self, read: Callable[[], T]) -> T:
        """Read from the ledger's database, on a thread. Raises :class:`Unavailable` when it does not answer."""
        try:
            return await asyncio.to_thread(read)
        except SQLAlchemyError as error:
            raise Unavailable(
                f"the ledger {ledger_file.matter(error)}", "Ask again; if it stays, whoever runs Tenure looks at its database"
            ) from error


async def query(handle: WorkflowHandle[Any, Any], name: str, result: type[T], *message: Any) -> T:
    """Ask, and ask again: a query that meets a workflow just as its worker lets go of it is never answered, one of a busy workflow refused."""
    *first, last = LOOKS
    for patience in first:
        try:
            answer: T = await handle.query(name, args=message, result_type=result, rpc_timeout=patience)
            return answer
        except RPCError as error:
            if error.status not in _ASK_AGAIN:
                raise
    at_last: T = await handle.query(name, args=message, result_type=result, rpc_timeout=last)
    return at_last


async def query_all(*queries: Awaitable[Any]) -> list[Any]:
    """Await all; the first error is raised only when all are done, so that none is cancelled in the middle of its call."""
    results = await asyncio.gather(*queries, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


def _no_trial(domain: str) -> TenureError:
    return NotFound(f"no trial of {domain[:80]} is known", "Check the domain with `tenure trial list --all`, or sign the company up")
