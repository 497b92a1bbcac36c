"""docs/tour.md, walked on a stack of its own: each command works when it is copied, in the page's order, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from store.ledger import Ledger
from store.registry import Registry
from tests.rows import warm_hosts
from tests.starter.local.test_stack import ROOT, free_offset, running_stack
from tests.test_docs import FENCE

PAGE = ROOT / "docs" / "tour.md"
#: How a refusal begins, on whichever line of what is shown.
REFUSALS = ("Refused:", "Not allowed:", "Error:")
#: What differs from one walk to the next: numbers, days and months, ids, the random part of a host.
DIFFERS = re.compile(
    r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b|src-[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+"
)
PATIENCE_SECONDS = 300.0


class Step(NamedTuple):
    """A block of commands, and what the page shows of what it prints; an ellipsis is left out of the comparison."""

    commands: str
    shown: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return self.shown[:1] != () and self.shown[0].startswith(REFUSALS)


def steps(text: str) -> list[Step]:
    """The page's blocks for the shell, but the one that sets the reader's shell up, each with the block of output behind it."""
    found = list[Step]()
    for _, kind, body in FENCE.findall(text):
        if kind == "sh" and not body.startswith("source "):
            found.append(Step(body, ()))
        elif kind == "text":
            found[-1] = found[-1]._replace(shown=tuple(line.strip() for line in body.splitlines() if line.strip() not in ("", "…")))
    return found


def alike(text: str) -> str:
    return DIFFERS.sub("#", re.sub(r"\s+", " ", text))


def here(text: str, ready: Mapping[str, str], data: Path) -> str:
    """A command of the page for the stack that this test runs on."""
    for told, own in (
        ("http://127.0.0.1:8080", ready["web"]),
        ("http://127.0.0.1:8900", ready["sandbox"]),
        ("/tmp/", f"{data}/"),
        (".tenure/", f"{data}/"),
    ):
        text = text.replace(told, own)
    return text


def wrong(step: Step, code: int, printed: str) -> str:
    """What the walk shows that the page does not; empty when they agree."""
    if (code != 0) != step.refused:
        return f"exit code {code}"
    missing = [line for line in step.shown if alike(line.rstrip("…")) not in alike(printed)]
    return f"not printed: {missing}" if missing else ""


@pytest.mark.long
def test_each_command_of_the_tour_works_and_prints_what_is_shown(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TENURE_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "COLUMNS": "300", "NO_COLOR": "1"}
    kept = tmp_path / "shell"
    kept.touch()
    data = tmp_path / "data"
    with running_stack(data, free_offset(), environment | {"TENURE_ACCOUNT_BEGINNINGS_PER_SECOND": "50"}, fleet=300) as (_, ready):
        environment |= {"TENURE_DATA_DIR": str(data), "TEMPORAL_ADDRESS": ready["temporal"], "kept": str(kept)}
        registry = Registry(Ledger(f"sqlite:///{data / 'ledger.db'}"))
        while not warm_hosts(registry):  # somebody who reads the page is slower than this: the first instances are made meanwhile
            time.sleep(0.2)
        for step in steps(PAGE.read_text(encoding="utf-8")):
            shell = f'set -ea; . "$kept"; trap \'export -p > "$kept"\' EXIT\n{here(step.commands, ready, data)}'
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:  # somebody who reads the page is slower than this: what a step needs may be under way
                done = subprocess.run(
                    ["bash", "-c", shell], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300, check=False
                )
                printed = done.stdout + done.stderr
                if not (fault := wrong(step, done.returncode, printed)):
                    break
                assert time.monotonic() < deadline, f"{step.commands}\n{fault}\n{printed}"
                time.sleep(1)


@pytest.mark.parametrize(
    ("code", "printed", "says"),
    [
        (0, "extended until Tue 22 Dec 2026", ""),
        (1, "extended until Tue 22 Dec 2026", "exit code 1"),
        (0, "terminated", "not printed"),
    ],
)
def test_a_step_that_goes_otherwise_would_be_found(code: int, printed: str, says: str) -> None:
    step = Step("tenure trial show kestrel.example", ("extended until Wed 3 Jan 2029",))
    assert says in wrong(step, code, printed)
    assert bool(says) == bool(wrong(step, code, printed))
