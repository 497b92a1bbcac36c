"""A whole Tenure for one test: the real dev server with a clock for each workflow, a worker with the real activities, the sandbox, a ledger."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.common import SearchAttributeKey
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Worker

from activities.all import activities
from activities.provenance import DirectDecisions
from sandbox.server import SandboxServer
from starter.service.connect import WayIn
from store.crypto.codec import data_converter
from store.decisions import replay
from store.ledger import Ledger
from store.rows_writer import RowsWriter
from store.settings import Settings
from tests.workflows.cacheless import CACHE, NothingLocal
from tests.workflows.play import Play
from workflows.all import ALL
from workflows.frame.provenance import Inbound
from workflows.frame.runner import all_at_once, runner
from workflows.frame.search_attributes import ACCOUNT, ARR, DOMAIN, DUE_AT, FORECAST, OWNER, RATING, RENEWAL_QUARTER, STAGE

#: What our programs' messages are marked with: one for all tests, whose server and whose client are the same.
KEY = b"the key of this run's own programs"
FLAGS = {
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "system.forceSearchAttributesCacheRefreshOnRead": "true",
    "limit.historyCount.suggestContinueAsNew": "200",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def env(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    keys: list[SearchAttributeKey[Any]] = [STAGE, OWNER, DUE_AT, DOMAIN, ACCOUNT, RATING, FORECAST, RENEWAL_QUARTER, ARR]
    flags = [part for key, value in FLAGS.items() for part in ("--dynamic-config-value", f"{key}={value}")]
    home = tmp_path_factory.mktemp("keys")
    people = Ledger(f"sqlite:///{home / 'people.db'}")
    people.create()
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(disable_propagation=True),  # what begins during a skip stands still at its starter's time
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_extra_args=flags,
        dev_server_log_level="error",
        data_converter=data_converter(Settings(_env_file=None, data_dir=home), people),
        search_attributes=keys,
        interceptors=[WayIn(lambda: KEY)],
    )
    async with environment:
        yield environment
    people.close()


@pytest.fixture(scope="session")
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=16)


@pytest_asyncio.fixture(loop_scope="session")
async def play(
    request: pytest.FixtureRequest,
    env: WorkflowEnvironment,
    settings: Settings,
    ledger: Ledger,
    sandbox: SandboxServer,
    threads: ThreadPoolExecutor,
) -> AsyncIterator[Play]:
    queue = f"tenure-{uuid.uuid4().hex[:8]}"
    ledger.holds.probe = timedelta(seconds=1)  # no test waits half a minute for a system that is back
    made = Play(env, queue, settings, ledger, sandbox)
    direct = DirectDecisions(ledger, settings)
    direct.key = lambda: KEY
    with (
        activities(settings, ledger, lambda again: made.sign_up(again), lambda facts: made.tell(facts), direct) as acts,
        closing(RowsWriter(ledger)) as lists,
    ):
        recording = os.environ.get("RECORD_HISTORIES")  # as a worker writes them that remembers
        cache = 0 if request.node.get_closest_marker("cacheless") and not recording else CACHE
        worker = Worker(
            env.client,
            task_queue=queue,
            workflows=ALL,
            activities=acts,
            activity_executor=threads,
            max_concurrent_activities=16,
            max_cached_workflows=cache,
            interceptors=[Inbound(direct.later, KEY), *([] if cache else [NothingLocal()])],
            workflow_runner=runner(write=lists.write),
            graceful_shutdown_timeout=timedelta(seconds=10),  # what is under way ends before its client is closed
            workflow_failure_exception_types=[Exception],
        )
        async with all_at_once(worker):
            yield made
            failures = await made.failures()
            if recording:
                name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
                await made.record(Path(recording), name)
            await made.close()
    assert failures == []
    assert replay(ledger).differing == ()
