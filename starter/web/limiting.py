"""How often what is public may be asked: within moving windows, by one client, about one company, to one mailbox, and by all together.

every request that needs nobody     by one client address           :class:`RequestLimit`, in front of every route; whether we are ready, apart
a request whose token is none       by one client address           :class:`RefusedLimit`, in front of what needs somebody
a form                              by one client, of one company, to one mailbox that would get a mail
signups                             by everybody together: the rest is kept (:mod:`starter.web.signups`)
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain import ids, mailbox
from starter.errors import BadInput
from starter.service.addresses import read_address
from starter.web.authentication import is_guarded
from starter.web.problem_details import Crowded, Problem, TooMany, problem_of, problem_response

if TYPE_CHECKING:
    from domain.policy.trial import Routing
    from store.settings import Settings

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
FORWARDED = "x-forwarded-for"
#: What an orchestrator asks, perhaps by the very address through which everybody comes: it is counted by itself.
READINESS = frozenset({"/readyz", "/healthz"})
#: What one customer of a provider has of IPv6 addresses.
IPV6_PREFIX = 64


class Limits:
    """Counts in this process's memory, or in Redis by ``TENURE_RATE_LIMIT_STORAGE``, for several web processes."""

    def __init__(self, settings: Settings, routing: Routing) -> None:
        self._routing = routing
        self._of_address, self._of_domain = parse(settings.signups_per_address), parse(settings.signups_per_domain)
        self._requests, self._to_mailbox = parse(settings.requests_per_address), parse(settings.forms_per_mailbox)
        self._together = parse(settings.signups_together)
        self._proxies = proxies_of(settings)
        self._limiter = MovingWindowRateLimiter(storage_from_string(f"async+{settings.rate_limit_storage}"))

    async def check(self, request: Request, email: str) -> None:
        """Count one sent form. Raises :class:`TooMany`."""
        await self._hit(self._of_address, "address", client_of(request, self._proxies), "your address")
        try:
            address = read_address(email, self._routing)
        except BadInput:
            return  # the form says what is wrong with it
        key = ids.digest(address.email) if address.free_mail else address.key
        await self._hit(self._of_domain, "domain", key, "this address" if address.free_mail else address.key)
        await self.mailbox(email)

    async def mailbox(self, email: str) -> None:
        """Count what may send a mail to this address, however it is written and whoever asks. Raises :class:`TooMany`."""
        await self._hit(self._to_mailbox, "mailbox", ids.digest(mailbox.canonical(email)), "this mail address")

    async def request(self, request: Request) -> None:
        """Count any request that needs nobody. Raises :class:`TooMany`."""
        kind = "readiness" if request.url.path in READINESS else "request"
        await self._hit(self._requests, kind, client_of(request, self._proxies), "your address")

    async def refused(self, request: Request) -> None:
        """Count a request whose sender nobody knows. Raises :class:`TooMany`."""
        await self._hit(
            self._requests, "refused", client_of(request, self._proxies), "your address without a sign-in or token that we know"
        )

    async def may_be_asked(self, request: Request) -> None:
        """Whether this client may still be mistaken; counts nothing. Raises :class:`TooMany`."""
        who = client_of(request, self._proxies)
        try:
            free = await self._limiter.test(self._requests, "refused", who)
        except Exception:
            return  # as where it is counted
        if not free:
            await self.refused(request)

    async def together(self) -> None:
        """Count one signup of all. Raises :class:`Crowded`."""
        try:
            await self._hit(self._together, "together", "signups", "everybody")
        except TooMany as error:
            raise Crowded("more people sign up at this moment than we take", error.do, error.retry_after) from None

    async def _hit(self, item: RateLimitItem, kind: str, who: str, called: str) -> None:
        try:
            if await self._limiter.hit(item, kind, who):
                return
            reset = (await self._limiter.get_window_stats(item, kind, who)).reset_time
        except Exception:
            log.exception("the rate limits' storage does not answer; the form is let through")
            return
        wait = max(1, math.ceil(reset - time.time()))
        raise TooMany(f"more than {item} came from {called}", f"Nothing was lost or done; try again in {wait} seconds", wait)


@dataclass(frozen=True)
class RequestLimit:
    """Stands in front of every route: what needs nobody is counted, also on a route that somebody adds tomorrow."""

    app: ASGIApp
    limits: Limits
    answer: Callable[[Request, Problem], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_guarded(scope["method"], scope["path"]):
            request = Request(scope)
            try:
                await self.limits.request(request)
            except TooMany as error:
                await held(self.answer(request, problem_of(error)), error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class RefusedLimit:
    """Stands in front of everything: whoever is told again and again that nobody knows them is heard no more for a while. Who is known is not counted."""

    app: ASGIApp
    limits: Limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, unknown = Request(scope), False

        async def seen(message: Message) -> None:
            nonlocal unknown
            unknown = unknown or message.get("status") == 401
            await send(message)

        try:
            if scope["path"].startswith("/codec/") or is_guarded(scope["method"], scope["path"]):
                await self.limits.may_be_asked(request)
        except TooMany as error:
            await held(problem_response(problem_of(error)), error)(scope, receive, send)
            return
        await self.app(scope, receive, seen)
        if unknown:
            with suppress(TooMany):
                await self.limits.refused(request)


def held(response: Response, error: TooMany) -> Response:
    """The answer that says when to come again."""
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def proxies_of(settings: Settings) -> list[Network]:
    """The networks of our own proxies."""
    return [ip_network(each, strict=False) for each in filter(None, settings.trusted_proxies.replace(" ", "").split(","))]


def client_of(request: Request, proxies: Sequence[Network]) -> str:
    """Whose request it is: the peer, or behind our own proxies the last address that is none of theirs."""
    peer = request.client.host if request.client else ""
    hops = [part.strip() for part in ",".join(request.headers.getlist(FORWARDED)).split(",") if part.strip()]
    at = peer
    while hops and _is_one_of(at, proxies):
        at = hops.pop()
    found = _address(at)
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, IPV6_PREFIX), strict=False))
    return str(found or peer)


def _is_one_of(text: str, networks: Sequence[Network]) -> bool:
    found = _address(text)
    return found is not None and any(found in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
