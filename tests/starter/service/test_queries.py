"""How a workflow is asked: again where the answer may come, once where it cannot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from starter.service.queries import LOOKS, query


class Handle:
    """A workflow that answers the third question, and refuses those before it with one status."""

    def __init__(self, status: RPCStatusCode) -> None:
        self.status = status
        self.patience: list[timedelta] = []

    async def query(self, name: str, *, args: tuple[Any, ...], result_type: type[Any], rpc_timeout: timedelta) -> str:
        self.patience.append(rpc_timeout)
        if len(self.patience) < len(LOOKS):
            raise RPCError("not now", self.status, b"")
        return name


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(RPCStatusCode.DEADLINE_EXCEEDED, id="its worker has just let go of it"),
        pytest.param(RPCStatusCode.CANCELLED, id="the client gave up waiting"),
        pytest.param(RPCStatusCode.RESOURCE_EXHAUSTED, id="more questions wait than Temporal keeps"),
        pytest.param(RPCStatusCode.FAILED_PRECONDITION, id="it has just been continued as new"),
    ],
)
async def test_a_workflow_that_is_busy_is_asked_again(status: RPCStatusCode) -> None:
    handle = Handle(status)
    assert await query(cast("WorkflowHandle[Any, Any]", handle), "status", str) == "status"
    assert handle.patience == list(LOOKS)


async def test_a_workflow_that_is_not_there_is_asked_once() -> None:
    handle = Handle(RPCStatusCode.NOT_FOUND)
    with pytest.raises(RPCError):
        await query(cast("WorkflowHandle[Any, Any]", handle), "status", str)
    assert handle.patience == [LOOKS[0]]
