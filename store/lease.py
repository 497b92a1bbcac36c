"""One at a time, over all workers: a lease in the ledger's database for what an outside system cannot keep apart by itself."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select

from store.database import has_died, this_process, upserting
from store.ledger import BUSY_RETRY, HOLD, Ledger, NotDone
from store.tables import turns


@contextmanager
def turn(ledger: Ledger, name: str, hold: timedelta = HOLD) -> Iterator[None]:
    """Hold the turn called ``name``. Raises :class:`NotDone`, which Temporal tries again, while another holds it.

    ``hold`` is how long the turn is kept from others when this process dies and nobody on its machine sees it; what is done in a turn must
    take less.
    """
    holder, now = f"{uuid.uuid4().hex[:8]}:{this_process()}"[:64], datetime.now(UTC)
    mine = {"holder": holder, "until": now + hold}
    with ledger.writing() as db:
        before = db.execute(select(turns.c.holder).where(turns.c.name == name)).scalar()
        free = turns.c.until <= now
        if before is not None and has_died(before.partition(":")[2]):
            free = or_(free, turns.c.holder == before)
        taking = upserting(db, turns).values(name=name, **mine)
        taking = taking.on_conflict_do_update(index_elements=["name"], set_=mine, where=free)
        taken = db.execute(taking.returning(turns.c.name)).scalar() is not None
    if not taken:
        message = f"another worker has the turn of {name}; this one did nothing and is tried again"
        raise NotDone(message, type="TurnTaken", next_retry_delay=BUSY_RETRY)
    try:
        yield
    finally:
        ledger.change(delete(turns).where(turns.c.name == name, turns.c.holder == holder))
