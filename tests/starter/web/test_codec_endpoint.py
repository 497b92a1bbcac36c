"""The remote codec: Temporal's documented shape, for whoever has the token, and for pages of the Web UI only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, Parse
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import DataConverter

from domain.messages import Contact
from starter.web.codec_endpoint import BODY_LIMIT
from store.crypto.codec import data_converter
from store.ledger import Ledger
from tests.starter.web_fakes import CSRF, Site, site_in

UI = "http://127.0.0.1:8233"
DANA = Contact(email="dana@kestrel.example", first_name="Dana", last_name="Reed")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


@pytest.fixture
def theirs(site: Site) -> DataConverter:
    """The converter of another process on the same data directory."""
    return data_converter(site.settings, Ledger(site.settings.ledger_url))


def bearer(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.settings.codec_secret()}"}


def body_of(payloads: list[Payload]) -> dict[str, Any]:
    return dict(MessageToDict(Payloads(payloads=payloads)))


async def test_decode_and_encode_as_temporal_asks(site: Site, theirs: DataConverter) -> None:
    plain = theirs.payload_converter.to_payloads([DANA, "words"])
    given = body_of(await theirs.encode([DANA, "words"]))
    decoded = await site.http.post("/codec/decode", json=given, headers=bearer(site) | {"X-Namespace": "default"})
    assert (decoded.status_code, decoded.json()) == (200, body_of(list(plain)))
    encoded = await site.http.post("/codec/encode", json=decoded.json(), headers=bearer(site))
    assert encoded.status_code == 200
    assert "dana" not in encoded.text.lower()
    made = [Payload(metadata=p.metadata, data=p.data) for p in _payloads(encoded)]
    assert await theirs.decode(made, [Contact, str]) == [DANA, "words"]


def _payloads(answer: httpx.Response) -> list[Payload]:
    return list(Parse(answer.text, Payloads()).payloads)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic TOKEN"}, {"Authorization": "Bearer "}])
async def test_without_the_token_nothing_is_said(site: Site, headers: dict[str, str]) -> None:
    told = {name: value.replace("TOKEN", site.settings.codec_secret()) for name, value in headers.items()}
    for path in ("/codec/decode", "/codec/encode", "/codec/none", "/codec/wrong/decode", "/codec/a/b/decode"):
        answer = await site.http.post(path, json={"payloads": []}, headers=told)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert "tenure keys token" in answer.json()["do"]


async def test_no_token_is_taken_from_an_address(site: Site) -> None:
    for path in (f"/codec/{site.settings.codec_secret()}/decode", f"/codec/decode?token={site.settings.codec_secret()}"):
        answer = await site.http.post(path, json={"payloads": []}, headers={"Origin": UI, "Authorization": ""})
        assert answer.status_code == 401, path


async def test_whoever_is_signed_in_reads_in_the_web_ui_with_their_session(site: Site, theirs: DataConverter) -> None:
    given = body_of(await theirs.encode(["words"]))
    plain = body_of(list(theirs.payload_converter.to_payloads(["words"])))
    async with site.signed_in("ce@tenure.example") as browser:
        answer = await browser.post("/codec/decode", json=given, headers={"Origin": UI})
        assert (answer.status_code, answer.json()) == (200, plain)
        assert (answer.headers["access-control-allow-origin"], answer.headers["access-control-allow-credentials"]) == (UI, "true")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:9999", "http://127.0.0.1:8233.evil.example", "https://127.0.0.1:8233", "null", "", None],
)
async def test_a_session_counts_for_pages_of_the_web_ui_only(site: Site, origin: str | None) -> None:
    async with site.signed_in("ce@tenure.example") as browser:
        answer = await browser.post("/codec/decode", json={"payloads": []}, headers={"Origin": origin} if origin is not None else {})
        assert answer.status_code in (401, 403)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_session_that_is_none_reads_nothing(site: Site) -> None:
    for who, more in (("nobody@tenure.example", {}), ("ce@tenure.example", {"at": 1})):  # not among our people; signed in long ago
        async with site.signed_in(who, **more) as browser:
            answer = await browser.post("/codec/decode", json={"payloads": []}, headers={"Origin": UI})
            assert answer.status_code in (401, 403), who
    async with site.signed_in("ce@tenure.example") as browser:
        browser.cookies.set("tenure", "forged", domain="testserver.local")
        assert (await browser.post("/codec/decode", json={"payloads": []}, headers={"Origin": UI})).status_code == 401


async def test_a_session_that_was_signed_out_reads_nothing_with_any_copy_of_its_cookie(site: Site) -> None:
    async with site.signed_in("ce@tenure.example", id="one") as browser, site.signed_in("ce@tenure.example", id="one") as copy:
        assert (await copy.post("/codec/decode", json={"payloads": []}, headers={"Origin": UI})).status_code == 200
        assert (await browser.post("/sign-out", data={"csrf": CSRF})).status_code == 303
        assert (await copy.post("/codec/decode", json={"payloads": []}, headers={"Origin": UI})).status_code == 401


@pytest.mark.parametrize(("origin", "status"), [(UI, 204), ("http://localhost:8233", 204), ("http://127.0.0.1:8080", 403), ("null", 403)])
async def test_a_page_of_the_web_ui_may_ask_and_no_other(site: Site, origin: str, status: int) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-namespace"}
    answer = await site.http.options("/codec/decode", headers=asked)
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (origin if status == 204 else None)
    assert answer.headers["vary"] == "Origin"
    posted = await site.http.post("/codec/decode", json={"payloads": []}, headers=bearer(site) | {"Origin": origin})
    assert posted.status_code == (200 if status == 204 else 403)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b'{"payloads": 1}', 400), (b"\xff", 400), (b"[" * 100_000, 400)],
)
async def test_what_are_no_payloads_is_refused_with_words(site: Site, content: bytes, status: int) -> None:
    answer = await site.http.post("/codec/decode", content=content, headers=bearer(site))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_limits_and_methods(site: Site) -> None:
    assert (await site.http.get("/codec/decode", headers=bearer(site))).status_code == 405
    assert (await site.http.post("/codec/other", headers=bearer(site))).status_code == 404
    large = await site.http.post("/codec/decode", content=b"x" * (BODY_LIMIT + 1), headers=bearer(site))
    assert large.status_code == 413
    payload = json.dumps({"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "A" * 1_000_000}]})
    assert (await site.http.post("/codec/encode", content=payload, headers=bearer(site))).status_code == 200


async def test_what_cannot_be_opened_says_what_to_set(site: Site, theirs: DataConverter) -> None:
    given = body_of(await theirs.encode(["words"]))
    given["payloads"][0]["metadata"]["key-id"] = "bm9uZQ=="
    answer = await site.http.post("/codec/decode", json=given, headers=bearer(site))
    assert answer.status_code == 422
    assert "'none' is not on the ring" in answer.json()["detail"]
