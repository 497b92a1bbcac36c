"""A stand-in for GitHub's REST API: issues, labels, comments, search, hooks and workflow runs, below ``/api/v3``.

Faithful where it bites: every POST makes a new thing, unknown labels come into being with the issue, the search index lags, pages
are linked by ``Link`` headers, refusals are 422 with ``errors``. A repository exists as soon as it is named. Faults belong to the
layer around this application; the state is :class:`sandbox.github_store.Hub`.

Control, away from the API: ``POST /_control/cloud`` and ``/_control/cloud/act``, ``POST /_control/issue``, ``POST /_control/actions``,
``GET /_control/deliveries``, ``POST /_control/redeliver``.
"""

from __future__ import annotations

import hmac
import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud import Cloud
from sandbox.core import World
from sandbox.github_api import Api
from sandbox.github_http import NotJson, Unsupplied, refusal
from sandbox.github_json import Renderer
from sandbox.github_store import BOT, CLOUD, Elsewhere, Event, Gone, Hub, HubState, Invalid, Issue, Missing, Repo
from sandbox.webhooks import Deliverer, Delivery, listens

Handler = Callable[[Request], Awaitable[Response]]

#: The id of the webhook that the sandbox itself is started with; those of the API have ids as everything else.
OWN_HOOK = 1
#: Of the log of deliveries, as many as this are kept over a restart.
KEPT_DELIVERIES = 200
#: After a restart nothing is sent until somebody listens, but no longer than this; in seconds, with the pause between two looks.
PATIENCE, LOOK = 60.0, 0.25

WEBHOOK_EVENTS = ("issues", "issue_comment", "workflow_run")


@dataclass
class Limits:
    """The hourly budget. Counted and shown always; enforced only when seeded, so that a long rehearsal is not cut off by it."""

    limit: int = 5000
    used: int = 0
    reset_at: float = 0.0
    enforced: bool = False

    def take(self) -> bool:
        """Count one request; False when the budget is spent and enforced."""
        if time.time() >= self.reset_at:
            self.used, self.reset_at = 0, time.time() + 3600
        if self.enforced and self.used >= self.limit:
            return False
        self.used += 1
        return True

    @property
    def remaining(self) -> int:
        """Requests left; never 0 while the budget is not enforced, since 0 makes a client wait for the reset."""
        return max(self.limit - self.used, 0 if self.enforced else 1)

    def headers(self, resource: str = "core") -> dict[str, str]:
        """The ``X-RateLimit-*`` headers of every answer."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset_at)),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Resource": resource,
        }


@dataclass
class GitHubState:
    """What is kept of the service. How much of the hourly budget is used is not: a restart begins another hour."""

    hub: HubState
    deliveries: list[Delivery]
    search_lag_seconds: float
    revoked_tokens: set[str]
    rate_limit: int
    rate_limit_enforced: bool


class GitHub:
    """The service object in ``world.services["github"]``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hub = Hub(world.lock)
        self.deliverer = Deliverer(world.touched)
        self.cloud = Cloud(world, self.hub)
        self.hub.listeners += [lambda event: world.touched(), self._deliver, self.cloud.notice]
        self.reset()

    @property
    def deliveries(self) -> list[Any]:
        """Every webhook that was sent, oldest first, with its outcome."""
        return list(self.deliverer.deliveries)

    def reset(self) -> None:
        """Forget everything; the Cloud team is off again."""
        self.cloud.reset()
        self.hub.clear()
        self.deliverer.reset()
        self.limits = Limits()
        self.search_lag_seconds = 2.0
        self.revoked_tokens: set[str] = set()

    def takes(self, token: str) -> bool:
        """Whether a token is valid."""
        return hmac.compare_digest(token.encode(), self.world.github_token.encode()) and token not in self.revoked_tokens

    def dump(self) -> GitHubState:
        """What is to be kept."""
        recent = self.deliverer.deliveries[-KEPT_DELIVERIES:]
        return GitHubState(self.hub.dump(), recent, self.search_lag_seconds, self.revoked_tokens, self.limits.limit, self.limits.enforced)

    def load(self, state: GitHubState) -> None:
        """Go on from what was kept; :meth:`resume` then sets it in motion."""
        self.hub.load(state.hub)
        self.deliverer.load(state.deliveries)
        self.search_lag_seconds, self.revoked_tokens = state.search_lag_seconds, state.revoked_tokens
        self.limits = Limits(limit=state.rate_limit, enforced=state.rate_limit_enforced)

    def resume(self) -> None:
        """Take up what the end of the last process cut short: webhooks that nobody took, and the Cloud team's work.

        A whole stack starts together, its receiver of webhooks last, and GitHub never repeats a webhook by itself: so this waits
        until somebody listens.
        """
        until = time.monotonic() + PATIENCE
        self.cloud.agenda.after(0, lambda: self._resume(until))

    def _resume(self, until: float) -> None:
        if self.world.webhook_url and not listens(self.world.webhook_url) and time.monotonic() < until:
            self.cloud.agenda.after(LOOK, lambda: self._resume(until))
            return
        with self.hub.lock:
            hooks = {hook.id: (hook.url, hook.secret) for repo in self.hub.repos.values() for hook in repo.hooks.values() if hook.active}
            own = {OWN_HOOK: (self.world.webhook_url, self.world.webhook_secret)} if self.world.webhook_url else {}
            self.deliverer.take_up(hooks | own)
            self.cloud.resume()

    def seed(self, data: dict[str, Any]) -> None:
        """Set up: ``users`` and ``outsiders`` (logins; of the organization, or strangers to it), ``labels`` ({repo: [names]}), ``search_lag_seconds``, ``rate_limit`` (enforced from then on),
        ``revoked_tokens``, ``cloud`` (see :meth:`sandbox.cloud.Cloud.seed`). Nothing of it counts as an effect.
        """
        for login in data.get("users", ()):
            self.hub.add_user(login)
        for login in data.get("outsiders", ()):
            self.hub.add_user(login, association="NONE")
        for full_name, names in data.get("labels", {}).items():
            repo = self.hub.repo(*full_name.split("/", 1))
            for name in names:
                self.hub.ensure_label(repo, name)
        self.search_lag_seconds = float(data.get("search_lag_seconds", self.search_lag_seconds))
        self.revoked_tokens |= set(data.get("revoked_tokens", ()))
        if "rate_limit" in data:
            self.limits = Limits(limit=int(data["rate_limit"]), enforced=True)
        if "cloud" in data:
            self.cloud.seed(data["cloud"])

    def issues(self) -> list[tuple[Repo, Issue]]:
        """Every issue of every repository, oldest first: for a page that shows them."""
        with self.hub.lock:
            return sorted(
                ((r, i) for r in self.hub.repos.values() for i in r.issues.values()), key=lambda pair: (pair[1].seen_at, pair[1].id)
            )

    def _deliver(self, event: Event) -> None:
        payload = None
        for url, secret, events, hook_id in self._targets(event.repo):
            if event.name in events or "*" in events:
                payload = payload or Renderer(self.hub, f"{self.world.public_url}/github").payload(event)
                self.deliverer.send(url, secret, event.name, payload, hook_id)

    def _targets(self, repo: Repo) -> list[tuple[str, str, Sequence[str], int]]:
        own = [(hook.url, hook.secret, hook.events, hook.id) for hook in repo.hooks.values() if hook.active]
        if self.world.webhook_url:
            return [(self.world.webhook_url, self.world.webhook_secret, WEBHOOK_EVENTS, OWN_HOOK), *own]
        return [(url, secret, events, number) for url, secret, events, number in own]


class Control:
    """What only a test or the page may ask: none of it is GitHub's."""

    def __init__(self, service: GitHub) -> None:
        self.service = service

    async def cloud(self, request: Request) -> Response:
        """Read the Cloud team's settings, or set them: ``mode``, ``delay_seconds``, ``action_delay_seconds``, ``fail_next``."""
        cloud = self.service.cloud
        if request.method == "POST":
            try:
                cloud.seed(await request.json())
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"mode": cloud.mode, "delay_seconds": cloud.delay_seconds, "fail_next": cloud.fail_next})

    async def act(self, request: Request) -> Response:
        """Make the Cloud team do an issue now: ``issue``, ``repo`` (``owner/name``; the only one when left out), ``fail`` (a reason)."""
        body = await request.json()
        repos = list(self.service.hub.repos.values())
        name = str(body.get("repo") or (repos[0].full_name if len(repos) == 1 else ""))
        repo = self.service.hub.repos.get(name.lower())
        if repo is None or body.get("issue") not in repo.issues:
            return JSONResponse({"error": f"no issue {body.get('issue')} in {name or 'an unnamed repository'}"}, 404)
        try:
            label = self.service.cloud.act(repo, repo.issues[body["issue"]], str(body.get("fail") or ""))
        except LookupError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"acted": label})

    async def issue(self, request: Request) -> Response:
        """Do with an issue what people do on its page: ``issue``, ``repo`` as for ``act``, ``by`` (a login; the Cloud team's when left out), and
        ``do``: ``comment`` (``body``), ``label`` or ``unlabel`` (``label``), ``close`` (``reason``), ``reopen``, ``delete``, ``transfer`` (``to``: ``owner/name``).
        """
        body, hub = await request.json(), self.service.hub
        repos = list(hub.repos.values())
        name = str(body.get("repo") or (repos[0].full_name if len(repos) == 1 else ""))
        repo, by = hub.repos.get(name.lower()), str(body.get("by") or CLOUD)
        if repo is None or body.get("issue") not in repo.issues:
            return JSONResponse({"error": f"no issue {body.get('issue')} in {name or 'an unnamed repository'}"}, 404)
        issue = repo.issues[body["issue"]]
        try:
            match body.get("do"):
                case "comment":
                    hub.add_comment(repo, issue, by, str(body.get("body") or ""))
                case "label":
                    hub.add_labels(repo, issue, by, [str(body.get("label") or "")])
                case "unlabel":
                    hub.remove_label(repo, issue, by, str(body.get("label") or ""))
                case "close":
                    hub.edit_issue(repo, issue, by, {"state": "closed", "state_reason": body.get("reason") or "completed"})
                case "reopen":
                    hub.edit_issue(repo, issue, by, {"state": "open"})
                case "delete":
                    hub.delete_issue(repo, issue, by)
                case "transfer":
                    owner, _, name = str(body.get("to") or "").partition("/")
                    hub.transfer_issue(repo, issue, by, hub.repo(owner, name or "elsewhere"))
                case other:
                    return JSONResponse({"error": f"nobody can {other} an issue"}, 400)
        except (Invalid, Missing) as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"did": body["do"], "issue": body["issue"]})

    async def actions(self, request: Request) -> Response:
        """Make the next ``fail_next`` workflow runs fail; ``delay_seconds`` sets how long a run takes."""
        body = await request.json()
        self.service.cloud.fail_next = int(body.get("fail_next", self.service.cloud.fail_next))
        self.service.cloud.action_delay_seconds = float(body.get("delay_seconds", self.service.cloud.action_delay_seconds))
        return JSONResponse({"fail_next": self.service.cloud.fail_next})

    async def deliveries(self, request: Request) -> Response:
        """Every webhook that was sent, with its outcome."""
        return Response(json.dumps([asdict(d) for d in self.service.deliveries], default=str), media_type="application/json")

    async def redeliver(self, request: Request) -> Response:
        """Send one again under its old id: ``id``."""
        body = await request.json()
        try:
            again = self.service.deliverer.redeliver(str(body.get("id")), self.service.world.webhook_secret)
        except KeyError:
            return JSONResponse({"error": "no such delivery"}, 404)
        return JSONResponse({"id": again.id}, 202)


def create_app(world: World) -> Starlette:
    """The stand-in as an ASGI application, registered as ``github`` (and its Cloud team as ``cloud``) in ``world.services``."""
    service = GitHub(world)
    world.services["github"] = service
    world.services["cloud"] = service.cloud
    world.resets.append(service.reset)
    api, control = Api(service), Control(service)
    repo = "/repos/{owner}/{repo}"
    issue = f"{repo}/issues/{{number:int}}"
    actions = f"{repo}/actions"
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/user", api.get_user),
        ("GET", "/users/{login}", api.get_user),
        ("GET", "/rate_limit", api.rate_limit),
        ("GET", repo, api.get_repo),
        ("GET", f"{repo}/issues", api.list_issues),
        ("POST", f"{repo}/issues", api.create_issue),
        ("GET", f"{repo}/issues/comments", api.list_repo_comments),
        ("GET", f"{repo}/issues/comments/{{id:int}}", api.get_comment),
        ("PATCH", f"{repo}/issues/comments/{{id:int}}", api.edit_comment),
        ("DELETE", f"{repo}/issues/comments/{{id:int}}", api.delete_comment),
        ("GET", issue, api.get_issue),
        ("PATCH", issue, api.edit_issue),
        ("GET", f"{issue}/comments", api.list_comments),
        ("POST", f"{issue}/comments", api.create_comment),
        ("GET", f"{issue}/labels", api.list_issue_labels),
        ("POST", f"{issue}/labels", api.add_issue_labels),
        ("PUT", f"{issue}/labels", api.set_issue_labels),
        ("DELETE", f"{issue}/labels", api.clear_issue_labels),
        ("DELETE", f"{issue}/labels/{{name:path}}", api.remove_issue_label),
        ("POST", f"{issue}/assignees", api.add_assignees),
        ("DELETE", f"{issue}/assignees", api.remove_assignees),
        ("GET", f"{repo}/labels", api.list_repo_labels),
        ("POST", f"{repo}/labels", api.create_repo_label),
        ("GET", f"{repo}/labels/{{name:path}}", api.get_repo_label),
        ("PATCH", f"{repo}/labels/{{name:path}}", api.edit_repo_label),
        ("DELETE", f"{repo}/labels/{{name:path}}", api.delete_repo_label),
        ("GET", f"{repo}/assignees", api.list_assignees),
        ("GET", f"{repo}/assignees/{{login}}", api.check_assignee),
        ("GET", f"{repo}/milestones", api.list_milestones),
        ("POST", f"{repo}/milestones", api.create_milestone),
        ("GET", f"{repo}/milestones/{{number:int}}", api.get_milestone),
        ("GET", f"{repo}/hooks", api.list_hooks),
        ("POST", f"{repo}/hooks", api.create_hook),
        ("GET", "/search/issues", api.search_issues),
        ("GET", f"{actions}/workflows", api.list_workflows),
        ("GET", f"{actions}/workflows/{{workflow}}", api.get_workflow),
        ("POST", f"{actions}/workflows/{{workflow}}/dispatches", api.dispatch),
        ("GET", f"{actions}/workflows/{{workflow}}/runs", api.list_runs),
        ("GET", f"{actions}/runs", api.list_runs),
        ("GET", f"{actions}/runs/{{id:int}}", api.get_run),
    ]
    routes = [Route(f"/api/v3{path}", _guarded(service, handler), methods=[verb]) for verb, path, handler in table]

    async def nowhere(request: Request) -> Response:
        raise Missing

    routes += [
        Route("/api/v3/{rest:path}", _guarded(service, nowhere), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Route("/_control/cloud", control.cloud, methods=["GET", "POST"]),
        Route("/_control/cloud/act", control.act, methods=["POST"]),
        Route("/_control/issue", control.issue, methods=["POST"]),
        Route("/_control/actions", control.actions, methods=["POST"]),
        Route("/_control/deliveries", control.deliveries),
        Route("/_control/redeliver", control.redeliver, methods=["POST"]),
        Route("/{owner}/{repo}/issues/{number:int}", api.issue_page),
    ]
    return Starlette(routes=routes)


def _guarded(service: GitHub, handler: Handler) -> Handler:
    """Check the token, count the request, and give refusals GitHub's form."""

    async def guarded(request: Request) -> Response:
        resource = "search" if request.url.path.endswith("/search/issues") else "core"
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        answer: Response
        if not token.strip():
            answer = refusal(401, "Requires authentication")
        elif kind.lower() not in ("token", "bearer") or not service.takes(token.strip()):
            answer = refusal(401, "Bad credentials")
        elif not service.limits.take():
            answer = refusal(403, f"API rate limit exceeded for user ID {service.hub.users[BOT].id}.")
        else:
            try:
                answer = await handler(request)
            except Missing as error:
                answer = refusal(404, str(error))
            except Gone:
                answer = refusal(410, "This issue was deleted")
            except Elsewhere as error:
                root = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
                below = request.url.path.partition(f"/issues/{request.path_params['number']}")[2]
                url = f"{root}/api/v3/repos/{error.repo.full_name}/issues/{error.number}{below}"
                answer = refusal(301, "Moved Permanently", url=url)
                answer.headers["Location"] = url
            except Invalid as error:
                answer = refusal(422, "Validation Failed", errors=error.errors)
            except Unsupplied as error:
                answer = refusal(422, f'Invalid request.\n\n"{error}" wasn\'t supplied.')
            except NotJson:
                answer = refusal(400, "Problems parsing JSON")
        answer.headers.update(service.limits.headers(resource) | {"X-GitHub-Media-Type": "github.v3; format=json"})
        return answer

    return guarded
