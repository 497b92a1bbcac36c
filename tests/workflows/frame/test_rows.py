"""What lists show of a running process: as it says itself, made anew by `tenure rebuild`, and once it has ended no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, update
from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstanceDetails, WorkflowRunner

from domain import ids
from domain.read_model import ProcessRow, Rows
from starter.service.rebuild import close_ended, rebuild
from store.read_model import ReadModel
from store.tables import decisions, processes, tasks
from tests.domain.make import POLICY
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import ALL_YES, SDR, unknown
from workflows.frame.rows import WRITE, RowsTold
from workflows.frame.runner import runner

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


async def test_what_ended_without_a_word_is_taken_off_the_lists_and_nothing_else(play: Play) -> None:
    domain, other = await unknown(play), await unknown(play, "moor")
    for each in (domain, other):
        await play.task(each, "triage")
        await play.agree(play.trial(each))
    await play.trial(domain).terminate("by an operator")

    async def closed() -> bool:
        return ids.trial(domain) in await close_ended(play.tenure)

    assert await eventually(closed)
    lists = ReadModel(play.ledger)
    assert (lists.open_workflows(), [each.workflow for each in lists.open_tasks(10)]) == ({ids.trial(other)}, [ids.trial(other)])
    assert await close_ended(play.tenure) == []


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


async def test_what_an_answer_changed_is_on_the_lists_when_it_is_taken(play: Play) -> None:
    """A worker that dies right after it has said so has written it; so no list waits for the next change of what it lost."""
    domain = await unknown(play)
    await play.task(domain, "triage")
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    assert [each.kind for each in ReadModel(play.ledger).open_tasks(10, workflow=ids.trial(domain)) if each.kind == "triage"] == []


@pytest.mark.parametrize("failed", [False, True])
def test_what_a_task_told_is_written_at_its_end_and_of_one_that_failed_nothing(failed: bool) -> None:
    """It is done again, and may tell something else."""
    written: list[Sequence[Rows]] = []
    told = Rows(workflow="trial-a.com", run="r", version=1)

    class Tells(WorkflowRunner):
        def prepare_workflow(self, defn: object) -> None: ...

        def set_worker_level_failure_exception_types(self, types: object) -> None: ...

        def create_instance(self, det: WorkflowInstanceDetails) -> Any:
            def activate(act: WorkflowActivation) -> WorkflowActivationCompletion:
                det.extern_functions[WRITE](told)
                done = WorkflowActivationCompletion()
                (done.failed if failed else done.successful).SetInParent()
                return done

            return SimpleNamespace(activate=activate)

    made = runner(Tells(), written.append).create_instance(details())
    made.activate(WorkflowActivation())
    assert written == ([] if failed else [(told,)])


def details() -> WorkflowInstanceDetails:
    given: dict[str, Any] = {each.name: None for each in fields(WorkflowInstanceDetails)}
    return WorkflowInstanceDetails(**{**given, "extern_functions": {}})


def test_what_a_worker_told_before_it_died_is_told_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it had written it nobody knows; a run that is rebuilt writes nothing while it is."""
    replaying, written = [True], list[Rows]()
    info = SimpleNamespace(workflow_id="trial-a.com", run_id="r", start_time=NOON, get_current_history_length=lambda: 9)
    monkeypatch.setattr(workflow, "info", lambda: info)
    monkeypatch.setattr(workflow, "extern_functions", lambda: {WRITE: written.append})
    monkeypatch.setattr(workflow.unsafe, "is_replaying", lambda: replaying[0])
    told, row = RowsTold([]), ProcessRow(kind="Trial", subject="a.com", stage="triage", in_words="waits", closed=False, at=NOON)
    told.tell(row, [], None, POLICY)
    assert written == []
    replaying[0] = False
    told.tell(row, [], None, POLICY)
    told.tell(row, [], None, POLICY)
    assert [(rows.process, rows.whole) for rows in written] == [(row, True)]
