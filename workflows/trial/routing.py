"""A3, A5, A6, A26: a signup is routed in one round trip, and the second of a company meets the first one here.

A claim is made at once, confirmed by the first click in the mail, and passes on when nobody confirms it (decision 0017). At the cap a company waits its
turn; what is freed goes to whoever waits longest.
"""

from datetime import timedelta

from temporalio import workflow

from domain import ids, mailbox
from domain.effects.instance import RemoveUser, ResetLink
from domain.effects.registry import AskOwners, Claimed, ClaimInstance, ClaimOutcome
from domain.effects.slack import Post
from domain.markup import bold
from domain.messages import TRIAGED, Case, JoinAsk, OpenLink, Signup, SignupAnswer
from domain.people import Role
from domain.task import TaskKind
from domain.trial import claim, decisions
from domain.trial.state import OPEN_TO_DECIDE, Stage
from workflows.frame import handlers
from workflows.frame.effects import local
from workflows.trial import delivery, intake, owning
from workflows.trial.process import TrialProcess


async def route(trial: TrialProcess, signup: Signup) -> SignupAnswer:
    """Decide the case (A3) and claim an instance: nothing but a local step on the ledger's own database before the answer."""
    state = trial.state
    if state.stage is Stage.TEARDOWN or state.end == "terminated":
        state.waiting_signups = [*state.waiting_signups, signup.model_copy(update={"instance": None})]  # it will be gone by then
        return intake.answered(trial, "after_teardown")
    if state.signup is not None or state.request is not None:
        return await _again(trial, signup)
    if signup.instance and signup.instance.subject == trial.effects.subject:
        # Our own claim: the worker that made it died before it could answer, and the form was sent again.
        signup = signup.model_copy(update={"instance": None})
    state.signup, state.contact, state.signed_up_at = signup, signup.contact, signup.at
    state.company = signup.company or (signup.account.name if signup.account else "") or trial.input.domain.rpartition("@")[2]
    routed = trial.record(decisions.route(trial.policy, signup, trial.input.domain))
    state.case, state.flags = Case(routed.outcome), routed.flags
    if state.case is Case.HAS_INSTANCE and signup.instance:
        state.host = signup.instance.host
        return intake.answered(trial, "redirected") if signup.instance.confirmed else intake.unconfirmed(trial)
    if state.case in TRIAGED:
        return intake.answered(trial, "triage")
    claimed = await _claim(trial, warm=True, owners=owning.ask_owners(trial))
    if claimed.outcome == ClaimOutcome.OWNED:
        state.case, state.host = Case.HAS_INSTANCE, claimed.host
        return intake.answered(trial, "redirected")
    if claimed.outcome == ClaimOutcome.FULL:
        return intake.answered(trial, "waitlisted")
    if claimed.outcome == ClaimOutcome.EMPTY:
        return intake.answered(trial, "building")
    if trial.policy.handoff.prequalified == "automatic":
        state.claimed_at = workflow.now()  # the mail with the link goes out this moment
    return intake.answered(trial, "instant")


async def _again(trial: TrialProcess, signup: Signup) -> SignupAnswer:
    """A second signup of the domain (case 1): sent to the instance there is, or told truthfully what the first one waits for.

    An instance whose claim nobody has confirmed is no place to send somebody to.
    """
    state = trial.state
    if state.contact and mailbox.same(signup.contact.email, state.contact.email):
        if state.stage in (Stage.PROVISIONING, Stage.HAND_OFF):
            return intake.answered(trial, "building")
        outcome = "instant" if state.host and state.instance_live else "triage"
        return intake.answered(trial, "waitlisted" if state.stage is Stage.WAITLISTED else outcome)
    if state.instance_live and state.case is not Case.HAS_INSTANCE and state.confirmed_at is None:
        return await _another(trial, signup)
    trial.spawn(intake.join(trial, JoinAsk(contact=signup.contact, via="signup")))
    return intake.answered(trial, "redirected" if state.instance_live else "triage", case=Case.HAS_INSTANCE)


# --- whose the instance is --------------------------------------------------------------------------------------------------------


async def confirm(trial: TrialProcess, message: OpenLink) -> None:
    """The first click: from now on the instance is its admin's. Nothing else of the claim may happen meanwhile (the caller sees to it)."""
    state, now = trial.state, workflow.now()
    handlers.refuse(trial.refuse_opening(message.by))
    if state.confirmed_at is not None:
        return
    await trial.registry("the claim is confirmed", change="confirm", host=state.host)
    state.confirmed_at = now
    trial.record(claim.confirmed(trial.policy, state, now))
    trial.look_again()


async def reset_link(trial: TrialProcess) -> str:
    """A reset link for whoever waits at the page: the vault's reference. What an earlier click began and lost is gone on with."""
    state = trial.state
    key, hours = f"instance.link-{state.openings + 1}", trial.policy.handoff.reset_link_ttl_hours
    receipt = await trial.effects.attempt(ResetLink(key=key, host=state.host, email=trial.contact.email, ttl_hours=hours))
    if receipt is None:
        handlers.refuse(f"{state.host} does not answer at this moment: the link is still good, open it again in a few minutes")
    state.openings += 1
    return receipt.data.get("vault", "") if receipt else ""


async def _another(trial: TrialProcess, signup: Signup) -> SignupAnswer:
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
    summary, theirs = "the claim passes to the next of the company", signup.contact.email
    await trial.registry(summary, change="pass_on", host=state.host, admin=theirs, number=state.claims + 1)
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


# --- an instance, or room for one --------------------------------------------------------------------------------------------------


async def _claim(trial: TrialProcess, *, warm: bool, owners: AskOwners | None = None) -> Claimed:
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
    claimed = await _claim(trial, warm=False)
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
        claimed = await _claim(trial, warm=warm)
        if claimed.outcome != ClaimOutcome.FULL:
            return claimed


async def release(trial: TrialProcess) -> None:
    """Free domain and capacity, and tell the company that waits longest."""
    freed = await trial.registry("free domain and capacity", change="release")
    if freed.waiting:
        await trial.effects.signal(ids.trial(freed.waiting), "capacity_freed")
