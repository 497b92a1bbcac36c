"""The web process answers to its own names only: a page that made its own name lead to our address (DNS rebinding) gets nothing.

Its names are the host of ``TENURE_WEB_URL``, those of ``TENURE_ALLOWED_HOSTS`` (of a probe, or of a container's network), and this
machine's own. What a proxy says in ``X-Forwarded-Host`` counts nowhere.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from starter.web.problem_details import Problem, problem_response
from store.settings import Settings

#: This machine's names: no other site can have them.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9._-]{0,252}))(?::[0-9]{1,5})?")


def own_hosts(settings: Settings, address: str = "") -> frozenset[str]:
    """The names under which we answer at ``address``, the web's own if none is given; in lower case, IPv6 addresses in brackets."""
    host = urlsplit(address or settings.web_url).hostname or ""
    named = (f"[{host}]" if ":" in host else host, *settings.allowed_hosts.replace(" ", "").lower().split(","))
    return frozenset({*LOOPBACK, *filter(None, named)})


def host_of(scope: Scope) -> str:
    """The name that was asked for, without its port; empty when there is none, more than one, or something else."""
    given = [value for name, value in scope["headers"] if name.lower() == b"host"]
    found = _HOST.fullmatch(given[0].decode("latin-1").lower()) if len(given) == 1 else None
    return found[1] if found else ""


class OwnHosts:
    """In front of everything, the codec too; only ``/livez`` answers under any name."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or host_of(scope) in self._hosts:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(NOT_OURS)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


NOT_OURS = Problem(
    title="Not this site's name",
    status=421,
    detail="this service does not answer to the name under which it was asked",
    do="Use the address in TENURE_WEB_URL; a further name is allowed with TENURE_ALLOWED_HOSTS",
    code="misdirected",
)
