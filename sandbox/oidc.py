"""An OpenID Connect provider that signs the invented people in, by the code flow with PKCE (OpenID Connect Core 1.0, RFC 6749, RFC 7636).

Faithful where a client can go wrong: an unknown client or a redirect address that is not registered is told to the person and never
redirected; a code works once, for a minute, for the client, the redirect address and the verifier that it was made for; an id token is
signed with RS256 by a key of ``/jwks`` and carries the nonce. In place of a password the page asks who one is.

Registered redirect addresses: ``/auth/callback`` on this machine at any port (RFC 8252, section 7.3). Two people are here for what must be
refused: one whose address nobody verified, and one whom the CRM does not know.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.org import MAIL_DOMAIN, PEOPLE

CLIENT_ID, CLIENT_SECRET = "tenure", "sandbox-oidc-secret"
CALLBACK = "/auth/callback"
CODE_SECONDS, TOKEN_SECONDS = 60, 300
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True)
class User:
    """Somebody who can sign in."""

    sub: str
    name: str
    email: str
    email_verified: bool = True
    about: str = ""


USERS: dict[str, User] = {
    user.sub: user
    for user in (
        *(User(person.handle, person.name, person.email, about=person.role.replace("_", " ")) for person in PEOPLE),
        User("uma-unverified", "Uma Unverified", f"ce-ada@{MAIL_DOMAIN}", email_verified=False, about="says she is ce-ada; nobody checked"),
        User("olga-outsider", "Olga Outsider", f"olga@{MAIL_DOMAIN}", about="the CRM does not know her"),
    )
}


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    user: str
    client: str
    redirect_uri: str
    challenge: str
    nonce: str
    scope: str
    made_at: float


class Refusal(Exception):
    """An error of the token endpoint (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        self.error, self.description, self.status = error, description, status
        super().__init__(description)


class Provider:
    """Codes and access tokens live in memory; a restarted sandbox knows none, and its key is another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.codes: dict[str, Grant] = {}
        self.spent: dict[str, str] = {}
        self.access: dict[str, tuple[str, float]] = {}
        self.signed_in: list[dict[str, str]] = []

    @cached_property
    def key(self) -> RSAKey:
        """The signing key, made when it is first needed."""
        return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"}, private=True)

    def reset(self) -> None:
        """Forget codes, tokens and who signed in."""
        self.codes.clear()
        self.spent.clear()
        self.access.clear()
        self.signed_in.clear()

    def seed(self, data: dict[str, Any]) -> None:
        """Refuse: who can sign in are the people of ``sandbox/org.py``."""
        raise ValueError("oidc takes no seed: its users are the people of the CRM")

    def view(self) -> dict[str, Any]:
        """What the page shows: who signed in, newest first."""
        return {"signed_in": list(reversed(self.signed_in))}

    def fault_of(self, asked: Mapping[str, str]) -> str:
        """Why an authorization request must not be redirected anywhere; empty when it may."""
        if asked.get("client_id") != CLIENT_ID:
            return "unknown client_id"
        return "" if registered(asked.get("redirect_uri", "")) else "this redirect_uri is not registered"

    def error_of(self, asked: Mapping[str, str]) -> tuple[str, str] | None:
        """What is wrong with an authorization request whose client and redirect address are right (section 4.1.2.1)."""
        if asked.get("response_type") != "code":
            return "unsupported_response_type", "only the code flow"
        if "openid" not in asked.get("scope", "").split():
            return "invalid_scope", "the scope must contain openid"
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return "invalid_request", "PKCE with S256 is required"
        return None

    def issue(self, user: str, asked: Mapping[str, str]) -> str:
        """A code for somebody who said who they are."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = Grant(
            user,
            asked["client_id"],
            asked["redirect_uri"],
            asked["code_challenge"],
            asked.get("nonce", ""),
            asked["scope"],
            time.monotonic(),
        )
        return code

    def exchange(self, client: str, form: Mapping[str, str]) -> Grant:
        """What a code was made for, once. Raises :class:`Refusal`. A code that comes a second time ends the token that it gave (4.1.2)."""
        code = form.get("code", "")
        if code in self.spent:
            self.access.pop(self.spent[code], None)
            raise Refusal("invalid_grant", "the code was used before")
        grant = self.codes.pop(code, None)
        if grant is None:
            raise Refusal("invalid_grant", "unknown code")
        self.spent[code] = ""
        if time.monotonic() - grant.made_at > CODE_SECONDS:
            raise Refusal("invalid_grant", "the code is too old")
        if grant.client != client or grant.redirect_uri != form.get("redirect_uri"):
            raise Refusal("invalid_grant", "the code was made for another client or redirect_uri")
        made = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if not hmac.compare_digest(made, grant.challenge):
            raise Refusal("invalid_grant", "code_verifier does not fit code_challenge")
        return grant

    def tokens(self, issuer: str, grant: Grant, code: str) -> dict[str, Any]:
        """The answer of the token endpoint."""
        access = secrets.token_urlsafe(24)
        self.access[access] = (grant.user, time.monotonic())
        self.spent[code] = access
        now, half = int(time.time()), hashlib.sha256(access.encode()).digest()[:16]
        claims = {
            "iss": issuer,
            "aud": grant.client,
            "azp": grant.client,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": now,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **claims_of(USERS[grant.user], grant.scope),
        }
        signed = jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": "JWT"}, claims, self.key)
        self.signed_in.append({"email": USERS[grant.user].email, "name": USERS[grant.user].name})
        return {"access_token": access, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "id_token": signed, "scope": grant.scope}


def registered(redirect_uri: str) -> bool:
    """Whether an address is one that may be redirected to."""
    parts = urlsplit(redirect_uri)
    host = parts.netloc.rpartition(":")[0] or parts.netloc
    return parts.scheme in ("http", "https") and host in LOOPBACK and parts.path == CALLBACK and not (parts.query or parts.fragment)


def claims_of(user: User, scope: str) -> dict[str, Any]:
    """What a scope tells of somebody."""
    claims: dict[str, Any] = {"sub": user.sub}
    if "email" in scope.split():
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if "profile" in scope.split():
        claims |= {"name": user.name}
    return claims


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Who are you? · Sandbox sign-in</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1c2421;background:#fbf9f4}}
form{{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:.5rem}}
button{{font:inherit;text-align:left;padding:.6rem .8rem;border:1px solid #cfcabd;border-radius:.5rem;background:#fff;cursor:pointer}}
button:hover,button:focus{{border-color:#1f6f54}} small{{display:block;color:#5d665f}}
</style></head><body><h1>{title}</h1><p>{text}</p>{form}</body></html>"""


def page(title: str, text: str, form: str = "", status: int = 200) -> HTMLResponse:
    """A page of the provider's; it may be framed by nobody and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    body = PAGE.format(title=html.escape(title), text=html.escape(text), form=form)
    return HTMLResponse(body, status, {"Content-Security-Policy": policy, **NO_STORE})


def create_app(world: World) -> Starlette:
    """The provider, to be mounted under ``/oidc``; the issuer is the address that it is asked at."""
    provider = world.services["oidc"] = Provider(world)
    world.resets.append(provider.reset)

    def issuer(request: Request) -> str:
        return f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"

    async def discovery(request: Request) -> Response:
        base = issuer(request)
        seen = f"{world.browser_url.rstrip('/')}{urlsplit(base).path}" if world.browser_url else base
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{seen}/authorize",
                "token_endpoint": f"{base}/token",
                "userinfo_endpoint": f"{base}/userinfo",
                "jwks_uri": f"{base}/jwks",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "claims_supported": ["sub", "email", "email_verified", "name", "nonce"],
            }
        )

    async def jwks(request: Request) -> Response:
        return JSONResponse({"keys": [provider.key.as_dict(private=False)]})

    async def authorize(request: Request) -> Response:
        async with request.form() as form:
            asked = {name: str(value) for name, value in (*request.query_params.items(), *form.items())}
        if fault := provider.fault_of(asked):
            return page("That is no sign-in of ours", f"{fault}.", status=400)

        def back(**said: str) -> Response:
            state = {"state": asked["state"]} if "state" in asked else {}
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({**said, **state})}", 303, NO_STORE)

        if error := provider.error_of(asked):
            return back(error=error[0], error_description=error[1])
        if request.method == "GET":
            hidden = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">' for name, value in asked.items()
            )
            people = "".join(
                f'<button name="user" value="{user.sub}">{html.escape(user.name)}<small>{html.escape(user.about)} · {user.email}</small></button>'
                for user in USERS.values()
            )
            nobody = '<button name="user" value="">Nobody<small>turns the sign-in down</small></button>'
            text = "The sandbox asks for no password: choose whom you want to be."
            return page("Who are you?", text, f'<form method="post">{hidden}{people}{nobody}</form>')
        if asked.get("user") not in USERS:
            return back(error="access_denied", error_description="the person turned it down")
        return back(code=provider.issue(asked["user"], asked))

    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        try:
            client = authenticated(request.headers.get("authorization", ""), form)
            if form.get("grant_type") != "authorization_code":
                raise Refusal("unsupported_grant_type", "only authorization_code")
            grant = provider.exchange(client, form)
        except Refusal as refused:
            headers = {**NO_STORE, **({"WWW-Authenticate": "Basic"} if refused.status == 401 else {})}
            return JSONResponse({"error": refused.error, "error_description": refused.description}, refused.status, headers)
        return JSONResponse(provider.tokens(issuer(request), grant, form["code"]), headers=NO_STORE)

    async def userinfo(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        user, made_at = provider.access.get(given, ("", 0.0))
        if scheme.lower() != "bearer" or not user or time.monotonic() - made_at > TOKEN_SECONDS:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return JSONResponse(claims_of(USERS[user], "openid email profile"))

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", discovery),
            Route("/jwks", jwks),
            Route("/authorize", authorize, methods=["GET", "POST"]),
            Route("/token", token, methods=["POST"]),
            Route("/userinfo", userinfo),
        ]
    )


def authenticated(header: str, form: Mapping[str, str]) -> str:
    """The client that proved itself, by Basic or in the body (RFC 6749, section 2.3.1). Raises :class:`Refusal`."""
    client, secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, coded = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            client = ""
        client, secret = unquote(client), unquote(secret)
    if client != CLIENT_ID or not hmac.compare_digest(secret.encode(), CLIENT_SECRET.encode()):
        raise Refusal("invalid_client", "unknown client or wrong secret", 401)
    return client
