"""The read model: what lists show of every process, written by its worker and read with one SELECT (design idea 11).

Writing again what was written changes nothing, and what is older never overwrites what is newer: runs are in the order of their start,
versions in that of a run's history. :meth:`ReadModel.close` and ``tenure rebuild`` see to a run that ended without a word, as one that was terminated.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, tuple_, update

from domain.base import Value
from domain.decision import Decision
from domain.read_model import ProcessRow, Rows
from domain.task import Task, TaskSpec
from domain.views import TaskView
from store.database import add, narrowed, put
from store.ledger import Ledger
from store.tables import decisions, policies, processes, renewals, tasks


class Listed(Value):
    """A process in a list. ``in_words`` and what comes next are as of ``updated_at``; ``due_at`` is its earliest open task's."""

    workflow: str
    subject: str
    stage: str
    owner: str = ""
    in_words: str = ""
    next_at: datetime | None = None
    next_what: str = ""
    due_at: datetime | None = None
    open: bool
    updated_at: datetime


#: The columns that order what is written of one workflow. A workflow task that fails is done again, with what came meanwhile, and may say
#: something else by the same version: that counts.
_ORDER = ("run", "version")


class ReadModel:
    """The three tables of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._policies: set[str] = set()  #: The hashes of those that are kept, as far as this object knows.

    # --- writing ------------------------------------------------------------------------------------------------------------

    def keep(self, *changes: Rows) -> None:
        """Write what has changed of workflows, in one transaction. Safe to repeat, in any order."""
        with self._ledger.writing() as db:
            for rows in changes:
                self._keep(db, rows)
            told = [rows.policy for rows in changes if rows.policy and not {each.policy for each in rows.decisions} <= self._policies]
            if new := {policy.hash: policy for policy in told}:
                add(db, policies, *({"hash": name, "figures": policy.model_dump(mode="json")} for name, policy in new.items()))
        self._policies |= new.keys()

    def _keep(self, db: Connection, rows: Rows) -> None:
        order: dict[str, Any] = {"workflow": rows.workflow, "run": rows.run, "version": rows.version}
        if rows.process is not None:
            put(db, processes, {**order, **_process(rows.process)}, order=_ORDER)
        if rows.renewal is not None:
            # It has an order of its own: what came later may say nothing of it.
            put(db, renewals, rows.renewal.model_dump(), order=["updated_at"])
        if rows.whole:
            asked = [task.id for task in rows.tasks]
            gone = (tasks.c.workflow == rows.workflow, tasks.c.run < rows.run, tasks.c.status == "open", tasks.c.task.not_in(asked))
            db.execute(update(tasks).where(*gone).values(status="withdrawn", closed_because="a later run asks it no more"))
        if rows.tasks:
            put(db, tasks, *({**order, "subject": rows.workflow, **_task(task)} for task in rows.tasks), order=_ORDER)
        if rows.decisions:
            of = {"workflow": rows.workflow, "run": rows.run, "subject": rows.workflow}
            numbered = enumerate(rows.decisions, rows.first_decision)
            made = [{**of, "number": number, **_decision(decision)} for number, decision in numbered]
            # What a process says of itself to whoever makes the tables anew has no inputs: those that are there stay.
            put(db, decisions, *made, unless_empty=("function", "inputs"))

    def close(self, workflow: str, run: str = "") -> bool:
        """A workflow, or one run of it, was found to have ended: it asks nothing any more. Returns whether its last rows said otherwise."""
        with self._ledger.writing() as db:
            open_row, asked_by = (
                (table.c.workflow == workflow, table.c.status == "open", table.c.run.endswith(run)) for table in (processes, tasks)
            )
            row = db.execute(update(processes).where(*open_row).values(status="closed", due_at=None)).rowcount
            asked = db.execute(update(tasks).where(*asked_by).values(status="withdrawn", closed_because="its process has ended")).rowcount
        return bool(row or asked)

    # --- reading ------------------------------------------------------------------------------------------------------------

    def open_tasks(self, limit: int, *, after: str = "", role: str = "", assignee: str = "", workflow: str = "") -> list[TaskView]:
        """The open tasks, the earliest due first: of one role, one person (an address in any case), one workflow; those after a task's id."""
        order = tasks.c.due_at, tasks.c.workflow, tasks.c.task
        of, _, name = after.rpartition(":")
        # The named task's row stays when it is closed.
        due = select(tasks.c.due_at).where(tasks.c.workflow == of, tasks.c.task == name).scalar_subquery()
        query = narrowed(
            select(tasks).where(tasks.c.status == "open").order_by(*order).limit(limit),
            role and tasks.c.role == role,
            assignee and func.lower(tasks.c.assignee) == assignee.lower(),
            workflow and tasks.c.workflow == workflow,
            after and tuple_(*order) > tuple_(due, of, name),
        )
        return [view(row) for row in self._ledger.rows(query)]

    def open_task(self, workflow: str, name: str) -> TaskView | None:
        """An open task of a workflow by its id, or the newest of its kind; None when the tables know none."""
        named = or_(tasks.c.task == name, tasks.c.kind == name)
        query = select(tasks).where(tasks.c.workflow == workflow, tasks.c.status == "open", named)
        row = self._ledger.row(query.order_by(tasks.c.task != name, tasks.c.opened_at.desc()).limit(1))
        return None if row is None else view(row)

    def processes(self, kind: str, limit: int, *, after: str = "", stage: str = "", owner: str = "", closed: bool = False) -> list[Listed]:
        """The processes of a kind by what they are about: the open ones, with ``closed`` all; those after a workflow's id."""
        columns = processes.c
        subject = select(columns.subject).where(columns.workflow == after).scalar_subquery()
        query = narrowed(
            select(processes).where(columns.kind == kind).order_by(columns.subject, columns.workflow).limit(limit),
            not closed and columns.status == "open",
            stage and columns.stage == stage,
            owner and func.lower(columns.owner) == owner.lower(),
            after and tuple_(columns.subject, columns.workflow) > tuple_(subject, after),
        )
        return [Listed.model_validate({**row._mapping, "open": row.status == "open"}) for row in self._ledger.rows(query)]

    # --- rebuilding ---------------------------------------------------------------------------------------------------------

    def open_workflows(self) -> set[str]:
        """The workflows that are open by the tables."""
        with self._ledger.reading() as db:
            by_row = db.execute(select(processes.c.workflow).where(processes.c.status == "open")).scalars()
            by_task = db.execute(select(tasks.c.workflow).where(tasks.c.status == "open").distinct()).scalars()
            return {*by_row, *by_task}

    def open_runs(self) -> dict[str, str]:
        """The workflows that are open by the tables, by the ids of their runs."""
        with self._ledger.reading() as db:
            found = db.execute(select(processes.c.run, processes.c.workflow).where(processes.c.status == "open"))
            return {run.rpartition(" ")[2]: workflow for run, workflow in found}

    def replace(self, rows: Rows) -> list[str]:
        """Make the rows of an open workflow what it says of itself; returns what differed."""
        with self._ledger.writing(alone=True) as db:
            told = self.differences(db, rows)
            if told:
                stale = [tasks.c.status == "open", tasks.c.task.in_([task.id for task in rows.tasks])]
                db.execute(delete(tasks).where(tasks.c.workflow == rows.workflow, or_(*stale)))
                db.execute(delete(processes).where(processes.c.workflow == rows.workflow))
                self._keep(db, rows)
        return told

    @staticmethod
    def differences(db: Connection, rows: Rows) -> list[str]:
        """What the tables have otherwise than an open workflow, which says all of itself in ``rows``; in words."""
        assert rows.process is not None  # a snapshot is whole
        was = db.execute(select(processes).where(processes.c.workflow == rows.workflow)).one_or_none()
        there = {row.task: row for row in db.execute(select(tasks).where(tasks.c.workflow == rows.workflow))}
        made = select(func.count()).select_from(decisions).where(decisions.c.workflow == rows.workflow, decisions.c.run == rows.run)
        missing = len(rows.decisions) - (db.execute(made).scalar() or 0)
        told = [f"{rows.workflow}: {each}" for each in _told(was, _process(rows.process), ("stage", "owner", "due_at", "status"))]
        told += [f"{rows.workflow}: {missing} decisions were missing"] if missing else []
        wanted = {task.id: _task(task) for task in rows.tasks}
        for name, row in sorted(wanted.items()):
            told += [f"{rows.workflow}:{name}: {each}" for each in _told(there.get(name), row, ("spec", "rung", "status", "answered_by"))]
        gone = sorted(name for name, row in there.items() if row.status == "open" and name not in wanted)
        return told + [f"{rows.workflow}:{name}: nobody asks it" for name in gone]


def view(row: Row[Any]) -> TaskView:
    """An open task as a person sees it."""
    spec = TaskSpec.model_validate(row.spec)
    return TaskView.of(row.workflow, Task(id=row.task, spec=spec, opened_at=row.opened_at, rung=row.rung, next_at=row.next_at))


def _process(row: ProcessRow) -> dict[str, Any]:
    return {
        **row.model_dump(exclude={"closed", "at"}),
        "due_at": None if row.closed else row.due_at,
        "status": "closed" if row.closed else "open",
        "updated_at": row.at,
    }


def _task(task: Task) -> dict[str, Any]:
    spec, answer = task.spec, task.answer
    asked = {"kind": str(spec.kind), "role": spec.role.value, "assignee": spec.assignee, "also": list(spec.asked), "due_at": spec.due_at}
    became = task.model_dump(include={"opened_at", "rung", "next_at", "status", "closed_at", "closed_because"})
    said = {"answer": answer.model_dump(mode="json") if answer else None, "answered_by": answer.by if answer else ""}
    return {"task": task.id, "spec": spec.model_dump(mode="json"), **asked, **became, **said}


def _decision(decision: Decision) -> dict[str, Any]:
    call = decision.call
    made_by = {"function": call.function if call else None, "inputs": call.inputs if call else None}
    return {**decision.model_dump(mode="json"), "at": decision.at, **made_by}


def _told(was: Row[Any] | None, now: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """What of these differs, in words."""
    if was is None:
        return ["it was not in the tables"]
    return [f"{name} was {was._mapping[name]!r}, is {now[name]!r}" for name in names if was._mapping[name] != now[name]]
