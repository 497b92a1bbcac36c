"""The tables that lists read: newest wins in any order, a page is one look, and nothing of an erased person stays."""

from __future__ import annotations

import itertools
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from activities.erasure import forget
from domain import ids
from domain.decision import Call, Decision, Fact
from domain.people import Role
from domain.read_model import ProcessRow, Rows
from domain.task import Answer, Choice, Escalation, Task, TaskSpec
from store.crypto.person_keys import PersonKeys
from store.ledger import Ledger
from store.read_model import ReadModel
from store.rows_writer import PATIENCE, RowsWriter
from store.settings import Settings
from store.tables import decisions, processes, tasks

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TRIAL = "trial-acme.com"
FIRST, SECOND = "01a22e62-0000-7000-8000-000000000001", "01a22e63-0000-7000-8000-000000000000"


def process(stage: str = "triage", **more: Any) -> ProcessRow:
    return ProcessRow(kind="Trial", subject="acme.com", stage=stage, at=NOON, **more)


def task(number: int = 1, *, due: timedelta = timedelta(hours=4), **more: Any) -> Task:
    rungs = (Escalation(at=NOON + due, asks="backup", who="two@tenure.example"),)
    spec = TaskSpec(
        kind="triage",
        title="Triage",
        asks="Does it qualify?",
        role=Role.INBOUND_SDR,
        assignee="SDR@tenure.example",
        choices=(Choice(name="yes", label="Yes"),),
        due_at=NOON + due,
        ladder=rungs,
    )
    return Task(**{"id": f"triage-{number}", "spec": spec, "opened_at": NOON, "next_at": NOON + due, **more})


def answered(by: str = "sdr@tenure.example", note: str = "") -> Task:
    given = Answer(task="triage-1", choice="yes", by=by, note=note)
    return task(status="answered", answer=given, closed_at=NOON + timedelta(hours=1))


def decision(outcome: str = "3", **more: Any) -> Decision:
    return Decision(
        **{"what": "route", "outcome": outcome, "rule": "nobody knows them", "handbook": "A7", "at": NOON, "policy": "p1", **more}
    )


def rows(version: int, run: str = FIRST, workflow: str = TRIAL, **more: Any) -> Rows:
    return Rows(**{"workflow": workflow, "run": run, "version": version, "process": process(), **more})


def state(ledger: Ledger) -> tuple[list[Any], list[Any], list[Any]]:
    with ledger.reading() as db:
        shown = select(processes.c.workflow, processes.c.stage, processes.c.status, processes.c.version).order_by(processes.c.workflow)
        asked = select(tasks.c.workflow, tasks.c.task, tasks.c.status, tasks.c.answered_by).order_by(tasks.c.workflow, tasks.c.task)
        made = select(decisions.c.run, decisions.c.number, decisions.c.outcome).order_by(decisions.c.run, decisions.c.number)
        return [tuple(x) for x in db.execute(shown)], [tuple(x) for x in db.execute(asked)], [tuple(x) for x in db.execute(made)]


WRITES = [
    rows(1, whole=True, tasks=(task(),), decisions=(decision(),)),
    rows(2, process=process("provisioning"), tasks=(answered(),), first_decision=2, decisions=(decision("qualified"),)),
    rows(3, process=process("terminated", closed=True)),
    rows(1, SECOND, process=process("signup"), whole=True, decisions=(decision("1"),)),
]


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))][::5])
def test_the_newest_rows_stay_in_whatever_order_they_are_written_and_however_often(either_ledger: Ledger, order: tuple[int, ...]) -> None:
    """A later run's are newer than all of an earlier one's; a late row of the earlier run brings nothing back."""
    lists = ReadModel(either_ledger)
    for number in (*order, *random.Random(order[0]).sample(order, 4)):
        lists.keep(WRITES[number])
    assert state(either_ledger) == (
        [(TRIAL, "signup", "open", 1)],
        [(TRIAL, "triage-1", "answered", "sdr@tenure.example")],
        [(FIRST, 1, "3"), (FIRST, 2, "qualified"), (SECOND, 1, "1")],
    )


def test_what_a_run_left_open_is_asked_by_nobody_once_a_later_run_says_what_it_asks(either_ledger: Ledger) -> None:
    lists = ReadModel(either_ledger)
    lists.keep(rows(1, whole=True, tasks=(task(1), task(2))))
    lists.keep(rows(1, SECOND, whole=True, tasks=(task(2),)))
    assert [each.task for each in lists.open_tasks(10)] == ["triage-2"]


def test_of_600_open_tasks_the_earliest_due_come_first_each_page_with_one_look(either_ledger: Ledger) -> None:
    lists, hours = ReadModel(either_ledger), list(range(600))
    random.Random(7).shuffle(hours)
    for number, hour in enumerate(hours):
        due = timedelta(hours=hour // 3)  # three are due at each moment
        lists.keep(rows(1, workflow=f"trial-{number:03}.example", process=process(due_at=NOON + due), tasks=(task(due=due),)))
    lists.keep(rows(2, workflow="trial-000.example", tasks=(task(status="withdrawn", due=timedelta(hours=hours[0] // 3)),)))
    looks: list[str] = []
    event.listen(either_ledger.engine, "before_cursor_execute", lambda *given: looks.append(str(given[2])))
    pages = [lists.open_tasks(100)]
    while len(pages[-1]) == 100:
        pages.append(lists.open_tasks(100, after=pages[-1][-1].id))
    assert [len(page) for page in pages] == [100] * 5 + [99]
    assert sum(look.startswith("SELECT") for look in looks) == 6
    found = [(each.due_at, each.workflow) for page in pages for each in page]
    wanted = [(NOON + timedelta(hours=hour // 3), f"trial-{number:03}.example") for number, hour in enumerate(hours) if number]
    assert found == sorted(wanted)


def test_processes_are_paged_by_what_they_are_about_two_of_one_subject_in_the_order_of_their_ids(either_ledger: Ledger) -> None:
    lists = ReadModel(either_ledger)
    subjects = {"w-1": "b.example", "w-2": "a.example", "w-3": "b.example", "w-4": "c.example"}
    for workflow, subject in subjects.items():
        lists.keep(rows(1, workflow=workflow, process=process().model_copy(update={"subject": subject})))
    kind, found = process().kind, [""]
    while page := lists.processes(kind, 1, after=found[-1]):
        found.append(page[0].workflow)
    assert found[1:] == ["w-2", "w-1", "w-3", "w-4"]


def test_a_task_is_found_by_id_or_kind_and_listed_by_role_person_and_process(either_ledger: Ledger) -> None:
    lists = ReadModel(either_ledger)
    lists.keep(rows(1, tasks=(task(1, status="withdrawn"), task(2))))
    found = lists.open_task(TRIAL, "triage")
    assert found is not None
    assert (found.id, found.role, found.assignee, found.asked) == (
        f"{TRIAL}:triage-2",
        "inbound_sdr",
        "SDR@tenure.example",
        ("two@tenure.example",),
    )
    assert lists.open_task(TRIAL, "triage-2") == found
    assert lists.open_task(TRIAL, "triage-1") is None
    for given in ({"role": "inbound_sdr"}, {"assignee": "sdr@TENURE.example"}, {"workflow": TRIAL}):
        assert lists.open_tasks(5, **given) == [found]
    for given in ({"role": "ce"}, {"assignee": "two@tenure.example"}, {"workflow": "trial-acme.co"}):
        assert lists.open_tasks(5, **given) == []


def test_a_process_that_ended_without_a_word_is_closed_and_a_later_run_of_it_is_open(either_ledger: Ledger) -> None:
    lists = ReadModel(either_ledger)
    lists.keep(WRITES[0])
    assert lists.open_workflows() == {TRIAL}
    assert (lists.close(TRIAL), lists.close(TRIAL), lists.open_workflows(), lists.open_tasks(5)) == (True, False, set(), [])
    lists.keep(WRITES[3])
    assert lists.open_workflows() == {TRIAL}


def test_a_rebuild_tells_what_differed_puts_it_right_and_finds_nothing_the_next_time(either_ledger: Ledger) -> None:
    lists, whole = (
        ReadModel(either_ledger),
        rows(2, whole=True, process=process("provisioning"), tasks=(answered(), task(2)), decisions=(decision(),)),
    )
    assert lists.replace(whole)
    assert lists.replace(whole) == []
    with either_ledger.writing() as db:
        db.execute(processes.update().values(stage="triage", version=9))
        db.execute(tasks.update().where(tasks.c.task == "triage-1").values(status="open", answered_by=""))
        db.execute(tasks.delete().where(tasks.c.task == "triage-2"))
        db.execute(decisions.delete())
    lists.keep(rows(1, "00000000", tasks=(task(3),)))
    assert lists.replace(whole) == [
        f"{TRIAL}: stage was 'triage', is 'provisioning'",
        f"{TRIAL}: 1 decisions were missing",
        f"{TRIAL}:triage-1: status was 'open', is 'answered'",
        f"{TRIAL}:triage-1: answered_by was '', is 'sdr@tenure.example'",
        f"{TRIAL}:triage-2: it was not in the tables",
        f"{TRIAL}:triage-3: nobody asks it",
    ]
    assert lists.replace(whole) == []
    assert state(either_ledger)[0] == [(TRIAL, "provisioning", "open", 2)]


def test_a_ledger_that_is_away_holds_up_one_task_shortly_and_takes_all_once_it_is_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, keep = threading.Event(), ReadModel.keep

    def kept(lists: ReadModel, *changes: Rows) -> None:
        if away.is_set():
            raise OperationalError("", {}, Exception("away"))
        keep(lists, *changes)

    monkeypatch.setattr(ReadModel, "keep", kept)
    lists, made = ReadModel(ledger), RowsWriter(ledger, between=0.01)
    made.write([rows(1)])
    assert lists.open_workflows() == {TRIAL}  # at once
    monkeypatch.setattr("store.rows_writer.TRIES", 1_000_000)
    away.set()
    began = time.monotonic()
    for number in range(20):
        made.write([rows(1, workflow=f"trial-{number}.example")])
    assert PATIENCE < time.monotonic() - began < 2 * PATIENCE + 0.5
    away.clear()
    made.close()
    assert len(lists.open_workflows()) == 21


def test_nothing_of_an_erased_person_stays_and_a_second_look_finds_nothing(either_ledger: Ledger, settings: Settings) -> None:
    dana, lists = "Dana.Reedmark@acme.com", ReadModel(either_ledger)
    people = PersonKeys(either_ledger, settings.payload_ring(), settings.key)
    people.load([dana])
    people.learn({dana.lower(): ["Dana Reedmark"]})
    told = task().spec.model_copy(update={"title": "Get Dana Reedmark in", "asks": f"Write to {dana}"})
    call = Call(function="trial.decisions.by_person", inputs={"by": dana, "why": "Dana Reedmark asked"})
    seen = decision(rule="Dana Reedmark asked", facts=(Fact(name="admin", value=dana, source="signup", as_of=NOON),), call=call)
    asked = (answered(note=f"spoke with Dana Reedmark, {dana}"), task(2, spec=told))
    lists.keep(rows(1, process=process(in_words="Dana Reedmark waits"), tasks=asked, decisions=(seen,)))
    done = forget(either_ledger, people, dana, key="acme.com", contact=True)
    assert {"processes", "tasks", "decisions"} <= done.rows.keys()
    with either_ledger.reading() as db:
        left = str([list(db.execute(select(table))) for table in (processes, tasks, decisions)])
    assert "reedmark" not in left.lower()
    assert ids.erased(dana) in left
    assert not forget(either_ledger, people, dana, key="acme.com", contact=True).anything
    assert [each.task for each in lists.open_tasks(5)] == ["triage-2"]
