"""The messages that every workflow with tasks takes: an answer, as an update or as a signal, and the list of what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from domain.decision import Decision, last_word
    from domain.markup import plain
    from domain.task import Answer, Task, late
    from domain.views import TaskView
    from workflows.frame import messages
    from workflows.frame.process import Process


def what_became(tasks: list[Task], dossier: list[Decision], task: object) -> str:
    """The answer to the task that was meant, and the last decision, in words."""
    meant = task.removeprefix(f"{workflow.info().workflow_id}:") if isinstance(task, str) else ""
    words = (late(meant, tasks) if meant else "", last_word(dossier), late("", tasks))
    return next((each for each in words if each), "")


class Asked:
    """A base of workflows; the heir's ``__init__`` calls :meth:`_begin`."""

    def _begin(self, p: Process[Any], **about: str) -> None:
        """``about`` are facts that ``status`` shows beside the words; ``notes`` will hold the signals that were refused."""
        self.p = p
        self.about = about
        self.notes: list[str] = []

    def _answered(self, task: Task) -> None:
        """What an heir does with an answer at once, rather than waiting for it; without a wait of its own it costs no timer."""

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        """Why an heir cannot take an answer whose form is right."""
        return None

    @workflow.update
    async def answer(self, raw: Any = None) -> str:
        """Answer an open task; one answer wins."""
        task = self.p.desk.answer(messages.parsed(Answer, raw))
        self._answered(task)
        return f"{task.id}: {task.answer.choice if task.answer else ''}, taken"

    @answer.validator
    def _may_answer(self, raw: Any = None) -> None:
        message = messages.parsed(Answer, raw)
        self.p.desk.check(message)
        messages.refuse(self._unfit(self.p.desk.named(message), message))

    @workflow.signal(name="answer")
    async def _answer(self, raw: Any = None) -> None:
        with messages.noting(self.notes, "answer", raw):
            self._may_answer(raw)
            await self.answer(raw)

    @workflow.signal(dynamic=True)
    def _unheard_of(self, name: str, _values: Sequence[RawValue]) -> None:
        with messages.noting(self.notes, name, None):
            messages.refuse("there is no such signal")

    @workflow.query
    def open_tasks(self) -> list[TaskView]:
        """What is asked of whom."""
        return self.p.desk.views()

    @workflow.query
    def what_became(self, task: Any = "") -> str:
        """Who decided what and when, for whoever comes after it has ended; ``task`` is the one that they meant to answer."""
        return what_became(self.p.desk.tasks, self.dossier() if hasattr(self, "dossier") else [], task)

    @workflow.query
    def status(self) -> dict[str, Any]:
        """Where it stands."""
        return {**self.about, "in_words": plain(self.p.in_words()), "notes": self.notes}
