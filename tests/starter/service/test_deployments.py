"""Builds of the workers: which one gets the work, how open workflows move to new code and back, and what a build is called."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from starter.build import build_id, digest
from starter.errors import NotFound
from starter.service.deployments import builds, make_current, register
from tests.starter.builds import AsItWas, AsksFirst, AsksLate, Patched, Unpatched, look
from tests.workflows.play import eventually
from worker import auto_upgrade

QUEUE = "builds"


@asynccontextmanager
async def working(engine: WorkflowEnvironment, build: str, code: type) -> AsyncIterator[None]:
    """A worker of one build, known to the server."""
    async with Worker(
        engine.client,
        task_queue=QUEUE,
        workflows=[code],
        workflow_runner=UnsandboxedWorkflowRunner(),
        deployment_config=auto_upgrade(build),
    ):

        async def known() -> bool:
            return build in [each.build_id for each in await builds(engine.client)]

        await eventually(known)
        yield


async def begun(engine: WorkflowEnvironment, name: str) -> WorkflowHandle[object, str]:
    """A workflow that waits, with its first task done."""
    handle: WorkflowHandle[object, str] = await engine.client.start_workflow(
        "Waits",
        id=f"waits-{name}",
        task_queue=QUEUE,
        result_type=str,
        task_timeout=timedelta(seconds=1),  # only the first failure of a task is told; the next ones run into this
    )

    async def waits() -> bool:
        description = (await handle.describe()).raw_description
        return not description.HasField("pending_workflow_task") and description.workflow_execution_info.history_length > 3

    await eventually(waits)
    return handle


async def failures(handle: WorkflowHandle[object, str]) -> list[str]:
    """What its failed workflow tasks say."""
    found = [event.workflow_task_failed_event_attributes async for event in handle.fetch_history_events()]
    return [failed.failure.message for failed in found if failed.HasField("failure")]


async def test_open_workflows_move_to_new_code_and_back(engine: WorkflowEnvironment) -> None:
    """The right change carries open ones on as they were; the wrong one fails their tasks, loses nothing, and is taken back."""
    assert await builds(engine.client) == []
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(working(engine, "1", AsItWas))
        await register(engine.client, "1", "first")  # there is none yet: a fresh cluster works at once
        first, second = await begun(engine, "first"), await begun(engine, "second")

        await workers.enter_async_context(working(engine, "2", Patched))
        await register(engine.client, "2", "first")
        assert [(each.build_id, each.current) for each in await builds(engine.client)] == [("2", False), ("1", True)]
        await register(engine.client, "2", "always")
        new = await begun(engine, "new")
        for handle, end in ((first, "as it was"), (new, "paused first")):
            await handle.signal("go_on")
            assert await handle.result() == end
        assert await failures(first) == []

        await workers.enter_async_context(working(engine, "3", Unpatched))
        assert await make_current(engine.client, "3") == "2"
        await second.signal("go_on")

        async def failed() -> list[str]:
            return await failures(second)

        [why, *_] = await eventually(failed)
        assert "TMPRL1100" in why  # nondeterminism: the history has no such timer
        await make_current(engine.client, "2")
        assert await second.result() == "as it was"

        with pytest.raises(NotFound, match="no worker of build 'nine' polls"):
            await make_current(engine.client, "nine")


@pytest.mark.parametrize(("code", "replays"), [(AsksFirst, True), (AsksLate, False)])
async def test_a_change_is_asked_for_before_anything_is_awaited(engine: WorkflowEnvironment, code: type, replays: bool) -> None:
    """A page that is open as a run begins ends the task at the moment in which a local activity's end comes.

    What is asked after it stands in the next task then, which the SDK does not look at when it rebuilds the run from its history. Once all
    of the second kind replay as well, changes may be asked for anywhere.
    """
    failed = []
    with ThreadPoolExecutor(1) as threads:
        for number in range(8):  # most of them meet the moment
            handle: WorkflowHandle[object, bool] = await engine.client.start_workflow(
                code.__name__, id=f"{code.__name__}-{number}", task_queue=code.__name__, result_type=bool
            )
            page = asyncio.create_task(handle.query("asked"))
            await asyncio.sleep(0.2)  # the question must be there before the worker
            async with Worker(
                engine.client,
                task_queue=code.__name__,
                workflows=[code],
                activities=[look],
                activity_executor=threads,
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                assert await page == "looks"
                assert await handle.result() is True
            replayer = Replayer(workflows=[code], data_converter=engine.client.data_converter, workflow_runner=UnsandboxedWorkflowRunner())
            result = await replayer.replay_workflow(await handle.fetch_history(), raise_on_replay_failure=False)
            if result.replay_failure is not None:
                failed.append(str(result.replay_failure))
                if not replays:
                    break
    assert all("patch marker encountered for change changed" in why for why in failed)
    assert (not failed) is replays


def test_a_build_is_called_by_version_and_commit(tmp_path: Path) -> None:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "a.py").write_text("a = 1\n")
    (tmp_path / "worker.py").write_text("b = 1\n")
    version, _, source = build_id({}, tmp_path).partition("+")
    assert (version, source) == (build_id({}).partition("+")[0], f"src-{digest(tmp_path)}")
    assert build_id({"TENURE_COMMIT": "abc1234"}, tmp_path) == f"{version}+abc1234"
    assert build_id({"TENURE_COMMIT": " a/b c "}, tmp_path) == f"{version}+a-b-c"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert build_id({}, tmp_path) == f"{version}+{head}"
    before = digest(tmp_path)
    (tmp_path / "domain" / "a.py").write_text("a = 2\n")
    assert digest(tmp_path) != before
    assert build_id({}, tmp_path) == f"{version}+{head}.src-{digest(tmp_path)}"
