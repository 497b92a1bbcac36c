"""Child processes that start together and stop together, in order, whatever happens to one of them or to us."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
#: Bytes of one part's log before it is begun anew, and seconds between two looks at it.
LONGEST_LOG = 20 * 1024 * 1024
LOOK_SECONDS = 5.0

_PARENT_WATCH = Path(__file__).with_name("parent_watch.py")


@dataclass(frozen=True)
class Part:
    """One child: its command (the program's absolute path first), the layer that it stands on, and how long it may take to stop.

    Higher layers stop first; parts of one layer stop side by side. One that is ``replaced`` is started again when it is killed, as a
    cluster does it.
    """

    name: str
    command: tuple[str, ...]
    layer: int
    grace: float = 10.0
    replaced: bool = False


@dataclass(frozen=True)
class Exit:
    """A child that ended by itself. ``code`` is negative for a signal."""

    name: str
    code: int
    log: Path

    @property
    def how(self) -> str:
        """In words."""
        return f"was killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"ended with exit code {self.code}"

    def last_words(self, lines: int = 8) -> list[str]:
        """The end of its log."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return []


class Supervisor:
    """Starts parts and keeps hold of them. Leaving the context stops all; nothing that a part started survives it."""

    def __init__(self, logs: Path, environment: Mapping[str, str], longest: int = LONGEST_LOG) -> None:
        """Each part writes to ``logs/NAME.log``, its earlier run stands in ``NAME.log.1``; ``environment`` is all that it sees.

        A log of more than ``longest`` bytes is cut: what it held takes the place of the earlier run.
        """
        self._logs, self._environment, self._longest = logs, environment, longest
        self._watching: asyncio.Task[None] | None = None
        self._running: dict[str, tuple[Part, asyncio.subprocess.Process]] = {}
        self._hurry = asyncio.Event()

    async def __aenter__(self) -> Supervisor:
        """Ready to start parts."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop what runs."""
        if self._watching is not None:
            self._watching.cancel()
        await self.stop()

    async def start(self, part: Part) -> int:
        """Start a part in a process group of its own, so that Ctrl-C reaches us alone; returns its process id."""
        log = self.log_of(part.name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        command = (sys.executable, "-I", "-S", str(_PARENT_WATCH), str(os.getpid()), *part.command)
        none, seen = asyncio.subprocess.DEVNULL, dict(self._environment)
        with log.open("ab") as file:  # appending, so that a log that was cut goes on at its new end
            process = await asyncio.create_subprocess_exec(*command, stdin=none, stdout=file, stderr=file, env=seen, start_new_session=True)
        self._running[part.name] = (part, process)
        self._watching = self._watching or asyncio.create_task(self._keep_short(), name="logs")
        return process.pid

    async def _keep_short(self) -> None:
        """Cut the logs that have grown too long, for as long as the parts run."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name in list(self._running):
                await asyncio.to_thread(cut, self.log_of(name), self._longest)

    async def first_exit(self) -> Exit:
        """Wait until any part ends by itself, other than by being killed where it is replaced."""
        while True:
            waits = {asyncio.ensure_future(process.wait()): name for name, (_, process) in self._running.items()}
            try:
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            first = next(iter(done))
            part, _ = self._running[waits[first]]
            if not part.replaced or first.result() >= 0:
                return Exit(part.name, first.result(), self.log_of(part.name))
            await self.start(part)

    def hurry(self) -> None:
        """Give no more grace: what has not stopped is killed."""
        self._hurry.set()

    async def stop(self) -> list[str]:
        """Stop all parts, the highest layer first; returns the names of those that had to be killed."""
        killed: list[str] = []
        for layer in sorted({part.layer for part, _ in self._running.values()}, reverse=True):
            same = [(part, process) for part, process in self._running.values() if part.layer == layer]
            stopped = await asyncio.gather(*(self._stop(part, process) for part, process in same))
            killed += [part.name for (part, _), clean in zip(same, stopped, strict=True) if not clean]
        self._running.clear()
        return killed

    async def _stop(self, part: Part, process: asyncio.subprocess.Process) -> bool:
        """Ask with SIGTERM, wait its grace, then kill; its whole group in any case. True when it went by itself."""
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        ended = asyncio.ensure_future(process.wait())
        hurried = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=part.grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        clean = ended.done()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await ended
        return clean

    def log_of(self, name: str) -> Path:
        """Where a part writes."""
        return self._logs / f"{name}.log"


def cut(log: Path, longest: int) -> None:
    """Begin a log anew when it is longer than so many bytes; its last ``longest`` stay in ``LOG.1``."""
    with suppress(OSError):
        size = log.stat().st_size
        if size > longest:
            with log.open("rb") as file:
                file.seek(size - longest)
                log.with_suffix(".log.1").write_bytes(file.read(longest))
            os.truncate(log, 0)  # whoever writes to it appends, hence goes on from there


def on_signals(heard: Callable[[], None]) -> None:
    """Call this at every SIGINT and SIGTERM until the process ends, so that a second one does not cut its cleaning up short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heard)


async def awaited(look: Callable[[], Awaitable[T | None]], within: float, between: float = 0.1) -> T | None:
    """What ``look`` finds, once it is something; None when that does not come within so many seconds."""
    give_up = time.monotonic() + within
    while not (found := await look()):
        if time.monotonic() > give_up:
            return None
        await asyncio.sleep(between)
    return found


def port_is_free(port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def elapsed(since: float) -> str:
    """Seconds since a moment of ``time.monotonic()``, for people."""
    return f"{time.monotonic() - since:.1f} s"
