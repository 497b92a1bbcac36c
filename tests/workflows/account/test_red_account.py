"""Red accounts (B17, B18, C19, C20): marked everywhere at once, tracked every week, promoted by people, each scenario with all its effects."""

from __future__ import annotations

from typing import Any

from domain.account.account import AccountFacts
from domain.account.red import RedInput
from tests.workflows.accounts import AE, FILLED, PLAN, STEADY, TA, TA_MANAGER, Life
from tests.workflows.play import Play, eventually

FIELD, TRAIT = "Customer_Health__c", "Account - Red Account?"
MARKED = ["salesforce: crm.red.1", "sheets: sheet.row.1", "slack: slack.red", "slack: task.fill-1", "vitally: trait.red.1"]


async def days(life: Life) -> dict[int, list[str]]:
    """Every effect of the red account, by day since it was marked."""
    await life.play.quiet(life.red)
    return life.play.effects(life.red)


async def facts(life: Life, **more: Any) -> None:
    """What the account tells of how it does by now."""
    life.scored(await life.now(life.red), **more)
    view = life.view()
    assert view.customer is not None
    await life.play.signal(life.red, "facts", AccountFacts(customer=view.customer, team=view.team, standing=view.standing))
    await life.play.quiet(life.red)


async def seen(life: Life, health: str, *, red: bool) -> None:
    """C20: both systems say the same."""

    async def look() -> bool:
        return (life.crm_account()[FIELD], life.traits().get(TRAIT)) == (health, red)

    await eventually(look)


async def test_marked_filled_tracked_and_resolved_to_yellow(play: Play) -> None:
    """B18, C20: one command, every system in one moment; state, needs and actions; a week's update; promoted to yellow by a person."""
    life = await Life.marked(play)
    await seen(life, "Red", red=True)
    assert life.mentioned(play.said("slack.red", life.red)) == {TA, AE, TA_MANAGER}
    fill = await play.task(life.red, "fill")
    assert (fill.role, fill.assignee) == ("ta", TA)  # C19: the TA, after the sale
    assert [field.name for field in fill.choices[0].fields] == ["state", "needs", "actions"]
    [row] = life.rows()
    assert (row["Account"], row["Reason"], row["Source"], row["Status"]) == ("Acme", "the champion left", "judgement", "Red")
    await play.task(life.plan, "plan")
    assert (await life.handle(life.plan).query("status"))["reasons"] == {"red_account": "the champion left"}

    await life.answer(life.red, "fill", "filled", **FILLED)
    [row] = life.rows()
    assert (row["State"], row["Needs"], row["Actions"]) == tuple(FILLED.values())
    assert "an executive's call" in play.said("slack.fill.1", life.red)
    await life.weeks(life.red, 1)
    await life.answer(life.red, "update", "at_risk", state="the call took place", needs="a new champion")
    [row] = life.rows()
    assert (row["State"], row["Needs"], row["Actions"]) == ("the call took place", "a new champion", FILLED["actions"])
    assert row["Status"] == "Red, at risk"

    said = await life.update("resolve", life.red, by=TA_MANAGER, to="yellow", note="a new champion stands in")
    assert said == "red no more: yellow, and written back"
    assert await play.ended(life.red) == "yellow"
    assert await days(life) == {
        0: [*MARKED[:1], "sheets: sheet.row.1", "sheets: sheet.row.2", *MARKED[2:4], "slack: slack.fill.1", MARKED[4]],
        7: [
            "salesforce: crm.red.2",
            "sheets: sheet.row.3",
            "sheets: sheet.row.4",
            "slack: task.update-1",
            "slack: slack.update.1",
            "slack: slack.ended",
            "vitally: trait.red.2",
        ],
    }
    await seen(life, "Yellow", red=False)
    [row] = life.rows()
    assert row["Status"] == "Yellow"
    assert row["Resolved"]
    assert "a new champion stands in" in play.said("slack.ended", life.red)
    assert await play.ended(life.plan) == "Every reason is gone, the last one because: a red account (promoted to yellow)."
    assert await life.dossier(life.red) == [("red", "red"), ("red", "yellow")]


async def test_a_second_mark_adds_its_reason_to_thread_and_row(play: Play) -> None:
    """No second thread, no second row, no second plan; the same reason again changes nothing."""
    life = await Life.marked(play)
    said = await life.update("mark_red", life.red, by=AE, reason="budget cuts")
    assert said == "red already; the reason is added: budget cuts"
    assert await life.update("mark_red", life.red, by=AE, reason="budget cuts") == "red already, for this very reason: budget cuts"
    await play.signal(life.red, "mark_red", {"reason": "no interaction for 40 days", "source": "automatic"})
    await play.did(life.red, "sheets: sheet.row.3")
    [row] = life.rows()
    assert row["Reason"] == "the champion left; budget cuts; no interaction for 40 days"
    assert row["Source"] == "judgement, automatic"
    assert await days(life) == {
        0: [
            MARKED[0],
            "sheets: sheet.row.1",
            "sheets: sheet.row.2",
            "sheets: sheet.row.3",
            *MARKED[2:4],
            "slack: slack.reason.1",
            "slack: slack.reason.2",
            MARKED[4],
        ]
    }
    assert f"budget cuts ({AE})" in play.said("slack.reason.1", life.red)
    assert await play.runs(life.plan) == 1


async def test_the_facts_propose_and_the_manager_decides(play: Play) -> None:
    """B17: a better band is a proposal; a no is kept for that band, a better one is proposed anew, and a yes promotes it."""
    life = await Life.marked(play, "health score 3, at most 5", facts={"score": 3.0, "band": "poor"})
    await facts(life, score=6.0, band="concerning")
    proposed = await play.task(life.red, "promote")
    assert (proposed.role, proposed.assignee) == ("ta_manager", TA_MANAGER)
    assert proposed.title == "Acme: promote it to yellow?"
    await life.answer(life.red, "promote", "no", TA_MANAGER)
    await facts(life, score=6.5, band="concerning")
    assert await life.kinds(life.red) == ["fill"]
    await facts(life, score=4.0, band="poor")
    await facts(life, score=9.0, band="healthy")
    assert (await play.task(life.red, "promote")).title == "Acme: promote it to green?"
    await life.answer(life.red, "promote", "yes", TA_MANAGER, note="a quarter of green")
    assert await play.ended(life.red) == "green"
    await seen(life, "Green", red=False)
    assert await life.dossier(life.red) == [
        ("red", "red"),
        ("promotion", "yellow"),
        ("promotion", "green"),
        ("red", "green"),
    ]
    assert await days(life) == {
        0: [
            MARKED[0],
            "salesforce: crm.red.2",
            "sheets: sheet.row.1",
            "sheets: sheet.row.2",
            *MARKED[2:4],
            "slack: task.promote-1",
            "slack: task.promote-2",
            "slack: slack.ended",
            MARKED[4],
            "vitally: trait.red.2",
        ]
    }


async def test_a_proposal_is_withdrawn_when_the_facts_are_bad_again(play: Play) -> None:
    life = await Life.marked(play, facts={"score": 3.0, "band": "poor"})
    await facts(life, score=6.0, band="concerning")
    await play.task(life.red, "promote")
    await facts(life, score=3.0, band="poor")
    late = await life.refused("answer", life.red, task="promote-1", choice="yes", by=TA_MANAGER)
    assert "promote-1 is closed (the facts have changed: The band is poor.)" in late
    await facts(life, score=6.0, band="concerning")
    assert (await play.task(life.red, "promote")).task == "promote-2"


async def test_judgement_stays_with_people(play: Play) -> None:
    """Marked by a person at a healthy band: the same band proposes nothing; a found champion does (D20)."""
    life = await Life.marked(play, facts={"score": 9.0, "band": "healthy", "champion": False})
    await facts(life, score=9.5, band="healthy", champion=False)
    assert await life.kinds(life.red) == ["fill"]
    await facts(life, score=9.5, band="healthy", champion=True)
    assert "a champion was found" in (await play.task(life.red, "promote")).asks


async def test_the_ledger_is_looked_at_every_week_even_if_nobody_tells_it(play: Play) -> None:
    """Who was marked by hand, beside the account's own process, is proposed all the same."""
    life = await Life.marked(play, facts={"score": 3.0, "band": "poor"})
    await life.answer(life.red, "fill", "filled", **FILLED)
    life.scored(await life.now(life.red), score=9.0, band="healthy")
    await life.weeks(life.red, 1)
    assert await life.kinds(life.red) == ["promote", "update"]


async def test_the_customer_is_gone(play: Play) -> None:
    """Nothing is left to save: the trait is taken back, row and thread say so, the plan ends; the CRM's field stays as it was."""
    life = await Life.marked(play)
    life.crm(Type="Former Customer")
    await facts(life)
    assert await play.ended(life.red) == "churned"
    await seen(life, "Red", red=False)
    [row] = life.rows()
    assert row["Status"] == "Churned"
    assert await days(life) == {
        0: [
            MARKED[0],
            "sheets: sheet.row.1",
            "sheets: sheet.row.2",
            *MARKED[2:4],
            "slack: slack.ended",
            MARKED[4],
            "vitally: trait.red.2",
        ]
    }
    await play.ended(life.plan)


async def test_c20_where_lighthouse_is_the_program_only_the_fields_are_written(play: Play) -> None:
    """C20, the other value: no thread, no row, no card; the open renewal is rated red, and the plan has its reason."""
    other = await Life.planned(play, "renewal", name="Other")
    life = Life.of(play, red__program="lighthouse")
    life.renewal = other.plan  # whoever runs there hears the signal
    await life.mark()
    await seen(life, "Red", red=True)
    assert await days(life) == {0: ["salesforce: crm.red.1", "vitally: trait.red.1"]}
    assert life.rows() == []
    assert await life.kinds(life.red) == []
    await play.task(life.plan, "plan")
    [told] = [sent for name, sent in await other.heard(other.plan) if name == "assess"]
    assert told == {"by": TA, "rating": "red", "why": "red account: the champion left"}
    await life.update("resolve", life.red, by=TA_MANAGER, to="green")
    assert await play.ended(life.red) == "green"
    await seen(life, "Green", red=False)
    assert await days(life) == {0: ["salesforce: crm.red.1", "salesforce: crm.red.2", "vitally: trait.red.1", "vitally: trait.red.2"]}
    await play.ended(life.plan)


async def test_the_ta_is_silent(play: Play) -> None:
    """The TA, the AE, the TA's manager, then the manager every week."""
    life = await Life.marked(play)
    for number, email in enumerate((TA, AE, TA_MANAGER, TA_MANAGER), 1):
        task = await play.task(life.red, "fill")
        assert task.asked_next == email
        assert task.asked_next_at
        await play.skip_to(life.red, task.asked_next_at)
        await play.did(life.red, f"slack: task.fill-1.reminder-{number}")
    every = [key for day in (await days(life)).values() for key in day]
    assert every == [*MARKED, *(f"slack: task.fill-1.reminder-{number}" for number in (1, 2, 3, 4))]


async def test_what_cannot_be_taken_is_refused_with_words(play: Play) -> None:
    life = await Life.marked(play)
    for name, message, why in (
        ("mark_red", {"by": TA}, "reason: Field required"),
        ("mark_red", {"reason": ""}, "at least 1 character"),
        ("resolve", {"by": TA, "to": "red"}, "'yellow' or 'green'"),
        ("resolve", {"to": "green"}, '"by" must be your e-mail address'),
    ):
        assert why in await life.refused(name, life.red, **message)
    nonsense: list[tuple[str, Any]] = [("mark_red", 7), ("resolve", {"to": "green"}), ("facts", "fine"), ("answer", {})]
    for name, sent in nonsense:
        await play.signal(life.red, name, sent)

    async def noted() -> bool:
        return len((await life.handle(life.red).query("status"))["notes"]) == 4

    assert await eventually(noted)
    assert await days(life) == {0: MARKED}


async def test_resolved_once(play: Play) -> None:
    """The sheet is down while it is promoted: a second word is refused with the first one's."""
    life = await Life.marked(play)
    play.fault("sheets", "error", times=3)
    await play.update(life.red, "resolve", {"by": TA_MANAGER, "to": "yellow"})
    assert "it is yellow already; nothing was changed" in await life.refused("resolve", life.red, by=TA_MANAGER, to="green")
    assert await play.ended(life.red) == "yellow"
    await seen(life, "Yellow", red=False)


async def test_marked_again_while_it_is_promoted(play: Play) -> None:
    """The sheet is down while it is promoted; the mark that comes meanwhile is not lost: red anew, with a row and a thread of its own."""
    life = await Life.marked(play)
    play.fault("sheets", "error", times=3)
    await play.update(life.red, "resolve", {"by": TA_MANAGER, "to": "yellow"})
    await play.did(life.red, "slack: slack.ended")
    await play.update(life.red, "mark_red", {"by": AE, "reason": "layoffs"})

    async def anew() -> bool:
        return [row["Status"] for row in life.rows()] == ["Yellow", "Red"]

    await eventually(anew)
    await seen(life, "Red", red=True)
    assert [row["Reason"] for row in life.rows()] == ["the champion left", "layoffs"]
    assert await life.kinds(life.red) == ["fill"]


async def test_months_of_it_are_continued_as_new(play: Play) -> None:
    """Ten weeks: one card and one answer each, in one thread and one row, through several runs."""
    life = await Life.marked(play)
    await life.answer(life.red, "fill", "filled", **FILLED)
    for week in range(1, 11):
        await life.weeks(life.red, 1)
        await life.answer(life.red, "update", "on_track", state=f"week {week}")
    assert await play.runs(life.red) > 1
    asked = [key for day in (await days(life)).values() for key in day if key.startswith("slack: task.")]
    assert asked == ["slack: task.fill-1", *(f"slack: task.update-{week}" for week in range(1, 11))]
    [row] = life.rows()
    assert (row["State"], row["Needs"]) == ("week 10", FILLED["needs"])
    assert sorted(play.effects(life.red)) == [7 * week for week in range(11)]


async def test_nobody_says_why(play: Play) -> None:
    life = Life.of(play, facts=STEADY)
    await life.start("RedAccount", life.red, RedInput(**life.known()))
    await play.skip(life.red, hours=0.2)
    assert await play.ended(life.red) == "nobody said why"
    assert play.effects(life.red) == {}


async def test_the_red_account_and_its_plan_are_planned_once(play: Play) -> None:
    """Gap 11: what the TA plans for the red account is the account's one plan."""
    life = await Life.marked(play)
    await life.answer(life.plan, "plan", "planned", **PLAN)
    assert "a red account (the champion left)" in life.doc()
    assert life.projects() == {"Get Well Plan": ["Not started"]}
