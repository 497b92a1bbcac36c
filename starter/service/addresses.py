"""What people type at our ways in, read as :mod:`domain.addresses` reads it: its faults are the user's here, a :class:`BadInput` on their field."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from domain import addresses, ids
from domain.policy.trial import Routing
from starter.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")
_FREE_TRIAL = re.compile(r"trial-free-[0-9a-f]{12}")


def _typed(read: Callable[P, T]) -> Callable[P, T]:
    @wraps(read)
    def reads(*args: P.args, **named: P.kwargs) -> T:
        try:
            return read(*args, **named)
        except addresses.BadAddress as error:
            raise BadInput(error.detail, error.do, field=error.field) from None

    return reads


read_address = _typed(addresses.read_address)
checked_address = _typed(addresses.checked_address)
read_key = _typed(addresses.read_key)
read_company = _typed(addresses.read_company)


def read_trial(text: str, routing: Routing) -> str:
    """The workflow id of the trial that a person named; the id of a free-mail trial stands for itself, since it hides the address."""
    named = text.strip()
    return named if _FREE_TRIAL.fullmatch(named) else ids.trial(read_key(named, routing))
