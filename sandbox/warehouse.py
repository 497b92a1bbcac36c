"""A stand-in for the warehouse: one DuckDB file with what customers' instances report and what support was asked.

=================  =====================================================================================================================
``usage_daily``    ``account, day, dau, searches, code_intel``: each complete day since the contract's start, two years back at most
``usage_monthly``  ``account, month, mau, seats, versions_behind, precise_intel_languages``: month-end snapshots of complete months
``tickets``        ``account, opened_on, kind, severity``: kind ``defect`` or ``help``, severity 0 (worst) to 3
=================  =====================================================================================================================

``account`` is the registrable domain, ``month`` the first of the month. Before an instance is deployed nobody uses it, and the last two
columns of a snapshot are null. Chance depends on nothing but seed, account and day, so a file that is written on a later day says the
same of the days before. Everything is computed inside DuckDB.

A file is written beside its place and renamed into it: who has the old one open goes on reading that until they open it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEED = 7
#: What the file of the product's stack goes back, and what one hourly run reads of it.
MONTHS_BACK = 24
LARGE_DAYS, LARGE_MONTHS, LARGE_TICKET_DAYS = 70, 4, 90
#: The usage score is of this many days.
SCORE_DAYS = 28

#: How much of a usual day each weekday has, Monday first; the mean is 1.
RHYTHM = (1.30, 1.38, 1.40, 1.35, 1.19, 0.20, 0.18)


@dataclass(frozen=True)
class Usage:
    """How one customer uses the product, as a curve over the days, and what else their instance and support tell.

    ``share`` is monthly users by seats, ``stick`` a mean day's users by a month's: each goes from one value to another within ``turn_days``
    from ``turn_on``. ``wave`` (a share of it) makes the share rise and fall every ``wave_days``; ``bursts`` are weeks of much more use.
    ``defects`` and ``questions`` are tickets in 90 days. An instance is ``lag`` versions behind when it was just upgraded, which it is every
    ``upgrade_months``.
    """

    from_share: float
    to_share: float
    from_stick: float
    to_stick: float
    turn_on: date
    turn_days: int
    ramp_days: float = 16.0
    wave: float = 0.0
    wave_days: int = 60
    bursts: bool = False
    defects: float = 1.0
    questions: float = 5.0
    lag: int = 0
    upgrade_months: int = 2
    languages: int = 1


class Customer(Protocol):
    """What the warehouse has to know of a customer; :class:`sandbox.fleet.FleetAccount` is one."""

    @property
    def domain(self) -> str:
        """The registrable domain."""

    @property
    def seats(self) -> int:
        """How many seats they bought."""

    @property
    def contract_start(self) -> date:
        """When they became a customer."""

    @property
    def deployed_on(self) -> date | None:
        """When their instance began to be used; None while it is not."""

    @property
    def usage(self) -> Usage:
        """How they use it."""


def write(path: Path, accounts: Iterable[Customer], today: date, *, seed: int = SEED) -> None:
    """Write the file as of the morning of ``today``: up to yesterday, and the months that are over."""
    since = _month(today, -MONTHS_BACK)
    with _replacing(path) as db:
        _begin(db, seed)
        _take(db, list(accounts))
        _fill(db, since, since, since, today)


def write_large(path: Path, count: int, today: date, *, seed: int = SEED) -> list[str]:
    """Write what one hourly run reads, for ``count`` accounts that are made inside DuckDB; returns their names.

    They are the last 70 days, the last 4 complete months, and 90 days of tickets.
    """
    with _replacing(path) as db:
        _begin(db, seed)
        db.execute(_LARGE, {"count": count, "today": today})
        _fill(db, today - timedelta(LARGE_DAYS), _month(today, -LARGE_MONTHS), today - timedelta(LARGE_TICKET_DAYS), today)
    return [f"customer-{number:06d}.example" for number in range(1, count + 1)]


def covers(path: Path, accounts: Iterable[Customer], today: date) -> bool:
    """Whether the file is there, reaches up to yesterday, and knows exactly these accounts since the day of their contract."""
    import duckdb

    if not path.exists():
        return False
    try:
        with duckdb.connect(str(path), read_only=True) as db:
            known = db.execute("SELECT account, min(day), max(day) FROM usage_daily GROUP BY account").fetchall()
    except duckdb.Error:
        return False
    since, yesterday = _month(today, -MONTHS_BACK), today - timedelta(1)
    return set(known) == {(one.domain, max(one.contract_start, since), yesterday) for one in accounts if one.contract_start < today}


def set_usage(path: Path, account: str, *, mau_share: float, usage_score: float, today: date, months: int = 2) -> None:
    """Rewrite one account's last complete ``months`` and every day since they began, as if today were ``today``: a later day than the
    file's too.

    Afterwards last month's users are ``mau_share`` of the seats, and the mean of the last 28 days' users is ``usage_score`` of those users,
    both as exactly as whole users allow. LookupError when the file has no month of that account.
    """
    with _replacing(path, copy=True) as db:
        last = "SELECT seats, versions_behind, precise_intel_languages FROM usage_monthly WHERE account = ? ORDER BY month DESC LIMIT 1"
        snapshot = db.execute(last, [account]).fetchone()
        began = db.execute("SELECT min(day) FROM usage_daily WHERE account = ?", [account]).fetchone()
        if snapshot is None or began is None:
            raise LookupError(f"{path} knows no month of {account}; its accounts are those that it was written with")
        first = max(_month(today, -months), began[0])
        users = round(snapshot[0] * mau_share)
        over = [month for month in (_month(today, -n) for n in range(months, 0, -1)) if month >= first.replace(day=1)]
        db.execute("DELETE FROM usage_monthly WHERE account = ? AND month BETWEEN ? AND ?", [account, over[0], today])
        db.execute("INSERT INTO usage_monthly SELECT ?, unnest(?::DATE[]), ?, ?, ?, ?", [account, over, users, *snapshot])
        days = [first + timedelta(n) for n in range((today - first).days)]
        # Counted back from yesterday, so that the last four whole weeks are exact: what rounding leaves of one day goes to the next.
        sums = accumulate((RHYTHM[day.weekday()] * users * usage_score * 7 / sum(RHYTHM) for day in reversed(days)), initial=0.0)
        daily = [round(after) - round(before) for before, after in pairwise(sums)][::-1]
        db.execute("DELETE FROM usage_daily WHERE account = ? AND day BETWEEN ? AND ?", [account, first, today])
        db.execute("INSERT INTO usage_daily SELECT ?, unnest(?::DATE[]), unnest(?::INTEGER[]) AS n, n * 9, n * 4", [account, days, daily])


# --- Inside DuckDB ----------------------------------------------------------------------------------------------------------


_TABLES = """
CREATE TABLE usage_daily (account VARCHAR, day DATE, dau INTEGER, searches INTEGER, code_intel INTEGER);
CREATE TABLE usage_monthly (account VARCHAR, month DATE, mau INTEGER, seats INTEGER, versions_behind INTEGER,
                            precise_intel_languages INTEGER);
CREATE TABLE tickets (account VARCHAR, opened_on DATE, kind VARCHAR, severity INTEGER);
CREATE TEMP TABLE customers (account VARCHAR, seats INTEGER, since DATE, deployed DATE, from_share DOUBLE, to_share DOUBLE,
                             from_stick DOUBLE, to_stick DOUBLE, turn_on DATE, turn_days INTEGER, ramp_days DOUBLE, wave DOUBLE,
                             wave_days INTEGER, bursts BOOLEAN, defects DOUBLE, questions DOUBLE, lag INTEGER, upgrade_months INTEGER,
                             languages INTEGER);

-- even(…) lies in [0, 1), noise(…) in [-1, 1): chance that is the same whenever it is asked for.
CREATE TEMP MACRO even(who, moment, what) AS (hash(who, moment, what, getvariable('seed')) % 1000003) / 1000003.0;
CREATE TEMP MACRO noise(who, moment, what) AS 2 * even(who, moment, what) - 1;

CREATE TEMP MACRO turned(day, turn_on, turn_days) AS least(1.0, greatest(0.0, (day - turn_on) / turn_days));
-- The share of the seats that a month's users would be if every day were like this one: what deployment, turn and wave make of it.
CREATE TEMP MACRO share(account, day, deployed, ramp_days, from_share, to_share, turn_on, turn_days, wave, wave_days) AS
    CASE WHEN deployed IS NULL OR day < deployed THEN 0.0
         ELSE (1 - exp((deployed - day - 1) / ramp_days)) * (from_share + (to_share - from_share) * turned(day, turn_on, turn_days))
              * (1 + wave * sin(2 * pi() * ((day - DATE '2020-01-01') / wave_days + even(account, 0, 'wave')))) END;
-- Of a usual day: by the weekday, the days between the years, and the summer.
CREATE TEMP MACRO busy(day) AS
    getvariable('rhythm')[isodow(day)]
    * CASE WHEN (month(day) = 12 AND dayofmonth(day) > 23) OR (month(day) = 1 AND dayofmonth(day) = 1) THEN 0.55
           WHEN month(day) = 8 THEN 0.95 ELSE 1 END;
"""

_DAILY = """
INSERT INTO usage_daily
SELECT account, day, dau, round(dau * (9 + 3 * noise(account, 0, 'searching') + noise(account, day, 'searches')))::INTEGER,
       round(dau * (4 + noise(account, 0, 'navigating') + 0.5 * noise(account, day, 'code_intel'))
             * CASE WHEN languages > 0 THEN 1 ELSE 0.3 END)::INTEGER
FROM (
    SELECT account, day, languages,
           round(seats * share(account, day, deployed, ramp_days, from_share, to_share, turn_on, turn_days, wave, wave_days)
                 * (from_stick + (to_stick - from_stick) * turned(day, turn_on, turn_days)) * busy(day)
                 * CASE WHEN bursts AND even(account, date_trunc('week', day)::DATE, 'burst') < 0.15 THEN 1.5 ELSE 1 END
                 * (1 + 0.06 * noise(account, day, 'dau')))::INTEGER AS dau
    FROM (SELECT unnest(range($since, $today, INTERVAL 1 DAY))::DATE AS day) CROSS JOIN customers
    WHERE day >= since
)
"""

# A month's users are those of its best day of three: the curves are slow. An instance begins with the version of its day.
_MONTHLY = """
INSERT INTO usage_monthly
SELECT account, month,
       round(seats * greatest(
           share(account, month, deployed, ramp_days, from_share, to_share, turn_on, turn_days, wave, wave_days),
           share(account, month + 14, deployed, ramp_days, from_share, to_share, turn_on, turn_days, wave, wave_days),
           share(account, last, deployed, ramp_days, from_share, to_share, turn_on, turn_days, wave, wave_days))
           * CASE month(month) WHEN 8 THEN 0.985 WHEN 12 THEN 0.985 ELSE 1 END
           * (1 + 0.012 * noise(account, month, 'mau')))::INTEGER,
       seats,
       CASE WHEN deployed <= last
            THEN least(lag + (date_diff('month', DATE '2020-01-01', month) + hash(account) % 12)::INTEGER % upgrade_months,
                       date_diff('month', deployed, month)) END,
       CASE WHEN deployed <= last THEN languages END
FROM (SELECT m::DATE AS month, last_day(m::DATE) AS last FROM (SELECT unnest(range($since, $this_month, INTERVAL 1 MONTH)) AS m))
CROSS JOIN customers
WHERE last >= since
"""

# At most one of a kind a day; on weekends few write.
_TICKETS = """
INSERT INTO tickets
SELECT account, day, kind,
       CASE WHEN even(account, day, kind || ' severity') < 0.03 THEN 0 WHEN even(account, day, kind || ' severity') < 0.18 THEN 1
            WHEN even(account, day, kind || ' severity') < 0.6 THEN 2 ELSE 3 END
FROM (SELECT unnest(range($since, $today, INTERVAL 1 DAY))::DATE AS day)
CROSS JOIN (SELECT account, since, unnest(['defect', 'help']) AS kind, unnest([defects, questions]) / 90.0 AS daily FROM customers)
WHERE day >= since AND even(account, day, kind) < daily * CASE WHEN isodow(day) > 5 THEN 0.2 ELSE 1.32 END
"""

# Of ten: five steady, one growing, two low, two declining; of any size.
_LARGE = """
INSERT INTO customers
SELECT printf('customer-%06d.example', i), round(40 * exp(5 * even(i, 0, 'seats')))::INTEGER, since, since + 40,
       CASE kind WHEN 0 THEN 0.55 WHEN 1 THEN 0.3 + 0.4 * level WHEN 2 THEN 0.3 + 0.4 * level ELSE 0.84 + 0.16 * level END,
       CASE kind WHEN 0 THEN 0.9 WHEN 3 THEN 0.2 + 0.5 * level WHEN 4 THEN 0.2 + 0.5 * level
                 WHEN 1 THEN 0.3 + 0.4 * level WHEN 2 THEN 0.3 + 0.4 * level ELSE 0.84 + 0.16 * level END,
       0.22 + 0.25 * even(i, 0, 'stick'), 0.22 + 0.25 * even(i, 0, 'stick'), $today::DATE - 120, 90, 16.0, 0.0, 60, false,
       4 * even(i, 0, 'defects'), 14 * even(i, 0, 'questions'), (3 * even(i, 0, 'lag'))::INTEGER, 2, (4 * even(i, 0, 'languages'))::INTEGER
FROM (SELECT i, i % 10 AS kind, even(i, 0, 'level') AS level, $today::DATE - 200 - (even(i, 0, 'since') * 900)::INTEGER AS since
      FROM range(1, $count + 1) t(i))
"""


def _begin(db: DuckDBPyConnection, seed: int) -> None:
    db.execute("SET VARIABLE seed = ?", [seed])
    db.execute("SET VARIABLE rhythm = ?", [list(RHYTHM)])
    db.execute(_TABLES)


def _take(db: DuckDBPyConnection, accounts: list[Customer]) -> None:
    rows = [
        (one.domain, one.seats, one.contract_start, one.deployed_on, *(getattr(one.usage, field.name) for field in fields(Usage)))
        for one in accounts
    ]
    kinds = [kind for _, kind, *_ in db.execute("DESCRIBE customers").fetchall()]
    columns = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
    if rows:
        db.execute(f"INSERT INTO customers SELECT {columns}", [list(column) for column in zip(*rows, strict=True)])


def _fill(db: DuckDBPyConnection, daily: date, monthly: date, tickets: date, today: date) -> None:
    db.execute(_DAILY, {"since": daily, "today": today})
    db.execute(_MONTHLY, {"since": monthly, "this_month": today.replace(day=1)})
    db.execute(_TICKETS, {"since": tickets, "today": today})


@contextmanager
def _replacing(path: Path, copy: bool = False) -> Iterator[DuckDBPyConnection]:
    """A new file, or a copy of the one there, that takes its place when the block ends well."""
    import duckdb  # here, since it takes some thirty megabytes that a sandbox without customers does without

    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    if copy:
        shutil.copyfile(path, new)
    try:
        with duckdb.connect(str(new)) as db:
            yield db
        new.replace(path)
    except duckdb.IOException as error:
        raise OSError(str(error)) from error
    finally:
        new.unlink(missing_ok=True)
        new.with_name(new.name + ".wal").unlink(missing_ok=True)


def _month(day: date, months: int) -> date:
    """The first of the month that many months later."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)
