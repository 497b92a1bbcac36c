"""What runs by schedule: the generic key's rotation (A24, C01), the pool of warm instances (A25), the copy of the CRM (A27)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
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

from domain.effects.registry import ClaimInstance
from domain.upkeep import AccountSync, PoolChange, PoolLevel, UpkeepInput
from tests.rows import warm_hosts
from tests.workflows.play import NOW, Play, eventually

GROWTH = "growth-team@tenure.example"


def given(play: Play) -> UpkeepInput:
    """What a schedule gives to each of its workflows."""
    return UpkeepInput(policy=play.policy, alerts_channel=play.settings.slack_alerts_channel)


def cloud(play: Play, **how: Any) -> None:
    """The automation makes an instance at once, unless told otherwise."""
    play.sandbox.world.services["cloud"].seed({"action_delay_seconds": 0.0, **how})


# --- the generic key ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "life"), [(7, 37), (30, 60)])
async def test_c01_each_rotation_is_a_cohort_and_older_ones_keep_their_key(play: Play, rotation: int, life: int) -> None:
    """A24, C01, C12: a key outlives the last trial that gets it, and its grace, at both figures; new instances get the newest key."""
    play.set(license__generic__rotation_days=rotation)
    keys = []
    for number in (1, 2):
        rotate = await play.start("RotateGenericKey", given(play))
        await play.ended(rotate)
        assert play.effects(rotate) == {0: ["licensing: key.generic", "slack: slack.rotated"]}
        cohort = play.ledger.current_cohort()
        assert cohort is not None
        assert (cohort.number, cohort.seats) == (number, play.policy.license.generic.seats)
        spare = cohort.expires_at - datetime.now(UTC) - timedelta(days=life + play.policy.trial.deadline.grace_days)
        assert timedelta() < spare < timedelta(days=play.policy.license.trial.renew_days_before + 2)
        assert "plg-trial" in cohort.tags
        keys.append(cohort.vault)
    assert len(set(keys)) == 2
    made = list(play.sandbox.world.services["licensing"].licenses.values())
    assert len(made) == 2
    for license in made:
        assert license.info.user_count == 1000
        assert {"trial", "plg-trial"} <= set(license.info.tags)
        assert any(tag.startswith("customer:plg-trial-") for tag in license.info.tags)


async def test_an_older_cohort_keeps_its_key_and_a_new_instance_gets_the_new_one(play: Play) -> None:
    """A24: rotation touches no instance that runs."""
    instances = play.sandbox.world.services["instances"]
    hosts = play.warm("src-1-old", "src-2-new")
    keys = []
    for number, host in enumerate(hosts):
        domain = play.company(f"acme{number}")
        play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
        await play.ended(await play.start("RotateGenericKey", given(play)))
        assert (await play.signup(f"bo@{domain}")).host == host
        await play.did(domain, "instance: instance.key")
        keys.append(instances.get(host).license_key)
    assert keys[0] != keys[1]
    assert [instances.get(host).license_key for host in hosts] == keys


async def test_a_refused_rotation_waits_for_a_person(play: Play) -> None:
    """The licensing API says no for good: growth is asked, and retries when it is mended."""
    play.fault("licensing", "status", status=400, match="IssueKey")
    rotate = await play.start("RotateGenericKey", given(play))
    task = await play.task(rotate, "fix-licensing")
    assert task.role == "growth"
    assert play.ledger.current_cohort() is None
    await play.answer(rotate, "fix-licensing", "retry", by=GROWTH)
    await play.ended(rotate)
    assert play.effects(rotate) == {0: ["licensing: key.generic", "slack: task.fix-licensing-1", "slack: slack.rotated"]}
    assert len(play.sandbox.world.services["licensing"].licenses) == 1


# --- the pool ----------------------------------------------------------------------------------------------------------------------


async def refill(play: Play) -> tuple[str, PoolLevel]:
    """One round of the refill, its clock moved on until the automation was asked and all is settled."""
    round_ = await play.start("RefillPool", given(play))
    return round_, await settled(play, round_)


async def settled(play: Play, round_: str) -> PoolLevel:
    """The level that a round leaves, its clock moved on while it waits for the automation."""
    handle = play.env.client.get_workflow_handle(round_, result_type=PoolLevel)
    await play.quiet(round_)
    if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        await play.env.fast_forward(handle, None)
    return PoolLevel.model_validate(await handle.result())


async def test_an_empty_pool_is_filled_and_alarms(play: Play) -> None:
    """A25: up to the target of 4; below the floor of 2 the alerts channel and the Cloud team hear of it, until it is filled."""
    cloud(play)
    round_, level = await refill(play)
    assert (level.warm, level.pending, level.live) == (4, 0, 0)
    hosts = warm_hosts(play.registry)
    assert all(play.sandbox.world.services["instances"].exists(host) for host in hosts)
    assert {key: sorted(done) for key, done in play.effects(round_).items()} == {
        0: sorted(
            [
                *(f"github: warm.{host}" for host in hosts),
                "pagerduty: page.floor",
                "pagerduty: page.filled",
                *(f"registry: expected:{host}" for host in hosts),
                *(f"registry: ready:{host}" for host in hosts),
                "slack: slack.floor",
            ]
        )
    }
    assert "Only 0 warm instances" in play.said("slack.floor", round_)
    assert open_incidents(play) == []


async def test_above_the_floor_it_is_filled_in_silence(play: Play) -> None:
    cloud(play)
    play.warm("src-a", "src-b", "src-c")
    round_, level = await refill(play)
    [host] = set(warm_hosts(play.registry)) - {f"src-{name}-{play.tag}.{play.policy.cloud.domain_suffix}" for name in "abc"}
    assert level.warm == 4
    assert play.effects(round_) == {0: [f"github: warm.{host}", f"registry: expected:{host}", f"registry: ready:{host}"]}


async def test_a_full_pool_is_left_alone(play: Play) -> None:
    play.warm("src-a", "src-b", "src-c", "src-d")
    round_, level = await refill(play)
    assert level.warm == 4
    assert play.effects(round_) == {}


async def test_never_past_the_cap(play: Play) -> None:
    """A26: warm instances take room too; with 3 of 5 in use there is room for 2."""
    cloud(play)
    play.set(cloud__instance_cap=5)
    play.taken(3)
    _, level = await refill(play)
    assert (level.live, level.warm, level.cap_left) == (3, 2, 0)


async def test_the_automation_fails_and_it_goes_on_by_hand(play: Play) -> None:
    """Two of four runs fail: those hosts are struck off and named, the others are ready."""
    cloud(play, fail_next=2)
    round_, level = await refill(play)
    assert (level.warm, level.pending) == (2, 0)
    lost = [row.key.removeprefix("lost:") for row in play.ledger.effects(workflow=round_) if row.key.startswith("lost:")]
    assert len(lost) == 2
    said = play.said("slack.by_hand", round_)
    assert all(host in said for host in lost)
    assert not set(lost) & set(warm_hosts(play.registry))
    assert sum(key.startswith("slack:") for key in play.effects(round_)[0]) == 2  # the floor, and this


async def test_the_automation_never_ends(play: Play) -> None:
    """After the policy's hour a run that hangs counts as lost, so that the next round may ask again."""
    cloud(play, action_delay_seconds=3600.0)
    round_, level = await refill(play)
    assert (level.warm, level.pending) == (0, 0)
    assert "by hand" in play.said("slack.by_hand", round_)


async def test_what_an_ended_round_left_behind_is_asked_for_again(play: Play) -> None:
    """Hosts that are being made forever would keep the pool empty for ever."""
    cloud(play)
    hosts = [f"src-left{number}-{play.tag}.{play.policy.cloud.domain_suffix}" for number in range(4)]
    for host in hosts:
        play.pool.pool_change(PoolChange(subject="pool/ended.1", as_of=NOW, host=host, change="expected"))
    round_, level = await refill(play)
    assert (level.warm, level.pending) == (4, 0)
    assert sorted(warm_hosts(play.registry)) == hosts
    assert sorted(key for key in play.effects(round_)[0] if key.startswith("github")) == [f"github: warm.{host}" for host in hosts]


async def test_a_dispatch_that_is_refused_is_mended_or_skipped(play: Play) -> None:
    """The automation's file is not there: growth skips it, and the Cloud team makes the instances by hand."""
    play.fault("github", "status", status=422, match="dispatches")
    play.warm("src-a", "src-b", "src-c")
    round_ = await play.start("RefillPool", given(play))
    await play.answer(round_, "fix-github", "skip", by=GROWTH)
    level = await settled(play, round_)
    assert (level.warm, level.pending) == (3, 0)
    assert "by hand" in play.said("slack.by_hand", round_)


def open_incidents(play: Play) -> list[str]:
    """What PagerDuty still rings for."""
    return [each.summary for each in play.sandbox.world.services["pagerduty"].incidents if each.status != "resolved"]


async def scheduled(play: Play, workflow: str, times: int, between: Callable[[], None] = lambda: None) -> list[list[str]]:
    """What each round of a schedule did that is triggered so often, each round after the one before has ended."""
    name = f"upkeep-{workflow}-{uuid.uuid4().hex[:6]}"
    action = ScheduleActionStartWorkflow(workflow, given(play), id=name, task_queue=play.queue)
    schedule = await play.env.client.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    done: list[list[str]] = []
    for number in range(times):
        before = len(play.ledger.effects(subject_prefix=name))
        await schedule.trigger()

        async def started(number: int = number) -> ScheduleActionExecutionStartWorkflow | None:
            actions = (await schedule.describe()).info.recent_actions
            action = actions[number].action if len(actions) > number else None
            return action if isinstance(action, ScheduleActionExecutionStartWorkflow) else None

        if round_ := await eventually(started):
            await play.env.client.get_workflow_handle(round_.workflow_id, run_id=round_.first_execution_run_id).result()
        done.append(sorted(f"{row.system}: {row.key}" for row in play.ledger.effects(subject_prefix=name)[before:]))
        between()
    await schedule.delete()
    return done


async def test_the_alarm_is_raised_once_until_the_pool_was_above_its_floor(play: Play) -> None:
    """The cap leaves no room, round after round: one page, not one every half hour."""
    play.set(cloud__instance_cap=3)
    play.taken(3)
    assert await scheduled(play, "RefillPool", 3) == [["pagerduty: page.floor", "slack: slack.floor"], [], []]
    assert len(open_incidents(play)) == 1


async def test_a_pool_that_falls_below_its_floor_during_a_refill_raises_its_alarm(play: Play) -> None:
    """Three are warm, one is asked for and never comes, and two are given away meanwhile: that very round alarms, once."""
    cloud(play, action_delay_seconds=3600.0)
    hosts = play.warm("src-a", "src-b", "src-c")
    round_ = await play.start("RefillPool", given(play))
    await play.quiet(round_)
    assert play.times(round_, "slack.floor") == []
    for number, host in enumerate(hosts[:2]):
        domain = play.company(f"given{number}")
        claim = ClaimInstance(subject=f"trial-{domain}/1", domain=domain, admin=f"a@{domain}", cap=9, warm=True, host=host, as_of=NOW)
        assert play.registry.claim(claim).outcome == "claimed"
    await play.skip(round_, hours=0.5)
    await play.did(round_, "slack: slack.floor", "pagerduty: page.floor")
    assert "Only 1 warm instances are left (floor 2); 1 more are asked for" in play.said("slack.floor", round_)
    level = await settled(play, round_)
    assert level.warm == 1
    assert level.page.startswith(round_)
    assert len(play.times(round_, "slack.floor")) == len(play.times(round_, "page.floor")) == len(open_incidents(play)) == 1


async def test_what_is_given_away_between_two_rounds_is_told_by_the_next_one_once(play: Play) -> None:
    """Given away after a round's last look: the next round tells it, and the one after it does not again."""
    play.set(cloud__instance_cap=4)
    play.taken(1)
    play.warm("src-a", "src-b", "src-c")
    taken = iter([2, 0, 0])

    def given_away() -> None:
        for host in warm_hosts(play.registry)[: next(taken)]:
            domain = play.company(host.partition(".")[0])
            claim = ClaimInstance(subject=f"trial-{domain}/1", domain=domain, admin=f"a@{domain}", cap=4, warm=True, host=host, as_of=NOW)
            assert play.registry.claim(claim).outcome == "claimed"

    assert await scheduled(play, "RefillPool", 3, given_away) == [[], ["pagerduty: page.floor", "slack: slack.floor"], []]


async def test_the_page_is_resolved_by_the_round_that_finds_the_pool_filled(play: Play) -> None:
    """Nothing could be made, and the Cloud team made two by hand: the page of an earlier round ends, once."""
    play.set(cloud__instance_cap=3)
    play.taken(3)
    made = iter([["src-a"], ["src-b"], [], []])

    def by_hand() -> None:
        play.warm(*next(made))

    rounds = await scheduled(play, "RefillPool", 4, by_hand)
    assert rounds == [["pagerduty: page.floor", "slack: slack.floor"], [], ["pagerduty: page.filled"], []]
    assert open_incidents(play) == []


# --- the copy of the CRM -----------------------------------------------------------------------------------------------------------


async def test_the_copy_says_what_is_inconsistent(play: Play) -> None:
    """A27: a named account that is not prequalified is told to growth by name, and routing knows both."""
    domain = play.company("borealis")
    account = {"Name": "Borealis", "Domain__c": domain, "Named_Account__c": True, "Trial_Prequalified__c": False}
    play.sandbox.world.services["salesforce"].seed({"accounts": [account]})
    sync = await play.start("SyncAccounts", given(play))
    copied = AccountSync.model_validate(await play.ended(sync))
    assert copied.people == len(play.roster())
    assert len(copied.data_errors) == 1
    assert play.effects(sync) == {0: ["slack: slack.data_errors"]}
    assert domain in play.said("slack.data_errors", sync)
    known = play.registry.account_of(domain)
    assert known is not None
    assert (known.account.named, known.account.prequalified) == (True, False)


async def test_every_error_is_told_once(play: Play) -> None:
    """The same error is not told every quarter of an hour; who leaves is told, once."""
    account = {"Name": "Borealis", "Domain__c": play.company("borealis"), "Named_Account__c": True, "Trial_Prequalified__c": False}
    crm = play.sandbox.world.services["salesforce"]
    crm.seed({"accounts": [account]})

    def leaves() -> None:
        crm.seed({"users": [{"Email": "ce-ada@tenure.example", "IsActive": False}]})

    assert await scheduled(play, "SyncAccounts", 3, leaves) == [["slack: slack.data_errors"], ["slack: slack.absent"], []]
    told = play.sandbox.world.log.effects[-1]
    assert "ce-ada@tenure.example: left" in str(told.data) + told.what


async def test_f15_a_fact_nobody_means_is_told_once_and_again_when_it_is_corrected(play: Play) -> None:
    crm, domain = play.sandbox.world.services["salesforce"], play.company("acme")
    slip = {"Contract_End__c": "9999-12-31", "Deployed_On__c": "0202-05-31", "Seats__c": -3}
    good = {"Contract_End__c": "2027-06-30", "Deployed_On__c": "2026-06-30", "Seats__c": 100}
    begun = {"Name": "Acme", "Domain__c": domain, "Type": "Customer", "Contract_Start__c": "2026-06-30", "ARR__c": 120_000}
    crm.seed({"accounts": [{**begun, **slip}]})
    rounds = iter([slip, good, good])
    told = ["slack: slack.customers"]
    assert await scheduled(play, "SyncAccounts", 4, lambda: crm.seed({"accounts": [{**begun, **next(rounds, good)}]})) == [
        told,
        [],
        told,
        [],
    ]
    rows = [row for row in play.ledger.effects(subject_prefix="upkeep-SyncAccounts") if row.key == "slack.customers"][-2:]
    channels = play.sandbox.world.services["slack"].channels
    said = [str(channels[row.receipt.data["channel"]].messages[row.receipt.ref]["text"]) for row in rows if row.receipt]
    assert (
        "the contract's end: 9999-12-31 cannot be meant: a date is at most 30 years back and 10 years ahead; it counts as not known"
        in said[0]
    )
    assert said[0].count(f"Acme ({domain}): ") == 3
    assert said[1].count("corrected since: ") == 3


async def test_a_crm_that_is_down_for_an_hour_leaves_the_old_copy(play: Play) -> None:
    """Routing goes on with what it knew, and growth hears of it."""
    play.crm()
    before = play.roster()
    play.fault("salesforce", "status", status=503, times=10_000)
    sync = await play.start("SyncAccounts", given(play))
    await play.quiet(sync, but="salesforce_accounts")
    await play.skip(sync, hours=1.1)
    assert await play.ended(sync) is None
    assert play.effects(sync) == {0: ["slack: slack.sync"]}
    assert play.roster() == before


async def test_nonsense_changes_nothing_and_a_skipped_rotation_is_none(play: Play) -> None:
    """Growth goes on with the old key: no new one is announced."""
    play.fault("licensing", "status", status=400, match="IssueKey")
    rotate = await play.start("RotateGenericKey", given(play))
    await play.task(rotate, "fix-licensing")
    for nonsense in ("retry", [1], {"task": "fix-licensing"}, None):
        await play.signal(rotate, "answer", nonsense)
    assert "choose one of: retry, skip" in await play.refused(rotate, "answer", {"task": "fix-licensing", "choice": "no", "by": GROWTH})
    await play.answer(rotate, "fix-licensing", "skip", by=GROWTH)
    assert await play.ended(rotate) == ""
    assert play.effects(rotate) == {0: ["slack: task.fix-licensing-1"]}
    assert play.ledger.current_cohort() is None
