"""Authenticates every request: everything under ``/api`` and ``/console`` needs a session or a token, but for the prospects' own pages and links.

A person is looked up in the roster at each request, so that whoever has left is out at once, whatever their cookie or token says.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.rights import Action
from starter.errors import NotAllowed, NotSignedIn, TenureError
from starter.service.authorization import Caller
from starter.service.tenure import Tenure
from starter.web.problem_details import Answer
from store.access import ServiceTokens, Sessions

#: What prospects and programs of theirs may send without signing in.
PUBLIC = frozenset({("POST", "/api/signups"), ("POST", "/api/signups/failed"), ("POST", "/api/joins")})
GUARDED = ("/api", "/console")
SIGN_IN = "/sign-in"


def is_guarded(method: str, path: str) -> bool:
    """Whether a request needs somebody."""
    return any(path == root or path.startswith(f"{root}/") for root in GUARDED) and (method, path) not in PUBLIC


@dataclass(frozen=True)
class Door:
    """Stands inside the session's layer, in front of every route."""

    app: ASGIApp
    tenure: Tenure
    answer: Answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_guarded(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            caller = await self._caller(request)
            await self.tenure.authorization.admit(caller, Action.READ)
        except TenureError as error:
            await self._refusal(request, error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)

    async def _caller(self, request: Request) -> Caller:
        via = "web" if request.url.path.startswith("/console") else "api"
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return await session_caller(self.tenure, request, via)
        tokens = ServiceTokens(self.tenure.ledger)
        found = await self.tenure.read(lambda: tokens.find(secret.strip())) if scheme.lower() == "bearer" else None
        if found is None:
            raise NotSignedIn(
                "the token is none of ours, or was revoked", "`tenure token create` makes one; send Authorization: Bearer TOKEN"
            )
        return Caller(via=via, email=found.person, token=found.name, group=found.role)  # type: ignore[arg-type]

    def _refusal(self, request: Request, error: TenureError) -> Response:
        at_browser = (
            request.method in ("GET", "HEAD") and request.url.path.startswith("/console") and "authorization" not in request.headers
        )
        if not isinstance(error, NotSignedIn) or not at_browser:
            return self.answer(request, error)
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
