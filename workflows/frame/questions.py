"""What people and the Cloud team are asked, as data: ``workflows/tasks.toml`` and ``requests.toml``, read once, when a worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.base import Value
from domain.people import Role
from domain.task import Check, Choice
from domain.wording import beside


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
    return [
        {**each, "name": name, "label": each["label"].replace("{Name}", name.replace("_", " ").capitalize())}
        for each in given
        for name in _names(each)
    ]


def _names(given: dict[str, Any]) -> list[str]:
    return given.get("names") or [given["name"]]


class Request(Value):
    """What is asked of the Cloud team, before it is; names stand in braces."""

    what: str
    title: str
    intro: str
    labels: tuple[str, ...]
    choices: tuple[Choice, ...]
    undo: tuple[Choice, ...] = ()


_HERE = Path(__file__).parents[1]
QUESTIONS = {
    name: Question.model_validate({"kind": name, **given, "choices": _choices(given.get("choices", []))})
    for name, given in beside(f"{_HERE}/tasks").items()
}
REQUESTS = {name: Request.model_validate(given) for name, given in beside(f"{_HERE}/requests").items()}
