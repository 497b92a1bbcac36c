"""An HTTP server in a process of ours: it begins and ends with the process, and its connections are bounded.

How many there are is bounded, how many of one address, and how long one may take for its headers and for our answer. uvicorn bounds none
of it: a client that sends a header's byte now and then, or never reads, would keep its connection for ever.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from starter.web.limiting import Network, address_of, customer_of, is_one_of, proxies_of
from store.settings import Settings

#: Seconds from the first moment of a request (or of a connection) until its headers are whole.
HEADER_SECONDS = 10.0
#: Seconds that a client may leave an answer unread, and that a connection which we close may take to go.
UNREAD_SECONDS = 20.0
#: Bytes of a request's line and headers.
HEADER_BYTES = 32 * 1024
#: The part of all connections that one address may have.
SHARE = 5


class Server(uvicorn.Server):
    """Ends in order on SIGTERM and SIGINT, and then returns; uvicorn's own would raise the signal again, and exit with its code."""

    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, for as long as the server runs: take nothing new, answer what came, and return."""
        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, setattr, self, "should_exit", True)
        try:
            yield
        finally:
            for number in self.signals:
                loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def beside(config: uvicorn.Config) -> AsyncIterator[None]:
    """Serve meanwhile, and leave the signals to the process."""
    server = Server(config)
    server.signals = ()
    serving = asyncio.create_task(server.serve(), name="beside")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def config(settings: Settings, app: ASGIApp, host: str, port: int, grace: int = 1) -> uvicorn.Config:
    """How an application is served; ``grace`` is how many seconds whoever waits for an answer has when it is stopped."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(settings),
        h11_max_incomplete_event_size=HEADER_BYTES,
        log_level="warning",
        log_config=None,  # its records go the way of all others, which masks them
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word counts is TENURE_TRUSTED_PROXIES' to say
        timeout_graceful_shutdown=grace,
    )


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with time-outs for headers and for reading, and with a bound on connections. See :func:`bounded`."""

    most: ClassVar[int] = 1_000
    proxies: ClassVar[Sequence[Network]] = ()
    header_seconds: ClassVar[float] = HEADER_SECONDS
    unread_seconds: ClassVar[float] = UNREAD_SECONDS
    _headers: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away at once when there are too many."""
        super().connection_made(transport)
        of_one = sum(1 for each in self.connections if isinstance(each, BoundedProtocol) and each._who == self._who)
        if len(self.connections) > self.most or (of_one > max(1, self.most // SHARE) and not self._is_trusted):
            self._end(b"503 Service Unavailable")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget its timers."""
        super().connection_lost(exc)
        self._headers = _cancelled(self._headers)
        self._unread = _cancelled(self._unread)

    def data_received(self, data: bytes) -> None:
        """Read on; the time for headers goes on from where it was, however many bytes come."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """The next request's headers have their time from now on."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read what we send."""
        super().pause_writing()
        self._lingers()

    def resume_writing(self) -> None:
        """It has read on."""
        super().resume_writing()
        self._unread = _cancelled(self._unread)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came; what we sent must be read in time, too."""
        super().timeout_keep_alive_handler()
        self._lingers()

    @property
    def _who(self) -> str:
        return customer_of(self.client[0]) if self.client else ""

    @property
    def _is_trusted(self) -> bool:
        """Whether it is this machine or a proxy of ours, which carries many people's requests."""
        host = self.client[0] if self.client else "127.0.0.1"
        return is_here(host) or is_one_of(host, self.proxies)

    def _watch(self) -> None:
        """Run the time for headers while, and only while, a request's headers are awaited."""
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._headers = self._headers or self.loop.call_later(self.header_seconds, self._end, b"408 Request Timeout")
        else:
            self._headers = _cancelled(self._headers)

    def _end(self, why: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + why + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()
            self._lingers()

    def _lingers(self) -> None:
        self._unread = self._unread or self.loop.call_later(self.unread_seconds, self.transport.abort)


def bounded(settings: Settings) -> type[BoundedProtocol]:
    """The protocol with the bounds of the settings."""
    return type("BoundedProtocol", (BoundedProtocol,), {"most": settings.web_connections, "proxies": proxies_of(settings)})


def is_here(peer: str) -> bool:
    """Whether an address is this machine's own."""
    found = address_of(peer)
    return found is not None and found.is_loopback


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Nothing, in the place of a timer that no longer runs."""
    if timer is not None:
        timer.cancel()
    return None
