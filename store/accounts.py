"""Customers, their teams, their health and their renewals, as the ledger's database has them: what processes and people read.

The activities here are local ones: short steps on the ledger's own database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, func, select
from temporalio import activity

from domain.account.account import AccountTeam, AccountView, AskAccount, Customer, HealthSnapshot, RenewalRow
from domain.base import Value
from domain.forecast.rollup import Forecast
from domain.health.score import score, traits_of
from domain.health.types import Band, Score, Traits
from domain.people import Person, Role
from domain.policy import AccountPolicy
from store.account_tables import customers, forecasts, health, health_changes, renewals
from store.ledger import Ledger
from store.tables import roster

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


class ActivePeople:
    """Our people as the last copy of the CRM has them, and who of them looks after an account.

    Somebody who has left plays no role any more: the ladder asks the next. Where the CRM names no manager, or no leader, it is the first
    by name of those with that role.
    """

    def __init__(self, people: Iterable[Person]) -> None:
        active = [person for person in people if person.active]
        self._by_id = {person.id: person for person in active}
        self._by_email = {person.email.lower(): person for person in active}
        self._first: dict[Role, Person] = {}
        for person in sorted(active, key=lambda person: (person.name, person.id)):
            self._first.setdefault(person.role, person)

    @classmethod
    def read(cls, db: Connection) -> ActivePeople:
        """Everybody, in the transaction ``db``."""
        return cls(Person.model_validate(dict(row._mapping)) for row in db.execute(select(roster)))

    def by_email(self, email: str) -> Person | None:
        """Who has that address."""
        return self._by_email.get(email.strip().lower())

    def manager_of(self, person: Person | None, role: Role) -> Person | None:
        """That person's manager when the CRM names one of that role, else the first of the role."""
        named = self._by_id.get((person.manager if person else None) or "")
        return named if named is not None and named.role is role else self._first.get(role)

    def team(self, account: Mapping[str, Any]) -> AccountTeam:
        """Who looks after a customer; ``account`` is its row."""
        ta, ae, ce = (self._by_id.get(account[name] or "") for name in ("ta", "ae", "ce"))
        return AccountTeam(
            ta=ta,
            ae=ae,
            ce=ce or (self._by_id.get(ae.paired_ce or "") if ae else None),
            ta_manager=self.manager_of(ta, Role.TA_MANAGER),
            ae_manager=self.manager_of(ae, Role.AE_MANAGER),
            ts_leader=self._first.get(Role.TS_LEADERSHIP),
            sales_leader=self._first.get(Role.SALES_LEADERSHIP),
        )


class Accounts:
    """The accounts in the ledger's database."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # --- Activities ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="account")
    def account(self, ask: AskAccount) -> AccountView:
        """What is known of an account, with its team and its standing. It only reads."""
        return self.view(ask.domain)

    def keep_renewal_row(self, row: RenewalRow) -> None:
        """Replace a renewal's row. Safe to repeat, and in any order: an older row never replaces a newer one."""
        with self._ledger.writing() as db:
            put_renewal(db, row)

    # --- Reading ------------------------------------------------------------------------------------------------------------

    def view(self, domain: str) -> AccountView:
        """The same as :meth:`account`, for whoever reads beside the workflows."""
        domain = domain.strip().lower()
        with self._ledger.reading() as db:
            row = db.execute(select(customers).where(customers.c.domain == domain)).one_or_none()
            if row is None:
                return AccountView()
            standing = db.execute(select(health.c.standing).where(health.c.domain == domain)).scalar()
            team = ActivePeople.read(db).team(row._asdict())
        return AccountView(customer=customer_of(row), team=team, standing=HealthSnapshot.model_validate(standing) if standing else None)

    def customers(self, *, churned: bool = False) -> list[Customer]:
        """Every customer by name; with ``churned`` also those who are none any more."""
        query = select(customers).order_by(customers.c.name, customers.c.domain)
        if not churned:
            query = query.where(customers.c.status == "customer")
        with self._ledger.reading() as db:
            return [customer_of(row) for row in db.execute(query)]

    def standings(self, *, churned: bool = False) -> list[tuple[Customer, HealthSnapshot | None]]:
        """Every customer by name, each with how it does."""
        query = select(customers, health.c.standing).join_from(customers, health, health.c.domain == customers.c.domain, isouter=True)
        if not churned:
            query = query.where(customers.c.status == "customer")
        with self._ledger.reading() as db:
            rows = db.execute(query.order_by(customers.c.name, customers.c.domain)).all()
        return [(customer_of(row), HealthSnapshot.model_validate(row.standing) if row.standing else None) for row in rows]

    def health(self, domain: str) -> Health | None:
        """The health of one account; None before its first score."""
        with self._ledger.reading() as db:
            row = db.execute(select(health).where(health.c.domain == domain.strip().lower())).one_or_none()
        if row is None:
            return None
        last = Score.model_validate(row.score)
        found = {"score": last, "traits": row.traits or traits_of(last), "standing": row.standing}
        return Health.model_validate({"domain": row.domain, "at": row.at, **found})

    def bands(self) -> dict[str, int]:
        """How many customers are in each band."""
        of = customers.join(health, health.c.domain == customers.c.domain)
        query = select(health.c.band, func.count().label("number")).select_from(of).where(customers.c.status == "customer")
        with self._ledger.reading() as db:
            found = db.execute(query.group_by(health.c.band))
            return {row.band: row.number for row in found}

    def changes(self, domain: str, limit: int = 50) -> list[HealthChange]:
        """How an account's score changed, the newest first."""
        query = select(health_changes).where(health_changes.c.domain == domain.strip().lower()).order_by(health_changes.c.number.desc())
        with self._ledger.reading() as db:
            return [_change(row) for row in db.execute(query.limit(limit))]

    def renewal(self, workflow: str) -> RenewalRow | None:
        """One renewal, by its workflow id."""
        with self._ledger.reading() as db:
            row = db.execute(select(renewals).where(renewals.c.workflow == workflow)).one_or_none()
        return None if row is None else renewal_of(row)

    def renewals(
        self,
        *,
        status: Status | None = None,
        domain: str = "",
        ae: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> list[RenewalRow]:
        """Renewals, the soonest first; of a status, an account, an AE (an empty address: of nobody), or between two days."""
        with self._ledger.reading() as db:
            return read_renewals(db, status=status, domain=domain, ae=ae, first=first, last=last)

    def snapshots(self, quarter: str) -> list[Forecast]:
        """The weekly snapshots of a quarter, oldest first. Raises ``ValueError`` for one that is not as it was written."""
        query = select(forecasts).where(forecasts.c.quarter == quarter).order_by(forecasts.c.taken_at, forecasts.c.number)
        with self._ledger.reading() as db:
            rows = db.execute(query).all()
        return [snapshot_of(row) for row in rows]


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


def read_renewals(
    db: Connection,
    *,
    status: Status | None = None,
    domain: str = "",
    ae: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> list[RenewalRow]:
    """As :meth:`Accounts.renewals`, in the transaction ``db``."""
    columns = renewals.c
    query: Select[Any] = select(renewals).order_by(columns.renewal_on, columns.domain, columns.workflow)
    if status:
        query = query.where(columns.status == status)
    if domain:
        query = query.where(columns.domain == domain.strip().lower())
    if ae is not None:
        query = query.where(columns.ae == ae)
    if first is not None:
        query = query.where(columns.renewal_on >= first)
    if last is not None:
        query = query.where(columns.renewal_on <= last)
    return [renewal_of(row) for row in db.execute(query)]


def customer_of(row: Row[Any]) -> Customer:
    """The customer in a row of ``customers``."""
    # A row that was copied before there was the column has no colour and no errors yet.
    late = {"health": row._mapping["health"] or "", "data_errors": row._mapping["data_errors"] or {}}
    return Customer.model_validate({name: row._mapping[name] for name in Customer.model_fields} | late)


def renewal_of(row: Row[Any]) -> RenewalRow:
    """The renewal in a row of ``renewals``."""
    return RenewalRow.model_validate(dict(row._mapping))


def _change(row: Row[Any]) -> HealthChange:
    return HealthChange.model_validate({name: row._mapping[name] for name in HealthChange.model_fields})


def put_renewal(db: Connection, row: RenewalRow) -> None:
    """Replace a renewal's row, unless a newer one is there."""
    values = row.model_dump()
    put = Ledger.upserting(db, renewals).values(values)
    newer = {name: put.excluded[name] for name in values if name != "workflow"}
    older = renewals.c.updated_at <= put.excluded.updated_at
    db.execute(put.on_conflict_do_update(index_elements=["workflow"], set_=newer, where=older))
