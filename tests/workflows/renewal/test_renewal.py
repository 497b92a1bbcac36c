"""A renewal from half a year ahead to its end, case by case (D25–D30): what happens how many days ahead, completely."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain import ids
from domain.calendar import months_after
from domain.forecast.quarters import quarter_of
from domain.health.types import Band
from tests.workflows.cacheless import CACHE
from tests.workflows.play import Play
from tests.workflows.renewals import (
    AE,
    AE_MANAGER,
    CHECKS,
    RISK,
    SALES,
    SAVE_PLAN,
    SPONSOR,
    TA,
    TA_MANAGER,
    TS,
    Course,
    changed,
    saved,
    silence,
)

#: What the first day, an assessment and a review of it leave behind; the rating follows.
BEGUN = ["salesforce: crm.renewal"]
ASSESSED = ["slack: task.assess_ta-1", "slack: task.assess_ae-1", "slack: task.review_ta-1", "slack: task.review_ae-1"]
#: The early review of a yellow or red account, completed.
REVIEWED = [
    "slack: slack.renewal",
    "slack: task.early_review-1",
    "vitally: project.early.1",
    "vitally: doc.assessment.1",
    "vitally: project.early.1.done",
]
#: Renewed: closed won, the account's new term, the key, and the word.
RENEWED = [
    "licensing: key.renewed",
    "salesforce: crm.closed.1",
    "salesforce: crm.account",
    "slack: task.process-1",
    "slack: slack.renewed.1",
]
CHURNED = ["salesforce: crm.closed.1", "slack: task.process-1", "slack: slack.churned.1", "vitally: trait.churned"]


def docs(first: int, *more: str) -> list[str]:
    """The three states of the assessment's document, and the trait of its rating before the last."""
    return [f"vitally: doc.assessment.{first}", f"vitally: doc.assessment.{first + 1}", *more, f"vitally: doc.assessment.{first + 2}"]


def into_lighthouse() -> list[str]:
    """The day on which a renewal that was reviewed early is rated yellow or red, planned, and has its save plan agreed."""
    return [
        "salesforce: crm.rating.1",
        "salesforce: crm.forecast.1",
        *ASSESSED,
        "slack: slack.rating.1",
        "slack: task.plan-1",
        "slack: task.save_plan-1",
        "slack: task.sponsor-1",
        "slack: slack.sponsor.1",
        "slack: task.review_plan-1",
        *docs(2, "vitally: trait.rating.1"),
        "vitally: doc.save_plan.1",
    ]


async def weekly(c: Course, since: int, to: int, outcome: str, amount: int | None = None) -> None:
    """The AE confirms each week what they project, as the weekly forecast tells."""
    for days in range(since, to, -7):
        await c.ahead(days)
        await c.play.signal(c.id, "forecast", {"by": AE, "outcome": outcome, "amount": amount})


async def test_green(play: Play) -> None:
    """D26–D30: nothing is asked early; it is monitored with the AE's projection, confirmed each week, and processed."""
    c = await Course.begin(play)
    await c.ahead(180)
    assert (await c.phase("upcoming")).open_tasks == ()
    await c.ahead(120)
    await c.phase("assessment")
    await c.assessed("green")
    status = await c.phase("forecast")
    assert (status.rating, status.outcome, status.system_outcome, status.in_lighthouse, status.odd) == ("green", "flat", "flat", False, "")
    assert c.row().model_dump(include={"phase", "rating", "outcome", "status"}) == {
        "phase": "forecast",
        "rating": "green",
        "outcome": "flat",
        "status": "open",
    }
    await weekly(c, 112, 14, "flat")
    await c.ahead(14)
    await c.phase("processing")
    await c.answer("process", "renewed", AE, seats=110, arr="$120,000")
    assert await play.ended(c.id) == {"domain": c.domain, "rating": "green", "outcome": "flat", "end": "renewed"}
    assert c.effects() == {
        c.begun: BEGUN,
        120: [
            "salesforce: crm.rating.1",
            "salesforce: crm.forecast.1",
            "slack: slack.renewal",
            *ASSESSED,
            "slack: slack.rating.1",
            *docs(1, "vitally: trait.rating.1"),
        ],
        14: RENEWED,
    }
    assert await c.dossier() == [
        ("early review", "healthy"),
        ("rating", "green"),
        ("lighthouse", "stays out"),
        ("forecast", "flat"),
        ("outcome", "flat"),
    ]
    row, ends = c.row(), months_after(c.on, 12)
    assert (row.status, row.actual_outcome, row.actual_arr, row.phase) == ("renewed", "flat", 120_000, "renewed")
    assert await c.attributes() == {
        "Account": c.domain,
        "Arr": 120_000,
        "Forecast": "flat",
        "Owner": ids.handle(TA),
        "Rating": "green",
        "RenewalQuarter": quarter_of(changed(), c.on),
        "Stage": "renewed",
    }
    closed, account = c.opportunity(), c.account()
    assert (closed["StageName"], closed["Amount"], closed["Renewal_Outcome__c"]) == ("Closed Won", 120_000, "flat")
    assert (account["Contract_End__c"], account["ARR__c"], account["Seats__c"]) == (ends.isoformat(), 120_000, 110)
    key = play.licence(c.domain)
    assert (key["seats"], key["expires"]) == (120, (ends + timedelta(days=1)).isoformat())  # through its last day, wherever on earth
    assert c.trait("Renewal - Rating") == "green"
    assert not CACHE or await c.events() <= 200


async def test_yellow(play: Play) -> None:
    """D25–D30, C08: flagged early, in Lighthouse beside plan and forecast, where it is still when it is processed with fewer seats."""
    c = await Course.begin(play, band="concerning")
    await c.ahead(180)
    await c.phase("early_review")
    await c.answer("early_review", "yellow", TA, **RISK)
    await c.phase("upcoming")
    await c.ahead(120)
    await c.phase("assessment")
    await c.assessed("yellow", outcome="partial_churn")
    status = await c.phase("plan")
    assert (status.rating, status.in_lighthouse, status.system_outcome) == ("yellow", True, "partial_churn")
    assert await c.kinds() == ["plan", "save_plan", "sponsor"]
    await c.answer("plan", "partial_churn", AE, amount="90,000")
    await saved(c)
    status = await c.phase("forecast")
    assert (status.outcome, status.amount, status.sponsor, status.success_criteria) == (
        "partial_churn",
        90_000,
        SPONSOR,
        "MAU/seats at 60 %",
    )
    assert "Executive sponsor: exec-vega" in c.doc("Account save plan")
    await c.ahead(14)
    await c.phase("processing")
    await c.answer("process", "renewed", AE, seats=70, arr=84_000, contract_end=(c.on + timedelta(days=730)).isoformat())
    assert await play.ended(c.id) == {"domain": c.domain, "rating": "yellow", "outcome": "partial_churn", "end": "renewed"}
    assert c.effects() == {
        c.begun: BEGUN,
        180: REVIEWED,
        120: into_lighthouse(),
        90: ["slack: slack.value_engineering.1"],
        14: RENEWED,
    }
    assert c.projects()[f"Renewal Health Assessment {c.on}"] == "Completed"
    assert (
        await play.ended(ids.get_well(c.domain))
        == "Every reason is gone, the last one because: a renewal at risk (the renewal is renewed)."
    )


async def test_red_is_saved(play: Play) -> None:
    """D27: the get-well plan's inspection finds the criteria met, sales and TS leadership agree, and the account leaves Lighthouse."""
    c = await Course.begin(play, band="poor")
    plan = ids.get_well(c.domain)
    await c.ahead(180)
    await c.answer("early_review", "red", TA, **RISK)
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    await c.phase("plan")
    await c.answer("plan", "partial_churn", AE, amount=60_000)
    await saved(c)
    six = dict.fromkeys(("state", "onboarding_flow", "docs", "syncs", "drive", "help"), "known")
    await play.answer(plan, "plan", "planned", by=TA, fields=six)
    for days in range(112, 28, -7):
        await c.ahead(days)
        await play.signal(c.id, "forecast", {"by": AE, "outcome": "partial_churn", "amount": 60_000})
        if days % 14 == 0:
            await c.plan_reviewed(met=False, note="not yet")
    await play.skip(plan, days=15)
    await play.answer(plan, "review", "criteria_met", by=TA_MANAGER, note="61 % of the seats")
    await play.task(c.id, "exit_ts")
    assert await c.kinds() == ["exit_sales", "exit_ts"]
    await c.answer("exit_sales", "leave_green", SALES)
    await c.answer("exit_ts", "leave_green", TS)
    status = await c.status()
    assert (status.rating, status.in_lighthouse) == ("green", False)
    assert status.odd == "rated green, yet partial churn is projected: green is expected to stay or to grow (C13)"
    await c.update("forecast", by=AE, outcome="incremental", amount=130_000)
    await c.ahead(14)
    await c.phase("processing")
    await c.answer("process", "renewed", AE, seats=120, arr="130000")
    assert await play.ended(c.id) == {"domain": c.domain, "rating": "green", "outcome": "incremental", "end": "renewed"}
    assert c.effects() == {
        c.begun: BEGUN,
        180: REVIEWED,
        120: into_lighthouse(),
        90: ["slack: slack.value_engineering.1"],
        35: [
            "salesforce: crm.rating.2",
            "salesforce: crm.forecast.2",
            "slack: task.exit_sales-1",
            "slack: task.exit_ts-1",
            "slack: slack.rating.2",
            "slack: slack.odd.1",
            "vitally: trait.rating.2",
        ],
        14: RENEWED,
    }
    assert [each for each in await c.dossier() if each[0] == "lighthouse"] == [("lighthouse", "enters"), ("lighthouse", "green")]
    assert await c.events() <= (400 if CACHE else 450)  # without a cache a local activity is an ordinary one, of three events
    assert "left Lighthouse" in str(await play.ended(plan))


async def test_red_churns(play: Play) -> None:
    """D30: the customer leaves. Closed lost, the churn on record, finance told, and the get-well plan has lost its reason."""
    c = await Course.begin(play, band="poor")
    await c.ahead(180)
    await c.answer("early_review", "red", TA, **RISK)
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    await c.answer("plan", "full_churn", AE)
    await saved(c)
    await c.ahead(14)
    await c.phase("processing")
    await c.answer("process", "churned", AE, reason="they build their own")
    assert await play.ended(c.id) == {"domain": c.domain, "rating": "red", "outcome": "full_churn", "end": "churned"}
    assert c.effects() == {
        c.begun: BEGUN,
        180: REVIEWED,
        120: into_lighthouse(),
        90: ["slack: slack.value_engineering.1"],
        14: CHURNED,
    }
    assert "Finance: Acme churns with $120,000 a year" in c.said("slack.churned.1")
    lost, row = c.opportunity(), c.row()
    assert (lost["StageName"], lost["Renewal_Outcome__c"], lost["Description"]) == (
        "Closed Lost",
        "full_churn",
        "Churned: they build their own",
    )
    assert (row.status, row.actual_outcome, row.actual_arr) == ("churned", "full_churn", 0)
    assert c.trait("churnedAt")
    assert "the renewal is churned" in str(await play.ended(ids.get_well(c.domain)))


# --- the rating ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leaders", "settles"), [(("ts-lead",), TS), ((), SALES)])
async def test_a_disagreement_on_the_rating_is_settled_by_one_person(play: Play, leaders: tuple[str, ...], settles: str) -> None:
    """D26: both opinions stand in the decision. Without a TS leader it is the sales leader's word."""
    if not leaders:
        users = play.sandbox.world.services["salesforce"].org.records["user"].values()
        [leader] = [user for user in users if user["Email"] == TS]
        leader["IsActive"] = False
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.assessed("green", ta_manager="green", ae_manager="yellow")
    task = await play.task(c.id, "settle")
    assert task.assignee == settles
    assert "TA manager says green (as the TA says); the AE manager says yellow (as the AE says)" in task.asks
    await c.answer("settle", "yellow", settles, note="the buyer is new")
    assert (await c.status()).rating == "yellow"
    assert (await c.dossier())[1:4] == [("rating", "disagreement"), ("rating", "yellow"), ("lighthouse", "enters")]
    assert c.effects() == {
        c.begun: BEGUN,
        120: [
            "salesforce: crm.rating.1",
            "slack: slack.renewal",
            *ASSESSED,
            "slack: task.settle-1",
            "slack: slack.rating.1",
            "slack: task.plan-1",
            "slack: task.save_plan-1",
            "slack: task.sponsor-1",
            *docs(1, "vitally: trait.rating.1"),
        ],
    }


async def test_the_ta_is_silent_for_weeks(play: Play) -> None:
    """Gap 6: the TA is reminded, then the AE is asked, then the TA's manager, every week; who answers at last does it for them."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.answer("assess_ae", "green", AE, checks=CHECKS, risk="none", outcome="flat")
    await c.ahead(99)
    await c.answer("assess_ta", "green", TA_MANAGER, **RISK)
    await c.answer("review_ta", "green", TA_MANAGER)
    await c.answer("review_ae", "green", AE_MANAGER)
    await c.phase("forecast")
    await c.ahead(14)
    await c.answer("process", "renewed", AE, seats=100, arr=120_000)
    assert (await play.ended(c.id))["end"] == "renewed"
    assert c.effects() == {
        c.begun: BEGUN,
        120: ["slack: slack.renewal", "slack: task.assess_ta-1", "slack: task.assess_ae-1", "vitally: doc.assessment.1"],
        **silence(("assess_ta-1",), (113, 112, 111), until=104),  # due after five working days
        99: [
            "salesforce: crm.rating.1",
            "salesforce: crm.forecast.1",
            "slack: task.review_ta-1",
            "slack: task.review_ae-1",
            "slack: slack.rating.1",
            "vitally: doc.assessment.2",
            "vitally: trait.rating.1",
            "vitally: doc.assessment.3",
        ],
        14: RENEWED,
    }
    assert [play.said(f"task.assess_ta-1.reminder-{number}", c.id).split()[0] for number in (1, 2, 3)] == [
        slack_id(play, who) for who in (TA, AE, TA_MANAGER)
    ]


async def test_nobody_ever_rates_it(play: Play) -> None:
    """D26, D30: it must be processed all the same: unrated and unplanned, which is on record, and told to both managers."""
    c = await Course.begin(play, days=121)
    await c.ahead(14)
    status = await c.phase("processing")
    assert (status.rating, status.outcome, await c.kinds()) == (None, None, ["process"])
    assert await c.dossier() == [("early review", "healthy"), ("rating", "none")]
    await c.answer("process", "churned", AE, reason="nobody cared")
    assert (await play.ended(c.id)) == {"domain": c.domain, "rating": None, "outcome": "full_churn", "end": "churned"}
    assert c.effects() == {
        c.begun: BEGUN,
        120: ["slack: slack.renewal", "slack: task.assess_ta-1", "slack: task.assess_ae-1", "vitally: doc.assessment.1"],
        **silence(("assess_ta-1", "assess_ae-1"), (113, 112, 111), until=20),
        14: [
            "salesforce: crm.closed.1",
            "slack: slack.unrated.1",
            "slack: task.process-1",
            "slack: slack.churned.1",
            "vitally: doc.assessment.2",
            "vitally: trait.churned",
        ],
    }


async def test_a_rating_by_hand_settles_the_assessment(play: Play) -> None:
    """D27: a manager's word ends the assessment that is going on; what is still asked is withdrawn, and the AE plans."""
    c = await Course.begin(play, days=121)
    assert "looked at from" not in await c.refused("assess", by=TS, rating="red", why="")
    await c.ahead(120)
    await c.answer("assess_ta", "green", TA, **RISK)
    assert await c.update("assess", by=TA_MANAGER, rating="red", why="their sponsor left") == "rated red: it enters Lighthouse"
    assert await c.kinds() == ["plan", "save_plan", "sponsor"]
    assert "closed (rated by hand" in await c.refused("answer", task="assess_ae", choice="red", by=AE)
    assert (await c.dossier())[1:] == [("rating", "red"), ("lighthouse", "enters")]
    assert c.effects() == {
        c.begun: BEGUN,
        120: [
            "salesforce: crm.rating.1",
            "slack: slack.renewal",
            "slack: task.assess_ta-1",
            "slack: task.assess_ae-1",
            "slack: slack.rating.1",
            "slack: task.save_plan-1",
            "slack: task.sponsor-1",
            "slack: task.plan-1",
            "vitally: doc.assessment.1",
            "vitally: trait.rating.1",
            "vitally: doc.assessment.2",
        ],
    }


async def test_ad_hoc_into_lighthouse_and_its_refusals(play: Play) -> None:
    """D27 [H]: leadership may bring a green account into Lighthouse; it leaves by the vote alone, and never while it is processed."""
    c = await Course.begin(play, days=190)
    assert "too early to rate: the renewal is looked at from" in await c.refused("assess", by=TS, rating="red", why="layoffs")
    await c.ahead(120)
    await c.assessed("green")
    await c.phase("forecast")
    await c.ahead(60)
    assert 'say why: "why" must not be empty' in await c.refused("assess", by=TS, rating="red", why=" ")
    await c.update("assess", by=TS, rating="red", why="layoffs")
    assert await c.kinds() == ["save_plan", "sponsor"]
    assert c.effects()[60] == [
        "salesforce: crm.rating.2",
        "slack: slack.rating.2",
        "slack: slack.odd.1",
        "slack: slack.value_engineering.1",
        "slack: task.save_plan-1",
        "slack: task.sponsor-1",
        "vitally: trait.rating.2",
    ]
    assert "it is in Lighthouse, which it leaves only when" in await c.refused("assess", by=TS, rating="green", why="better")
    await c.update("assess", by=TS, rating="yellow", why="a little better")
    await c.ahead(14)
    await c.phase("processing")
    assert "too late to rate: the renewal is being processed" in await c.refused("assess", by=TS, rating="red", why="worse")


# --- Lighthouse ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "rating", "enters"),
    [(("red", "yellow"), "yellow", True), (("red",), "yellow", False), (("red",), "red", True)],
)
async def test_c08_who_enters_lighthouse(play: Play, members: tuple[str, ...], rating: str, enters: bool) -> None:
    """C08: red and yellow as the later source has it, or red only."""
    c = await Course.begin(play, days=121, lighthouse__ratings=members)
    await c.ahead(120)
    await c.assessed(rating, outcome="partial_churn")
    status = await c.phase("plan")
    assert status.in_lighthouse is enters
    assert await c.kinds() == (["plan", "save_plan", "sponsor"] if enters else ["plan"])
    assert ("lighthouse", "enters" if enters else "stays out") in await c.dossier()


async def test_the_save_plan_is_reviewed_and_the_vote_may_come_again(play: Play) -> None:
    """4.6: criteria in numbers, the AE may ask for changes; one no keeps it in, unmet criteria end a vote, the next inspection may ask again."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    await c.phase("plan")
    wordy = {**SAVE_PLAN, "criteria": "they are happy"}
    refusal = await c.refused("answer", task="save_plan", choice="filled_in", by=TA, fields=wordy)
    assert "the success criteria must be quantitative" in refusal
    await c.answer("save_plan", "filled_in", TA, **SAVE_PLAN)
    await c.plan_reviewed(met=True)
    await c.answer("review_plan", "changes", AE, note="name the buyer")
    assert "The AE asks for changes: name the buyer" in (await play.task(c.id, "save_plan")).asks
    await c.answer("save_plan", "filled_in", TA, **SAVE_PLAN)
    await c.answer("review_plan", "agreed", AE)
    assert await c.kinds() == ["plan", "sponsor"]
    assert "are not agreed yet" in (await c.status()).notes[0]

    await c.plan_reviewed(met=True, note="60 %")
    await c.answer("exit_sales", "stay", SALES)
    assert await c.kinds() == ["plan", "sponsor"]
    await c.plan_reviewed(met=True)
    await c.answer("exit_sales", "leave_green", SALES)
    await c.plan_reviewed(met=False)
    await play.quiet(c.id)
    assert await c.kinds() == ["plan", "sponsor"]
    await c.plan_reviewed(met=True)
    await c.answer("exit_sales", "leave_green", SALES)
    await c.answer("exit_ts", "leave_yellow", TS)
    status = await c.status()
    assert (status.rating, status.in_lighthouse) == ("yellow", False)
    assert [outcome for what, outcome in await c.dossier() if what == "lighthouse"] == ["enters", "stays in", "stays in", "yellow"]
    assert "the account is not in Lighthouse" in (await noted_after(c, met=True))


async def noted_after(c: Course, met: bool) -> str:
    """What is noted of an inspection that means nothing."""
    await c.plan_reviewed(met=met)
    await c.play.quiet(c.id)
    return (await c.status()).notes[-1]


# --- early review, plan, forecast -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fresh_days", "filled_in"), [(61, True), (59, False)])
async def test_c10_an_early_assessment_fills_the_later_one_in_while_it_is_fresh(play: Play, fresh_days: int, filled_in: bool) -> None:
    """C10: assessed at 180 days, it is pre-filled at 120, and asked all the same; a stale one is not shown."""
    c = await Course.begin(play, band="concerning", renewal__assessment_fresh_days=fresh_days)
    await c.ahead(180)
    await c.answer("early_review", "yellow", TA, **RISK)
    await c.ahead(120)
    task = await play.task(c.id, "assess_ta")
    assert ("said yellow: two versions behind" in task.asks) is filled_in
    assert ("(pre-filled): yellow" in c.doc("Renewal health assessment")) is filled_in


async def test_an_early_review_that_nobody_completes(play: Play) -> None:
    """D25: the assessment of day 120 asks the same, so the open task is withdrawn; the project is complete once the renewal is rated."""
    c = await Course.begin(play, band="poor")
    await c.ahead(120)
    await c.phase("assessment")
    assert await c.kinds() == ["assess_ae", "assess_ta"]
    assert c.projects()[f"Renewal Health Assessment {c.on}"] != "Completed"
    await c.assessed("green")
    await c.phase("forecast")
    await play.did(c.id, "vitally: project.early.1.done")
    assert c.projects()[f"Renewal Health Assessment {c.on}"] == "Completed"


@pytest.mark.parametrize("band", ["unknown"])
async def test_an_unknown_health_is_neither_flagged_nor_healthy(play: Play, band: Band) -> None:
    c = await Course.begin(play, band=band)
    await c.ahead(180)
    await play.did(c.id, "slack: slack.unknown.1")
    assert await c.dossier() == [("early review", "unknown")]
    assert await c.kinds() == []


async def test_started_late_at_90_days(play: Play) -> None:
    """C10, gap 9: the early review is skipped with a note, the assessment is asked for at once; value engineering as soon as it is rated."""
    c = await Course.begin(play, days=84, band="poor")
    await c.phase("assessment")
    [(what, outcome)] = await c.dossier()
    assert (what, outcome) == ("early review", "skipped")
    await c.assessed("red", outcome="partial_churn")
    await play.did(c.id, "slack: slack.value_engineering.1")
    assert list(c.effects()) == [c.begun]
    assert c.effects()[c.begun] == [
        "salesforce: crm.renewal",
        "salesforce: crm.rating.1",
        "slack: slack.renewal",
        *ASSESSED,
        "slack: slack.rating.1",
        "slack: task.plan-1",
        "slack: slack.value_engineering.1",
        "slack: task.save_plan-1",
        "slack: task.sponsor-1",
        *docs(1, "vitally: trait.rating.1"),
    ]


@pytest.mark.parametrize("may", ["no", "yes"])
async def test_c13_growth_in_the_plan(play: Play, may: str) -> None:
    """C13: the plan projects churn or flat; growth only where the policy says so. In the forecast it may be said in any case."""
    c = await Course.begin(play, days=121, renewal__plan_may_be_incremental=may)
    await c.ahead(120)
    assessed: dict[str, Any] = {"by": AE, "checks": CHECKS, "fields": {"risk": "none", "outcome": "incremental"}}
    if may == "no":
        assert "growth is not planned, only forecast (C13)" in await c.refused("answer", task="assess_ae", choice="yellow", **assessed)
    await c.assessed("yellow", outcome="incremental" if may == "yes" else "flat")
    await c.phase("plan")
    choices = [choice.name for choice in (await play.task(c.id, "plan")).choices]
    if may == "no":
        assert choices == ["full_churn", "partial_churn", "flat"]
        assert "growth is not planned, only forecast (C13)" in await c.refused("forecast", by=AE, outcome="incremental", amount=150_000)
        await c.answer("plan", "flat", AE)
    else:
        assert choices == ["full_churn", "partial_churn", "flat", "incremental"]
        refusal = await c.refused("answer", task="plan", choice="incremental", by=AE, fields={"amount": 100_000})
        assert "100,000 does not fit incremental: the ARR is $120,000 now, and more comes" in refusal
        await c.answer("plan", "incremental", AE, amount="150000")
    status = await c.phase("forecast")
    assert status.odd.startswith("rated yellow, yet")
    assert "C13" in c.said("slack.odd.1")
    await c.update("forecast", by=AE, outcome="incremental", amount=160_000)
    await c.update("forecast", by=TA, outcome="partial_churn", **{"as": "ta"})
    status = await c.status()
    assert (status.outcome, status.amount, status.ta_outcome, status.system_outcome) == (
        "incremental",
        160_000,
        "partial_churn",
        "partial_churn",
    )
    row = c.row()
    assert (row.outcome, row.amount, row.ta_outcome, row.system_outcome) == ("incremental", 160_000, "partial_churn", "partial_churn")
    assert (await c.attributes())["Forecast"] == "incremental"


async def test_a_forecast_in_the_plan_is_the_plan(play: Play) -> None:
    """D28: whichever way the AE projects, it is asked once."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    assert "too early to forecast" in await c.refused("forecast", by=AE, outcome="flat")
    await c.assessed("yellow", outcome="partial_churn")
    await c.phase("plan")
    refusal = await c.refused("answer", task="plan", choice="partial_churn", by=AE, fields={"amount": "half"})
    assert "'amount' must be whole dollars, as 120000" in refusal
    assert "does not fit partial churn" in await c.refused("forecast", by=AE, outcome="partial_churn", amount=120_000)
    assert await c.update("forecast", by=AE, outcome="partial_churn", amount=80_000) == "partial_churn: taken"
    await c.phase("forecast")
    assert "plan" not in await c.kinds()
    assert await c.update("forecast", by=AE, outcome="partial_churn") == "partial_churn: confirmed"
    assert (await c.status()).amount == 80_000


def slack_id(play: Play, email: str) -> str:
    """How a message names the person of that address."""
    users = play.sandbox.world.services["slack"].users.values()
    return next(f"<@{user.id}>" for user in users if user.email == email)
