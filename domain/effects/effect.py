"""The base of every act on an outside system; see :mod:`domain.effects.models`."""

from __future__ import annotations

from domain.base import Value


class Act(Value):
    """One effect on one outside system. ``key`` is unique within the batch's subject."""

    key: str
