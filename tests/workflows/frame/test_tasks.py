"""What people and the Cloud team are asked, as data: each section is used, and is given what stands in its braces."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import workflows
from domain import policy
from domain.task import TaskKind
from workflows.frame.tasks import QUESTIONS, REQUESTS

SOURCES = sorted(Path(str(workflows.__file__)).parent.rglob("*.py"))
#: What a process gives to each text by itself.
OWN = {"process", "state"}
OF = "CloudRequest.of"


def calls(method: str) -> Iterator[tuple[list[str], set[str]]]:
    """The sections that a call may mean (``*``: it is not written there), and the words that it gives."""
    for node in (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(method) and node.args:
            words = next((word.value for word in node.keywords if word.arg == "words"), None)
            inside = {str(ast.literal_eval(key)) for key in words.keys if key} if isinstance(words, ast.Dict) else set[str]()
            yield named(node.args[method == OF]), {word.arg for word in node.keywords if word.arg} | inside


def named(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.Attribute) and node.attr in TaskKind.__members__:
        return [TaskKind[node.attr].value]
    return ["*"]


def braces(*texts: str) -> set[str]:
    """What stands in the braces of these texts, without attributes."""
    found = (name for text in texts for _, name, _, _ in Formatter().parse(text) if name is not None)
    return {name.partition(".")[0] for name in found} - OWN


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_task_is_given_the_words_of_its_texts(name: str) -> None:
    question = QUESTIONS[name]
    asks = [field.asks for choice in question.choices for field in choice.fields]
    wanted = braces(question.title, question.asks, *asks)
    by_name = [words for names, words in calls(".spec") if name in names]
    assert all(wanted <= words for words in by_name)
    assert by_name or any(wanted <= words for names, words in calls(".spec") if "*" in names), f"nobody gives all of {sorted(wanted)}"


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_given_the_words_of_its_texts(name: str) -> None:
    request = REQUESTS[name]
    given = [words for names, words in calls(OF) if name in names]
    assert given
    assert all(braces(request.what, request.title, request.intro) <= words for words in given)


@pytest.mark.parametrize("name", [name for name, question in QUESTIONS.items() if question.hours])
def test_a_tasks_hours_are_a_figure_of_a_policy(name: str) -> None:
    path, found = QUESTIONS[name].hours.split("."), []
    for of in (policy.default(), policy.default_accounts()):
        try:
            found.append(reduce(getattr, path, of))
        except AttributeError:
            continue
    figures: list[Any] = found
    assert figures
    assert all(float(figure) > 0 for figure in figures)
