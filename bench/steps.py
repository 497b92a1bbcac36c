"""Steps per effect, and the whole trial: exact counts from one trial's history, the server's own counter, and the ledger."""

from __future__ import annotations

from bench.ground import Ground
from bench.history import actions, left_by, said
from bench.report import Row, row
from bench.trial import companies, whole

#: What one sequential activity and one upsert per effect cost, and what one activity per stage costs (measured on this engine).
ALONE = "one activity per effect: 9.6 events, 2.6 actions"

#: What the server counts for moving the trial's clock, which nobody does in production.
OF_MOVING = "grpc_UpdateWorkflowExecutionOptions"


async def steps(ground: Ground) -> list[Row]:
    """Events and billable actions for each effect on the world; events, workflow tasks and bytes of the whole trial."""
    [company] = await companies(ground, 1)
    before = await ground.billed()
    handle = await whole(ground, ground.tenure, company)
    billed = await ground.billed() - before
    billed.pop(OF_MOVING, None)
    left = await left_by(handle)
    effects = [each for each in ground.ledger.effects(workflow=handle.id) if each.done_at]
    events, by_rule = len(left.events), actions(left.events)
    beside = billed.total() - by_rule.total()
    check = f"{by_rule.total()} by the rules from the history, {beside} that leave no event there (heartbeats)"
    counted = f"{said(billed)}; {check}"
    return [
        row("steps per effect: events", events / len(effects), "", goal=5.0, note=f"{events} events for {len(effects)} effects; {ALONE}"),
        row("steps per effect: billable actions", billed.total() / len(effects), "", goal=1.25, note=f"the server's counter: {counted}"),
        row("the whole trial: events", events, "", goal=160, note=said(left.counts)),
        row("the whole trial: workflow tasks", left.tasks, "", goal=28, note="the first, and one for whatever came since the last"),
        row(
            "the whole trial: history",
            left.bytes,
            "B",
            goal=45_000,
            note="as the server counts it; without a codec, which there is not yet",
        ),
    ]
