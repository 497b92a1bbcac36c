"""Connections are bounded: by number, by address, by the time of their headers and by the time that our answer is left unread."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from starter.web.serving import BoundedProtocol, bounded, config
from store.settings import Settings

BIG = 8 * 1024 * 1024


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, then answers; ``/big`` with more than a socket's buffers hold."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * BIG if scope["path"] == "/big" else b"well"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(**bounds: Any) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """A real server with these bounds; its port, and itself."""
    protocol = type("Tried", (BoundedProtocol,), bounds)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        served = uvicorn.Config(application, http=protocol, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(served)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server._serve(sockets=[bound]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield bound.getsockname()[1], server
        finally:
            server.should_exit = True
            await task


async def said(reader: asyncio.StreamReader) -> bytes:
    """All until the server closes."""
    async with asyncio.timeout(60):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: 1"])
async def test_headers_that_never_end_are_given_up(sent: bytes) -> None:
    async with serving(header_seconds=0.2) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert (await said(reader)).startswith(b"HTTP/1.1 408")
        writer.close()
        while server.server_state.connections:
            await asyncio.sleep(0.01)


async def test_a_byte_now_and_then_buys_no_time() -> None:
    async with serving(header_seconds=0.5) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(said(reader))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        while not ended.done():
            writer.write(b"X-A: b\r\n")
            sent += 1
            await asyncio.sleep(0.02)
        answer = await ended  # nothing, where bytes sent after the end reset the connection before its answer was read
        assert not answer or answer.startswith(b"HTTP/1.1 408")
        assert sent > 3
        writer.close()


async def test_the_second_request_of_a_connection_is_bounded_too() -> None:
    async with serving(header_seconds=0.4) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"well")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert (await said(reader)).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_who_takes_long_over_a_body_is_not_cut_off_by_it() -> None:
    async with serving(header_seconds=0.2) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.6)  # the guard has a time-out of its own for bodies
        writer.write(b"cd")
        assert (await reader.readuntil(b"well")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_who_never_reads_is_let_go() -> None:
    async with serving(unread_seconds=0.3) as (port, server):
        quiet = socket.socket()
        quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        quiet.connect(("127.0.0.1", port))
        quiet.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        while not server.server_state.connections:
            await asyncio.sleep(0.01)
        while server.server_state.connections:
            await asyncio.sleep(0.01)
        quiet.close()


async def test_there_are_only_so_many() -> None:
    async with serving(most=5) as (port, _):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await said(reader)).startswith(b"HTTP/1.1 503")
        writer.close()
        opened[0][1].close()
        await opened[0][1].wait_closed()
        while True:  # the server sees that a place is free
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await said(reader)
            writer.close()
            if answer.startswith(b"HTTP/1.1 200"):
                break
        for _, each in opened[1:]:
            each.close()


@pytest.mark.parametrize(("trusted", "answered"), [(False, b"HTTP/1.1 503"), (True, b"HTTP/1.1 200")])
async def test_one_address_has_its_share_and_a_proxy_of_ours_has_all(trusted: bool, answered: bytes) -> None:
    async with serving(most=10, _is_trusted=trusted) as (port, _):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await said(reader)).startswith(answered)
        for _, each in [*opened, (reader, writer)]:
            each.close()


@pytest.mark.parametrize(
    ("address", "who", "trusted"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", False),
        ("::1", "::/64", True),
        ("nonsense", "nonsense", False),
    ],
)
def test_whose_a_connection_is(address: str, who: str, trusted: bool) -> None:
    protocol = bounded(Settings(_env_file=None, trusted_proxies="10.0.0.0/8", web_connections=77))
    assert protocol.most == 77
    made = protocol.__new__(protocol)
    made.client = (address, 1)
    assert (made._who, made._is_trusted) == (who, trusted)


def test_the_web_process_and_what_it_shows_beside_are_bounded() -> None:
    made = config(Settings(_env_file=None, web_connections=44), application, "127.0.0.1", 0)
    assert isinstance(made.http, type)
    assert issubclass(made.http, BoundedProtocol)
    assert (made.http.most, made.h11_max_incomplete_event_size) == (44, 32 * 1024)
