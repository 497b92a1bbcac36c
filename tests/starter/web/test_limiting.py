"""How often the public forms may be sent, and whose address a request is of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from domain import policy
from starter.web.limiting import Limits, client_of
from tests.starter.web_fakes import HTML, Site, settings_in, site_in

FORM = {"email": "dana@acme.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path, signups_per_address="4/minute", signups_per_domain="2 per 2 seconds") as made:
        yield made


async def test_one_company_is_held_back_and_another_is_not(site: Site) -> None:
    emails = ("dana@acme.com", "lee@eu.acme.com", "kim@acme.com", "bo@other.com")
    answers = [await site.plain.post("/api/signups", json={**FORM, "email": email}) for email in emails]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 201]
    problem = answers[2].json()
    assert "acme.com" in problem["detail"]
    assert "Nothing was lost" in problem["do"]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 2
    assert len(site.tenure.of("signup")) == 3


async def test_one_address_is_held_back_on_every_public_form(site: Site) -> None:
    forms = [
        await site.plain.post("/", data={**FORM, "email": "a@one.com"}, headers=HTML),
        await site.plain.post("/join", data={"email": "a@two.com"}, headers=HTML),
        await site.plain.post("/api/joins", json={"email": "a@three.com"}),
        await site.plain.post("/api/signups/failed", json={**FORM, "email": "a@four.com", "error": "x"}),
    ]
    assert [answer.status_code for answer in forms] == [200, 200, 201, 202]
    for path, sent in (("/", {"data": FORM}), ("/join", {"data": FORM}), ("/api/joins", {"json": {"email": "a@b.com"}})):
        held = await site.plain.post(path, headers=HTML, **sent)  # type: ignore[arg-type]
        assert (held.status_code, "your address" in held.text) == (429, True), path
        assert int(held.headers["Retry-After"]) > 0


async def test_free_mail_is_counted_by_person_not_by_provider(site: Site) -> None:
    answers = [await site.plain.post("/api/signups", json={**FORM, "email": f"{who}@gmail.com"}) for who in ("a", "b", "a", "a")]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert "gmail" not in answers[-1].text


async def test_after_the_window_it_goes_on(site: Site) -> None:
    for status in (201, 201, 429):
        assert (await site.plain.post("/api/signups", json=FORM)).status_code == status
    await asyncio.sleep(2.1)
    assert (await site.plain.post("/api/signups", json=FORM)).status_code == 201


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.2", "198.51.100.1", "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.2", "192.0.2.66, 198.51.100.1, 10.0.0.7", "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.2", "", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.2", "nonsense", "10.0.0.2", "10.0.0.2"),
        ("2001:db8:1:2:3::4", "", "", "2001:db8:1:2::/64"),
    ],
)
def test_whose_word_counts(tmp_path: Path, peer: str, forwarded: str, proxies: str, client: str) -> None:
    limits = Limits(settings_in(tmp_path, trusted_proxies=proxies), policy.default().routing)
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    request = Request({"type": "http", "headers": headers, "client": (peer, 1)})
    assert client_of(request, limits._proxies) == client


@pytest.mark.parametrize("setting", [{"signups_per_domain": "often"}, {"trusted_proxies": "10.0.0.0/8, proxy.example"}])
def test_a_wrong_figure_is_refused_at_the_start(tmp_path: Path, setting: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be a rate|neither an address nor a network"):
        settings_in(tmp_path, **setting)
