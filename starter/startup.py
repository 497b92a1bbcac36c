"""What every process sees to once it has its settings: no secret that everybody knows, and faults in words.

The stand-ins' secrets are in everybody's hands, so none of them may open anything but the stand-ins.
"""

import sqlite3
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from domain.wording import beside
from starter.errors import BadInput, Outdated, TenureError, Unavailable
from starter.private_files import tidy
from store import ledger_file
from store.settings import PREFIX, Settings

#: Each setting whose default is a stand-in's secret, and the addresses at which it counts.
SECRETS = beside(__file__)
USED_AT: dict[str, list[str]] = {name: about["used_at"] for name, about in SECRETS.items()}


def check(settings: Settings) -> None:
    """Refuse what would harm, and close what stands open. Raises :class:`BadInput`, :class:`Unavailable`."""
    if found := unsafe(settings):
        secret, address = (f"{PREFIX}{name.upper()}" for name in found[0])
        more = f" (and {', '.join(f'{PREFIX}{each.secret.upper()}' for each in found[1:])})" if found[1:] else ""
        raise BadInput(
            f"{secret}{more} is the stand-ins' secret, which everybody knows, or empty, while {address} is a real address",
            f"Set {secret} to a secret of your own; where the stand-ins are elsewhere than on this machine, name them with TENURE_SANDBOX_URL",
        )
    tidy(settings.data_dir)
    try:
        if _is_there(settings):
            ledger_file.prepare(settings.ledger_url, settings.data_dir)
    except ledger_file.LedgerFault as fault:
        raise Unavailable(fault.detail, fault.do) from None


def in_words(error: BaseException, settings: Settings | None = None) -> TenureError | None:
    """An error of ours, or what one of the ledger's database says to a person; None for any other error."""
    if isinstance(error, TenureError):
        return error
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


class Unsafe(NamedTuple):
    """A secret that may not be used where the settings would use it; both by the names of their fields."""

    secret: str
    address: str


def unsafe(settings: Settings) -> list[Unsafe]:
    """Every stand-in's secret that the settings would show to, or take from, something real."""
    known = {text_of(type(settings).model_fields[name].default) for name in USED_AT}
    found = []
    for name, about in SECRETS.items():
        value, other = text_of(getattr(settings, name)).strip(), about.get("unused_with")
        weak = value in known or (not value and about.get("never_empty"))
        if not weak or (other and text_of(getattr(settings, other))):
            continue
        found += [Unsafe(name, address) for address in about["used_at"] if not is_stand_in(settings, getattr(settings, address))][:1]
    return found


def is_stand_in(settings: Settings, address: str) -> bool:
    """Whether an address is on this machine or below ``sandbox_url``; an empty one is a system's own."""
    base = settings.sandbox_url.rstrip("/")
    if base and address.startswith(f"{base}/"):
        return True
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def text_of(value: object) -> str:
    """A setting as text; a secret in the clear."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
