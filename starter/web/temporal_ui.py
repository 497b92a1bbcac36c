"""Temporal's Web UI as the local stack shows it: in front of the development server's own, which can be told little and checks no Host.

It answers to its own names only, and tells the Web UI that clear text is to be had at ``/codec`` of the web process *with the person's
own session*: the development server has no flag for that (``includeCredentials``), and an address with a token in it would be handed to
whoever asks for ``/api/v1/settings``. A Web UI of one's own is told by ``TEMPORAL_CODEC_ENDPOINT`` and ``TEMPORAL_CODEC_INCLUDE_CREDENTIALS``.
"""

import json
import logging
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from starter.errors import Unavailable
from starter.web.authentication import SIGN_IN
from starter.web.codec_endpoint import BODY_LIMIT
from starter.web.middleware import OwnHosts, host_of, in_time, own_hosts
from starter.web.problem_details import Fault, problem_response
from starter.web.texts import fault
from store.settings import Settings

log = logging.getLogger(__name__)

SETTINGS = "/api/v1/settings"
#: Of one connection only, not of what it carries.
HOP = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"})
#: Our session's cookies: a browser sends them to every port of a host, and they are none of Temporal's business.
OURS = ("tenure", "__Host-tenure")


def front(settings: Settings, behind: str, http: httpx.AsyncClient) -> ASGIApp:
    """The application; ``behind`` is the address of the development server's own Web UI, ``http`` the client that asks it."""
    limited = RequestBodyLimitMiddleware(TemporalUi(settings, behind, http), BODY_LIMIT)
    return OwnHosts(limited, own_hosts(settings, settings.temporal_ui_url))


def client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """What asks the development server: it keeps no cookie, which would be another browser's, and waits as long as the page does."""
    made = httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(10, read=None, pool=None), transport=transport)
    made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return made


class TemporalUi:
    """Passes every request on and every answer back, but for the settings, of which the codec's part is ours."""

    def __init__(self, settings: Settings, behind: str, http: httpx.AsyncClient) -> None:
        self._ui = settings.temporal_ui_url.rstrip("/")
        self._web = settings.web_url.rstrip("/")
        self._behind = behind.rstrip("/")
        self._http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._answer(Request(scope, in_time(receive))))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if (
            request.method == "GET"
            and host_of(request.scope) != urlsplit(self._ui).hostname
            and "text/html" in request.headers.get("accept", "")
        ):
            return RedirectResponse(f"{self._ui}{_target(request)}", 307)  # the session is known under one of this machine's names
        try:
            body = await request.body()
        except HTTPException as error:
            return problem_response(Fault(error.status_code, error.detail, f"Send at most {BODY_LIMIT:,} bytes, at once"))
        asked = self._http.build_request(request.method, f"{self._behind}{_target(request)}", headers=_passed(request), content=body)
        try:
            answer = await self._http.send(asked, stream=True)
            if request.url.path == SETTINGS and answer.status_code == 200:
                await answer.aread()
                return JSONResponse(self._with_codec(answer))
        except (httpx.HTTPError, ValueError) as error:
            log.warning("Temporal's Web UI: %s", type(error).__name__)
            return problem_response(Unavailable(**fault("temporal_ui")))
        passed = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
        passed.raw_headers = [(name, value) for name, value in answer.headers.raw if name.decode("latin-1").lower() not in HOP]
        return passed

    def _with_codec(self, answer: httpx.Response) -> dict[str, object]:
        said: dict[str, object] = json.loads(answer.content)
        said["Codec"] = {
            "Endpoint": f"{self._web}/codec",
            "PassAccessToken": False,
            "IncludeCredentials": True,
            "DefaultErrorMessage": "Sign in to Tenure to read this in clear text, then load this page again",
            "DefaultErrorLink": f"{self._web}{SIGN_IN}",
        }
        return said


def _target(request: Request) -> str:
    """The path and query as they were sent, which never begin with two slashes."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return "/" + raw.partition(b"?")[0].decode("latin-1").lstrip("/") + (f"?{query.decode('latin-1')}" if query else "")


def _passed(request: Request) -> list[tuple[str, str]]:
    """The headers to pass on, without those of the connection and without our session."""
    headers = [(name, value) for name, value in request.headers.items() if name not in HOP | {"cookie", "content-length"}]
    given = (each.strip() for each in request.headers.get("cookie", "").split(";"))
    cookies = [each for each in given if each and each.partition("=")[0].strip() not in OURS]
    return [*headers, ("cookie", "; ".join(cookies))] if cookies else headers
