"""JSON with comments and trailing commas, as an instance's site configuration is: reading and setting one text of the outermost object.

An administrator's comments and layout must survive our edit, so the text is changed in place and never written anew.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

#: What JSON does not have, beside texts, which stay: a comment, and a comma behind which nothing comes.
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_NAME = re.compile(r'\s*[{,]\s*("(?:\\.|[^"\\])*")\s*:\s*')
_JSON = json.JSONDecoder(strict=False)


class JsoncError(ValueError):
    """The text is no JSON object."""


def get_text(document: str, name: str) -> str | None:
    """The text under ``name`` in the outermost object; None when it is absent or is no text."""
    value = next((value for key, value, _ in _members(_plain(document.strip() or "{}")) if key == name), None)
    return value if isinstance(value, str) else None


def set_text(document: str, name: str, value: str) -> str:
    """The document with ``value`` under ``name``; everything else stays as it is. Raises :class:`JsoncError` for what is no object."""
    document = document if document.strip() else "{}"
    plain = _plain(document)
    members = list(_members(plain))
    for key, _, place in members:
        if key == name:
            return document[: place.start] + json.dumps(value) + document[place.stop :]
    begin, follows = plain.index("{") + 1, "," if members else "\n"
    return f"{document[:begin]}\n  {json.dumps(name)}: {json.dumps(value)}{follows}{document[begin:]}"


def _plain(document: str) -> str:
    """The document as JSON, each character in its place: what JSON does not have is blank."""
    for pattern in (_COMMENT, _LAST_COMMA):
        document = pattern.sub(lambda found: found[1] or " " * len(found[0]), document)
    return document


def _members(plain: str) -> Iterator[tuple[str, Any, slice]]:
    """Each member of the outermost object: its name, its value, and where the value stands."""
    try:
        whole, at = _JSON.decode(plain), 0
    except ValueError as error:
        raise JsoncError(f"the configuration is not JSON: {error}") from None
    if not isinstance(whole, dict):
        raise JsoncError("the configuration is not a JSON object")
    while (name := _NAME.match(plain, at)) is not None:
        value, at = _JSON.raw_decode(plain, name.end())
        yield _JSON.decode(name[1]), value, slice(name.end(), at)
