"""``/livez`` and ``/readyz`` of the web: what is lost makes it not ready, and never has it restarted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain import policy
from starter.service.tenure import Tenure
from starter.web.app import create_app
from store.ledger import Ledger
from store.settings import Settings
from tests.starter import standins
from tests.starter.service.test_kept_requests import locked
from tests.starter.web_fakes import settings_in


@activity.defn
async def nothing() -> None: ...


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@asynccontextmanager
async def site_of(client: Client, ledger: Ledger, settings: Settings, queue: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Tenure(client, ledger, settings, policy.default(), task_queue=queue), settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver", timeout=60) as http:
        yield http


async def lost(http: httpx.AsyncClient) -> list[str]:
    """What is not ready, the sandbox left out, while the process lives."""
    assert (await http.get("/livez")).json() == {"ok": True}
    ready = await http.get("/readyz", params={"exclude": "sandbox"})
    parts = {name for name, part in ready.json()["parts"].items() if not part["ok"]}
    assert ready.status_code == (503 if parts else 200)
    return sorted(parts)


async def test_the_web_lives_and_is_not_ready_without_a_worker_a_server_or_its_ledger(
    engine: WorkflowEnvironment, either_ledger: Ledger, own_settings: Settings
) -> None:
    client, queue = engine.client, f"ops-{uuid.uuid4().hex[:8]}"
    async with site_of(client, either_ledger, own_settings, queue) as http:
        assert await lost(http) == ["worker"]
        assert (await http.get("/readyz?exclude=worker&exclude=sandbox")).status_code == 200
        assert [(await http.get(path)).status_code for path in ("/readyz", "/healthz")] == [503, 503]
        async with Worker(client, task_queue=queue, workflows=standins.ALL, activities=[nothing]), asyncio.timeout(60):
            while await lost(http):
                await asyncio.sleep(0.1)
            with locked(either_ledger):
                while await lost(http) != ["ledger"]:
                    await asyncio.sleep(0.1)
    nowhere = await Client.connect("127.0.0.1:1", lazy=True)
    async with site_of(nowhere, either_ledger, own_settings, queue) as http:
        assert await lost(http) == ["temporal", "worker"]


async def test_livez_answers_under_any_name_however_often_and_reads_only(own_settings: Settings, ledger: Ledger) -> None:
    """A probe asks by an address, and must be answered while a crowd is turned away."""
    settings = own_settings.model_copy(update={"requests_per_address": "1/minute"})
    nowhere = await Client.connect("127.0.0.1:1", lazy=True)
    async with site_of(nowhere, ledger, settings, "ops") as http:
        answers = [await http.get("/livez", headers={"Host": "10.1.2.3:8080"}) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert (await http.post("/livez")).status_code == 404
        assert (await http.get("/readyz", headers={"Host": "10.1.2.3:8080"})).status_code == 421
