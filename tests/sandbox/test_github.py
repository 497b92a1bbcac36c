"""The GitHub stand-in, asked by PyGithub: issues, labels, paging, search, refusals, webhooks, workflow runs."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from github import Auth, BadCredentialsException, Github, GithubException, RateLimitExceededException, UnknownObjectException
from github.Repository import Repository

from sandbox.github import GitHub
from sandbox.server import SandboxServer

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"
REPO = "acme-vendor/customer"


HTTP = httpx.Client(verify=False)  # plain HTTP on the loopback: reading certificates would be most of a request's time


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    HTTP.close()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.webhook_url = ""
    server.world.reset()
    return server


@pytest.fixture
def service(sandbox: SandboxServer) -> GitHub:
    github: GitHub = sandbox.world.services["github"]
    return github


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[Github]:
    github = connect(sandbox)
    yield github
    github.close()


@pytest.fixture
def repo(client: Github) -> Repository:
    return client.get_repo(REPO)


def connect(sandbox: SandboxServer, token: str = "sandbox-github-token") -> Github:
    return Github(
        base_url=f"{sandbox.url}/github/api/v3",
        auth=Auth.Token(token),
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "github"]


class Receiver:
    """A webhook receiver: keeps each request's headers and raw body."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def events(self) -> list[tuple[str, str]]:
        return [(headers["x-github-event"], json.loads(body).get("action", "")) for headers, body in self.got]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver(sandbox: SandboxServer) -> Iterator[Receiver]:
    listening = Receiver()
    sandbox.world.webhook_url = listening.url
    yield listening
    sandbox.world.webhook_url = ""
    listening.stop()


class TestIssues:
    def test_created_read_edited_closed_and_reopened(self, sandbox: SandboxServer, repo: Repository) -> None:
        issue = repo.create_issue(title="New request", body="host: acme.sandbox.example", labels=["team/cloud", "mi"])
        issue.edit(body="changed")
        issue.edit(state="closed", state_reason="completed")
        closed = repo.get_issue(issue.number)
        assert (closed.number, closed.title, closed.body, closed.state, closed.state_reason) == (
            1,
            "New request",
            "changed",
            "closed",
            "completed",
        )
        assert closed.closed_at is not None
        assert sorted(label.name for label in closed.labels) == ["mi", "team/cloud"]
        issue.edit(state="open")
        reopened = repo.get_issue(1)
        assert (reopened.state, reopened.state_reason) == ("open", "reopened")
        assert reopened.raw_data["closed_at"] is None
        assert acts(sandbox) == ["issue.created", "issue.edited", "issue.closed", "issue.reopened"]

    def test_two_equal_posts_make_two_issues(self, sandbox: SandboxServer, repo: Repository) -> None:
        numbers = [repo.create_issue(title="Same", body="same").number for _ in range(2)]
        assert numbers == [1, 2]
        assert acts(sandbox) == ["issue.created", "issue.created"]

    def test_an_edit_that_changes_nothing_is_still_one_write(self, sandbox: SandboxServer, repo: Repository) -> None:
        issue = repo.create_issue(title="Same", body="same")
        issue.edit(body="same")
        assert acts(sandbox) == ["issue.created", "issue.edited"]

    def test_any_repository_exists_once_named(self, client: Github) -> None:
        assert client.get_repo("other/thing").create_issue(title="x").number == 1
        assert client.get_repo("other/thing").full_name == "other/thing"

    def test_lists_filter_sort_and_hide_closed_ones(self, repo: Repository, client: Github) -> None:
        first = repo.create_issue(title="a", labels=["mi", "x"])
        repo.create_issue(title="b", labels=["mi"])
        repo.create_issue(title="c", labels=["MI", "X"])
        first.edit(state="closed")
        assert [i.title for i in repo.get_issues()] == ["c", "b"]
        assert [i.title for i in repo.get_issues(labels=["mi", "x"], state="all")] == ["c", "a"]
        assert [i.title for i in repo.get_issues(state="closed")] == ["a"]
        assert [i.title for i in repo.get_issues(state="all", sort="created", direction="asc")] == ["a", "b", "c"]
        assert [i.title for i in repo.get_issues(creator=client.get_user("tenure-bot"), state="all")] == ["c", "b", "a"]
        assert list(repo.get_issues(creator=client.get_user("cloud-team"))) == []
        assert list(repo.get_issues(since=datetime.now(UTC) + timedelta(minutes=1))) == []
        assert len(list(repo.get_issues(since=datetime.now(UTC) - timedelta(minutes=1)))) == 2

    def test_pages_are_linked_and_capped_at_100(self, sandbox: SandboxServer, service: GitHub, client: Github, repo: Repository) -> None:
        held = service.hub.repo("acme-vendor", "customer")
        for n in range(130):
            service.hub.create_issue(held, "tenure-bot", f"issue {n}")
        assert len(list(repo.get_issues())) == 130
        url = f"{sandbox.url}/github/api/v3/repos/{REPO}/issues"
        answer = HTTP.get(url, params={"per_page": "1000", "labels": ""}, headers={"Authorization": "token sandbox-github-token"})
        assert len(answer.json()) == 100
        assert answer.links["next"]["url"].startswith(url)
        assert "page=2" in answer.links["last"]["url"]
        last = HTTP.get(answer.links["next"]["url"], headers={"Authorization": "token sandbox-github-token"})
        assert len(last.json()) == 30
        assert set(last.links) == {"prev", "first"}

    def test_comments(self, sandbox: SandboxServer, repo: Repository) -> None:
        issue = repo.create_issue(title="x")
        comment = issue.create_comment("first")
        comment.edit("first, better")
        issue.create_comment("second")
        assert [c.body for c in issue.get_comments()] == ["first, better", "second"]
        assert repo.get_issue(1).comments == 2
        assert acts(sandbox)[1:] == ["comment.created", "comment.edited", "comment.created"]

    def test_milestones_and_assignees(self, client: Github, service: GitHub, repo: Repository) -> None:
        service.seed({"users": ["ce-ada"]})
        milestone = repo.create_milestone("Q1")
        issue = repo.create_issue(title="x", milestone=milestone, assignees=["ce-ada"])
        assert [a.login for a in issue.assignees] == ["ce-ada"]
        assert issue.milestone.title == "Q1"
        assert [m.open_issues for m in repo.get_milestones()] == [1]
        issue.remove_from_assignees("ce-ada")
        issue.add_to_assignees("cloud-team", "nobody-known")
        assert [a.login for a in repo.get_issue(1).assignees] == ["cloud-team"]


class TestLabels:
    def test_unknown_labels_come_into_being_with_the_issue(self, repo: Repository) -> None:
        repo.create_issue(title="x", labels=["brand-new"])
        assert repo.get_label("brand-new").color == "ededed"

    def test_added_set_and_removed(self, sandbox: SandboxServer, repo: Repository) -> None:
        issue = repo.create_issue(title="x")
        issue.add_to_labels("cloud-trial/instance-ready", "mi")
        issue.remove_from_labels("cloud-trial/instance-ready")
        assert [label.name for label in issue.get_labels()] == ["mi"]
        issue.set_labels("a", "b")
        assert [label.name for label in repo.get_issue(1).labels] == ["a", "b"]
        assert acts(sandbox) == ["issue.created", "label.added", "label.removed", "label.set"]

    def test_removing_an_absent_label_is_404_and_no_effect(self, sandbox: SandboxServer, repo: Repository) -> None:
        issue = repo.create_issue(title="x", labels=["a"])
        with pytest.raises(GithubException) as refused:
            issue.remove_from_labels("b")
        assert refused.value.status == 404
        assert refused.value.data["message"] == "Label does not exist"
        assert acts(sandbox) == ["issue.created"]

    def test_a_repository_label_is_made_once(self, repo: Repository) -> None:
        label = repo.create_label("mi", "ff0000", "managed instance")
        with pytest.raises(GithubException) as refused:
            repo.create_label("MI", "00ff00")
        assert refused.value.status == 422
        assert refused.value.data["errors"] == [{"resource": "Label", "field": "name", "code": "already_exists"}]
        repo.create_issue(title="x", labels=["mi"])
        label.edit("managed", "0000ff")
        assert [name.name for name in repo.get_issue(1).labels] == ["managed"]
        repo.get_label("managed").delete()
        assert repo.get_issue(1).labels == []


class TestRefusals:
    def test_a_token_is_required_and_may_be_revoked(self, sandbox: SandboxServer, service: GitHub) -> None:
        anonymous = HTTP.get(f"{sandbox.url}/github/api/v3/user")
        assert (anonymous.status_code, anonymous.json()["message"]) == (401, "Requires authentication")
        service.seed({"revoked_tokens": ["old"]})
        github = connect(sandbox, "old")
        with pytest.raises(BadCredentialsException):
            _ = github.get_user().login
        github.close()

    @pytest.mark.parametrize(
        ("body", "message"),
        [({}, 'Invalid request.\n\n"title" wasn\'t supplied.'), ({"title": " "}, "Validation Failed")],
    )
    def test_a_title_is_required(self, sandbox: SandboxServer, body: dict[str, str], message: str) -> None:
        url = f"{sandbox.url}/github/api/v3/repos/{REPO}/issues"
        answer = HTTP.post(url, json=body, headers={"Authorization": "token sandbox-github-token"})
        assert (answer.status_code, answer.json()["message"]) == (422, message)
        assert acts(sandbox) == []

    def test_an_unknown_assignee_leaves_nothing_behind(self, sandbox: SandboxServer, repo: Repository) -> None:
        with pytest.raises(GithubException) as refused:
            repo.create_issue(title="x", assignees=["nobody-known"])
        assert refused.value.status == 422
        assert refused.value.data["errors"][0] == {
            "resource": "Issue",
            "field": "assignees",
            "code": "invalid",
            "value": "nobody-known",
        }
        assert list(repo.get_issues()) == []

    def test_what_is_not_there_is_404(self, repo: Repository) -> None:
        with pytest.raises(UnknownObjectException):
            repo.get_issue(99)

    def test_broken_json_is_400(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/github/api/v3/repos/{REPO}/issues"
        answer = HTTP.post(url, content=b"{", headers={"Authorization": "token sandbox-github-token"})
        assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")

    def test_the_budget_is_shown_always_and_enforced_when_seeded(self, service: GitHub, repo: Repository) -> None:
        assert repo.raw_headers["x-ratelimit-limit"] == "5000"
        service.seed({"rate_limit": 2})
        repo.get_issues().totalCount  # noqa: B018 - one request
        repo.create_issue(title="the last one")
        with pytest.raises(RateLimitExceededException) as spent:
            repo.create_issue(title="too much")
        assert spent.value.headers is not None
        assert spent.value.headers["x-ratelimit-remaining"] == "0"
        assert service.issues()[-1][1].title == "the last one"


class TestSearch:
    def test_a_new_issue_is_found_only_after_the_index_caught_up(self, service: GitHub, client: Github, repo: Repository) -> None:
        service.seed({"search_lag_seconds": 3600})
        repo.create_issue(title="marker", body="tenure-key: trial-acme.example", labels=["mi"])
        query = f'repo:{REPO} is:issue is:open label:mi in:body "tenure-key: trial-acme.example"'
        assert client.search_issues(query).totalCount == 0
        service.seed({"search_lag_seconds": 0})
        assert [i.title for i in client.search_issues(query)] == ["marker"]
        assert client.search_issues(f"repo:{REPO} -label:mi marker").totalCount == 0
        assert client.search_issues(f"repo:{REPO} is:closed marker").totalCount == 0

    def test_the_lag_is_two_seconds_by_default(self, service: GitHub) -> None:
        assert service.search_lag_seconds == 2.0


class TestWebhooks:
    def test_events_arrive_in_order_signed_over_the_raw_body(
        self, sandbox: SandboxServer, service: GitHub, receiver: Receiver, repo: Repository
    ) -> None:
        issue = repo.create_issue(title="x", labels=["mi"])
        issue.edit(body="y")
        issue.edit(body="y")  # nothing changes, so nothing is told
        issue.create_comment("hello")
        issue.remove_from_labels("mi")
        issue.edit(state="closed")
        issue.edit(state="open")
        assert service.deliverer.wait_idle()
        assert receiver.events() == [
            ("issues", "opened"),
            ("issues", "labeled"),
            ("issues", "edited"),
            ("issue_comment", "created"),
            ("issues", "unlabeled"),
            ("issues", "closed"),
            ("issues", "reopened"),
        ]
        secret = sandbox.world.webhook_secret.encode()
        for headers, body in receiver.got:
            assert headers["x-hub-signature-256"] == "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        assert len({headers["x-github-delivery"] for headers, _ in receiver.got}) == 7
        labeled = json.loads(receiver.got[1][1])
        assert labeled["label"]["name"] == "mi"
        assert labeled["repository"]["full_name"] == REPO
        assert labeled["issue"]["body"] is None, "the payload shows the issue as it was at that moment"

    def test_a_receiver_that_is_down_is_recorded_and_nothing_is_repeated(
        self, sandbox: SandboxServer, service: GitHub, repo: Repository
    ) -> None:
        sandbox.world.webhook_url = "http://127.0.0.1:1/hooks"
        repo.create_issue(title="x")
        assert service.deliverer.wait_idle()
        assert [(d.delivered, d.status, bool(d.error)) for d in service.deliveries] == [(False, None, True)]

    def test_redelivery_keeps_the_id(self, sandbox: SandboxServer, service: GitHub, receiver: Receiver, repo: Repository) -> None:
        repo.create_issue(title="x")
        assert service.deliverer.wait_idle()
        first = HTTP.get(f"{sandbox.url}/github/_control/deliveries").json()[0]
        assert HTTP.post(f"{sandbox.url}/github/_control/redeliver", json={"id": first["id"]}).status_code == 202
        assert service.deliverer.wait_idle()
        assert [headers["x-github-delivery"] for headers, _ in receiver.got] == [first["id"]] * 2
        assert receiver.got[0][1] == receiver.got[1][1]

    def test_a_registered_hook_gets_its_own_events_under_its_own_secret(
        self, sandbox: SandboxServer, service: GitHub, receiver: Receiver, repo: Repository
    ) -> None:
        sandbox.world.webhook_url = ""
        hook = repo.create_hook("web", {"url": receiver.url, "content_type": "json", "secret": "own"}, ["issue_comment"])
        repo.create_issue(title="x").create_comment("hello")
        assert service.deliverer.wait_idle()
        assert receiver.events() == [("ping", ""), ("issue_comment", "created")]
        headers, body = receiver.got[1]
        assert headers["x-hub-signature-256"] == "sha256=" + hmac.new(b"own", body, hashlib.sha256).hexdigest()
        assert [h.config["secret"] for h in repo.get_hooks()] == ["********"]
        with pytest.raises(GithubException) as refused:
            repo.create_hook("web", {"url": hook.config["url"]}, ["issues"])
        assert refused.value.status == 422

    def test_payloads_have_the_fields_of_recorded_ones(self, service: GitHub, receiver: Receiver, repo: Repository) -> None:
        recorded = contract("gh-webhooks.json.gz")
        issue = repo.create_issue(title="x", labels=["mi"])
        issue.create_comment("hello")
        assert service.deliverer.wait_idle()
        for (headers, body), (name, example) in zip(
            [receiver.got[0], receiver.got[2]],
            [("issues", recorded["issues"][0]), ("issue_comment", recorded["issue_comment"][0])],
            strict=True,
        ):
            assert headers["x-github-event"] == name
            sent = json.loads(body)
            for part in ("issue", "repository", "sender", "comment"):
                if part in example and part in sent:
                    assert set(example[part]) - set(sent[part]) == set(), part


class TestActions:
    def test_a_dispatch_makes_a_run_that_creates_a_warm_instance(
        self, sandbox: SandboxServer, service: GitHub, receiver: Receiver, repo: Repository
    ) -> None:
        service.seed({"cloud": {"action_delay_seconds": 0.05}})
        workflow = repo.get_workflow("create-instance.yml")
        assert workflow.create_dispatch("main", {"host": "src-1.sandbox.example", "request": "pool-17"}, throw=True)
        run = next(iter(workflow.get_runs()))
        assert run.event == "workflow_dispatch"
        assert "pool-17" in run.display_title
        eventually(lambda: repo.get_workflow_run(run.id).status == "completed")
        assert repo.get_workflow_run(run.id).conclusion == "success"
        assert sandbox.world.services["instances"].get("src-1.sandbox.example").kind == "warm"
        assert service.deliverer.wait_idle()
        assert receiver.events()[-1] == ("workflow_run", "completed")
        told = json.loads(receiver.got[-1][1])["workflow_run"]
        assert (told["id"], told["conclusion"], told["display_title"]) == (run.id, "success", run.display_title)
        assert acts(sandbox) == ["workflow.dispatched"]
        assert [e.act for e in sandbox.world.log.effects if e.service == "cloud"] == ["instance.created", "run.completed"]
        assert [r.id for r in repo.get_workflow_runs(status="success")] == [run.id]
        assert list(repo.get_workflow_runs(status="failure")) == []
        assert list(repo.get_workflow_runs(created=f"<{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}")) == []

    def test_a_run_can_be_made_to_fail(self, sandbox: SandboxServer, repo: Repository) -> None:
        answer = HTTP.post(f"{sandbox.url}/github/_control/actions", json={"fail_next": 1, "delay_seconds": 0.02})
        assert answer.json() == {"fail_next": 1}
        workflow = repo.get_workflow("create-instance.yml")
        for host in ("a.sandbox.example", "b.sandbox.example"):
            workflow.create_dispatch("main", {"host": host, "request": host}, throw=True)
        eventually(lambda: all(run.status == "completed" for run in workflow.get_runs()))
        assert {run.display_title.split()[-1]: run.conclusion for run in workflow.get_runs()} == {
            "a.sandbox.example": "failure",
            "b.sandbox.example": "success",
        }
        assert [i.host for i in sandbox.world.services["instances"].all()] == ["b.sandbox.example"]

    def test_an_unknown_workflow_file_is_404(self, repo: Repository) -> None:
        with pytest.raises(UnknownObjectException):
            repo.get_workflow("nothing.yml")


class TestContract:
    def test_answers_satisfy_the_published_description(self, sandbox: SandboxServer, repo: Repository) -> None:
        schemas = contract("github.json.gz")["components"]["schemas"]
        issue = repo.create_issue(title="x", labels=["mi"], milestone=repo.create_milestone("m"))
        issue.create_comment("hello")
        workflow = repo.get_workflow("create-instance.yml")
        workflow.create_dispatch("main", {"host": "", "request": "r"}, throw=True)
        api = f"{sandbox.url}/github/api/v3"
        below = f"{api}/repos/{REPO}"
        for name, url, steps in [
            ("simple-user", f"{api}/user", ()),
            ("full-repository", below, ()),
            ("issue", f"{below}/issues/1", ()),
            ("issue-comment", f"{below}/issues/1/comments", (0,)),
            ("label", f"{below}/labels", (0,)),
            ("milestone", f"{below}/milestones", (0,)),
            ("workflow", f"{below}/actions/workflows/create-instance.yml", ()),
            ("workflow-run", f"{below}/actions/runs", ("workflow_runs", 0)),
        ]:
            answer: Any = HTTP.get(url, headers={"Authorization": "token sandbox-github-token"}).json()
            for step in steps:
                answer = answer[step]
            assert set(schemas[name]["required"]) - set(answer) == set(), name
            for field, value in answer.items():
                kind = schemas[name]["properties"].get(field, {}).get("type")
                if kind in TYPES and value is not None:
                    assert isinstance(value, TYPES[kind]), f"{name}.{field}"


TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def test_an_issue_is_deleted_and_transferred_as_on_its_page(
    sandbox: SandboxServer, service: GitHub, repo: Repository, receiver: Receiver
) -> None:
    """410 and 301, as documented for ``GET …/issues/{number}``; numbers are never given again; the webhooks carry both ends of a transfer."""
    first, second = repo.create_issue("one", body="x"), repo.create_issue("two", labels=["mi"])
    control = f"{sandbox.url}/github/_control/issue"
    assert HTTP.post(control, json={"issue": first.number, "do": "delete"}).json() == {"did": "delete", "issue": 1}
    assert HTTP.post(control, json={"issue": second.number, "do": "transfer", "to": "acme-vendor/cloud"}).status_code == 200
    assert HTTP.post(control, json={"issue": second.number, "do": "close"}).status_code == 404
    with pytest.raises(GithubException) as gone:
        repo.get_issue(1)
    assert (gone.value.status, gone.value.data["message"]) == (410, "This issue was deleted")
    moved = repo.get_issue(2)  # PyGithub follows a 301, whatever it asks for
    assert moved.html_url.endswith("/acme-vendor/cloud/issues/1")
    assert repo.create_issue("three").number == 3
    eventually(lambda: {("issues", "deleted"), ("issues", "transferred")} <= set(receiver.events()))
    changes = next(tree["changes"] for _, body in receiver.got if (tree := json.loads(body))["action"] == "transferred")
    assert (changes["new_repository"]["full_name"], changes["new_issue"]["number"]) == ("acme-vendor/cloud", 1)


def test_an_outsiders_comment_says_so(service: GitHub, repo: Repository) -> None:
    service.seed({"outsiders": ["mallory"]})
    issue = repo.create_issue("one")
    held = service.hub.repo(*REPO.split("/"))
    for login in ("mallory", "cloud-team"):
        service.hub.add_comment(held, held.issues[issue.number], login, "hello")
    assert [comment.raw_data["author_association"] for comment in issue.get_comments()] == ["NONE", "MEMBER"]


def contract(name: str) -> Any:
    path = CONTRACTS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(gzip.decompress(path.read_bytes()))


def eventually(check: Callable[[], bool], seconds: float = 30.0) -> None:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if check():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come true in time")
