"""A real dev server with a clock for each workflow, shared by the tests of the ways in."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from starter.stack import SERVER_SETTINGS
from workflows.attributes import DOMAIN, DUE_AT, OWNER, STAGE


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine() -> AsyncIterator[WorkflowEnvironment]:
    """The server of the local stack, with the settings that `tenure up` gives it."""
    keys: list[SearchAttributeKey[Any]] = [STAGE, OWNER, DUE_AT, DOMAIN]
    flags = [word for key, value in SERVER_SETTINGS.items() for word in ("--dynamic-config-value", f"{key}={value}")]
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_extra_args=flags,
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=keys,
    )
    async with environment:
        with environment.with_time_skipping_disabled():
            yield environment
