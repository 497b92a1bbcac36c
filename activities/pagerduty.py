"""PagerDuty: page the Cloud team, and resolve the page when the reason is gone (A9, A16, A25).

The Events API merges events of one ``dedup_key`` while its incident is open, so a repeated page is no second one and nothing is asked
first. An answer of 202 means "taken", not "somebody was woken".
"""

import hashlib
from typing import Any

import httpx2
from pagerduty import Error, EventsApiV2Client, HttpError
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import LONGEST_ANSWER, from_status, lost, no_answer
from activities.http import certificates
from domain.effects.effect import Receipt
from domain.effects.pagerduty import Page, ResolvePage
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


def dedup_key(effect_id: EffectId) -> str:
    """The effect's name, or what stands for it when it is too long for PagerDuty."""
    name = str(effect_id)
    return name if len(name) <= LONGEST_KEY else hashlib.sha256(name.encode()).hexdigest()


class PagerDuty(OutsideSystem, name="pagerduty", title="PagerDuty"):
    """Sends events to the Events API v2. Safe to repeat by the ``dedup_key``, which is the effect's name."""

    _client: EventsApiV2Client

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._client = client(settings.pagerduty_url, settings.pagerduty_routing_key.get_secret_value())

    def error(self, error: Exception) -> ApplicationError | None:
        """A PagerDuty client's exception in Temporal's terms."""
        if isinstance(error, HttpError) and (response := error.response) is not None:
            return from_status(SYSTEM, response.status_code, response.text.strip()[:300], response.headers)
        if isinstance(error, Error):
            return lost(SYSTEM, error.__cause__) if isinstance(error.__cause__, Exception) else no_answer(SYSTEM, str(error))
        return None

    @carries_out(Page, act="page.sent", code=dedup_key)
    def _page(self, effect: Page, effect_id: EffectId) -> Receipt:
        links = [{"href": effect.link, "text": "What it is about"}] if effect.link else None
        summary = line(effect.summary)[:LONGEST_SUMMARY]
        return Receipt(ref=self._client.trigger(summary, SOURCE, dedup_key=dedup_key(effect_id), severity=effect.severity, links=links))

    @carries_out(ResolvePage, act="page.resolved")
    def _resolve(self, effect: ResolvePage, effect_id: EffectId) -> Receipt:
        """A page is named by its key, or by its whole name when another subject made it."""
        subject, _, own = effect.page.rpartition("/")
        return Receipt(ref=self._client.resolve(dedup_key(EffectId(subject or effect_id.subject, own))))
