"""What a scenario does and sees: companies sign up, people answer, days pass, and the effects stand in the ledger by day."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from activities.all import SignUp
from activities.health.hourly_run import Tell
from activities.licensing import Licensing
from activities.salesforce.effects import Salesforce
from domain import ids, licence_keys, policy
from domain.account.account import AccountFacts
from domain.decision import Decision
from domain.effects.effect import EffectBatch
from domain.effects.licensing import IssueKey
from domain.effects.registry import AskOwners, ClaimInstance, RegistryChange
from domain.messages import SignupAgain, SignupAnswer
from domain.people import Owners, Person
from domain.policy import Policy
from domain.read_model import Rows
from domain.upkeep import PoolChange
from domain.views import TaskView, TrialStatus
from sandbox.core import Fault
from sandbox.mail import Mail
from sandbox.server import SandboxServer
from starter.errors import TenureError
from starter.local.skip import at_rest
from starter.service.accounts import Accounts
from starter.service.authorization import LINK
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.histories import decrypt
from starter.service.queries import query
from starter.service.tenure import Tenure
from store.instance_changes import Pool
from store.ledger import Ledger
from store.read_model import ReadModel
from store.registry import Registry
from store.roster import Roster
from store.settings import Settings
from store.vault import Vault
from worker import in_temporals_terms

T = TypeVar("T")
UNHANDLED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
#: How the SDK says that a workflow's step took two seconds: on a machine that has other things to do it may, and it is done again.
TOO_BUSY = "[TMPRL1101]"
DAY = timedelta(days=1)
#: How a workflow's id begins; anything else is a company's domain, and means its trial.
KNOWN = ("trial-", "late-word-", "join-", "rescue-", "domain-change-", "upkeep-", "account-", "renewal-", "get-well-", "red-")
NOW = datetime.now(UTC)


async def eventually(look: Callable[[], Awaitable[T]], *, within: float = 60.0) -> T:
    """What ``look`` finds, once it is something; a test waits for state, never for time."""
    give_up = time.monotonic() + within
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > give_up:
            raise TimeoutError(f"nothing came in {within} s")
        await asyncio.sleep(0.02)


def changed(base: Policy, changes: Mapping[str, Any]) -> Policy:
    """A policy with other values at dotted paths."""
    tree = base.model_dump()
    for path, value in changes.items():
        *sections, leaf = path.split(".")
        at = tree
        for section in sections:
            at = at[section]
        assert leaf in at, path
        at[leaf] = value
    return Policy.model_validate(tree)


class Play:
    """One test's world. Every company of a test has a domain of its own, so that scenarios share a server."""

    def __init__(self, env: WorkflowEnvironment, queue: str, settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
        self.env, self.queue, self.settings, self.ledger, self.sandbox = env, queue, settings, ledger, sandbox
        self.registry, self.pool = Registry(ledger), Pool(ledger)
        self.tag = uuid.uuid4().hex[:6]
        self.policy = policy.default()
        self.began: set[str] = set()
        self.sign_up: SignUp = self.sign_up_again
        self.accounts = policy.default_accounts()
        self.tell: Tell = self.tell_account

    # --- before ------------------------------------------------------------------------------------------------------------------

    @property
    def tenure(self) -> Tenure:
        """The way in, with the policy as it stands."""
        return Tenure(self.env.client, self.ledger, self.settings, self.policy, task_queue=self.queue)

    @property
    def straight(self) -> Client:
        """Whoever sends to Temporal past every way in of ours, as the Web UI and ``temporal`` do: nothing marks what they send."""
        ours = self.env.client
        return Client(ours.service_client, namespace=ours.namespace, data_converter=ours.data_converter)

    def company(self, name: str = "acme") -> str:
        """A domain that no other test uses."""
        return f"{name}-{self.tag}.com"

    def set(self, **changes: Any) -> None:
        """Change the policy of what starts from now on: ``trial__d15__mode="ask"``."""
        self.policy = changed(self.policy, {path.replace("__", "."): value for path, value in changes.items()})

    def crm(self, *accounts: dict[str, Any], **more: Any) -> None:
        """Put accounts (and more) into the CRM, and copy it into the ledger as the schedule does."""
        self.sandbox.world.services["salesforce"].seed({"accounts": list(accounts), **more})
        salesforce = Salesforce.from_settings(self.settings, self.ledger)
        salesforce.sync_accounts()
        salesforce.close()

    def live(self) -> int:
        """How many instances customers have or were promised."""
        return sum(bool(instance.domain) for instance in self.registry.instances())

    def warm(self, *names: str) -> list[str]:
        """Warm instances, and the current generic key."""
        hosts = [f"{name}-{self.tag}.{self.policy.cloud.domain_suffix}" for name in names]
        for host in hosts:
            self.sandbox.world.services["instances"].create(host)
            self.pool.pool_change(PoolChange(subject="test/pool", as_of=NOW, host=host, change="ready"))
        return hosts

    def cohort(self) -> None:
        """A current generic key, as the rotation makes it."""
        terms = self.policy.license.generic
        key = IssueKey(
            key="key",
            account="plg-trial",
            purpose="generic",
            tags=terms.tags,
            seats=terms.seats,
            expires_at=licence_keys.of_cohort(self.policy, NOW),
        )
        licensing = Licensing(self.settings, self.ledger)
        licensing.carry_out(EffectBatch(subject="test/cohort", as_of=NOW, effects=(key,)))
        licensing.close()

    def cloud(self, mode: str = "auto") -> None:
        """Let the scripted Cloud team do what the issues ask; there is no webhook in these tests, so polling finds it."""
        self.sandbox.world.services["cloud"].seed({"mode": mode, "delay_seconds": 0.0})

    def taken(self, number: int) -> list[str]:
        """So many instances are customers' already; their domains."""
        domains = [self.company(f"taken{n}") for n in range(number)]
        for domain in domains:
            host = f"{ids.slug(domain, 20)}.{self.policy.cloud.domain_suffix}"
            claim = ClaimInstance(
                subject=f"trial-{domain}/1", domain=domain, admin=f"a@{domain}", cap=number, warm=False, host=host, as_of=NOW
            )
            assert self.registry.claim(claim).outcome == "claimed"
        return domains

    def freed(self, domain: str) -> None:
        """A customer's instance is gone, without Tenure's doing."""
        gone = RegistryChange(subject=f"trial-{domain}/1", domain=domain, as_of=NOW, change="release")
        self.registry.registry(gone)

    def fault(self, service: str, kind: Any, **how: Any) -> None:
        """Plan a failure of an outside system; see ``sandbox/faults.py``."""
        self.sandbox.world.faults.append(Fault(service=service, kind=kind, **how))

    # --- what people and companies do ----------------------------------------------------------------------------------------------

    async def signup(self, email: str, company: str = "Acme", first_name: str = "Bo", last_name: str = "Li") -> SignupAnswer:
        """Somebody fills the form in."""
        with self.env.with_time_skipping_disabled():
            form = SignupForm(email=email, company=company, first_name=first_name, last_name=last_name)
            answer = await self.tenure.signup(form)
        self.began.add(answer.trial)
        return answer

    async def request(self, email: str, **asked: Any) -> SignupAnswer:
        """A CE asks for a trial (A28)."""
        with self.env.with_time_skipping_disabled():
            answer = await self.tenure.request_trial(TrialRequestForm(email=email, **asked))
        return answer

    def trial(self, domain: str) -> WorkflowHandle[Any, Any]:
        """The running trial of a domain."""
        return self.env.client.get_workflow_handle(ids.trial(domain))

    async def answer(self, domain_or_workflow: str, task: str, choice: str, by: str = "", **more: Any) -> str:
        """Answer an open task, once it is open; as whoever it is given to, unless ``by`` says who."""
        found = await self.task(domain_or_workflow, task)
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        said = {"task": task, "choice": choice, "by": by or found.assignee or "ce-1@tenure.example", **more}
        try:
            return str(await handle.execute_update("answer", said, result_type=str))
        except WorkflowUpdateFailedError as error:
            # On a worker that remembers nothing a query shows what the workflow task that comes with this answer is about to bring.
            if "there is no task" not in str(error.cause):
                raise
            return str(await handle.execute_update("answer", said, result_type=str))

    async def task(self, domain_or_workflow: str, kind: str) -> TaskView:
        """The open task of that kind, once there is one."""

        async def look() -> TaskView | None:
            return next((task for task in await self.tasks(domain_or_workflow) if kind in (task.kind, task.task)), None)

        found = await eventually(look)
        assert found is not None
        return found

    async def tasks(self, domain_or_workflow: str) -> list[TaskView]:
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        try:
            return list(await handle.query("open_tasks", result_type=list[TaskView]))
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                return []  # a child of another that is just being started
            raise

    async def status(self, domain: str) -> TrialStatus:
        return TrialStatus.model_validate(await self.trial(domain).query("status", result_type=TrialStatus))

    async def stage(self, domain: str, *stages: str) -> TrialStatus:
        """The status, once the trial is in one of these stages."""

        async def look() -> TrialStatus | None:
            status = await self.status(domain)
            return status if status.stage in stages else None

        try:
            found = await eventually(look)
        except TimeoutError:
            now = await self.status(domain)
            described = (await self.trial(domain).describe()).raw_description
            await decrypt(described, self.env.client.data_converter)
            pending = described.pending_activities
            tried = [f"{each.activity_type.name} (attempt {each.attempt}): {each.last_failure.message}" for each in pending]
            raise AssertionError(f"{domain} is in {now.stage}, not in {stages}; it asks {now.open_tasks} and waits for {tried}") from None
        assert found is not None
        return found

    async def dossier(self, domain: str) -> list[Decision]:
        return list(await self.trial(domain).query("dossier", result_type=list[Decision]))

    async def skip(self, domain_or_workflow: str, days: float = 0, hours: float = 0) -> None:
        """Move one workflow's clock on; what falls due meanwhile happens. Whole days end an hour past what falls due on the last of them:

        the server does not stop at a moment that comes while it is still busy with a timer just before it, and runs on to the next timer.
        """
        margin = 1 if float(days).is_integer() and not hours else 0
        await self._forward(domain_or_workflow, timedelta(days=days, hours=hours + margin))

    async def _forward(self, domain_or_workflow: str, length: timedelta) -> None:
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        if await at_rest(handle):
            await self.agree(handle)
        await self.env.fast_forward(handle, length)

    async def agree(self, handle: WorkflowHandle[Any, Any]) -> None:
        """At every wait the tables that lists read show what the workflow says of itself."""
        differences: list[str] = []

        async def look() -> bool:
            said = await query(handle, "snapshot", cast("type[Rows | None]", Rows | None))
            with self.ledger.reading() as db:
                differences[:] = ReadModel.differences(db, said) if said else []
            return not differences

        try:
            await eventually(look)
        except TimeoutError:
            raise AssertionError(f"the lists have it otherwise: {differences}") from None

    async def ended(self, domain_or_workflow: str) -> Any:
        """The result, once the workflow has ended."""
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        return await asyncio.wait_for(handle.result(), 90)

    async def skip_to(self, domain_or_workflow: str, at: datetime) -> None:
        """Move one workflow's clock to a minute past ``at``."""
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        info = await self.env.get_time_skipping_info(handle)
        now = info.current_time.ToDatetime(tzinfo=UTC) if info else datetime.now(UTC)
        await self._forward(domain_or_workflow, at - now + timedelta(minutes=1))

    def use(self, host: str, code_hosts: int = 1, **more: Any) -> None:
        """Let an instance be used."""
        self.sandbox.world.services["instances"].set_usage(host, code_hosts=code_hosts, **more)

    def _workflow(self, domain_or_workflow: str) -> str:
        known = domain_or_workflow.startswith(KNOWN)
        return domain_or_workflow if known else ids.trial(domain_or_workflow)

    async def update(self, domain_or_workflow: str, name: str, *message: Any, event: str | None = None) -> str:
        """Send an update, and read what was done; ``event`` is its id, as a way in gives one to each click."""
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))
        return str(await handle.execute_update(name, args=message, id=event, result_type=str))

    async def refused(self, domain_or_workflow: str, name: str, *message: Any) -> str:
        """Send an update that must be refused, and read why."""
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await self.update(domain_or_workflow, name, *message)
        return str(refusal.value.cause)

    async def signal(self, domain_or_workflow: str, name: str, *message: Any) -> None:
        """Send a signal; nobody answers."""
        await self.env.client.get_workflow_handle(self._workflow(domain_or_workflow)).signal(name, args=message)

    async def start(self, kind: str, message: Any) -> str:
        """Start a workflow as a schedule does; returns its id. Its clock stands where the others' stand until it is moved."""
        workflow_id = f"upkeep-{kind}-{uuid.uuid4().hex[:6]}"
        with self.env.with_time_skipping_disabled():
            await self.env.client.start_workflow(kind, message, id=workflow_id, task_queue=self.queue)
        return workflow_id

    async def sign_up_again(self, again: SignupAgain) -> SignupAnswer:
        """What the worker's activity calls."""
        self.began.add(ids.trial(again.domain or again.contact.email.partition("@")[2]))
        with self.env.with_time_skipping_disabled():
            return await in_temporals_terms(self.tenure.sign_up_again)(again)

    async def tell_account(self, facts: AccountFacts) -> None:
        """What the hourly run's activity calls."""
        with self.env.with_time_skipping_disabled():
            await in_temporals_terms(Accounts(self.tenure, self.accounts).tell)(facts)

    # --- what the world holds --------------------------------------------------------------------------------------------------------

    def roster(self) -> list[Person]:
        """Our people, as the CRM has them."""
        return Roster(self.ledger).roster()

    def people(self, *roles: str) -> dict[str, str]:
        """One address for each role: the last by name, so that round robin would not have chosen them first."""
        self.crm()
        return {role: max(person.email for person in self.roster() if person.role == role) for role in roles}

    async def issue(self, domain: str, name: str) -> Any:
        """An issue that the trial raised, as GitHub has it now, once it is there."""

        async def number() -> int:
            return (await self.status(domain)).issues.get(name, 0)

        found = await eventually(number)
        hub = self.sandbox.world.services["github"].hub
        return hub.repo(*self.settings.github_repo.split("/")).issues[found]

    async def on_issue(self, domain_or_workflow: str, number: int, **does: Any) -> None:
        """The Cloud team (or ``by``) does something with an issue on its page; see ``sandbox/github.py``. Its webhook comes, unless ``told`` is false."""
        told = does.pop("told", True)
        async with httpx.AsyncClient(timeout=60, verify=False) as browser:
            said = await browser.post(
                f"{self.sandbox.url}/github/_control/issue", json={"repo": self.settings.github_repo, "issue": number, **does}
            )
        assert said.status_code == 200, said.text
        if told:
            hub = self.sandbox.world.services["github"].hub
            issue = hub.repo(*self.settings.github_repo.split("/")).issues.get(number)
            action = {"comment": "commented", "label": "labeled"}.get(does["do"], does["do"].removesuffix("e") + "ed")
            action = {"transfered": "transferred", "reopened": "reopened", "deleted": "deleted", "closed": "closed"}.get(action, action)
            state = action if action in ("deleted", "transferred") else issue.state
            event = {
                "issue": number,
                "action": action,
                "state": state,
                "labels": issue.labels if issue else [],
                "reason": does.get("reason", ""),
            }
            await self.signal(domain_or_workflow, "issue_event", event)

    async def built(self, domain: str, host: str = "", **how: Any) -> None:
        """The Cloud team builds the instance, says where, and labels the request."""
        issue, host = await self.issue(domain, "request"), host or (await self.status(domain)).host
        if not self.sandbox.world.services["instances"].exists(host):
            self.sandbox.world.services["instances"].create(host, kind="trial")
        await self.on_issue(domain, issue.number, do="comment", body=f"**Instance ready:** https://{host}", told=False)
        await self.on_issue(domain, issue.number, do="label", label="cloud-trial/instance-ready", **how)

    async def made_production(self, domain: str) -> None:
        """The Cloud team makes a converted trial's instance a production one."""
        await self.answer(domain, "conversion", "done", by="cloud-1@tenure.example")

    async def issue_of(self, workflow_id: str, key: str) -> int:
        """The number of an issue that any workflow raised, once it is on record."""

        async def number() -> int:
            rows = self.ledger.effects(workflow=workflow_id)
            return next((int(row.receipt.ref) for row in rows if row.key == key and row.receipt), 0)

        return await eventually(number)

    def said(self, key: str, workflow_id: str) -> str:
        """The text of a message that a workflow posted on Slack."""
        [row] = [row for row in self.ledger.effects(workflow=workflow_id) if row.key == key]
        assert row.receipt is not None
        channel = self.sandbox.world.services["slack"].channels[row.receipt.data["channel"]]
        return str(channel.messages[row.receipt.ref]["text"])

    def links(self, to: str) -> list[str]:
        """The tokens of the share links in the mails to an address, oldest first."""
        return [token for mail in self.box(to) for token in re.findall(r"/s/([\w-]+)", mail.text)]

    async def opens(self, email: str, token: str = "") -> str:
        """Somebody presses the button behind the link in their newest mail that has one, as its page does; the reset link that they get."""

        async def mailed() -> str:
            return token or next(reversed(self.links(email)), "")

        vault, found = Vault(self.ledger, self.settings.key()), await eventually(mailed)
        link = vault.open(found)
        try:
            with self.env.with_time_skipping_disabled():
                return vault.take(await self.tenure.called_by(LINK).open_link(link.ref, link.to_email))
        except TenureError:
            vault.close(found)
            raise

    async def closed(self, workflow_id: str, key: str) -> None:
        """Wait until the Cloud team has closed an issue."""
        hub = self.sandbox.world.services["github"].hub
        issue = hub.repo(*self.settings.github_repo.split("/")).issues[await self.issue_of(workflow_id, key)]

        async def look() -> bool:
            return bool(issue.state == "closed")

        await eventually(look)

    async def labelled(self, domain: str, name: str, label: str) -> bool:
        """Whether an issue carries a label."""
        return label in (await self.issue(domain, name)).labels

    def licence(self, domain: str) -> dict[str, Any]:
        """The newest licence key of a company, as the licensing API has it."""
        tag = f"customer:{ids.company(domain)}"
        made = [each.info for each in self.sandbox.world.services["licensing"].licenses.values() if tag in each.info.tags]
        info = made[-1]
        expires = info.expires_at if isinstance(info.expires_at, datetime) else datetime.fromtimestamp(info.expires_at, UTC)
        return {"seats": info.user_count, "tags": list(info.tags), "expires": f"{expires:%Y-%m-%d}"}

    async def owners_of(self, domain: str) -> Owners:
        """Who looks after a trial."""
        [subject] = {row.subject for row in self.ledger.effects(workflow=ids.trial(domain)) if row.key == "owners"}
        return self.registry.owners(AskOwners(subject=subject, as_of=NOW))

    async def runs(self, workflow_id: str) -> int:
        """How many executions of one id there were."""
        return (await self.env.client.count_workflows(f"WorkflowId='{workflow_id}'")).count

    def times(self, domain_or_workflow: str, key: str) -> list[datetime]:
        """The workflow's times of the effects whose keys begin so."""
        return [row.as_of for row in self.ledger.effects(workflow=self._workflow(domain_or_workflow)) if row.key.startswith(key)]

    @staticmethod
    def join_id(domain: str, email: str) -> str:
        """The id of a join request."""
        return ids.join(domain, email)

    def box(self, to: str) -> list[Mail]:
        """The mails that an address got, oldest first."""
        return list(self.sandbox.world.services["smtp"].to(to))

    def mails(self, to: str) -> list[str]:
        """Their subjects."""
        return [mail.subject for mail in self.box(to)]

    async def quiet(self, domain_or_workflow: str, but: str = "") -> None:
        """Wait until a workflow does nothing any more but wait (and try the activity ``but`` again)."""
        handle = self.env.client.get_workflow_handle(self._workflow(domain_or_workflow))

        async def look() -> bool:
            now = (await handle.describe()).raw_description
            busy = [pending for pending in now.pending_activities if pending.activity_type.name != but or not pending.attempt > 1]
            return not busy and not now.HasField("pending_workflow_task")

        await eventually(look)

    # --- after ---------------------------------------------------------------------------------------------------------------------

    def effects(self, domain_or_workflow: str) -> dict[int, list[str]]:
        """Every effect by day since the first one; within a day by system, and in order within a system.

        Systems run side by side, so between two of them there is no order; a system's own effects are in the order of its batches.
        """
        rows = [row for row in self.ledger.effects(workflow=self._workflow(domain_or_workflow)) if row.done_at]
        days: dict[int, dict[str, list[str]]] = {}
        for row in sorted(rows, key=lambda row: row.number):
            day = round((row.as_of - rows[0].as_of) / DAY)
            days.setdefault(day, {}).setdefault(row.system, []).append(row.key)
        return {day: [f"{system}: {key}" for system in sorted(systems) for key in systems[system]] for day, systems in sorted(days.items())}

    async def did(self, domain_or_workflow: str, *effects: str) -> None:
        """Wait until these effects have happened."""

        async def look() -> bool:
            happened = {effect for day in self.effects(domain_or_workflow).values() for effect in day}
            return set(effects) <= happened

        await eventually(look)

    async def close(self) -> None:
        """End what the test left running."""
        async for execution in self.env.client.list_workflows(f"TaskQueue='{self.queue}' AND ExecutionStatus='Running'"):
            try:
                await self.env.client.get_workflow_handle(execution.id).terminate("the test is over")
            except RPCError as error:  # the list lags behind: what ended by itself is no longer there to be ended
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    async def record(self, into: Path, test: str) -> None:
        """Keep the history of every workflow of this test, for the replay test."""
        into.mkdir(exist_ok=True)
        count: dict[str, int] = {}
        async for execution in self.env.client.list_workflows(f"TaskQueue='{self.queue}'"):
            handle = self.env.client.get_workflow_handle(execution.id, run_id=execution.run_id)
            history = await handle.fetch_history()
            for event in history.events:  # in the clear, so that no key of this day is needed to replay it
                await decrypt(event, self.env.client.data_converter)
            kept = {"workflow_id": execution.id, "history": history.to_json()}
            count[execution.workflow_type] = count.get(execution.workflow_type, 0) + 1
            name = f"{execution.workflow_type}--{test}-{count[execution.workflow_type]}.json.gz"
            (into / name).write_bytes(gzip.compress(json.dumps(kept).encode(), mtime=0))

    async def failures(self) -> list[str]:
        """Every failed workflow task of this test, in words: there must be none."""
        found = []
        async for execution in self.env.client.list_workflows(f"TaskQueue='{self.queue}'"):
            handle = self.env.client.get_workflow_handle(execution.id, run_id=execution.run_id)
            async for event in handle.fetch_history_events():
                if not event.HasField("workflow_task_failed_event_attributes"):
                    continue
                await decrypt(event, self.env.client.data_converter)
                failed = event.workflow_task_failed_event_attributes
                # A message that comes while a workflow task is being answered has that task done again: that is no failure of ours.
                again = failed.cause == UNHANDLED or failed.failure.message.startswith(TOO_BUSY)
                if not again:
                    found.append(f"{execution.id}: {failed.failure.message}")
        return found
