"""Moving one workflow's clock on, and refusing to move any other server's."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain import policy
from domain.messages import Contact, Signup
from domain.trial.state import TrialInput
from starter.errors import BadInput, NotFound, Refused
from starter.local import skip
from tests.starter import standins


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10d", timedelta(days=10)),
        ("36h", timedelta(hours=36)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(days=1, hours=12)),
        (" 90M ", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_lengths(text: str, length: timedelta) -> None:
    assert skip.parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "10", "d", "-1d", "1.5d", "10 d", "0d", "10x", "tomorrow", "999999w", "1d;ls"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        skip.parse_duration(text)
    assert "10d" in refused.value.do or "ten years" in refused.value.do


async def test_a_trial_is_moved_on_alone(engine: WorkflowEnvironment) -> None:
    queue, moved, still = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("queue", "moved", "still"))
    async with Worker(engine.client, task_queue=queue, workflows=standins.ALL):
        given = TrialInput(domain="acme.example", policy=policy.default())
        for name in (moved, still):
            handle = await engine.client.start_workflow("Trial", given, id=name, task_queue=queue)
            signup = Signup(contact=Contact(email="ada@acme.example"), at=datetime.now(UTC))
            await handle.execute_update("signup", signup)
        first = await skip.skip(engine.client, moved, timedelta(days=10))
        second = await skip.skip(engine.client, moved, timedelta(days=5))
        assert first.open
        assert second.open
        assert timedelta(days=10) <= first.now - first.before < timedelta(days=10, minutes=1)
        assert timedelta() <= second.before - first.now < timedelta(minutes=1)
        other = await skip.skip(engine.client, still, timedelta(seconds=1))
        assert abs(other.before - datetime.now(UTC)) < timedelta(minutes=1)  # its own clock: nobody moved it

        end = await skip.skip(engine.client, moved, timedelta(days=500))
        assert not end.open
        with pytest.raises(Refused, match="has ended"):
            await skip.skip(engine.client, moved, timedelta(days=1))
        await engine.client.get_workflow_handle(still).terminate()


async def test_no_such_workflow(engine: WorkflowEnvironment) -> None:
    with pytest.raises(NotFound):
        await skip.skip(engine.client, f"none-{uuid.uuid4().hex}", timedelta(days=1))


async def test_only_the_stack_s_own_server(engine: WorkflowEnvironment) -> None:
    await skip.require_local(engine.client, await skip.cluster_of(engine.client))
    with pytest.raises(Refused, match="its clock is the real one"):
        await skip.require_local(engine.client, str(uuid.uuid4()))
    with pytest.raises(Refused, match="none runs here"):
        await skip.require_local(engine.client, None)
