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


def refuse_opening(t: TrialProcess, message: OpenLink) -> str | None:
    """Why the link of a mail opens nothing."""
    if t.state.stage not in STANDING:
        return "the trial of this instance is over, and its links with it: sign up again, or write to us"
    if not mailbox.same(message.by, t.contact.email):
        return (
            "this link is no longer good: nobody opened it in time, and a colleague of yours who signed up after that, or whose address was "
            "corrected, is the instance's administrator now; ask at your company for an invitation, or at /join"
        )
    return None


async def confirm(t: TrialProcess, message: OpenLink) -> None:
    """The first click: from now on the instance is its admin's. Nothing else of the claim may happen meanwhile (the caller sees to it)."""
    s, now = t.state, workflow.now()
    messages.refuse(refuse_opening(t, message))
    if s.confirmed_at is not None:
        return
    told = RegistryChange(subject=t.effects.subject, domain=t.input.domain, as_of=now, change="confirm", host=s.host)
    await t.effects.local("registry", told, RegistryAnswer, "the claim is confirmed")
    s.confirmed_at = now
    t.record(claim.confirmed(t.policy, s, now))
    t.look_again()


async def reset_link(t: TrialProcess) -> str:
    """A reset link for whoever waits at the page: the vault's reference. What an earlier click began and lost is gone on with."""
    s = t.state
    act = ResetLink(
        key=f"instance.link-{s.openings + 1}", host=s.host, email=t.contact.email, ttl_hours=t.policy.handoff.reset_link_ttl_hours
    )
    receipt = await t.effects.attempt(act)
    if receipt is None:
        messages.refuse(f"{s.host} does not answer at this moment: the link is still good, open it again in a few minutes")
    s.openings += 1
    return receipt.data.get("vault", "") if receipt else ""


async def another(t: TrialProcess, signup: Signup) -> SignupAnswer:
    """Somebody else of the company signs up before the claim is confirmed: it is theirs now, or they are asked to come again."""
    s = t.state
    decision = claim.of_another(t.policy, t.input.origin, s, t.input.domain, signup.contact.email, workflow.now())
    if decision.outcome == "passes" and s.stage in OPEN_TO_DECIDE and s.verdict is None:
        t.record(decision)
        if await _pass_on(t, signup):
            return intake.answered(t, "instant")
        s.waiting_signups = [*s.waiting_signups, signup.model_copy(update={"instance": None})]
        return intake.answered(t, "after_teardown")
    if not s.claim_held:
        s.claim_held = True
        t.record(decision)
    t.spawn(intake.join(t, JoinAsk(contact=signup.contact, via="signup")))
    return intake.unconfirmed(t)


async def _pass_on(t: TrialProcess, signup: Signup) -> bool:
    """The instance is the next one's: their account and their link. Whoever never opened theirs has neither from now on.

    False when the trial was ended before the registry had it: then nobody is let in.
    """
    s, before, now = t.state, t.contact, workflow.now()
    told = RegistryChange(
        subject=t.effects.subject,
        domain=t.input.domain,
        as_of=now,
        change="pass_on",
        host=s.host,
        admin=signup.contact.email,
        number=s.claims + 1,
    )
    await t.effects.local("registry", told, RegistryAnswer, "the claim passes to the next of the company")
    await workflow.wait_condition(lambda: s.stage is not Stage.DECIDING)
    if s.stage is Stage.TEARDOWN or s.end == "terminated" or (s.verdict is not None and s.verdict.terminate is not None):
        return False
    s.claims, s.claim_held = s.claims + 1, False
    s.contact, s.signed_up_at, s.opted_out = signup.contact, signup.at, False
    if s.period == 0 and s.stage in OPEN_TO_DECIDE and s.verdict is None:
        t.desk.withdraw(TaskKind.DEADLINE, "the trial begins anew, with another admin")
        s.done = []
        delivery.start(t, now)
    s.claimed_at = now
    t.look_again()
    gone = RemoveUser(key=t.keyed("instance.removed"), host=s.host, email=before.email)
    t.spawn(delivery.open_instance(t, "instant_access", gone))
    text = f"Nobody confirmed the claim of {s.host}: it is {t.contact.email}'s now, who signed up after that."
    t.post(t.said(t.keyed("slack.passed_on"), text, Role.CE, Role.AE))
    return True
