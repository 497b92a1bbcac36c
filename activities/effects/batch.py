"""The moment: acts on several systems at once, each system by its own activity's method, side by side.

One activity instead of one for each system halves a trial's history. A system that does not answer, or that refuses, is left out of the
result; the workflow then asks it alone, in an activity of its own, whose retries and errors the Web UI shows as that system's. When the
system said how long it wants to be left alone, that goes along.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.effects.models import (
    Batch,
    GitHubBatch,
    InstanceBatch,
    LicenseBatch,
    MailBatch,
    Moment,
    PagerBatch,
    Receipts,
    SalesforceBatch,
    SheetsBatch,
    SlackBatch,
    Together,
    VitallyBatch,
)

#: Seconds that a system may take before the others go on without it.
PATIENCE = 10.0
#: Systems at once over all moments of a worker.
THREADS = 64

BATCHES: Mapping[str, type[Batch[Any]]] = {
    "slack": SlackBatch,
    "github": GitHubBatch,
    "salesforce": SalesforceBatch,
    "instance": InstanceBatch,
    "licensing": LicenseBatch,
    "pagerduty": PagerBatch,
    "mail": MailBatch,
    "vitally": VitallyBatch,
    "sheets": SheetsBatch,
}


class Moments:
    """Runs the systems' own methods (``systems``: by name) on threads of its own, which keep their clients' connections."""

    def __init__(self, systems: Mapping[str, Callable[[Any], Receipts]]) -> None:
        self._systems = systems
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="moment")

    def close(self) -> None:
        """End the threads, each after what it does."""
        self._threads.shutdown()

    @activity.defn(name="moment", no_thread_cancel_exception=True)
    def moment(self, moment: Moment) -> Together:
        """Do every system's acts. Safe to repeat: each act is once in the ledger, and a system still at it makes the next attempt wait."""
        under_way: dict[str, Future[Receipts]] = {}
        for system, kind in BATCHES.items():
            if acts := getattr(moment, system):
                batch = kind(subject=moment.subject, as_of=moment.as_of, acts=acts)
                under_way[system] = self._threads.submit(contextvars.copy_context().run, self._systems[system], batch)
        wait(under_way.values(), timeout=PATIENCE)
        done, left, not_before = {}, {}, {}
        for system, future in under_way.items():
            if not future.done():
                left[system] = f"no answer within {PATIENCE:.0f} s"
            elif isinstance(error := future.exception(), ApplicationError):
                left[system] = error.message
                if error.next_retry_delay and not error.non_retryable:
                    not_before[system] = datetime.now(UTC) + error.next_retry_delay
            elif error is not None:
                raise error
            else:
                done[system] = future.result()
        for system, why in left.items():
            activity.logger.warning("%s is left for an activity of its own: %s", system, why)
        return Together(done=done, left=left, not_before=not_before)
