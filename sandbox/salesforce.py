"""A stand-in for Salesforce: OAuth and SOAP login, the REST data API, SOAP ``convertLead``, below ``/services``.

The organisation it begins with is invented (:mod:`sandbox.org`). Errors have Salesforce's codes and forms. Any credentials log in
unless some are seeded; :data:`SESSION` is always a valid session until sessions are expired. Faults belong to the layer around this
application.

Control, away from the API: ``POST /_control/expire`` ends every session, ``GET /_control/records/{object}`` shows records.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.salesforce_rest import Answer, Ask, Rest, read_json
from sandbox.salesforce_soap import conversions, convert, fault, login_answer, read_call
from sandbox.salesforce_store import Org, OrgState
from sandbox.salesforce_values import Refusal

SESSION = "sandbox-session"
HOST = "tenure-sandbox.my.salesforce.com"
DAILY_LIMIT = 100_000
BATCH_SIZE = 2000


@dataclass
class SalesforceState:
    """What is kept of the service. The calls of the day are not: a restart begins another."""

    org: OrgState
    sessions: set[str]
    logins: dict[str, str]
    daily_limit: int
    batch_size: int


class Salesforce:
    """The service object in ``world.services["salesforce"]``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.org = Org(self._record_effect)
        self.rest = Rest(self.org, lambda: (self.calls, self.daily_limit))
        self._defaults()

    def _defaults(self) -> None:
        self.sessions: set[str] = {SESSION}
        self.logins: dict[str, str] = {}
        self.calls = 0
        self.daily_limit = DAILY_LIMIT
        self.batch_size = BATCH_SIZE

    def _record_effect(self, act: str, what: str, data: dict[str, Any]) -> None:
        self.world.log.effect("salesforce", act, what, **data)

    def reset(self) -> None:
        """The default organisation again, and the default session."""
        self._defaults()
        self.rest.reset()
        self.org.clear()

    def dump(self) -> SalesforceState:
        """What is to be kept."""
        return SalesforceState(self.org.dump(), self.sessions, self.logins, self.daily_limit, self.batch_size)

    def load(self, state: SalesforceState) -> None:
        """Go on from what was kept."""
        self.org.load(state.org)
        self.sessions, self.logins = state.sessions, state.logins
        self.daily_limit, self.batch_size = state.daily_limit, state.batch_size

    def seed(self, data: dict[str, Any]) -> None:
        """``logins`` ({username: password}: only these then log in), ``sessions`` (more valid ones), ``daily_limit``, ``batch_size``;
        the rest is :meth:`sandbox.salesforce_store.Org.seed`: users, accounts, campaigns, leads, …, and ``replace``.
        """
        self.logins |= data.get("logins", {})
        self.sessions |= set(data.get("sessions", ()))
        self.daily_limit = int(data.get("daily_limit", self.daily_limit))
        self.batch_size = int(data.get("batch_size", self.batch_size))
        self.org.seed(data)

    def expire_sessions(self) -> None:
        """End every session: each next request is INVALID_SESSION_ID until somebody logs in."""
        self.sessions.clear()

    def log_in(self, username: str, password: str) -> str | None:
        """A new session, None when the credentials are not accepted. A security token may follow the password."""
        expected = self.logins.get(username)
        if not username or not password or (self.logins and (expected is None or not password.startswith(expected))):
            return None
        session = f"00DHs000000SANDBOX!{secrets.token_urlsafe(24)}"
        self.sessions.add(session)
        return session

    def count_call(self) -> bool:
        """Count one call; False when the day's allowance is used up."""
        if self.calls >= self.daily_limit:
            return False
        self.calls += 1
        return True


class Http:
    """The endpoints."""

    def __init__(self, service: Salesforce) -> None:
        self.service = service

    async def token(self, request: Request) -> Response:
        """OAuth: password, client credentials, or JWT bearer."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        username, password = form.get("username", ""), form.get("password", "")
        grant = form.get("grant_type", "")
        if grant == "client_credentials" or grant.endswith(":jwt-bearer"):
            username, password = (username or "integration"), "assertion"
            session = None if self.service.logins else self.service.log_in(username, password)
        elif grant == "password":
            session = self.service.log_in(username, password)
        else:
            return JSONResponse({"error": "unsupported_grant_type", "error_description": "grant type not supported"}, 400)
        if session is None:
            return JSONResponse({"error": "invalid_grant", "error_description": "authentication failure"}, 400)
        user = self.service.org.acting_user
        return JSONResponse(
            {
                "access_token": session,
                "instance_url": f"https://{HOST}",
                "id": f"https://{HOST}/id/00DHs000000SANDBOXEA0/{user}",
                "token_type": "Bearer",
                "issued_at": "0",
                "signature": "",
            }
        )

    async def soap(self, request: Request) -> Response:
        """``login`` and ``convertLead``."""
        call = read_call(await request.body())
        if call is None:
            return _xml(fault("INVALID_SOAP_HEADER", "The request is not a SOAP envelope"), 500)
        version = request.path_params["version"]
        if call.operation == "login":
            session = self.service.log_in(call.text("username"), call.text("password"))
            if session is None:
                return _xml(fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out."), 500)
            server = f"https://{HOST}/services/Soap/u/{version}/00DHs000000SANDBOX"
            return _xml(login_answer(session, server, self.service.org.acting_user))
        if call.session not in self.service.sessions:
            return _xml(fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session"), 500)
        if not self.service.count_call():
            return _xml(fault("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 500)
        if call.operation == "convertLead":
            return _xml(convert(self.service.org, conversions(call)))
        return _xml(fault("INVALID_OPERATION", f"this stand-in has no operation {call.operation}"), 500)

    async def versions(self, request: Request) -> Response:
        """The versions on offer; needs no session."""
        return JSONResponse([{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in range(41, 69)])

    async def data(self, request: Request) -> Response:
        """Everything below ``/services/data/vNN.0/``."""
        version = request.path_params["version"]
        kind, _, session = request.headers.get("authorization", "").partition(" ")
        if kind.lower() not in ("bearer", "oauth") or session not in self.service.sessions:
            return JSONResponse([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        if not self.service.count_call():
            return self._answer(Answer(403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]))
        number = re.fullmatch(r"v(\d+)\.0", version)
        if number is None or int(number[1]) > 68:
            return self._answer(Answer(404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]))
        if int(number[1]) < 31:
            return self._answer(Answer(410, [{"message": "This API version is not supported", "errorCode": "UNSUPPORTED_API_VERSION"}]))
        # the raw path, since an external id may hold an encoded slash
        raw = request.scope.get("raw_path", request.url.path.encode()).decode()
        segments = tuple(unquote(part) for part in raw.partition(f"/data/{version}")[2].split("/") if part)
        ask = Ask(request.method, segments, dict(request.query_params), None, version, self._batch_size(request))
        try:
            ask = replace(ask, body=read_json(await request.body()))
        except Refusal as error:
            return self._answer(Answer(400, [{"message": error.message, "errorCode": error.code}]))
        return self._answer(self.service.rest.handle(ask))

    def _batch_size(self, request: Request) -> int:
        asked = re.search(r"batchSize=(\d+)", request.headers.get("sforce-query-options", ""))
        return min(max(int(asked[1]), 200), 2000) if asked else self.service.batch_size

    def _answer(self, answer: Answer) -> Response:
        headers = {"Sforce-Limit-Info": f"api-usage={self.service.calls}/{self.service.daily_limit}"}
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        return JSONResponse(answer.body, answer.status, headers)

    # --- control

    async def expire(self, request: Request) -> Response:
        """End every session."""
        self.service.expire_sessions()
        return JSONResponse({"ok": True})

    async def records(self, request: Request) -> Response:
        """Every record of an object as it is held."""
        held = self.service.org.records.get(request.path_params["sobject"].lower())
        return JSONResponse(list(held.values())) if held is not None else JSONResponse({"error": "no such object"}, 404)


def create_app(world: World) -> Starlette:
    """The stand-in as an ASGI application, registered as ``salesforce`` in ``world.services``."""
    service = Salesforce(world)
    world.services["salesforce"] = service
    world.resets.append(service.reset)
    http = Http(service)
    verbs = ["GET", "POST", "PATCH", "PUT", "DELETE"]
    return Starlette(
        routes=[
            Route("/services/oauth2/token", http.token, methods=["POST"]),
            Route("/services/Soap/u/{version}", http.soap, methods=["POST"]),
            Route("/services/Soap/u/{version}/{org}", http.soap, methods=["POST"]),
            Route("/services/data", http.versions),
            Route("/services/data/", http.versions),
            Route("/services/data/{version}", http.data, methods=verbs),
            Route("/services/data/{version}/{rest:path}", http.data, methods=verbs),
            Route("/_control/expire", http.expire, methods=["POST"]),
            Route("/_control/records/{sobject}", http.records),
        ]
    )


def _xml(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="text/xml")
