"""An HTTP server in a process of ours: it begins and ends with the process, and leaves the signals to it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator

import uvicorn


class Server(uvicorn.Server):
    """Ends in order on SIGTERM and SIGINT, and then returns; uvicorn's own would raise the signal again, and exit with its code."""

    def __init__(self, config: uvicorn.Config, *, with_signals: bool = True) -> None:
        super().__init__(config)
        self._with_signals = with_signals

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, for as long as the server runs."""
        if not self._with_signals:
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take nothing new, answer what came, and return."""
        self.should_exit = True


@contextlib.asynccontextmanager
async def beside(config: uvicorn.Config) -> AsyncIterator[None]:
    """Serve meanwhile."""
    server = Server(config, with_signals=False)
    serving = asyncio.create_task(server.serve(), name="beside")
    try:
        yield
    finally:
        server.stop()
        await serving
