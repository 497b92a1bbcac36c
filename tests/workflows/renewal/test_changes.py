"""What may happen to a renewal on its way (gap 9, D30): its date moves, the account is gone, nobody processes it, messages make no sense."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from domain import ids
from domain.calendar import hours_of, months_after
from domain.forecast.quarters import quarter_of
from sandbox.core import Fault
from tests.workflows.cacheless import replayer
from tests.workflows.play import Play, eventually
from tests.workflows.renewals import AE, AE_MANAGER, RISK, SALES, TA, TA_MANAGER, TS, Course, changed, saved, silence

#: What an assessment leaves behind that asks for no plan: the CRM's part of it, and then the other systems'.
ASSESSED = [
    "slack: task.assess_ta-1",
    "slack: task.assess_ae-1",
    "slack: task.review_ta-1",
    "slack: task.review_ae-1",
    "slack: slack.rating.1",
]
#: What a yellow or red rating asks.
LIGHTHOUSE = ["slack: task.plan-1", "slack: task.save_plan-1", "slack: task.sponsor-1"]
DOCS = ["vitally: doc.assessment.1", "vitally: doc.assessment.2", "vitally: trait.rating.1", "vitally: doc.assessment.3"]

# --- the date moves ----------------------------------------------------------------------------------------------------------------------


async def test_moved_earlier_what_is_past_due_happens_at_once(play: Play) -> None:
    """Gap 9: a rated renewal whose term ends in ten days instead is processed now; the CRM, the row and the quarter follow."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.assessed("green")
    await c.ahead(100)
    to = c.on - timedelta(days=90)
    assert await c.update("move", by=AE, renewal_on=to.isoformat(), reason="they want it earlier") == f"moved to {to}: re-armed"
    await c.phase("processing")
    assert c.effects()[100] == ["salesforce: crm.moved.1", "slack: slack.moved.1", "slack: task.process-1"]
    assert c.opportunity()["CloseDate"] == to.isoformat()

    async def followed() -> bool:
        return (c.row().renewal_on, c.row().phase) == (to, "processing")

    await eventually(followed)
    assert (await c.attributes())["RenewalQuarter"] == quarter_of(changed(), to)
    assert c.id == ids.renewal(c.domain, c.on), "a moved renewal keeps its id"
    await c.answer("process", "renewed", AE, seats=100, arr=120_000)
    assert (await play.ended(c.id))["end"] == "renewed"
    assert c.account()["Contract_End__c"] == (to + timedelta(days=365)).isoformat()
    assert c.effects() == {
        c.begun: ["salesforce: crm.renewal"],
        120: ["salesforce: crm.rating.1", "salesforce: crm.forecast.1", "slack: slack.renewal", *ASSESSED, *DOCS],
        100: [
            "licensing: key.renewed",
            "salesforce: crm.moved.1",
            "salesforce: crm.closed.1",
            "salesforce: crm.account",
            "slack: slack.moved.1",
            "slack: task.process-1",
            "slack: slack.renewed.1",
        ],
    }


async def test_moved_earlier_before_anything_was_asked(play: Play) -> None:
    """C10: the early review is too late by the new date, and says so; the assessment is asked for at once."""
    c = await Course.begin(play, days=240, band="poor")
    await c.update("move", by=AE, renewal_on=(c.on - timedelta(days=140)).isoformat())
    await c.phase("assessment")
    assert await c.dossier() == [("move", "re-armed"), ("early review", "skipped")]
    assert await c.kinds() == ["assess_ae", "assess_ta"]
    await play.did(c.id, "vitally: doc.assessment.1", "slack: task.assess_ae-1")
    assert c.effects() == {
        c.begun: [
            "salesforce: crm.renewal",
            "salesforce: crm.moved.1",
            "slack: slack.renewal",
            "slack: slack.moved.1",
            "slack: task.assess_ta-1",
            "slack: task.assess_ae-1",
            "vitally: doc.assessment.1",
        ]
    }


async def test_moved_a_little_later_what_was_found_stays(play: Play) -> None:
    """Gap 9, C10: a fresh rating stays; value engineering was told and is not told twice; processing waits for its new day."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.assessed("yellow", outcome="partial_churn")
    await c.answer("plan", "partial_churn", AE, amount=100_000)
    await c.ahead(14)
    await c.phase("processing")
    to = c.on + timedelta(days=42)
    assert await c.update("move", by=AE, renewal_on=to.isoformat(), reason="their budget comes later") == f"moved to {to}: re-armed"
    status = await c.phase("forecast")
    assert (status.rating, status.outcome, status.in_lighthouse) == ("yellow", "partial_churn", True)
    assert "process" not in await c.kinds()
    await c.ahead(14 - 42)
    await c.phase("processing")
    assert await c.kinds() == ["process", "save_plan", "sponsor"]
    await play.did(c.id, "slack: task.process-2")
    assert c.effects() == {
        c.begun: ["salesforce: crm.renewal"],
        120: ["salesforce: crm.rating.1", "salesforce: crm.forecast.1", "slack: slack.renewal", *ASSESSED, *LIGHTHOUSE, *DOCS],
        **silence(("save_plan-1", "sponsor-1"), (117, 116, 113), until=-27),  # nobody saves it: asked every week, moved or not
        90: ["slack: slack.value_engineering.1"],
        14: ["salesforce: crm.moved.1", "slack: task.process-1", "slack: slack.moved.1"],
        -28: ["slack: task.process-2"],
    }


async def test_moved_a_year_later_all_begins_again(play: Play) -> None:
    """Gap 9, C10: the assessment would be stale by then: early review and assessment come again; Lighthouse is left by the vote alone."""
    c = await Course.begin(play, days=121, band="concerning")
    await c.answer("early_review", "yellow", TA, **RISK)
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    await saved(c)
    assert await c.kinds() == ["plan"]
    to = c.on + timedelta(days=364)
    assert await c.update("move", by=AE, renewal_on=to.isoformat(), reason="a two-year contract after all") == f"moved to {to}: begins anew"
    status = await c.phase("upcoming")
    assert (status.rating, status.in_lighthouse, status.outcome) == ("red", True, None)
    assert await c.kinds() == []
    await c.ahead(180 - 364)
    await c.phase("early_review")
    await c.ahead(120 - 364)
    await c.phase("assessment")
    assert "pre-filled" not in c.doc("Renewal health assessment: Acme, " + str(to))
    await c.assessed("green")
    assert (await c.phase("forecast")).in_lighthouse
    assert [each for each in await c.dossier() if each[0] in ("early review", "rating", "move")] == [
        ("early review", "flagged"),
        ("rating", "red"),
        ("move", "begins anew"),
        ("early review", "flagged"),
        ("rating", "green"),
    ]
    await play.did(c.id, "vitally: project.early.2.done")
    reviewing = silence(("early_review-2",), (-198, -199, -202), until=-243)  # due after ten working days; the assessment takes its place
    assert c.effects() == {
        c.begun: [
            "salesforce: crm.renewal",
            "slack: slack.renewal",
            "slack: task.early_review-1",
            "vitally: project.early.1",
            "vitally: doc.assessment.1",
            "vitally: project.early.1.done",
        ],
        120: [
            "salesforce: crm.rating.1",
            "salesforce: crm.moved.1",
            *ASSESSED,
            *LIGHTHOUSE,
            "slack: slack.sponsor.1",
            "slack: task.review_plan-1",
            "slack: slack.moved.1",
            "vitally: doc.assessment.2",
            "vitally: doc.assessment.3",
            "vitally: trait.rating.1",
            "vitally: doc.assessment.4",
            "vitally: doc.save_plan.1",
        ],
        **reviewing,
        -184: ["slack: task.early_review-2", "vitally: project.early.2"],
        -244: [
            "salesforce: crm.rating.2",
            "salesforce: crm.forecast.1",
            *(key.replace("-1", "-2").replace(".1", ".2") for key in ASSESSED),
            "vitally: doc.assessment.5",
            "vitally: doc.assessment.6",
            "vitally: trait.rating.2",
            "vitally: doc.assessment.7",
            "vitally: project.early.2.done",
        ],
    }


async def test_moved_later_when_nobody_had_rated_it(play: Play) -> None:
    """Gap 9: there is time again, so the assessment is asked for again, at once."""
    c = await Course.begin(play, days=121)
    await c.ahead(14)
    await c.phase("processing")
    assert (await c.update("move", by=AE, renewal_on=(c.on + timedelta(days=60)).isoformat())).endswith("begins anew")
    await c.phase("assessment")
    assert await c.kinds() == ["assess_ae", "assess_ta"]
    assert ("early review", "skipped") in await c.dossier()
    await play.did(c.id, "slack: task.assess_ae-2", "vitally: doc.assessment.3")
    assert c.effects() == {
        c.begun: ["salesforce: crm.renewal"],
        120: ["slack: slack.renewal", "slack: task.assess_ta-1", "slack: task.assess_ae-1", "vitally: doc.assessment.1"],
        **silence(("assess_ta-1", "assess_ae-1"), (113, 112, 111), until=20),
        14: [
            "salesforce: crm.moved.1",
            "slack: slack.unrated.1",
            "slack: task.process-1",
            "slack: slack.moved.1",
            "slack: task.assess_ta-2",
            "slack: task.assess_ae-2",
            "vitally: doc.assessment.2",
            "vitally: doc.assessment.3",
        ],
    }


async def test_where_it_cannot_move(play: Play) -> None:
    c = await Course.begin(play, days=121)
    assert "already" in await c.refused("move", by=AE, renewal_on=c.on.isoformat())
    assert "is over; a renewal cannot move into the past" in await c.refused("move", by=AE, renewal_on="2020-01-01")
    assert "say who" in await c.refused("move", by=" ", renewal_on=(c.on + timedelta(days=1)).isoformat())


# --- the account is gone -------------------------------------------------------------------------------------------------------------------


async def test_cancelled_by_an_early_churn(play: Play) -> None:
    """Every task is withdrawn, the opportunity is lost, the plan loses its reason, and the forecast counts what went."""
    c = await Course.begin(play, days=121, band="poor")
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    assert await c.kinds() == ["plan", "save_plan", "sponsor"]
    await play.signal(c.id, "cancel", {"why": "churned_early", "note": "insolvent", "by": AE})
    assert await play.ended(c.id) == {"domain": c.domain, "rating": "red", "outcome": "full_churn", "end": "cancelled"}
    lost, row = c.opportunity(), c.row()
    assert (lost["StageName"], lost["Description"]) == ("Closed Lost", "The account churned before its term ended: insolvent")
    assert (row.phase, row.status, row.actual_outcome, row.actual_arr) == ("cancelled", "churned", "full_churn", 0)
    assert (await c.dossier())[-1] == ("cancel", "churned_early")
    assert c.effects() == {
        c.begun: ["salesforce: crm.renewal", "slack: slack.renewal", "slack: task.early_review-1", "vitally: project.early.1"],
        120: [
            "salesforce: crm.rating.1",
            "salesforce: crm.cancelled.1",
            *ASSESSED,
            *LIGHTHOUSE,
            "slack: slack.cancelled.1",
            *DOCS,
            "vitally: project.early.1.done",
        ],
    }
    assert "the renewal is cancelled" in str(await play.ended(ids.get_well(c.domain)))


async def test_cancelled_by_a_merger_while_it_is_reviewed_early(play: Play) -> None:
    """The other account goes on with it: the opportunity keeps a note and stays open, the project is complete, no ARR is lost."""
    c = await Course.begin(play, band="poor")
    await c.ahead(180)
    await c.phase("early_review")
    assert await c.update("cancel", why="merged", note="into globex.com", by=AE) == "cancelled: merged"
    assert await play.ended(c.id) == {"domain": c.domain, "rating": None, "outcome": None, "end": "cancelled"}
    kept, row = c.opportunity(), c.row()
    assert (kept["IsClosed"], kept["Description"]) == (False, "The account was merged into another: into globex.com")
    assert (row.status, row.actual_outcome) == ("cancelled", None)
    assert c.effects()[180] == [
        "salesforce: crm.cancelled.1",
        "slack: slack.renewal",
        "slack: task.early_review-1",
        "slack: slack.cancelled.1",
        "vitally: project.early.1",
        "vitally: project.early.1.done",
    ]
    assert c.projects()[f"Renewal Health Assessment {c.on}"] == "Completed"


# --- processing ----------------------------------------------------------------------------------------------------------------------------


async def green(play: Play, **more: Any) -> Course:
    """A green renewal that is to be processed."""
    c = await Course.begin(play, days=121, **more)
    await c.ahead(120)
    await c.assessed("green")
    await c.ahead(14)
    await c.phase("processing")
    return c


async def test_silence_never_ends_a_renewal(play: Play) -> None:
    """D30: the AE is reminded, then the TA is asked, then the AE's manager, who hears of the term's end, and then every week again."""
    c = await green(play)
    await c.ahead(-20)
    status = await c.status()
    assert (status.phase, status.end, c.row().status) == ("processing", "", "open")
    assert {left: done for left, done in c.effects().items() if left <= 14} == {
        14: ["slack: task.process-1"],
        7: ["slack: task.process-1.reminder-1"],
        6: ["slack: task.process-1.reminder-2"],
        5: ["slack: task.process-1.reminder-3"],
        0: ["slack: slack.term_end.1"],
        -2: ["slack: task.process-1.reminder-4"],
        -9: ["slack: task.process-1.reminder-5"],
        -16: ["slack: task.process-1.reminder-6"],
    }
    await c.answer("process", "churned", AE_MANAGER, reason="they had left long ago")
    assert (await play.ended(c.id))["end"] == "churned"


async def test_an_extension_of_the_deal_desk(play: Play) -> None:
    """4.5: at most 30 days in all, by whom it was approved is on record; a key for it; the next term begins where this one ends."""
    c = await green(play)
    extend: dict[str, Any] = {"task": "process", "choice": "extend", "by": AE}
    asked: dict[str, Any] = {"days": 31, "approved_by": "desk@tenure.example"}
    assert "an extension may be of 30 days in all" in await c.refused("answer", **extend, fields=asked)
    await c.answer("process", "extend", AE, **{**asked, "days": 20})
    status = await c.status()
    assert (status.renewal_on, status.due_on) == (c.on, c.on + timedelta(days=20))
    assert "approved by desk@tenure.example" in status.in_words
    await play.task(c.id, "process-2")
    assert "so 10 at most are left" in await c.refused("answer", **extend, fields={**asked, "days": 11})
    key = play.licence(c.domain)
    assert (key["seats"], key["expires"]) == (110, (c.on + timedelta(days=21)).isoformat())  # through its last day, wherever on earth
    await c.ahead(-20)
    await play.did(c.id, "slack: slack.term_end.1")
    assert "slack: slack.term_end.1" in c.effects()[-20]
    early = {"seats": 100, "arr": 120_000, "contract_end": c.on.isoformat()}
    assert "is not after" in await c.refused("answer", task="process", choice="renewed", by=AE, fields=early)
    await c.answer("process", "renewed", AE, seats=100, arr=120_000)
    assert (await play.ended(c.id))["end"] == "renewed"
    assert play.licence(c.domain)["expires"] == (months_after(c.on, 12) + timedelta(days=1)).isoformat()
    assert c.effects()[14][:2] == ["licensing: key.extended.1", "salesforce: crm.extended.1"]


async def test_a_subscription_that_nobody_knows_is_asked_for(play: Play) -> None:
    """D30: a renewal never makes a new subscription: without one on record the TA names it, and the key waits."""
    c = await Course.begin(play, days=121)
    known = c.account()["License_Subscription__c"]
    play.crm({"Domain__c": c.domain, "License_Subscription__c": None})
    await c.ahead(120)
    await c.assessed("green")
    await c.ahead(14)
    await c.answer("process", "renewed", AE, seats=100, arr=120_000)
    await play.task(c.id, "subscription")
    assert (await c.status()).phase == "closing"
    assert "too late to move it: the renewal is being closed" in await c.refused("move", by=AE, renewal_on="2030-01-01")
    assert "too late to cancel" in await c.refused("cancel", why="merged")
    await c.answer("subscription", "known", TA, subscription=known)
    assert (await play.ended(c.id))["end"] == "renewed"
    assert play.licence(c.domain)["expires"] == (months_after(c.on, 12) + timedelta(days=1)).isoformat()


async def test_a_double_click_is_one_answer_and_a_late_one_is_refused(play: Play) -> None:
    c = await green(play)
    said = {"task": "process", "choice": "renewed", "by": AE, "fields": {"seats": 100, "arr": 120_000}}
    click = [play.update(c.id, "answer", said, event="click-1") for _ in range(2)]
    assert await asyncio.gather(*click) == ["process-1: renewed, taken"] * 2
    assert (await play.ended(c.id))["end"] == "renewed"
    assert c.effects()[14].count("licensing: key.renewed") == 1


async def test_a_stale_card_is_refused_with_who_answered(play: Play) -> None:
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await c.answer("assess_ta", "green", TA, **RISK)
    late = {"task": "assess_ta-1", "choice": "red", "by": TA_MANAGER, "fields": RISK}
    assert f"assess_ta-1 was answered by {TA} at" in await c.refused("answer", **late)


# --- whatever else comes -------------------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, ...]] = {
    "forecast": (None, {}, {"by": AE}, {"by": AE, "outcome": "more"}, {"by": AE, "outcome": "flat", "amount": -1}, {"by": AE, "outcome": "flat", "as": "ce"}),
    "assess": (None, {}, {"by": AE, "rating": "blue", "why": "x"}, {"by": AE, "rating": "red", "why": "x" * 2_001}),
    "move": (None, {}, {"by": AE, "renewal_on": "soon"}, {"by": 7, "renewal_on": "2030-01-01"}),
    "cancel": (None, {}, {"why": "bored"}, {"why": "merged", "note": []}),
    "answer": (None, {}, {"task": "plan"}, {"task": "nothing", "choice": "yes", "by": AE}),
    "plan_reviewed": (None, {}, {"criteria_met": "perhaps"}, {"criteria_met": True}),
}  # fmt: skip


async def test_nonsense_is_refused_with_words_and_as_a_signal_noted(play: Play) -> None:
    """Whatever a script or the Web UI sends; that no workflow task failed is asserted for every test."""
    c = await Course.begin(play, days=190)
    before, number = await c.status(), 0
    for name, messages in WRONG.items():
        for message in (*messages, "now", [1], 7, True):
            if name != "plan_reviewed":
                assert await play.refused(c.id, name, message)
            await play.signal(c.id, name, message)
            number += 1

    async def noted() -> bool:
        return len((await c.status()).notes) == number

    await eventually(noted)
    after = await c.status()
    assert after.model_copy(update={"notes": ()}) == before
    assert c.effects() == {c.begun: ["salesforce: crm.renewal"]}


async def test_each_update_may_come_as_a_signal(play: Play) -> None:
    """From the Web UI or `temporal workflow signal`, and from the account's other processes."""
    c = await Course.begin(play, days=121)
    await c.ahead(120)
    await play.signal(c.id, "assess", {"by": TS, "rating": "yellow", "why": "a merger is near"})
    await c.phase("plan")
    await play.signal(c.id, "answer", {"task": "plan", "choice": "flat", "by": AE})
    await c.phase("forecast")
    await play.signal(c.id, "forecast", {"by": TA, "outcome": "partial_churn", "as": "ta"})
    to = c.on + timedelta(days=7)
    await play.signal(c.id, "move", {"by": AE, "renewal_on": to.isoformat()})

    async def moved() -> bool:
        return c.row().renewal_on == to

    await eventually(moved)
    assert (c.row().outcome, c.row().ta_outcome) == ("flat", "partial_churn")
    assert (await c.status()).notes == ()


async def test_a_message_that_comes_with_the_start(play: Play) -> None:
    """Whatever a message asks of the CRM comes after the opportunity is kept."""
    c = await Course.begin(play, days=121, first=("assess", {"by": TS, "rating": "red", "why": "a red account"}))
    await play.did(c.id, "slack: task.sponsor-1")
    assert c.effects()[c.begun][:2] == ["salesforce: crm.renewal", "salesforce: crm.rating.1"]
    assert (await c.status()).in_lighthouse


async def test_a_system_that_is_down_stalls_only_itself(play: Play) -> None:
    """Idea 4: while Vitally does not answer, TA and AE are asked all the same; afterwards the document is there, once."""
    c = await Course.begin(play, days=121)
    await play.quiet(c.id)
    play.sandbox.world.faults.append(Fault("vitally", "status", times=10_000, status=503))
    await play.skip_to(c.id, hours_of(changed().office, c.on - timedelta(days=120))[0])
    await play.task(c.id, "assess_ta")
    await play.did(c.id, "slack: task.assess_ae-1")

    async def shows_as_itself() -> bool:
        pending = (await c.handle.describe()).raw_description.pending_activities
        return {each.activity_type.name for each in pending} == {"vitally"}

    await eventually(shows_as_itself)
    play.sandbox.world.faults.clear()
    await play.skip(c.id, hours=1)
    await play.did(c.id, "vitally: doc.assessment.1")
    assert c.effects()[120].count("vitally: doc.assessment.1") == 1


async def test_a_worker_that_starts_again_in_the_middle(play: Play) -> None:
    """Its history up to any point replays: a worker that knows nothing of it goes on where the other one was."""
    c = await Course.begin(play, days=121, band="poor")
    await c.ahead(120)
    await c.assessed("red", outcome="full_churn")
    await c.answer("sponsor", "assign", TS, sponsor=SALES)
    replays = replayer(play.env.client.data_converter)
    await replays.replay_workflow(await c.handle.fetch_history())
    await c.update("cancel", why="merged")
    await play.ended(c.id)
    await replays.replay_workflow(await c.handle.fetch_history())


async def test_what_operators_and_people_read(play: Play) -> None:
    """Idea 7: where it stands in words, and what comes next with its time."""
    c = await Course.begin(play, days=190)
    ahead = await c.handle.query("next_steps")
    assert [step["what"] for step in ahead] == [
        "early review: is it yellow or red?",
        "the health assessment is asked of TA and AE",
        "value engineering is told, if the rating is yellow or red",
        "the AE is asked to process the renewal",
        "the term ends; who has not answered is told",
    ]
    first = f"{c.on - timedelta(days=180)} 07:00 UTC: early review"
    words = (await c.status()).in_words
    assert words.startswith(f"Acme: the renewal of {c.on}, ")
    assert first in words
