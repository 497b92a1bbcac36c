"""What every workflow with tasks takes and shows: an answer, as an update or as a signal, what it asks, what comes next, and where it stands."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, NoReturn, TypeVar

from temporalio import workflow
from temporalio.common import RawValue

from domain.base import Message
from domain.decision import Decision, last_word
from domain.markup import plain
from domain.read_model import Rows
from domain.task import ANSWER, Answer, Task, late
from domain.views import NextStep, TaskView
from workflows.frame import handlers
from workflows.frame.handlers import decides
from workflows.frame.process import Process

ProcessType = TypeVar("ProcessType", bound=Process[Any])


class WorkflowWithTasks(Generic[ProcessType]):
    """A base of workflows. The heir's ``@workflow.init`` calls :meth:`_begin`; it sets up the state and gives no commands."""

    def _begin(self, process: ProcessType, words: Callable[[], str] | None = None, **about: str) -> None:
        """``words`` say where it stands, where its process does not; ``about`` are facts that ``status`` shows beside them."""
        self.process, self.about = process, about
        self.notes = process.state.notes  #: The messages that were refused.
        process.words, process.next = words or process.in_words, self.ahead

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """What will happen by itself, and when; said like the words."""
        return self.process.ahead()

    def _answered(self, task: Task) -> None:
        """What an heir does with an answer at once, rather than waiting for it; without a wait of its own it costs no timer."""

    def _unfit(self, task: Task, answer: Answer) -> str | None:
        """Why an heir cannot take an answer whose form is right."""
        return None

    async def _rounds(self, over: Callable[[], bool], come: Callable[[], Awaitable[object]], anew: Callable[[], Message]) -> None:
        """Until it is ``over``: ``come`` at each moment ahead, wherever that moves meanwhile; and once the run has grown long, a new one."""
        process = self.process
        while not over():
            step = next(iter(self.ahead()), None)

            def changed(step: tuple[datetime, str] | None = step) -> bool:
                return over() or process.may_continue() or next(iter(self.ahead()), None) != step

            until, summary = step or (None, "what changes")
            if not await process.wait(changed, until=until, summary=summary):
                await come()
            elif not over() and process.may_continue():
                await self._continue_as_new(anew)

    async def _continue_as_new(self, anew: Callable[[], Message], kept: int = 50) -> NoReturn:
        """The next run has what ``anew`` says once all is done, and so many decisions; the earlier ones stand in the histories."""
        await self.process.settle()
        self.process.tasks.forget()
        del self.process.decisions[:-kept]
        workflow.continue_as_new(anew())

    def _refuse_answer(self, message: Answer) -> str | None:
        """Only an open task's choice, with what it needs."""
        tasks = self.process.tasks
        return tasks.refusal(message) or self._unfit(tasks.named(message), message)

    @decides(ANSWER, _refuse_answer)
    async def answer(self, message: Answer) -> str:
        """Answer an open task; one answer wins."""
        task = self.process.tasks.answer(message)
        self._answered(task)
        return f"{task.id}: {task.answer.choice if task.answer else ''}, taken"

    @workflow.signal(dynamic=True)
    def _unheard_of(self, _name: str, _values: Sequence[RawValue]) -> None:
        decisions = sorted(each.removeprefix("_").removesuffix("_signal") for each in dir(self) if each.endswith("_signal"))
        handlers.refuse(f"there is no such signal; send one of: {', '.join(decisions)}")

    @workflow.query
    def open_tasks(self) -> list[TaskView]:
        """What is asked of whom."""
        return self.process.tasks.views()

    @workflow.query
    def next_steps(self) -> list[NextStep]:
        """What comes next, each with its time."""
        return self.process.steps(self.ahead())

    @workflow.query
    def dossier(self) -> list[Decision]:
        """Every decision so far, with its evidence."""
        return self.process.decisions

    @workflow.query
    def snapshot(self) -> Rows | None:
        """What lists should show of it, for `tenure rebuild`."""
        return self.process.snapshot()

    @workflow.query
    def what_became(self, task: Any = "") -> str:
        """Who decided what and when, for whoever comes after it has ended; ``task`` is the one that they meant to answer."""
        tasks = self.process.tasks.all
        meant = task.removeprefix(f"{workflow.info().workflow_id}:") if isinstance(task, str) else ""
        words = (late(meant, tasks) if meant else "", last_word(self.process.decisions), late("", tasks))
        return next((each for each in words if each), "")

    @workflow.query
    def status(self) -> Message | dict[str, Any]:
        """Where it stands."""
        return self.process.status() or {**self.about, "in_words": plain(self.process.words()), "notes": self.notes}
