"""Rows of the ledger that tests write, or look at, past those who do so in the product."""

from __future__ import annotations

from domain.account.account import RenewalRow
from domain.read_model import Rows
from store.ledger import Ledger
from store.read_model import ReadModel
from store.registry import Registry


def keep_renewal(ledger: Ledger, row: RenewalRow) -> None:
    """Write a renewal's row, as its worker does."""
    ReadModel(ledger).keep(Rows(workflow=row.workflow, run="", version=0, renewal=row))


def warm_hosts(registry: Registry) -> list[str]:
    """The instances that are nobody's yet, in the order in which they will be given away."""
    return [each.host for each in registry.instances() if each.kind == "warm"]
