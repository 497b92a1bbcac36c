"""What every stand-in shares: the log of effects, the fault plan, and a reset.

A stand-in calls :meth:`Log.effect` when, and only when, something changed because of a request, so that the log counts what a
real system would now hold. Faults are applied by one ASGI layer around each service, never inside it: see ``sandbox/faults.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["status", "rate_limit", "cut_before", "cut_after", "slow"]
Mode = Literal["off", "auto"]


class Numbers:
    """1, 2, 3, …, each given once, on any thread. Unlike ``itertools.count`` it says which comes next, so that another can go on."""

    def __init__(self, following: int = 1) -> None:
        self.following = following
        self._lock = threading.Lock()

    def __next__(self) -> int:
        with self._lock:
            given, self.following = self.following, self.following + 1
            return given


@dataclass(frozen=True)
class Effect:
    """One change in an outside system: which system, which act (``issue.created``), in words, and the data of it."""

    number: int
    at: datetime
    service: str
    act: str
    what: str
    data: dict[str, Any]


@dataclass
class Fault:
    """A planned failure of the next ``times`` requests to ``service`` whose path and body contain ``match``."""

    service: str
    kind: Kind
    match: str = ""
    times: int = 1
    status: int = 503
    retry_after: int = 1
    seconds: float = 1.0
    body: str = ""


@dataclass
class LogState:
    """What is kept of the log."""

    effects: list[Effect]
    following: int


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass
class Log:
    """Every effect since the last reset, in the order in which they happened. ``on_effect`` is called after each."""

    effects: list[Effect] = field(default_factory=list)
    on_effect: Callable[[], None] = _nobody
    _numbers: Numbers = field(default_factory=Numbers)

    def effect(self, service: str, act: str, what: str, **data: Any) -> Effect:
        """Record one change; ``what`` is one line a person understands, ``data`` is JSON."""
        made = Effect(next(self._numbers), datetime.now(UTC), service, act, what, data)
        self.effects.append(made)
        self.on_effect()
        return made

    def dump(self) -> LogState:
        """What is to be kept."""
        return LogState(self.effects, self._numbers.following)

    def load(self, state: LogState) -> None:
        """Go on from what was kept."""
        self.effects, self._numbers = state.effects, Numbers(state.following)


@dataclass
class World:
    """The shared state that is handed to each service's ``create_app(world)``.

    Requests change it on the server's event loop, one at a time; whatever changes it on another thread holds ``lock``, and so does who
    reads all of it. ``on_change`` is called after every change, on the thread that made it. ``cloud_mode`` and ``cloud_delay_seconds``
    are how the scripted Cloud team begins, and begins again after a reset. ``browser_url`` is where a browser finds the sandbox, when that is
    elsewhere than for programs; ``hosts`` are further names that it answers to.
    """

    log: Log = field(default_factory=Log)
    faults: list[Fault] = field(default_factory=list)
    resets: list[Callable[[], None]] = field(default_factory=list)
    services: dict[str, Any] = field(default_factory=dict)
    public_url: str = "http://127.0.0.1:8900"
    browser_url: str = ""
    hosts: tuple[str, ...] = ()
    smtp_port: int = 8925
    webhook_url: str = ""
    webhook_secret: str = "sandbox-webhook-secret"
    slack_token: str = "xoxb-sandbox"
    slack_signing_secret: str = "sandbox-signing-secret"
    slack_request_url: str = ""
    slack_command_url: str = ""
    github_token: str = "sandbox-github-token"
    cloud_mode: Mode = "off"
    cloud_delay_seconds: float = 0.2
    on_change: Callable[[], None] = _nobody
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.log.on_effect = self.touched

    def touched(self) -> None:
        """Tell that something changed, or may have."""
        self.on_change()

    def reset(self) -> None:
        """Empty every service, the log and the fault plan."""
        self.log.effects.clear()
        self.faults.clear()
        for again in self.resets:
            again()
