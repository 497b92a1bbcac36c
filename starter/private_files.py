"""Files for their owner alone: what our processes write from the start, and what an earlier umask left open to others."""

import os
import stat
from pathlib import Path

from starter.errors import BadInput, Unavailable

DIRECTORY, FILE = 0o700, 0o600
#: What we and our children write into the data directory; anything else there is somebody's own.
OURS = (
    "ledger.db*", "temporal.db*", "warehouse.duckdb*", "sandbox.state*", "stack.json*", "stack.lock", "*.key", "*.keys", "*.keys.*",
    "*.token", "*.token.*", "logs/*.log", "logs/*.log.*",
)  # fmt: skip


def keep_private() -> None:
    """Whatever this process and its children write from now on is for its owner alone, whatever the shell's umask."""
    os.umask(0o077)


def tidy(data: Path) -> None:
    """Take from others what an earlier umask gave them of the data directory. Raises :class:`BadInput` for a directory that all may write to."""
    if not data.is_dir():
        return
    about = data.stat()
    if about.st_mode & stat.S_ISVTX:
        raise BadInput(f"{data} is a directory in which everybody may write", "Name one of your own with --data or TENURE_DATA_DIR")
    for path, mode in [(data, DIRECTORY), (data / "logs", DIRECTORY), *((path, FILE) for name in OURS for path in data.glob(name))]:
        try:
            found = path.lstat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077 and not stat.S_ISLNK(found.st_mode):
                path.chmod(mode)
        except FileNotFoundError:
            continue  # a draft that took its place meanwhile, or no logs yet
        except OSError as error:
            raise Unavailable(
                f"{path} can be read by others, and that cannot be changed ({error.strerror})", "Change its mode, or move it"
            ) from None
