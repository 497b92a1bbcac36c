"""One small workflow as three builds have it: as it was, changed the right way, and changed the wrong way; and two places to ask for a change."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow


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


@activity.defn
def look() -> None:
    """A local activity that is done in no time."""


class _Looks:
    @workflow.query
    def asked(self) -> str:
        """What a page shows."""
        return "looks"

    async def _look(self) -> None:
        await workflow.execute_local_activity(look, start_to_close_timeout=timedelta(seconds=5))


@workflow.defn
class AsksFirst(_Looks):
    """Asks for the change as the run begins."""

    @workflow.run
    async def run(self) -> bool:
        """Ask, look."""
        changed = workflow.patched("changed")
        await self._look()
        return changed


@workflow.defn
class AsksLate(_Looks):
    """Asks for the change after a local activity."""

    @workflow.run
    async def run(self) -> bool:
        """Look, ask."""
        await self._look()
        return workflow.patched("changed")
