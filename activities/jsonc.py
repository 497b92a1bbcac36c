"""JSON with comments and trailing commas, as an instance's site configuration is: reading and setting one text of the outermost object.

An administrator's comments and layout must survive our edit, so the text is changed in place and never written anew.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*")|(?P<trivia>\s+|//[^\n]*|/\*.*?\*/)|(?P<mark>[{}\[\]:,])|(?P<word>[^\s{}\[\]:,"/]+)', re.DOTALL
)


class JsoncError(ValueError):
    """The text is no JSON object."""


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def get_text(document: str, name: str) -> str | None:
    """The text under ``name`` in the outermost object; None when it is absent or is no text."""
    for key, first, last in _members(list(_tokens(document))):
        if key == name:
            return str(json.loads(first.text)) if first is last and first.text.startswith('"') else None
    return None


def set_text(document: str, name: str, value: str) -> str:
    """The document with ``value`` under ``name``; everything else stays as it is. Raises :class:`JsoncError` for what is no object."""
    tokens = list(_tokens(document)) or [_Token("{", 0, 0), _Token("}", 0, 0)]
    if tokens[0].text != "{" or tokens[-1].text != "}":
        raise JsoncError("the configuration is not a JSON object")
    if not document.strip():
        document, tokens = "{}", list(_tokens("{}"))
    for key, first, last in _members(tokens):
        if key == name:
            return document[: first.start] + json.dumps(value) + document[last.end :]
    begin = tokens[0].end
    comma = "," if len(tokens) > 2 else "\n"
    return f"{document[:begin]}\n  {json.dumps(name)}: {json.dumps(value)}{comma}{document[begin:]}"


def _tokens(document: str) -> Iterator[_Token]:
    """The document's tokens without blanks and comments."""
    at = 0
    while at < len(document):
        found = _TOKEN.match(document, at)
        if found is None:
            raise JsoncError(f"the configuration is not JSON at character {at}")
        if found.lastgroup != "trivia":
            yield _Token(found[0], found.start(), found.end())
        at = found.end()


def _members(tokens: list[_Token]) -> Iterator[tuple[str, _Token, _Token]]:
    """Each member of the outermost object: its name, and the first and the last token of its value."""
    depth = 0
    for number, token in enumerate(tokens):
        is_key = depth == 1 and token.text.startswith('"') and number + 2 < len(tokens) and tokens[number + 1].text == ":"
        if is_key:
            yield json.loads(token.text), tokens[number + 2], tokens[_value_end(tokens, number + 2)]
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token.text, 0)


def _value_end(tokens: list[_Token], begin: int) -> int:
    depth = 0
    for number in range(begin, len(tokens)):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(tokens[number].text, 0)
        if depth == 0:
            return number
    raise JsoncError("the configuration ends in the middle of a value")
