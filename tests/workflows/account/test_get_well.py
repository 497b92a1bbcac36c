"""Get-well plans (D15–D17, C06): one plan, its questions, its weekly and bi-weekly round, and its end, each scenario with all its effects."""

from __future__ import annotations

from typing import Any

from domain.account.get_well import GetWellInput
from tests.workflows.accounts import AE, CONTEXT, PLAN, SALES, TA, TA_MANAGER, TS, WEEK, Life
from tests.workflows.play import Play, eventually

OPENED = ["slack: slack.plan", "slack: task.plan-1", "vitally: project.get_well_plan.1"]


async def days(life: Life) -> dict[int, list[str]]:
    """Every effect of the plan, by day since it began."""
    await life.play.quiet(life.plan)
    return life.play.effects(life.plan)


async def told(life: Life, key: str) -> str:
    """What was said in the plan's thread under a key that begins so, the newest."""
    rows = [row for row in life.play.ledger.effects(workflow=life.plan) if row.key.startswith(key)]
    return life.play.said(rows[-1].key, life.plan)


async def test_planned_updated_reviewed_and_over(play: Play) -> None:
    """Six questions; each week one card and one answer; every other week the manager's review; over when the reason is gone."""
    life = await Life.planned(play, "renewal")
    plan = await play.task(life.plan, "plan")
    assert (plan.role, plan.assignee) == ("ta", TA)
    assert [field.name for field in plan.choices[0].fields] == list(PLAN)
    assert life.projects() == {"Get Well Plan": ["Not started"]}
    assert life.doc().count("not answered yet") == 6
    missing = await life.refused("answer", life.plan, task="plan", choice="planned", by=TA, fields={"state": "x"})
    assert "'planned' needs the field 'onboarding_flow'" in missing
    await life.answer(life.plan, "plan", "planned", **PLAN)
    assert "two teams of nine use it" in life.doc()
    assert await life.kinds(life.plan) == []

    await life.weeks(life.plan, 1)
    await life.answer(life.plan, "update", "at_risk", **WEEK, blockers="SSO")
    assert "at risk" in life.doc()
    await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["update"]  # the review waits for the week's update
    await life.answer(life.plan, "update", "on_track", progress="SSO works", next="invite everybody")
    review = await play.task(life.plan, "review")
    assert (review.role, review.assignee) == ("ta_manager", TA_MANAGER)
    assert "SSO works" in review.asks
    await life.answer(life.plan, "review", "continue", TA_MANAGER, note="go on")
    await life.reason("renewal", on=False, why="it is saved")
    assert await play.ended(life.plan) == "Every reason is gone, the last one because: a renewal at risk (it is saved)."
    assert await days(life) == {
        0: [*OPENED, "vitally: doc.plan.1", "vitally: doc.plan.2"],
        7: ["slack: task.update-1", "vitally: doc.plan.3"],
        14: [
            "slack: task.update-2",
            "slack: task.review-1",
            "slack: slack.ended",
            "vitally: doc.plan.4",
            "vitally: doc.plan.5",
            "vitally: project.get_well_plan.1.done",
            "vitally: doc.plan.6",
        ],
    }
    assert life.projects() == {"Get Well Plan": ["Completed"]}
    assert await life.dossier(life.plan) == [("plan", "open"), ("leadership review", "continue"), ("plan", "ended")]
    assert "review, continue" in life.doc()
    assert "Every reason is gone" in await told(life, "slack.ended")


async def test_a_low_utilization_needs_to_say_why_and_has_a_project_of_its_own(play: Play) -> None:
    """D17, C06: the context is a seventh field; low and decreased are never two projects at a time."""
    life = await Life.planned(play, "low_utilization")
    plan = await play.task(life.plan, "plan")
    assert [field.name for field in plan.choices[0].fields] == [*PLAN, *CONTEXT]
    await life.answer(life.plan, "plan", "planned", **PLAN, **CONTEXT)
    assert "the rollout waits for their SSO" in life.doc()
    await life.reason("decreased_usage", on=True)
    assert life.projects() == {"Get Well Plan": ["Not started"], "Low Utilization": ["Not started"]}
    await life.reason("low_utilization", on=False, why="the target was reached in May")
    assert life.projects() == {"Get Well Plan": ["Not started"], "Low Utilization": ["Completed"], "Decreased Usage": ["Not started"]}
    await life.reason("decreased_usage", on=False, why="at the target again")
    await play.ended(life.plan)
    assert {state for states in life.projects().values() for state in states} == {"Completed"}
    assert await days(life) == {
        0: [
            *OPENED[:2],
            "slack: slack.reason.1",
            "slack: slack.reason.2",
            "slack: slack.ended",
            OPENED[2],
            "vitally: project.low_utilization.1",
            "vitally: doc.plan.1",
            "vitally: doc.plan.2",
            "vitally: doc.plan.3",
            "vitally: project.low_utilization.1.done",
            "vitally: project.decreased_usage.1",
            "vitally: doc.plan.4",
            "vitally: project.get_well_plan.1.done",
            "vitally: project.decreased_usage.1.done",
            "vitally: doc.plan.5",
        ]
    }


async def test_a_low_utilization_that_comes_later_asks_for_its_context_only(play: Play) -> None:
    life = await Life.planned(play, "renewal")
    await life.answer(life.plan, "plan", "planned", **PLAN)
    await life.reason("low_utilization", on=True, why="day 45")
    again = await play.task(life.plan, "plan-2")
    assert [field.name for field in again.choices[0].fields] == list(CONTEXT)
    assert "low utilization (day 45)" in await told(life, "slack.reason")
    await life.answer(life.plan, "plan", "planned", **CONTEXT)
    assert "the rollout waits for their SSO" in life.doc()
    assert await life.kinds(life.plan) == []


async def test_the_ta_writes_and_rewrites_the_plan_at_any_time(play: Play) -> None:
    """Part by part before the card is answered, which closes it; and again later."""
    life = await Life.planned(play, "red_account")
    said = await life.update("plan", life.plan, by=TA, state="unclear", drive="trainings")
    assert said == "taken: state, drive; still to be answered: onboarding_flow, docs, syncs, help"
    assert await life.kinds(life.plan) == ["plan"]
    rest = {name: text for name, text in PLAN.items() if name not in ("state", "drive")}
    said = await life.update("plan", life.plan, by=TA, **rest)
    assert said.endswith("the plan is complete")
    assert await life.kinds(life.plan) == []
    late = await life.refused("answer", life.plan, task="plan-1", choice="planned", by=TA, fields=PLAN)
    assert f"plan-1 is closed (the plan was written by {TA})" in late
    await life.weeks(life.plan, 1)
    await play.task(life.plan, "update")  # the cadence began with the plan
    await play.signal(life.plan, "plan", {"by": TA, "state": "two teams of ten"})

    async def rewritten() -> bool:
        return "two teams of ten" in life.doc()

    await eventually(rewritten)
    assert await days(life) == {
        0: [*OPENED, "vitally: doc.plan.1", "vitally: doc.plan.2", "vitally: doc.plan.3"],
        7: ["slack: task.update-1", "vitally: doc.plan.4"],
    }


async def test_what_cannot_be_written_is_refused_with_words(play: Play) -> None:
    life = await Life.planned(play, "renewal")
    for message, why in (
        ({"state": "x"}, '"by" must be your e-mail address'),
        ({"by": TA}, "there is nothing to write; give at least one of: state, onboarding_flow, docs, syncs, drive, help, context"),
        ({"by": TA, "status": "x"}, "there is nothing to write"),
        ({"by": TA, "state": "x" * 2_001}, "at most 2000 characters"),
        ("the plan", "cannot read the message"),
    ):
        assert why in await play.refused(life.plan, "plan", message)
    nonsense: list[tuple[str, Any]] = [("reason", {"reason": "boredom", "on": True}), ("reason", 7), ("plan", {"by": TA}), ("answer", None)]
    for name, sent in nonsense:
        await play.signal(life.plan, name, sent)

    async def noted() -> bool:
        status = await life.handle(life.plan).query("status")
        return len(status["notes"]) == 4

    assert await eventually(noted)
    assert await days(life) == {0: [*OPENED, "vitally: doc.plan.1"]}


async def test_the_ta_is_silent(play: Play) -> None:
    """The TA, the AE, the TA's manager, then the manager every week; nothing is asked twice meanwhile, and one answer begins it."""
    life = await Life.planned(play, "low_utilization")
    for number, email in enumerate((TA, AE, TA_MANAGER, TA_MANAGER), 1):
        task = await play.task(life.plan, "plan")
        assert task.asked_next == email
        assert task.asked_next_at
        await play.skip_to(life.plan, task.asked_next_at)
        await play.did(life.plan, f"slack: task.plan-1.reminder-{number}")
    assert await life.kinds(life.plan) == ["plan"]
    every = [key for day in (await days(life)).values() for key in day]
    reminders = [f"slack: task.plan-1.reminder-{number}" for number in (1, 2, 3, 4)]
    assert every == [*OPENED, "vitally: project.low_utilization.1", "vitally: doc.plan.1", *reminders]
    await life.answer(life.plan, "plan", "planned", AE, **PLAN, **CONTEXT)
    await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["update"]


async def test_an_update_that_nobody_gives_is_asked_once_and_the_review_comes_all_the_same(play: Play) -> None:
    """Three silent weeks: one card with its ladder; the manager's review waits until that week's update was due, and hears that none came."""
    life = await Life.planned(play, "renewal")
    await life.answer(life.plan, "plan", "planned", **PLAN)
    for _ in range(3):
        await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["review", "update"]
    review = await play.task(life.plan, "review")
    assert review.asks == "No update came yet."
    cards = [key for day in (await days(life)).values() for key in day if "reminder" not in key and "task." in key]
    assert cards == ["slack: task.plan-1", "slack: task.update-1", "slack: task.review-1"]
    await life.answer(life.plan, "update", "off_track", **WEEK)
    await life.answer(life.plan, "review", "escalate", TA_MANAGER, note="nobody answers us")
    escalated = await told(life, "slack.escalated")
    assert "nobody answers us" in escalated
    assert life.mentioned(escalated) == {TS, SALES}
    await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["update"]  # the next round is asked for anew, and no missed one is made up for


async def test_whoever_asked_for_the_plan_hears_of_every_review(play: Play) -> None:
    """``plan_reviewed`` goes to the process that gave the reason."""
    other = await Life.planned(play, "renewal", name="Other")
    life = await Life.planned(play, "renewal", asker=other.plan)
    await life.answer(life.plan, "plan", "planned", **PLAN)
    await life.weeks(life.plan, 2)
    await life.answer(life.plan, "update", "on_track", **WEEK)
    await life.answer(life.plan, "review", "criteria_met", TA_MANAGER, note="80 % for a month")
    heard = [message for name, message in await other.heard(other.plan) if name == "plan_reviewed"]
    assert heard == [{"criteria_met": True, "note": "80 % for a month", "by": TA_MANAGER}]


async def test_a_reason_that_comes_while_the_plan_ends_is_a_new_plan(play: Play) -> None:
    """Vitally is down while it ends; the reason that comes meanwhile is not lost: a thread, a card and projects of its own."""
    life = await Life.planned(play, "renewal")
    await life.answer(life.plan, "plan", "planned", **PLAN)
    play.fault("vitally", "error", times=3)
    await play.signal(life.plan, "reason", {"reason": "renewal", "on": False})
    await play.did(life.plan, "slack: slack.ended")
    await play.signal(life.plan, "reason", {"reason": "red_account", "on": True, "why": "the champion left"})

    async def second() -> bool:
        return life.projects() == {"Get Well Plan": ["Completed", "Not started"]}

    await eventually(second)
    status = await life.handle(life.plan).query("status")
    assert (status["reasons"], status["planned_at"]) == ({"red_account": "the champion left"}, None)
    assert await life.kinds(life.plan) == ["plan"]
    assert await play.runs(life.plan) == 2


async def test_a_system_that_is_down_stalls_only_itself(play: Play) -> None:
    """Vitally does not answer for a while: the cards go on, and its documents follow."""
    life = await Life.planned(play, "renewal")
    play.fault("vitally", "error", times=2)
    said = await play.answer(life.plan, "plan", "planned", by=TA, fields=PLAN)
    assert said == "plan-1: planned, taken"

    async def written() -> bool:
        return "two teams of nine use it" in life.doc()

    await eventually(written)
    await life.weeks(life.plan, 1)
    await life.answer(life.plan, "update", "on_track", **WEEK)
    assert await days(life) == {
        0: [*OPENED, "vitally: doc.plan.1", "vitally: doc.plan.2"],
        7: ["slack: task.update-1", "vitally: doc.plan.3"],
    }


async def test_months_of_it_are_continued_as_new_and_nothing_is_asked_twice(play: Play) -> None:
    """Twelve weeks, six reviews; the numbers of its tasks and effects go on through the runs, and an open task goes along."""
    life = await Life.planned(play, "renewal")
    await life.answer(life.plan, "plan", "planned", **PLAN)
    for week in range(1, 13):
        await life.weeks(life.plan, 1)
        await life.answer(life.plan, "update", "on_track", progress=f"week {week}", next="more")
        if week % 2 == 0:
            await life.answer(life.plan, "review", "continue", TA_MANAGER)
    assert await play.runs(life.plan) > 1
    asked = [key for day in (await days(life)).values() for key in day if key.startswith("slack: task.")]
    weeks = [f"slack: task.update-{week}" for week in range(1, 13)]
    reviews = [f"slack: task.review-{number}" for number in range(1, 7)]
    assert sorted(asked) == sorted(["slack: task.plan-1", *weeks, *reviews])
    assert sorted(life.play.effects(life.plan)) == [7 * week for week in range(13)]
    assert "week 12" in life.doc()
    assert "two teams of nine use it" in life.doc()
    await life.reason("renewal", on=False)
    await play.ended(life.plan)


async def test_without_a_reason_there_is_no_plan(play: Play) -> None:
    life = Life.of(play)
    await life.start("GetWell", life.plan, GetWellInput(**life.known()))
    await play.skip(life.plan, hours=0.2)
    assert await play.ended(life.plan) == "no reason came"
    assert play.effects(life.plan) == {}


async def test_c06_both_cadences_are_figures(play: Play) -> None:
    """Bi-weekly updates, and a review every week: which then waits for no update."""
    life = await Life.planned(play, "renewal", get_well__update_days=14, get_well__leadership_days=7)
    await life.answer(life.plan, "plan", "planned", **PLAN)
    await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["review"]
    await life.answer(life.plan, "review", "continue", TA_MANAGER)
    await life.weeks(life.plan, 1)
    assert await life.kinds(life.plan) == ["update"]
    await life.answer(life.plan, "update", "on_track", **WEEK)
    assert await life.kinds(life.plan) == ["review"]
