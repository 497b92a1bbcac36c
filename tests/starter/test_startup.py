"""What every process sees to first: its files are its owner's, no secret that everybody knows counts, and a lost or damaged ledger is said."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import event, select

from domain import policy
from starter import private_files, startup
from starter.cli import app
from starter.cli.lazy import loaded
from starter.errors import BadInput
from starter.web import health
from store import migrations
from store.ledger import Ledger
from store.settings import Settings
from store.tables import readiness
from tests.processes import run_program
from tests.starter.conftest import Run

ROOT = Path(app.__file__).parents[2]
#: Commands that read no ledger; ``demo`` starts a stack of its own elsewhere, ``skip`` wants one that runs.
WITHOUT_LEDGER = {"skip", "config", "policy show", "policy check", "rights", "keys new", "keys list", "keys token", "demo"}


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the program, by its words."""
    subcommands: dict[str, Any] = getattr(group, "commands", {})
    if not subcommands:
        yield " ".join(path), group
    for name, command in subcommands.items():
        yield from leaves(loaded(command), (*path, name))


COMMANDS = dict(leaves(typer.main.get_command(app.app)))
#: What an argument or option takes, by its name, where any text will not do.
VALUES = {
    "length": "5d", "by": "ce-ada@tenure.example", "email": "dana@acme.com", "role": "ce", "choice": "qualify", "task": "trial-acme.com:triage-1",
    "subject": "x", "renewal_on": "2027-01-01", "rating": "red", "outcome": "renew",
}  # fmt: skip
#: What is given though it need not be.
ALWAYS = {"by", "role", "yes"}


def filled(command: Any) -> list[str]:
    """What the command must be given, in values of the right kind."""
    words: list[str] = []
    for parameter in command.params:
        if not parameter.required and parameter.name not in ALWAYS:
            continue
        if parameter.name == "yes":
            words.append("--yes")
            continue
        kind = str(parameter.type_descriptor.annotation)
        value = VALUES.get(parameter.name, "acme.com")
        if "int" in kind or "float" in kind:
            value = "5"
        if "date" in kind:
            value = "2027-01-01"
        if "Path" in kind:
            value = str(policy.DEFAULT)
        words += [value] if type(parameter).__name__.endswith("Argument") else [parameter.opts[0], value]
    return words


def damaged(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ledger.db"
    path.write_bytes(random.Random(3).randbytes(20_000))
    return path


def test_the_matrix_has_every_command() -> None:
    assert len(COMMANDS) > 35
    assert set(COMMANDS) >= WITHOUT_LEDGER


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_LEDGER))
def test_a_damaged_ledger_gets_a_sentence_from_every_command(name: str, run: Run, tmp_path: Path) -> None:
    path = damaged(tmp_path / "data")
    said = run(*name.split(), *filled(COMMANDS[name]))
    assert said.code == 3, said
    assert f"the ledger {path} is damaged" in " ".join(said.err.split())
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_LEDGER))
def test_a_lost_ledger_beside_a_used_server_is_named_by_every_command(name: str, run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "temporal.db")) as db:
        db.executescript("CREATE TABLE executions_visibility (workflow_type_name TEXT); INSERT INTO executions_visibility VALUES ('Trial')")
    said = run(*name.split(), *filled(COMMANDS[name]))
    assert said.code == 3, said
    assert f"the ledger {data / 'ledger.db'} is missing" in " ".join(said.err.split())
    assert not (data / "ledger.db").exists()


@pytest.mark.parametrize("name", ["audit verify", "audit list", "token list", "effects list"])
def test_a_question_makes_no_ledger(name: str, run: Run, tmp_path: Path) -> None:
    said = run(*name.split(), *filled(COMMANDS[name]))
    assert said.code == 3
    assert "there is no ledger at" in " ".join(said.err.split())
    assert not (tmp_path / "data" / "ledger.db").exists()


def test_an_empty_audit_does_not_stand(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    ledger.create()
    ledger.close()
    said = run("audit", "verify")
    assert said.code == 1
    assert "There is no audit" in said.flat
    assert run("audit", "verify", "--json").json["ok"] is False


# --- Whole processes ---------------------------------------------------------------------------------------------------------------


def started(module: list[str], data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A process that is expected to end by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "TEMPORAL_"))}
    environment = clean | {"TENURE_DATA_DIR": str(data), "TEMPORAL_ADDRESS": "127.0.0.1:1"} | more
    return run_program(module, environment, data.with_name(f"{data.name}-printed"))


PROCESSES = {
    "web": ["-m", "starter.web", "--port", "0"],
    "worker": ["worker.py"],
    "up": ["-m", "starter.cli", "up", "--port-offset", "21900"],
    "cli": ["-m", "starter.cli", "tasks"],
}


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_says_that_its_ledger_is_damaged(process: str, tmp_path: Path) -> None:
    path = damaged(tmp_path)
    ended = started(PROCESSES[process], tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert f"the ledger {path} is damaged" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"TENURE_SLACK_URL": "https://slack.com/api/"}, "TENURE_SLACK_TOKEN"),
        ({"TENURE_GITHUB_URL": "https://api.github.com", "TENURE_GITHUB_TOKEN": "x"}, "TENURE_GITHUB_WEBHOOK_SECRET"),
        ({"TENURE_WEB_URL": "https://tenure.real.example", "TENURE_GITHUB_WEBHOOK_SECRET": "x"}, "TENURE_OIDC_CLIENT_SECRET"),
    ],
)
def test_every_process_refuses_a_stand_in_s_secret_with_a_real_address(
    process: str, given: dict[str, str], named: str, tmp_path: Path
) -> None:
    ended = started(PROCESSES[process], tmp_path / "data", **given)
    assert ended.returncode == 2, ended.stderr
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_what_is_refused_can_still_be_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_SLACK_URL", "https://slack.com/api/")
    assert run("config").code == 0


def test_a_wrong_setting_is_a_sentence_of_the_web_process_too(tmp_path: Path) -> None:
    ended = started(PROCESSES["web"], tmp_path, TENURE_INSTANCE_URL="http://nowhere")
    assert ended.returncode == 2
    assert "TENURE_INSTANCE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- Modes -------------------------------------------------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


def test_what_an_earlier_umask_left_open_is_closed_and_nothing_else_is_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    names = ["ledger.db", "ledger.db-wal", "temporal.db", "temporal.db-shm", "secret.key", "payload.keys", "payload.keys.lock", "codec.token",
             "ops.token", "stack.json", "stack.lock", "sandbox.state", "sandbox.state.bad", "warehouse.duckdb", "logs/web.log", "logs/web.log.1"]  # fmt: skip
    for name in [*names, "notes.txt"]:
        (data / name).touch()
        (data / name).chmod(0o664)
    (data / "logs").chmod(0o775)
    data.chmod(0o775)
    private_files.tidy(data)
    found = modes(data)
    assert {name: found[name] for name in names} == dict.fromkeys(names, 0o600)
    assert (found["."], found["logs"], found["notes.txt"]) == (0o700, 0o700, 0o664)


def test_a_directory_of_everybody_s_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(BadInput, match="everybody may write"):
        startup.check(Settings(_env_file=None, data_dir=tmp_path))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "elsewhere").chmod(0o644)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").symlink_to(tmp_path / "elsewhere")
    private_files.tidy(tmp_path / "data")
    assert modes(tmp_path)["elsewhere"] == 0o644


# --- Readiness ---------------------------------------------------------------------------------------------------------------------


async def test_readiness_writes(ledger: Ledger) -> None:
    probe = health.LedgerProbe(ledger, every=-1)
    assert await probe() == "takes writes (sqlite)"
    with ledger.reading() as db:
        first = db.execute(select(readiness.c.at)).scalar_one()
    await probe()
    with ledger.reading() as db:
        assert db.execute(select(readiness.c.at)).scalar_one() > first


async def test_readiness_writes_on_every_database(either_ledger: Ledger) -> None:
    probe = health.LedgerProbe(either_ledger, every=-1)
    assert (await probe(), await probe())[1].startswith("takes writes")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("PRAGMA query_only = 1", "cannot be written"),
        ("PRAGMA max_page_count = 1", "the disk is full"),
    ],
)
async def test_a_ledger_that_cannot_be_written_is_not_ready(tmp_path: Path, spoil: str, says: str) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.create()
    with ledger.writing() as db:
        db.exec_driver_sql("CREATE TABLE filler (text)")
    ledger.close()

    @event.listens_for(ledger.engine, "checkout")
    def _spoil(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute(spoil).close()

    if "max_page" in spoil:  # the row must need a page more
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as plain:
            plain.execute("DROP TABLE readiness")
            plain.execute("CREATE TABLE readiness (id INTEGER PRIMARY KEY, at TEXT DEFAULT '', more TEXT DEFAULT (hex(zeroblob(100000))))")
            plain.commit()
    found = await health.check({"ledger": health.LedgerProbe(ledger)})
    assert not found.ok
    assert says in found.parts["ledger"].says
    assert str(tmp_path) not in found.parts["ledger"].says
    ledger.close()


async def test_a_ledger_whose_file_is_gone_is_not_ready_though_it_is_open(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.create()
    probe = health.LedgerProbe(ledger, every=-1)
    assert (await health.check({"ledger": probe})).ok
    (tmp_path / "ledger.db").unlink()
    assert (await health.check({"ledger": probe})).parts["ledger"].says == "the ledger's file is missing"
    ledger.close()


async def test_many_who_ask_at_once_write_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = health.LedgerProbe(ledger, every=3600)
    written: list[int] = []
    real = probe._written

    def counted() -> health.Part:
        written.append(1)
        return real()

    monkeypatch.setattr(probe, "_written", counted)
    await asyncio.gather(*(probe() for _ in range(50)))
    assert len(written) == 1


def test_a_ledger_of_an_older_version_is_refused_with_what_to_run(run: Run, tmp_path: Path) -> None:
    """Nobody's start changes a database: every command, the worker and the web say so and exit with 2, until `tenure migrate` was run."""
    home = tmp_path / "data"
    assert run("migrate").code == 0
    with closing(sqlite3.connect(home / "ledger.db")) as db:
        db.executescript(
            "DROP TABLE alembic_version; DROP TABLE processes; DROP TABLE tasks; DROP TABLE decisions;"
            "ALTER TABLE customers DROP COLUMN health;"
        )
    for program in (("-m", "starter.cli", "token", "list"), ("-m", "starter.web")):
        ended = run_program(program, os.environ, tmp_path / "printed")
        assert (ended.returncode, "Run `tenure migrate` once" in ended.stderr) == (2, True), ended.stderr
    migrated = run("migrate", "--json")
    assert (migrated.code, migrated.json) == (0, {"before": "", "now": migrations.NEWEST})
    assert run("token", "list").code == 0
    assert "was up to date" in run("migrate").flat
