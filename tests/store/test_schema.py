"""The schema: every earlier one becomes the one that the code describes, on SQLite and on PostgreSQL, and nothing that stands in it is lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select

from store import migrations as schema
from store.ledger import Ledger
from store.ledger_file import Outdated
from store.tables import effects, metadata

SCRIPTS = ScriptDirectory(str(Path(schema.__file__).parent))
#: From before there were migrations: each statement with the first and the last of the fifteen versions that it belongs to.
BEFORE = range(1, 16)
AS_OF = datetime(2026, 7, 1, 10, tzinfo=UTC)


def statements(dialect: str, number: int) -> list[str]:
    lines = (Path(__file__).parent / "schemas" / f"before_migrations.{dialect}.sql").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"(\d\d)-(\d\d) (.+)", line) for line in lines]
    its = [match[3] for match in found if match and int(match[1]) <= number <= int(match[2])]
    return sorted(its, key=lambda statement: not statement.startswith("CREATE TABLE"))


def differences(db: Connection) -> list[object]:
    """What the database has and the code does not describe, and the other way round: tables, columns, what may be empty, indexes."""
    context = MigrationContext.configure(db, opts={"compare_type": True})
    return [each for each in compare_metadata(context, metadata) if "alembic_version" not in str(each)]


@pytest.fixture
def empty(either_ledger: Ledger) -> Ledger:
    """A database in which nothing is, not even the schema."""
    with either_ledger.writing() as db:
        if db.dialect.name == "postgresql":
            db.exec_driver_sql("DROP SCHEMA public CASCADE")
            db.exec_driver_sql("CREATE SCHEMA public")
        else:
            for table in inspect(db).get_table_names():
                db.exec_driver_sql(f"DROP TABLE {table}")
    return either_ledger


def test_the_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    assert SCRIPTS.get_heads() == [schema.NEWEST]


def test_a_new_database_is_what_the_code_describes(either_ledger: Ledger) -> None:
    with either_ledger.reading() as db:
        assert differences(db) == []
        assert schema.version(db) == schema.NEWEST
    assert either_ledger.create() == schema.NEWEST
    either_ledger.check()


@pytest.mark.parametrize("number", BEFORE)
def test_a_database_from_before_the_migrations_is_recognised_and_completed(empty: Ledger, number: int) -> None:
    row = {"subject": "trial-acme.com/1", "key": "k", "system": "mail", "act": "mail.sent", "summary": "s"}
    with empty.writing() as db:
        for statement in statements(db.dialect.name, number):
            db.exec_driver_sql(statement)
        db.execute(effects.insert().values(**row, as_of=AS_OF, begun_at=AS_OF, attempts=1))
    with pytest.raises(Outdated, match=r"of version none.*Run `tenure migrate` once"):
        empty.check()
    assert empty.create() == ""
    empty.check()
    with empty.reading() as db:
        assert differences(db) == []
        assert [tuple(each) for each in db.execute(select(effects.c.key, effects.c.as_of))] == [("k", AS_OF)]


@pytest.mark.parametrize("revision", [each.revision for each in SCRIPTS.walk_revisions()])
def test_a_database_of_any_migration_becomes_the_newest(empty: Ledger, revision: str) -> None:
    with empty.writing(alone=True) as db:
        schema.upgrade(db, revision)
        assert schema.version(db) == revision
    if revision != schema.NEWEST:
        with pytest.raises(Outdated, match=f"of version {revision}, and this program needs {schema.NEWEST}"):
            empty.check()
    assert empty.create() == revision
    with empty.reading() as db:
        assert differences(db) == []


def test_the_first_version_with_migrations_becomes_the_newest(empty: Ledger) -> None:
    with empty.writing() as db:
        for statement in statements(db.dialect.name, max(BEFORE)):
            db.exec_driver_sql(statement)
        db.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        db.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
    assert empty.create() == "0001"
    with empty.reading() as db:
        assert differences(db) == []
        assert schema.version(db) == schema.NEWEST


def test_a_newer_database_serves_an_older_program(either_ledger: Ledger) -> None:
    with either_ledger.writing() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    either_ledger.check()


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: Ledger) -> None:
    with empty.writing() as db:
        db.exec_driver_sql("CREATE TABLE effects (number INTEGER PRIMARY KEY)")
        db.exec_driver_sql("CREATE VIEW vault AS SELECT number FROM effects")
        before = sorted(inspect(db).get_table_names())
    with pytest.raises(Exception, match="vault"):
        empty.create()
    with empty.reading() as db:
        assert sorted(inspect(db).get_table_names()) == before
