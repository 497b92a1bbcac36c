"""How a short command runs its coroutine."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds for the client's own threads to let go of the interpreter. Without it about one short process in ten aborts at exit.
SETTLE = 0.1


def run_cli(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on a loop of its own and return its result; its error passes through."""

    async def settled() -> T:
        asyncio.get_running_loop().set_exception_handler(_said)
        try:
            return await work
        finally:
            await asyncio.sleep(SETTLE)

    return asyncio.run(settled())


def _said(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong beside the work; a call that we gave up is no news: the SDK keeps a future of it that nobody waits for."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)
