"""One small workflow as three builds have it: as it was, changed the right way, and changed the wrong way."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow


class _Waits:
    def __init__(self) -> None:
        self.gone_on = False

    @workflow.signal
    def go_on(self) -> None:
        """What it waits for."""
        self.gone_on = True

    async def _wait(self) -> None:
        workflow.upsert_memo({"stage": "waits"})  # the command that a wrong change comes before
        await workflow.wait_condition(lambda: self.gone_on)


@workflow.defn(name="Waits")
class AsItWas(_Waits):
    """Waits for a signal."""

    @workflow.run
    async def run(self) -> str:
        """Wait."""
        await self._wait()
        return "as it was"


@workflow.defn(name="Waits")
class Patched(_Waits):
    """Pauses first, but only where it begins on this code."""

    @workflow.run
    async def run(self) -> str:
        """Pause, wait."""
        paused = workflow.patched("pause-first")
        if paused:
            await workflow.sleep(timedelta(milliseconds=10))
        await self._wait()
        return "paused first" if paused else "as it was"


@workflow.defn(name="Waits")
class Unpatched(_Waits):
    """Pauses first, wherever it is: an open one has no such timer in its history."""

    @workflow.run
    async def run(self) -> str:
        """Pause, wait."""
        await workflow.sleep(timedelta(milliseconds=10))
        await self._wait()
        return "paused first"
