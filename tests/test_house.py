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
PARTS = ("domain", "activities", "workflows", "starter")
LONGEST = 450

FILES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
CODE = [*FILES, ROOT / "worker.py", *sorted((ROOT / "sandbox").rglob("*.py"))]

#: Lengths of time that are no figures of the handbook, by file and as they are written, with why they may stand there.
TECHNICAL = {
    ("domain/calendar.py", "days=1"): "a calendar's step, not a term",
    ("workflows/desk.py", "minutes=1"): "the least between two reminders, so that a ladder in the past is not climbed in one breath",
    ("workflows/effects.py", "seconds=1"): "the engine's first retry",
    ("workflows/effects.py", "minutes=5"): "the engine's longest pause between retries",
    ("workflows/effects.py", "seconds=60"): "how long one attempt of an activity may take",
    ("workflows/effects.py", "hours=6"): "how long an activity that only looks is tried",
    ("workflows/effects.py", "seconds=10"): "how long a local activity may take",
    ("workflows/inbox.py", "minutes=5"): "how long a workflow that was started without a message waits for it",
    ("workflows/upkeep.py", "seconds=2"): "the first pause between two looks at the automation",
    ("workflows/upkeep.py", "minutes=5"): "the longest of those pauses, and how long one copy of the CRM may take",
    ("workflows/upkeep.py", "hours=1"): "how long the CRM is tried before the old copy is used",
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


def durations(path: Path) -> set[str]:
    """Every length of time that is written as a number, as ``days=15``."""
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("timedelta")]
    written = {ast.unparse(keyword) for call in calls for keyword in call.keywords if isinstance(keyword.value, ast.Constant)}
    return written | {f"days={ast.unparse(arg)}" for call in calls for arg in call.args[:1] if isinstance(arg, ast.Constant)}


def test_lengths_of_time_are_figures_of_the_policy() -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("domain", "workflows")]
    found = {(name(path), written) for path in files for written in durations(path)}
    assert not found - TECHNICAL.keys(), "write it into domain/policy.toml, or say above why it is no figure"
    assert not TECHNICAL.keys() - found, "no longer in the code: strike it from the list above"


def test_a_length_of_time_would_be_found(tmp_path: Path) -> None:
    """Were the search blind, the test above could not fail."""
    code = tmp_path / "x.py"
    code.write_text("from datetime import timedelta\nimport datetime\na = timedelta(days=15, hours=n)\nb = datetime.timedelta(7)\n")
    found = {ast.unparse(keyword) for keyword in ast.walk(ast.parse(code.read_text())) if isinstance(keyword, ast.keyword)}
    assert found == {"days=15", "hours=n"}
    written = set[str]()
    for node in ast.walk(ast.parse(code.read_text())):
        if isinstance(node, ast.Call):
            written |= {ast.unparse(keyword) for keyword in node.keywords}
    assert "days=15" in written


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
