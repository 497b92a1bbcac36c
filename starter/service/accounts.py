"""The service for customers' accounts: their health, their renewals, their plans and the forecast; what people read, and what they ask for.

What is listed is read from the ledger's read model; what is asked goes to the workflow of the account, as an update that may be refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain import ids, markup, plausibility
from domain.account.account import AccountTeam, Customer, HealthSnapshot, RenewalRow
from domain.account.get_well import PlanText
from domain.account.lifecycle import AccountInput, MarkAccountRed
from domain.account.red import Resolve
from domain.base import Message
from domain.calendar import days_after
from domain.decision import Decision
from domain.forecast import rollup as forecasting
from domain.forecast.rollup import Forecast
from domain.health.guidance import guidance
from domain.policy import AccountPolicy
from domain.renewal.state import AssessRenewal, MoveRenewal, ProjectOutcome, RenewalInput
from domain.rights import Action
from domain.views import NextStep, TaskView
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service import listing
from starter.service.account_views import AccountOverview, ForecastView, HealthView, ProcessView
from starter.service.authorization import on_owned
from starter.service.bootstrap import read_policies
from starter.service.queries import query, query_all
from starter.service.temporal_errors import Closing, Over, asking
from starter.service.tenure import PATIENCE, Tenure, bad_fields, described
from store.accounts import Accounts as Records
from store.roster import as_of_now
from workflows.frame.search_attributes import ACCOUNT
from workflows.renewal.process import started_as

__all__ = ["AccountOverview", "Accounts", "ForecastView", "HealthView", "ProcessView", "csv_rows", "read"]

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

    async def renewals(self, *, quarter: str = "", status: str = "open", rating: str = "", limit: int = 50) -> list[RenewalRow]:
        """Renewals, the soonest first: of a fiscal quarter, a status (empty: any), a rating."""
        statuses = ("open", "renewed", "churned", "cancelled")
        if status and status not in statuses:
            raise BadInput(f"{status[:40]!r} is not a status", f"Choose one of: {', '.join(statuses)}", field="status")
        if rating and rating not in ("green", "yellow", "red"):
            raise BadInput(f"{rating[:40]!r} is not a rating", "Choose green, yellow or red", field="rating")
        first, last = self._days(quarter) if quarter else (None, None)
        rows = await self._tenure.read(lambda: self.records.renewals(status=status or None, first=first, last=last))  # type: ignore[arg-type]
        return [row for row in rows if rating in ("", row.rating or "")][: listing.bounded(limit, 1_000)]

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
        quarter = quarter.upper() or forecasting.quarter_of(self.policy, now.date())
        first, last = self._days(quarter)
        rows = await self._tenure.read(lambda: self.records.renewals(first=first, last=last))
        try:
            snapshots = await self._tenure.read(lambda: self.records.snapshots(quarter))
        except ValueError as error:
            raise Unavailable(str(error), "Nothing is rolled up against a snapshot that somebody changed") from error
        current = forecasting.roll_up(self.policy, rows, quarter, at=now)
        closed = forecasting.is_closed(self.policy, quarter, now.date())
        before = snapshots[-1] if snapshots and not closed else None
        said = forecasting.baseline(self.policy, quarter, snapshots) if closed else None
        return ForecastView(
            first=first,
            last=last,
            following=forecasting.quarter_of(self.policy, days_after(last, 1)),
            forecast=current,
            since=before.taken_at if before else None,
            moved=forecasting.compare(before, current) if before else (),
            actual=forecasting.against_actual(said, rows) if said else None,
            snapshots=tuple(each.taken_at for each in snapshots),
        )

    # --- Asking -------------------------------------------------------------------------------------------------------------

    async def start_renewal(self, account: str, on: date | None = None, by: str = "") -> str:
        """Start the renewal of an account's term by hand; the id is the lock. Raises :class:`Refused` when it runs, or ran, already."""
        customer, team, standing = await self._customer(account)
        async with self._decision(
            Action.START_RENEWAL, customer, team, by=by, what="start a renewal", subject=ids.account(customer.domain), nameless=True
        ):
            return await self._start_renewal(customer, team, standing, on)

    async def _start_renewal(self, customer: Customer, team: AccountTeam, standing: HealthSnapshot | None, on: date | None) -> str:
        renewal_on = on or customer.contract_end
        if renewal_on is None:
            raise BadInput(
                f"the CRM names no end of {customer.name}'s contract", "Say --date YYYY-MM-DD, or set it in the CRM", field="date"
            )
        if odd := plausibility.odd_day(self.policy.facts, renewal_on, datetime.now(UTC).date()):
            raise BadInput(odd, "Say --date YYYY-MM-DD as the contract has it", field="date")
        workflow_id = ids.renewal(customer.domain, renewal_on)
        open_now = await self._tenure.read(lambda: self.records.renewals(status="open", domain=customer.domain))
        if open_now:
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
            with asking(workflow_id):
                await self._tenure.client.start_workflow(
                    "Renewal",
                    given,
                    id=workflow_id,
                    task_queue=self._tenure.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=started_as(given),
                    static_summary=f"Renewal of {customer.name} on {renewal_on}",
                )
        except Closing:
            raise Refused(f"{workflow_id} has run already", f"`tenure renewal show {customer.domain}` says what became of it") from None
        return f"{workflow_id}: started"

    async def assess(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """A manager rates a renewal by hand (D27)."""
        return await self._ask_renewal(account, Action.ASSESS, read(AssessRenewal, message), event_id)

    async def project(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """The AE, or the TA, says what is expected of a renewal (D28, D29)."""
        return await self._ask_renewal(account, Action.FORECAST, read(ProjectOutcome, message), event_id)

    async def move(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """The term ends on another day: everything is re-armed."""
        return await self._ask_renewal(account, Action.MOVE, read(MoveRenewal, message), event_id)

    async def mark_red(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """Mark an account red, by judgement (B18, C20); its life is started when it has none yet."""
        customer, team, _ = await self._customer(account)
        marked = read(MarkAccountRed, message)
        settings = self._tenure.settings
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            "Account",
            AccountInput(
                customer=customer,
                team=team,
                policy=self.policy,
                channel=settings.slack_forecast_channel,
                red_channel=settings.slack_red_channel,
            ),
            id=ids.account(customer.domain),
            task_queue=self._tenure.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, customer.domain)]),
            static_summary=f"Life of {customer.name}",
        )
        workflow = ids.account(customer.domain)
        event = self._tenure.event(workflow, "mark_red", event_id)
        async with self._decision(Action.MARK_RED, customer, team, by=marked.by, what="mark_red", subject=workflow, event=event) as by:
            with asking(workflow):
                async with asyncio.timeout(PATIENCE):
                    return str(
                        await self._tenure.client.execute_update_with_start_workflow(
                            "mark_red", marked.model_copy(update={"by": by}), start_workflow_operation=start, id=event, result_type=str
                        )
                    )

    async def red(self, account: str) -> ProcessView:
        """What is done about a red account, or was when it was red last."""
        customer, _, _ = await self.known(account)
        found = await self._process(ids.red(customer.domain), ended=True)
        if found is None:
            raise NotFound(f"{customer.name} is not red, and was not", f"`tenure account show {customer.domain}` says how it does")
        return found

    async def resolve_red(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """A red account is promoted to yellow or green (B17)."""
        customer, team, _ = await self.known(account)
        missing = NotFound(f"{customer.name} is not red", f"`tenure account show {customer.domain}` says how it does")
        given = read(Resolve, message)
        return await self._ask(Action.RESOLVE_RED, customer, team, ids.red(customer.domain), "resolve", given, event_id, missing)

    async def plan(self, account: str) -> ProcessView:
        """The account's get-well plan, or its last one."""
        customer, _, _ = await self.known(account)
        found = await self._process(ids.get_well(customer.domain), ended=True)
        if found is None:
            raise NotFound(
                f"{customer.name} has no get-well plan", "One begins by itself when there is a reason: see `tenure account show`"
            )
        return found

    async def write_plan(self, account: str, message: Mapping[str, Any], event_id: str = "") -> str:
        """The TA writes the get-well plan, or rewrites parts of it (D16)."""
        customer, team, _ = await self.known(account)
        missing = NotFound(
            f"{customer.name} has no get-well plan", "One begins by itself when there is a reason: see `tenure account show`"
        )
        given = read(PlanText, message)
        return await self._ask(Action.PLAN, customer, team, ids.get_well(customer.domain), "plan", given, event_id, missing)

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

    async def _ask_renewal(self, account: str, action: Action, message: Message, event_id: str) -> str:
        row = await self._renewal_of(account)
        missing = NotFound(f"{row.workflow} has ended", f"`tenure renewal show {row.domain}` says what became of it")
        view = await self._tenure.read(lambda: self.records.view(row.domain))
        return await self._ask(action, view.customer, view.team, row.workflow, action.value, message, event_id, missing)

    async def _ask(
        self,
        action: Action,
        customer: Customer | None,
        team: AccountTeam,
        workflow: str,
        name: str,
        message: Message,
        event_id: str,
        missing: TenureError,
    ) -> str:
        """Ask a running process for something that a person decides, if they may."""
        event, given = self._tenure.event(workflow, name, event_id), str(getattr(message, "by", ""))
        async with self._decision(action, customer, team, by=given, what=described(name, message), subject=workflow, event=event) as by:
            return await self._tenure.update(workflow, name, message.model_copy(update={"by": by}), event, missing)

    def _decision(
        self,
        action: Action,
        customer: Customer | None,
        team: AccountTeam,
        *,
        by: str,
        what: str,
        subject: str,
        event: str = "",
        nameless: bool = False,
    ) -> AbstractAsyncContextManager[str]:
        """The gate, for what the account's team looks after."""
        people = (team.ta, team.ae, team.ce, team.ta_manager, team.ae_manager) if customer else ()
        judge = on_owned(action, lambda roster: as_of_now(people, roster))
        caller = self._tenure.caller
        return self._tenure.gate.decision(caller, judge, by=by, what=what, subject=subject, event=event, nameless=nameless)

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
            return forecasting.days_of(self.policy, quarter.upper())
        except ValueError as error:
            raise BadInput(str(error), "The running one is what `tenure forecast` shows", field="quarter") from None


def shown(customer: Customer, rows: Sequence[RenewalRow]) -> Customer:
    """A customer as every page shows it: on the date of its running renewal; that the CRM says another is its data error."""
    running = next((row for row in rows if row.domain == customer.domain and row.status == "open"), None)
    if running is None or running.renewal_on == customer.contract_end:
        return customer
    why = f"the CRM says {customer.contract_end or 'nothing'}, and its renewal runs on {running.renewal_on}, which counts"
    return customer.model_copy(update={"contract_end": running.renewal_on, "data_errors": {"contract_end": why, **customer.data_errors}})


class _Absent(TenureError):
    """There is no such process."""


M = TypeVar("M", bound=Message)


def read(model: type[M], given: Mapping[str, Any]) -> M:
    """The message of what a person typed; a fault is theirs. Raises :class:`BadInput`."""
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise bad_fields(error) from None


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
