"""A5, A6: an instance is claimed at once, and is theirs who can read the mail: confirmed by the first click, else it passes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from domain.effects.registry import RegistryChange
from starter.errors import Refused, Unavailable
from starter.service.forms import JoinForm
from store import instance_changes
from store.vault import Opened
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_join import TOLD
from tests.workflows.trial.test_trial import (
    ALL_YES,
    SDR,
    THREE_CHECKS,
    day_0,
    gone,
    prequalified,
    sorted_by_system,
    unknown,
)
from workflows.frame import effects

CE = "ce-ada@tenure.example"


def users(play: Play, host: str) -> list[str]:
    """Who has an account on an instance, by address."""
    return [account.email for account in play.sandbox.world.services["instances"].get(host).accounts.values()]


def again(host: str, claim: int = 2) -> list[str]:
    """Everything that is done when a claim passes on."""
    return [
        f"instance: instance.removed.{claim}",
        f"instance: instance.admin.{claim}",
        f"instance: instance.key.{claim}",
        f"mail: mail.instant_access.{claim}",
        f"mail: mail.ce_welcome.{claim}",
        f"registry: pass_on:{host}:{claim}",
        f"slack: slack.passed_on.{claim}",
    ]


async def outcomes(play: Play, domain: str) -> list[tuple[str, str]]:
    return [(decision.what, decision.outcome) for decision in await play.dossier(domain)]


async def test_the_first_click_confirms_the_claim_once(play: Play) -> None:
    """The link in the mail leads to the instance, once, and is the proof; it stands in the dossier with its evidence, and in the registry."""
    domain, host = await prequalified(play)
    assert "nobody has opened the link" in (await play.status(domain)).in_words
    url = await play.opens(f"bo@{domain}")
    assert httpx.get(url).status_code == 200
    status, owned = await play.status(domain), play.registry.instance_of(domain)
    assert owned is not None
    assert status.confirmed_at
    assert owned.confirmed_at == status.confirmed_at
    assert "nobody has opened the link" not in status.in_words
    last = (await play.dossier(domain))[-1]
    assert (last.what, last.outcome, last.handbook) == ("claim", "confirmed", "A5, A6")
    assert {fact.name: fact.value for fact in last.facts}["link opened at"] == status.confirmed_at.isoformat()
    with pytest.raises(Opened):
        await play.opens(f"bo@{domain}")
    await play.update(domain, "new_link", {"by": CE})
    await play.did(domain, "mail: mail.link-1")
    assert await play.opens(f"bo@{domain}") != url
    assert await outcomes(play, domain) == [("route", "2.2"), ("claim", "claimed"), ("claim", "confirmed")]
    expected = [*day_0(host, opened=True), "instance: instance.link-2", "mail: mail.link-1"]
    assert play.effects(domain) == {0: sorted_by_system(expected)}


async def test_whoever_waits_at_a_page_goes_before_what_follows_a_signup(play: Play) -> None:
    """The trial began with the signup's own priority; what it does afterwards gives way, the link that somebody opens does not."""
    domain, _ = await prequalified(play)
    await play.opens(f"bo@{domain}")
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in play.trial(domain).fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    priorities = {(each.activity_type.name, each.priority.priority_key) for each in scheduled}
    assert ("effects", 4) in priorities
    assert {number for kind, number in priorities if kind == "instance"} <= {1, 4}
    assert ("instance", 1) in priorities


async def test_two_clicks_at_one_moment_open_it_once(play: Play) -> None:
    domain, _ = await prequalified(play)
    said = await asyncio.gather(*(play.opens(f"bo@{domain}") for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in said) == [*["Opened"] * 4, "str"]


async def test_before_it_is_confirmed_a_colleague_hears_of_nobody_and_nobody_of_them(play: Play) -> None:
    """They are told when to come again, not where or who; once the claim is confirmed the admin hears of them as ever."""
    domain, host = await prequalified(play)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.case, answer.outcome, answer.host) == ("1", "unconfirmed", "")
    assert "Sign up again after" in answer.message
    assert not any(word in answer.message for word in (host, "bo@", "administrator"))
    assert "noted: it is followed up as soon as" in await play.tenure.join(JoinForm(email=f"max@{domain}", first_name="Max"))
    await play.signup(f"eve@{domain}", first_name="Eve")
    await play.quiet(domain)
    eve, other = (play.join_id(domain, f"{name}@{domain}") for name in ("eve", "max"))
    assert (play.effects(eve), play.effects(other)) == ({}, {})
    assert [mail.subject for name in ("eve", "max") for mail in play.box(f"{name}@{domain}")] == []
    assert not any(who in f"{mail.text} {mail.subject}" for who in ("Eve ", "Max", "eve@", "max@") for mail in play.box(f"bo@{domain}"))
    await play.opens(f"bo@{domain}")
    for join in (eve, other):
        await play.task(join, "join")
        await play.did(join, *TOLD)
        assert play.effects(join) == {0: TOLD}
    assert (await play.signup(f"kim@{domain}", first_name="Kim")).outcome == "redirected"
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host, opened=True)}
    assert await outcomes(play, domain) == [("route", "2.2"), ("claim", "claimed"), ("claim", "holds"), ("claim", "confirmed")]


async def test_unopened_after_the_policys_hours_it_passes_to_the_next_who_signs_up(play: Play) -> None:
    """Their account, their link, their days; the first one's account is gone, and a late click is refused with words."""
    domain, host = await prequalified(play)
    assert users(play, host) == [f"bo@{domain}"]
    await play.skip(domain, hours=play.policy.handoff.confirm_hours - 1)
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "unconfirmed"
    await play.skip(domain, hours=2)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.outcome, answer.host) == ("instant", host)
    await play.did(domain, *again(host))
    await play.quiet(domain)
    assert users(play, host) == [f"eve@{domain}"]
    status, owned = await play.status(domain), play.registry.instance_of(domain)
    assert owned is not None
    assert (status.contact, owned.admin, status.confirmed_at) == (f"eve@{domain}", f"eve@{domain}", None)
    assert status.ends_at is not None
    assert status.started_at is not None
    assert (status.ends_at - status.started_at).days == play.policy.trial.self_serve.base_days
    with pytest.raises(Refused, match="a colleague of yours who signed up after that"):
        await play.opens(f"bo@{domain}")
    asked = {"by": f"bo@{domain}", "to": f"bo@{domain}"}
    assert "a colleague of yours who signed up after that" in await play.refused(domain, "new_link", asked)
    assert httpx.get(await play.opens(f"eve@{domain}")).status_code == 200
    assert (await play.status(domain)).confirmed_at
    back = await play.signup(f"bo@{domain}")
    assert (back.outcome, back.host) == ("redirected", host)
    await play.task(play.join_id(domain, f"bo@{domain}"), "join")
    assert await outcomes(play, domain) == [
        ("route", "2.2"),
        ("claim", "claimed"),
        ("claim", "holds"),
        ("claim", "passes"),
        ("claim", "confirmed"),
    ]
    passed = next(decision for decision in await play.dossier(domain) if decision.outcome == "passes")
    assert passed.rule == "Nobody opened the link of the claim within 24 hours."
    assert play.effects(domain) == {
        0: day_0(host),
        1: sorted_by_system([*again(host), f"registry: confirm:{host}", "instance: instance.link-1"]),
    }
    assert play.effects(play.join_id(domain, f"eve@{domain}")) == {}  # it is theirs: there is nothing to join


async def test_a_trial_that_is_ended_while_the_claim_passes_on_stays_ended(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry cannot write for a while, so that both are under way: nobody is let into an instance that is torn down."""
    carry_out, held = instance_changes.carry_out, [True]

    def later(db: Any, change: RegistryChange) -> Any:
        if change.change == "pass_on" and held:
            raise RuntimeError("the ledger is locked")
        return carry_out(db, change)

    monkeypatch.setattr("store.registry.carry_out", later)
    domain, host = await prequalified(play)
    await play.skip(domain, hours=play.policy.handoff.confirm_hours + 1)
    coming = asyncio.create_task(play.signup(f"eve@{domain}", first_name="Eve"))

    async def passes() -> bool:
        return ("claim", "passes") in await outcomes(play, domain)

    await eventually(passes)
    assert "taken" in await play.update(domain, "terminate", {"by": CE, "reason": "they went"})
    await play.stage(domain, "teardown")
    held.clear()
    [answer] = await asyncio.gather(coming, return_exceptions=True)  # whoever waits may be told to ask again before the registry can write
    assert isinstance(answer, Unavailable) or getattr(answer, "outcome", answer) == "after_teardown"
    await play.did(domain, f"registry: pass_on:{host}:2")
    await play.quiet(domain)
    assert (await play.status(domain)).stage == "teardown"
    assert [mail.subject for mail in play.box(f"eve@{domain}")] == []


async def test_the_next_ones_trial_runs_as_any_other(play: Play) -> None:
    """From day 10 on another has it: the mails, the notice and day 15 count from then, and what was asked before is withdrawn."""
    domain, host = await prequalified(play)
    await play.skip(domain, days=13)
    assert [task.kind for task in await play.tasks(domain)] == ["deadline"]
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "instant"
    await play.did(domain, *again(host))
    assert await play.tasks(domain) == []
    await play.opens(f"eve@{domain}")
    before = len(play.box(f"bo@{domain}"))
    await play.skip(domain, days=15.1)
    await play.stage(domain, "teardown")
    await gone(play, domain)
    effects = play.effects(domain)
    assert [day for day in effects if day > 13] == [15, 18, 23, 25, 28]
    assert [effects[day] for day in (15, 18, 25)] == [
        ["mail: mail.connect_code_host.2"],
        ["mail: mail.invite_team.2"],
        ["slack: task.deadline-2"],
    ]
    assert effects[23] == ["mail: mail.learn.2", "mail: mail.inactivity_warning.2"]
    assert len(play.box(f"bo@{domain}")) == before
    assert len(play.box(f"eve@{domain}")) == 7


async def test_it_may_pass_on_more_than_once(play: Play) -> None:
    domain, host = await prequalified(play)
    for number, name in enumerate(("eve", "max", "kim"), 2):
        await play.skip(domain, hours=25)
        assert (await play.signup(f"{name}@{domain}", first_name=name.title())).outcome == "instant"
        await play.did(domain, *again(host, number))
    assert users(play, host) == [f"kim@{domain}"]
    assert await play.opens(f"kim@{domain}")


async def test_once_it_is_confirmed_it_never_passes_on(play: Play) -> None:
    domain, host = await prequalified(play)
    await play.opens(f"bo@{domain}")
    await play.skip(domain, days=9)
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "redirected"
    assert users(play, host) == [f"bo@{domain}"]


async def test_an_address_below_the_companys_domain_owns_nothing_until_it_is_confirmed(play: Play) -> None:
    """``x@dev.acme.com`` gets the instance of acme.com at once, and gives way at once to one at acme.com, not the other way round."""
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True, "Named_Account__c": True})
    play.cohort()
    [host] = play.warm("src-acme")
    first = await play.signup(f"x@dev.{domain}", first_name="X")
    assert (first.case, first.outcome) == ("2.1", "instant")
    await play.stage(domain, "onboarding")
    assert (await play.signup(f"y@users.{domain}", first_name="Y")).outcome == "unconfirmed"
    assert (await play.signup(f"bo@{domain}")).outcome == "instant"
    await play.did(domain, *again(host))
    assert users(play, host) == [f"bo@{domain}"]
    with pytest.raises(Refused, match="a colleague of yours"):
        await play.opens(f"x@dev.{domain}")
    assert (await play.signup(f"x@dev.{domain}", first_name="X")).outcome == "unconfirmed"
    await play.opens(f"bo@{domain}")
    assert (await play.signup(f"x@dev.{domain}", first_name="X")).outcome == "redirected"


async def test_an_address_below_the_domain_that_is_confirmed_owns_it(play: Play) -> None:
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    play.warm("src-acme")
    await play.signup(f"x@dev.{domain}", first_name="X")
    await play.opens(f"x@dev.{domain}")
    assert (await play.signup(f"bo@{domain}")).outcome == "redirected"


async def test_what_a_ce_asked_for_passes_to_nobody_and_its_colleagues_are_followed_up(play: Play) -> None:
    """A28: the CE knows whom they asked for; the AE gets the colleague in, and no mail about them goes to an unproved address."""
    domain = play.company("wished")
    play.crm()
    await play.request(f"bo@{domain}", company="Wished", ce=CE)
    await play.answer(domain, "approval", "approve", by="ce-manager@tenure.example", checks=THREE_CHECKS)
    status = await play.stage(domain, "provisioning")
    play.sandbox.world.services["instances"].create(status.host, kind="trial")
    await play.answer(domain, "provision", "ready", by="cloud-oncall@tenure.example")
    await play.answer(domain, "hand_over", "hand_over", by=CE)
    await play.stage(domain, "onboarding")
    await play.skip(domain, days=3)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.outcome, answer.host) == ("unconfirmed", "")
    assert "We see to it" in answer.message
    join = play.join_id(domain, f"eve@{domain}")
    await play.task(join, "join")
    await play.did(join, "mail: mail.existing_instance", "slack: task.join-1")
    assert play.effects(join) == {0: [effect for effect in TOLD if "join_request" not in effect]}
    assert users(play, status.host) == [f"bo@{domain}"]


async def test_a_qualified_companys_claim_passes_on_from_its_hand_over_on(play: Play) -> None:
    """Case 3: while it is triaged and built there is nothing to pass on; the hours count from the mail with the link."""
    domain = await unknown(play)
    await play.skip(domain, days=2)
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "triage"
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    status = await play.stage(domain, "provisioning")
    play.sandbox.world.services["instances"].create(status.host, kind="trial")
    await play.answer(domain, "provision", "ready", by="cloud-oncall@tenure.example")
    assert (await play.task(domain, "hand_over")).assignee == status.ce
    held = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (held.outcome, held.host) == ("unconfirmed", "")
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.stage(domain, "onboarding")
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "unconfirmed"
    await play.skip(domain, hours=25)
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "instant"
    await play.did(domain, *again(status.host))
    assert users(play, status.host) == [f"eve@{domain}"]


async def test_an_instance_that_was_sold_before_anybody_opened_the_link(play: Play) -> None:
    """A17: the contract stands, the address is still unproved: a colleague is followed up by the AE, and is sent to nobody."""
    domain, _host = await prequalified(play)
    await play.update(domain, "convert", {"seats": 10, "by": "ae-jonas@tenure.example"})
    await play.made_production(domain)
    await play.ended(domain)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.case, answer.outcome, answer.host) == ("1", "unconfirmed", "")
    join = play.join_id(domain, f"eve@{domain}")
    await play.task(join, "join")
    await play.did(join, "mail: mail.existing_instance")
    assert "mail: mail.join_request" not in play.effects(join)[0]
    with pytest.raises(Exception, match="is over"):
        await play.opens(f"bo@{domain}")


async def test_nobody_confirmed_and_nobody_asked_is_idle_on_day_15(play: Play) -> None:
    """A13: nothing was used, since nobody could get in: it ends as any idle trial does, and whoever waited to join is told of nobody."""
    domain, host = await prequalified(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    await play.skip(domain, days=15.1)
    await play.stage(domain, "teardown")
    with pytest.raises(Refused, match="the trial of this instance is over"):
        await play.opens(f"bo@{domain}")
    assert (await play.signup(f"eve@{domain}", first_name="Eve")).outcome == "after_teardown"
    await play.answer(domain, "teardown", "done", by="cloud-1@tenure.example")

    async def queued() -> bool:
        return play.registry.instance_of(domain) is None

    await eventually(queued)
    assert play.effects(play.join_id(domain, f"eve@{domain}")) == {}
    assert host not in [instance.host for instance in play.registry.instances()]


async def test_a_link_waits_for_an_instance_that_is_down(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever clicks is told to come again, the claim is confirmed all the same, and the link is still good."""
    monkeypatch.setattr(effects, "WHILE_THEY_WAIT", timedelta(seconds=3))
    domain, host = await prequalified(play)
    play.fault("instances", "status", match="NewResetLink", status=503, times=50)
    with pytest.raises(Refused, match=f"{host} does not answer at this moment: the link is still good"):
        await play.opens(f"bo@{domain}")
    assert (await play.status(domain)).confirmed_at
    play.sandbox.world.faults.clear()

    async def tried() -> Any:
        try:
            return await play.opens(f"bo@{domain}")
        except Refused:
            return None

    assert httpx.get(str(await eventually(tried))).status_code == 200
    assert [key for day in play.effects(domain).values() for key in day].count("instance: instance.link-1") == 1
