"""The weekly forecast's part of the ledger's database (D29): who is asked about which renewals, and the snapshots, which never change."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select
from temporalio import activity

from domain.account.account import RenewalRow
from domain.forecast import comparison, rollup, weekly_round
from domain.forecast.comparison import Actual, Moved
from domain.forecast.quarters import is_closed, quarter_of
from domain.forecast.rollup import Forecast
from domain.forecast.weekly_round import AskForecast, AskLines, ForecastOwners, Owner, OwnLines, TakeForecast, Taken, may_be_projected
from domain.people import Role
from domain.policy import AccountPolicy
from store.accounts import SOONEST_FIRST, Accounts, digest_of, snapshot_of
from store.database import as_model
from store.ledger import LedgerTables
from store.owners import ActivePeople
from store.tables import forecasts


class Forecasts(LedgerTables):
    """The activities of the weekly round."""

    @activity.defn(name="forecast_owners")
    def owners(self, ask: AskForecast) -> ForecastOwners:
        """Everybody who has an open renewal that is rated, with their manager. It only reads.

        An AE who has left is asked for no more: their renewals are nobody's, and the first manager of AEs is asked instead.
        """
        counts = Counter(row.ae for row in Accounts(self._ledger).renewals(status="open") if may_be_projected(row))
        with self._ledger.reading() as db:
            people = ActivePeople.read(db)
        found = []
        for ae, number in sorted(counts.items()):
            person = people.by_email(ae)
            manager = people.manager_of(person, Role.AE_MANAGER)
            managed = manager.email if manager else ""
            name, asks = (person.name, person.email) if person else (ae or "nobody", managed)
            found.append(Owner(ae=ae, name=name, asks=asks, manager=managed, renewals=number))
        return ForecastOwners(owners=tuple(found))

    @activity.defn(name="forecast_lines")
    def lines(self, ask: AskLines) -> OwnLines:
        """The open renewals of one AE as they stand now. It only reads."""
        rows = Accounts(self._ledger).renewals(status="open", ae=ask.ae)
        rated = tuple(row for row in rows if may_be_projected(row))
        return OwnLines(rows=rated, early=len(rows) - len(rated))

    @activity.defn(name="take_forecast")
    def take(self, ask: TakeForecast) -> Taken:
        """Roll up every quarter that has an open renewal, and keep each roll-up for ever.

        Safe to repeat: a subject has one snapshot of a quarter, and a repetition reads back what the first attempt wrote.
        """
        with self._ledger.writing() as db:
            rows = weekly_round.applied([as_model(RenewalRow, row) for row in db.execute(SOONEST_FIRST)], ask.said, ask.as_of)
            today = ask.as_of.astimezone(UTC).date()
            quarters = {quarter_of(ask.policy, row.renewal_on) for row in rows if row.status == "open"}
            taken, moved = list[Forecast](), dict[str, Sequence[Moved]]()
            for quarter in sorted(quarters):
                before = self._last(db, quarter, ask.subject)
                kept = self._keep(db, ask, quarter, rows)
                taken.append(kept)
                moved[quarter] = comparison.compare(before, kept) if before else ()
            closed = self._closed(db, ask.policy, rows, today)
        return Taken(
            weighted={each.quarter: each.total.weighted for each in taken},
            digests={each.quarter: digest_of(each.model_dump(mode="json")) for each in taken},
            text=weekly_round.summary(taken, moved, closed, today),
        )

    def _keep(self, db: Connection, ask: TakeForecast, quarter: str, rows: Sequence[RenewalRow]) -> Forecast:
        mine = select(forecasts).where(forecasts.c.subject == ask.subject, forecasts.c.quarter == quarter)
        if (found := db.execute(mine).one_or_none()) is not None:
            return snapshot_of(found)
        rolled = rollup.roll_up(ask.policy, rows, quarter, at=ask.as_of, confirmed=ask.confirmed, unconfirmed=ask.unconfirmed)
        data = rolled.model_dump(mode="json")
        row = {"subject": ask.subject, "taken_at": ask.as_of, "quarter": quarter, "data": data, "digest": digest_of(data)}
        db.execute(insert(forecasts).values(row))
        return rolled

    @staticmethod
    def _last(db: Connection, quarter: str, but: str) -> Forecast | None:
        """The newest snapshot of a quarter that another round took."""
        of = select(forecasts).where(forecasts.c.quarter == quarter, forecasts.c.subject != but)
        return next(_intact(db.execute(of.order_by(forecasts.c.number.desc()))), None)

    @staticmethod
    def _closed(db: Connection, policy: AccountPolicy, rows: Sequence[RenewalRow], today: date) -> list[Actual]:
        """The quarter that ended since the last round, if one did, held against what was forecast of it."""
        quarter = quarter_of(policy, today - timedelta(days=policy.forecast.every_days))
        if not is_closed(policy, quarter, today):
            return []
        found = db.execute(select(forecasts).where(forecasts.c.quarter == quarter).order_by(forecasts.c.number))
        before = comparison.baseline(policy, quarter, _intact(found))
        return [comparison.against_actual(before, rows)] if before else []


def _intact(rows: Iterable[Any]) -> Iterator[Forecast]:
    """The snapshots that are as they were written; another one is nothing to compare with, and no reason to take none this week."""
    for row in rows:
        try:
            yield snapshot_of(row)
        except ValueError as error:
            activity.logger.error("%s", error)
