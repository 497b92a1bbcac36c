"""The resources of the GitHub stand-in: one method per path and verb, each change one line in the log of effects."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from sandbox.github_http import created_filter, fits, label_names, listed, page_of, read_body, read_moment, required, search_filter
from sandbox.github_json import Renderer, workflow_id
from sandbox.github_store import BOT, WORKFLOWS, Hook, Invalid, Issue, Milestone, Missing, Repo, now

if TYPE_CHECKING:
    from sandbox.github import GitHub


#: A list of runs that is filtered by one of these ends after so many, as documented.
RUNS_FOUND = 1_000
RUN_FILTERS = {"actor", "branch", "check_suite_id", "created", "event", "head_sha", "status"}


class Api:
    """The HTTP side: one method per resource and verb. ``owner`` and ``repo`` come from the path."""

    def __init__(self, service: GitHub) -> None:
        self.service = service
        self.hub = service.hub

    # --- the caller

    async def get_user(self, request: Request) -> Response:
        login = request.path_params.get("login", BOT)
        if login.lower() not in self.hub.users:
            raise Missing
        return JSONResponse(self._render(request).user(login))

    async def rate_limit(self, request: Request) -> Response:
        limits = self.service.limits
        core = {"limit": limits.limit, "used": limits.used, "remaining": limits.remaining, "reset": math.ceil(limits.reset_at)}
        return JSONResponse({"resources": {"core": core, "search": core | {"limit": 30, "used": 0, "remaining": 30}}, "rate": core})

    async def get_repo(self, request: Request) -> Response:
        return JSONResponse(self._render(request).repo(self._repo(request)))

    # --- issues

    async def list_issues(self, request: Request) -> Response:
        repo, query = self._repo(request), request.query_params
        state = query.get("state", "open")
        if state not in ("open", "closed", "all"):
            raise Invalid("Issue", "state", "invalid", value=state)
        wanted = {name.strip().lower() for name in query.get("labels", "").split(",") if name.strip()}
        since = read_moment(query["since"]) if "since" in query else None
        creator, assignee, milestone = query.get("creator"), query.get("assignee"), query.get("milestone")
        found = [
            issue
            for issue in repo.issues.values()
            if (state == "all" or issue.state == state)
            and wanted <= {name.lower() for name in issue.labels}
            and (creator is None or issue.author.lower() == creator.lower())
            and fits(assignee, [login.lower() for login in issue.assignees])
            and fits(milestone, [str(issue.milestone)] if issue.milestone else [])
            and (since is None or issue.updated_at >= since)
        ]
        sort = query.get("sort", "created")
        keys: dict[str, Callable[[Issue], Any]] = {
            "created": lambda i: (i.created_at, i.number),
            "updated": lambda i: (i.updated_at, i.number),
            "comments": lambda i: (len(i.comments), i.number),
        }
        found.sort(key=keys.get(sort, keys["created"]), reverse=query.get("direction", "desc") != "asc")
        render = self._render(request)
        return page_of(request, found, lambda issue: render.issue(repo, issue))

    async def create_issue(self, request: Request) -> Response:
        repo, body = self._repo(request), await read_body(request)
        title = required(body, "title")
        assignees = body.get("assignees") or ([body["assignee"]] if body.get("assignee") else [])
        issue = self.hub.create_issue(
            repo, BOT, str(title), body.get("body"), label_names(body.get("labels")), assignees, body.get("milestone")
        )
        self._effect("issue.created", f"#{issue.number} {issue.title}", repo, issue, title=issue.title, labels=list(issue.labels))
        rendered = self._render(request).issue(repo, issue)
        return JSONResponse(rendered, 201, {"Location": rendered["url"]})

    async def get_issue(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        return JSONResponse(self._render(request).issue(repo, issue))

    async def edit_issue(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        body = await read_body(request)
        allowed = ("title", "body", "state", "state_reason", "labels", "assignees", "milestone")
        fields = {name: body[name] for name in allowed if name in body}
        if "assignee" in body and "assignees" not in fields:
            fields["assignees"] = [body["assignee"]] if body["assignee"] else []
        if "labels" in fields:
            fields["labels"] = label_names(fields["labels"])
        before = issue.state
        self.hub.edit_issue(repo, issue, BOT, fields)
        act = "issue.edited" if issue.state == before else ("issue.closed" if issue.state == "closed" else "issue.reopened")
        told = {"fields": sorted(fields), "state": issue.state, "reason": issue.state_reason}
        self._effect(act, f"#{issue.number} {issue.title}", repo, issue, **told)
        return JSONResponse(self._render(request).issue(repo, issue))

    async def search_issues(self, request: Request) -> Response:
        query = request.query_params.get("q", "")
        if not query:
            raise Invalid("Search", "q", "missing")
        matches = search_filter(query)
        found = [pair for pair in self.hub.search(timedelta(seconds=self.service.search_lag_seconds)) if matches(*pair)]
        if request.query_params.get("order") == "asc":
            found.reverse()
        render = self._render(request)
        return page_of(
            request,
            found,
            lambda pair: render.issue(*pair) | {"score": 1.0},
            lambda items, total: {"total_count": total, "incomplete_results": False, "items": items},
        )

    # --- comments

    async def list_comments(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        since = read_moment(request.query_params["since"]) if "since" in request.query_params else None
        render = self._render(request)
        found = [comment for comment in issue.comments if since is None or comment.updated_at >= since]
        return page_of(request, found, lambda comment: render.comment(repo, issue, comment))

    async def list_repo_comments(self, request: Request) -> Response:
        """The comments of every issue; oldest first unless asked otherwise."""
        repo, query = self._repo(request), request.query_params
        since = read_moment(query["since"]) if "since" in query else None
        found = [(i, c) for i in repo.issues.values() for c in i.comments if since is None or c.updated_at >= since]
        moment = "updated_at" if query.get("sort") == "updated" else "created_at"
        found.sort(key=lambda pair: (getattr(pair[1], moment), pair[1].id), reverse=query.get("direction") == "desc" and "sort" in query)
        render = self._render(request)
        return page_of(request, found, lambda pair: render.comment(repo, *pair))

    async def create_comment(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        comment = self.hub.add_comment(repo, issue, BOT, str(required(await read_body(request), "body")))
        self._effect("comment.created", f"#{issue.number}: {comment.body[:120]}", repo, issue, comment=comment.id, body=comment.body)
        rendered = self._render(request).comment(repo, issue, comment)
        return JSONResponse(rendered, 201, {"Location": rendered["url"]})

    async def get_comment(self, request: Request) -> Response:
        repo = self._repo(request)
        return JSONResponse(self._render(request).comment(repo, *self.hub.comment(repo, request.path_params["id"])))

    async def edit_comment(self, request: Request) -> Response:
        repo = self._repo(request)
        issue, comment = self.hub.comment(repo, request.path_params["id"])
        self.hub.edit_comment(repo, issue, comment, BOT, str(required(await read_body(request), "body")))
        self._effect("comment.edited", f"#{issue.number}: {comment.body[:120]}", repo, issue, comment=comment.id, body=comment.body)
        return JSONResponse(self._render(request).comment(repo, issue, comment))

    async def delete_comment(self, request: Request) -> Response:
        repo = self._repo(request)
        issue, comment = self.hub.comment(repo, request.path_params["id"])
        issue.comments.remove(comment)
        self._effect("comment.deleted", f"#{issue.number}", repo, issue, comment=comment.id)
        return Response(status_code=204)

    # --- labels

    async def list_repo_labels(self, request: Request) -> Response:
        repo, render = self._repo(request), self._render(request)
        return page_of(request, list(repo.labels.values()), lambda label: render.label(repo, label))

    async def create_repo_label(self, request: Request) -> Response:
        repo, body = self._repo(request), await read_body(request)
        label = self.hub.create_label(repo, str(required(body, "name")), body.get("color") or "ededed", body.get("description"))
        self._effect("label.created", label.name, repo, label=label.name)
        return JSONResponse(self._render(request).label(repo, label), 201)

    async def get_repo_label(self, request: Request) -> Response:
        repo = self._repo(request)
        label = repo.labels.get(request.path_params["name"].lower())
        if label is None:
            raise Missing
        return JSONResponse(self._render(request).label(repo, label))

    async def edit_repo_label(self, request: Request) -> Response:
        repo = self._repo(request)
        label = self.hub.rename_label(repo, request.path_params["name"], await read_body(request))
        self._effect("label.edited", label.name, repo, label=label.name)
        return JSONResponse(self._render(request).label(repo, label))

    async def delete_repo_label(self, request: Request) -> Response:
        repo, name = self._repo(request), request.path_params["name"]
        self.hub.delete_label(repo, name)
        self._effect("label.deleted", name, repo, label=name)
        return Response(status_code=204)

    async def list_issue_labels(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        render = self._render(request)
        return page_of(request, issue.labels, lambda name: render.label(repo, repo.labels[name.lower()]))

    async def add_issue_labels(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        names = label_names(await read_body(request))
        if not names:
            raise Invalid("Label", "labels", "missing_field")
        self.hub.add_labels(repo, issue, BOT, names)
        self._effect("label.added", f"#{issue.number}: {', '.join(names)}", repo, issue, labels=names)
        return await self.list_issue_labels(request)

    async def set_issue_labels(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        names = label_names(await read_body(request))
        self.hub.set_labels(repo, issue, BOT, names)
        self._effect("label.set", f"#{issue.number}: {', '.join(names)}", repo, issue, labels=names)
        return await self.list_issue_labels(request)

    async def clear_issue_labels(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        self.hub.set_labels(repo, issue, BOT, [])
        self._effect("label.set", f"#{issue.number}: none", repo, issue, labels=[])
        return Response(status_code=204)

    async def remove_issue_label(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        name = request.path_params["name"]
        self.hub.remove_label(repo, issue, BOT, name)
        self._effect("label.removed", f"#{issue.number}: {name}", repo, issue, label=name)
        return await self.list_issue_labels(request)

    # --- assignees and milestones

    async def list_assignees(self, request: Request) -> Response:
        render = self._render(request)
        people = [user for user in self.hub.users.values() if user.type == "User"]
        return page_of(request, people, lambda user: render.user(user.login))

    async def check_assignee(self, request: Request) -> Response:
        if request.path_params["login"].lower() not in self.hub.users:
            raise Missing
        return Response(status_code=204)

    async def add_assignees(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        wanted = [str(login) for login in listed(await read_body(request), "assignees")]
        known = [login for login in wanted if login.lower() in self.hub.users]  # others are ignored without a word, as documented
        issue.assignees = list(dict.fromkeys([*issue.assignees, *known]))
        self._effect("assignee.added", f"#{issue.number}: {', '.join(known)}", repo, issue, assignees=known)
        return JSONResponse(self._render(request).issue(repo, issue), 201)

    async def remove_assignees(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        gone = [str(login).lower() for login in listed(await read_body(request), "assignees")]
        issue.assignees = [login for login in issue.assignees if login.lower() not in gone]
        self._effect("assignee.removed", f"#{issue.number}: {', '.join(gone)}", repo, issue, assignees=gone)
        return JSONResponse(self._render(request).issue(repo, issue))

    async def list_milestones(self, request: Request) -> Response:
        repo, render = self._repo(request), self._render(request)
        state = request.query_params.get("state", "open")
        found = [milestone for milestone in repo.milestones.values() if state in ("all", milestone.state)]
        return page_of(request, found, lambda milestone: render.milestone(repo, milestone))

    async def create_milestone(self, request: Request) -> Response:
        repo, body = self._repo(request), await read_body(request)
        title = str(required(body, "title"))
        if any(milestone.title == title for milestone in repo.milestones.values()):
            raise Invalid("Milestone", "title", "already_exists")
        number = max(repo.milestones, default=0) + 1
        milestone = Milestone(self.hub.new_id(), number, title, BOT, now(), body.get("description"))
        repo.milestones[number] = milestone
        self._effect("milestone.created", title, repo, milestone=number)
        return JSONResponse(self._render(request).milestone(repo, milestone), 201)

    async def get_milestone(self, request: Request) -> Response:
        repo = self._repo(request)
        milestone = repo.milestones.get(request.path_params["number"])
        if milestone is None:
            raise Missing
        return JSONResponse(self._render(request).milestone(repo, milestone))

    # --- hooks

    async def list_hooks(self, request: Request) -> Response:
        repo, render = self._repo(request), self._render(request)
        return page_of(request, list(repo.hooks.values()), lambda hook: render.hook(repo, hook))

    async def create_hook(self, request: Request) -> Response:
        repo, body = self._repo(request), await read_body(request)
        config = body.get("config") or {}
        if not config.get("url"):
            raise Invalid("Hook", "config", "missing_field", "Config must contain URL for webhooks")
        if any(hook.url == config["url"] for hook in repo.hooks.values()):
            raise Invalid("Hook", "base", "custom", "Hook already exists on this repository")
        events = [str(name) for name in body.get("events") or ["push"]]
        hook = Hook(self.hub.new_id(), str(config["url"]), str(config.get("secret") or ""), events, bool(body.get("active", True)), now())
        repo.hooks[hook.id] = hook
        self._effect("hook.created", hook.url, repo, hook=hook.id, url=hook.url, events=hook.events)
        rendered = self._render(request).hook(repo, hook)
        self.service.deliverer.send(
            hook.url, hook.secret, "ping", {"zen": "Keep it logically awesome.", "hook_id": hook.id, "hook": rendered}, hook.id
        )
        return JSONResponse(rendered, 201)

    # --- actions

    async def list_workflows(self, request: Request) -> Response:
        repo, render = self._repo(request), self._render(request)
        return page_of(
            request,
            WORKFLOWS,
            lambda file: render.workflow(repo, file),
            lambda items, total: {"total_count": total, "workflows": items},
        )

    async def get_workflow(self, request: Request) -> Response:
        repo = self._repo(request)
        return JSONResponse(self._render(request).workflow(repo, self._file(request, repo)))

    async def dispatch(self, request: Request) -> Response:
        repo, body = self._repo(request), await read_body(request)
        file, ref = self._file(request, repo), str(required(body, "ref"))
        inputs = body.get("inputs") or {}
        if not isinstance(inputs, dict) or len(inputs) > 25:
            raise Invalid("WorkflowDispatch", "inputs", "invalid", "you may only define up to 25 `inputs` for a `workflow_dispatch` event")
        run = self.hub.dispatch(repo, BOT, file, ref, {str(k): str(v) for k, v in inputs.items()})
        self._effect("workflow.dispatched", run.title, repo, file=file, run=run.id, inputs=run.inputs)
        if not body.get("return_run_details"):
            return Response(status_code=204)
        rendered = self._render(request).run(repo, run)
        return JSONResponse({"workflow_run_id": run.id, "run_url": rendered["url"], "html_url": rendered["html_url"]})

    async def list_runs(self, request: Request) -> Response:
        repo, render, query = self._repo(request), self._render(request), request.query_params
        file = self._file(request, repo) if "workflow" in request.path_params else None
        created = created_filter(query.get("created", ""))
        most = RUNS_FOUND if query.keys() & RUN_FILTERS else None
        found = [
            run
            for run in reversed(repo.runs)
            if (file is None or run.file == file)
            and query.get("status", run.status) in (run.status, run.conclusion)
            and query.get("event", "workflow_dispatch") == "workflow_dispatch"
            and query.get("actor", run.actor).lower() == run.actor.lower()
            and query.get("branch", run.ref) == run.ref
            and created(run.created_at)
        ]
        return page_of(
            request,
            found[:most],
            lambda run: render.run(repo, run),
            lambda items, total: {"total_count": total, "workflow_runs": items},
        )

    async def get_run(self, request: Request) -> Response:
        repo = self._repo(request)
        run = next((run for run in repo.runs if run.id == request.path_params["id"]), None)
        if run is None:
            raise Missing
        return JSONResponse(self._render(request).run(repo, run))

    # --- a page for people, where html_url points

    async def issue_page(self, request: Request) -> Response:
        repo, issue = self._issue(request)
        notes = "".join(f"<hr><b>{html.escape(c.author)}</b><pre>{html.escape(c.body)}</pre>" for c in issue.comments)
        labels = " ".join(f"<code>{html.escape(name)}</code>" for name in issue.labels)
        return HTMLResponse(
            "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'>"
            "<style>body{font:16px/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap}</style>"
            f"<title>{html.escape(issue.title)}</title><h1>{html.escape(issue.title)} #{issue.number}</h1>"
            f"<p>{html.escape(repo.full_name)}, {issue.state}, {labels}</p><pre>{html.escape(issue.body or '')}</pre>{notes}"
        )

    # --- shared

    def _render(self, request: Request) -> Renderer:
        # not request.base_url: below a mount it names the outer application
        return Renderer(self.hub, f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}")

    def _repo(self, request: Request) -> Repo:
        return self.hub.repo(request.path_params["owner"], request.path_params["repo"])

    def _issue(self, request: Request) -> tuple[Repo, Issue]:
        repo = self._repo(request)
        return repo, self.hub.issue(repo, request.path_params["number"])

    def _file(self, request: Request, repo: Repo) -> str:
        """The workflow file named by the path: a file name, or the number of the workflow."""
        wanted = request.path_params["workflow"]
        for file in WORKFLOWS:
            if wanted in (file, str(workflow_id(repo, file))):
                return file
        raise Missing

    def _effect(self, act: str, what: str, repo: Repo, issue: Issue | None = None, **data: Any) -> None:
        if issue is not None:
            data["issue"] = issue.number
        self.service.world.log.effect("github", act, what, repo=repo.full_name, **data)
