"""Requests counted against a budget of so many a minute, in a window that slides: two providers limit theirs so."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

#: Seconds.
WINDOW = 60.0


class Budget:
    """What is left of ``limit`` requests within the last minute. A request that was refused counts for nothing."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.clock = clock
        self._taken: deque[float] = deque()

    def reset(self, limit: int) -> None:
        """Forget what was taken, and allow ``limit`` from now on."""
        self.limit = limit
        self._taken.clear()

    def take(self) -> bool:
        """Count one request, unless the budget is used up: then False, and it must be refused."""
        if self.remaining <= 0:
            return False
        self._taken.append(self.clock())
        return True

    @property
    def remaining(self) -> int:
        """How many requests may still come."""
        edge = self.clock() - WINDOW
        while self._taken and self._taken[0] <= edge:
            self._taken.popleft()
        return max(0, self.limit - len(self._taken))

    @property
    def seconds(self) -> int:
        """Whole seconds until the earliest request leaves the window; 0 when there is none in it."""
        return math.ceil(self._taken[0] + WINDOW - self.clock()) if self._taken else 0


def per_minute(given: object, name: str) -> int:
    """Check a budget of a seed; ValueError for what is no whole number above 0."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{name} must be a whole number of requests a minute, at least 1, not {given!r}")
    return given
