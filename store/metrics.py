"""What operators see in numbers, beside the SDK's own: every series of ours, on the SDK's meter and so on its Prometheus endpoint.

A process without an endpoint (see :mod:`starter.web.control`) counts into nothing. No label holds a name of a person, a company or a host.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from temporalio.runtime import Runtime

#: Each series, what it says, and its labels. Prometheus shows a counter with ``_total`` behind its name, and a duration with ``_seconds``.
SERIES: Mapping[str, str] = {
    "tenure_effects": "Attempts at effects on outside systems, by system and outcome: done, found (an earlier attempt had done it),"
    " refused, put_off, unsure",
    "tenure_signups": "Signups by outcome: as the trial answers it, or refused, kept, lost",
    "tenure_tasks": "Tasks of people by kind and event: opened, answered, chased",
    "tenure_request": "Requests to the web, by method, route and status",
    "tenure_ready": "Whether each part that a process needs answers, 1 or 0, by part",
    "tenure_holds": "Outside systems that are left alone for now, since they asked for it or do not answer, by system",
    "tenure_signups_kept": "Signups and trial requests that could not be taken and wait for their rescue",
    "tenure_waiting": "Processes that wait for a person, by overdue: yes, no",
    "tenure_build": "Always 1, with the build",
}


def count(series: str, **labels: str) -> None:
    """One more of a kind."""
    _made("counter", series).add(1, labels)


def took(series: str, seconds: float, **labels: str) -> None:
    """Something was done, and took so long."""
    _made("histogram_timedelta", series, "s").record(timedelta(seconds=seconds), labels)


def show(series: str, value: float, **labels: str) -> None:
    """How much there is now."""
    _made("gauge_float", series).set(value, labels)


@cache
def _made(kind: str, series: str, *unit: str) -> Any:
    return getattr(Runtime.default().metric_meter, f"create_{kind}")(series, SERIES[series], *unit)
