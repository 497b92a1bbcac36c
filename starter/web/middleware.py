"""What stands around every route: limits for what comes in, headers for what goes out, and an end for errors that nobody foresaw.

Plain ASGI, since Starlette's own middleware classes would hold every answer in memory.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.errors import TenureError
from starter.service.forms import new_event
from starter.web.problem_details import Answer, Fault, problem_response
from starter.web.texts import fault
from store import metrics
from store.settings import Settings

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
BODY_SECONDS = 20.0
TOO_LONG = Fault(413, "the body has more bytes than this address takes", f"Send less: most take {BODY_LIMIT:,}")

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
# An address below this one is the key of a secret: it must not travel on as a referrer. The page's button leads to a customer's instance,
# another site: so there is no form-action, which browsers apply to redirects too.
SECRETS = "/s/"
SECRET_HEADERS = {**HEADERS, "Referrer-Policy": "no-referrer", "Content-Security-Policy": POLICY, "X-Robots-Tag": "noindex"}
#: A year; said only where the site's own address is https.
HSTS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: This machine's names: no other site can have them.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
NOT_OURS = Fault(421, **fault("other_host"))
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9._-]{0,252}))(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Livez:
    """The outermost layer answers ``GET /livez`` by itself, under whatever name and however often: only a process that hangs does not."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/livez" and scope["method"] in ("GET", "HEAD"):
            await JSONResponse({"ok": True}, headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass(frozen=True)
class Timed:
    """Counts every request with what it took, by the route that took it: an address names people."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            metrics.took("tenure_request", time.monotonic() - began, method=method, route=route, status=str(status))


@dataclass(frozen=True)
class OwnHosts:
    """The process answers to its own names only: a page that made its own name lead to our address (DNS rebinding) gets nothing.

    It stands in front of everything, the codec too; only ``/livez`` answers under any name. With ``addresses`` it answers to every
    IP address too, which no page can make its own name: a cluster asks its parts by address.
    """

    app: ASGIApp
    hosts: frozenset[str]
    addresses: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = "" if scope["type"] == "lifespan" else host_of(scope)
        if scope["type"] == "lifespan" or host in self.hosts or (self.addresses and is_address(host)):
            await self.app(scope, receive, send)
        else:
            await problem_response(NOT_OURS)(scope, receive, send)


def own_hosts(settings: Settings, address: str = "") -> frozenset[str]:
    """The names under which we answer at ``address``, the web's own if none is given; in lower case, IPv6 addresses in brackets.

    They are the host of the address, those of ``TENURE_ALLOWED_HOSTS`` (of a probe, or of a container's network), and this machine's own.
    What a proxy says in ``X-Forwarded-Host`` counts nowhere.
    """
    host = urlsplit(address or settings.web_url).hostname or ""
    named = (f"[{host}]" if ":" in host else host, *settings.allowed_hosts.replace(" ", "").lower().split(","))
    return frozenset({*LOOPBACK, *filter(None, named)})


def host_of(scope: Scope) -> str:
    """The name that was asked for, without its port; empty when there is none, more than one, or something else."""
    given = [value for name, value in scope["headers"] if name.lower() == b"host"]
    found = _HOST.fullmatch(given[0].decode("latin-1").lower()) if len(given) == 1 else None
    return found[1] if found else ""


def is_address(host: str) -> bool:
    """Whether a name, as :func:`host_of` gives it, is an IP address."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Guard:
    """Takes what comes in time, from our own pages, and not too long; gives every answer its headers; answers every error that is raised within.

    ``https``: the site is reached by it. ``more``: what headers a request's answer has besides.
    """

    app: ASGIApp
    answer: Answer
    https: bool
    more: Callable[[Scope], Mapping[str, str]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = too_long = False
        told = {**(SECRET_HEADERS if scope["path"].startswith(SECRETS) else HEADERS), **(HSTS if self.https else {}), **self.more(scope)}

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in told.items():
                    headers.setdefault(name, value)
            await send(message)

        async def passed_on(message: Message) -> None:
            nonlocal too_long
            too_long = too_long or message.get("status") == 413  # only the framework says it, in words that help nobody
            if not too_long:
                await with_headers(message)

        found: TenureError | None = None
        try:
            _from_our_pages(scope)
            await self.app(scope, in_time(receive), passed_on)
        except ClientDisconnect:
            return
        except TenureError as error:
            found = error
        except Exception:
            event = new_event()
            log.exception("event %s: %s %s", event, scope["method"], scope["path"])
            if started:
                raise  # the answer is half out: only a cut connection tells the caller that it is not whole
            found = Fault(500, **fault("our_doing", event=event), event=event)
        if too_long or found:
            await self.answer(Request(scope), found or TOO_LONG)(scope, receive, with_headers)


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


def _from_our_pages(scope: Scope) -> None:
    """Another site's page may not act for the person at the browser: the API, the console and the sign-out take writes from our pages only.

    A program sends neither header and is let through.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or not scope["path"].startswith(("/api/", "/console", "/sign-out")):
        return
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if not (site in ("same-origin", "none") if site else origin is None or urlsplit(origin).netloc == headers.get("host")):
        raise Fault(403, "a page of another site sent this", "Open this site's own page and do it there")
