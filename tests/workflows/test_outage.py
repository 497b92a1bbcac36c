"""An outside system that is down stalls only itself, shows as itself, and loses nothing (idea 4)."""

from __future__ import annotations

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
