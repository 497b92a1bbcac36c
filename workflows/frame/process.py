"""What every process of ours has: a team, effects, tasks with their ladders, a thread, a dossier, waiting that never forgets a task, and what the Web UI shows."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, ClassVar, Generic, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from domain import ids, ladder, markup
from domain.account.account import RenewalRow
from domain.base import Message
from domain.calendar import LONGEST_TIMER, moment_after
from domain.decision import Decision, Outcome
from domain.effects.effect import BatchResult, Effect
from domain.effects.slack import Post
from domain.people import Owners, Role, Team
from domain.policy import AnyPolicy
from domain.read_model import ProcessRow, Rows
from domain.task import Answer, Check, Choice, Escalation, Task, TaskSpec
from domain.views import NextStep, ProcessState
from workflows.frame.effects import Effects
from workflows.frame.rows import RowsTold
from workflows.frame.search_attributes import DUE_AT, OWNER, STAGE
from workflows.frame.tasks import QUESTIONS, TaskList, card, reminder

#: Events of a run after which it is continued as new, if the engine does not suggest it before: a history that a person can still read.
LONG = 1_500

#: Characters of the details that the Web UI shows of a process.
LONGEST_DETAILS = 4_000

#: How many moments ahead they show.
SOON = 4

#: How far the clocks of two of the server's machines may be apart: so much before its moment a timer may fire.
SKEW = timedelta(minutes=1)

Figures = TypeVar("Figures", bound=AnyPolicy)
Result = TypeVar("Result")
Status = TypeVar("Status", bound=Message)


class ShownTooEarly(RuntimeError):
    """A timer has fired, and the time is still that of the workflow task before: the SDK shows us what is not ours to act on yet.

    It does so when a query is answered just as the timer fires. What we did then would stand in the history where no replay does it,
    and the workflow would be stuck for good. So this task fails (it is no ``ApplicationError``), the SDK forgets the run and shows
    it to us again, from its beginning and with the right time.
    """


class Process(Generic[Figures]):
    """The frame of one running workflow. ``stage`` and ``owner`` (an address, shown as its handle) are what operators filter by.

    It talks in ``channel``, under the message ``thread``; what is said of the machinery goes to ``alerts_channel``. ``decisions`` is its dossier.
    """

    #: Who is asked when the owner of a task does not answer: the backup, then the manager.
    ladders: ClassVar[Mapping[Role, tuple[Role, Role]]] = {
        Role.CE: (Role.AE, Role.CE_MANAGER),
        Role.AE: (Role.CE_MANAGER, Role.CE_MANAGER),
        Role.INBOUND_SDR: (Role.CE_MANAGER, Role.CE_MANAGER),
        Role.CLOUD: (Role.CE, Role.CE_MANAGER),
    }

    def __init__(
        self,
        policy: Figures,
        alerts_channel: str,
        *,
        state: ProcessState | None = None,
        team: Team | None = None,
        channel: str = "",
        stage: str = "",
        owner: str = "",
        cycle: int = 1,
    ) -> None:
        """``state`` is what the workflow remembers, if that is more than its tasks and decisions."""
        self.policy = policy
        self.state = state or ProcessState()
        self.alerts_channel = alerts_channel
        self.channel, self.thread = channel or alerts_channel, ""
        self.team: Team = team or Owners()
        self.tasks = TaskList(self.state.tasks)
        self.decisions = self.state.decisions
        self.effects = Effects(cycle, timedelta(hours=policy.facts.wait_hours), self._remediate)
        self.stage, self.owner = stage, owner
        self.words, self.next = self.in_words, self.ahead  #: A workflow may say it instead.
        self._shown: dict[SearchAttributeKey[Any], Any] = {}
        self._work: list[asyncio.Task[Any]] = []
        self._told = RowsTold(self.decisions)
        self._telling = False
        self._closing = False

    @property
    def subject(self) -> str:
        """What it is about, as lists show it: a company's domain, or what its workflow id has in the place of one."""
        return ""

    def in_words(self) -> str:
        """Where it stands, in words, where no workflow says it."""
        return self.stage

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """What is ahead, where no workflow says it."""
        return ()

    def status(self) -> Message | None:
        """Where it stands, in data; None where the words are all."""
        return None

    def status_as(self, kind: type[Status], **more: Any) -> Status:
        """A status of that kind: ``more``, and what it has in common with the state and with every process."""
        known = {"stage": self.stage, "in_words": markup.plain(self.words()), "policy": self.policy.hash}
        waiting = tuple(view.id for view in self.tasks.views())
        return kind.model_validate({**vars(self.state), **known, "open_tasks": waiting, **more})

    def attributes(self) -> dict[SearchAttributeKey[Any], Any]:
        """What an heir shows operators besides stage, owner and due time; None is not shown."""
        return {}

    def record(self, decision: Decision[Outcome]) -> Decision[Outcome]:
        """Add a decision to the dossier."""
        self.decisions.append(decision)
        return decision

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Let work go on beside the process; :meth:`settle` waits for it. What it changes is shown at its beginning and at its end."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self.show())
        self._work.append(task)
        self.show()
        return task

    def do(self, *effects: Effect) -> asyncio.Task[BatchResult]:
        """Do these effects, with all that is asked for at this moment. Awaited, it is what they left behind; else it goes on beside."""
        return self.spawn(self.effects.do(*effects))

    def may_continue(self) -> bool:
        """Whether now is the moment to continue as new: the run is long enough, and nothing is under way that would be lost."""
        idle, info = all(task.done() for task in self._work) and workflow.all_handlers_finished(), workflow.info()
        return idle and (info.is_continue_as_new_suggested() or info.get_current_history_length() >= LONG)

    def look_again(self) -> None:
        """Something has changed: whoever waits looks again at what they wait for, and it is shown."""
        self.tasks.version += 1

    async def settle(self) -> None:
        """Wait for everything that goes on beside, and for every handler: the last line of a run."""
        self.publish()
        while True:
            await self.wait(lambda: all(task.done() for task in self._work), summary="what is still under way", closing=True)
            for task in self._work:
                task.result()
            self._work.clear()
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._work:
                break
        self._tell()

    async def wait(self, ready: Callable[[], bool], *, until: datetime | None = None, summary: str, closing: bool = False) -> bool:
        """Wait for ``ready``, at most until ``until``, chasing open tasks meanwhile. True when ready, False when the time has come."""
        self._closing = closing
        while not ready():
            self.publish()
            now, seen = workflow.now(), self.tasks.version
            for task, rung, number in self.tasks.climb():
                self.post(reminder(task, rung, number))
            if until is not None and until <= now:
                return False
            wakes = [min(at, moment_after(now, LONGEST_TIMER)) for at in (until, self.tasks.next_at()) if at is not None]
            timeout = min(wakes) - now if wakes else None
            if wakes and min(wakes) != until:
                summary = "remind: " + next(
                    (task.spec.title for task in self.tasks.all if task.is_open and task.next_at == self.tasks.next_at()), ""
                )
            try:
                await workflow.wait_condition(
                    lambda seen=seen: ready() or self.tasks.version != seen,  # type: ignore[misc]
                    timeout=timeout,
                    timeout_summary=markup.summary(summary),
                )
            except TimeoutError:
                if wakes and workflow.now() < min(wakes) - SKEW:
                    raise ShownTooEarly(
                        f"the timer for {min(wakes)} fires at {workflow.now()}: to be shown again, with its history"
                    ) from None
        return True

    # --- asking and saying -------------------------------------------------------------------------------------------------------------

    def spec(
        self,
        name: str,
        *,
        kind: str = "",
        role: Role | None = None,
        choices: tuple[Choice, ...] = (),
        hours: float = 0,
        checks: tuple[Check, ...] = (),
        due_at: datetime | None = None,
        asked: tuple[str, str, str] | None = None,
        rungs: tuple[Escalation, ...] | None = None,
        **words: object,
    ) -> TaskSpec:
        """The task of that name in ``workflows/tasks.toml``, with these ``words``; what else is given counts rather than what stands there.

        It is due after so many office hours (or at ``due_at``). ``asked`` are the owner, the backup and the manager where the team does not
        say; ``rungs`` where it is no ordinary ladder.
        """
        known = QUESTIONS[name].filled({"process": self, "state": self.state, **words})
        role = role or known.role
        owner, *others = asked or (self.email(each) for each in (role, *self.ladders.get(role, (role, role))))
        figure: Any = reduce(getattr, known.hours.split("."), self.policy) if known.hours else 0
        due = due_at or ladder.due_in(self.policy, workflow.now(), hours or figure)
        return TaskSpec(
            kind=kind or known.kind,
            title=self.titled(known.title),
            asks=known.asks,
            role=role,
            assignee=owner,
            choices=choices or known.choices,
            checks=checks or known.checks,
            due_at=due,
            ladder=ladder.ordinary(self.policy, due, owner, *others) if rungs is None else rungs,
            repeat_days=self.policy.tasks.remind_manager_days,
        )

    def titled(self, title: str) -> str:
        """A task's title, as an heir's people know it."""
        return title

    def email(self, role: Role) -> str:
        """The address of whoever plays that role in the team; empty when nobody does."""
        return self.team.email(role)

    def talk(self) -> tuple[str, str]:
        """The channel in which this process is talked about, and the message under which; empty: under none."""
        return self.channel, self.thread

    def said(self, key: str, text: str, *mention: Role, under: str | None = None) -> Post:
        """A message where this process is talked about; ``under`` another message than its thread's, or none."""
        channel, thread = self.talk()
        people = tuple(email for role in mention if (email := self.email(role)))
        return Post(key=key, channel=channel, under=thread if under is None else under, text=text, mention=people)

    def post(self, *posts: Post) -> None:
        """Post, beside whatever goes on."""
        self.do(*posts)

    def open(self, *specs: TaskSpec, first: tuple[Post, ...] = (), channel: str = "") -> list[Task]:
        """Ask people, all at one moment, and go on; ``first`` is said before. ``channel``: there rather than where it is talked about."""
        channel, under = (channel, "") if channel else self.talk()
        tasks = [self.tasks.open(spec, channel) for spec in specs]
        self.post(*first, *(card(task, under) for task in tasks))
        return tasks

    def ask_in_rounds(self, *specs: TaskSpec) -> None:
        """Ask what is asked every so often, all at one moment; what is still open from the round before is not asked a second time."""
        if new := [spec for spec in specs if self.tasks.find_open(spec.kind) is None]:
            self.open(*new)

    async def ask(self, spec: TaskSpec, *, first: tuple[Post, ...] = (), channel: str = "") -> Answer | None:
        """Ask a person and wait for the answer; None when the task was withdrawn."""
        return await self.answer_to(self.open(spec, first=first, channel=channel)[0])

    async def answer_to(self, task: Task) -> Answer | None:
        """Wait for the answer to a task; None when it was withdrawn."""
        await self.wait(lambda: not task.is_open, summary=task.spec.title)
        return task.answer if task.status == "answered" else None

    def steps(self, ahead: Iterable[tuple[datetime, str]] = ()) -> list[NextStep]:
        """What comes next: these moments, and whom each open task reminds when."""
        steps = [NextStep(at=at, what=what) for at, what in ahead]
        for task in self.tasks.all:
            if task.is_open:
                rung = task.spec.ladder[task.rung].who if task.rung < len(task.spec.ladder) else task.spec.assignee
                steps.append(NextStep(at=task.next_at, what=f"remind {rung or task.spec.role.value}: {task.spec.title}"))
        return sorted(steps, key=lambda step: step.at)

    def soon(self) -> list[str]:
        """The next of them, as lines for people."""
        return [f"- {step.at:%Y-%m-%d %H:%M} UTC: {step.what}" for step in self.steps(self.next())[:SOON]]

    # --- what operators see ------------------------------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Show where the process stands: one upsert for all search attributes, and only when one changed; and the details in words."""
        before, due = self._shown, self.tasks.due_at()
        stage, owner = self.stage or before.get(STAGE), ids.handle(self.owner) or before.get(OWNER)
        self._shown = {STAGE: stage, OWNER: owner, DUE_AT: due, **self.attributes()}
        changed = [(key, value) for key, value in self._shown.items() if value != before.get(key)]
        if changed:
            workflow.upsert_search_attributes([key.value_unset() if value is None else key.value_set(value) for key, value in changed])
        workflow.set_current_details(markup.markdown(self.words()[:LONGEST_DETAILS]))
        self.show()

    def show(self) -> None:
        """Have lists show what has changed, once what is done at this moment is done: the last word of every handler."""
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    # --- what lists show -----------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Rows | None:
        """All that lists should show of it; None for what is on no list."""
        return self._told.everything(self._list_row(), self.tasks.all) if self._is_shown() else None

    def _tell(self) -> None:
        self._telling = False
        if self._is_shown():
            self._told.tell(self._list_row(), self.tasks.all, self.renewal_row(), self.policy)

    def renewal_row(self) -> RenewalRow | None:
        """A renewal as the forecast reads it; None of anything else."""
        return None

    def _is_shown(self) -> bool:
        """A run of the upkeep that asks nobody is on no list."""
        return bool(self.stage or self.tasks.all)

    def _list_row(self) -> ProcessRow:
        coming = next(iter(self.steps(self.next())), None)
        return ProcessRow(
            kind=workflow.info().workflow_type,
            subject=self.subject,
            stage=self.stage,
            owner=self.owner,
            in_words=markup.plain(self.words().partition("\n")[0]),
            next_at=coming.at if coming else None,
            next_what=coming.what if coming else "",
            due_at=self.tasks.due_at(),
            closed=self._closing,
            at=workflow.now(),
        )

    async def _remediate(self, system: str, why: str) -> bool:
        """Ask a person to put right what a system refused; True: try again, False: go on without it."""
        spec = TaskSpec(
            kind=f"fix-{system}",
            title=f"{system} refused an act",
            asks=f"{why}\nFix the cause and choose retry, or skip the act: the process goes on without it.",
            role=Role.GROWTH,
            choices=(Choice(name="retry", label="Fixed: try again"), Choice(name="skip", label="Go on without it")),
            due_at=ladder.due_in(self.policy, workflow.now(), self.policy.tasks.rescue_hours),
        )
        task = self.tasks.open(spec, self.alerts_channel)
        if system != "slack":
            self.do(card(task))
        answer = await self.answer_to(task)
        return answer is not None and answer.choice == "retry"
