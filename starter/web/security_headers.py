"""What stands around every route: limits for what comes in, headers for what goes out, and an end for errors that nobody foresaw.

Plain ASGI, since Starlette's own middleware classes would hold every answer in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.service.forms import new_event
from starter.web.problem_details import Fault, Problem, problem_of

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
WEBHOOK_LIMIT = 1024 * 1024
BODY_SECONDS = 20.0
TOO_LONG = Fault(413, "Too long", "the body has more bytes than this address takes", f"Send less: most take {BODY_LIMIT:,}")

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
        started = too_long = False

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

        async def passed_on(message: Message) -> None:
            nonlocal too_long
            too_long = too_long or message.get("status") == 413  # only the framework says it, in words that help nobody
            if not too_long:
                await with_headers(message)

        async def refuse(problem: Problem) -> None:
            await self.answer(Request(scope), problem)(scope, receive, with_headers)

        if fault := _from_elsewhere(scope):
            await refuse(problem_of(fault))
            return
        try:
            await self.app(scope, in_time(receive), passed_on)
        except ClientDisconnect:
            return
        except Exception:
            event = new_event()
            log.exception("event %s: %s %s", event, scope["method"], scope["path"])
            if started:
                raise  # the answer is half out: only a cut connection tells the caller that it is not whole
            await refuse(unforeseen(event))
        if too_long:
            await refuse(problem_of(TOO_LONG))


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


def in_time(receive: Receive) -> Receive:
    """A ``receive`` that raises 408 when the body is not whole :data:`BODY_SECONDS` from now on; its length is the framework's to limit."""
    until, whole = asyncio.get_running_loop().time() + BODY_SECONDS, False

    async def timed() -> Message:
        nonlocal whole
        if whole:  # the server says next that the caller went away, whenever that is
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS:.0f} seconds") from None
        whole = not message.get("more_body", False)
        return message

    return timed


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
