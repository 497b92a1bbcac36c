"""Decisions made again from the ledger alone: the same, unless a function, a policy or a row is another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from activities.erasure import forget
from domain import decision
from domain.decision import Conclusion, Decision
from domain.read_model import Rows
from domain.trial import adoption, decisions
from domain.trial.decisions import Course
from store.crypto.person_keys import PersonKeys
from store.decisions import replay
from store.ledger import Ledger
from store.read_model import ReadModel
from store.settings import Settings
from store.tables import decisions as table
from store.tables import policies
from tests.domain.make import ADA, MONDAY, POLICY, signup, usage, with_figures

TRIAL = "trial-acme.example"
OTHER = with_figures(trial__d15__mode="ask")
MADE = (
    decisions.route(POLICY, signup(), "acme.example"),
    decisions.mid_trial(POLICY, usage(code_hosts=1), MONDAY),
    decisions.by_person(POLICY, Course.TERMINATE, "ce@tenure.example", "no budget", MONDAY),
)


def rows(*made: Decision, **more: Any) -> Rows:
    return Rows(**{"workflow": TRIAL, "run": "1", "version": 1, "decisions": made, "policy": POLICY, **more})


def test_what_was_decided_is_decided_again_from_the_ledger_alone(either_ledger: Ledger) -> None:
    """Also what a policy decided that is no process's any more; each policy is kept once."""
    lists = ReadModel(either_ledger)
    lists.keep(rows(*MADE), rows(*MADE, workflow="trial-bolt.example"))
    moved = adoption.adopted(OTHER, POLICY, "ops@tenure.example", "it is another time", (), MONDAY)
    lists.keep(rows(moved, decisions.mid_trial(OTHER, usage(code_hosts=1), MONDAY), version=2, first_decision=4, policy=OTHER))
    found = replay(either_ledger)
    assert (found.same, found.by_people, found.without_inputs, found.differing) == (8, 3, 0, ())
    assert replay(either_ledger, workflow="trial-bolt.example").same == 3
    assert replay(either_ledger, since=MONDAY + timedelta(days=1)).same == 0
    with either_ledger.reading() as db:
        assert sorted(db.execute(select(policies.c.hash)).scalars()) == sorted((POLICY.hash, OTHER.hash))


def test_a_function_that_decides_otherwise_now_is_shown_with_both(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ReadModel(ledger).keep(rows(*MADE))
    known = decision.FUNCTIONS["trial.decisions.mid_trial"]
    monkeypatch.setattr(known, "function", lambda *_given, **_named: Conclusion(Course.ASK, "Nobody knows.", "more"))
    [found] = replay(ledger).differing
    assert (found.workflow, found.number, found.what) == (TRIAL, 2, "day-15")
    assert (found.was.outcome, found.was.rule[:7], found.now.outcome, found.now.rule) == ("extend", "Active:", "ask", "Nobody knows.")


def test_what_cannot_be_decided_again_says_why(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its function is gone, its inputs are none that it takes, its policy is lost; and it has no inputs at all."""
    ReadModel(ledger).keep(rows(*MADE))
    monkeypatch.delitem(decision.FUNCTIONS, "trial.decisions.route")
    with ledger.writing() as db:
        for number, more in ((2, {"spelt": 1}), (3, {"policy": "000000000000"})):
            inputs = db.execute(select(table.c.inputs).where(table.c.number == number)).scalar_one()
            db.execute(table.update().where(table.c.number == number).values(inputs={**inputs, **more}))
    assert [each.now.rule[:60] for each in replay(ledger).differing] == [
        "it cannot be decided again: there is no function trial.decis",
        "it cannot be decided again: 1 validation error for mid_trial",
        "it cannot be decided again: policy 000000000000 is not kept",
    ]
    with ledger.writing() as db:
        db.execute(table.update().values(inputs=None))
    assert (replay(ledger).without_inputs, replay(ledger).differing) == (3, ())


def test_a_rebuild_takes_no_inputs_away_and_what_is_told_again_brings_them_back(either_ledger: Ledger) -> None:
    """What a process says of itself to `tenure rebuild` has none: it is a query's answer."""
    lists = ReadModel(either_ledger)
    lists.keep(rows(*MADE))
    said = Rows.model_validate_json(rows(*MADE).model_dump_json())
    assert (said.policy, [each.call for each in said.decisions]) == (None, [None] * 3)
    lists.keep(said)
    assert replay(either_ledger).same == 3
    with either_ledger.writing() as db:
        db.execute(table.delete())
    lists.keep(said)
    assert replay(either_ledger).without_inputs == 3
    lists.keep(rows(*MADE))
    assert replay(either_ledger).same == 3


def test_an_erased_persons_decisions_are_decided_again_all_the_same(ledger: Ledger, settings: Settings) -> None:
    ReadModel(ledger).keep(rows(*MADE))
    people = PersonKeys(ledger, settings.payload_ring(), settings.key)
    people.load([ADA.email])
    assert forget(ledger, people, ADA.email, key="acme.example", contact=True).rows["decisions"]
    with ledger.reading() as db:
        assert ADA.email not in str(list(db.execute(select(table))))
    assert (replay(ledger).same, replay(ledger).differing) == (3, ())
