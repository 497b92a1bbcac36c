"""What the audit of the locked packages makes of the registry's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import supply


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages})


CLEAN = {"name": "httpx", "version": "1", "vulns": []}
WEAK = {"name": "jinja2", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}, {"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


def test_a_known_weakness_fails_and_says_what_mends_it() -> None:
    code, said = supply.verdict(report(CLEAN, WEAK, UNKNOWN))
    assert code == 1
    assert "2 of 3 locked packages are known" in said
    assert "jinja2 2: PYSEC-1, mended in 3" in said
    assert "PYSEC-2, mended in no version yet" in said


def test_an_accepted_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "ACCEPTED", {"PYSEC-1": "not used", "PYSEC-2": "not used"})
    assert supply.verdict(report(CLEAN, WEAK)) == (0, "audit: 2 of 2 locked packages are known to the registry; no known weakness")


@pytest.mark.parametrize("said", ["", "no json", "{}"])
def test_a_registry_that_does_not_answer_is_said_to(said: str) -> None:
    assert supply.verdict(said) == (0, "audit: the registry could not be asked; nothing was audited")


def test_nothing_known_is_no_pass() -> None:
    assert supply.verdict(report(UNKNOWN)) == (0, "audit: 0 of 1 locked packages are known to the registry: nothing was audited")
