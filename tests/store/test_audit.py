"""The audit: one chain whoever writes, and every way of touching it is found with the row at which it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from domain import ids
from store.audit import FIRST, Audit, Entry, digest_of
from store.ledger import Ledger
from store.tables import audit, audit_head

ENTRY = Entry(who="ce-ada@tenure.example", role="ce", via="cli", what="extend days 15", subject="trial-acme.com", outcome="accepted")


def filled(ledger: Ledger, rows: int = 6) -> Audit:
    made = Audit(ledger, ("tenure.example",))
    for number in range(rows):
        made.append(ENTRY.model_copy(update={"what": f"extend days {number}"}))
    return made


def tamper(ledger: Ledger, *statements: str) -> None:
    """What somebody with the database's keys can do: take the triggers away, then write as they like."""
    on = " ON audit" if ledger.engine.dialect.name == "postgresql" else ""
    names = ("audit_append_only",) if on else ("audit_no_update", "audit_no_delete")
    with ledger.writing() as db:
        for statement in (*(f"DROP TRIGGER {name}{on}" for name in names), *statements):
            db.execute(text(statement))


def test_a_chain_that_nobody_touched_stands(either_ledger: Ledger) -> None:
    made = Audit(either_ledger, ())
    nothing = made.verify()
    assert (nothing.ok, nothing.count, nothing.row) == (False, 0, 1)  # of what was wiped out nothing stands
    assert "nothing on the audit" in nothing.fault
    assert not made.verify((0, FIRST)).ok
    made = filled(either_ledger)
    found, rows = made.verify(), made.rows()
    assert (found.ok, found.count, found.head) == (True, 6, rows[-1].hash)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.prev for row in rows] == [FIRST, *(row.hash for row in rows[:-1])]
    assert made.verify((3, rows[2].hash)).ok


def test_the_database_itself_refuses_to_change_it(either_ledger: Ledger) -> None:
    filled(either_ledger, 2)
    for statement in ("UPDATE audit SET who = 'x'", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="append-only"), either_ledger.writing() as db:
            db.execute(text(statement))


SWAP = (
    "UPDATE audit SET number = 99 WHERE number = 3",
    "UPDATE audit SET number = 3 WHERE number = 4",
    "UPDATE audit SET number = 4 WHERE number = 99",
)


@pytest.mark.parametrize(
    ("statements", "row", "words"),
    [
        (("UPDATE audit SET who = 'ce-adb@tenure.example' WHERE number = 4",), 4, "row 4 was changed"),
        (("UPDATE audit SET at = '2001-01-01 00:00:00' WHERE number = 2",), 2, "row 2 was changed"),
        (("DELETE FROM audit WHERE number = 3",), 3, "row 3 is missing"),
        (("DELETE FROM audit WHERE number = 1",), 1, "row 1 is missing"),
        (SWAP, 3, "row 3 was row 4: rows were reordered"),
        (("DELETE FROM audit WHERE number > 4",), 5, "the end was cut off; the head counts 6 rows"),
        (("DELETE FROM audit",), 1, "the end was cut off"),
        (("DELETE FROM audit", "DELETE FROM audit_head"), 1, "there is nothing on the audit"),
        (("UPDATE audit_head SET length = 5",), 6, "is not counted by the head"),
        (("UPDATE audit_head SET hash = 'abc'",), 6, "the head's hash is not that of row 6"),
    ],
)
def test_what_was_touched_is_found(ledger: Ledger, statements: tuple[str, ...], row: int, words: str) -> None:
    made = filled(ledger)
    tamper(ledger, *statements)
    found = made.verify()
    assert (found.ok, found.row) == (False, row)
    assert words in found.fault


def test_touching_it_is_found_on_postgresql_too(either_ledger: Ledger) -> None:
    made = filled(either_ledger)
    tamper(either_ledger, "UPDATE audit SET reason = ' ' WHERE number = 5")
    assert (made.verify().row, made.verify().ok) == (5, False)


def test_a_chain_that_was_wholly_rewritten_differs_from_a_head_kept_elsewhere(ledger: Ledger) -> None:
    made = filled(ledger)
    kept = (4, made.rows()[3].hash)
    with ledger.reading() as db:
        rows = [dict(row._mapping) for row in db.execute(select(audit).order_by(audit.c.number))]
    prev, statements = FIRST, []
    for row in rows:
        fields = {**{name: value for name, value in row.items() if name != "hash"}, "what": "nothing", "prev": prev}
        prev, before = digest_of(fields), prev
        statements.append(f"UPDATE audit SET what = 'nothing', prev = '{before}', hash = '{prev}' WHERE number = {row['number']}")
    tamper(ledger, *statements, f"UPDATE audit_head SET hash = '{prev}'")
    assert made.verify().ok
    assert (made.verify(kept).ok, made.verify(kept).row) == (False, 4)


@pytest.mark.parametrize("text", ["dana@acme.com", "asked by Dana.Reyes+x@mail.acme.com, who", "<dana@acme.com>"])
def test_an_outsiders_address_stands_as_its_digest(ledger: Ledger, text: str) -> None:
    made = Audit(ledger, ("tenure.example",))
    row = made.append(ENTRY.model_copy(update={"reason": text, "who": "Dana@acme.com", "what": f"ce-ada@tenure.example {text}"}))
    assert row.who == ids.digest("dana@acme.com")
    assert "acme.com" not in row.reason + row.what
    assert "ce-ada@tenure.example" in row.what


def test_the_same_accepted_event_is_noted_once_and_each_refusal_is(ledger: Ledger) -> None:
    made = Audit(ledger, ())
    entry = ENTRY.model_copy(update={"event": "click-1"})
    assert made.append(entry) == made.append(entry)
    refused = entry.model_copy(update={"outcome": "refused"})
    assert made.append(refused).number + 1 == made.append(refused).number == made.verify().count


APPENDING = """
import sys
from store.audit import Audit, Entry
from store.ledger import Ledger
ledger = Ledger(sys.argv[1])
made = Audit(ledger, ())
for number in range(25):
    made.append(Entry(who=sys.argv[2], via="cli", what=str(number), outcome="accepted"))
ledger.close()
"""


def test_whatever_is_sent_straight_to_temporal_fits_and_is_noted_once(either_ledger: Ledger) -> None:
    """An update's id may be a thousand signs, and JSON holds signs that PostgreSQL does not take."""
    made = Audit(either_ledger, ())
    long = {"who": "x" * 320, "what": "w\x00\n" * 400, "subject": "s\x00" * 400, "reason": "r\x00" * 400, "event": "e\x00" * 500}
    entry = Entry.model_validate({**long, "via": "temporal", "outcome": "refused"})
    assert made.append(entry) == made.append(entry)
    assert made.append(entry.model_copy(update={"outcome": "accepted"})).number == 2
    assert made.rows()[0].what.startswith("w\ufffd w\ufffd ")
    assert made.verify().ok


def test_two_processes_that_write_at_once_keep_one_chain(either_ledger: Ledger) -> None:
    root = Path(__file__).parents[2]
    commands: list[Any] = [
        subprocess.Popen([sys.executable, "-c", APPENDING, either_ledger.url, who], cwd=root, stderr=subprocess.PIPE) for who in ("a", "b")
    ]
    for command in commands:
        _, said = command.communicate(timeout=60)
        assert command.returncode == 0, said.decode()
    made = Audit(either_ledger, ())
    assert (made.verify().ok, made.verify().count) == (True, 50)
    assert {row.who for row in made.rows(50)} == {"a", "b"}
    with either_ledger.reading() as db:
        assert len(db.execute(select(audit_head)).all()) == 1
