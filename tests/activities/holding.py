"""The time of holds, for tests: none waits for a real one."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import update

from store.ledger import Ledger
from store.tables import holds


def its_time_has_come(ledger: Ledger, system: str) -> None:
    """As long as the system is held has gone by; the next who comes asks it."""
    with ledger.writing() as db:
        found = db.execute(update(holds).where(holds.c.system == system).values(until=datetime.now(UTC), probed_at=None))
    assert found.rowcount == 1, f"{system} is not held"
