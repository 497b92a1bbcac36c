"""What people are asked, as data: ``workflows/tasks.toml``, read once, when a worker starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.base import Value
from domain.people import Role
from domain.task import Check, Choice


class Question(Value):
    """A task before it is asked. ``hours`` is the path of a figure of the policy; ``title`` and ``asks`` have names in braces."""

    kind: str
    title: str = "{title}"
    asks: str
    role: Role = Role.CLOUD
    hours: str = ""
    choices: tuple[Choice, ...] = ()
    checks: tuple[Check, ...] = ()

    def filled(self, words: Mapping[str, object]) -> Question:
        """With these words in the place of the names."""
        text = {"title": self.title.format(**words), "asks": self.asks.format(**words)}
        return self.model_copy(update={**text, "choices": tuple(_filled(choice, words) for choice in self.choices)})


def _filled(choice: Choice, words: Mapping[str, object]) -> Choice:
    fields = (field.model_copy(update={"asks": field.asks.format(**words)}) for field in choice.fields)
    return choice.model_copy(update={"fields": tuple(fields)})


def _choices(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each choice; one with ``names`` is as many."""
    return [{**each, "name": name, "label": each["label"].replace("{Name}", name.title())} for each in given for name in _names(each)]


def _names(given: dict[str, Any]) -> list[str]:
    return given.get("names") or [given["name"]]


def _read(path: Path) -> dict[str, Question]:
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: Question.model_validate({"kind": name, **given, "choices": _choices(given.get("choices", []))})
        for name, given in sections.items()
    }


QUESTIONS = _read(Path(__file__).parents[1] / "tasks.toml")
