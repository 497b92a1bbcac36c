"""How workflows are run: sandboxed, with our own modules passed through, and what a task brings is handled in one order, however it comes.

What a task changes of what lists show is written at its end, before the server hears of it (docs/decisions/0034).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker._workflow_instance import _WorkflowLogicFlag
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import _Definition

from domain.read_model import Rows
from workflows.frame.rows import WRITE

#: The SDK would import a workflow's module anew for every run. The linter keeps clocks, chance and I/O out of these (docs/decisions/0003).
OURS = ("domain", "workflows")

#: The commands that end a run.
ENDS: tuple[Any, ...] = tuple(f"{how}_workflow_execution" for how in ("complete", "continue_as_new", "fail", "cancel"))

Activate = Callable[[WorkflowActivation], WorkflowActivationCompletion]

#: Takes what lists are to show. The workflow's task waits for it: it must return soon, also while the ledger is away.
Write = Callable[[Sequence[Rows]], None]


def runner(inner: WorkflowRunner | None = None, write: Write | None = None) -> WorkflowRunner:
    """The runner of every worker and replayer; ``inner`` is another than the sandboxed one."""
    return _InOrder(inner or SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*OURS)), write)


def all_at_once(worker: Worker) -> Worker:
    """The same worker, whose workflows are given all that a task brings before any code of theirs runs (docs/decisions/0015).

    The SDK records the flag in each history, so histories from before it replay as they were written.
    """
    worker._set_default_workflow_logic_flag(_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH, enabled=True)
    return worker


class _InOrder(WorkflowRunner):
    """Runs workflows as another runner does, each update after everything else that came with it (docs/decisions/0015)."""

    def __init__(self, inner: WorkflowRunner, write: Write | None) -> None:
        self._inner, self._write = inner, write

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        told: list[Rows] = []
        if self._write is not None:
            det = replace(det, extern_functions={**det.extern_functions, WRITE: told.append})
        instance = self._inner.create_instance(det)
        instance.activate = partial(_handled, instance.activate, told, self._write)  # type: ignore[method-assign]
        return instance

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._inner.set_worker_level_failure_exception_types(types)


def _handled(activate: Activate, told: list[Rows], write: Write | None, act: WorkflowActivation) -> WorkflowActivationCompletion:
    """Handle what came, and write what lists are to show of it; a task that failed is done again, and tells then."""
    told.clear()
    done = _updates_last(activate, act)
    if write is not None and told and not done.HasField("failed"):
        write(tuple(told))
    return done


def _updates_last(activate: Activate, act: WorkflowActivation) -> WorkflowActivationCompletion:
    """Handle what came, updates last. What starts a run goes on together with the update that it was started with.

    The core hands an update over together with the end of an activity, or after it: for the same history now so, now so. So it is always after it.
    """
    updates = [job for job in act.jobs if job.HasField("do_update")]
    others = [job for job in act.jobs if not job.HasField("do_update")]
    if not updates or not others or any(job.HasField("initialize_workflow") for job in others):
        return activate(act)
    done = WorkflowActivationCompletion()
    done.CopyFrom(activate(_with(act, others)))
    if done.HasField("failed") or any(command.HasField(end) for command in done.successful.commands for end in ENDS):
        return done  # whoever sent the update is told by the server that the run is over
    last = activate(_with(act, updates))
    if last.HasField("failed"):
        return last
    done.successful.MergeFrom(last.successful)
    return done


def _with(act: WorkflowActivation, jobs: Sequence[WorkflowActivationJob]) -> WorkflowActivation:
    part = WorkflowActivation()
    part.CopyFrom(act)
    del part.jobs[:]
    part.jobs.extend(jobs)
    return part
