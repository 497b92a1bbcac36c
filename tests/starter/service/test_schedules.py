"""The recurring work: how often each is, by the policy; see also ``test_stack.py``, where a real server has them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from temporalio.client import Client

from domain import ids
from domain import policy as policies
from domain.account.get_well import next_round
from starter.service.schedules import ensure, recurring
from store.settings import Settings
from tests.domain.make import day
from tests.domain.make_accounts import figures
from workflows.all import ALL, BATCH


@pytest.mark.parametrize(("forecast", "update", "leadership"), [(7, 7, 14), (14, 7, 14), (7, 14, 28), (3, 5, 7)])
def test_c34_forecast_update_and_inspection_have_a_cadence_each(forecast: int, update: int, leadership: int) -> None:
    """C34: the AEs' forecast by its schedule, the TA's update and the leadership's inspection by the plan's rounds; none moves another."""
    policy = figures(forecast__every_days=forecast, get_well__update_days=update, get_well__leadership_days=leadership)
    every = {work.workflow: work.every for work in recurring(policies.default(), policy, Settings(_env_file=None))}
    assert every["WeeklyForecast"] == timedelta(days=forecast)
    assert every["ScoreHealth"] == timedelta(minutes=policy.health.every_minutes)
    rounds = [next_round(day(0), days, day(0)) - day(0) for days in (policy.get_well.update_days, policy.get_well.leadership_days)]
    assert rounds == [timedelta(days=update), timedelta(days=leadership)]


def test_the_first_forecast_waits_for_its_week() -> None:
    """Everything else is of use at once, or finds nothing yet; a forecast taken while the first renewals begin would keep a part of them for ever."""
    made = recurring(policies.default(), policies.default_accounts(), Settings(_env_file=None))
    assert {work.workflow for work in made if not work.at_once} == {"WeeklyForecast", "FindReopened"}
    assert len(made) == 6


class Server:
    """Takes the schedules that are made, in the place of a client."""

    def __init__(self) -> None:
        self.queues: dict[str, str] = {}

    async def create_schedule(self, _id: str, schedule: Any, **_how: Any) -> None:
        self.queues[schedule.action.workflow] = schedule.action.task_queue


async def test_the_runs_over_all_customers_are_started_on_a_queue_of_their_own() -> None:
    """Each queue's worker knows the workflows that come there, and no signup waits behind thousands of scores."""
    server = Server()
    await ensure(cast(Client, server), Settings(_env_file=None))
    batch, others = ({each.__name__ for each in kinds} for kinds in (BATCH, set(ALL) - set(BATCH)))
    assert {name for name, queue in server.queues.items() if queue == ids.BATCH_QUEUE} == batch == {"ScoreHealth", "SyncAccounts"}
    assert {name for name, queue in server.queues.items() if queue == ids.TASK_QUEUE} <= others
    assert len(server.queues) == 6
