"""What lists show of a running process: as it says itself, made anew by `tenure rebuild`, and once it has ended no more."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, update
from temporalio import workflow

from domain import ids
from domain.read_model import ProcessRow, Rows
from starter.service.rebuild import rebuild
from store.read_model import ReadModel
from store.tables import decisions, processes, tasks
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import ALL_YES, SDR, unknown
from workflows.frame.rows import WRITE, RowsTold

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


async def test_a_rebuild_finds_nothing_and_after_a_loss_puts_everything_back(play: Play) -> None:
    domain = await unknown(play)
    trial = ids.trial(domain)
    task = await play.task(domain, "triage")
    await play.agree(play.trial(domain))
    lists = ReadModel(play.ledger)
    assert [each.id for each in lists.open_tasks(10)] == [task.id]
    assert await play.tenure.tasks() == lists.open_tasks(10)

    async def told() -> list[str]:
        done = await rebuild(play.tenure)
        return [each for each in done.differed if trial in each]

    assert await told() == []
    with play.ledger.writing() as db:
        db.execute(delete(tasks))
        db.execute(update(processes).values(stage="onboarding"))
        db.execute(delete(decisions))
    found = await told()
    assert found[0] == f"{trial}: stage was 'onboarding', is 'triage'"
    assert f"{trial}:{task.id.rpartition(':')[2]}: it was not in the tables" in found
    assert any(each.endswith("decisions were missing") for each in found)
    assert await told() == []
    assert [each.id for each in lists.open_tasks(10)] == [task.id]

    await play.trial(domain).terminate("by an operator")

    async def closed() -> bool:
        return f"{trial}: it is not open" in await told()

    assert await eventually(closed)
    assert (await told(), lists.open_tasks(10), lists.open_workflows()) == ([], [], set())


async def test_a_trial_that_has_ended_is_on_no_list_and_its_answers_stay(play: Play) -> None:
    domain = await unknown(play)
    await play.answer(domain, "triage", "disqualify", by=SDR, checks=dict.fromkeys(ALL_YES, False), note="a team of three")
    await play.ended(domain)
    lists = ReadModel(play.ledger)
    assert (lists.open_tasks(10), lists.open_workflows()) == ([], set())
    with play.ledger.reading() as db:
        [row] = db.execute(tasks.select())
        [shown] = db.execute(processes.select())
        made = [each.what for each in db.execute(decisions.select().order_by(decisions.c.number))]
    assert (row.status, row.answer["choice"], bool(row.answered_by)) == ("answered", "disqualify", True)
    assert (shown.kind, shown.subject, shown.stage, shown.status) == ("Trial", domain, "disqualified", "closed")
    assert made == [each.what for each in await play.dossier(domain)]


def test_what_a_worker_told_before_it_died_is_told_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it had written it nobody knows; a run that is rebuilt writes nothing while it is."""
    replaying, written = [True], list[Rows]()
    info = SimpleNamespace(workflow_id="trial-a.com", run_id="r", start_time=NOON, get_current_history_length=lambda: 9)
    monkeypatch.setattr(workflow, "info", lambda: info)
    monkeypatch.setattr(workflow, "extern_functions", lambda: {WRITE: written.append})
    monkeypatch.setattr(workflow.unsafe, "is_replaying", lambda: replaying[0])
    told, row = RowsTold([]), ProcessRow(kind="Trial", subject="a.com", stage="triage", in_words="waits", closed=False, at=NOON)
    told.tell(row, [], None)
    assert written == []
    replaying[0] = False
    told.tell(row, [], None)
    told.tell(row, [], None)
    assert [(rows.process, rows.whole) for rows in written] == [(row, True)]
