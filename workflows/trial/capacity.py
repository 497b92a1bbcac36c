"""A26: an instance, or room for one. At the cap a company waits its turn; what is freed goes to whoever waits longest."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain import ids
from domain.effects.github import CloseIssue
from domain.effects.pagerduty import ResolvePage
from domain.effects.registry import AskOwners, Claim, Claimed, RegistryAnswer, RegistryChange
from domain.effects.slack import Post
from domain.markup import bold
from domain.messages import Case
from domain.trial import decisions
from domain.trial.state import Stage
from workflows.trial.process import TrialProcess


async def claim(t: TrialProcess, *, warm: bool, owners: AskOwners | None = None) -> Claimed:
    """Claim a warm instance, or room for one that will be made."""
    s = t.state
    ask = Claim(
        subject=t.effects.subject,
        domain=t.input.domain,
        admin=t.contact.email,
        cap=t.policy.cloud.instance_cap,
        warm=warm,
        host="" if warm else f"{t.slug}.{t.policy.cloud.domain_suffix}",
        as_of=workflow.now(),
        owners=owners,
    )
    claimed = await t.effects.local("claim", ask, Claimed, "claim a warm instance" if warm else "reserve room for an instance")
    s.full = claimed.outcome == "full"
    if claimed.outcome != "claimed" or warm:
        t.record(decisions.claim(t.policy, claimed, workflow.now()))
    if claimed.outcome == "claimed":
        s.host, s.instance_live, s.owners = claimed.host, warm, claimed.owners or s.owners
    return claimed


async def reserve(t: TrialProcess) -> bool:
    """Keep room for an instance that will be made; at the cap, wait for it. False when the domain has an instance: it gets no second."""
    claimed = await claim(t, warm=False)
    if claimed.outcome == "full":
        claimed = await wait_for_room(t, warm=False)
    if claimed.outcome != "owned":
        return True
    t.state.case, t.state.host = Case.HAS_INSTANCE, claimed.host
    return False


async def wait_for_room(t: TrialProcess, *, warm: bool) -> Claimed:
    """A26: the cap is reached. The company waits its turn, is told so, and is served as soon as an instance is released."""
    s = t.state
    t.enter(Stage.WAITLISTED)
    full = f"{bold(s.company)} waits for room: the cap of {t.policy.cloud.instance_cap} instances is reached."
    t.post(Post(key="slack.waitlisted", channel=t.alerts_channel, under="" if s.alert == "slack.alert" else s.alert, text=full))
    s.alert = "slack.waitlisted" if s.alert == "slack.alert" else s.alert
    t.do(t.mail("waitlisted"))
    queue = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="wait")
    await t.effects.local("registry", queue, RegistryAnswer, "join the waiting list")
    while True:
        s.capacity_freed = False
        recheck = workflow.now() + timedelta(hours=t.policy.cloud.wait_recheck_hours)
        await t.wait_unless_ended(lambda: s.capacity_freed, until=recheck, summary="waits for room on the cloud")
        claimed = await claim(t, warm=warm)
        if claimed.outcome != "full":
            return claimed


async def cancel(t: TrialProcess, why: str) -> None:
    """A trial that ended before it started: the pending request is cancelled, the page resolved, the room freed."""
    s = t.state
    if s.request_issue:
        text = f"This request is cancelled: {why}"
        t.do(CloseIssue(key="request.cancel", issue=s.request_issue, reason="not_planned", text=text))
        t.do(ResolvePage(key="page.cancel", page="page.request"))
    await release(t)


async def release(t: TrialProcess) -> None:
    """Free domain and capacity, and tell the company that waits longest."""
    gone = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=workflow.now(), change="release")
    freed = await t.effects.local("registry", gone, RegistryAnswer, "free domain and capacity")
    if freed.waiting:
        await t.effects.tell(ids.trial(freed.waiting), "capacity_freed")
