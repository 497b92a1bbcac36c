"""The ledger's database: a file of SQLite, or PostgreSQL; how a transaction begins there, and how rows are written that may be there."""

import json
import os
import re
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, Delete, Engine, Row, Select, Table, Update, create_engine, event, func, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from store import ledger_file, migrations

Model = TypeVar("Model", bound=BaseModel)

_READS = {"tenure_begin": "BEGIN DEFERRED"}
_LOCK = 7_365_118  # the number of the advisory lock on PostgreSQL that stands for "the registry or the schema is being changed"


class Database:
    """The database at ``url``. One object serves all threads of a process."""

    def __init__(self, url: str) -> None:
        self.url = url
        # SQLite has one writer at a time and lets others poll for their turn; a lock makes them queue instead.
        self._turn = threading.Lock() if url.startswith("sqlite") else nullcontext()

    @cached_property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        return _engine_of(self.url)

    def create(self) -> str:
        """Make the database, or bring an older one up to date (``tenure migrate``); returns the version that it had.

        May run in several processes at once. Raises :class:`~store.ledger_file.LedgerFault` for a file that is damaged, or that is lost
        and may not be made anew.
        """
        ledger_file.prepare(self.url)
        if self.engine.dialect.name == "sqlite":
            _use_wal(self.engine)
        with self.writing(alone=True) as db:
            before = migrations.version(db)
            migrations.upgrade(db)
        return before

    def check(self) -> None:
        """What every process does before it works; a file that was never there is made.

        Raises :class:`~store.ledger_file.Outdated` for a database that was not brought up to date, and as :meth:`create`.
        """
        path = ledger_file.path_of(self.url)
        if path is not None and ledger_file.is_missing(path):
            self.create()
        with self.reading() as db:
            migrations.check(db)

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
        alone = {"tenure_begin": ""} if self.engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        with self._turn, self.engine.connect().execution_options(**alone) as db:
            yield db

    def change(self, statement: Update | Delete, values: Mapping[str, Any] | None = None) -> int:
        """Carry out one statement that changes or deletes rows, a transaction by itself; how many it touched."""
        with self.stating() as db:
            return db.execute(statement, values).rowcount

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, beside any writer."""
        with self.engine.connect().execution_options(**_READS) as db:
            yield db

    # --- Reading, each in a transaction of its own --------------------------------------------------------------------------

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """What the query finds."""
        with self.reading() as db:
            return db.execute(query).all()

    def row(self, query: Select[Any]) -> Row[Any] | None:
        """The one row that the query may find."""
        with self.reading() as db:
            return db.execute(query).one_or_none()

    def value(self, query: Select[Any]) -> Any:
        """The first value of the first row that the query finds; None when it finds none."""
        with self.reading() as db:
            return db.execute(query).scalar()

    def models(self, kind: type[Model], query: Select[Any]) -> list[Model]:
        """What the query finds, each row as a model with the same names."""
        return [as_model(kind, row) for row in self.rows(query)]

    def model(self, kind: type[Model], query: Select[Any]) -> Model | None:
        """The one row that the query may find, as a model."""
        row = self.row(query)
        return None if row is None else as_model(kind, row)


def narrowed(query: Select[Any], *conditions: object) -> Select[Any]:
    """The query where these hold; ``wanted and column == wanted`` is no condition when nothing is wanted."""
    return query.where(*(each for each in conditions if isinstance(each, ColumnElement)))


def as_model(kind: type[Model], row: Row[Any]) -> Model:
    """A row as a model that has the names of some of its columns."""
    return kind.model_validate(row, from_attributes=True)


# --- Rows that may be there --------------------------------------------------------------------------------------------------


def upserting(db: Connection | Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own ``INSERT``, which knows ``ON CONFLICT``."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)


def add(db: Connection, table: Table, *rows: Mapping[str, Any]) -> None:
    """Write rows, but for those that are there."""
    db.execute(upserting(db, table).on_conflict_do_nothing(), list(rows))


def put(db: Connection, table: Table, *rows: Mapping[str, Any], order: Sequence[str] = (), unless_empty: Sequence[str] = ()) -> None:
    """Write rows that name the same columns, in the place of those that have their key, but for what is newer by the columns ``order``.

    What is there stays in the columns ``unless_empty`` when the new row has nothing in them.
    """
    new = upserting(db, table)
    keys = [column.name for column in table.primary_key]
    changed: dict[str, Any] = {name: new.excluded[name] for name in rows[0] if name not in keys}
    changed |= {name: func.coalesce(new.excluded[name], table.c[name]) for name in unless_empty}
    newest = tuple_(*(table.c[name] for name in order)) <= tuple_(*(new.excluded[name] for name in order)) if order else None
    db.execute(new.on_conflict_do_update(index_elements=keys, set_=changed, where=newest), list(rows))


# --- Who is at it ------------------------------------------------------------------------------------------------------------

_LIFE = uuid.uuid4().hex[:8]  # tells this process from an earlier one with the same number, as in a restarted container


def this_process() -> str:
    """``host:pid:life``: who holds what this process is at."""
    return f"{socket.gethostname()}:{os.getpid()}:{_LIFE}"


def has_died(holder: str) -> bool:
    """Whether the process that holds something is certainly gone: it was on this machine, and no such process runs now.

    A name that was cut off, or is of an earlier version, is nobody's to judge.
    """
    host, pid, life = holder.rsplit(":", 2) if holder.count(":") > 1 else ("", "0", "")
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


# --- The engine --------------------------------------------------------------------------------------------------------------


class AsJson(str):
    """A text that is JSON already: a column of JSON takes it as it stands."""


def _json(value: Any) -> str:
    return value if isinstance(value, AsJson) else json.dumps(value)


def _engine_of(url: str) -> Engine:
    if not url.startswith("sqlite"):
        url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        return create_engine(url, pool_size=10, max_overflow=40, pool_pre_ping=True, json_serializer=_json)
    engine = create_engine(url, pool_size=10, max_overflow=90, json_serializer=_json)

    @event.listens_for(engine, "connect")
    def _open(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        for pragma in ("busy_timeout=5000", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(db: Connection) -> None:
        # A writer that starts as a reader cannot wait for its turn, it fails: so it says at once that it will write.
        if begin := db.get_execution_options().get("tenure_begin", "BEGIN IMMEDIATE"):
            db.exec_driver_sql(begin)

    return engine


def _use_wal(engine: Engine) -> None:
    """Let readers read beside the writer. The file keeps the mode; changing it needs the file alone, so several starts take turns."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with engine.connect().execution_options(**_READS) as db:
                # Outside a transaction, as SQLite demands: straight on the driver's connection.
                driver = db.connection.driver_connection
                assert driver is not None  # it is open
                driver.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.Error as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise ledger_file.described(error, str(engine.url)) from error
            time.sleep(0.02)
