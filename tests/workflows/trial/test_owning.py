"""Gap 16: nobody is eligible as SDR, AE or CE. Sales ops has a task with its ladder, and no trial ends by itself before somebody owns it."""

from __future__ import annotations

import pytest

from domain import ids
from domain.people import MAY_BE
from tests.workflows.play import Play
from tests.workflows.trial.test_conflicts import CLOUD
from tests.workflows.trial.test_trial import ALL_YES, SDR, opened, unknown

OPS, SALES = "sales-ops@tenure.example", "sales-lead@tenure.example"
ROLES = {"sdr": ("inbound_sdr", "named_sdr"), "ae": ("ae",), "ce": ("ce",)}


def nobody(play: Play, *parts: str) -> None:
    """Everybody who could be that is away, from now on."""
    play.crm()
    roles = [role for part in parts for role in ROLES[part]]
    play.crm(users=[{"Email": person.email, "IsActive": False} for person in play.roster() if person.role in roles])


def back(play: Play, *emails: str) -> None:
    play.crm(users=[{"Email": email, "IsActive": True} for email in emails])


@pytest.mark.parametrize("parts", [("ae",), ("ce",), ("sdr",), ("ae", "ce"), ("sdr", "ae", "ce")])
async def test_a_prequalified_trial_that_nobody_can_own_asks_sales_ops(play: Play, parts: tuple[str, ...]) -> None:
    """The trial starts at once all the same; the task names who is missing, and has a ladder up to the leader of sales."""
    nobody(play, *parts)
    domain, _ = await opened(play)
    task = await play.task(domain, "owners")
    assert (task.role, task.assignee) == ("sales_ops", OPS)
    assert set(task.asked) <= {"ce-manager@tenure.example", SALES}
    assert SALES in task.asked
    assert [field.name for field in task.choices[0].fields] == list(parts)
    assert all({"sdr": "SDR", "ae": "AE", "ce": "CE"}[part] in task.title for part in parts)
    await play.did(domain, "slack: task.owners-1")
    assert task.asked_next_at is not None
    await play.skip_to(domain, task.asked_next_at)
    await play.did(domain, "slack: task.owners-1.reminder-1")


async def test_a_trial_that_nobody_owns_is_not_ended_by_itself(play: Play) -> None:
    """Day 15 asks instead, and so does the end of a grace; whoever is assigned then is asked, and decides."""
    nobody(play, "ae", "ce")
    domain, _ = await opened(play)
    await play.task(domain, "owners")
    await play.skip(domain, days=15.1)
    status = await play.stage(domain, "onboarding")
    assert "deadline" in [task.kind for task in await play.tasks(domain)]
    last = (await play.dossier(domain))[-1]
    assert (last.what, last.outcome) == ("day-15", "ask")
    assert "Nobody looks after the trial yet" in last.rule
    await play.skip(domain, days=40)
    assert (await play.stage(domain, "onboarding")).end == status.end == ""
    assert "github: teardown" not in [key for day in play.effects(domain).values() for key in day]
    back(play, "ce-ada@tenure.example", "ae-mira@tenure.example")
    await play.answer(domain, "owners", "assign", by=OPS)
    await play.did(domain, "slack: slack.owners.1", "salesforce: crm.assign.1", "slack: slack.channel.1")
    status = await play.status(domain)
    assert (status.ce, status.ae) == ("ce-ada@tenure.example", "ae-mira@tenure.example")
    deadline = await play.task(domain, "deadline")
    assert deadline.assignee == "ce-ada@tenure.example"
    await play.answer(domain, "deadline", "terminate", by="ce-ada@tenure.example")
    await play.task(domain, "teardown")
    assert [task.kind for task in await play.tasks(domain)] == ["teardown"]


async def test_an_owned_one_ends_as_ever(play: Play) -> None:
    nobody(play, "ce")
    domain, _ = await opened(play)
    await play.task(domain, "owners")
    back(play, "ce-boris@tenure.example")
    await play.answer(domain, "owners", "assign", by=OPS, fields={"ce": "ce-boris@tenure.example"})
    await play.did(domain, "slack: slack.owners.1")
    await play.skip(domain, days=15.1)
    await play.stage(domain, "teardown")


async def test_sales_ops_names_people_of_ours_only_who_may_be_that(play: Play) -> None:
    nobody(play, "ae", "ce")
    domain, _ = await opened(play)
    stranger = await play.refused(domain, "answer", {"task": "owners", "choice": "assign", "by": OPS, "fields": {"ce": "nonsense"}})
    assert "an e-mail address" in stranger
    wrong = {"ce": "mallory@elsewhere.example", "ae": "finance-desk@tenure.example"}
    await play.answer(domain, "owners", "assign", by=OPS, fields=wrong)
    task = await play.task(domain, "owners-2")
    for email in wrong.values():
        assert f"{email} is not among our people as one who may be its" in task.asks
    await play.answer(domain, "owners-2", "assign", by=OPS, fields={"ce": "ce-manager@tenure.example"})
    task = await play.task(domain, "owners-3")
    assert [field.name for field in task.choices[0].fields] == ["ae"]
    assert (await play.status(domain)).ce == "ce-manager@tenure.example"
    await play.answer(domain, "owners-3", "assign", by=OPS, fields={"ae": "ae-manager@tenure.example"})
    await play.did(domain, "salesforce: crm.assign.3")
    assert "owners" not in [each.kind for each in await play.tasks(domain)]
    assert MAY_BE["ce"] == ("ce", "ce_manager")


async def test_a_lead_that_nobody_can_triage_is_told_to_sales_ops(play: Play) -> None:
    nobody(play, "sdr")
    domain = await unknown(play)
    task = await play.task(domain, "owners")
    assert (task.role, task.assignee, [field.name for field in task.choices[0].fields]) == ("sales_ops", OPS, ["sdr"])
    back(play, SDR)
    await play.answer(domain, "owners", "assign", by=OPS, fields={"sdr": SDR})
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    await play.stage(domain, "provisioning")
    assert (await play.status(domain)).sdr == SDR
    assert "owners" not in [each.kind for each in await play.tasks(domain)]


async def test_whoever_ends_it_closes_the_question(play: Play) -> None:
    nobody(play, "ae")
    domain, _ = await opened(play)
    await play.task(domain, "owners")
    await play.update(domain, "terminate", {"by": "ce-ada@tenure.example"})
    await play.answer(domain, "teardown", "done", by=CLOUD)
    assert (await play.ended(domain))["end"] == "terminated"
    assert ids.trial(domain)


async def test_whoever_left_after_they_were_asked_owns_nothing_any_more(play: Play) -> None:
    """Told on day 12 what day 15 will do, and gone before it, with nobody to follow: it is not ended by itself either."""
    domain, _ = await opened(play)
    await play.skip(domain, days=13)
    await play.task(domain, "deadline")
    nobody(play, "ae", "ce")
    await play.skip(domain, days=2.1)
    await play.task(domain, "owners")
    assert (await play.stage(domain, "onboarding")).end == ""
    last = (await play.dossier(domain))[-1]
    assert (last.what, last.outcome) == ("day-15", "ask")
