"""The short version: one house, in which two companies live quietly, two under attack, and one whose worker is broken on purpose."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain import acts, acts_accounts
from domain.act import Act
from starter.demo.stories import PREQUALIFIED, Story, disqualified, unused
from tests.chaos.check import Run, differences, duplicates, failed_tasks, run_of
from tests.chaos.house import House, house
from tests.chaos.kinds import KINDS, Kill, Point
from tests.chaos.script import Patient, directing, nothing_runs
from tests.chaos.storm import Storm

#: A worker dies once at every point.
KILLS: tuple[Kill, ...] = (
    ("CreateAdmin", Point.BEFORE),
    ("CreateAdmin", Point.RETRY),
    ("RaiseIssue", Point.AFTER),
    ("RaiseIssue", Point.RETRY_DONE),
    ("Mail", Point.RECORDED),
)
#: What the outside systems do meanwhile.
FAILURES = (
    {"service": "slack", "kind": "cut_after", "match": "chat.postMessage"},
    {"service": "salesforce", "kind": "status", "status": 503},
    {"service": "github", "kind": "rate_limit", "retry_after": 1},
    {"service": "instances", "kind": "cut_before"},
    {"service": "smtp", "kind": "slow", "seconds": 1.0},
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("chaos"), one_try=2.0) as built:
        yield built


def cast(tag: str) -> list[Story]:
    """Two companies, whose names tell them from those of another tag."""
    return [Story(f"Cobalt{tag}", "2.2 unused", unused, PREQUALIFIED), Story(f"Fjord{tag}", "3.1 does not qualify", disqualified)]


async def played(home: House, director: Patient, stories: list[Story], tag: str) -> Run:
    """Play, and look at what it has left behind."""
    companies = await director.play_all(stories)
    assert [each.problem for each in companies] == [""] * len(companies)
    running = await nothing_runs(director, [each.domain for each in companies])
    rows = await asyncio.to_thread(director.tenure.ledger.effects)
    run = run_of(companies, [row for row in rows if f"{tag}-" in row.subject], await home.log(), {f"{tag}-{director.tag}": "-TAG", tag: ""})
    run.running, run.failed_tasks = running, await failed_tasks(director.client)
    return run


@pytest.mark.e2e
async def test_killed_cut_off_and_locked_out_everybody_gets_where_a_quiet_run_puts_them(home: House) -> None:
    async with directing(home, "tale") as director:
        quiet = await played(home, director, cast("quiet"), "quiet")
        assert differences(quiet, quiet) == []
        home.doom(KILLS)
        storm = Storm(home, list(FAILURES), signups={1: "web", 2: "temporal"}, locks=(1.0,))
        async with storm.over(director):
            attacked = await played(home, director, cast("attacked"), "attacked")
        assert differences(quiet, attacked) == []
        assert attacked.finished == 2
        assert home.died_at() == set(KILLS)
        assert (home.kills, home.deaths()) == ({"web": 1, "temporal": 1}, [-9] * len(KILLS))
        assert storm.met == Counter((str(each["service"]), str(each["kind"])) for each in FAILURES)

        # And the same look finds it, when a worker does again unasked what a dead one had begun.
        home.blind()
        home.doom([("Post", Point.AFTER)])
        broken = await played(home, director, cast("broken")[1:], "broken")
        found = differences(dataclasses.replace(quiet, ends={}, effects={}, seen=Counter()), broken)
        assert [each.partition("/")[0] for each in found if each.startswith("duplicate:")] == [
            "duplicate: slack message.posted trial-fjordbroken-tale.example"
        ]


def test_every_act_there_is_has_its_kind() -> None:
    """One that no union holds would be killed nowhere."""
    named = {
        each.__name__
        for module in (acts, acts_accounts)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Act)
    }
    assert named - {"Act"} == set(KINDS)
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
