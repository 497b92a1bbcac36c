"""Amounts and counts as people write them. What could mean two numbers is none: people are asked again.

Whole dollars, with or without ``$``, in groups of three or in none: ``120000``, ``$120,000``, ``1 200 000``, ``120,000.00``. A comma before
two digits (``1200,50``) or behind a zero (``0,500``) may be a decimal one, a point before three a thousands' one (``1.200``): none is read.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator

#: More dollars, and more seats, than any contract has.
MOST_DOLLARS, MOST_SEATS = 1_000_000_000, 1_000_000

_WHOLE = r"[0-9]{1,10}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,3}|[1-9][0-9]{0,2}(?: [0-9]{3}){1,3}"
_DOLLARS = re.compile(rf"\$? ?({_WHOLE})(?:\.00?)?")
_SHORT = re.compile(r"\$? ?([0-9]{1,6})(?:\.([0-9]{1,3}))?([km])", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,7}")
_TIMES = {"k": 1_000, "m": 1_000_000}
#: What an amount at the beginning of a sentence may consist of; what follows must be no part of a number, and no other currency.
_BEGINNING = re.compile(
    r"[-+]?\$?\s?[0-9](?:[.,'’_\s]?[0-9])*[A-Za-z%]*(?:\s?[$/\u00a2-\u00a5\u20a0-\u20cf]|\s(?:AUD|CAD|CHF|EUR|GBP|INR|JPY)\b)?"
)


def dollars(value: object) -> int | None:
    """Whole dollars; None when it is no amount, could be two, or is of more dollars than any contract has."""
    if isinstance(value, str):
        found = _DOLLARS.fullmatch(value.strip())
        value = int(re.sub("[, ]", "", found[1])) if found else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_DOLLARS else None


def leading(text: str) -> tuple[int | None, str]:
    """The amount that a sentence begins with (also ``45k``, ``0.2m``), and what follows it; None when it begins with none.

    Raises ``ValueError`` with what was read when that could mean two amounts.
    """
    text = text.strip()
    found = _BEGINNING.match(text)
    if found is None:
        return None, text
    short = _SHORT.fullmatch(found[0])
    if short is not None:
        parts = int(short[1] + (short[2] or "")) * _TIMES[short[3].lower()]
        amount, rest = divmod(parts, 10 ** len(short[2] or ""))
        value = amount if not rest and amount <= MOST_DOLLARS else None
    else:
        value = dollars(found[0])
    if value is None:
        raise ValueError(found[0])
    return value, text[found.end() :].lstrip(" \t.,:;-")


def count(value: object) -> int | None:
    """A whole number of seats, days and the like, from 1 to a million; None when it is none."""
    if isinstance(value, str):
        value = int(value) if _COUNT.fullmatch(value.strip()) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEATS else None


def plausible(value: object, most: int) -> int | None:
    """A system's number as a whole one from 0 to ``most``; None for what cannot be one: negative, not finite, absurdly large, no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if 0 <= value <= most else None  # no comparison holds of what is no number, and each of any length


def _typed(value: object) -> object:
    """What a person typed, before it is judged by the field's own bounds."""
    if isinstance(value, bool):
        raise ValueError("yes or no is no number; write it as 120000")
    if not isinstance(value, str):
        return value
    read = dollars(value)
    if read is None:
        raise ValueError(f"{value[:40]!r} could mean more than one number, or none; write it as 120000 or 120,000")
    return read


#: A number in a message that may come from people as text.
Typed = Annotated[int, BeforeValidator(_typed)]
