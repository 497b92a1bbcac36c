"""What stands around every route: limits for what comes in, headers for what goes out, and an end for errors that nobody foresaw.

Plain ASGI, since Starlette's own middleware classes would hold every answer in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.events import new_event
from starter.problems import Fault, Problem, problem_of

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
WEBHOOK_LIMIT = 1024 * 1024
BODY_SECONDS = 20.0

# Everything comes from us; pages that lead on to a customer's instance drop form-action, which browsers apply to redirects too.
POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
#: A year; said only where the site's own address is https.
HSTS = "max-age=31536000; includeSubDomains"

Answer = Callable[[Request, Problem], Response]


@dataclass(frozen=True)
class Guard:
    """The outermost layer. ``answer`` turns a problem into a response in the form that the caller reads; ``https``: the site is reached by it."""

    app: ASGIApp
    answer: Answer
    https: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.https:
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        async def refuse(problem: Problem) -> None:
            await self.answer(Request(scope), problem)(scope, receive, with_headers)

        if fault := _from_elsewhere(scope):
            await refuse(problem_of(fault))
            return
        try:
            body = await _body(scope, receive)
        except Fault as fault:
            await refuse(problem_of(fault))
            return
        if body is None:  # the caller went away before its request was complete
            return
        try:
            await self.app(scope, _replay(body, receive), with_headers)
        except Exception:
            event = new_event()
            log.exception("event %s: %s %s", event, scope["method"], scope["path"])
            if started:
                raise  # the answer is half out: only a cut connection tells the caller that it is not whole
            await refuse(unforeseen(event))


def unforeseen(event: str) -> Problem:
    """The problem that stands for an error nobody foresaw; its trace is in the log, under ``event``."""
    return Problem(
        title="Something went wrong on our side",
        status=500,
        detail="This was not your doing, and it has been written down.",
        do=f"Try again; if it happens again, tell support the event {event}",
        code="internal",
        event=event,
    )


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, which is short by rule; None when the caller went away. Raises :class:`Fault` 413 or 408."""
    limit = WEBHOOK_LIMIT if scope["path"].startswith("/webhooks/") else BODY_LIMIT
    too_long = Fault(413, "Too long", f"the body has more than {limit:,} bytes", "Send less")
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Fault(408, "Too slow", f"the body did not arrive within {BODY_SECONDS:.0f} seconds", "Send it again") from None


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A ``receive`` that gives the body that was read, and then what the server says next (the caller went away)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _from_elsewhere(scope: Scope) -> Fault | None:
    """Another site's page may not act for the person at the browser: the API, the console and the sign-out take writes from our pages only.

    A program sends neither header and is let through.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or not scope["path"].startswith(("/api/", "/console", "/sign-out")):
        return None
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    ours = site in ("same-origin", "none") if site else origin is None or urlsplit(origin).netloc == headers.get("host")
    return (
        None if ours else Fault(403, "From another site", "a page of another site sent this", "Open this site's own page and do it there")
    )
