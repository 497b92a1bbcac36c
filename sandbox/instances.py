"""Stand-ins for customers' cloud instances: one per host, at ``/{host}/.api/graphql``, over the part of the schema a trial needs.

A host that does not exist answers the way a cluster's ingress would: a 404 page and no GraphQL. Instances are made and unmade by the
Cloud team (:mod:`sandbox.cloud`) or from the control side, where usage is set too: ``GET /_control`` lists every instance,
``POST /_control/{host}`` takes the arguments of :meth:`Instances.set_usage`. Faults belong to the layer around this application.

The licensing API is a separate application: :func:`sandbox.licensing.create_licensing_app`, given on from here.
"""

from __future__ import annotations

import html
import itertools
import json
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.graphql_api import Connection, LicenseInfoView, decode_license, global_id, load_schema, read_id, refuse, rfc3339, serve
from sandbox.licensing import create_licensing_app

__all__ = ["Instances", "create_app", "create_licensing_app"]

TOKEN = "sandbox-operator-token"
VERSION = "5.1.0"

Kind = Literal["warm", "trial", "production"]

_USERNAME = re.compile(r"^\w(?:\w|[-.](?=\w))*-?$", re.ASCII)  # the product's own rule
_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)
_NOT_FOUND_PAGE = (
    "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass
class Account:
    """A user of an instance. ``link`` is the code of the last reset link made; earlier links are dead."""

    number: int
    username: str
    email: str
    verified: bool
    created_at: datetime
    site_admin: bool = False
    link: str | None = None
    searches: int = 0
    result_views: int = 0
    code_intel: int = 0
    last_active: datetime | None = None


@dataclass
class Instance:
    """One instance with its users, its configuration and what it is said to have been used for."""

    host: str
    kind: Kind
    site_id: str
    created_at: datetime
    accounts: dict[int, Account] = field(default_factory=dict)
    code_hosts: int = 0
    sso: bool = False
    daus: list[int] = field(default_factory=list)
    waus: list[int] | None = None
    maus: list[int] | None = None
    config_id: int = 1
    config: str = "{}"
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def find(self, username: str | None = None, email: str | None = None) -> Account | None:
        """The account of that name, or of that *verified* address: an unverified address finds nobody."""
        for account in self.accounts.values():
            if username is not None and account.username.lower() == username.lower():
                return account
            if email is not None and account.verified and account.email.lower() == email.lower():
                return account
        return None

    def describe(self) -> dict[str, Any]:
        """The whole state as JSON, for the control side; link codes are left out."""
        info = decode_license(self.license_key or "")
        return {
            "host": self.host,
            "kind": self.kind,
            "created_at": rfc3339(self.created_at),
            "code_hosts": self.code_hosts,
            "sso": self.sso,
            "daus": self.daus,
            "license": {"tags": list(info.tags), "users": info.user_count, "expires_at": info.expires_at} if info else None,
            "users": [
                {
                    "username": a.username,
                    "email": a.email,
                    "verified": a.verified,
                    "site_admin": a.site_admin,
                    "searches": a.searches,
                    "result_views": a.result_views,
                    "last_active": rfc3339(a.last_active),
                }
                for a in self.accounts.values()
            ],
        }

    @property
    def license_key(self) -> str | None:
        """The key in the site configuration."""
        return str(parse_jsonc(self.config).get("licenseKey") or "") or None


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
            if key in self._instances:
                raise ValueError(f"there is an instance at {host}")
            self._instances[key] = Instance(key, kind, str(uuid4()), datetime.now(UTC))
            return self._instances[key]

    def exists(self, host: str) -> bool:
        """Whether an instance answers there."""
        return host.lower() in self._instances

    def get(self, host: str) -> Instance:
        """The instance at ``host``. KeyError when there is none."""
        return self._instances[host.lower()]

    def all(self) -> list[Instance]:
        """Every instance, oldest first."""
        return list(self._instances.values())

    def delete(self, host: str) -> None:
        """Destroy an instance and its data. KeyError when there is none."""
        with self._lock:
            del self._instances[host.lower()]

    def rename(self, old: str, new: str) -> None:
        """Move an instance to another host, users and data with it. KeyError when there is none, ValueError when ``new`` is taken."""
        with self._lock:
            instance = self.get(old)
            if self.exists(new):
                raise ValueError(f"there is an instance at {new}")
            del self._instances[old.lower()]
            instance.host = new.lower()
            self._instances[instance.host] = instance

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
            number = next(instance.numbers)
            account = Account(number, said["username"], str(said.get("email", "")), True, datetime.now(UTC))
            instance.accounts[number] = account
        for name in ("email", "verified", "site_admin", "searches", "result_views", "code_intel"):
            if said.get(name) is not None:
                setattr(account, name, said[name])
        if said.get("last_active"):
            moment = said["last_active"]
            moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
            account.last_active = moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- what the schema's types resolve to; attribute and argument names are the schema's


class _Email:
    def __init__(self, account: Account) -> None:
        self.email = account.email
        self.isPrimary = True
        self.verified = account.verified


class _User:
    def __init__(self, account: Account) -> None:
        self.id = global_id("User", account.number)
        self.username = account.username
        self.email = account.email
        self.displayName = None
        self.createdAt = rfc3339(account.created_at)
        self.siteAdmin = account.site_admin
        self.builtinAuth = True
        self.emails = [_Email(account)] if account.email else []
        self.usageStatistics = {
            "searchQueries": account.searches,
            "pageViews": account.result_views,
            "codeIntelligenceActions": account.code_intel,
            "findReferencesActions": 0,
            "lastActiveTime": rfc3339(account.last_active),
            "lastActiveCodeHostIntegrationTime": None,
        }


class _SiteUser:
    def __init__(self, account: Account) -> None:
        self.id = global_id("User", account.number)
        self.username = account.username
        self.email = account.email or None
        self.displayName = None
        self.createdAt = rfc3339(account.created_at)
        self.lastActiveAt = rfc3339(account.last_active)
        self.deletedAt = None
        self.siteAdmin = account.site_admin
        self.scimControlled = False
        self.eventsCount = float(account.searches + account.result_views + account.code_intel)
        self.locked = False


class _SiteUsers:
    def __init__(self, accounts: list[Account]) -> None:
        self._accounts = accounts
        self.totalCount = float(len(accounts))

    def nodes(self, _info: object, limit: int | None = None, offset: int | None = None) -> list[_SiteUser]:
        start = offset or 0
        return [_SiteUser(a) for a in self._accounts[start : None if limit is None else start + limit]]


class _Site:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.id = global_id("Site", 1)
        self.siteID = instance.site_id
        self.productVersion = VERSION
        self.needsRepositoryConfiguration = instance.code_hosts == 0
        self.configuration = {"id": instance.config_id, "effectiveContents": instance.config}
        self.externalServicesCounts = {"remoteExternalServicesCount": instance.code_hosts, "localExternalServicesCount": 0}

    def authProviders(self, _info: object) -> Connection[dict[str, Any]]:
        builtin = _provider("builtin", "", "Builtin username-password authentication", True)
        saml = _provider("saml", f"https://{self._instance.host}/.auth/saml/metadata", "SAML", False)
        return Connection([builtin, saml] if self._instance.sso else [builtin])

    def productSubscription(self, _info: object) -> dict[str, Any]:
        info = decode_license(self._instance.license_key or "")
        view = LicenseInfoView(info) if info else None
        return {
            "productNameWithBrand": view.productNameWithBrand if view else "Sourcegraph Free",
            "actualUserCount": len(self._instance.accounts),
            "actualUserCountDate": "",
            "maximumAllowedUserCount": info.user_count if info else 10,
            "noLicenseWarningUserCount": None if info else 10,
            "license": view,
        }

    def usageStatistics(
        self, _info: object, days: int | None = None, weeks: int | None = None, months: int | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        usage = _Usage(self._instance, datetime.now(UTC))
        return {
            "daus": usage.days(14 if days is None else days),
            "waus": usage.weeks(10 if weeks is None else weeks),
            "maus": usage.months(3 if months is None else months),
        }

    def users(
        self,
        _info: object,
        query: str | None = None,
        siteAdmin: bool | None = None,
        username: str | None = None,
        email: str | None = None,
    ) -> _SiteUsers:
        return _SiteUsers(
            [
                a
                for a in self._instance.accounts.values()
                if _within(query, f"{a.username} {a.email}")
                and _within(username, a.username)
                and _within(email, a.email)
                and (siteAdmin is None or a.site_admin == siteAdmin)
            ]
        )


class _Usage:
    """Active users per period, newest first, the running period included: periods begin at midnight UTC, weeks on Sunday."""

    def __init__(self, instance: Instance, moment: datetime) -> None:
        self._instance = instance
        self._today = moment.replace(hour=0, minute=0, second=0, microsecond=0)

    def days(self, count: int) -> list[dict[str, Any]]:
        starts = [self._today - timedelta(days=n) for n in range(count)]
        return [
            _period(start, max(self._said(self._instance.daus, n), self._seen(start, start + timedelta(days=1))))
            for n, start in enumerate(starts)
        ]

    def weeks(self, count: int) -> list[dict[str, Any]]:
        sunday = self._today - timedelta(days=(self._today.weekday() + 1) % 7)
        starts = [sunday - timedelta(weeks=n) for n in range(count)]
        return self._long([(start, start + timedelta(weeks=1)) for start in starts], self._instance.waus)

    def months(self, count: int) -> list[dict[str, Any]]:
        spans, end = [], self._today.replace(day=1) + timedelta(days=32)
        for _ in range(count):
            end = end.replace(day=1)
            start = (end - timedelta(days=1)).replace(day=1)
            spans.append((start, end))
            end = start
        return self._long(spans, self._instance.maus)

    def _long(self, spans: list[tuple[datetime, datetime]], said: list[int] | None) -> list[dict[str, Any]]:
        if said is not None:
            return [_period(start, self._said(said, n)) for n, (start, _) in enumerate(spans)]
        return [_period(start, max(self._busiest_day(start, end), self._seen(start, end))) for start, end in spans]

    def _busiest_day(self, start: datetime, end: datetime) -> int:
        """At least as many people were active in the period as on its busiest day."""
        return max((n for age, n in enumerate(self._instance.daus) if start <= self._today - timedelta(days=age) < end), default=0)

    def _seen(self, start: datetime, end: datetime) -> int:
        return sum(a.last_active is not None and start <= a.last_active < end for a in self._instance.accounts.values())

    @staticmethod
    def _said(values: list[int], index: int) -> int:
        return values[index] if index < len(values) else 0


class _Root:
    """The top fields of queries and mutations of one instance; ``address`` is where its pages are found."""

    def __init__(self, service: Instances, instance: Instance, address: str) -> None:
        self._service = service
        self._instance = instance
        self._address = address
        self.site = _Site(instance)
        self.currentUser = None

    def user(self, _info: object, username: str | None = None, email: str | None = None) -> _User | None:
        account = self._instance.find(username, email)
        return _User(account) if account else None

    def users(self, _info: object, first: int | None = None, query: str | None = None) -> Connection[_User]:
        found = [_User(a) for a in self._instance.accounts.values() if _within(query, f"{a.username} {a.email}")]
        return Connection(found, first)

    def externalServices(self, _info: object, first: int | None = None) -> Connection[dict[str, Any]]:
        made = [
            {"id": global_id("ExternalService", n + 1), "kind": "GITHUB", "displayName": f"Code host {n + 1}"}
            for n in range(self._instance.code_hosts)
        ]
        return Connection(made, first)

    def createUser(self, _info: object, username: str, email: str | None = None, verifiedEmail: bool | None = None) -> dict[str, Any]:
        if not _USERNAME.match(username) or len(username) > 255:
            raise GraphQLError(f"invalid username {username!r}")
        if self._instance.find(username=username):
            raise GraphQLError("cannot create user: err_username_exists: username already exists")
        if email and self._instance.find(email=email):
            raise GraphQLError("cannot create user: err_email_exists: email already exists")
        number = next(self._instance.numbers)
        account = Account(number, username, email or "", bool(email) and verifiedEmail is not False, datetime.now(UTC))
        self._instance.accounts[number] = account
        self._log("user.created", username, username=username, email=account.email)
        return {"user": _User(account), "resetPasswordURL": self._new_link(account)}

    def randomizeUserPassword(self, _info: object, user: str) -> dict[str, Any]:
        account = self._account(user)
        url = self._new_link(account)
        self._log("password.randomized", account.username, username=account.username)
        return {"resetPasswordURL": url, "emailSent": False}

    def setUserIsSiteAdmin(self, _info: object, userID: str, siteAdmin: bool) -> dict[str, None]:
        account = self._account(userID)
        account.site_admin = siteAdmin
        self._log("user.site_admin_set", f"{account.username}: {siteAdmin}", username=account.username, site_admin=siteAdmin)
        return {"alwaysNil": None}

    def updateSiteConfiguration(self, _info: object, lastID: int, input: str) -> bool:
        if not input.strip():
            raise GraphQLError(
                "blank site configuration is invalid (you can clear the site configuration by entering an empty JSON object: {})"
            )
        if lastID != self._instance.config_id:
            raise GraphQLError("someone else has already applied a newer edit")
        try:
            parsed = parse_jsonc(input)
        except ValueError as error:
            raise GraphQLError(f"failed to parse site configuration: {error}") from None
        self._instance.config = input
        self._instance.config_id += 1
        # the key itself stays out of the log, as any secret would
        self._log(
            "config.updated", f"version {self._instance.config_id}", id=self._instance.config_id, licensed=bool(parsed.get("licenseKey"))
        )
        return False

    def _account(self, user: str) -> Account:
        account = self._instance.accounts.get(read_id("User", user))
        if account is None:
            raise GraphQLError(f"user not found: {user}")
        return account

    def _new_link(self, account: Account) -> str | None:
        if not self._service.builtin_auth:
            return None
        account.link = secrets.token_urlsafe(16)
        return f"{self._address}/password-reset?userID={account.number}&code={account.link}"

    def _log(self, act: str, what: str, **data: Any) -> None:
        self._service.world.log.effect("instances", act, f"{self._instance.host}: {what}", host=self._instance.host, **data)


def parse_jsonc(text: str) -> dict[str, Any]:
    """Read JSON that may hold comments and trailing commas. ValueError when it is not an object."""

    def keep_strings(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else ""

    parsed = json.loads(_TRAILING_COMMA.sub(keep_strings, _COMMENT_OR_STRING.sub(keep_strings, text)))
    if not isinstance(parsed, dict):
        raise ValueError("the site configuration is not a JSON object")
    return parsed


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
        return refuse(request, service.token) or await serve(request, schema, _Root(service, instance, address))

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


def _provider(kind: str, service_id: str, name: str, builtin: bool) -> dict[str, Any]:
    return {
        "serviceType": kind,
        "serviceID": service_id,
        "clientID": "",
        "displayName": name,
        "isBuiltin": builtin,
        "authenticationURL": None if builtin else f"/.auth/{kind}/login",
    }


def _period(start: datetime, users: int) -> dict[str, Any]:
    return {
        "startTime": rfc3339(start),
        "userCount": users,
        "registeredUserCount": users,
        "anonymousUserCount": 0,
        "integrationUserCount": 0,
    }


def _within(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.lower() in text.lower()
