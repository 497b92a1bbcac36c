"""The sandbox over a restart: what is kept, what goes on, and what happens to a file that cannot be read."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import codec, state
from sandbox.__main__ import parse
from sandbox.core import Fault, World
from sandbox.licensing import TOKEN
from sandbox.server import SandboxServer, bind

HOST = "acme.sandbox.example"
REPO = "/github/api/v3/repos/acme-vendor/customer"
GITHUB = {"Authorization": "token sandbox-github-token"}
SLACK = {"Authorization": "Bearer xoxb-sandbox"}
SALESFORCE = {"Authorization": "Bearer sandbox-session"}
LICENSING = {"Authorization": f"token {TOKEN}"}
VITALLY = {"Authorization": "Basic " + b64encode(b"sandbox-vitally-key:").decode()}
SHEETS = {"Authorization": "Bearer sandbox-sheets-token"}
OPERATOR = {"Authorization": "token sandbox-operator-token"}
ROUTING_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sandbox.state"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "PAUSE", 0.01)


def eventually(check: Callable[[], bool], seconds: float = 30.0) -> None:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if check():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come true in time")


def content(path: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(path.read_bytes())
    return held


def alter(path: Path, service: str, **fields: Any) -> None:
    held = content(path)
    held["services"][service].update(fields)
    path.write_text(json.dumps(held))


def post(url: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
    answer = httpx.post(url, headers=headers, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def graphql(url: str, headers: dict[str, str], query: str, **variables: Any) -> Any:
    answer = post(f"{url}/.api/graphql", headers, {"query": query, "variables": variables})
    assert "errors" not in answer, answer
    return answer["data"]


def raise_issue(url: str, *labels: str, body: str = f"host: {HOST}") -> int:
    return int(post(url + REPO + "/issues", GITHUB, {"title": "Request", "body": body, "labels": list(labels)})["number"])


def use_everything(url: str, smtp_port: int) -> dict[str, Any]:
    """Change something in every service, as clients do; returns the ids and numbers that came of it, in this order every time."""
    made: dict[str, Any] = {}
    name = f"trial-{len(httpx.get(f'{url}/_sandbox/log').json())}"
    made["channel"] = post(f"{url}/slack/api/conversations.create", SLACK, {"name": name})["channel"]["id"]
    said = post(f"{url}/slack/api/chat.postMessage", SLACK, {"channel": made["channel"], "text": "hällo <https://a.example>"})
    made["ts"] = said["ts"]
    post(f"{url}/slack/api/reactions.add", SLACK, {"channel": made["channel"], "timestamp": said["ts"], "name": "eyes"})
    made["issue"] = raise_issue(url, "mi/instance-request")
    made["comment"] = post(f"{url}{REPO}/issues/{made['issue']}/comments", GITHUB, {"body": "seen"})["id"]
    post(f"{url}/github/_control/cloud/act", {}, {"issue": made["issue"]})
    made["lead"] = post(f"{url}/salesforce/services/data/v59.0/sobjects/Lead", SALESFORCE, {"LastName": name, "Company": "Acme"})["id"]
    account = "mutation ($n: String!, $e: String!) { createUser(username: $n, email: $e) { user { id } } }"
    made["user"] = graphql(f"{url}/instances/{HOST}", OPERATOR, account, n=name, e=f"{name}@acme.example")["createUser"]["user"]["id"]
    post(f"{url}/instances/_control/{HOST}", {}, {"code_hosts": 2, "users": [{"username": name, "last_active": "2030-01-31T10:00:00"}]})
    owner = graphql(f"{url}/licensing", LICENSING, '{ user(username: "tenure-trials") { id } }')["user"]["id"]
    subscribe = "mutation ($a: ID!) { dotcom { createProductSubscription(accountID: $a) { id } } }"
    made["subscription"] = graphql(f"{url}/licensing", LICENSING, subscribe, a=owner)["dotcom"]["createProductSubscription"]["id"]
    license_ = """mutation ($s: ID!, $l: ProductLicenseInput!) { dotcom {
        generateProductLicenseForSubscription(productSubscriptionID: $s, license: $l) { id } } }"""
    info = {"tags": ["trial"], "userCount": 5, "expiresAt": 1_900_000_000}
    answer = graphql(f"{url}/licensing", LICENSING, license_, s=made["subscription"], l=info)
    made["license"] = answer["dotcom"]["generateProductLicenseForSubscription"]["id"]
    event = {"summary": name, "source": "tenure", "severity": "error"}
    post(f"{url}/pagerduty/v2/enqueue", {}, {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": name, "payload": event})
    account = post(f"{url}/vitally/resources/accounts", VITALLY, {"externalId": name, "name": name, "traits": {"seats": 5}})
    made["account"] = account["id"]
    note = {"accountId": account["id"], "note": "hällo", "noteDate": "2030-01-31"}
    made["note"] = post(f"{url}/vitally/resources/notes", VITALLY, note)["id"]
    append = f"{url}/sheets/v4/spreadsheets/red-accounts-tracker/values/A1:append?valueInputOption=RAW"
    made["row"] = post(append, SHEETS, {"values": [[name, 5, True]]})["updates"]["updatedRange"]
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@tenure.example", "b@acme.example", name
    mail.set_content("Grüße")
    with smtplib.SMTP("127.0.0.1", smtp_port) as smtp:
        smtp.send_message(mail)
    made["mail"] = httpx.get(f"{url}/_sandbox/mail").json()[-1]["number"]
    made["effect"] = httpx.get(f"{url}/_sandbox/log").json()[-1]["number"]
    made["incident"] = httpx.get(f"{url}/_sandbox/services/pagerduty").json()["view"]["incidents"][0]["number"]
    return made


def seen(url: str) -> dict[str, Any]:
    """Everything that can be read of the services, as the page reads it."""
    names = [one["name"] for one in httpx.get(f"{url}/_sandbox/services").json()]
    return {name: httpx.get(f"{url}/_sandbox/services/{name}").json() for name in names}


@dataclass
class Process:
    """A sandbox in a process of its own. ``first`` holds what it said before it was ready."""

    running: subprocess.Popen[str]
    url: str = ""
    smtp_port: int = 0
    first: list[str] = field(default_factory=list)

    def end(self, number: signal.Signals) -> int:
        self.running.send_signal(number)
        return self.running.wait(timeout=60)


@contextmanager
def process(path: Path, *options: str) -> Iterator[Process]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")} | {"SANDBOX_STATE": str(path)}
    command = [sys.executable, "-m", "sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        try:
            one = Process(running)
            assert running.stderr is not None
            for line in running.stderr:
                if line.startswith("sandbox on "):
                    words = line.split()
                    one.url, one.smtp_port = words[2].rstrip(","), int(words[-1].rsplit(":", 1)[1])
                    break
                one.first.append(line)
            assert one.url, one.first
            yield one
        finally:
            running.kill()


class TestProcess:
    def test_it_is_the_same_world_after_a_restart_and_numbers_go_on(self, path: Path) -> None:
        with process(path) as first:
            before = use_everything(first.url, first.smtp_port)
            shown = seen(first.url)
            assert first.end(signal.SIGTERM) == 0
        with process(path) as second:
            assert second.first == []
            assert seen(second.url) == shown
            after = use_everything(second.url, second.smtp_port)
            assert (after["issue"], after["mail"], after["incident"]) == (before["issue"] + 1, before["mail"] + 1, before["incident"] + 1)
            assert after["effect"] > before["effect"]
            assert float(after["ts"]) > float(before["ts"])
            assert all(after[name] != before[name] for name in before)
            assert second.end(signal.SIGINT) == 0
        assert path.stat().st_mode & 0o777 == 0o600
        assert sorted(one.name for one in path.parent.iterdir()) == [path.name]

    def test_a_kill_loses_at_most_the_last_moment(self, path: Path) -> None:
        with process(path) as first:
            raise_issue(first.url, "mi/instance-request")
            eventually(lambda: path.exists() and "mi/instance-request" in path.read_text())
            first.end(signal.SIGKILL)
        with process(path) as second:
            assert raise_issue(second.url) == 2

    @pytest.mark.parametrize("broken", ["", "{", "[]", '{"version": 0}', '{"version": 1, "log": 5, "services": {}}', "\udcff"])
    def test_a_file_that_cannot_be_read_is_set_aside(self, path: Path, broken: str) -> None:
        path.parent.mkdir()
        path.write_bytes(broken.encode("utf-8", "surrogateescape"))
        lines: list[str] = []
        world = World()
        with SandboxServer(world):
            fresh = state.snapshot(world)
            state.Keeper(world, path, lines.append).load()
            assert state.snapshot(world) == fresh
        assert len(lines) == 1
        assert "begins empty" in lines[0]
        assert f"set aside as {path}.bad" in lines[0]
        assert path.with_name("sandbox.state.bad").read_bytes() == broken.encode("utf-8", "surrogateescape")
        assert not path.exists()

    def test_with_a_broken_file_it_starts_all_the_same(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_text("not a state")
        with process(path) as running:
            assert "begins empty" in "".join(running.first)
            assert raise_issue(running.url) == 1
            assert running.end(signal.SIGTERM) == 0
        assert content(path)["version"] == state.VERSION

    def test_the_cloud_team_begins_as_told_and_stays_as_it_was_set(self, path: Path) -> None:
        def team(url: str) -> tuple[str, float]:
            found = httpx.get(f"{url}/github/_control/cloud").json()
            return found["mode"], found["delay_seconds"]

        with process(path, "--cloud", "auto", "--cloud-delay", "3") as first:
            assert team(first.url) == ("auto", 3)
            post(f"{first.url}/_sandbox/reset", {}, {})
            assert team(first.url) == ("auto", 3)
            post(f"{first.url}/github/_control/cloud", {}, {"mode": "off"})
            first.end(signal.SIGTERM)
        with process(path, "--cloud", "auto") as second:
            assert team(second.url) == ("off", 3)

    def test_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        options = parse([], {})
        assert (options.state, options.cloud, options.cloud_delay) == ("", "off", 0.2)
        options = parse(["--cloud", "auto"], {"SANDBOX_STATE": "s", "SANDBOX_CLOUD": "off", "SANDBOX_CLOUD_DELAY": "3"})
        assert (options.state, options.cloud, options.cloud_delay) == ("s", "auto", 3)
        with pytest.raises(SystemExit):
            parse(["--cloud", "sometimes"], {})
        assert "neither off nor auto" in capsys.readouterr().err


class TestKeeping:
    def test_every_service_is_kept(self) -> None:
        with SandboxServer() as running:
            assert set(state.KEPT) | {"oidc"} == set(running.world.services)  # who signs in waits for no restart

    def test_nothing_of_what_is_kept_is_lost_or_changed(self, path: Path) -> None:
        with SandboxServer(state=path) as first:
            use_everything(first.url, first.smtp_port)
            first.world.faults.append(Fault("slack", "slow"))
        with SandboxServer(state=path) as second:
            assert state.snapshot(second.world) == state.snapshot(first.world)
            assert second.world.faults == []  # a plan is of one run

    def test_a_large_state_is_read_back_whole(self, path: Path) -> None:
        with SandboxServer(state=path) as first:
            for number in range(5000):
                first.world.log.effect("slack", "message.posted", f"message {number}", text="x" * 100)
        with SandboxServer(state=path) as second:
            assert second.world.log.effects == first.world.log.effects

    def test_a_reset_empties_the_file_too(self, path: Path) -> None:
        with SandboxServer(state=path) as running:
            raise_issue(running.url)
            eventually(lambda: path.exists() and content(path)["log"]["effects"] != [])
            post(f"{running.url}/_sandbox/reset", {}, {})
            eventually(lambda: content(path)["log"]["effects"] == [])
            assert content(path)["services"]["github"]["hub"]["repos"] == {}

    def test_every_way_to_change_something_is_noticed(self, path: Path) -> None:
        with SandboxServer(state=path) as running:
            url = running.url
            raise_issue(url)
            eventually(lambda: path.exists())

            def kept() -> dict[str, Any]:
                found: dict[str, Any] = content(path)["services"]
                return found

            httpx.get(f"{url}/slack/api/conversations.create", params={"name": "by-get"}, headers=SLACK)
            eventually(lambda: "by-get" in json.dumps(kept()["slack"]))
            post(f"{url}/_sandbox/seed", {}, {"instances": {"instances": [{"host": "seeded.example"}]}})
            eventually(lambda: "seeded.example" in kept()["instances"]["instances"])
            post(f"{url}/github/_control/cloud", {}, {"mode": "auto", "delay_seconds": 0.01})
            eventually(lambda: kept()["cloud"]["mode"] == "auto")
            number = raise_issue(url, "mi/instance-request")  # done on a thread, without a request
            eventually(lambda: kept()["cloud"]["done"] == [["acme-vendor/customer", number, "mi/instance-request"]])
            with smtplib.SMTP("127.0.0.1", running.smtp_port) as smtp:
                smtp.sendmail("a@tenure.example", ["b@acme.example"], b"Subject: kept\r\n\r\nHello\r\n")
            eventually(lambda: [mail["subject"] for mail in kept()["smtp"]["mails"]] == ["kept"])

    def test_who_only_looks_changes_nothing(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = 0

        def counted(world: World, take: Callable[[World], bytes] = state.snapshot) -> bytes:
            nonlocal taken
            taken += 1
            return take(world)

        monkeypatch.setattr(state, "snapshot", counted)
        with SandboxServer(state=path) as running:
            raise_issue(running.url)
            eventually(lambda: path.exists())
            file, before, told = path.stat().st_ino, taken, 0
            noticed = running.world.on_change

            def on_change() -> None:
                nonlocal told
                told += 1
                noticed()

            running.world.on_change = on_change
            for own in ("/", "/healthz", "/services/slack", "/_sandbox/log", "/_sandbox/services/github", "/github/_control/cloud"):
                assert httpx.get(running.url + own).status_code == 200
            assert told == 0
            # A provider's GET may act, so it makes a snapshot, which turns out to be the same: the file stays.
            assert httpx.get(f"{running.url}{REPO}/issues", headers=GITHUB).status_code == 200
            eventually(lambda: taken > before)
            running.stop()
            assert path.stat().st_ino == file

    def test_a_place_that_cannot_be_written_is_told_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        world, lines = World(), list[str]()
        with SandboxServer(world):
            keeper = state.Keeper(world, tmp_path / "file" / "sandbox.state", lines.append)
            keeper.save()
            keeper.save()
        assert len(lines) == 1
        assert "cannot keep its state" in lines[0]


class TestGoingOn:
    def test_what_the_cloud_team_had_noticed_is_done(self, path: Path) -> None:
        with SandboxServer(state=path) as first:
            post(f"{first.url}/github/_control/cloud", {}, {"mode": "auto", "delay_seconds": 600})
            done = raise_issue(first.url, "mi/instance-request", body="host: done.example")
            post(f"{first.url}/github/_control/cloud/act", {}, {"issue": done})
            number = raise_issue(first.url, "mi/instance-request")
        first.world.reset()  # its own timers
        alter(path, "cloud", delay_seconds=0.01)
        with SandboxServer(state=path) as second:
            instances, hub = second.world.services["instances"], second.world.services["github"].hub
            eventually(lambda: instances.exists(HOST))
            issues = hub.repo("acme-vendor", "customer").issues
            eventually(lambda: "cloud-trial/instance-ready" in issues[number].labels)
            assert [comment.body for comment in issues[done].comments] == ["Instance ready: https://done.example"]

    def test_when_off_it_leaves_them(self, path: Path) -> None:
        with SandboxServer(state=path) as first:
            number = raise_issue(first.url, "mi/instance-request")
        with SandboxServer(state=path) as second:
            taken_up = threading.Event()
            second.world.services["cloud"].agenda.after(0.1, taken_up.set)
            assert taken_up.wait(30)
            assert second.world.services["github"].hub.repo("acme-vendor", "customer").issues[number].comments == []

    def test_a_run_goes_on_and_fails_if_it_was_to(self, path: Path) -> None:
        with SandboxServer(state=path) as first:
            post(f"{first.url}/github/_control/actions", {}, {"fail_next": 1, "delay_seconds": 600})
            for host in ("failing.example", "warm.example"):
                url = f"{first.url}{REPO}/actions/workflows/create-instance.yml/dispatches"
                post(url, GITHUB, {"ref": "main", "inputs": {"host": host}})
        first.world.reset()
        alter(path, "cloud", action_delay_seconds=0.01)
        with SandboxServer(state=path) as second:
            runs = second.world.services["github"].hub.repo("acme-vendor", "customer").runs
            eventually(lambda: all(run.status == "completed" for run in runs))
            assert [run.conclusion for run in runs] == ["failure", "success"]
            assert [one.host for one in second.world.services["instances"].all()] == ["warm.example"]

    def test_webhooks_that_nobody_took_are_sent_once_somebody_listens(self, path: Path) -> None:
        reserved = bind("127.0.0.1", 0)
        port = reserved.getsockname()[1]
        hook = f"http://127.0.0.1:{port}/webhooks/github"
        with SandboxServer(state=path, webhook_url=hook) as first:
            post(f"{first.url}/github/_control/cloud", {}, {"mode": "auto", "delay_seconds": 600})
            raise_issue(first.url, "mi/instance-request")
            assert first.world.services["github"].deliverer.wait_idle()
        first.world.reset()
        alter(path, "cloud", delay_seconds=0.01)
        untaken = [one["id"] for one in content(path)["services"]["github"]["deliveries"]]
        with SandboxServer(state=path, webhook_url=hook) as second:
            assert not second.world.services["instances"].exists(HOST)
            reserved.close()
            with receiver(port) as taken:
                # Two that were lost (opened, labeled), then the two of the team's work (its comment, its label).
                eventually(lambda: len(taken) == 4)
                # The receiver has each before its answer has come back.
                eventually(lambda: all(one.delivered for one in second.world.services["github"].deliveries))
            assert taken[:2] == untaken


@contextmanager
def receiver(port: int) -> Iterator[list[str]]:
    """Something that takes webhooks; the ids of those it took."""
    taken: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(self.headers["X-GitHub-Delivery"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Inner:
    at: datetime
    tags: tuple[str, ...] = ()


@dataclass
class Outer:
    by_number: dict[int, Inner]
    keys: set[tuple[str, int]]
    inner: Inner | None = None
    rest: dict[str, Any] = field(default_factory=dict)


class TestCodec:
    def test_what_is_written_is_read(self) -> None:
        moment = datetime(2030, 1, 31, 10, 0, 0, 5, UTC)
        outer = Outer({7: Inner(moment, ("a", "b"))}, {("b", 2), ("a", 1)}, Inner(moment), {"x": [1, None, {"y": "ü\ud800"}]})
        assert codec.read(Outer, json.loads(codec.write(outer))) == outer

    def test_a_field_more_or_less_does_no_harm(self) -> None:
        assert codec.read(Outer, {"by_number": {}, "keys": [], "gone": 1}) == Outer({}, set())

    @pytest.mark.parametrize(
        "wrong", [{}, 5, {"by_number": [], "keys": []}, {"by_number": {}, "keys": {}}, {"by_number": {"x": {}}, "keys": []}]
    )
    def test_another_form_is_refused(self, wrong: Any) -> None:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            codec.read(Outer, wrong)

    def test_what_cannot_be_read_back_is_not_written(self) -> None:
        with pytest.raises(TypeError, match="object cannot be kept"):
            codec.write({"x": object()})
