"""What the lists show of a process (:mod:`domain.read_model`): which of it has changed since they were told last."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

from domain.account.account import RenewalRow
from domain.decision import Decision
from domain.read_model import ProcessRow, Rows
from domain.task import Task

#: The worker's function that writes rows: :class:`workflows.frame.inbound.Inbound` gives it to each workflow. It must not block.
WRITE = "write_rows"

#: How often one workflow task may tell the lists something.
OF_ONE_TASK = 1_000


class RowsTold:
    """What one run has told the lists."""

    def __init__(self, decisions: list[Decision]) -> None:
        """``decisions`` is the list in the workflow's state; what stands in it already was told by the run before."""
        self._decisions = decisions
        self._version = self._count = 0
        self._process: ProcessRow | None = None
        self._renewal: RenewalRow | None = None
        self._tasks: dict[str, tuple[str, int, datetime]] = {}
        self._before = self._decided = len(decisions)
        self._sure = True  #: Whether all that was told has arrived.

    def differs(self, process: ProcessRow, tasks: list[Task], renewal: RenewalRow | None) -> bool:
        """Whether the lists show anything that is so no more."""
        decided = len(self._decisions) > self._decided
        if not self._sure and not workflow.unsafe.is_replaying():
            return True
        return not process.same_as(self._process) or decided or any(map(self._is_news, tasks)) or self._has_moved(renewal)

    def tell(self, process: ProcessRow, tasks: list[Task], renewal: RenewalRow | None) -> None:
        """Have the worker write what has changed, by no command: what a rebuilt run would tell at another time must not stand in a history.

        A worker may die before it has written; so the next one, which rebuilds the run, tells everything once more.
        """
        if not (rows := self.take(process, tasks, renewal)):
            return
        if workflow.unsafe.is_replaying():
            self._sure = False
        elif write := workflow.extern_functions().get(WRITE):
            with workflow.unsafe.sandbox_unrestricted():
                write(rows)

    def take(self, process: ProcessRow, tasks: list[Task], renewal: RenewalRow | None) -> Rows | None:
        """The rows that have changed, for an activity that writes them; None when nothing has."""
        if not self.differs(process, tasks, renewal):
            return None
        if not self._sure and not workflow.unsafe.is_replaying():
            self._sure, self._process, self._renewal, self._tasks, self._decided = True, None, None, {}, self._before
        moved, self._renewal = self._has_moved(renewal), renewal
        first, self._decided = self._decided, len(self._decisions)
        news = tuple(task.model_copy() for task in tasks if self._is_news(task))
        self._process, whole = process, self._process is None
        self._tasks |= {task.id: _told(task) for task in news}
        info = workflow.info()
        # By the history's length first: a workflow task that failed is done again, and then other things may be told, and fewer.
        self._count = (self._count + 1) % OF_ONE_TASK
        self._version = info.get_current_history_length() * OF_ONE_TASK + self._count
        return Rows(
            workflow=info.workflow_id,
            run=_run(info),
            version=self._version,
            whole=whole,
            process=process,
            tasks=news,
            first_decision=first - self._before + 1,
            decisions=tuple(self._decisions[first:]),
            renewal=renewal if moved else None,
        )

    def everything(self, process: ProcessRow, tasks: list[Task]) -> Rows:
        """All rows as they are now, by the version that was told last: for whoever makes the tables anew."""
        info, made = workflow.info(), tuple(self._decisions[self._before :])
        about = {"workflow": info.workflow_id, "run": _run(info), "version": self._version, "whole": True}
        return Rows(**about, process=process, tasks=tuple(tasks), decisions=made)

    def _has_moved(self, renewal: RenewalRow | None) -> bool:
        if renewal is None or self._renewal is None:
            return renewal is not None
        same = {"updated_at": renewal.updated_at, "forecast_at": renewal.forecast_at}  # who only confirms what they said changes nothing
        return renewal != self._renewal.model_copy(update=same)

    def _is_news(self, task: Task) -> bool:
        return self._tasks.get(task.id) != _told(task)


def _told(task: Task) -> tuple[str, int, datetime]:
    return task.status, task.rung, task.next_at


def _run(info: workflow.Info) -> str:
    """A run by its start and its id, so that the text's order is that of the runs of one workflow: ids alone have none."""
    return f"{info.start_time:%Y-%m-%dT%H:%M:%S.%f} {info.run_id}"
