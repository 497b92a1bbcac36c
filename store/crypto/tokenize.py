"""Which parts of a text of JSON are a person's, and how a token stands in for them: pure functions on the text as it is.

Addresses of people outside our own staff are found by their form. Names are learnt from objects that hold an address beside fields of
names (:func:`names_beside`), and are found again wherever the same person may be meant: as a name's own field, or as words of a longer
text. A name never replaces a whole value that may be a code of ours (``"New"``, ``"open"``) nor a field's name, since a text in which a
person was erased must still be readable by its model.

A token is ``U+E000 <person>.<text> U+E001``; a U+E000 of the text's own is followed by U+E001 at once. Texts are cut out and put back as
they stand in the JSON, escapes and all, so that what comes back is byte for byte what went in.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from domain import ids

#: Stands for a name of a person who was erased.
ERASED_NAME = "(erased)"
#: Names kept of one person, and the longest of them.
MOST_NAMES = 24
LONGEST_NAME = 200

_OPEN, _CLOSE = "\ue000", "\ue001"
_TOKEN = re.compile(f"{_OPEN}(?:(\\d+)\\.(\\d+))?{_CLOSE}")
_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|.)"
_MAIL = r"\w[\w.+%'-]{0,127}@(?:[\w-]{1,63}\.){1,8}(?:[^\W\d_]{2,63}|xn--[\w-]{2,59})"
_BEFORE, _AFTER = r"(?<![\w.+%@-])", r"(?![\w@-]|\.\w)"
#: Escapes are read as units, so that the n of a line's end is not taken for a letter of the address behind it.
_MAILS = re.compile(f"{_ESCAPE}({_MAIL})?|{_BEFORE}({_MAIL})")
_KEY_BEFORE = re.compile(r'"([^"\\]{1,64})"\s*:\s*$')
_IS_KEY = re.compile(r"\s*:")
#: Local parts that name an office and nobody in it.
_OFFICES = frozenset(
    {"admin", "billing", "contact", "hello", "help", "info", "it", "mail", "office", "ops", "sales", "security", "support"}
)
_FIRST_LAST = (("first_name", "last_name"), ("FirstName", "LastName"))
_ADDRESSES = ("email", "Email", "to", "admin")
_WHOLE = ("name", "Name", "to_name", "full_name", "display_name", "username")

Replace = Callable[[str, bool], str]


def outsiders(text: str, vendor_domain: str) -> list[str]:
    """The addresses in a text of JSON that are of nobody of ours and of nobody erased, each spelling once, in their order."""
    found = dict.fromkeys(match[1] or match[2] for match in _MAILS.finditer(text) if match[1] or match[2])
    return [email for email in found if is_outsider(email, vendor_domain)]


def is_outsider(email: str, vendor_domain: str) -> bool:
    """Whether an address is neither of our own staff nor one that stands for an erased person."""
    domain = email.rpartition("@")[2].lower()
    return domain != vendor_domain and not domain.endswith(f".{vendor_domain}") and not ids.is_erased(email)


def names_beside(text: str) -> dict[str, list[str]]:
    """By address in lower case, what its person is called, from the objects of a text of JSON that hold both. Empty for no JSON."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, list[str]] = {}
    for node in _objects(tree):
        if (email := next((value for key in _ADDRESSES if "@" in str(value := node.get(key, ""))), None)) is not None:
            found.setdefault(email.strip().lower(), []).extend(_names(node))
    return {email: list(dict.fromkeys(names)) for email, names in found.items()}


def own_name(email: str) -> list[str]:
    """What an address itself says of a name: a person without one is called by what stands before the @."""
    local = email.partition("@")[0]
    known = len(local) >= 3 and local.lower() not in _OFFICES and not local.isdecimal()
    return list(dict.fromkeys((local, local.lower()))) if known else []


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _names(node: Mapping[str, Any]) -> Iterator[str]:
    for first, last in _FIRST_LAST:
        parts = [str(node.get(part) or "").strip() for part in (first, last)]
        yield from (name for name in (" ".join(parts).strip(), *parts) if is_name(name))
    for key in _WHOLE:
        if isinstance(value := node.get(key), str) and is_name(value.strip()):
            yield value.strip()


def is_name(text: str) -> bool:
    """Whether a text may be what somebody is called."""
    return 2 <= len(text) <= LONGEST_NAME and any(sign.isalpha() for sign in text) and "@" not in text


def replaced(text: str, names: Collection[str], mail: Replace, name: Replace, *, any_case: bool = False) -> str:
    """The text with every address given to ``mail`` and every one of ``names`` to ``name``, as they stand in the JSON.

    ``any_case``: names count in small and in capital letters too. Both get what was found, and whether it is a whole string; they return what is to stand there.
    """
    escaped = tuple(sorted({_escaped(each) for each in names}, key=lambda each: (-len(each), each)))

    def replace(match: re.Match[str]) -> str:
        escape, mail_1, name_1, mail_2, name_2 = match.groups()
        found_mail, found_name = mail_1 or mail_2, name_1 or name_2
        start = match.end() - len(found_mail or found_name or "")
        whole = text[start - 1 : start] == '"' and text[match.end() : match.end() + 1] == '"' and not escape
        if found_mail:
            return (escape or "") + mail(found_mail, whole)
        if found_name and not (whole and _is_code(text, start, match.end(), found_name)):
            return (escape or "") + name(found_name, whole)
        return match[0]

    return _pattern(escaped, any_case).sub(replace, text)


def _is_code(text: str, start: int, end: int, name: str) -> bool:
    """Whether a whole string that reads like a name may mean something else: a field's name, or one word in a field of no name's."""
    if _IS_KEY.match(text, end + 1):
        return True
    if " " in name:
        return False
    key = _KEY_BEFORE.search(text, max(0, start - 80), start - 1)
    return key is None or "name" not in key[1].lower()


@lru_cache(maxsize=4_096)
def _pattern(escaped: tuple[str, ...], any_case: bool) -> re.Pattern[str]:
    any_of_them = f"(?{'i' if any_case else ''}:{'|'.join(map(re.escape, escaped))})"
    named = f"({any_of_them}){_AFTER}" if escaped else "((?!))"
    # What follows a U+E000 at once is the guard of that, and never the beginning of a name.
    return re.compile(f"({_ESCAPE})(?:({_MAIL})|{named})?|{_BEFORE}(?:({_MAIL})|(?<!{_OPEN}){named})")


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def guarded(text: str) -> str:
    """The text with its own U+E000 told from a token's."""
    return text.replace(_OPEN, _OPEN + _CLOSE)


def own(text: str) -> str:
    """A part of a guarded text as it stood in the text itself."""
    return text.replace(_OPEN + _CLOSE, _OPEN)


def token(person: int, number: int) -> str:
    """What stands in for the ``number``-th text of the ``person``-th person of one payload."""
    return f"{_OPEN}{person}.{number}{_CLOSE}"


def restored(text: str, texts: Callable[[int, int], str]) -> str:
    """The text with ``texts(person, number)`` put back for every token."""
    return _TOKEN.sub(lambda match: _OPEN if match[1] is None else texts(int(match[1]), int(match[2])), text)


def merged(names: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Names with others behind them, each once, at most :data:`MOST_NAMES`."""
    return tuple(dict.fromkeys((*names, *more)))[:MOST_NAMES]
