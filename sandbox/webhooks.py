"""Delivery of webhooks: signed, in order, away from the request that caused them, one attempt each.

The thread that delivers exists only while something is queued, so an idle sandbox has none. The outcome of every attempt is kept,
as the provider's own delivery log would show it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

TIMEOUT_SECONDS = 10.0  # GitHub gives a receiver ten seconds


@dataclass
class Delivery:
    """One attempt: what was sent where, and the answer. ``status`` is None until answered, and stays None when nobody listened."""

    id: str
    event: str
    action: str
    url: str
    payload: dict[str, Any]
    queued_at: datetime
    hook_id: int = 1
    delivered: bool = False
    status: int | None = None
    error: str = ""


@dataclass(frozen=True)
class _Outgoing:
    delivery: Delivery
    body: bytes
    secret: str


def signature(secret: str, body: bytes) -> str:
    """The value of ``X-Hub-Signature-256`` for these raw bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def listens(url: str) -> bool:
    """Whether anything accepts connections at the address of ``url``."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True


@cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates, read once: reading them anew would cost every delivery more than the delivery itself."""
    return ssl.create_default_context()


def _bytes_of(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


class Deliverer:
    """A queue with one worker. Thread-safe. ``on_attempt`` is called on the worker after each attempt."""

    def __init__(self, on_attempt: Callable[[], None]) -> None:
        self._on_attempt = on_attempt
        self.deliveries: list[Delivery] = []
        self._untaken: list[Delivery] = []
        self._queue: deque[_Outgoing] = deque()
        self._state = threading.Condition()
        self._working = False

    def send(self, url: str, secret: str, event: str, payload: dict[str, Any], hook_id: int = 1) -> Delivery:
        """Queue ``payload`` as it is now; a later change of the issue does not alter what is delivered."""
        body = _bytes_of(payload)
        delivery = Delivery(str(uuid4()), event, str(payload.get("action", "")), url, json.loads(body), datetime.now(UTC), hook_id)
        with self._state:
            self.deliveries.append(delivery)
            self._enqueue(_Outgoing(delivery, body, secret))
        return delivery

    def redeliver(self, delivery_id: str, secret: str) -> Delivery:
        """Send an earlier payload again under the same ``X-GitHub-Delivery``, as the redeliver button does. KeyError if unknown."""
        with self._state:
            earlier = next((d for d in self.deliveries if d.id == delivery_id), None)
            if earlier is None:
                raise KeyError(delivery_id)
            again = Delivery(earlier.id, earlier.event, earlier.action, earlier.url, earlier.payload, datetime.now(UTC))
            self.deliveries.append(again)
            self._enqueue(_Outgoing(again, _bytes_of(again.payload), secret))
        return again

    def load(self, deliveries: list[Delivery]) -> None:
        """Go on from the deliveries that were kept."""
        with self._state:
            self.deliveries = deliveries
            self._untaken = [one for one in deliveries if not one.delivered]

    def take_up(self, hooks: Mapping[int, tuple[str, str]]) -> None:
        """Send those of the loaded that nobody took, to the address and with the secret that their hook has now, if it still exists."""
        with self._state:
            for one in self._untaken:
                if one.hook_id in hooks:
                    one.error, (one.url, secret) = "", hooks[one.hook_id]
                    self._enqueue(_Outgoing(one, _bytes_of(one.payload), secret))
            self._untaken.clear()

    def wait_idle(self, timeout: float = 30.0) -> bool:
        """Block until everything queued was attempted; False when that took longer than ``timeout`` seconds."""
        with self._state:
            return self._state.wait_for(lambda: not self._working, timeout)

    def reset(self) -> None:
        """Forget what was delivered and what still waits."""
        with self._state:
            self._queue.clear()
            self._untaken.clear()
            self.deliveries.clear()

    def _enqueue(self, outgoing: _Outgoing) -> None:
        self._queue.append(outgoing)
        if not self._working:
            self._working = True
            threading.Thread(target=self._drain, name="sandbox-webhooks", daemon=True).start()

    def _drain(self) -> None:
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, verify=_certificates()) as client:
            while True:
                with self._state:
                    if not self._queue:
                        self._working = False
                        self._state.notify_all()
                        return
                    outgoing = self._queue.popleft()
                self._attempt(client, outgoing)

    def _attempt(self, client: httpx.Client, outgoing: _Outgoing) -> None:
        delivery = outgoing.delivery
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/sandbox",
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Delivery": delivery.id,
            "X-GitHub-Hook-ID": str(delivery.hook_id),
            "X-Hub-Signature-256": signature(outgoing.secret, outgoing.body),
        }
        try:
            delivery.status = client.post(delivery.url, content=outgoing.body, headers=headers).status_code
            delivery.delivered = True
        except httpx.HTTPError as error:
            delivery.error = f"{type(error).__name__}: {error}"
        self._on_attempt()
