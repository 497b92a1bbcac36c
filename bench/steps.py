"""Steps per effect, and the whole trial: exact counts from a few trials' histories, the server's own counter, and the ledger."""

from __future__ import annotations

from collections import Counter

from temporalio.api.history.v1 import HistoryEvent

from bench.harness import Ground
from bench.history import Left, actions, left_by, said
from bench.report import Row, row
from bench.script import read
from bench.trial import companies, whole
from starter.service.histories import decrypt

#: What one sequential activity and one upsert per effect cost, and what one activity per stage costs (measured on this engine).
ALONE = "one activity per effect: 9.6 events, 2.6 actions"

#: What the server counts for moving the trial's clock, which nobody does in production.
OF_MOVING = "grpc_UpdateWorkflowExecutionOptions"


async def steps(ground: Ground, *, trials: int) -> list[Row]:
    """Events and billable actions for each effect on the world; events, workflow tasks and bytes of the whole trial.

    Every count is exact; from one trial to the next they differ by what happens to end at the same moment, hence the few ``trials``.
    """
    needed = await companies(ground, trials)
    before = await ground.billed()
    handles = [await whole(ground, ground.tenure, company) for company in needed]
    billed = await ground.billed() - before
    billed.pop(OF_MOVING, None)
    left = [await left_by(handle) for handle in handles]
    effects = [sum(each.done_at is not None for each in ground.ledger.effects(workflow=handle.id)) for handle in handles]
    events, tasks = [len(each.events) for each in left], [each.tasks for each in left]
    by_rule = sum((actions(each.events) for each in left), Counter[str]())
    silent = (billed.total() - by_rule.total()) / trials
    counted = said(billed, trials)
    check = f"{by_rule.total() / trials:g} a trial by the rules from its history, {silent:g} that leave no event there: heartbeats"
    per_effect = [number / effect for number, effect in zip(events, effects, strict=True)]
    return [
        row("steps per effect: events", per_effect, "", goal=5.0, note=f"{effects[0]} effects; {ALONE}"),
        row("steps per effect: billable actions", billed.total() / sum(effects), "", goal=1.25, note=f"{counted}; {check}"),
        row("the whole trial: events", events, "", goal=160, note=said(left[0].counts)),
        row("the whole trial: workflow tasks", tasks, "", goal=28, note=NOTHING_NEW.format(await _idle(ground, left[0]))),
        row(
            "the whole trial: history",
            [each.bytes for each in left],
            "B",
            goal=45_000,
            note="as the server counts it; compressed where that pays, and encrypted",
        ),
    ]


NOTHING_NEW = "{} of them had nothing to do: an activity had ended that nobody waited for"


async def _idle(ground: Ground, left: Left) -> int:
    events = [HistoryEvent.FromString(event.SerializeToString()) for event in left.events]
    for event in events:
        await decrypt(event, ground.client.data_converter)
    return sum(not task.commands for task in read(events).tasks)
