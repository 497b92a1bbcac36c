"""The hourly health run (D12): copy what people set, score everybody, tell the processes that it concerns, show the scores in Vitally."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from domain.effects.vitally import ScoresWritten
from domain.health.hourly_run import FleetScored, HandCopied, HealthInput, HealthRun, ScoreFleet, TellAccounts, Told, WriteScores
from domain.policy import AccountPolicy
from domain.upkeep import AccountSync, CopyAccounts
from workflows.frame.effects import patient
from workflows.frame.process import Process
from workflows.frame.workflow_with_tasks import WorkflowWithTasks

Result = TypeVar("Result")

FAILED = "Could not"
#: How many problems one message names.
SHOWN = 10

#: What an outside system may take before the run goes on without it. Together they leave room in the hour: the next run does the rest.
COPYING = timedelta(minutes=10)
SCORING = timedelta(minutes=25)
TELLING = timedelta(minutes=20)
#: A worker that died is noticed within it; the warehouse's one query may take as long.
BEAT = timedelta(minutes=5)


@workflow.defn
class ScoreHealth(WorkflowWithTasks[Process[AccountPolicy]]):
    """Every account's health score, once an hour: who looks after an account hears of what changed, and of nothing else."""

    @workflow.init
    def __init__(self, input: HealthInput) -> None:
        self.input = input
        self.problems: list[str] = []
        self.does = "copies what people set in Vitally"
        self._begin(Process(input.policy, input.channel), lambda: self.does)

    @workflow.run
    async def run(self, input: HealthInput) -> HealthRun:
        """Copy, score, tell and write; what cannot be done now is said once, and done by a later run."""
        process, as_of = self.process, workflow.now()
        copied = await self._do("copy_hand_traits", None, HandCopied, COPYING, "copy the traits that people set in Vitally")
        if copied is not None:
            self.problems += copied.unreadable
        self._now("scores every account")
        scored = await self._score(as_of)
        if scored is not None and not scored.accounts and workflow.get_last_completion_result(HealthRun) is None:
            # A new installation: the copy of the CRM has a schedule of its own, which may come later than this one.
            ask, summary = CopyAccounts(facts=self.input.policy.facts), "copy the CRM, of which there is no copy yet"
            await self._do("salesforce_accounts", ask, AccountSync, COPYING, summary, beats=False)
            scored = await self._score(as_of)
        self.problems += scored.odd if scored else ()
        self._now("tells who must know")
        write = WriteScores(subject=process.effects.subject, as_of=as_of, policy=self.input.policy)
        told, written = await asyncio.gather(
            self._do("tell_accounts", TellAccounts(), Told, TELLING, "signal the accounts to which a change matters"),
            self._do("write_scores", write, ScoresWritten, TELLING, "show the new scores in Vitally"),
        )
        self.problems += [f"Vitally refuses the score of {domain}: {why}" for domain, why in (written.refused if written else {}).items()]
        done = HealthRun(
            as_of=as_of,
            scored=scored,
            told=told.accounts if told else 0,
            written=written.written if written else 0,
            problems=tuple(self.problems),
        )
        self._now(done.in_words)
        await self._complain(done)
        await process.settle()
        return done

    async def _score(self, as_of: datetime) -> FleetScored | None:
        ask = ScoreFleet(as_of=as_of, policy=self.input.policy)
        return await self._do("score_fleet", ask, FleetScored, SCORING, "score every account, write what changed")

    async def _do(self, name: str, ask: Any, result: type[Result], within: timedelta, summary: str, *, beats: bool = True) -> Result | None:
        """One step; None when it could not be done in its time, which is a problem and no failure: the old scores stay."""
        beat = BEAT if beats else None
        try:
            return await patient(name, ask, result, summary, within, within=within, heartbeat_timeout=beat)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause: BaseException = error
            while cause.__cause__ is not None:  # what began it: a time-out says only that there was one
                cause = cause.__cause__
            self.problems.append(f"{FAILED} {summary}: {cause}")
            return None

    async def _complain(self, done: HealthRun) -> None:
        """Say what is wrong, once for as long as it stays so."""
        before: HealthRun | None = workflow.get_last_completion_result(HealthRun)
        known = {_kind(problem) for problem in (before.problems if before else ())}
        if new := [problem for problem in done.problems if _kind(problem) not in known]:
            more = [f"… and {len(new) - SHOWN} more"] if len(new) > SHOWN else []
            text = "\n".join(["The hourly health run has problems; what it could not do, a later one does:", *new[:SHOWN], *more])
            await self.process.do(self.process.said("slack.health", text))

    def _now(self, words: str) -> None:
        self.does = words
        self.process.publish()


def _kind(problem: str) -> str:
    """What makes two problems one: of a step that failed, not how it did this time."""
    return problem.partition(":")[0] if problem.startswith(FAILED) else problem
