"""Holds: a system that said *wait*, or that does not answer, is left alone by every worker until then, and is asked once at the end.

    said wait       nobody asks it until that moment
    no answer       the next who comes asks alone; when that is lost too, nobody asks for as long as ``probe``
    at the end      the first who comes is the probe; the others wait for what it finds
    an answer       frees everybody; another loss, or another *wait*, begins the next hold

So a system that is down gets one probe every ``probe`` (half a minute), however many workflows wait for it. A system is named as in the
ledger, ``slack``; each customer's instance is one of its own, ``instance HOST``, so that one does not stall the others.

The holds are rows of the ledger's database. Each request looks there first, so that what one worker was told is kept by all from that moment on.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, Update, bindparam, delete, select, update

from store.database import Database, upserting
from store.tables import holds

PROBE = timedelta(seconds=30)
"""The least time between two probes of a system that does not answer; also how long a probe is waited for."""

LONGEST_SPREAD = timedelta(seconds=5)
FORGOTTEN = timedelta(days=1)

Kind = Literal["wait", "down"]


class Free(NamedTuple):
    """The system may be asked. ``probe``: as the only one; what comes of it must be told (``failed``, ``answered`` or ``unused``)."""

    probe: bool = False


class Held(NamedTuple):
    """The system is left alone until then; ``after`` is when to look again, spread so that not all come at once.

    ``probed``: somebody asks it this moment.
    """

    kind: Kind
    until: datetime
    after: timedelta
    probed: bool = False


class Holds:
    """The holds of one deployment. One object serves all threads."""

    def __init__(self, database: Database, probe: timedelta = PROBE) -> None:
        self.probe = probe
        self._database = database

    def on(self, system: str) -> bool:
        """Whether there is a hold, whoever of the deployment began it."""
        with self._database.reading() as db:
            return db.execute(_HELD, {"named": system}).scalar() is not None

    def enter(self, system: str) -> Free | Held:
        """Whether the system may be asked now."""
        if not self.on(system):
            return Free()
        with self._database.writing() as db:
            row = _row(db, system)
            now = datetime.now(UTC)
            if row is not None and row.until > now:
                return Held(row.kind, row.until, self._after(row, now), row.probed_at is not None)
            if row is not None:
                db.execute(_named(system).values(until=now + self.probe, probed_at=now))
        return Free(probe=row is not None)

    def failed(self, system: str, entered: Free, wait: timedelta | None) -> timedelta | None:
        """It said *wait*, or with None did not answer. Returns how long it is held; None when the next who comes may ask it.

        What it said while a probe was under way goes before whatever that probe finds.
        """
        with self._database.writing() as db:
            now = datetime.now(UTC)
            kind: Kind = "down" if wait is None else "wait"
            # The first answer that is lost may be one that is lost by itself: whoever comes next looks.
            until = now + (wait or timedelta())
            first = upserting(db, holds).values(system=system, kind=kind, until=until, probed_at=None)
            if db.execute(first.on_conflict_do_nothing(index_elements=["system"]).returning(holds.c.system)).scalar():
                db.execute(delete(holds).where(holds.c.until < now - FORGOTTEN))
            elif (row := _row(db, system)) is not None:
                until = now + (self.probe if wait is None else wait)
                if row.probed_at is not None and (entered.probe or wait is not None):
                    db.execute(_named(system).values(kind=kind, until=until, probed_at=None))
                elif until > row.until:
                    # Somebody's probe may be under way: only its own end is told by it.
                    db.execute(_named(system).values(kind=kind, until=until))
                else:
                    until = row.until
        return until - now if until > now else None

    def answered(self, system: str) -> None:
        """The probe was answered: everybody may ask again, unless somebody was told meanwhile to wait."""
        self._database.change(delete(holds).where(holds.c.system == system, holds.c.probed_at.is_not(None)))

    def unused(self, system: str) -> None:
        """The probe asked nothing after all: the next who comes is it."""
        self._database.change(_named(system).where(holds.c.probed_at.is_not(None)).values(until=datetime.now(UTC), probed_at=None))

    def spread(self, wait: timedelta) -> timedelta:
        """How far those who wait as long as that are spread afterwards."""
        return min(LONGEST_SPREAD, timedelta(seconds=0.5) + wait / 5)

    def _after(self, row: Row[Any], now: datetime) -> timedelta:
        chance = random.random()  # noqa: S311  it spreads, it guards nothing
        left: timedelta = row.until - now
        if row.probed_at is not None:
            # What the probe finds frees all at once; it is looked for seldom when it takes long.
            since: timedelta = now - row.probed_at
            return min(left, max(since, timedelta(seconds=1)) * (1 + chance))
        return left + self.spread(left) * chance


#: Made once: every effect that was tried before asks it.
_HELD = select(holds.c.system).where(holds.c.system == bindparam("named"))


def _named(system: str) -> Update:
    return update(holds).where(holds.c.system == system)


def _row(db: Connection, system: str) -> Row[Any] | None:
    return db.execute(select(holds).where(holds.c.system == system).with_for_update()).one_or_none()
