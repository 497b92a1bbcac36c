"""The remote codec: decrypts for Temporal's Web UI and the ``temporal`` command line what the server has, and encrypts what they send.

``POST /codec/decode`` and ``/codec/encode`` take and give ``{"payloads": [...]}``, the shape that Temporal documents for remote codecs. Who
asks shows ``Authorization: Bearer TOKEN``, as the command line does, or the session of somebody who has signed in and may read, as the Web
UI does when it is told to include credentials. A page may ask only if it comes from the Web UI's own origin. No token stands in an address.

Its bodies are longer than any form, so it has a limit of its own.
"""

import hmac
import logging
from functools import cached_property
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadCodec

from domain.rights import Action
from starter.errors import NotSignedIn, Unavailable
from starter.service.tenure import Tenure
from starter.web.authentication import SIGN_IN, session_caller
from starter.web.problem_details import Fault
from starter.web.texts import fault
from store.crypto.codec import data_converter
from store.crypto.key_ring import Unreadable

log = logging.getLogger(__name__)

#: Bytes of one request: a page of the Web UI asks for the payloads of one event, which Temporal limits to 2 MB each.
BODY_LIMIT = 8 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class CodecEndpoint:
    """The ASGI application under ``/codec``."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._origins = _spellings(tenure.settings.temporal_ui_url)

    @cached_property
    def _codec(self) -> PayloadCodec:
        codec = data_converter(self._tenure.settings, self._tenure.ledger).payload_codec
        assert codec is not None
        return codec

    @cached_property
    def _token(self) -> bytes:
        return self._tenure.settings.codec_secret().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    def headers(self, scope: Scope) -> dict[str, str]:
        """What an answer under ``/codec`` says besides, an error too, so that a page of the Web UI may read it."""
        if not scope["path"].startswith("/codec/"):
            return {}
        origin = Headers(scope=scope).get("origin")
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin in self._origins else {}
        return {"Vary": "Origin", **allowed}

    async def _answer(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise Fault(403, f"pages of {origin[:200]} may not ask", "Set TENURE_TEMPORAL_UI_URL to the address of Temporal's Web UI")
        if request.method == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "authorization, content-type, x-namespace"}
            return Response(status_code=204, headers=allowed)
        if not await self._may(request):
            raise NotSignedIn(**fault("codec_token", sign_in=SIGN_IN))
        work = {"/codec/decode": self._codec.decode, "/codec/encode": self._codec.encode}.get(request.url.path)
        if work is None:
            raise Fault(404, "there is no such address", "POST to /codec/decode or /codec/encode")
        if request.method != "POST":
            raise Fault(405, f"{request.method} is not taken", "POST the payloads")
        try:
            given = Parse(await request.body(), Payloads())
        except (ParseError, UnicodeDecodeError, RecursionError):
            raise Fault(400, **fault("no_payloads")) from None
        try:
            done = await work(given.payloads)
        except Unreadable as error:
            raise Fault(422, str(error), "Then ask again", title="It cannot be decrypted") from None
        except SQLAlchemyError:
            log.warning("payloads wait: the ledger's database does not answer")
            raise Unavailable(**fault("codec_ledger")) from None
        return Response(MessageToJson(Payloads(payloads=done)), media_type="application/json")

    async def _may(self, request: Request) -> bool:
        """Whether who asks has the token, compared in constant time, or a browser's session of somebody who may read.

        A session counts for pages of the Web UI only, whose origin was checked.
        """
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme or "origin" not in request.headers:
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        try:
            await self._tenure.authorization.admit(await session_caller(self._tenure, request), Action.READ)
        except NotSignedIn:
            return False
        return True


def _spellings(url: str) -> frozenset[str]:
    """The origin of an address; of one on this machine by both of its names."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    hosts = LOOPBACK[:2] if parts.hostname in LOOPBACK else (parts.hostname or "",)
    return frozenset(f"{parts.scheme}://{host}{port}" for host in hosts)
