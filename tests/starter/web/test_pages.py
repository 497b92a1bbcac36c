"""The pages that people see: the signup form and its answers, the links of our mails, the console."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue
from sqlalchemy import select, update

from domain.messages import SignupAnswer
from domain.task import Answer
from starter.errors import BadInput, NotFound, Refused, Unavailable
from starter.service.temporal_errors import Closing, Over
from starter.web.links import FEEDBACK, UNSUBSCRIBE
from starter.web.render import plain, static_url, working_time
from store.access import sign
from store.tables import feedback, instances, share_links
from store.tables import vault as kept
from store.vault import Vault
from tests.starter.web_fakes import CSRF, HTML, RESET, Site, site_in

FORM = {"email": "dana@acme.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme", "event": "click-1"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


def text_of(answer: httpx.Response) -> str:
    """The words of a page, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


# --- The signup form ------------------------------------------------------------------------------------------------------------


async def test_the_signup_page_stands_alone_and_shows_the_policys_figures(site: Site) -> None:
    page = await site.http.get("/", headers=HTML)
    assert page.status_code == 200
    assert f"{site.tenure.policy.trial.self_serve.base_days} days to try" in page.text
    assert f"Within {working_time(site.tenure.policy.triage.sla_hours)}" in page.text
    assert "<script" not in page.text
    assert re.findall(r"""(?:src|href)=["'](https?:[^"']+)""", page.text) == []  # nothing of another site
    labelled = set(re.findall(r'<label for="([^"]+)"', page.text))
    typed = set(re.findall(r'<input id="([^"]+)"', page.text))
    assert labelled == typed == {"email", "first_name", "last_name", "company"}


async def test_each_page_view_is_another_click(site: Site) -> None:
    events = {re.search(r'name="event" value="([^"]+)"', (await site.http.get("/")).text)[1] for _ in range(2)}  # type: ignore[index]
    assert len(events) == 2


@pytest.mark.parametrize(
    ("outcome", "host", "says"),
    [
        ("redirected", "acme.cloud.tenure.example", "single sign-on"),
        ("instant", "src-1.cloud.tenure.example", "what proves that the address is yours"),
        ("triage", "", "within a working day"),
        ("waitlisted", "", "keeps its place"),
        ("after_teardown", "", "is being removed"),
        ("unconfirmed", "", "so we send you to nobody"),
    ],
)
async def test_every_outcome_has_its_page(site: Site, outcome: str, host: str, says: str) -> None:
    site.tenure.script.signup = SignupAnswer.model_validate(
        {"domain": "acme.com", "trial": "trial-acme.com", "case": "1", "outcome": outcome, "host": host, "message": "Said by the trial."}
    )
    page = await site.http.post("/", data=FORM, headers=HTML)
    assert page.status_code == 200
    assert "Said by the trial." in page.text
    assert says in text_of(page)
    assert (host in page.text) is True


async def test_the_form_reaches_the_service_as_it_was_typed_and_under_its_own_event(site: Site) -> None:
    await site.http.post("/", data={**FORM, "company": "  Acme\x00 &\r\n Sons "})
    ((form,),) = site.tenure.of("signup")
    assert (form.email, form.first_name, form.last_name, form.company) == ("dana@acme.com", "Dana", "Reyes", "Acme & Sons")
    assert (form.event_id, form.via) == ("click-1", "web")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("email", "", "Enter your work e-mail address."),
        ("email", "dana@", "not valid"),
        ("email", "x" * 300 + "@acme.com", "Shorten it to 254 characters; it has 309."),
        ("first_name", " ", "Enter your first name."),
        ("company", "A" * 61, "Shorten it to 60 characters"),
        (
            "first_name",
            "You won, claim at https://evil.example/c",
            "A name has no web or mail address: leave out “https://evil.example/c”.",
        ),
        ("first_name", "Da<b>na", "A name has no &lt;: leave it out."),
        ("company", "Acme evil.com", "leave out “evil.com”"),
    ],
)
async def test_a_fault_stands_beside_its_field_and_what_was_typed_is_kept(site: Site, field: str, value: str, says: str) -> None:
    page = await site.http.post("/", data={**FORM, field: value}, headers=HTML)
    assert page.status_code == 422
    beside = re.search(rf'<span class="error" id="error-{field}">(.*?)</span>', page.text)
    assert beside is not None
    assert says in beside[1]
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true" autofocus aria-describedby="error-{field}', page.text)
    assert page.text.count("aria-invalid") == 1
    assert 'role="alert"' in page.text
    assert 'value="Reyes"' in page.text
    assert 'name="event" value="click-1"' in page.text
    assert site.tenure.of("signup") == []


async def test_what_was_typed_cannot_write_the_page(site: Site) -> None:
    page = await site.http.post("/", data={**FORM, "email": "", "company": '"><script>alert(1)</script>'}, headers=HTML)
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize("error", [Unavailable("Temporal does not answer", "Ask again"), RuntimeError("a fault of ours")])
async def test_a_failed_form_is_kept_for_support_and_says_so(site: Site, error: Exception) -> None:
    site.tenure.script.raises["signup"] = error
    page = await site.http.post("/", data=FORM, headers=HTML)
    assert page.status_code == (503 if isinstance(error, Unavailable) else 500)
    ((form, why),) = site.tenure.of("failed_signup")
    assert (form.email, form.event_id) == ("dana@acme.com", "click-1")
    assert ("Temporal does not answer" in why) == isinstance(error, Unavailable)
    assert "What you typed is not lost." in page.text
    assert "kept-1" in page.text
    assert "writes to dana@acme.com within" in text_of(page)
    assert "a fault of ours" not in page.text


async def test_when_not_even_that_works_the_page_does_not_claim_it(site: Site) -> None:
    site.tenure.script.raises = {"signup": Unavailable("Temporal does not answer", ""), "failed_signup": Unavailable("nor the ledger", "")}
    page = await site.http.post("/", data=FORM, headers=HTML)
    assert page.status_code == 503
    assert "not lost" not in page.text
    assert site.settings.support_email in page.text
    assert "click-1" in page.text


async def test_a_refused_signup_says_why_and_is_not_reported_as_a_failure(site: Site) -> None:
    site.tenure.script.raises["signup"] = Refused("this company asked us not to", "Write to support")
    page = await site.http.post("/", data=FORM, headers=HTML)
    assert page.status_code == 409
    assert "This company asked us not to." in page.text
    assert site.tenure.of("failed_signup") == []


async def test_an_upload_in_the_form_is_an_error_of_the_client(site: Site) -> None:
    page = await site.http.post("/", data=FORM, files={"file": b"x"}, headers=HTML)
    assert page.status_code == 422
    assert site.tenure.of("signup") == []


# --- Joining --------------------------------------------------------------------------------------------------------------------


async def test_a_colleague_asks_for_an_invitation(site: Site) -> None:
    assert (await site.http.get("/join")).status_code == 200
    page = await site.http.post("/join", data={"email": "lee@acme.com", "first_name": "Lee"}, headers=HTML)
    assert page.status_code == 200
    assert "The administrator is asked to invite you." in page.text
    ((form,),) = site.tenure.of("join")
    assert (form.email, form.via) == ("lee@acme.com", "ticket")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("acme.com has no instance", "Sign up"), 404),
        (BadInput("the e-mail address is not valid", "Enter another", field="email"), 422),
    ],
)
async def test_a_join_that_cannot_be_keeps_what_was_typed(site: Site, error: Exception, status: int) -> None:
    site.tenure.script.raises["join"] = error
    page = await site.http.post("/join", data={"email": "lee@acme.com"}, headers=HTML)
    assert page.status_code == status
    assert 'value="lee@acme.com"' in page.text
    assert ('aria-invalid="true"' in page.text) == (status == 422)


# --- Share links ----------------------------------------------------------------------------------------------------------------


def shared(site: Site, kind: str = "reset_link", value: str = RESET) -> str:
    vault = Vault(site.tenure.ledger, site.settings.key())
    ref = "trial-acme.com" if kind == "reset_link" else vault.put("license_key", value, datetime.now(UTC) + timedelta(days=3), "a test's")
    return vault.share("a test's", ref, "dana@acme.com", 24)


def expire(site: Site) -> None:
    with site.tenure.ledger.writing() as db:
        db.execute(update(share_links).values(expires_at=datetime.now(UTC) - timedelta(hours=1)))


async def test_looking_at_a_share_link_neither_shows_nor_opens_it(site: Site) -> None:
    page = await site.http.get(f"/s/{shared(site)}", headers=HTML)
    assert page.status_code == 200
    assert "s3cret" not in page.text
    assert "d…@acme.com" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "form-action" not in page.headers["Content-Security-Policy"]  # it would stop the redirect to the instance
    with site.tenure.ledger.reading() as db:
        assert db.execute(select(share_links.c.opened_at)).scalar() is None


async def test_its_button_leads_to_the_secret_once(site: Site) -> None:
    token = shared(site)
    answer = await site.http.post(f"/s/{token}", headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, RESET)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    with site.tenure.ledger.reading() as db:
        assert db.execute(select(share_links.c.opened_at)).scalar() is not None
        assert db.execute(select(kept)).all() == []  # the reset link was taken with it
    for method in ("GET", "POST"):
        page = await site.http.request(method, f"/s/{token}", headers=HTML)
        assert page.status_code == 410
        assert "was opened already" in page.text
        assert f'action="/s/{token}/new"' in page.text
    ((workflow, message, _),) = site.tenure.of("open_link")
    assert (workflow, message.by) == ("trial-acme.com", "dana@acme.com")
    [noted] = [row for row in site.audited() if row.what == "open_link"]
    assert (noted.subject, noted.rule, noted.outcome) == ("trial-acme.com", "link", "accepted")


@pytest.mark.parametrize("kind", ["reset_link", "license_key"])
async def test_of_many_who_press_it_at_one_moment_one_gets_the_secret(site: Site, kind: str) -> None:
    token = shared(site, kind, "eyJ-the-key")
    answers = await asyncio.gather(*(site.http.post(f"/s/{token}", headers=HTML) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [303 if kind == "reset_link" else 200, *[410] * 11]
    assert len(site.tenure.of("open_link")) == (kind == "reset_link")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (Refused("a colleague of yours is the instance's administrator now", ""), 409, "colleague of yours is"),
        (Unavailable("the instance does not answer", "Open it again"), 503, "does not answer"),
        (NotFound("trial-acme.com is not running", "Sign up"), 404, "trial is over, and this link with it"),
        (RuntimeError("a fault of ours"), 500, ""),
    ],
)
async def test_a_link_of_which_nothing_came_is_not_used_up(site: Site, error: Exception, status: int, says: str) -> None:
    token = shared(site)
    site.tenure.script.raises["open_link"] = error
    page = await site.http.post(f"/s/{token}", headers=HTML)
    assert page.status_code == status
    assert says in text_of(page)
    assert "a fault of ours" not in page.text
    site.tenure.script.raises.clear()
    assert (await site.http.post(f"/s/{token}", headers=HTML)).headers["Location"] == RESET


async def test_a_key_is_shown_once_and_not_followed(site: Site) -> None:
    token = shared(site, "license_key", "eyJ-the-key")
    assert "eyJ-the-key" not in (await site.http.get(f"/s/{token}")).text
    answer = await site.http.post(f"/s/{token}", headers=HTML)
    assert answer.status_code == 200
    assert "eyJ-the-key" in answer.text
    assert (await site.http.post(f"/s/{token}", headers=HTML)).status_code == 410


async def test_an_expired_link_buys_one_new_one(site: Site) -> None:
    token = shared(site)
    expire(site)
    for method in ("GET", "POST"):
        page = await site.http.request(method, f"/s/{token}", headers=HTML)
        assert page.status_code == 410
        assert f'action="/s/{token}/new"' in page.text
        assert "s3cret" not in page.text
    for _ in range(2):
        assert (await site.http.post(f"/s/{token}/new", headers=HTML)).status_code == 200
    calls = site.tenure.of("act_on")
    assert [call[:2] for call in calls] == [("trial-acme.com", "new_link")] * 2
    assert calls[0][3] == calls[1][3] != ""  # the same event, so one new link
    assert calls[0][2].to == "dana@acme.com"  # and for nobody else, should another be the administrator now


async def test_an_expired_link_of_an_ended_trial_says_so(site: Site) -> None:
    token = shared(site)
    expire(site)
    site.tenure.script.raises["act_on"] = NotFound("nothing runs for acme.com", "Sign up again")
    page = await site.http.post(f"/s/{token}/new", headers=HTML)
    assert page.status_code == 404
    assert "Nothing runs for acme.com." in page.text


@pytest.mark.parametrize("email", ["dana@acme.com", "Dana+trial@ACME.com", "lee@acme.com", "nobody@elsewhere.com", "not an address", ""])
async def test_an_unknown_link_helps_only_the_administrator_and_tells_nobody_who_that_is(site: Site, email: str) -> None:
    with site.tenure.ledger.writing() as db:
        db.execute(
            instances.insert().values(
                host="acme.cloud.tenure.example",
                domain="acme.com",
                subject="s",
                kind="trial",
                admin="dana@acme.com",
                created_at=datetime.now(UTC),
            )
        )
    assert (await site.http.get("/s/unknown")).status_code == 404
    page = await site.http.post("/s/unknown/new", data={"email": email}, headers=HTML)
    assert page.status_code == 200
    assert "If this is the address of an instance's administrator" in html.unescape(page.text)
    assert site.tenure.of("act_on") == []  # the answer waits for nothing that depends on who it is
    await asyncio.gather(*site.tenure._later)
    assert len(site.tenure.of("act_on")) == (1 if email.lower().startswith("dana") else 0)


async def test_asking_for_a_new_link_takes_as_long_for_a_stranger_as_for_an_administrator(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that depends on who asks is done before the answer is out: neither the registry nor Temporal is asked."""
    asked: list[str] = []
    monkeypatch.setattr("store.registry.Registry.instance_of", lambda _self, domain: asked.append(domain))
    pages = [await site.http.post("/s/unknown/new", data={"email": email}) for email in ("dana@acme.com", "nobody@elsewhere.com")]
    assert asked == []
    assert pages[0].text == pages[1].text
    await asyncio.gather(*site.tenure._later)
    assert sorted(asked) == ["acme.com", "elsewhere.com"]


# --- Opting out, and feedback ---------------------------------------------------------------------------------------------------


async def test_opting_out_takes_a_press_of_the_button(site: Site) -> None:
    token = sign(site.settings.key(), UNSUBSCRIBE, "trial-acme.com")
    page = await site.http.get(f"/u/{token}", headers=HTML)
    assert page.status_code == 200
    assert site.tenure.of("act_on") == []
    done = await site.http.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    ((workflow, name, _, event),) = site.tenure.of("act_on")
    assert (workflow, name) == ("trial-acme.com", "opt_out")
    assert event not in ("", "opt-out")


@pytest.mark.parametrize("error", [NotFound("it has ended", ""), Over("it is over: decision: terminate", ""), Closing("it ended", "")])
async def test_opting_out_of_an_ended_trial_says_that_it_is_over(site: Site, error: Exception) -> None:
    site.tenure.script.raises["act_on"] = error
    page = await site.http.post(f"/u/{sign(site.settings.key(), UNSUBSCRIBE, 'trial-acme.com')}", headers=HTML)
    assert page.status_code == 200
    assert "This trial is over" in page.text
    assert "Done" not in page.text


async def test_a_refused_opt_out_is_never_shown_as_done(site: Site) -> None:
    site.tenure.script.raises["act_on"] = Refused("this event id was used for another request already", "Send each under its own")
    page = await site.http.post(f"/u/{sign(site.settings.key(), UNSUBSCRIBE, 'trial-acme.com')}", headers=HTML)
    assert page.status_code == 409
    assert "Done" not in page.text
    assert "used for another request" in page.text


async def test_opting_out_is_not_claimed_when_it_could_not_be_done(site: Site) -> None:
    site.tenure.script.raises["act_on"] = Unavailable("Temporal does not answer", "Ask again")
    assert (await site.http.post(f"/u/{sign(site.settings.key(), UNSUBSCRIBE, 'trial-acme.com')}")).status_code == 503


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/u/", "/feedback/"])
async def test_a_forged_link_or_one_of_another_purpose_opens_nothing(site: Site, method: str, path: str) -> None:
    other = FEEDBACK if path == "/u/" else UNSUBSCRIBE
    for token in ("nonsense", sign(site.settings.key(), other, "trial-acme.com"), sign("another key", UNSUBSCRIBE, "trial-acme.com")):
        assert (await site.http.request(method, f"{path}{token}", headers=HTML)).status_code == 404
    assert site.tenure.calls == []


async def test_feedback_is_kept_once_and_the_last_one_counts(site: Site) -> None:
    link = f"/feedback/{sign(site.settings.key(), FEEDBACK, 'trial-acme.com')}"
    assert (await site.http.get(link)).status_code == 200
    for text in ("first thoughts", "No SSO.\nAnd no time.\x00"):
        assert (await site.http.post(link, data={"reason": "missing", "text": text})).status_code == 200
    with site.tenure.ledger.reading() as db:
        (row,) = db.execute(select(feedback)).all()
    assert (row.subject, row.domain, row.data) == ("trial-acme.com", "acme.com", {"reason": "missing", "text": "No SSO.\nAnd no time."})


@pytest.mark.parametrize(("text", "reason"), [("x" * 2_001, "time"), ("", "other"), ("  ", "nonsense")])
async def test_feedback_that_is_too_long_or_empty_is_not_kept(site: Site, text: str, reason: str) -> None:
    page = await site.http.post(f"/feedback/{sign(site.settings.key(), FEEDBACK, 'trial-acme.com')}", data={"reason": reason, "text": text})
    assert page.status_code == 422
    with site.tenure.ledger.reading() as db:
        assert db.execute(select(feedback)).all() == []


# --- The console ----------------------------------------------------------------------------------------------------------------


async def test_the_console_lists_trials_and_tasks_within_bounds(site: Site) -> None:
    page = await site.http.get("/console?page=abc", headers=HTML)
    assert page.status_code == 200
    assert "Triage Acme &lt;&amp; Sons&gt;" in page.text
    for shown in ("acme.com", "ce.one@tenure.example", "trial-acme.com:triage-1", "Is the core use case ours?", 'name="field.reason"'):
        assert shown in page.text
    assert 'href="/console?page=bmV4dA%3D%3D"' in page.text
    ((limit, asked, _, _),) = site.tenure.of("trials")
    assert (limit, asked) == (25, "abc")


async def test_an_answer_of_the_console_reaches_the_service_whole(site: Site) -> None:
    form = {
        "task": "trial-acme.com:triage-1",
        "event": "click-9",
        "choice": "qualified",
        "csrf": CSRF,
        "check.core_use_case": "yes",
        "check.fits_size": "no",
        "field.ce_email": "ce.one@tenure.example",
        "field.reason": "",
        "note": "met them",
    }
    page = await site.signed_in("sdr.one@tenure.example").post("/console", data=form)
    assert page.status_code == 200
    assert "Qualified taken." in page.text
    ((task, answer, event),) = site.tenure.of("answer")
    assert task == "trial-acme.com:triage-1"
    assert event not in ("", "click-9")
    assert answer == Answer(
        task="triage-1",
        choice="qualified",
        by="sdr.one@tenure.example",
        note="met them",
        checks={"core_use_case": True, "fits_size": False},
        fields={"ce_email": "ce.one@tenure.example"},
    )


async def test_a_refused_answer_says_why_and_keeps_what_was_typed(site: Site) -> None:
    site.tenure.script.raises["answer"] = Refused("triage-1 was answered by another at noon", "")
    form = {"task": "trial-acme.com:triage-1", "choice": "disqualified", "csrf": CSRF, "field.reason": "too small"}
    page = await site.signed_in("sdr@tenure.example").post("/console", data=form)
    assert page.status_code == 409
    assert "Triage-1 was answered by another at noon." in page.text
    assert 'value="too small"' in page.text
    assert "<details open>" in page.text


async def test_one_trials_page_shows_its_decisions_steps_and_effects(site: Site) -> None:
    page = await site.http.get("/console/trials/acme.com", headers=HTML)
    assert page.status_code == 200
    words = text_of(page)
    for shown in (
        "Acme: the trial goes on until day 30.",
        "activity: extend",
        "joiners: 3 (instance)",
        "asked to extend",
        "Alert in #cloud-trial-alerts",
    ):
        assert shown in words


async def test_static_files_may_be_kept_for_ever_since_their_address_changes(site: Site) -> None:
    sheet = await site.http.get(static_url("site.css"))
    assert sheet.status_code == 200
    assert sheet.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (await site.http.get("/static/../web.py")).status_code == 404
    assert (await site.http.get("/static/%2e%2e/web.py")).status_code == 404


@pytest.mark.parametrize(
    ("hours", "said"), [(1, "an hour"), (8, "8 hours"), (24, "a working day"), (36, "36 hours"), (48, "2 working days")]
)
def test_a_time_by_which_people_act_is_said_as_people_say_it(hours: int, said: str) -> None:
    assert working_time(hours) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(True, "yes"), (False, "no"), (None, "none"), ("", "none"), (0, "0"), (3, "3"), (["a", True], "a, yes"), ({"a": 1}, "{'a': 1}")],
)
def test_a_fact_is_said_in_words(value: JsonValue, said: str) -> None:
    assert plain(value) == said
