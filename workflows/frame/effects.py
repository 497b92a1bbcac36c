"""How a workflow acts on the world: what is asked for at one moment travels in one activity, with a summary in prose.

Batches for one system queue behind each other; batches for different systems of the same moment run side by side in the activity
``moment``. A system that does not answer there, or refuses, goes on alone, in an activity of its own: it stalls only what is asked of
itself, and shows as itself. An act that is refused for good is not an end: the growth role is asked to mend it and says retry or skip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from domain.effects import words
from domain.effects.accounts import SheetsAct, VitallyAct
from domain.effects.effect import Act
from domain.effects.models import (
    AskIssue,
    Batch,
    GitHubAct,
    GitHubBatch,
    InstanceAct,
    InstanceBatch,
    IssueState,
    LicenseAct,
    LicenseBatch,
    MailAct,
    MailBatch,
    Moment,
    PagerAct,
    PagerBatch,
    Receipt,
    Receipts,
    ResetLink,
    SalesforceAct,
    SalesforceBatch,
    SheetsBatch,
    SlackAct,
    SlackBatch,
    Together,
    VitallyBatch,
)
from domain.messages import AskUsage, SignupAgain, SignupAnswer, Usage

Result = TypeVar("Result")
Mend = Callable[[str, str], Awaitable[bool]]

#: For as long as it takes: an outside system may be down for days, and is asked again at most every five minutes.
PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5))
ONE_TRY = timedelta(seconds=60)
#: A look that a decision waits for, asked again at most every hour: after six hours it is decided without.
LOOK = timedelta(hours=6)
LOOKING = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=5, maximum_interval=timedelta(hours=1))
#: A person waits at a page for so long.
WHILE_THEY_WAIT = timedelta(seconds=15)
#: Whoever waits at a page goes first. What follows a signup comes after everything else: a trial inherits the signup's own priority.
AT_A_PAGE, AFTERWARDS = Priority(priority_key=1), Priority(priority_key=4)
LOCAL_TRY = timedelta(seconds=10)


class Effects:
    """The world, for one subject: a workflow's own acts under its own keys in the ledger."""

    def __init__(self, cycle: int, mend: Mend) -> None:
        """``cycle`` counts the lives of one workflow id within one chain of runs; ``mend`` asks a person to mend a refused batch."""
        info = workflow.info()
        self.subject = f"{info.workflow_id}/{info.first_execution_run_id[-8:]}.{cycle}"  # the first digits are but the time of day
        self._mend = mend
        self._turns: dict[str, asyncio.Lock] = {}
        self._moment: dict[str, tuple[tuple[Act, ...], asyncio.Future[Receipts | datetime | None]]] = {}
        self._flushes: list[asyncio.Task[None]] = []

    async def slack(self, *acts: SlackAct) -> Receipts:
        """Do these acts on Slack."""
        return await self._do("slack", SlackBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def github(self, *acts: GitHubAct) -> Receipts:
        """Do these acts on GitHub."""
        return await self._do("github", GitHubBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def salesforce(self, *acts: SalesforceAct) -> Receipts:
        """Do these acts on Salesforce."""
        return await self._do("salesforce", SalesforceBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def instance(self, *acts: InstanceAct) -> Receipts:
        """Do these acts on the customer's instance."""
        return await self._do("instance", InstanceBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def licensing(self, *acts: LicenseAct) -> Receipts:
        """Do these acts on the licensing API."""
        return await self._do("licensing", LicenseBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def pagerduty(self, *acts: PagerAct) -> Receipts:
        """Do these acts on PagerDuty."""
        return await self._do("pagerduty", PagerBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def mail(self, *acts: MailAct) -> Receipts:
        """Send these mails."""
        return await self._do("mail", MailBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def vitally(self, *acts: VitallyAct) -> Receipts:
        """Do these acts in Vitally."""
        return await self._do("vitally", VitallyBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def sheets(self, *acts: SheetsAct) -> Receipts:
        """Do these acts on the tracker's sheet."""
        return await self._do("sheets", SheetsBatch(subject=self.subject, as_of=workflow.now(), acts=acts), acts)

    async def usage(self, host: str, admin: str, former: Sequence[str] = ()) -> Usage | None:
        """What the instance says about its use; None when it did not answer for six hours."""
        try:
            usage: Usage = await workflow.execute_activity(
                "instance_usage",
                AskUsage(host=host, admin=admin, former=tuple(former), as_of=workflow.now()),
                result_type=Usage,
                start_to_close_timeout=ONE_TRY,
                schedule_to_close_timeout=LOOK,
                retry_policy=LOOKING,
                summary=f"usage of {host}",
            )
            return usage
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return None

    async def reset_link(self, act: ResetLink) -> Receipt | None:
        """Make a reset link for somebody who waits at a page; None when the instance did not make it while they wait."""
        try:
            receipts: Receipts = await workflow.execute_activity(
                "instance",
                InstanceBatch(subject=self.subject, as_of=workflow.now(), acts=(act,)),
                result_type=Receipts,
                start_to_close_timeout=WHILE_THEY_WAIT,
                schedule_to_close_timeout=WHILE_THEY_WAIT,
                retry_policy=PATIENT,
                priority=AT_A_PAGE,
                summary=words.summary((act,)),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return None
        return receipts.of(act.key)

    async def issue(self, number: int) -> IssueState | None:
        """What an issue says now; None when GitHub did not answer for six hours."""
        try:
            state: IssueState = await workflow.execute_activity(
                "github_issue",
                AskIssue(issue=number),
                result_type=IssueState,
                start_to_close_timeout=ONE_TRY,
                schedule_to_close_timeout=LOOK,
                retry_policy=LOOKING,
                summary=f"state of issue #{number}",
            )
            return state
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return None

    async def sign_up(self, again: SignupAgain) -> tuple[SignupAnswer | None, str]:
        """Sign a person up on their behalf, as the form would have; or None and why the form would never take it."""
        try:
            answer: SignupAnswer = await workflow.execute_activity(
                "sign_up",
                again,
                result_type=SignupAnswer,
                start_to_close_timeout=ONE_TRY,
                retry_policy=PATIENT,
                summary=f"sign up again: {again.via}",
            )
            return answer, ""
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return None, str(error.cause or error)

    async def tell(self, workflow_id: str, signal: str, *message: Any) -> bool:
        """Signal another workflow of ours; False when it has ended and nobody waits for it any more."""
        try:
            await workflow.get_external_workflow_handle(workflow_id).signal(signal, args=message)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.info("%s has ended before it could be told of %s", workflow_id, signal)
            return False
        return True

    async def local(self, name: str, ask: object, result: type[Result], summary: str) -> Result:
        """A short step on the ledger's own database, as a local activity."""
        answer: Result = await workflow.execute_local_activity(
            name, ask, result_type=result, start_to_close_timeout=LOCAL_TRY, retry_policy=PATIENT, summary=summary
        )
        return answer

    async def _do(self, system: str, batch: Batch[Any], acts: Sequence[Act]) -> Receipts:
        async with self._turns.setdefault(system, asyncio.Lock()):
            done = await self._with_others(system, acts)
            if isinstance(done, Receipts):
                return done
            batch = batch.model_copy(update={"not_before": done})
            while True:
                try:
                    receipts: Receipts = await workflow.execute_activity(
                        system,
                        batch,
                        result_type=Receipts,
                        start_to_close_timeout=ONE_TRY,
                        retry_policy=PATIENT,
                        priority=AFTERWARDS,
                        summary=words.summary(acts),
                    )
                    return receipts
                except ActivityError as error:
                    if is_cancelled_exception(error):
                        raise
                    if not await self._mend(system, str(error.cause or error)):
                        return Receipts(by_key={act.key: Receipt() for act in acts})

    async def _with_others(self, system: str, acts: Sequence[Act]) -> Receipts | datetime | None:
        """Do the acts together with those of other systems that are asked for at this moment.

        When the system is to go alone: the real time before which it wants to be left alone, or None.
        """
        asked: asyncio.Future[Receipts | datetime | None] = asyncio.get_running_loop().create_future()
        self._moment[system] = (tuple(acts), asked)
        if len(self._moment) == 1:
            self._flushes = [each for each in self._flushes if not each.done()]
            self._flushes.append(asyncio.create_task(self._flush()))
        return await asked

    async def _flush(self) -> None:
        """Once everything of this moment has been asked for: one activity for all systems, unless there is but one."""
        await workflow.wait_condition(lambda: True)
        moment, self._moment = self._moment, {}
        done: dict[str, Receipts] = {}
        waits: dict[str, datetime] = {}
        try:
            if len(moment) > 1:
                acts = {system: acts for system, (acts, _) in moment.items()}
                together: Together = await workflow.execute_activity(
                    "moment",
                    Moment.model_validate({"subject": self.subject, "as_of": workflow.now(), **acts}),
                    result_type=Together,
                    start_to_close_timeout=ONE_TRY,
                    retry_policy=PATIENT,
                    priority=AFTERWARDS,
                    summary=words.summary([act for each in acts.values() for act in each]),
                )
                done, waits = together.done, together.not_before
        finally:
            for system, (_, asked) in moment.items():
                if not asked.done():
                    asked.set_result(done.get(system) or waits.get(system))
