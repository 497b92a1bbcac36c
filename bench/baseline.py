"""What a trial is measured beside: the history of one, a worker that follows it with empty bodies, one that calls nothing outside."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from temporalio.client import WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from bench.harness import Ground
from bench.history import Left, left_by
from bench.script import Script, read
from bench.synthetic import filler
from bench.trial import MOVES, at_rest, companies, whole
from bench.workers import OFFLINE, TWIN
from starter.local.skip import skip
from starter.service.histories import decrypt


@dataclass(frozen=True)
class Model:
    """One trial that was carried out by the worker of ``tenure up``: its id, what it left behind, and the script of that."""

    workflow: str
    left: Left
    script: Script


async def model(ground: Ground) -> Model:
    """Carry a trial out and start the two other workers with what it left; at the first call only."""
    if "model" not in ground.kept:
        [company] = await companies(ground, 1)
        handle = await whole(ground, ground.tenure, company)
        left = await left_by(handle)
        for event in left.events:  # a twin's payloads are as long as ours before they are encrypted
            await decrypt(event, ground.client.data_converter)
        script = read(left.events)
        ground.script.write_text(script.model_dump_json())
        done = {each.key: each.receipt.model_dump() for each in ground.ledger.effects(workflow=handle.id) if each.receipt}
        ground.receipts.write_text(json.dumps(done))
        await ground.start("twin", "-m", "bench.workers", "twin", TWIN, queue=TWIN)
        await ground.start("offline", "-m", "bench.workers", "offline", OFFLINE, queue=OFFLINE)
        ground.kept["model"] = Model(handle.id, left, script)
    made: Model = ground.kept["model"]
    return made


async def twin(ground: Ground) -> WorkflowHandle[Any, Any]:
    """One twin from its start to its end, driven as the trial is: the same round trip, the same two moves of its clock, the same update."""
    script = (await model(ground)).script
    client, (first, last) = ground.client, script.updates
    workflow_id = f"twin-{uuid.uuid4().hex[:10]}.com"
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "Twin",
        filler(script.given),
        id=workflow_id,
        task_queue=TWIN,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=script.summary,
    )
    await client.execute_update_with_start_workflow("ask", filler(first[0]), start_workflow_operation=start, result_type=str)
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id)
    await at_rest(handle)
    for move in MOVES:
        await skip(client, workflow_id, move)
    await handle.execute_update("ask", filler(last[0]), result_type=str)
    await handle.result()
    return handle
