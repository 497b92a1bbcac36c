"""What every stand-in shares: the log of effects, the fault plan, and a reset.

A stand-in calls :meth:`Log.effect` when, and only when, something changed because of a request, so that the log counts what a
real system would now hold. Faults are applied by one ASGI layer around each service, never inside it: see ``sandbox/faults.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["status", "rate_limit", "cut_before", "cut_after", "slow"]


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
class Log:
    """Every effect since the last reset, in the order in which they happened."""

    effects: list[Effect] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def effect(self, service: str, act: str, what: str, **data: Any) -> Effect:
        """Record one change; ``what`` is one line a person understands, ``data`` is JSON."""
        made = Effect(next(self._numbers), datetime.now(UTC), service, act, what, data)
        self.effects.append(made)
        return made


@dataclass
class World:
    """The shared state that is handed to each service's ``create_app(world)``."""

    log: Log = field(default_factory=Log)
    faults: list[Fault] = field(default_factory=list)
    resets: list[Callable[[], None]] = field(default_factory=list)
    services: dict[str, Any] = field(default_factory=dict)
    public_url: str = "http://127.0.0.1:8900"
    smtp_port: int = 8925
    webhook_url: str = ""
    webhook_secret: str = "sandbox-webhook-secret"

    def reset(self) -> None:
        """Empty every service, the log and the fault plan."""
        self.log.effects.clear()
        self.faults.clear()
        for again in self.resets:
            again()
