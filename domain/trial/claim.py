"""Whose a claimed instance is (A5, A6; decision 0017).

The claim is made at the signup, at once, by whoever says that they are of the company. It is confirmed when the link in their mail is opened:
then they can read the mail of their address. Until then nobody of the company is told of them or they of anybody, and after the policy's
hours the instance goes to the next of the company who signs up.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.decision import Conclusion, known, replayable
from domain.messages import Origin
from domain.policy import Policy
from domain.trial.state import TrialState
from domain.wording import Wording

TEXTS = Wording(__file__)


#: What becomes of a claim that is not confirmed yet.
Confirmation = StrEnum("Confirmation", "CONFIRMED HOLDS PASSES")


def at_a_subdomain(email: str, domain: str) -> bool:
    """Whether an address is at a host below the company's domain, which may be anybody's whom the company lends a name: ``x@dev.acme.com``."""
    return email.rpartition("@")[2].strip().lower().endswith(f".{domain}")


def holds_until(policy: Policy, state: TrialState) -> datetime | None:
    """Until when a claim that nobody has confirmed keeps the instance; None while its link has not been mailed yet."""
    return state.claimed_at + timedelta(hours=policy.handoff.confirm_hours) if state.claimed_at else None


@replayable("claim", "A5, A6")
def confirmed(policy: Policy, state: TrialState, now: datetime) -> Conclusion[Confirmation]:
    """The link of the mail was opened."""
    facts = (*known("the trial", now, {"claim made at": state.claimed_at}), *known("the link's page", now, {"link opened at": now}))
    return TEXTS.conclude(Confirmation.CONFIRMED, "confirmed", facts)


@replayable("claim", "A5, A6")
def of_another(policy: Policy, origin: Origin, state: TrialState, domain: str, email: str, now: datetime) -> Conclusion[Confirmation]:
    """Somebody else of the company signs up while the claim is not confirmed: it ``holds`` for now, or ``passes`` to them.

    An address below the company's domain owns nothing until it is confirmed: it gives way to one at the domain itself at once. What a CE
    asked for in somebody's name passes to nobody: the CE knows them.
    """
    until, contact = holds_until(policy, state), state.contact.email if state.contact else ""
    below, hours = at_a_subdomain(contact, domain) and not at_a_subdomain(email, domain), policy.handoff.confirm_hours
    facts = (
        *known("the trial", now, {"claim made at": state.claimed_at, "link opened at": None}),
        *known(
            "signup form",
            now,
            {"claim at a subdomain": at_a_subdomain(contact, domain), "signup at a subdomain": at_a_subdomain(email, domain)},
        ),
    )
    if until is None:
        return TEXTS.conclude(Confirmation.HOLDS, "not_mailed", facts)
    if origin != "self_serve":
        return TEXTS.conclude(Confirmation.HOLDS, "asked_for", facts)
    if now >= until:
        return TEXTS.conclude(Confirmation.PASSES, "not_opened", facts, hours=hours)
    if below:
        return TEXTS.conclude(Confirmation.PASSES, "below", facts)
    return TEXTS.conclude(Confirmation.HOLDS, "in_time", facts, hours=hours)
