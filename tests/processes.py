"""Our programs as processes of their own, forked from one that has imported what they need: each starts in a tenth of the time."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

ROOT = Path(__file__).parents[1]


#: What our programs and the tests import.
_PRELOADED = ["pytest", "starter.web.app", "starter.local.demo", "worker", "tests.processes"]


def forked() -> ForkServerContext:
    """Makes processes that have imported what our programs import; the first of a run starts the one from which they are forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def finished(process: BaseProcess, within: float = 120.0) -> int | None:
    """The exit code of a process that ends by itself; killed when it does not in time."""
    process.join(within)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{process.name} did not end within {within:.0f} seconds")
    return process.exitcode


def run_program(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> CompletedProcess[str]:
    """``python ARGUMENTS`` (``-m MODULE …`` or ``FILE …``) as the process that it would be, until it ends by itself; ``folder`` is for what it prints."""
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "stdout", folder / "stderr"
    process = forked().Process(target=_become, args=(list(arguments), dict(environment), str(out), str(err)))
    process.start()
    code = finished(process)
    return CompletedProcess(arguments, code or 0, out.read_text(), err.read_text())


def _become(arguments: list[str], environment: dict[str, str], out: str, err: str) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    start: Callable[..., Any] = runpy.run_path
    if arguments[0] == "-m":
        arguments, start = arguments[1:], runpy.run_module
    sys.argv = arguments
    start(arguments[0], run_name="__main__")
