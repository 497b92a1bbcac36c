"""What is done on PagerDuty."""

from typing import Literal

from domain.effects.effect import Effect


class Page(Effect, words="page the Cloud team: {summary}"):
    """Page the Cloud team; the key of the effect is the dedup_key."""

    summary: str
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    link: str = ""


class ResolvePage(Effect, words="resolve the page"):
    """Resolve the page that an earlier ``Page`` of that key made."""

    page: str
