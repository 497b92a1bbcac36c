"""The warehouse file: what it says of the fleet is believable, always the same, and can be read as the product reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DatabaseError, ProgrammingError

from sandbox.fleet import FleetAccount, fleet
from sandbox.warehouse import RHYTHM, Usage, covers, set_usage, write, write_large

TODAY = date(2026, 11, 25)
MONTH = date(2026, 10, 1)
Row = tuple[Any, ...]


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"duckdb:///{path}", connect_args={"read_only": True})
    try:
        with engine.connect() as db:
            yield db
    finally:
        engine.dispose()


def rows(path: Path, query: str, **given: Any) -> list[Row]:
    with reading(path) as db:
        return [tuple(row) for row in db.execute(text(query), given)]


def row(path: Path, query: str, **given: Any) -> Row:
    (only,) = rows(path, query, **given)
    return only


@pytest.fixture(scope="module")
def customers() -> list[FleetAccount]:
    return fleet(300, TODAY)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, customers: list[FleetAccount]) -> Path:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    write(path, customers, TODAY)
    return path


@pytest.fixture
def own(tmp_path: Path, customers: list[FleetAccount]) -> Path:
    path = tmp_path / "own.duckdb"
    write(path, customers[:12], TODAY)
    return path


class TestForm:
    def test_tables_and_columns(self, file: Path) -> None:
        found = rows(
            file, "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY table_name, ordinal_position"
        )
        assert found == [
            ("tickets", "account", "VARCHAR"),
            ("tickets", "opened_on", "DATE"),
            ("tickets", "kind", "VARCHAR"),
            ("tickets", "severity", "INTEGER"),
            ("usage_daily", "account", "VARCHAR"),
            ("usage_daily", "day", "DATE"),
            ("usage_daily", "dau", "INTEGER"),
            ("usage_daily", "searches", "INTEGER"),
            ("usage_daily", "code_intel", "INTEGER"),
            ("usage_monthly", "account", "VARCHAR"),
            ("usage_monthly", "month", "DATE"),
            ("usage_monthly", "mau", "INTEGER"),
            ("usage_monthly", "seats", "INTEGER"),
            ("usage_monthly", "versions_behind", "INTEGER"),
            ("usage_monthly", "precise_intel_languages", "INTEGER"),
        ]

    def test_each_account_has_each_day_and_month_of_two_years_or_of_its_contract(self, file: Path, customers: list[FleetAccount]) -> None:
        for table, column, last in (("usage_daily", "day", TODAY - timedelta(1)), ("usage_monthly", "month", MONTH)):
            held = {
                account: (first, final, count)
                for account, first, final, count in rows(
                    file, f"SELECT account, min({column}), max({column}), count(*) FROM {table} GROUP BY account"
                )
            }
            for account in customers:
                begins = max(account.contract_start, date(2024, 11, 1))
                if column == "day":
                    assert held[account.domain] == (begins, last, (TODAY - begins).days)
                elif begins < MONTH + timedelta(31):
                    months = (MONTH.year - begins.year) * 12 + MONTH.month - begins.month + 1
                    assert held[account.domain] == (begins.replace(day=1), last, months)

    def test_who_reads_cannot_write(self, file: Path) -> None:
        with reading(file) as db, pytest.raises((DatabaseError, ProgrammingError), match="read-only"):
            db.execute(text("DELETE FROM tickets"))

    def test_nothing_is_left_beside_it(self, own: Path) -> None:
        assert [path.name for path in own.parent.iterdir()] == [own.name]


class TestSame:
    def test_a_file_of_a_later_day_says_the_same_of_the_days_before(
        self, tmp_path: Path, file: Path, customers: list[FleetAccount]
    ) -> None:
        later = tmp_path / "later.duckdb"
        write(later, customers, TODAY + timedelta(40))
        since = date(2025, 1, 1)  # where two years before the later day begin
        for table, column, until in (
            ("usage_daily", "day", TODAY - timedelta(1)),
            ("usage_monthly", "month", MONTH),
            ("tickets", "opened_on", TODAY - timedelta(1)),
        ):
            query = f"SELECT * FROM {table} WHERE {column} BETWEEN :since AND :until ORDER BY ALL"
            before = rows(file, query, since=since, until=until)
            assert len(before) > 4000
            assert rows(later, query, since=since, until=until) == before
        assert row(later, "SELECT max(day) FROM usage_daily") == (TODAY + timedelta(39),)

    def test_what_one_account_does_depends_on_no_other(self, own: Path, file: Path, customers: list[FleetAccount]) -> None:
        query = "SELECT * FROM usage_daily WHERE account = :account ORDER BY day"
        assert rows(own, query, account=customers[3].domain) == rows(file, query, account=customers[3].domain)

    def test_another_seed_is_another_history(self, tmp_path: Path, own: Path, customers: list[FleetAccount]) -> None:
        other = tmp_path / "other.duckdb"
        write(other, customers[:12], TODAY, seed=8)
        query = "SELECT * FROM tickets ORDER BY ALL"
        assert rows(other, query) != rows(own, query)


#: The last month's users by seats, the mean day's users of four weeks by the month's, and tickets of 90 days: as the health score reads them.
TRAITS = f"""
    SELECT m.account, m.mau / m.seats AS share, d.dau / nullif(m.mau, 0) AS score, m.versions_behind AS behind,
           m.precise_intel_languages AS languages, coalesce(t.defects, 0) AS defects, coalesce(t.questions, 0) AS questions
    FROM usage_monthly m
    JOIN (SELECT account, avg(dau) AS dau FROM usage_daily WHERE day >= DATE '{TODAY - timedelta(28)}' GROUP BY account) d USING (account)
    LEFT JOIN (SELECT account, count(*) FILTER (kind = 'defect') AS defects, count(*) FILTER (kind = 'help') AS questions
               FROM tickets WHERE opened_on >= DATE '{TODAY - timedelta(90)}' GROUP BY account) t USING (account)
    WHERE m.month = DATE '{MONTH}'
"""


def shares(file: Path, column: str, *conditions: str) -> list[float]:
    """How large a part of the accounts with that trait each condition (`> 1`) holds for."""
    counts = ", ".join(f"count(*) FILTER ({column} {condition}) / count({column})" for condition in conditions)
    return [float(part) for part in row(file, f"SELECT {counts} FROM ({TRAITS})")]


class TestBelievable:
    @pytest.mark.parametrize(
        ("column", "poor", "between", "healthy"),
        [
            ("share", "< 0.5", "BETWEEN 0.5 AND 0.7999999", ">= 0.8"),
            ("score", "<= 0.2", "BETWEEN 0.2000001 AND 0.2999999", ">= 0.3"),
            ("behind", ">= 4", "BETWEEN 2 AND 3", "<= 1"),
            ("defects", ">= 5", "BETWEEN 2 AND 4", "< 2"),
            ("questions", ">= 15", "BETWEEN 10 AND 14", "< 10"),
        ],
    )
    def test_each_trait_is_mostly_healthy_and_has_every_colour(
        self, file: Path, column: str, poor: str, between: str, healthy: str
    ) -> None:
        parts = shares(file, column, poor, between, healthy)
        assert sum(parts) == pytest.approx(1)
        low = {"share": (0.12, 0.15, 0.45), "score": (0.08, 0.15, 0.4)}.get(column, (0.02, 0.04, 0.6))
        assert all(part >= least for part, least in zip(parts, low, strict=True)), parts
        assert parts[0] <= 0.3

    def test_profiles_are_what_they_say(self, file: Path, customers: list[FleetAccount]) -> None:
        months: dict[str, list[float]] = {}  # one who came this month has none
        for account, share in rows(file, "SELECT account, mau / seats FROM usage_monthly ORDER BY account, month"):
            months.setdefault(account, []).append(share)
        by: dict[str, list[list[float]]] = {
            profile: [months[one.domain] for one in customers if one.profile == profile and one.domain in months]
            for profile in {one.profile for one in customers}
        }
        assert all(share[-1] >= 0.8 for share in by["steady"])
        assert all(max(share) < 0.8 for share in by["low"])
        assert all(max(share) >= 0.8 for share in by["declining"])
        assert sum(share[-1] < 0.8 for share in by["declining"]) / len(by["declining"]) > 0.6
        assert all(share[-1] < 0.1 < 0.4 < max(share) for share in by["dead"])
        young = [share for share in by["growing"] if 6 < len(share) < 24]  # since their first day
        assert sum(share[-1] > share[3] > share[1] for share in young) / len(young) > 0.9
        assert all(max(share) - min(share[4:]) > 0.1 for share in by["spiky"] if len(share) > 12)
        undeployed = [one.domain for one in customers if one.deployed_on is None]
        none = "SELECT sum(dau), sum(searches) FROM usage_daily WHERE account IN (SELECT unnest(:accounts))"
        assert row(file, none, accounts=undeployed) == (0, 0)
        of_none = (
            "SELECT DISTINCT mau, versions_behind, precise_intel_languages FROM usage_monthly WHERE account IN (SELECT unnest(:accounts))"
        )
        assert rows(file, of_none, accounts=undeployed) == [(0, None, None)]

    def test_weekends_are_low_and_holidays_lower_than_other_weeks(self, file: Path) -> None:
        weekday, weekend = row(
            file, "SELECT avg(dau) FILTER (isodow(day) < 6), avg(dau) FILTER (isodow(day) > 5) FROM usage_daily WHERE day >= '2026-01-01'"
        )
        assert 0.1 < weekend / weekday < 0.2
        assert sum(RHYTHM) == pytest.approx(7)
        over, before = row(
            file,
            "SELECT avg(dau) FILTER (day BETWEEN '2025-12-24' AND '2025-12-30'), avg(dau) FILTER (day BETWEEN '2025-12-10' AND '2025-12-16')"
            " FROM usage_daily WHERE day BETWEEN '2025-12-01' AND '2025-12-31'",
        )
        assert over < 0.75 * before

    def test_a_day_has_fewer_users_than_its_month(self, file: Path) -> None:
        query = """SELECT count(*) FROM usage_monthly m JOIN (SELECT account, date_trunc('month', day)::DATE AS month, max(dau) AS most
                   FROM usage_daily GROUP BY ALL) d USING (account, month) WHERE most > mau"""
        assert row(file, query) == (0,)

    def test_what_users_do_goes_with_their_number(self, file: Path) -> None:
        searching, navigating = row(file, "SELECT sum(searches) / sum(dau), sum(code_intel) / sum(dau) FROM usage_daily")
        assert 5 < searching < 13
        assert 2 < navigating < 6
        assert row(file, "SELECT count(*) FROM usage_daily WHERE dau = 0 AND searches + code_intel > 0") == (0,)

    def test_few_fall_for_two_months_in_a_row(self, file: Path) -> None:
        query = """SELECT count(*) FILTER (c < 0.95 * b AND b < 0.95 * a) / count(*) FROM (
                     SELECT account, sum(searches + code_intel) FILTER (month(day) = 8) AS a, sum(searches + code_intel) FILTER (month(day) = 9) AS b,
                            sum(searches + code_intel) FILTER (month(day) = 10) AS c
                     FROM usage_daily WHERE day BETWEEN '2026-08-01' AND '2026-10-31' GROUP BY account)"""
        assert 0.01 < row(file, query)[0] < 0.12

    def test_tickets_are_of_two_kinds_and_four_severities_on_working_days_mostly(self, file: Path) -> None:
        assert {(kind, severity) for kind, severity in rows(file, "SELECT DISTINCT kind, severity FROM tickets")} == {
            (kind, severity) for kind in ("defect", "help") for severity in range(4)
        }
        (weekend,) = row(file, "SELECT count(*) FILTER (isodow(opened_on) > 5) / count(*) FROM tickets")
        assert 0.02 < weekend < 0.12
        worst, second = row(
            file, "SELECT count(*) FILTER (severity = 0) / count(*), count(*) FILTER (severity = 1) / count(*) FROM tickets"
        )
        assert worst < 0.06 < second


class TestSetUsage:
    @pytest.mark.parametrize(("share", "score"), [(0.8, 0.3), (0.79, 0.2), (0.5, 0.201), (0.0, 0.0), (1.1, 0.45)])
    def test_the_traits_become_what_was_asked(self, own: Path, customers: list[FleetAccount], share: float, score: float) -> None:
        account = customers[1]
        before = rows(own, "SELECT * FROM usage_daily WHERE account <> :account ORDER BY ALL", account=account.domain)
        history = rows(own, "SELECT * FROM usage_daily WHERE day < '2026-09-01' ORDER BY ALL")
        set_usage(own, account.domain, mau_share=share, usage_score=score, today=TODAY)
        found = {name: each for name, *each in rows(own, TRAITS)}[account.domain]
        users = round(share * account.seats)
        assert found[0] == pytest.approx(users / account.seats)
        assert found[1] == (pytest.approx(score, abs=0.5 / 28 / users + 1e-9) if users else None)
        assert rows(own, "SELECT * FROM usage_daily WHERE account <> :account ORDER BY ALL", account=account.domain) == before
        assert rows(own, "SELECT * FROM usage_daily WHERE day < '2026-09-01' ORDER BY ALL") == history
        months = rows(own, "SELECT month, mau FROM usage_monthly WHERE account = :a ORDER BY month DESC LIMIT 3", a=account.domain)
        assert months[:2] == [(MONTH, users), (date(2026, 9, 1), users)]
        assert months[2][1] != users
        assert covers(own, customers[:12], TODAY)

    def test_a_later_day_has_its_months_and_days(self, own: Path, customers: list[FleetAccount]) -> None:
        account, later = customers[1], date(2027, 3, 10)
        set_usage(own, account.domain, mau_share=0.7, usage_score=0.25, today=later)
        last = "SELECT month, mau, seats FROM usage_monthly WHERE account = :a ORDER BY month DESC LIMIT 2"
        users = round(0.7 * account.seats)
        assert rows(own, last, a=account.domain) == [(date(2027, 2, 1), users, account.seats), (date(2027, 1, 1), users, account.seats)]
        mean, newest = row(own, "SELECT avg(dau), max(day) FROM usage_daily WHERE account = :a AND day >= '2027-02-10'", a=account.domain)
        assert mean / users == pytest.approx(0.25, abs=0.5 / 28 / users + 1e-9)
        assert newest == date(2027, 3, 9)

    def test_nothing_is_made_up_before_the_contract(self, tmp_path: Path) -> None:
        path = tmp_path / "young.duckdb"
        young = next(one for one in fleet(300, TODAY) if date(2026, 10, 1) < one.contract_start < date(2026, 10, 9))
        write(path, [young], TODAY)
        count = "SELECT (SELECT count(*) FROM usage_daily), (SELECT count(*) FROM usage_monthly)"
        before = row(path, count)
        set_usage(path, young.domain, mau_share=0.9, usage_score=0.4, today=TODAY)
        assert row(path, count) == before
        assert row(path, "SELECT mau FROM usage_monthly") == (round(0.9 * young.seats),)

    def test_who_has_the_file_open_is_not_in_the_way(self, own: Path, customers: list[FleetAccount]) -> None:
        query = text("SELECT mau FROM usage_monthly WHERE account = :account AND month = :month")
        asked = {"account": customers[1].domain, "month": MONTH}
        with reading(own) as db:
            before = db.execute(query, asked).scalar_one()
            set_usage(own, customers[1].domain, mau_share=0.1, usage_score=0.1, today=TODAY)
            assert db.execute(query, asked).scalar_one() == before
        assert rows(own, str(query), **asked) == [(round(0.1 * customers[1].seats),)]

    def test_an_unknown_account_is_told(self, own: Path) -> None:
        before = own.read_bytes()
        with pytest.raises(LookupError, match=r"knows no month of nobody\.example"):
            set_usage(own, "nobody.example", mau_share=1, usage_score=0.3, today=TODAY)
        assert own.read_bytes() == before
        assert [path.name for path in own.parent.iterdir()] == [own.name]


class TestLarge:
    def test_what_an_hourly_run_reads(self, tmp_path: Path) -> None:
        path = tmp_path / "large.duckdb"
        names = write_large(path, 2000, TODAY)
        assert row(path, "SELECT count(*), min(day), max(day) FROM usage_daily") == (140_000, TODAY - timedelta(70), TODAY - timedelta(1))
        assert row(path, "SELECT count(*), min(month), max(month) FROM usage_monthly") == (8000, date(2026, 7, 1), MONTH)
        assert rows(path, "SELECT DISTINCT account FROM usage_daily ORDER BY account") == [(name,) for name in names]
        assert row(path, "SELECT min(opened_on) FROM tickets")[0] == TODAY - timedelta(90)
        parts = shares(path, "share", "< 0.5", "BETWEEN 0.5 AND 0.7999999", ">= 0.8")
        assert parts == pytest.approx([0.15, 0.25, 0.6], abs=0.08)

    def test_an_empty_fleet_is_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.duckdb"
        write(path, [], TODAY)
        assert row(path, "SELECT count(*) FROM usage_daily") == (0,)
        assert covers(path, [], TODAY)


def test_a_curve_is_what_its_numbers_say(tmp_path: Path, customers: list[FleetAccount]) -> None:
    """One account without noise to speak of: half the seats, then nine tenths, a third of the month's users a day."""
    usage = Usage(0.5, 0.9, 1 / 3, 1 / 3, turn_on=date(2026, 3, 1), turn_days=31, defects=0, questions=0, lag=3, upgrade_months=1)

    class Customer:
        domain, seats, contract_start, deployed_on = "curve.example", 10_000, date(2025, 6, 10), date(2025, 7, 1)

    Customer.usage = usage  # type: ignore[attr-defined]
    path = tmp_path / "curve.duckdb"
    write(path, [Customer()], TODAY)  # type: ignore[list-item]
    months: dict[date, float] = dict(rows(path, "SELECT month, mau / 10000 FROM usage_monthly"))
    assert months[date(2025, 6, 1)] == 0
    assert [months[day] for day in (date(2025, 12, 1), date(2026, 2, 1))] == pytest.approx([0.5, 0.5], rel=0.03)
    assert [months[day] for day in (date(2026, 4, 1), MONTH)] == pytest.approx([0.9, 0.9], rel=0.03)
    (mean,) = row(path, f"SELECT avg(dau) / 9000 FROM usage_daily WHERE day >= DATE '{TODAY - timedelta(28)}'")
    assert mean == pytest.approx(1 / 3, rel=0.03)
    assert rows(path, "SELECT * FROM tickets") == []
    behind: dict[date, int | None] = dict(rows(path, "SELECT month, versions_behind FROM usage_monthly"))
    assert [behind[day] for day in (date(2025, 6, 1), date(2025, 7, 1), date(2025, 8, 1), MONTH)] == [None, 0, 1, 3]
