"""How often the public forms may be sent: by one client address, and by one company, each within a moving window."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string

from domain import ids
from starter.addresses import read_address
from starter.errors import BadInput
from starter.problems import TooMany

if TYPE_CHECKING:
    from starlette.requests import Request

    from activities.settings import Settings
    from domain.figures import Routing

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
FORWARDED = "x-forwarded-for"
#: What one customer of a provider has of IPv6 addresses.
IPV6_PREFIX = 64


class SignupLimits:
    """Counts in this process's memory, or in Redis by ``TENURE_RATE_LIMIT_STORAGE``, for several web processes."""

    def __init__(self, settings: Settings, routing: Routing) -> None:
        self._routing = routing
        self._of_address, self._of_domain = parse(settings.signups_per_address), parse(settings.signups_per_domain)
        self._proxies = [ip_network(each, strict=False) for each in filter(None, settings.trusted_proxies.replace(" ", "").split(","))]
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
