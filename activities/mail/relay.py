"""The mail server: how it is spoken to, and what each of its replies means in Temporal's terms."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from temporalio.exceptions import ApplicationError

from activities.errors import LONGEST_ANSWER, Kind, Unreachable, forbidden, no_answer, refused, unreachable
from store.ledger import NotDone

SYSTEM = "Mail"
QUIT_SECONDS = 5
CLOSING = 421
SERVER_TROUBLE = frozenset({CLOSING, 451, 452})  # RFC 5321: the server's own trouble, not the mail's
DEFERRED = Kind("Deferred", NotDone, "{system} was deferred by the server: {message}", timedelta(minutes=1))  # as by greylisting
PUT_OFF = replace(DEFERRED, error=Unreachable)


@dataclass(frozen=True)
class Relay:
    """The SMTP server. ``tls``: from the first byte (``on``), by STARTTLS or not at all (``required``), or as it offers (``offered``)."""

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read ``smtp://[user:password@]host[:port]``; ``smtps://`` is TLS at once, ``smtp://…?starttls=required`` insists on it."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("smtp_url must be smtp://[user:password@]host[:port] or smtps://…")
        required = parse_qs(parts.query).get("starttls", [""])[0] in ("required", "1", "true", "yes")
        tls = "on" if parts.scheme == "smtps" else "required" if required else "offered"
        port = parts.port or {"on": 465, "required": 587, "offered": 25}[tls]
        username = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, tls, username, unquote(parts.password) if parts.password else None)

    def deliver(self, message: EmailMessage) -> list[str]:
        """Hand the message over; returns the addresses that the server did not take although it took the others."""
        # A loop of its own, since the thread of the pool has none; made by a factory, so that it never becomes the thread's default.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(self._submit(message))

    async def _submit(self, message: EmailMessage) -> list[str]:
        server = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.tls == "on",
            start_tls={"on": False, "required": True, "offered": None}[self.tls],
            username=self.username,
            password=self.password,
            timeout=LONGEST_ANSWER,
        )
        await server.connect()
        try:
            problems, _ = await server.send_message(message)
            with suppress(aiosmtplib.SMTPException, OSError):  # a lost farewell must not make a mail that was taken look unsent
                await server.quit(timeout=QUIT_SECONDS)
        finally:
            server.close()
        return sorted(problems)


def error_of(error: Exception) -> ApplicationError | None:
    """An SMTP client's exception in Temporal's terms: 4xx is for now, 5xx for good."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return forbidden(SYSTEM, f"{error.code} {error.message}")
        case aiosmtplib.SMTPRecipientsRefused():
            first = error.recipients[0]
            code = max(one.code for one in error.recipients)
            return _replied(code, f"{first.recipient}: {first.message}", every_mail=code == CLOSING)
        case aiosmtplib.SMTPResponseException():
            every_mail = error.code in SERVER_TROUBLE or not isinstance(error, aiosmtplib.SMTPDataError)
            return _replied(error.code, error.message, every_mail=every_mail)
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPConnectTimeoutError():
            return unreachable(SYSTEM, error.message)
        case aiosmtplib.SMTPNotSupported():
            return forbidden(SYSTEM, f"{error.message}; check the scheme and the login of TENURE_SMTP_URL")
        case ssl.SSLError():
            return unreachable(SYSTEM, str(error))
        case aiosmtplib.SMTPException() | OSError():
            return no_answer(SYSTEM, f"{type(error).__name__}: {error}")
    return None


def _replied(code: int, words: str, *, every_mail: bool) -> ApplicationError:
    """The server's reply, which settles that the mail was not taken; where it puts off ``every_mail``, the server is held."""
    text = f"{code} {' '.join(words.split())}"[:300]
    if code >= 500:
        return refused(SYSTEM, text)
    return (PUT_OFF if every_mail else DEFERRED)(SYSTEM, text)
