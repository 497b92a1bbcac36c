"""`tenure demo` as anybody runs it: on a stack of its own that comes and goes, with the whole of its JSON; and where it will not play."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import psutil
import pytest

from domain.forecast.quarters import days_of
from domain.policy import default_accounts
from sandbox.fleet import fleet
from sandbox.server import SandboxServer
from starter.errors import Refused
from starter.local import stackfile
from starter.local.demo.board import Board
from starter.local.demo.company import Company, Played
from starter.local.demo.director import Director
from starter.local.demo.home import at_home, free_offset
from starter.local.demo.player import Story
from starter.local.demo.renewals import FLEET, STORIES, quarter_ahead
from starter.local.demo.trials import play_all
from starter.local.stack import OPS_FILE
from starter.local.supervise import port_is_free
from starter.service.bootstrap import Environment
from starter.service.tenure import Tenure
from store.ledger import Ledger
from store.settings import Settings

TENURE = Path(sys.executable).with_name("tenure")

#: What becomes of every company, with the number of effects that the world has seen of it.
ENDS = [
    ("borealis", "2.1", "converted", 38),
    ("cobalt", "2.2", "terminated", 26),
    ("dune", "2.2", "terminated", 33),
    ("ember", "2.2", "terminated", 37),
    ("fjord", "3.1", "disqualified", 5),
    ("glade", "3.2", "converted", 37),
    ("glade", "1", "redirected", 3),
    ("halcyon", "3.2", "disqualified", 18),
    ("juniper", "ce_requested", "converted", 42),
    ("kestrel", "ce_requested", "denied", 3),
    ("gmail.com", "free_mail", "moved", 4),
    ("lumen", "3.1", "disqualified", 5),
    ("meridian", "2.2", "converted", 33),
    ("orchard", "2.2", "terminated", 26),
]


def started(home: Path, *options: str) -> subprocess.Popen[str]:
    """The demo, where everything that could lead it astray is set: it must play on a stack of its own all the same."""
    astray = {
        "TENURE_SLACK_URL": "https://slack.example/api/",
        "TENURE_LEDGER_URL": "postgresql://nobody@127.0.0.1:1/none",
        "TENURE_POLICY_FILE": str(home / "absent.toml"),
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "TMPDIR": str(home / "tmp"),
    }
    (home / "tmp").mkdir()
    (home / ".env").write_text("TENURE_GITHUB_URL=https://github.example\nTENURE_WEB_URL=https://trials.example\n")
    return subprocess.Popen(
        [TENURE, "demo", "--json", "--data", str(home / "data"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **astray},
        cwd=home,
    )


def left_behind(home: Path) -> list[str]:
    """Processes that still work in the demo's directory, and what stands there."""
    words = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in words if str(home / "tmp") in line] + [path.name for path in (home / "tmp").iterdir()]


@pytest.mark.e2e
def test_every_case_reaches_its_end(tmp_path: Path) -> None:
    demo = started(tmp_path)
    said, progress = demo.communicate(timeout=300)
    assert demo.returncode == 0, progress
    assert_as_planned(json.loads(said))
    assert "Borealis   day 28  converted" in progress
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "data").exists()


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(("options", "middle"), [((), "day 15"), (("--renewals",), "save plan")])
def test_a_worker_that_is_killed_in_the_middle_is_replaced(tmp_path: Path, options: tuple[str, ...], middle: str) -> None:
    days = {datetime.now(UTC).date()}
    demo = started(tmp_path, *options)
    assert demo.stderr is not None
    for line in demo.stderr:
        if middle in line:
            break
    else:
        pytest.fail("it never came to its middle")
    [worker] = [
        part for part in psutil.Process(demo.pid).children(recursive=True) if any("worker.py" in word for word in part.cmdline()[1:2])
    ]
    worker.kill()
    said, progress = demo.communicate(timeout=400)
    assert demo.returncode == 0, progress
    answer = json.loads(said)
    if options:
        assert_quarter(answer, days | {datetime.now(UTC).date()})
    else:
        assert_as_planned(answer)
    assert left_behind(tmp_path) == []


def assert_as_planned(answer: dict[str, object]) -> None:
    trials = cast("list[dict[str, str]]", answer["trials"])
    tags = {match[1] for trial in trials if (match := re.fullmatch(r"[a-z]+-(\w{4})\.example", trial["domain"]))}
    assert len(tags) == 1
    [tag] = tags
    domain = {name: name if "." in name else f"{name}-{tag}.example" for name, *_ in ENDS}
    assert answer == {
        "trials": [{"domain": domain[name], "case": case, "end": end, "effects": effects} for name, case, end, effects in ENDS],
        "failed_workflow_tasks": 0,
        "left_open": [],
    }


def a_quarter(today: date) -> list[dict[str, object]]:
    """The renewals that the demo plays on a day, and how each ends."""
    first, last = days_of(default_accounts(), quarter_ahead(default_accounts(), today))
    due = [account for account in fleet(FLEET, today) if first <= account.contract_end <= last]
    due.sort(key=lambda account: (account.contract_end, account.domain))
    ends = [STORIES[number % len(STORIES)].steps[-1] for number in range(len(due))]
    assert len(due) >= len(STORIES)  # every story is played
    return [
        {"account": account.domain, "rating": rating or None, "outcome": outcome, "end": end}
        for account, (_, rating, outcome, end) in zip(due, ends, strict=True)
    ]


def assert_quarter(answer: dict[str, object], days: set[date]) -> None:
    assert answer["renewals"] in [a_quarter(day) for day in days]
    assert (answer["failed_workflow_tasks"], answer["left_open"]) == (0, [])


@pytest.mark.e2e
@pytest.mark.long
def test_a_quarters_renewals_reach_their_ends(tmp_path: Path) -> None:
    days = {datetime.now(UTC).date()}
    demo = started(tmp_path, "--renewals")
    said, progress = demo.communicate(timeout=400)
    assert demo.returncode == 0, progress
    days.add(datetime.now(UTC).date())  # it may have begun on either side of midnight
    assert_quarter(json.loads(said), days)
    assert left_behind(tmp_path) == []


@pytest.mark.e2e
@pytest.mark.long
def test_interrupted_it_takes_its_stack_with_it(tmp_path: Path) -> None:
    demo = started(tmp_path)
    assert demo.stderr is not None
    for line in demo.stderr:
        if "companies, at most" in line:
            break
    else:
        pytest.fail("it never began to play")
    demo.send_signal(signal.SIGINT)
    said, progress = demo.communicate(timeout=120)
    assert (demo.returncode, said) == (130, "")
    assert progress.endswith("Interrupted; everything that it started has stopped.\n")
    assert left_behind(tmp_path) == []


def running(settings: Settings) -> Environment:
    """A place where a stack runs."""
    found = stackfile.StackFile(pid=1, port_offset=0, temporal="t", temporal_ui="u", web="w", sandbox="s", cluster="c")
    return Environment(settings=settings, stack=found)


@pytest.mark.parametrize("real", ["slack_url", "smtp_url"])
async def test_it_does_not_play_where_a_real_system_listens(tmp_path: Path, real: str) -> None:
    settings = Settings(
        _env_file=None, data_dir=tmp_path, **{real: "https://slack.example/api/" if real == "slack_url" else "smtp://mx.example"}
    )
    with pytest.raises(Refused, match=rf"not on stand-ins alone: TENURE_{real.upper()}\."):
        async with at_home(running(settings), 0):
            pass


async def test_it_does_not_play_by_other_figures(tmp_path: Path) -> None:
    figures = Path("domain/policy.toml").read_text()
    changed = figures.replace("notice_day = { value = 12", "notice_day = { value = 11")
    assert changed != figures
    (tmp_path / "policy.toml").write_text(changed)
    with pytest.raises(Refused, match="policy of its own"):
        async with at_home(running(Settings(_env_file=None, data_dir=tmp_path, policy_file=tmp_path / "policy.toml")), 0):
            pass


async def test_on_a_running_stack_it_plays_there(tmp_path: Path) -> None:
    place = running(Settings(_env_file=None, data_dir=tmp_path))
    async with at_home(place, 0) as home:
        assert (home.place, home.own, home.keep) == (place, False, False)


def test_a_free_offset_is_free() -> None:
    offset = free_offset()
    assert all(port_is_free(port + offset) for port in (7233, 8233, 8234, 8080, 8900, 8925, 9833, 9834, 9835))


async def test_a_story_that_goes_another_way_is_told_and_stops_no_other(sandbox: SandboxServer, ledger: Ledger, tmp_path: Path) -> None:
    """And the Cloud team is afterwards as it was before."""

    class Firm(Company):
        async def is_over(self) -> None:
            self.played.append(Played(self.domain, "trial", "run", case="3.1", end="disqualified"))

    def mode() -> object:
        return httpx.get(f"{sandbox.url}/github/_control/cloud", trust_env=False).json()["mode"]

    sandbox.world.services["cloud"].seed({"mode": "auto"})
    found = stackfile.StackFile(
        pid=1, port_offset=0, temporal="", temporal_ui="", web="http://127.0.0.1:1", sandbox=sandbox.url, cluster=""
    )
    board = Board()
    (tmp_path / OPS_FILE).write_text("a token\n")
    async with httpx.AsyncClient(trust_env=False) as http:
        tenure = cast(Tenure, SimpleNamespace(ledger=ledger, client=None))
        director = Director(tenure, Environment(Settings(_env_file=None, data_dir=tmp_path), found), http, board)
        stories = (Story("3", [["signs_up", "triage"]], "Wrong"), Story("3", [["is_over"]], "Right"))
        companies = [Firm(director, story) for story in stories]
        await play_all(director, companies)
    assert [company.problem for company in companies] == ["All connection attempts failed", ""]
    assert [(line.state, line.last) for line in board.lines.values()] == [
        ("failed", "All connection attempts failed"),
        ("ended", "disqualified"),
    ]
    assert mode() == "auto"


# --- the actors ---------------------------------------------------------------------------------------------------------------------


def cue(sandbox: SandboxServer, part: str, **given: object) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/_sandbox/people/{part}", json=given, trust_env=False)


def test_an_actor_without_a_cue_says_what_is_missing(sandbox: SandboxServer) -> None:
    answer = cue(sandbox, "answer", tenure=sandbox.url, domain="acme.example")
    assert (answer.status_code, answer.json()) == (422, {"error": "the cue for 'answer' lacks 'task'"})


@pytest.mark.parametrize("part", ["answer", "build"])
def test_an_actor_waits_for_the_part_and_then_says_that_it_never_came(sandbox: SandboxServer, part: str) -> None:
    """Where no Tenure is, nothing is found: the sandbox itself answers 404."""
    answer = cue(sandbox, part, tenure=sandbox.url, domain="acme.example", task="triage", choice="qualify", patience=0.3)
    assert (answer.status_code, answer.json()) == (504, {"error": "acme.example: no task triage within 0.3 seconds"})


def test_an_actor_says_that_tenure_does_not_answer(sandbox: SandboxServer) -> None:
    answer = cue(sandbox, "decide", tenure="http://127.0.0.1:1", domain="acme.example", act="extend")
    assert answer.status_code == 502
    assert "Tenure does not answer" in answer.json()["error"]
