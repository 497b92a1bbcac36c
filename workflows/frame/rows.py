"""What the lists show of a process (:mod:`domain.read_model`): which of it has changed since they were told last."""

from datetime import datetime

from temporalio import workflow

from domain.account.account import RenewalRow
from domain.decision import Decision
from domain.policy import AnyPolicy
from domain.read_model import ProcessRow, Rows
from domain.task import Task

#: The function that takes rows: :mod:`workflows.frame.runner` gives it to each workflow.
WRITE = "write_rows"

#: How often one workflow task may tell the lists something.
OF_ONE_TASK = 1_000


class RowsTold:
    """What one run has told the lists. While a run is rebuilt nothing is told, and what the next telling brings is everything.

    So no history has rows, and what a worker did not write before it died another writes.
    """

    def __init__(self, decisions: list[Decision]) -> None:
        """``decisions`` is the list in the workflow's state; what stands in it already was told by the run before."""
        self._decisions = decisions
        self._version = self._count = 0
        self._before = len(decisions)
        self._forget()

    def _forget(self) -> None:
        self._process: ProcessRow | None = None
        self._renewal: RenewalRow | None = None
        self._tasks: dict[str, tuple[str, int, datetime]] = {}
        self._decided = self._before

    def tell(self, process: ProcessRow, tasks: list[Task], renewal: RenewalRow | None, policy: AnyPolicy) -> None:
        """Have the worker write what has changed, by no command."""
        write = workflow.extern_functions().get(WRITE)
        if write is None or workflow.unsafe.is_replaying():
            return self._forget()
        before, first = self._renewal, self._decided
        if before and renewal:  # who only confirms what they said changes nothing
            before = before.model_copy(update={"updated_at": renewal.updated_at, "forecast_at": renewal.forecast_at})
        moved = renewal is not None and renewal != before
        news = tuple(task.model_copy() for task in tasks if self._tasks.get(task.id) != _told(task))
        if process.same_as(self._process) and not (moved or news or len(self._decisions) > first):
            return
        info, whole = workflow.info(), self._process is None
        # By the history's length first: a workflow task that failed is done again, and then other things may be told, and fewer.
        self._count = (self._count + 1) % OF_ONE_TASK
        self._version = info.get_current_history_length() * OF_ONE_TASK + self._count
        self._process, self._renewal, self._decided = process, renewal, len(self._decisions)
        self._tasks |= {task.id: _told(task) for task in news}
        rows = Rows(
            workflow=info.workflow_id,
            run=_run(info),
            version=self._version,
            whole=whole,
            process=process,
            tasks=news,
            first_decision=first - self._before + 1,
            decisions=tuple(self._decisions[first:]),
            renewal=renewal if moved else None,
            policy=policy,
        )
        with workflow.unsafe.sandbox_unrestricted():
            write(rows)

    def everything(self, process: ProcessRow, tasks: list[Task]) -> Rows:
        """All rows as they are now, by the version that was told last: for whoever makes the tables anew."""
        info, made = workflow.info(), tuple(self._decisions[self._before :])
        about = {"workflow": info.workflow_id, "run": _run(info), "version": self._version, "whole": True}
        return Rows(**about, process=process, tasks=tuple(tasks), decisions=made)


def _told(task: Task) -> tuple[str, int, datetime]:
    return task.status, task.rung, task.next_at


def _run(info: workflow.Info) -> str:
    """A run by its start and its id, so that the text's order is that of the runs of one workflow: ids alone have none."""
    return f"{info.start_time:%Y-%m-%dT%H:%M:%S.%f} {info.run_id}"
