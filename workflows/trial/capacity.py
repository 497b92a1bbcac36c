"""A26: an instance, or room for one. At the cap a company waits its turn; what is freed goes to whoever waits longest."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain import ids
from domain.effects.registry import AskOwners, Claimed, ClaimInstance, ClaimOutcome
from domain.effects.slack import Post
from domain.markup import bold
from domain.messages import Case
from domain.trial import decisions
from domain.trial.state import Stage
from workflows.frame.effects import local
from workflows.trial.process import TrialProcess


async def claim(trial: TrialProcess, *, warm: bool, owners: AskOwners | None = None) -> Claimed:
    """Claim a warm instance, or room for one that will be made."""
    state = trial.state
    ask = ClaimInstance(
        subject=trial.effects.subject,
        domain=trial.input.domain,
        admin=trial.contact.email,
        cap=trial.policy.cloud.instance_cap,
        warm=warm,
        host="" if warm else f"{trial.slug}.{trial.policy.cloud.domain_suffix}",
        as_of=workflow.now(),
        owners=owners,
    )
    claimed = await local("claim", ask, Claimed, "claim a warm instance" if warm else "reserve room for an instance")
    state.full = claimed.outcome == ClaimOutcome.FULL
    if claimed.outcome != ClaimOutcome.CLAIMED or warm:
        trial.record(decisions.claim(trial.policy, claimed, workflow.now()))
    if claimed.outcome == ClaimOutcome.CLAIMED:
        state.host, state.instance_live, state.owners = claimed.host, warm, claimed.owners or state.owners
    return claimed


async def reserve(trial: TrialProcess) -> bool:
    """Keep room for an instance that will be made; at the cap, wait for it. False when the domain has an instance: it gets no second."""
    claimed = await claim(trial, warm=False)
    if claimed.outcome == ClaimOutcome.FULL:
        claimed = await wait_for_room(trial, warm=False)
    if claimed.outcome != ClaimOutcome.OWNED:
        return True
    trial.state.case, trial.state.host = Case.HAS_INSTANCE, claimed.host
    return False


async def wait_for_room(trial: TrialProcess, *, warm: bool) -> Claimed:
    """A26: the cap is reached. The company waits its turn, is told so, and is served as soon as an instance is released."""
    state = trial.state
    trial.enter(Stage.WAITLISTED)
    full = f"{bold(state.company)} waits for room: the cap of {trial.policy.cloud.instance_cap} instances is reached."
    unheard = state.alert == "slack.alert"
    trial.post(Post(key="slack.waitlisted", channel=trial.alerts_channel, under="" if unheard else state.alert, text=full))
    state.alert = "slack.waitlisted" if unheard else state.alert
    trial.do(trial.mail("waitlisted"))
    await trial.registry("join the waiting list", change="wait")
    while True:
        state.capacity_freed = False
        recheck = workflow.now() + timedelta(hours=trial.policy.cloud.wait_recheck_hours)
        await trial.wait_unless_ended(lambda: state.capacity_freed, until=recheck, summary="waits for room on the cloud")
        claimed = await claim(trial, warm=warm)
        if claimed.outcome != ClaimOutcome.FULL:
            return claimed


async def release(trial: TrialProcess) -> None:
    """Free domain and capacity, and tell the company that waits longest."""
    freed = await trial.registry("free domain and capacity", change="release")
    if freed.waiting:
        await trial.effects.signal(ids.trial(freed.waiting), "capacity_freed")
