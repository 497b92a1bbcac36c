"""The service for customers' accounts: their health, their renewals, their plans and the forecast; what people read, and what they ask for.

What is listed is read from the ledger's read model; what is asked goes to the workflow of the account, as an update that may be refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from domain import commands, ids, markup, plausibility
from domain.account.account import AccountTeam, Customer, HealthSnapshot, RenewalRow
from domain.account.commands import START_RENEWAL, StartRenewal
from domain.account.lifecycle import AccountInput
from domain.base import Message
from domain.calendar import days_after
from domain.commands import Command, Kind
from domain.decision import Decision
from domain.forecast import comparison
from domain.forecast import rollup as forecasting
from domain.forecast.quarters import days_of, is_closed, quarter_of
from domain.forecast.rollup import Forecast
from domain.health.guidance import guidance
from domain.policy import AccountPolicy
from domain.renewal.state import RenewalInput
from domain.views import NextStep, TaskView
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service import listing
from starter.service.account_views import AccountOverview, CustomerLine, ForecastView, HealthView, ProcessView
from starter.service.authorization import Caller
from starter.service.bootstrap import read_policies
from starter.service.queries import MOST_ROWS, query, query_all
from starter.service.temporal_errors import Closing, Over, asking
from starter.service.tenure import Tenure
from store.accounts import Accounts as Records
from store.read_model import Listed, ReadModel
from workflows.frame.search_attributes import ACCOUNT
from workflows.renewal.process import started_as

__all__ = ["AccountOverview", "Accounts", "ForecastView", "HealthView", "ProcessView", "csv_rows"]

T = TypeVar("T")


class Accounts:
    """Customers' accounts, as people and programs use them. ``policy`` is what a new process is given; a running one keeps its own."""

    def __init__(self, tenure: Tenure, policy: AccountPolicy) -> None:
        self._tenure = tenure
        self.policy = policy
        self.records: Records = Records(tenure.ledger)

    @classmethod
    def of(cls, tenure: Tenure) -> Accounts:
        """The service beside the one of trials, with the policy in force."""
        return cls(tenure, read_policies(tenure.settings)[1])

    # --- Looking ------------------------------------------------------------------------------------------------------------

    async def known(self, account: str) -> tuple[Customer, AccountTeam, HealthSnapshot | None]:
        """The customer that a person names by domain or host. Raises :class:`NotFound`."""
        domain = self._tenure.key_of(account)
        view = await self._tenure.read(lambda: self.records.view(domain))
        if view.customer is None:
            raise NotFound(
                f"{domain[:80]} is no customer that the last copy of the CRM knows", "`tenure account list` lists those it knows"
            )
        return view.customer, view.team, view.standing

    async def accounts(self, band: str = "") -> list[tuple[Customer, HealthSnapshot | None]]:
        """Every customer with its standing; of one band, when one is named."""
        bands = ("healthy", "concerning", "poor", "unknown")
        if band and band not in bands:
            raise BadInput(f"{band[:40]!r} is not a band", f"Choose one of: {', '.join(bands)}", field="band")
        found, rows = await self._tenure.read(lambda: (self.records.standings(), self.records.renewals(status="open")))
        found = [(shown(customer, rows), standing) for customer, standing in found]
        return [(customer, standing) for customer, standing in found if not band or (standing.band if standing else "unknown") == band]

    async def health(self, account: str, history: int = 5) -> HealthView:
        """An account's health, with the values of the last hourly run, and its last changes; no score before the first run."""
        customer, team, standing = await self.known(account)
        kept = await self._tenure.read(lambda: self.records.health(customer.domain))
        score = kept.score if kept else None
        if kept and kept.score.policy == self.policy.hash:  # by another policy it is another score, which the next run makes
            score = kept.as_of_now(self.policy)
        changes = await self._tenure.read(lambda: self.records.changes(customer.domain, listing.bounded(history, 200)))
        rows = await self._tenure.read(lambda: self.records.renewals(status="open", domain=customer.domain))
        return HealthView(
            customer=shown(customer, rows),
            team=team,
            standing=standing,
            score=score,
            guidance=guidance(self.policy, score) if score else (),
            changes=tuple((change.at, change.band_before, change.score) for change in changes),
        )

    async def overview(self, account: str) -> AccountOverview:
        """An account with every process of it that runs, and its life's even when that has ended."""
        customer, team, standing = await self.known(account)
        domain = customer.domain
        rows = await self._tenure.read(lambda: self.records.renewals(domain=domain))
        names = [
            ids.account(domain),
            *(row.workflow for row in rows if row.status == "open"),
            ids.get_well(domain),
            ids.red(domain),
        ]
        found = await asyncio.gather(*(self._process(name, ended=name == names[0]) for name in names))
        return AccountOverview(
            customer=shown(customer, rows),
            team=team,
            standing=standing,
            renewals=tuple(rows),
            processes=tuple(process for process in found if process is not None),
        )

    async def page(self, band: str = "", *, after: str = "", limit: int = 50) -> list[CustomerLine]:
        """A page of the customers by name; ``after`` is the domain of the last one of the page before."""
        found = [CustomerLine(customer=customer, standing=standing) for customer, standing in await self.accounts(band)]
        return _following(found, after, lambda line: line.customer.domain)[: listing.bounded(limit, MOST_ROWS)]

    async def processes(
        self, kind: Kind, *, stage: str = "", owner: str = "", closed: bool = False, after: str = "", limit: int = 50
    ) -> list[Listed]:
        """A page of the processes of a kind by their account: the open ones, with ``closed`` all; ``after`` is the last workflow of the page before."""
        wanted = listing.bounded(limit, MOST_ROWS)
        lists = ReadModel(self._tenure.ledger)
        return await self._tenure.read(
            lambda: lists.processes(kind.workflow, wanted, after=after, stage=stage, owner=owner.strip(), closed=closed)
        )

    async def renewals(
        self, *, quarter: str = "", status: str = "open", rating: str = "", after: str = "", limit: int = 50
    ) -> list[RenewalRow]:
        """Renewals, the soonest first: of a fiscal quarter, a status (empty: any), a rating; those after the workflow ``after``."""
        statuses = ("open", "renewed", "churned", "cancelled")
        if status and status not in statuses:
            raise BadInput(f"{status[:40]!r} is not a status", f"Choose one of: {', '.join(statuses)}", field="status")
        if rating and rating not in ("green", "yellow", "red"):
            raise BadInput(f"{rating[:40]!r} is not a rating", "Choose green, yellow or red", field="rating")
        first, last = self._days(quarter) if quarter else (None, None)
        rows = await self._tenure.read(lambda: self.records.renewals(status=status or None, first=first, last=last))  # type: ignore[arg-type]
        rows = _following([row for row in rows if rating in ("", row.rating or "")], after, lambda row: row.workflow)
        return rows[: listing.bounded(limit, 1_000)]

    async def renewal(self, account: str) -> ProcessView:
        """The account's open renewal, or its last one."""
        row = await self._renewal_of(account, open_only=False)
        found = await self._process(row.workflow, ended=True)
        if found is None:
            raise NotFound(f"{row.workflow} is not known to Temporal any more", "Its row stays in `tenure renewal list --all`")
        return found

    async def forecast(self, quarter: str = "") -> ForecastView:
        """A quarter's forecast as of now (empty: the running quarter's), held against the last snapshot and, when it is over, what came."""
        now = datetime.now(UTC)
        quarter = quarter.upper() or quarter_of(self.policy, now.date())
        first, last = self._days(quarter)
        rows = await self._tenure.read(lambda: self.records.renewals(first=first, last=last))
        try:
            snapshots = await self._tenure.read(lambda: self.records.snapshots(quarter))
        except ValueError as error:
            raise Unavailable(str(error), "Nothing is rolled up against a snapshot that somebody changed") from error
        current = forecasting.roll_up(self.policy, rows, quarter, at=now)
        closed = is_closed(self.policy, quarter, now.date())
        before = snapshots[-1] if snapshots and not closed else None
        said = comparison.baseline(self.policy, quarter, snapshots) if closed else None
        return ForecastView(
            first=first,
            last=last,
            following=quarter_of(self.policy, days_after(last, 1)),
            forecast=current,
            since=before.taken_at if before else None,
            moved=comparison.compare(before, current) if before else (),
            actual=comparison.against_actual(said, rows) if said else None,
            snapshots=tuple(each.taken_at for each in snapshots),
        )

    # --- Deciding -----------------------------------------------------------------------------------------------------------

    async def decide(self, command: Command[Any], key: str, given: Message | Mapping[str, Any], event_id: str = "") -> str:
        """Decide about the trial or the account that ``key`` names, as any way in offers it; returns what was done, in words."""
        if command.of == commands.TRIAL:
            return await self._tenure.act(key, command.name, given, event_id)
        if command.of == commands.RENEWAL:
            row = await self._renewal_of(key)
            over = NotFound(f"{row.workflow} has ended", f"`tenure renewal show {row.domain}` says what became of it")
            return await self._tenure.decide(command, row.workflow, given, event_id, missing=over)
        if command.of == commands.ACCOUNT:
            return await self._of_account(command, key, given, event_id)
        customer, _, _ = await self.known(key)
        return await self._tenure.decide(
            command, command.of.workflow_id(customer.domain), given, event_id, missing=_none_of(command.of, customer)
        )

    async def _of_account(self, command: Command[Any], key: str, given: Message | Mapping[str, Any], event_id: str) -> str:
        """An account's life is started when it has none yet; a renewal's id is the lock of its start."""
        customer, team, standing = await self._customer(key)
        workflow, settings = ids.account(customer.domain), self._tenure.settings
        if command == START_RENEWAL:

            async def begin(decided: StartRenewal, event: str) -> str:
                return await self._start_renewal(customer, team, standing, decided.renewal_on, event)

            return await self._tenure.decide(command, workflow, given, event_id, begin)
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            "Account",
            AccountInput(
                customer=customer,
                team=team,
                policy=self.policy,
                channel=settings.slack_forecast_channel,
                red_channel=settings.slack_red_channel,
            ),
            id=workflow,
            task_queue=self._tenure.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, customer.domain)]),
            static_summary=f"Life of {customer.name}",
        )
        return await self._tenure.decide(command, workflow, given, event_id, start=start)

    async def _start_renewal(
        self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None, on: date | None, event: str
    ) -> str:
        renewal_on = on or customer.contract_end
        if renewal_on is None:
            raise BadInput(
                f"the CRM names no end of {customer.name}'s contract", "Say --date YYYY-MM-DD, or set it in the CRM", field="date"
            )
        if odd := plausibility.odd_day(self.policy.facts, renewal_on, datetime.now(UTC).date()):
            raise BadInput(odd, "Say --date YYYY-MM-DD as the contract has it", field="date")
        workflow_id = ids.renewal(customer.domain, renewal_on)
        open_now = await self._tenure.read(lambda: self.records.renewals(status="open", domain=customer.domain))
        if open_now and not (open_now[0].workflow == workflow_id and await self._tenure.began(workflow_id, event)):
            raise Refused(f"{open_now[0].workflow} is open already", f"`tenure renewal move {customer.domain} DATE` moves its date")
        given = RenewalInput(
            customer=customer,
            team=team,
            renewal_on=renewal_on,
            standing=standing,
            policy=self.policy,
            channel=self._tenure.settings.slack_forecast_channel,
        )
        try:
            await self._tenure.begin("Renewal", given, workflow_id, event, started_as(given), f"Renewal of {customer.name} on {renewal_on}")
        except Closing:
            raise Refused(f"{workflow_id} has run already", f"`tenure renewal show {customer.domain}` says what became of it") from None
        return f"{workflow_id}: started"

    async def red(self, account: str) -> ProcessView:
        """What is done about a red account, or was when it was red last."""
        return await self.of_kind(commands.RED, account)

    async def plan(self, account: str) -> ProcessView:
        """The account's get-well plan, or its last one."""
        return await self.of_kind(commands.PLAN, account)

    def called_by(self, caller: Caller) -> Accounts:
        """The same service for somebody else."""
        return Accounts(self._tenure.called_by(caller), self.policy)

    # --- How ----------------------------------------------------------------------------------------------------------------

    async def _customer(self, account: str) -> tuple[Customer, AccountTeam, HealthSnapshot | None]:
        """As :meth:`known`, and a customer still. Raises :class:`Refused`."""
        customer, team, standing = await self.known(account)
        if customer.status != "customer":
            into = f" into {customer.merged_into}" if customer.merged_into else ""
            raise Refused(
                f"{customer.name} is no customer any more: the CRM says {customer.status}{into}", "Correct it in the CRM if it is one"
            )
        return customer, team, standing

    async def of_kind(self, kind: Kind, account: str) -> ProcessView:
        """The account's process of that kind that runs, or its last one. Raises :class:`NotFound`."""
        customer, _, _ = await self.known(account)
        found = await self._process(kind.workflow_id(customer.domain), ended=True)
        if found is None:
            raise _none_of(kind, customer, ", and was not")
        return found

    async def _renewal_of(self, account: str, *, open_only: bool = True) -> RenewalRow:
        """The open renewal of an account, else its last one. Raises :class:`NotFound`."""
        domain = self._tenure.key_of(account)
        rows = await self._tenure.read(lambda: self.records.renewals(domain=domain))
        if not rows:
            await self.known(account)
        running = [row for row in rows if row.status == "open"]
        if running or (rows and not open_only):
            return running[0] if running else rows[-1]
        if rows and (said := await self._tenure.what_became(rows[-1].workflow)):
            raise Over(f"{domain[:80]} has no open renewal: {rows[-1].workflow} is over: {said}; nothing was changed", "")
        raise NotFound(
            f"{domain[:80]} has no {'open ' if open_only else ''}renewal",
            f"It begins {self.policy.renewal.early_review_days} days before the contract ends; `tenure renewal start {domain}` starts it now",
        )

    async def _process(self, workflow_id: str, *, ended: bool) -> ProcessView | None:
        """One process with everything that it says; None when there is none (or, without ``ended``, none that runs)."""
        handle = self._tenure.client.get_workflow_handle(workflow_id)
        try:
            with asking(workflow_id, missing=_Absent("", "")):
                description = await handle.describe()
                running = description.status is WorkflowExecutionStatus.RUNNING
                if not running and not ended:
                    return None
                handle = self._tenure.client.get_workflow_handle(workflow_id, run_id=description.run_id)
                status, steps, dossier, tasks = await query_all(
                    query(handle, "status", dict[str, Any]),
                    query(handle, "next_steps", list[NextStep]),
                    query(handle, "dossier", list[Decision]),
                    query(handle, "open_tasks", list[TaskView]),
                )
        except _Absent:
            return None
        return ProcessView(
            workflow=workflow_id,
            kind=description.workflow_type,
            open=running,
            at=listing.clock(description),
            status=status,
            next_steps=steps,
            dossier=dossier,
            tasks=tasks,
        )

    def _days(self, quarter: str) -> tuple[date, date]:
        try:
            return days_of(self.policy, quarter.upper())
        except ValueError as error:
            raise BadInput(str(error), "The running one is what `tenure forecast` shows", field="quarter") from None


def shown(customer: Customer, rows: Sequence[RenewalRow]) -> Customer:
    """A customer as every page shows it: on the date of its running renewal; that the CRM says another is its data error."""
    running = next((row for row in rows if row.domain == customer.domain and row.status == "open"), None)
    if running is None or running.renewal_on == customer.contract_end:
        return customer
    why = f"the CRM says {customer.contract_end or 'nothing'}, and its renewal runs on {running.renewal_on}, which counts"
    return customer.model_copy(update={"contract_end": running.renewal_on, "data_errors": {"contract_end": why, **customer.data_errors}})


def _following(rows: list[T], after: str, key: Callable[[T], str]) -> list[T]:
    """The rows behind the named one. Raises :class:`BadInput` when it is none of them any more."""
    if not after:
        return rows
    at = next((number for number, row in enumerate(rows) if key(row) == after), None)
    if at is None:
        raise BadInput(f"{after[:80]!r} is not in this list (any more)", "Ask for the first page again", field="after")
    return rows[at + 1 :]


def _none_of(kind: Kind, customer: Customer, ever: str = "") -> NotFound:
    """There is no such process of a customer's."""
    if kind == commands.PLAN:
        return NotFound(f"{customer.name} has no get-well plan", "One begins by itself when there is a reason: see `tenure account show`")
    is_none = f"is not red{ever}" if kind == commands.RED else f"has no {kind.workflow}"
    return NotFound(f"{customer.name} {is_none}", f"`tenure account show {customer.domain}` says how it does")


class _Absent(TenureError):
    """There is no such process."""


def csv_rows(forecast: Forecast) -> Sequence[Sequence[Any]]:
    """A forecast as a table: a row for its header, then one for each open renewal. No text of others is a sheet's formula."""
    names = (
        "account", "domain", "renewal_on", "arr", "rating", "outcome", "ta_outcome", "system_outcome", "amount", "expected", "ae",
        "rule", "warning", "disagreement",
    )  # fmt: skip
    return [names, *([_cell(line.name), *(_cell(getattr(line, name)) for name in names[1:])] for line in forecast.lines)]


#: By what programs know a formula; some take the wide signs of East Asian keyboards, too.
_FORMULAS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = markup.shown(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
