"""Keeping what the services hold in a file, so that a restarted sandbox is the same outside world.

Kept is what the outside systems hold and how they are set up, with the log of effects; every number goes on where it was. Not kept are
the planned faults and the requests counted against a budget, which belong to one run. A service gives its state as a dataclass
(``dump``) and takes it back (``load``); :data:`KEPT` says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox import codec
from sandbox.cloud import CloudState
from sandbox.core import LogState, World
from sandbox.github import GitHubState
from sandbox.instances import InstancesState
from sandbox.licensing import LicensingState
from sandbox.mail import MailboxState
from sandbox.pagerduty import PagerDutyState
from sandbox.salesforce import SalesforceState
from sandbox.sheets_store import SheetsState
from sandbox.slack_workspace import WorkspaceState
from sandbox.vitally import VitallyState

#: Raised when a file of before cannot be read as one of now; a new field with a default needs no other version.
VERSION = 1
#: The services and the form of their state.
KEPT: dict[str, type[Any]] = {
    "slack": WorkspaceState,
    "smtp": MailboxState,
    "github": GitHubState,
    "cloud": CloudState,
    "salesforce": SalesforceState,
    "instances": InstancesState,
    "licensing": LicensingState,
    "pagerduty": PagerDutyState,
    "vitally": VitallyState,
    "sheets": SheetsState,
}
#: Seconds from a change until it is saved, with everything that changed meanwhile.
PAUSE = 1.0
#: A save that takes long is followed by a pause of this many times as long, so that a large state does not slow the services down.
RATIO = 20


def snapshot(world: World) -> bytes:
    """All that is kept of ``world``, as of one moment."""
    with world.lock:
        services = {name: world.services[name].dump() for name in KEPT}
        return codec.write({"version": VERSION, "log": world.log.dump(), "services": services})


def restore(world: World, saved: bytes) -> None:
    """Make ``world`` what the snapshot says, and let it go on. ValueError, which says why, when it cannot be read; nothing changed then."""
    try:
        found = json.loads(saved)
        version = found["version"]
        if version != VERSION:
            raise ValueError(f"it is of version {version}, this program writes version {VERSION}")
        log = codec.read(LogState, found["log"])
        # A service that is newer than the file begins empty.
        states = {name: codec.read(kind, found["services"][name]) for name, kind in KEPT.items() if name in found["services"]}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    with world.lock:
        world.log.load(log)
        for name, state in states.items():
            world.services[name].load(state)
    world.services["github"].resume()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


class Keeper:
    """Keeps ``world`` in a file: reads it at the start, writes it a moment after a change and at the end; sleeps in between.

    The file is replaced whole, so that whoever reads it finds one moment's state whenever the process was killed. It holds mails and
    keys, hence is for its owner's eyes only.
    """

    def __init__(self, world: World, path: Path, say: Callable[[str], None] = _say) -> None:
        """``say`` gets a line for people when something is wrong with the file."""
        self._world = world
        self._path = path
        self._say = say
        self._stale = False
        self._written = b""  # a digest
        self._complaint = ""

    def begin(self) -> asyncio.Task[None]:
        """Load what there is, and keep it until the task that this returns is cancelled. Needs the services to exist already."""
        self.load()
        return asyncio.create_task(self._keep(), name="sandbox-state")

    def load(self) -> None:
        """Read the file into the world. One that cannot be read is set aside as ``FILE.bad``, and the world stays as it was."""
        try:
            saved = self._path.read_bytes()
            restore(self._world, saved)
            self._written = _digest(saved)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._set_aside(str(error))

    def save(self) -> None:
        """Write the world as it is now, unless the file says so already. What goes wrong is told once, and tried again at the next change."""
        try:
            now = snapshot(self._world)
            if _digest(now) == self._written:
                return
            self._replace(now)
            self._written, self._complaint = _digest(now), ""
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            complaint = f"the sandbox cannot keep its state in {self._path}: {error}"
            if complaint != self._complaint:
                self._say(complaint)
            self._complaint = complaint

    async def _keep(self) -> None:
        loop, changed, pause = asyncio.get_running_loop(), asyncio.Event(), PAUSE

        def on_change() -> None:
            if not self._stale:
                self._stale = True
                with contextlib.suppress(RuntimeError):  # the loop has ended; so has the keeping
                    loop.call_soon_threadsafe(changed.set)

        self._world.on_change = on_change
        try:
            while True:
                await changed.wait()
                await asyncio.sleep(pause)
                # Before the snapshot: a change while it is made asks for another.
                changed.clear()
                self._stale = False
                began = time.monotonic()
                self.save()
                pause = max(PAUSE, RATIO * (time.monotonic() - began))
        finally:
            self.save()

    def _replace(self, content: bytes) -> None:
        # Not forced to the disk: this outlives the process; after a power cut the file is of an earlier moment, or set aside.
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        new.replace(self._path)

    def _set_aside(self, why: str) -> None:
        bad = self._path.with_name(self._path.name + ".bad")
        try:
            self._path.replace(bad)
            where = f"it is set aside as {bad}"
        except OSError as error:
            where = f"and it cannot be set aside ({error})"
        self._say(f"the sandbox begins empty: its state in {self._path} cannot be read ({why}); {where}")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
