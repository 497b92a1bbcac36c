"""Dataclasses as JSON and back: how the stand-ins' state is written to a file.

Writing copies nothing, so that a large state is written in milliseconds. Reading follows the types of the fields: it rebuilds
dataclasses, moments, sets and keys that are numbers, and takes any other value as it is, since nobody but the writer made it.
A field that the file does not have takes its default, and one that it has too many is dropped: a newer program reads an older file.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def write(value: object) -> bytes:
    """JSON in UTF-8. TypeError for what is neither JSON nor a dataclass, a moment or a set; sets are sorted."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def read(kind: type[T], value: Any) -> T:
    """``value``, as ``json.loads`` gives it, as a ``kind``. TypeError, ValueError or AttributeError when it has not that form."""
    return cast(T, _read(kind, value))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return vars(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind(**{name: _read(hint, value[name]) for name, hint in _fields(kind).items() if name in value})
    if kind is datetime:
        return datetime.fromisoformat(value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict:
        return {inner[0](key): _read(inner[1], each) for key, each in value.items()}
    if origin in (list, set):
        return origin(_read(inner[0], each) for each in _listed(value))
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return tuple(_read(one, each) for one, each in zip(kinds, _listed(value), strict=True))
    if origin in (Union, UnionType):
        (present,) = (one for one in inner if one is not NoneType)
        return None if value is None else _read(present, value)
    return value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list was expected")
    return value
