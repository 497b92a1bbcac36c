"""Dataclasses as JSON and back: how the stand-ins' state is written to a file.

Writing copies nothing, so that a large state is written in milliseconds. Reading follows the types of the fields: it rebuilds
dataclasses, moments, sets and keys that are numbers, and takes any other value as it is, since nobody but the writer made it.
A field that the file does not have takes its default, and one that it has too many is dropped: a newer program reads an older file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]


def write(value: object) -> bytes:
    """JSON in UTF-8. TypeError for what is neither JSON nor a dataclass, a moment or a set; sets are sorted."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def read(kind: type[T], value: Any) -> T:
    """``value``, as ``json.loads`` gives it, as a ``kind``. TypeError, ValueError or AttributeError when it has not that form."""
    return cast(T, _reader(cast(Any, kind))(value))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return vars(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


@cache
def _reader(kind: Any) -> Reader:
    """What makes a ``kind`` of its JSON, worked out once for each: a state holds thousands of the same."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        fields = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind) if field.init}
        return lambda value: kind(**{name: read(value[name]) for name, read in fields.items() if name in value})
    if kind is datetime:
        return datetime.fromisoformat
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict:
        key, each = inner[0], _reader(inner[1])
        return lambda value: {key(name): each(one) for name, one in value.items()}
    if origin in (list, set):
        each = _reader(inner[0])
        return lambda value: origin(each(one) for one in _listed(value))
    if origin is tuple and inner[1:] == (...,):
        each = _reader(inner[0])
        return lambda value: tuple(each(one) for one in _listed(value))
    if origin is tuple:
        readers = [_reader(one) for one in inner]
        return lambda value: tuple(read(one) for read, one in zip(readers, _listed(value), strict=True))
    if origin in (Union, UnionType):
        (present,) = (_reader(one) for one in inner if one is not NoneType)
        return lambda value: None if value is None else present(value)
    return lambda value: value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list was expected")
    return value
