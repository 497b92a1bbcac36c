"""What stands in front of the development server's Web UI: passes all on, tells where clear text is, and answers to its own names only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from starter.web import temporal_ui
from starter.web.codec_endpoint import BODY_LIMIT
from tests.starter.web_fakes import settings_in


@pytest.fixture
def heard() -> list[httpx.Request]:
    return []


async def streamed(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest_asyncio.fixture
async def ui(tmp_path: Path, heard: list[httpx.Request]) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at our side, with a development server behind it that echoes."""

    def server(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        if request.url.path == "/api/v1/settings":
            return httpx.Response(200, json={"Version": "2.54.1", "Codec": {"Endpoint": "http://other/secret"}})
        if request.url.path == "/down":
            raise httpx.ConnectError("no")
        headers = {"Set-Cookie": "_csrf=1", "Connection": "close", "X-Other": "kept"}
        return httpx.Response(203, content=streamed(request.content or b"page"), headers=headers)

    settings = settings_in(tmp_path, web_url="http://127.0.0.1:8080", temporal_ui_url="http://127.0.0.1:8233")
    async with temporal_ui.client(httpx.MockTransport(server)) as http:
        app: Any = temporal_ui.front(settings, "http://127.0.0.1:8234", http)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8233") as browser:
            yield browser


async def test_everything_is_passed_on_as_it_is(ui: httpx.AsyncClient, heard: list[httpx.Request]) -> None:
    answer = await ui.post("/api/v1/x%2Fy?next=%20a&b", content=b"\x00body", headers={"X-Csrf-Token": "t"})
    assert (answer.status_code, answer.content, answer.headers["x-other"], answer.headers["set-cookie"]) == (
        203,
        b"\x00body",
        "kept",
        "_csrf=1",
    )
    assert "connection" not in answer.headers
    (asked,) = heard
    assert (asked.method, str(asked.url), asked.headers["x-csrf-token"]) == ("POST", "http://127.0.0.1:8234/api/v1/x%2Fy?next=%20a&b", "t")


async def test_the_codec_s_part_of_the_settings_is_ours(ui: httpx.AsyncClient) -> None:
    said = (await ui.get("/api/v1/settings")).json()
    assert (said["Version"], said["Codec"]["Endpoint"], said["Codec"]["IncludeCredentials"]) == (
        "2.54.1",
        "http://127.0.0.1:8080/codec",
        True,
    )
    assert "sign-in" in said["Codec"]["DefaultErrorLink"]


async def test_our_session_is_not_shown_to_temporal(ui: httpx.AsyncClient, heard: list[httpx.Request]) -> None:
    await ui.get("/", headers={"Cookie": "tenure=secret; _csrf=1; __Host-tenure=secret; other=2"})
    ui.cookies.clear()
    await ui.get("/", headers={"Cookie": "tenure=secret"})  # neither ours nor what another browser was given
    assert [each.headers.get("cookie") for each in heard] == ["_csrf=1; other=2", None]


async def test_it_goes_to_the_server_behind_it_and_nowhere_else(ui: httpx.AsyncClient, heard: list[httpx.Request]) -> None:
    for path in ("//evil.example/x", "/@evil.example", "/http://evil.example"):
        await ui.get(httpx.URL("http://127.0.0.1:8233").copy_with(raw_path=path.encode()))
    assert {(each.url.host, each.url.port) for each in heard} == {("127.0.0.1", 8234)}


async def test_other_names_and_trouble_get_words(ui: httpx.AsyncClient, heard: list[httpx.Request]) -> None:
    assert (await ui.get("/api/v1/settings", headers={"Host": "evil.example"})).status_code == 421
    moved = await ui.get("/namespaces?a=1", headers={"Host": "localhost:8233", "Accept": "text/html"})
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.1:8233/namespaces?a=1")
    assert heard == []
    down = await ui.get("/down")
    assert (down.status_code, "does not answer" in down.text) == (503, True)
    assert (await ui.post("/x", content=b"x" * (BODY_LIMIT + 1))).status_code == 413
