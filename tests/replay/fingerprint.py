"""The fingerprint of every workflow: the sequence of its calls that become commands, read from the source.

A change of the sequence changes what a running workflow's replay must produce, so its diff is what a reviewer looks at first.
``python -m tests.replay.fingerprint`` writes ``fingerprint.json``; the test holds the file against the code.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("fingerprint.json")

#: Calls that become commands, or decide whether and in which order commands are made.
COMMANDS = {
    "continue_as_new",
    "execute_activity",
    "execute_local_activity",
    "get_external_workflow_handle",
    "patched",
    "signal",
    "sleep",
    "start_child_workflow",
    "upsert_search_attributes",
    "wait_condition",
    # ours
    "answer_beside",
    "ask",
    "ask_of",
    "ask_or_end",
    "begin",
    "beside",
    "changed",
    "delivered",
    "do",
    "github",
    "instance",
    "issue",
    "licensing",
    "local",
    "look",
    "mail",
    "pagerduty",
    "publish",
    "reason",
    "registry",
    "salesforce",
    "say",
    "settle",
    "sheets",
    "sign_up",
    "slack",
    "spawn",
    "tell",
    "usage",
    "vitally",
    "wait",
    "wait_for",
    "wait_unless_ended",
}


def fingerprint() -> dict[str, dict[str, list[str]]]:
    """For each file and function of ``workflows/``, its commands in the order of the source, with the names that they carry."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted((ROOT / "workflows").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {name: calls for name, node in _functions(tree, "") if (calls := list(_commands(node)))}
        if functions:
            found[str(path.relative_to(ROOT))] = functions
    return found


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child


def _commands(function: ast.AST) -> Iterator[str]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr in COMMANDS:
            yield f"{call.func.attr}({', '.join(_names(call))})"


def _names(call: ast.Call) -> Iterator[str]:
    """What names the command: a literal first argument, and the keys and kinds of the acts in it."""
    if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
        yield call.args[0].value
    for argument in call.args:
        for node in ast.walk(argument):
            if isinstance(node, ast.keyword) and node.arg in ("key", "change", "kind"):
                yield ast.unparse(node.value)


if __name__ == "__main__":
    FILE.write_text(json.dumps(fingerprint(), indent=1) + "\n", encoding="utf-8")
