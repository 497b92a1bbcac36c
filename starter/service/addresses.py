"""What people type at our ways in: :mod:`domain.addresses`, whose faults are the user's here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from domain import addresses, ids
from domain.addresses import Address, BadAddress
from starter.errors import BadInput

if TYPE_CHECKING:
    from domain.policy.trial import Routing

_FREE_TRIAL = re.compile(r"trial-free-[0-9a-f]{12}")


def read_address(email: str, routing: Routing) -> Address:
    """Check an e-mail address. Raises :class:`BadInput` on the field ``email``."""
    with _typed():
        return addresses.read_address(email, routing)


def checked_address(email: str) -> str:
    """An address of whomever, as mail goes to it. Raises :class:`BadInput` on the field ``email``."""
    with _typed():
        return addresses.checked_address(email)


def read_key(text: str, routing: Routing) -> str:
    """The key of the company that a person named: by domain, by any host of it, by an address, or by a URL of the host."""
    with _typed():
        return addresses.read_key(text, routing)


def read_company(text: str, routing: Routing) -> str:
    """The key of a company that somebody says a person belongs to: no provider's, which has no people of its own."""
    with _typed():
        return addresses.read_company(text, routing)


def read_trial(text: str, routing: Routing) -> str:
    """The workflow id of the trial that a person named; the id of a free-mail trial stands for itself, since it hides the address."""
    named = text.strip()
    return named if _FREE_TRIAL.fullmatch(named) else ids.trial(read_key(named, routing))


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except BadAddress as error:
        raise BadInput(error.detail, error.do, field=error.field) from None
