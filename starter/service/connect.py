"""The one way to Temporal: where it is by ``temporalio.envconfig``, how values travel by :func:`store.crypto.codec.data_converter`.

What our own clients send to a workflow is marked: the rights of whoever asks were checked before it, and the audit has it. What operators
read of a workflow that a client starts is one line of inert words: a company's name stands in it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import uuid4

from temporalio import client as temporal
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig

from starter.errors import BadInput, Unavailable
from workflows.frame.provenance import marked, shown

DEFAULT_ADDRESS = "127.0.0.1:7233"
_BETWEEN_TRIES = 0.2


async def connect(
    converter: DataConverter,
    *,
    key: Callable[[], bytes] = bytes,
    address: str = "",
    fallback: str = DEFAULT_ADDRESS,
    patience: float = 5.0,
    lazy: bool = False,
    given_up: Callable[[], bool] = lambda: False,
) -> Client:
    """A client of the server that the environment names, whose values travel by ``converter`` and whose messages are marked as ours with ``key``
    (:meth:`store.settings.Settings.way_in_key`); without one they are judged where they arrive, like anybody's.

    ``address`` takes the place of the environment altogether (the local stack knows its own server); ``fallback`` is used when the
    environment names none. The first connection is tried for ``patience`` seconds, since a stack's parts start together; ``lazy`` makes
    it at the first call instead. ``given_up`` says that nobody waits for it any more. Raises :class:`Unavailable`.
    """
    options = {"target_host": address} if address else _from_environment()
    options.setdefault("target_host", fallback)
    where = options["target_host"]
    deadline = time.monotonic() + patience
    while True:
        try:
            return await Client.connect(**options, data_converter=converter, lazy=lazy, interceptors=[WayIn(key)])
        except RuntimeError as error:  # what the SDK raises for every failed connection
            if given_up() or time.monotonic() >= deadline:
                raise Unavailable(
                    f"Temporal does not answer at {where} ({why(error)})",
                    "Start the local stack with `tenure up`, or set TEMPORAL_ADDRESS to your server",
                ) from error
            await asyncio.sleep(_BETWEEN_TRIES)
        except ValueError as error:
            raise BadInput(
                f"the address of Temporal, {where!r}, cannot be used ({_short(error)})", "Set TEMPORAL_ADDRESS to HOST:PORT"
            ) from None


def named_by_environment(environment: Mapping[str, str]) -> bool:
    """Whether the environment says which server is meant; then that one is meant, whatever runs on this machine."""
    return bool(environment.get("TEMPORAL_ADDRESS") or environment.get("TEMPORAL_PROFILE"))


def _from_environment() -> dict[str, object]:
    try:
        return dict(ClientConfig.load_client_connect_config())
    except (RuntimeError, ValueError) as error:
        raise BadInput(
            f"the settings of Temporal cannot be read ({_short(error)})", "Check TEMPORAL_* and the file TEMPORAL_CONFIG_FILE"
        ) from None


def why(error: RuntimeError) -> str:
    """What is wrong with a connection, from the SDK's error, whose text is that of nested Rust values."""
    text = str(error)
    known = re.search(r'message: "([^"]+)"', text) or re.search(r'error: "([^"]+)"', text)
    return known[1].lower() if known else _short(error)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


class WayIn(temporal.Interceptor):
    """For every client of ours. ``key`` is asked for when the first message is sent."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = cache(key)

    def intercept_client(self, next: temporal.OutboundInterceptor) -> temporal.OutboundInterceptor:
        """The interceptor of one client."""
        return _Marking(next, self._key)


class _Marking(temporal.OutboundInterceptor):
    def __init__(self, next: temporal.OutboundInterceptor, key: Callable[[], bytes]) -> None:
        super().__init__(next)
        self._key = key

    async def start_workflow(self, input: temporal.StartWorkflowInput) -> temporal.WorkflowHandle[Any, Any]:
        if input.start_signal:
            input.headers = marked(input.headers, self._key(), input.id, input.start_signal, input.start_signal_args)
        input.static_summary = shown(input.static_summary)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: temporal.SignalWorkflowInput) -> None:
        input.headers = marked(input.headers, self._key(), input.id, input.signal, input.args)
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: temporal.StartWorkflowUpdateInput) -> temporal.WorkflowUpdateHandle[Any]:
        self._mark(input, input.id)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: temporal.StartWorkflowUpdateWithStartInput
    ) -> temporal.WorkflowUpdateHandle[Any]:
        started = input.start_workflow_input
        self._mark(input.update_workflow_input, started.id)
        started.static_summary = shown(started.static_summary)
        return await super().start_update_with_start_workflow(input)

    def _mark(self, asked: temporal.StartWorkflowUpdateInput | temporal.UpdateWithStartUpdateWorkflowInput, workflow: str) -> None:
        asked.update_id = asked.update_id or uuid4().hex  # the mark is made over it
        asked.headers = marked(asked.headers, self._key(), workflow, asked.update, asked.args, asked.update_id)
