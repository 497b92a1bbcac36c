"""``python -m bench [--quick] [METRIC …]``: measure, print JSON lines on stdout and a table on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from bench.cpu import cpu, wall
from bench.harness import Ground, ground
from bench.hourly import hourly
from bench.renewal import renewal
from bench.replay import replay
from bench.report import Row, line, table
from bench.rest import rest
from bench.signup import signup
from bench.start import start
from bench.steps import steps
from bench.year import year
from starter.run import run_cli

Measure = Callable[[Ground], Awaitable[list[Row]]]


def measures(quick: bool) -> dict[str, Measure]:
    """Every metric by its name on the command line, in the order in which they are measured."""
    return {
        "steps": partial(steps, trials=2 if quick else 5),
        "cpu": partial(cpu, repetitions=2 if quick else 4, block=4 if quick else 8),
        "signup": partial(signup, alone=8 if quick else 30, together=64 if quick else 128),
        "rest": partial(rest, number=60 if quick else 300),
        "replay": partial(replay, repetitions=3 if quick else 9, each=5),
        "wall": partial(wall, repetitions=3 if quick else 7),
        "start": lambda _ground: start(),
        "renewal": renewal,
        "year": year,
        "hourly": partial(hourly, fleets=(10_000,) if quick else (10_000, 100_000)),
    }


async def measure(chosen: Sequence[str], quick: bool) -> tuple[list[Row], list[str]]:
    """Measure these, each printed as soon as it is known; also the names of those that could not be measured."""
    found: list[Row] = []
    failed: list[str] = []
    async with ground() as where:
        for name, work in measures(quick).items():
            if name not in chosen:
                continue
            load = os.getloadavg()[0]
            try:
                rows = await work(where)
            except Exception as error:  # one figure that cannot be had must not cost all others
                sys.stderr.write(f"{name} could not be measured: {type(error).__name__}: {error}\n")
                failed.append(name)
                continue
            for each in rows:
                found.append(replace(each, load=round(load, 1)))
                sys.stdout.write(line(found[-1]) + "\n")
                sys.stdout.flush()
    return found, failed


def main() -> int:
    """Run the command line; 1 when a goal was missed or something could not be measured."""
    names = list(measures(quick=False))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("metric", nargs="*", help=f"of: {', '.join(names)} (all)")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and no fleet of 100,000: a few minutes")
    options = parser.parse_args()
    if unknown := set(options.metric) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for name in list(os.environ):  # whoever measures may have a Tenure of their own
        if name.startswith(("TEMPORAL_", "TENURE_")):
            del os.environ[name]
    # The sandbox loads a workflow's module again for every run: from bytecode, as on any machine where it may be kept.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    rows, failed = run_cli(measure(options.metric or names, options.quick))
    table(rows)
    return int(bool(failed) or any(each.ok is False for each in rows))


if __name__ == "__main__":
    sys.exit(main())
