"""What people read of a module, in the ``.toml`` of the same name beside it: texts by their name, each with closed placeholders in braces.

A text is data: whoever puts it better, or reads what a process says in one go, needs no code. ``tests/domain/test_wording.py`` sees to it that
each one is used, and given just what stands in its braces.
"""

import tomllib
from datetime import datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar

from domain.decision import Conclusion, Fact, Flag

Word = TypeVar("Word", bound=str)


def beside(module: str) -> dict[str, Any]:
    """All that the ``.toml`` beside a module's file says, as it stands."""
    return tomllib.loads(Path(module).with_suffix(".toml").read_text(encoding="utf-8"))


class Wording:
    """The texts beside a module: ``TEXTS = Wording(__file__)``."""

    def __init__(self, module: str) -> None:
        self._texts = beside(module)

    def __call__(self, name: str, /, **values: object) -> str:
        """The text of that name (``refusals.too_early``), filled in."""
        return str(self._named(name)).format_map(values)

    def conclude(
        self,
        outcome: Word,
        name: str,
        facts: tuple[Fact, ...] = (),
        /,
        *,
        by: str = "",
        flags: tuple[Flag, ...] = (),
        at: datetime | None = None,
        **values: object,
    ) -> Conclusion[Word]:
        """What a function concludes: ``rule`` and ``nearest`` of that name, filled in, and its ``handbook`` where it has ids of its own."""
        said = self._named(name)
        rule, nearest = (said[part].format_map(values) for part in ("rule", "nearest"))
        return Conclusion(outcome, rule, nearest, facts, by=by, flags=flags, handbook=said.get("handbook", ""), at=at)

    def _named(self, name: str) -> Any:
        return reduce(getitem, name.split("."), self._texts)


def behind(text: object, mark: str = ": ") -> str:
    """What somebody may have added, behind a mark; empty when they did not."""
    return f"{mark}{text}" if text else ""
