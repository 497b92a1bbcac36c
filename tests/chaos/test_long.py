"""``make chaos``: the whole script under attack, beside a quiet run of it. About a quarter of an hour."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.control import REQUESTED
from starter.demo.renewals import FLEET
from tests.chaos.check import differences, of_one, recorded
from tests.chaos.everything import Played, play
from tests.chaos.house import house
from tests.chaos.kinds import EVERYTHING, KINDS
from tests.chaos.storm import FAILURES, Storm, failures

pytestmark = [pytest.mark.chaos, pytest.mark.e2e]

#: What must have ended, so that a dead system does not pass: every trial of the script, and one renewal of each way that they go.
TRIALS, RENEWALS = 16, 8
#: A stall of the outside systems, in seconds; and how long the ledger is held, the second time for longer than anybody waits for it.
STALL, LOCKS = 30.0, (2.0, 12.0)
#: In the middle of which signup which part is killed.
SIGNUPS = {1: ("web",), 3: ("temporal",), 6: ("web", "temporal"), 9: ("web",), 12: ("temporal",)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """The script as it goes when nothing happens."""
    async with house(tmp_path_factory.mktemp("quiet"), fleet=FLEET) as calm:
        played = await play(calm)
        assert (played.problems, differences(played.run, played.run)) == ([], [])
        assert differences(recorded(), of_one(played.run, "cobalt-tale.example")) == []  # what the short version compares with
        assert (calm.deaths(), set(KINDS) - calm.reached()) == ([], set())
        yield played


def assert_as_quiet(quiet: Played, played: Played) -> None:
    assert played.problems == []
    assert differences(quiet.run, played.run) == []
    assert played.renewals == quiet.renewals
    assert played.run.finished >= TRIALS
    assert len(played.renewals) >= RENEWALS


async def test_the_worker_is_killed_at_every_point_of_every_kind(quiet: Played, tmp_path: Path) -> None:
    """Whatever a worker was at when it died: its successor finishes it, once."""
    async with house(tmp_path, fleet=FLEET) as doomed:
        played = await play(doomed, EVERYTHING)
        deaths = doomed.deaths()
        tell("worker killed", played, f"{len(doomed.died_at())} of {len(EVERYTHING)} points, {len(deaths)} deaths")
        assert_as_quiet(quiet, played)
        assert set(KINDS) - doomed.reached() == set()
        assert EVERYTHING - doomed.died_at() == set()
        assert deaths == [-9] * len(EVERYTHING)


async def test_everything_else_fails(quiet: Played, tmp_path: Path) -> None:
    """Outside systems, server, web and ledger: whoever was not answered asks again, and nothing happens twice."""
    async with house(tmp_path, fleet=FLEET) as stormy:
        storm = Storm(stormy, failures(STALL, seed=4), SIGNUPS, LOCKS)
        played = await play(stormy, storm=storm)
        tell("everything else", played, f"{sum(storm.met.values())} failures met, kills {stormy.kills}, {storm.locked} locks")
        assert_as_quiet(quiet, played)
        assert stormy.kills == {"web": 3, "temporal": 3}
        assert storm.locked == len(LOCKS)
        wanted = {(service, str(failure["kind"])) for service in REQUESTED for failure in FAILURES}
        assert {pair for pair in wanted if storm.met[pair] < 1} == set()


def tell(what: str, played: Played, more: str) -> None:
    """The figures of a run, for the log."""
    run = played.run
    sys.stdout.write(
        f"\n{what}: {more}; {run.finished} trials and {len(played.renewals)} renewals finished, {len(run.duplicates)} duplicates,"
        f" {sum(map(len, run.effects.values()))} effects on record, {played.minutes:.1f} minutes\n"
    )
