"""Vitally's REST API: customer accounts with their traits, and the notes, tasks and projects about them.

Basic authentication with the key as the user, ``{results, next}`` for lists, ``{"error": …}`` for refusals, RateLimit-* headers on
every answer and a 429 without Retry-After, as docs.vitally.io describes it (collection "REST API"). What bites, as with the real one:

- an account, organization, user or NPS response is found by its externalId, a task or note by Vitally's own id only (the provider
  finds those of an integration with ``?source=``; what came through this API has no source). A POST with an externalId that is known
  changes the object, so that making something twice makes one;
- an id in a body, and the account of ``/accounts/ID/notes``, is Vitally's own, never an externalId;
- a project comes from a template alone and has no externalId; its tasks and dates of beginning and end change in the app only;
- a list of accounts leaves out those that churned, unless asked with ``status=``.

How a health score breaks down is not documented; ``healthScores`` answers what a seed gave. Health is worked out by rules that are
kept in the app, so the API sets neither.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.budget import WINDOW, Budget, per_minute
from sandbox.core import World
from sandbox.vitally_kinds import BY_TRAIT, KINDS, STATUSES, Json, VitallyRefusal
from sandbox.vitally_store import Record, Store, copied, named_id

KEY = "sandbox-vitally-key"
#: Requests a minute. The provider allows 1000; a sandbox whose clock skips has months in a minute, so it is not in the way unless asked.
LIMIT = 100_000
MOST = 100
SORTS = ("updatedAt", "createdAt")
#: What is listed of an account and of an organization.
OF_ACCOUNT = ("users", "tasks", "notes", "projects", "npsResponses")
OF_ORGANIZATION = ("accounts", *OF_ACCOUNT)
#: How many of each the page shows.
SHOWN = 100


@dataclass
class VitallyState:
    """What is kept of a workspace."""

    objects: dict[str, dict[str, Record]]
    following: int
    limit: int = LIMIT


class Vitally:
    """One workspace. :attr:`store` holds its objects; the methods here are for tests, seeds and the page."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = Store(world)
        self.budget = Budget(LIMIT)

    def reset(self) -> None:
        """Begin again without a customer."""
        self.store.clear()
        self.budget.reset(LIMIT)

    def dump(self) -> VitallyState:
        """What is to be kept."""
        return VitallyState(self.store.objects, self.store.numbers.following, self.budget.limit)

    def load(self, state: VitallyState) -> None:
        """Go on from what was kept."""
        self.store.adopt(state.objects, state.following)
        self.budget.reset(state.limit)

    def seed(self, data: Json) -> None:
        """Add accounts and templates, or change those that are there.

        ``{"accounts": [{"externalId", "name", "traits", "mrr", "nextRenewalDate", "churnedAt", "healthScore", "healthScores"}],``
        ``"templates": ["Name", {"name", "projectName", "category", "tasks": ["Name"]}], "limit_per_minute": N, "replace": false}``,
        each optional, save an account's externalId. With ``replace`` every customer is forgotten first.
        """
        _known(data, ("accounts", "templates", "limit_per_minute", "replace"), "a seed of vitally")
        if "limit_per_minute" in data:
            self.budget.reset(per_minute(data["limit_per_minute"], "limit_per_minute"))
        with self.world.lock:
            if data.get("replace"):
                self.store.forget()
            for given in data.get("templates", ()):
                template = {"name": given} if isinstance(given, str) else given
                _known(template, ("name", "projectName", "category", "tasks"), "a template")
                category = {"category": template["category"]} if "category" in template else {}
                self.store.template(
                    template["name"], project=template.get("projectName", ""), tasks=tuple(template.get("tasks", ())), **category
                )
            for account in data.get("accounts", ()):
                self._seed_account(account)

    def _seed_account(self, given: Json) -> None:
        _known(given, ("externalId", "name", "traits", "healthScore", "healthScores", *BY_TRAIT), "an account")
        found = self.store.find("accounts", given["externalId"])
        fields = copied({name: value for name, value in given.items() if name != "traits"})
        traits = dict(given.get("traits", {}))
        if found is None:
            self.store.add("accounts", {"name": given["externalId"], "traits": traits} | fields)
        else:
            self.store.alter("accounts", found, fields, traits)

    # --- for tests ------------------------------------------------------------------------------------------------------

    def account(self, key: str) -> Json | None:
        """The account with that externalId or id, as the API gives it; None when there is none."""
        found = self.store.find("accounts", key)
        return None if found is None else self.shown("accounts", found)

    def accounts(self) -> list[Json]:
        """Every account, oldest first."""
        return [self.shown("accounts", one) for one in list(self.store.objects["accounts"].values())]

    def notes(self, account: str = "") -> list[Json]:
        """The notes of an account (externalId or id), or all; oldest first, those that were deleted left out."""
        return self._of("notes", account)

    def tasks(self, account: str = "") -> list[Json]:
        """The tasks, likewise."""
        return self._of("tasks", account)

    def projects(self, account: str = "") -> list[Json]:
        """The projects, likewise, each with the name of its ``template`` and its ``status``, which the API gives as ids only."""
        return [
            one | {"template": self._name("projectTemplates", one["templateId"]), "status": self._name(STATUSES, one["projectStatusId"])}
            for one in self._of("projects", account)
        ]

    def template_id(self, name: str) -> str:
        """The id of a project template; KeyError when there is none of that name."""
        return self._set_up("projectTemplates", name)

    def status_id(self, name: str) -> str:
        """The id of a project status, such as ``Completed``; KeyError when there is none of that name."""
        return self._set_up(STATUSES, name)

    def view(self) -> Json:
        """Return what the page shows: how much there is, and the latest of it."""
        held = self.store.objects
        counts = {kind: len(held[kind]) for kind in ("accounts", "users", "projects", "tasks", "notes", "npsResponses")}
        accounts = [_columns(one, "externalId name mrr nextRenewalDate healthScore traits") for one in self._latest("accounts")]
        projects = self.projects()[: -SHOWN - 1 : -1]
        return {
            "workspace": counts | {"limit_per_minute": self.budget.limit},
            "accounts": accounts,
            "projects": [_columns(self._with_account(one), "name account template status traits createdAt") for one in projects],
            "tasks": [_columns(self._with_account(one), "name account dueDate completedAt tags traits") for one in self._latest("tasks")],
            "notes": [_columns(self._with_account(one), "subject account note noteDate tags") for one in self._latest("notes")],
            "projectStatuses": [_columns(one.fields, "id name type") for one in held[STATUSES].values()],
            "projectTemplates": [_columns(one.fields, "id name tasks") for one in held["projectTemplates"].values()],
        }

    def shown(self, kind: str, record: Record) -> Json:
        """Return an object as the API gives it."""
        held = copied(record.fields)
        if kind in ("accounts", "organizations"):
            held.pop("healthScores", None)
            held |= _nps([user["npsLastScore"] for user in self.store.people(record.id)])
        elif kind == "users":
            held["accounts"] = [self._brief("accounts", id) for id in held.pop("accountIds")]
            held["organizations"] = [self._brief("organizations", id) for id in held.pop("organizationIds")]
        elif kind in ("tasks", "notes"):
            held |= {
                "account": self._brief("accounts", held["accountId"]),
                "organization": self._brief("organizations", held["organizationId"]),
            }
        elif kind == "projects":
            held["durationInDays"] = _days(held["actualStartDate"] or held["createdAt"], held["actualCompletionDate"])
        elif kind == "projectTemplates":
            del held["tasks"]
        return held

    def _brief(self, kind: str, id: str | None) -> Json | None:
        found = self.store.objects[kind].get(id or "")
        return None if found is None else {name: found.fields[name] for name in ("id", "externalId", "name")}

    def _with_account(self, held: Json) -> Json:
        return held | {"account": self._name("accounts", held["accountId"])}

    def _name(self, kind: str, id: str | None) -> str:
        found = self.store.objects[kind].get(id or "")
        return "" if found is None else str(found.fields["name"])

    def _set_up(self, kind: str, name: str) -> str:
        id = named_id(kind, name)
        if id not in self.store.objects[kind]:
            raise KeyError(f"there is no {name!r} among {[one.fields['name'] for one in self.store.objects[kind].values()]}")
        return id

    def _of(self, kind: str, account: str) -> list[Json]:
        id = self.store.get("accounts", account).id if account else ""
        held = [one for one in list(self.store.objects[kind].values()) if id in ("", one.fields["accountId"])]
        return [self.shown(kind, one) for one in held if one.fields["archivedAt"] is None]

    def _latest(self, kind: str) -> list[Json]:
        page = self.store.page(kind, "updatedAt", ("active" if KINDS[kind].archives else "", "", ""), None, SHOWN)
        return [self.shown(kind, one) for one in page.records]


def _columns(held: Json, names: str) -> Json:
    return {name: held[name] for name in names.split()}


def _known(given: Json, names: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ValueError(f"{what} has no {unknown}; it has {list(names)}")


def _nps(last: list[float | None]) -> Json:
    """Count the last scores of an account's users: up to 6 detracts, 9 and 10 promote."""
    scores = [score for score in last if score is not None]
    low, high = sum(score <= 6 for score in scores), sum(score >= 9 for score in scores)
    counts = {"npsDetractorCount": low, "npsPassiveCount": len(scores) - low - high, "npsPromoterCount": high}
    return {"usersCount": len(last), **counts, "npsScore": round(100 * (high - low) / len(scores)) if scores else None}


def _days(begun: str, ended: str | None) -> int:
    return ((datetime.fromisoformat(ended) if ended else datetime.now(UTC)) - datetime.fromisoformat(begun)).days


# --- the API ------------------------------------------------------------------------------------------------------------


def _authenticate(header: str) -> None:
    if not header:
        raise VitallyRefusal(401, "Authorization header not present.")
    scheme, _, code = header.partition(" ")
    try:
        user = base64.b64decode(code, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        user = ""
    if scheme.lower() != "basic" or user != KEY:
        raise VitallyRefusal(401, "Invalid API key: send it as the user of basic authentication, with an empty password.")


def _limits(budget: Budget) -> dict[str, str]:
    return {
        "RateLimit-Limit": f"{budget.limit}, {budget.limit};window={WINDOW:.0f}",
        "RateLimit-Remaining": str(budget.remaining),
        "RateLimit-Reset": str(budget.seconds),
    }


async def _body(request: Request) -> Json:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise VitallyRefusal(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise VitallyRefusal(400, "The body must be a JSON object.")
    return body


def _cursor(text: str, sort: str) -> int | None:
    """Read a cursor, which is good only for the order in which it was given."""
    if not text:
        return None
    try:
        held = json.loads(base64.b64decode(text, validate=True))
        if held["sortBy"] == sort:
            return int(held["before"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        pass
    raise VitallyRefusal(400, f"from is no cursor of a list by {sort}: send the next of the answer before, with the same sortBy")


class Api:
    """The endpoints: a request in, an answer out, :class:`VitallyRefusal` for a refusal."""

    def __init__(self, workspace: Vitally) -> None:
        self.workspace = workspace
        self.store = workspace.store

    async def listing(self, request: Request) -> Response:
        """``GET /resources/KIND``, ``GET /resources/accounts/ID/KIND`` and the same of an organization."""
        query, kind = request.query_params, request.path_params["kind"]
        sort = query.get("sortBy", SORTS[0])
        if sort not in SORTS:
            raise VitallyRefusal(400, f"sortBy must be one of {', '.join(SORTS)}")
        limit = query.get("limit", str(MOST))
        if not limit.isdecimal() or not 1 <= int(limit) <= MOST:
            raise VitallyRefusal(400, f"limit must be a number from 1 to {MOST}")
        which = (_which(kind, query), *self._whose(kind, request))
        page = self.store.page(kind, sort, which, _cursor(query.get("from", ""), sort), int(limit))
        cursor = json.dumps({"sortBy": sort, "before": page.after}).encode()
        following = base64.b64encode(cursor).decode() if page.after is not None else None
        return JSONResponse({"results": [self.workspace.shown(kind, one) for one in page.records], "next": following})

    def _whose(self, kind: str, request: Request) -> tuple[str, str]:
        owner = request.path_params.get("owner")
        if owner is None:
            category = request.query_params.get("categoryId", "") if kind == "projectTemplates" else ""
            return ("projectCategoryId", category) if category else ("", "")
        id = request.path_params["id"]
        if id not in self.store.objects[owner]:
            raise VitallyRefusal(404, f"{KINDS[owner].title} not found: no object has the Vitally id {id}; an externalId is not taken here")
        return owner[:-1] + "Id", id

    async def post(self, request: Request) -> Response:
        """``POST /resources/KIND``: make an object, or change the one with that externalId."""
        kind = request.path_params["kind"]
        return JSONResponse(self.workspace.shown(kind, self.store.write(kind, await _body(request))))

    async def get(self, request: Request) -> Response:
        """``GET /resources/KIND/ID``."""
        kind = request.path_params["kind"]
        return JSONResponse(self.workspace.shown(kind, self.store.get(kind, request.path_params["id"])))

    async def put(self, request: Request) -> Response:
        """``PUT /resources/KIND/ID``: change what is given."""
        kind = request.path_params["kind"]
        record = self.store.get(kind, request.path_params["id"])
        return JSONResponse(self.workspace.shown(kind, self.store.change(kind, record, await _body(request))))

    async def delete(self, request: Request) -> Response:
        """``DELETE /resources/KIND/ID``."""
        kind = request.path_params["kind"]
        self.store.delete(kind, self.store.get(kind, request.path_params["id"]))
        return Response(status_code=204)

    async def health(self, request: Request) -> Response:
        """``GET /resources/accounts/ID/healthScores``."""
        held = self.store.get("accounts", request.path_params["id"]).fields
        scores = [{"name": name, "score": score} for name, score in held.get("healthScores", {}).items()]
        return JSONResponse({"healthScore": held["healthScore"], "healthScores": scores})


def _which(kind: str, query: Any) -> str:
    """Read what a list shows: accounts by status, tasks, notes and projects by whether they were deleted."""
    if kind == "accounts":
        status = str(query.get("status", "active"))
        if status not in ("active", "churned", "activeOrChurned"):
            raise VitallyRefusal(400, "status must be active, churned or activeOrChurned")
        return status
    return "archived" if query.get("archived") == "true" and KINDS[kind].archives else ""


def create_app(world: World) -> Starlette:
    """Build the service under ``/resources``."""
    workspace = Vitally(world)
    world.services["vitally"] = workspace
    world.resets.append(workspace.reset)
    api = Api(workspace)

    def answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                _authenticate(request.headers.get("authorization", ""))
                if not workspace.budget.take():
                    raise VitallyRefusal(429, "Too Many Requests")
                response = await endpoint(request)
            except VitallyRefusal as refused:
                response = JSONResponse({"error": refused.message}, refused.status)
            response.headers.update(_limits(workspace.budget))
            return response

        return answer

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": error.detail}, error.status_code, {**(error.headers or {}), **_limits(workspace.budget)})

    def route(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str = "GET", **fixed: str) -> Route:
        async def serve(request: Request) -> Response:
            request.path_params.update(fixed)
            return await endpoint(request)

        return Route(f"/resources/{path}", answered(serve), methods=[method])

    routes = [route("accounts/{id}/healthScores", api.health)]
    for owner, kinds in (("accounts", OF_ACCOUNT), ("organizations", OF_ORGANIZATION)):
        routes += [route(f"{owner}/{{id}}/{kind}", api.listing, owner=owner, kind=kind) for kind in kinds]
    for kind, rules in KINDS.items():
        routes += [route(kind, api.listing, kind=kind), route(f"{kind}/{{id}}", api.get, kind=kind)]
        if rules.always:
            routes += [route(kind, api.post, "POST", kind=kind), route(f"{kind}/{{id}}", api.put, "PUT", kind=kind)]
        if rules.deletes:
            routes.append(route(f"{kind}/{{id}}", api.delete, "DELETE", kind=kind))
    return Starlette(routes=routes, exception_handlers={HTTPException: explain})
