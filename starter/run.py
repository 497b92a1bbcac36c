"""How a short command runs its coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds for the client's own threads to let go of the interpreter. Without it about one short process in ten aborts at exit.
SETTLE = 0.1


def run_cli(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on a loop of its own and return its result; its error passes through."""

    async def settled() -> T:
        try:
            return await work
        finally:
            await asyncio.sleep(SETTLE)

    return asyncio.run(settled())
