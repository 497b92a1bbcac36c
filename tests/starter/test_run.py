"""How a short command runs: its result, its error, and what it leaves on the screen."""

from __future__ import annotations

import asyncio
import gc

import pytest

from starter.run import run_cli


async def leaves(error: BaseException) -> str:
    """Something went wrong that nobody waits for."""
    asyncio.get_running_loop().create_future().set_exception(error)
    gc.collect()
    return "done"


def test_a_call_that_was_given_up_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert run_cli(leaves(asyncio.CancelledError())) == "done"
    assert caplog.text == ""


def test_any_other_error_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert run_cli(leaves(ValueError("a fault of ours"))) == "done"
    assert "a fault of ours" in caplog.text


def test_its_own_error_passes_through() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_cli(fails())
