"""How the service reads what the server lists: rows, pages, and a workflow's own clock."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from temporalio.client import WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus

from domain import ids
from starter.errors import BadInput
from starter.service.views import TrialRow
from workflows.frame.search_attributes import DOMAIN, DUE_AT, OWNER, STAGE

T = TypeVar("T")


def row(execution: WorkflowExecution, staff: Mapping[str, str]) -> TrialRow:
    """A trial as its search attributes tell it. ``staff`` are our people's addresses by their handles; who is not among them stays a handle."""
    known = execution.typed_search_attributes
    status = execution.status or WorkflowExecutionStatus.RUNNING
    return TrialRow(
        domain=known.get(DOMAIN) or execution.id.removeprefix("trial-"),
        workflow=execution.id,
        run=execution.run_id,
        stage=known.get(STAGE) or "",
        owner=staff.get(known.get(OWNER) or "", known.get(OWNER) or ""),
        due_at=known.get(DUE_AT),
        open=status is WorkflowExecutionStatus.RUNNING,
        status=status.name.lower(),
        started_at=execution.start_time,
        closed_at=execution.close_time,
    )


def clock(description: WorkflowExecutionDescription) -> datetime:
    """The workflow's own time: the server skips time for each workflow on its own, and only on a local stack."""
    known = description.raw_description.workflow_extended_info
    if not known.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return known.time_skipping_info.current_time.ToDatetime(tzinfo=UTC)


def bounded(limit: int, most: int) -> int:
    """The limit, when it is within bounds. Raises :class:`BadInput`."""
    if not 1 <= limit <= most:
        raise BadInput(f"a page of {limit} is not given", f"Ask for 1 to {most}", field="limit")
    return limit


def page(rows: list[T], after: str, key: Callable[[T], str], limit: int, most: int) -> list[T]:
    """The rows behind the one whose key is ``after``. Raises :class:`BadInput` when it is none of them any more."""
    keys = [key(row) for row in rows] if after else []
    if after and after not in keys:
        raise BadInput(f"{after[:80]!r} is not in this list (any more)", "Ask for the first page again", field="after")
    first = keys.index(after) + 1 if after else 0
    return rows[first : first + bounded(limit, most)]


def page_of(token: bytes | None) -> str:
    """The server's token as text, with a checksum: the server tries long and hard to make sense of one that it never gave."""
    if not token:
        return ""
    text = base64.urlsafe_b64encode(token).decode()
    return f"{ids.digest(text)}.{text}"


def token(page: str) -> bytes | None:
    """The server's token of a page that :func:`page_of` named; None for the first. Raises :class:`BadInput`."""
    check, _, text = page.partition(".")
    try:
        if page and check != ids.digest(text):
            raise ValueError
        return base64.b64decode(text, altchars=b"-_", validate=True) or None
    except ValueError:
        raise BadInput("there is no such page", "Take the page from `next_page` of the page before", field="page") from None
