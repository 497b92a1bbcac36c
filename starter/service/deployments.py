"""Temporal's worker deployments: which builds of the workers there are, and which one new work goes to.

Workflows are auto-upgraded: with its next task an open one goes to the build that is current. So a new build gets nothing until it is
made current, thousands of open trials move to it at once then, and back when the old one is made current again.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime

from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest, SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client

from domain.base import Value
from starter.errors import NotFound
from starter.service.temporal_errors import asking
from store.settings import Promotes

#: The deployment's name: all workers of the task queue.
DEPLOYMENT = "tenure"
#: How long a new build may take until the server knows it: its first poll has come by then.
REGISTERS = 60.0
_BETWEEN_TRIES = 0.25

log = logging.getLogger(__name__)


class Build(Value):
    """One build that the server knows. ``status`` is Temporal's: current, ramping, draining, drained, inactive."""

    build_id: str
    status: str
    current: bool
    known_since: datetime


async def builds(client: Client) -> list[Build]:
    """Every build, the newest first; none when no worker ever polled. Raises :class:`~starter.errors.Unavailable`."""
    ask = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT)
    try:
        with asking("the worker deployment"):
            found = await client.workflow_service.describe_worker_deployment(ask)
    except NotFound:
        return []
    info = found.worker_deployment_info
    current = info.routing_config.current_deployment_version.build_id
    made = [
        Build(
            build_id=each.deployment_version.build_id,
            status=WorkerDeploymentVersionStatus.Name(each.status).removeprefix("WORKER_DEPLOYMENT_VERSION_STATUS_").lower(),
            current=each.deployment_version.build_id == current,
            known_since=each.create_time.ToDatetime(tzinfo=UTC),
        )
        for each in info.version_summaries
    ]
    return sorted(made, key=lambda build: build.known_since, reverse=True)


async def make_current(client: Client, build_id: str) -> str:
    """Let all work go to this build from now on; returns the build that had it before. Raises :class:`NotFound` for an unknown one."""
    ask = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build_id, identity="tenure", ignore_missing_task_queues=True
    )
    unknown = NotFound(f"no worker of build {build_id[:100]!r} polls", "See `tenure workers list`, and start that worker first")
    with asking("the worker deployment", missing=unknown):
        said = await client.workflow_service.set_worker_deployment_current_version(ask)
    return str(said.previous_deployment_version.build_id)


async def register(client: Client, build_id: str, promotes: Promotes) -> None:
    """What a worker does once it polls: with ``always`` it is made current, with ``first`` only when there is no current one.

    Waits until the server knows the build. Never raises: a worker that could not be promoted still works when somebody promotes it.
    """
    deadline, last = time.monotonic() + REGISTERS, ""
    while time.monotonic() <= deadline:
        try:
            known = {build.build_id: build.current for build in await builds(client)}
            current = next((build for build, is_current in known.items() if is_current), "")
            if current == build_id:
                log.info("build %s is current", build_id)
                return
            last = "the server does not know it yet"
            if build_id in known and (promotes == "never" or (promotes == "first" and current)):
                log.warning("build %s waits: work goes to %s. → tenure workers promote %s", build_id, current or "nobody", build_id)
                return
            if build_id in known:
                await make_current(client, build_id)
                log.info("build %s is current now%s", build_id, f", in place of {current}" if current else "")
                return
        except Exception as error:
            last = str(error)
        await asyncio.sleep(_BETWEEN_TRIES)
    log.warning("build %s could not be made current: %s. → tenure workers promote %s", build_id, last, build_id)
