"""Reads a policy file: each entry with its unit and its handbook id, every fault with its line."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import to_json

from domain.base import Value
from domain.policy.units import Unit

Kind = TypeVar("Kind", bound=Value)

DEFAULT = Path(__file__).parents[1] / "policy.toml"


class PolicyError(ValueError):
    """The policy file is wrong; the message names every entry at fault, with its line."""


@dataclass(frozen=True)
class Entry:
    """One line of the file: its dotted path, value, unit, handbook id and line number."""

    path: str
    value: Any
    unit: str
    id: str
    line: int


def entries(path: Path = DEFAULT) -> list[Entry]:
    """Every entry of a file as it stands, for ``tenure policy show``."""
    found, faults = _entries(path.read_text(encoding="utf-8"), str(path))
    if faults:
        raise PolicyError("\n".join(faults))
    return found


def read(text: str, name: str, model: type[Kind]) -> Kind:
    """The policy of a file's text; ``name`` stands in the errors. Raises :class:`PolicyError`."""
    found, faults = _entries(text, name)
    units = dict(_units(model))
    for entry in found:
        where, unit = f"{name}:{entry.line}: {entry.path}", units.get(entry.path)
        if unit is None:
            faults.append(f"{where}: unknown key; see domain/policy.toml for the known ones")
        elif unit != entry.unit:
            faults.append(f"{where}: unit is {entry.unit!r}, must be {unit!r}")
    if faults:
        raise PolicyError("\n".join(faults))
    tree: dict[str, Any] = {}
    for entry in found:
        *sections, leaf = entry.path.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[leaf] = entry.value
    try:
        # Strict, or `true` would be one day; by way of JSON, where strict knows that a list is a tuple's only form.
        return model.model_validate_json(to_json(tree), strict=True)
    except ValidationError as error:
        lines = _lines(text)
        for fault in error.errors():
            at_fault = ".".join(str(part) for part in fault["loc"] if not isinstance(part, int))
            line = lines.get(at_fault) or lines.get(at_fault.rpartition(".")[0], 1)
            why = "is missing" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
            faults.append(f"{name}:{line}: {at_fault}: {why}")
        raise PolicyError("\n".join(faults)) from None


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every entry of a tree of sections by its dotted path; a table with a value, a unit or an id is an entry of the file itself."""
    for key, value in tree.items():
        if isinstance(value, dict) and not {"value", "unit", "id"} & value.keys():
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _entries(text: str, name: str) -> tuple[list[Entry], list[str]]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{name}: {error}") from None
    lines = _lines(text)
    found, faults = list[Entry](), list[str]()
    for path, leaf in leaves(tree):
        line = lines.get(path, 1)
        match leaf:
            case {"value": value, "unit": str(unit), "id": str(id_), **rest} if not rest:
                found.append(Entry(path, value, unit, id_, line))
            case _:
                faults.append(f'{name}:{line}: {path}: write it as {{ value = …, unit = "…", id = "…" }}')
    return found, faults


def _lines(text: str) -> dict[str, int]:
    """Where each dotted path stands; tomllib keeps no positions, and the file's form is regular."""
    section, where = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[([\w.\-]+)\]", line):
            section = heading[1]
            where[section] = number
        elif key := re.match(r"\s*([\w\-]+)\s*=", line):
            where[f"{section}.{key[1]}" if section else key[1]] = number
    return where


def _units(model: type[Value], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Value):
            yield from _units(field.annotation, f"{prefix}{name}.")
        else:
            marks = (*field.metadata, *(mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ())))
            yield f"{prefix}{name}", next(mark.name for mark in marks if isinstance(mark, Unit))
