"""What a system or a person says, held against what can be so (F15): a date nobody means, a number that no contract has.

A fact outside the policy's bounds is a data error, said to people in words. It counts as not known, so that nothing is decided on it, and
the rest of the account goes on. Nothing here raises, whatever is given.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from domain.amounts import plausible
from domain.calendar import months_after
from domain.figures import Facts

#: How much of what was said is repeated in words.
SHOWN = 40


def bounds(figures: Facts, today: date) -> tuple[date, date]:
    """The first and the last day that a fact can be of."""
    return months_after(today, -12 * figures.years_back), months_after(today, 12 * figures.years_ahead)


def odd_day(figures: Facts, day: date, today: date) -> str | None:
    """Why a day cannot be meant, in words; None when it can."""
    first, last = bounds(figures, today)
    if first <= day <= last:
        return None
    return f"{day} cannot be meant: a date is from {first} to {last}"


def day(figures: Facts, said: Any, today: date) -> tuple[date | None, str]:
    """The day that was said, and why it cannot be one (empty: it can, or nothing was said)."""
    if said is None or said == "":
        return None, ""
    try:
        on = said.date() if isinstance(said, datetime) else said if isinstance(said, date) else date.fromisoformat(str(said)[:10])
    except ValueError:
        return None, f"{shown(said)} is not a date"
    return (None, why) if (why := odd_day(figures, on, today)) else (on, "")


def number(said: Any, most: int) -> tuple[int, str]:
    """The whole number that was said (nothing said: 0), and why it cannot be one."""
    if said is None or said == "":
        return 0, ""
    read = plausible(said, most)
    return (read, "") if read is not None else (0, f"{shown(said)} cannot be meant: it is from 0 to {most:,}")


def shown(said: Any) -> str:
    """What was said, as far as it is repeated."""
    text = " ".join(str(said).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
