"""The commands about the audit and the tokens, on a ledger with no server behind it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from domain import rights, rights_page
from starter.errors import Unavailable
from starter.local.demo.director import token_of
from starter.local.stack import OPS_FILE, kept_token
from starter.service.bootstrap import Environment
from store.access import ServiceTokens
from store.ledger import Ledger
from tests.starter.conftest import Run
from tests.starter.web_fakes import settings_in


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data"


def on_the_ledger(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "ledger.db") as db:
        db.executescript(statement)
    db.close()


def test_a_flipped_byte_is_found_and_named(run: Run, home: Path) -> None:
    assert run("token", "create", "one", "--role", "manager").code == 0
    assert run("token", "create", "two", "--role", "ce").code == 0
    assert run("token", "revoke", "three").code == 1
    listed = run("audit", "list", "--json").json
    assert [(row["number"], row["what"], row["outcome"]) for row in listed] == [
        (1, "token create one manager", "accepted"),
        (2, "token create two ce", "accepted"),
        (3, "token revoke three", "refused"),
    ]
    assert all(row["who"].startswith("operator:") and row["via"] == "cli" for row in listed)
    good = run("audit", "verify", "--json")
    assert (good.code, good.json["ok"], good.json["count"]) == (0, True, 3)
    head = f"3:{good.json['head']}"
    assert run("audit", "verify", "--head", head).code == 0
    on_the_ledger(home, "DROP TRIGGER audit_no_update; UPDATE audit SET what = replace(what, 'two', 'twp') WHERE number = 2;")
    bad = run("audit", "verify")
    assert bad.code == 1
    assert "The audit was touched: row 2 was changed" in bad.flat
    found = run("audit", "verify", "--json")
    assert (found.code, found.json["row"], found.json["ok"]) == (1, 2, False)


def test_a_tokens_secret_is_printed_once_and_kept_nowhere(run: Run, home: Path) -> None:
    made = run("token", "create", "reporting", "--role", "manager", "--json").json
    assert made["token"].startswith("tnr_")
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    found = ServiceTokens(ledger).find(made["token"])
    assert found is not None
    assert (found.name, found.role) == ("reporting", rights.Group.MANAGER)
    ledger.close()
    assert all(made["token"].encode() not in file.read_bytes() for file in home.iterdir() if file.is_file())
    assert made["token"] not in run("token", "list").out
    assert run("token", "create", "reporting", "--role", "ce").code == 1  # a name on the audit stays one token's
    assert run("token", "revoke", "reporting").code == 0
    assert run("token", "revoke", "reporting").code == 1
    assert "revoked" in run("token", "list").flat


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("token", "create", "x"), "a machine's or a person's"),
        (("token", "create", "x", "--role", "boss"), "'boss' is no role of the rights"),
        (("token", "create", "a b", "--role", "ce"), "no name for a token"),
        (("token", "create", "x", "--role", "ce", "--for", "a@b.c"), "a machine's or a person's"),
        (("audit", "verify", "--head", "x"), "'x' is no head"),
        (("audit", "list", "--outcome", "won"), "'won' is no outcome"),
    ],
)
def test_what_cannot_be_used_is_said(run: Run, arguments: tuple[str, ...], says: str) -> None:
    refused = run(*arguments)
    assert refused.code == 2
    assert says in " ".join(refused.err.split())


def test_a_token_of_nobody_of_ours_is_refused(run: Run) -> None:
    refused = run("token", "create", "x", "--for", "dana@acme.com")
    assert (refused.code, "not among our people" in refused.err) == (1, True)


def test_the_table_is_printed_whole(run: Run) -> None:
    assert run("rights").out == rights_page.page()
    assert run("rights", "--json").json["rights"]["adopt_policy"] == {"ops": "any"}


def test_the_stacks_token_is_its_owners_alone_and_lasts(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    ledger = Ledger(settings.ledger_url)
    ledger.create()
    first = kept_token(settings, tmp_path).read_text()
    assert (tmp_path / OPS_FILE).stat().st_mode & 0o777 == 0o600
    assert kept_token(settings, tmp_path).read_text() == first
    tokens = ServiceTokens(ledger)
    found = tokens.find(first.strip())
    assert found is not None
    tokens.revoke(found.name)
    assert kept_token(settings, tmp_path).read_text() != first
    ledger.close()


def test_without_a_token_file_the_demo_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Start the stack again"):
        token_of(Environment(settings_in(tmp_path), None))
