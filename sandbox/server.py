"""Running the sandbox: one process, one event loop, one HTTP port and one SMTP port.

:func:`serve` is the whole of it; :class:`SandboxServer` runs it on a thread, for tests and for a local stack in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.app import create_app
from sandbox.core import World
from sandbox.faults import TRANSPORT
from sandbox.mail import Listener
from sandbox.state import Keeper

#: Seconds that requests under way get to finish when the sandbox stops.
GRACE = 1


class OpenProtocol(H11Protocol):
    """HTTP/1.1 that leaves its transport in the ASGI scope's ``state``, so that a planned fault can close the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Uvicorn(uvicorn.Server):
    """A server that leaves signals to its caller: uvicorn would raise them again, and the process would not exit with 0."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def bind(host: str, port: int) -> socket.socket:
    """Bind a TCP socket, any free port for 0, so that the address is known before anything is served from it."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


async def serve(
    world: World,
    http: socket.socket,
    smtp: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
    keeper: Keeper | None = None,
) -> None:
    """Serve ``world`` on two bound sockets until ``stop`` is set; calls ``ready`` once both answer. Closes the sockets.

    With a ``keeper`` the world begins with what was kept of it, and is kept from then on.
    """
    host, port = http.getsockname()[:2]
    world.public_url = f"http://{host}:{port}"
    world.smtp_port = smtp.getsockname()[1]
    app = create_app(world)
    keeping = keeper.begin() if keeper is not None else None
    config = uvicorn.Config(
        app,
        http=OpenProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
    )
    listener = Listener(world, world.services["smtp"])
    await listener.start(smtp)
    server = _Uvicorn(config, ready)
    serving = asyncio.create_task(server.serve(sockets=[http]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopping.cancel()
        await listener.stop()
        await serving
        if server.server_state.tasks:
            # Requests that outlived the grace were cancelled; they still have to notice.
            await asyncio.wait(server.server_state.tasks, timeout=0.5)
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait((keeping,))


class SandboxServer:
    """The sandbox on a thread of this process, as a context manager.

    ``with SandboxServer() as sandbox:`` gives ``sandbox.url``, ``sandbox.smtp_port`` and ``sandbox.world``, whose log and faults
    may be read and written directly. Port 0 means any free one. With ``state`` it begins with what that file holds, and is kept in it.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        smtp_port: int = 0,
        webhook_url: str = "",
        webhook_secret: str = "",
        state: Path | None = None,
    ) -> None:
        self.world = world or World()
        self.world.webhook_url = webhook_url or self.world.webhook_url
        self.world.webhook_secret = webhook_secret or self.world.webhook_secret
        self._keeper = Keeper(self.world, state) if state is not None else None
        self._host = host
        self._ports = (port, smtp_port)
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None

    @property
    def url(self) -> str:
        """The address of the HTTP side, without a slash at its end."""
        return self.world.public_url

    @property
    def smtp_port(self) -> int:
        """The port of the SMTP side, on the same host."""
        return self.world.smtp_port

    def start(self) -> SandboxServer:
        """Start, and return once both ports answer; raises what kept it from starting."""
        http = bind(self._host, self._ports[0])
        try:
            smtp = bind(self._host, self._ports[1])
        except OSError:
            http.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(http, smtp), name="sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def stop(self) -> None:
        """Stop, and return once everything is closed; does nothing when it does not run."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended by itself in between
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def _run(self, http: socket.socket, smtp: socket.socket) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            await serve(self.world, http, smtp, self._stop, self._ready.set, self._keeper)

        try:
            asyncio.run(run())
        except BaseException as error:
            self._error = error
        finally:
            http.close()
            smtp.close()
            self._ready.set()

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
