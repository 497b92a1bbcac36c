"""Checking answers against the providers' published descriptions, where those are at hand (``../shared/contracts``)."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "any": (object,),
}


def contract(name: str) -> Any:
    """The description of that name; skips the test where it is not at hand."""
    path = CONTRACTS / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(gzip.decompress(path.read_bytes()))


def problems(schema: Any, value: Any, schemas: Any, *, closed: bool = False, at: str = "answer") -> list[str]:
    """What of ``value`` is not as ``schema`` says, names in ``$ref`` being those of ``schemas``; ``closed`` minds unknown fields too."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    found = [one for part in schema.get("allOf", ()) for one in problems(part, value, schemas, closed=closed, at=at)]
    kinds = schema.get("type", "any")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not any(isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind in ("integer", "number")) for kind in kinds):
        return [*found, f"{at} is {value!r}, not {' or '.join(kinds)}"]
    if value is None:
        return found
    if schema.get("enum") and value not in schema["enum"]:
        found.append(f"{at} is {value!r}, none of {schema['enum']}")
    if schema.get("format") == "date-time":
        datetime.fromisoformat(value)
    found += [
        f"{at}.{name} is missing" for name in schema.get("required", ()) if not isinstance(schema["required"], bool) and name not in value
    ]
    properties = schema.get("properties", {})
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in properties:
                found += problems(properties[name], inner, schemas, closed=closed, at=f"{at}.{name}")
            elif closed and properties:
                found.append(f"{at}.{name} is unknown")
    if isinstance(value, list) and "items" in schema:
        found += [
            one
            for place, inner in enumerate(value)
            for one in problems(schema["items"], inner, schemas, closed=closed, at=f"{at}[{place}]")
        ]
    return found
