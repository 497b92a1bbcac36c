"""When a task is due, and who is asked when nobody answers."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ladder
from domain.people import Owners, Role
from domain.task import Escalation
from tests.domain.make import MONDAY, POLICY, day, moments, person, quickly, with_figures

CE, AE, BOSS = person("ce"), person("ae", Role.AE), person("boss", Role.CE_MANAGER)
FRIDAY_NOON = day(4, 3)


def rungs(of: tuple[Escalation, ...]) -> list[tuple[datetime, str, str]]:
    return [(rung.at, rung.asks, rung.who.partition("@")[0]) for rung in of]


def test_a_task_is_due_by_office_hours() -> None:
    assert ladder.due_in(POLICY, MONDAY, 4) == day(0, 4)
    assert ladder.due_in(POLICY, day(4, 12), 4) == day(7, 1)  # Friday 21:00, four hours: one today, three on Monday


def test_an_ordinary_task_climbs_from_its_owner_to_the_backup_to_the_manager() -> None:
    """15 and 30 office hours are one and two office days."""
    climbed = ladder.ordinary(POLICY, FRIDAY_NOON, "ce@t.example", "ae@t.example", "boss@t.example")
    assert rungs(climbed) == [(FRIDAY_NOON, "owner", "ce"), (day(7, 3), "backup", "ae"), (day(8, 3), "manager", "boss")]


def test_who_is_missing_is_stood_in_for_by_the_one_below() -> None:
    assert [rung.who for rung in ladder.ordinary(POLICY, MONDAY, "ce@t.example", "", "")] == ["ce@t.example"] * 3
    assert [rung.who for rung in ladder.ordinary(POLICY, MONDAY, "", "ae@t.example", "")] == ["", "ae@t.example", "ae@t.example"]
    assert [rung.who for rung in ladder.ordinary(POLICY, MONDAY, "", "", "")] == ["", "", ""]


@pytest.mark.parametrize("days", [2, 4])
def test_the_deadline_asks_the_ae_when_due_and_the_manager_later(days: int) -> None:
    """C12, at two values."""
    policy = with_figures(trial__deadline__manager_after_days=days)
    climbed = ladder.deadline(policy, day(30), Owners(ce=CE, ae=AE, manager=BOSS))
    assert rungs(climbed) == [(day(30), "backup", "ae"), (day(30 + days), "manager", "boss")]


def test_the_deadline_never_asks_nobody_while_there_is_somebody() -> None:
    assert [rung.who for rung in ladder.deadline(POLICY, day(30), Owners(ce=CE))] == [CE.email] * 2
    assert [rung.who for rung in ladder.deadline(POLICY, day(30), Owners(ce=CE, ae=AE))] == [AE.email] * 2
    assert [rung.who for rung in ladder.deadline(POLICY, day(30), Owners())] == ["", ""]


def test_the_address_of_an_owner() -> None:
    assert Owners(ce=CE).email(Role.CE) == CE.email
    assert Owners(ce=CE).email(Role.AE) == ""
    assert Owners(ce=CE).email(Role.CLOUD) == ""


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (MONDAY, day(0, 1)),  # inside office hours: an hour
        (day(0, 12.5), day(0, 22.5)),  # 21:30: half an hour is left, the other after the next opening
        (day(0, 13), day(1, 13)),  # 22:00, closed: the next working day
        (day(0, -2.5), day(1, 13)),  # 06:30, not yet open
        (day(5), day(7, 13)),  # a Saturday
    ],
)
def test_an_instance_is_built_in_an_hour_of_the_office_or_in_a_working_day(now: datetime, due: datetime) -> None:
    assert ladder.provisioning_due(POLICY, now, ce_requested=False) == due


def test_the_instance_that_a_ce_asked_for_is_built_in_a_working_day() -> None:
    assert ladder.provisioning_due(POLICY, MONDAY, ce_requested=True) == day(1, 13)
    assert ladder.provisioning_due(POLICY, day(4), ce_requested=True) == day(7, 13)
    other = with_figures(provisioning__ce_requested_working_days=3)
    assert ladder.provisioning_due(other, MONDAY, ce_requested=True) == day(3, 13)


@quickly
@given(now=moments, ce_requested=st.booleans(), hours=st.integers(0, 60))
def test_no_rung_comes_before_the_one_below_it(now: datetime, ce_requested: bool, hours: int) -> None:
    due = ladder.due_in(POLICY, now, hours)
    climbed = ladder.ordinary(POLICY, due, "a", "b", "c")
    assert now <= climbed[0].at <= climbed[1].at <= climbed[2].at
    assert ladder.provisioning_due(POLICY, now, ce_requested) > now
