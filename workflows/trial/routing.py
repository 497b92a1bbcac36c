"""A3, A26: a signup is routed in one round trip; the second of a company meets the first one here."""

from __future__ import annotations

from temporalio import workflow

from domain import mailbox
from domain.effects.registry import ClaimOutcome
from domain.messages import TRIAGED, Case, JoinAsk, Signup, SignupAnswer
from domain.trial import decisions
from domain.trial.state import Stage
from workflows.trial import capacity, claims, intake, owning
from workflows.trial.process import TrialProcess


async def route(trial: TrialProcess, signup: Signup) -> SignupAnswer:
    """Decide the case (A3) and claim an instance: nothing but a local step on the ledger's own database before the answer."""
    state = trial.state
    if state.stage is Stage.TEARDOWN or state.end == "terminated":
        state.waiting_signups = [*state.waiting_signups, signup.model_copy(update={"instance": None})]  # it will be gone by then
        return intake.answered(trial, "after_teardown")
    if state.signup is not None or state.request is not None:
        return await again(trial, signup)
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
    claimed = await capacity.claim(trial, warm=True, owners=owning.ask_owners(trial))
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


async def again(trial: TrialProcess, signup: Signup) -> SignupAnswer:
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
        return await claims.another(trial, signup)
    trial.spawn(intake.join(trial, JoinAsk(contact=signup.contact, via="signup")))
    return intake.answered(trial, "redirected" if state.instance_live else "triage", case=Case.HAS_INSTANCE)
