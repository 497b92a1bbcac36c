"""Where everything is measured: the server, the stand-ins and the worker of ``tenure up``, on ports and in a directory of their own.

Each is a process of its own, so that the worker's CPU is the worker's: neither the server's, nor the stand-ins', nor this program's.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import SecretStr
from temporalio.client import Client

from domain import policy
from domain.ids import TASK_QUEUE
from starter.local import stack
from starter.local.supervise import Part, Supervisor, port_is_free
from starter.service.connect import connect
from starter.service.tenure import Tenure
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.settings import PREFIX, Settings

#: Seconds that a process may take to come up, and the server to write its counters out (they are flushed a few seconds late).
PATIENCE = 120.0
FLUSHED = 3.0
#: Where the base ports may be moved to, all of them together; below those that the system gives to outgoing connections.
OFFSETS = range(1_000, 22_000)
#: Where a worker to compare with finds the files that it needs.
SCRIPT, RECEIPTS = "BENCH_SCRIPT", "BENCH_RECEIPTS"
_ACTION = re.compile(r"^action\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
_TYPE = re.compile(r'action_type="([^"]+)"')

#: The shipped policy with room for every measured trial: the cap is not what is measured.
ROOMY = policy.default().model_copy(update={"cloud": policy.default().cloud.model_copy(update={"instance_cap": 100_000})})


@dataclass
class Ground:
    """A running stack, and the ways to it. ``pids`` are the processes by name; ``kept`` is what one measurement leaves for the next."""

    settings: Settings
    data: Path
    children: Supervisor
    client: Client = field(init=False)
    ledger: Ledger = field(init=False)
    pids: dict[str, int] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def script(self) -> Path:
        """The file of the twin's script."""
        return self.data / "script.json"

    @property
    def receipts(self) -> Path:
        """The file of the offline worker's receipts."""
        return self.data / "receipts.json"

    @property
    def tenure(self) -> Tenure:
        """The way in, as the web process has it; its trials are carried out by the worker of ``tenure up``."""
        return Tenure(self.client, self.ledger, self.settings, ROOMY)

    def tenure_on(self, queue: str) -> Tenure:
        """The way in to trials that another worker carries out."""
        return Tenure(self.client, self.ledger, self.settings, ROOMY, task_queue=queue)

    async def start(self, name: str, *command: str, queue: str = "") -> None:
        """Start one more Python process, once; with ``queue`` it is a worker, and this returns when it polls that task queue."""
        if name in self.pids:
            return
        self.pids[name] = await self.children.start(Part(name, (sys.executable, *command), layer=2))
        if queue:
            await self.polled(queue)

    async def polled(self, queue: str) -> None:
        """Wait until a worker polls a task queue."""
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        ask = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )

        async def look() -> bool:
            return bool((await self.client.workflow_service.describe_task_queue(ask)).pollers)

        await until(look, f"a worker on {queue}")

    def cpu(self, name: str) -> float:
        """Seconds of CPU that a process has used, in user and system mode."""
        times = psutil.Process(self.pids[name]).cpu_times()
        return float(times.user + times.system)

    def rss(self, name: str) -> int:
        """Bytes of memory that a process holds."""
        return int(psutil.Process(self.pids[name]).memory_info().rss)

    async def billed(self) -> Counter[str]:
        """The server's own counter of billable actions, by kind, once it has come to rest."""
        before = None
        while True:
            now = await self._counter()
            if now == before:
                return now
            before = now
            await asyncio.sleep(FLUSHED)

    async def _counter(self) -> Counter[str]:
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{stack.METRICS_PORT + self.settings.port_offset}/metrics")).text
        found: Counter[str] = Counter()
        for counted in _ACTION.finditer(text):
            if 'namespace="default"' in counted["labels"] and (named := _TYPE.search(counted["labels"])):
                found[named[1]] += round(float(counted["count"]))
        return found

    async def sandbox_answers(self) -> bool:
        """Whether the stand-ins are up."""
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{self.settings.sandbox_port}/_sandbox/services")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    async def sandbox(self, path: str, given: object) -> None:
        """Tell the stand-ins something, by their control plane."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            (await http.post(f"http://127.0.0.1:{self.settings.sandbox_port}{path}", json=given)).raise_for_status()


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Start it all, and stop it all at the end; the directory goes, too."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as directory:
        data = Path(directory)
        settings = Settings(_env_file=None, data_dir=data, port_offset=free_offset())
        files = {SCRIPT: str(data / "script.json"), RECEIPTS: str(data / "receipts.json")}
        environment = stack.environment(settings, data, os.environ) | explicit(settings) | files
        async with Supervisor(data / "logs", environment) as children:
            try:
                async with _ready(Ground(settings, data, children)) as made:
                    yield made
            except BaseException:
                _last_words(children)
                raise


@asynccontextmanager
async def _ready(ground: Ground) -> AsyncIterator[Ground]:
    """The parts, one after the other, each once the one before answers."""
    settings, children = ground.settings, ground.children
    parts = {part.name: part for part in stack.parts(settings, ground.data, with_sandbox=True)}
    for name in ("temporal", "sandbox"):
        ground.pids[name] = await children.start(parts[name])
    ground.ledger = Ledger(settings.ledger_url)
    converter = data_converter(settings, ground.ledger)
    ground.client = await connect(converter, key=settings.way_in_key, address=f"127.0.0.1:{settings.temporal_port}", patience=PATIENCE)
    await until(ground.sandbox_answers, "the sandbox")
    ground.ledger.create()
    try:
        ground.pids["worker"] = await children.start(parts["worker"])
        await ground.polled(TASK_QUEUE)
        yield ground
    finally:
        ground.ledger.close()


def _last_words(children: Supervisor) -> None:
    """What the parts wrote last: the directory with their logs is about to go."""
    for log in sorted(children.log_of("any").parent.glob("*.log")):
        for said in log.read_text(errors="replace").splitlines()[-5:]:
            sys.stderr.write(f"{log.stem}: {said}\n")


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition. Raises ``TimeoutError`` naming it."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while not await look():
        if asyncio.get_running_loop().time() > give_up:
            raise TimeoutError(f"{what} did not come in {PATIENCE:.0f} s")
        await asyncio.sleep(0.02)


def explicit(settings: Settings) -> dict[str, str]:
    """Every setting as a variable: the environment wins over a ``.env``, which may name real systems that nobody wants to measure."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    plain = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}
    return {f"{PREFIX}{name.upper()}": "" if value is None else str(value) for name, value in plain.items()}


def free_offset() -> int:
    """How far to move the ports so that none of them is taken."""
    for offset in random.sample(OFFSETS, 50):
        settings = Settings(_env_file=None, port_offset=offset)
        if all(port_is_free(port) for port in stack.ports(settings, with_sandbox=True).values()):
            return offset
    raise RuntimeError("no free ports were found in 50 tries")
