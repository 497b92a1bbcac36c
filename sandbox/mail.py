"""The outside mail server: an SMTP listener that keeps every mail it accepts, and shows it on the control plane.

A mail is accepted when the answer to DATA is given, and each acceptance is one effect. A mail that is sent again after a lost
answer is therefore kept twice, as a real mailbox would show it: the equal Message-ID is the reader's only hint.

Planned faults of the service ``smtp`` strike at DATA, and are matched against the envelope and the mail as sent: ``status`` answers
that reply code (451 "try again", 554 "never"), ``rate_limit`` answers 450, the cuts close the connection before or after the mail is
kept, ``slow`` waits first.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from sandbox.core import Numbers, World
from sandbox.faults import take


@dataclass(frozen=True)
class Mail:
    """One accepted mail: the envelope (``mail_from``, ``rcpt_to``) beside what the message itself says."""

    number: int
    at: str
    mail_from: str
    rcpt_to: list[str]
    message_id: str
    sender: str
    to: list[str]
    cc: list[str]
    subject: str
    text: str
    html: str
    headers: dict[str, str]


@dataclass
class MailboxState:
    """What is kept of the mailbox."""

    mails: list[Mail]
    following: int


class Mailbox:
    """Every mail accepted since the last reset, oldest first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.mails: list[Mail] = []
        self._numbers = Numbers()

    def reset(self) -> None:
        """Throw every mail away."""
        self.mails.clear()

    def dump(self) -> MailboxState:
        """What is to be kept."""
        return MailboxState(self.mails, self._numbers.following)

    def load(self, state: MailboxState) -> None:
        """Go on from what was kept."""
        self.mails, self._numbers = state.mails, Numbers(state.following)

    def seed(self, data: dict[str, Any]) -> None:
        """Refuse: mails arrive by SMTP alone."""
        raise ValueError("smtp takes no seed: send a mail instead")

    def view(self) -> dict[str, Any]:
        """Return what the page shows: every mail, newest first."""
        return {"mails": [asdict(mail) for mail in reversed(self.mails)]}

    def to(self, address: str) -> list[Mail]:
        """Return the mails delivered to ``address`` (by the envelope, in any case); all of them when it is empty."""
        wanted = address.lower()
        return [mail for mail in self.mails if not wanted or wanted in (one.lower() for one in mail.rcpt_to)]

    def keep(self, mail_from: str, rcpt_to: list[str], content: bytes) -> Mail:
        """Store one accepted mail and log its effect."""
        message = message_from_bytes(content, policy=policy.default)
        mail = Mail(
            number=next(self._numbers),
            at=datetime.now(UTC).isoformat(),
            mail_from=mail_from,
            rcpt_to=list(rcpt_to),
            message_id=str(message.get("Message-ID", "")),
            sender=str(message.get("From", "")),
            to=_addresses(message, "To"),
            cc=_addresses(message, "Cc"),
            subject=str(message.get("Subject", "")),
            text=_body(message, "plain"),
            html=_body(message, "html"),
            headers={name: str(value) for name, value in message.items()},
        )
        self.mails.append(mail)
        self.world.log.effect(
            "smtp",
            "mail.accepted",
            f"{mail.subject or '(no subject)'} → {', '.join(mail.rcpt_to)}",
            number=mail.number,
            to=mail.rcpt_to,
            subject=mail.subject,
            message_id=mail.message_id,
        )
        return mail


def _addresses(message: EmailMessage, header: str) -> list[str]:
    return [address for _, address in getaddresses([str(value) for value in message.get_all(header, [])]) if address]


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


class Handler:
    """What the SMTP protocol asks at the end of DATA."""

    def __init__(self, world: World, mailbox: Mailbox) -> None:
        self.world = world
        self.mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept the mail, or fail as planned; returns the SMTP reply."""
        content = envelope.original_content or b""
        mail_from, rcpt_to = envelope.mail_from or "", envelope.rcpt_tos
        request = "\n".join(["DATA", mail_from, *rcpt_to, content.decode("utf-8", "replace")])
        fault = take(self.world, "smtp", request)
        if fault is not None:
            if fault.kind == "status":
                return f"{fault.status} {' '.join((fault.body or 'the sandbox was asked to refuse this mail').split())}"
            if fault.kind == "rate_limit":
                return "450 4.7.1 too many mails, try again later"
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault.kind == "cut_before":
                await _cut(server)
        self.mailbox.keep(mail_from, rcpt_to, content)
        if fault is not None and fault.kind == "cut_after":
            await _cut(server)
        return "250 2.0.0 kept"


async def _cut(server: SMTP) -> None:
    """Close the connection without a reply; the protocol then cancels the coroutine that waits here."""
    _abort(server)
    await asyncio.get_running_loop().create_future()


def _abort(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()


class Listener:
    """A running SMTP server on the current event loop."""

    def __init__(self, world: World, mailbox: Mailbox) -> None:
        self._handler = Handler(world, mailbox)
        self._sessions: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve the bound socket until :meth:`stop`."""
        loop = asyncio.get_running_loop()

        def connect() -> SMTP:
            return _Connection(
                self._sessions,
                self._handler,
                loop=loop,
                hostname="sandbox.invalid",
                ident="sandbox",
                enable_SMTPUTF8=True,
                auth_require_tls=False,
                # A relay that wants a login must work against the sandbox too; any name and password will do.
                authenticator=lambda *_: AuthResult(success=True),
            )

        self._server = await loop.create_server(connect, sock=listening)

    async def stop(self) -> None:
        """Stop listening and drop every open connection, as a server that goes away does."""
        if self._server is None:
            return
        self._server.close()
        tasks = [task for one in list(self._sessions) if (task := one.drop()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()


class _Connection(SMTP):
    """One client's connection, which the listener can drop: asyncio's server leaves accepted ones open when it closes."""

    def __init__(self, sessions: set[_Connection], handler: Handler, **options: Any) -> None:
        super().__init__(handler, **options)
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)

    def drop(self) -> asyncio.Task[None] | None:
        """Close the transport and cancel the conversation; returns the task to wait for."""
        _abort(self)
        task = self._handler_coroutine
        if task is not None:
            task.cancel()
        return task


def create_mailbox(world: World) -> Mailbox:
    """Make the mailbox and register it as the service ``smtp``."""
    mailbox = Mailbox(world)
    world.services["smtp"] = mailbox
    world.resets.append(mailbox.reset)
    return mailbox
