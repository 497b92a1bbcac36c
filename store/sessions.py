"""Sessions that were signed out: a copy of their cookie is a signed cookie still, and must let nobody in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from store.access_tables import ended_sessions as table
from store.ledger import Ledger


class Sessions:
    """The ended sessions in a ledger's database, each until its cookie ends by itself. Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def end(self, session: str, hours: int) -> None:
        """End a session, wherever its cookie was copied to; again changes nothing. ``hours`` is how long a session lasts."""
        now = datetime.now(UTC)
        with self._ledger.writing() as db:
            db.execute(delete(table).where(table.c.until < now))
            put = self._ledger.upserting(db, table).values(id=_hash(session), until=now + timedelta(hours=hours))
            db.execute(put.on_conflict_do_nothing(index_elements=["id"]))

    def has_ended(self, session: str) -> bool:
        """Whether it was signed out. One without an id cannot be ended, so it counts as ended."""
        if not session:
            return True
        with self._ledger.reading() as db:
            return db.execute(select(table.c.id).where(table.c.id == _hash(session))).one_or_none() is not None


def _hash(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()
