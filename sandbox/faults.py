"""Planned failures, applied around a service and never inside it.

The services stay simple and honest; :class:`FaultLayer` stands between each of them and the network. What it does to a request:

=============  =====================================================================================================
``status``     answers ``status``, with ``body`` or an error in the provider's own form; the service is never asked
``rate_limit`` answers as the provider does when it is called too often; the service is never asked
``cut_before`` closes the TCP connection without an answer; the service is never asked, so nothing happened
``cut_after``  lets the service act, throws its answer away and closes the connection: the case that makes duplicates
``slow``       waits ``seconds``, then serves as usual
=============  =====================================================================================================

A fault counts the requests of its service that contain ``match`` in ``METHOD /path?query`` or in the body (form bodies also as
their decoded text). Paths with a ``/_control`` part are the sandbox's own and never fail. The mailbox has its own use of
:func:`take`, since SMTP is no HTTP: see ``sandbox/mail.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core import Fault, World

#: Where ``sandbox/server.py`` leaves the connection's transport, so that a fault can close it.
TRANSPORT = "sandbox.transport"


def take(world: World, service: str, request: str) -> Fault | None:
    """Use up one turn of the first fault planned for ``service`` whose ``match`` occurs in ``request``; None when none does."""
    for fault in world.faults:
        if fault.service == service and fault.match in request:
            fault.times -= 1
            if fault.times <= 0:
                world.faults.remove(fault)
            return fault
    return None


class FaultLayer:
    """An ASGI application that serves ``app`` as it is, save for the requests that a planned fault is waiting for."""

    def __init__(self, world: World, service: str, app: ASGIApp) -> None:
        self.world = world
        self.service = service
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        planned = any(fault.service == self.service for fault in self.world.faults)
        if scope["type"] != "http" or not planned or "/_control" in scope["path"]:
            await self.app(scope, receive, send)
            return
        body = await _read_body(receive)
        fault = take(self.world, self.service, _as_text(scope, body))
        replay = _replay(body, receive)
        if fault is None:
            await self.app(scope, replay, send)
        elif fault.kind == "slow":
            try:
                await asyncio.sleep(fault.seconds)
            except asyncio.CancelledError:
                # Only a sandbox that stops cancels a request; a server that goes away answers nobody.
                await _cut(scope, receive)
                return
            # Served even if the client gave up meanwhile: that is how a timeout makes a duplicate.
            await self.app(scope, replay, send)
        elif fault.kind == "cut_before":
            await _cut(scope, receive)
        elif fault.kind == "cut_after":
            await self.app(scope, replay, _discard)
            await _cut(scope, receive)
        else:
            await refusal(fault, scope["path"])(scope, receive, send)


async def _read_body(receive: Receive) -> bytes:
    """Read the whole request body; short when the client hung up before it had sent all of it."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return b"".join(parts)


def _as_text(scope: Scope, body: bytes) -> str:
    """Return what ``match`` is looked for in: the request line and the body, both as sent and with form encoding undone."""
    raw = body.decode("utf-8", "replace")
    query = scope["query_string"].decode("latin-1")
    line = f"{scope['method']} {scope['path']}" + (f"?{query}" if query else "")
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    decoded = unquote_plus(raw) if content_type.startswith(b"application/x-www-form-urlencoded") else ""
    return "\n".join((line, raw, decoded))


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already once more, then whatever the connection brings."""
    pending = [body]

    async def again() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return again


async def _discard(message: Message) -> None:
    """Swallow the service's answer, which the client will never see."""


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection under the request, then wait until the server has noticed, or it would answer 500 for us."""
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("a connection can be cut only on sandbox.server.SandboxServer, which hands its transport to the fault layer")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


# --- how each provider says no ---------------------------------------------------------------------------------------


def refusal(fault: Fault, path: str) -> Response:
    """Build the answer of a ``status`` or ``rate_limit`` fault in the form of the provider that is behind ``path``."""
    form = _FORMS.get(fault.service, _plain)
    status, content, headers = form(fault, path)
    if fault.body:
        content = fault.body
    if isinstance(content, str):
        kind = "application/xml" if content.lstrip().startswith("<?xml") else "text/plain"
        kind = "application/json" if content.lstrip()[:1] in ("{", "[") else kind
        return Response(content, status, headers, media_type=kind)
    return Response(json.dumps(content), status, headers, media_type="application/json")


_Answer = tuple[int, Any, dict[str, str]]


def _wait(fault: Fault) -> dict[str, str]:
    return {"Retry-After": str(fault.retry_after)}


def _plain(fault: Fault, path: str) -> _Answer:
    """Answer as the ingress in front of a GraphQL service does: plain text, since GraphQL itself reports errors in a 200."""
    if fault.kind == "rate_limit":
        return 429, "Too Many Requests\n", _wait(fault)
    return fault.status, f"upstream error {fault.status}\n", {}


def _slack(fault: Fault, path: str) -> _Answer:
    if fault.kind == "rate_limit":
        return 429, {"ok": False, "error": "ratelimited"}, _wait(fault)
    names = {401: "invalid_auth", 403: "access_denied", 503: "service_unavailable"}
    return fault.status, {"ok": False, "error": names.get(fault.status, "internal_error")}, {}


def _github(fault: Fault, path: str) -> _Answer:
    """GitHub answers 403 or 429 for its secondary limit; plan ``status=403`` to get the other of the two."""
    docs = "https://docs.github.com/rest"
    if fault.kind == "rate_limit":
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return 403 if fault.status == 403 else 429, {"message": message, "documentation_url": docs}, _wait(fault)
    names = {401: "Bad credentials", 403: "Resource not accessible by integration", 404: "Not Found", 422: "Validation Failed"}
    return fault.status, {"message": names.get(fault.status, "Server Error"), "documentation_url": docs, "status": str(fault.status)}, {}


def _salesforce(fault: Fault, path: str) -> _Answer:
    """Salesforce limits requests per rolling 24 hours and answers 403 without Retry-After; SOAP paths get a SOAP fault."""
    if fault.kind == "rate_limit":
        status, code, message = 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."
    else:
        status = fault.status
        code, message = {
            401: ("INVALID_SESSION_ID", "Session expired or invalid"),
            403: ("INSUFFICIENT_ACCESS", "insufficient access rights on object"),
            404: ("NOT_FOUND", "The requested resource does not exist"),
            503: ("SERVER_UNAVAILABLE", "Server too busy"),
        }.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1-1 (1)"))
    if "/Soap/" not in path:
        return status, [{"message": message, "errorCode": code}], {}
    return (
        500,
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring>"
        f"<detail><sf:UnexpectedErrorFault><sf:exceptionCode>{code}</sf:exceptionCode>"
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        {},
    )


def _pagerduty(fault: Fault, path: str) -> _Answer:
    if fault.kind == "rate_limit":
        content = {"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly", "errors": ["throttled"]}
        return 429, content, _wait(fault)
    return fault.status, {"status": "error", "message": "Event was not processed", "errors": [f"upstream error {fault.status}"]}, {}


def _vitally(fault: Fault, path: str) -> _Answer:
    """Vitally says in RateLimit-Reset, in seconds, when a request leaves its window; Retry-After it does not send."""
    names = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}
    if fault.kind == "rate_limit":
        limits = {"RateLimit-Limit": "1000, 1000;window=60", "RateLimit-Remaining": "0", "RateLimit-Reset": str(fault.retry_after)}
        return 429, {"error": names[429]}, limits
    return fault.status, {"error": names.get(fault.status, "Internal Server Error")}, {}


def _sheets(fault: Fault, path: str) -> _Answer:
    """Google's APIs name their status beside its number; a quota is refused without Retry-After."""
    status = 429 if fault.kind == "rate_limit" else fault.status
    name, message = {
        400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403: ("PERMISSION_DENIED", "The caller does not have permission"),
        404: ("NOT_FOUND", "Requested entity was not found."),
        429: ("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute per user'."),
        503: ("UNAVAILABLE", "The service is currently unavailable."),
    }.get(status, ("INTERNAL", "Internal error encountered."))
    return status, {"error": {"code": status, "message": message, "status": name}}, {}


_FORMS: dict[str, Callable[[Fault, str], _Answer]] = {
    "slack": _slack,
    "github": _github,
    "salesforce": _salesforce,
    "pagerduty": _pagerduty,
    "vitally": _vitally,
    "sheets": _sheets,
}
