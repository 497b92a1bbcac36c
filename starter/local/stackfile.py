"""What a running local stack leaves behind so that commands find it: ``DATA/stack.json``, held by the lock on ``DATA/stack.lock``."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from starter.errors import Refused

_FILE = "stack.json"
_LOCK = "stack.lock"


@dataclass(frozen=True)
class StackFile:
    """A running stack: its supervisor, where its parts are, and which server is its own (``cluster`` is the server's id, ``metrics`` its series; ``worker`` and ``web_control`` are control ports)."""

    pid: int
    port_offset: int
    temporal: str
    temporal_ui: str
    web: str
    sandbox: str
    cluster: str
    metrics: str = ""
    worker: str = ""
    web_control: str = ""


class AlreadyUp(Refused):
    """Another stack holds the data directory; ``pid`` is its supervisor's, 0 when it has not written it yet."""

    def __init__(self, data: Path, pid: int) -> None:
        self.pid = pid
        do = "Use it, stop it with Ctrl-C, or start another with --data DIR --port-offset N"
        super().__init__(f"a stack runs on {data} already" + (f" (process {pid})" if pid else ""), do)


@contextmanager
def holding(data: Path) -> Iterator[None]:
    """Hold the data directory for one stack; the kernel lets go when the process ends, however it ends. Raises :class:`AlreadyUp`."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / _LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = file.read().strip()
            raise AlreadyUp(data, int(text) if text.isdecimal() else 0) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        (data / _FILE).unlink(missing_ok=True)  # a killed stack's
        try:
            yield
        finally:
            (data / _FILE).unlink(missing_ok=True)


def write(data: Path, stack: StackFile) -> None:
    """Tell where the stack is; in one step, so that nobody reads half of it."""
    draft = data / f"{_FILE}.new"
    draft.write_text(json.dumps(asdict(stack), indent=2) + "\n")
    draft.replace(data / _FILE)


def running(data: Path) -> StackFile | None:
    """The stack that runs on this data directory; None when there is none, or only a dead one's file."""
    try:
        stack = StackFile(**json.loads((data / _FILE).read_text()))
        with (data / _LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return stack
    except (OSError, ValueError, TypeError):
        return None
    return None
