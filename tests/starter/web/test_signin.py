"""Who is let in: sessions, tokens and the real code flow against the sandbox's provider; what is refused, and that it is on the audit."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from starlette.routing import Mount

from domain.rights import Group
from sandbox.server import SandboxServer
from starter.errors import Unavailable
from starter.web.authentication import PUBLIC, is_guarded
from starter.web.signin import inside
from store.access import ServiceTokens, Sessions
from store.settings import Settings
from store.tables import roster
from tests.starter.web_fakes import CSRF, HTML, Site, at, person, site_in

EXTEND = "/api/trials/acme.com/extend"
ANSWER = "/api/tasks/trial-acme.com:triage-1/answer"
WEB = "http://127.0.0.1:8080"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


@pytest.fixture
async def real(tmp_path: Path, sandbox: SandboxServer) -> AsyncIterator[Site]:
    """A site whose provider is the sandbox's, and whose roster knows two of its people."""
    async with site_in(tmp_path, web_url=WEB, oidc_url=f"{sandbox.url}/oidc") as made:
        with made.tenure.ledger.writing() as db:
            db.execute(roster.insert(), [person("ce-ada", "ce"), person("sdr-iris", "inbound_sdr")])
        yield made


def browser_of(site: Site) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url=WEB, headers=HTML)


# --- The door -------------------------------------------------------------------------------------------------------------------


def every_route(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of each route, those of included routers too."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from every_route(router.routes)
        elif not isinstance(route, Mount):
            yield from ((method, route.path) for method in route.methods)


async def test_every_route_of_ours_needs_somebody_but_those_of_prospects(site: Site) -> None:
    seen = set(every_route(site.app.routes))
    assert {("GET", "/console"), ("GET", "/api/trials"), ("POST", "/console")} | PUBLIC < seen
    of_the_document = {(method.upper(), path) for path, methods in site.app.openapi()["paths"].items() for method in methods}
    assert of_the_document < seen
    for method, path in seen:
        url = at(path)
        answer = await site.plain.request(method, url, json={})
        if is_guarded(method, url):
            assert answer.status_code in ((303,) if url.startswith("/console") and method in ("GET", "HEAD") else (401,)), (method, path)
        else:
            assert answer.status_code != 401 or path == "/webhooks/github", (method, path)  # which wants a signature
            assert not answer.headers.get("Location", "").startswith("/sign-in") or path == "/sign-out", (method, path)
            assert not path.startswith(("/api", "/console")) or (method, path) in PUBLIC
    assert site.tenure.calls == []


async def test_nobody_is_told_how_to_come_in(site: Site) -> None:
    answer = await site.plain.post(EXTEND, json={})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in answer.json()["do"]
    page = await site.plain.get("/console?page=x", headers=HTML)
    assert page.headers["Location"] == "/sign-in?next=%2Fconsole%3Fpage%3Dx"
    assert 'href="/auth/start?next=%2Fconsole"' in (await site.plain.get("/sign-in")).text.replace("next=/console", "next=%2Fconsole")


@pytest.mark.parametrize("header", ["Bearer", "Bearer tnr_nonsense", "Basic dGVzdHM6eA==", "Bearer \xe9"])
async def test_a_token_that_is_none_is_refused(site: Site, header: str) -> None:
    answer = await site.plain.get("/api/trials", headers=[(b"authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


async def test_a_revoked_token_is_out_at_once(site: Site) -> None:
    assert (await site.http.get("/api/trials")).status_code == 200
    assert ServiceTokens(site.tenure.ledger).revoke("tests")
    assert (await site.http.get("/api/trials")).status_code == 401


async def test_a_session_ends_by_its_hours_and_is_of_our_making(site: Site) -> None:
    assert (await site.signed_in("ce@tenure.example").get("/console")).status_code == 200
    old = site.signed_in("ce@tenure.example", at=int(time.time()) - 12 * 3600 - 5)
    assert (await old.get("/console")).status_code == 303
    forged = site.signed_in("ce@tenure.example")
    forged.cookies.set("tenure", forged.cookies["tenure"][:-2] + "xx", domain="testserver.local")
    assert (await forged.get("/console")).status_code == 303


async def test_whoever_has_left_is_out_whatever_their_cookie_says(site: Site) -> None:
    gone = site.signed_in("ce@tenure.example")
    with site.tenure.ledger.writing() as db:
        db.execute(update(roster).where(roster.c.id == "ce").values(active=False))
    answer = await gone.get("/console")
    assert answer.status_code == 403
    assert "has left" in answer.text
    assert [(row.who, row.outcome) for row in site.audited()] == [("ce@tenure.example", "refused")]


# --- By whom --------------------------------------------------------------------------------------------------------------------


async def test_a_person_decides_in_their_own_name_only(site: Site) -> None:
    mine = site.signed_in("ce@tenure.example")
    assert (await mine.post(EXTEND, json={"days": 7})).json() == {"done": "extend done"}
    assert (await mine.post(EXTEND, json={"days": 7, "by": "CE@tenure.example"})).status_code == 200
    other = await mine.post(EXTEND, json={"days": 7, "by": "boss@tenure.example"})
    assert other.status_code == 403
    assert "you are signed in as ce@tenure.example" in other.text
    assert {message.by for _, _, message, _ in site.tenure.of("act_on")} == {"ce@tenure.example"}
    assert [(row.who, row.via, row.outcome) for row in site.audited()] == [
        ("ce@tenure.example", "api", outcome) for outcome in ("accepted", "accepted", "refused")
    ]


async def test_a_token_of_ops_acts_for_somebody_and_both_are_on_the_audit(site: Site) -> None:
    assert (await site.http.post(EXTEND, json={"days": 7, "by": "ce@tenure.example"})).status_code == 200
    (row,) = site.audited()
    assert (row.who, row.role, row.through, row.what, row.subject) == (
        "ce@tenure.example",
        "ce",
        "token tests",
        "extend days 7",
        "trial-acme.com",
    )
    assert (row.rule, len(row.rules)) == ("extend: ce team", 12)
    nobody = await site.http.post(EXTEND, json={"days": 7})
    assert nobody.status_code == 403
    assert "a token of ops may not extend a trial" in nobody.text
    stranger = await site.http.post(EXTEND, json={"days": 7, "by": "dana@acme.com"})
    assert (stranger.status_code, "not among our people" in stranger.text) == (403, True)
    assert "dana" not in str(site.audited())


async def test_a_token_of_another_role_speaks_for_nobody_and_a_persons_own_for_its_owner(site: Site) -> None:
    tokens = ServiceTokens(site.tenure.ledger)
    of_ces, ces_own = tokens.create("robots", role=Group.CE), tokens.create("mine", person="ce@tenure.example")
    as_robot, as_self = ({"Authorization": f"Bearer {token}"} for token in (of_ces, ces_own))
    assert (await site.plain.get("/api/trials", headers=as_robot)).status_code == 200
    assert (await site.plain.post(EXTEND, json={"by": "ce@tenure.example"}, headers=as_robot)).status_code == 403
    assert (await site.plain.post(EXTEND, json={}, headers=as_robot)).status_code == 403
    assert (await site.plain.post(EXTEND, json={"by": "boss@tenure.example"}, headers=as_self)).status_code == 403
    assert (await site.plain.post(EXTEND, json={}, headers=as_self)).status_code == 200
    assert [(row.who, row.through, row.outcome) for row in site.audited()][-1] == ("ce@tenure.example", "token mine", "accepted")


async def test_a_role_that_changed_between_the_question_and_the_answer_is_the_one_that_counts(site: Site) -> None:
    mine, body = site.signed_in("sdr@tenure.example"), {"choice": "disqualified", "fields": {"reason": "small"}}
    with site.tenure.ledger.writing() as db:
        db.execute(update(roster).where(roster.c.id == "sdr").values(role="ta"))
    refused = await mine.post(ANSWER, json=body)
    assert refused.status_code == 403
    assert "trial-acme.com:triage-1 is asked of sdr.one@tenure.example (inbound sdr); sdr@tenure.example (TA) is none" in refused.text
    assert "growth or sales leadership" in refused.text
    with site.tenure.ledger.writing() as db:
        db.execute(update(roster).where(roster.c.id == "sdr").values(role="inbound_sdr"))
    assert (await mine.post(ANSWER, json=body)).status_code == 200
    assert [(row.role, row.what, row.outcome) for row in site.audited()] == [
        ("ta", "answer triage-1: disqualified", "refused"),
        ("inbound_sdr", "answer triage-1: disqualified", "accepted"),
    ]


async def test_what_the_workflow_refused_or_left_open_is_on_the_audit_too(site: Site) -> None:
    site.tenure.script.raises["act_on"] = Unavailable("trial-acme.com did not answer in time", "")
    assert (await site.http.post(EXTEND, json={"by": "ce@tenure.example"})).status_code == 503
    (row,) = site.audited()
    assert (row.outcome, row.reason) == ("unknown", "trial-acme.com did not answer in time")


async def test_a_request_is_the_ces_own(site: Site) -> None:
    body = {"email": "dana@acme.com", "company": "Acme", "ce": "ce.one@tenure.example"}
    assert (await site.signed_in("ce.one@tenure.example").post("/api/trial-requests", json=body)).status_code == 201
    assert (await site.signed_in("boss@tenure.example").post("/api/trial-requests", json=body)).status_code == 201
    assert (await site.signed_in("ce@tenure.example").post("/api/trial-requests", json=body)).status_code == 403


async def test_a_form_of_another_session_is_refused(site: Site) -> None:
    mine = site.signed_in("sdr@tenure.example")
    form = {"task": "trial-acme.com:triage-1", "choice": "disqualified"}
    for secret in ({}, {"csrf": "another"}):
        assert (await mine.post("/console", data={**form, **secret})).status_code == 403
    page = await mine.get("/console")
    assert f'name="csrf" value="{CSRF}"' in page.text
    assert "sdr@tenure.example" in page.text
    assert (await mine.post("/sign-out", data={})).status_code == 403
    out = await mine.post("/sign-out", data={"csrf": CSRF})
    assert (out.status_code, out.headers["Location"]) == (303, "/sign-in")
    assert "tenure=null" in out.headers["Set-Cookie"]
    assert site.tenure.calls == [call for call in site.tenure.calls if call.name in ("trials", "tasks")]


async def test_the_cookie_is_for_this_site_only(tmp_path: Path) -> None:
    for web_url, name, secure in (("http://testserver", "tenure", False), ("https://testserver", "__Host-tenure", True)):
        async with site_in(tmp_path / name, web_url=web_url) as site:
            answer = await site.plain.get("/auth/start")  # nothing is at the provider's address
            assert answer.status_code == 503
            cookie = answer.headers["Set-Cookie"].lower()
            assert cookie.startswith(f"{name.lower()}=")
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            assert "path=/;" in cookie
            assert ("secure" in cookie) is secure
            assert ("Strict-Transport-Security" in answer.headers) is secure


@pytest.mark.parametrize(
    ("path", "to"),
    [("/console/trials/acme.com?x=1", None), ("//evil.example", "/console"), ("https://evil.example", "/console"), ("/\\evil.example", "/console"),
     ("/a\n", "/console"), ("", "/console")],
)  # fmt: skip
def test_signing_in_leads_on_within_this_site(path: str, to: str | None) -> None:
    assert inside(path) == (to or path)


# --- The code flow --------------------------------------------------------------------------------------------------------------


async def begun(site: Site, browser: httpx.AsyncClient, start: str = "/auth/start?next=/console/trials/acme.com") -> str:
    """The provider's address that the browser is sent to."""
    sent = await browser.get(start)
    assert sent.status_code == 302, sent.text
    return sent.headers["Location"]


def choose(where: str, user: str) -> str:
    """Choose somebody on the provider's page; returns where the browser is sent back to."""
    with httpx.Client(trust_env=False) as http:
        shown = http.get(where)
        assert shown.status_code == 200, shown.text
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', shown.text))
        answer = http.post(where.partition("?")[0], data={**{k: v.replace("&amp;", "&") for k, v in fields.items()}, "user": user})
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]


def local(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def test_the_whole_flow(real: Site) -> None:
    async with browser_of(real) as browser:
        where = await begun(real, browser)
        asked = parse_qs(urlsplit(where).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{WEB}/auth/callback"]
        assert set(asked) >= {"state", "nonce", "code_challenge"}
        back = choose(where, "sdr-iris")
        done = await browser.get(local(back))
        assert (done.status_code, done.headers["Location"]) == (303, "/console/trials/acme.com")
        assert (await browser.get("/console")).status_code == 200
        answer = await browser.post(ANSWER, json={"choice": "disqualified", "fields": {"reason": "small"}})
        assert answer.status_code == 403  # another manager's team
        again = await browser.get(local(back))  # the same address once more: the state is spent
        assert (again.status_code, "was finished before" in again.text) == (400, True)


Spoil = Callable[[httpx.AsyncClient, str, SandboxServer], Any]


def wrong_state(url: str) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return f"{parts.path}?{urlencode({**query, 'state': 'x' + query['state']})}"


async def test_a_wrong_state_nonce_or_verifier_signs_nobody_in(real: Site, sandbox: SandboxServer) -> None:
    provider = sandbox.world.services["oidc"]
    async with browser_of(real) as browser, browser_of(real) as another:
        state = await browser.get(wrong_state(choose(await begun(real, browser), "ce-ada")))
        assert (state.status_code, "not begun in this browser" in state.text) == (400, True)
        elsewhere = await another.get(local(choose(await begun(real, browser), "ce-ada")))
        assert elsewhere.status_code == 400
        for field, value, says in (
            ("nonce", "another", "does not stand the test"),
            ("challenge", "x" * 43, "does not know this sign-in any more"),
        ):
            back = choose(await begun(real, browser), "ce-ada")
            (code,) = parse_qs(urlsplit(back).query)["code"]
            grant = provider.codes[code]
            provider.codes[code] = type(grant)(**{**grant.__dict__, field: value})
            spoilt = await browser.get(local(back))
            assert (spoilt.status_code, says in spoilt.text) == (400, True), spoilt.text
        assert (await browser.get("/console")).status_code == 303


@pytest.mark.parametrize(
    ("user", "why"),
    [("uma-unverified", "nobody has verified"), ("olga-outsider", "is not among our people"), ("ta-paz", "is not among our people")],
)
async def test_whom_the_crm_does_not_know_or_nobody_verified_is_not_let_in(real: Site, user: str, why: str) -> None:
    async with browser_of(real) as browser:
        refused = await browser.get(local(choose(await begun(real, browser), user)))
        assert (refused.status_code, why in refused.text.lower()) == (403, True)
        assert (await browser.get("/console")).status_code == 303
    (row,) = real.audited()
    assert (row.what, row.outcome, why in row.reason) == ("sign in", "refused", True)


async def test_signing_out_ends_every_copy_of_the_session(real: Site) -> None:
    async with browser_of(real) as browser, browser_of(real) as copy:
        await browser.get(local(choose(await begun(real, browser), "sdr-iris")))
        page = await browser.get("/console")
        (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', page.text))
        cookie = browser.cookies["tenure"]
        copy.cookies.set("tenure", cookie, domain="127.0.0.1")
        assert (await copy.get("/console")).status_code == 200
        assert (await browser.post("/sign-out", data={"csrf": csrf})).headers["Location"] == "/sign-in"
        for browsing in (browser, copy):
            assert (await browsing.get("/console")).headers["Location"] == "/sign-in?next=%2Fconsole"
        for _ in range(2):  # whatever the copy was answered before
            copy.cookies.set("tenure", cookie, domain="127.0.0.1")
            refused = await copy.post(ANSWER, json={"choice": "disqualified", "fields": {"reason": "small"}})
            assert (refused.status_code, "signed out" in refused.text) == (401, True)
            assert "signed in as" not in (await copy.get("/sign-in")).text
    assert real.tenure.calls == [each for each in real.tenure.calls if each.name in ("trials", "tasks")]


async def test_who_signs_in_again_has_ended_what_their_browser_had_before(real: Site) -> None:
    async with browser_of(real) as browser, browser_of(real) as copy:
        await browser.get(local(choose(await begun(real, browser), "sdr-iris")))
        copy.cookies.set("tenure", browser.cookies["tenure"], domain="127.0.0.1")
        await browser.get(local(choose(await begun(real, browser), "ce-ada")))
        assert (await browser.get("/console")).status_code == 200
        assert (await copy.get("/console")).status_code == 303


async def test_a_sign_out_that_cannot_be_written_down_is_not_claimed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.signed_in("ce@tenure.example")

    def locked(*_: Any) -> None:
        raise OperationalError("insert", {}, Exception("database is locked"))

    with monkeypatch.context() as patched:
        patched.setattr(Sessions, "end", locked)
        assert (await browser.post("/sign-out", data={"csrf": CSRF})).status_code == 503
    assert (await browser.get("/console")).status_code == 200
    assert (await browser.post("/sign-out", data={"csrf": CSRF})).status_code == 303
    assert (await site.signed_in("ce@tenure.example").get("/console")).status_code == 303  # the same cookie, made anew
    assert (await site.signed_in("boss@tenure.example").get("/console")).status_code == 200


async def test_a_session_without_an_id_could_not_be_ended_so_it_is_none(site: Site) -> None:
    assert (await site.signed_in("ce@tenure.example", id="").get("/console")).status_code == 303


SENTENCE = "Your account is locked. Call +1 555 0100 or go to https://evil.example"


@pytest.mark.parametrize("code", ["access_denied", "server_error", "evil_error", SENTENCE, "mismatching_state"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_the_callback_shows_no_sentence_of_others(real: Site, code: str, accept: str) -> None:
    asked = {"error": code, "error_description": SENTENCE, "error_uri": "https://evil.example", "state": "x"}
    async with browser_of(real) as browser:
        await begun(real, browser)
        said = await browser.get(f"/auth/callback?{urlencode(asked)}", headers={"Accept": accept})
    assert said.status_code == 400
    for theirs in ("evil", "555", "locked", "Call"):
        assert theirs not in said.text


async def test_turning_it_down_is_said(real: Site) -> None:
    async with browser_of(real) as browser:
        said = await browser.get(local(choose(await begun(real, browser), "")))
        assert (said.status_code, "turned it down" in said.text) == (400, True)


def test_the_provider_refuses_what_a_real_one_refuses(sandbox: SandboxServer, settings: Settings) -> None:
    at = f"{sandbox.url}/oidc"
    asked = {
        "client_id": "tenure",
        "redirect_uri": f"{WEB}/auth/callback",
        "response_type": "code",
        "scope": "openid email",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
        "code_challenge_method": "S256",
        "state": "s",
    }
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    def code(**changes: str) -> str:
        return parse_qs(urlsplit(choose(f"{at}/authorize?{urlencode({**asked, **changes})}", "ce-ada")).query)["code"][0]

    def token(given: str, *, secret: str = "sandbox-oidc-secret", **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": given,
            "redirect_uri": asked["redirect_uri"],
            "code_verifier": verifier,
            **changes,
        }
        return httpx.post(f"{at}/token", data=form, auth=("tenure", secret))

    for changes in ({"redirect_uri": "https://evil.example/auth/callback"}, {"redirect_uri": f"{WEB}/other"}, {"client_id": "x"}):
        refused = httpx.get(f"{at}/authorize?{urlencode({**asked, **changes})}")
        assert (refused.status_code, "location" in refused.headers) == (400, False)
    for lacking, error in (({"code_challenge": ""}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type")):
        back = httpx.get(f"{at}/authorize?{urlencode({**asked, **lacking})}").headers["Location"]
        assert parse_qs(urlsplit(back).query)["error"] == [error]
    assert token(code(), secret="wrong").status_code == 401
    for change in ({"code_verifier": "x" * 43}, {"redirect_uri": "http://localhost:1/auth/callback"}, {"code": "none"}):
        assert token(code(), **change).json()["error"] == "invalid_grant"
    once = code()
    first = token(once)
    access = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert httpx.get(f"{at}/userinfo", headers=access).json()["email"] == "ce-ada@tenure.example"
    assert token(once).json()["error"] == "invalid_grant"
    assert httpx.get(f"{at}/userinfo", headers=access).status_code == 401  # a code used twice ends what it gave
