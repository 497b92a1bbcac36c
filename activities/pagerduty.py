"""PagerDuty: page the Cloud team, and resolve the page when the reason is gone (A9, A16, A25).

The Events API merges events of one ``dedup_key`` while its incident is open, so a repeated page is no second one and nothing is asked
first. An answer of 202 means "taken", not "somebody was woken".
"""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2
from pagerduty import Error, EventsApiV2Client, HttpError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import LONGEST_ANSWER, Step, from_status, no_answer, run_batch, unreachable
from activities.tls import certificates
from domain.effects.models import Page, PagerAct, PagerBatch, Receipt, Receipts
from domain.markup import line
from store.ledger import EffectId, Ledger
from store.settings import Settings

SYSTEM = "PagerDuty"
SOURCE = "tenure"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
LONGEST_KEY = 255
LONGEST_SUMMARY = 1024


class _Client(EventsApiV2Client):
    """The library's client without its patience: it would sleep inside the call, for ever when the rate is limited (429)."""

    max_network_attempts = 0

    def postprocess(self, response: Any) -> None:
        """Turn an answer that is no success into an error before the library looks whether to repeat."""
        if not response.is_success:
            raise HttpError(f"HTTP {response.status_code}", response)


class _Plain(httpx2.HTTPTransport):
    """Carries the requests of the library, which insists on https, to a stand-in that speaks plain HTTP at ``url``."""

    def __init__(self, url: str) -> None:
        super().__init__(verify=certificates())
        self._url = httpx2.URL(url)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + request.url.raw_path)
        request.headers["Host"] = self._url.netloc.decode()
        return super().handle_request(request)


def client(url: str, routing_key: str) -> EventsApiV2Client:
    """The library's client for the Events API at ``url``, which repeats nothing by itself."""
    made = _Client(routing_key, transport=_Plain(url)) if url.startswith("http://") else _Client(routing_key, base_url=url.rstrip("/"))
    made.timeout = TIMEOUT_SECONDS
    return made


class PagerDuty:
    """Sends events to the Events API v2."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._client = client(settings.pagerduty_url, settings.pagerduty_routing_key.get_secret_value())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @activity.defn(name="pagerduty", no_thread_cancel_exception=True)
    def pagerduty(self, batch: PagerBatch) -> Receipts:
        """Page, or resolve pages. Safe to repeat by the ``dedup_key``, which is the effect's name.

        A page to resolve is named by its key, or by its whole name when another subject made it.
        """
        return run_batch(self._ledger, "pagerduty", batch, self._step, _translate)

    def _step(self, act: PagerAct, effect: EffectId) -> Step:
        if isinstance(act, Page):
            key = dedup_key(effect)
            return Step("page.sent", act.summary, lambda: self._page(act, key))
        subject, _, own = act.page.rpartition("/")
        key = dedup_key(EffectId(subject or effect.subject, own))
        return Step("page.resolved", f"the page {act.page} is resolved", lambda: Receipt(ref=self._client.resolve(key)))

    def _page(self, act: Page, key: str) -> Receipt:
        links = [{"href": act.link, "text": "What it is about"}] if act.link else None
        sent = self._client.trigger(line(act.summary)[:LONGEST_SUMMARY], SOURCE, dedup_key=key, severity=act.severity, links=links)
        return Receipt(ref=sent)


def dedup_key(effect: EffectId) -> str:
    """The effect's name, or what stands for it when it is too long for PagerDuty."""
    name = str(effect)
    return name if len(name) <= LONGEST_KEY else hashlib.sha256(name.encode()).hexdigest()


def _translate(error: Exception) -> ApplicationError | None:
    if isinstance(error, HttpError) and (response := error.response) is not None:
        return from_status(SYSTEM, response.status_code, response.text.strip()[:300], response.headers)
    if isinstance(error, Error):
        cause = error.__cause__
        text = f"{type(cause).__name__}: {cause}" if cause else str(error)
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return unreachable(SYSTEM, text)
        return no_answer(SYSTEM, text)
    return None
