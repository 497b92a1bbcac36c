"""What every process of ours has: effects, a desk of tasks, waiting that never forgets a task, and what the Web UI shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from domain import ids, ladder, markup
from domain.calendar import LONGEST_TIMER, moment_after
from domain.effects.models import SlackAct
from domain.people import Role
from domain.policy import Officed
from domain.task import Answer, Choice, Task, TaskSpec
from workflows.frame.effects import Effects
from workflows.frame.search_attributes import DUE_AT, OWNER, STAGE
from workflows.frame.tasks import Desk, card, reminder

#: Events of a run after which it is continued as new, if the engine does not suggest it before: a history that a person can still read.
LONG = 1_500

#: Characters of the details that the Web UI shows of a process.
LONGEST_DETAILS = 4_000

#: How far the clocks of two of the server's machines may be apart: so much before its moment a timer may fire.
SKEW = timedelta(minutes=1)

Figures = TypeVar("Figures", bound=Officed)
Result = TypeVar("Result")


class ShownTooEarly(RuntimeError):
    """A timer has fired, and the time is still that of the workflow task before: the SDK shows us what is not ours to act on yet.

    It does so when a query is answered just as the timer fires. What we did then would stand in the history where no replay does it,
    and the workflow would be stuck for good. So this task fails (it is no ``ApplicationError``), the SDK forgets the run and shows
    it to us again, from its beginning and with the right time.
    """


class Process(Generic[Figures]):
    """The frame of one running workflow. ``stage`` and ``owner`` (an address, shown as its handle) are what operators filter by; ``in_words`` says where it stands."""

    def __init__(self, policy: Figures, tasks: list[Task], alerts_channel: str, cycle: int = 1) -> None:
        """``tasks`` is the list in the workflow's state; ``alerts_channel`` is where a task without a channel of its own is posted."""
        self.policy = policy
        self.alerts_channel = alerts_channel
        self.desk = Desk(tasks)
        self.effects = Effects(cycle, self._mend)
        self.stage = ""
        self.owner = ""
        self.in_words: Callable[[], str] = lambda: self.stage
        #: What an heir shows operators besides; None is not shown.
        self.attributes: Callable[[], dict[SearchAttributeKey[Any], Any]] = dict
        self._published: tuple[str, str, datetime | None] | None = None
        self._shown: dict[SearchAttributeKey[Any], Any] = {}
        self._work: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Let work go on beside the process; :meth:`settle` waits for it."""
        task = asyncio.create_task(work)
        self._work.append(task)
        return task

    def may_continue(self) -> bool:
        """Whether now is the moment to continue as new: the run is long enough, and nothing is under way that would be lost."""
        idle, info = all(task.done() for task in self._work) and workflow.all_handlers_finished(), workflow.info()
        return idle and (info.is_continue_as_new_suggested() or info.get_current_history_length() >= LONG)

    async def settle(self) -> None:
        """Wait for everything that goes on beside, and for every handler: the last line of a run."""
        self.publish()
        await self.wait(lambda: all(task.done() for task in self._work), summary="what is still under way")
        for task in self._work:
            task.result()
        self._work.clear()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def wait(self, ready: Callable[[], bool], *, until: datetime | None = None, summary: str) -> bool:
        """Wait for ``ready``, at most until ``until``, chasing open tasks meanwhile. True when ready, False when the time has come."""
        while not ready():
            self.publish()
            now, seen = workflow.now(), self.desk.version
            for task, rung, number in self.desk.climb():
                self.spawn(self.effects.slack(reminder(task, rung, number)))
            if until is not None and until <= now:
                return False
            wakes = [min(at, moment_after(now, LONGEST_TIMER)) for at in (until, self.desk.next_at()) if at is not None]
            timeout = min(wakes) - now if wakes else None
            chases = bool(wakes) and min(wakes) != until
            try:
                await workflow.wait_condition(
                    lambda seen=seen: ready() or self.desk.version != seen,  # type: ignore[misc]
                    timeout=timeout,
                    timeout_summary=markup.summary("remind: " + self._next_chased() if chases else summary),
                )
            except TimeoutError:
                if wakes and workflow.now() < min(wakes) - SKEW:
                    raise ShownTooEarly(
                        f"the timer for {min(wakes)} fires at {workflow.now()}: to be shown again, with its history"
                    ) from None
        return True

    async def ask(self, spec: TaskSpec, channel: str = "", *, under: str = "", first: tuple[SlackAct, ...] = ()) -> Answer | None:
        """Ask a person and wait for the answer; None when the task was withdrawn. ``first`` are Slack acts of the same moment."""
        task = self.desk.open(spec, channel or self.alerts_channel)
        self.spawn(self.effects.slack(*first, card(task, under)))
        await self.wait(lambda: not task.is_open, summary=spec.title)
        return task.answer if task.status == "answered" else None

    def publish(self) -> None:
        """Show where the process stands: one upsert for all search attributes, and only when one changed; and the details in words."""
        now, also = (self.stage, ids.handle(self.owner), self.desk.due_at()), self.attributes()
        before = self._published or (None, None, None)
        updates: list[SearchAttributeUpdate[Any]] = []
        if now[0] and now[0] != before[0]:
            updates.append(STAGE.value_set(now[0]))
        if now[1] and now[1] != before[1]:
            updates.append(OWNER.value_set(now[1]))
        if now[2] != before[2]:
            updates.append(DUE_AT.value_set(now[2]) if now[2] else DUE_AT.value_unset())
        for key, value in also.items():
            if value != self._shown.get(key):
                updates.append(key.value_unset() if value is None else key.value_set(value))
        self._published, self._shown = now, also
        if updates:
            workflow.upsert_search_attributes(updates)
        workflow.set_current_details(markup.markdown(self.in_words()[:LONGEST_DETAILS]))

    def started_with(self) -> None:
        """What the start brought along as search attributes is not published again."""
        given = workflow.info().typed_search_attributes
        owner = given.get(OWNER, "")
        # Earlier versions gave the owner's address; its handle in the place of it is no news, which would be another command.
        self._published = (given.get(STAGE, ""), ids.handle(owner) if "@" in owner else owner, given.get(DUE_AT))
        self._shown = {key: given.get(key) for key in self.attributes()}

    def _next_chased(self) -> str:
        return next((t.spec.title for t in self.desk.tasks if t.is_open and t.next_at == self.desk.next_at()), "an open task")

    async def _mend(self, system: str, why: str) -> bool:
        """Ask for a refused act to be mended; True: try again, False: go on without it."""
        spec = TaskSpec(
            kind=f"mend-{system}",
            title=f"{system} refused an act",
            asks=f"{why}\nMend the cause and choose retry, or skip the act: the process goes on without it.",
            role=Role.GROWTH,
            choices=(Choice(name="retry", label="Mended: try again"), Choice(name="skip", label="Go on without it")),
            due_at=ladder.due_in(self.policy, workflow.now(), self.policy.tasks.rescue_hours),
        )
        task = self.desk.open(spec, self.alerts_channel)
        if system != "slack":
            self.spawn(self.effects.slack(card(task)))
        await self.wait(lambda: not task.is_open, summary=spec.title)
        return task.answer is not None and task.answer.choice == "retry"
