"""The mail server stand-in, through aiosmtplib and smtplib."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage

import aiosmtplib
import httpx
import pytest

from sandbox.core import Fault
from sandbox.server import SandboxServer


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


def letter(subject: str = "Your trial", to: str = "admin@acme.example") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Trials <trials@tenure.example>"
    message["To"] = to
    message["Cc"] = "ce-ada@tenure.example"
    message["Subject"] = subject
    message["Message-ID"] = "<trial-acme.example.welcome@tenure.example>"
    message.set_content("Grüße\n")
    message.add_alternative("<p>Grüße</p>\n", subtype="html")
    return message


async def send(sandbox: SandboxServer, message: EmailMessage) -> None:
    await aiosmtplib.send(message, hostname="127.0.0.1", port=sandbox.smtp_port)


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


async def test_a_mail_is_kept_as_it_was_sent(sandbox: SandboxServer) -> None:
    await send(sandbox, letter("Ihr Test läuft"))
    mail = sandbox.world.services["smtp"].mails[0]
    assert mail.subject == "Ihr Test läuft"
    assert mail.sender == "Trials <trials@tenure.example>"
    assert (mail.to, mail.cc) == (["admin@acme.example"], ["ce-ada@tenure.example"])
    assert mail.rcpt_to == ["admin@acme.example", "ce-ada@tenure.example"]
    assert mail.message_id == "<trial-acme.example.welcome@tenure.example>"
    assert (mail.text.strip(), mail.html.strip()) == ("Grüße", "<p>Grüße</p>")
    assert mail.headers["Cc"] == "ce-ada@tenure.example"
    assert acts(sandbox) == ["mail.accepted"]


async def test_the_same_message_twice_is_two_mails(sandbox: SandboxServer) -> None:
    for _ in range(2):
        await send(sandbox, letter())
    mails = httpx.get(f"{sandbox.url}/_sandbox/mail", params={"to": "ADMIN@acme.example"}).json()
    assert len({mail["number"] for mail in mails}) == 2
    assert len({mail["message_id"] for mail in mails}) == 1
    assert httpx.get(f"{sandbox.url}/_sandbox/mail", params={"to": "other@acme.example"}).json() == []


def test_a_login_is_accepted(sandbox: SandboxServer) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as client:
        client.login("anybody", "anything")
        client.send_message(letter())
    assert acts(sandbox) == ["mail.accepted"]


@pytest.mark.parametrize("code", [451, 554])
async def test_a_refused_mail_is_not_kept(sandbox: SandboxServer, code: int) -> None:
    sandbox.world.faults.append(Fault("smtp", "status", status=code, body="not now"))
    with pytest.raises(aiosmtplib.SMTPDataError) as error:
        await send(sandbox, letter())
    assert (error.value.code, error.value.message) == (code, "not now")
    assert acts(sandbox) == []
    await send(sandbox, letter())
    assert acts(sandbox) == ["mail.accepted"]


async def test_too_many_mails_are_told_to_come_again(sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "rate_limit"))
    with pytest.raises(aiosmtplib.SMTPDataError) as error:
        await send(sandbox, letter())
    assert error.value.code == 450


@pytest.mark.parametrize(("kind", "kept"), [("cut_before", []), ("cut_after", ["mail.accepted"])])
async def test_a_connection_cut_around_the_answer(sandbox: SandboxServer, kind: str, kept: list[str]) -> None:
    sandbox.world.faults.append(Fault("smtp", "cut_before" if kind == "cut_before" else "cut_after"))
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(sandbox, letter())
    assert acts(sandbox) == kept


async def test_a_fault_waits_for_its_mail(sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "status", match="other@acme.example", status=554))
    await send(sandbox, letter())
    with pytest.raises(aiosmtplib.SMTPDataError):
        await send(sandbox, letter(to="other@acme.example"))
    assert sandbox.world.faults == []


async def test_a_slow_server_accepts_in_the_end(sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("smtp", "slow", seconds=0.2))
    began = time.monotonic()
    await send(sandbox, letter())
    assert time.monotonic() - began >= 0.2
    assert acts(sandbox) == ["mail.accepted"]
