"""Of the recorded histories that are alike, one is enough: two that have the same events in the same order replay in the same way.

``python -m tests.replay.distinct`` leaves the first of each kind in ``tests/histories``; ``make histories`` calls it.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

HISTORIES = Path(__file__).parents[1] / "histories"
#: What tells two events of one type apart: which activity, timer, child or message it is about, by name and not by its payload.
NAMES = ("name", "signalName", "markerName", "type")
#: What is of this recording only, or what an activity answered.
SKIPPED = (
    "payloads",
    "taskQueue",
    "stickyAttributes",
    "searchAttributes",
    "workerVersion",
    "sdkMetadata",
    "meteringMetadata",
    "parentWorkflowExecution",
)


def shape(history: dict[str, Any]) -> tuple[str, ...]:
    """The events of a history in their order, each by its type and the names that it carries."""
    return tuple(" ".join((event["eventType"], *_names(event))) for event in history["events"])


def _names(node: Any) -> list[str]:
    found = []
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key in NAMES and isinstance(value, str):
            found.append(value)
        elif key not in SKIPPED:
            found += _names(value)
    return found


def main() -> None:
    """Remove every history that is like an earlier one."""
    seen: set[tuple[str, ...]] = set()
    for path in sorted(HISTORIES.glob("*.json.gz")):
        recorded = json.loads(gzip.decompress(path.read_bytes()))
        history = recorded["history"] if isinstance(recorded["history"], dict) else json.loads(recorded["history"])
        kind = (path.name.partition("--")[0], *shape(history))
        if kind in seen:
            path.unlink()
        seen.add(kind)
    sys.stdout.write(f"{len(list(HISTORIES.glob('*.json.gz')))} histories, none like another\n")


if __name__ == "__main__":
    main()
