"""What the tests of the ways in share: a real dev server with a clock for each workflow, and commands run in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from starter.cli import app
from starter.errors import TenureError
from starter.local.stack import SERVER_SETTINGS
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.settings import Settings
from workflows.frame.search_attributes import DOMAIN, DUE_AT, OWNER, STAGE


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def flat(self) -> str:
        """The page without its line breaks."""
        return " ".join(self.out.split())


Run = Callable[..., Outcome]


class Service:
    """A service that notes what it is asked, and answers from memory or raises what the test put in ``error``."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.error: TenureError | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.answers:
            raise AttributeError(name)

        async def answer(*args: Any, **named: Any) -> Any:
            self.asked.append((name, args, named))
            if self.error is not None:
                raise self.error
            found = self.answers[name]
            return found(*args) if callable(found) else found

        return answer


def opens(monkeypatch: pytest.MonkeyPatch, service: object) -> None:
    """Every command finds this service."""

    @asynccontextmanager
    async def opened(_: object, **__: object) -> AsyncIterator[object]:
        yield service

    monkeypatch.setattr("starter.cli.base.open_tenure", opened)
    monkeypatch.setattr("starter.run.SETTLE", 0)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENURE_DATA_DIR", str(tmp_path / "data"))  # restored afterwards, whatever --data sets

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as end:
            app.main(list(arguments))
        printed = capsys.readouterr()
        return Outcome(int(end.value.code or 0), printed.out, printed.err)

    return run


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    """The server of the local stack, with the settings that `tenure up` gives it."""
    keys: list[SearchAttributeKey[Any]] = [STAGE, OWNER, DUE_AT, DOMAIN]
    flags = [word for key, value in SERVER_SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")]
    home = tmp_path_factory.mktemp("keys")
    people = Ledger(f"sqlite:///{home / 'people.db'}")
    people.create()
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_extra_args=flags,
        dev_server_log_level="error",
        data_converter=data_converter(Settings(_env_file=None, data_dir=home), people),
        search_attributes=keys,
    )
    async with environment:
        with environment.with_time_skipping_disabled():
            yield environment
    people.close()
