"""What people are asked: as data (``workflows/tasks.toml``, and ``requests.toml`` for the Cloud team, read once, when a worker starts), and as the tasks of
a workflow, their ladders, and the one answer that wins (idea 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.base import Value
from domain.effects.slack import Post
from domain.markup import bold
from domain.people import Role
from domain.task import Answer, Check, Choice, Escalation, Task, TaskSpec, find, refusal
from domain.views import TaskView
from domain.wording import beside


class Question(Value):
    """A task before it is asked. ``hours`` is the path of a figure of the policy; ``title`` and ``asks`` have names in braces."""

    kind: str
    title: str = "{title}"
    asks: str
    role: Role = Role.CLOUD
    hours: str = ""
    choices: tuple[Choice, ...] = ()
    checks: tuple[Check, ...] = ()

    def filled(self, words: Mapping[str, object]) -> Question:
        """With these words in the place of the names."""
        text = {"title": self.title.format(**words), "asks": self.asks.format(**words)}
        return self.model_copy(update={**text, "choices": tuple(_filled(choice, words) for choice in self.choices)})


def _filled(choice: Choice, words: Mapping[str, object]) -> Choice:
    fields = (field.model_copy(update={"asks": field.asks.format(**words)}) for field in choice.fields)
    return choice.model_copy(update={"fields": tuple(fields)})


def _choices(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each choice; one with ``names`` is as many."""
    return [
        {**each, "name": name, "label": each["label"].replace("{Name}", name.replace("_", " ").capitalize())}
        for each in given
        for name in _names(each)
    ]


def _names(given: dict[str, Any]) -> list[str]:
    return given.get("names") or [given["name"]]


class Request(Value):
    """What is asked of the Cloud team, before it is; names stand in braces."""

    what: str
    title: str
    intro: str
    labels: tuple[str, ...]
    choices: tuple[Choice, ...]
    undo: tuple[Choice, ...] = ()


_HERE = Path(__file__).parents[1]
QUESTIONS = {
    name: Question.model_validate({"kind": name, **given, "choices": _choices(given.get("choices", []))})
    for name, given in beside(f"{_HERE}/tasks").items()
}
REQUESTS = {name: Request.model_validate(given) for name, given in beside(f"{_HERE}/requests").items()}


def refused(why: str) -> ApplicationError:
    """The error of a refused message: the caller reads ``why``."""
    return ApplicationError(why, type="Refused", non_retryable=True)


class TaskList:
    """Tasks live in the workflow's state (``tasks``); the desk opens, reminds, answers and withdraws them."""

    def __init__(self, tasks: list[Task]) -> None:
        """``tasks`` is the state's own list."""
        self.all = tasks
        self.version = 0

    def open(self, spec: TaskSpec, channel: str) -> Task:
        """Ask. The caller posts its card; :meth:`next_at` says when somebody else is asked."""
        number = max((int(task.id.rpartition("-")[2]) for task in self.all if task.spec.kind == spec.kind), default=0) + 1
        first = spec.ladder[0].at if spec.ladder else spec.due_at
        task = Task(id=f"{spec.kind}-{number}", spec=spec, channel=channel, opened_at=workflow.now(), next_at=first)
        self.all.append(task)
        self.version += 1
        _count("opened", task)
        return task

    def refusal(self, answer: Answer) -> str | None:
        """Why an answer cannot be taken; None when it can."""
        return refusal(self._own(answer), self.all)

    def answer(self, answer: Answer) -> Task:
        """Take an answer that nothing refuses; it wins."""
        task = self.named(answer)
        task.status, task.answer, task.closed_at = "answered", answer, workflow.now()
        self.version += 1
        _count("answered", task)
        return task

    def named(self, answer: Answer) -> Task:
        """The task that an answer means, which must be one of its own."""
        task = find(self._own(answer).task, self.all)
        if task is None:
            raise refused(f"there is no task {answer.task!r}")
        return task

    def withdraw(self, kinds: str | tuple[str, ...], why: str) -> None:
        """Close the open tasks of a kind, or of several, because what they asked was settled elsewhere (``*``: all)."""
        for task in self.all:
            if task.is_open and (kinds in ("*", task.spec.kind) or (isinstance(kinds, tuple) and task.spec.kind in kinds)):
                task.status, task.closed_at, task.closed_because = "withdrawn", workflow.now(), why
                self.version += 1

    def forget(self) -> None:
        """Let go of what is closed, before a run is continued as new; the newest of each kind stays, and the numbers go on from it."""
        newest = {task.spec.kind: task for task in self.all}
        self.all[:] = [task for task in self.all if task.is_open or newest[task.spec.kind] is task]

    def find_open(self, kind: str) -> Task | None:
        """The open task of a kind."""
        return next((task for task in self.all if task.is_open and task.spec.kind == kind), None)

    def next_at(self) -> datetime | None:
        """When the next rung of any open task is climbed."""
        return min((task.next_at for task in self.all if task.is_open and task.spec.ladder), default=None)

    def due_at(self) -> datetime | None:
        """The earliest due time of the open tasks: the search attribute ``DueAt``."""
        return min((task.spec.due_at for task in self.all if task.is_open), default=None)

    def climb(self) -> list[tuple[Task, Escalation, int]]:
        """Climb every rung that is due: (task, the rung whose person is asked now, how often this task was chased).

        A task without a ladder is chased by nobody: its process acts by itself when it is due.
        """
        now, climbed = workflow.now(), []
        for task in self.all:
            ladder = task.spec.ladder
            if not task.is_open or not ladder or task.next_at > now:
                continue
            rung = ladder[min(task.rung, len(ladder) - 1)]
            task.rung += 1
            task.next_at = ladder[task.rung].at if task.rung < len(ladder) else now + timedelta(days=task.spec.repeat_days)
            task.next_at = max(task.next_at, now + timedelta(minutes=1))
            climbed.append((task, rung, task.rung))
            _count("chased", task)
        return climbed

    def views(self) -> list[TaskView]:
        """The open tasks, for the query."""
        return [TaskView.of(workflow.info().workflow_id, task) for task in self.all if task.is_open]

    def _own(self, answer: Answer) -> Answer:
        """The same answer with the workflow's own name taken off the task's id."""
        own = f"{workflow.info().workflow_id}:"
        return answer.model_copy(update={"task": answer.task.removeprefix(own)})


def _count(event: str, task: Task) -> None:
    """One more in the metrics; not while a history is replayed."""
    workflow.metric_meter().create_counter("tenure_tasks", "Tasks of people").add(1, {"event": event, "kind": task.spec.kind})


def card(task: Task, under: str = "") -> Post:
    """The Slack card of a task: what is asked, the choices, and how to answer."""
    spec = task.spec
    return Post(
        key=f"task.{task.id}",
        channel=task.channel,
        under=under,
        text=f"{bold(spec.title)}\n{spec.asks}",
        mention=(spec.assignee,) if spec.assignee else (),
        task=f"{workflow.info().workflow_id}:{task.id}",
        choices=tuple((choice.name, choice.label) for choice in spec.choices),
    )


def reminder(task: Task, rung: Escalation, number: int) -> Post:
    """The reminder under a task's card, to whoever the rung asks."""
    return Post(
        key=f"task.{task.id}.reminder-{number}",
        channel=task.channel,
        under=f"task.{task.id}",
        text=f"Still open: {bold(task.spec.title)} (due {task.spec.due_at:%a %d %b %H:%M} UTC).",
        mention=(rung.who,) if rung.who else (),
    )
