"""Salesforce's forms of values, and what is refused: ids, moments, the types of fields, errors."""

from __future__ import annotations

import re
import string
from datetime import UTC, date, datetime
from typing import Any

from sandbox.salesforce_schema import TEXT, Field, SObject

Record = dict[str, Any]

_SUFFIX = string.ascii_uppercase + "012345"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")


class Refusal(Exception):
    """A request that Salesforce refuses: HTTP status, its code, its message, the fields concerned."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = (), status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.fields, self.status = code, message, fields, status


class Ambiguous(Exception):
    """An external id that several records have: 300 with their ids."""

    def __init__(self, sobject: SObject, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records of {sobject.name}")
        self.sobject, self.ids = sobject, ids


def long_id(short: str) -> str:
    """The 18-character id of a 15-character one: three letters that say which of the 15 are capitals."""
    suffix = ""
    for chunk in (short[0:5], short[5:10], short[10:15]):
        suffix += _SUFFIX[sum(1 << n for n, c in enumerate(chunk) if c.isupper())]
    return short + suffix


def make_id(prefix: str, number: int) -> str:
    """A new id under a key prefix."""
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return long_id(prefix + "Hs0" + digits.rjust(9, "0"))


def stamp(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000+0000``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def canonical(record_id: str) -> str:
    """The 18-character form of an id of either length."""
    return long_id(record_id) if len(record_id) == 15 else record_id


def checked_value(field: Field, value: Any) -> Any:
    """A value of a write in the API's own form, None for an empty one; Refusal when it is not of the field's type.

    References are not for here: whether one points at something only the org knows.
    """
    if value is None or value == "":
        if field.type == "boolean":
            raise Refusal("INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.name}: value not of required type: ", (field.name,))
        return None
    if field.type == "boolean":
        return _typed(field, value, bool)
    if field.type in ("int", "double", "currency", "percent"):
        number = float(_typed(field, value, int, float))
        return int(number) if field.type == "int" else number
    if field.type in ("date", "datetime"):
        return _moment(field, str(_typed(field, value, str)))
    text = str(_typed(field, value, str, int, float)) if field.type in TEXT else value
    if len(text) > field.length:
        shown = text[:40]
        raise Refusal("STRING_TOO_LONG", f"{field.name}: data value too large: {shown} (max length={field.length})", (field.name,))
    if field.type == "email" and not _EMAIL.match(text):
        raise Refusal("INVALID_EMAIL_ADDRESS", f"{field.name}: invalid email address: {text}", (field.name,))
    return text


def _typed(field: Field, value: Any, *kinds: type) -> Any:
    if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
        return value
    found = {str: "VALUE_STRING", bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT"}.get(type(value), "START_OBJECT")
    raise Refusal("JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.type} from {found} value {value} or request may be missing "
                  "a required field at [line:1, column:1]")  # fmt: skip


def _moment(field: Field, value: str) -> str:
    try:
        if field.type == "date":
            return date.fromisoformat(value[:10] if "T" in value else value).isoformat()
        parsed = datetime.fromisoformat(value)
        return stamp(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except ValueError:
        raise Refusal("JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.type} from VALUE_STRING value {value} or request may be "
                      "missing a required field at [line:1, column:1]") from None  # fmt: skip
