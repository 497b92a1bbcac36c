"""Every recorded history replays on today's code; a change that a running trial could not survive fails here first.

``make histories`` records them anew: every workflow of every scenario, on the real server.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.broken import SleepsFirst
from tests.replay.fingerprint import FILE, fingerprint
from workflows.all import ALL
from workflows.frame.provenance import Inbound
from workflows.frame.runner import runner

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json.gz"))


def history(path: Path) -> WorkflowHistory:
    """A recorded history, under its own workflow id."""
    recorded = json.loads(gzip.decompress(path.read_bytes()))
    return WorkflowHistory.from_json(recorded["workflow_id"], recorded["history"])


def test_there_are_histories_of_every_workflow() -> None:
    recorded = {path.name.split("--")[0] for path in HISTORIES}
    assert recorded == {each.__name__ for each in ALL}


async def test_every_recorded_history_replays() -> None:
    """Without the sandbox, which asks for the same commands and takes twice the time; the scenarios themselves run in it."""
    replayer = Replayer(
        workflows=ALL,
        data_converter=pydantic_data_converter,
        workflow_runner=runner(UnsandboxedWorkflowRunner()),
        interceptors=[Inbound()],
    )
    failed = {}
    for path in HISTORIES:
        result = await replayer.replay_workflow(history(path), raise_on_replay_failure=False)
        if result.replay_failure is not None:
            failed[path.name] = str(result.replay_failure)
    assert failed == {}


async def test_a_change_of_the_commands_is_seen() -> None:
    """The net has no hole: a broken copy of the workflow does not replay."""
    path = next(path for path in HISTORIES if path.name.startswith("Trial--"))
    with pytest.raises(NondeterminismError):
        await Replayer(
            workflows=[SleepsFirst], data_converter=pydantic_data_converter, workflow_runner=runner(), interceptors=[Inbound()]
        ).replay_workflow(history(path))


def test_the_fingerprint_is_of_this_code() -> None:
    """`python -m tests.replay.fingerprint` writes it; look at its diff before you commit it."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == fingerprint()
