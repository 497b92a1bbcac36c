"""The schedules as a real server has them: when they fall due next, in the office's time zone, before and after the policy changes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain import ids, policy
from starter.service.schedules import ensure
from store.settings import Settings

ALL = (ids.ACCOUNT_SYNC, ids.GENERIC_LICENSE, ids.POOL, ids.HEALTH, ids.FORECAST)
JITTER = timedelta(seconds=60)


@pytest_asyncio.fixture(loop_scope="session")
async def client(env: WorkflowEnvironment) -> AsyncIterator[Client]:
    """A server with none of our schedules; nobody works on what they start."""
    yield env.client
    for name in ALL:
        await env.client.get_schedule_handle(name).delete()
        try:
            await env.client.get_workflow_handle(name).terminate()
        except RPCError:
            continue  # the forecast has no first run


def office(tmp_path: Path, settings: Settings, zone: str, **figures: str) -> Settings:
    """Settings with a policy file whose office is in that zone; ``figures`` are lines of the file, by what stands before the ``=``."""
    text = policy.DEFAULT.read_text(encoding="utf-8").replace('timezone = { value = "Etc/GMT"', f'timezone = {{ value = "{zone}"')
    for before, after in figures.items():
        assert before in text
        text = text.replace(before, after)
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return settings.model_copy(update={"policy_file": file})


async def described(client: Client, name: str) -> ScheduleDescription:
    return await client.get_schedule_handle(name).describe()


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata"])
async def test_the_week_begins_when_the_office_opens(client: Client, settings: Settings, tmp_path: Path, zone: str) -> None:
    made = await ensure(client, office(tmp_path, settings, zone))
    assert made[ids.FORECAST] == f"made: every Monday at 07:00 ({zone})"
    assert made[ids.ACCOUNT_SYNC] == "made: every 15 minutes"
    for name in (ids.FORECAST, ids.GENERIC_LICENSE):
        found = await described(client, name)
        assert found.schedule.spec.time_zone_name == zone
        there = [at.astimezone(ZoneInfo(zone)) for at in found.info.next_action_times]
        opens = [at.replace(hour=7, minute=0, second=0, microsecond=0) for at in there]
        assert len(there) == 10
        assert all(at.weekday() == 0 and timedelta(0) <= at - opening <= JITTER for at, opening in zip(there, opens, strict=True))
        assert {later.date() - sooner.date() for sooner, later in itertools.pairwise(there)} == {timedelta(days=7)}
    for name in ALL:
        spec = (await described(client, name)).schedule.spec
        assert spec.jitter == JITTER


async def test_a_schedule_that_is_there_follows_the_policy_and_stays_paused(client: Client, settings: Settings, tmp_path: Path) -> None:
    await ensure(client, settings)
    await client.get_schedule_handle(ids.FORECAST).pause(note="not in August")
    changed = {
        'weekday = { value = "monday", unit = "weekday", id = "D29" }': 'weekday = { value = "friday", unit = "weekday", id = "D29" }',
        "opens = { value = 7": "opens = { value = 9",
        "rotation_days = { value = 7": "rotation_days = { value = 30",
    }
    done = await ensure(client, office(tmp_path, settings, "Europe/Berlin", **changed))
    assert done[ids.FORECAST] == "every Friday at 09:00 (Europe/Berlin), as before"
    assert done[ids.GENERIC_LICENSE] == "every 30 days, beginning on a Monday at 09:00 (Europe/Berlin), as before"
    found = await described(client, ids.FORECAST)
    assert (found.schedule.state.paused, found.schedule.state.note) == (True, "not in August")
    first = found.info.next_action_times[0].astimezone(ZoneInfo("Europe/Berlin"))
    assert (first.weekday(), first.hour) == (4, 9)


@pytest.mark.parametrize("days", [14, 28])
async def test_a_length_of_weeks_falls_on_its_weekday(client: Client, settings: Settings, tmp_path: Path, days: int) -> None:
    """Temporal's calendars have weeks, and no fortnights: the interval begins on that day, at winter's hour."""
    await ensure(client, office(tmp_path, settings, "Asia/Tokyo", **{"every_days = { value = 7": f"every_days = {{ value = {days}"}))
    there = [at.astimezone(ZoneInfo("Asia/Tokyo")) for at in (await described(client, ids.FORECAST)).info.next_action_times]
    assert {(at.weekday(), at.hour) for at in there} == {(0, 7)}
    assert {later.date() - sooner.date() for sooner, later in itertools.pairwise(there)} == {timedelta(days=days)}
