"""``tenure policy adopt`` and ``tenure workers``: what they take, what they print, how they end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from domain import policy as policies
from domain.policy import Policy
from domain.trial.adoption import Move, Preview
from starter.service.authorization import Authorization, operator
from starter.service.deployments import Build
from starter.service.policy_adoption import Adoption
from store.audit import Audit
from store.ledger import Ledger
from store.tables import roster
from tests.domain.make import MONDAY, day
from tests.starter.conftest import Run, opens
from tests.starter.web_fakes import person


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> list[dict[str, Any]]:
    """A service of three trials, and what it was asked; its authorization is a real one, and knows somebody of ops and a CE."""
    with ledger.writing() as db:
        db.execute(insert(roster), [person("ops", "cloud"), person("ce", "ce")])
    got: list[dict[str, Any]] = []
    moves = (
        Move(what="mail: learn", change="moved", was=day(10), will=day(9)),
        Move(what="day 15: ask (was: act)", change="means", was=day(15), will=day(15)),
    )

    async def adoptions(_: object, policy: Policy, where: str = "", **how: Any) -> list[Adoption]:
        got.append({"policy": policy.hash, "where": where, **how})
        preview = Preview(domain="b.example", stage="onboarding", policy="old", would_be=policy.hash, moves=moves)
        about = {"domain": "b.example", "workflow": "trial-b.example", "stage": "onboarding", "preview": preview}
        return [
            Adoption(domain="a.example", workflow="trial-a.example", stage="teardown", outcome="refused", says="it is being ended"),
            Adoption.model_validate({**about, "outcome": "adopted" if how["do"] else "would adopt"}),
            Adoption(domain="c.example", workflow="trial-c.example", stage="triage", outcome="has it"),
        ]

    authorization = Authorization(ledger, ("tenure.example",))
    opens(monkeypatch, SimpleNamespace(client=None, caller=operator(), authorization=authorization))
    monkeypatch.setattr("starter.cli.policy.adoptions", adoptions)
    return got


@pytest.fixture
def other(tmp_path: Path) -> str:
    """Another policy's file."""
    text = policies.DEFAULT.read_text(encoding="utf-8")
    assert "learn_day = { value = 10," in text
    path = tmp_path / "other.toml"
    path.write_text(text.replace("learn_day = { value = 10,", "learn_day = { value = 9,"), encoding="utf-8")
    return str(path)


def test_a_dry_run_says_what_would_change_for_which(run: Run, asked: list[dict[str, Any]], other: str) -> None:
    said = run("policy", "adopt", other, "--where", "Stage = 'onboarding'")
    hash_ = policies.load(Path(other)).hash
    assert asked == [{"policy": hash_, "where": "Stage = 'onboarding'", "by": "", "why": "", "do": False}]
    assert said.code == 0  # nothing was asked that could be refused
    assert "onboarding.learn_day 10 9" in said.flat
    assert "b.example onboarding would adopt 12 Mar 09:00 → 11 Mar 09:00: mail: learn (moved)" in said.flat
    assert "17 Mar 09:00: day 15: ask (was: act)" in said.flat
    assert "a.example teardown refused it is being ended" in said.flat
    assert f"Policy {hash_}: 1 has it, 1 refused, 1 would adopt" in said.flat
    assert "nothing was changed" in said.flat
    assert f"TENURE_POLICY_FILE={other}" in said.flat


def test_it_is_applied_in_somebodys_name(run: Run, asked: list[dict[str, Any]], other: str, ledger: Ledger) -> None:
    refused = run("policy", "adopt", other, "--apply")
    assert (refused.code, asked) == (2, [])
    assert "nobody says who decides" in refused.err
    forbidden = run("policy", "adopt", other, "--apply", "--by", "ce@tenure.example")
    assert (forbidden.code, asked) == (1, [])
    assert "may not move running processes to another policy. These may: ops (any)" in " ".join(forbidden.err.split())
    said = run("policy", "adopt", other, "--apply", "--by", "ops@tenure.example", "--why", "sooner", "--json")
    assert [(how["by"], how["why"], how["do"]) for how in asked] == [("ops@tenure.example", "sooner", True)]
    hash_ = policies.load(Path(other)).hash
    assert [(row.who, row.what, row.outcome) for row in Audit(ledger, ("tenure.example",)).rows()] == [
        ("ce@tenure.example", f"adopt policy {hash_}", "refused"),
        ("ops@tenure.example", f"adopt policy {hash_}", "accepted"),
    ]
    assert said.code == 1  # one was refused
    assert [(each["domain"], each["outcome"]) for each in said.json["trials"]] == [
        ("a.example", "refused"),
        ("b.example", "adopted"),
        ("c.example", "has it"),
    ]
    assert said.json["figures"] == [{"path": "onboarding.learn_day", "was": 10, "will": 9}]


def test_a_file_that_is_no_policy(run: Run, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[trial]\nsurprise = { value = 1, unit = "days", id = "X" }\n')
    said = run("policy", "adopt", str(wrong))
    assert (said.code, asked) == (2, [])
    assert "wrong.toml:2: trial.surprise: unknown key" in said.err
    assert run("policy", "adopt", str(tmp_path / "none.toml")).code == 2


def test_the_builds(run: Run, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[Build] = []

    async def builds(_: object) -> list[Build]:
        return known

    async def make_current(_: object, build: str) -> str:
        return "1+a"

    monkeypatch.setattr("starter.cli.setup.builds", builds)
    monkeypatch.setattr("starter.cli.setup.make_current", make_current)
    assert "No worker has polled as a build yet" in run("workers", "list").out
    known.append(Build(build_id="1+a", status="current", current=True, known_since=MONDAY))
    assert "1+a current Mon 02 Mar 2026 09:00 UTC" in run("workers", "list").flat
    assert run("workers", "list", "--json").json[0]["build_id"] == "1+a"
    assert run("workers", "promote", "2+b").out.strip() == "2+b is current, in place of 1+a"
    assert run("workers", "promote", "1+a").out.strip() == "1+a is current already"
