"""The sandbox answers to its own names only, so that a page in somebody's browser cannot make a name of its own lead here."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.core import World

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_][a-z0-9._-]{0,252})(?::[0-9]{1,5})?")


class OwnHosts:
    """Answers to the names of this machine, those of ``world.hosts``, and that under which a browser finds the sandbox."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app = app
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_ours(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            said = "the sandbox does not answer to this name; start it with --hosts NAME to allow it"
            await JSONResponse({"error": said}, status_code=421)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name.lower() == b"host"]
        found = _HOST.fullmatch(given[0].decode("latin-1").lower()) if len(given) == 1 else None
        browser = urlsplit(self.world.browser_url).hostname
        return found is not None and found[1] in {*LOOPBACK, *self.world.hosts, *filter(None, (browser,))}
