"""Rows of the ledger that tests write, or look at, past those who do so in the product."""

from __future__ import annotations

from sqlalchemy import func, select

from domain.account.account import Customer, RenewalRow
from domain.read_model import Rows
from store.accounts import customer_of
from store.ledger import Ledger
from store.read_model import ReadModel
from store.registry import Registry
from store.tables import customers, health


def keep_renewal(ledger: Ledger, row: RenewalRow) -> None:
    """Write a renewal's row, as its worker does."""
    ReadModel(ledger).keep(Rows(workflow=row.workflow, run="", version=0, renewal=row))


def warm_hosts(registry: Registry) -> list[str]:
    """The instances that are nobody's yet, in the order in which they will be given away."""
    return [each.host for each in registry.instances() if each.kind == "warm"]


def all_customers(ledger: Ledger) -> list[Customer]:
    """Everybody who is or was a customer, by name."""
    return [customer_of(row) for row in ledger.rows(select(customers).order_by(customers.c.name, customers.c.domain))]


def bands(ledger: Ledger) -> dict[str, int]:
    """How many customers are in each band."""
    of = customers.join(health, health.c.domain == customers.c.domain)
    query = select(health.c.band, func.count().label("number")).select_from(of).where(customers.c.status == "customer")
    return {row.band: row.number for row in ledger.rows(query.group_by(health.c.band))}
