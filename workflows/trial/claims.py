"""A5, A6: a claim is made at once, confirmed by the first click in the mail, and passes on when nobody confirms it (decision 0017)."""

from __future__ import annotations

from temporalio import workflow

from domain import mailbox
from domain.effects.instance import RemoveUser, ResetLink
from domain.effects.registry import RegistryAnswer, RegistryChange
from domain.messages import JoinAsk, OpenLink, Signup, SignupAnswer
from domain.people import Role
from domain.task import TaskKind
from domain.trial import claim
from domain.trial.state import OPEN_TO_DECIDE, Stage
from workflows.frame import messages
from workflows.trial import delivery, intake
from workflows.trial.process import TrialProcess

#: Stages in which the instance is its admin's to get into.
STANDING = OPEN_TO_DECIDE | {Stage.DECIDING, Stage.CONVERTING}


def refuse_opening(trial: TrialProcess, message: OpenLink) -> str | None:
    """Why the link of a mail opens nothing."""
    if trial.state.stage not in STANDING:
        return "the trial of this instance is over, and its links with it: sign up again, or write to us"
    if not mailbox.same(message.by, trial.contact.email):
        return (
            "this link is no longer good: nobody opened it in time, and a colleague of yours who signed up after that, or whose address was "
            "corrected, is the instance's administrator now; ask at your company for an invitation, or at /join"
        )
    return None


async def confirm(trial: TrialProcess, message: OpenLink) -> None:
    """The first click: from now on the instance is its admin's. Nothing else of the claim may happen meanwhile (the caller sees to it)."""
    state, now = trial.state, workflow.now()
    messages.refuse(refuse_opening(trial, message))
    if state.confirmed_at is not None:
        return
    told = RegistryChange(subject=trial.effects.subject, domain=trial.input.domain, as_of=now, change="confirm", host=state.host)
    await trial.effects.local("registry", told, RegistryAnswer, "the claim is confirmed")
    state.confirmed_at = now
    trial.record(claim.confirmed(trial.policy, state, now))
    trial.look_again()


async def reset_link(trial: TrialProcess) -> str:
    """A reset link for whoever waits at the page: the vault's reference. What an earlier click began and lost is gone on with."""
    state = trial.state
    act = ResetLink(
        key=f"instance.link-{state.openings + 1}",
        host=state.host,
        email=trial.contact.email,
        ttl_hours=trial.policy.handoff.reset_link_ttl_hours,
    )
    receipt = await trial.effects.attempt(act)
    if receipt is None:
        messages.refuse(f"{state.host} does not answer at this moment: the link is still good, open it again in a few minutes")
    state.openings += 1
    return receipt.data.get("vault", "") if receipt else ""


async def another(trial: TrialProcess, signup: Signup) -> SignupAnswer:
    """Somebody else of the company signs up before the claim is confirmed: it is theirs now, or they are asked to come again."""
    state = trial.state
    decision = claim.of_another(trial.policy, trial.input.origin, state, trial.input.domain, signup.contact.email, workflow.now())
    if decision.outcome == claim.Confirmation.PASSES and state.stage in OPEN_TO_DECIDE and state.verdict is None:
        trial.record(decision)
        if await _pass_on(trial, signup):
            return intake.answered(trial, "instant")
        state.waiting_signups = [*state.waiting_signups, signup.model_copy(update={"instance": None})]
        return intake.answered(trial, "after_teardown")
    if not state.claim_held:
        state.claim_held = True
        trial.record(decision)
    trial.spawn(intake.join(trial, JoinAsk(contact=signup.contact, via="signup")))
    return intake.unconfirmed(trial)


async def _pass_on(trial: TrialProcess, signup: Signup) -> bool:
    """The instance is the next one's: their account and their link. Whoever never opened theirs has neither from now on.

    False when the trial was ended before the registry had it: then nobody is let in.
    """
    state, before, now = trial.state, trial.contact, workflow.now()
    told = RegistryChange(
        subject=trial.effects.subject,
        domain=trial.input.domain,
        as_of=now,
        change="pass_on",
        host=state.host,
        admin=signup.contact.email,
        number=state.claims + 1,
    )
    await trial.effects.local("registry", told, RegistryAnswer, "the claim passes to the next of the company")
    await workflow.wait_condition(lambda: state.stage is not Stage.DECIDING)
    if state.stage is Stage.TEARDOWN or state.end == "terminated" or (state.verdict is not None and state.verdict.terminate is not None):
        return False
    state.claims, state.claim_held = state.claims + 1, False
    state.contact, state.signed_up_at, state.opted_out = signup.contact, signup.at, False
    if state.period == 0 and state.stage in OPEN_TO_DECIDE and state.verdict is None:
        trial.tasks.withdraw(TaskKind.DEADLINE, "the trial begins anew, with another admin")
        state.done = []
        delivery.start(trial, now)
    state.claimed_at = now
    trial.look_again()
    gone = RemoveUser(key=trial.keyed("instance.removed"), host=state.host, email=before.email)
    trial.spawn(delivery.open_instance(trial, "instant_access", gone))
    text = f"Nobody confirmed the claim of {state.host}: it is {trial.contact.email}'s now, who signed up after that."
    trial.post(trial.said(trial.keyed("slack.passed_on"), text, Role.CE, Role.AE))
    return True
