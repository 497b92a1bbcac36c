"""The engine of the ledger's database, and how a transaction begins there: a file of SQLite, or PostgreSQL."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from store import ledger_file

#: Options of a connection whose transaction only reads.
READS = {"tenure_begin": "BEGIN DEFERRED"}


class AsJson(str):
    """A text that is JSON already: a column of JSON takes it as it stands."""


def _json(value: Any) -> str:
    return value if isinstance(value, AsJson) else json.dumps(value)


def one_statement(engine: Engine) -> dict[str, Any]:
    """Options of a connection for one statement, which is a transaction by itself: nothing else is said to the database."""
    return {"tenure_begin": ""} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}


def engine_of(url: str) -> Engine:
    """The engine for the address of a ledger."""
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


def use_wal(engine: Engine) -> None:
    """Let readers read beside the writer. The file keeps the mode; changing it needs the file alone, so several starts take turns."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with engine.connect().execution_options(**READS) as db:
                # Outside a transaction, as SQLite demands: straight on the driver's connection.
                driver = db.connection.driver_connection
                assert driver is not None  # it is open
                driver.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.Error as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise ledger_file.described(error, str(engine.url)) from error
            time.sleep(0.02)
