"""A customer of the renewals' demo: what a story can have its people do. Each step waits until it has come true, and says so on the board."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from domain import ids
from domain.account.account import RenewalRow
from domain.calendar import hours_of
from domain.policy import AccountPolicy
from domain.renewal.commands import MOVE
from domain.renewal.state import RenewalResult, RenewalStatus
from domain.views import TaskView
from starter.local import skip
from starter.local.demo.waiting import PATIENCE, Miss, eventually
from starter.service.accounts import Accounts
from starter.service.queries import query

if TYPE_CHECKING:
    from starter.local.demo.director import Director

T = TypeVar("T")
_NOT_YET = (
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.RESOURCE_EXHAUSTED,
)
#: Past the opening of the office on a day, so that what falls due at the opening is over.
MARGIN = timedelta(hours=2)


@dataclass(frozen=True)
class Script:
    """What happens to a customer, and how their renewal must end: rating, outcome, end."""

    case: str
    play: Callable[[Playing], Awaitable[None]]
    rating: str | None
    outcome: str | None
    end: str


class Playing:
    """One customer, whose renewal runs already."""

    def __init__(self, director: Director, accounts: Accounts, row: RenewalRow, script: Script) -> None:
        self._director, self._accounts = director, accounts
        self.row, self.script = row, script
        self.name, self.case = row.name, script.case
        self.renewal = row.workflow
        self.plan = ids.get_well(row.domain)
        self.result: RenewalResult | None = None
        self.problem = ""

    @property
    def policy(self) -> AccountPolicy:
        """The figures that the renewal began with."""
        return self._accounts.policy

    # --- our people ----------------------------------------------------------------------------------------------------------------

    async def answered(self, task: str, choice: str, *, workflow: str = "", **more: Any) -> None:
        """Whoever is asked answers a task of the renewal, or of another ``workflow``."""
        found = await self.asked(task, workflow=workflow)
        did = await self._director.cue("answer", task=found.task, choice=choice, workflow=workflow or self.renewal, **more)
        self.tell(f"{did['by'].partition('@')[0]} answers “{did['title']}”: {choice}")

    async def assessed(self, ta: str, ae: str, *, outcome: str, ta_manager: str = "", ae_manager: str = "") -> None:
        """TA and AE fill the assessment in, their managers review it."""
        technical = {"risk": "two versions behind", "utilization": "most teams search daily"}
        await self.answered("assess_ta", ta, fields=technical)
        await self.answered("assess_ae", ae, fields={"risk": "a new buyer since spring", "outcome": outcome})
        await self.answered("review_ta", ta_manager or ta)
        await self.answered("review_ae", ae_manager or ae)

    async def saved_plan(self) -> None:
        """Lighthouse: the save plan is written and agreed, and has an executive sponsor."""
        criteria = "MAU/seats at 80 %, and a champion in each of the three groups"
        plan = {"problem": "half of the teams stopped using it", "criteria": criteria, "steps": "TA: trainings; AE: the new buyer"}
        await self.answered("save_plan", "filled_in", fields=plan)
        await self.answered("review_plan", "agreed")
        await self.answered("sponsor", "assign", fields={"sponsor": "exec-vega@tenure.example"})

    async def planned(self) -> None:
        """The TA writes the get-well plan."""
        task = await self.asked("plan", workflow=self.plan)
        [choice] = task.choices
        await self.answered(
            "plan", choice.name, workflow=self.plan, fields={field.name: f"{field.name}: as agreed" for field in choice.fields}
        )

    async def inspected(self, choice: str) -> None:
        """The next leadership's review of the get-well plan, two weeks on by the plan's own clock; the TA's update before it.

        A review that comes before the renewal's own word to the plan says nothing about the renewal; the next one would.
        """
        await self._a_reason()
        await self._skip(self.plan, timedelta(days=self.policy.get_well.leadership_days, hours=3))
        said = {"progress": "six more teams", "next": "the last two groups"}
        await self.answered("update", "on_track", workflow=self.plan, fields=said)
        await self.answered("review", choice, workflow=self.plan)

    async def moved(self, days: int) -> None:
        """The AE moves the renewal's date."""
        on = (await self.status()).renewal_on + timedelta(days=days)
        by = self.row.ae or "ae-mira@tenure.example"
        await self._accounts.decide(MOVE, self.row.domain, {"by": by, "renewal_on": on, "reason": "co-termed with their other contract"})
        self.tell(f"the renewal moves to {on}")

    async def processed(self, *, arr: float = 1.0) -> None:
        """The AE processes the renewal: ``arr`` is the share of today's that stays; nothing left is a churn."""
        await self.before(self.policy.renewal.processing_days)
        if not arr:
            return await self.answered("process", "churned", fields={"reason": "they moved to what their code host brings along"})
        await self.answered("process", "renewed", fields={"seats": 500, "arr": str(round(self.row.arr * arr))})

    # --- time ----------------------------------------------------------------------------------------------------------------------

    async def before(self, days: int) -> None:
        """Move the renewal's own clock to so many days before its date, unless it is there already."""
        on = (await self.status()).renewal_on - timedelta(days=days)
        wanted = hours_of(self.policy.office, on)[0] + MARGIN
        now = await self._now(self.renewal)
        if wanted > now:
            await self._skip(self.renewal, wanted - now)
        self.tell(f"{days} days before")

    async def _skip(self, workflow: str, length: timedelta) -> None:
        await skip.skip(self._director.client, workflow, length)

    async def _now(self, workflow: str) -> datetime:
        return await TimeSkipper(self._director.client).get_current_time(self._director.client.get_workflow_handle(workflow))

    # --- looking -------------------------------------------------------------------------------------------------------------------

    async def status(self) -> RenewalStatus:
        """Where the renewal stands."""
        return await said(self._director.client.get_workflow_handle(self.renewal), "status", RenewalStatus)

    async def asked(self, kind: str, *, workflow: str = "") -> TaskView:
        """The open task of that kind, once there is one."""
        handle = self._director.client.get_workflow_handle(workflow or self.renewal)

        async def look() -> TaskView | None:
            tasks = await _said(handle, "open_tasks", list[TaskView])
            return next((task for task in tasks or () if kind in (task.kind, task.task)), None)

        found = await eventually(f"the task {kind} of {handle.id}", look)
        assert found is not None
        return found

    async def _a_reason(self) -> None:
        """Wait until the get-well plan has heard that the renewal is a reason for it."""
        plan = self._director.client.get_workflow_handle(self.plan)

        async def look() -> bool:
            status: dict[str, Any] | None = await _said(plan, "status", dict[str, Any])
            return "renewal" in ((status or {}).get("reasons") or ())

        await eventually("the renewal as a reason of the get-well plan", look)

    async def in_lighthouse(self, there: bool) -> None:
        """Wait until it is in Lighthouse, or is not any more."""
        handle = self._director.client.get_workflow_handle(self.renewal)

        async def look() -> bool:
            status = await _said(handle, "status", RenewalStatus)
            return status is not None and status.in_lighthouse is there

        await eventually("Lighthouse" if there else "the exit from Lighthouse", look)

    async def ends(self) -> None:
        """Wait for the renewal's end, and compare it with the script's."""
        handle = self._director.client.get_workflow_handle(self.renewal, result_type=RenewalResult)
        result: RenewalResult = await asyncio.wait_for(handle.result(), PATIENCE)
        self.result, got = result, (result.rating, result.outcome, result.end)
        expected = (self.script.rating, self.script.outcome, self.script.end)
        if got != expected:
            raise Miss(f"it ended as {got}, not as {expected}")

    # --- how it went ---------------------------------------------------------------------------------------------------------------

    def tell(self, last: str) -> None:
        """Something happened."""
        self._director.board.tell(self.name, last, stage=self.case)

    def over(self) -> None:
        """The story has been played to its end."""
        self._director.board.tell(self.name, self.script.end, state="ended", stage=self.script.outcome or self.script.end)

    def fail(self, problem: str) -> None:
        """The story went another way."""
        self.problem = problem
        self._director.board.tell(self.name, problem, state="failed")


async def said(handle: WorkflowHandle[Any, Any], name: str, result: type[T]) -> T:
    """What a process says, once it can."""
    found = await eventually(f"the {name} of {handle.id}", lambda: _said(handle, name, result))
    assert found is not None
    return found


async def _said(handle: WorkflowHandle[Any, Any], name: str, result: type[T]) -> T | None:
    """What a process says; None while it cannot: it, or its worker, is just being started."""
    try:
        return await query(handle, name, result)
    except RPCError as error:
        if error.status in _NOT_YET:
            return None
        raise
