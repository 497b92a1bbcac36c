"""How GitHub's objects look on the wire: answers and webhook payloads, after the public OpenAPI description.

``base`` is where the caller found the sandbox, for example ``http://127.0.0.1:8900/github``; the API is below ``base/api/v3``, the
pages for people are at ``base/owner/repo/...``.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any

from sandbox.github_store import Comment, Event, Hook, Hub, Issue, Label, Milestone, Repo, Run

Json = dict[str, Any]

_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPO_LINKS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}


def stamp(moment: datetime | None) -> str | None:
    """``2026-01-31T12:00:00Z``, or null."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def node_id(kind: str, number: int) -> str:
    """An opaque id in the form of GitHub's global ids."""
    return base64.b64encode(f"{len(kind):03}:{kind}{number}".encode()).decode()


def workflow_id(repo: Repo, file: str) -> int:
    """The stable number of a workflow file in a repository."""
    return int(hashlib.sha256(f"{repo.id}/{file}".encode()).hexdigest()[:7], 16)


class Renderer:
    """Renders for one caller, whose address of the sandbox is ``base``."""

    def __init__(self, hub: Hub, base: str) -> None:
        self.hub = hub
        self.pages = base.rstrip("/")
        self.api = f"{self.pages}/api/v3"

    def user(self, login: str) -> Json:
        """A simple user."""
        user = self.hub.add_user(login)
        url = f"{self.api}/users/{user.login}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": node_id("User", user.id),
            "avatar_url": f"{self.pages}/avatars/{user.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.pages}/{user.login}",
            **{name: url + tail for name, tail in _USER_LINKS.items()},
            "type": user.type,
            "site_admin": False,
        }

    def repo(self, repo: Repo) -> Json:
        """A repository, with every address that the contract requires."""
        url = f"{self.api}/repos/{repo.full_name}"
        page = f"{self.pages}/{repo.full_name}"
        open_issues = sum(i.state == "open" for i in repo.issues.values())
        return {
            "id": repo.id,
            "node_id": node_id("Repository", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "private": True,
            "owner": self.user(repo.owner),
            "html_url": page,
            "description": None,
            "fork": False,
            "url": url,
            **{name: url + tail for name, tail in _REPO_LINKS.items()},
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
            "pushed_at": stamp(repo.created_at),
            "git_url": f"{page}.git",
            "ssh_url": f"git@sandbox:{repo.full_name}.git",
            "clone_url": f"{page}.git",
            "svn_url": page,
            "homepage": None,
            "size": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": None,
            "has_issues": True,
            "has_projects": False,
            "has_downloads": False,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": 0,
            "mirror_url": None,
            "archived": False,
            "disabled": False,
            "open_issues_count": open_issues,
            "license": None,
            "is_template": False,
            "topics": [],
            "visibility": "private",
            "forks": 0,
            "open_issues": open_issues,
            "watchers": 0,
            "default_branch": "main",
            "network_count": 0,
            "subscribers_count": 0,
            "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
        }

    def label(self, repo: Repo, label: Label) -> Json:
        """A label."""
        return {
            "id": label.id,
            "node_id": node_id("Label", label.id),
            "url": f"{self.api}/repos/{repo.full_name}/labels/{label.name}",
            "name": label.name,
            "color": label.color,
            "default": False,
            "description": label.description,
        }

    def milestone(self, repo: Repo, milestone: Milestone) -> Json:
        """A milestone with its counts."""
        url = f"{self.api}/repos/{repo.full_name}/milestones/{milestone.number}"
        inside = [i for i in repo.issues.values() if i.milestone == milestone.number]
        return {
            "url": url,
            "html_url": f"{self.pages}/{repo.full_name}/milestone/{milestone.number}",
            "labels_url": f"{url}/labels",
            "id": milestone.id,
            "node_id": node_id("Milestone", milestone.id),
            "number": milestone.number,
            "title": milestone.title,
            "description": milestone.description,
            "creator": self.user(milestone.creator),
            "open_issues": sum(i.state == "open" for i in inside),
            "closed_issues": sum(i.state == "closed" for i in inside),
            "state": milestone.state,
            "created_at": stamp(milestone.created_at),
            "updated_at": stamp(milestone.created_at),
            "due_on": None,
            "closed_at": None,
        }

    def issue(self, repo: Repo, issue: Issue) -> Json:
        """An issue."""
        url = f"{self.api}/repos/{repo.full_name}/issues/{issue.number}"
        assignees = [self.user(login) for login in issue.assignees]
        return {
            "url": url,
            "repository_url": f"{self.api}/repos/{repo.full_name}",
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "timeline_url": f"{url}/timeline",
            "html_url": f"{self.pages}/{repo.full_name}/issues/{issue.number}",
            "id": issue.id,
            "node_id": node_id("Issue", issue.id),
            "number": issue.number,
            "title": issue.title,
            "user": self.user(issue.author),
            "labels": [self.label(repo, repo.labels[name.lower()]) for name in issue.labels],
            "state": issue.state,
            "state_reason": issue.state_reason,
            "locked": False,
            "active_lock_reason": None,
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "milestone": self.milestone(repo, repo.milestones[issue.milestone]) if issue.milestone else None,
            "comments": len(issue.comments),
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": stamp(issue.closed_at),
            "closed_by": self.user(issue.closed_by) if issue.closed_by else None,
            "author_association": self.hub.add_user(issue.author).association,
            "body": issue.body,
            "reactions": self._reactions(url),
            "performed_via_github_app": None,
        }

    def comment(self, repo: Repo, issue: Issue, comment: Comment) -> Json:
        """A comment below an issue."""
        url = f"{self.api}/repos/{repo.full_name}/issues/comments/{comment.id}"
        return {
            "url": url,
            "html_url": f"{self.pages}/{repo.full_name}/issues/{issue.number}#issuecomment-{comment.id}",
            "issue_url": f"{self.api}/repos/{repo.full_name}/issues/{issue.number}",
            "id": comment.id,
            "node_id": node_id("IssueComment", comment.id),
            "user": self.user(comment.author),
            "created_at": stamp(comment.created_at),
            "updated_at": stamp(comment.updated_at),
            "author_association": self.hub.add_user(comment.author).association,
            "body": comment.body,
            "reactions": self._reactions(url),
            "performed_via_github_app": None,
        }

    def hook(self, repo: Repo, hook: Hook) -> Json:
        """A registered webhook; the secret is shown as stars, as GitHub does."""
        url = f"{self.api}/repos/{repo.full_name}/hooks/{hook.id}"
        config = {"url": hook.url, "content_type": "json", "insecure_ssl": "0"}
        return {
            "type": "Repository",
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": hook.events,
            "config": config | ({"secret": "********"} if hook.secret else {}),
            "updated_at": stamp(hook.created_at),
            "created_at": stamp(hook.created_at),
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }

    def workflow(self, repo: Repo, file: str) -> Json:
        """A workflow file."""
        number = workflow_id(repo, file)
        path = f".github/workflows/{file}"
        page = f"{self.pages}/{repo.full_name}"
        return {
            "id": number,
            "node_id": node_id("Workflow", number),
            "name": file.rsplit(".", 1)[0],
            "path": path,
            "state": "active",
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
            "url": f"{self.api}/repos/{repo.full_name}/actions/workflows/{number}",
            "html_url": f"{page}/blob/main/{path}",
            "badge_url": f"{page}/workflows/{file}/badge.svg",
        }

    def run(self, repo: Repo, run: Run) -> Json:
        """A run of a workflow file."""
        api = f"{self.api}/repos/{repo.full_name}"
        url = f"{api}/actions/runs/{run.id}"
        sha = hashlib.sha256(repo.full_name.encode()).hexdigest()[:40]
        person = {"name": run.actor, "email": f"{run.actor}@sandbox.example"}
        stamped = stamp(run.created_at)
        return {
            "id": run.id,
            "name": run.file.rsplit(".", 1)[0],
            "display_title": run.title,
            "node_id": node_id("WorkflowRun", run.id),
            "check_suite_id": run.id,
            "check_suite_node_id": node_id("CheckSuite", run.id),
            "head_branch": run.ref,
            "head_sha": sha,
            "path": f".github/workflows/{run.file}",
            "run_number": run.number,
            "run_attempt": 1,
            "event": "workflow_dispatch",
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": workflow_id(repo, run.file),
            "url": url,
            "html_url": f"{self.pages}/{repo.full_name}/actions/runs/{run.id}",
            "pull_requests": [],
            "created_at": stamped,
            "updated_at": stamp(run.updated_at),
            "run_started_at": stamped,
            "actor": self.user(run.actor),
            "triggering_actor": self.user(run.actor),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{api}/check-suites/{run.id}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": None,
            "workflow_url": f"{api}/actions/workflows/{workflow_id(repo, run.file)}",
            "head_commit": {"id": sha, "tree_id": sha, "message": "-", "timestamp": stamped, "author": person, "committer": person},
            "repository": self.repo(repo),
            "head_repository": self.repo(repo),
        }

    def payload(self, event: Event) -> Json:
        """The body of the webhook for ``event``."""
        body: Json = {"action": event.action}
        if event.issue is not None:
            body["issue"] = self.issue(event.repo, event.issue)
        if event.comment is not None and event.issue is not None:
            body["comment"] = self.comment(event.repo, event.issue, event.comment)
        if event.label is not None:
            body["label"] = self.label(event.repo, event.label)
        if event.run is not None:
            body["workflow_run"] = self.run(event.repo, event.run)
            body["workflow"] = self.workflow(event.repo, event.run.file)
        if event.changes is not None:
            body["changes"] = self._changes(event.changes)
        return body | {"repository": self.repo(event.repo), "sender": self.user(event.actor)}

    def _changes(self, changes: Json) -> Json:
        """What changed: texts as they are; issues and repositories, between which an issue was transferred, in full."""
        shown = dict(changes)
        for age in ("new", "old"):
            if f"{age}_repository" in changes:
                repo = changes[f"{age}_repository"]
                shown |= {f"{age}_repository": self.repo(repo), f"{age}_issue": self.issue(repo, changes[f"{age}_issue"])}
        return shown

    def _reactions(self, url: str) -> Json:
        return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)}
