"""Customers, their teams, their health and their renewals, as the ledger's database has them: what processes and people read."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Row, select
from temporalio import activity

from domain.account.account import AccountView, AskAccount, Customer, HealthSnapshot, RenewalRow
from domain.base import Value
from domain.forecast.rollup import Forecast
from domain.health.score import score, traits_of
from domain.health.types import Band, Score, Traits
from domain.policy import AccountPolicy
from store.database import narrowed
from store.ledger import LedgerTables
from store.owners import ActivePeople
from store.tables import customers, forecasts, health, health_changes, renewals

Status = Literal["open", "renewed", "churned", "cancelled"]


class Health(Value):
    """An account's health on record: the score with its evidence, and the traits and the standing as of the last run that changed them."""

    domain: str
    at: datetime
    score: Score
    traits: Traits
    standing: HealthSnapshot

    def as_of_now(self, policy: AccountPolicy) -> Score:
        """The same score with the values of now as its evidence: it is made anew only when the total or a colour is another."""
        return score(policy, self.traits).model_copy(update={"deltas": self.score.deltas})


class HealthChange(Value):
    """A score that differed from the one before."""

    domain: str
    at: datetime
    band_before: Band
    score: Score


class Accounts(LedgerTables):
    """The accounts in the ledger's database."""

    @activity.defn(name="account")
    def account(self, ask: AskAccount) -> AccountView:
        """What is known of an account, with its team and its standing. A local activity; it only reads."""
        return self.view(ask.domain)

    def view(self, domain: str) -> AccountView:
        """The same as :meth:`account`, for whoever reads beside the workflows."""
        domain = domain.strip().lower()
        with self._ledger.reading() as db:
            row = db.execute(_STANDINGS.where(customers.c.domain == domain)).one_or_none()
            if row is None:
                return AccountView()
            team = ActivePeople.read(db).team(row._asdict())
        return AccountView(customer=customer_of(row), team=team, standing=_standing_of(row))

    def standings(self) -> list[tuple[Customer, HealthSnapshot | None]]:
        """Every customer by name, each with how it does."""
        query = _STANDINGS.where(customers.c.status == "customer").order_by(customers.c.name, customers.c.domain)
        return [(customer_of(row), _standing_of(row)) for row in self._ledger.rows(query)]

    def health(self, domain: str) -> Health | None:
        """The health of one account; None before its first score."""
        row = self._ledger.row(select(health).where(health.c.domain == domain.strip().lower()))
        if row is None:
            return None
        last = Score.model_validate(row.score)
        return Health.model_validate({**row._mapping, "score": last, "traits": row.traits or traits_of(last)})

    def changes(self, domain: str, limit: int = 50) -> list[HealthChange]:
        """How an account's score changed, the newest first."""
        query = select(health_changes).where(health_changes.c.domain == domain.strip().lower())
        return self._ledger.models(HealthChange, query.order_by(health_changes.c.number.desc()).limit(limit))

    def renewal(self, workflow: str) -> RenewalRow | None:
        """One renewal, by its workflow id."""
        return self._ledger.model(RenewalRow, select(renewals).where(renewals.c.workflow == workflow))

    def renewals(
        self, *, status: Status | None = None, domain: str = "", ae: str | None = None, first: date | None = None, last: date | None = None
    ) -> list[RenewalRow]:
        """Renewals, the soonest first; of a status, an account, an AE (an empty address: of nobody), or between two days."""
        of = status and renewals.c.status == status, domain and renewals.c.domain == domain.strip().lower()
        between = first and renewals.c.renewal_on >= first, last and renewals.c.renewal_on <= last
        query = narrowed(SOONEST_FIRST, *of, ae is not None and renewals.c.ae == ae, *between)
        return self._ledger.models(RenewalRow, query)

    def snapshots(self, quarter: str) -> list[Forecast]:
        """The weekly snapshots of a quarter, oldest first. Raises ``ValueError`` for one that is not as it was written."""
        query = select(forecasts).where(forecasts.c.quarter == quarter).order_by(forecasts.c.taken_at, forecasts.c.number)
        return [snapshot_of(row) for row in self._ledger.rows(query)]


SOONEST_FIRST = select(renewals).order_by(renewals.c.renewal_on, renewals.c.domain, renewals.c.workflow)
_STANDINGS = select(customers, health.c.standing).join_from(customers, health, health.c.domain == customers.c.domain, isouter=True)


def digest_of(data: Mapping[str, Any]) -> str:
    """The SHA-256 of a snapshot's data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def snapshot_of(row: Any) -> Forecast:
    """The forecast in a row of ``forecasts``. Raises ``ValueError`` when somebody changed it since."""
    if digest_of(row.data) != row.digest:
        raise ValueError(
            f"snapshot {row.number} of {row.quarter} is not as it was written: somebody changed the table; restore it from a backup"
        )
    return Forecast.model_validate(row.data)


def customer_of(row: Row[Any]) -> Customer:
    """The customer in a row of ``customers``. One that was copied before there were the columns has no colour and no errors yet."""
    return Customer.model_validate({**row._mapping, "health": row.health or "", "data_errors": row.data_errors or {}})


def _standing_of(row: Row[Any]) -> HealthSnapshot | None:
    return HealthSnapshot.model_validate(row.standing) if row.standing else None
