"""What a renewal leaves behind, from its start half a year ahead to its end: green, red and saved, red and lost; its get-well plan beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.customer import AE, AE_MANAGER, MARGIN, SALES, TA, TA_MANAGER, TERM, TS, Customer
from bench.harness import Ground
from bench.history import Left, actions, left_by, said
from bench.report import Row, row
from domain.account import get_well
from domain.account.account import Rating
from domain.account.commands import START_RENEWAL
from starter.service.accounts import Accounts

#: How long before its early review a renewal begins.
AHEAD = timedelta(days=5)
#: Which inspection finds the criteria met, of an account that is saved: two months after the assessment.
MET = 4
AS_COUNTED = "as the server counts it; compressed where that pays, and encrypted"
CHECKS = {"champion": True, "buyer_access": True}
PROCESSED = {"seats": 110, "arr": "120000"}
RISK = {"risk": "two versions behind, and an upgrade that waits for their change board", "utilization": "most teams search daily"}
SAVE_PLAN = {
    "problem": "half of the teams stopped using it when their champion left",
    "criteria": "MAU/seats at 80 %, and a champion in each of the three groups",
    "steps": "TA: a training for each team by the end of the month; AE: the new buyer",
    "asks": "an executive's call",
}
WEEK = {"progress": "six more teams were trained, two of them search daily", "next": "the last two groups, and their onboarding pages"}


async def renewal(ground: Ground) -> list[Row]:
    """The three courses, one after the other, each with what it took for each effect; the weekly updates are the plan's."""
    rows: list[Row] = []
    for kind, play, goal in (("green", green, 200), ("red and saved", saved, 400), ("red and lost", lost, 400)):
        name, customer = f"a renewal, {kind}", await play(ground)
        rows += _counted(ground, name, customer, await left_by(customer.handle(customer.renewal)), goal)
        if play is not green:
            plan = customer.handle(customer.plan)
            await plan.result()
            rows.append(_beside(ground, name, customer, await left_by(plan)))
    return rows


# --- the courses ------------------------------------------------------------------------------------------------------------------------


async def green(ground: Ground) -> Customer:
    """Nothing is asked early; assessed at 120 days, its AE's word confirmed each week, processed at 14 days."""
    customer = await begun(ground, band="healthy", score=9.0)
    await rated(customer, "green", "flat")
    async for _ in weeks(customer):
        await confirmed(customer, "flat")
    await renewed(customer)
    return customer


async def saved(ground: Ground) -> Customer:
    """Flagged early, in Lighthouse, planned as a churn; the plan's inspection finds the criteria met, both leaderships let it leave."""
    customer = await begun(ground, band="poor", score=3.0)
    await at_risk(customer)
    inspections, expected = 0, "full_churn"
    async for fortnight in weeks(customer, customer.plan):
        await confirmed(customer, expected)
        if expected == "flat":
            continue
        await updated(customer)
        if fortnight:
            inspections += 1
            await inspected(customer, "criteria_met" if inspections == MET else "continue")
        if inspections == MET:
            await customer.answers(customer.renewal, "exit_sales", "leave_green", SALES)
            await customer.answers(customer.renewal, "exit_ts", "leave_green", TS)
            await customer.handle(customer.plan).result()
            expected = "flat"
    await renewed(customer)
    return customer


async def lost(ground: Ground) -> Customer:
    """The same, but inspected in vain to the end, and lost."""
    customer = await begun(ground, band="poor", score=3.0)
    await at_risk(customer)
    async for fortnight in weeks(customer, customer.plan):
        await confirmed(customer, "full_churn")
        await updated(customer)
        if fortnight:
            await inspected(customer, "continue")
    await to_processing(customer)
    await processed(customer, "churned", {"reason": "they moved to what their code host brings along"})
    return customer


# --- their steps ------------------------------------------------------------------------------------------------------------------------


async def begun(ground: Ground, **standing: Any) -> Customer:
    """A customer whose renewal has just begun, by hand, a few days before its early review."""
    now = datetime.now(UTC)
    days = AHEAD + timedelta(days=Accounts.of(ground.tenure).policy.renewal.early_review_days)
    customer = await Customer.signed(ground, now.date() + days - TERM)
    await customer.stands(now, **standing)
    await customer.service.decide(START_RENEWAL, customer.domain, {})
    await customer.rest(customer.renewal)
    return customer


async def rated(customer: Customer, rating: Rating, outcome: str) -> None:
    """The assessment by TA and AE, and both managers' review."""
    figures, renewal = customer.policy.renewal, customer.renewal
    await customer.morning(customer.end - timedelta(days=figures.process_days), renewal)
    await customer.answers(renewal, "assess_ta", rating, TA, fields=RISK)
    fields = {"risk": "a new buyer since spring", "outcome": outcome}
    await customer.answers(renewal, "assess_ae", rating, AE, checks=CHECKS, fields=fields)
    await customer.answers(renewal, "review_ta", rating, TA_MANAGER, note="as the TA says")
    await customer.answers(renewal, "review_ae", rating, AE_MANAGER, note="as the AE says")


async def at_risk(customer: Customer) -> None:
    """Red: the early review, the assessment, and all that Lighthouse asks for at once."""
    figures, renewal = customer.policy.renewal, customer.renewal
    await customer.morning(customer.end - timedelta(days=figures.early_review_days), renewal)
    await customer.answers(renewal, "early_review", "red", TA, fields=RISK)
    await rated(customer, "red", "full_churn")
    await customer.answers(renewal, "plan", "full_churn", AE)
    await customer.answers(renewal, "sponsor", "assign", TS, fields={"sponsor": "exec-vega@tenure.example"})
    await customer.answers(renewal, "save_plan", "filled_in", TA, fields=SAVE_PLAN)
    await customer.answers(renewal, "review_plan", "agreed", AE)
    questions = {question.name: f"{question.asks}: as in the save plan" for question in get_well.QUESTIONS}
    await customer.rest(customer.plan)
    await customer.answers(customer.plan, "plan", "planned", TA, fields=questions)


async def weeks(customer: Customer, *beside: str) -> AsyncIterator[bool]:
    """Each week from the assessment until it must be processed; true in every other one. ``beside`` are moved along while they run."""
    figures, week = customer.policy.renewal, customer.policy.get_well.update_days
    for number, days in enumerate(range(figures.process_days - week, figures.processing_days, -week), start=1):
        day = customer.end - timedelta(days=days)
        running = [each for each in beside if await customer.runs(each)]
        # The plan's weeks are counted from the moment in which it was written, a little later in the day of the assessment.
        await customer.morning(day, customer.renewal, *running, later=2 * MARGIN)
        yield number % 2 == 0


async def confirmed(customer: Customer, outcome: str) -> None:
    """The AE's word of the week, as the weekly forecast passes it on."""
    await customer.says(customer.renewal, "forecast", {"by": AE, "outcome": outcome, "note": "confirmed in the weekly forecast"})


async def updated(customer: Customer) -> None:
    """The TA's update of the get-well plan."""
    await customer.answers(customer.plan, "update", "on_track", TA, fields=WEEK)


async def inspected(customer: Customer, found: str) -> None:
    """The leadership's review of the plan, of which the renewal hears."""
    async with customer.heard(customer.renewal):
        await customer.answers(customer.plan, "review", found, TA_MANAGER, note="seen with the TA")


async def to_processing(customer: Customer) -> None:
    """The morning on which its AE is asked to process it."""
    await customer.morning(customer.end - timedelta(days=customer.policy.renewal.processing_days), customer.renewal)


async def renewed(customer: Customer) -> None:
    """Processed as renewed, on the day on which that is asked."""
    await to_processing(customer)
    await processed(customer, "renewed", PROCESSED)


async def processed(customer: Customer, how: str, fields: Mapping[str, object]) -> None:
    """The AE's last word. Raises ``AssertionError`` when it ends otherwise."""
    await customer.handle(customer.renewal).execute_update(
        "answer", {"task": "process", "choice": how, "by": AE, "fields": fields}, result_type=str
    )
    result = await customer.handle(customer.renewal).result()
    assert result["end"] == how, result


# --- what is counted --------------------------------------------------------------------------------------------------------------------


def _counted(ground: Ground, name: str, customer: Customer, left: Left, goal: int) -> list[Row]:
    done, billed, days = _done(ground, customer.renewal), actions(left.events), customer.policy.renewal.process_days
    assessed = customer.end - timedelta(days=days)
    later = sum(event.event_time.ToDatetime().date() >= assessed for event in left.events)
    whole = left.counts["WORKFLOW_EXECUTION_COMPLETED"] == 1  # and not continued as new
    return [
        row(f"{name}: events", len(left.events), "", goal=goal, holds=whole, note=f"{later} in its last {days} days; {said(left.counts)}"),
        row(f"{name}: workflow tasks", left.tasks, ""),
        row(f"{name}: history", left.bytes, "B", note=AS_COUNTED),
        row(f"{name}: billable actions per effect", billed.total() / done, "", note=f"{done} effects; {said(billed)}"),
    ]


def _beside(ground: Ground, name: str, customer: Customer, left: Left) -> Row:
    done = _done(ground, customer.plan)
    each = f"{done} effects, {actions(left.events).total() / done:.2f} billable actions for each"
    note = f"{left.tasks} workflow tasks, {left.bytes} B, {each}; {said(left.counts)}"
    return row(f"{name}: events of its get-well plan", len(left.events), "", note=note)


def _done(ground: Ground, workflow: str) -> int:
    return sum(each.done_at is not None for each in ground.ledger.effects(workflow=workflow))
