"""PagerDuty's Events API v2: events in, incidents merged by ``dedup_key``.

A trigger whose key names an open incident changes nothing that a responder would see, so it is counted on the incident and makes
no effect; the same holds for acknowledging or resolving what is not open. 202 only says "received", as with the real one.
Shapes and messages follow the public description of the Events API v2 and its published error answers.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.core import Numbers, World

SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")


@dataclass
class Incident:
    """One incident: open while ``status`` is not ``resolved``; ``events`` counts the triggers merged into it."""

    number: int
    dedup_key: str
    status: Literal["triggered", "acknowledged", "resolved"]
    summary: str
    source: str
    severity: str
    details: dict[str, Any]
    at: str
    events: int = 1


@dataclass
class PagerDutyState:
    """What is kept of an account."""

    incidents: list[Incident]
    following: int


class PagerDuty:
    """The incidents of one account, in the order in which they were opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.incidents: list[Incident] = []
        self._numbers = Numbers()

    def reset(self) -> None:
        """Forget every incident."""
        self.incidents.clear()
        self._numbers = Numbers()

    def dump(self) -> PagerDutyState:
        """What is to be kept."""
        return PagerDutyState(self.incidents, self._numbers.following)

    def load(self, state: PagerDutyState) -> None:
        """Go on from what was kept."""
        self.incidents, self._numbers = state.incidents, Numbers(state.following)

    def seed(self, data: dict[str, Any]) -> None:
        """Refuse: there is nothing to seed, since incidents come from events alone."""
        raise ValueError("pagerduty takes no seed: send an event to /pagerduty/v2/enqueue instead")

    def view(self) -> dict[str, Any]:
        """Return what the page shows: every incident, newest first."""
        return {"incidents": [asdict(incident) for incident in reversed(self.incidents)]}

    def open_incident(self, dedup_key: str) -> Incident | None:
        """Return the incident that ``dedup_key`` would be merged into, if one is open."""
        return next((one for one in self.incidents if one.dedup_key == dedup_key and one.status != "resolved"), None)

    def accept(self, event: dict[str, Any]) -> str:
        """Carry out one valid event and return its ``dedup_key``, invented when a trigger came without one."""
        key = str(event.get("dedup_key") or uuid.uuid4().hex)
        found = self.open_incident(key)
        action = event["event_action"]
        if action == "trigger":
            self._trigger(key, event["payload"], found)
        elif action == "acknowledge" and found is not None and found.status == "triggered":
            found.status = "acknowledged"
            self._log("incident.acknowledged", f"Incident #{found.number} acknowledged", found)
        elif action == "resolve" and found is not None:
            found.status = "resolved"
            self._log("incident.resolved", f"Incident #{found.number} resolved", found)
        return key

    def _trigger(self, key: str, payload: dict[str, Any], found: Incident | None) -> None:
        if found is not None:
            found.events += 1
            return
        made = Incident(
            number=next(self._numbers),
            dedup_key=key,
            status="triggered",
            summary=payload["summary"],
            source=payload["source"],
            severity=payload["severity"],
            details=payload.get("custom_details") or {},
            at=datetime.now(UTC).isoformat(),
        )
        self.incidents.append(made)
        self._log("incident.triggered", f"Incident #{made.number} ({made.severity}): {made.summary}", made)

    def _log(self, act: str, what: str, incident: Incident) -> None:
        self.world.log.effect("pagerduty", act, what, **asdict(incident))


def faults_of(event: Any) -> list[str]:
    """List what is wrong with an event, in the API's words; empty when it would be accepted."""
    if not isinstance(event, dict):
        return ["Event must be a JSON object"]
    problems = _faults_of_key(event.get("routing_key"))
    action = event.get("event_action")
    if not action:
        problems.append("'event_action' is missing or blank")
    elif action not in ACTIONS:
        problems.append("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
    key = event.get("dedup_key")
    if key is not None and (not isinstance(key, str) or len(key) > 255):
        problems.append("Length of 'dedup_key' is incorrect (should be no more than 255 characters)")
    if action in ("acknowledge", "resolve") and not key:
        problems.append("'dedup_key' is missing or blank")
    if action == "trigger":
        problems += _faults_of_payload(event.get("payload"))
    return problems


def _faults_of_key(key: Any) -> list[str]:
    if not key:
        return ["'routing_key' is missing or blank"]
    problems = []
    if len(str(key)) != 32:
        problems.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if not str(key).isalnum():
        problems.append("'routing_key' cannot contain non-alphanumeric characters.")
    return problems


def _faults_of_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict) or not payload:
        return ["'payload' is missing or blank"]
    problems = [f"'payload.{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)]
    if payload.get("severity") and payload["severity"] not in SEVERITIES:
        problems.append("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
    if len(str(payload.get("summary", ""))) > 1024:
        problems.append("Length of 'payload.summary' is incorrect (should be no more than 1024 characters)")
    if payload.get("custom_details") is not None and not isinstance(payload["custom_details"], dict):
        problems.append("'payload.custom_details' is invalid (must be an object)")
    return problems


def _invalid(problems: list[str]) -> JSONResponse:
    return JSONResponse({"status": "invalid event", "message": "Event object is invalid", "errors": problems}, 400)


def create_app(world: World) -> Starlette:
    """Build the service: ``POST /v2/enqueue``. Answers 202 with the ``dedup_key``, or 400 with what is wrong."""
    account = PagerDuty(world)
    world.services["pagerduty"] = account
    world.resets.append(account.reset)

    async def enqueue(request: Request) -> JSONResponse:
        try:
            event = json.loads(await request.body())
        except ValueError:
            return _invalid(["JSON parse error"])
        problems = faults_of(event)
        if problems:
            return _invalid(problems)
        return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": account.accept(event)}, 202)

    return Starlette(routes=[Route("/v2/enqueue", enqueue, methods=["POST"])])
