"""The web's application: the signup page, the JSON API, the console, the links of our mails, GitHub's webhook, ``/livez`` and ``/readyz``."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.sessions import SessionMiddleware

from starter.errors import BadInput, NotSignedIn, TenureError, Unavailable
from starter.service.tenure import Tenure
from starter.web import api, api_docs, codec_endpoint, console, health, links, signin, signups, webhooks
from starter.web.authentication import Door, to_sign_in
from starter.web.limiting import Limits
from starter.web.middleware import BODY_LIMIT, Guard, Livez, OwnHosts, Timed, own_hosts
from starter.web.problem_details import Fault, FieldProblem, problem_response
from starter.web.render import HERE, Pages, Static
from store import ledger_file
from store.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
RETRY_TASK = "retry failed signups"
DESCRIPTION = "Cloud trials from signup to their end. Every error is a problem document that says what to do next."
PROGRAMS = ("/api/", "/codec/", "/webhooks/", "/healthz", "/readyz", "/openapi.json")
#: The database's and the framework's errors that have an answer of their own.
Foreign = HTTPException | RequestValidationError | SQLAlchemyError
ADVICE = {408: "Send it again", 404: "Check the address; the API's document is /openapi.json"}


def create_app(tenure: Tenure, settings: Settings, *, retry_seconds: float = RETRY_SECONDS) -> FastAPI:
    """The application. ``retry_seconds`` is how often failed signups that still wait for their rescue are started (A21)."""
    templates = Pages(settings, tenure.policy)
    limits = Limits(settings, tenure.policy.routing)
    https = settings.web_url.startswith("https://")

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(retry_for_ever(tenure, retry_seconds), name=RETRY_TASK)
            yield
            task.cancel()

    def answer(request: Request, error: TenureError) -> Response:
        """An error in the form that the caller reads: a page for a person at a browser, JSON for a program."""
        if isinstance(error, NotSignedIn) and (elsewhere := to_sign_in(request)):
            return elsewhere
        at_browser = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(PROGRAMS)
        return templates.error(error) if at_browser else problem_response(error)

    async def on_error(_request: Request, error: Foreign) -> Response:
        raise error_of(error) from error  # Guard answers it, as every error of ours

    async def on_http(request: Request, error: HTTPException) -> Response:
        plain = request.url.path.rstrip("/")
        if error.status_code == 404 and plain != request.url.path and request.method in ("GET", "HEAD") and signin.inside(plain) == plain:
            return RedirectResponse(plain, 307)
        response = answer(request, error_of(error))
        response.headers.update(error.headers or {})
        return response

    # The framework's own redirects to another spelling of a path name the host that the request names: on_http has ours.
    app = FastAPI(
        redirect_slashes=False,
        title=f"{templates.brand} API",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        exception_handlers={HTTPException: on_http, SQLAlchemyError: on_error, RequestValidationError: on_error},
    )
    pages = APIRouter(include_in_schema=False)
    api.add_to(app, tenure, limits)
    webhooks.add_to(app, tenure)
    health.add_to(app, health.probes(tenure, settings))
    signups.add_to(pages, tenure, templates, limits)
    links.add_to(pages, tenure, templates, limits)
    console.add_to(pages, tenure, templates)
    signin.add_to(pages, tenure, templates)
    api_docs.add_to(pages, templates)
    app.include_router(pages)
    app.mount("/static", Static(directory=HERE / "static"), name="static")
    codec = codec_endpoint.CodecEndpoint(tenure)
    app.mount("/codec", RequestBodyLimitMiddleware(codec, codec_endpoint.BODY_LIMIT))
    api_docs.describe(app)

    # The last added is the outermost.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=BODY_LIMIT)
    app.add_middleware(Door, tenure=tenure, limits=limits)
    app.add_middleware(Guard, answer=answer, https=https, more=codec.headers)
    app.add_middleware(
        SessionMiddleware,
        secret_key=session_key(settings),
        session_cookie="__Host-tenure" if https else "tenure",  # a browser takes the first from this very host only, and by https
        max_age=settings.session_hours * 3600,
        same_site="lax",
        https_only=https,
    )
    app.add_middleware(OwnHosts, hosts=own_hosts(settings))
    app.add_middleware(Timed)
    app.add_middleware(Livez)
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


def error_of(error: Foreign) -> TenureError:
    """What an error of the database's or the framework's says to whoever asked."""
    match error:
        case RequestValidationError():
            return _invalid(error)
        case HTTPException(status_code=400):  # the framework's word for a body that is no text, or no form, at all
            return BadInput("the body cannot be read", "Send JSON in UTF-8, or the form as the page sends it; see /docs")
        case HTTPException():
            return Fault(error.status_code, error.detail, ADVICE.get(error.status_code, "See /docs for what this address takes"))
        case _:
            log.warning("the ledger: %s", type(error).__name__)
            what = f"the ledger {ledger_file.matter(error)}"
            return Unavailable(what, "Try again in a minute; whoever runs Tenure looks at its database")


def _invalid(error: RequestValidationError) -> Fault:
    found = tuple(
        FieldProblem(field=".".join(str(part) for part in fault["loc"]), detail=str(fault["msg"]).removeprefix("Value error, "))
        for fault in error.errors()[:20]
    )
    detail = "; ".join(f"{fault.field}: {fault.detail}" for fault in found)
    return Fault(422, detail, "Correct it and send it again; see /docs", title=BadInput.title, code=BadInput.code, errors=found)
