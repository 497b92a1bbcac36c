"""The texts beside the modules: each is used, and is given just what stands in its braces."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from domain import wording

DOMAIN = Path(wording.__file__).parent
OPTIONS = {"by", "flags", "at"}


def calls(module: Path) -> Iterator[tuple[list[str], set[str] | None]]:
    """The texts of which a module asks for one, as patterns of their names, and the values that it gives; None where these are not to be seen."""
    for each in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(each, ast.Call) and ast.unparse(each.func) in ("TEXTS", "TEXTS.conclude"):
            concludes = ast.unparse(each.func) == "TEXTS.conclude"
            given = {word.arg for word in each.keywords if word.arg} - (OPTIONS if concludes else set())
            seen = all(word.arg for word in each.keywords)
            yield names(each.args[concludes]), given if seen else None


def names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*names(node.body), *names(node.orelse)]
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    assert isinstance(node, ast.JoinedStr | ast.Constant), f"{ast.unparse(node)}: write the name of the text where it is asked for"
    return ["".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[^.]+" for part in parts)]


def texts(said: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each text by its name with what stands in its braces; a rule and its nearest fact are one."""
    for name, value in said.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", placeholders(value)
        elif "rule" in value:
            yield f"{prefix}{name}", placeholders(value["rule"]) | placeholders(value["nearest"])
            yield from texts(
                {each: text for each, text in value.items() if each not in ("rule", "nearest", "handbook")}, f"{prefix}{name}."
            )
        else:
            yield from texts(value, f"{prefix}{name}.")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


MODULES = sorted(path for path in DOMAIN.rglob("*.py") if path.with_suffix(".toml").exists() and list(calls(path)))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(DOMAIN).as_posix())
def test_each_text_is_asked_for_and_each_that_is_asked_for_is_there(module: Path) -> None:
    asked, known = [name for either, _ in calls(module) for name in either], dict(texts(wording.beside(str(module))))
    assert not [name for name in asked if not any(re.fullmatch(name, each) for each in known)]
    assert not [each for each in known if not any(re.fullmatch(name, each) for name in asked)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(DOMAIN).as_posix())
def test_each_text_is_given_what_stands_in_its_braces(module: Path) -> None:
    """And nothing that stands in none of the texts that are chosen from."""
    known = dict(texts(wording.beside(str(module))))
    asked = list(calls(module))
    for each, braces in known.items():
        by_name = [given for either, given in asked if re.escape(each) in either]
        for given in by_name or [given for either, given in asked if re.fullmatch("|".join(either), each)]:
            assert given is None or braces <= given, f"{each} needs {braces - given}"
    for either, given in asked:
        of_all = set[str]().union(*(braces for each, braces in known.items() if re.fullmatch("|".join(either), each)))
        assert given is None or given <= of_all, f"{either}: nothing says {given - of_all}"


def test_a_wording_takes_a_text_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text('[late]\nsame = "{who} was late by {hours:.1f} hours"\n', encoding="utf-8")
    said = wording.Wording(str(tmp_path / "some.py"))
    assert said("late.same", who="{x}", hours=2) == "{x} was late by 2.0 hours"
    with pytest.raises(KeyError):
        said("late.same", who="Ada")
    with pytest.raises(KeyError):
        said("late.other")
