"""What whoever runs the web asks of it: ``/livez`` says that the process works, ``/readyz`` whether all that it needs does.

They are apart, so that nobody restarts the web because a worker, Temporal or the ledger is away: it still takes signups then, and keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.web.health import Health, Probe, check
from starter.web.problem_details import PROBLEMS
from store import metrics

LIVEZ = "/livez"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ANSWERS: dict[int | str, dict[str, Any]] = {422: PROBLEMS[422], 503: {"model": Health, "description": "A part does not answer."}}


@dataclass(frozen=True)
class Livez:
    """The outermost layer answers ``GET /livez`` by itself, under whatever name and however often: only a process that hangs does not."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == LIVEZ and scope["method"] in ("GET", "HEAD"):
            await JSONResponse({"ok": True}, headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass(frozen=True)
class Timed:
    """Counts every request with what it took, by the route that took it: an address names people."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            metrics.took("tenure_request", time.monotonic() - began, method=method, route=route, status=str(status))


def router(parts: Mapping[str, Probe]) -> APIRouter:
    """``/readyz``, and ``/healthz`` by its older name, for :func:`starter.web.app.create_app`."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz", summary="The same as /readyz", responses=ANSWERS)
    @routes.get("/readyz", summary="Whether every part answers", responses=ANSWERS)
    async def readyz(response: Response, exclude: Annotated[list[str], Query(max_length=20)] = []) -> Health:  # noqa: B006
        """Asks every part now: 200 when each answers, else 503, with what each said. ``?exclude=worker`` leaves a part out, and may be repeated."""
        health = await check(parts, exclude)
        response.status_code = 200 if health.ok else 503
        return health

    return routes
