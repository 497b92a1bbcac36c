"""What surrounds the services: planned faults over real connections, the control plane, the page, and the process itself."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.__main__ import parse
from sandbox.core import Fault, Kind, World
from sandbox.faults import refusal, take
from sandbox.server import SandboxServer

AUTHORIZED = {"Authorization": "Bearer xoxb-sandbox"}
#: Seconds to stop in, on a busy machine too; a server that waited for its clients would wait for ever.
SOON = 30


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def slack(sandbox: SandboxServer) -> WebClient:
    return WebClient(token="xoxb-sandbox", base_url=f"{sandbox.url}/slack/api/", retry_handlers=[])


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def post(sandbox: SandboxServer, text: str = "hello") -> httpx.Response:
    return httpx.post(f"{sandbox.url}/slack/api/chat.postMessage", headers=AUTHORIZED, json={"channel": "growth", "text": text}, timeout=60)


class TestFaults:
    @pytest.mark.parametrize(("kind", "kept"), [("cut_before", []), ("cut_after", ["message.posted"])])
    def test_a_connection_is_really_closed(self, sandbox: SandboxServer, kind: Kind, kept: list[str]) -> None:
        sandbox.world.faults.append(Fault("slack", kind))
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
            post(sandbox)
        assert acts(sandbox) == kept
        assert post(sandbox).json()["ok"]

    @pytest.mark.parametrize(("kind", "kept"), [("cut_before", 1), ("cut_after", 2)])
    def test_slack_sdk_sees_it_too(self, sandbox: SandboxServer, slack: WebClient, kind: Kind, kept: int) -> None:
        sandbox.world.faults.append(Fault("slack", kind, match="chat.postMessage"))
        slack.auth_test()
        with pytest.raises(ConnectionError):
            slack.chat_postMessage(channel="growth", text="hello")
        slack.chat_postMessage(channel="growth", text="hello")
        assert acts(sandbox) == ["message.posted"] * kept

    def test_only_the_one_connection_is_closed(self, sandbox: SandboxServer) -> None:
        with httpx.Client(headers=AUTHORIZED) as kept, httpx.Client(headers=AUTHORIZED) as cut:
            url = f"{sandbox.url}/slack/api/auth.test"
            assert kept.get(url).json()["ok"]
            sandbox.world.faults.append(Fault("slack", "cut_after"))
            with pytest.raises(httpx.RemoteProtocolError):
                cut.get(url)
            assert kept.get(url).json()["ok"]
            assert cut.get(url).json()["ok"]

    def test_slack_limits_as_slack_does(self, sandbox: SandboxServer, slack: WebClient) -> None:
        sandbox.world.faults.append(Fault("slack", "rate_limit", retry_after=3))
        with pytest.raises(SlackApiError) as error:
            slack.chat_postMessage(channel="growth", text="hello")
        assert error.value.response.status_code == 429
        assert error.value.response["error"] == "ratelimited"
        assert error.value.response.headers["retry-after"] == "3"
        assert acts(sandbox) == []

    def test_a_status_needs_no_service_and_counts_down(self, sandbox: SandboxServer) -> None:
        sandbox.world.faults.append(Fault("slack", "status", times=2, status=500))
        answers = [post(sandbox) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [500, 500, 200]
        assert answers[0].json() == {"ok": False, "error": "internal_error"}
        assert acts(sandbox) == ["message.posted"]

    def test_a_body_of_ones_own(self, sandbox: SandboxServer) -> None:
        sandbox.world.faults.append(Fault("slack", "status", status=200, body='{"ok": false, "error": "fatal_error"}'))
        answer = post(sandbox)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json()["error"] == "fatal_error"

    def test_a_slow_service_still_serves(self, sandbox: SandboxServer) -> None:
        sandbox.world.faults.append(Fault("slack", "slow", match="late", seconds=0.2))
        began = time.monotonic()
        assert post(sandbox, "late").json()["ok"]
        assert time.monotonic() - began >= 0.2
        assert [effect.data["text"] for effect in sandbox.world.log.effects] == ["late"]

    def test_a_slow_service_holds_up_nobody_else(self) -> None:
        with SandboxServer() as running, ThreadPoolExecutor(1) as pool:
            running.world.faults.append(Fault("slack", "slow", match="late", seconds=600))
            late = pool.submit(post, running, "late")
            _until(lambda: not running.world.faults)
            assert post(running, "prompt").json()["ok"]
            assert not late.done()
            running.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                late.result()
            assert [effect.data["text"] for effect in running.world.log.effects] == ["prompt"]

    @pytest.mark.parametrize("match", ["POST /slack/api/chat.postMessage", "?trace=7", "hello & good", "trial-acme"])
    def test_a_match_is_looked_for_in_path_query_and_body(self, sandbox: SandboxServer, match: str) -> None:
        sandbox.world.faults.append(Fault("slack", "status", match=match, status=500))
        url = f"{sandbox.url}/slack/api/"
        assert httpx.post(f"{url}auth.test", headers=AUTHORIZED).status_code == 200
        form = {"channel": "growth", "text": "hello & good day", "metadata": json.dumps({"event_type": "trial-acme", "event_payload": {}})}
        assert httpx.post(f"{url}chat.postMessage", params={"trace": 7}, headers=AUTHORIZED, data=form).status_code == 500

    def test_a_fault_strikes_its_own_service_only(self, sandbox: SandboxServer) -> None:
        sandbox.world.faults.append(Fault("pagerduty", "status"))
        assert post(sandbox).status_code == 200
        assert len(sandbox.world.faults) == 1

    def test_the_first_that_matches_is_used_up(self) -> None:
        world = World(faults=[Fault("slack", "slow", "a"), Fault("slack", "status", "b"), Fault("slack", "status", "", times=2)])
        kinds = [
            fault and (fault.kind, fault.match)
            for fault in (take(world, "slack", "b"), take(world, "slack", "b"), take(world, "slack", "b"))
        ]
        assert kinds == [("status", "b"), ("status", ""), ("status", "")]
        assert [fault.match for fault in world.faults] == ["a"]
        assert take(world, "slack", "b") is None

    def test_a_large_body_reaches_the_service_whole(self, sandbox: SandboxServer) -> None:
        sandbox.world.faults.append(Fault("slack", "status", match="no request has this"))
        answer = httpx.post(
            f"{sandbox.url}/slack/api/chat.postMessage", headers=AUTHORIZED, json={"channel": "growth", "text": "é" * 40_000}
        )
        assert len(answer.json()["message"]["text"]) == 40_000

    @pytest.mark.parametrize(
        ("fault", "path", "status", "words", "retry_after"),
        [
            (Fault("github", "rate_limit"), "/github/api/v3/user", 429, "secondary rate limit", "1"),
            (Fault("github", "rate_limit", status=403), "/github/api/v3/user", 403, "secondary rate limit", "1"),
            (Fault("github", "status", status=502), "/github/api/v3/user", 502, '"message": "Server Error"', None),
            (
                Fault("salesforce", "rate_limit"),
                "/salesforce/services/data/v59.0/query",
                403,
                '"errorCode": "REQUEST_LIMIT_EXCEEDED"',
                None,
            ),
            (Fault("salesforce", "status", status=401), "/salesforce/services/data/v59.0/query", 401, "INVALID_SESSION_ID", None),
            (Fault("salesforce", "status"), "/salesforce/services/Soap/u/59.0", 500, "<faultcode>sf:SERVER_UNAVAILABLE</faultcode>", None),
            (Fault("pagerduty", "status"), "/pagerduty/v2/enqueue", 503, '"errors"', None),
            (Fault("instances", "status", status=502), "/instances/acme.example/.api/graphql", 502, "upstream error 502", None),
            (Fault("licensing", "rate_limit", retry_after=9), "/licensing/.api/graphql", 429, "Too Many Requests", "9"),
            (Fault("vitally", "rate_limit"), "/vitally/resources/accounts", 429, '{"error": "Too Many Requests"}', None),
            (Fault("vitally", "status"), "/vitally/resources/accounts", 503, '{"error": "Service Unavailable"}', None),
            (Fault("sheets", "rate_limit"), "/sheets/v4/spreadsheets/x", 429, '"status": "RESOURCE_EXHAUSTED"', None),
            (Fault("sheets", "status", status=403), "/sheets/v4/spreadsheets/x", 403, '"status": "PERMISSION_DENIED"', None),
        ],
    )
    def test_each_provider_says_no_in_its_own_form(self, fault: Fault, path: str, status: int, words: str, retry_after: str | None) -> None:
        answer = refusal(fault, path)
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
        assert words in bytes(answer.body).decode()

    def test_every_service_stands_behind_the_fault_layer(self, sandbox: SandboxServer) -> None:
        paths = {
            "slack": "/slack/api/auth.test",
            "pagerduty": "/pagerduty/v2/enqueue",
            "github": "/github/api/v3/user",
            "salesforce": "/salesforce/services/data/v59.0/limits",
            "instances": "/instances/acme.example/.api/graphql",
            "licensing": "/licensing/.api/graphql",
            "vitally": "/vitally/resources/accounts",
            "sheets": "/sheets/v4/spreadsheets/red-accounts-tracker/values/A1:append",
            "oidc": "/oidc/token",
        }
        for service, path in paths.items():
            sandbox.world.faults.append(Fault(service, "cut_before"))
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.post(sandbox.url + path, json={})
            assert httpx.post(sandbox.url + path, json={}).status_code < 500


class TestControlPlane:
    def test_the_log_is_read_from_where_one_was(self, sandbox: SandboxServer) -> None:
        for text in ("one", "two", "three"):
            post(sandbox, text)
        effects = httpx.get(f"{sandbox.url}/_sandbox/log").json()
        assert [(effect["service"], effect["act"], effect["data"]["text"]) for effect in effects] == [
            ("slack", "message.posted", text) for text in ("one", "two", "three")
        ]
        assert effects[0]["what"] == "#growth: one"
        later = httpx.get(f"{sandbox.url}/_sandbox/log", params={"since": effects[1]["number"], "service": "slack"}).json()
        assert later == effects[2:]
        assert httpx.get(f"{sandbox.url}/_sandbox/log", params={"service": "smtp"}).json() == []
        assert httpx.get(f"{sandbox.url}/_sandbox/log", params={"since": "then"}).status_code == 400

    def test_faults_are_planned_listed_and_forgotten(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/_sandbox/faults"
        planned = httpx.post(url, json=[{"service": "slack", "kind": "slow", "seconds": 2}, {"service": "smtp", "kind": "status"}])
        assert planned.status_code == 201
        assert httpx.get(url).json() == planned.json()
        assert [fault["status"] for fault in planned.json()] == [503, 451]
        assert httpx.delete(url).status_code == 204
        assert httpx.get(url).json() == []

    @pytest.mark.parametrize(
        "fault",
        [
            "slack",
            {"kind": "slow"},
            {"service": "fax", "kind": "slow"},
            {"service": "cloud", "kind": "slow"},
            {"service": "slack", "kind": "explode"},
            {"service": "slack", "kind": "slow", "second": 2},
            {"service": "slack", "kind": "slow", "seconds": "2"},
            {"service": "slack", "kind": "status", "times": 0},
            {"service": "slack", "kind": "status", "status": 700},
        ],
    )
    def test_a_fault_that_makes_no_sense_is_refused_whole(self, sandbox: SandboxServer, fault: Any) -> None:
        answer = httpx.post(f"{sandbox.url}/_sandbox/faults", json=[{"service": "slack", "kind": "slow"}, fault])
        assert answer.status_code == 422
        assert answer.json()["error"]
        assert sandbox.world.faults == []

    def test_a_seed_goes_to_its_services_and_is_no_effect(self, sandbox: SandboxServer, slack: WebClient) -> None:
        seed = {"slack": {"users": [{"email": "amber@tenure.example", "name": "amber"}], "channels": ["support"]}}
        assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=seed).json() == {"ok": True}
        assert slack.users_lookupByEmail(email="amber@tenure.example")["user"]["name"] == "amber"
        assert "support" in [channel["name"] for channel in slack.conversations_list()["channels"]]
        assert acts(sandbox) == []

    def test_a_seed_that_cannot_be_used_says_why(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/_sandbox/seed"
        unknown = httpx.post(url, json={"fax": {}})
        assert (unknown.status_code, "there is no service 'fax'" in unknown.json()["error"]) == (404, True)
        wrong = httpx.post(url, json={"slack": {"users": [{"name": "nobody"}]}})
        assert (wrong.status_code, wrong.json()["error"]) == (422, "slack: KeyError: 'email'")
        assert httpx.post(url, content=b"{").status_code == 400

    def test_a_reset_empties_everything_but_numbers_go_on(self, sandbox: SandboxServer, slack: WebClient) -> None:
        slack.conversations_create(name="trial")
        last = sandbox.world.log.effects[-1].number
        sandbox.world.faults.append(Fault("slack", "slow"))
        assert httpx.post(f"{sandbox.url}/_sandbox/reset").json() == {"ok": True}
        assert (sandbox.world.log.effects, sandbox.world.faults) == ([], [])
        names = [channel["name"] for channel in slack.conversations_list()["channels"]]
        assert names == ["cloud-trial-alerts", "growth", "cloud", "renewals", "red-accounts"]
        slack.conversations_create(name="trial")
        assert sandbox.world.log.effects[-1].number > last

    def test_health_names_the_services(self, sandbox: SandboxServer) -> None:
        health = httpx.get(f"{sandbox.url}/healthz").json()
        assert health["ok"] is True
        assert health["smtp_port"] == sandbox.smtp_port
        assert {"slack", "smtp", "pagerduty", "github", "salesforce", "instances", "licensing", "vitally", "sheets"} <= set(
            health["services"]
        )


class TestPage:
    @pytest.mark.parametrize("path", ["/", "/services/slack"])
    def test_it_needs_nothing_from_elsewhere(self, sandbox: SandboxServer, path: str) -> None:
        answer = httpx.get(sandbox.url + path)
        assert answer.headers["content-type"].startswith("text/html")
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)
        assert "prefers-color-scheme: dark" in answer.text

    def test_only_its_own_script_may_run(self, sandbox: SandboxServer) -> None:
        first, second = (httpx.get(sandbox.url) for _ in range(2))
        policy = first.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([^']+)'", policy)
        assert nonce is not None
        assert f'<script nonce="{nonce[1]}">' in first.text
        assert policy != second.headers["content-security-policy"]
        assert "innerHTML" not in first.text

    def test_what_it_shows_of_each_service(self, sandbox: SandboxServer) -> None:
        post(sandbox, "<script>alert(1)</script>")
        counts = {one["name"]: one["effects"] for one in httpx.get(f"{sandbox.url}/_sandbox/services").json()}
        assert counts["slack"] == 1
        assert counts["smtp"] == 0
        for name in counts:
            shown = httpx.get(f"{sandbox.url}/_sandbox/services/{name}").json()
            assert len(shown["effects"]) == counts[name]
        channels = httpx.get(f"{sandbox.url}/_sandbox/services/slack").json()["view"]["channels"]
        messages = [message["text"] for channel in channels for message in channel["messages"]]
        assert messages == ["&lt;script&gt;alert(1)&lt;/script&gt;"]
        assert httpx.get(f"{sandbox.url}/_sandbox/services/fax").status_code == 404

    def test_the_issues_of_github_are_listed(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/github/api/v3/repos/acme-vendor/customer/issues"
        httpx.post(
            url,
            headers={"Authorization": "Bearer sandbox-github-token"},
            json={"title": "instance for acme", "labels": ["mi/instance-request"]},
        )
        issues = httpx.get(f"{sandbox.url}/_sandbox/services/github").json()["view"]["issues"]
        assert [(issue["repo"], issue["title"], issue["labels"]) for issue in issues] == [
            ("acme-vendor/customer", "instance for acme", ["mi/instance-request"])
        ]


class TestServer:
    def test_it_stops_with_clients_still_connected(self) -> None:
        with SandboxServer() as running, httpx.Client() as client, socket.create_connection(("127.0.0.1", running.smtp_port)) as mail:
            assert client.get(f"{running.url}/healthz").json()["ok"]
            assert mail.recv(100).startswith(b"220")
            began = time.monotonic()
            running.stop()
            assert time.monotonic() - began < SOON
            assert mail.recv(100) == b""
            with pytest.raises(httpx.TransportError):
                client.get(f"{running.url}/healthz")
        running.stop()

    def test_it_stops_in_the_middle_of_a_slow_request(self, caplog: pytest.LogCaptureFixture) -> None:
        with SandboxServer() as running, ThreadPoolExecutor(1) as pool:
            running.world.faults.append(Fault("slack", "slow", seconds=600))
            waiting = pool.submit(post, running)
            _until(lambda: not running.world.faults)
            running.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                waiting.result()
            assert acts(running) == []
        assert "Exception in ASGI application" not in caplog.text

    def test_a_taken_port_is_an_error_at_once(self) -> None:
        with SandboxServer() as first:
            port = int(first.url.rsplit(":", 1)[1])
            with pytest.raises(OSError, match="in use"):
                SandboxServer(port=port).start()
            with pytest.raises(OSError, match="in use"):
                SandboxServer(smtp_port=first.smtp_port).start()
            assert httpx.get(f"{first.url}/healthz").json()["ok"]

    def test_two_run_beside_each_other(self) -> None:
        with SandboxServer() as first, SandboxServer() as second:
            post(first)
            assert (acts(first), acts(second)) == (["message.posted"], [])


class TestProcess:
    def test_options_come_from_the_line_then_the_environment(self) -> None:
        environment = {"SANDBOX_PORT": "9100", "SANDBOX_WEBHOOK_URL": "http://127.0.0.1:1/hook"}
        assert parse([], {}).port == 8900
        assert parse([], {}).smtp_port == 8925
        options = parse(["--port", "9200"], environment)
        assert (options.port, options.smtp_port, options.webhook_url) == (9200, 9225, "http://127.0.0.1:1/hook")
        assert parse([], environment | {"SANDBOX_SMTP_PORT": "0"}).smtp_port == 0
        assert parse(["--port", "0"], {}).smtp_port == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_well(self, number: signal.Signals) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        command = [sys.executable, "-m", "sandbox", "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            url = line.split()[2].rstrip(",")
            with httpx.Client() as client:
                assert client.get(f"{url}/healthz").json()["ok"]
                began = time.monotonic()
                process.send_signal(number)
                assert process.wait(timeout=60) == 0
                assert time.monotonic() - began < SOON
            assert process.stderr.read() == ""

    def test_a_taken_port_is_explained(self, sandbox: SandboxServer) -> None:
        port = sandbox.url.rsplit(":", 1)[1]
        done = subprocess.run([sys.executable, "-m", "sandbox", "--port", port, "--smtp-port", "0"], capture_output=True, text=True)
        assert done.returncode == 1
        assert "choose others with --port" in done.stderr
        assert "Traceback" not in done.stderr


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.005)
