"""How a workflow acts on the world: what is asked for at one moment travels in one activity, with a summary in prose.

Whoever asks, and whatever the systems: the effects of one moment go together, side by side on their systems. A system that does not answer
there, or refuses, goes on alone, in an activity of its own that is called as it is: it stalls only what is asked of itself, and shows as
itself. What is asked of it meanwhile waits for its turn. An effect that is refused for good is not an end: the growth role is asked to mend
it and says retry or skip.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception

from domain.effects.effect import TOGETHER, BatchResult, Effect, EffectBatch, Receipt
from domain.effects.github import AskIssue, IssueState
from domain.messages import AskUsage, SignupAgain, SignupAnswer, Usage

Result = TypeVar("Result")
Remediate = Callable[[str, str], Awaitable[bool]]

#: For as long as it takes: an outside system may be down for days, and is asked again at most every five minutes.
PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5))
ONE_TRY = timedelta(seconds=60)
#: A look that a decision waits for, asked again at most every hour; for how long says the policy.
LOOKING = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=5, maximum_interval=timedelta(hours=1))
#: A person waits at a page for so long.
WHILE_THEY_WAIT = timedelta(seconds=15)
#: Whoever waits at a page goes first. What follows a signup comes after everything else: a trial inherits the signup's own priority.
AT_A_PAGE, AFTERWARDS = Priority(priority_key=1), Priority(priority_key=4)
LOCAL_TRY = timedelta(seconds=10)


@dataclass(frozen=True)
class _Asked:
    """What one caller wants of one system, and where they wait for it. ``as_of`` is the moment."""

    effects: tuple[Effect, ...]
    as_of: datetime
    done: asyncio.Future[BatchResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def system(self) -> str:
        return self.effects[0].system


async def or_why(work: Awaitable[Result]) -> tuple[Result | None, str]:
    """What an activity or a signal gave; or None, and why it was refused, or did not come in time. Raises when the workflow is cancelled."""
    try:
        return await work, ""
    except FailureError as error:  # of an activity it is wrapped, of a local one it comes as it is
        if is_cancelled_exception(error):
            raise
        return None, str(error.cause or error)


async def patient(
    name: str,
    ask: object,
    result: type[Result],
    summary: str,
    one_try: timedelta = ONE_TRY,
    *,
    within: timedelta | None = None,
    retries: RetryPolicy = PATIENT,
    **how: Any,
) -> Result:
    """What an activity answers to ``ask`` (None: to nothing), tried until it does, or ``within`` is over; ``how`` as Temporal takes it."""
    how |= {"start_to_close_timeout": one_try, "schedule_to_close_timeout": within, "retry_policy": retries, "summary": summary}
    answer: Result = await workflow.execute_activity(name, args=[] if ask is None else [ask], result_type=result, **how)
    return answer


async def local(name: str, ask: object, result: type[Result], summary: str) -> Result:
    """A short step on the ledger's own database, as a local activity."""
    answer: Result = await workflow.execute_local_activity(
        name, ask, result_type=result, start_to_close_timeout=LOCAL_TRY, retry_policy=PATIENT, summary=summary
    )
    return answer


class Effects:
    """The world, for one subject: a workflow's own effects under its own keys in the ledger."""

    def __init__(self, cycle: int, patience: timedelta, remediate: Remediate) -> None:
        """``cycle`` counts the lives of one workflow id within one chain of runs. A look is asked again for ``patience``, then the decision is taken
        without it. ``remediate`` asks a person to put right what a system refused.
        """
        info = workflow.info()
        self.subject = f"{info.workflow_id}/{info.first_execution_run_id[-8:]}.{cycle}"  # the first digits are but the time of day
        self._patience, self._remediate = patience, remediate
        self._waiting: list[_Asked] = []
        self._busy: set[str] = set()
        self._starting = False

    async def do(self, *effects: Effect) -> BatchResult:
        """Do these effects, each system's in their order, and return their receipts. What others ask for at this moment goes along."""
        systems = dict.fromkeys(effect.system for effect in effects)
        asked = [_Asked(tuple(effect for effect in effects if effect.system == system), workflow.now()) for system in systems]
        self._waiting += asked
        self._wake()
        done = [(effect.key, await each.done) for each in asked for effect in each.effects]
        return BatchResult(receipts={key: found.of(key) for key, found in done})

    async def attempt(self, effect: Effect) -> Receipt | None:
        """Do an effect for somebody who waits at a page; None when its system did not do it while they wait."""
        done, _ = await or_why(self._carry_out(effect.system, [effect], workflow.now(), within=WHILE_THEY_WAIT))
        return done.of(effect.key) if done else None

    async def usage(self, host: str, admin: str, former: Sequence[str] = ()) -> Usage | None:
        """What the instance says about its use; None when it did not answer as long as it is waited for."""
        ask = AskUsage(host=host, admin=admin, former=tuple(former), as_of=workflow.now())
        return await self._looked("instance_usage", ask, Usage, f"usage of {host}")

    async def issue(self, number: int) -> IssueState | None:
        """What an issue says now; None when GitHub did not answer as long as it is waited for."""
        return await self._looked("github_issue", AskIssue(issue=number), IssueState, f"state of issue #{number}")

    async def _looked(self, name: str, ask: object, result: type[Result], summary: str) -> Result | None:
        return (await or_why(patient(name, ask, result, summary, within=self._patience, retries=LOOKING)))[0]

    async def sign_up(self, again: SignupAgain) -> tuple[SignupAnswer | None, str]:
        """Sign a person up on their behalf, as the form would have; or None and why the form would never take it."""
        return await or_why(patient("sign_up", again, SignupAnswer, f"sign up again: {again.via}"))

    async def signal(self, workflow_id: str, name: str, *message: Any) -> bool:
        """Signal another workflow of ours; False when it has ended and nobody waits for it any more."""
        _, ended = await or_why(workflow.get_external_workflow_handle(workflow_id).signal(name, args=message))
        if ended:
            workflow.logger.info("%s has ended before it could be told of %s", workflow_id, name)
        return not ended

    # --- batches -------------------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._starting:
            self._starting = True
            _go_on(self._start(), self._waiting)

    async def _start(self) -> None:
        """Once everything of this moment has been asked for: begin what waits for no other, moment by moment."""
        await workflow.wait_condition(lambda: True)
        self._starting = False
        while free := [asked for asked in self._waiting if asked.system not in self._busy]:
            moment = [asked for asked in free if asked.as_of == free[0].as_of]
            self._waiting = [asked for asked in self._waiting if asked not in moment]
            self._busy.update(asked.system for asked in moment)
            _go_on(self._at_once(moment), moment)

    async def _at_once(self, moment: list[_Asked]) -> None:
        """The effects of one moment: several systems in one activity, then each that is left there in one of its own."""
        systems = {each.system: [other for other in moment if other.system == each.system] for each in moment}
        done = (await or_why(self._carry_out(TOGETHER, _effects(moment), moment[0].as_of)))[0] if len(systems) > 1 else None
        together = done or BatchResult(left=dict.fromkeys(systems, ""))
        for system, asked in systems.items():
            if system in together.left:
                _go_on(self._alone(system, asked, together.not_before.get(system)), asked)
                continue
            _answer(asked, together)
            self._free(system)

    async def _alone(self, system: str, asked: list[_Asked], not_before: datetime | None) -> None:
        """One system, in an activity of its own. What one of several callers is refused goes on by itself, and stops no other's."""
        left = [asked]
        while left:
            callers = left.pop(0)
            found, why = await or_why(self._carry_out(system, _effects(callers), asked[0].as_of, not_before))
            if found is None and len(callers) > 1:
                left = [[each] for each in callers]
                continue
            if found is None and await self._remediate(system, why):
                left.insert(0, callers)
                continue
            _answer(callers, found or BatchResult(receipts={effect.key: Receipt() for effect in _effects(callers)}))
        self._free(system)

    def _free(self, system: str) -> None:
        self._busy.discard(system)
        if self._waiting:
            self._wake()

    async def _carry_out(
        self, name: str, effects: Sequence[Effect], as_of: datetime, not_before: datetime | None = None, within: timedelta | None = None
    ) -> BatchResult:
        """One activity, asked again until it is done, or refused, or ``within`` is over."""
        batch = EffectBatch(subject=self.subject, as_of=as_of, effects=tuple(effects), not_before=not_before)
        priority = AT_A_PAGE if within else AFTERWARDS
        return await patient(name, batch, BatchResult, batch.in_words(), within or ONE_TRY, within=within, priority=priority)


def _effects(asked: Iterable[_Asked]) -> list[Effect]:
    return [effect for each in asked for effect in each.effects]


def _answer(asked: Iterable[_Asked], found: BatchResult) -> None:
    """Give the callers what they wait for."""
    for each in asked:
        if not each.done.done():
            each.done.set_result(found)


def _go_on(work: Coroutine[Any, Any, None], asked: Sequence[_Asked]) -> None:
    """Let work go on beside its callers, who are told of a fault of ours in it."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            for each in asked:
                if not each.done.done():
                    each.done.set_exception(fault)

    asyncio.create_task(work).add_done_callback(ended)
