"""A trial's frame: its state, its owners, where its Slack messages go, and what its mails say. The phases do the rest."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow

from domain import ids, mailbox
from domain.calendar import day_of
from domain.decision import Decision
from domain.effects.mail import Mail, Template
from domain.effects.registry import RegistryAnswer, RegistryChange
from domain.markup import bold
from domain.messages import Contact
from domain.people import Role
from domain.policy import Policy
from domain.task import Answer, TaskKind, TaskSpec
from domain.trial import decisions
from domain.trial.agenda import agenda
from domain.trial.decisions import Course
from domain.trial.state import OPEN_TO_DECIDE, Stage, TrialInput, TrialState, Verdict
from domain.views import TrialStatus
from domain.wording import Wording
from workflows.frame.cloud_requests import Requests
from workflows.frame.effects import local
from workflows.frame.process import Process
from workflows.frame.search_attributes import STAGE

TEXTS = Wording(__file__)

#: Stages after which nothing that the trial has asked for matters any more.
OVER = frozenset({Stage.TEARDOWN, Stage.TERMINATED, Stage.CONVERTED, Stage.DISQUALIFIED, Stage.ABANDONED})


#: Stages in which the instance is its admin's to get into.
STANDING = OPEN_TO_DECIDE | {Stage.DECIDING, Stage.CONVERTING}


class EndedEarly(Exception):
    """A person ended the trial before it had started; the verdict stands in the state."""


class TrialProcess(Process[Policy]):
    """One trial. ``state`` is everything that it remembers."""

    state: TrialState

    def __init__(self, input: TrialInput) -> None:
        """``input`` never changes."""
        state = TrialState()
        super().__init__(input.policy, input.alerts_channel, state=state, stage=state.stage.value, cycle=input.cycle)
        self.input = input
        #: Who waits to join until the claim is confirmed, by the digests of their addresses.
        self.joining: set[str] = set()
        if input.cycle == 1:
            self._shown = {STAGE: self.stage}  # the start brought it along
        self.requests = Requests(self)

    @property
    def subject(self) -> str:
        """The company's domain, or what stands for an address at a free-mail provider."""
        return workflow.info().workflow_id.removeprefix("trial-")

    def over(self) -> bool:
        """Whether the trial has ended, or its instance is being torn down."""
        return self.state.end is not None or self.state.stage in OVER

    def enter(self, stage: Stage) -> None:
        """Change the stage. What operators see follows at the next wait, with every other change of the same moment."""
        self.state.stage = stage
        self.stage = stage.value
        self.owner = self.state.owners.ce.email if self.state.owners.ce else self.owner

    def keep_issue(self, name: str, number: int) -> None:
        """Keep the number of an issue that was raised."""
        self.state.issues = {**self.state.issues, name: number}

    def take(self, verdict: Verdict) -> str:
        """Take a decision that the validator let through: the run carries it out, a second one is refused."""
        self.state.verdict = verdict
        self.record(verdict.decision)
        for kind in PRE_START if verdict.terminate else (TaskKind.DEADLINE,):
            made = verdict.decision
            self.tasks.withdraw(kind, f"{made.outcome}, decided by {made.by or 'the policy'} at {made.at:%Y-%m-%d %H:%M} UTC")
        return f"{verdict.decision.outcome}: taken, and carried out now"

    async def wait_unless_ended(self, ready: Callable[[], bool], *, until: datetime | None = None, summary: str) -> bool:
        """Wait, before the trial has started; raises :class:`EndedEarly` when a person ends it meanwhile."""
        got = await self.wait(lambda: ready() or self.state.verdict is not None, until=until, summary=summary)
        if self.state.verdict is not None:
            raise EndedEarly
        return got

    async def ask_or_end(self, spec: TaskSpec, *, alert: bool = False) -> Answer:
        """Ask a person, before the trial has started; raises :class:`EndedEarly` when somebody ends it instead.

        ``alert``: its card opens the thread in which the trial is talked about.
        """
        if alert:
            self.state.alert = ""
        [task] = self.open(spec)
        if alert:
            self.state.alert = f"task.{spec.kind}-1"
        answer = await self.answer_to(task)
        if self.state.verdict is not None or answer is None:
            raise EndedEarly
        return answer

    def refuse_opening(self, by: str) -> str | None:
        """Why the link of a mail opens nothing."""
        if self.state.stage not in STANDING:
            return "the trial of this instance is over, and its links with it: sign up again, or write to us"
        if not mailbox.same(by, self.contact.email):
            return (
                "this link is no longer good: nobody opened it in time, and a colleague of yours who signed up after that, or whose address was "
                "corrected, is the instance's administrator now; ask at your company for an invitation, or at /join"
            )
        return None

    def by_person(self, outcome: Course, by: str, why: str) -> Decision[Course]:
        """A person's decision, with what is known of the usage."""
        return decisions.by_person(self.policy, outcome, by, why, workflow.now(), self.state.usage)

    async def registry(self, summary: str, **told: Any) -> RegistryAnswer:
        """Have the registry of instances know what becomes of the domain's: the fields of a :class:`RegistryChange`."""
        change = RegistryChange(subject=self.effects.subject, domain=self.input.domain, as_of=workflow.now(), **told)
        return await local("registry", change, RegistryAnswer, summary)

    def about(self, **fields: str) -> dict[str, str]:
        """What an issue to the Cloud team says of the trial."""
        return {"customer": self.name, "host": self.state.host, **fields}

    # --- words and addresses ------------------------------------------------------------------------------------------------------

    @property
    def contact(self) -> Contact:
        """The prospect: the initial admin."""
        return self.state.contact or Contact(email="")

    @property
    def name(self) -> str:
        """The company's name in channels, licence accounts and tags."""
        return ids.company(self.input.domain)

    @property
    def ends_at(self) -> datetime:
        """When it ends; only a trial that has started does."""
        if self.state.ends_at is None:
            raise ValueError("the trial has not started")
        return self.state.ends_at

    def begin_period(self, until: datetime) -> None:
        """Its end is another one from now on, and what is ahead is counted from it."""
        self.state.period += 1
        self.state.ends_at, self.state.total_days = until, (until - self.state.deadline_in(0)).days

    @property
    def slug(self) -> str:
        """The company's short name, for its host."""
        return ids.slug(self.input.domain, self.policy.provisioning.slug_length)

    def email(self, role: Role) -> str:
        """The address of that owner; empty when there is none."""
        return self.state.owners.email(role)

    def talk(self) -> tuple[str, str]:
        """Its channel, or the thread of its alert (C11)."""
        return (self.state.channel, "") if self.state.channel else (self.alerts_channel, self.state.alert)

    def mail(
        self, template: Template, *, sender: Role | None = None, key: str = "", link: bool = False, thread: str = "", reason: str = ""
    ) -> Mail:
        """A mail to the prospect; an owner who writes has the AE in copy. One with a ``link`` to set the password goes to the admin alone."""
        state, owners = self.state, self.state.owners
        person = owners.of(sender) if sender else None
        cc = (owners.ae.email,) if not link and person and owners.ae and owners.ae.email != person.email else ()
        ends_on = day_of(self.policy.office, state.ends_at) if state.ends_at else None  # the reader counts days, not hours
        days_left = max((ends_on - day_of(self.policy.office, workflow.now())).days, 0) if ends_on else 0
        values = {
            "company": state.company,
            "first_name": self.contact.first_name or self.contact.name,
            "host": state.host,
            **{f"{part}_name": who.name if who else "" for part, who in (("ce", owners.ce), ("ae", owners.ae), ("sdr", owners.sdr))},
            "trial_ends_on": f"{ends_on:%d %B %Y}" if ends_on else "",
            "days_left": str(days_left),
            "reason": reason,
        }
        return Mail(
            key=key or self.keyed(f"mail.{template}"),
            template=template,
            to=self.contact.email,
            to_name=self.contact.name,
            cc=cc,
            sender=(person.name, person.email) if person else None,
            thread=thread,
            link=workflow.info().workflow_id if link else "",
            link_hours=self.policy.handoff.share_link_ttl_hours if link else 0,
            campaign=template in CAMPAIGN,
            values=values,
        )

    def keyed(self, key: str) -> str:
        """The key of an effect that happens once for each claim of the instance: the second admin gets their own."""
        return key if self.state.claims < 2 else f"{key}.{self.state.claims}"

    # --- what the queries say -----------------------------------------------------------------------------------------------------

    def status(self) -> TrialStatus:
        """Where the trial stands."""
        state = self.state
        return self.status_as(
            TrialStatus,
            domain=self.input.domain,
            case=state.case or "",
            origin=self.input.origin,
            end=state.end or "",
            ce=self.email(Role.CE),
            ae=self.email(Role.AE),
            sdr=self.email(Role.INBOUND_SDR),
            active=state.active if state.usage else None,
            contact=self.contact.email,
        )

    def ahead(self) -> Iterable[tuple[datetime, str]]:
        """The moments of an open trial."""
        open_now = self.state.stage in OPEN_TO_DECIDE or self.state.stage is Stage.DECIDING
        ahead = agenda(self.policy, self.input.origin, self.state) if open_now else []
        return ((moment.at, moment.what) for moment in ahead)

    def in_words(self) -> str:
        """Where it stands, for people."""
        state = self.state
        ends = f"{state.ends_at:%a %d %b %Y}" if state.ends_at else ""
        words = TEXTS(f"stages.{state.stage}", host=state.host or "the instance", ends=ends)
        lines = [f"{bold(state.company or self.input.domain)}: {words}", ""]
        if state.started_at and not state.confirmed_at and not state.end:
            lines.append("- nobody has opened the link in the admin's mail yet")
        if not state.end:
            lines += self.soon()
            lines += [f"- waits for {task.spec.role.value}: {task.spec.title}" for task in self.tasks.all if task.is_open]
        if state.decisions:
            last = state.decisions[-1]
            lines.append(f"- decided last ({last.what}): {last.outcome}. {last.rule}")
        return "\n".join(lines)


#: Tasks that are settled when a person ends the trial.
PRE_START = (
    TaskKind.TRIAGE, TaskKind.APPROVAL, TaskKind.RAISE_REQUEST, TaskKind.CE_EMAIL, TaskKind.PROVISION, "provision-declined",
    TaskKind.HAND_OVER, TaskKind.DEADLINE, TaskKind.OWNERS,
)  # fmt: skip

#: Mails that stop when the prospect opts out or the trial ends (A11).
CAMPAIGN = {"ce_welcome", "connect_code_host", "invite_team", "learn", "usage_check", "community", "next_steps"}
