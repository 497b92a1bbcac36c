"""A20: an instance moves from its random host to one of the customer's own, after a warning and with the admin's consent."""

from __future__ import annotations

import pytest

from domain import ids
from starter.errors import BadInput, NotFound, Refused
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import day_0, gone, prequalified

CLOUD = "cloud-oncall@tenure.example"
WARNED = ["mail: mail.domain_change", "slack: slack.domain_change", "slack: task.consent-1"]


async def asked(play: Play) -> tuple[str, str, str, str]:
    """A trial whose admin wants another host: domain, host, wanted host, and the id of the change."""
    domain, host = await prequalified(play)
    new_host = f"code.{domain}"
    said = await play.update(domain, "change_domain", {"new_host": f" {new_host.upper()} ", "by": "ce-ada@tenure.example"})
    assert said.startswith("the admin is warned of what breaks")
    change = ids.domain_change(domain)
    await play.task(change, "consent")
    await play.did(change, *WARNED)
    return domain, host, new_host, change


async def moved_to(play: Play, domain: str, host: str) -> None:
    """Wait until the trial knows its host."""

    async def look() -> bool:
        return (await play.status(domain)).host == host

    await eventually(look)


async def test_the_cloud_team_moves_it_and_polling_finds_out(play: Play) -> None:
    """Warned, consented, moved by the scripted Cloud team, known to registry and trial, and verified; no webhook came."""
    play.cloud()
    domain, host, new_host, change = await asked(play)
    trial = await play.status(domain)
    consent = await play.task(change, "consent")
    assert (consent.role, consent.assignee) == ("ce", trial.ce)
    [warning] = [mail for mail in play.box(f"bo@{domain}") if new_host in mail.text]
    for breaks in ("SSO", "permission", "webhook"):
        assert breaks.lower() in warning.text.lower()
    await play.answer(change, "consent", "agreed", by=trial.ce)
    await play.task(change, "move")
    await play.closed(change, "domain_change")
    await play.skip(change, hours=4.1)
    verify = await play.task(change, "verify")
    assert (verify.role, verify.assignee) == ("ce", trial.ce)
    await moved_to(play, domain, new_host)
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.host, owned.kind, owned.admin) == (new_host, "trial", f"bo@{domain}")
    assert play.sandbox.world.services["instances"].exists(new_host)
    assert owned.internal == host  # the name that our programs call it by
    assert play.sandbox.world.services["instances"].get(host).host == new_host
    await play.answer(change, "verify", "verified", by=trial.ce)
    assert await play.ended(change) == "moved"
    assert play.effects(change) == {
        0: [
            "github: domain_change",
            *WARNED[:1],
            f"registry: rehost:{new_host}",
            *WARNED[1:],
            "slack: task.move-1",
            "slack: task.verify-1",
        ],
    }
    assert play.effects(domain) == {0: day_0(host)}


async def test_the_webhook_is_quicker_and_the_trial_goes_on_at_the_new_host(play: Play) -> None:
    """The issue is closed, says the webhook; what the trial does from then on is at the new host, to its end."""
    domain, host, new_host, change = await asked(play)
    await play.answer(change, "consent", "agreed")
    await play.task(change, "move")
    number = await play.issue_of(change, "domain_change")
    await play.signal(change, "issue_event", {"issue": number + 1, "action": "closed", "state": "closed"})  # another issue
    await play.signal(change, "issue_event", {"issue": number, "action": "labeled", "labels": ["mi"], "state": "open"})
    assert [task.kind for task in await play.tasks(change)] == ["move"]
    play.sandbox.world.services["instances"].rename(host, new_host, keep=True)
    await play.on_issue(change, number, do="close")
    await play.answer(change, "verify", "verified")
    assert await play.ended(change) == "moved"
    await moved_to(play, domain, new_host)
    await play.skip(domain, days=15.1)
    await gone(play, domain)
    assert play.registry.instance_of(domain) is None
    assert new_host in play.box(f"bo@{domain}")[-1].text
    assert "registry: release" in play.effects(domain)[15]


async def test_nobody_moves_an_instance_by_saying_so(play: Play) -> None:
    """A forged ``rehosted`` changes nothing: the registry is asked, so neither links nor the operators' token follow it."""
    domain, host = await prequalified(play)
    for claimed in (f"code.{domain}", f"other-{play.tag}.{play.policy.cloud.domain_suffix}"):
        await play.signal(domain, "rehosted", claimed)
    await play.quiet(domain)
    await play.update(domain, "new_link", {"by": (await play.status(domain)).ce})
    await play.did(domain, "mail: mail.link-1")
    await play.opens(f"bo@{domain}")
    assert (await play.status(domain)).host == host
    [link] = [
        row.receipt.data["host"] for row in play.ledger.effects(workflow=ids.trial(domain)) if row.key == "instance.link-1" and row.receipt
    ]
    assert link == host


async def test_not_now(play: Play) -> None:
    """Without the admin's consent nothing is asked of the Cloud team."""
    domain, host, _, change = await asked(play)
    await play.answer(change, "consent", "deferred")
    assert await play.ended(change) == "deferred"
    assert play.effects(change) == {0: WARNED}
    assert (await play.status(domain)).host == host
    again = await play.update(domain, "change_domain", {"new_host": f"git.{domain}"})
    assert f"git.{domain}" in again
    await play.task(change, "consent")

    async def twice() -> bool:
        return await play.runs(change) == 2

    await eventually(twice)


async def test_one_change_at_a_time_and_the_trial_goes_on_meanwhile(play: Play) -> None:
    """A second move is refused while the first is under way, as an update and as a signal; nothing more is asked of anybody."""
    domain, _, _, change = await asked(play)
    why = await play.refused(domain, "change_domain", {"new_host": f"git.{domain}"})
    assert f"a move to another host is under way already: answer the tasks of {change} first" in why
    await play.signal(domain, "change_domain", {"new_host": f"git.{domain}"})

    async def noted() -> bool:
        return len((await play.status(domain)).notes) == 1

    await eventually(noted)
    await play.skip(domain, days=2.1)
    await play.did(domain, "mail: mail.connect_code_host")
    assert play.effects(change) == {0: WARNED}
    assert [task.kind for task in await play.tasks(change)] == ["consent"]


async def test_the_cloud_team_cannot_move_it(play: Play) -> None:
    """The host is another's: the team says so, everybody hears of it, and the instance keeps its name."""
    domain, host, _, change = await asked(play)
    await play.answer(change, "consent", "agreed")
    await play.answer(change, "move", "failed", by=CLOUD, note="that name is taken")
    assert await play.ended(change) == "failed"
    assert play.effects(change) == {0: ["github: domain_change", *WARNED, "slack: task.move-1", "slack: slack.not_moved"]}
    assert (await play.status(domain)).host == host
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert owned.host == host


async def test_the_trial_ended_meanwhile(play: Play) -> None:
    """Moved by hand after the trial was torn down: the registry has no such instance, and the change ends without a failure."""
    domain, _, _, change = await asked(play)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await gone(play, domain)
    await play.answer(change, "consent", "agreed")
    await play.answer(change, "move", "done", by=CLOUD)
    assert await play.ended(change) == "failed"
    assert "has no instance in the registry" in play.said("slack.not_moved", change)


async def test_a_customers_instance_moves_when_its_trial_is_long_over(play: Play) -> None:
    """A17, A20: offered at the conversion, wanted later: asked of the people of the trial, recorded as the customer's; one move at a time."""
    domain, host = await prequalified(play)
    owners = await play.owners_of(domain)
    assert owners.ce
    await play.update(domain, "convert", {"seats": 10, "by": owners.ce.email})
    await play.made_production(domain)
    await play.ended(domain)
    with pytest.raises(BadInput, match="is not a host name"):
        await play.tenure.act(domain, "change_domain", {"new_host": "no host", "by": owners.ce.email})
    with play.env.with_time_skipping_disabled():
        said = await play.tenure.act(domain, "change_domain", {"new_host": f"Code.{domain}", "by": owners.ce.email})
    assert said == f"the admin is warned of what breaks; then {host} becomes code.{domain}"
    with pytest.raises(Refused, match="a move to another host is under way already"):
        await play.tenure.act(domain, "change_domain", {"new_host": f"git.{domain}", "by": owners.ce.email})
    change = ids.domain_change(domain)
    assert (await play.task(change, "consent")).assignee == owners.ce.email
    await play.did(change, *WARNED)
    await play.answer(change, "consent", "agreed", by=owners.ce.email)
    await play.answer(change, "move", "done", by=CLOUD)
    await play.answer(change, "verify", "verified", by=owners.ce.email)
    assert await play.ended(change) == "moved"
    owned = play.registry.instance_of(domain)
    assert owned is not None
    assert (owned.host, owned.kind) == (f"code.{domain}", "production")
    with pytest.raises(NotFound, match="no running instance to move"):
        await play.tenure.act(play.company("nobody"), "change_domain", {"new_host": f"code.{domain}", "by": owners.ce.email})


async def test_nobody_says_whether_the_admin_consents(play: Play) -> None:
    """The CE, the AE, and then the AE every week; nothing is moved meanwhile."""
    domain, _, _, change = await asked(play)
    trial = await play.status(domain)
    for number, email in enumerate((trial.ce, trial.ae, trial.ae), 1):
        task = await play.task(change, "consent")
        assert task.asked_next == email
        assert task.asked_next_at
        await play.skip_to(change, task.asked_next_at)
        await play.did(change, f"slack: task.consent-1.reminder-{number}")
    chased = [f"slack: task.consent-1.reminder-{number}" for number in (1, 2, 3)]
    assert [key for day in play.effects(change).values() for key in day] == [*WARNED, *chased]


NO_HOSTS = (
    "",
    "   ",
    "acme",
    "https://code.acme.com",
    "code.acme.com/login",
    "code acme.com",
    "-code.acme.com",
    "code..acme.com",
    "ä.com",
    "1.2.3.4",
)


async def test_no_host_at_all(play: Play) -> None:
    """Nonsense is refused with words before anything is asked of anybody."""
    domain, host = await prequalified(play)
    for new_host in NO_HOSTS:
        assert "is not a host name" in await play.refused(domain, "change_domain", {"new_host": new_host})
    assert "at most 253 characters" in await play.refused(domain, "change_domain", {"new_host": "a" * 300})
    assert f"the instance is at {host} already" in await play.refused(domain, "change_domain", {"new_host": host})
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}
    assert play.effects(ids.domain_change(domain)) == {}


async def test_only_a_running_instance_moves(play: Play) -> None:
    domain, _ = await prequalified(play)
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await play.stage(domain, "teardown")
    assert "there is no running instance to move" in await play.refused(domain, "change_domain", {"new_host": f"code.{domain}"})


async def test_a_signal_of_nonsense_is_noted(play: Play) -> None:
    _, _, _, change = await asked(play)
    for name, message in (("issue_event", {"issue": "x"}), ("issue_event", "closed"), ("answer", 7)):
        await play.signal(change, name, message)

    async def notes() -> list[str] | None:
        status = await play.env.client.get_workflow_handle(change).query("status")
        return status["notes"] if len(status["notes"]) == 3 else None

    assert await eventually(notes)
    assert [task.kind for task in await play.tasks(change)] == ["consent"]
