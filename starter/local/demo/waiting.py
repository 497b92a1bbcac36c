"""Waiting for something to come true, and what it means when it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds until what was asked for must be there, and between two looks for it. What a worker was at when it died is tried again after a minute.
PATIENCE = 100.0
BETWEEN_LOOKS = 0.1


class Miss(Exception):
    """A story did not go as it is written."""


async def eventually(what: str, look: Callable[[], Awaitable[T]], *, within: float = PATIENCE) -> T:
    """What ``look`` finds, once it is something. Raises :class:`Miss` when it does not come."""
    give_up = time.monotonic() + within
    while not (found := await look()):
        if time.monotonic() > give_up:
            raise Miss(f"{what}: not within {within:.0f} seconds")
        await asyncio.sleep(BETWEEN_LOOKS)
    return found
