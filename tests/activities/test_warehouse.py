"""What the warehouse tells of use (4.3), at data made by hand, at every edge; and that its errors say what to do and are tried again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.engine.default import DefaultDialect
from temporalio.exceptions import ApplicationError

from activities.warehouse import Usage, Warehouse, query
from domain.policy import default_accounts
from sandbox import fleet, warehouse
from store.settings import Settings

POLICY = default_accounts()
#: In the middle of a month: the last complete one is February, the one before is January.
TODAY = date(2026, 3, 18)
JAN, FEB, MAR = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
Rows = Iterable[tuple[Any, ...]]
Fill = Callable[..., Warehouse]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Make the file with these rows, and the reader of it."""
    path = tmp_path / "warehouse.duckdb"

    def made(daily: Rows = (), monthly: Rows = (), tickets: Rows = ()) -> Warehouse:
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as db:
            db.execute("CREATE TABLE usage_daily (account VARCHAR, day DATE, dau INTEGER, searches INTEGER, code_intel INTEGER)")
            db.execute(
                "CREATE TABLE usage_monthly (account VARCHAR, month DATE, mau INTEGER, seats INTEGER, versions_behind INTEGER,"
                " precise_intel_languages INTEGER)"
            )
            db.execute("CREATE TABLE tickets (account VARCHAR, opened_on DATE, kind VARCHAR, severity INTEGER)")
            for table, rows in (("usage_daily", daily), ("usage_monthly", monthly), ("tickets", tickets)):
                for row in rows:
                    db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return Warehouse(f"duckdb:///{path}")

    return made


def of(usage: Usage, account: str = "acme.com") -> dict[str, Any]:
    """What is known of one account, None for what is not."""
    at = usage.accounts[account]
    columns = {name: getattr(usage, name)[at].item() for name in vars(usage) if name not in ("accounts", "month", "odd")}
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in columns.items()}


def month(of: date, mau: int, seats: int = 100, behind: int | None = 0, languages: int | None = 1, account: str = "acme.com") -> Rows:
    return [(account, of, mau, seats, behind, languages)]


def days(first: date, last: date, dau: int = 0, actions: int = 0, account: str = "acme.com") -> Rows:
    """Every day from first to last: so many users, and so many searches and code-intelligence actions, half of each."""
    return [(account, first + timedelta(n), dau, actions // 2, actions - actions // 2) for n in range((last - first).days + 1)]


def monthly_actions(**by_month: int) -> Rows:
    """All of a month's actions on its tenth day: ``jan=100``."""
    names = ("oct", "nov", "dec", "jan", "feb", "mar")
    tenths = (date(2025, 10, 10), date(2025, 11, 10), date(2025, 12, 10), *(date(2026, n, 10) for n in (1, 2, 3)))
    return [("acme.com", tenths[names.index(name)], 1, actions, 0) for name, actions in by_month.items()]


# --- one account, exactly ----------------------------------------------------------------------------------------------------------


def test_every_trait_of_an_account(fill: Fill) -> None:
    yesterday = TODAY - timedelta(1)
    read = fill(
        daily=[
            *days(TODAY - timedelta(60), TODAY - timedelta(29), dau=90),  # longer ago than four weeks
            *days(TODAY - timedelta(28), TODAY - timedelta(15), dau=20),
            *days(TODAY - timedelta(14), yesterday, dau=40),
            *days(TODAY, TODAY, dau=99),  # not over yet
        ],
        monthly=[*month(JAN, 95, behind=9, languages=0), *month(FEB, 75, behind=2, languages=3), *month(MAR, 1, behind=7, languages=0)],
        tickets=[
            ("acme.com", TODAY - timedelta(90), "defect", 1),  # ninety days are over
            ("acme.com", TODAY - timedelta(89), "defect", 1),
            ("acme.com", TODAY, "defect", 3),
            ("acme.com", yesterday, "help", 2),
            ("other.com", yesterday, "help", 2),
        ],
    )
    usage = read.usage(POLICY, TODAY)
    assert usage.month == FEB
    assert of(usage) == {
        "usage_score": 30 / 75,
        "mau_seats": 0.75,
        "versions_behind": 2,
        "precise_intel": 1,
        "defect_tickets": 2,
        "help_tickets": 1,
        "was_at_target": True,
        "declining_months": 0,
    }


def test_what_is_not_known_is_not_known(fill: Fill) -> None:
    """An account of which there is only a ticket, one whose instance is not deployed, one with nobody, and one without seats."""
    read = fill(
        daily=[*days(TODAY - timedelta(5), TODAY - timedelta(1), account="empty.com")],
        monthly=[
            *month(FEB, 0, behind=None, languages=None, account="empty.com"),
            *month(FEB, 5, seats=0, account="seatless.com"),
            *month(JAN, 80, account="gone.com"),
        ],
        tickets=[("asks.com", TODAY, "help", 1)],
    )
    usage = read.usage(POLICY, TODAY)
    nothing = dict.fromkeys(("usage_score", "mau_seats", "versions_behind", "precise_intel"))
    none_asked = {"defect_tickets": 0, "help_tickets": 0, "was_at_target": False, "declining_months": 0}
    assert of(usage, "asks.com") == {**nothing, **none_asked, "help_tickets": 1}
    assert of(usage, "empty.com") == {**nothing, **none_asked, "mau_seats": 0.0}  # nobody of 100 is known; who is nobody has no daily share
    assert of(usage, "seatless.com") == {**nothing, **none_asked, "versions_behind": 0, "precise_intel": 1}
    assert of(usage, "gone.com") == {**nothing, **none_asked, "was_at_target": True}  # it has no snapshot in the newest month
    assert "stranger.com" not in usage.accounts


def test_no_language_is_inactive_and_no_snapshot_is_unknown(fill: Fill) -> None:
    usage = fill(monthly=[*month(FEB, 5, languages=0), *month(FEB, 5, languages=None, account="b.com")]).usage(POLICY, TODAY)
    assert (of(usage)["precise_intel"], of(usage, "b.com")["precise_intel"]) == (0, None)


def test_an_empty_warehouse_knows_nobody(fill: Fill) -> None:
    usage = fill().usage(POLICY, TODAY)
    assert (usage.accounts, usage.month, len(usage.usage_score)) == ({}, None, 0)


@pytest.mark.parametrize(
    ("today", "months", "newest", "share"),
    [
        (date(2026, 3, 31), [JAN, FEB], FEB, 0.02),
        (date(2026, 3, 1), [JAN], JAN, 0.01),  # February's snapshots have not come yet
        (date(2026, 3, 1), [JAN, FEB], FEB, 0.02),
        (date(2026, 4, 1), [JAN], None, None),  # nobody writes them any more
        (date(2026, 3, 31), [JAN, FEB, MAR], FEB, 0.02),  # March is not over
        (date(2026, 1, 31), [date(2025, 11, 30), date(2025, 12, 31)], date(2025, 12, 31), 0.12),  # by the last day of the month
    ],
)
def test_the_last_complete_month_counts_and_until_its_snapshots_come_the_one_before(
    fill: Fill, today: date, months: list[date], newest: date | None, share: float | None
) -> None:
    usage = fill(monthly=[row for of in months for row in month(of, of.month)], tickets=[("acme.com", today, "help", 1)]).usage(
        POLICY, today
    )
    assert usage.month == newest
    assert of(usage)["mau_seats"] == share


@pytest.mark.parametrize(
    ("mau", "seats", "was"), [(80, 100, True), (79, 100, False), (28, 35, True), (27, 35, False), (8_000, 10_000, True)]
)
def test_c06_it_was_at_target_when_an_earlier_month_reached_it_to_the_user(fill: Fill, mau: int, seats: int, was: bool) -> None:
    earlier = month(date(2024, 5, 1), mau, seats)
    assert of(fill(monthly=[*earlier, *month(FEB, 1)]).usage(POLICY, TODAY))["was_at_target"] is was
    assert of(fill(monthly=month(FEB, 99)).usage(POLICY, TODAY))["was_at_target"] is False  # the last month itself is none before


@pytest.mark.parametrize(
    ("actions", "months"),
    [
        ({"jan": 100, "feb": 95}, 1),  # five of a hundred, to the action
        ({"jan": 140, "feb": 133}, 1),  # seven of 140 are as much, whatever a float says
        ({"jan": 100, "feb": 96}, 0),
        ({"jan": 10_000, "feb": 9_501}, 0),
        ({"dec": 100, "jan": 90, "feb": 80}, 2),
        ({"nov": 100, "dec": 90, "jan": 80, "feb": 70}, 3),
        ({"nov": 100, "dec": 90, "jan": 89, "feb": 70}, 1),  # January lost too little: the row begins anew
        ({"dec": 100, "jan": 90, "feb": 95}, 0),
        ({"dec": 100, "jan": 90}, 0),  # nothing is known of February
        ({"nov": 100, "dec": 90, "feb": 50}, 0),  # and nothing of January, to which February would be compared
        ({"feb": 50}, 0),
        ({"jan": 0, "feb": 0}, 0),
        ({"dec": 100, "jan": 0, "feb": 0}, 0),  # from nothing nothing can be lost
        ({"dec": 100, "jan": 90, "feb": 80, "mar": 1}, 2),  # March is not over
    ],
)
def test_b17_how_many_months_in_a_row_lost_so_much(fill: Fill, actions: dict[str, int], months: int) -> None:
    read = fill(daily=monthly_actions(**actions), tickets=[("acme.com", TODAY, "help", 1)])
    assert of(read.usage(POLICY, TODAY))["declining_months"] == months


def test_searches_and_code_intelligence_count_together_and_a_blank_is_none(fill: Fill) -> None:
    jan, feb = date(2026, 1, 10), date(2026, 2, 10)
    other = [("acme.com", jan, 1, 90, 10), ("acme.com", feb, 1, 10, 90)]  # moved from the one to the other
    blank = [("b.com", jan, 1, 100, None), ("b.com", feb, 1, None, 94)]
    usage = fill(daily=[*other, *blank]).usage(POLICY, TODAY)
    assert (of(usage)["declining_months"], of(usage, "b.com")["declining_months"]) == (0, 1)


# --- against every row, and the other way of counting -------------------------------------------------------------------------------


def test_a_fleet_is_read_as_counting_by_hand_reads_it(tmp_path: Path) -> None:
    """Forty invented customers over two years, each trait worked out again from its rows, in plain Python."""
    path, today = tmp_path / "fleet.duckdb", date(2026, 8, 20)
    warehouse.write(path, fleet.fleet(40, today), today)
    usage = Warehouse(f"duckdb:///{path}").usage(POLICY, today)
    with duckdb.connect(str(path), read_only=True) as db:
        daily = db.execute("SELECT account, day, dau, searches + code_intel FROM usage_daily").fetchall()
        monthly = db.execute("SELECT account, month, mau, seats FROM usage_monthly").fetchall()
        tickets = db.execute("SELECT account, opened_on, kind FROM tickets").fetchall()
    assert len(usage.accounts) >= 38
    seen: set[int] = set()
    for account in usage.accounts:
        mine = {day: (dau, actions) for who, day, dau, actions in daily if who == account}
        shares = {month: (mau, mau / seats) for who, month, mau, seats in monthly if who == account}
        last = shares.get(date(2026, 7, 1))
        recent = [dau for day, (dau, _) in mine.items() if today - timedelta(28) <= day < today]
        by_month: dict[int, int] = {}
        for day, (_, actions) in mine.items():
            if date(2025, 8, 1) <= day < date(2026, 8, 1):
                by_month[day.year * 12 + day.month] = by_month.get(day.year * 12 + day.month, 0) + actions
        row = 0
        for (_, before), (_, after) in pairwise(sorted(by_month.items())):
            row = row + 1 if before and (before - after) / before >= 0.05 else 0
        asked = [kind for who, day, kind in tickets if who == account and (today - day).days < 90]
        found = of(usage, account)
        seen.add(row)
        assert found["declining_months"] == row
        assert (found["defect_tickets"], found["help_tickets"]) == (asked.count("defect"), asked.count("help"))
        assert found["mau_seats"] == (last[1] if last else None)
        score = sum(recent) / len(recent) / last[0] if recent and last and last[0] else None
        assert found["usage_score"] == (pytest.approx(score) if score is not None else None)
        assert found["was_at_target"] is any(share >= 0.80 for month, (_, share) in shares.items() if month < date(2026, 7, 1))
    assert len(seen) > 2


# --- other databases ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [make_url("postgresql+psycopg://").get_dialect()(), DefaultDialect()], ids=["postgresql", "standard"])
def test_the_query_is_one_statement_of_plain_sql(dialect: Any) -> None:
    """Nothing that only one database knows: the same text runs on BigQuery."""
    text = str(query(POLICY, TODAY).compile(dialect=dialect))
    functions = {name.lower() for name in re.findall(r"\b([a-z_]+)\s*\(", text, re.IGNORECASE)}
    words = {"with", "as", "and", "when", "over", "in", "case", "select", "from", "then", "on"}
    assert functions - words <= {"max", "sum", "coalesce", "nullif", "lag", "extract", "cast", "lower", "trim"}
    assert ";" not in text
    assert " UNION SELECT" not in text  # BigQuery wants to be told ALL or DISTINCT


def test_postgresql_reads_a_fleet_as_duckdb_does(tmp_path: Path, postgres: Path) -> None:
    path, today = tmp_path / "fleet.duckdb", date(2026, 8, 20)
    warehouse.write(path, fleet.fleet(20, today), today)
    with duckdb.connect(str(path), read_only=True) as file, psycopg.connect(f"host={postgres} user=postgres", autocommit=True) as server:
        for table in ("usage_daily", "usage_monthly", "tickets"):
            rows = file.execute(f"SELECT * FROM {table}")
            columns = ", ".join(f"{name} {'integer' if kind == 'NUMBER' else kind}" for name, kind, *_ in rows.description or ())
            server.execute(f"CREATE TABLE {table} ({columns.replace('STRING', 'text')})".encode())
            with server.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                for row in rows.fetchall():
                    copy.write_row(row)
    ours, theirs = (
        Warehouse(url).usage(POLICY, today) for url in (f"duckdb:///{path}", f"postgresql+psycopg://postgres@/?host={postgres}")
    )
    assert (theirs.month, theirs.odd, set(theirs.accounts)) == (ours.month, ours.odd, set(ours.accounts))
    assert [of(theirs, account) for account in ours.accounts] == [of(ours, account) for account in ours.accounts]


# --- what can be wrong --------------------------------------------------------------------------------------------------------------


def fault(read: Warehouse) -> ApplicationError:
    """The error of a read, which must be tried again."""
    with pytest.raises(ApplicationError) as raised:
        read.usage(POLICY, TODAY)
    assert not raised.value.non_retryable
    return raised.value


def test_a_file_that_is_not_there_yet_is_named(settings: Settings) -> None:
    found = fault(Warehouse(settings.warehouse_url))
    assert str(settings.data_dir / "warehouse.duckdb") in found.message
    assert "the old scores stay" in found.message


def test_a_file_in_its_writers_hands_is_tried_again(fill: Fill, tmp_path: Path) -> None:
    read = fill(monthly=month(FEB, 5))
    hold = f"import duckdb; db = duckdb.connect({str(tmp_path / 'warehouse.duckdb')!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        assert "in use by its writer" in fault(read).message
        writer.communicate("\n", timeout=20)
    assert of(read.usage(POLICY, TODAY))["mau_seats"] == 0.05


def test_a_new_file_in_the_old_ones_place_is_read_the_next_time(fill: Fill) -> None:
    read = fill(monthly=month(FEB, 5))
    assert of(read.usage(POLICY, TODAY))["mau_seats"] == 0.05
    fill(monthly=month(FEB, 95))
    assert of(read.usage(POLICY, TODAY))["mau_seats"] == 0.95


def test_it_is_never_written(fill: Fill, tmp_path: Path) -> None:
    read = fill(monthly=month(FEB, 5))
    before = (tmp_path / "warehouse.duckdb").read_bytes()
    read.usage(POLICY, TODAY)
    assert (tmp_path / "warehouse.duckdb").read_bytes() == before
    assert [path.name for path in tmp_path.glob("warehouse*")] == ["warehouse.duckdb"]


def test_a_table_that_is_missing_is_said(fill: Fill, tmp_path: Path) -> None:
    read = fill()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as db:
        db.execute("DROP TABLE tickets")
    found = fault(read)
    assert found.type == "WarehouseLacking"
    assert "tickets" in found.message
    assert found.next_retry_delay is not None


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("account,day\n" * 900)
    assert "w.duckdb" in fault(Warehouse(f"duckdb:///{tmp_path / 'w.duckdb'}")).message


def test_a_dialect_that_is_not_installed_is_named_without_the_password() -> None:
    found = fault(Warehouse("nosuch://me:geheim@host/db"))
    assert "not installed" in found.message
    assert "sqlalchemy-bigquery" in found.message
    assert "geheim" not in found.message


# --- what is sparse, and what is written otherwise (F20) ------------------------------------------------------------------------------


def test_f20_usage_counts_by_the_days_of_the_window(fill: Fill) -> None:
    """40 people on 2 of 28 days, of 80 a month, are no daily users: 0.036, and not a half."""
    daily = [("acme.com", TODAY - timedelta(n), 40, 1, 1) for n in (3, 9)]
    usage = fill(daily=daily, monthly=[("acme.com", FEB, 80, 100, 0, 1)]).usage(POLICY, TODAY)
    assert of(usage, "acme.com")["usage_score"] == pytest.approx(40 * 2 / 28 / 80)
    assert round(of(usage, "acme.com")["usage_score"] or 0, 3) == 0.036


def test_f20_domains_and_kinds_have_no_case(fill: Fill) -> None:
    daily = [("Acme.COM", TODAY - timedelta(1), 28, 10, 10), (" acme.com", TODAY - timedelta(2), 28, 10, 10)]
    monthly = [("ACME.com", FEB, 50, 100, 2, 1)]
    asked = [("acme.Com", TODAY, "Defect", 1), ("acme.com", TODAY, " HELP ", 1), ("ACME.COM", TODAY, "help", 1)]
    usage = fill(daily=daily, monthly=monthly, tickets=asked).usage(POLICY, TODAY)
    assert list(usage.accounts) == ["acme.com"]
    found = of(usage, "acme.com")
    assert (found["defect_tickets"], found["help_tickets"], found["mau_seats"]) == (1, 2, 0.5)
    assert found["usage_score"] == pytest.approx(2 / 50)


@pytest.mark.parametrize(("mau", "seats"), [(-5, 100), (50, -100), (2_000_000_000, 100), (50, 0)])
def test_f15_a_number_that_cannot_be_is_not_known(fill: Fill, mau: int, seats: int) -> None:
    usage = fill(monthly=[("acme.com", FEB, mau, seats, -1, 1)]).usage(POLICY, TODAY)
    found = of(usage, "acme.com")
    assert (found["mau_seats"], found["versions_behind"]) == (None, None)
