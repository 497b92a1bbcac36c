"""What an account's scenario does and sees: a customer with a contract that begins on a Friday, its facts, its people, and the effects by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from domain import ids
from domain import policy as policies
from domain.account.account import AccountFacts, AccountView, HealthSnapshot, PlanReason, Reason
from domain.account.commands import MarkRed, Source
from domain.account.get_well import GetWellInput
from domain.account.lifecycle import AccountInput, AccountStatus
from domain.account.red import RedInput
from domain.base import Message
from domain.calendar import hours_of
from domain.decision import Decision
from domain.policy import AccountPolicy
from store.accounts import Accounts
from store.database import put
from store.ledger import Ledger
from store.tables import health
from tests.workflows.play import NOW, Play, eventually
from workflows.frame.search_attributes import ACCOUNT

TA, AE = "ta-paz@tenure.example", "ae-mira@tenure.example"
TA_MANAGER, TS, SALES = "ta-manager@tenure.example", "ts-lead@tenure.example", "sales-lead@tenure.example"
PLAN = {
    "state": "two teams of nine use it",
    "onboarding_flow": "no",
    "docs": "no",
    "syncs": "none",
    "drive": "trainings for every team",
    "help": "access to the platform group",
}
CONTEXT = {"context": "the rollout waits for their SSO"}
FILLED = {"state": "champion left", "needs": "an executive's call", "actions": "AE: ask for it by Friday"}
WEEK = {"progress": "one training held", "next": "two more"}
#: Day 45 of a contract that begins on a Friday is a Monday.
FRIDAY = 4


def changed(**changes: Any) -> AccountPolicy:
    """The accounts' policy with other figures: ``red__program="lighthouse"``."""
    tree = policies.default_accounts().model_dump()
    for path, value in changes.items():
        *sections, leaf = path.split("__")
        at = tree
        for section in sections:
            at = at[section]
        assert leaf in at, path
        at[leaf] = value
    return AccountPolicy.model_validate(tree)


class Life:
    """One account. Days are counted from the contract's beginning, a Friday."""

    def __init__(self, play: Play, domain: str, start: date, policy: AccountPolicy) -> None:
        self.play, self.domain, self.first, self.policy = play, domain, start, policy
        self.accounts = Accounts(play.ledger)
        self.id = ids.account(domain)
        self.plan, self.red = ids.get_well(domain), ids.red(domain)
        self.renewal = ""
        self.margins: set[str] = set()  # the workflows whose clocks stand an hour past the whole weeks

    @classmethod
    def of(cls, play: Play, name: str = "Acme", weeks: int = 0, days: int = 365, facts: dict[str, Any] | None = None, **more: Any) -> Life:
        """A customer whose contract begins on the next Friday, or began on a Friday so many weeks before that one.

        ``days`` is how long the contract is; ``facts`` is how it does; ``more`` are fields of the CRM, and figures of the policy (``a__b``).
        """
        figures = {name: value for name, value in more.items() if name[0].islower()}
        fields = {name: value for name, value in more.items() if name not in figures}
        first = NOW.date() + timedelta(days=1)
        start = first + timedelta(days=(FRIDAY - first.weekday()) % 7 - 7 * weeks)
        life = cls(play, play.company(name.lower()), start, changed(**figures))
        life.signed(name, days, **fields)
        life.scored(NOW, **(facts or {}))
        return life

    @classmethod
    async def begin(cls, play: Play, name: str = "Acme", **more: Any) -> Life:
        """A customer as :meth:`of` makes it, whose account's life has just begun."""
        life = cls.of(play, name, **more)
        await life.start("Account", life.id, AccountInput(**life.known()))
        await play.did(life.id, "vitally: trait.stage.1")
        await play.quiet(life.id)
        return life

    @classmethod
    async def planned(cls, play: Play, *reasons: Reason, asker: str = "", **more: Any) -> Life:
        """A customer whose get-well plan has just begun, by hand."""
        life = cls.of(play, **more)
        given = tuple(PlanReason(reason=reason, on=True, from_workflow=asker) for reason in reasons)
        await life.start("GetWell", life.plan, GetWellInput(**life.known(), reasons=given))
        await play.task(life.plan, "plan")
        await play.did(life.plan, "slack: task.plan-1", "vitally: doc.plan.1")
        return life

    @classmethod
    async def marked(cls, play: Play, reason: str = "the champion left", **more: Any) -> Life:
        """A customer who has just been marked red, by hand."""
        life = cls.of(play, **more)
        await life.mark(reason)
        return life

    async def mark(self, reason: str = "the champion left") -> None:
        """Somebody marks it red, by hand."""
        source: Source = "judgement" if "champion" in reason else "automatic"
        marks = (MarkRed(by=TA if source == "judgement" else "", reason=reason, source=source),)
        await self.start("RedAccount", self.red, RedInput(**self.known(), marks=marks, renewal=self.renewal))
        await self.play.did(self.red, "vitally: trait.red.1")
        await self.play.quiet(self.red)

    async def start(self, kind: str, workflow: str, input: Message) -> None:
        """Start one of its workflows; its clock stands where the others' stand until it is moved."""
        attributes = TypedSearchAttributes([SearchAttributePair(ACCOUNT, self.domain)])
        with self.play.env.with_time_skipping_disabled():
            await self.play.env.client.start_workflow(kind, input, id=workflow, task_queue=self.play.queue, search_attributes=attributes)

    def known(self) -> dict[str, Any]:
        """What every process of an account starts with."""
        view = self.view()
        assert view.customer is not None
        return {"customer": view.customer, "team": view.team, "policy": self.policy}

    # --- the world of it -------------------------------------------------------------------------------------------------------------

    def signed(self, name: str, days: int, **fields: Any) -> None:
        """The account in the CRM, and the ledger's copy of it."""
        account = {
            "Name": name,
            "Domain__c": self.domain,
            "Type": "Customer",
            "Segment__c": "Enterprise",
            "Seats__c": 100,
            "ARR__c": 120_000,
            "Contract_Start__c": self.first.isoformat(),
            "Contract_End__c": (self.first + timedelta(days=days)).isoformat(),
            "Deployed_On__c": self.first.isoformat() if self.first < NOW.date() else None,
            "Account_Executive__c": AE,
            "Technical_Advisor__c": TA,
            **fields,
        }
        self.play.crm(account)

    def crm(self, **fields: Any) -> None:
        """Somebody changes the account in the CRM, and the copy follows."""
        self.play.crm({"Domain__c": self.domain, **fields})

    def crm_account(self) -> dict[str, Any]:
        """The account in the CRM."""
        org = self.play.sandbox.world.services["salesforce"].org
        [found] = [record for record in org.records["account"].values() if record.get("Domain__c") == self.domain]
        return dict(found)

    def scored(self, at: datetime, **facts: Any) -> None:
        """How the account does, as the hourly run has left it in the ledger."""
        score(self.play.ledger, self.domain, HealthSnapshot.model_validate({"as_of": at, **STEADY, **facts}))

    def view(self) -> AccountView:
        """The ledger's copy."""
        return self.accounts.view(self.domain)

    # --- what happens --------------------------------------------------------------------------------------------------------------

    async def now(self, workflow: str = "") -> datetime:
        """The clock of one of its workflows."""
        info = await self.play.env.get_time_skipping_info(self.handle(workflow))
        return info.current_time.ToDatetime(tzinfo=UTC) if info else datetime.now(UTC)

    async def told(self, crm: dict[str, Any] | None = None, **facts: Any) -> None:
        """The hourly run finds a change: the facts are in the ledger, and the account is told of them."""
        if crm:
            self.crm(**crm)
        if facts:
            self.scored(await self.now(), **facts)
        view = self.view()
        assert view.customer is not None
        told = AccountFacts(customer=view.customer, team=view.team, standing=view.standing)
        await self.play.signal(self.id, "facts", told)
        await self.play.quiet(self.id)

    async def day(self, day: int, *workflows: str) -> None:
        """Go to a minute past the opening of the office on that day, with the account (or with these workflows)."""
        opens, _ = hours_of(self.policy.office, self.first + timedelta(days=day))
        for workflow in workflows or (self.id,):
            await self.play.quiet(workflow)
            await self.play.skip_to(workflow, opens)
            await self.play.quiet(workflow)

    async def weeks(self, workflow: str, number: float) -> None:
        """Let so many weeks pass for one of its workflows; the first time an hour more, by which it stays past all that falls due."""
        await self.play.quiet(workflow)
        await self.play.skip(workflow, hours=7 * 24 * number + (workflow not in self.margins))
        self.margins.add(workflow)
        await self.play.quiet(workflow)

    async def reason(self, reason: Reason, on: bool, why: str = "") -> None:
        """A reason for the plan comes, or is gone."""
        await self.play.signal(self.plan, "reason", PlanReason(reason=reason, on=on, why=why))
        await self.play.quiet(self.plan)

    async def answer(self, workflow: str, task: str, choice: str, by: str = TA, note: str = "", **fields: Any) -> str:
        """Answer an open task, once it is open."""
        said = await self.play.answer(workflow, task, choice, by=by, note=note, fields=fields)
        await self.play.quiet(workflow)
        return said

    async def update(self, name: str, workflow: str = "", **message: Any) -> str:
        said = await self.play.update(workflow or self.id, name, message)
        await self.play.quiet(workflow or self.id)
        return said

    async def refused(self, name: str, workflow: str = "", **message: Any) -> str:
        return await self.play.refused(workflow or self.id, name, message)

    # --- what there is to see ------------------------------------------------------------------------------------------------------

    def handle(self, workflow: str = "") -> WorkflowHandle[Any, Any]:
        return self.play.env.client.get_workflow_handle(workflow or self.id)

    async def status(self) -> AccountStatus:
        return AccountStatus.model_validate(await self.handle().query("status", result_type=AccountStatus))

    async def in_stage(self, stage: str) -> AccountStatus:
        """The status, once the account is in that stage."""

        async def look() -> AccountStatus | None:
            status = await self.status()
            return status if status.stage == stage else None

        found = await eventually(look)
        assert found is not None
        return found

    async def dossier(self, workflow: str = "") -> list[tuple[str, str]]:
        """Every decision: what, and its outcome."""
        made = await self.handle(workflow).query("dossier", result_type=list[Decision])
        return [(decision.what, decision.outcome) for decision in made]

    async def kinds(self, workflow: str) -> list[str]:
        """What a workflow asks at the moment."""
        return sorted(task.kind for task in await self.play.tasks(workflow))

    def effects(self, workflow: str = "") -> dict[int, list[str]]:
        """Every effect by day of the contract, what happened before its clock was moved under -1; within a day by system, in order."""
        rows = [row for row in self.play.ledger.effects(workflow=workflow or self.id) if row.done_at]
        days: dict[int, dict[str, list[str]]] = {}
        for row in sorted(rows, key=lambda row: row.number):
            day = -1 if row.as_of <= datetime.now(UTC) else (row.as_of.astimezone(UTC).date() - self.first).days
            days.setdefault(day, {}).setdefault(row.system, []).append(row.key)
        return {day: [f"{system}: {key}" for system in sorted(days[day]) for key in days[day][system]] for day in sorted(days)}

    async def ran(self, *workflows: str) -> set[str]:
        """Which of these workflows there are, running or ended."""
        return {each for each in workflows if await self.play.runs(each)}

    def traits(self) -> dict[str, Any]:
        """The account's traits in Vitally."""
        account = self.play.sandbox.world.services["vitally"].account(self.domain)
        return dict(account["traits"]) if account else {}

    def projects(self) -> dict[str, list[str]]:
        """The account's projects in Vitally: the states of those of each template, oldest first."""
        found: dict[str, list[str]] = {}
        for each in self.play.sandbox.world.services["vitally"].projects(self.domain):
            found.setdefault(each["template"], []).append(each["status"])
        return found

    def doc(self) -> str:
        """The get-well plan's newest document."""
        notes = [note for note in self.play.sandbox.world.services["vitally"].notes(self.domain) if "Get-well plan" in note["subject"]]
        return str(notes[-1]["note"])

    def mentioned(self, text: str) -> set[str]:
        """The addresses of those whom a message on Slack names."""
        users = self.play.sandbox.world.services["slack"].users.values()
        return {user.email for user in users if f"<@{user.id}>" in text}

    def rows(self) -> list[dict[str, str]]:
        """The account's rows in the tracker of red accounts."""
        return [row for row in self.play.sandbox.world.services["sheets"].records() if row["Key"].startswith(f"{self.red}/")]

    async def heard(self, workflow: str) -> list[tuple[str, Any]]:
        """The signals that the newest run of a workflow got: name and message."""
        got: list[tuple[str, Any]] = []
        async for event in self.handle(workflow).fetch_history_events():
            signal = event.workflow_execution_signaled_event_attributes
            if signal.signal_name:
                [message] = await self.play.env.client.data_converter.decode(signal.input.payloads)
                got.append((signal.signal_name, message))
        return got

    async def events(self, workflow: str) -> list[int]:
        """How many events each run of a workflow has, the newest first."""
        counts = []
        async for run in self.play.env.client.list_workflows(f"WorkflowId='{workflow}'"):
            handle = self.play.env.client.get_workflow_handle(workflow, run_id=run.run_id)
            counts.append(len([event async for event in handle.fetch_history_events()]))
        return counts


#: A customer that is neither good nor bad, and red by nothing.
STEADY: dict[str, Any] = {"score": 7.0, "band": "concerning", "usage_score": 0.25, "mau_seats": 0.6}


def score(ledger: Ledger, domain: str, standing: HealthSnapshot) -> None:
    """Put a standing where the hourly run puts it."""
    row = {
        "domain": domain,
        "at": standing.as_of,
        "total": standing.score,
        "band": standing.band,
        "traits": {},
        "score": {},
        "standing": standing.model_dump(mode="json"),
    }
    with ledger.writing() as db:
        put(db, health, row)
