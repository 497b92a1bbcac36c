"""The commands about personal data that need no server, and how `tenure forget` asks first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from starter.cli import personal_data
from starter.service import erasure
from store.crypto.codec import data_converter
from store.crypto.key_ring import parse
from store.ledger import Ledger
from store.settings import Settings
from tests.starter.conftest import Run

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_the_kept_ring_is_rotated(run: Run, tmp_path: Path) -> None:
    first = run("keys", "list", "--json").json
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    ledger = Ledger(settings.ledger_url)
    ledger.create()
    codec = data_converter(settings, ledger).payload_codec
    assert codec is not None
    people = codec.people  # type: ignore[attr-defined]
    people.load(["dana@kestrel.example"])
    ledger.close()
    rotated = run("keys", "rotate", "--json").json
    assert (rotated["keys"], rotated["people"]) == (2, 1)
    assert "without a restart" in rotated["message"]
    listed = run("keys", "list", "--json").json
    assert [key["use"] for key in listed["keys"]] == ["encrypts", "opens"]
    assert listed["keys"][1]["id"] == first["keys"][0]["id"]
    assert listed["kept_in"].endswith("payload.keys")
    assert rotated["id"] in run("keys", "list").flat


def test_a_ring_of_the_environment_is_rotated_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("keys", "new").out.strip()
    [key] = parse(made)
    monkeypatch.setenv("TENURE_PAYLOAD_KEYS", made)
    assert run("keys", "list", "--json").json == {"kept_in": "TENURE_PAYLOAD_KEYS", "keys": [{"id": key.id, "use": "encrypts"}]}
    refused = run("keys", "rotate")
    assert refused.code == 1
    assert "in front of TENURE_PAYLOAD_KEYS" in " ".join(refused.err.split())


def test_a_wrong_ring_names_the_variable_and_shows_nothing_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_PAYLOAD_KEYS", "one:c2hvcnQ=")
    refused = run("keys", "list")
    assert refused.code == 2
    assert "TENURE_PAYLOAD_KEYS" in refused.err
    assert "c2hvcnQ" not in refused.err


def test_the_token_is_kept(run: Run, tmp_path: Path) -> None:
    token = run("keys", "token").out.strip()
    assert run("keys", "token", "--json").json == {"token": token}
    assert (tmp_path / "data" / "codec.token").stat().st_mode & 0o777 == 0o600


def test_forget_asks_first(run: Run) -> None:
    refused = run("forget", "dana@kestrel.example")
    assert refused.code == 2
    assert "--yes" in refused.err


@pytest.mark.parametrize(
    ("anything", "says"), [(True, "2 rows of effects overwritten"), (False, "Nothing is left of dana@kestrel.example")]
)
def test_forget_says_what_was_done(run: Run, monkeypatch: pytest.MonkeyPatch, anything: bool, says: str) -> None:
    rows = {"effects": 2} if anything else {}
    done = erasure.Erasure(
        email="dana@kestrel.example", placeholder="erased-f04ee804473e@kestrel.example", anything=anything, rows=rows, notes=("no mail",)
    )
    monkeypatch.setattr(personal_data, "ask", lambda _: done)
    assert says in run("forget", "dana@kestrel.example", "--yes").flat
    assert run("forget", "dana@kestrel.example", "--yes", "--json").json["rows"] == rows
