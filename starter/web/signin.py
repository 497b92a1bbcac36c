"""Signing in with OpenID Connect: the code flow with PKCE, by Authlib; state, nonce, issuer, audience and signature are checked there.

What counts is the address, which the provider must call verified, and the CRM, which must know it. The session holds who it is and since
when; what they may is looked up at each request.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from joserfc.errors import JoseError

from starter.errors import Unavailable
from starter.service.tenure import Tenure
from starter.web.authentication import SIGN_IN, check_csrf, csrf_of, has_ended
from starter.web.problem_details import Fault
from starter.web.render import Pages, typed
from starter.web.texts import REFUSALS, fault
from store.access import Sessions
from store.settings import Settings

log = logging.getLogger(__name__)

START, CALLBACK, SIGN_OUT = "/auth/start", "/auth/callback", "/sign-out"
SECONDS = 10.0
#: What is shown of an address that the provider tells.
_ADDRESS = re.compile(r"[\w.+'-]{1,64}@[\w.-]{1,190}")
HOME = "/console"
#: The provider and we did not come to an end; nobody is signed in.
not_finished = partial(Fault, 400, title="The sign-in did not finish", code="sign_in")


class Provider:
    """The OpenID Connect provider at ``TENURE_OIDC_URL``; what it says of itself is read at the first sign-in."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.oidc_url.rstrip("/")
        self.redirect_uri = f"{settings.web_url.rstrip('/')}{CALLBACK}"
        self._client_id = settings.oidc_client_id
        self._client = OAuth().register(
            "oidc",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value(),
            server_metadata_url=f"{self.issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": SECONDS},
        )

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider; state, nonce and verifier wait in the session."""
        with _answering():
            said = await self._client.load_server_metadata()
            if said.get("issuer") != self.issuer:
                raise Unavailable(**fault("other_issuer", issuer=str(said.get("issuer"))[:200], expected=self.issuer))
            answer: Response = await self._client.authorize_redirect(request, self.redirect_uri)
            return answer

    async def finish(self, request: Request) -> dict[str, Any]:
        """What the provider says of whoever came back. Raises :class:`Fault`, :class:`Unavailable`."""
        again = f"Start again at {SIGN_IN}"
        expected = {"iss": {"values": [self.issuer], "essential": True}, "aud": {"values": [self._client_id], "essential": True}}
        try:
            with _answering():
                token = await self._client.authorize_access_token(request, claims_options=expected)
        except OAuthError as error:
            if error.error == "mismatching_state":
                at = self.redirect_uri.removesuffix(CALLBACK)
                raise not_finished("it was not begun in this browser, or was finished before", f"{again}, at {at}") from error
            # Whoever makes a link to this page writes what "the provider says": only what we know is shown, in our words.
            log.warning("the provider did not sign somebody in: %s", error.error if error.error in REFUSALS else "an unknown error")
            raise not_finished(REFUSALS.get(error.error, "the provider did not sign you in"), again) from error
        except JoseError as error:
            log.warning("an id token was not taken: %s", error)
            raise not_finished("what the provider says of you does not stand the test", again) from error
        claims = token.get("userinfo")
        if not claims:
            raise not_finished("the provider sent no id token", "Its client must be one of OpenID Connect, with the scope openid")
        if not claims.get("email"):  # some providers keep the id token short
            more = await self._asked(token)
            claims = {**claims, **more} if more.get("sub") == claims.get("sub") else claims
        return dict(claims)

    async def _asked(self, token: dict[str, Any]) -> dict[str, Any]:
        """What the provider's userinfo endpoint tells besides; nothing when there is none, or it does not answer."""
        try:
            return dict(await self._client.userinfo(token=token))
        except (httpx2.HTTPError, OAuthError, KeyError, ValueError) as error:
            log.warning("the provider's userinfo: %s", error)
            return {}


@contextmanager
def _answering() -> Iterator[None]:
    """Raises :class:`Unavailable` when the provider does not answer, or answers nonsense."""
    try:
        yield
    except (httpx2.HTTPError, ValueError) as error:
        log.warning("the sign-in provider: %s", error)
        raise Unavailable("the sign-in provider does not answer", "Try again in a minute; tokens go on working") from error


def add_to(routes: APIRouter, tenure: Tenure, pages: Pages) -> None:
    """Add the routes, for :func:`starter.web.app.create_app`."""
    provider = Provider(tenure.settings)

    @routes.get(SIGN_IN)
    async def show(request: Request, next: str = HOME) -> HTMLResponse:
        who = str(request.session.get("email") or "")
        ended = who and await has_ended(tenure, request.session)
        return pages.page("signin.html", start=START, next=inside(next), who="" if ended else who)

    @routes.get(START)
    async def start(request: Request, next: str = HOME) -> Response:
        request.session["next"] = inside(next)
        return await provider.start(request)

    @routes.get(CALLBACK)
    async def finish(request: Request) -> Response:
        claims = await provider.finish(request)
        email, back = str(claims.get("email") or "").strip().lower(), inside(str(request.session.get("next") or HOME))
        await end(request)  # what the browser brought along is nobody's
        if why := await not_ours(email, claims):
            await tenure.authorization.refused("web", "sign in", why, who=email or "nobody")
            raise Fault(403, **fault("not_ours", why=why))
        request.session.update(id=secrets.token_urlsafe(24), email=email, name=str(claims.get("name") or email)[:100], at=int(time.time()))
        csrf_of(request)
        return RedirectResponse(back, 303)

    async def end(request: Request) -> None:
        """End the session, here and in every copy. What cannot be written down is not claimed: the browser keeps the session to try again."""
        if session := str(request.session.get("id") or ""):
            await tenure.read(lambda: Sessions(tenure.ledger).end(session, tenure.settings.session_hours))
        request.session.clear()

    async def not_ours(email: str, claims: dict[str, Any]) -> str:
        if not _ADDRESS.fullmatch(email):
            return "the provider tells no address of yours"
        if claims.get("email_verified") is not True:
            return f"nobody has verified that {email} is yours"
        return "" if await tenure.authorization.person(email) else f"{email} is not among our people, or has left"

    @routes.post(SIGN_OUT)
    async def sign_out(request: Request) -> Response:
        check_csrf(request, await typed(request))
        await end(request)
        return RedirectResponse(SIGN_IN, 303)


def inside(path: str) -> str:
    """A path of this site to go on to; the console for any other address."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) < 2_000
    return path if plain and "\\" not in path else HOME
