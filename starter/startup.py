"""What every process sees to once it has its settings: no secret that everybody knows, and faults in words."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import SQLAlchemyError

from starter.errors import BadInput, Outdated, TenureError, Unavailable
from starter.private_files import tidy
from starter.standin_secrets import unsafe
from store import ledger_file
from store.settings import PREFIX, Settings


def check(settings: Settings) -> None:
    """Refuse what would harm, and close what stands open. Raises :class:`BadInput`, :class:`Unavailable`."""
    _no_known_secret(settings)
    tidy(settings.data_dir)
    try:
        if _is_there(settings):
            ledger_file.prepare(settings.ledger_url, settings.data_dir)
    except ledger_file.LedgerFault as fault:
        raise Unavailable(fault.detail, fault.do) from None


def in_words(error: BaseException, settings: Settings | None = None) -> TenureError | None:
    """What an error of the ledger's database says to a person; None for any other error."""
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
    path = ledger_file.path_of(settings.ledger_url)
    return path is not None and (
        path.exists() or any((where / ledger_file.TEMPORAL_DB).exists() for where in (path.parent, settings.data_dir))
    )


def _no_known_secret(settings: Settings) -> None:
    if found := unsafe(settings):
        secret, address = (f"{PREFIX}{name.upper()}" for name in found[0])
        more = f" (and {', '.join(f'{PREFIX}{each.secret.upper()}' for each in found[1:])})" if found[1:] else ""
        raise BadInput(
            f"{secret}{more} is the stand-ins' secret, which everybody knows, or empty, while {address} is a real address",
            f"Set {secret} to a secret of your own; where the stand-ins are elsewhere than on this machine, name them with TENURE_SANDBOX_URL",
        )
