"""The remote codec: decrypts for Temporal's Web UI and the ``temporal`` command line what the server has, and encrypts what they send.

``POST /codec/decode`` and ``/codec/encode`` take and give ``{"payloads": [...]}``, the shape that Temporal documents for remote codecs. Who
asks shows ``Authorization: Bearer TOKEN``, as the command line does, or the session of somebody who has signed in and may read, as the Web
UI does when it is told to include credentials. A page may ask only if it comes from the Web UI's own origin. No token stands in an address.

It stands in front of the limits of every route: its bodies are longer than any form.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from domain.rights import Action
from starter.errors import NotSignedIn, TenureError
from starter.service.tenure import Tenure
from starter.web.authentication import SIGN_IN, session_caller
from starter.web.problem_details import Problem, problem_response
from store.crypto.codec import data_converter
from store.crypto.key_ring import Unreadable
from store.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "/codec/"
#: Bytes of one request: a page of the Web UI asks for the payloads of one event, which Temporal limits to 2 MB each.
BODY_LIMIT = 8 * 1024 * 1024
TITLES = {
    400: "That cannot be used",
    401: "Who asks?",
    403: "From another site",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too long",
    422: "It cannot be decrypted",
    503: "Not available now",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class CodecEndpoint:
    """An ASGI middleware that answers under ``/codec/`` and lets everything else through."""

    def __init__(self, app: ASGIApp, settings: Settings, tenure: Tenure) -> None:
        self._app, self._limited = app, RequestBodyLimitMiddleware(self._respond, BODY_LIMIT)
        self._settings = settings
        self._tenure = tenure
        self._origins = _spellings(settings.temporal_ui_url)

    @cached_property
    def _codec(self) -> PayloadCodec:
        codec = data_converter(self._settings, self._tenure.ledger).payload_codec
        assert codec is not None
        return codec

    @cached_property
    def _token(self) -> bytes:
        return self._settings.codec_secret().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
        else:
            await self._limited(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(scope, receive)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Vary"] = "Origin"
        if (origin := Headers(scope=scope).get("origin")) in self._origins:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers["Access-Control-Allow-Credentials"] = "true"
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            return _problem(403, f"pages of {origin[:200]} may not ask", "Set TENURE_TEMPORAL_UI_URL to the address of Temporal's Web UI")
        if scope["method"] == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "authorization, content-type, x-namespace"}
            return Response(status_code=204, headers=allowed)
        try:
            may = self._has_token(headers) or (origin is not None and await self._is_signed_in(Request(scope)))
        except TenureError as error:
            return _problem(error.status, error.detail, error.do)
        if not may:
            problem = _problem(
                401,
                "nobody is signed in, and the token is missing or wrong",
                f"Sign in at {SIGN_IN}; a program sends `Authorization: Bearer TOKEN`, which `tenure keys token` prints",
            )
            problem.headers["WWW-Authenticate"] = "Bearer"
            return problem
        action = scope["path"].removeprefix(PREFIX)
        work = {"decode": self._codec.decode, "encode": self._codec.encode}.get(action)
        if work is None:
            return _problem(404, "there is no such address", "POST to /codec/decode or /codec/encode")
        if scope["method"] != "POST":
            return _problem(405, f"{scope['method']} is not taken", "POST the payloads")
        return await _worked(work, Request(scope, receive))

    def _has_token(self, headers: Headers) -> bool:
        """Compared in constant time."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    async def _is_signed_in(self, request: Request) -> bool:
        """Whether the browser has a session of somebody who may read; asked for pages of the Web UI only, whose origin was checked."""
        if "session" not in request.scope or request.headers.get("authorization"):
            return False
        try:
            await self._tenure.authorization.admit(await session_caller(self._tenure, request, self._settings.session_hours), Action.READ)
        except NotSignedIn:
            return False
        return True


async def _worked(work: Callable[[Sequence[Payload]], Awaitable[list[Payload]]], request: Request) -> Response:
    try:
        body = await request.body()
    except HTTPException as error:
        return _problem(error.status_code, error.detail, "Send it again, at once")
    try:
        given = Parse(body, Payloads())
    except (ParseError, UnicodeDecodeError, RecursionError):
        return _problem(400, "the body holds no payloads", 'Send {"payloads": [{"metadata": {"encoding": BASE64}, "data": BASE64}]}')
    try:
        done = await work(given.payloads)
    except Unreadable as error:
        return _problem(422, str(error), "Then ask again")
    except SQLAlchemyError:
        log.warning("payloads wait: the ledger's database does not answer")
        return _problem(503, "the ledger's database does not answer", "Ask again; check TENURE_LEDGER_URL and that the database runs")
    return Response(MessageToJson(Payloads(payloads=done)), media_type="application/json")


def _spellings(url: str) -> frozenset[str]:
    """The origin of an address; of one on this machine by both of its names."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    hosts = LOOPBACK[:2] if parts.hostname in LOOPBACK else (parts.hostname or "",)
    return frozenset(f"{parts.scheme}://{host}{port}" for host in hosts)


def _problem(status: int, detail: str, do: str) -> Response:
    return problem_response(Problem(title=TITLES[status], status=status, detail=detail, do=do, code="codec"))
