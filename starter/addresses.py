"""From an e-mail address or a host to the key of a company: its registrable domain (A3).

The public suffix list is the snapshot that tldextract ships, so that the same address always gives the same key and nothing is
fetched. Private suffixes (``github.io``) are not used: they say who rents out names, not who is a company. A name under a top
level that the list does not know follows the list's own default rule: its last label is the suffix.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from starter.errors import BadInput

if TYPE_CHECKING:
    from tldextract import TLDExtract

LONGEST_ADDRESS = 254
LONGEST_HOST = 253
_FREE_TRIAL = re.compile(r"trial-free-[0-9a-f]{12}")


@dataclass(frozen=True)
class Address:
    """A checked address. ``key`` names the trial: the registrable domain, or the whole address at a free-mail provider."""

    email: str
    key: str
    free_mail: bool


def read_address(email: str, free_mail: Collection[str]) -> Address:
    """Check an e-mail address without asking the network. Raises :class:`BadInput` on the field ``email``.

    The domain comes back in its ASCII form (IDNA), in lower case.
    """
    from email_validator import EmailNotValidError, validate_email

    text = email.strip()
    if len(text) > LONGEST_ADDRESS:
        raise BadInput(
            f"the e-mail address has {len(text):,} characters, {LONGEST_ADDRESS} is the most",
            "Enter your work e-mail address",
            field="email",
        )
    try:
        checked = validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        raise BadInput(
            f"the e-mail address is not valid ({str(error).rstrip('.')})", "Enter an address like name@company.com", field="email"
        ) from None
    host = checked.ascii_domain.lower()
    address = f"{checked.local_part}@{host}"
    registrable = registrable_domain(host)
    if registrable is None:
        raise BadInput(f"{host} is a public suffix and belongs to no company", "Enter your work e-mail address", field="email")
    if registrable in free_mail or host in free_mail:
        # Providers ignore the case of the local part; a second spelling must not open a second trial.
        return Address(email=address, key=address.lower(), free_mail=True)
    return Address(email=address, key=registrable, free_mail=False)


def read_key(text: str, free_mail: Collection[str] = ()) -> str:
    """The key of the company that a person named: by domain, by any host of it, by an address, or by a URL of the host."""
    named = text.strip()
    if "@" in named:
        return read_address(named, free_mail).key
    named = re.sub(r"^https?://", "", named).split("/")[0].rstrip(".")
    shown = named if len(named) <= 60 else f"{named[:60]}…"
    fault = BadInput(f"{shown!r} is not a domain", "Name the company by its domain, like acme.com", field="domain")
    if not named or len(named) > LONGEST_HOST:
        raise fault
    try:
        return read_address(f"name@{named}", ()).key
    except BadInput:
        raise fault from None


def read_trial(text: str, free_mail: Collection[str] = ()) -> str:
    """The workflow id of the trial that a person named; the id of a free-mail trial stands for itself, since it hides the address."""
    from domain import ids

    named = text.strip()
    return named if _FREE_TRIAL.fullmatch(named) else ids.trial(read_key(named, free_mail))


def registrable_domain(host: str) -> str | None:
    """The registrable domain of an ASCII host; None when the host is itself a public suffix."""
    found = _suffixes()(host)
    if found.suffix:
        return found.top_domain_under_public_suffix or None
    labels = host.split(".")
    return ".".join(labels[-2:]) if len(labels) > 1 else None


@cache
def _suffixes() -> TLDExtract:
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None, fallback_to_snapshot=True, include_psl_private_domains=False)
