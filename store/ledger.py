"""The ledger: each effect on the world happens once, and is on record (idea 4).

An effect is named by its subject (``<workflow id>/<first 8 of the first run id>.<cycle>``) and its key. What :meth:`Ledger.once`
finds decides (the same database holds the registry, the vault and the read model behind reports; see ``store/tables.py``):

    not recorded    record it as begun, act, record it as done with its receipt: two statements, each a transaction of its own
    done            return the receipt; nothing is called
    begun           an earlier attempt may have acted: ask the remote side, act only when it says no, record it as done
    held            another attempt is at it this moment: :class:`EffectBusy`, which Temporal tries again
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert
from temporalio.exceptions import ApplicationError

from domain.base import Value
from domain.effects.effect import Receipt
from store import ledger_file, metrics, schema
from store.engine import READS, engine_of, one_statement, use_wal
from store.holds import PROBE, Holds, holds
from store.tables import cohorts, effects, suppressions

HOLD = timedelta(minutes=2)
"""How long one attempt may be at an effect; longer than any activity's attempt, since a timed-out attempt's thread may still be running."""

SETTLE = timedelta(seconds=5)
"""What a process that died had sent may still be on its way: nobody asks what came of it before it has arrived."""

BUSY_RETRY = timedelta(seconds=5)
_LOCK = 7_365_118  # the number of the advisory lock on PostgreSQL that stands for "the registry or the schema is being changed"


class NotDone(ApplicationError):
    """Raised by an act when it is certain that nothing happened, so that the next attempt need not ask."""


class EffectBusy(ApplicationError):
    """Another attempt of the same effect is under way; this one did nothing and is to be tried again."""


class EffectId(NamedTuple):
    """The name of an effect; ``str`` of it is the marker that is left with the remote side."""

    subject: str
    key: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.key}"


class EffectRow(Value):
    """One effect on record. ``done_at`` is empty while it is only begun. ``as_of`` is the workflow's time, the others are real ones.

    ``holder`` (``host:pid:life``) is at it until ``held_until``, at the latest.
    """

    number: int
    subject: str
    key: str
    system: str
    act: str
    summary: str
    as_of: datetime
    begun_at: datetime
    done_at: datetime | None
    attempts: int
    receipt: Receipt | None
    holder: str | None = None
    held_until: datetime | None = None


class Cohort(Value):
    """A generic trial key (A24): where the vault has it, and until when it is good."""

    number: int
    subject: str
    vault: str
    subscription: str
    seats: int
    tags: tuple[str, ...]
    rotated_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Begun:
    """An effect that this attempt holds. The first attempt need not ask whether an earlier one acted."""

    number: int
    attempt: int

    @property
    def first(self) -> bool:
        """Whether nobody tried before."""
        return self.attempt == 1


class Ledger:
    """The ledger in the database at ``url``: a file of SQLite, or a PostgreSQL database. One object serves all threads of a process."""

    settle = SETTLE

    def __init__(self, url: str, hold: timedelta = HOLD, probe: timedelta = PROBE) -> None:
        self.url = url
        self._hold = hold
        self.holds = Holds(self, probe)
        # SQLite has one writer at a time and lets others poll for their turn; a lock makes them queue instead.
        self._turn = threading.Lock() if url.startswith("sqlite") else nullcontext()

    @cached_property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        return engine_of(self.url)

    def create(self) -> str:
        """Make the database, or bring an older one up to date (``tenure migrate``); returns the version that it had.

        May run in several processes at once. Raises :class:`~store.ledger_file.LedgerFault` for a file that is damaged, or that is lost
        and may not be made anew.
        """
        ledger_file.prepare(self.url)
        if self.engine.dialect.name == "sqlite":
            use_wal(self.engine)
        with self.writing(alone=True) as db:
            before = schema.version(db)
            schema.upgrade(db)
        return before

    def check(self) -> None:
        """What every process does before it works; a file that was never there is made.

        Raises :class:`~store.ledger_file.Outdated` for a database that was not brought up to date, and as :meth:`create`.
        """
        path = ledger_file.path_of(self.url)
        if path is not None and ledger_file.is_missing(path):
            self.create()
        with self.reading() as db:
            schema.check(db)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """A transaction that may write. ``alone``: none other of the kind runs meanwhile, in any process."""
        with self._turn, self.engine.begin() as db:
            if alone and db.dialect.name == "postgresql":
                db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield db

    @contextmanager
    def stating(self) -> Iterator[Connection]:
        """A connection for one statement that writes: it is a transaction by itself, and nothing else is said to the database."""
        with self._turn, self.engine.connect().execution_options(**one_statement(self.engine)) as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, beside any writer."""
        with self.engine.connect().execution_options(**READS) as db:
            yield db

    # --- Once ---------------------------------------------------------------------------------------------------------------

    def once(
        self,
        effect: EffectId,
        *,
        system: str,
        act: str,
        summary: str,
        as_of: datetime,
        do: Callable[[], Receipt],
        probe: Callable[[], Receipt | None],
        begun: Begun | None = None,
    ) -> Receipt:
        """Carry out ``do`` unless it already happened, and return what it left behind. ``begun`` is what :meth:`begin` gave, if it was asked.

        An error of ``do`` leaves the effect begun, so that the next attempt asks ``probe`` first; :class:`NotDone` leaves no trace of a
        first attempt. Errors of ``do`` and ``probe`` pass through. Raises :class:`EffectBusy` while another attempt is under way.
        """
        if begun is None:
            found = self._begin(effect, system, act, summary, as_of)
            if isinstance(found, timedelta):
                raise _busy(effect, found)
            if isinstance(found, Receipt):
                return found
            begun = found
        outcome = "unsure"
        try:
            receipt = None if begun.first else probe()
            outcome = "found"
            if receipt is None:
                outcome, receipt = "unsure", do()
                outcome = "done"
        except NotDone as error:
            outcome = "refused" if error.non_retryable else "put_off"
            self._forget(begun)
            raise
        except BaseException:
            self._let_go(begun)
            raise
        finally:
            metrics.count("tenure_effects", system=system, outcome=outcome)
        with self.stating() as db:
            db.execute(_DONE, {"of": begun.number, "at": _now(), "left": receipt.model_dump(mode="json")})
        return receipt

    def begin(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime, place: str) -> Begun | None:
        """Take hold of an effect that is new, unless ``place`` is held, as a system; None when there is more to see to."""
        with self.stating() as db:
            number = db.execute(self._insert_new, self._new(effect, system, act, summary, as_of, place)).scalar()
        return None if number is None else Begun(number, attempt=1)

    def _new(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime, place: str = "") -> dict[str, Any]:
        now = _now()
        mine = {"holder": this_process(), "held_until": now + self._hold}
        about = {"system": system, "act": act, "summary": summary, "as_of": as_of, "begun_at": now, "attempts": 1}
        return {**effect._asdict(), **mine, **about, "place": place}

    @cached_property
    def _insert_new(self) -> ReturningInsert[Any]:
        """Made once, since to put a statement together takes longer than to carry it out."""
        names = ("subject", "key", "holder", "held_until", "system", "act", "summary", "as_of", "begun_at", "attempts")
        row = select(*(bindparam(name, type_=effects.c[name].type) for name in names))
        free = row.where(~exists().where(holds.c.system == bindparam("place", type_=holds.c.system.type)))
        new = self.upserting(self.engine, effects).from_select(names, free)
        return new.on_conflict_do_nothing(index_elements=["subject", "key"]).returning(effects.c.number)

    def record(self, db: Connection, effect: EffectId, *, system: str, act: str, summary: str, as_of: datetime, receipt: Receipt) -> None:
        """Record an effect that is itself a change of this database, in the same transaction. Recording it again changes nothing."""
        now = _now()
        about = {"system": system, "act": act, "summary": summary, "as_of": as_of, "begun_at": now, "done_at": now, "attempts": 1}
        db.execute(self._insert_done, {**effect._asdict(), **about, "receipt": receipt.model_dump(mode="json")})

    @cached_property
    def _insert_done(self) -> sqlite.Insert | postgresql.Insert:
        return self.upserting(self.engine, effects).on_conflict_do_nothing(index_elements=["subject", "key"])

    @staticmethod
    def upserting(db: Connection | Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
        """The dialect's own ``INSERT``, which knows ``ON CONFLICT``."""
        return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)

    def _begin(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime) -> Receipt | Begun | timedelta:
        """Take hold of the effect, committed before anything is done; or the receipt, when it is done; or how long it stays another's."""
        row = self._new(effect, system, act, summary, as_of)
        with self.writing() as db:
            if number := db.execute(self._insert_new, row).scalar():
                return Begun(number, attempt=1)
            found = db.execute(_named(effect).with_for_update()).one_or_none()
            if found is None:  # forgotten by another attempt between the two statements
                return timedelta(seconds=1)
            if found.done_at is not None:
                return Receipt.model_validate(found.receipt)
            now = row["begun_at"]
            this = update(effects).where(effects.c.number == found.number)
            left = found.held_until - now if found.holder is not None else timedelta()
            if left > self.settle and has_died(found.holder):
                left = self.settle
                db.execute(this.values(held_until=now + left))
            if left > timedelta():
                return left
            db.execute(this.values(attempts=found.attempts + 1, holder=row["holder"], held_until=row["held_until"]))
            return Begun(found.number, attempt=found.attempts + 1)

    def part(self, effect: EffectId, receipt: Receipt) -> None:
        """Record what the first part of an effect left behind, while the rest is still to be done: it stays on record if that is refused."""
        with self.stating() as db:
            db.execute(_PART, {"of": effect.subject, "named": effect.key, "left": receipt.model_dump(mode="json")})

    def count_unknown(self, effect: EffectId) -> int:
        """Count one more answer that we do not know; returns how many there were. What may have happened stays begun."""
        with self.writing() as db:
            row = db.execute(_named(effect).with_for_update()).one_or_none()
            if row is None:
                return 1
            tries = (row.unknown or 0) + 1
            db.execute(update(effects).where(effects.c.number == row.number).values(unknown=tries))
            return tries

    def _forget(self, begun: Begun) -> None:
        """Nothing happened. When an earlier attempt, or a first part, happened all the same, the mark stays."""
        if begun.first:
            with self.stating() as db:
                db.execute(delete(effects).where(*_still_held(begun), effects.c.receipt.is_(None)))
        self._let_go(begun)

    def _let_go(self, begun: Begun) -> None:
        with self.stating() as db:
            db.execute(update(effects).where(*_still_held(begun)).values(holder=None, held_until=None))

    # --- What is on record --------------------------------------------------------------------------------------------------

    def receipt(self, effect: EffectId, db: Connection | None = None) -> Receipt | None:
        """The receipt of an effect that is done, or None; within the transaction ``db`` if one is given."""
        with nullcontext(db) if db is not None else self.reading() as reader:
            row = reader.execute(_named(effect)).one_or_none()
        return Receipt.model_validate(row.receipt) if row is not None and row.done_at is not None else None

    def as_of(self, effect: EffectId) -> datetime:
        """The workflow's time of an effect that was begun."""
        with self.reading() as db:
            at: datetime = db.execute(_named(effect)).one().as_of
            return at

    def effects(self, subject_prefix: str = "", workflow: str = "") -> list[EffectRow]:
        """What is on record, in the order of the workflows' time; of one workflow, or of the subjects that begin so."""
        query = select(effects).order_by(effects.c.as_of, effects.c.number)
        if workflow:
            query = query.where(effects.c.subject.startswith(f"{workflow}/", autoescape=True))
        if subject_prefix:
            query = query.where(effects.c.subject.startswith(subject_prefix, autoescape=True))
        with self.reading() as db:
            return [effect_row(row) for row in db.execute(query)]

    def suppressed(self, subject: str) -> str | None:
        """Why the subject's campaign mail is held back; None when it is not."""
        with self.reading() as db:
            return db.execute(select(suppressions.c.why).where(suppressions.c.subject == subject)).scalar()

    def current_cohort(self) -> Cohort | None:
        """The generic trial key that a new instance gets, or None before the first rotation."""
        with self.reading() as db:
            row = db.execute(select(cohorts).order_by(cohorts.c.number.desc()).limit(1)).one_or_none()
        return None if row is None else Cohort.model_validate({name: row._mapping[name] for name in Cohort.model_fields})

    def add_cohort(
        self,
        effect: EffectId,
        *,
        vault: str,
        subscription: str,
        seats: int,
        tags: tuple[str, ...],
        rotated_at: datetime,
        expires_at: datetime,
    ) -> None:
        """Make a key the current generic one. Adding the same effect's key again changes nothing."""
        row = {
            **effect._asdict(),
            "vault": vault,
            "subscription": subscription,
            "seats": seats,
            "tags": list(tags),
            "rotated_at": rotated_at,
            "expires_at": expires_at,
        }
        with self.writing(alone=True) as db:
            # Looked up rather than left to ON CONFLICT, which would use up a number: cohorts are counted 1, 2, 3.
            mine = select(cohorts.c.number).where(cohorts.c.subject == effect.subject, cohorts.c.key == effect.key)
            if db.execute(mine).one_or_none() is None:
                db.execute(insert(cohorts).values(row))

    def keep(self, table: Table, **row: Any) -> None:
        """Add a row to one of the plain tables (``failed_signups``, ``feedback``)."""
        with self.writing() as db:
            db.execute(insert(table).values(row))


_DONE = (
    update(effects)
    .where(effects.c.number == bindparam("of"), effects.c.done_at.is_(None))
    .values(done_at=bindparam("at"), receipt=bindparam("left"), holder=None, held_until=None)
)

_PART = (
    update(effects)
    .where(effects.c.subject == bindparam("of"), effects.c.key == bindparam("named"), effects.c.done_at.is_(None))
    .values(receipt=bindparam("left"))
)


def _now() -> datetime:
    return datetime.now(UTC)


def _named(effect: EffectId) -> Select[Any]:
    return select(effects).where(effects.c.subject == effect.subject, effects.c.key == effect.key)


def _still_held(begun: Begun) -> tuple[ColumnElement[bool], ...]:
    """That no later attempt took over, which it may once the hold has run out."""
    return effects.c.number == begun.number, effects.c.attempts == begun.attempt, effects.c.done_at.is_(None)


def _busy(effect: EffectId, remaining: timedelta) -> EffectBusy:
    message = f"another attempt of {effect} is under way; this one did nothing and is tried again"
    return EffectBusy(message, type="EffectBusy", next_retry_delay=min(remaining, BUSY_RETRY))


def effect_row(row: Row[Any]) -> EffectRow:
    """A row of the table."""
    return EffectRow.model_validate({name: row._mapping[name] for name in EffectRow.model_fields})


# --- Who is at it -----------------------------------------------------------------------------------------------------------

_LIFE = uuid.uuid4().hex[:8]  # tells this process from an earlier one with the same number, as in a restarted container


def this_process() -> str:
    """``host:pid:life``: who holds what this process is at."""
    return f"{socket.gethostname()}:{os.getpid()}:{_LIFE}"


def has_died(holder: str) -> bool:
    """Whether the process that holds an effect is certainly gone: it was on this machine, and no such process runs now."""
    host, pid, life = holder.rsplit(":", 2)
    if host != socket.gethostname() or os.name != "posix":
        return False
    if int(pid) == os.getpid():
        return life != _LIFE
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it runs, as somebody else's
    return False
