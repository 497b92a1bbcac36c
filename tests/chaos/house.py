"""A whole Tenure whose parts are processes of their own and can be killed: Temporal on a database file, the stand-ins, the web, a doomed worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from starter.local import skip, stackfile
from starter.local.demo.home import free_offset
from starter.local.stack import environment, kept_token, parts
from starter.local.supervise import Part, Supervisor
from starter.service import schedules
from starter.service.bootstrap import Environment
from starter.service.connect import connect
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.settings import Settings
from tests.chaos.kinds import Kill, Point

#: A worker that is killed in a workflow task holds it up for so long (the server's own: ten seconds), and a task that was held up again
#: and again waits for so long until it is tried anew (the server's own: ten minutes).
TASK_SECONDS, TASK_AGAIN_SECONDS = 3, 2
ROOT = Path(__file__).resolve().parents[2]


class House:
    """The running parts. ``kills`` counts, by part, those that were killed from here; the worker's own are in its marks."""

    def __init__(self, settings: Settings, data: Path, children: Supervisor, made: dict[str, Part], http: httpx.AsyncClient) -> None:
        self.settings, self.data, self.http = settings, data, http
        self._children, self._parts, self._pids = children, made, dict[str, int]()
        self._turns: dict[str, asyncio.Lock] = {}
        self.kills: dict[str, int] = {}
        self.web = f"http://127.0.0.1:{settings.web_port}"
        self.sandbox = f"http://127.0.0.1:{settings.sandbox_port}"
        self.temporal = f"127.0.0.1:{settings.temporal_port}"
        self.cluster = ""

    # --- the parts -----------------------------------------------------------------------------------------------------------------

    async def start(self, *names: str) -> None:
        for name in names:
            self._pids[name] = await self._children.start(self._parts[name])

    async def kill(self, name: str, away: float = 0.0) -> None:
        """``kill -9`` a part, and start it again after ``away`` seconds."""
        async with self._turns.setdefault(name, asyncio.Lock()):  # a part that is being started again is not killed twice
            pid = self._pids[name]
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():
                await asyncio.sleep(0.01)
            self.kills[name] = self.kills.get(name, 0) + 1
            await asyncio.sleep(away)
            await self.start(name)

    async def ready(self) -> None:
        """Wait until everything answers; makes the schedules."""
        converter = data_converter(self.settings, Ledger(self.settings.ledger_url))
        client = await connect(converter, key=self.settings.way_in_key, address=self.temporal, patience=60)
        self.cluster = await skip.cluster_of(client)
        await schedules.ensure(client, self.settings)
        async with asyncio.timeout(60):
            while not await self._healthy():
                await asyncio.sleep(0.1)
        await asyncio.to_thread(kept_token, self.settings, self.data)

    async def sandbox_is_up(self) -> None:
        """Wait until the outside systems answer."""
        async with asyncio.timeout(60):
            while True:
                with suppress(httpx.HTTPError):
                    await self.faults_left()
                    return
                await asyncio.sleep(0.1)

    async def _healthy(self) -> bool:
        try:
            return (await self.http.get(f"{self.web}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def place(self) -> Environment:
        """Where it is, for the ways in."""
        found = stackfile.StackFile(
            pid=os.getpid(),
            port_offset=self.settings.port_offset,
            temporal=self.temporal,
            temporal_ui="",
            web=self.web,
            sandbox=self.sandbox,
            cluster=self.cluster,
        )
        return Environment(settings=self.settings, stack=found)

    # --- what is planned ------------------------------------------------------------------------------------------------------------

    def doom(self, kills: Iterable[Kill]) -> None:
        """From now on a worker dies at these points, each once."""
        draft = self.data / "due.new"
        draft.write_text(json.dumps([[kind, str(point)] for kind, point in kills]))
        draft.replace(self.data / "due.json")

    def blind(self) -> None:
        """From now on no worker asks whether an effect that is recorded as begun has happened: the ledger's promise is broken."""
        (self.data / "blind").touch()

    def died_at(self) -> set[Kill]:
        """The points at which a worker has died."""
        marks = [mark.name.split(".") for mark in (self.data / "marks").iterdir()]
        return {(kind, Point(point)) for kind, point in marks}

    def deaths(self) -> list[int]:
        """How each worker ended that did end: the negative number of a signal, or an exit code."""
        file = self.data / "deaths"
        return [int(line.split()[1]) for line in file.read_text().splitlines()] if file.exists() else []

    def reached(self) -> set[str]:
        """The kinds of effect that were at work at all."""
        return {path.suffix[1:] for path in self.data.glob("reached.*")}

    async def fault(self, *faults: dict[str, Any]) -> None:
        """Plan failures of the outside systems; see ``sandbox/faults.py``."""
        (await self.http.post(f"{self.sandbox}/_sandbox/faults", json=list(faults))).raise_for_status()

    async def faults_left(self) -> list[dict[str, Any]]:
        """The planned failures that nothing has met yet."""
        return list((await self.http.get(f"{self.sandbox}/_sandbox/faults")).json())

    async def forget_faults(self) -> None:
        """The outside systems are well again."""
        (await self.http.delete(f"{self.sandbox}/_sandbox/faults")).raise_for_status()

    async def log(self) -> list[dict[str, Any]]:
        """What the outside systems have seen."""
        return list((await self.http.get(f"{self.sandbox}/_sandbox/log")).json())


@asynccontextmanager
async def house(
    data: Path, *, fleet: int = 0, ledger: str = "", one_try: float = 3.0, failures: Sequence[dict[str, Any]] = ()
) -> AsyncIterator[House]:
    """A house with its state in ``data``, whose outside systems begin with these ``failures``. ``ledger`` is another database for it; ``one_try`` is how many seconds a try of an activity may take."""
    data.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"ledger_url": ledger} if ledger else {}
    settings = Settings(_env_file=None, data_dir=data, port_offset=free_offset(), **given)
    made = {part.name: part for part in parts(settings, data, with_sandbox=True, fleet=fleet)}
    told = {"history.defaultWorkflowTaskTimeout": TASK_SECONDS, "history.workflowTaskRetryMaxInterval": f'"{TASK_AGAIN_SECONDS}s"'}
    flags = [word for key, value in told.items() for word in ("--dynamic-config-value", f"{key}={value}")]
    server = (*made["temporal"].command, *flags, "--headless")
    made["temporal"] = Part("temporal", server, layer=0)
    made["worker"] = Part("worker", (sys.executable, "-m", "tests.chaos.doomed_worker"), layer=2, grace=40.0)
    variables = environment(settings, data, os.environ) | {
        "CHAOS_DIR": str(data),
        "CHAOS_ONE_TRY": str(one_try),
        "PYTHONPATH": str(ROOT),
        "TENURE_ACCOUNT_BEGINNINGS_PER_SECOND": "50",
        "TENURE_OUTAGE_PROBE_SECONDS": "2",
        "OPENBLAS_NUM_THREADS": "1",
        **({"TENURE_LEDGER_URL": ledger} if ledger else {}),
    }
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http, Supervisor(data / "logs", variables) as children:
        built = House(settings, data, children, made, http)
        built.doom(())
        first = Ledger(settings.ledger_url)  # before the server, as `tenure up` does: a server without its ledger is an error
        await asyncio.to_thread(first.create)
        first.close()
        await built.start("temporal", "sandbox", "web", "worker")
        await built.sandbox_is_up()
        await built.fault(*failures)
        await built.ready()
        try:
            yield built
        finally:
            children.hurry()  # nobody waits for what they are at
