"""Fiscal quarters (gap 14): each is named by the year in which its fiscal year ends.

With years that start in February, 2026-02-01 is in ``FY27-Q1`` and 2027-01-31 in ``FY27-Q4``. A year of another century has its four digits:
``FY2127-Q1``.
"""

import re
from datetime import date

from domain.calendar import days_after
from domain.policy import AccountPolicy

QUARTER = re.compile(r"FY([0-9]{2}|(?!20)[0-9]{4}|10000)-Q([1-4])")


def quarter_of(policy: AccountPolicy, on: date) -> str:
    """The fiscal quarter of a day, as ``FY27-Q4``; outside this century ``FY2127-Q4``."""
    starts = policy.forecast.fiscal_year_starts_month
    months = on.year * 12 + on.month - starts  # since the fiscal year 0 began
    year = months // 12 + (starts > 1)
    return f"FY{year - 2000:02d}-Q{months % 12 // 3 + 1}" if year // 100 == 20 else f"FY{year:04d}-Q{months % 12 // 3 + 1}"


def days_of(policy: AccountPolicy, quarter: str) -> tuple[date, date]:
    """The first and the last day of a quarter; two digits are a year of this century. Raises ``ValueError`` for what is no quarter's name."""
    found = QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError(f"{quarter!r} is no fiscal quarter; write it as FY27-Q4")
    starts = policy.forecast.fiscal_year_starts_month
    year = int(found[1]) + (2000 if len(found[1]) == 2 else 0)
    first = (year - (starts > 1)) * 12 + starts - 1 + (int(found[2]) - 1) * 3
    if first + 3 <= date.min.year * 12 or first // 12 > date.max.year:
        raise ValueError(f"{quarter!r} is no fiscal quarter that a date can be in; write it as FY27-Q4")
    last = date.max if (first + 3) // 12 > date.max.year else days_after(_first_of(first + 3), -1)
    return _first_of(max(first, date.min.year * 12)), last


def is_closed(policy: AccountPolicy, quarter: str, today: date) -> bool:
    """Whether the quarter's last day is over."""
    return days_of(policy, quarter)[1] < today


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)
