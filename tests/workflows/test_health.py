"""The hourly health run (D12): the accounts to which a change matters hear of it, once; what is away is said once, and made up for."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import (
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError

from domain import ids
from domain.health.hourly_run import HealthInput, HealthRun
from domain.upkeep import UpkeepInput
from sandbox import fleet, warehouse
from sandbox.fleet import FleetAccount
from store.accounts import Accounts
from tests.workflows.play import Play, eventually

TODAY = datetime.now(UTC).date()
FACTS = "facts"


def given(play: Play) -> HealthInput:
    return HealthInput(policy=play.accounts)


def customers(play: Play, count: int = 3) -> list[FleetAccount]:
    """Steady customers with domains of this test's own: in the CRM, in Vitally and in the warehouse."""
    steady = [one for one in fleet.fleet(40, TODAY) if one.profile == "steady"][:count]
    made = [replace(one, domain=play.company(f"c{number}")) for number, one in enumerate(steady)]
    warehouse.write(play.settings.data_dir / "warehouse.duckdb", made, TODAY)
    for one in made:
        use(play, one, mau_share=0.9, usage_score=0.4)
    vitally = play.sandbox.world.services["vitally"]
    vitally.seed({"accounts": [{"externalId": one.domain, "name": one.name, "traits": {"Active Champion?": True}} for one in made]})
    play.crm(*(record(one) for one in made))
    return made


def record(one: FleetAccount, **more: Any) -> dict[str, Any]:
    """The account in the CRM; its contract ends in a year, so that no renewal begins by itself."""
    return {
        "Name": one.name,
        "Domain__c": one.domain,
        "Type": "Customer",
        "Seats__c": one.seats,
        "ARR__c": one.arr,
        "Contract_Start__c": (TODAY - timedelta(days=400)).isoformat(),
        "Contract_End__c": (TODAY + timedelta(days=365)).isoformat(),
        "Deployed_On__c": (TODAY - timedelta(days=380)).isoformat(),
        "LastActivityDate": TODAY.isoformat(),
        "Account_Executive__c": f"{one.ae}@tenure.example",
        "Technical_Advisor__c": f"{one.ta}@tenure.example",
        **more,
    }


def use(play: Play, one: FleetAccount, *, mau_share: float, usage_score: float) -> None:
    """How an account uses the product, from the last two months on."""
    file = play.settings.data_dir / "warehouse.duckdb"
    warehouse.set_usage(file, one.domain, mau_share=mau_share, usage_score=usage_score, today=TODAY)


async def run(play: Play) -> HealthRun:
    return HealthRun.model_validate(await play.ended(await play.start("ScoreHealth", given(play))))


async def signals(play: Play, domain: str) -> int:
    """How many signals ``facts`` an account's process got."""
    history = await play.env.client.get_workflow_handle(ids.account(domain)).fetch_history()
    events = [event.workflow_execution_signaled_event_attributes for event in history.events]
    return sum(event.signal_name == FACTS for event in events)


async def standing(play: Play, domain: str) -> str:
    """The band that an account's own process knows."""
    status = await play.env.client.get_workflow_handle(ids.account(domain)).query("status")
    return str((status.get("standing") or {}).get("band", ""))


async def test_who_is_concerned_hears_of_a_change_once(play: Play) -> None:
    """First seen: every account's life begins. Nothing new: silence. One account falls: it hears of it, nobody else."""
    made = customers(play)
    first = await run(play)
    assert first.scored is not None
    assert (first.scored.bands, first.told, first.written, first.problems) == ({"healthy": 3}, 3, 3, ())
    assert first.in_words == "3 healthy; 3 changed, 3 told, 3 written to Vitally"
    for one in made:
        assert await signals(play, one.domain) == 1
        assert await standing(play, one.domain) == "healthy"
    second = await run(play)
    assert (second.told, second.written) == (0, 0)
    use(play, made[0], mau_share=0.3, usage_score=0.1)
    third = await run(play)
    assert third.scored is not None
    assert (third.scored.bands, third.scored.changed, third.told, third.written) == ({"healthy": 2, "poor": 1}, 1, 1, 1)
    assert [await signals(play, one.domain) for one in made] == [2, 1, 1]

    async def knows() -> bool:
        return await standing(play, made[0].domain) == "poor"

    await eventually(knows)
    traits = play.sandbox.world.services["vitally"].account(made[0].domain)["traits"]
    assert traits["Health Band"] == "poor"
    assert "Utilization: 0.00 of 10" in traits["Health Evidence"]


async def test_the_first_run_of_all_copies_the_crm_itself(play: Play) -> None:
    """A new installation: both schedules begin at once, and nobody waits an hour for the first scores."""
    one = replace(next(one for one in fleet.fleet(40, TODAY) if one.profile == "steady"), domain=play.company("first"))
    warehouse.write(play.settings.data_dir / "warehouse.duckdb", [one], TODAY)
    play.sandbox.world.services["salesforce"].seed({"accounts": [record(one)]})
    done = await run(play)
    assert done.scored is not None
    assert (done.scored.accounts, done.told, done.written) == (1, 1, 1)


async def test_a_run_is_four_activities_whatever_the_fleet(play: Play) -> None:
    """Neither accounts nor evidence travel through its history."""
    made = customers(play, 5)
    name = await play.start("ScoreHealth", given(play))
    await play.ended(name)
    history = await play.env.client.get_workflow_handle(name).fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    names = [event.activity_type.name for event in scheduled if event.activity_type.name]
    assert names[:2] == ["copy_hand_traits", "score_fleet"]
    assert sorted(names[2:]) == ["tell_accounts", "write_scores"]
    assert len(history.events) < 40
    assert made[0].domain not in history.to_json()


async def test_a_customer_no_more_ends_its_life_and_a_stranger_gets_none(play: Play) -> None:
    made = customers(play, 2)
    churned = play.company("never")
    play.crm({**record(made[0]), "Domain__c": churned, "Type": "Former Customer"})
    await run(play)
    with pytest.raises(RPCError):
        await play.env.client.get_workflow_handle(ids.account(churned)).describe()
    play.crm(record(made[0], Type="Former Customer"))
    done = await run(play)
    assert (done.told, done.written) == (1, 0)
    await play.ended(ids.account(made[0].domain))
    assert (await run(play)).told == 0
    play.crm(record(made[1], Type="Former Customer"))
    await play.env.client.get_workflow_handle(ids.account(made[1].domain)).terminate("by hand")
    assert (await run(play)).told == 1  # there is nobody to tell, and that is well


async def test_while_the_warehouse_is_away_the_old_scores_stay_and_it_is_said_once(play: Play) -> None:
    made = customers(play, 1)
    await run(play)
    before = Accounts(play.ledger).health(made[0].domain)
    file = play.settings.data_dir / "warehouse.duckdb"
    file.rename(file.with_name("away.duckdb"))
    play.crm(record(made[0], Seats__c=5))

    rounds = await scheduled(play, 2)
    problem = rounds[0].problems[0]
    assert problem.startswith("Could not score every account, write what changed: Warehouse")
    assert "there is no file" in problem
    assert [done.scored for done in rounds] == [None, None]
    assert Accounts(play.ledger).health(made[0].domain) == before
    posts = [row for row in play.ledger.effects() if row.key == "slack.health"]
    assert len(posts) == 1
    assert "there is no file" in play.said("slack.health", posts[0].subject.partition("/")[0])

    file.with_name("away.duckdb").rename(file)
    done = await run(play)
    assert (done.told, done.problems) == (1, ())


async def test_while_vitally_is_away_the_last_copy_counts_and_the_scores_wait(play: Play) -> None:
    made = customers(play, 2)
    await run(play)
    use(play, made[0], mau_share=0.3, usage_score=0.1)
    play.fault("vitally", "status", status=503, times=10_000, match="traits")
    play.fault("vitally", "status", status=503, times=10_000, match="GET")
    name = await play.start("ScoreHealth", given(play))
    for step in ("copy_hand_traits", "write_scores"):
        await patience(play, name, step)
    done = HealthRun.model_validate(await play.ended(name))
    assert done.scored is not None
    assert (done.scored.changed, done.told, done.written) == (1, 1, 0)
    assert sorted(problem.partition(":")[0] for problem in done.problems) == [
        "Could not copy the traits that people set in Vitally",
        "Could not show the new scores in Vitally",
    ]
    play.sandbox.world.faults.clear()
    assert (await run(play)).written == 1


async def test_what_cannot_be_read_is_told_to_growth(play: Play) -> None:
    made = customers(play, 1)
    vitally = play.sandbox.world.services["vitally"]
    vitally.seed({"accounts": [{"externalId": made[0].domain, "traits": {"Active Champion?": "perhaps"}}]})
    name = await play.start("ScoreHealth", given(play))
    done = HealthRun.model_validate(await play.ended(name))
    assert done.problems == (f"{made[0].domain}: Active Champion? is 'perhaps'",)
    assert play.effects(name) == {0: ["slack: slack.health", f"vitally: score.{made[0].domain}"]}


async def test_a_customer_who_leaves_the_crm_is_told_to_growth_once(play: Play) -> None:
    """The same sync that copies people and accounts copies customers; who is none any more is not forgotten in silence."""
    made = customers(play, 1)
    play.sandbox.world.services["salesforce"].seed({"accounts": [record(made[0], Type="Former Customer")]})
    upkeep = UpkeepInput(policy=play.policy)
    sync = await play.start("SyncAccounts", upkeep)
    await play.ended(sync)
    assert "slack: slack.customers" in play.effects(sync)[0]
    assert f"{made[0].name} ({made[0].domain}) has churned" in play.said("slack.customers", sync)
    again = await play.start("SyncAccounts", upkeep)
    await play.ended(again)
    assert "slack: slack.customers" not in play.effects(again).get(0, [])


async def patience(play: Play, name: str, activity: str) -> None:
    """Move the run's clock past the time that a step may take, once that step is tried again and again; unless the run is over."""
    await play.quiet(name, but=activity)
    if (await play.env.client.get_workflow_handle(name).describe()).status is WorkflowExecutionStatus.RUNNING:
        await play.skip(name, hours=0.5)


async def scheduled(play: Play, times: int) -> list[HealthRun]:
    """What each of some rounds of the schedule did, each after the one before has ended, its clock moved past every patience."""
    name = f"upkeep-ScoreHealth-{uuid.uuid4().hex[:6]}"
    action = ScheduleActionStartWorkflow("ScoreHealth", given(play), id=name, task_queue=play.queue)
    schedule = await play.env.client.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    done = []
    for number in range(times):
        await schedule.trigger()

        async def started(number: int = number) -> ScheduleActionExecutionStartWorkflow | None:
            actions = (await schedule.describe()).info.recent_actions
            found = actions[number].action if len(actions) > number else None
            return found if isinstance(found, ScheduleActionExecutionStartWorkflow) else None

        if begun := await eventually(started):
            await patience(play, begun.workflow_id, "score_fleet")
            handle = play.env.client.get_workflow_handle(begun.workflow_id, run_id=begun.first_execution_run_id)
            done.append(HealthRun.model_validate(await handle.result()))
    await schedule.delete()
    return done
