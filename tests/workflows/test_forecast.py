"""The weekly forecast (D29, C13, C34): AEs confirm or change, silence holds nothing up, the snapshot stays, the channel reads it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain import ladder
from domain.account.account import RenewalRow
from domain.forecast.quarters import quarter_of
from domain.forecast.rollup import Forecast
from domain.forecast.weekly_round import ForecastInput, Taken
from domain.policy import default_accounts
from store.accounts import Accounts
from tests.rows import keep_renewal
from tests.workflows.play import NOW, Play, eventually
from tests.workflows.renewals import Course

POLICY = default_accounts()
MIRA, WEN, MANAGER = "ae-mira@tenure.example", "ae-wen@tenure.example", "ae-manager@tenure.example"
SOON = NOW.date() + timedelta(days=40)


def row(play: Play, name: str, ae: str, on: date = SOON, **more: Any) -> RenewalRow:
    """An open renewal in the read model whose process is not there to be told."""
    domain = play.company(name)
    base = {"workflow": f"renewal-{domain}-{on}", "domain": domain, "name": name.capitalize(), "renewal_on": on, "arr": 100_000}
    made = RenewalRow.model_validate({**base, "phase": "forecast", "ae": ae, "updated_at": NOW, **more})
    keep_renewal(play.ledger, made)
    return made


async def begin(play: Play) -> str:
    return await play.start("WeeklyForecast", ForecastInput(policy=play.accounts))


async def ended(play: Play, name: str) -> Taken:
    return Taken.model_validate(await play.ended(name))


def snapshot(play: Play, on: date) -> Forecast:
    """The one snapshot of a day's quarter."""
    [found] = Accounts(play.ledger).snapshots(quarter_of(play.accounts, on))
    return found


async def test_what_an_ae_changes_reaches_the_renewal_and_the_silence_of_another_holds_nothing_up(play: Play) -> None:
    """Two AEs: one answers, the other's manager is asked at half-time, and when it is due it is taken with what is known."""
    course = await Course.begin(play, days=100)
    await course.assessed("yellow", outcome="partial_churn")
    await course.phase("plan")
    row(play, "bolt", MIRA, outcome="flat", rating="green", system_outcome="flat", forecast_at=NOW - timedelta(days=8))
    row(play, "cube", WEN, outcome="flat", rating="red", system_outcome="full_churn", ta_outcome="full_churn")
    row(play, "early", WEN, phase="assessment")

    week = await begin(play)
    mira = await play.task(week, "forecast-ae-mira")
    wen = await play.task(week, "forecast-ae-wen")
    assert (mira.assignee, wen.assignee, mira.role) == (MIRA, WEN, "ae")
    assert f"• Acme ({course.domain}): {course.on}" in mira.asks
    assert "⚠️ rated red, yet flat is projected: red is expected to lose some (C13)" in wen.asks
    assert "system says full churn, TA says full churn, AE says flat" in wen.asks
    assert "1 renewal not rated yet" in wen.asks
    due = ladder.due_in(play.accounts, mira.opened_at, play.accounts.forecast.confirm_hours)
    assert abs(mira.due_at - due) < timedelta(seconds=1)

    said = {course.domain: "partial churn 70k: they close an office"}
    await play.answer(week, "forecast-ae-mira", "change", by=MIRA, fields=said)

    async def told() -> bool:
        status = await course.status()
        return (status.outcome, status.amount, status.forecast_by) == ("partial_churn", 70_000, MIRA)

    await eventually(told)
    await play.skip_to(week, due)
    taken = await ended(play, week)

    quarters = {quarter_of(play.accounts, on) for on in (course.on, SOON)}
    assert set(taken.weighted) == quarters
    assert sum(taken.weighted.values()) == 70_000 + 100_000 + 100_000
    lines = {line.domain: line for quarter in quarters for line in Accounts(play.ledger).snapshots(quarter)[0].lines}
    assert [
        (lines[domain].outcome, lines[domain].expected, lines[domain].confirmed) for domain in (course.domain, play.company("bolt"))
    ] == [
        ("partial_churn", 70_000, True),
        ("flat", 100_000, True),
    ]
    cube = lines[play.company("cube")]
    assert (cube.confirmed, bool(cube.warning), bool(cube.disagreement)) == (False, True, True)
    assert snapshot(play, SOON).unconfirmed == (WEN,)
    assert {day: sorted(done) for day, done in play.effects(week).items()} == effects(
        mira.opened_at, due, reminded=("wen",), asked=("mira", "wen")
    )
    text = play.said("slack.forecast", week)
    assert f"Not confirmed by {WEN}: their renewals stand as they were." in text
    assert "They do not agree:\n  Cube: system says full churn, TA says full churn, AE says flat" in text
    assert "To look at:\n  Cube: rated red, yet flat is projected" in text


def effects(opened: datetime, due: datetime, *, asked: tuple[str, ...], reminded: tuple[str, ...]) -> dict[int, list[str]]:
    """Cards at once, the managers at half-time, the message when it is due; by the days that the office calendar makes of it."""
    half = ladder.due_in(POLICY, opened, POLICY.forecast.confirm_hours / 2)
    days: dict[int, list[str]] = {0: [f"slack: task.forecast-ae-{name}-1" for name in asked]}
    for at, keys in ((half, [f"slack: task.forecast-ae-{name}-1.reminder-1" for name in reminded]), (due, ["slack: slack.forecast"])):
        if keys:
            days.setdefault(round((at - opened) / timedelta(days=1)), []).extend(keys)
    return {day: sorted(keys) for day, keys in sorted(days.items())}


async def test_when_everybody_confirms_it_is_taken_at_once(play: Play) -> None:
    row(play, "bolt", MIRA, outcome="flat", rating="green")
    row(play, "cube", WEN, outcome="partial_churn", amount=60_000, rating="yellow")
    week = await begin(play)
    await play.did(week, "slack: task.forecast-ae-mira-1", "slack: task.forecast-ae-wen-1")  # who answers sooner gets no card
    await play.answer(week, "forecast-ae-mira", "confirm", by=MIRA)
    await play.answer(week, "forecast-ae-wen", "confirm", by=MANAGER)
    taken = await ended(play, week)
    assert sum(taken.weighted.values()) == 160_000
    assert sorted(play.effects(week)[0]) == ["slack: slack.forecast", "slack: task.forecast-ae-mira-1", "slack: task.forecast-ae-wen-1"]
    assert "Not confirmed" not in taken.text
    assert snapshot(play, SOON).unconfirmed == ()


async def test_a_confirmation_is_told_to_the_renewal_when_the_last_word_is_old(play: Play) -> None:
    """What was said this week needs no repetition; an older word is given again, by whoever confirms it now."""
    course = await Course.begin(play, days=100)
    await course.assessed("green", outcome="flat")
    await course.phase("plan", "forecast")
    await course.update("forecast", by=WEN, outcome="flat")
    for by in (WEN, MIRA):  # the second time, the row says that the word is nine days old
        week = await begin(play)
        await play.answer(week, "forecast-ae-mira", "confirm", by=MIRA)
        await ended(play, week)
        await play.quiet(course.id)
        assert (await course.status()).forecast_by == by
        old = course.row().model_copy(update={"forecast_at": NOW - timedelta(days=9), "updated_at": datetime.now(UTC) + timedelta(hours=1)})
        keep_renewal(course.play.ledger, old)


async def test_an_answer_that_means_nothing_is_refused_and_the_task_stays(play: Play) -> None:
    play.crm()
    made = row(play, "bolt", MIRA, outcome="flat")
    week = await begin(play)
    await play.task(week, "forecast-ae-mira")

    async def refused(**fields: str) -> str:
        return await play.refused(week, "answer", {"task": "forecast-ae-mira", "choice": "change", "by": MIRA, "fields": fields})

    assert f"{made.domain}: begin with full_churn" in await refused(**{made.domain: "churn"})
    assert "'45.000' is no ARR in whole dollars" in await refused(**{made.domain: "partial_churn 45.000"})
    assert "does not fit incremental" in await refused(**{made.domain: "incremental 5k"})
    assert "there is no renewal 'nobody.com' here" in await refused(**{"nobody.com": "flat"})
    assert "say which is different" in await refused()
    await play.signal(week, "answer", {"task": "forecast-ae-mira", "choice": "change", "by": MIRA, "fields": {made.domain: "churn"}})

    async def noted() -> dict[str, Any] | None:
        found: dict[str, Any] = await play.env.client.get_workflow_handle(week).query("status")
        return found if found["notes"] else None

    status = await eventually(noted)
    assert status is not None
    assert "begin with full_churn" in status["notes"][0]
    assert status["in_words"] == f"waits for {MIRA}"
    await play.answer(week, "forecast-ae-mira", "change", by=MIRA, fields={made.domain: "full_churn they left"})
    assert sum((await ended(play, week)).weighted.values()) == 0
    assert snapshot(play, SOON).lines[0].outcome == "full_churn"


async def test_renewals_of_an_ae_who_left_are_the_managers_to_confirm(play: Play) -> None:
    row(play, "bolt", "gone@tenure.example", outcome="flat")
    row(play, "cube", "", outcome="flat")
    play.crm()
    week = await begin(play)
    gone = await play.task(week, "forecast-gone")
    nobody = await play.task(week, "forecast-nobody")
    assert [(task.assignee, task.role) for task in (gone, nobody)] == [(MANAGER, "ae_manager")] * 2
    for task in ("forecast-gone", "forecast-nobody"):
        await play.answer(week, task, "confirm", by=MANAGER)
    await ended(play, week)
    assert snapshot(play, SOON).by_owner.keys() == {"gone@tenure.example", "none"}


@pytest.mark.parametrize("early", [False, True])
async def test_where_nothing_is_rated_nobody_is_asked(play: Play, early: bool) -> None:
    """Renewals that are not rated are in the forecast, as what nobody knows; without any, nothing is posted."""
    if early:
        row(play, "bolt", MIRA, phase="assessment")
    week = await begin(play)
    taken = await ended(play, week)
    assert play.effects(week) == ({0: ["slack: slack.forecast"]} if early else {})
    if early:
        assert "1 renewal, $0 expected of $100,000; $100,000 neither projected nor rated" in taken.text


async def test_slack_being_down_delays_the_cards_and_not_the_forecast(play: Play) -> None:
    """The cards cannot be posted for a while; an answer from elsewhere counts, and the message comes when Slack is back."""
    row(play, "bolt", MIRA, outcome="flat")
    play.fault("slack", "status", status=503, times=3)
    week = await begin(play)
    await play.answer(week, "forecast-ae-mira", "confirm", by=MIRA)
    assert sum((await ended(play, week)).weighted.values()) == 100_000
    assert "slack: slack.forecast" in play.effects(week)[0]
