"""The ledger's file, where the ledger is one: for its owner alone, never a new one in the place of a lost one, and its faults in words."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

HEADER = b"SQLite format 3\0"
#: The database of the local stack's own Temporal, in the same directory.
TEMPORAL_DB = "temporal.db"
RESTORE = "Stop every process, keep the file aside, and bring the ledger back from a backup: without it, what was done would be done again"

#: What SQLite says, and what it means: what is the matter, and what to do.
_FAULTS = (
    (("not a database", "malformed", "corrupt"), "is damaged", RESTORE),
    (("readonly",), "cannot be written", "Make the file and its directory writable for the user who runs Tenure"),
    (("is full",), "cannot be written: the disk is full", "Make room on its disk"),
    (("disk i/o",), "cannot be read or written", "Look at its disk; if it is damaged, bring the ledger back from a backup"),
    (("unable to open",), "cannot be opened", "Make the file and its directory accessible to the user who runs Tenure"),
    (("is locked",), "is held by another program", "Close that program, then try again"),
    (("no such table", "no such column"), "is not a ledger of this version", "Check TENURE_LEDGER_URL, and run `tenure migrate`"),
)


class LedgerFault(RuntimeError):
    """The ledger cannot be used as it is. ``detail`` says what is the matter, ``do`` what to do next."""

    def __init__(self, detail: str, do: str) -> None:
        self.detail = detail
        self.do = do
        super().__init__(f"{detail}. {do}")


class Outdated(LedgerFault):
    """The database lacks what a later version of this program added."""


def path_of(url: str) -> Path | None:
    """The file of a ledger in SQLite; None for a ledger in another database, or in memory."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    database = parsed.database or ""
    return Path(database) if parsed.get_backend_name() == "sqlite" and database not in ("", ":memory:") else None


def prepare(url: str, *servers: Path) -> None:
    """Make the ledger's file and directory for their owner alone, before anything is written to them, and check that it may be made.

    ``servers`` are further directories in which a local Temporal may have its database, beside the ledger's own. Raises
    :class:`LedgerFault` for a ledger that is damaged, or lost while that database still has workflows whose effects were on it.
    """
    path = path_of(url)
    if path is None:
        return
    try:
        if is_missing(path):
            for where in dict.fromkeys((path.parent, *servers)):
                if is_used(server := where / TEMPORAL_DB):
                    raise LedgerFault(
                        f"the ledger {path} is missing, and {server} has workflows whose effects are on record in it only",
                        "Bring the ledger back from a backup, or what was done would be done again; to begin anew, remove both files",
                    )
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif path.is_dir() or _head(path) != HEADER:
            raise LedgerFault(f"the ledger {path} is damaged: it is no database of SQLite", RESTORE)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if each.exists() and each.stat().st_uid == os.geteuid():
                each.chmod(0o600)
    except OSError as error:
        raise LedgerFault(
            f"the ledger {path} cannot be opened ({error.strerror})",
            "Make the file and its directory accessible to the user who runs Tenure",
        ) from error


def is_missing(path: Path) -> bool:
    """Whether there is no ledger: no file, or an empty one, which SQLite leaves where it was asked for a file that is gone."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def is_used(server: Path) -> bool:
    """Whether a development server's database has workflows that are not its own. One that cannot be read counts as used."""
    if is_missing(server):
        return False
    try:
        with closing(sqlite3.connect(f"{server.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            found = db.execute("SELECT 1 FROM executions_visibility WHERE workflow_type_name NOT LIKE 'temporal-sys-%' LIMIT 1").fetchone()
        return found is not None
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except sqlite3.Error:
        return True


def described(error: SQLAlchemyError | sqlite3.Error, url: str) -> LedgerFault:
    """What a database's error means, in words, without its address or a statement."""
    path = path_of(url)
    fault = _fault(error)
    if fault is None:
        return LedgerFault("the ledger's database does not answer", "Check TENURE_LEDGER_URL and that the database runs")
    return LedgerFault(f"the ledger {path} {fault[0]}" if path else f"the ledger {fault[0]}", fault[1])


def matter(error: SQLAlchemyError | sqlite3.Error) -> str:
    """What is the matter with the ledger, for whoever may not know where it is: ``is damaged``."""
    fault = _fault(error)
    return fault[0] if fault else "does not answer: its database cannot be reached"


def _fault(error: SQLAlchemyError | sqlite3.Error) -> tuple[str, str] | None:
    """What is the matter and what to do; None when the database says nothing that we know."""
    said = str(getattr(error, "orig", None) or error).lower()
    return next(((what, do) for words, what, do in _FAULTS if any(word in said for word in words)), None)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(HEADER))
