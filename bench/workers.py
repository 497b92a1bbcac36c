"""``python -m bench.workers twin|offline QUEUE``: a worker to compare ours with, in a process of its own, until SIGTERM.

``twin`` follows a script with activities whose bodies are empty. ``offline`` carries out real trials with the real activities and the real
ledger, but whatever would call an outside system is answered at once with the receipt that a trial before got for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.all import activities
from activities.provenance import DirectDecisions
from bench.harness import RECEIPTS
from bench.script import load
from bench.synthetic import Empty, Twin, filler
from domain.account.account import AccountFacts
from domain.effects.effect import Receipt
from domain.messages import AskUsage, SignupAgain, SignupAnswer, Usage
from starter.run import run_cli
from starter.service.bootstrap import read_settings
from starter.service.connect import connect
from store.crypto.codec import data_converter
from store.ledger import EffectId, Ledger
from store.rows_writer import RowsWriter
from worker import slots_of, threads_for
from workflows.all import ALL
from workflows.frame.provenance import Inbound
from workflows.frame.runner import Write, all_at_once, runner

TWIN, OFFLINE = "bench-twin", "bench-offline"


class Canned(Ledger):
    """The real ledger, whose effects act on nothing: each leaves the receipt that it left in a trial before."""

    def __init__(self, url: str, receipts: dict[str, Receipt]) -> None:
        super().__init__(url)
        self._receipts = receipts

    def once(self, effect: EffectId, *, do: Callable[[], Receipt], **how: Any) -> Receipt:
        """As ever, but for the outside system's part."""
        return super().once(effect, do=lambda: self._receipts[effect.key], **how)


@activity.defn(name="instance_usage")
def used(ask: AskUsage) -> Usage:
    """An instance in use, as the measured trial's is."""
    return Usage(as_of=ask.as_of, code_hosts=1, last_active_at=ask.as_of, searches=4, result_views=5)


def twin_activities() -> list[Callable[..., Any]]:
    """One activity with an empty body for each that the script names."""

    def named(name: str) -> Callable[[str], str]:
        @activity.defn(name=name)
        def empty(given: str) -> str:
            return filler(int(given[:6]))

        return empty

    return [named(name) for name in sorted({command.name for task in load().tasks for command in task.commands if command.name})]


def receipts() -> dict[str, Receipt]:
    """What each effect left behind in the trial before, by its key."""
    kept: dict[str, object] = json.loads(Path(os.environ[RECEIPTS]).read_bytes())
    return {key: Receipt.model_validate(value) for key, value in kept.items()}


async def serve(kind: str, queue: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = read_settings()
    client = await connect(data_converter(settings, Ledger(settings.ledger_url)), key=settings.way_in_key)
    with ThreadPoolExecutor(threads_for(slots_of(settings))) as threads:
        if kind == "twin":
            async with _worker(client, queue, [Twin, Empty], twin_activities(), threads):
                await stop.wait()
            return
        ledger = Canned(settings.ledger_url, receipts())
        made = activities(settings, ledger, _nobody, _nobody_told, DirectDecisions(ledger, settings))
        with made as acts, closing(RowsWriter(ledger)) as lists:
            ours = [used if _name(each) == "instance_usage" else each for each in acts]
            async with _worker(client, queue, ALL, ours, threads, lists.write):
                await stop.wait()
        ledger.close()


def _worker(
    client: Client,
    queue: str,
    workflows: Sequence[type],
    made: Sequence[Callable[..., Any]],
    threads: ThreadPoolExecutor,
    write: Write | None = None,
) -> Worker:
    """A worker with the options of ours (``worker.py``), on another task queue."""
    found = Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=made,
        activity_executor=threads,
        max_concurrent_activities=slots_of(read_settings()),
        max_concurrent_local_activities=slots_of(read_settings()),
        interceptors=[Inbound(key=read_settings().way_in_key())],
        workflow_runner=runner(write=write),
    )
    return all_at_once(found)


async def _nobody(_again: SignupAgain) -> SignupAnswer:
    raise AssertionError("no measured trial signs anybody up again")


async def _nobody_told(_facts: AccountFacts) -> None:
    raise AssertionError("no measured trial tells an account")


def _name(of: Callable[..., Any]) -> str:
    definition: Any = getattr(of, "__temporal_activity_definition", None)
    return str(definition.name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    run_cli(serve(sys.argv[1], sys.argv[2]))
