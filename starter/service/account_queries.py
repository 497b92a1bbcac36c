"""How the service looks at customers' accounts: their health, their renewals, their plans and the forecast. Nothing here changes anything."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any, get_args

from domain import commands, ids, markup
from domain.account.account import AccountTeam, Customer, HealthSnapshot, Rating, RenewalRow
from domain.calendar import days_after
from domain.commands import Kind
from domain.forecast import comparison
from domain.forecast import rollup as forecasting
from domain.forecast.quarters import days_of, is_closed, quarter_of
from domain.forecast.rollup import Forecast
from domain.health.guidance import guidance
from domain.health.types import Band
from domain.policy import AccountPolicy
from starter.errors import BadInput, NotFound, TenureError, Unavailable, require_one_of
from starter.service import views
from starter.service.queries import MOST_ROWS
from starter.service.temporal_errors import Over
from starter.service.tenure import Tenure
from starter.service.views import AccountOverview, CustomerLine, ForecastView, HealthView, ProcessView
from store.accounts import Accounts as Records
from store.accounts import Status
from store.read_model import Listed, ReadModel

BANDS = get_args(Band)


class AccountQueries:
    """What may be seen of customers' accounts. ``policy`` is what a new process is given; a running one keeps its own."""

    def __init__(self, tenure: Tenure, policy: AccountPolicy) -> None:
        self.tenure = tenure
        self.policy = policy
        self.records: Records = Records(tenure.ledger)

    async def known(self, account: str) -> tuple[Customer, AccountTeam, HealthSnapshot | None]:
        """The customer that a person names by domain or host. Raises :class:`NotFound`."""
        domain = self.tenure.key_of(account)
        view = await self.tenure.read(lambda: self.records.view(domain))
        if view.customer is None:
            raise NotFound(
                f"{domain[:80]} is no customer that the last copy of the CRM knows", "`tenure account list` lists those it knows"
            )
        return view.customer, view.team, view.standing

    async def customers(self, band: str = "") -> list[CustomerLine]:
        """Every customer with its standing, by name; of one band, when one is named."""
        require_one_of(BANDS, band, "is not a band", "band")
        standings, rows = await self.tenure.read(lambda: (self.records.standings(), self.records.renewals(status="open")))
        lines = [CustomerLine(customer=shown(customer, rows), standing=standing) for customer, standing in standings]
        return [line for line in lines if band in ("", line.standing.band if line.standing else "unknown")]

    async def page(self, band: str = "", *, after: str = "", limit: int = 50) -> list[CustomerLine]:
        """A page of the customers by name; ``after`` is the domain of the last one of the page before."""
        return views.page(await self.customers(band), after, lambda line: line.customer.domain, limit, MOST_ROWS)

    async def health(self, account: str, history: int = 5) -> HealthView:
        """An account's health, with the values of the last hourly run, and its last changes; no score before the first run."""
        customer, team, standing = await self.known(account)
        domain, records, last = customer.domain, self.records, views.bounded(history, 200)
        kept, changes, rows = await self.tenure.read(
            lambda: (records.health(domain), records.changes(domain, last), records.renewals(status="open", domain=domain))
        )
        score = kept.score if kept else None
        if kept and kept.score.policy == self.policy.hash:  # by another policy it is another score, which the next run makes
            score = kept.as_of_now(self.policy)
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
        rows = await self.tenure.read(lambda: self.records.renewals(domain=domain))
        names = [ids.account(domain), *(row.workflow for row in rows if row.status == "open"), ids.get_well(domain), ids.red(domain)]

        async def look(name: str) -> ProcessView | None:
            with suppress(NotFound):
                return await self._look(name, NotFound(name, ""), ended=name == names[0])
            return None

        found = await asyncio.gather(*map(look, names))
        return AccountOverview(
            customer=shown(customer, rows),
            team=team,
            standing=standing,
            renewals=tuple(rows),
            processes=tuple(process for process in found if process is not None),
        )

    async def processes(
        self, kind: Kind, *, stage: str = "", owner: str = "", closed: bool = False, after: str = "", limit: int = 50
    ) -> list[Listed]:
        """A page of the processes of a kind by their account: the open ones, with ``closed`` all; ``after`` is the last workflow of the page before."""
        asked: dict[str, Any] = {"after": after, "stage": stage, "owner": owner.strip(), "closed": closed}
        wanted = views.bounded(limit, MOST_ROWS)
        return await self.tenure.read(lambda: ReadModel(self.tenure.ledger).processes(kind.workflow, wanted, **asked))

    async def renewals(
        self, *, quarter: str = "", status: str = "open", rating: str = "", after: str = "", limit: int = 50
    ) -> list[RenewalRow]:
        """Renewals, the soonest first: of a fiscal quarter, a status (empty: any), a rating; those after the workflow ``after``."""
        require_one_of(get_args(Status), status, "is not a status", "status")
        require_one_of(get_args(Rating), rating, "is not a rating", "rating")
        first, last = self._days(quarter) if quarter else (None, None)
        rows = await self.tenure.read(lambda: self.records.renewals(status=status or None, first=first, last=last))  # type: ignore[arg-type]
        found = [row for row in rows if rating in ("", row.rating or "")]
        return views.page(found, after, lambda row: row.workflow, limit, 1_000)

    async def of_kind(self, kind: Kind, account: str) -> ProcessView:
        """The account's process of that kind that runs, or its last one. Raises :class:`NotFound`."""
        if kind == commands.RENEWAL:
            workflow = (await self.renewal_of(account, open_only=False)).workflow
            none = NotFound(f"{workflow} is not known to Temporal any more", "Its row stays in `tenure renewal list --all`")
        else:
            customer, _, _ = await self.known(account)
            workflow, none = kind.workflow_id(customer.domain), none_of(kind, customer, ", and was not")
        return await self._look(workflow, none)

    async def forecast(self, quarter: str = "") -> ForecastView:
        """A quarter's forecast as of now (empty: the running quarter's), held against the last snapshot and, when it is over, what came."""
        now = datetime.now(UTC)
        quarter = quarter.upper() or quarter_of(self.policy, now.date())
        first, last = self._days(quarter)
        rows = await self.tenure.read(lambda: self.records.renewals(first=first, last=last))
        try:
            snapshots = await self.tenure.read(lambda: self.records.snapshots(quarter))
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

    async def renewal_of(self, account: str, *, open_only: bool = True) -> RenewalRow:
        """The open renewal of an account, else its last one. Raises :class:`NotFound`."""
        domain = self.tenure.key_of(account)
        rows = await self.tenure.read(lambda: self.records.renewals(domain=domain))
        if not rows:
            await self.known(account)
        running = [row for row in rows if row.status == "open"]
        if running or (rows and not open_only):
            return running[0] if running else rows[-1]
        if rows and (said := await self.tenure.what_became(rows[-1].workflow)):
            raise Over(f"{domain[:80]} has no open renewal: {rows[-1].workflow} is over: {said}; nothing was changed", "")
        raise NotFound(
            f"{domain[:80]} has no {'open ' if open_only else ''}renewal",
            f"It begins {self.policy.renewal.early_review_days} days before the contract ends; `tenure renewal start {domain}` starts it now",
        )

    async def _look(self, workflow_id: str, none: TenureError, *, ended: bool = True) -> ProcessView:
        """One process with everything that it says. Raises ``none`` when there is none (or, without ``ended``, none that runs)."""
        described, seen = await self.tenure.look(workflow_id, dict[str, Any], none, ended=ended)
        return ProcessView(kind=described.workflow_type, **seen)

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


def none_of(kind: Kind, customer: Customer, ever: str = "") -> NotFound:
    """There is no such process of a customer's."""
    if kind == commands.PLAN:
        return NotFound(f"{customer.name} has no get-well plan", "One begins by itself when there is a reason: see `tenure account show`")
    is_none = f"is not red{ever}" if kind == commands.RED else f"has no {kind.workflow}"
    return NotFound(f"{customer.name} {is_none}", f"`tenure account show {customer.domain}` says how it does")


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
