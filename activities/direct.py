"""Decisions that came straight to Temporal, on the audit."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from temporalio import activity

from activities.audit import Audit, Entry
from activities.ledger import Ledger
from activities.settings import Settings
from domain.direct import Direct

log = logging.getLogger(__name__)

#: In the place of a right: nobody looked whether there is one.
UNCHECKED = "none: sent straight to Temporal"


class DirectDecisions:
    """Notes them. :meth:`close` waits for what is under way."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._audit = Audit(ledger, (settings.vendor_domain,))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="direct")

    @activity.defn(name="note_direct")
    def note(self, direct: Direct) -> None:
        """Put one on the audit, once. Raises when the ledger does not answer: it is asked again."""
        self._audit.append(
            Entry(
                who=direct.by.strip() or "nobody",
                via="temporal",
                what=direct.what,
                subject=direct.subject,
                outcome=direct.outcome,
                reason=direct.reason,
                rule=UNCHECKED,
                event=direct.event,
            )
        )

    def later(self, direct: Direct) -> None:
        """Put one on the audit soon, for a caller that must not wait; what the ledger does not take then is in the log only."""
        self._thread.submit(self.note, direct).add_done_callback(_logged)

    def close(self) -> None:
        """Finish."""
        self._thread.shutdown(wait=True)


def _logged(done: Future[None]) -> None:
    if error := done.exception():
        log.error("a refusal of what was sent straight to Temporal is not on the audit: %s", type(error).__name__)
