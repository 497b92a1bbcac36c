"""A ledger that another holds for half a minute, and a worker that is dead: what was sent is taken or kept, and the answer says which."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import yaml  # type: ignore[import-untyped]
from sqlalchemy import create_engine, insert, select
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain import ids, policy
from starter.errors import Unavailable
from starter.local.stack import parts
from starter.service import commands as service
from starter.service import kept_requests
from starter.service.connect import connect
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.kept_requests import FOLDER, KeptRequest, Spool
from starter.service.tenure import Tenure
from starter.web.__main__ import DRAIN_SECONDS
from starter.web.app import create_app
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.settings import Settings
from store.tables import failed_signups, roster
from tests.starter import standins
from tests.starter.web_fakes import HTML, PEOPLE, person

#: How long anybody waits at a form whose ledger is locked: what the ledger may take three times, and a machine that is busy.
AT_MOST = 3 * kept_requests.LEDGER_PATIENCE + 10
FORM = {"first_name": "Dana", "last_name": "Reyes", "company": "Acme"}


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, web_url="http://testserver")


@pytest_asyncio.fixture(loop_scope="session")
async def tenure(engine: WorkflowEnvironment, either_ledger: Ledger, own_settings: Settings) -> AsyncIterator[Tenure]:
    """As the web process has it: what it sends is encrypted with the keys of people, which the ledger has."""
    with either_ledger.writing() as db:
        db.execute(insert(roster), [person(*each) for each in PEOPLE])
    address = engine.client.service_client.config.target_host
    client = await connect(data_converter(own_settings, either_ledger), address=address)
    queue = f"tenure-{uuid.uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, workflows=standins.ALL, workflow_failure_exception_types=[Exception]):
        yield Tenure(client, either_ledger, own_settings, policy.default(), task_queue=queue)


@contextmanager
def locked(ledger: Ledger) -> Iterator[None]:
    """Another program holds the whole database, as a backup or a person at a console may."""
    url = ledger.url.replace("postgresql://", "postgresql+psycopg://")
    other = create_engine(url)
    with other.connect() as db:
        if db.dialect.name == "sqlite":
            db.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            tables = [row[0] for row in db.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            db.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        yield
        db.rollback()
    other.dispose()


async def test_a_ledger_that_is_locked_loses_no_signup(tenure: Tenure, own_settings: Settings) -> None:
    """By the form and by the API: answered in time, kept, and taken up when the lock is gone."""
    emails = [f"dana@co{uuid.uuid4().hex[:12]}.com" for _ in range(4)]
    app = create_app(tenure, own_settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver", timeout=120) as http:
        with locked(tenure.ledger):
            began = time.monotonic()
            answers = await asyncio.gather(
                *(http.post("/", data={**FORM, "email": email}, headers=HTML) for email in emails[:2]),
                *(http.post("/api/signups", json={**FORM, "email": email}) for email in emails[2:]),
            )
            assert time.monotonic() - began < AT_MOST
            assert [answer.status_code for answer in answers] == [503] * 4
            assert all("What you typed is not lost" in answer.text for answer in answers)
            assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
            waiting = list(Spool(own_settings.data_dir).waiting())
            assert sorted(row.email for row in waiting) == sorted(emails)
        await tenure.retry_failed_signups()
    assert list((own_settings.data_dir / FOLDER).iterdir()) == []
    for email in emails:
        assert "Dana Reyes of Acme" in str(await tenure.client.get_workflow_handle(ids.rescue(email)).result())
    assert await tenure.retry_failed_signups() == 0


async def test_a_request_that_meets_a_dead_worker_is_kept_and_sent_again(
    tenure: Tenure, engine: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CE reads that it is kept; once a worker runs, it is the same request, and nothing is asked for twice."""
    monkeypatch.setattr(service, "PATIENCE", 1.0)
    domain = f"co{uuid.uuid4().hex[:12]}.com"
    form = TrialRequestForm(email=f"dana@{domain}", company="Acme", ce="ce@tenure.example", seats=250, event_id="click-1")
    dead = Tenure(tenure.client, tenure.ledger, tenure.settings, tenure.policy, task_queue=f"nobody-{domain}")
    with pytest.raises(Unavailable, match="your request is kept as"):
        await dead.request_trial(form)
    monkeypatch.setattr(service, "PATIENCE", 20.0)
    async with Worker(tenure.client, task_queue=dead.task_queue, workflows=standins.ALL, workflow_failure_exception_types=[Exception]):
        assert await dead.retry_failed_signups() == 1
        assert await dead.retry_failed_signups() == 0
        said = await dead.request_trial(form)
        assert said.domain == domain
        await tenure.client.get_workflow_handle(ids.trial(domain)).terminate()
    with tenure.ledger.reading() as db:
        [row] = db.execute(select(failed_signups)).all()
    assert row.rescued_at is not None
    assert row.data["seats"] == "250"


def test_who_is_erased_is_erased_from_the_files_too(tmp_path: Path) -> None:
    """In any spelling of their mailbox; others' files stay, and one that cannot be read is left for a person to look at."""
    spool = Spool(tmp_path)
    for number, email in enumerate(("ada.l@gmail.com", "adal+x@googlemail.com", "bo@acme.com")):
        form = SignupForm(email=email, first_name="Ada", event_id=f"click-{number}")
        spool.keep(KeptRequest.of(form, "the ledger is locked", datetime.now(UTC)))
    (tmp_path / FOLDER / "broken.json").write_text("{")
    spool.erase("ADAL@gmail.com")
    assert [row.email for row in spool.waiting()] == ["bo@acme.com"]
    assert (tmp_path / FOLDER / "broken.json").exists()


def test_a_web_that_is_stopped_answers_whoever_waits_before_it_goes() -> None:
    """The longest wait: the worker is dead, and then the ledger takes its time to keep what was sent."""
    longest = service.PATIENCE + 2 * kept_requests.LEDGER_PATIENCE
    assert longest < DRAIN_SECONDS
    local = next(part for part in parts(Settings(_env_file=None), Path(), with_sandbox=False) if part.name == "web")
    assert local.grace > DRAIN_SECONDS
    compose = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text(encoding="utf-8"))
    assert int(compose["services"]["web"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS
