"""The PagerDuty stand-in, through the ``pagerduty`` library and through plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from pagerduty import EventsApiV2Client
from pagerduty.errors import Error

from sandbox.core import Fault
from sandbox.server import SandboxServer

KEY = "0123456789abcdef0123456789abcdef"


class Loopback(httpx2.HTTPTransport):
    """Carries the requests of the library, which insists on https, to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.target = httpx2.URL(url)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        path = self.target.raw_path.rstrip(b"/") + request.url.raw_path
        request.url = self.target.copy_with(raw_path=path)
        request.headers["Host"] = self.target.netloc.decode()
        return super().handle_request(request)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def pages(sandbox: SandboxServer) -> Iterator[EventsApiV2Client]:
    client = EventsApiV2Client(KEY, transport=Loopback(f"{sandbox.url}/pagerduty"))
    client.retry.clear()
    client.sleep_timer = 0.001  # the library waits this long, doubled, before each of its own repetitions
    yield client
    client.close()


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def test_an_incident_is_opened_acknowledged_and_resolved(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    assert pages.trigger("instance is late", "trial-acme.example", dedup_key="late", custom_details={"hours": 5}) == "late"
    pages.acknowledge("late")
    pages.resolve("late")
    assert acts(sandbox) == ["incident.triggered", "incident.acknowledged", "incident.resolved"]
    incident = sandbox.world.services["pagerduty"].incidents[0]
    assert (incident.status, incident.summary, incident.severity) == ("resolved", "instance is late", "critical")
    assert incident.details == {"hours": 5}


def test_a_key_names_one_open_incident(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    for _ in range(3):
        pages.trigger("late", "trial", dedup_key="late")
    assert [incident.events for incident in sandbox.world.services["pagerduty"].incidents] == [3]
    pages.resolve("late")
    pages.trigger("late again", "trial", dedup_key="late")
    assert acts(sandbox) == ["incident.triggered", "incident.resolved", "incident.triggered"]


def test_without_a_key_each_trigger_is_an_incident(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    assert pages.trigger("late", "trial") != pages.trigger("late", "trial")
    assert acts(sandbox) == ["incident.triggered"] * 2


def test_what_is_not_open_cannot_change(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    pages.acknowledge("never opened")
    pages.resolve("never opened")
    assert acts(sandbox) == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"routing_key": None}, "'routing_key' is missing or blank"),
        ({"routing_key": "short"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"event_action": "shout"}, "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"),
        ({"event_action": "resolve"}, "'dedup_key' is missing or blank"),
        ({"dedup_key": "x" * 256}, "Length of 'dedup_key' is incorrect (should be no more than 255 characters)"),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"payload": {"source": "s", "severity": "info"}}, "'payload.summary' is missing or blank"),
        (
            {"payload": {"summary": "s", "source": "s", "severity": "fatal"}},
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ),
    ],
)
def test_an_invalid_event_is_refused_for_good(sandbox: SandboxServer, changes: dict[str, Any], error: str) -> None:
    event = {"routing_key": KEY, "event_action": "trigger", "payload": {"summary": "s", "source": "s", "severity": "info"}} | changes
    answer = httpx.post(f"{sandbox.url}/pagerduty/v2/enqueue", json=event)
    assert answer.status_code == 400
    assert answer.json() == {"status": "invalid event", "message": "Event object is invalid", "errors": [error]}
    assert acts(sandbox) == []


def test_what_is_not_json_is_refused(sandbox: SandboxServer) -> None:
    assert httpx.post(f"{sandbox.url}/pagerduty/v2/enqueue", content=b"{").json()["status"] == "invalid event"


def test_too_many_events_say_when_to_come_back(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("pagerduty", "rate_limit", times=3, retry_after=7))
    answer = httpx.post(f"{sandbox.url}/pagerduty/v2/enqueue", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    # The library comes back by itself, as often as it takes.
    pages.trigger("late", "trial", dedup_key="late")
    assert sandbox.world.faults == []
    assert acts(sandbox) == ["incident.triggered"]


def test_an_event_repeated_after_a_lost_answer_is_one_incident(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("pagerduty", "cut_after"))
    pages.trigger("late", "trial", dedup_key="late")
    assert sandbox.world.services["pagerduty"].incidents[0].events == 2
    assert acts(sandbox) == ["incident.triggered"]


def test_a_lost_answer_is_an_error_once_the_library_may_not_repeat(pages: EventsApiV2Client, sandbox: SandboxServer) -> None:
    pages.max_network_attempts = 0
    sandbox.world.faults.append(Fault("pagerduty", "cut_after"))
    with pytest.raises(Error, match="network error"):
        pages.trigger("late", "trial", dedup_key="late")
    assert acts(sandbox) == ["incident.triggered"]
