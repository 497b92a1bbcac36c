"""The ways in which a quarter's renewals go: what people say at each step, and how each must end. Figures are those of ``domain/policy.toml``."""

from __future__ import annotations

from starter.local.demo.customer import Playing, Script


async def flat(c: Playing) -> None:
    """Green: assessed, monitored, renewed as it is."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("green", "green", outcome="flat")
    await c.processed()
    await c.ends()


async def grows(c: Playing) -> None:
    """Green, and they buy more."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("green", "green", outcome="flat")
    await c.processed(arr=1.2)
    await c.ends()


async def shrinks(c: Playing) -> None:
    """Yellow: in Lighthouse to the end, with a plan for a part of it; a part is lost."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("yellow", "yellow", outcome="partial_churn")
    await c.saved_plan()
    await c.answered("plan", "partial_churn", fields={"amount": str(round(c.row.arr * 0.7))})
    await c.planned()
    await c.processed(arr=0.7)
    await c.ends()


async def saved(c: Playing) -> None:
    """Red: the save plan works, leadership of both sides lets it leave, and it renews in full."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("red", "red", outcome="full_churn")
    await c.saved_plan()
    await c.answered("plan", "full_churn")
    await c.planned()
    await c.in_lighthouse(True)
    await c.inspected("criteria_met")
    await c.answered("exit_sales", "leave_green")
    await c.answered("exit_ts", "leave_green")
    await c.in_lighthouse(False)
    await c.processed()
    await c.ends()


async def lost(c: Playing) -> None:
    """Red, inspected in vain, and lost."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("red", "red", outcome="full_churn")
    await c.saved_plan()
    await c.answered("plan", "full_churn")
    await c.planned()
    await c.inspected("continue")
    await c.processed(arr=0)
    await c.ends()


async def disagreed(c: Playing) -> None:
    """The managers do not agree; one named person settles it."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("yellow", "green", outcome="flat")
    await c.answered("settle", "green")
    await c.processed()
    await c.ends()


async def moved(c: Playing) -> None:
    """The date moves by a month after the assessment; what is ahead follows it."""
    await c.before(c.policy.renewal.process_days)
    await c.assessed("green", "green", outcome="flat")
    await c.moved(30)
    await c.processed()
    await c.ends()


async def silent(c: Playing) -> None:
    """Nobody assesses it for weeks: backup and manager are asked, and at last the AE processes it unrated."""
    await c.before(c.policy.renewal.process_days)
    await c.asked("assess_ta")
    await c.processed()
    await c.ends()


SCRIPTS = (
    Script("renews as it is", flat, "green", "flat", "renewed"),
    Script("shrinks", shrinks, "yellow", "partial_churn", "renewed"),
    Script("red, saved", saved, "green", "flat", "renewed"),
    Script("grows", grows, "green", "incremental", "renewed"),
    Script("red, lost", lost, "red", "full_churn", "churned"),
    Script("managers disagree", disagreed, "green", "flat", "renewed"),
    Script("date moved", moved, "green", "flat", "renewed"),
    Script("nobody answers", silent, None, "flat", "renewed"),
)
