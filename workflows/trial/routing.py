"""A3, A26: a signup is routed in one round trip; the second of a company meets the first one here."""

from __future__ import annotations

from temporalio import workflow

from domain import mailbox
from domain.messages import TRIAGED, Case, JoinAsk, Signup, SignupAnswer
from domain.trial import decisions
from domain.trial.state import Stage
from workflows.trial import capacity, claims, intake, owning
from workflows.trial.process import TrialProcess


async def route(t: TrialProcess, signup: Signup) -> SignupAnswer:
    """Decide the case (A3) and claim an instance: nothing but a local step on the ledger's own database before the answer."""
    s = t.state
    if s.stage is Stage.TEARDOWN or s.end == "terminated":
        s.waiting_signups = [*s.waiting_signups, signup.model_copy(update={"instance": None})]  # it will be gone by then
        return intake.answered(t, "after_teardown")
    if s.signup is not None or s.request is not None:
        return await again(t, signup)
    if signup.instance and signup.instance.subject == t.effects.subject:
        # Our own claim: the worker that made it died before it could answer, and the form was sent again.
        signup = signup.model_copy(update={"instance": None})
    s.signup, s.contact, s.signed_up_at = signup, signup.contact, signup.at
    s.company = signup.company or (signup.account.name if signup.account else "") or t.input.domain.rpartition("@")[2]
    routed = t.record(decisions.route(t.policy, signup, t.input.domain))
    s.case, s.flags = Case(routed.outcome), routed.flags
    if s.case is Case.HAS_INSTANCE and signup.instance:
        s.host = signup.instance.host
        return intake.answered(t, "redirected") if signup.instance.confirmed else intake.unconfirmed(t)
    if s.case in TRIAGED:
        return intake.answered(t, "triage")
    claimed = await capacity.claim(t, warm=True, owners=owning.ask_owners(t))
    if claimed.outcome == "owned":
        s.case, s.host = Case.HAS_INSTANCE, claimed.host
        return intake.answered(t, "redirected")
    if claimed.outcome == "full":
        return intake.answered(t, "waitlisted")
    if claimed.outcome == "empty":
        return intake.answered(t, "building")
    if t.policy.handoff.prequalified == "automatic":
        s.claimed_at = workflow.now()  # the mail with the link goes out this moment
    return intake.answered(t, "instant")


async def again(t: TrialProcess, signup: Signup) -> SignupAnswer:
    """A second signup of the domain (case 1): sent to the instance there is, or told truthfully what the first one waits for.

    An instance whose claim nobody has confirmed is no place to send somebody to.
    """
    s = t.state
    if s.contact and mailbox.same(signup.contact.email, s.contact.email):
        if s.stage in (Stage.PROVISIONING, Stage.HAND_OFF):
            return intake.answered(t, "building")
        outcome = "instant" if s.host and s.instance_live else "triage"
        return intake.answered(t, "waitlisted" if s.stage is Stage.WAITLISTED else outcome)
    if s.instance_live and s.case is not Case.HAS_INSTANCE and s.confirmed_at is None:
        return await claims.another(t, signup)
    t.spawn(intake.join(t, JoinAsk(contact=signup.contact, via="signup")))
    return intake.answered(t, "redirected" if s.instance_live else "triage", case=Case.HAS_INSTANCE)
