"""What is asked of the Cloud team by an issue, followed until it is done or a person has said what becomes of it.

A webhook is but a reason to look: the issue itself is read, when the wait begins, at every event, and now and then. So nothing is forgotten that
came before the issue's number was known, and nothing is believed that GitHub does not say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from temporalio import workflow

from domain.cloud.issues import is_ready
from domain.cloud.requests import HOLDS, Word, word
from domain.effects.github import IssueState, RaiseIssue
from domain.effects.slack import Post
from domain.messages import IssueEvent
from domain.people import Role
from domain.policy import Policy
from domain.task import Answer, Choice, Task
from workflows.frame.process import Process
from workflows.frame.tasks import REQUESTS, card

#: GitHub's answer may be a moment older than the webhook that made us ask.
A_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True)
class TeamTask:
    """What the Cloud team is asked beside the issue: to say what became of it. ``card``: on Slack too, the first time after ``announced``."""

    kind: str
    due: Callable[[], datetime]
    card: bool = True
    announced: Callable[[int], tuple[Post, ...]] = lambda _number: ()


@dataclass(frozen=True)
class CloudRequest:
    """One request, in the words of ``workflows/requests.toml``. Its ``issue`` is raised, each time under a key of its own, and ``raised`` told
    of its number and of the how manieth it is. ``by_hand`` raises it in our stead.

    ``failed_asks``: a ``failed`` of the Cloud team is a refusal like any other. ``overdue`` is told once when ``team`` is late.
    """

    name: str
    what: str
    issue: Callable[[], RaiseIssue]
    choices: tuple[Choice, ...]
    every: timedelta
    raised: Callable[[int, int], object] | None = None
    by_hand: Callable[[RaiseIssue], Awaitable[int]] | None = None
    reads: Callable[[IssueState], Word] = word
    team: TeamTask | None = None
    moot: Callable[[], bool] = lambda: False
    failed_asks: bool = False
    overdue: Callable[[int], object] | None = None
    undo: tuple[Choice, ...] = ()
    undone: Callable[[Answer], None] | None = None

    @classmethod
    def of(
        cls,
        process: Process[Any],
        name: str,
        fields: Callable[[], dict[str, str]],
        *,
        key: str = "",
        nth: int = 0,
        words: Mapping[str, object] = MappingProxyType({}),
        **how: Any,
    ) -> CloudRequest:
        """The request of that name, the ``nth`` of its process where it may make several; ``fields`` are the issue's, ``key`` its effect's."""
        known, given = REQUESTS[name], {"process": process, "state": process.state, **words}

        def issue() -> RaiseIssue:
            said = {"title": known.title.format(**given), "intro": known.intro.format(**given)}
            return RaiseIssue(key=key or name, fields=fields(), labels=("team/cloud", "mi", *known.labels), **said)

        number = f"-{nth}" if nth else ""
        return cls(f"{name}{number}", known.what.format(**given), issue, known.choices, undo=known.undo, **how)


@dataclass(frozen=True)
class Outcome:
    """How a request ended: ``done`` (at ``host``), ``moot``, or what a person chose."""

    choice: str
    number: int
    host: str = ""
    answer: Answer | None = None


class Requests:
    """The requests of one process."""

    def __init__(self, process: Process[Policy]) -> None:
        """None yet."""
        self.process = process
        self._heard: dict[int, list[IssueEvent]] = {}
        self._done: dict[int, CloudRequest] = {}
        self._times: dict[str, int] = {}

    def stir(self, event: IssueEvent) -> None:
        """Something happened to an issue: whoever follows it looks. One that nobody follows yet is looked at when its wait begins."""
        if event.issue in self._heard:
            self._heard[event.issue].append(event)
        elif event.issue in self._done and event.action == "reopened":
            self._heard[event.issue] = [event]
            self.process.spawn(self._reopened(self._done[event.issue], event.issue))

    async def raised(self, request: CloudRequest, attempt: int = 1) -> int:
        """Raise its issue, under its key: ``convert``, ``convert.2``, …; returns the issue's number."""
        issue = request.issue()
        times = self._times[issue.key] = self._times.get(issue.key, 0) + 1
        if times > 1:
            issue = issue.model_copy(update={"key": f"{issue.key}.{times}"})
        if request.by_hand:
            number = await request.by_hand(issue)
        else:
            number = int((await self.process.do(issue)).of(issue.key).ref or 0)
        if request.raised:
            request.raised(number, attempt)
        return number

    async def carried_out(self, request: CloudRequest, number: int | None = None) -> Outcome:
        """Until it is done, or a person has chosen something else than to raise it again. ``number`` is that of an issue that is raised already."""
        attempt = 1
        while True:
            if number is None:
                number = await self.raised(request, attempt)
            self._heard[number] = []
            try:
                outcome = await _Following(self.process, request, number, self._heard[number]).until_settled()
            finally:
                del self._heard[number]
            if outcome.choice != "again":
                if outcome.choice == "done" and number:
                    self._done[number] = request
                return outcome
            attempt, number = attempt + 1, None

    async def _reopened(self, request: CloudRequest, number: int) -> None:
        """What had been done is being worked on again: a person says whether it stands, unless the Cloud team closes it as done again."""
        try:
            again = _Following(self.process, request, number, self._heard[number], late=True)
            outcome = await again.until_settled()
        finally:
            del self._heard[number]
        if outcome.answer and outcome.choice != "holds" and request.undone:
            del self._done[number]
            request.undone(outcome.answer)


class _Following:
    """One issue, followed. ``late``: it had been done once, and was reopened."""

    def __init__(self, process: Process[Policy], request: CloudRequest, number: int, heard: list[IssueEvent], late: bool = False) -> None:
        self.process, self.request, self.number, self.heard, self.late = process, request, number, heard, late
        self.word = Word(says="open")
        self.task: Task | None = None
        self.question: Task | None = None
        self.looking: asyncio.Task[IssueState | None] | None = None
        self.seen = 0
        self.doubted: IssueEvent | None = None
        self.look_at: datetime | None = workflow.now() if number else None
        self.team = None if late else request.team
        self.due = self.team.due() if self.team else None
        self.told_overdue = request.overdue is None

    async def until_settled(self) -> Outcome:
        """Look, ask, wait, until one says how it ends."""
        request = self.request
        if self.team and self.due:
            title = f"{request.what[:1].upper()}{request.what[1:]} (#{self.number})"
            channel, under = self.process.talk()
            spec = self.process.spec(self.team.kind, title=title, due_at=self.due)
            self.task = self.process.tasks.find_open(self.team.kind) or self.process.tasks.open(spec, channel)
            if self.team.card:
                first = self.team.announced(self.number) if self.task.id == f"{self.team.kind}-1" else ()
                self.process.post(*first, card(self.task, under))
        while (outcome := self._settled()) is None:
            self._look()
            wakes = [at for at in (None if self.looking else self.look_at, None if self.told_overdue else self.due) if at]
            await self.process.wait(self._stirred, until=min(wakes, default=None), summary=f"#{self.number}: {request.what}")
            if request.overdue and self.due and not self.told_overdue and workflow.now() >= self.due:
                self.told_overdue = True
                request.overdue(self.number)
            self._take_look()
        for task in (self.task, self.question):
            if task and task.is_open:
                self.process.tasks.withdraw(task.spec.kind, "settled" if outcome.choice == "done" else f"settled: {outcome.choice}")
        return outcome

    def _stirred(self) -> bool:
        answered = any(task is not None and not task.is_open for task in (self.task, self.question))
        looked = self.looking.done() if self.looking else len(self.heard) > self.seen
        return answered or looked or self.request.moot()

    def _settled(self) -> Outcome | None:
        """How it ended, if it has."""
        if self.request.moot():
            return Outcome("moot", self.number)
        if self.task and not self.task.is_open:
            answer, self.task = self.task.answer, None
            if answer is None:
                return None  # withdrawn, by whoever ends the process
            if answer.choice != "failed":
                return Outcome("done", self.number, str(answer.fields.get("host") or ""), answer)
            if not self.request.failed_asks:
                return Outcome("failed", self.number, answer=answer)
            self._ask(f"cannot be done, says {answer.by}: {answer.note or 'without a reason'}")
        if self.question and not self.question.is_open:
            answer, self.question = self.question.answer, None
            if answer:
                return Outcome(answer.choice, self.number, str(answer.fields.get("host") or ""), answer)
        if self.word.says == "done":
            return Outcome("done", self.number, self.word.host)
        return None

    def _look(self) -> None:
        """Ask GitHub, without waiting: whoever answers meanwhile is heard."""
        due = self.look_at is not None and workflow.now() >= self.look_at
        if self.number and self.looking is None and (due or len(self.heard) > self.seen):
            self.seen = len(self.heard)
            # One that nobody waits for any more is left to end: to cancel it would be another command, beside what else is decided then.
            self.looking = self.process.spawn(self.process.effects.issue(self.number))

    def _take_look(self) -> None:
        """What GitHub said: a change is told."""
        if self.looking is None or not self.looking.done():
            return
        issue, self.looking = self.looking.result(), None
        self.look_at = workflow.now() + self.request.every
        if issue is None:
            return
        if self.heard and self.heard[-1] is not self.doubted and not _agree(self.heard[-1], issue):
            self.doubted = self.heard[-1]
            self.look_at = workflow.now() + A_MOMENT
        # What is open again is being worked on, whatever label it still carries.
        now = Word(says="open") if self.late and issue.state == "open" else self.request.reads(issue)
        before, self.word = self.word, now
        if self.word == before and not (self.late and self.question is None):
            return
        if self.question and self.question.is_open:
            became = {"done": "is done", "open": "is open again", "wrong": self.word.why}[self.word.says]
            self.process.tasks.withdraw(self.question.spec.kind, f"#{self.number} {became}")
            self.question = None
        if self.word.says == "wrong":
            self._ask(self.word.why)
        elif self.late and self.word.says == "open":
            self._ask("was reopened after it had been done")
        elif before.says == "wrong" and self.word.says == "open":
            self._tell(f"#{self.number} is open again: the Cloud team is asked to {self.request.what}.")

    # --- people ------------------------------------------------------------------------------------------------------------------

    def _ask(self, why: str) -> None:
        """The CE is told what happened, and asked what becomes of it."""
        request = self.request
        kind, choices = ("reopened", (HOLDS, *request.undo)) if self.late else ("declined", request.choices)
        title, kind = f"#{self.number} {why}"[:150], f"{request.name}-{kind}"
        spec = self.process.spec("declined", kind=kind, title=title, what=request.what, number=self.number, why=why, choices=choices)
        [self.question] = self.process.open(spec)

    def _tell(self, text: str) -> None:
        number = sum(task.spec.kind == f"{self.request.name}-declined" for task in self.process.tasks.all)
        self.process.post(self.process.said(f"slack.{self.request.name}.reopened-{number}", text, Role.CE))


def _agree(event: IssueEvent, issue: IssueState) -> bool:
    """Whether an issue shows what the webhook told of it."""
    return event.state == issue.state and (not is_ready(event.labels) or is_ready(issue.labels) or issue.state not in ("open", "closed"))
