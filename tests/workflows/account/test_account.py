"""The life of an account (D8, D9, D14–D17, B17): its stages, what it begins beside it and when, each scenario with all its effects by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from domain import ids
from domain.account.account import AccountFacts, RenewalEnded
from domain.account.lifecycle import AccountInput
from domain.calendar import months_after
from domain.renewal.state import RenewalInput
from starter.service.account_queries import shown
from tests.workflows.accounts import AE, CONTEXT, PLAN, STEADY, TA, TA_MANAGER, WEEK, Life
from tests.workflows.play import Play, eventually
from tests.workflows.renewals import Course

ONBOARDING = "Onboarding and Enablement"
STAGE = "Lifecycle Stage"
RED_TRAIT = "Account - Red Account?"
IN_CRM, IN_VITALLY = "Customer Health is Red in the CRM", "it is set as a red account in Vitally"
AT_TARGET: dict[str, Any] = {"score": 9.0, "band": "healthy", "usage_score": 0.35, "mau_seats": 0.9, "was_at_target": True}
UNKNOWN: dict[str, Any] = {"score": None, "band": "unknown", "usage_score": None, "mau_seats": None}


def renewal(life: Life, days: int = 365) -> str:
    """The id of the renewal of the term that ends so many days after the contract's beginning."""
    return ids.renewal(life.domain, on(life, days))


def on(life: Life, days: int) -> date:
    return life.first + timedelta(days=days)


async def course(life: Life, days: int = 365) -> Course:
    """The renewal of that term, once it runs."""
    found = Course(life.play, life.domain, on(life, days))

    async def runs() -> bool:
        return await life.play.runs(found.id) > 0

    await eventually(runs)
    await life.play.quiet(found.id)
    return found


async def copied(life: Life, **facts: Any) -> None:
    """The next hourly run: what both systems show by now is copied, and told."""
    life.crm()
    await life.told(**{**AT_TARGET, **facts, "hand_red": life.traits().get(RED_TRAIT) is True})


async def tracked(life: Life, *reasons: str) -> None:
    """Wait until the tracker's rows of the account have these reasons."""

    async def look() -> bool:
        return [row["Reason"] for row in life.rows()] == list(reasons)

    await eventually(look)


# --- onboarding, adopting, nurturing -------------------------------------------------------------------------------------------------


async def test_d17_low_utilization_at_day_45(play: Play) -> None:
    """D8, D9, C06: prospect, onboarding with its project, and on day 45 below 80 %: the plan and its project; at 80 % the plan is over."""
    life = await Life.begin(play)
    assert life.traits()[STAGE] == "0. Prospect"
    await life.day(0)
    assert life.traits()[STAGE] == "1. Onboarding"
    await life.day(44)
    assert await play.runs(life.plan) == 0  # below 80 % with a shorter tenure is still onboarding
    await life.day(45)
    plan = await play.task(life.plan, "plan")
    assert plan.assignee == TA
    assert "Day 45 as a customer" in plan.asks
    await life.answer(life.plan, "plan", "planned", **PLAN, **CONTEXT)
    await life.day(52, life.plan)
    await life.answer(life.plan, "update", "on_track", **WEEK)
    await life.day(55)
    await life.told(**AT_TARGET)
    ended = await play.ended(life.plan)
    assert "At the target: 90% of the seats are used monthly, the target is 80%." in ended
    await life.day(60)
    assert await life.dossier() == [
        ("stage", "prospect"),
        ("stage", "onboarding"),
        ("utilization", "low_utilization"),
        ("utilization", "at_target"),
        ("stage", "nurturing"),
    ]
    assert life.effects() == {
        -1: ["vitally: trait.stage.1"],
        0: ["vitally: trait.stage.2", "vitally: project.onboarding.1"],
        60: ["vitally: trait.stage.3"],
    }
    assert life.effects(life.plan) == {
        45: [
            "slack: slack.plan",
            "slack: task.plan-1",
            "vitally: project.get_well_plan.1",
            "vitally: project.low_utilization.1",
            "vitally: doc.plan.1",
            "vitally: doc.plan.2",
        ],
        52: [
            "slack: task.update-1",
            "slack: slack.ended",
            "vitally: doc.plan.3",
            "vitally: project.get_well_plan.1.done",
            "vitally: project.low_utilization.1.done",
            "vitally: doc.plan.4",
        ],
    }
    assert life.projects() == {ONBOARDING: ["Not started"], "Get Well Plan": ["Completed"], "Low Utilization": ["Completed"]}


async def test_d15_decreased_usage(play: Play) -> None:
    """C06: it was at the target and fell below; it stays nurturing, with a plan, until it is at the target again."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    assert (await life.status()).stage == "nurturing"
    await life.day(141)
    await life.told(**{**AT_TARGET, "mau_seats": 0.7, "usage_score": 0.2})
    await play.task(life.plan, "plan")
    await play.quiet(life.plan)
    assert life.projects() == {"Get Well Plan": ["Not started"], "Decreased Usage": ["Not started"]}
    assert (await life.status()).stage == "nurturing"
    await life.told(**UNKNOWN)  # an unknown ends no plan
    assert (await life.status()).plan == ("decreased_usage",)
    await life.told(**AT_TARGET)
    await play.ended(life.plan)
    assert await life.dossier() == [("stage", "nurturing"), ("utilization", "decreased_usage"), ("utilization", "at_target")]
    assert life.effects() == {-1: ["vitally: trait.stage.1"]}
    assert life.projects() == {"Get Well Plan": ["Completed"], "Decreased Usage": ["Completed"]}


async def test_where_the_policy_says_so_it_goes_back_to_adopting(play: Play) -> None:
    life = await Life.begin(play, weeks=20, facts=AT_TARGET, lifecycle__below_targets="adopting")
    await life.told(**{**AT_TARGET, "usage_score": 0.2})
    assert (await life.in_stage("adopting")).plan == ()
    assert life.traits()[STAGE] == "2. Adopting"


async def test_d14_a_worse_band_is_told_to_the_ta(play: Play) -> None:
    """Each time it gets worse, with where to read what hurts; not when it gets better, nor when nothing is known."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    await life.told(**{**AT_TARGET, "score": 6.0, "band": "concerning"})
    await life.told(**{**AT_TARGET, **UNKNOWN})
    await life.told(**{**AT_TARGET, "score": 6.5, "band": "concerning"})
    await life.told(**AT_TARGET)
    await life.told(**{**AT_TARGET, "score": 5.5, "band": "poor"})
    assert life.effects() == {-1: ["slack: slack.band.1", "slack: slack.band.2", "vitally: trait.stage.1"]}
    first = play.said("slack.band.1", life.id)
    assert "The health of Acme was healthy and is concerning (6.0 of 10)." in first
    assert f"tenure health show {life.domain}" in first
    assert life.mentioned(first) == {TA}
    assert "was healthy and is poor (5.5 of 10)" in play.said("slack.band.2", life.id)


async def test_gap_11_every_reason_and_red_at_once_are_one_plan(play: Play) -> None:
    """Low utilization, red by judgement, then decreased usage instead of low: one plan, which ends when the last reason is gone."""
    life = await Life.begin(play, weeks=20)
    await play.task(life.plan, "plan")
    assert await life.update("mark_red", by=AE, reason="the champion left") == (
        "Acme is marked red in the CRM, in Vitally and in the tracker: the champion left"
    )
    await play.did(life.plan, "vitally: doc.plan.2")
    await life.day(141)
    await life.told(mau_seats=0.7, was_at_target=True)
    await play.did(life.plan, "vitally: doc.plan.4")
    status = await life.handle(life.plan).query("status")
    assert set(status["reasons"]) == {"red_account", "decreased_usage"}
    await life.told(**AT_TARGET)
    await play.did(life.plan, "vitally: doc.plan.5")
    await life.update("resolve", life.red, by=TA_MANAGER, to="green")
    assert await play.ended(life.plan) == "Every reason is gone, the last one because: a red account (promoted to green)."
    assert await play.runs(life.plan) == 1
    assert life.effects(life.plan) == {
        -1: [
            "slack: slack.plan",
            "slack: task.plan-1",
            "slack: slack.reason.1",
            "slack: slack.reason.2",
            "slack: slack.reason.3",
            "slack: slack.reason.4",
            "slack: slack.ended",
            "vitally: project.get_well_plan.1",
            "vitally: project.low_utilization.1",
            "vitally: doc.plan.1",
            "vitally: doc.plan.2",
            "vitally: doc.plan.3",
            "vitally: project.low_utilization.1.done",
            "vitally: project.decreased_usage.1",
            "vitally: doc.plan.4",
            "vitally: project.decreased_usage.1.done",
            "vitally: doc.plan.5",
            "vitally: project.get_well_plan.1.done",
            "vitally: doc.plan.6",
        ]
    }
    assert (await life.status()).red is False


@pytest.mark.parametrize(
    ("goal_days", "phase_days", "effects"),
    [
        (45, 60, {55: ["vitally: project.onboarding.1.done"], 60: ["vitally: trait.stage.3"]}),
        (60, 60, {60: ["vitally: trait.stage.3"], 70: ["vitally: project.onboarding.1.done"]}),
        (60, 45, {45: ["vitally: trait.stage.3"], 70: ["vitally: project.onboarding.1.done"]}),
    ],
)
async def test_c05_two_goals_on_two_clocks(play: Play, goal_days: int, phase_days: int, effects: dict[int, list[str]]) -> None:
    """The goal is counted from the implementation (day 10), the phase from the contract's beginning; each by its own figure."""
    figures: dict[str, Any] = {"lifecycle__goal_after_implementation_days": goal_days, "lifecycle__onboarding_days": phase_days}
    life = await Life.begin(play, **figures)
    await life.day(10)
    await life.told(crm={"Deployed_On__c": on(life, 10).isoformat()})
    await life.day(71)
    begun = {-1: ["vitally: trait.stage.1"], 0: ["vitally: trait.stage.2", "vitally: project.onboarding.1"]}
    assert life.effects() == {**begun, **effects}
    assert (await life.status()).goal == "missed"
    assert ("onboarding goal", "missed") in await life.dossier()
    assert life.projects()[ONBOARDING] == ["Completed"]


async def test_d9_the_goal_is_hit(play: Play) -> None:
    """80 % on day 20 completes the onboarding project at once; the phase ends on its day, with both targets reached."""
    life = await Life.begin(play)
    await life.day(20)
    await life.told(crm={"Deployed_On__c": on(life, 5).isoformat()}, **AT_TARGET)
    await life.day(61)
    assert life.effects() == {
        -1: ["vitally: trait.stage.1"],
        0: ["vitally: trait.stage.2", "vitally: project.onboarding.1"],
        20: ["vitally: project.onboarding.1.done"],
        60: ["vitally: trait.stage.3"],
    }
    assert (await life.status()).goal == "hit"
    assert await life.ran(life.plan, life.red) == set()


# --- red -------------------------------------------------------------------------------------------------------------------------------


async def test_b17_red_by_itself_and_resolved_to_yellow(play: Play) -> None:
    """Forty days without an interaction: its own timer finds it. What a person resolved stays so until the criterion was gone once."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    silent = life.first + timedelta(days=120)
    life.crm(LastActivityDate=silent.isoformat())
    await life.told()
    await life.day(159)
    assert await play.runs(life.red) == 0
    await life.day(160)
    await play.task(life.red, "fill")
    await tracked(life, "no interaction for 40 days")
    assert [row["Source"] for row in life.rows()] == ["automatic"]
    assert (await life.status()).red
    await life.told(**{**AT_TARGET, "score": 4.0, "band": "poor"})  # a second criterion, the same row
    await tracked(life, "no interaction for 40 days; health score 4, at most 5")
    await life.update("resolve", life.red, by=TA_MANAGER, to="yellow")
    assert await play.ended(life.red) == "yellow"
    await life.day(170)
    await life.told(**{**AT_TARGET, "score": 4.5, "band": "poor"})
    assert await play.runs(life.red) == 1  # judgement stays with people
    await life.told(**AT_TARGET)
    await life.told(**{**AT_TARGET, "score": 3.0, "band": "poor"})
    await tracked(life, "no interaction for 40 days; health score 4, at most 5", "health score 3, at most 5")
    reds = [decision for decision in await life.dossier() if decision[0] == "red"]
    assert reds == []  # they are the red account's own


async def test_a_known_account_that_becomes_unknown_is_neither_better_nor_let_go(play: Play) -> None:
    """Its red account and its plan stay, nobody is told that it is better, and what was known is compared with what is known next."""
    poor = {**AT_TARGET, "score": 4.0, "band": "poor", "mau_seats": 0.5, "usage_score": 0.1}
    life = await Life.begin(play, weeks=20, facts=poor)
    ours = (life.id, life.red, life.plan)
    await play.task(life.red, "fill")
    await play.task(life.plan, "plan")
    await play.did(life.plan, "slack: slack.reason.1")  # that it is red as well
    for each in ours:
        await play.quiet(each)
    before = {each: (life.effects(each), await life.dossier(each)) for each in ours}
    for _ in range(2):
        await life.told(**UNKNOWN)
        for each in ours:
            await play.quiet(each)
    assert {each: (life.effects(each), await life.dossier(each)) for each in ours} == before
    status = await life.status()
    assert (status.red, status.plan, status.standing and status.standing.band) == (True, ("decreased_usage",), "unknown")
    await life.told(**{**poor, "score": 3.0})
    assert not [key for day in life.effects().values() for key in day if "band" in key]  # poor as before: nothing is news
    await life.told(**{**AT_TARGET, "score": 6.0, "band": "concerning"})
    await play.task(life.red, "promote")


async def test_b17_not_deployed_60_days_after_the_signature(play: Play) -> None:
    life = await Life.begin(play, facts=UNKNOWN)
    await life.day(60)
    assert await play.runs(life.red) == 0
    await life.day(61)
    await play.task(life.red, "fill")
    await tracked(life, "production not deployed 61 days after the signature")
    await play.quiet(life.red)
    assert life.effects(life.red) == {
        61: ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]
    }


@pytest.mark.cacheless
async def test_b17_better_facts_are_told_to_the_red_account(play: Play) -> None:
    """The manager is asked; the answer ends it, and the account knows."""
    life = await Life.begin(play, weeks=20, facts={**AT_TARGET, "score": 3.0, "band": "poor"})
    await play.task(life.red, "fill")
    await life.told(**AT_TARGET)
    await life.answer(life.red, "promote", "yes", TA_MANAGER)
    assert await play.ended(life.red) == "green"

    async def known() -> bool:
        return not (await life.status()).red

    assert await eventually(known)


async def test_c20_where_lighthouse_is_the_program_the_open_renewal_is_rated_red(play: Play) -> None:
    """The other value of C20, with the real renewal: its Lighthouse takes over; no thread, no row, and one plan for both."""
    life = await Life.begin(play, weeks=27, facts=AT_TARGET, red__program="lighthouse")
    await life.day(190)
    at_risk = await course(life)
    await life.update("mark_red", by=AE, reason="the champion left")

    async def rated() -> bool:
        status = await at_risk.status()
        return (status.rating, status.in_lighthouse) == ("red", True)

    assert await eventually(rated)
    await play.quiet(life.red)
    assert life.effects(life.red) == {190: ["salesforce: crm.red.1", "vitally: trait.red.1"]}
    assert life.rows() == []

    async def reasons() -> bool:
        return set((await life.handle(life.plan).query("status"))["reasons"]) == {"red_account", "renewal"}

    await play.task(life.plan, "plan")
    assert await eventually(reasons)
    assert await play.runs(life.plan) == 1


# --- red by hand -----------------------------------------------------------------------------------------------------------------------


async def test_b17_red_in_the_crm_by_hand(play: Play) -> None:
    """The next run marks it everywhere; what we wrote is no second reason; resolved it stays so while a copy is stale, and is heard again."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET, Customer_Health__c="Yellow")
    await life.day(150)
    await life.told(crm={"Customer_Health__c": "Red"})
    fill = await play.task(life.red, "fill")
    assert (fill.assignee, fill.asks.partition(".")[0]) == (TA, f"Why: {IN_CRM}")
    await tracked(life, IN_CRM)
    assert [row["Source"] for row in life.rows()] == ["salesforce"]
    await play.did(life.red, "vitally: trait.red.1")
    assert life.traits()[RED_TRAIT] is True
    await copied(life)  # the trait, too, by now
    await play.quiet(life.red)
    assert life.effects(life.red) == {
        150: ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]
    }
    assert await life.dossier(life.red) == [("red", "red")]

    await life.update("resolve", life.red, by=TA_MANAGER, to="yellow")
    assert await play.ended(life.red) == "yellow"
    for day in (151, 160):  # the copies are still the old ones
        await life.day(day)
        await life.told(**AT_TARGET, hand_red=True)
    assert await play.runs(life.red) == 1
    assert not (await life.status()).red
    await copied(life)
    assert life.crm_account()["Customer_Health__c"] == "Yellow"
    assert not (await life.status()).red
    assert len(life.rows()) == 1
    await life.told(crm={"Customer_Health__c": "Red"})
    await tracked(life, IN_CRM, IN_CRM)
    assert [row["Status"] for row in life.rows()] == ["Yellow", "Red"]


async def test_d31_red_in_vitally_by_hand(play: Play) -> None:
    """The trait alone: the CRM says Red in the same moment, and its copy adds nothing."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    await life.day(150)
    await life.told(**AT_TARGET, hand_red=True)
    await play.task(life.red, "fill")
    await tracked(life, IN_VITALLY)
    assert [row["Source"] for row in life.rows()] == ["vitally"]
    await play.did(life.red, "salesforce: crm.red.1", "vitally: trait.red.1")
    assert life.crm_account()["Customer_Health__c"] == "Red"
    await copied(life)
    await play.quiet(life.red)
    assert life.effects(life.red) == {
        150: ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]
    }
    decisions = await life.handle(life.red).query("dossier")
    assert [decision["handbook"] for decision in decisions] == ["D31, C20"]


async def test_b17_d31_red_in_both_systems_at_once_is_one_red_account(play: Play) -> None:
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    await life.day(150)
    await life.told(crm={"Customer_Health__c": "Red"}, **AT_TARGET, hand_red=True)
    await play.task(life.red, "fill")
    await tracked(life, f"{IN_CRM}; {IN_VITALLY}")
    assert [row["Source"] for row in life.rows()] == ["salesforce, vitally"]
    await copied(life)
    await play.quiet(life.red)
    assert life.effects(life.red) == {
        150: ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]
    }
    assert await play.runs(life.red) == 1
    assert await eventually(lambda: play.runs(life.plan)) == 1


async def test_b17_red_already_at_the_first_run_of_all(play: Play) -> None:
    """In both systems, and by its score: marked once, by one row; neither another run nor an account that begins anew marks it again."""
    poor: dict[str, Any] = {**AT_TARGET, "score": 3.0, "band": "poor", "hand_red": True}
    life = await Life.begin(play, weeks=20, facts=poor, Customer_Health__c="Red")
    await play.task(life.red, "fill")
    everything = f"{IN_CRM}; {IN_VITALLY}; health score 3, at most 5"
    await tracked(life, everything)
    assert [row["Source"] for row in life.rows()] == ["salesforce, vitally, automatic"]
    await play.did(life.red, "salesforce: crm.red.1", "vitally: trait.red.1", "slack: task.fill-1")
    once = life.effects(life.red)
    assert once == {-1: ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]}
    await life.told(**poor)
    await copied(life, **poor)
    await life.handle().terminate("its memory is lost")
    await life.start("Account", life.id, AccountInput(**life.known()))
    await play.quiet(life.id)

    async def heard() -> bool:
        return [name for name, _ in await life.heard(life.red)].count("mark_red") == 3

    assert await eventually(heard)
    await life.told(**poor)
    await play.quiet(life.red)
    assert life.effects(life.red) == once
    assert [row["Reason"] for row in life.rows()] == [everything]
    assert await play.runs(life.red) == 1


async def test_b18_marked_by_mistake_and_resolved_within_the_hour(play: Play) -> None:
    """A copy that was made between the two shows Red for the first time when it is over already; from the next morning on it is a person's."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET, Customer_Health__c="Green")
    await life.day(150)
    await life.update("mark_red", by=AE, reason="the champion left")
    await play.did(life.red, "salesforce: crm.red.1", "vitally: trait.red.1")
    life.crm()  # the copy of this moment
    await life.update("resolve", life.red, by=AE, to="green", note="the wrong account")
    assert await play.ended(life.red) == "green"
    await life.told(**AT_TARGET, hand_red=True)
    known = life.view().customer
    assert known is not None
    assert known.health == "Red"
    assert not (await life.status()).red
    await copied(life)
    await life.day(152)
    assert [row["Status"] for row in life.rows()] == ["Green"]
    await life.told(crm={"Customer_Health__c": "Red"})
    await tracked(life, "the champion left", IN_CRM)


async def test_b17_another_colour_in_the_crm_is_proposed_to_the_manager(play: Play) -> None:
    """Yellow by hand does not promote it: the manager is asked, keeps it red, and is asked again at another colour."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET, Customer_Health__c="Green")
    await life.day(150)
    await life.update("mark_red", by=AE, reason="the champion left")
    await play.did(life.red, "salesforce: crm.red.1", "vitally: trait.red.1")
    await life.told(**{**AT_TARGET, "champion": True})  # a copy of before the mark is still Green: nobody set that since
    await copied(life)
    assert await life.kinds(life.red) == ["fill"]
    await life.told(crm={"Customer_Health__c": "Yellow"})
    asked = await play.task(life.red, "promote")
    assert (asked.assignee, asked.title) == (TA_MANAGER, "Acme: promote it to yellow?")
    assert "Somebody set Customer Health to Yellow in the CRM." in asked.asks
    await life.answer(life.red, "promote", "no", TA_MANAGER)
    await life.told(**{**AT_TARGET, "champion": False, "hand_red": True})
    assert (await life.status()).red
    assert await life.kinds(life.red) == ["fill"]
    await life.told(crm={"Customer_Health__c": "Green"})
    assert (await play.task(life.red, "promote")).title == "Acme: promote it to green?"
    await life.answer(life.red, "promote", "yes", TA_MANAGER)
    assert await play.ended(life.red) == "green"
    assert await life.dossier(life.red) == [("red", "red"), ("promotion", "yellow"), ("promotion", "green"), ("red", "green")]
    await play.quiet(life.red)
    assert life.traits()[RED_TRAIT] is False


# --- renewals ----------------------------------------------------------------------------------------------------------------------------


async def test_d25_the_renewal_begins_180_days_ahead_and_ends_in_a_new_term(play: Play) -> None:
    """The real renewal, from the account's beginning of it to the next term; after it the targets decide the stage."""
    life = await Life.begin(play, weeks=25, facts=AT_TARGET)
    Course(play, life.domain, on(life, 365)).customer()  # the same customer, with a subscription
    assert await play.runs(renewal(life)) == 0
    await life.day(185)
    green = await course(life)
    assert (await green.status()).renewal_on == on(life, 365)
    assert (await life.status()).renewal == green.id
    await life.day(245)
    assert (await life.status()).stage == "renewing"
    assert life.traits()[STAGE] == "4. Renewing"
    await green.ahead(120)
    await green.assessed("green")
    await green.ahead(14)
    await green.answer("process", "renewed", AE, seats=100, arr=120_000)
    await play.ended(green.id)
    status = await life.in_stage("nurturing")
    term = (months_after(on(life, 365), 12) - life.first).days  # the same day of the next year
    assert (status.renewal, status.contract_end) == ("", on(life, term))
    assert await life.dossier() == [("stage", "nurturing"), ("renewal", "start"), ("stage", "renewing"), ("stage", "nurturing")]
    assert life.effects() == {-1: ["vitally: trait.stage.1"], 245: ["vitally: trait.stage.2", "vitally: trait.stage.3"]}
    await life.day(term - 181)
    assert await play.runs(renewal(life, term)) == 0
    await life.day(term - 180)
    await course(life, term)
    assert await play.runs(green.id) == 1


async def test_a_renewal_that_was_begun_by_hand_counts(play: Play) -> None:
    """Never twice for one term: one of the same date is met by its id, and ``start_renewal`` begins it once."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    await life.start("Renewal", renewal(life), RenewalInput(**life.known(), renewal_on=on(life, 365)))
    await life.day(190)
    assert (await life.status()).renewal == renewal(life)
    assert await play.runs(renewal(life)) == 1
    other = await Life.begin(play, "Other", weeks=20, facts=AT_TARGET)
    assert await other.update("start_renewal", by=AE) == f"{renewal(other)} begins"
    await course(other)
    why = await other.refused("start_renewal", by=AE)
    assert f"nothing was started: Its renewal runs: {renewal(other)}." in why
    await other.day(190)
    assert await play.runs(renewal(other)) == 1
    assert await other.dossier() == [("stage", "nurturing"), ("renewal", "start")]


async def test_gap_9_a_date_that_moves_takes_the_open_renewal_along(play: Play) -> None:
    """Earlier and later, begun by the account or by hand; never a second renewal for the term."""
    life = await Life.begin(play, weeks=27, facts=AT_TARGET)
    await life.day(190)
    moving = await course(life)
    await life.told(crm={"Contract_End__c": on(life, 400).isoformat()})

    async def moved_to(days: int) -> bool:
        return (await moving.status()).renewal_on == on(life, days)

    assert await eventually(lambda: moved_to(400))
    await life.told(crm={"Contract_End__c": on(life, 350).isoformat()})
    assert await eventually(lambda: moved_to(350))
    assert await life.ran(renewal(life), renewal(life, 400), renewal(life, 350)) == {renewal(life)}
    assert (await life.status()).renewal == renewal(life)
    assert await life.dossier() == [("stage", "nurturing"), ("renewal", "start"), ("renewal date", "moved"), ("renewal date", "moved")]

    other = await Life.begin(play, "Other", weeks=20, facts=AT_TARGET)
    await other.start("Renewal", renewal(other), RenewalInput(**other.known(), renewal_on=on(other, 365)))
    await play.quiet(renewal(other))
    await other.told(crm={"Contract_End__c": on(other, 300).isoformat()})
    by_hand = await course(other)

    async def found() -> bool:
        return (await other.status()).renewal == by_hand.id and (await by_hand.status()).renewal_on == on(other, 300)

    assert await eventually(found)
    assert await play.runs(renewal(other, 300)) == 0


async def test_a_crm_that_contradicts_a_running_renewal_is_told_and_moves_nothing(play: Play) -> None:
    """A date that is over, none at all, and a renewal that a person moved: told to AE and TA, each once, and again when it is right."""
    life = await Life.begin(play, weeks=27, facts=AT_TARGET)
    await life.day(190)
    running = await course(life)

    async def agree(days: int, contradicted: str = "") -> None:
        async def look() -> bool:
            status, theirs = await life.status(), await running.status()
            same = status.contract_end == theirs.renewal_on == on(life, days)
            return same and (contradicted in status.contradiction if contradicted else not status.contradiction)

        await eventually(look)
        await play.quiet(life.id)

    await agree(365)
    for wrong, says in (
        ("2024-06-30", "the CRM says that the contract ended on 2024-06-30"),
        (None, "the CRM names no end of the contract"),
    ):
        await life.told(crm={"Contract_End__c": wrong})
        await agree(365, says)
        await life.told(crm={"Segment__c": "Strategic"})  # told once, whatever else changes
        await agree(365, says)
    await life.told(crm={"Contract_End__c": on(life, 365).isoformat()})
    await agree(365)
    await running.update("move", by=AE, renewal_on=on(life, 395).isoformat(), reason="the customer asked for a month")
    await agree(395, f"the CRM says {on(life, 365)}, and its renewal runs on {on(life, 395)}")
    shown_ = shown(life.view().customer or pytest.fail("a customer"), [running.row()])
    assert shown_.contract_end == on(life, 395)
    assert str(on(life, 365)) in shown_.data_errors["contract_end"]
    await life.told(crm={"Contract_End__c": on(life, 395).isoformat()})
    await agree(395)
    await life.told(crm={"Contract_End__c": on(life, 400).isoformat()})  # gap 9: another date ahead takes it along
    await agree(400)
    assert await life.ran(renewal(life), renewal(life, 395), renewal(life, 400)) == {renewal(life)}
    assert await life.dossier() == [("stage", "nurturing"), ("renewal", "start"), ("renewal date", "moved")]
    told = [f"slack: slack.contradiction.{number}" for number in (1, 2, 3, 4, 5)]
    assert sorted(effect for day in life.effects().values() for effect in day) == [*told, "vitally: trait.stage.1"]


async def test_f15_a_date_nobody_means_stops_nothing_and_its_correction_counts(play: Play) -> None:
    """At first sight it is not known; corrected it is the renewal date, and a later slip of the keyboard moves nothing."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET, Contract_End__c="9999-12-31", Seats__c=-5)
    known = life.view().customer
    assert known is not None
    assert (known.contract_end, known.seats, sorted(known.data_errors)) == (None, 0, ["contract_end", "seats"])
    assert ((await life.status()).stage, (await life.status()).contract_end) == ("nurturing", None)
    await life.told(**{**AT_TARGET, "mau_seats": 0.5})  # the rest of the account goes on: decreased usage is a reason for a plan
    await eventually(lambda: play.runs(life.plan))
    assert await play.runs(life.plan) == 1
    for name in ("contract_start", "contract_end", "deployed_on", "last_activity_on"):
        for nobody_means in ("9999-12-31", "0001-01-01", "0202-05-31"):
            slip = known.model_copy(update={name: date.fromisoformat(nobody_means), "as_of": await life.now()})
            await play.signal(life.id, "facts", AccountFacts(customer=slip, team=life.view().team))
    await play.quiet(life.id)
    assert ((await life.status()).contract_end, (await life.status()).since) == (None, on(life, 0))
    await life.told(crm={"Contract_End__c": on(life, 365).isoformat(), "Seats__c": 100})
    assert (await life.status()).contract_end == on(life, 365)
    await life.day(184)
    assert await life.ran(renewal(life)) == set()
    await life.day(185)
    begun = await course(life)
    for slip_ in ("0202-05-31", "9999-12-31"):
        await life.told(crm={"Contract_End__c": slip_, "ARR__c": -1})
    assert (await life.status()).contract_end == (await begun.status()).renewal_on == on(life, 365)
    assert (await begun.status()).arr == 120_000
    assert await life.dossier() == [("stage", "nurturing"), ("utilization", "decreased_usage"), ("renewal", "start")]
    assert life.effects() == {-1: ["vitally: trait.stage.1"]}
    assert (await life.status()).notes == ()


async def test_a_date_that_moves_far_away_begins_its_renewal_in_time(play: Play) -> None:
    """Before any renewal runs: the timer moves along."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    await life.told(crm={"Contract_End__c": on(life, 465).isoformat()})
    await life.day(284)
    assert await life.ran(renewal(life), renewal(life, 465)) == set()
    await life.day(285)
    await course(life, 465)
    assert (await life.status()).stage == "nurturing"


@pytest.mark.parametrize(
    ("crm", "why", "note"),
    [({"Type": "Former Customer"}, "churned_early", "The CRM says churned."), ({"Merged_Into__c": "other"}, "merged", "")],
)
async def test_gone_before_its_term_ends(play: Play, crm: dict[str, Any], why: str, note: str) -> None:
    """Churned early, or merged: the open renewal is cancelled, the plan and the red account end, and the account is closed."""
    life = await Life.begin(play, weeks=27)
    await life.day(190)
    open_one = await course(life)
    await life.update("mark_red", by=AE, reason="acquired")
    await play.task(life.red, "fill")
    await play.task(life.plan, "plan")
    if why == "merged":
        other = Life.of(play, "Bigger")
        note = other.domain
        crm = {"Merged_Into__c": other.crm_account()["Id"]}
    await life.told(crm=crm)
    assert await play.ended(life.id)
    assert (await play.ended(open_one.id))["end"] == "cancelled"
    assert await play.ended(life.red) == "churned"
    await play.ended(life.plan)
    assert (await life.heard(open_one.id))[-1] == ("cancel", {"why": why, "note": note, "by": "Salesforce"})
    assert life.traits()[STAGE] == "Closed"
    assert (await life.dossier())[-1] == ("stage", "closed")
    assert life.effects() == {-1: ["vitally: trait.stage.1"], 190: ["vitally: trait.stage.2"]}


async def test_full_churn_closes_the_account(play: Play) -> None:
    life = await Life.begin(play, weeks=27, facts=AT_TARGET)
    await life.day(190)
    await course(life)
    ended = RenewalEnded(workflow=renewal(life), outcome="full_churn", arr=0)
    await play.signal(life.id, "renewal_ended", ended)
    assert await play.ended(life.id) == "The renewal ended in full churn."
    assert await life.heard(renewal(life)) == []  # what has ended is not cancelled
    assert life.effects() == {-1: ["vitally: trait.stage.1"], 190: ["vitally: trait.stage.2"]}


async def test_a_customer_who_comes_back_while_the_account_is_closed_goes_on(play: Play) -> None:
    """The CRM said churned by mistake, and Vitally is down meanwhile: the signal that puts it right is not lost."""
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    play.fault("vitally", "error", times=3)
    life.crm(Type="Former Customer")
    view = life.view()
    await play.signal(life.id, "facts", {"customer": view.customer, "team": view.team, "standing": view.standing})
    life.crm(Type="Customer")
    view = life.view()
    await play.signal(life.id, "facts", {"customer": view.customer, "team": view.team, "standing": view.standing})
    assert (await life.in_stage("nurturing")).since == life.first

    async def shown() -> bool:
        return bool(life.traits()[STAGE] == "3. Nurturing")

    assert await eventually(shown)
    assert await play.runs(life.id) == 2


# --- a year ------------------------------------------------------------------------------------------------------------------------------


async def test_d8_a_year_of_an_account(play: Play) -> None:
    """Onboarding, adopting, nurturing, renewing, with a change of facts every other week; continued as new, and nothing is done twice."""
    life = await Life.begin(play, facts=UNKNOWN)
    await life.day(0)
    await life.told(crm={"Deployed_On__c": on(life, 0).isoformat()}, score=7.0, band="concerning", mau_seats=0.2, usage_score=0.1)
    for week in range(2, 53, 2):
        await life.day(7 * week)
        share = min(0.2 + week / 50, 0.95)
        healthy = share >= 0.8
        how = {**STEADY, "mau_seats": share, "usage_score": 0.35 if healthy else 0.25, "was_at_target": healthy}
        await life.told(**how)
    assert await play.runs(life.id) > 1
    assert await life.dossier() == [
        ("stage", "prospect"),
        ("stage", "onboarding"),
        ("onboarding goal", "missed"),
        ("utilization", "low_utilization"),
        ("stage", "adopting"),
        ("renewal", "start"),
        ("stage", "nurturing"),
        ("utilization", "at_target"),
        ("stage", "renewing"),
    ]
    assert life.effects() == {
        -1: ["vitally: trait.stage.1"],
        0: ["vitally: trait.stage.2", "vitally: project.onboarding.1"],
        45: ["vitally: project.onboarding.1.done"],
        60: ["vitally: trait.stage.3"],
        210: ["vitally: trait.stage.4"],
        245: ["vitally: trait.stage.5"],
    }
    assert await play.runs(renewal(life)) == 1
    assert await play.runs(life.plan) == 1
    assert (await life.status()).stage == "renewing"
    assert sum(await life.events(life.id)) < 500  # the clock's own events included


# --- refused, odd, looked at -------------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_taken_is_refused_with_words(play: Play) -> None:
    life = await Life.begin(play, facts=AT_TARGET)
    for name, message, why in (
        ("mark_red", {"reason": "x"}, '"by" must be your e-mail address'),
        ("mark_red", {"by": TA, "reason": " "}, '"reason" must not be empty'),
        ("start_renewal", {}, '"by" must be your e-mail address'),
        ("answer", {"task": "plan", "choice": "x", "by": TA}, "there is no task 'plan'"),
    ):
        assert why in await life.refused(name, **message)
    view = life.view()
    assert view.customer is not None
    other = view.customer.model_copy(update={"domain": "other.example"})
    nonsense: list[tuple[str, Any]] = [
        ("facts", {"customer": other}),
        ("facts", 7),
        ("renewal_ended", {"outcome": "flat"}),
        ("red_ended", {}),
        ("plan_ended", None),
        ("mark_red", {"by": TA}),
        ("start_renewal", 0),
    ]
    for name, sent in nonsense:
        await play.signal(life.id, name, sent)

    async def noted() -> bool:
        return len((await life.status()).notes) == len(nonsense)

    assert await eventually(noted)
    assert life.effects() == {-1: ["vitally: trait.stage.1"]}


async def test_older_facts_say_nothing(play: Play) -> None:
    life = await Life.begin(play, weeks=20, facts=AT_TARGET)
    view = life.view()
    assert view.customer is not None
    assert view.standing is not None
    old = {"as_of": view.standing.as_of - timedelta(hours=1), "mau_seats": 0.1}
    customer = view.customer.model_copy(update={"as_of": view.customer.as_of - timedelta(hours=1), "status": "churned"})
    await play.signal(life.id, "facts", {"customer": customer, "standing": old})
    await play.quiet(life.id)
    status = await life.status()
    assert (status.stage, status.plan) == ("nurturing", ())


async def test_c19_the_ce_before_the_sale_and_the_ta_after_it(play: Play) -> None:
    """What operators filter by; and what they read of it."""
    life = await Life.begin(play, facts=AT_TARGET)
    view = life.view()
    assert view.team.ce is not None

    async def shown() -> dict[str, Any]:
        found = (await life.handle().describe()).typed_search_attributes
        return {pair.key.name: pair.value for pair in found if pair.key.name in ("Account", "Stage", "Owner")}

    assert await shown() == {"Account": life.domain, "Stage": "prospect", "Owner": ids.handle(view.team.ce.email)}
    await life.day(0)
    assert await shown() == {"Account": life.domain, "Stage": "onboarding", "Owner": ids.handle(TA)}
    steps = await life.handle().query("next_steps")
    assert [step["what"] for step in steps][:2] == ["is the utilization low?", "the onboarding phase ends"]
    assert "is onboarding; renewal date" in (await life.status()).in_words
