"""The web process: the signup page, the JSON API, the console, the links of our mails, GitHub's webhook, ``/livez`` and ``/readyz``.

``python -m starter.web --port 8080`` runs it by itself; SIGTERM and Ctrl-C end it in order, with exit code 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import logging
import sys
from collections.abc import AsyncIterator, Sequence

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from domain import policy as policies
from starter import logs, private_files, startup
from starter.build import build_id
from starter.errors import BadInput, TenureError, Unavailable
from starter.run import run_cli
from starter.service.bootstrap import read_settings
from starter.service.commands import PATIENCE
from starter.service.connect import connect
from starter.service.kept_requests import LEDGER_PATIENCE
from starter.service.tenure import Tenure
from starter.web import api, api_docs, console, health, links, operations, pages, signin, temporal_ui, webhooks
from starter.web.authentication import Door, is_guarded
from starter.web.codec_endpoint import CodecEndpoint
from starter.web.connections import HEADER_BYTES, bounded
from starter.web.control import Control, control_option
from starter.web.hosts import OwnHosts, own_hosts
from starter.web.limiting import Limits, RefusedLimit, RequestLimit
from starter.web.problem_details import (
    MEDIA_TYPE,
    NOT_SIGNED_IN,
    PROBLEMS,
    FieldProblem,
    Kept,
    Problem,
    TooMany,
    problem_of,
    problem_response,
)
from starter.web.render import HERE, Pages, Static
from starter.web.security_headers import BODY_LIMIT, Guard
from starter.web.serving import Server, beside
from store import ledger_file
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
RETRY_TASK = "retry failed signups"
#: Whoever waits for an answer when the web is stopped gets it: taken or, when no worker answers, kept.
DRAIN_SECONDS = int(PATIENCE + 3 * LEDGER_PATIENCE)
DESCRIPTION = "Cloud trials from signup to their end. Every error is a problem document that says what to do next."
TITLES = {404: "Not found", 405: "Method not allowed", 408: "Too slow"}
ADVICE = {408: "Send it again", 404: "Check the address; the API's document is /openapi.json", 405: "See /docs for what this address takes"}


def create_app(tenure: Tenure, settings: Settings, *, retry_seconds: float = RETRY_SECONDS) -> FastAPI:
    """The application. ``retry_seconds`` is how often failed signups that still wait for their rescue are started (A21)."""
    templates = Pages(settings, tenure.policy)
    limits = Limits(settings, tenure.policy.routing)
    https = settings.web_url.startswith("https://")

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(retry_for_ever(tenure, retry_seconds), name=RETRY_TASK)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # The framework's own redirects to another spelling of a path name the host that the request names: on_http has ours.
    app = FastAPI(
        redirect_slashes=False,
        title=f"{templates.brand} API",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(api.router(tenure, limits))
    app.include_router(webhooks.router(tenure, settings))
    app.include_router(operations.router(health.probes(tenure, settings)))
    app.include_router(pages.router(tenure, templates, limits))
    app.include_router(links.router(tenure, settings, templates, limits))
    app.include_router(console.router(tenure, templates))
    app.include_router(signin.router(tenure, settings, templates))
    app.include_router(api_docs.router(templates))
    app.router.routes.append(Mount("/static", Static(directory=HERE / "static"), name="static"))
    _describe_problem(app)

    def answer(request: Request, problem: Problem) -> Response:
        """A problem in the form that the caller reads: a page for a person at a browser, JSON for a program."""
        if _is_program(request):
            return problem_response(problem)
        return templates.trouble(problem.status, problem.title, problem.detail, problem.do, event=problem.event)

    @app.exception_handler(TenureError)
    async def on_ours(request: Request, error: TenureError) -> Response:
        response = answer(request, problem_of(error))
        if isinstance(error, TooMany | Kept):
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.exception_handler(SQLAlchemyError)
    async def on_ledger(request: Request, error: SQLAlchemyError) -> Response:
        log.warning("the ledger: %s", type(error).__name__)
        what = f"the ledger {ledger_file.matter(error)}"
        return answer(request, problem_of(Unavailable(what, "Try again in a minute; whoever runs Tenure looks at its database")))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _invalid(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        plain = request.url.path.rstrip("/")
        if error.status_code == 404 and plain != request.url.path and request.method in ("GET", "HEAD") and signin.inside(plain) == plain:
            return RedirectResponse(plain, 307)
        if error.status_code == 400:  # the framework's word for a body that is no text, or no form, at all
            unread = BadInput("the body cannot be read", "Send JSON in UTF-8, or the form as the page sends it; see /docs")
            return answer(request, problem_of(unread))
        problem = Problem(
            title=TITLES.get(error.status_code, "It did not work"),
            status=error.status_code,
            detail=str(error.detail),
            do=ADVICE.get(error.status_code, "See /docs for what this address takes"),
            code="http",
        )
        response = answer(request, problem)
        response.headers.update(error.headers or {})
        return response

    # The last added is the outermost.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=BODY_LIMIT)
    app.add_middleware(Door, tenure=tenure, answer=answer, hours=settings.session_hours)
    app.add_middleware(RequestLimit, limits=limits, answer=answer)
    app.add_middleware(CodecEndpoint, settings=settings, tenure=tenure)  # in front of the limits: it has its own
    app.add_middleware(Guard, answer=answer, https=https)
    app.add_middleware(RefusedLimit, limits=limits)
    app.add_middleware(
        SessionMiddleware,
        secret_key=session_key(settings),
        session_cookie="__Host-tenure" if https else "tenure",  # a browser takes the first from this very host only, and by https
        max_age=settings.session_hours * 3600,
        same_site="lax",
        https_only=https,
    )
    app.add_middleware(OwnHosts, hosts=own_hosts(settings))
    app.add_middleware(operations.Timed)
    app.add_middleware(operations.Livez)
    return app


def session_key(settings: Settings) -> str:
    """What signs the sessions' cookies: of our secret key, and of no other use of it."""
    return hmac.new(settings.key().encode(), b"tenure session cookie", hashlib.sha256).hexdigest()


async def retry_for_ever(tenure: Tenure, seconds: float) -> None:
    """Start the rescues that an outage held up, now and every so often. What goes wrong is logged and tried again."""
    while True:
        try:
            if started := await tenure.retry_failed_signups():
                log.info("rescues started for %d failed signups", started)
        except Exception as error:
            log.warning("failed signups still wait for their rescue: %s", error)
        await asyncio.sleep(seconds)


def _is_program(request: Request) -> bool:
    return request.url.path.startswith(
        ("/api/", "/webhooks/", "/healthz", "/readyz", "/openapi.json")
    ) or "text/html" not in request.headers.get("accept", "")


def _invalid(error: RequestValidationError) -> Problem:
    found = [
        FieldProblem(field=".".join(str(part) for part in fault["loc"]), detail=str(fault["msg"]).removeprefix("Value error, "))
        for fault in error.errors()[:20]
    ]
    detail = "; ".join(f"{fault.field}: {fault.detail}" for fault in found)
    return Problem(
        title="That cannot be used",
        status=422,
        detail=detail,
        do="Correct it and send it again; see /docs",
        code="bad_input",
        errors=tuple(found),
    )


def _describe_problem(app: FastAPI) -> None:
    """Put our problem's schema into the document, in the place of the framework's own shape of a validation error."""
    generate = app.openapi

    def document() -> dict[str, object]:
        if app.openapi_schema is None:
            made = generate()
            schemas = made["components"]["schemas"]
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            made["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer", "description": "`tenure token create` makes one."},
                "session": {"type": "apiKey", "in": "cookie", "name": "tenure", "description": "What signing in at /sign-in leaves."},
            }
            for path, methods in made["paths"].items():
                for method, operation in methods.items():
                    if is_guarded(method.upper(), path):
                        operation["security"] = [{"token": []}, {"session": []}]
                        operation["responses"] |= {"401": NOT_SIGNED_IN, "403": PROBLEMS[403]}
            for operation in (operation for methods in made["paths"].values() for operation in methods.values()):
                for answered in operation["responses"].values():
                    if MEDIA_TYPE in answered.get("content", {}):
                        answered["content"].pop("application/json", None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the documented way to extend the document


async def serve(settings: Settings, host: str, port: int, ui: tuple[str, int] | None = None, address: str = "") -> None:
    """Connect to everything and serve until a signal comes. Temporal need not be up yet: ``/readyz`` says when it is.

    ``ui`` is the address of a development server's Web UI and the port on which it is shown; ``address`` is the control port's.
    """
    control = Control(settings)
    async with control.listening(address):
        policy = policies.load(settings.policy_file) if settings.policy_file else policies.default()
        ledger = Ledger(settings.ledger_url)
        await asyncio.to_thread(ledger.check)
        try:
            client = await connect(
                data_converter(settings, ledger), key=settings.way_in_key, fallback=f"127.0.0.1:{settings.temporal_port}", lazy=True
            )
            tenure = Tenure(client, ledger, settings, policy)
            server = Server(_config(settings, create_app(tenure, settings), host, port))
            control.begin(tenure, health.probes(tenure, settings), await asyncio.to_thread(build_id), lambda: server.should_exit)
            async with _shown(settings, host, ui):
                await server.serve()
        finally:
            ledger.close()


@contextlib.asynccontextmanager
async def _shown(settings: Settings, host: str, ui: tuple[str, int] | None) -> AsyncIterator[None]:
    """Show a development server's Web UI meanwhile."""
    if ui is None:
        yield
        return
    behind, port = ui
    async with temporal_ui.client() as http, beside(_config(settings, temporal_ui.front(settings, behind, http), host, port, grace=1)):
        yield


def _config(settings: Settings, app: ASGIApp, host: str, port: int, grace: int = DRAIN_SECONDS) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(settings),
        h11_max_incomplete_event_size=HEADER_BYTES,
        log_level="warning",
        log_config=None,  # its records go the way of all others, which masks them
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word counts is TENURE_TRUSTED_PROXIES' to say
        timeout_graceful_shutdown=grace,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the web process; returns its exit code."""
    private_files.keep_private()
    logs.set_up()
    try:
        return _run(read_settings(), arguments)
    except Exception as error:
        known = error if isinstance(error, TenureError) else startup.in_words(error)
        if known is None:
            raise
        sys.stderr.write(f"{known}\n")
        return known.exit_code


def _run(settings: Settings, arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m starter.web", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings.web_port, help="the port to listen on (default: %(default)s)")
    parser.add_argument(
        "--temporal-ui", metavar="URL", help="a development server's Web UI, to be shown with clear text for whoever is signed in"
    )
    parser.add_argument(
        "--temporal-ui-port", type=int, default=settings.temporal_ui_port, help="the port to show it on (default: %(default)s)"
    )
    control_option(parser, settings)
    given = parser.parse_args(arguments)
    startup.check(settings)
    ui = (given.temporal_ui, given.temporal_ui_port) if given.temporal_ui else None
    run_cli(serve(settings, given.host, given.port, ui, given.control))
    return 0
