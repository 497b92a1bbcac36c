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


async def named(company: Company) -> None:
    """Two of them sign up at the same instant; used, so day 15 extends it by itself; the CE converts it on day 28."""
    second = await company.both_sign_up("dana", "robin")
    await company.answered("join", "invited", workflow=ids.join(company.domain, second))
    await company.uses_it()
    await company.day(15.1)
    await company.in_stage("extended")
    await company.built_issue("extend-1")
    await company.day(28)
    await company.answered("deadline", "convert", fields={"seats": 250})
    await company.built("conversion")
    await company.ends("2.1", "converted")


async def unused(company: Company) -> None:
    """Nobody uses it: warned on day 10, ended on day 15."""
    await company.signs_up(expect="instant")
    await company.day(10.1)
    await company.day(15.1)
    await company.built("teardown")
    await company.ends("2.2", "terminated")


async def overruled(company: Company) -> None:
    """Nobody uses it, yet the CE wants to wait; then nobody says anything, and the grace ends."""
    await company.signs_up(expect="instant")
    await company.day(13)
    await company.answered("deadline", "extend", note="their rollout starts next week")
    await company.in_stage("extended")
    await company.built_issue("extend-1")
    await company.day(34.9)
    await company.goes_on("extended")
    await company.day(35.1)
    await company.built("teardown")
    await company.ends("2.2", "terminated")


async def silent(company: Company) -> None:
    """Used, and nobody decides: it is not ended by itself, the manager is asked, and on day 40 the CE ends it and asks for feedback."""
    await company.signs_up(expect="instant")
    await company.uses_it()
    await company.day(15.1)
    await company.day(30.1)
    await company.day(40)
    await company.goes_on("extended")
    await company.decided("terminate", reason="they chose to host it themselves", feedback=True)
    await company.built("teardown")
    await company.ends("2.2", "terminated")


async def disqualified(company: Company) -> None:
    """Unknown, and too small."""
    await company.signs_up(expect="triage")
    await company.answered("triage", "qualify", fails=["fits_size"], note="a team of three")
    await company.ends("3.1", "disqualified")


async def qualified(company: Company) -> None:
    """Unknown and a good fit: built, handed over, used, converted; a colleague who signs up later is sent to what they have."""
    await company.signs_up(expect="triage")
    await company.answered("triage", "qualify")
    await company.built("provision")
    await company.answered("hand_over", "hand_over")
    await company.in_stage("onboarding")
    await company.opens()
    await company.uses_it()
    await company.day(14)
    await company.answered("deadline", "convert", fields={"seats": 80})
    await company.built("conversion")
    await company.ends("3.2", "converted")
    join = ids.join(company.domain, company.address("robin"))
    await company.signs_up("robin", expect="redirected")
    await company.ends("1", "redirected", beside=join)
    await company.answered("join", "sso", workflow=join)


async def cancelled(company: Company) -> None:
    """Qualified, and then not, while it is being built: the request is withdrawn."""
    await company.signs_up(expect="triage")
    await company.answered("triage", "qualify")
    await company.in_stage("provisioning")
    await company.decided("terminate", reason="they bought something else")
    await company.ends("3.2", "disqualified")


async def requested(company: Company) -> None:
    """A CE asks for it and their manager approves: thirty days, a key of its own, thirty days more, converted."""
    await company.is_requested("ce-ada@tenure.example", size="large", seats=300, success_criteria="400 developers search every day")
    await company.answered("approval", "approve")
    await company.built("provision")
    await company.answered("hand_over", "hand_over")
    await company.in_stage("onboarding")
    await company.uses_it()
    await company.day(28)
    await company.answered("deadline", "extend")
    await company.in_stage("extended")
    await company.built_issue("extend-1")
    await company.day(58)
    await company.answered("deadline", "convert", fields={"seats": 300})
    await company.built("conversion")
    await company.ends("ce_requested", "converted")


async def denied(company: Company) -> None:
    """A CE asks for it, and the review has not passed."""
    await company.is_requested("ce-boris@tenure.example", standard=False)
    await company.answered("approval", "approve", fails=["review_passed"])
    await company.ends("ce_requested", "denied")


async def free_mail(company: Company) -> None:
    """From a free-mail address: the SDR finds out the company, whose own trial goes on, and does not qualify."""
    await company.signs_up("kim", expect="triage", free_mail=True)
    await company.answered("triage", "qualify", fields={"domain": company.domain})
    await company.ends("free_mail", "moved")
    await company.is_found_out()
    await company.answered("triage", "disqualify", note="a student project")
    await company.ends("3.1", "disqualified")


async def moved(company: Company) -> None:
    """The instance gets a host of the customer's own: agreed, moved, verified; then converted."""
    await company.signs_up(expect="instant")
    await company.uses_it()
    await company.day(3)
    host, change = f"code.{company.domain}", ids.domain_change(company.domain)
    await company.decided("change-domain", new_host=host)
    company.beside_it(change)
    await company.answered("consent", "agreed", workflow=change)
    await company.built("move", workflow=change)
    await company.at_host(host)
    await company.answered("verify", "verified", workflow=change)
    await company.day(14)
    await company.answered("deadline", "convert", fields={"seats": 40})
    await company.built("conversion")
    await company.ends("2.2", "converted")


async def rescued(company: Company) -> None:
    """The form fails them; support signs them up, once; the CE ends it early."""
    rescue = await company.cannot_sign_up("dana", "the CRM timed out")
    await company.rescued(rescue)
    await company.day(8)
    await company.decided("terminate", reason="no budget this year")
    await company.built("teardown")
    await company.ends("2.2", "terminated")


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
