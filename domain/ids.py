"""The ids that are locks: one entity, one workflow id (idea 5). No personal data: a person's address is hashed."""

import hashlib
import re
from collections.abc import Callable
from datetime import date

from domain import mailbox

TASK_QUEUE = "tenure"
#: Of the runs over all customers, so that no signup waits behind them.
BATCH_QUEUE = "tenure-batch"
GENERIC_LICENSE = "generic-license"
POOL = "pool"
ACCOUNT_SYNC = "account-sync"
HEALTH = "health-scores"
FORECAST = "renewal-forecast"
REOPENED = "reopened-issues"

#: How the address begins that stands for somebody who was erased.
ERASED = "erased-"
_ERASED = re.compile(rf"{ERASED}([0-9a-f]{{12}})@\S+")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")

#: Characters of a company's whole name: with ``cloud-trial-`` before it and a number behind it, Slack's 80 hold it.
LONGEST_COMPANY = 64
_HASH = 12


def digest(text: str) -> str:
    """Twelve hex digits that stand for a text which must not be shown; every spelling of one mailbox has the same.

    What stands for an erased address (:func:`erased`) has the digits of that address: a workflow that goes on after its person was
    erased asks for the same ids as before, so that its history replays.
    """
    plain = text.strip().lower()
    if known := _ERASED.fullmatch(plain):
        return known[1]
    return _hash(mailbox.canonical(plain) if _ADDRESS.fullmatch(plain) else plain)


def erased(email: str) -> str:
    """The address that stands for a person who was erased: a valid one, at the same domain, that names nobody."""
    return f"{ERASED}{digest(email)}@{email.rpartition('@')[2].strip().lower()}"


def is_erased(email: str) -> bool:
    """Whether an address stands for a person who was erased."""
    return _ERASED.fullmatch(email.strip().lower()) is not None


def handle(email: str) -> str:
    """The short name under which one of our own people owns workflows in Temporal, ``p-3f9a1c``; empty for nobody.

    The same person has the same handle in every role. ``tenure whois`` tells whose it is.
    """
    return f"p-{digest(email)[:6]}" if email else ""


def _of(prefix: str) -> Callable[[str], str]:
    """The workflow id of something of which a company has one: the prefix, and its registrable domain, or what stands for an address at a free-mail provider."""
    return lambda domain: f"{prefix}-{_shown(domain)}"


trial = _of("trial")
#: What an instance's admin is told of those who want to join: one mail a day, whoever asks (A22).
join_digest = _of("join-digest")
#: The change of an instance's host (A20): one at a time.
domain_change = _of("domain-change")
#: A customer's life.
account = _of("account")
#: A customer's get-well plan: one, whatever its reasons (gap 11).
get_well = _of("get-well")
red = _of("red")


def join(domain: str, email: str) -> str:
    """The workflow id of one person's wish to join the instance of a domain (C15)."""
    return f"join-{_shown(domain)}-{digest(email)}"


def rescue(email: str) -> str:
    """The workflow id of a signup that the form failed (A21)."""
    return f"rescue-{digest(email)}"


def late_word(workflow: str, issue: int) -> str:
    """The workflow id of what is asked when an issue of a workflow that has ended is reopened."""
    return f"late-word-{issue}-{workflow}"


def company_of(workflow: str) -> str:
    """The company whose trial or move a workflow is, by its id; empty for any other workflow."""
    found = re.fullmatch(r"(?:trial|domain-change)-(.+)", workflow)
    return found[1] if found else ""


def renewal(domain: str, on: date) -> str:
    """The workflow id of one renewal, by the date on which it was due when it began: a moved one keeps its id."""
    return f"renewal-{domain}-{on.isoformat()}"


_OF_ACCOUNT = re.compile(r"(?:account|get-well|red)-(.+)|renewal-(.+)-\d{4}-\d{2}-\d{2}")


def account_of(workflow: str) -> str:
    """The domain of the account that a workflow is about, by its id; empty for any other workflow."""
    found = _OF_ACCOUNT.fullmatch(workflow)
    return (found[1] or found[2]) if found else ""


def of_company(domain: str) -> tuple[str, ...]:
    """How the subjects of everything that runs for a company begin, whichever run it was; ``domain`` as :func:`trial` takes it."""
    once = (trial(domain), join_digest(domain), domain_change(domain), account(domain), get_well(domain), red(domain))
    many = (f"renewal-{domain}-", f"join-{_shown(domain)}-")
    return (*(f"{workflow}/" for workflow in once), *many)


def company(domain: str) -> str:
    """A company's whole name in channels, licence accounts, tags and branches: at most :data:`LONGEST_COMPANY` of ``a-z0-9_-``.

    No two keys share one: a dot becomes a hyphen and a hyphen an underscore, which no domain has. What is too long is cut and ends in
    ``-_`` and a hash, which no label of a domain can begin with.
    """
    key = domain.strip().lower()
    if "@" in key:
        return f"free-_{digest(key)}"
    name = key.translate(_SIGNS)
    if len(name) <= LONGEST_COMPANY and _DOMAIN.fullmatch(key):
        return name
    kept = re.sub(r"[^a-z0-9_-]", "", name)[: LONGEST_COMPANY - _HASH - 2].rstrip("-_")
    return f"{kept or 'company'}-_{_hash(key)}"


_SIGNS = str.maketrans(".-", "-_")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def fitted(name: str, longest: int) -> str:
    """A name that a system can hold: as it is, or cut with a hash of the whole behind it, so that two names stay two."""
    return name if len(name) <= longest else f"{name[: longest - _HASH - 2].rstrip()}… {_hash(name)}"


def slug(domain: str, length: int) -> str:
    """A company's short name for a host: the first label of its domain, trimmed (A9). Two companies may share it."""
    label = domain.rpartition("@")[2].split(".")[0]
    kept = "".join(c for c in label.lower() if c.isascii() and (c.isalnum() or c == "-")).strip("-")
    return (kept or digest(domain))[:length].strip("-")


def _shown(domain: str) -> str:
    """A trial's key as an id may show it: a company's domain, or the hash of a person's address."""
    return f"free-{digest(domain)}" if "@" in domain else domain


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]
