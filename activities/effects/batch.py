"""The batch: effects of one moment, each system's by its own methods, the systems side by side.

One activity instead of one for each system halves a trial's history. A system that does not answer, or that refuses, is left out of the
result; the workflow then asks it alone, in an activity that is called as it is, whose retries and errors the Web UI shows as that system's.
When the system said how long it wants to be left alone, that goes along.
"""

import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem
from domain.effects.effect import TOGETHER, BatchResult, EffectBatch

#: Seconds that a system may take before the others go on without it.
PATIENCE = 10.0
#: Systems at once over all batches of a worker.
THREADS = 64


class EffectBatches:
    """Runs the systems (by their names) on threads of its own, which keep their clients' connections."""

    def __init__(self, systems: Mapping[str, OutsideSystem]) -> None:
        self._systems = systems
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="effects")

    def close(self) -> None:
        """End the threads, each after what it does."""
        self._threads.shutdown()

    def activities(self) -> list[Callable[[EffectBatch], BatchResult]]:
        """One for the effects of several systems at once, and one for each system alone."""
        return [self._named(name) for name in (TOGETHER, *self._systems)]

    def _named(self, name: str) -> Callable[[EffectBatch], BatchResult]:
        @activity.defn(name=name, no_thread_cancel_exception=True)
        def carry_out(batch: EffectBatch) -> BatchResult:
            return self.carry_out(batch)

        return carry_out

    def carry_out(self, batch: EffectBatch) -> BatchResult:
        """Do every system's effects. Safe to repeat: each is once in the ledger, and a system still at it makes the next attempt wait."""
        parts = {
            system: batch.model_copy(update={"effects": tuple(effect for effect in batch.effects if effect.system == system)})
            for system in dict.fromkeys(effect.system for effect in batch.effects)
        }
        if len(parts) == 1:
            return self._systems[batch.effects[0].system].carry_out(batch)
        under_way = {
            system: self._threads.submit(contextvars.copy_context().run, self._systems[system].carry_out, part)
            for system, part in parts.items()
        }
        wait(under_way.values(), timeout=PATIENCE)
        receipts, left, not_before = {}, {}, {}
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
                receipts.update(future.result().receipts)
        for system, why in left.items():
            activity.logger.warning("%s is left for an activity of its own: %s", system, why)
        return BatchResult(receipts=receipts, left=left, not_before=not_before)
