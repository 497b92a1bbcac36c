"""The ways in which a quarter's renewals go: what people say at each step, and how each must end. Figures are those of ``domain/policy.toml``."""

from __future__ import annotations

from starter.local.demo.customer import Playing, Script


async def flat(customer: Playing) -> None:
    """Green: assessed, monitored, renewed as it is."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("green", "green", outcome="flat")
    await customer.processed()
    await customer.ends()


async def grows(customer: Playing) -> None:
    """Green, and they buy more."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("green", "green", outcome="flat")
    await customer.processed(arr=1.2)
    await customer.ends()


async def shrinks(customer: Playing) -> None:
    """Yellow: in Lighthouse to the end, with a plan for a part of it; a part is lost."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("yellow", "yellow", outcome="partial_churn")
    await customer.saved_plan()
    await customer.answered("plan", "partial_churn", fields={"amount": str(round(customer.row.arr * 0.7))})
    await customer.planned()
    await customer.processed(arr=0.7)
    await customer.ends()


async def saved(customer: Playing) -> None:
    """Red: the save plan works, leadership of both sides lets it leave, and it renews in full."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("red", "red", outcome="full_churn")
    await customer.saved_plan()
    await customer.answered("plan", "full_churn")
    await customer.planned()
    await customer.in_lighthouse(True)
    await customer.inspected("criteria_met")
    await customer.answered("exit_sales", "leave_green")
    await customer.answered("exit_ts", "leave_green")
    await customer.in_lighthouse(False)
    await customer.processed()
    await customer.ends()


async def lost(customer: Playing) -> None:
    """Red, inspected in vain, and lost."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("red", "red", outcome="full_churn")
    await customer.saved_plan()
    await customer.answered("plan", "full_churn")
    await customer.planned()
    await customer.inspected("continue")
    await customer.processed(arr=0)
    await customer.ends()


async def disagreed(customer: Playing) -> None:
    """The managers do not agree; one named person settles it."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("yellow", "green", outcome="flat")
    await customer.answered("settle", "green")
    await customer.processed()
    await customer.ends()


async def moved(customer: Playing) -> None:
    """The date moves by a month after the assessment; what is ahead follows it."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.assessed("green", "green", outcome="flat")
    await customer.moved(30)
    await customer.processed()
    await customer.ends()


async def silent(customer: Playing) -> None:
    """Nobody assesses it for weeks: backup and manager are asked, and at last the AE processes it unrated."""
    await customer.before(customer.policy.renewal.process_days)
    await customer.asked("assess_ta")
    await customer.processed()
    await customer.ends()


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
