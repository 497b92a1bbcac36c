"""``GET /healthz``: whether each part that the web needs answers now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import text
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from activities.ledger import Ledger
from activities.settings import Settings
from domain.base import Value
from starter.tenure import Tenure

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
#: The server lists a poller for minutes after its last poll; a live one polls again at least once a minute.
POLLED_WITHIN = timedelta(seconds=75)

#: A probe returns what it found, in words, or raises.
Probe = Callable[[], Awaitable[str]]


class Part(Value):
    """One part: whether it answers, and what it said."""

    ok: bool
    says: str = Field(examples=["answers"])


class Health(Value):
    """All parts; ``ok`` when each is."""

    ok: bool
    parts: dict[str, Part]


class NotReady(Exception):
    """A part answers, and is not fit for work; the message says why."""


def probes(tenure: Tenure, settings: Settings) -> dict[str, Probe]:
    """What is asked. The sandbox is a part only while settings point to it."""
    found: dict[str, Probe] = {
        "temporal": lambda: _temporal(tenure.client),
        "ledger": lambda: asyncio.to_thread(_ledger, tenure.ledger),
        "worker": lambda: _worker(tenure.client, tenure.task_queue),
    }
    if base := sandbox_of(settings):
        found["sandbox"] = lambda: _sandbox(base)
    return found


def router(parts: Mapping[str, Probe]) -> APIRouter:
    """The route, for :func:`starter.web.create_app`."""
    routes = APIRouter(tags=["operations"])

    @routes.get(
        "/healthz", summary="Whether every part answers", responses={503: {"model": Health, "description": "A part does not answer."}}
    )
    async def healthz(response: Response) -> Health:
        """Asks every part now: 200 when each answers, else 503, with what each said."""
        health = await check(parts)
        response.status_code = 200 if health.ok else 503
        return health

    return routes


async def check(parts: Mapping[str, Probe]) -> Health:
    """Ask all parts at once."""
    answers = await asyncio.gather(*(_ask(name, probe) for name, probe in parts.items()))
    found = dict(zip(parts, answers, strict=True))
    return Health(ok=all(part.ok for part in found.values()), parts=found)


async def _ask(name: str, probe: Probe) -> Part:
    try:
        return Part(ok=True, says=await asyncio.wait_for(probe(), PATIENCE_SECONDS))
    except TimeoutError:
        return Part(ok=False, says=f"no answer within {PATIENCE_SECONDS:.0f} s")
    except NotReady as error:
        return Part(ok=False, says=str(error))
    except Exception as error:
        # Anyone may read this page, so the error's own words (addresses, user names) stay in the log.
        log.warning("health: %s: %s", name, error)
        return Part(ok=False, says=f"does not answer ({type(error).__name__})")


async def _temporal(client: Client) -> str:
    if not await client.service_client.check_health(timeout=timedelta(seconds=PATIENCE_SECONDS)):
        raise NotReady("the server says that it is not serving")
    return f"serves namespace {client.namespace}"


def _ledger(ledger: Ledger) -> str:
    with ledger.engine.connect() as db:
        db.execute(text("SELECT 1"))
    return f"answers ({ledger.engine.dialect.name})"


async def _worker(client: Client, task_queue: str) -> str:
    polls = await asyncio.gather(
        *(
            client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind),
                timeout=timedelta(seconds=PATIENCE_SECONDS),
            )
            for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
        )
    )
    since = datetime.now(UTC) - POLLED_WITHIN
    live = [{p.identity for p in poll.pollers if p.last_access_time.ToDatetime(UTC) >= since} for poll in polls]
    if not all(live):
        raise NotReady(f"no worker polls the task queue {task_queue!r}; start one with `python worker.py`")
    count = len(live[0] | live[1])
    return f"{count} {'worker polls' if count == 1 else 'workers poll'} the task queue {task_queue!r}"


async def _sandbox(base: str) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as client:
        answer = await client.get(f"{base}/healthz")
    if answer.status_code != 200:
        raise NotReady(f"answered {answer.status_code}")
    return "answers"


def sandbox_of(settings: Settings) -> str:
    """The base address of the sandbox if any system of ours is played by it; empty when all of them are real.

    The sandbox mounts each system under a path of its own, which no real API has on this machine.
    """
    mounts = {
        settings.slack_url: "/slack",
        settings.github_url: "/github",
        settings.salesforce_url: "/salesforce",
        settings.instance_url: "/instances",
        settings.licensing_url: "/licensing",
        settings.pagerduty_url: "/pagerduty",
        settings.vitally_url: "/vitally",
        settings.sheets_url: "/sheets",
    }
    for address, mount in mounts.items():
        parts = urlsplit(address)
        if parts.scheme == "http" and parts.path.startswith(mount):
            return f"{parts.scheme}://{parts.netloc}"
    return ""
