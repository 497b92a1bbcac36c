"""A company of the demo: what a story can have it do. Each step waits until it has come true, and says so on the board."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from domain import ids
from domain.trial.state import TrialResult
from starter.local import skip
from starter.local.demo.waiting import PATIENCE, Miss, eventually

if TYPE_CHECKING:
    from starter.local.demo.director import Director
    from starter.local.demo.stories import Story

#: Where the people with a free-mail address have it.
FREE_MAIL = "gmail.com"


@dataclass
class Played:
    """One trial of a company: its first run's id, what became of it, and the ids of the processes beside it."""

    domain: str
    workflow: str
    run: str
    case: str = ""
    end: str = ""
    beside: list[str] = field(default_factory=list)


class Company:
    """One company. Its trial is the newest one that it began; ``key`` is what Tenure knows it by."""

    def __init__(self, director: Director, story: Story) -> None:
        self._director, self.story = director, story
        self.domain = self.key = f"{story.name.lower()}-{director.tag}.example"
        self.played: list[Played] = []
        self.beside: list[str] = []
        self.problem = ""

    # --- the prospect --------------------------------------------------------------------------------------------------------------

    def address(self, mailbox: str) -> str:
        """Somebody's address at the company."""
        return f"{mailbox}@{self.domain}"

    async def signs_up(self, mailbox: str = "dana", *, expect: str, free_mail: bool = False) -> None:
        """Somebody fills the form in, and is told what becomes of it (``expect``)."""
        email = f"{mailbox}-{self._director.tag}@{FREE_MAIL}" if free_mail else self.address(mailbox)
        self.key = email if free_mail else self.domain
        if expect == "instant":
            async with self._director.warm_instance():
                answer = await self._form(email)
        else:
            answer = await self._form(email)
        self._expect("the signup", answer["outcome"], expect)
        await self._began(FREE_MAIL if free_mail else self.domain, f"signs up: {answer['outcome']}")

    async def both_sign_up(self, *mailboxes: str) -> str:
        """Several fill the form in at the same instant: one gets the trial, the others wait until it is confirmed, and are sent there.

        Returns who was the last of these.
        """
        async with self._director.warm_instance():
            answers = await asyncio.gather(*(self._form(self.address(mailbox)) for mailbox in mailboxes))
        outcomes = [answer["outcome"] for answer in answers]
        self._expect("signups at one instant", sorted(outcomes), ["instant", *["unconfirmed"] * (len(mailboxes) - 1)])
        second = self.address(mailboxes[max(i for i, outcome in enumerate(outcomes) if outcome == "unconfirmed")])
        await self._began(self.domain, f"{len(mailboxes)} sign up at one instant: {', '.join(outcomes)}")
        await self.opens(mailboxes[outcomes.index("instant")])
        self.beside_it(ids.join(self.domain, second))
        return second

    async def opens(self, mailbox: str = "dana") -> None:
        """The admin opens the link in their mail, which confirms that the instance is theirs."""
        await self._director.opened(self.address(mailbox))
        self.tell(f"{mailbox} opens the link in the mail")

    async def _form(self, email: str) -> dict[str, Any]:
        body = {"email": email, "first_name": email.partition("@")[0].partition("-")[0].title(), "company": self.story.name}
        return await self._director.post(self._director.web, "/api/signups", body)

    async def is_found_out(self) -> None:
        """The company behind a free-mail address is known now: its own trial goes on."""
        self.key = self.domain
        await self._began(self.domain, "goes on under its own domain")

    async def cannot_sign_up(self, mailbox: str, error: str) -> str:
        """The form fails somebody; returns the id of their rescue."""
        email = self.address(mailbox)
        body = {"email": email, "first_name": mailbox.title(), "company": self.story.name, "error": error}
        await self._director.post(self._director.web, "/api/signups/failed", body)
        self.tell(f"the form fails them: {error}")
        self.beside.append(ids.rescue(email))
        return ids.rescue(email)

    async def is_requested(self, ce: str, **sized: Any) -> None:
        """A CE asks for a trial of theirs."""
        body = {"email": self.address("dana"), "first_name": "Dana", "company": self.story.name, "ce": ce, **sized}
        await self._director.post(self._director.web, "/api/trial-requests", body)
        await self._began(self.domain, f"a trial is requested by {ce}")

    async def uses_it(self) -> None:
        """The instance is used: code hosts, a colleague, searches."""
        host = (await self.view())["status"]["host"]
        users = [
            {"username": mailbox, "email": self.address(mailbox), "searches": 12, "result_views": 9} for mailbox in ("dana", "robin", "kim")
        ]
        usage = {"code_hosts": 2, "users": users, "daus": [3, 2, 3]}
        await self._director.post(self._director.sandbox, f"/instances/_control/{host}", usage)
        self.tell(f"uses {host}")

    # --- our people ----------------------------------------------------------------------------------------------------------------

    async def answered(self, task: str, choice: str, *, workflow: str = "", **more: Any) -> None:
        """Whoever is asked answers a task of the trial, or of another ``workflow``."""
        whose = {"workflow": workflow} if workflow else {"domain": quote(self.key)}
        did = await self._director.cue("answer", task=task, choice=choice, **whose, **more)
        self.tell(f"{did['by'].partition('@')[0]} answers “{did['title']}”: {choice}")

    async def decided(self, act: str, **body: Any) -> None:
        """The CE decides unasked."""
        did = await self._director.cue("decide", domain=quote(self.key), act=act, body=body)
        self.tell(f"{did['by'].partition('@')[0]}: {did['said']}")

    async def rescued(self, rescue: str) -> None:
        """Support calls them back and signs them up, which makes an instant trial."""
        async with self._director.warm_instance():
            await self.answered("rescue", "provision", workflow=rescue)
            await asyncio.wait_for(self._director.client.get_workflow_handle(rescue).result(), PATIENCE)
        await self._began(self.domain, "is signed up by support")

    async def built(self, task: str, *, workflow: str = "") -> None:
        """The Cloud team does what the issue of a task asks."""
        whose = {"workflow": workflow} if workflow else {"domain": quote(self.key)}
        did = await self._director.cue("build", task=task, **whose)
        self.tell(f"the Cloud team does #{did['issue']}: {did['did']}")

    async def built_issue(self, name: str) -> None:
        """The Cloud team does an issue that nobody waits for."""
        did = await self._director.cue("build", domain=quote(self.key), issue=name)
        self.tell(f"the Cloud team does #{did['issue']}: {did['did']}")

    # --- time ----------------------------------------------------------------------------------------------------------------------

    async def day(self, day: float) -> None:
        """Move the trial's own clock to that day of the trial; what falls due on the way is done."""
        view = await self.view()
        now, start = datetime.fromisoformat(view["at"]), datetime.fromisoformat(view["status"]["started_at"])
        self.tell(f"skips to day {int(day)}")
        await skip.skip(self._director.client, self.played[-1].workflow, start + timedelta(days=day) - now)
        status = (await self.view())["status"]
        self._director.board.tell(self.story.name, _first_line(status["in_words"]), day=int(day), stage=status["stage"])

    async def in_stage(self, stage: str) -> None:
        """Wait until the trial is there."""
        await self._until(f"the stage {stage}", lambda status: status["stage"] == stage)

    async def at_host(self, host: str) -> None:
        """Wait until the trial knows its instance under that name."""
        await self._until(f"the move to {host}", lambda status: status["host"] == host)

    async def goes_on(self, stage: str) -> None:
        """The trial stands there, now: nothing has ended it."""
        self._expect("the stage", (await self.view())["status"]["stage"], stage)

    async def ends(self, case: str, end: str, *, beside: str = "") -> None:
        """Wait for the trial's end, and compare; ``beside`` is a process that goes with it."""
        trial = self.played[-1]
        handle = self._director.client.get_workflow_handle(trial.workflow, run_id=trial.run, result_type=TrialResult)
        result = await asyncio.wait_for(handle.result(), PATIENCE)
        decisions = {decision["what"]: decision["outcome"] for decision in (await self.view())["dossier"]}
        trial.end, trial.case = result.end, result.case
        if result.case == "3":  # routing knows case 3 only; the SDR's answer makes two of it
            trial.case = "3.1" if decisions.get("qualification") == "disqualified" else "3.2"
        if beside:
            self.beside_it(beside)
        self._expect("the end", (trial.case, trial.end), (case, end))
        self.tell(f"ended: {end}", stage=end)

    def beside_it(self, workflow: str) -> None:
        """A process that belongs to the trial of now."""
        self.played[-1].beside.append(workflow)

    # --- how it went ---------------------------------------------------------------------------------------------------------------

    def tell(self, last: str, stage: str = "") -> None:
        """Something happened."""
        self._director.board.tell(self.story.name, last, stage=stage)

    def over(self) -> None:
        """The story has been played to its end."""
        became = ", then ".join(trial.end for trial in self.played)
        self._director.board.tell(self.story.name, became, state="ended", stage=self.played[-1].end)

    def fail(self, problem: str) -> None:
        """The story went another way."""
        self.problem = problem
        self._director.board.tell(self.story.name, problem, state="failed")

    async def view(self) -> dict[str, Any]:
        """Everything that the API tells of the newest trial."""
        return dict(await self._director.get(self._director.web, f"/api/trials/{quote(self.key)}"))

    async def _until(self, what: str, there: Callable[[dict[str, Any]], bool]) -> None:
        async def look() -> dict[str, Any] | None:
            status: dict[str, Any] = (await self.view())["status"]
            return status if there(status) else None

        found = await eventually(what, look)
        self._director.board.tell(self.story.name, _first_line((found or {})["in_words"]), stage=(found or {})["stage"])

    async def _began(self, domain: str, last: str) -> None:
        view = await self.view()
        self.played.append(Played(domain, view["workflow"], view["run"], beside=self.beside))
        self.beside = []
        self.tell(last, stage=view["status"]["stage"])

    def _expect(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            raise Miss(f"{what} is {got!r}, not {expected!r}")


def _first_line(in_words: str) -> str:
    return in_words.partition("\n")[0].replace("**", "").partition(": ")[2]


Play = Callable[[Company], Awaitable[None]]
