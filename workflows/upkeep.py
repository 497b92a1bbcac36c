"""What runs by schedule: the generic licence key (A24, C01), the pool of warm instances (A25), the copy of the CRM's accounts (A27), and the look for
issues that are open again, with what is asked about one whose process has ended.
"""

from datetime import timedelta
from typing import Literal

from temporalio import workflow

from domain import ids, licence_keys, upkeep
from domain.cloud.requests import HOLDS
from domain.effects.github import Dispatch
from domain.effects.licensing import IssueKey
from domain.effects.pagerduty import Page, ResolvePage
from domain.effects.slack import Post
from domain.messages import IssueEvent, LateWordInput
from domain.people import Owners, Role
from domain.policy import Policy
from domain.task import Choice, TaskKind
from domain.upkeep import AccountSync, AskPool, AskRuns, CopyAccounts, PoolChange, PoolLevel, ReopenedIssues, RunStates, UpkeepInput
from workflows.frame.detached import begin
from workflows.frame.effects import local, or_why, patient
from workflows.frame.process import Process
from workflows.frame.workflow_with_tasks import WorkflowWithTasks

#: The file of the automation that makes a warm instance.
AUTOMATION = "create-instance.yml"
#: How long one copy of the CRM may take, and how long it is tried before the old copy is used.
ONE_COPY, COPYING = timedelta(minutes=5), timedelta(hours=1)
#: How many lines one message shows.
SHOWN = 20


class Upkeep(WorkflowWithTasks[Process[Policy]]):
    """What they share: an act that was refused for good is mended, or skipped, by a person who answers."""

    @workflow.init
    def __init__(self, input: UpkeepInput) -> None:
        self._begin(Process(input.policy, input.alerts_channel), lambda: (type(self).__doc__ or "").partition("\n")[0])

    async def _tell_growth(self, key: str, text: str) -> None:
        await self.process.do(Post(key=key, channel="growth", text=text))


@workflow.defn
class RotateGenericKey(Upkeep):
    """A new cohort of self-serve trials gets a new generic key; older cohorts keep theirs, which outlive their last trial (C01)."""

    @workflow.run
    async def run(self, input: UpkeepInput) -> str:
        """Make the cohort's key and say so; empty when a person said to go on with the old one."""
        terms = input.policy.license.generic
        expires = licence_keys.of_cohort(input.policy, workflow.now())
        key = IssueKey(
            key="key.generic",
            account="plg-trial",
            purpose="generic",
            tags=(*terms.tags, f"customer:plg-trial-{workflow.now():%Y%m%d}"),
            seats=terms.seats,
            expires_at=expires,
        )
        made = (await self.process.do(key)).of(key.key).ref
        if made:
            await self._tell_growth("slack.rotated", f"New generic trial key: {terms.seats} seats, until {expires:%Y-%m-%d}.")
        await self.process.settle()
        return f"{expires:%Y-%m-%d}" if made else ""


@workflow.defn
class RefillPool(Upkeep):
    """The pool refills itself up to its target and the cap, and alarms below its floor; what fails goes on by hand (A25)."""

    @workflow.run
    async def run(self, input: UpkeepInput) -> PoolLevel:
        """Count, ask for what is missing, wait until it is there.

        Hosts that are on record as being made are what an earlier round left behind when it was ended: they are asked for again,
        which makes no second instance.
        """
        process, before = self.process, workflow.get_last_completion_result(PoolLevel)
        self.page = before.page if before is not None else ""
        level = await self._level(input, "how many warm instances are left")
        new = upkeep.missing(input.policy, level.warm + level.pending, level.cap_left, str(workflow.uuid4()))
        hosts = [*level.pending_hosts, *new]
        self._alarm(input, level, len(hosts))
        if hosts:
            await self._make(process, input, hosts)
        await process.settle()
        level = await self._level(input, "how many warm instances there are now")
        if self.page and level.warm >= input.policy.pool.floor:
            await process.do(ResolvePage(key="page.filled", page=self.page))
            self.page = ""
        self._alarm(input, level, level.pending)
        await process.settle()
        return level.model_copy(update={"page": self.page})

    async def _level(self, input: UpkeepInput, summary: str) -> PoolLevel:
        return await local("pool_level", AskPool(cap=input.policy.cloud.instance_cap), PoolLevel, summary)

    def _alarm(self, input: UpkeepInput, level: PoolLevel, asked: int) -> None:
        """Below the floor the Cloud team is paged, whenever in a round that is seen, once until the pool has been above it again.

        ``page`` is the page that is open: what was told, not what was.
        """
        process, floor = self.process, input.policy.pool.floor
        if level.warm >= floor or self.page:
            return
        alarm = f"Only {level.warm} warm instances are left (floor {floor}); {asked} more are asked for."
        process.do(process.said("slack.floor", f"🚨 {alarm}"), Page(key="page.floor", summary=alarm, severity="error"))
        self.page = f"{process.effects.subject}/page.floor"

    async def _make(self, process: Process[Policy], input: UpkeepInput, hosts: list[str]) -> None:
        for host in hosts:
            await self._change(process, host, "expected")
        asked = await process.do(*(Dispatch(key=f"warm.{host}", workflow=AUTOMATION, inputs={"host": host}) for host in hosts))
        requests = {asked.of(f"warm.{host}").ref: host for host in hosts}
        made = await self._ready(input, {ref: host for ref, host in requests.items() if ref})
        for host in hosts:
            await self._change(process, host, "ready" if host in made else "lost")
        if missing := [host for host in hosts if host not in made]:
            text = f"The automation did not make {', '.join(missing)}: please make them by hand."
            process.post(process.said("slack.by_hand", text))

    async def _change(self, process: Process[Policy], host: str, change: Literal["expected", "ready", "lost"]) -> None:
        told = PoolChange(subject=process.effects.subject, as_of=workflow.now(), host=host, change=change)
        await local("pool_change", told, type(None), f"{host}: {change}")

    async def _ready(self, input: UpkeepInput, requests: dict[str, str]) -> list[str]:
        """The hosts whose run succeeded, asked for at growing intervals until the policy's time-out."""
        give_up = workflow.now() + timedelta(minutes=input.policy.pool.ready_timeout_minutes)
        pause, ready, open_ = timedelta(seconds=2), list[str](), dict(requests)
        while open_ and workflow.now() < give_up:
            await workflow.sleep(pause, summary="the automation makes the instances")
            pause = min(pause * 2, timedelta(minutes=5))
            states = await patient(
                "github_runs", AskRuns(workflow=AUTOMATION, requests=tuple(open_)), RunStates, "which instances are made"
            )
            if not self.page:  # instances are given away meanwhile
                self._alarm(input, await self._level(input, "how many warm instances are left meanwhile"), len(open_))
            for request, conclusion in states.completed.items():
                host = open_.pop(request, None)
                if host and conclusion == "success":
                    ready.append(host)
        return ready


@workflow.defn
class SyncAccounts(Upkeep):
    """The CRM's accounts and people, copied into the ledger's database: what routing and round robin read (A27)."""

    @workflow.run
    async def run(self, input: UpkeepInput) -> AccountSync | None:
        """Copy, and say what is inconsistent."""
        before: AccountSync | None = workflow.get_last_completion_result(AccountSync)
        ask, summary = CopyAccounts(facts=input.policy.facts), "copy accounts and people from the CRM"
        copied, _ = await or_why(patient("salesforce_accounts", ask, AccountSync, summary, ONE_COPY, within=COPYING))
        if copied is None:
            await self._tell_growth("slack.sync", "The CRM could not be copied for an hour: routing uses the old copy.")
            return before  # what was told stays told
        if new := [error for error in copied.data_errors if before is None or error not in before.data_errors]:
            await self._tell_growth("slack.data_errors", f"Accounts in the CRM with data errors:\n{_listed(new)}")
        if copied.absent:
            away = "\n".join(f"- {person.email}: {person.why}" for person in copied.absent[:SHOWN])
            await self._tell_growth("slack.absent", f"Get no new trials from now on:\n{away}")
        errors = [error for error in copied.customer_errors if before is None or error not in before.customer_errors]
        known = before.odd if before else {}  # what cannot be so in the CRM, each once; and what was, and was corrected since
        odd = [text for key, text in copied.odd.items() if known.get(key) != text]
        odd += [f"corrected since: {text}" for key, text in known.items() if key not in copied.odd]
        if told := [*copied.left, *errors, *odd]:
            await self._tell_growth("slack.customers", f"Customers in the CRM:\n{_listed(told)}")
        await self.process.settle()
        return copied


@workflow.defn
class LateWord(WorkflowWithTasks[Process[Policy]]):
    """An issue is worked on again after the process that raised it has ended: nobody listens there any more, so the CE is told and asked here.

    The instance of a customer whose conversion is reopened may be torn down; one that was torn down may stand again. What follows is theirs to do.
    """

    @workflow.init
    def __init__(self, input: LateWordInput) -> None:
        self.input = input
        team = Owners(ce=input.ce, ae=input.ae)
        process = Process(input.policy, input.alerts_channel, team=team, stage="late_word", owner=team.email(Role.CE))
        words = f"#{input.issue} was reopened after {input.workflow}, which raised it, had ended"
        self._begin(process, lambda: words, issue=str(input.issue), raised_by=input.workflow)

    @workflow.run
    async def run(self, input: LateWordInput) -> str:
        """Tell, and ask until somebody says what becomes of it."""
        title = f"#{input.issue} was reopened after {input.workflow} had ended"
        choices = (HOLDS, Choice(name="mine", label="It does not: I look after it"))
        spec = self.process.spec(TaskKind.LATE_WORD, title=title, choices=choices)
        answer = await self.process.ask(spec)
        await self.process.settle()
        return answer.choice if answer else "withdrawn"


@workflow.defn
class FindReopened(Upkeep):
    """What the Cloud team took up again while no webhook reached us is told as by one: once, until it is closed.

    GitHub sends a webhook once. Whoever raised the issue, running or not, hears of it.
    """

    @workflow.run
    async def run(self, input: UpkeepInput) -> ReopenedIssues | None:
        """Look, and tell of those that were not open again the last time."""
        before = workflow.get_last_completion_result(ReopenedIssues)
        found, _ = await or_why(patient("github_reopened", None, ReopenedIssues, "which issues are open again"))
        if found is None:
            return before  # what was told stays told
        known = {told.issue for told in before.issues} if before else set()
        for again in found.issues:
            if again.issue in known:
                continue
            event = IssueEvent(issue=again.issue, action="reopened", reason="reopened")
            if await self.process.effects.signal(again.workflow, "issue_event", event):
                continue
            of = {"workflow": again.workflow, "issue": again.issue, "ce": again.ce, "ae": again.ae}
            late = LateWordInput(policy=input.policy, alerts_channel=input.alerts_channel, **of)
            summary = f"#{again.issue} was reopened after {again.workflow} had ended"
            await begin("LateWord", late, id=ids.late_word(again.workflow, again.issue), summary=summary)
        await self.process.settle()
        return found


def _listed(texts: list[str]) -> str:
    more = [f"… and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return "\n".join([*(f"- {text}" for text in texts[:SHOWN]), *more])
