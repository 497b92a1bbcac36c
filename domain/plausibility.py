"""What a system or a person says, held against what can be so (F15): a date nobody means, a number that no contract has.

A fact outside the policy's bounds is a data error, said to people in words. It counts as not known, so that nothing is decided on it, and
the rest of the account goes on. Nothing here raises, whatever is given.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from domain.account.account import Customer
from domain.amounts import plausible
from domain.calendar import months_after
from domain.policy.shared import Facts
from domain.wording import beside

#: How much of what was said is repeated in words.
SHOWN = 40


def odd_day(figures: Facts, day: date, today: date) -> str | None:
    """Why a day cannot be meant, in words; None when it can."""
    if months_after(today, -12 * figures.years_back) <= day <= months_after(today, 12 * figures.years_ahead):
        return None
    return f"{day} cannot be meant: a date is at most {figures.years_back} years back and {figures.years_ahead} years ahead"


def day(figures: Facts, said: object, today: date) -> tuple[date | None, str]:
    """The day that was said, and why it cannot be one (empty: it can, or nothing was said)."""
    if said is None or said == "":
        return None, ""
    try:
        on = said.date() if isinstance(said, datetime) else said if isinstance(said, date) else date.fromisoformat(str(said)[:10])
    except ValueError:
        return None, f"{shown(said)} is not a date"
    return (None, why) if (why := odd_day(figures, on, today)) else (on, "")


def number(said: object, most: int) -> tuple[int | None, str]:
    """The whole number that was said (nothing said: 0), and why it cannot be one."""
    if said is None or said == "":
        return 0, ""
    read = plausible(said, most)
    return (read, "") if read is not None else (None, f"{shown(said)} cannot be meant: it is from 0 to {most:,}")


def shown(said: object) -> str:
    """What was said, as far as it is repeated."""
    text = " ".join(str(said).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


#: What is held against the bounds of a customer, in people's words.
DATES: dict[str, str] = beside(__file__)["dates"]
NUMBERS: dict[str, str] = beside(__file__)["numbers"]
WORDS = DATES | NUMBERS


def read(figures: Facts, said: Mapping[str, object], before: Mapping[str, Any] | None, today: date) -> dict[str, Any]:
    """What to believe of a customer's dates and numbers, and ``data_errors``: why not, by the field's name.

    What cannot be so leaves what was known before, so that a slip of the keyboard moves no date; else it is not known.
    """
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in WORDS:
        given, most = said.get(name), figures.most_seats if name == "seats" else figures.most_arr
        held: tuple[date | int | None, str] = day(figures, given, today) if name in DATES else number(given, most)
        value, why = held
        if why:
            errors[name] = why
            value = (before or {}).get(name)
        found[name] = 0 if value is None and name in NUMBERS else value
    return {**found, "data_errors": errors}


def believed(figures: Facts, given: Customer, before: Customer | None, today: date) -> Customer:
    """A customer as it is believed, whoever sent it; ``before`` is what was known of it. What its copy found wrong stays on record."""
    held = read(figures, given.model_dump(include=set(WORDS)), before.model_dump(include=set(WORDS)) if before else None, today)
    if not held["data_errors"]:
        return given
    return given.model_copy(update={**held, "data_errors": {**given.data_errors, **held["data_errors"]}})


def in_words(name: str, domain: str, field: str, why: str, kept: object) -> str:
    """A customer's data error, for those who keep the CRM in order."""
    known = f"what was known before counts ({kept})" if kept else "it counts as not known"
    return f"{name} ({domain}): {WORDS[field]}: {why}; {known} until the CRM is corrected"
