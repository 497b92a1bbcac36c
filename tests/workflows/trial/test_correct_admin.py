"""The admin's address was typed wrong, and the CE corrects it while the trial is open (C17)."""

from __future__ import annotations

import httpx
import pytest

from domain.trial.state import Stage
from starter.errors import Refused
from store.registry import Registry
from tests.workflows.play import Play
from tests.workflows.trial.test_trial import day_0, prequalified, unknown

CE = "ce-ada@tenure.example"
#: What follows from a correction while the instance runs.
FOLLOWS = {"instance: instance.admin-1", "mail: mail.admin-1", "slack: slack.admin-1", "registry: admin:1"}


async def test_the_mails_and_the_admin_follow(play: Play) -> None:
    """The link goes to the right mailbox; whoever had the wrong one is no admin, and the link mailed there opens nothing."""
    domain, host = await prequalified(play)
    await play.did(domain, "mail: mail.ce_welcome", "instance: instance.key")
    right, wrong = f"bea@{domain}", f"bo@{domain}"
    said = await play.update(domain, "correct_admin", {"by": CE, "email": right})
    assert said == "the admin's address is corrected: a link is on its way there"
    await play.did(domain, *FOLLOWS)
    await play.quiet(domain)
    assert set(play.effects(domain)[0]) == {*day_0(host), *FOLLOWS}
    assert len(play.effects(domain)[0]) == len(day_0(host)) + len(FOLLOWS)
    status = await play.status(domain)
    assert status.contact == right
    users = {user.email: user.site_admin for user in play.sandbox.world.services["instances"].get(host).accounts.values()}
    assert users == {wrong: False, right: True}
    owned = Registry(play.ledger).instance_of(domain)
    assert owned is not None
    assert owned.admin == right
    with pytest.raises(Refused, match="is the instance's administrator now"):
        await play.opens(wrong)
    assert httpx.get(await play.opens(right)).status_code == 200
    assert (await play.status(domain)).confirmed_at
    dossier = await play.trial(domain).query("dossier")
    assert [(each["what"], each["outcome"], each["by"]) for each in dossier if each["what"] == "admin"] == [("admin", "corrected", CE)]


async def test_every_later_mail_goes_to_the_right_address(play: Play) -> None:
    domain, _ = await prequalified(play)
    await play.did(domain, "mail: mail.ce_welcome")
    await play.update(domain, "correct_admin", {"by": CE, "email": f"bea@{domain}"})
    await play.did(domain, *FOLLOWS)
    before = play.mails(f"bo@{domain}")
    await play.update(domain, "new_link", {"by": CE})
    await play.did(domain, "mail: mail.link-1")
    await play.update(domain, "terminate", {"by": CE, "reason": "done"})
    await play.did(domain, "mail: mail.terminated")
    assert play.mails(f"bo@{domain}") == before
    assert len(play.mails(f"bea@{domain}")) == 3


async def test_before_the_start_the_instance_is_handed_to_the_right_address(play: Play) -> None:
    domain = await unknown(play)
    await play.stage(domain, Stage.TRIAGE)
    assert await play.update(domain, "correct_admin", {"by": CE, "email": f"bea@{domain}"}) == (
        "the admin's address is corrected: mails go there from now on"
    )
    await play.did(domain, "salesforce: crm.lead", "salesforce: crm.lead-1")
    assert (await play.status(domain)).contact == f"bea@{domain}"
    (lead,) = [each for each in play.sandbox.world.services["salesforce"].org.records["lead"].values() if domain in str(each["Website"])]
    assert lead["Email"] == f"bea@{domain}"


async def test_what_cannot_be_the_admins_address_is_refused_in_words(play: Play) -> None:
    domain, _ = await prequalified(play)
    for email, why in (
        ("", "must be an e-mail address"),
        (f"jörg@{domain}", "must be an e-mail address, of plain letters before the @"),
        (f"{'a' * 62}@{domain}.{domain}", "must be an e-mail address, of plain letters before the @ and at most 80 characters"),
        ("bea@elsewhere.example", f"the instance is {domain}'s"),
        (f"bea@not{domain}", f"the instance is {domain}'s"),
        (f"BO@{domain}", "that is the admin's address already"),
    ):
        assert why in await play.refused(domain, "correct_admin", {"by": CE, "email": email})
    await play.update(domain, "terminate", {"by": CE})
    await play.stage(domain, "teardown")
    assert "no admin of an open trial" in await play.refused(domain, "correct_admin", {"by": CE, "email": f"bea@{domain}"})
