"""The whole sandbox as one ASGI application: each service under its prefix, the control plane, and the page for people."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import actors, control, github, instances, mail, oidc, pagerduty, salesforce, sheets, slack, vitally
from sandbox.core import World
from sandbox.faults import FaultLayer
from sandbox.hosts import OwnHosts
from sandbox.org import PEOPLE

#: Each service by its name, which is also its prefix: ``/slack/api/...``, ``/github/api/v3/...`` and so on.
SERVICES: dict[str, Callable[[World], ASGIApp]] = {
    "slack": slack.create_app,
    "pagerduty": pagerduty.create_app,
    "github": github.create_app,
    "salesforce": salesforce.create_app,
    "instances": instances.create_app,
    "licensing": instances.create_licensing_app,
    "vitally": vitally.create_app,
    "sheets": sheets.create_app,
    "oidc": oidc.create_app,
}

#: The page loads nothing from elsewhere, and what it shows was written by others: it may run its own script and no other.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:"


class Watch:
    """Says after every request that something may have changed, save after those that only look: the page's and the control plane's.

    A provider's GET counts, since some of them act: Slack takes every method by GET, and GitHub's repositories begin when they are named.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app = app
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and not _only_looks(scope["method"], scope["path"]):
                self.world.touched()


def _only_looks(method: str, path: str) -> bool:
    own = path in ("/", "/healthz") or path.startswith(("/services/", "/_sandbox/")) or "/_control" in path
    return own and method in ("GET", "HEAD")


def introduce(world: World) -> None:
    """Make the people whom the CRM knows members of the chat, so that an address found in the one is known in the other."""
    people = [{"email": person.email, "name": person.handle, "real_name": person.name, "id": person.slack_id} for person in PEOPLE]
    world.services["slack"].seed({"users": people})


def create_app(world: World) -> Starlette:
    """Assemble every service around ``world``; the mailbox is included, its SMTP listener is started by ``sandbox/server.py``."""
    mail.create_mailbox(world)
    mounts = [Mount(f"/{name}", FaultLayer(world, name, create(world))) for name, create in SERVICES.items()]
    # After the services' own resets, which empty the chat.
    world.resets.append(lambda: introduce(world))
    introduce(world)
    page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

    async def show(request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(page.replace("{{ nonce }}", nonce), headers={"Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)})

    async def health(request: Request) -> Response:
        state = {"services": sorted(world.services), "effects": len(world.log.effects), "smtp_port": world.smtp_port}
        return JSONResponse({"ok": True, **state})

    routes = [
        Route("/", show),
        Route("/services/{name}", show),
        Route("/healthz", health),
        Mount("/_sandbox/people", actors.create_app(world)),
        Mount("/_sandbox", control.create_app(world)),
        *mounts,
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnHosts, world=world), Middleware(Watch, world=world)])
