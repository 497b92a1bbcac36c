"""Authenticates every request: everything under ``/api`` and ``/console`` needs a session or a token, but for the prospects' own pages and links.

A person is looked up in the roster at each request, so that whoever has left is out at once, whatever their cookie or token says.
"""

import hmac
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from fastapi import Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.rights import Action
from starter.errors import NotAllowed, NotSignedIn, TenureError
from starter.service.authorization import Caller
from starter.service.tenure import Tenure
from starter.web.limiting import Limits
from starter.web.problem_details import TooMany
from starter.web.texts import fault
from store.access import ServiceTokens, Sessions

#: What prospects and programs of theirs may send without signing in.
PUBLIC = frozenset({("POST", "/api/signups"), ("POST", "/api/signups/failed"), ("POST", "/api/joins")})
GUARDED = ("/api", "/console")
SIGN_IN = "/sign-in"
#: What the API's document says of who may ask; :class:`Door` is who looks.
SCHEMES = [
    Security(HTTPBearer(scheme_name="token", description="`tenure token create` makes one.", auto_error=False)),
    Security(APIKeyCookie(name="tenure", scheme_name="session", description="What signing in at /sign-in leaves.", auto_error=False)),
]


def is_guarded(method: str, path: str) -> bool:
    """Whether a request needs somebody."""
    return any(path == root or path.startswith(f"{root}/") for root in GUARDED) and (method, path) not in PUBLIC


@dataclass(frozen=True)
class Door:
    """Stands inside the session's layer, in front of every route, the codec too: who needs somebody is known from here on.

    What needs nobody is counted, also on a route that somebody adds tomorrow. Of what needs somebody only the requests are counted whose
    sender nobody knows: who is told so again and again is heard no more for a while.
    """

    app: ASGIApp
    tenure: Tenure
    limits: Limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, guarded = Request(scope), is_guarded(scope["method"], scope["path"])
        count = self.limits.may_be_asked if guarded or scope["path"].startswith("/codec/") else self.limits.request
        await count(request)
        try:
            if guarded:
                caller = await self._caller(request)
                await self.tenure.authorization.admit(caller, Action.READ)
                scope.setdefault("state", {})["caller"] = caller
            await self.app(scope, receive, send)
        except TenureError as error:
            if error.status == 401:
                with suppress(TooMany):
                    await self.limits.refused(request)
            raise

    async def _caller(self, request: Request) -> Caller:
        via = "web" if request.url.path.startswith("/console") else "api"
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return await session_caller(self.tenure, request, via)
        tokens = ServiceTokens(self.tenure.ledger)
        found = await self.tenure.read(lambda: tokens.find(secret.strip())) if scheme.lower() == "bearer" else None
        if found is None:
            raise NotSignedIn(**fault("token"))
        return Caller(via=via, email=found.person, token=found.name, group=found.role)  # type: ignore[arg-type]


def to_sign_in(request: Request) -> Response | None:
    """Where a browser is sent that asks for a page of the console while nobody is signed in; None for any other request."""
    if request.method not in ("GET", "HEAD") or not request.url.path.startswith("/console") or "authorization" in request.headers:
        return None
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': back})}", 303)


async def session_caller(tenure: Tenure, request: Request, via: str = "web") -> Caller:
    """Who has signed in, in the browser that asks. Raises :class:`NotSignedIn`."""
    session, hours = request.session, tenure.settings.session_hours
    if not session.get("email"):
        raise NotSignedIn("nobody is signed in", f"Sign in at {SIGN_IN}, or send Authorization: Bearer TOKEN")
    if time.time() - float(session.get("at", 0)) > hours * 3600:
        why = f"you signed in more than {hours} hours ago"
    elif await has_ended(tenure, session):
        why = "this session was signed out"
    else:
        return Caller(via=via, email=str(session["email"]))  # type: ignore[arg-type]
    session.clear()
    raise NotSignedIn(why, f"Sign in again at {SIGN_IN}")


async def has_ended(tenure: Tenure, session: Mapping[str, Any]) -> bool:
    """Whether a session was signed out, in this browser or in another that has a copy of its cookie."""
    return await tenure.read(lambda: Sessions(tenure.ledger).has_ended(str(session.get("id") or "")))


def caller_of(request: Request) -> Caller:
    """Who asks, as authenticated."""
    return cast(Caller, request.state.caller)


def csrf_of(request: Request) -> str:
    """The session's secret that each form of ours carries; another site cannot know it."""
    return str(request.session.setdefault("csrf", secrets.token_urlsafe(24)))


def check_csrf(request: Request, values: Mapping[str, str]) -> None:
    """Refuse a form that was not made for this session. A token in a header is no cookie: nobody else's page sends it. Raises :class:`NotAllowed`."""
    if request.headers.get("authorization"):
        return
    kept = str(request.session.get("csrf") or "")
    if not kept or not hmac.compare_digest(kept.encode(), values.get("csrf", "").encode()):
        raise NotAllowed("this form was not made for your session", "Open the page again and send it from there")
