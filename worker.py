"""One worker process: every workflow and every activity on the task queue ``tenure``, and beside it the runs over all customers on their own.

The server is found by ``TEMPORAL_*`` (``temporalio.envconfig``), the outside systems by ``TENURE_*``, so the same program is a worker for
the local stack, any cluster, or Temporal Cloud. SIGTERM and SIGINT let it finish what it began, then it exits with 0.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.all import activities
from activities.provenance import DirectDecisions
from domain.ids import BATCH_QUEUE, TASK_QUEUE
from starter import logs, private_files, startup
from starter.build import build_id
from starter.errors import TenureError, Unavailable
from starter.run import run_cli
from starter.service.accounts import Accounts
from starter.service.bootstrap import opened, read_settings
from starter.service.deployments import DEPLOYMENT, register
from starter.service.rebuild import close_ended_hourly
from starter.web import health
from starter.web.control import Control, control_option
from store.rows_writer import RowsWriter
from store.settings import Settings
from workflows.all import ALL, BATCH
from workflows.frame.provenance import Inbound, Note
from workflows.frame.runner import Write, all_at_once, runner

#: Activities at once: more would only wait for the interpreter, and keep signups waiting with them.
SLOTS_A_CORE, LEAST_SLOTS = 4, 8
#: Activities at once of the runs over all customers, which ask for one after the other, and their local ones.
BATCH_SLOTS = 4
#: How long a stopping worker lets its activities finish; what is cut off is tried again by another worker.
GRACE = timedelta(seconds=30)
#: Seconds that the server may take to come up.
PATIENCE = 60.0

log = logging.getLogger("tenure.worker")

Given = TypeVar("Given")
T = TypeVar("T")


def workers(
    client: Client,
    made: Sequence[Callable[..., Any]],
    threads: ThreadPoolExecutor,
    slots: int,
    build: str = "",
    note: Note | None = None,
    key: bytes = b"",
    write: Write | None = None,
) -> tuple[Worker, Worker]:
    """One worker for each task queue, not yet running; with a ``build`` they poll as that version of the deployment, and open workflows move to it.

    ``made`` are the activities, ``threads`` has :func:`threads_for` ``slots``, so that nothing is taken that waits for a thread. ``note`` takes the direct decisions that
    a workflow refused to look at, ``key`` is what our programs mark with: see :mod:`workflows.frame.provenance`.
    ``write`` takes what lists are to show.
    """

    def one(queue: str, workflows: Sequence[type], at_once: int, **how: Any) -> Worker:
        found = Worker(
            client,
            task_queue=queue,
            workflows=workflows,
            activities=made,
            activity_executor=threads,
            max_concurrent_activities=at_once,
            max_concurrent_local_activities=at_once,
            interceptors=[Inbound(note, key)],
            workflow_runner=runner(write=write),
            graceful_shutdown_timeout=GRACE,
            deployment_config=auto_upgrade(build) if build else None,
            **how,
        )
        return all_at_once(found)

    few = {"max_cached_workflows": 10, "max_concurrent_workflow_task_polls": 2, "max_concurrent_activity_task_polls": 1}
    return one(TASK_QUEUE, ALL, slots), one(BATCH_QUEUE, BATCH, BATCH_SLOTS, **few)


def slots_of(settings: Settings) -> int:
    """Activities at once on the queue ``tenure``, and as many local ones beside them."""
    return settings.worker_slots or max(LEAST_SLOTS, SLOTS_A_CORE * (os.cpu_count() or 1))


def threads_for(slots: int) -> int:
    """The threads that activities and local activities of both queues need."""
    return 2 * (slots + BATCH_SLOTS)


async def run_until(stop: asyncio.Event, workers: Sequence[Worker]) -> None:
    """Run them side by side; after ``stop`` they take nothing new and finish what they began. The fatal error of one ends all, and is raised."""
    running = [asyncio.create_task(each.run(), name=each.task_queue) for each in workers]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        log.info("stopping: what runs may take %s", GRACE)
        await asyncio.gather(*(each.shutdown() for each in workers))
    await asyncio.gather(*running)


def auto_upgrade(build: str) -> WorkerDeploymentConfig:
    """One version of the deployment; every workflow goes on with whichever version is current when its next task comes."""
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=DEPLOYMENT, build_id=build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def in_temporals_terms(way: Callable[[Given], Awaitable[T]]) -> Callable[[Given], Awaitable[T]]:
    """A way of the service as activities take it, with its errors in Temporal's terms: what was refused would be refused again."""

    async def taken(given: Given) -> T:
        try:
            return await way(given)
        except TenureError as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=not isinstance(error, Unavailable)) from error

    return taken


async def serve(settings: Settings, address: str = "") -> None:
    """Work until SIGTERM or SIGINT; ``address`` is the control port's. Raises a :class:`TenureError` when the settings or the server are wrong."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    startup.check(settings)
    control = Control(settings)
    async with control.listening(address):
        try:
            await _work(settings, control, stop)
        except Unavailable:
            if not stop.is_set():  # who was told to stop before it began has nothing to finish
                raise
    log.info("stopped")


async def _work(settings: Settings, control: Control, stop: asyncio.Event) -> None:
    async with opened(settings, patience=PATIENCE, given_up=stop.is_set) as tenure:
        client, ledger = tenure.client, tenure.ledger
        ways = in_temporals_terms(tenure.sign_up_again), in_temporals_terms(Accounts.of(tenure).tell)
        direct, slots = DirectDecisions(ledger, settings), slots_of(settings)
        with (
            activities(settings, ledger, *ways, direct) as made,
            closing(RowsWriter(ledger)) as lists,
            ThreadPoolExecutor(threads_for(slots), thread_name_prefix="activity") as threads,
        ):
            build = await asyncio.to_thread(build_id)
            both = workers(client, made, threads, slots, build, direct.later, settings.way_in_key(), lists.write)
            beside = [asyncio.create_task(each) for each in (register(client, build, settings.worker_promotes), close_ended_hourly(tenure))]
            parts = {name: probe for name, probe in health.probes(tenure, settings).items() if name != "worker"}
            control.begin(tenure, parts, build, stop.is_set)
            log.info("at work for %s as build %s, %d activities at once", client.service_client.config.target_host, build, slots)
            try:
                await run_until(stop, both)
            finally:
                for each in beside:
                    each.cancel()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the worker; exits with 0 after a signal."""
    private_files.keep_private()
    logs.set_up()
    try:
        settings = read_settings()
        parser = argparse.ArgumentParser(prog="python worker.py", description=(__doc__ or "").splitlines()[0])
        control_option(parser, settings)
        run_cli(serve(settings, parser.parse_args(arguments).control))
    except Exception as error:
        known = startup.in_words(error)
        if known is None:
            raise
        log.error("%s", known)
        sys.exit(known.exit_code)


if __name__ == "__main__":
    main()
