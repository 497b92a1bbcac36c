"""A customer of the renewals' demo: what the story of a renewal can have its people do."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from temporalio.testing import TimeSkipper

from domain import ids
from domain.account.account import RenewalRow
from domain.calendar import hours_of
from domain.renewal.commands import MOVE
from domain.renewal.state import RenewalResult
from starter.local import skip
from starter.local.demo.director import Director, eventually
from starter.local.demo.player import History, Player, Row, Story
from starter.service.accounts import Accounts

#: Past the opening of the office on a day, so that what falls due at the opening is over.
MARGIN = timedelta(hours=2)


class Customer(Player):
    """One customer, whose renewal runs already. ``policy`` has the figures that it began with."""

    place = "renewals"

    def __init__(self, director: Director, story: Story, row: RenewalRow, accounts: Accounts) -> None:
        super().__init__(director, story, row.name, row.domain)
        self.row, self.policy, self._accounts = row, accounts.policy, accounts
        self.renewal, self.plan = row.workflow, ids.get_well(row.domain)
        self.beside["plan"] = self.plan
        self.stage = story.case  # where a trial has its stage
        self.result: RenewalResult | None = None

    # --- our people ----------------------------------------------------------------------------------------------------------------

    async def assessed(self, ta: str, ae: str, outcome: str) -> None:
        """TA and AE fill the assessment in when it begins, their managers agree with them."""
        await self._before(self.policy.renewal.process_days)
        technical = {"risk": "two versions behind", "utilization": "most teams search daily"}
        await self.answered("assess_ta", ta, fields=technical)
        await self.answered("assess_ae", ae, fields={"risk": "a new buyer since spring", "outcome": outcome})
        await self.answered("review_ta", ta)
        await self.answered("review_ae", ae)

    async def is_not_assessed(self) -> None:
        """They are asked for the assessment, and do not answer."""
        await self._before(self.policy.renewal.process_days)
        await self._asked(self.renewal, "assess_ta")

    async def saved_plan(self) -> None:
        """Lighthouse: the save plan is written and agreed, and has an executive sponsor."""
        criteria = "MAU/seats at 80 %, and a champion in each of the three groups"
        plan = {"problem": "half of the teams stopped using it", "criteria": criteria, "steps": "TA: trainings; AE: the new buyer"}
        await self.answered("save_plan", "filled_in", fields=plan)
        await self.answered("review_plan", "agreed")
        await self.answered("sponsor", "assign", fields={"sponsor": "exec-vega@tenure.example"})

    async def projected(self, outcome: str, *, share: float | None = None) -> None:
        """The AE projects the outcome; of a partial churn, the ``share`` of today's ARR that stays."""
        fields = {} if share is None else {"amount": str(round(self.row.arr * share))}
        await self.answered("plan", outcome, fields=fields)

    async def planned(self) -> None:
        """The TA writes the get-well plan."""
        [choice] = (await self._asked(self.plan, "plan"))["choices"]
        fields = {field["name"]: f"{field['name']}: as agreed" for field in choice["fields"]}
        await self.answered("plan", choice["name"], of="plan", fields=fields)

    async def inspected(self, choice: str) -> None:
        """The next leadership's review of the get-well plan, two weeks on by the plan's own clock; the TA's update before it.

        A review that comes before the renewal's own word to the plan says nothing about the renewal; the next one would.
        """
        reason = "the renewal as a reason of the get-well plan"
        await self._until(reason, lambda plan: "renewal" in plan.get("reasons", ()), at="plans")
        await self._skip(self.plan, timedelta(days=self.policy.get_well.leadership_days, hours=3))
        await self.answered("update", "on_track", of="plan", fields={"progress": "six more teams", "next": "the last two groups"})
        await self.answered("review", choice, of="plan")

    async def moved(self, days: int) -> None:
        """The AE moves the renewal's date."""
        on = await self._renewal_on() + timedelta(days=days)
        by = self.row.ae or "ae-mira@tenure.example"
        await self._accounts.decide(MOVE, self.row.domain, {"by": by, "renewal_on": on, "reason": "co-termed with their other contract"})
        self.tell(f"the renewal moves to {on}")

    async def processed(self, *, share: float = 1.0) -> None:
        """The AE processes the renewal: ``share`` of today's ARR stays; nothing left is a churn."""
        await self._before(self.policy.renewal.processing_days)
        if not share:
            return await self.answered("process", "churned", fields={"reason": "they moved to what their code host brings along"})
        await self.answered("process", "renewed", fields={"seats": 500, "arr": str(round(self.row.arr * share))})

    async def in_lighthouse(self, there: bool) -> None:
        """Wait until it is in Lighthouse, or is not any more."""
        what = "Lighthouse" if there else "the exit from Lighthouse"
        await self._until(what, lambda status: status.get("in_lighthouse", False) is there)

    async def ends(self, rating: str, outcome: str, end: str) -> None:
        """Wait for the renewal's end, and compare; one that nobody rated has no rating."""
        self.result = await self._director.result_of(self.renewal, RenewalResult)
        self._expect("the end", (self.result.rating or "", self.result.outcome, self.result.end), (rating, outcome, end))

    # --- time ----------------------------------------------------------------------------------------------------------------------

    async def _before(self, days: int) -> None:
        """Move the renewal's own clock to so many days before its date, unless it is there already."""
        on = await self._renewal_on() - timedelta(days=days)
        wanted = hours_of(self.policy.office, on)[0] + MARGIN
        now = await self._now(self.renewal)
        if wanted > now:
            await self._skip(self.renewal, wanted - now)
        self.tell(f"{days} days before")

    async def _skip(self, workflow: str, length: timedelta) -> None:
        await skip.skip(self._director.client, workflow, length)

    async def _now(self, workflow: str) -> datetime:
        return await TimeSkipper(self._director.client).get_current_time(self._director.client.get_workflow_handle(workflow))

    # --- how it went ---------------------------------------------------------------------------------------------------------------

    async def _renewal_on(self) -> date:
        return date.fromisoformat((await self.view())["status"]["renewal_on"])

    async def _asked(self, workflow: str, kind: str) -> dict[str, Any]:
        """The open task of that kind, once there is one."""

        async def look() -> dict[str, Any] | None:
            tasks = await self._director.get(self._director.web, f"/api/tasks?workflow={workflow}&limit=100")
            return next((task for task in tasks if kind in (task["kind"], task["task"])), None)

        return await eventually(f"the task {kind} of {workflow}", look)

    @property
    def own(self) -> dict[str, str]:
        """The renewal."""
        return {"workflow": self.renewal}

    @property
    def became(self) -> tuple[str, str]:
        """The renewal's end, and its outcome."""
        assert self.result is not None
        return self.result.end, self.result.outcome or self.result.end

    def executions(self) -> str:
        """The renewal, and what the account has beside it."""
        names = (self.renewal, self.plan, ids.account(self.row.domain), ids.red(self.row.domain))
        return " OR ".join(f"WorkflowId = '{name}'" for name in names)

    async def left_open(self, running: set[str]) -> set[str]:
        """The renewal, and a get-well plan that has no other reason; all else of an account goes on."""
        if self.plan in running and not set((await self.view(at="plans"))["status"].get("reasons", ())) <= {"renewal"}:
            running = running - {self.plan}
        return running & {self.renewal, self.plan}

    async def rows(self, histories: Mapping[tuple[str, str], History]) -> list[Row]:
        """The renewal's row."""
        ended = self.result
        rating, outcome, end = (ended.rating, ended.outcome, ended.end) if ended else (None, None, "")
        told = (rating or "none", (outcome or "none").replace("_", " ")) if ended else ("", "")
        events = sum(history.events for (workflow, _), history in histories.items() if workflow == self.renewal)
        data = {"account": self.row.domain, "rating": rating, "outcome": outcome, "end": end}
        return [Row((self.row.domain, self.story.case, *told, end), (f"${self.row.arr:,}", str(events)), data, good=not self.problem)]
