"""The mail activity against the sandbox's SMTP server, and every template in both forms."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import TemplateNotFound, TemplateSyntaxError
from sqlalchemy import insert
from temporalio.exceptions import ApplicationError

from activities.mail.effects import UNSUBSCRIBE, Mailer
from activities.mail.relay import Relay
from activities.mail.words import NAMES, NEEDS, TEMPLATES, VALUES, wrapped
from domain import markup
from domain.effects.effect import EffectBatch
from domain.effects.mail import Mail, Template
from sandbox.core import Fault
from sandbox.mail import Mail as Kept
from sandbox.server import SandboxServer
from store.access import verify
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings
from store.tables import suppressions
from store.vault import Vault

WORKFLOW = "trial-acme.example"
SUBJECT = f"{WORKFLOW}/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVIL = "Müller & Söhne <script>alert('1')</script>"
VALUE: dict[str, str] = {
    "company": EVIL,
    "first_name": "Ada",
    "host": "src-7fk2.cloud.tenure.example",
    "ce_name": "Boris Engineer",
    "ae_name": "Mira Executive",
    "sdr_name": "Iris Inbound",
    "trial_ends_on": "15 January 2027",
    "days_left": "5",
    "reason": "timeout <b>",
    "joiner": "bob@acme.example",
    "new_host": "acme.cloud.tenure.example",
    "old_host": "src-7fk2.cloud.tenure.example",
    "event_id": "evt-12",
}
TEMPLATE_NAMES: tuple[Template, ...] = get_args(Template)


@pytest.fixture
def mailer(settings: Settings, ledger: Ledger) -> Mailer:
    return Mailer.from_settings(settings, ledger)


def mail(template: Template = "disqualified", **changes: object) -> Mail:
    link = {"link": WORKFLOW, "link_hours": 24} if "link" in NEEDS[template] else {}
    given = {"key": template, "template": template, "to": "ada@acme.example", **link, "values": VALUE, **changes}
    return Mail.model_validate(given)


def batch(*acts: Mail) -> EffectBatch:
    return EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=acts)


def kept(sandbox: SandboxServer) -> list[Kept]:
    found: list[Kept] = sandbox.world.services["smtp"].mails
    return found


class Page(HTMLParser):
    """What a mail program makes of the HTML: its text, its links, its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.tags: list[str] = []
        self.plain: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.plain += [] if "style" in dict(attrs) else [tag]
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


# --- Templates ------------------------------------------------------------------------------------------------------------------


def test_there_is_a_template_in_both_forms_for_each_name_and_no_other() -> None:
    found = {path.name.split(".")[0]: path for path in TEMPLATES.glob("*.j2")}
    assert set(found) - {"base", "parts"} == set(TEMPLATE_NAMES) == set(NEEDS)
    assert all((TEMPLATES / f"{name}.{form}.j2").exists() for name in TEMPLATE_NAMES for form in ("txt", "html"))


def test_templates_that_change_or_vanish_touch_no_running_mail(
    settings: Settings, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr("activities.mail.effects.TEMPLATES", folder)
    mailer = Mailer.from_settings(settings, ledger)
    as_written = mailer.render(mail("access"), EffectId(SUBJECT, "access"))
    (folder / "access.txt.j2").write_text("{{ broken")
    (folder / "base.html.j2").write_text("another page")
    assert mailer.render(mail("access"), EffectId(SUBJECT, "access")) == as_written
    shutil.rmtree(folder)
    assert all(mailer.render(mail(name), EffectId(SUBJECT, name)).html for name in TEMPLATE_NAMES)


@pytest.mark.parametrize(("name", "words"), [("access.html.j2", "{% if %}"), ("base.txt.j2", "{{ broken"), ("learn.txt.j2", None)])
def test_a_broken_or_missing_template_stops_the_worker_at_its_start(
    settings: Settings, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str | None
) -> None:
    folder = shutil.copytree(TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr("activities.mail.effects.TEMPLATES", folder)
    (folder / name).unlink()
    if words is not None:
        (folder / name).write_text(words)
    with pytest.raises(TemplateNotFound if words is None else TemplateSyntaxError) as caught:
        Mailer.from_settings(settings, ledger)
    assert isinstance(caught.value, TemplateNotFound | TemplateSyntaxError)
    assert caught.value.name == name


@pytest.mark.parametrize("campaign", [True, False])
@pytest.mark.parametrize("template", TEMPLATE_NAMES)
def test_each_template_in_both_forms(mailer: Mailer, settings: Settings, template: Template, campaign: bool) -> None:
    words = mailer.render(mail(template, campaign=campaign), EffectId(SUBJECT, template))
    assert words.subject
    assert "\n" not in words.subject
    for line in words.text.splitlines():
        assert len(line) <= 78 or "http" in line, line
    greeting = {"signup_failed": "To the support desk,", "join_request": "Hello,"}.get(template, "Hello Ada,")
    assert words.text.startswith(greeting)
    assert "\n\n\n" not in words.text
    assert "&amp;" not in words.text
    page = Page(words.html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert not {"img", "link"} & set(page.tags), "a mail loads nothing"
    for form, said in (("text", words.text), ("html", page.text)):
        shown = " ".join([*said.split(), *page.links])
        assert "None" not in shown
        for name in NEEDS[template] - {"link"}:
            assert (markup.name(VALUE[name]) if name in {*NAMES, "reason"} else VALUE[name]) in shown, (form, name)
    share = f"{settings.web_url}/s/{Vault(mailer._ledger, settings.key()).token(f'{SUBJECT}/{template}')}"
    assert (share in words.text) == (share in page.links) == ("link" in NEEDS[template])
    instance = settings.instance(VALUE["host"])
    assert (instance in words.text) == any(link.startswith(instance) for link in page.links) or template in ("access", "instant_access")
    opt_out = [link for link in page.links if link.startswith(f"{settings.web_url}/u/")]
    assert bool(opt_out) == campaign == (f"{settings.web_url}/u/" in words.text)
    assert all(link.startswith(("http://", "https://", "mailto:")) for link in page.links)
    # Some mail programs drop a stylesheet: what it says stands in the elements, but for the dark and for small screens.
    assert not {"body", "h1", "p", "td", "a", "li", "ul", "ol"} & set(page.plain)
    assert words.html.count("@media") == 2
    assert ".card { padding" not in words.html.partition("@media")[0]


@pytest.mark.parametrize("template", TEMPLATE_NAMES)
def test_each_template_needs_what_it_says_and_nothing_else(mailer: Mailer, template: Template) -> None:
    needed = {name: VALUE[name] for name in NEEDS[template] - {"link"}}
    words = mailer.render(mail(template, values=needed), EffectId(SUBJECT, "k"))
    assert "Hello,\n" in words.text or template == "signup_failed"
    for name in sorted(NEEDS[template]):
        changes = {"link": ""} if name == "link" else {"values": {**needed, name: " "}}
        with pytest.raises(NotDone, match=name) as caught:
            mailer.render(mail(template, **changes), EffectId(SUBJECT, "k"))
        assert (caught.value.type, caught.value.non_retryable) == ("MailMissingValue", True)


def test_values_that_no_template_knows_are_refused(mailer: Mailer) -> None:
    with pytest.raises(NotDone, match="compny"):
        mailer.render(mail(values={**VALUE, "compny": "x"}), EffectId(SUBJECT, "k"))
    assert set(VALUE) == VALUES


def test_a_host_that_is_none_cannot_become_a_link(mailer: Mailer) -> None:
    with pytest.raises(NotDone, match="host name"):
        mailer.render(mail("learn", values={"host": "evil.example/x?"}), EffectId(SUBJECT, "k"))


def test_internal_reasons_reach_no_customer(mailer: Mailer) -> None:
    for template in TEMPLATE_NAMES:
        words = mailer.render(mail(template, values={**VALUE, "reason": "they are cheap"}), EffectId(SUBJECT, "k"))
        assert ("cheap" in words.text + words.html) == (template == "signup_failed")


@pytest.mark.parametrize(("days", "said"), [("0", "today"), ("1", "tomorrow"), ("5", "in 5 days")])
def test_the_warning_says_how_long_is_left(mailer: Mailer, days: str, said: str) -> None:
    words = mailer.render(mail("inactivity_warning", values={**VALUE, "days_left": days}), EffectId(SUBJECT, "k"))
    assert f"on 15 January 2027, {said}." in " ".join(words.text.split())
    assert f", {said}." in " ".join(Page(words.html).text.split())


def test_wrapping_hangs_items_and_keeps_addresses_whole() -> None:
    url = "https://src-7fk2.cloud.tenure.example/" + "a-b/" * 30
    text = wrapped(f"- {'word ' * 20}\n\n\n\n{url}\n-- \nfoot")
    assert "\n  word" in text
    assert url in text.splitlines()
    assert "\n-- \nfoot" in text
    assert "\n\n\n" not in text


# --- Sending --------------------------------------------------------------------------------------------------------------------


def test_sends_one_mail_with_all_its_headers(mailer: Mailer, sandbox: SandboxServer, settings: Settings) -> None:
    act = mail(
        "learn",
        to_name='Ada "Byte", Countess',
        cc=("ae-mira@tenure.example",),
        sender=("Boris Engineer", "ce-boris@tenure.example"),
        campaign=True,
    )
    receipt = mailer.carry_out(batch(act)).of("learn")
    (got,) = kept(sandbox)
    assert got.message_id == receipt.ref == mailer.message_id(EffectId(SUBJECT, "learn"))
    assert got.message_id.endswith("@tenure.example>")
    assert got.rcpt_to == ["ada@acme.example", "ae-mira@tenure.example"]
    assert got.to == ["ada@acme.example"]
    assert got.cc == ["ae-mira@tenure.example"]
    assert got.sender == "Boris Engineer <ce-boris@tenure.example>"
    assert got.mail_from == "ce-boris@tenure.example"
    assert got.subject == receipt.data["subject"] == "Three searches worth trying"
    assert "Date" in got.headers
    assert "Hello Ada," in got.text
    assert "<h1" in got.html
    url = got.headers["List-Unsubscribe"].strip("<>")
    assert verify(settings.key(), UNSUBSCRIBE, url.rpartition("/")[2]) == WORKFLOW
    assert got.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "Auto-Submitted" not in got.headers


def test_a_mail_of_nobodys_answers_to_the_support_desk(mailer: Mailer, sandbox: SandboxServer, settings: Settings) -> None:
    mailer.carry_out(batch(mail()))
    (got,) = kept(sandbox)
    assert got.sender == settings.mail_from
    assert got.headers["Reply-To"] == settings.support_email
    assert got.headers["Auto-Submitted"] == "auto-generated"
    assert "List-Unsubscribe" not in got.headers
    assert "Müller & Söhne ‹script›alert('1')‹/script›" in got.text


def test_a_thread_holds_together(mailer: Mailer, sandbox: SandboxServer) -> None:
    first, second, third = mail("sdr_welcome"), mail("access", thread="sdr_welcome"), mail("ce_welcome", thread="access")
    mailer.carry_out(batch(first, second, third))
    one, two, three = kept(sandbox)
    assert two.subject == three.subject == f"Re: {one.subject}"
    assert two.headers["In-Reply-To"] == two.headers["References"] == one.message_id
    assert three.headers["In-Reply-To"] == two.message_id
    assert three.headers["References"].split() == [one.message_id, two.message_id]


def test_a_thread_whose_first_mail_was_never_sent_begins_here(mailer: Mailer, sandbox: SandboxServer) -> None:
    mailer.carry_out(batch(mail("access", thread="sdr_welcome")))
    (got,) = kept(sandbox)
    assert "In-Reply-To" not in got.headers
    assert not got.subject.startswith("Re:")


def test_a_second_run_is_answered_from_the_ledger(mailer: Mailer, sandbox: SandboxServer) -> None:
    acts = (mail("sdr_welcome"), mail("learn"))
    first = mailer.carry_out(batch(*acts))
    assert mailer.carry_out(batch(*acts)) == first
    assert len(kept(sandbox)) == 2


def test_a_lost_answer_sends_again_under_the_same_id(mailer: Mailer, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "cut_after"))
    with pytest.raises(ApplicationError, match="waiting: disqualified") as caught:
        mailer.carry_out(batch(mail()))
    assert (caught.value.type, caught.value.non_retryable) == ("MailUnsure", False)
    mailer.carry_out(batch(mail()))
    one, two = kept(sandbox)
    assert one.message_id == two.message_id


def test_a_lost_request_is_made_again_once(mailer: Mailer, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "cut_before"))
    with pytest.raises(ApplicationError):
        mailer.carry_out(batch(mail()))
    mailer.carry_out(batch(mail()))
    assert len(kept(sandbox)) == 1


def test_now_not_and_never_are_told_apart(mailer: Mailer, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "status", status=451))
    with pytest.raises(NotDone) as caught:
        mailer.carry_out(batch(mail()))
    assert (caught.value.type, caught.value.non_retryable) == ("MailDeferred", False)
    assert caught.value.next_retry_delay == timedelta(minutes=1)
    sandbox.world.faults.append(Fault("smtp", "status", status=554))
    with pytest.raises(NotDone) as caught:
        mailer.carry_out(batch(mail()))
    assert (caught.value.type, caught.value.non_retryable) == ("MailRefused", True)
    assert kept(sandbox) == []


def test_an_unreachable_server_did_nothing(settings: Settings, ledger: Ledger) -> None:
    gone = Mailer.from_settings(settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(mail()))
    assert caught.value.type == "MailUnreachable"
    assert ledger.effects(SUBJECT) == []


def test_a_login_is_used_and_never_shown(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    url = settings.smtp_url.replace("smtp://", "smtp://tenure:p%40ss@")
    Mailer.from_settings(settings.model_copy(update={"smtp_url": url}), ledger).carry_out(batch(mail()))
    assert len(kept(sandbox)) == 1


def test_a_refused_login_waits_for_a_person(settings: Settings, ledger: Ledger) -> None:
    with smtp_server_that_refuses_logins() as port:
        url = f"smtp://tenure:hunter22@127.0.0.1:{port}"
        with pytest.raises(NotDone) as caught:
            Mailer.from_settings(settings.model_copy(update={"smtp_url": url}), ledger).carry_out(batch(mail()))
    assert (caught.value.type, caught.value.non_retryable) == ("MailForbidden", False)
    assert "hunter22" not in str(caught.value)


def test_starttls_that_is_required_is_insisted_on(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    strict = Mailer.from_settings(settings.model_copy(update={"smtp_url": f"{settings.smtp_url}?starttls=required"}), ledger)
    with pytest.raises(ApplicationError):
        strict.carry_out(batch(mail()))
    assert kept(sandbox) == []


def test_campaign_mail_is_held_after_an_opt_out_and_other_mail_is_not(mailer: Mailer, sandbox: SandboxServer, ledger: Ledger) -> None:
    before = mailer.carry_out(batch(mail("connect_code_host", campaign=True)))
    with ledger.writing() as db:
        db.execute(insert(suppressions).values(subject=SUBJECT, why="opted out", at=AS_OF))
    receipts = mailer.carry_out(batch(mail("connect_code_host", campaign=True), mail("learn", campaign=True), mail("terminated")))
    assert receipts.of("connect_code_host") == before.of("connect_code_host"), "what was sent stays sent"
    assert receipts.of("learn").ref == ""
    assert receipts.of("learn").data == {"held": "opted out"}
    assert [row.key for row in ledger.effects(SUBJECT)] == ["connect_code_host", "terminated"]
    assert len(kept(sandbox)) == 2


@pytest.mark.parametrize("to", ["ada@acme.example\r\nBcc: all@acme.example", "ada", "", "a b@acme.example", "@acme.example", "ada@"])
def test_what_is_no_address_is_refused_for_good(mailer: Mailer, sandbox: SandboxServer, to: str) -> None:
    with pytest.raises(NotDone) as caught:
        mailer.carry_out(batch(mail(to=to)))
    assert (caught.value.type, caught.value.non_retryable) == ("MailInvalidAddress", True)
    assert kept(sandbox) == []


def test_no_header_can_be_smuggled_in(mailer: Mailer, sandbox: SandboxServer) -> None:
    evil = "Acme\r\nBcc: all@acme.example"
    mailer.carry_out(batch(mail("sdr_welcome", to_name=evil, values={**VALUE, "company": evil})))
    (got,) = kept(sandbox)
    assert "Bcc" not in got.headers
    assert got.rcpt_to == ["ada@acme.example"]


@pytest.mark.parametrize(
    ("domain", "written"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),  # not fass.example, which is somebody else's
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("食狮.example", "xn--85x722f.example"),
    ],
)
def test_a_domain_in_another_script_is_written_to(mailer: Mailer, sandbox: SandboxServer, domain: str, written: str) -> None:
    mailer.carry_out(batch(mail(to=f"ada@{domain}", to_name="Ada Bücher")))
    assert kept(sandbox)[0].rcpt_to == [f"ada@{written}"]


def test_many_threads_send_at_once(mailer: Mailer, sandbox: SandboxServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: mailer.carry_out(batch(mail(key=f"mail-{number}"))), range(24)))
    assert len({one.message_id for one in kept(sandbox)}) == len(kept(sandbox)) == 24


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:8925", Relay("127.0.0.1", 8925, "offered")),
        ("smtps://user:p%40ss@mail.example", Relay("mail.example", 465, "on", "user", "p@ss")),
        ("smtp://mail.example?starttls=required", Relay("mail.example", 587, "required")),
    ],
)
def test_relay(url: str, expected: Relay) -> None:
    assert Relay.of(url) == expected


def test_a_relay_must_be_one() -> None:
    with pytest.raises(ValueError, match="smtp_url"):
        Relay.of("https://mail.example")


@contextmanager
def smtp_server_that_refuses_logins() -> Iterator[int]:
    """One SMTP conversation whose AUTH fails, as with a changed password; yields the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as wire:
            wire.write(b"220 mail.example\r\n")
            wire.flush()
            while line := wire.readline():
                word = line.split()[0].upper()
                wire.write(b"250-mail.example\r\n250 AUTH PLAIN\r\n" if word == b"EHLO" else b"535 5.7.8 bad credentials\r\n")
                wire.flush()

    with listening, ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        yield listening.getsockname()[1]
        talking.result(timeout=60)


# --- People of ours elsewhere, and names of others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", ["ada.ce@gmail.com", "ada@tenure.example.evil.example", "ada@eviltenure.example"])
def test_who_writes_from_elsewhere_writes_from_us_and_is_answered_there(mailer: Mailer, elsewhere: str) -> None:
    """F19: mail from another domain's address by our server fails DMARC there."""
    sent = mailer.compose(mail("ce_welcome", sender=("Ada Byron", elsewhere)), EffectId(SUBJECT, "m"))
    assert str(sent["From"]) == "Ada Byron <trials@tenure.example>"
    assert sent["Reply-To"].addresses[0].addr_spec == elsewhere
    assert "Auto-Submitted" not in sent


@pytest.mark.parametrize("ours", ["ada@tenure.example", "ada@eu.tenure.example", "Ada@TENURE.example"])
def test_who_writes_from_our_domain_writes_as_themselves(mailer: Mailer, ours: str) -> None:
    sent = mailer.compose(mail("ce_welcome", sender=("Ada Byron", ours)), EffectId(SUBJECT, "m"))
    assert sent["From"].addresses[0].addr_spec == ours
    assert "Reply-To" not in sent


@pytest.mark.parametrize(
    ("company", "to", "shown"),
    [
        ("You won, claim at https://evil.example/c", "ada@acme.com", "You won, claim at"),
        ("https://evil.example/c", "ada@acme.com", "your company"),
        ("evil.example", "ada@acme.com", "evil\u2060.example"),
        ("acme.com", "ada@Acme.com", "acme.com"),
        ("R&D Ltd.", "ada@acme.com", "R&D Ltd."),
        ("x" * 300, "ada@acme.com", "x" * 99 + "…"),
    ],
)
def test_a_company_is_a_name_and_no_address(mailer: Mailer, company: str, to: str, shown: str) -> None:
    """F6: what somebody typed as a company reaches no mail as a link."""
    words = mailer.render(mail("sdr_welcome", to=to, values={**VALUE, "company": company}), EffectId(SUBJECT, "m"))
    assert words.subject == f"Your cloud trial for {shown} is being built"
