"""The rules of the house that no other tool holds: docstrings, short files, figures in the policy, and nothing left unfinished."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("domain", "store", "activities", "workflows", "starter")
LONGEST = 450

FILES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
CODE = [*FILES, ROOT / "worker.py", *sorted((ROOT / "sandbox").rglob("*.py"))]

#: Where a length of time may be written in a unit, since it is no figure of the handbook; and why.
TECHNICAL = {
    ("domain/calendar.py", "days"): "a calendar's step, not a term",
    ("workflows/frame/cloud_requests.py", "minutes"): "how much older than its webhook GitHub's answer may be",
    ("workflows/frame/tasks.py", "minutes"): "the least between two reminders, so that a ladder in the past is not climbed in one breath",
    ("workflows/frame/effects.py", "seconds"): "the engine's patience: retries and time-outs",
    ("workflows/frame/effects.py", "minutes"): "the engine's patience: retries and time-outs",
    ("workflows/frame/effects.py", "hours"): "the engine's patience: retries and time-outs",
    ("workflows/frame/process.py", "minutes"): "how far two machines' clocks may be apart",
    ("workflows/forecast.py", "minutes"): "how long one roll-up may take",
    ("workflows/health.py", "minutes"): "what a step of the hourly run may take before it goes on without it",
    ("workflows/frame/handlers.py", "minutes"): "how long a workflow that was started without a message waits for it",
    ("workflows/upkeep.py", "seconds"): "the pauses between two looks at the automation",
    ("workflows/upkeep.py", "minutes"): "the pauses between two looks at the automation, and one copy of the CRM",
    ("workflows/upkeep.py", "hours"): "how long the CRM is tried before the old copy is used",
}

#: Functions that begin with a run, or with a message to it.
FIRST = {"__init__", "run", "noted"}
#: Where a change is asked for later than that, and why it does no harm.
ASKED_LATE: dict[tuple[str, str], str] = {}

#: Functions that import what they use; and why. Everywhere else an import stands at the top of its file.
IMPORTS = {
    ("domain/addresses.py", "_suffixes"): "tldextract loads requests (101 ms); most commands read no address",
    ("store/migrations/__init__.py", "upgrade"): "Alembic, which only a migration needs",
    ("store/settings.py", "_is_rate"): "limits (72 ms), which is asked only where a rate is set",
}

#: In two halves, so that this file does not name what it looks for.
REGISTRIES = [
    host + end
    for host, end in [
        ("pypi.", "org"),
        ("pythonhosted.", "org"),
        ("npmjs.", "org"),
        ("npmjs.", "com"),
        ("yarnpkg.", "com"),
        ("proxy.golang.", "org"),
        ("crates.", "io"),
        ("rubygems.", "org"),
        ("repo.maven.", "apache.org"),
        ("repo1.maven.", "org"),
        ("nuget.", "org"),
        ("hub.docker.", "com"),
        ("registry-1.docker.", "io"),
        ("deb.debian.", "org"),
        ("archive.ubuntu.", "com"),
        ("conda.anaconda.", "org"),
    ]
]

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name(path))


Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Named]]:
    """Every function and class that others may use, those of public classes too; nested functions are their function's own."""
    for node in body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def decorators(node: Named) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_everything_public_has_a_docstring(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module), "the module says nothing"
    silent = [
        f"{path.name}:{node.lineno} {full}"
        for full, node in public(module.body)
        if not ast.get_docstring(node) and not decorators(node) & {"overload", "setter"}
    ]
    assert not silent


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def inner_imports(module: ast.Module) -> set[str]:
    """The functions that import something when they are called."""
    functions = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if any(isinstance(each, ast.Import | ast.ImportFrom) for each in ast.walk(node))}


def test_imports_stand_at_the_top() -> None:
    assert {(name(path), function) for path in FILES for function in inner_imports(tree(path))} == set(IMPORTS)


def units(module: ast.Module) -> set[str]:
    """The units in which lengths of time are written as numbers: ``timedelta(days=15)`` and ``timedelta(15)`` are days."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("timedelta")]
    written = {str(word.arg) for call in calls for word in call.keywords if isinstance(word.value, ast.Constant)}
    return written | {"days" for call in calls for first in call.args[:1] if isinstance(first, ast.Constant)}


def test_lengths_of_time_are_figures_of_the_policy() -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("domain", "workflows")]
    found = {(name(path), unit) for path in files for unit in units(tree(path))}
    assert found - TECHNICAL.keys() == set(), "write it into domain/policy.toml, or say above why it is no figure"
    assert TECHNICAL.keys() - found == set(), "no longer in the code: strike it from the list above"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("timedelta(days=15)", {"days"}),
        ("datetime.timedelta(7)", {"days"}),
        ("timedelta(hours=72, minutes=n)", {"hours"}),
        ("timedelta(days=policy.trial.base_days)", set()),
        ("timedelta()", set()),
    ],
)
def test_a_length_of_time_would_be_found(code: str, found: set[str]) -> None:
    assert units(ast.parse(code)) == found


def asked_late(module: ast.AST) -> set[str]:
    """The functions that ask ``patched`` after they awaited something, or where something may have been awaited before they began."""
    late = set()
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        nodes = list(ast.walk(function))
        asks = [node.lineno for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("patched")]
        waits = [node.lineno for node in nodes if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)]
        if asks and (function.name not in FIRST or any(wait < max(asks) for wait in waits)):
            late.add(function.name)
    return late


def test_changes_are_asked_for_before_anything_is_awaited() -> None:
    """A run could not be rebuilt otherwise: docs/changing-workflows.md."""
    found = {(name(path), function) for path in FILES if name(path).startswith("workflows/") for function in asked_late(tree(path))}
    assert found == ASKED_LATE.keys()


@pytest.mark.parametrize(
    ("code", "late"),
    [
        ("async def run(self):\n  new = workflow.patched('x')\n  await self.look()", set()),
        ("async def run(self):\n  await self.look()\n  new = workflow.patched('x')", {"run"}),
        ("async def reserve(t):\n  return workflow.patched('x')", {"reserve"}),
        ("async def reserve(t):\n  await t.look()", set()),
    ],
)
def test_a_change_asked_for_late_would_be_found(code: str, late: set[str]) -> None:
    assert asked_late(ast.parse(code)) == late


@pytest.mark.parametrize("path", CODE, ids=name)
def test_nothing_is_left_unfinished(path: Path) -> None:
    """``TODO`` is a word of the process (the instance request's open field): as a value it may stand, as a note it may not."""
    text = path.read_text(encoding="utf-8")
    left = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string):
            left.append(f"{path.name}:{token.start[0]} {token.string}")
        if token.type == tokenize.NAME and token.string in ("NotImplementedError", "NotImplemented"):
            left.append(f"{path.name}:{token.start[0]} {token.string}")
        if token.type == tokenize.STRING and UNFINISHED.search(re.sub(r"`+TODO`+|^f?[\"']TODO[\"']$", "", token.string)):
            left.append(f"{path.name}:{token.start[0]} {token.string[:60]}")
    assert not left


def kept() -> list[Path]:
    """Every file of the repository, those not yet added too; without git every file under its folders."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, timeout=30
        ).stdout
        names = [part.decode() for part in listed.split(b"\0") if part]
    except (OSError, subprocess.SubprocessError):
        folders = (*PARTS, "sandbox", "tests", "bench", "docs")
        names = [name(path) for folder in folders for path in (ROOT / folder).rglob("*")]
        names += [name(path) for path in ROOT.iterdir()]
    return [ROOT / each for each in names if (ROOT / each).is_file()]


def test_the_repository_names_no_package_registry() -> None:
    named = re.compile("|".join(re.escape(host) for host in REGISTRIES).encode())
    found = {name(path): match[0].decode() for path in kept() if (match := named.search(path.read_bytes()))}
    assert not found
    assert ROOT / "pyproject.toml" in kept()
