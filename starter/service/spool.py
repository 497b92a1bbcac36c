"""Signups that wait for the ledger, each in a file of its own: a database that is locked or away loses none.

The files stand in the data directory of the process that took the signup, readable by it alone. They hold what was typed, so each goes as
soon as the ledger has it, and whoever is erased is erased here too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from domain import mailbox
from starter.service.failed_signups import FailedSignup

log = logging.getLogger(__name__)

FOLDER = "kept-signups"


class Spool:
    """The files of one data directory. Methods are short and block; a disk that cannot be written is an ``OSError``."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def keep(self, row: FailedSignup) -> None:
        """Write one, whole or not at all; again changes nothing."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{row.id}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({**asdict(row), "at": row.at.isoformat()}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path(row.id))

    def waiting(self) -> Iterator[FailedSignup]:
        """Those that are here, oldest first. A file that cannot be read stays, and the log says so."""
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                yield FailedSignup(**{**known, "at": datetime.fromisoformat(known["at"])})
            except (OSError, ValueError, KeyError, TypeError):
                log.exception("%s holds no signup that can be read; it stays there", path)

    def drop(self, id_: str) -> None:
        """The ledger has it."""
        self._path(id_).unlink(missing_ok=True)

    def erase(self, email: str) -> int:
        """Delete what somebody typed; returns how many files that were."""
        theirs = [row.id for row in self.waiting() if mailbox.canonical(row.email) == mailbox.canonical(email)]
        for each in theirs:
            self.drop(each)
        return len(theirs)

    def _path(self, id_: str) -> Path:
        return self._folder / f"{id_}.json"
