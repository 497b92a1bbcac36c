"""The control plane under ``/_sandbox``, apart from every API path: read the effects, plan faults, seed, reset, read the mail.

=========================================  ================================================================================
``GET /_sandbox/log?since=N&service=S``    the effects numbered above N, of one service or of all
``GET /_sandbox/services``                 the services, each with its title and its number of effects
``GET /_sandbox/services/NAME``            one service: its effects and what its page shows
``GET|POST|DELETE /_sandbox/faults``       the faults still planned; plan one or a list of them; forget them all
``POST /_sandbox/seed``                    ``{service: data}``, handed to each service's ``seed``
``POST /_sandbox/reset``                   empty everything; the numbers of effects keep growing
``GET /_sandbox/mail?to=ADDRESS``          the accepted mails, oldest first
=========================================  ================================================================================

A request that cannot be understood is answered 4xx with ``{"error": "..."}``, which says what to do instead.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.core import Effect, Fault, Kind, World
from sandbox.mail import Mailbox
from sandbox.views import view_of

#: What each service is, for people; the keys are the names used in the log, in faults and in seeds.
TITLES = {
    "slack": "Slack",
    "smtp": "Mail",
    "github": "GitHub",
    "salesforce": "Salesforce",
    "instances": "Customer instances",
    "licensing": "Licensing",
    "pagerduty": "PagerDuty",
    "vitally": "Vitally",
    "sheets": "Google Sheets",
    "oidc": "Sign-in",
    "cloud": "Cloud team",
}

#: The services that requests come to; the Cloud team asks for nothing and is asked nothing.
REQUESTED = sorted(set(TITLES) - {"cloud"})

#: An HTTP 503 asks to try again, while an SMTP reply of 503 says never; this is its like.
SMTP_TRY_AGAIN = 451


def shown(effect: Effect) -> dict[str, Any]:
    """Return an effect as JSON."""
    return asdict(effect) | {"at": effect.at.isoformat()}


def read_fault(given: Any) -> Fault:
    """Check one fault of a request; raises ValueError that says what is wrong with it."""
    if not isinstance(given, dict):
        raise ValueError("a fault is an object, such as {'service': 'slack', 'kind': 'cut_after', 'match': 'chat.postMessage'}")
    types = {field.name: type(field.default) for field in fields(Fault)} | {"service": str, "kind": str}
    unknown = sorted(set(given) - set(types))
    if unknown:
        raise ValueError(f"unknown fields {unknown}; a fault has {sorted(types)}")
    for name, value in given.items():
        wanted = (int, float) if types[name] is float else (types[name],)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{name} must be {types[name].__name__}, not {value!r}")
    if given.get("service") not in REQUESTED:
        raise ValueError(f"service must be one of {REQUESTED}, not {given.get('service')!r}")
    if given.get("kind") not in get_args(Kind):
        raise ValueError(f"kind must be one of {sorted(get_args(Kind))}, not {given.get('kind')!r}")
    defaults: dict[str, Any] = {"status": SMTP_TRY_AGAIN} if given["service"] == "smtp" else {}
    fault = Fault(**(defaults | given))
    if fault.times < 1:
        raise ValueError("times must be at least 1; to end an outage, DELETE /_sandbox/faults")
    if not 200 <= fault.status <= 599:
        raise ValueError("status must lie between 200 and 599")
    return fault


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None


def _service(world: World, name: str) -> Any:
    if name not in world.services:
        raise HTTPException(404, f"there is no service {name!r}; there are {sorted(world.services)}")
    return world.services[name]


def create_app(world: World) -> Starlette:
    """Build the control plane, to be mounted under ``/_sandbox``."""

    async def log(request: Request) -> Response:
        service = request.query_params.get("service", "")
        try:
            since = int(request.query_params.get("since", "0"))
        except ValueError:
            raise HTTPException(400, "since is the number of the last effect you have seen") from None
        effects = [one for one in world.log.effects if one.number > since and service in ("", one.service)]
        return JSONResponse([shown(one) for one in effects])

    async def services(request: Request) -> Response:
        counts = dict.fromkeys((name for name in TITLES if name in world.services), 0)
        for one in world.log.effects:
            counts[one.service] = counts.get(one.service, 0) + 1
        return JSONResponse([{"name": name, "title": TITLES.get(name, name), "effects": count} for name, count in counts.items()])

    async def service(request: Request) -> Response:
        name = request.path_params["name"]
        view = view_of(name, _service(world, name))
        effects = [shown(one) for one in world.log.effects if one.service == name]
        return JSONResponse({"name": name, "title": TITLES.get(name, name), "effects": effects, "view": view})

    async def list_faults(request: Request) -> Response:
        return JSONResponse([asdict(one) for one in world.faults])

    async def plan_faults(request: Request) -> Response:
        given = await _json(request)
        try:
            planned = [read_fault(one) for one in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        world.faults.extend(planned)
        return JSONResponse([asdict(one) for one in planned], 201)

    async def forget_faults(request: Request) -> Response:
        world.faults.clear()
        return Response(status_code=204)

    async def seed(request: Request) -> Response:
        given = await _json(request)
        if not isinstance(given, dict):
            raise HTTPException(422, "a seed is an object of service names and their data")
        chosen = {name: _service(world, name) for name in given}
        for name, data in given.items():
            try:
                chosen[name].seed(data)
            except Exception as error:
                # Whatever a service dislikes about its seed is the caller's to read, not a fault of the sandbox.
                raise HTTPException(422, f"{name}: {type(error).__name__}: {error}") from error
        return JSONResponse({"ok": True})

    async def reset(request: Request) -> Response:
        world.reset()
        return JSONResponse({"ok": True})

    async def mail(request: Request) -> Response:
        mailbox: Mailbox = _service(world, "smtp")
        return JSONResponse([asdict(one) for one in mailbox.to(request.query_params.get("to", ""))])

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": error.detail}, error.status_code)

    routes = [
        Route("/log", log),
        Route("/services", services),
        Route("/services/{name}", service),
        Route("/faults", list_faults, methods=["GET"]),
        Route("/faults", plan_faults, methods=["POST"]),
        Route("/faults", forget_faults, methods=["DELETE"]),
        Route("/seed", seed, methods=["POST"]),
        Route("/reset", reset, methods=["POST"]),
        Route("/mail", mail),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: explain})
