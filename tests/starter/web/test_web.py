"""The JSON API, its document, its health, the limits around every route, and the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from domain.messages import Case, SignupAnswer
from domain.trial.commands import Convert, Extend
from starter.errors import BadInput, NotAllowed, NotFound, NotSignedIn, Refused, Unavailable
from starter.web import health, middleware
from starter.web.app import RETRY_TASK, create_app
from starter.web.middleware import TOO_LONG
from starter.web.problem_details import DOCUMENTED, MEDIA_TYPE, Kept, Problem, TooMany, problem_of
from store.ledger import Ledger
from store.tables import failed_signups
from tests.starter.web_fakes import HTML, Site, at, settings_in, site_in

SIGNUP = {"email": "dana@acme.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem that an answer is; it always says what it is, and carries its own status."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["detail"]
    return found


# --- The API --------------------------------------------------------------------------------------------------------------------


async def test_a_signup_answers_with_the_routing_decision(site: Site) -> None:
    answer = await site.http.post("/api/signups", json=SIGNUP, headers={"Idempotency-Key": "click-1"})
    assert answer.status_code == 201
    assert SignupAnswer.model_validate(answer.json()) == site.tenure.script.signup
    ((form,),) = site.tenure.of("signup")
    assert (form.email, form.company, form.event_id, form.via) == ("dana@acme.com", "Acme", "click-1", "api")


async def test_a_redirected_signup_made_nothing_new(site: Site) -> None:
    site.tenure.script.signup = site.tenure.script.signup.model_copy(update={"outcome": "redirected", "case": Case.HAS_INSTANCE})
    assert (await site.http.post("/api/signups", json=SIGNUP)).status_code == 200


async def test_without_a_key_each_signup_is_an_event_of_its_own(site: Site) -> None:
    for _ in range(2):
        await site.http.post("/api/signups", json=SIGNUP)
    events = {form.event_id for (form,) in site.tenure.of("signup")}
    assert len(events) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.email"),
        ({**SIGNUP, "emial": "x"}, "body.emial"),
        ({**SIGNUP, "first_name": "x" * 101}, "body.first_name"),
        ({**SIGNUP, "email": None}, "body.email"),
        ([], "body"),
    ],
)
async def test_a_malformed_body_names_its_fault(site: Site, body: object, field: str) -> None:
    answer = await site.http.post("/api/signups", json=body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in problem(answer)["errors"]] == [field]
    assert site.tenure.calls == []


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 60_000, b"", b'{"email": 1e999}'])
async def test_what_is_no_json_is_refused_without_a_trace(site: Site, raw: bytes) -> None:
    answer = await site.http.post("/api/signups", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    problem(answer)
    assert site.tenure.calls == []


@pytest.mark.parametrize("email", ["", "x", "a@b", "x" * 1_900 + "@acme.com", "a b@acme.com", "a@acme..com"])
async def test_a_malformed_address_is_refused(site: Site, email: str) -> None:
    answer = await site.http.post("/api/signups", json={**SIGNUP, "email": email})
    assert answer.status_code == 422
    assert "email" in problem(answer)["errors"][0]["field"]
    assert site.tenure.of("signup") == []


async def test_names_are_one_line_without_control_characters(site: Site) -> None:
    await site.http.post("/api/signups", json={**SIGNUP, "first_name": "Dana\r\nBcc: all", "company": "A\x00cme"})
    ((form,),) = site.tenure.of("signup")
    assert (form.first_name, form.company) == ("Dana Bcc: all", "A cme")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/signups", {}),
        ("/api/signups/failed", {"error": "it timed out"}),
        ("/api/joins", {}),
        ("/api/trial-requests", {"ce": "ce.one@tenure.example"}),
    ],
)
@pytest.mark.parametrize("field", ["first_name", "last_name", "company"])
@pytest.mark.parametrize("value", ["https://evil.example/c", "<!channel>", "ada@evil.example", "x" * 61])
async def test_a_name_that_is_none_is_refused_by_every_way_in(site: Site, path: str, more: dict[str, str], field: str, value: str) -> None:
    body = {"email": SIGNUP["email"], "company": "Acme", **more, field: value}
    if path == "/api/joins" and (body.pop("company") == value or field == "company"):
        return  # it asks for none
    answer = await site.http.post(path, json=body)
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"].endswith(field)
    assert site.tenure.calls == []


async def test_a_key_that_is_none_is_refused(site: Site) -> None:
    answer = await site.http.post("/api/signups", json=SIGNUP, headers={"Idempotency-Key": "a b"})
    assert answer.status_code == 422
    assert site.tenure.calls == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(BadInput("no", "do", field="email"), 422), (NotFound("no", "do"), 404), (Refused("no", "do"), 409)],
)
async def test_each_error_of_the_service_is_a_problem(site: Site, error: Exception, status: int) -> None:
    site.tenure.script.raises["signup"] = error
    answer = await site.http.post("/api/signups", json=SIGNUP)
    assert answer.status_code == status
    assert (problem(answer)["detail"], problem(answer)["do"]) == ("no", "do")


@pytest.mark.parametrize("error", [Unavailable("Temporal does not answer", "Ask again"), RuntimeError("a fault of ours")])
async def test_a_signup_that_cannot_be_taken_is_kept_by_the_api_too(site: Site, error: Exception) -> None:
    site.tenure.script.raises["signup"] = error
    answer = await site.http.post("/api/signups", json=SIGNUP, headers={"Idempotency-Key": "click-1"})
    said = problem(answer)
    assert (answer.status_code, said["code"], said["event"]) == (503 if isinstance(error, Unavailable) else 500, "kept", "kept-1")
    assert "not lost" in said["detail"]
    assert "you need not send it again" in said["do"]
    assert int(answer.headers["Retry-After"]) > 0
    ((form, why),) = site.tenure.of("failed_signup")
    assert form.event_id == "click-1"
    assert "a fault of ours" not in why


@pytest.mark.parametrize("email", ["jörg@acme.com", "dana@mailinator.com", "dana@tenure.example", "dana", "", "a" * 70 + "@acme-labs.com"])
async def test_an_admin_gets_no_address_that_nobody_may_sign_up_with(site: Site, email: str) -> None:
    answer = await site.http.post("/api/trials/acme.com/correct-admin", json={"by": "ce@tenure.example", "email": email})
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "email"
    assert site.tenure.of("act_on") == []


@pytest.mark.parametrize(
    ("email", "says"),
    [
        ("dana@mailinator.com", "mailboxes that vanish"),
        ("dana@sub.mailinator.com", "mailboxes that vanish"),
        ("dana@tenure.example", "our own domain"),
        ("dana@eu.tenure.example", "our own domain"),
        ("dana@acme.cloud.tenure.example", "our own domain"),
        ("jörg@acme.com", "plain letters"),
        ("a" * 62 + "@acme-widgets-1.com.au", "80 is the most"),
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_in_words_by_every_way_in(site: Site, email: str, says: str) -> None:
    for path, more in (("signups", {}), ("joins", {}), ("trial-requests", {"company": "Acme", "ce": "ce.one@tenure.example"})):
        answer = await site.http.post(f"/api/{path}", json={"email": email, **more})
        assert answer.status_code == 422
        assert says in problem(answer)["detail"] + problem(answer)["do"]
    page = await site.http.post("/", data={**SIGNUP, "email": email, "event": "click-1"}, headers={"Accept": "text/html"})
    assert page.status_code == 422
    assert says in page.text


async def test_a_failed_signup_can_be_reported(site: Site) -> None:
    body = {"email": "dana@acme.com", "company": "Acme", "error": "the form timed out"}
    answer = await site.http.post("/api/signups/failed", json=body, headers={"Idempotency-Key": "click-1"})
    assert (answer.status_code, answer.json()) == (202, {"id": "kept-1"})
    ((form, why),) = site.tenure.of("failed_signup")
    assert (form.email, form.event_id, why) == ("dana@acme.com", "click-1", "the form timed out")


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("extend", {"by": "ce@tenure.example", "days": 15}, "extend"),
        ("convert", {"by": "ce@tenure.example", "contract_end": "2027-06-30"}, "convert"),
        ("terminate", {"by": "ce@tenure.example", "feedback": True}, "terminate"),
        ("request-feedback", {"by": "ce@tenure.example"}, "request_feedback"),
        ("change-domain", {"by": "ce@tenure.example", "new_host": "acme.cloud.tenure.example"}, "change_domain"),
        ("correct-admin", {"by": "ce@tenure.example", "email": "dana@acme.com"}, "correct_admin"),
        ("new-link", {"by": "ce@tenure.example"}, "new_link"),
    ],
)
async def test_each_act_reaches_its_trial(site: Site, path: str, body: dict[str, Any], name: str) -> None:
    answer = await site.http.post(f"/api/trials/acme.com/{path}", json=body, headers={"Idempotency-Key": "click-2"})
    assert (answer.status_code, answer.json()) == (200, {"done": f"{name} done"})
    ((workflow, asked, message, event),) = site.tenure.of("act_on")
    assert (workflow, asked) == ("trial-acme.com", name)
    await site.http.post(f"/api/trials/acme.com/{path}", json=body, headers={"Idempotency-Key": "click-2"})
    assert [call[3] for call in site.tenure.of("act_on")] == [event, event] != ["click-2", "click-2"]
    assert message.model_dump(mode="json", exclude_defaults=True) == body


async def test_an_acts_message_is_the_workflows_own(site: Site) -> None:
    await site.http.post("/api/trials/acme.com/extend", json={"by": "ce@tenure.example", "days": 15})
    await site.http.post("/api/trials/acme.com/convert", json={"by": "ce@tenure.example"})
    extend, convert = (call[2] for call in site.tenure.of("act_on"))
    assert isinstance(extend, Extend)
    assert isinstance(convert, Convert)
    misspelt = await site.http.post("/api/trials/acme.com/extend", json={"by": "ce@tenure.example", "dayz": 15})
    assert misspelt.status_code == 422
    assert len(site.tenure.of("act_on")) == 2


async def test_a_host_of_the_company_names_its_trial_and_nonsense_names_none(site: Site) -> None:
    await site.http.post("/api/trials/code.acme.com/new-link", json={"by": "ce@tenure.example"})
    assert site.tenure.of("act_on")[0][0] == "trial-acme.com"
    answer = await site.http.post("/api/trials/%20/new-link", json={"by": "x"})
    assert answer.status_code == 422


async def test_a_trial_is_shown_whole_and_lists_are_bounded(site: Site) -> None:
    shown = (await site.http.get("/api/trials/acme.com")).json()
    assert shown["status"]["stage"] == "extended"
    assert shown["dossier"][0]["facts"][0]["value"] == 3
    assert shown["tasks"][0]["id"] == "trial-acme.com:triage-1"
    listed = (await site.http.get("/api/trials", params={"stage": "triage", "limit": 5, "page": "abc"})).json()
    assert (listed["rows"][0]["domain"], listed["next_page"]) == ("acme.com", "bmV4dA==")
    assert site.tenure.of("trials") == [(5, "abc", "triage", False)]
    for wrong in ("limit=0", "limit=201", "limit=x"):
        assert (await site.http.get(f"/api/trials?{wrong}")).status_code == 422


async def test_a_ce_requests_a_trial(site: Site) -> None:
    body = {"email": "dana@acme.com", "company": "Acme", "ce": "ce.one@tenure.example", "size": "medium", "seats": 250}
    answer = await site.http.post("/api/trial-requests", json=body)
    assert (answer.status_code, answer.json()["trial"]) == (201, "trial-acme.com")
    ((form,),) = site.tenure.of("request_trial")
    assert (form.ce, form.size, form.seats, form.standard) == ("ce.one@tenure.example", "medium", 250, True)
    assert (await site.http.post("/api/trial-requests", json={**body, "size": "huge"})).status_code == 422


async def test_a_blocked_colleague_asks_to_join(site: Site) -> None:
    answer = await site.http.post("/api/joins", json={"email": "lee@acme.com"})
    assert (answer.status_code, answer.json()["done"]) == (201, "the administrator is asked to invite you")


async def test_tasks_are_listed_and_answered_by_their_id(site: Site) -> None:
    listed = (await site.http.get("/api/tasks", params={"role": "inbound_sdr"})).json()
    assert site.tenure.of("tasks") == [(50, "inbound_sdr", "", "")]
    body = {"choice": "qualified", "by": "sdr@tenure.example", "checks": {"core_use_case": True}, "fields": {"seats": 5}}
    answer = await site.http.post(f"/api/tasks/{listed[0]['id']}/answer", json=body, headers={"Idempotency-Key": "click-3"})
    assert answer.json() == {"done": "qualified taken"}
    ((task, given, event),) = site.tenure.of("answer")
    assert (task, given.task) == ("trial-acme.com:triage-1", "triage-1")
    assert event not in ("", "click-3")
    assert (given.checks, given.fields) == ({"core_use_case": True}, {"seats": 5})


# --- The document ---------------------------------------------------------------------------------------------------------------


async def test_the_document_describes_every_operation_and_its_problems(site: Site) -> None:
    document = (await site.http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["properties"]) >= {"title", "status", "detail", "do"}
    operations = [(path, operation) for path, methods in document["paths"].items() for operation in methods.values()]
    assert {"/api/signups", "/api/trials/{domain}", "/api/tasks/{id}/answer", "/webhooks/github", "/healthz", "/readyz"} <= {
        path for path, _ in operations
    }
    for path, operation in operations:
        assert operation["summary"], path
        assert operation["tags"], path
        for status, answered in operation["responses"].items():
            if int(status) >= 400 and (path, status) not in {("/healthz", "503"), ("/readyz", "503")}:
                assert list(answered["content"]) == ["application/problem+json"], (path, status)
    # Every reference of the document leads somewhere.
    for name in {found.rpartition("/")[2] for found in _references(document)}:
        assert name in schemas


def test_the_document_s_examples_are_what_errors_say() -> None:
    examples = {name: said["content"][MEDIA_TYPE]["example"] for name, said in DOCUMENTED.items()}
    assert all(Problem(**example).title for example in examples.values())
    kept = Kept("d", "do", reference="r", retry_after=1, status=503)
    said = {str(kind.status): kind("d", "do") for kind in (NotSignedIn, NotAllowed, NotFound, Refused, BadInput, Unavailable)}
    for name, error in {**said, "413": TOO_LONG, "429": TooMany("d", "do", 1), "kept": kept}.items():
        made = problem_of(error)
        assert (examples[name]["title"], examples[name]["status"], examples[name]["code"]) == (made.title, made.status, made.code), name


def _references(tree: object) -> list[str]:
    if isinstance(tree, dict):
        own = [tree["$ref"]] if isinstance(tree.get("$ref"), str) else []
        return own + [found for value in tree.values() for found in _references(value)]
    return [found for value in tree for found in _references(value)] if isinstance(tree, list) else []


async def test_every_example_of_a_body_is_one_that_is_taken(site: Site) -> None:
    document = (await site.http.get("/openapi.json")).json()
    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            for example in document["components"]["schemas"].get(name, {}).get("examples", []):
                answer = await site.http.request(method, at(path), json=example)
                assert answer.status_code < 300, (path, answer.text)
                tried += 1
    assert tried == 21


async def test_the_document_has_a_page_of_our_own(site: Site) -> None:
    page = await site.http.get("/docs", headers=HTML)
    assert page.status_code == 200
    assert "/api/tasks/{id}/answer" in page.text
    assert "<script" not in page.text


# --- Limits, headers and faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/signups", "/console", "/join"])
async def test_a_long_body_is_refused(site: Site, path: str) -> None:
    answer = await site.http.post(path, content=b"x" * (64 * 1024 + 1))
    assert (answer.status_code, problem(answer)["title"]) == (413, "Too long")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = await site.http.post("/join", content=b"x" * (64 * 1024 + 1), headers=HTML)
    assert (page.status_code, "Too long" in page.text, page.headers["Content-Type"]) == (413, True, "text/html; charset=utf-8")


async def test_a_long_body_that_hides_its_length_is_refused(site: Site) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    answer = await site.http.post("/api/signups", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert problem(answer)["title"] == "Too long"
    assert site.tenure.calls == []


@pytest.mark.parametrize("path", ["/", "/api/signups", "/webhooks/github", "/codec/decode"])
async def test_a_body_that_does_not_come_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    token = {"Authorization": f"Bearer {site.settings.codec_secret()}"} if path.startswith("/codec/") else {}
    kind = {"Content-Type": "application/x-www-form-urlencoded" if path == "/" else "application/json"}
    answer = await site.http.post(path, content=pieces(), headers=kind | token)
    assert (answer.status_code, problem(answer)["title"]) == (408, "Too slow")


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/nowhere", "/api/trials/acme.com", "/static/site.css"])
async def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = (await site.http.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_pages_obey_their_own_policy(site: Site) -> None:
    """Neither inline styles nor inline scripts, which the policy would block without a word."""
    for path in ("/", "/join", "/console", "/console/trials/acme.com", "/docs", "/s/unknown"):
        text = (await site.http.get(path, headers=HTML)).text
        assert " style=" not in text
        assert "<style" not in text
        assert "<script" not in text


async def test_an_unknown_error_is_a_problem_with_an_event_and_no_trace(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.tenure.script.raises["trial"] = RuntimeError("secret words")
    with caplog.at_level(logging.ERROR, logger="starter.web.middleware"):
        answer = await site.http.get("/api/trials/acme.com")
        page = await site.http.get("/console/trials/acme.com", headers=HTML)
    assert (answer.status_code, page.status_code) == (500, 500)
    assert "secret words" not in answer.text + page.text
    assert page.headers["Content-Type"].startswith("text/html")
    first, second = (record.getMessage() for record in caplog.records)
    assert problem(answer)["event"] in first
    assert second.split()[1].rstrip(":") in page.text


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/nowhere", "GET", 404), ("/api/nowhere", "GET", 404), ("/api/signups", "DELETE", 405)]
)
async def test_a_wrong_address_is_answered_in_the_form_of_the_asker(site: Site, path: str, method: str, status: int) -> None:
    assert problem(await site.http.request(method, path))["status"] == status
    page = await site.http.request(method, path, headers=HTML)
    assert page.headers["Content-Type"].startswith("application/problem" if path.startswith("/api/") else "text/html")
    assert page.status_code == status


@pytest.mark.parametrize(
    ("headers", "let_through"),
    [
        ({}, True),
        ({"Origin": "http://testserver"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
async def test_another_sites_page_cannot_act_for_the_person_at_the_browser(site: Site, headers: dict[str, str], let_through: bool) -> None:
    body = {"by": "ce@tenure.example", "reason": "forged"}
    answer = await site.http.post("/api/trials/acme.com/terminate", json=body, headers=headers)
    assert answer.status_code == (200 if let_through else 403)
    assert len(site.tenure.of("act_on")) == int(let_through)


# --- Health ---------------------------------------------------------------------------------------------------------------------


async def test_health_is_all_parts_or_503_with_what_each_said() -> None:
    async def well() -> str:
        return "answers"

    async def down() -> str:
        raise ConnectionError("password=hunter2")

    async def silent() -> str:
        await asyncio.Event().wait()
        return ""

    assert (await health.check({"a": well})).ok
    assert (await health.check({"a": well, "b": down}, exclude=["b", "unknown"])).parts.keys() == {"a"}
    found = await health.check({"a": well, "b": down})
    assert not found.ok
    assert found.parts["a"].ok
    assert "hunter2" not in found.parts["b"].says
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "PATIENCE_SECONDS", 0.05)
        assert not (await health.check({"c": silent})).parts["c"].ok


def test_the_sandbox_is_a_part_only_while_settings_point_to_it(site_settings: Any) -> None:
    assert health.sandbox_of(site_settings) == f"http://127.0.0.1:{site_settings.sandbox_port}"
    real = {
        "slack_url": "https://slack.com/api/",
        "github_url": "https://api.github.com",
        "salesforce_url": "",
        "instance_url": "https://{host}",
        "licensing_url": "https://licensing.tenure.example",
        "pagerduty_url": "https://events.pagerduty.com",
        "vitally_url": "https://ours.rest.vitally.io",
        "sheets_url": "https://sheets.googleapis.com",
    }
    assert health.sandbox_of(site_settings.model_copy(update=real)) == ""
    assert (
        health.sandbox_of(site_settings.model_copy(update={**real, "pagerduty_url": "http://sandbox:8900/pagerduty"}))
        == "http://sandbox:8900"
    )


@pytest.fixture
def site_settings(tmp_path: Path) -> Any:
    return settings_in(tmp_path)


# --- The background task and the process ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, Unavailable("Temporal does not answer", ""), RuntimeError("a fault of ours")])
async def test_failed_signups_are_retried_while_the_site_lives_and_not_after(site: Site, error: Exception | None) -> None:
    app = create_app(site.tenure, site.settings, retry_seconds=0.01)
    if error:
        site.tenure.script.raises["retry_failed_signups"] = error  # which must not end the task
    async with app.router.lifespan_context(app):
        async with asyncio.timeout(30):
            while len(site.tenure.of("retry_failed_signups")) < 3:
                await asyncio.sleep(0.01)
        assert RETRY_TASK in {task.get_name() for task in asyncio.all_tasks()}
    assert RETRY_TASK not in {task.get_name() for task in asyncio.all_tasks()}


async def test_the_process_serves_without_temporal_keeps_a_signup_and_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    """A whole web process with nothing behind it: healthy in nothing but its ledger, and a signup is still not lost."""
    with socket.socket() as free, socket.socket() as dead:
        free.bind(("127.0.0.1", 0))
        dead.bind(("127.0.0.1", 0))
        port, nobody = free.getsockname()[1], dead.getsockname()[1]
    environment = {
        **os.environ,
        "TENURE_DATA_DIR": str(tmp_path),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{nobody}",
        "TENURE_PORT_OFFSET": "23000",  # below the ports that the kernel gives to the servers of other tests
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starter.web",
        "--port",
        str(port),
        env=environment,
        cwd=Path(__file__).parents[3],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
            async with asyncio.timeout(60):
                while True:
                    try:
                        answer = await http.get("/readyz")
                        break
                    except httpx.ConnectError:
                        assert process.returncode is None
                        await asyncio.sleep(0.1)
            parts = answer.json()["parts"]
            assert answer.status_code == 503
            assert {name: part["ok"] for name, part in parts.items()} == {
                "temporal": False,
                "ledger": True,
                "worker": False,
                "sandbox": False,
            }
            assert (await http.get("/livez")).status_code == 200
            form = {"email": "dana@acme.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme"}
            page = await http.post("/", data=form, headers=HTML)
            assert page.status_code == 503
            assert "What you typed is not lost." in page.text
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.reading() as db:
        (row,) = db.execute(select(failed_signups)).all()
    ledger.close()
    assert (row.email, row.rescued_at) == ("dana@acme.com", None)
    assert row.data == {"first_name": "Dana", "last_name": "Reyes", "company": "Acme"}
