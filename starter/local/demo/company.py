"""A company of the demo: what the story of a trial can have it do."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from domain import ids
from domain.trial.state import TrialResult
from starter.local import skip
from starter.local.demo.director import Director
from starter.local.demo.player import History, Player, Row, Story

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


class Company(Player):
    """One company. Its trial is the newest one that it began; ``key`` is what Tenure knows it by."""

    place = "trials"

    def __init__(self, director: Director, story: Story) -> None:
        self.domain = f"{story.name.lower()}-{director.tag}.example"
        super().__init__(director, story, story.name, self.domain)
        self.played: list[Played] = []

    # --- the prospect --------------------------------------------------------------------------------------------------------------

    def address(self, mailbox: str) -> str:
        """Somebody's address at the company."""
        return f"{mailbox}@{self.domain}"

    async def signs_up(self, expect: str, mailbox: str = "dana", *, free_mail: bool = False) -> None:
        """Somebody fills the form in, and is told what becomes of it (``expect``)."""
        email = f"{mailbox}-{self._director.tag}@{FREE_MAIL}" if free_mail else self.address(mailbox)
        self.key = email if free_mail else self.domain
        async with self._director.warm_instance() if expect == "instant" else nullcontext():
            answer = await self._form(email)
        self._expect("the signup", answer["outcome"], expect)
        await self._began(FREE_MAIL if free_mail else self.domain, f"signs up: {answer['outcome']}")
        if expect == "redirected":
            self._goes_with_it("join", ids.join(self.domain, email))

    async def both_sign_up(self, *mailboxes: str) -> None:
        """Several fill the form in at the same instant: one gets the trial, the others wait until it is confirmed, and are sent there."""
        async with self._director.warm_instance():
            answers = await asyncio.gather(*(self._form(self.address(mailbox)) for mailbox in mailboxes))
        outcomes = [answer["outcome"] for answer in answers]
        self._expect("signups at one instant", sorted(outcomes), ["instant", *["unconfirmed"] * (len(mailboxes) - 1)])
        second = self.address(mailboxes[max(i for i, outcome in enumerate(outcomes) if outcome == "unconfirmed")])
        await self._began(self.domain, f"{len(mailboxes)} sign up at one instant: {', '.join(outcomes)}")
        await self.opens(mailboxes[outcomes.index("instant")])
        self._goes_with_it("join", ids.join(self.domain, second))

    async def opens(self, mailbox: str = "dana") -> None:
        """The admin opens the link in their mail, which confirms that the instance is theirs."""
        await self._director.opened(self.address(mailbox))
        self.tell(f"{mailbox} opens the link in the mail")

    async def cannot_sign_up(self, error: str) -> None:
        """The form fails somebody, whom support will rescue."""
        email = self.address("dana")
        await self._director.post(self._director.web, "/api/signups/failed", {**self._person(email), "error": error})
        self.tell(f"the form fails them: {error}")
        self.beside["rescue"] = ids.rescue(email)

    async def is_requested(self, ce: str, **sized: Any) -> None:
        """A CE asks for a trial of theirs."""
        await self._director.post(self._director.web, "/api/trial-requests", {**self._person(self.address("dana")), "ce": ce, **sized})
        await self._began(self.domain, f"a trial is requested by {ce}")

    async def uses_it(self) -> None:
        """The instance is used: code hosts, a colleague, searches."""
        host = (await self.view())["status"]["host"]
        names, each = ("dana", "robin", "kim"), {"searches": 12, "result_views": 9}
        users = [{"username": name, "email": self.address(name), **each} for name in names]
        usage = {"code_hosts": 2, "users": users, "daus": [3, 2, 3]}
        await self._director.post(self._director.sandbox, f"/instances/_control/{host}", usage)
        self.tell(f"uses {host}")

    def _person(self, email: str) -> dict[str, Any]:
        return {"email": email, "first_name": email.partition("@")[0].partition("-")[0].title(), "company": self.name}

    async def _form(self, email: str) -> dict[str, Any]:
        return await self._director.post(self._director.web, "/api/signups", self._person(email))

    # --- our people ----------------------------------------------------------------------------------------------------------------

    async def is_found_out(self) -> None:
        """The SDR finds out the company behind a free-mail address, whose own trial goes on."""
        await self.answered("triage", "qualify", fields={"domain": self.domain})
        await self.ends("free_mail", "moved")
        self.key = self.domain
        await self._began(self.domain, "goes on under its own domain")

    async def decided(self, act: str, **body: Any) -> None:
        """The CE decides unasked."""
        did = await self._director.cue("decide", **self.own, act=act, body=body)
        self.tell(f"{did['by'].partition('@')[0]}: {did['said']}")

    async def wants_host(self, name: str) -> None:
        """The CE has the instance moved to a host of the company's own."""
        await self.decided("change-domain", new_host=f"{name}.{self.domain}")
        self._goes_with_it("move", ids.domain_change(self.domain))

    async def rescued(self) -> None:
        """Support calls them back and signs them up, which makes an instant trial."""
        async with self._director.warm_instance():
            await self.answered("rescue", "provision", of="rescue")
            await self._director.result_of(self.beside["rescue"])
        await self._began(self.domain, "is signed up by support")

    async def built(self, task: str = "", *, issue: str = "", of: str = "") -> None:
        """The Cloud team does what the issue of a task asks, or an ``issue`` that nobody waits for."""
        asked = {"issue": issue} if issue else {"task": task}
        did = await self._director.cue("build", **asked, **self.whose(of))
        self.tell(f"the Cloud team does #{did['issue']}: {did['did']}")

    # --- time ----------------------------------------------------------------------------------------------------------------------

    async def day(self, day: float) -> None:
        """Move the trial's own clock to that day of the trial; what falls due on the way is done."""
        view = await self.view()
        now, start = datetime.fromisoformat(view["at"]), datetime.fromisoformat(view["status"]["started_at"])
        self.tell(f"skips to day {int(day)}")
        await skip.skip(self._director.client, self.played[-1].workflow, start + timedelta(days=day) - now)
        self._stands((await self.view())["status"], day=int(day))

    async def in_stage(self, stage: str) -> None:
        """Wait until the trial is there."""
        self._stands(await self._until(f"the stage {stage}", lambda status: status["stage"] == stage))

    async def at_host(self, name: str) -> None:
        """Wait until the trial knows its instance under that name."""
        host = f"{name}.{self.domain}"
        self._stands(await self._until(f"the move to {host}", lambda status: status["host"] == host))

    async def goes_on(self, stage: str) -> None:
        """The trial stands there, now: nothing has ended it."""
        self._expect("the stage", (await self.view())["status"]["stage"], stage)

    async def ends(self, case: str, end: str) -> None:
        """Wait for the trial's end, and compare."""
        trial = self.played[-1]
        result = await self._director.result_of(trial.workflow, TrialResult, run=trial.run)
        decisions = {decision["what"]: decision["outcome"] for decision in (await self.view())["dossier"]}
        trial.end, trial.case = result.end, result.case
        if result.case == "3":  # routing knows case 3 only; the SDR's answer makes two of it
            trial.case = "3.1" if decisions.get("qualification") == "disqualified" else "3.2"
        self._expect("the end", (trial.case, trial.end), (case, end))
        self.tell(f"ended: {end}", stage=end)

    # --- how it went ---------------------------------------------------------------------------------------------------------------

    def _stands(self, status: dict[str, Any], *, day: int | None = None) -> None:
        first_line = status["in_words"].partition("\n")[0].replace("**", "").partition(": ")[2]
        self.tell(first_line, day=day, stage=status["stage"])

    async def _began(self, domain: str, last: str) -> None:
        view = await self.view()
        self.played.append(Played(domain, view["workflow"], view["run"], beside=[] if self.played else list(self.beside.values())))
        self.tell(last, stage=view["status"]["stage"])

    def _goes_with_it(self, name: str, workflow: str) -> None:
        self.beside[name] = workflow
        self.played[-1].beside.append(workflow)

    @property
    def own(self) -> dict[str, str]:
        """The trial, which is looked up by its domain."""
        return {"domain": quote(self.key)}

    @property
    def became(self) -> tuple[str, str]:
        """The ends of its trials."""
        return ", then ".join(trial.end for trial in self.played), self.played[-1].end

    def executions(self) -> str:
        """Its trials, joins and moves by the domain in their ids, its others by name."""
        prefixes = (ids.trial(self.domain), f"join-{self.domain}", f"domain-change-{self.domain}")
        named = {workflow for trial in self.played for workflow in (trial.workflow, *trial.beside)} | set(self.beside.values())
        asked = [f"WorkflowId STARTS_WITH '{prefix}'" for prefix in prefixes] + [f"WorkflowId = '{name}'" for name in sorted(named)]
        return " OR ".join(asked)

    async def rows(self, histories: Mapping[tuple[str, str], History]) -> list[Row]:
        """A row for each trial."""
        return [await self._row(trial, histories) for trial in self.played]

    async def _row(self, trial: Played, histories: Mapping[tuple[str, str], History]) -> Row:
        ledger, own = self._director.tenure.ledger, f"{trial.workflow}/{trial.run[-8:]}."
        effects = [row for row in await asyncio.to_thread(ledger.effects, workflow=trial.workflow) if row.subject.startswith(own)]
        for workflow in trial.beside:
            effects += await asyncio.to_thread(ledger.effects, workflow=workflow)
        done = sum(row.done_at is not None for row in effects)
        mine = histories.get((trial.workflow, trial.run), History())
        events = mine.events + sum(history.events for (name, _), history in histories.items() if name in trial.beside)
        figures = (str(mine.length.days), str(done), str(events))
        data = {"domain": trial.domain, "case": trial.case, "end": trial.end, "effects": done}
        return Row((self.name, trial.case, trial.end), figures, data, good=bool(trial.end) and not self.problem)
