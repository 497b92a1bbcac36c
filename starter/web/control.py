"""The control port of a process: its health, its metrics, and the way to drain it, for whoever runs it and for nobody else.

    GET  /livez     200 while the process works at all
    GET  /readyz    200 while it takes work and every part that it needs answers, else 503 and why; ?exclude=PART leaves one out
    GET  /metrics   Prometheus: the SDK's own series and those of :mod:`store.metrics`
    POST /drain     SIGTERM to itself: it takes nothing new, finishes what it began, and ends with 0

It is where ``TENURE_CONTROL`` or ``--control`` says, in the web as in the worker; without an address there is none.
"""

import argparse
import asyncio
import hmac
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from starter.errors import BadInput, NotAllowed, Unavailable
from starter.service.tenure import Tenure
from starter.web import health
from starter.web.middleware import Livez, OwnHosts, own_hosts
from starter.web.problem_details import problem_response
from starter.web.serving import beside, config, is_here
from store import metrics
from store.ledger import Ledger
from store.settings import Settings
from store.tables import failed_signups, holds

log = logging.getLogger(__name__)

#: Seconds, the bounds of what is counted of a request to the web.
REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: How often another port is tried when somebody took the one that was free.
TRIES = 5
WAITING = "ExecutionStatus = 'Running' AND DueAt IS NOT NULL"


def telemetry() -> str:
    """Have the SDK count, for this whole process; the address of its endpoint, which only this machine reaches. Before the first client."""
    for left in reversed(range(TRIES)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            where = f"127.0.0.1:{free.getsockname()[1]}"
        prometheus = PrometheusConfig(
            bind_address=where,
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides={"tenure_request": REQUEST_SECONDS},
        )
        try:
            Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=prometheus, attach_service_name=False)))
            break
        except ValueError:  # somebody took the port meanwhile
            if not left:
                raise
    return f"http://{where}/metrics"


def control_option(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """The option ``--control`` of a process."""
    what = "where health, metrics and drain are, for operators alone (default: TENURE_CONTROL; empty: nowhere)"
    parser.add_argument("--control", metavar="HOST:PORT", default=settings.control, help=what)


class Control:
    """What a process lets its operators see and do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parts: dict[str, health.Probe] = {"work": self._works}
        self._tenure: Tenure | None = None
        self._stopping: Callable[[], bool] = lambda: False
        self._endpoint = ""
        self._held: set[str] = set()

    def begin(self, tenure: Tenure, parts: Mapping[str, health.Probe], build: str, stopping: Callable[[], bool]) -> None:
        """The process is at work from now on, and needs these parts; ``stopping`` says when it takes nothing new any more."""
        self._tenure, self._stopping = tenure, stopping
        self._parts |= parts
        metrics.show("tenure_build", 1, build=build)

    @asynccontextmanager
    async def listening(self, address: str) -> AsyncIterator[None]:
        """Serve at ``HOST:PORT`` meanwhile; nowhere when it is empty. Raises :class:`BadInput`, :class:`Unavailable`."""
        if not address:
            yield
            return
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise BadInput(f"the control port's address {address!r} is not HOST:PORT", "Set TENURE_CONTROL as 127.0.0.1:9464")
        try:
            with socket.create_server((host.strip("[]"), int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                pass  # uvicorn would end the process without a sentence
        except (OSError, OverflowError) as error:
            raise Unavailable(f"the control port cannot be {address} ({error})", "Set TENURE_CONTROL to another address") from None
        self._endpoint = telemetry()
        async with beside(config(self._settings, self.app(), host.strip("[]"), int(port))):
            log.info("health, metrics and drain at http://%s", address)
            yield

    def app(self) -> ASGIApp:
        """The application."""
        app = FastAPI(openapi_url=None)
        health.add_to(app, self._parts)
        app.add_route("/metrics", self._metrics)
        app.add_route("/drain", self._on_drain, methods=["POST"])
        return Livez(OwnHosts(app, own_hosts(self._settings), addresses=True))

    async def _works(self) -> str:
        if self._tenure is None:
            raise health.NotReady("has not begun yet")
        if self._stopping():
            raise health.NotReady("drains: takes nothing new, and ends when what it began is done")
        return "takes work"

    async def _on_drain(self, request: Request) -> Response:
        if why := self._refusal(request):
            return problem_response(NotAllowed(why, "Ask from the process's own machine, or with the token TENURE_CONTROL_TOKEN"))
        log.info("asked to drain")
        signal.raise_signal(signal.SIGTERM)
        return JSONResponse({"draining": True}, 202)

    def _refusal(self, request: Request) -> str:
        """Why somebody may not drain this process; empty when they may."""
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            return "a page in a browser may not drain a process"
        if token := self._settings.control_token.get_secret_value():
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            return "" if hmac.compare_digest(given.encode(), token.encode()) else "the token is not TENURE_CONTROL_TOKEN"
        peer = request.client.host if request.client else ""
        return "" if is_here(peer) else "without TENURE_CONTROL_TOKEN only this machine may drain the process"

    async def _metrics(self, _request: Request) -> Response:
        await self._look()
        async with httpx.AsyncClient(timeout=health.PATIENCE_SECONDS, trust_env=False) as http:
            answer = await http.get(self._endpoint)
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])

    async def _look(self) -> None:
        """Measure what nobody counts: what is ready, held, kept, waited for. What does not answer is not ready, and keeps its last figures."""
        ready = await health.check(self._parts)
        for name, part in ready.parts.items():
            metrics.show("tenure_ready", part.ok, part=name)
        if (tenure := self._tenure) is None:
            return
        try:
            if ready.parts["ledger"].ok:
                await asyncio.to_thread(self._look_into, tenure.ledger)
            if ready.parts["temporal"].ok:
                queries = WAITING, f"{WAITING} AND DueAt < '{datetime.now(UTC).isoformat()}'"
                everything, overdue = await asyncio.gather(*(tenure.client.count_workflows(query) for query in queries))
                metrics.show("tenure_waiting", everything.count - overdue.count, overdue="no")
                metrics.show("tenure_waiting", overdue.count, overdue="yes")
        except (RPCError, SQLAlchemyError) as error:
            log.warning("metrics: %s", type(error).__name__)

    def _look_into(self, ledger: Ledger) -> None:
        with ledger.reading() as db:
            kept = db.execute(select(func.count()).select_from(failed_signups).where(failed_signups.c.rescued_at.is_(None))).scalar_one()
            found = [system.partition(" ")[0] for system in db.execute(select(holds.c.system)).scalars()]  # of an instance not its host
        metrics.show("tenure_signups_kept", kept)
        self._held |= set(found)
        for system in self._held:
            metrics.show("tenure_holds", found.count(system), system=system)
