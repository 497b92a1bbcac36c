"""What every process sees to once it has its settings: no secret that everybody knows, and faults in words.

The stand-ins' secrets are in everybody's hands, so none of them may open anything but the stand-ins.
"""

from __future__ import annotations

import sqlite3
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from starter.errors import BadInput, Outdated, TenureError, Unavailable
from starter.private_files import tidy
from store import ledger_file
from store.settings import PREFIX, Settings

#: Each setting whose default is a stand-in's secret: the addresses at which it counts. With one of them real, it must be another.
#: The web's own address is among them where the secret is what others show us, or whoever signs in is let in by it.
USED_AT: dict[str, tuple[str, ...]] = {
    "slack_token": ("slack_url",),
    "github_token": ("github_url",),
    "github_webhook_secret": ("github_url", "web_url"),
    "salesforce_password": ("salesforce_url",),
    "salesforce_security_token": ("salesforce_url",),
    "instance_token": ("instance_url",),
    "licensing_token": ("licensing_url",),
    "pagerduty_routing_key": ("pagerduty_url",),
    "vitally_key": ("vitally_url",),
    "sheets_token": ("sheets_url",),
    "oidc_client_secret": ("oidc_url", "web_url"),
}
#: What is not used while another setting has a value.
UNUSED_WITH = {
    "salesforce_password": "salesforce_session_id",
    "salesforce_security_token": "salesforce_session_id",
    "sheets_token": "sheets_credentials",
}
#: What may not be empty either: anybody can sign with an empty secret.
NEVER_EMPTY = ("github_webhook_secret",)


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


class Unsafe(NamedTuple):
    """A secret that may not be used where the settings would use it; both by the names of their fields."""

    secret: str
    address: str


def unsafe(settings: Settings) -> list[Unsafe]:
    """Every stand-in's secret that the settings would show to, or take from, something real."""
    known = {text_of(type(settings).model_fields[name].default) for name in USED_AT}
    found = []
    for name, addresses in USED_AT.items():
        value = text_of(getattr(settings, name)).strip()
        weak = value in known or (not value and name in NEVER_EMPTY)
        if not weak or ((other := UNUSED_WITH.get(name)) and text_of(getattr(settings, other))):
            continue
        found += [Unsafe(name, address) for address in addresses if not is_stand_in(settings, getattr(settings, address))][:1]
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
