"""The ledger's file: its owner's alone, never made anew in the place of a lost one, and what is wrong with it said in words."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from store.audit import Audit, Entry
from store.ledger import Ledger
from store.ledger_file import HEADER, LedgerFault, described, is_used, prepare


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made_in(folder: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.create()
    Audit(ledger, ()).append(Entry(who="x@tenure.example", via="cli", what="extend", outcome="accepted"))
    return ledger


def used(ledger: Ledger) -> None:
    ledger.create()
    Audit(ledger, ()).verify()


def server_in(folder: Path, *types: str) -> Path:
    """A development server's database with workflows of these types, as far as it is looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "temporal.db")) as db:
        db.execute("CREATE TABLE executions_visibility (workflow_type_name TEXT)")
        db.executemany("INSERT INTO executions_visibility VALUES (?)", [(each,) for each in types])
        db.commit()
    return folder / "temporal.db"


def test_it_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    ledger = made_in(tmp_path / "data")
    files = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
    ledger.close()
    assert files.keys() >= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    assert set(files.values()) == {0o600}
    assert mode(tmp_path / "data") == 0o700


def test_what_others_could_read_is_closed(tmp_path: Path) -> None:
    made_in(tmp_path).close()
    for path in tmp_path.iterdir():
        path.chmod(0o666)
    made_in(tmp_path).close()
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("left", ["nothing", "an empty file", "its journal only"])
def test_a_lost_ledger_is_not_made_anew_beside_a_server_that_was_used(tmp_path: Path, left: str) -> None:
    server = server_in(tmp_path, "temporal-sys-tq-scanner-workflow", "Trial")
    if left == "an empty file":
        (tmp_path / "ledger.db").touch()
    if left == "its journal only":
        (tmp_path / "ledger.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(LedgerFault) as told:
        made_in(tmp_path)
    assert f"{tmp_path / 'ledger.db'} is missing" in told.value.detail
    assert str(server) in told.value.detail
    assert not (tmp_path / "ledger.db").exists() or (tmp_path / "ledger.db").stat().st_size == 0
    server.unlink()
    made_in(tmp_path).close()


def test_the_server_may_be_in_another_directory(tmp_path: Path) -> None:
    server_in(tmp_path / "data", "Renewal")
    with pytest.raises(LedgerFault, match="is missing"):
        prepare(f"sqlite:///{tmp_path / 'elsewhere' / 'ledger.db'}", tmp_path / "data")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("types", [(), ("temporal-sys-tq-scanner-workflow", "temporal-sys-scheduler-workflow")])
def test_a_server_without_workflows_of_ours_misses_nothing(tmp_path: Path, types: tuple[str, ...]) -> None:
    assert not is_used(server_in(tmp_path, *types))
    made_in(tmp_path).close()


def test_a_server_that_cannot_be_read_counts_as_used(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_bytes(b"no database at all, and long enough to be one" * 100)
    assert is_used(tmp_path / "temporal.db")


def garbled(path: Path) -> None:
    """Every page but the first is noise, as after a broken disk."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + random.Random(7).randbytes(len(data) - 4096))


def replaced_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("this is no database\n" * 500),
    "noise": lambda path: path.write_bytes(random.Random(7).randbytes(8192)),
    "its first bytes are zeros": lambda path: path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:]),
    "its header alone": lambda path: path.write_bytes(HEADER),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "garbled pages": garbled,
    "a directory": replaced_by_a_directory,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_gets_a_sentence(tmp_path: Path, damage: str) -> None:
    made_in(tmp_path).close()
    path = tmp_path / "ledger.db"
    DAMAGES[damage](path)
    ledger = Ledger(f"sqlite:///{path}")
    with pytest.raises((LedgerFault, SQLAlchemyError, sqlite3.Error)) as found:
        used(ledger)
    error = found.value
    fault = described(error, ledger.url) if isinstance(error, SQLAlchemyError | sqlite3.Error) else error
    assert isinstance(fault, LedgerFault)
    assert f"the ledger {path} is damaged" in fault.detail
    assert "backup" in fault.do
    ledger.close()


def test_a_ledger_that_cannot_be_made_gets_one_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerFault, match=r"cannot be opened \(File exists\)"):
        prepare(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("attempt to write a readonly database", "cannot be written"),
        ("database or disk is full", "the disk is full"),
        ("database disk image is malformed", "is damaged"),
        ("disk I/O error", "cannot be read or written"),
        ("database is locked", "is held by another program"),
        ("unable to open database file", "cannot be opened"),
        ("something new", "does not answer"),
    ],
)
def test_what_a_database_says_is_put_in_words(said: str, what: str) -> None:
    fault = described(sqlite3.OperationalError(said), "sqlite:///data/ledger.db")
    assert what in fault.detail
    assert fault.do
