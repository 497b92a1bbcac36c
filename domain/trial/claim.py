"""Whose a claimed instance is (A5, A6; decision 0017).

The claim is made at the signup, at once, by whoever says that they are of the company. It is confirmed when the link in their mail is opened:
then they can read the mail of their address. Until then nobody of the company is told of them or they of anybody, and after the policy's
hours the instance goes to the next of the company who signs up.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.decision import Conclusion, Fact, replayable
from domain.messages import Origin
from domain.policy import Policy
from domain.trial.state import TrialState


class Confirmation(StrEnum):
    """What becomes of a claim that is not confirmed yet."""

    CONFIRMED = "confirmed"
    HOLDS = "holds"
    PASSES = "passes"


def at_a_subdomain(email: str, domain: str) -> bool:
    """Whether an address is at a host below the company's domain, which may be anybody's whom the company lends a name: ``x@dev.acme.com``."""
    return email.rpartition("@")[2].strip().lower().endswith(f".{domain}")


def holds_until(policy: Policy, state: TrialState) -> datetime | None:
    """Until when a claim that nobody has confirmed keeps the instance; None while its link has not been mailed yet."""
    return state.claimed_at + timedelta(hours=policy.handoff.confirm_hours) if state.claimed_at else None


@replayable("claim", "A5, A6")
def confirmed(policy: Policy, state: TrialState, now: datetime) -> Conclusion:
    """The link of the mail was opened."""
    rule = "The link in the admin's mail was opened: they read the mail of the address that claimed the instance."
    facts = (
        Fact(name="claim made at", value=_shown(state.claimed_at), source="the trial", as_of=now),
        Fact(name="link opened at", value=_shown(now), source="the link's page", as_of=now),
    )
    return Conclusion(Confirmation.CONFIRMED, rule, "nobody opening the link", facts)


@replayable("claim", "A5, A6")
def of_another(policy: Policy, origin: Origin, state: TrialState, domain: str, email: str, now: datetime) -> Conclusion:
    """Somebody else of the company signs up while the claim is not confirmed: it ``holds`` for now, or ``passes`` to them.

    An address below the company's domain owns nothing until it is confirmed: it gives way to one at the domain itself at once. What a CE
    asked for in somebody's name passes to nobody: the CE knows them.
    """
    until, contact = holds_until(policy, state), state.contact.email if state.contact else ""
    below, hours = at_a_subdomain(contact, domain) and not at_a_subdomain(email, domain), policy.handoff.confirm_hours
    if until is None:
        passes, rule, nearest = False, "The claim's link has not been mailed yet.", "the instance being handed over"
    elif origin != "self_serve":
        passes, rule, nearest = False, "A CE asked for this trial in the admin's name: it passes to nobody by itself.", "a CE's decision"
    elif now >= until:
        passes, rule, nearest = True, f"Nobody opened the link of the claim within {hours} hours.", "the link being opened"
    elif below:
        passes, rule, nearest = True, "The claim is of an address below the company's domain, and not confirmed.", "the link being opened"
    else:
        passes, rule, nearest = False, f"The claim may be confirmed for {hours} hours.", "the end of these hours"
    facts = (
        Fact(name="claim made at", value=_shown(state.claimed_at), source="the trial", as_of=now),
        Fact(name="link opened at", value=None, source="the trial", as_of=now),
        Fact(name="claim at a subdomain", value=at_a_subdomain(contact, domain), source="signup form", as_of=now),
        Fact(name="signup at a subdomain", value=at_a_subdomain(email, domain), source="signup form", as_of=now),
    )
    return Conclusion(Confirmation.PASSES if passes else Confirmation.HOLDS, rule, nearest, facts)


def _shown(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
