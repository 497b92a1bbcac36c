"""How often what is public may be asked: within moving windows, by one client, about one company, to one mailbox, and by all together.

every request that needs nobody     by one client address           :class:`starter.web.authentication.Door`; whether we are ready, apart
a request whose token is none       by one client address           :class:`starter.web.authentication.Door`
a form                              by one client, of one company, to one mailbox that would get a mail
signups                             by everybody together: the rest is kept (:mod:`starter.web.signups`)
"""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from limits import RateLimitItem, parse
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from starlette.requests import Request

from domain import ids, mailbox
from domain.policy.trial import Routing
from starter.errors import BadInput
from starter.service.forms import read_address
from starter.web.problem_details import TooMany
from store.settings import Settings

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
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
        who = client_of(request, self._proxies)
        await self._hit(self._requests, "refused", who, "your address without a sign-in or token that we know")

    async def may_be_asked(self, request: Request) -> None:
        """Whether this client may still be mistaken; counts nothing. Raises :class:`TooMany`."""
        free = True
        with suppress(Exception):  # as where it is counted
            free = await self._limiter.test(self._requests, "refused", client_of(request, self._proxies))
        if not free:
            await self.refused(request)

    async def together(self) -> None:
        """Count one signup of all. Raises :class:`TooMany`."""
        await self._hit(self._together, "together", "signups", said="more people sign up at this moment than we take")

    async def _hit(self, item: RateLimitItem, kind: str, who: str, called: str = "", said: str = "") -> None:
        try:
            if await self._limiter.hit(item, kind, who):
                return
            reset = (await self._limiter.get_window_stats(item, kind, who)).reset_time
        except Exception:
            log.exception("the rate limits' storage does not answer; the form is let through")
            return
        wait = max(1, math.ceil(reset - time.time()))
        raise TooMany(
            said or f"more than {item} came from {called}", f"Nothing was lost or done; try again in {wait} seconds", retry_after=wait
        )


def proxies_of(settings: Settings) -> list[Network]:
    """The networks of our own proxies."""
    return [ip_network(each, strict=False) for each in filter(None, settings.trusted_proxies.replace(" ", "").split(","))]


def client_of(request: Request, proxies: Sequence[Network]) -> str:
    """Whose request it is: the peer, or behind our own proxies the last address that is none of theirs."""
    peer = request.client.host if request.client else ""
    hops = [part.strip() for part in ",".join(request.headers.getlist("x-forwarded-for")).split(",") if part.strip()]
    at = peer
    while hops and is_one_of(at, proxies):
        at = hops.pop()
    return customer_of(at) if address_of(at) else peer


def customer_of(text: str) -> str:
    """Who has an address: of IPv6 the network that one customer of a provider has; any other text is itself."""
    found = address_of(text)
    return str(ip_network((found, IPV6_PREFIX), strict=False)) if isinstance(found, IPv6Address) else str(found or text)


def is_one_of(text: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks."""
    found = address_of(text)
    return found is not None and any(found in network for network in networks)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """An address, one of IPv4 as such however it is written; None for any other text."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
