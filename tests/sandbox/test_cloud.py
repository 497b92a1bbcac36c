"""The scripted Cloud team: what it does for each kind of issue, by itself and on demand, and that webhooks tell of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from sandbox.cloud import Agenda, read_fields
from sandbox.github import GitHub
from sandbox.github_store import CLOUD, Issue, Repo
from sandbox.instances import Instances
from sandbox.server import SandboxServer

HOST = "acme.sandbox.example"


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
    server.world.reset()
    return server


@pytest.fixture
def github(sandbox: SandboxServer) -> GitHub:
    service: GitHub = sandbox.world.services["github"]
    return service


@pytest.fixture
def instances(sandbox: SandboxServer) -> Instances:
    service: Instances = sandbox.world.services["instances"]
    return service


@pytest.fixture
def repo(github: GitHub) -> Repo:
    return github.hub.repo("acme-vendor", "customer")


def raise_issue(sandbox: SandboxServer, body: str, *labels: str) -> int:
    """An issue as a client makes it; its number."""
    answer = HTTP.post(
        f"{sandbox.url}/github/api/v3/repos/acme-vendor/customer/issues",
        headers={"Authorization": "token sandbox-github-token"},
        json={"title": "Request", "body": body, "labels": ["team/cloud", "mi", *labels]},
    )
    number: int = answer.json()["number"]
    return number


def control(sandbox: SandboxServer, path: str, **body: Any) -> httpx.Response:
    return HTTP.post(f"{sandbox.url}/github/_control/{path}", json=body)


def said(issue: Issue) -> list[str]:
    assert {comment.author for comment in issue.comments} <= {CLOUD}
    return [comment.body for comment in issue.comments]


def cloud_acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "cloud"]


def eventually(check: Callable[[], bool], seconds: float = 30.0) -> None:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if check():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come true in time")


class TestOnDemand:
    def test_it_is_off_by_default(self, sandbox: SandboxServer, github: GitHub, instances: Instances, repo: Repo) -> None:
        number = raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
        assert HTTP.get(f"{sandbox.url}/github/_control/cloud").json()["mode"] == "off"
        assert not instances.exists(HOST)
        assert repo.issues[number].comments == []

    def test_an_instance_request_is_provided_whatever_the_ce_field_holds(
        self, sandbox: SandboxServer, github: GitHub, instances: Instances, repo: Repo
    ) -> None:
        number = raise_issue(sandbox, f"```yaml\ncustomer: acme\nce_email: TODO\nhost: {HOST}\n```", "mi/instance-request")
        answer = control(sandbox, "cloud/act", issue=number, repo="acme-vendor/customer")
        assert answer.json() == {"acted": "mi/instance-request"}
        assert instances.get(HOST).kind == "trial"
        issue = repo.issues[number]
        assert said(issue) == [f"Instance ready: https://{HOST}"]
        assert "cloud-trial/instance-ready" in issue.labels
        assert issue.state == "open"
        assert cloud_acts(sandbox) == ["instance.created", "comment.created", "label.added"]
        assert [e.act for e in sandbox.world.log.effects if e.service == "github"] == ["issue.created"]

    def test_a_failure_is_told_and_makes_nothing(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        number = raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
        control(sandbox, "cloud/act", issue=number, fail="quota exceeded")
        assert said(repo.issues[number]) == ["Failed: quota exceeded"]
        assert "cloud-trial/failed" in repo.issues[number].labels
        assert not instances.exists(HOST)

    @pytest.mark.parametrize("body", ["no host at all", "host: not a host"])
    def test_without_a_host_it_fails(self, sandbox: SandboxServer, repo: Repo, body: str) -> None:
        number = raise_issue(sandbox, body, "mi/instance-request")
        control(sandbox, "cloud/act", issue=number)
        assert said(repo.issues[number]) == ["Failed: The issue has no `host:` line that names a host."]

    def test_an_extension_is_noted_and_closed(self, sandbox: SandboxServer, repo: Repo) -> None:
        number = raise_issue(sandbox, f"host: {HOST}\nuntil: 2030-01-31", "mi/extend-trial-request")
        control(sandbox, "cloud/act", issue=number)
        issue = repo.issues[number]
        assert said(issue) == ["Trial extended until 2030-01-31."]
        assert (issue.state, issue.state_reason, issue.closed_by) == ("closed", "completed", CLOUD)

    def test_a_teardown_warns_then_destroys_then_closes(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        instances.create(HOST, "trial")
        number = raise_issue(sandbox, f"- **host:** `{HOST}`", "mi/teardown-request")
        control(sandbox, "cloud/act", issue=number)
        assert not instances.exists(HOST)
        assert "in 1 hour" in said(repo.issues[number])[0]
        assert repo.issues[number].state == "closed"
        assert cloud_acts(sandbox) == ["comment.created", "instance.deleted", "issue.closed"]

    def test_a_conversion_makes_it_production(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        instances.create(HOST, "trial")
        number = raise_issue(sandbox, f"host: {HOST}", "mi/convert-request")
        control(sandbox, "cloud/act", issue=number)
        assert instances.get(HOST).kind == "production"
        assert "production" in repo.issues[number].labels
        assert repo.issues[number].state == "closed"

    def test_a_domain_change_moves_the_instance(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        instances.create(HOST, "trial")
        number = raise_issue(sandbox, f"host: https://{HOST}/\nnew_host: next.sandbox.example", "mi/domain-change-request")
        control(sandbox, "cloud/act", issue=number)
        assert (instances.exists(HOST), instances.exists("next.sandbox.example")) == (False, True)
        assert said(repo.issues[number]) == ["Domain changed: https://next.sandbox.example"]
        assert repo.issues[number].state == "closed"

    def test_a_domain_change_to_a_taken_or_from_an_unknown_host_fails(
        self, sandbox: SandboxServer, instances: Instances, repo: Repo
    ) -> None:
        unknown = raise_issue(sandbox, f"host: {HOST}\nnew_host: b.example", "mi/domain-change-request")
        control(sandbox, "cloud/act", issue=unknown)
        assert said(repo.issues[unknown]) == [f"Failed: There is no instance at {HOST}."]
        instances.create(HOST, "trial")
        instances.create("b.example", "trial")
        taken = raise_issue(sandbox, f"host: {HOST}\nnew_host: b.example", "mi/domain-change-request")
        control(sandbox, "cloud/act", issue=taken)
        assert said(repo.issues[taken]) == ["Failed: b.example is taken."]
        assert repo.issues[taken].state == "open"

    def test_what_cannot_be_acted_on_is_refused(self, sandbox: SandboxServer) -> None:
        number = raise_issue(sandbox, "nothing asked")
        assert control(sandbox, "cloud/act", issue=number).status_code == 409
        assert control(sandbox, "cloud/act", issue=99).status_code == 404
        assert control(sandbox, "cloud", mode="sometimes").status_code == 400


class TestAuto:
    def test_it_acts_once_a_moment_after_the_label(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        control(sandbox, "cloud", mode="auto", delay_seconds=0.01)
        number = raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
        eventually(lambda: "cloud-trial/instance-ready" in repo.issues[number].labels)
        url = f"{sandbox.url}/github/api/v3/repos/acme-vendor/customer/issues/{number}/labels"
        for verb in ("DELETE", "POST"):  # taking the label off and putting it on again is not a second request
            HTTP.request(
                verb,
                f"{url}/mi%2Finstance-request" if verb == "DELETE" else url,
                headers={"Authorization": "token sandbox-github-token"},
                json={"labels": ["mi/instance-request"]} if verb == "POST" else None,
            )
        other = raise_issue(sandbox, f"host: {HOST}", "mi/extend-trial-request")
        eventually(lambda: repo.issues[other].state == "closed")
        assert said(repo.issues[number]) == [f"Instance ready: https://{HOST}"]
        assert cloud_acts(sandbox).count("instance.created") == 1

    def test_turned_on_it_takes_up_what_waits(self, sandbox: SandboxServer, instances: Instances, repo: Repo) -> None:
        waiting = raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
        control(sandbox, "cloud", mode="auto", delay_seconds=0.01)
        eventually(lambda: "cloud-trial/instance-ready" in repo.issues[waiting].labels)
        assert instances.exists(HOST)

    def test_its_work_leaves_as_webhooks_of_the_team(self, sandbox: SandboxServer, github: GitHub, repo: Repo) -> None:
        sandbox.world.webhook_url = "http://127.0.0.1:1/hooks"
        try:
            number = raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
            control(sandbox, "cloud/act", issue=number)
            assert github.deliverer.wait_idle()
        finally:
            sandbox.world.webhook_url = ""
        by_team = [(d.event, d.action) for d in github.deliveries if d.payload["sender"]["login"] == CLOUD]
        assert by_team == [("issue_comment", "created"), ("issues", "labeled")]

    def test_a_reset_forgets_what_was_about_to_happen(self, sandbox: SandboxServer, instances: Instances) -> None:
        control(sandbox, "cloud", mode="auto", delay_seconds=0.5)
        raise_issue(sandbox, f"host: {HOST}", "mi/instance-request")
        sandbox.world.reset()
        done = threading.Event()
        later = Agenda()
        later.after(1.0, done.set)  # well after the act would have come
        assert done.wait(30)
        assert not instances.exists(HOST)
        assert sandbox.world.log.effects == []


class TestReading:
    def test_fields_are_read_in_every_dress(self) -> None:
        body = "Intro text\n```\nhost: a.example\n```\n* **New host**: `b.example`\n> ce-email: TODO\n- _size_: small\nhost: second.example"
        assert read_fields(body) == {"host": "a.example", "new_host": "b.example", "ce_email": "TODO", "size": "small"}

    def test_an_empty_body_has_none(self) -> None:
        assert read_fields(None) == {}
        assert read_fields("host:\n") == {}
