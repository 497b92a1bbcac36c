"""``tenure effects``: lists, shows and verifies what is on record, with the ledger alone; against the sandbox, not a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from activities.effects.verify import known_systems
from domain import ids
from domain.effects.effect import Receipt, systems
from sandbox.server import SandboxServer
from store.audit import Audit
from store.ledger import OWN_TABLES, EffectId, Ledger
from store.settings import Settings
from store.tables import effects
from tests.activities.every_effect import RENEWAL, SUBJECT, do_everything
from tests.starter.conftest import Run

TRIAL = SUBJECT.partition("/")[0]


@pytest.fixture
def record(run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of the directory in which commands run, and an environment that points them at the sandbox."""
    for name in Settings.model_fields:
        if name.endswith("_url") and name not in ("ledger_url", "warehouse_url", "web_url"):
            monkeypatch.setenv(f"TENURE_{name.upper()}", getattr(settings, name))
    made = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    made.create()
    yield made
    made.close()


def add(record: Ledger, subject: str, key: str, *, system: str = "slack", data: dict[str, str] | None = None, done: bool = True) -> None:
    row = {"system": system, "act": "message.posted", "summary": f"post {key}", "as_of": datetime(2026, 3, 2, tzinfo=UTC)}

    def do() -> Receipt:
        if not done:
            raise ConnectionError("lost")
        return Receipt(ref="1.5", data={"channel": "C1", **(data or {})})

    try:
        record.once(EffectId(subject, key), **row, do=do, probe=lambda: None)  # type: ignore[arg-type]
    except ConnectionError:
        assert not done


def keys(listed: list[dict[str, Any]]) -> list[str]:
    return [row["key"] for row in listed]


def test_a_list_is_of_a_company_a_workflow_or_all(run: Run, record: Ledger) -> None:
    for subject, key in (
        (SUBJECT, "alert"),
        (RENEWAL, "renewal"),
        ("red-acme.example/11111111.0", "red"),
        ("trial-xacme.example/11111111.0", "other"),
        ("renewal-acme.example.org-2026-06-30/1.0", "longer"),
        ("pool/11111111.0", "warm"),
    ):
        add(record, subject, key)
    assert keys(run("effects", "list", "--json").json) == ["alert", "renewal", "red", "other", "longer", "warm"]
    assert keys(run("effects", "www.acme.example", "--json").json) == ["alert", "renewal", "red"]
    assert keys(run("effects", "list", "pool", "--json").json) == ["warm"]
    assert keys(run("effects", "list", RENEWAL.partition("/")[0], "--json").json) == ["renewal"]
    page = run("effects", "list")
    assert page.code == 0
    assert all(word in page.out for word in ("alert", TRIAL, "slack", "post warm"))
    assert run("effects", "list", "nobody.example").out == "Nothing is on record.\n"


def test_a_list_leaves_out_what_was_not_asked_for(run: Run, record: Ledger) -> None:
    add(record, SUBJECT, "old")
    add(record, SUBJECT, "issue", system="github")
    add(record, SUBJECT, "lost", done=False)
    with record.writing() as db:
        db.execute(update(effects).where(effects.c.key == "old").values(begun_at=datetime.now(UTC) - timedelta(days=9)))
    assert keys(run("effects", "list", "--system", "github", "--json").json) == ["issue"]
    assert keys(run("effects", "list", "--open", "--json").json) == ["lost"]
    assert keys(run("effects", "list", "--since", "7d", "--json").json) == ["issue", "lost"]
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    assert keys(run("effects", "list", "--since", yesterday, "--json").json) == ["issue", "lost"]
    assert run("effects", "list").out.count("begun, not known to be done") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--since", "2026-13-01"], "is not a moment"),
        (["list", "--since", "soon"], "is not a length of time"),
        (["list", "--system", "fax"], "Choose one of: github, instance"),
        (["verify", "--system", "fax"], "Choose one of: github, instance"),
        (["show", "alert"], "is not the number of an effect"),
        (["list", "not a domain"], "is not a domain"),
    ],
)
def test_what_cannot_be_understood_is_said(run: Run, record: Ledger, arguments: list[str], said: str) -> None:
    outcome = run("effects", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


def test_one_effect_is_shown_by_number_or_by_key_without_its_secrets(run: Run, record: Ledger) -> None:
    add(record, SUBJECT, "access", data={"link": "s3cret-token", "username": "ada"})
    (row,) = run("effects", "show", "1", "--json").json
    assert (row["key"], row["attempts"], row["receipt"]["data"]["link"]) == ("access", 1, "(not shown)")
    assert run("effects", "show", TRIAL, "access", "--json").json == [row]
    page = run("effects", "show", "1")
    assert all(word in page.flat for word in ("access", SUBJECT, "1.5", "C1", "username ada", "Message metadata"))
    assert "s3cret-token" not in page.out + run("effects", "list", "--json").out + run("effects", "show", "1", "--json").out
    assert run("effects", "show", "2").code == 1
    assert "tenure effects list" in run("effects", "show", TRIAL, "nothing").err


def test_without_a_ledger_none_is_made(run: Run, tmp_path: Path) -> None:
    outcome = run("effects", "list")
    assert (outcome.code, outcome.out) == (3, "")
    assert "there is no ledger at" in outcome.err
    assert not (tmp_path / "data" / "ledger.db").exists()


def test_the_systems_are_those_that_are_verified() -> None:
    assert known_systems() == (*systems(), OWN_TABLES)


def test_the_subjects_of_a_company() -> None:
    starts = ids.of_company("acme.example")
    day = datetime(2026, 6, 30, tzinfo=UTC).date()
    for workflow in (
        ids.trial("acme.example"),
        ids.join("acme.example", "bob@acme.example"),
        ids.domain_change("acme.example"),
        ids.account("acme.example"),
        ids.renewal("acme.example", day),
        ids.get_well("acme.example"),
        ids.red("acme.example"),
    ):
        assert f"{workflow}/ab12cd34.0".startswith(starts), workflow
    assert not f"{ids.trial('acme.example.org')}/ab12cd34.0".startswith(starts)


def test_verify_prints_what_does_not_match_and_says_so_by_its_exit_code(
    run: Run, record: Ledger, settings: Settings, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings.model_copy(update={"data_dir": Path("data").resolve()})
    do_everything(here, record, sandbox, ("slack", "github", "sheets", "mail"))
    quiet = run("effects", "verify")
    assert (quiet.code, quiet.err) == (0, "")
    assert "The ledger and the outside systems match." in quiet.out
    assert "a mail that was handed over cannot be looked up" in quiet.out
    sandbox.world.services["slack"].channel_by_name("cloud-trial-alerts").messages.clear()
    changed = run("effects", "verify", "acme.example")
    assert changed.code == 1
    assert "missing" in changed.out
    assert f"{SUBJECT}/alert" in changed.flat
    found = run("effects", "verify", "--system", "slack", "--json")
    assert (found.code, [one["what"] for one in found.json[0]["outcome"]["mismatches"]]) == (1, ["missing", "missing"])
    assert run("effects", "verify", "--system", "github").code == 0
    assert run("effects", "verify", "nobody.example").code == 1
    assert "Not allowed" in run("effects", "verify", "--by", "nobody@tenure.example").err
    noted = [(row.what, row.outcome) for row in Audit(record, ()).rows()]
    assert noted[:2] == [("verify effects", "accepted"), ("verify effects acme.example", "accepted")]
    assert noted[-2:] == [("verify effects nobody.example", "refused"), ("verify effects", "refused")]
    monkeypatch.setattr("activities.asking.time.sleep", lambda _seconds: None)
    monkeypatch.setenv("TENURE_GITHUB_URL", "http://127.0.0.1:9/api/v3")
    down = run("effects", "verify")
    assert down.code == 2
    assert "github could not be asked: GitHub cannot be reached" in down.flat
    assert "missing" in down.out, "what can be told is told all the same"
