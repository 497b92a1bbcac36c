"""A worker that kills itself, and whoever takes its place: ``python -m tests.chaos.doomed_worker``.

The worker is the product's own (``worker.main``); the points at which it dies are those of :mod:`tests.chaos.doom`, in ``CHAOS_DIR``.
This process only imports, and forks one worker after the other: the next one is there within a tenth of a second. It ends with SIGTERM.
Times that would only make a test wait are shorter than the product's; which ones, says :func:`shorten`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

import activities.all  # imported before the fork, as all that a worker needs
import activities.effects.batch
import activities.errors
import activities.salesforce.errors
import activities.sheets
import store.database
import store.ledger
import worker
import workflows.all
import workflows.frame.effects
from tests.chaos.doom import Doom, wrap
from tests.chaos.extra import CommentOnIssue

#: Seconds that one try of an activity may take. A killed worker's activity is tried again only after it.
ONE_TRY = float(os.environ.get("CHAOS_ONE_TRY", "3"))
A_MINUTE = timedelta(minutes=1)
PR_SET_PDEATHSIG = 1


def shorten() -> None:
    """What a test need not wait for: the end of a dead worker's try and of its tasks, the moment's patience, and what other tests check."""
    ask = workflow.execute_activity

    def soon(*args: Any, start_to_close_timeout: timedelta, heartbeat_timeout: timedelta | None = None, **how: Any) -> Any:
        within = min(start_to_close_timeout, timedelta(seconds=ONE_TRY if start_to_close_timeout <= A_MINUTE else 4 * ONE_TRY))
        beat = heartbeat_timeout and min(heartbeat_timeout, timedelta(seconds=ONE_TRY))
        if (altogether := how.get("schedule_to_close_timeout")) and altogether > A_MINUTE:
            del how["schedule_to_close_timeout"]  # the clock of the script runs through hours while a part is away for seconds
        return ask(*args, start_to_close_timeout=within, heartbeat_timeout=beat, **how)

    workflow.execute_activity = soon  # type: ignore[assignment]
    patient = workflows.frame.effects.PATIENT
    patient.initial_interval, patient.backoff_coefficient, patient.maximum_interval = timedelta(seconds=0.5), 1.2, timedelta(seconds=2)
    activities.effects.batch.PATIENCE = ONE_TRY / 2
    activities.errors.limited.after = timedelta(seconds=2)
    for module in (activities.salesforce.errors, activities.sheets):
        module.LIMIT_RETRY = timedelta(seconds=2)  # type: ignore[attr-defined]
    store.ledger.Ledger.settle = timedelta(seconds=2)
    worker.Worker = partial(worker.Worker, sticky_queue_schedule_to_start_timeout=timedelta(seconds=1))  # type: ignore[attr-defined,assignment]
    # A trial run of each workflow at the start of a worker costs more than all the rest of it.
    SandboxedWorkflowRunner.prepare_workflow = lambda self, defn: None  # type: ignore[method-assign]
    workflows.all.ALL.append(CommentOnIssue)


def one_life() -> None:
    """Be a worker until the end, which is this process's."""
    store.database._LIFE = uuid.uuid4().hex[:8]  # each of us is a process of its own
    worker.main()


def main() -> None:
    """Fork one worker after the other, until SIGTERM."""
    home = Path(os.environ["CHAOS_DIR"])
    shorten()
    wrap(Doom(home))
    child, stopping = 0, False

    def on_term(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child:
            os.kill(child, signal.SIGTERM)

    while not stopping:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            one_life()
            os._exit(0)
        signal.signal(signal.SIGTERM, on_term)
        _, status = os.waitpid(child, 0)
        child = 0
        ended = os.waitstatus_to_exitcode(status)
        sys.stderr.write(f"a worker ended with {ended}\n")
        sys.stderr.flush()
        with (home / "deaths").open("a") as file:
            file.write(f"{time.time():.2f} {ended}\n")
        if not stopping and ended != -signal.SIGKILL:
            time.sleep(0.3)  # it could not begin: Temporal is not there yet


if __name__ == "__main__":
    main()
