"""The twin: a workflow that leaves the same history as a trial and does nothing else, and an empty one.

Its activities have empty bodies, its payloads are filler of the same size, its state is a set of names: what it costs is the engine's
own price for a trial's shape. Nothing but the script is imported, since the sandbox loads a workflow's module again for every run.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

with workflow.unsafe.imports_passed_through():
    from bench.script import Command, load

    SCRIPT = load()

ONE_TRY = timedelta(seconds=60)


def filler(size: int) -> str:
    """Text whose JSON has so many bytes."""
    return "x" * max(size - 2, 0)


@workflow.defn
class Twin:
    """Follows the script: each step waits for what its model had waited for, then issues the same commands."""

    @workflow.init
    def __init__(self, _filler: str) -> None:
        self._happened: set[str] = set()
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._asked = 0

    @workflow.run
    async def run(self, _filler: str) -> str:
        for task in SCRIPT.tasks:
            needed = set(task.after)
            await workflow.wait_condition(lambda needed=needed: needed <= self._happened)  # type: ignore[misc]
            for command in task.commands:
                await self._issue(command)
        return filler(SCRIPT.result)

    @workflow.update
    async def ask(self, _filler: str) -> str:
        number, self._asked = self._asked, self._asked + 1
        self._happened.add(f"update {number}")
        return filler(SCRIPT.updates[number][1])

    async def _issue(self, command: Command) -> None:
        match command.do:
            case "activity" | "timer":
                self._running[command.key] = asyncio.create_task(self._wait_for(command))
                await asyncio.sleep(0)  # let it begin, so that the commands keep their order
            case "cancel":
                self._running[command.key].cancel()
            case "local":
                await workflow.execute_local_activity(
                    command.name, given(command), result_type=str, start_to_close_timeout=ONE_TRY, summary=command.summary
                )
            case "upsert":
                workflow.upsert_search_attributes([_set(name, value) for name, value in command.attributes.items()])

    async def _wait_for(self, command: Command) -> None:
        if command.do == "timer":
            await workflow.sleep(command.seconds, summary=command.summary)
        else:
            await workflow.execute_activity(
                command.name, given(command), result_type=str, start_to_close_timeout=ONE_TRY, summary=command.summary
            )
        self._happened.add(f"{command.do} {command.key}")


@workflow.defn
class Empty:
    """Starts and ends: the least that a workflow can be."""

    @workflow.run
    async def run(self) -> None:
        return


def given(command: Command) -> str:
    """An activity's filler: the size of the answer in six digits, then nothing but size."""
    return f"{command.result:06}".ljust(max(command.given - 2, 6), "x")


def _set(name: str, value: str | None) -> SearchAttributeUpdate[Any]:
    if name == "DueAt":
        due = SearchAttributeKey.for_datetime(name)
        return due.value_set(datetime.fromisoformat(value)) if value else due.value_unset()
    keyword = SearchAttributeKey.for_keyword(name)
    return keyword.value_set(value) if value else keyword.value_unset()
