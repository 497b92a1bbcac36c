"""What every process remembers, and what the queries answer: where it stands, what comes next, and what is asked of whom."""

from datetime import datetime
from typing import Self

from domain.base import Message, State
from domain.decision import Decision
from domain.task import Check, Choice, Task, TaskSpec


class ProcessState(State):
    """What every process remembers: what was decided, what is or was asked, what it could not take, in words, and how often it did what."""

    decisions: list[Decision] = []
    tasks: list[Task] = []
    notes: list[str] = []
    counts: dict[str, int] = {}

    def next(self, what: str) -> str:
        """A key that no other effect of this process has, through all its runs: ``what.1``, ``what.2`` …"""
        self.counts = {**self.counts, what: self.counts.get(what, 0) + 1}
        return f"{what}.{self.counts[what]}"


class ProcessStatus(Message):
    """Where a process stands, in data and in words; ``policy`` is the hash of the one that it carries."""

    in_words: str
    open_tasks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    policy: str = ""


class NextStep(Message):
    """Something that will happen by itself, or be asked, at ``at``, unless somebody decides before."""

    at: datetime
    what: str


class TaskView(Message):
    """An open task as a person sees it. ``asked`` are those whom its ladder asks in time. ``id`` is ``WORKFLOW:TASK`` and can be answered from every way in."""

    id: str
    workflow: str
    task: str
    kind: str
    title: str
    asks: str
    role: str
    assignee: str = ""
    choices: tuple[Choice, ...] = ()
    checks: tuple[Check, ...] = ()
    opened_at: datetime
    due_at: datetime
    asked_next: str = ""
    asked_next_at: datetime | None = None
    asked: tuple[str, ...] = ()

    @classmethod
    def of(cls, workflow: str, task: Task) -> Self:
        """The view of a task of that workflow."""
        spec = task.spec
        rung = spec.ladder[task.rung] if task.rung < len(spec.ladder) else None
        return cls(
            **{name: getattr(spec, name) for name in cls.model_fields.keys() & TaskSpec.model_fields.keys()},
            id=f"{workflow}:{task.id}",
            workflow=workflow,
            task=task.id,
            opened_at=task.opened_at,
            asked_next=rung.who if rung else (spec.ladder[-1].who if spec.ladder else ""),
            asked_next_at=task.next_at,
            asked=spec.asked,
        )


class TrialStatus(ProcessStatus):
    """Where a trial stands. ``end`` is empty while it is open. ``contact`` is the customer's address, confirmed at ``confirmed_at``."""

    domain: str
    company: str = ""
    stage: str
    case: str = ""
    origin: str = "self_serve"
    host: str = ""
    end: str = ""
    signed_up_at: datetime | None = None
    started_at: datetime | None = None
    ends_at: datetime | None = None
    total_days: int = 0
    ce: str = ""
    ae: str = ""
    sdr: str = ""
    active: bool | None = None
    opted_out: bool = False
    issues: dict[str, int] = {}
    contact: str = ""
    confirmed_at: datetime | None = None
