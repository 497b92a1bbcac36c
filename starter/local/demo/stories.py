"""The dozen: what happens to each company, and how each of its trials must end. Days are those of ``domain/policy.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain import ids
from starter.local.demo.company import Company, Play


@dataclass(frozen=True)
class Story:
    """A company, its case in words, what the CRM knows of it before (None: nothing), and what happens."""

    name: str
    case: str
    play: Play
    account: dict[str, Any] | None = None


PREQUALIFIED = {"Trial_Prequalified__c": True}
NAMED = {
    **PREQUALIFIED,
    "Named_Account__c": True,
    "Named_SDR__c": "named-lena@tenure.example",
    "Account_Executive__c": "ae-mira@tenure.example",
    "Customer_Engineer__c": "ce-ada@tenure.example",
}


async def named(c: Company) -> None:
    """Two of them sign up at the same instant; used, so day 15 extends it by itself; the CE converts it on day 28."""
    second = await c.both_sign_up("dana", "robin")
    await c.answered("join", "invited", workflow=ids.join(c.domain, second))
    await c.uses_it()
    await c.day(15.1)
    await c.in_stage("extended")
    await c.built_issue("extend-1")
    await c.day(28)
    await c.answered("deadline", "convert", fields={"seats": 250})
    await c.built("conversion")
    await c.ends("2.1", "converted")


async def unused(c: Company) -> None:
    """Nobody uses it: warned on day 10, ended on day 15."""
    await c.signs_up(expect="instant")
    await c.day(10.1)
    await c.day(15.1)
    await c.built("teardown")
    await c.ends("2.2", "terminated")


async def overruled(c: Company) -> None:
    """Nobody uses it, yet the CE wants to wait; then nobody says anything, and the grace ends."""
    await c.signs_up(expect="instant")
    await c.day(13)
    await c.answered("deadline", "extend", note="their rollout starts next week")
    await c.in_stage("extended")
    await c.built_issue("extend-1")
    await c.day(34.9)
    await c.goes_on("extended")
    await c.day(35.1)
    await c.built("teardown")
    await c.ends("2.2", "terminated")


async def silent(c: Company) -> None:
    """Used, and nobody decides: it is not ended by itself, the manager is asked, and on day 40 the CE ends it and asks for feedback."""
    await c.signs_up(expect="instant")
    await c.uses_it()
    await c.day(15.1)
    await c.day(30.1)
    await c.day(40)
    await c.goes_on("extended")
    await c.decided("terminate", reason="they chose to host it themselves", feedback=True)
    await c.built("teardown")
    await c.ends("2.2", "terminated")


async def disqualified(c: Company) -> None:
    """Unknown, and too small."""
    await c.signs_up(expect="triage")
    await c.answered("triage", "qualify", fails=["fits_size"], note="a team of three")
    await c.ends("3.1", "disqualified")


async def qualified(c: Company) -> None:
    """Unknown and a good fit: built, handed over, used, converted; a colleague who signs up later is sent to what they have."""
    await c.signs_up(expect="triage")
    await c.answered("triage", "qualify")
    await c.built("provision")
    await c.answered("hand_over", "hand_over")
    await c.in_stage("onboarding")
    await c.opens()
    await c.uses_it()
    await c.day(14)
    await c.answered("deadline", "convert", fields={"seats": 80})
    await c.built("conversion")
    await c.ends("3.2", "converted")
    join = ids.join(c.domain, c.address("robin"))
    await c.signs_up("robin", expect="redirected")
    await c.ends("1", "redirected", beside=join)
    await c.answered("join", "sso", workflow=join)


async def cancelled(c: Company) -> None:
    """Qualified, and then not, while it is being built: the request is withdrawn."""
    await c.signs_up(expect="triage")
    await c.answered("triage", "qualify")
    await c.in_stage("provisioning")
    await c.decided("terminate", reason="they bought something else")
    await c.ends("3.2", "disqualified")


async def requested(c: Company) -> None:
    """A CE asks for it and their manager approves: thirty days, a key of its own, thirty days more, converted."""
    await c.is_requested("ce-ada@tenure.example", size="large", seats=300, success_criteria="400 developers search every day")
    await c.answered("approval", "approve")
    await c.built("provision")
    await c.answered("hand_over", "hand_over")
    await c.in_stage("onboarding")
    await c.uses_it()
    await c.day(28)
    await c.answered("deadline", "extend")
    await c.in_stage("extended")
    await c.built_issue("extend-1")
    await c.day(58)
    await c.answered("deadline", "convert", fields={"seats": 300})
    await c.built("conversion")
    await c.ends("ce_requested", "converted")


async def denied(c: Company) -> None:
    """A CE asks for it, and the review has not passed."""
    await c.is_requested("ce-boris@tenure.example", standard=False)
    await c.answered("approval", "approve", fails=["review_passed"])
    await c.ends("ce_requested", "denied")


async def free_mail(c: Company) -> None:
    """From a free-mail address: the SDR finds out the company, whose own trial goes on, and does not qualify."""
    await c.signs_up("kim", expect="triage", free_mail=True)
    await c.answered("triage", "qualify", fields={"domain": c.domain})
    await c.ends("free_mail", "moved")
    await c.is_found_out()
    await c.answered("triage", "disqualify", note="a student project")
    await c.ends("3.1", "disqualified")


async def moved(c: Company) -> None:
    """The instance gets a host of the customer's own: agreed, moved, verified; then converted."""
    await c.signs_up(expect="instant")
    await c.uses_it()
    await c.day(3)
    host, change = f"code.{c.domain}", ids.domain_change(c.domain)
    await c.decided("change-domain", new_host=host)
    c.beside_it(change)
    await c.answered("consent", "agreed", workflow=change)
    await c.built("move", workflow=change)
    await c.at_host(host)
    await c.answered("verify", "verified", workflow=change)
    await c.day(14)
    await c.answered("deadline", "convert", fields={"seats": 40})
    await c.built("conversion")
    await c.ends("2.2", "converted")


async def rescued(c: Company) -> None:
    """The form fails them; support signs them up, once; the CE ends it early."""
    rescue = await c.cannot_sign_up("dana", "the CRM timed out")
    await c.rescued(rescue)
    await c.day(8)
    await c.decided("terminate", reason="no budget this year")
    await c.built("teardown")
    await c.ends("2.2", "terminated")


STORIES = (
    Story("Borealis", "2.1 named account", named, NAMED),
    Story("Cobalt", "2.2 unused", unused, PREQUALIFIED),
    Story("Dune", "2.2 unused, overruled", overruled, PREQUALIFIED),
    Story("Ember", "2.2 used, nobody decides", silent, PREQUALIFIED),
    Story("Fjord", "3.1 does not qualify", disqualified),
    Story("Glade", "3.2 built; a colleague", qualified),
    Story("Halcyon", "3.2 cancelled while built", cancelled),
    Story("Juniper", "requested by a CE", requested),
    Story("Kestrel", "requested, denied", denied),
    Story("Lumen", "free mail, then 3.1", free_mail),
    Story("Meridian", "2.2 gets a host of its own", moved, PREQUALIFIED),
    Story("Orchard", "the form failed", rescued, PREQUALIFIED),
)
