"""What every process sees to before it works: files for their owner alone, no secret that everybody knows, and faults in words.

Every entry point (command line, worker, web, local stack) calls :func:`keep_private` first and :func:`check` once it has its settings.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from starter.errors import BadInput, Outdated, TenureError, Unavailable

if TYPE_CHECKING:
    from store.settings import Settings

DIRECTORY, FILE = 0o700, 0o600
#: What we and our children write into the data directory; anything else there is somebody's own.
OURS = (
    "ledger.db*", "temporal.db*", "warehouse.duckdb*", "sandbox.state*", "stack.json*", "stack.lock", "*.key", "*.keys", "*.keys.*",
    "*.token", "*.token.*", "logs/*.log", "logs/*.log.*",
)  # fmt: skip


def keep_private() -> None:
    """Whatever this process and its children write from now on is for its owner alone, whatever the shell's umask."""
    os.umask(0o077)


def check(settings: Settings) -> None:
    """Refuse what would harm, and close what stands open. Raises :class:`BadInput`, :class:`Unavailable`."""
    _no_known_secret(settings)
    tidy(settings.data_dir)
    from store import ledger_file

    try:
        if _is_there(settings):
            ledger_file.prepare(settings.ledger_url, settings.data_dir)
    except ledger_file.LedgerFault as fault:
        raise Unavailable(fault.detail, fault.do) from None


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


def in_words(error: BaseException, settings: Settings | None = None) -> TenureError | None:
    """What an error of the ledger's database says to a person; None for any other error."""
    from sqlalchemy.exc import SQLAlchemyError

    from store import ledger_file

    if isinstance(error, ledger_file.Outdated):
        return Outdated(error.detail, error.do)
    if isinstance(error, ledger_file.LedgerFault):
        return Unavailable(error.detail, error.do)
    if isinstance(error, SQLAlchemyError | sqlite3.Error):
        fault = ledger_file.described(error, settings.ledger_url if settings else "")
        return Unavailable(fault.detail, fault.do)
    return None


def _is_there(settings: Settings) -> bool:
    """Whether there is a ledger to look at, or a server that would miss it; a command in a wrong directory leaves nothing behind."""
    from store import ledger_file

    path = ledger_file.path_of(settings.ledger_url)
    return path is not None and (
        path.exists() or any((where / ledger_file.TEMPORAL_DB).exists() for where in (path.parent, settings.data_dir))
    )


def _no_known_secret(settings: Settings) -> None:
    from starter.standin_secrets import unsafe
    from store.settings import PREFIX

    if found := unsafe(settings):
        secret, address = (f"{PREFIX}{name.upper()}" for name in found[0])
        more = f" (and {', '.join(f'{PREFIX}{each.secret.upper()}' for each in found[1:])})" if found[1:] else ""
        raise BadInput(
            f"{secret}{more} is the stand-ins' secret, which everybody knows, or empty, while {address} is a real address",
            f"Set {secret} to a secret of your own; where the stand-ins are elsewhere than on this machine, name them with TENURE_SANDBOX_URL",
        )
