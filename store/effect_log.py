"""What is on record, for people and for the reconciliation; nothing here loads a client of an outside system."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select

from domain.effects.effect import Receipt
from store.ledger import EffectRow, Ledger, effect_row
from store.tables import effects

#: What a receipt holds and nobody is shown: the token of a share link opens the secret behind it.
SECRET = frozenset({"link"})
HIDDEN = "(not shown)"


def find(
    ledger: Ledger,
    *,
    starts: Sequence[str] = (),
    key: str = "",
    number: int | None = None,
    system: str = "",
    open: bool = False,
    since: datetime | None = None,
) -> list[EffectRow]:
    """The effects that were begun first come first. Each of the arguments leaves some out.

    ``starts``: only of subjects that begin with one of these; ``open``: only those that are not known to be done; ``since``: only those
    that were begun then or later, by the real clock.
    """
    query = select(effects).order_by(effects.c.number)
    if starts:
        query = query.where(or_(*(effects.c.subject.startswith(start, autoescape=True) for start in starts)))
    if key:
        query = query.where(effects.c.key == key)
    if number is not None:
        query = query.where(effects.c.number == number)
    if system:
        query = query.where(effects.c.system == system)
    if open:
        query = query.where(effects.c.done_at.is_(None))
    if since is not None:
        query = query.where(effects.c.begun_at >= since)
    with ledger.reading() as db:
        return [effect_row(row) for row in db.execute(query)]


def public(row: EffectRow) -> EffectRow:
    """The row as people may see it: without the secrets of its receipt."""
    if row.receipt is None or not SECRET & row.receipt.data.keys():
        return row
    data = {name: HIDDEN if name in SECRET else value for name, value in row.receipt.data.items()}
    return row.model_copy(update={"receipt": Receipt(ref=row.receipt.ref, data=data)})
