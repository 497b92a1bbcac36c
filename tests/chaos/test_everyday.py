"""The short version: one trial in a house of which every part is killed, and the proof that the look at it can fail."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pkgutil
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import domain.effects
from domain.effects.effect import Effect
from sandbox.control import shown
from sandbox.server import SandboxServer
from tests.chaos.check import Run, differences, duplicates, failed_tasks, recorded, run_of
from tests.chaos.doomed_batch import SUBJECTS
from tests.chaos.house import ROOT, house
from tests.chaos.kinds import KINDS, Kill, Point
from tests.chaos.script import TOLD, directing, nothing_runs
from tests.chaos.storm import Storm

#: A worker dies before the call, after the call, after the record, and in a retry.
KILLS: tuple[Kill, ...] = (
    ("CreateAdmin", Point.BEFORE),
    ("CreateAdmin", Point.RETRY),
    ("RaiseIssue", Point.AFTER),
    ("Mail", Point.RECORDED),
)
#: What the outside systems do meanwhile.
FAILURES = (
    {"service": "slack", "kind": "cut_after", "match": "chat.postMessage"},
    {"service": "salesforce", "kind": "status", "status": 503},
    {"service": "github", "kind": "rate_limit", "retry_after": 1, "match": "issues"},
)


@pytest.mark.e2e
async def test_killed_and_cut_off_a_trial_gets_where_a_quiet_run_puts_it(tmp_path: Path) -> None:
    """Server and web die in the middle of the signup; the quiet run is the one that ``make chaos`` compares with its own."""
    async with house(tmp_path, one_try=2.0) as home, directing(home, "tale") as director:
        story = TOLD["Cobalt"]
        await director.introduce([story])
        home.doom(KILLS)
        storm = Storm(home, list(FAILURES), signups={1: ("web", "temporal")})
        async with storm.over(director):
            [company] = companies = await director.play_all([story])
        assert company.problem == ""
        run = run_of(companies, await asyncio.to_thread(director.tenure.ledger.effects), await home.log(), {})
        run.running, run.failed_tasks = await nothing_runs(director, [company.domain]), await failed_tasks(director.client)
        assert differences(recorded(), run) == []
        assert run.finished == 1
        assert home.died_at() == set(KILLS)
        assert (home.kills, home.deaths()) == ({"web": 1, "temporal": 1}, [-9] * len(KILLS))
        assert storm.met == Counter((str(each["service"]), str(each["kind"])) for each in FAILURES)


def test_a_worker_that_does_not_ask_makes_a_duplicate_which_is_told(sandbox: SandboxServer, tmp_path: Path) -> None:
    where = {"TENURE_DATA_DIR": str(tmp_path), "TENURE_SLACK_URL": f"{sandbox.url}/slack/api/", "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "tests.chaos.doomed_batch", str(tmp_path))
    ran = subprocess.run(command, env={**os.environ, **where}, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ran.stdout) == {subject: [-9, 0] for subject in SUBJECTS}, ran.stderr
    twice = duplicates([shown(one) for one in sandbox.world.log.effects])
    assert twice == ["slack message.posted trial-blind.com/1.1/slack.alert: 2 times"]


def test_every_effect_there_is_has_its_kind() -> None:
    """One that no system carries out would be killed nowhere."""
    modules = [import_module(module.name) for module in pkgutil.iter_modules(domain.effects.__path__, "domain.effects.")]
    found = {one for module in modules for one in vars(module).values() if isinstance(one, type) and issubclass(one, Effect)}
    assert {one.__name__ for one in found if not one.__subclasses__()} == set(KINDS)
    assert len(KINDS) == len(set(KINDS))


# --- the look itself ----------------------------------------------------------------------------------------------------------------------


def a_run() -> Run:
    return Run(
        ends={"acme": ["2.2 terminated"]},
        effects={"acme": ["trial-acme/1 slack: slack.alert"]},
        begun=[],
        seen=Counter({("acme", "slack", "message.posted"): 2}),
        duplicates=[],
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ends": {"acme": []}}, "acme ended as [], not as ['2.2 terminated']"),
        ({"ends": {}}, "acme ended as None, not as ['2.2 terminated']"),
        ({"effects": {}}, "loss, by the ledger: acme: trial-acme/1 slack: slack.alert"),
        ({"effects": {"acme": ["trial-acme/1 slack: slack.alert"] * 2}}, "one more, by the ledger: acme: trial-acme/1 slack: slack.alert"),
        ({"begun": ["trial-acme/1/slack.alert"]}, "begun and never done: trial-acme/1/slack.alert"),
        (
            {"seen": Counter({("acme", "slack", "message.posted"): 3})},
            "duplicate, by the outside systems: acme slack message.posted: 3, not 2",
        ),
        ({"seen": Counter({("acme", "slack", "message.posted"): 1})}, "loss, by the outside systems: acme slack message.posted: 1, not 2"),
        ({"duplicates": ["smtp mail.accepted <1>: 2 times"]}, "duplicate: smtp mail.accepted <1>: 2 times"),
        ({"failed_tasks": ["trial-acme, event 5: no"]}, "failed workflow task: trial-acme, event 5: no"),
        ({"running": ["trial-acme"]}, "still running: trial-acme"),
    ],
)
def test_whatever_is_wrong_is_told(change: dict[str, object], says: str) -> None:
    assert differences(a_run(), dataclasses.replace(a_run(), **change)) == [says]  # type: ignore[arg-type]


def test_what_the_outside_systems_saw_twice_is_told_by_its_mark() -> None:
    mail = {"number": 1, "service": "smtp", "act": "mail.accepted", "what": "", "data": {"message_id": "<1>"}}
    posted = {
        "number": 2,
        "service": "slack",
        "act": "message.posted",
        "what": "",
        "data": {"metadata": {"event_payload": {"key": "a/1.1/b"}}},
    }
    unmarked = {"number": 3, "service": "slack", "act": "message.posted", "what": "", "data": {"metadata": None}}
    assert duplicates([mail, posted, unmarked, unmarked]) == []
    assert duplicates([mail, posted, mail, posted, mail]) == ["slack message.posted a/1.1/b: 2 times", "smtp mail.accepted <1>: 3 times"]
    # A mail is handed over as often as it was begun, at the most: nobody can ask SMTP what it took.
    assert duplicates([mail, mail], {"<1>": 2}) == []
    assert duplicates([mail, mail, mail], {"<1>": 2}) == ["smtp mail.accepted <1>: 3 times"]
