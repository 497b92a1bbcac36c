"""What a renewal's scenario does and sees: a customer with a contract, its people, the days ahead of its date, and the effects on each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import insert
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from activities.licensing import Licensing
from domain import ids
from domain import policy as policies
from domain.account.account import HealthSnapshot, RenewalRow
from domain.calendar import hours_of
from domain.decision import Decision
from domain.effects.effect import EffectBatch
from domain.effects.licensing import IssueKey
from domain.health.types import Band
from domain.policy import AccountPolicy
from domain.renewal.state import RenewalInput, RenewalStatus
from store.accounts import Accounts
from store.tables import health
from tests.workflows.play import NOW, Play, eventually
from workflows.renewal.process import started_as

TA, AE = "ta-paz@tenure.example", "ae-mira@tenure.example"
TA_MANAGER, AE_MANAGER = "ta-manager@tenure.example", "ae-manager@tenure.example"
TS, SALES = "ts-lead@tenure.example", "sales-lead@tenure.example"
SPONSOR = "exec-vega@tenure.example"
CHECKS = {"champion": True, "buyer_access": True}
RISK = {"risk": "two versions behind", "utilization": "steady"}
SAVE_PLAN = {"problem": "few use it", "criteria": "MAU/seats at 60 %", "steps": "TA: trainings", "asks": "none"}
#: The weekday on which every renewal here falls: then 120 days ahead is a Monday, and ladders climb on known days.
TUESDAY = 1


def changed(**changes: Any) -> AccountPolicy:
    """The accounts' policy with other figures: ``lighthouse__ratings=("red",)``."""
    tree = policies.default_accounts().model_dump()
    for path, value in changes.items():
        *sections, leaf = path.split("__")
        at = tree
        for section in sections:
            at = at[section]
        assert leaf in at, path
        at[leaf] = value
    return AccountPolicy.model_validate(tree)


class Course:
    """One renewal of one customer. Days are counted backwards: ``ahead(120)`` is the morning 120 days before the renewal date."""

    def __init__(self, play: Play, domain: str, on: date) -> None:
        self.play, self.domain, self.on = play, domain, on
        self.begun = (on - datetime.now(UTC).date()).days  # the days ahead when it began
        self.id = ids.renewal(domain, on)
        self.accounts = Accounts(play.ledger)

    @classmethod
    async def begin(
        cls, play: Play, days: int = 185, band: Band = "healthy", first: tuple[str, Any] | None = None, **changes: Any
    ) -> Course:
        """A customer whose term ends on a Tuesday, in so many days and up to six more; its renewal has just started.

        ``first`` is a signal that it is started with; ``changes`` are other figures of its policy.
        """
        on = NOW.date() + timedelta(days=days)
        course = cls(play, play.company("acme"), on + timedelta(days=(TUESDAY - on.weekday()) % 7))
        course.customer()
        course.scored(band)
        view = course.accounts.view(course.domain)
        assert view.customer is not None
        policy = changed(**changes)
        start = RenewalInput(customer=view.customer, team=view.team, standing=view.standing, renewal_on=course.on, policy=policy)
        with play.env.with_time_skipping_disabled():
            await play.env.client.start_workflow(
                "Renewal",
                start,
                id=course.id,
                task_queue=play.queue,
                search_attributes=started_as(start),
                start_signal=first[0] if first else None,
                start_signal_args=[first[1]] if first else [],
            )
        await play.did(course.id, "salesforce: crm.renewal")
        return course

    def customer(self) -> None:
        """The account in the CRM, its open renewal there, its subscription, and the ledger's copy of all that."""
        licensing = Licensing(self.play.settings, self.play.ledger)
        terms = policies.default_accounts().license.production
        key = IssueKey(
            key="key", account=ids.company(self.domain), purpose="production", tags=terms.tags, seats=110, expires_at=midnight(self.on)
        )
        sold = licensing.carry_out(EffectBatch(subject=f"test/{self.domain}", as_of=NOW, effects=(key,)))
        licensing.close()
        account = {
            "Name": "Acme",
            "Domain__c": self.domain,
            "Type": "Customer",
            "Segment__c": "Enterprise",
            "Seats__c": 100,
            "ARR__c": 120_000,
            "Contract_Start__c": (self.on - timedelta(days=365)).isoformat(),
            "Contract_End__c": self.on.isoformat(),
            "Account_Executive__c": AE,
            "Technical_Advisor__c": TA,
            "License_Subscription__c": sold.of("key").ref,
        }
        self.play.crm(account)

    def scored(self, band: Band) -> None:
        """The account's health, as the last hourly run would have left it."""
        score = {"healthy": 9.0, "concerning": 6.5, "poor": 3.0, "unknown": None}[band]
        standing = HealthSnapshot(as_of=NOW, score=score, band=band)
        row = {
            "domain": self.domain,
            "at": NOW,
            "total": score,
            "band": band,
            "traits": {},
            "score": {},
            "standing": standing.model_dump(mode="json"),
        }
        with self.play.ledger.writing() as db:
            db.execute(insert(health).values(row))

    # --- what people do, and time ----------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.play.env.client.get_workflow_handle(self.id)

    async def ahead(self, days: int) -> None:
        """Go to the opening of the office on that many days before the renewal date as it was at the start."""
        opens, _ = hours_of(policies.default_accounts().office, self.on - timedelta(days=days))
        await self.play.quiet(self.id)
        await self.play.skip_to(self.id, opens)

    async def answer(self, task: str, choice: str, by: str, *, note: str = "", checks: Any = None, **fields: Any) -> str:
        """Answer an open task, once it is open."""
        said = await self.play.answer(self.id, task, choice, by=by, note=note, checks=checks or {}, fields=fields)
        await self.play.quiet(self.id)
        return said

    async def assessed(self, ta: str, ae: str = "", outcome: str = "flat", ta_manager: str = "", ae_manager: str = "") -> None:
        """TA, AE and both managers give their ratings; those not given are the TA's."""
        await self.answer("assess_ta", ta, TA, **RISK)
        await self.answer("assess_ae", ae or ta, AE, checks=CHECKS, risk="a new buyer", outcome=outcome)
        await self.answer("review_ta", ta_manager or ta, TA_MANAGER, note="as the TA says")
        await self.answer("review_ae", ae_manager or ta_manager or ta, AE_MANAGER, note="as the AE says")

    async def update(self, name: str, **message: Any) -> str:
        said = await self.play.update(self.id, name, message)
        await self.play.quiet(self.id)
        return said

    async def refused(self, name: str, **message: Any) -> str:
        return await self.play.refused(self.id, name, message)

    async def plan_reviewed(self, met: bool, note: str = "") -> None:
        """What the get-well plan tells after each inspection."""
        await self.play.signal(self.id, "plan_reviewed", {"criteria_met": met, "note": note, "by": TA_MANAGER})

    # --- what there is to see ----------------------------------------------------------------------------------------------------------

    async def status(self) -> RenewalStatus:
        return RenewalStatus.model_validate(await self.handle.query("status", result_type=RenewalStatus))

    async def phase(self, *phases: str) -> RenewalStatus:
        """The status, once the renewal is in one of these phases."""

        async def look() -> RenewalStatus | None:
            status = await self.status()
            return status if status.phase in phases else None

        found = await eventually(look)
        assert found is not None
        return found

    async def dossier(self) -> list[tuple[str, str]]:
        """Every decision: what, and its outcome."""
        made = await self.handle.query("dossier", result_type=list[Decision])
        return [(decision.what, decision.outcome) for decision in made]

    async def kinds(self) -> list[str]:
        """What is asked at the moment."""
        return sorted(task.kind for task in await self.play.tasks(self.id))

    async def attributes(self) -> dict[str, Any]:
        """The search attributes as operators see them now."""
        found = (await self.handle.describe()).typed_search_attributes
        return {pair.key.name: pair.value for pair in found if not pair.key.name.startswith("Build")}

    def row(self) -> RenewalRow:
        """The forecast's row."""
        found = self.accounts.renewal(self.id)
        assert found is not None
        return found

    def effects(self, workflow: str = "") -> dict[int, list[str]]:
        """Every effect by the days that were left until the renewal date as it was at the start; within a day by system, in order."""
        rows = [row for row in self.play.ledger.effects(workflow=workflow or self.id) if row.done_at]
        days: dict[int, dict[str, list[str]]] = {}
        for row in sorted(rows, key=lambda row: row.number):
            left = (self.on - row.as_of.astimezone(UTC).date()).days
            days.setdefault(left, {}).setdefault(row.system, []).append(row.key)
        return {
            left: [f"{system}: {key}" for system in sorted(days[left]) for key in days[left][system]] for left in sorted(days, reverse=True)
        }

    def opportunity(self) -> dict[str, Any]:
        """The renewal's opportunity in the CRM."""
        return self._record("opportunity", "Tenure_Key__c", f"{self.id}/")

    def account(self) -> dict[str, Any]:
        """The account in the CRM."""
        return self._record("account", "Domain__c", self.domain)

    def _record(self, kind: str, field: str, begins: str) -> dict[str, Any]:
        records = self.play.sandbox.world.services["salesforce"].org.records[kind].values()
        [found] = [record for record in records if str(record[field]).startswith(begins)]
        return dict(found)

    def trait(self, name: str) -> Any:
        """A trait of the account in Vitally."""
        return self.play.sandbox.world.services["vitally"].store.get("accounts", self.domain).fields["traits"].get(name)

    def projects(self) -> dict[str, str]:
        """Vitally's projects, each with its status."""
        return {project["name"]: project["status"] for project in self.play.sandbox.world.services["vitally"].view()["projects"]}

    def doc(self, title: str) -> str:
        """The text of the document in Vitally whose title begins so."""
        notes = self.play.sandbox.world.services["vitally"].view()["notes"]
        [found] = [note["note"] for note in notes if note["subject"].startswith(title)]
        return str(found)

    def said(self, key: str) -> str:
        """The text of a message in the renewal's thread."""
        return self.play.said(key, self.id)

    async def events(self) -> int:
        """How many events the history has, without those by which a test moves its clock."""
        of_the_clock = (
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
        )
        return len([event async for event in self.handle.fetch_history_events() if event.event_type not in of_the_clock])


async def saved(c: Course) -> None:
    """The save plan, reviewed, and the executive sponsor."""
    await c.answer("sponsor", "assign", TS, sponsor=SPONSOR)
    await c.answer("save_plan", "filled_in", TA, **SAVE_PLAN)
    await c.answer("review_plan", "agreed", AE)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def silence(tasks: tuple[str, ...], rungs: tuple[int, ...], until: int) -> dict[int, list[str]]:
    """The reminders of tasks that nobody answers, by days ahead: on their rungs, then every week after the last, down to day ``until``."""
    days = (*rungs, *range(rungs[-1] - 7, until - 1, -7))
    return {left: [f"slack: task.{task}.reminder-{number}" for task in tasks] for number, left in enumerate(days, 1)}
