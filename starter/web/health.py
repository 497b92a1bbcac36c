"""Whether each part that a process needs works now; the ledger is written to, not only asked.

``/readyz`` is apart from ``/livez``, so that nobody restarts the web because a worker, Temporal or the ledger is away: it still takes signups
then, and keeps them.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, Query, Response
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from domain.base import Value
from starter.service.tenure import Tenure
from starter.web.problem_details import problems
from store import ledger_file
from store.database import put
from store.ledger import Ledger
from store.settings import Settings
from store.tables import readiness

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
#: Between two writes to the ledger; what was found meanwhile is said again.
WRITE_EVERY_SECONDS = 2.0
#: The server lists a poller for minutes after its last poll; a live one polls again at least once a minute.
POLLED_WITHIN = timedelta(seconds=75)

#: Whatever the sandbox may play.
SYSTEMS = ("slack", "github", "salesforce", "instance", "licensing", "pagerduty", "vitally", "sheets")

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


ANSWERS: dict[int | str, dict[str, Any]] = {**problems(422), 503: {"model": Health, "description": "A part does not answer."}}


class NotReady(Exception):
    """A part answers, and is not fit for work; the message says why."""


def probes(tenure: Tenure, settings: Settings) -> dict[str, Probe]:
    """What is asked. The sandbox is a part only while settings point to it."""
    found: dict[str, Probe] = {
        "temporal": lambda: _temporal(tenure.client),
        "ledger": LedgerProbe(tenure.ledger),
        "worker": lambda: _worker(tenure.client, tenure.task_queue),
    }
    if base := sandbox_of(settings):
        found["sandbox"] = lambda: _sandbox(base)
    return found


async def check(parts: Mapping[str, Probe], exclude: Collection[str] = ()) -> Health:
    """Ask all parts at once, but for those of ``exclude``."""
    asked = {name: probe for name, probe in parts.items() if name not in exclude}
    answers = await asyncio.gather(*(_ask(name, probe) for name, probe in asked.items()))
    found = dict(zip(asked, answers, strict=True))
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


class LedgerProbe:
    """Writes to the ledger and commits: what only reads, or is full, is not ready. Anybody may ask, so it writes at most once a moment."""

    def __init__(self, ledger: Ledger, every: float = WRITE_EVERY_SECONDS) -> None:
        self._ledger = ledger
        self._every = every
        self._at = float("-inf")
        self._write: asyncio.Task[Part] | None = None

    async def __call__(self) -> str:
        """What the ledger said at the last write. Raises :class:`NotReady`."""
        if self._write is None or (self._write.done() and time.monotonic() - self._at > self._every):
            self._at = time.monotonic()
            self._write = asyncio.create_task(asyncio.to_thread(self._written), name="readiness")
        part = await asyncio.shield(self._write)  # who stops waiting leaves it to the next that asks
        if not part.ok:
            raise NotReady(part.says)
        return part.says

    def _written(self) -> Part:
        path = ledger_file.path_of(self._ledger.url)
        if path is not None and ledger_file.is_missing(path):  # those that have it open would go on writing to nowhere
            return Part(ok=False, says="the ledger's file is missing")
        try:
            with self._ledger.writing() as db:
                put(db, readiness, {"id": 1, "at": datetime.now(UTC)})
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.warning("health: the ledger: %s", type(error).__name__)
            return Part(ok=False, says=f"the ledger {ledger_file.matter(error)}")
        return Part(ok=True, says=f"takes writes ({self._ledger.engine.dialect.name})")


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
    live = [{poller.identity for poller in poll.pollers if poller.last_access_time.ToDatetime(UTC) >= since} for poll in polls]
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
    for system in SYSTEMS:
        parts = urlsplit(getattr(settings, f"{system}_url"))
        if parts.scheme == "http" and parts.path.startswith(f"/{system}"):
            return f"{parts.scheme}://{parts.netloc}"
    return ""


def add_to(app: FastAPI, parts: Mapping[str, Probe]) -> None:
    """Add ``/readyz``, and ``/healthz`` by its older name, for :func:`starter.web.app.create_app`."""

    @app.get("/healthz", summary="The same as /readyz", tags=["operations"], responses=ANSWERS)
    @app.get("/readyz", summary="Whether every part answers", tags=["operations"], responses=ANSWERS)
    async def readyz(response: Response, exclude: Annotated[list[str], Query(max_length=20)] = []) -> Health:  # noqa: B006
        """Asks every part now: 200 when each answers, else 503, with what each said. ``?exclude=worker`` leaves a part out, and may be repeated."""
        health = await check(parts, exclude)
        response.status_code = 200 if health.ok else 503
        return health
