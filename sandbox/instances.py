"""Stand-ins for customers' cloud instances: one per host, at ``/{host}/.api/graphql``, over the part of the schema a trial needs.

A host that does not exist answers the way a cluster's ingress would: a 404 page and no GraphQL. Instances are made and unmade by the
Cloud team (:mod:`sandbox.cloud`) or from the control side, where usage is set too: ``GET /_control`` lists every instance,
``POST /_control/{host}`` takes the arguments of :meth:`Instances.set_usage`. Faults belong to the layer around this application.

The licensing API is a separate application: :func:`sandbox.licensing.create_licensing_app`, given on from here.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.graphql_api import load_schema, refuse, serve
from sandbox.instance_graphql import Root
from sandbox.instance_store import Account, Instance, Kind
from sandbox.licensing import create_licensing_app

__all__ = ["Instance", "Instances", "create_app", "create_licensing_app"]

TOKEN = "sandbox-operator-token"

_NOT_FOUND_PAGE = (
    "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass
class InstancesState:
    """What is kept of the instances."""

    token: str
    builtin_auth: bool
    instances: dict[str, Instance]
    names: dict[str, str] = field(default_factory=dict)


class Instances:
    """The service object in ``world.services["instances"]``. Hosts compare without case."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """No instances."""
        self.token = TOKEN
        self.builtin_auth = True
        self._instances: dict[str, Instance] = {}
        self._names: dict[str, str] = {}  # an earlier name that is kept, and the host that it means

    def dump(self) -> InstancesState:
        """What is to be kept."""
        return InstancesState(self.token, self.builtin_auth, self._instances, self._names)

    def load(self, state: InstancesState) -> None:
        """Go on from what was kept."""
        self.token, self.builtin_auth, self._instances, self._names = state.token, state.builtin_auth, state.instances, state.names

    def seed(self, data: dict[str, Any]) -> None:
        """``token`` replaces the operators' token; ``instances`` is [{host, kind?, and the arguments of set_usage}]; ``builtin_auth``
        false takes password links away, as on an instance with single sign-on only.
        """
        self.token = str(data.get("token", self.token))
        self.builtin_auth = bool(data.get("builtin_auth", self.builtin_auth))
        for each in data.get("instances", ()):
            usage = dict(each)
            host, kind = usage.pop("host"), usage.pop("kind", "trial")
            if not self.exists(host):
                self.create(host, kind)
            if usage:
                self.set_usage(host, **usage)

    def create(self, host: str, kind: Kind = "warm") -> Instance:
        """A new, empty instance. ValueError when the host is taken."""
        with self._lock:
            key = host.lower()
            if self.exists(key):
                raise ValueError(f"there is an instance at {host}")
            self._instances[key] = Instance(key, kind, str(uuid4()), datetime.now(UTC))
            return self._instances[key]

    def exists(self, host: str) -> bool:
        """Whether an instance answers there."""
        return self._host(host) in self._instances

    def get(self, host: str) -> Instance:
        """The instance at ``host``. KeyError when there is none."""
        return self._instances[self._host(host)]

    def all(self) -> list[Instance]:
        """Every instance, oldest first."""
        return list(self._instances.values())

    def delete(self, host: str) -> None:
        """Destroy an instance and its data. KeyError when there is none."""
        with self._lock:
            gone = self._host(host)
            del self._instances[gone]
            self._names = {name: meant for name, meant in self._names.items() if meant != gone}

    def rename(self, old: str, new: str, keep: bool = False) -> None:
        """Move an instance to another host, users and data with it; with ``keep`` it goes on answering at the old one, too.

        KeyError when there is none, ValueError when ``new`` is taken.
        """
        with self._lock:
            instance = self.get(old)
            if self.exists(new):
                raise ValueError(f"there is an instance at {new}")
            before, instance.host = instance.host, new.lower()
            del self._instances[before]
            self._instances[instance.host] = instance
            self._names = {name: instance.host if meant == before else meant for name, meant in self._names.items()}
            if keep:
                self._names[before] = instance.host

    def _host(self, name: str) -> str:
        """The host that a name means."""
        return self._names.get(name.lower(), name.lower())

    def set_kind(self, host: str, kind: Kind) -> None:
        """Say what the instance now is. KeyError when there is none."""
        self.get(host).kind = kind

    def set_usage(
        self,
        host: str,
        code_hosts: int | None = None,
        users: Sequence[Mapping[str, Any]] | None = None,
        sso: bool | None = None,
        daus: Sequence[int] | None = None,
        waus: Sequence[int] | None = None,
        maus: Sequence[int] | None = None,
    ) -> Instance:
        """Say what happened on an instance; what is None stays. KeyError when there is no such instance.

        ``users``: {username, email?, verified?, site_admin?, searches?, result_views?, code_intel?, last_active? (ISO 8601)}; one with a
        known name is updated, another joins. ``daus``: active users per day, newest first. ``waus`` and ``maus`` likewise per week and
        month; without them they follow from the days and from each user's last activity.
        """
        with self._lock:
            instance = self.get(host)
            if code_hosts is not None:
                instance.code_hosts = code_hosts
            if sso is not None:
                instance.sso = sso
            if daus is not None:
                instance.daus = list(daus)
            if waus is not None:
                instance.waus = list(waus)
            if maus is not None:
                instance.maus = list(maus)
            for each in users or ():
                self._set_user(instance, each)
            return instance

    def _set_user(self, instance: Instance, said: Mapping[str, Any]) -> None:
        account = instance.find(username=said["username"])
        if account is None:
            number = instance.new_number()
            account = Account(number, said["username"], str(said.get("email", "")), True, datetime.now(UTC))
            instance.accounts[number] = account
        for name in ("email", "verified", "site_admin", "searches", "result_views", "code_intel"):
            if said.get(name) is not None:
                setattr(account, name, said[name])
        if said.get("last_active"):
            moment = said["last_active"]
            moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
            account.last_active = moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def create_app(world: World) -> Starlette:
    """The stand-in as an ASGI application, registered as ``instances`` in ``world.services``."""
    service = Instances(world)
    world.services["instances"] = service
    world.resets.append(service.reset)
    schema = load_schema("instance")

    async def graphql(request: Request) -> Response:
        host = request.path_params["host"]
        if not service.exists(host):
            return HTMLResponse(_NOT_FOUND_PAGE, 404)
        instance = service.get(host)
        address = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}/{instance.host}"
        return refuse(request, service.token) or await serve(request, schema, Root(service, instance, address))

    async def sign_in(request: Request) -> Response:
        host = request.path_params["host"]
        if not service.exists(host):
            return HTMLResponse(_NOT_FOUND_PAGE, 404)
        return _page(f"Sign in to {host}", "This stand-in has no accounts to sign in to; a real instance would ask for name and password.")

    async def password_reset(request: Request) -> Response:
        host, query = request.path_params["host"], request.query_params
        if not service.exists(host):
            return HTMLResponse(_NOT_FOUND_PAGE, 404)
        for account in service.get(host).accounts.values():
            if str(account.number) == query.get("userID") and account.link is not None and account.link == query.get("code"):
                return _page(f"Set the password of {account.username}", f"The link is valid for {account.email} on {host}.")
        return _page("This link does not work any more", "It was replaced by a newer one, or it was never valid. Ask for a new link.", 401)

    async def overview(request: Request) -> Response:
        return JSONResponse([instance.describe() for instance in service.all()])

    async def set_usage(request: Request) -> Response:
        try:
            instance = service.set_usage(request.path_params["host"], **await request.json())
        except KeyError:
            return JSONResponse({"error": f"no instance at {request.path_params['host']}"}, 404)
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(instance.describe())

    return Starlette(
        routes=[
            Route("/_control", overview),
            Route("/_control/{host}", set_usage, methods=["POST"]),
            Route("/{host}/.api/graphql", graphql, methods=["POST"]),
            Route("/{host}/sign-in", sign_in),
            Route("/{host}/password-reset", password_reset),
        ]
    )


def _page(title: str, text: str, status: int = 200) -> Response:
    return HTMLResponse(
        "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'>"
        "<style>body{font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem}</style>"
        f"<title>{html.escape(title)}</title><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>",
        status,
    )
