"""An outside system that is down stalls only itself, shows as itself, and loses nothing (idea 4)."""

from __future__ import annotations

from functools import partial

import pytest

from sandbox.core import Fault
from tests.workflows.play import Play, eventually

#: What the first day does on each other system while one is down.
FIRST_DAY = {
    "slack": {"slack: slack.alert", "slack: slack.channel", "slack: slack.introduction"},
    "salesforce": {"salesforce: crm.lead", "salesforce: crm.assign", "salesforce: crm.convert"},
    "smtp": {"mail: mail.instant_access", "mail: mail.ce_welcome"},
}
NAMES = {"smtp": "mail"}


async def test_a_system_that_said_wait_in_the_moment_is_not_asked_again_before(play: Play) -> None:
    limit = Fault("slack", "rate_limit", times=10_000, retry_after=900)
    play.sandbox.world.faults.append(limit)
    domains = [play.company() for _ in range(3)]
    play.cohort()
    for number, domain in enumerate(domains):
        play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
        play.warm(f"src-acme-{number}")
        await play.signup(f"bo@{domain}")

    async def waits(domain: str) -> bool:
        description = await play.trial(domain).describe()
        pending = description.raw_description.pending_activities
        # Once tried, in an activity of its own: that try was told to wait too, and asked nothing.
        return any(each.activity_type.name == "slack" and each.attempt == 2 for each in pending)

    for domain in domains:
        await play.did(domain, "instance: instance.admin")
        await eventually(partial(waits, domain))
    assert limit.times == 9_999


async def test_what_a_system_that_said_wait_was_to_do_is_done_afterwards(play: Play) -> None:
    limit = Fault("slack", "rate_limit", times=1, retry_after=2)
    play.sandbox.world.faults.append(limit)
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-acme")
    await play.signup(f"bo@{domain}")
    await play.did(domain, *FIRST_DAY["slack"])


@pytest.mark.parametrize("service", FIRST_DAY)
async def test_a_system_that_is_down_stalls_only_itself(play: Play, service: str) -> None:
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-acme")
    play.sandbox.world.faults.append(Fault(service, "status", times=10_000, status=451 if service == "smtp" else 503))
    await play.signup(f"bo@{domain}")
    waits = NAMES.get(service, service)
    others = {effect for name, effects in FIRST_DAY.items() if name != service for effect in effects}
    await play.did(domain, *others, "instance: instance.admin")

    async def shows_as_itself() -> bool:
        description = await play.trial(domain).describe()
        return {each.activity_type.name for each in description.raw_description.pending_activities} == {waits}

    await eventually(shows_as_itself)
    assert not {effect for effect in play.effects(domain)[0] if effect in FIRST_DAY[service]}
    play.sandbox.world.faults.clear()
    await play.skip(domain, hours=1)
    await play.did(domain, *FIRST_DAY[service])
    happened = play.effects(domain)[0]
    assert len(happened) == len(set(happened))
