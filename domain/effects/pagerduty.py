"""What is done on PagerDuty."""

from __future__ import annotations

from typing import ClassVar, Literal

from domain.effects.effect import Effect


class PagerEffect(Effect):
    """An effect on PagerDuty."""

    system: ClassVar[str] = "pagerduty"


class Page(PagerEffect):
    """Page the Cloud team; the key of the effect is the dedup_key."""

    words: ClassVar[str] = "page the Cloud team: {summary}"
    summary: str
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    link: str = ""


class ResolvePage(PagerEffect):
    """Resolve the page that an earlier ``Page`` of that key made."""

    words: ClassVar[str] = "resolve the page"
    page: str
