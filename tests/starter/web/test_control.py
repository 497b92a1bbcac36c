"""The control port of a real worker and of the web: alive, ready, what is measured, and drained in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from domain import ids, policy
from domain.upkeep import UpkeepInput
from sandbox.core import Fault
from sandbox.server import SandboxServer
from starter.errors import BadInput, Unavailable
from starter.service.connect import connect
from starter.web import control
from store.crypto.codec import data_converter
from store.ledger import EffectRow, Ledger
from store.settings import Settings
from tests.starter.web_fakes import settings_in
from worker import PATIENCE
from workflows.frame.search_attributes import REGISTERED

ROOT = Path(control.__file__).parents[2]


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@asynccontextmanager
async def process(
    command: list[str], settings: Settings, temporal: str, address: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """A process whose control port is there, and a client of that port; killed if the test leaves it running."""
    urls = {f"TENURE_{name.upper()}": str(getattr(settings, name)) for name in Settings.model_fields if name.endswith("_url")}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--control",
        address,
        env={**os.environ, **urls, "TENURE_DATA_DIR": str(settings.data_dir), "TEMPORAL_ADDRESS": temporal},
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=60, trust_env=False) as http:
            while True:
                try:
                    assert (await http.get("/livez")).json() == {"ok": True}
                    break
                except httpx.ConnectError:
                    assert child.returncode is None, await child.communicate()
                    await asyncio.sleep(0.05)
            yield child, http
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def until(look: Callable[[], Any]) -> Any:
    """What ``look`` finds, once it finds something."""
    async with asyncio.timeout(120):
        while not (found := await look()):
            await asyncio.sleep(0.05)
        return found


async def drained(child: asyncio.subprocess.Process, within: float = 90) -> str:
    """The log of a process that ended in order."""
    _, log = await asyncio.wait_for(child.communicate(), within)
    assert child.returncode == 0, log.decode()
    return log.decode()


def series(text: str) -> Mapping[str, float]:
    """What Prometheus would read."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_a_worker_is_ready_is_measured_and_when_drained_finishes_what_it_began(
    settings: Settings, sandbox: SandboxServer, ledger: Ledger
) -> None:
    """A key is being made when the worker is told to drain: it is not ready any more, the key is made and on record, and it ends with 0."""
    arguments = [word for name, kind in REGISTERED.items() for word in ("--search-attribute", f"{name}={kind}")]
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_extra_args=[*arguments, "--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true"],
        dev_server_log_level="error",
    )
    temporal = server.client.service_client.config.target_host
    async with server, process(["worker.py"], settings, temporal, free_address()) as (child, http):
        client = await connect(data_converter(settings, ledger), key=settings.way_in_key, address=temporal)
        given = UpkeepInput(policy=policy.default(), alerts_channel="cloud-trial-alerts")

        async def ready() -> bool:
            answer = await http.get("/readyz")
            assert answer.json()["parts"].keys() <= {"work", "temporal", "ledger", "sandbox"}
            return answer.status_code == 200

        await until(ready)
        await client.execute_workflow("RotateGenericKey", given, id="first", task_queue=ids.TASK_QUEUE)
        measured = await http.get("/metrics")
        assert measured.headers["content-type"].startswith("text/plain")
        found = series(measured.text)
        assert found['tenure_effects_total{outcome="done",system="licensing"}'] == 1
        assert found['tenure_effects_total{outcome="done",system="slack"}'] == 1
        assert found['tenure_ready{part="ledger"}'] == 1
        assert found['tenure_waiting{overdue="no"}'] == 0
        assert found["tenure_signups_kept"] == 0
        assert any(name.startswith("tenure_build{") for name in found)
        assert any(name.startswith("temporal_activity_succeed_endtoend_latency_seconds_count{") for name in found)
        assert {f'task_queue="{queue}"' in measured.text for queue in (ids.TASK_QUEUE, ids.BATCH_QUEUE)} == {True}

        page = await http.post("/drain", headers={"Origin": "http://evil.example"})
        assert (page.status_code, "browser" in page.json()["detail"]) == (403, True)
        assert await ready()

        sandbox.world.faults.append(Fault(service="licensing", kind="slow", seconds=8))
        await client.start_workflow("RotateGenericKey", given, id="second", task_queue=ids.TASK_QUEUE)

        async def effect() -> EffectRow | None:
            return next(iter(ledger.effects(workflow="second")), None)

        begun: EffectRow = await until(effect)
        assert begun.done_at is None
        assert (await http.post("/drain")).status_code == 202

        async def draining() -> bool:
            answer = await http.get("/readyz")
            return answer.status_code == 503 and "drains" in answer.json()["parts"]["work"]["says"]

        await until(draining)
        assert (await http.get("/livez")).status_code == 200
        log = await drained(child)
    (row,) = [each for each in ledger.effects(workflow="second") if each.number == begun.number]
    assert (row.attempts, row.done_at is not None) == (1, True)
    assert "Traceback" not in log


async def test_a_worker_that_waits_for_its_server_lives_is_not_ready_and_ends_when_it_is_told(settings: Settings) -> None:
    async with process(["worker.py"], settings, "127.0.0.1:1", free_address()) as (child, http):
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["parts"]) == (503, {"work": {"ok": False, "says": "has not begun yet"}})
        assert 'tenure_ready{part="work"} 0' in (await http.get("/metrics")).text
        child.terminate()
        await drained(child, within=PATIENCE / 2)  # it does not wait for its server to the end


async def test_the_web_is_measured_lives_without_a_server_and_is_drained(settings: Settings) -> None:
    site, address = free_address(), free_address()
    command = ["-m", "starter.web", "--port", site.rpartition(":")[2]]
    async with (
        process(command, settings, "127.0.0.1:1", address) as (child, http),
        httpx.AsyncClient(trust_env=False, timeout=60) as public,
    ):

        async def serves() -> bool:
            try:
                return (await public.get(f"http://{site}/livez")).status_code == 200
            except httpx.ConnectError:
                return False

        await until(serves)
        assert (await public.get(f"http://{site}/readyz")).status_code == 503
        assert (await public.get(f"http://{site}/trials/somebody@acme.com")).status_code == 404
        kept = await public.post(f"http://{site}/api/signups", json={"email": "dana@acme.com", "company": "Acme"})
        assert kept.json().get("code") == "kept", kept.text
        ready = (await http.get("/readyz")).json()["parts"]
        assert (ready["work"]["ok"], ready["ledger"]["ok"], ready["temporal"]["ok"]) == (True, True, False)
        text = (await http.get("/metrics")).text
        found = series(text)
        assert found['tenure_signups_total{outcome="kept"}'] == 1
        assert found["tenure_signups_kept"] == 1
        assert found['tenure_ready{part="temporal"}'] == 0
        assert found['tenure_request_seconds_count{method="GET",route="/readyz",status="503"}'] == 1
        assert found['tenure_request_seconds_count{method="GET",route="none",status="404"}'] == 1
        assert "acme" not in text.replace("acme-vendor", "").lower()
        assert await image_says_it_lives(address)
        assert (await http.post("/drain")).status_code == 202
        await drained(child)
    assert not await image_says_it_lives(address)


async def image_says_it_lives(address: str) -> bool:
    """What the image's own check says of the control port at an address."""
    found = re.search(r"(?m)^HEALTHCHECK .*CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert found is not None
    python, *words = json.loads(found[1])
    assert python == "python"
    quiet = asyncio.subprocess.DEVNULL
    check = await asyncio.create_subprocess_exec(sys.executable, *words, env={"TENURE_CONTROL": address}, stderr=quiet, stdout=quiet)
    return await check.wait() == 0


@pytest.mark.parametrize(
    ("token", "peer", "sent", "status"),
    [
        ("", "127.0.0.1", "", 202),
        ("", "::1", "", 202),
        ("", "::ffff:127.0.0.1", "", 202),
        ("", "10.1.2.3", "", 403),
        ("", "10.1.2.3", "Bearer ", 403),
        ("t" * 32, "127.0.0.1", "", 403),
        ("t" * 32, "10.1.2.3", "Bearer " + "u" * 32, 403),
        ("t" * 32, "10.1.2.3", "Bearer é", 403),
        ("t" * 32, "10.1.2.3", "Bearer " + "t" * 32, 202),
    ],
)
async def test_who_may_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, peer: str, sent: str, status: int) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    app = control.Control(settings_in(tmp_path, control_token=token)).app()
    transport = httpx.ASGITransport(app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.9.9.9:9464") as http:
        headers = {b"authorization": sent.encode()} if sent else {}
        answer = await http.post("/drain", headers=headers)
        assert (await http.get("/drain")).status_code == 405
        assert (await http.get("/readyz")).json()["parts"]["work"] == {"ok": False, "says": "has not begun yet"}
    assert answer.status_code == status
    assert raised == ([signal.SIGTERM] if status == 202 else [])


async def test_a_control_port_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    made = control.Control(settings_in(tmp_path))
    for wrong in ("9464", ":9464", "127.0.0.1:", "127.0.0.1:http"):
        with pytest.raises(BadInput, match="HOST:PORT"):
            await made.listening(wrong).__aenter__()
    with socket.create_server(("127.0.0.1", 0)) as busy, pytest.raises(Unavailable, match=r"cannot be 127\.0\.0\.1"):
        await made.listening(f"127.0.0.1:{busy.getsockname()[1]}").__aenter__()
    with pytest.raises(Unavailable, match="cannot be"):
        await made.listening("127.0.0.1:99999").__aenter__()
    async with made.listening(""):
        pass
