"""Which webhook deliveries had their effect, so that one that is sent again, by whomever, has none."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from store.access_tables import deliveries
from store.ledger import Ledger

#: GitHub lets a delivery be sent again for three days; longer than that nobody asks.
KEPT = timedelta(days=30)


class Deliveries:
    """Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def known(self, delivery: str, body: bytes) -> bool:
        """Whether a delivery with that id, or with these very bytes, had its effect."""
        with self._ledger.reading() as db:
            return db.execute(select(deliveries.c.id).where(deliveries.c.id.in_(_names(delivery, body)))).first() is not None

    def keep(self, delivery: str, body: bytes) -> None:
        """It had its effect. What is too old to come again is let go of."""
        now = datetime.now(UTC)
        with self._ledger.writing() as db:
            put = self._ledger.upserting(db, deliveries).values([{"id": name, "at": now} for name in _names(delivery, body)])
            db.execute(put.on_conflict_do_nothing(index_elements=["id"]))
            db.execute(delete(deliveries).where(deliveries.c.at < now - KEPT))


def _names(delivery: str, body: bytes) -> list[str]:
    """The id is a header, which nobody signs; the bytes are signed, so a copy under another id is known by them."""
    return [f"body {hashlib.sha256(body).hexdigest()}", *([f"id {delivery[:100]}"] if delivery else [])]
