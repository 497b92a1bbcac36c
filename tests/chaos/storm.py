"""What befalls a house while the script is played: outside systems that fail in every way, parts that are killed, a ledger that is locked or gone."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.control import REQUESTED
from tests.chaos.house import House
from tests.chaos.script import Patient

#: The systems that the script acts on. Nobody signs in: what a sign-in does when its provider fails, says tests/starter/web/test_signin.py.
ACTED_ON = tuple(service for service in REQUESTED if service != "oidc")
LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
time.sleep(float(sys.argv[2]))
db.execute("ROLLBACK")
"""

#: Each way in which an outside system fails; ``times`` requests in a row.
FAILURES: tuple[dict[str, Any], ...] = (
    {"kind": "cut_before"},
    {"kind": "cut_after"},
    {"kind": "rate_limit", "retry_after": 2, "times": 2},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503, "times": 3},
    {"kind": "slow"},
)
#: Systems that fail at the same time. One that nobody calls must not keep the others from their turn.
AT_ONCE = 4
#: The mailbox speaks SMTP, whose replies are others.
MAIL_STATUS = 451


def failures(stall: float, seed: int) -> list[dict[str, Any]]:
    """Every failure of every system, in an order that ``seed`` shuffles; ``stall`` is how many seconds a slow answer takes."""
    made = []
    for service, failure in itertools.product(ACTED_ON, FAILURES):
        one = {"service": service, **failure}
        if one["kind"] == "slow":
            one["seconds"] = stall
        if service == "smtp" and "status" in one:
            one["status"] = MAIL_STATUS
        made.append(one)
    random.Random(seed).shuffle(made)
    return made


@dataclass
class Storm:
    """A storm over one house. ``signups`` says in the middle of which signup, counted from 1, which parts are killed."""

    house: House
    failures: list[dict[str, Any]]
    signups: dict[int, tuple[str, ...]] = field(default_factory=dict)
    locks: tuple[float, ...] = ()
    #: Failures of each system and kind that requests have met, locks that were held, and the first thing that went wrong with the storm itself.
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    locked: int = 0
    _signed: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def over(self, director: Patient) -> AsyncIterator[None]:
        """Rage while the script is played. Ends with the script, and then nothing that was planned is left over it."""
        director.on_signup = self._on_signup
        self._later(self._fail())
        self._later(self._lock())
        try:
            yield
        finally:
            director.on_signup = lambda: None
            for task in self._tasks:
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for left in await self.house.faults_left():
                self.met[left["service"], left["kind"]] -= 1
            await self.house.forget_faults()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.ensure_future(work))

    def _on_signup(self) -> None:
        self._signed += 1
        for part in self.signups.get(self._signed, ()):
            self._later(self._kill(part))

    async def _kill(self, part: str) -> None:
        await asyncio.sleep(0.03)  # the request is on its way, and not answered yet
        await self.house.kill(part, away=0.5)

    async def _fail(self) -> None:
        """Plan one failure after the other; of each system one at a time, and of a few systems at once."""
        waiting = list(self.failures)
        while waiting:
            busy = {each["service"] for each in await self.house.faults_left()}
            for one in list(waiting):
                if len(busy) < AT_ONCE and one["service"] not in busy:
                    await self.house.fault(one)
                    busy.add(one["service"])
                    waiting.remove(one)
                    self.met[one["service"], one["kind"]] += 1
            await asyncio.sleep(0.3)

    async def _lock(self) -> None:
        """Hold the ledger's database from another process, for each of the times."""
        for seconds in self.locks:
            await asyncio.sleep(10)
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOCK, str(self.house.data / "ledger.db"), str(seconds))
            assert await process.wait() == 0
            self.locked += 1
