"""What could not be taken is kept: signups that went wrong (A21), and CEs' requests (A28) whose worker died over them, until they are taken up.

On record in the ledger or, when that does not answer in time, each in a file of its own, before anything else is tried: a database that is
locked or away loses none.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update

from domain import ids, mailbox
from domain.base import Value
from domain.messages import Contact
from starter.errors import Unavailable
from starter.service.forms import SignupForm, TrialRequestForm
from store.database import add
from store.ledger import LedgerTables
from store.tables import failed_signups

log = logging.getLogger(__name__)

FOLDER = "kept-signups"
#: Seconds within which the ledger does a small thing; one that is locked by another may take for ever.
LEDGER_PATIENCE = 4.0
#: How many are taken up in one go; the rest is the next time.
BATCH = 50
LONGEST_PROBLEM = 2_000
#: Characters of an address on record. A longer one is none that mail can be sent to: what is kept of it is no address, and nobody else's.
LONGEST_ADDRESS = 254
_NAMES = ("first_name", "last_name", "company")


@asynccontextmanager
async def ledger_in_time() -> AsyncIterator[None]:
    """Raises :class:`Unavailable` when the ledger takes longer than anybody waits at a form."""
    try:
        async with asyncio.timeout(LEDGER_PATIENCE):
            yield
    except TimeoutError as error:
        raise Unavailable("the ledger's database does not answer in time", "Ask again; check what holds it") from error


class KeptRequest(Value):
    """One of them: whose, what they typed (of a signup the names, of a CE's request all that its form has), what went wrong, and when."""

    id: str
    email: str
    data: dict[str, str]
    problem: str
    at: datetime

    @classmethod
    def of(cls, form: SignupForm | TrialRequestForm, problem: str, at: datetime) -> KeptRequest:
        """A form's. Its id follows from the form's event, so that a repeated click is one row."""
        kind, names = ("failed signup", set(_NAMES)) if isinstance(form, SignupForm) else ("trial request", None)
        typed = form.model_dump(mode="json", include=names, exclude={"email"})
        return cls(
            id=ids.digest(f"{kind} {form.event_id}"),
            email=ids.fitted(form.email, LONGEST_ADDRESS),
            data={name: str(value) for name, value in typed.items()},
            problem=problem[:LONGEST_PROBLEM],
            at=at,
        )

    @property
    def contact(self) -> Contact:
        """Who it is."""
        return Contact(email=self.email, first_name=self.data.get("first_name", ""), last_name=self.data.get("last_name", ""))

    def trial_request(self) -> TrialRequestForm | None:
        """The CE's request that it is; None for a signup."""
        return TrialRequestForm.model_validate({"email": self.email, **self.data}) if self.data.keys() - set(_NAMES) else None


class KeptRequests(LedgerTables):
    """The ledger's table of them. Methods block; call them off the loop."""

    def keep(self, row: KeptRequest) -> None:
        """Put it on record; again changes nothing."""
        with self._ledger.writing() as db:
            add(db, failed_signups, row.model_dump())

    def waiting(self) -> list[KeptRequest]:
        """Those that have not been taken up, oldest first."""
        query = select(failed_signups).where(failed_signups.c.rescued_at.is_(None)).order_by(failed_signups.c.at).limit(BATCH)
        return self._ledger.models(KeptRequest, query)

    def taken_up(self, id_: str, at: datetime) -> None:
        """Its rescue has been started, or it was sent again."""
        with self._ledger.writing() as db:
            db.execute(update(failed_signups).where(failed_signups.c.id == id_).values(rescued_at=at))


class Spool:
    """Those that wait for the ledger, in the data directory of the process that took them, readable by it alone.

    Each file goes as soon as the ledger has what it holds, and whoever is erased is erased here too. Methods are short and block; a disk
    that cannot be written is an ``OSError``.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def keep(self, row: KeptRequest) -> None:
        """Write one, whole or not at all; again changes nothing."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{row.id}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(row.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path(row.id))

    def waiting(self) -> Iterator[KeptRequest]:
        """Those that are here, oldest first. A file that cannot be read stays, and the log says so."""
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            try:
                yield KeptRequest.model_validate_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                log.exception("%s holds no signup that can be read; it stays there", path)

    def drop(self, id_: str) -> None:
        """The ledger has it."""
        self._path(id_).unlink(missing_ok=True)

    def erase(self, email: str) -> None:
        """Delete what somebody typed, in any spelling of their mailbox."""
        for row in list(self.waiting()):
            if mailbox.canonical(row.email) == mailbox.canonical(email):
                self.drop(row.id)

    def _path(self, id_: str) -> Path:
        return self._folder / f"{id_}.json"
