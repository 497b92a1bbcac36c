"""What the queries show of a task: who is asked next, and when."""

from __future__ import annotations

from domain.task import Escalation
from domain.views import TaskView
from tests.domain.make import day, task

LADDER = (Escalation(at=day(1), asks="owner", who="ce@t.example"), Escalation(at=day(2), asks="manager", who="boss@t.example"))


def test_a_task_is_named_with_its_workflow() -> None:
    view = TaskView.of("trial-acme.com", task(ladder=LADDER))
    assert (view.id, view.workflow, view.task, view.kind) == ("trial-acme.com:triage-1", "trial-acme.com", "triage-1", "triage")
    assert (view.role, view.due_at) == ("inbound_sdr", day(1))
    assert [choice.name for choice in view.choices] == ["yes", "no"]


def test_the_next_rung_says_who_is_asked_then() -> None:
    asked = [TaskView.of("w", task(ladder=LADDER, rung=rung, next_at=day(rung + 1))) for rung in range(4)]
    assert [view.asked_next for view in asked] == ["ce@t.example", "boss@t.example", "boss@t.example", "boss@t.example"]
    assert [view.asked_next_at for view in asked] == [day(1), day(2), day(3), day(4)]


def test_a_task_without_a_ladder_is_chased_by_nobody() -> None:
    assert TaskView.of("w", task()).asked_next == ""
