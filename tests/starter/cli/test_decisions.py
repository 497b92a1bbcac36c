"""``tenure decisions replay``: says what is the same, shows what differs with both, and exits accordingly."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import decision
from domain.decision import Conclusion
from domain.trial.decisions import Course
from store.ledger import Ledger
from store.read_model import ReadModel
from tests.starter.conftest import Run
from tests.store.test_decisions import MADE, TRIAL, rows


def test_a_replay_counts_shows_and_exits(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    record.create()
    ReadModel(record).keep(rows(*MADE))
    record.close()
    found = run("decisions", "replay")
    assert (found.code, found.out) == (0, "3 decisions are the same, 1 of them made by people; 0 differ\n")
    monkeypatch.setattr(
        decision.FUNCTIONS["trial.decisions.mid_trial"], "function", lambda *_given, **_named: Conclusion(Course.ASK, "Nobody knows.", "")
    )
    found = run("decisions", "replay", "--workflow", TRIAL)
    assert found.code == 1
    assert [line.strip()[:12] for line in found.out.splitlines()] == ["trial-acme.e", "was extend: ", "is ask: Nobo", "2 decisions "]
    assert [each["what"] for each in run("decisions", "replay", "--json").json["differing"]] == ["day-15"]
    assert run("decisions", "replay", "--since", "2027-01-01").code == 0
    assert run("decisions", "replay", "--since", "soon").code == 2
