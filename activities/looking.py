"""Since when to look for the mark of an effect that an earlier attempt began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from activities.ledger import EffectId, Ledger

CLOCK_MARGIN = timedelta(minutes=5)
"""Outside systems stamp what we make with their own clock, which may be behind ours."""


def since(ledger: Ledger, effect: EffectId) -> datetime:
    """The earliest moment, by an outside system's clock, at which the effect can have happened. Real time, never the workflow's."""
    row = next((row for row in ledger.effects(effect.subject) if (row.subject, row.key) == effect), None)
    return (row.begun_at if row is not None else datetime.now(UTC)) - CLOCK_MARGIN
