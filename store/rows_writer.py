"""Writes what lists show for workflows, whose tasks wait for it but shortly (docs/decisions/0034)."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from sqlalchemy.exc import SQLAlchemyError

from domain.read_model import Rows
from store.ledger import Ledger
from store.read_model import ReadModel

log = logging.getLogger(__name__)

#: Tries of one write, and seconds between two: a ledger that is locked for a while loses none.
TRIES, BETWEEN = 8, 5.0

#: Seconds that a workflow's task waits for its rows: far less than the two after which the SDK takes it for stuck.
PATIENCE = 0.25


class RowsWriter:
    """Writes rows for workflows, on a thread of its own. :meth:`close` waits for what is under way."""

    def __init__(self, ledger: Ledger, between: float = BETWEEN) -> None:
        self._lists, self._between = ReadModel(ledger), between
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lists")
        self._answers = True  #: Whether the ledger took the last rows in time.

    def write(self, changes: Sequence[Rows]) -> None:
        """Write them, and wait for it, so that a worker that dies next has written them; but not long, nor while the ledger does not answer.

        What the ledger does not take then is shown once it does, else with the next change, or by ``tenure rebuild``.
        """
        done = self._thread.submit(self._write, changes)
        if self._answers:
            wait([done], timeout=PATIENCE)
            self._answers = done.done()

    def _write(self, changes: Sequence[Rows]) -> None:
        for left in reversed(range(TRIES)):
            try:
                self._lists.keep(*changes)
                self._answers = True
                return
            except SQLAlchemyError as error:
                if not left:
                    log.error("lists do not show the last change of %s: %s", changes[0].workflow, type(error).__name__)
                else:
                    time.sleep(self._between)

    def close(self) -> None:
        """Finish."""
        self._thread.shutdown(wait=True)
