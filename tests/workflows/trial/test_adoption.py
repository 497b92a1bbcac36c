"""Open trials go on by another policy: the table first, then the update; timers are re-armed, what was promised stays (idea 2)."""

from __future__ import annotations

from typing import Any

from domain.policy import Policy
from domain.trial.commands import AdoptPolicy
from starter.service.policy_adoption import Adoption, adoptions
from tests.workflows.play import Play, changed
from tests.workflows.trial.test_trial import TORN_DOWN, day_0, gone, prequalified, unknown

OPS = "ops@tenure.example"


async def all_of(play: Play, policy: Policy, *domains: str, **how: Any) -> dict[str, Adoption]:
    """What became of these companies' trials, by domain; other tests' trials are not asked."""
    where = " OR ".join(f"Domain = '{domain}'" for domain in domains)
    return {each.domain: each for each in await adoptions(play.tenure, policy, where, **how)}


async def test_open_trials_adopt_another_policy(play: Play) -> None:
    """Day 15 acts by itself no more and a mail comes a day earlier: for the open trial, told before and done once; who is in triage follows too."""
    domain, host = await prequalified(play)
    triaged = await unknown(play)
    other = changed(play.tenure.policy, {"trial.d15.mode": "ask", "onboarding.learn_day": 9})
    await play.skip(domain, days=3)
    told = await all_of(play, other, domain, triaged)
    assert {name: (each.outcome, each.stage) for name, each in told.items()} == {
        domain: ("would adopt", "onboarding"),
        triaged: ("would adopt", "triage"),
    }
    preview = told[domain].preview
    assert preview is not None
    assert [(move.change, move.what.partition(" (was")[0]) for move in preview.moves] == [
        ("moved", "mail: e-mail set-up and where to learn more"),
        ("means", "ask the CE: extend, convert or terminate"),
        ("means", "day 15: the CE's decision is due"),
    ]
    before = await play.status(domain)
    assert before.policy == play.tenure.policy.hash  # asked, nothing was changed

    done = await all_of(play, other, domain, triaged, by=OPS, why="people decide", do=True)
    assert {each.outcome for each in done.values()} == {"adopted"}
    again = await all_of(play, other, domain, triaged, by=OPS, do=True)
    assert {each.outcome for each in again.values()} == {"has it"}
    status = await play.status(domain)
    assert (status.policy, status.ends_at) == (other.hash, before.ends_at)
    [decision] = [each for each in await play.dossier(domain) if each.what == "policy"]
    assert (decision.by, decision.rule) == (OPS, "It goes on by another policy: people decide")

    await play.skip(domain, days=6)  # day 9
    await play.did(domain, "mail: mail.learn")
    await play.skip(domain, days=7)  # day 16: nobody has decided, and nothing acts by itself
    await play.stage(domain, "onboarding")
    task = await play.task(domain, "deadline")
    assert [choice.name for choice in task.choices] == ["extend", "convert", "terminate"]
    await play.answer(domain, "deadline", "terminate", by=status.ce)
    assert (await gone(play, domain))["end"] == "terminated"
    assert play.effects(domain) == {
        0: day_0(host),
        2: ["mail: mail.connect_code_host"],
        5: ["mail: mail.invite_team"],
        9: ["mail: mail.learn"],
        10: ["mail: mail.inactivity_warning"],
        12: ["slack: task.deadline-1"],
        15: ["slack: task.deadline-1.reminder-1"],
        16: TORN_DOWN,
    }


async def test_what_cannot_adopt_says_why(play: Play) -> None:
    domain, _ = await prequalified(play)
    other = changed(play.tenure.policy, {"trial.d15.mode": "ask"})
    for message, why in (
        (AdoptPolicy(by=" ", policy=other), '"by" must be your e-mail address'),
        (AdoptPolicy(by=OPS, policy=play.tenure.policy), "has this policy already"),
        ({"by": OPS, "policy": {"trial": {"d15": {"mode": "perhaps"}}}}, "cannot read the message: policy.trial.d15.mode"),
        ({"by": OPS}, "policy: Field required"),
        (None, "cannot read the message"),
    ):
        assert why in await play.refused(domain, "adopt_policy", message)
    await play.update(domain, "terminate", {"by": "ce@tenure.example"})
    await play.stage(domain, "teardown")
    found = await all_of(play, other, domain, by=OPS, do=True)
    assert (found[domain].outcome, found[domain].says) == ("refused", "the trial is being ended, by the policy that decided so")
