"""A small SOQL engine: enough of the query language for the questions that a client of leads, accounts and opportunities asks.

Understood: ``SELECT`` of fields, dotted relationship fields, ``COUNT()`` and ``COUNT(field)``; ``FROM``; ``WHERE`` with ``= != <> < > <=
>= LIKE IN NOT IN AND OR NOT ( )``, null, booleans, numbers, dates, datetimes, strings with backslash escapes, and the date literals
TODAY, YESTERDAY, TOMORROW, LAST_N_DAYS:n, NEXT_N_DAYS:n; ``ORDER BY`` with direction and NULLS; ``LIMIT``; ``OFFSET``. Names compare
without case, and so do texts. What is not understood is MALFORMED_QUERY, never a silently wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

from sandbox.salesforce_schema import NUMBERS, OBJECTS, TEXT, Field, SObject

Record = dict[str, Any]
Lookup = Callable[[str], Record | None]
Predicate = Callable[[Record], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:\\.|[^'\\])*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<literal>(?:LAST|NEXT)_N_DAYS:\d+)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_RESERVED = {"where", "order", "limit", "offset", "group", "having", "for", "with", "using"}


class QueryError(Exception):
    """The query is refused: ``code`` is Salesforce's (MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Token:
    """One word of a query, of the kind that its pattern is named for."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Literal:
    """A value in a condition: its kind, and the value. A day literal is a span of days, ``value`` being (first, last)."""

    kind: str
    value: Any


@dataclass(frozen=True)
class Path:
    """A field as named in the query: the references to follow, then the field."""

    steps: tuple[Field, ...]
    field: Field

    def read(self, record: Record, lookup: Lookup) -> Any:
        """The value, None wherever a reference on the way is empty."""
        at: Record | None = record
        for step in self.steps:
            target = at.get(step.name) if at else None
            at = lookup(target) if target else None
        return at.get(self.field.name) if at else None


@dataclass
class Query:
    """A parsed query, ready to run."""

    sobject: SObject
    paths: list[Path]
    count: bool = False
    count_field: Path | None = None
    where: Predicate | None = None
    order: list[tuple[Path, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    def run(self, records: Iterable[Record], lookup: Lookup) -> list[Record]:
        """The matching records, ordered and cut; not yet rendered."""
        found = [r for r in records if self.where is None or self.where(r)]
        for path, descending, nulls_last in reversed(self.order):
            values = {id(r): sort_key(path.read(r, lookup)) for r in found}
            filled = [r for r in found if values[id(r)] is not None]
            filled.sort(key=lambda r: values[id(r)], reverse=descending)
            empty = [r for r in found if values[id(r)] is None]
            found = filled + empty if nulls_last else empty + filled
        return found[self.offset : None if self.limit is None else self.offset + self.limit]


def parse(text: str, lookup: Lookup, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> Query:
    """Read a query. QueryError when it is malformed, or names an unknown object or field. ``lookup`` finds a record by its id."""
    return _Parser(text, lookup, today).query()


def sort_key(value: Any) -> Any:
    """A value as it compares: texts without case."""
    return value.lower() if isinstance(value, str) else value


class _Parser:
    def __init__(self, text: str, lookup: Lookup, today: Callable[[], date]) -> None:
        self._text = text
        self._lookup = lookup
        self._today = today
        self._tokens = self._split(text)
        self._index = 0

    # --- words

    def _split(self, text: str) -> list[Token]:
        tokens, at = [], 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                rest = text[at:].strip()
                self._malformed(f"unexpected token: '{rest[:1]}'")
            tokens.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        return tokens

    def _malformed(self, reason: str) -> NoReturn:
        raise QueryError("MALFORMED_QUERY", reason)

    def _peek(self) -> Token | None:
        return self._tokens[self._index] if self._index < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            self._malformed("unexpected token: '<EOF>'")
        self._index += 1
        return token

    def _at(self, *words: str) -> bool:
        """Whether the next words are these; if so they are taken."""
        ahead = self._tokens[self._index : self._index + len(words)]
        if [t.text.lower() for t in ahead if t.kind in ("name", "sign")] == list(words):
            self._index += len(words)
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._at(word):
            token = self._peek()
            self._malformed(f"expecting {word!r}, found {token.text if token else '<EOF>'!r}")

    def _name(self) -> str:
        token = self._next()
        if token.kind != "name":
            self._malformed(f"unexpected token: '{token.text}'")
        return token.text

    # --- clauses

    def query(self) -> Query:
        self._expect("select")
        start, depth = self._index, 0
        while True:  # the fields can be resolved only once the object is known
            token = self._next()
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if token.kind == "name" and token.text.lower() == "from" and depth == 0:
                break
        name = self._name()
        sobject = OBJECTS.get(name.lower())
        if sobject is None:
            raise QueryError(
                "INVALID_TYPE",
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' "
                "after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
            )
        after, self._index = self._index, start
        query = Query(sobject, [])
        self._select(query)
        self._index = after
        alias = self._peek()
        if alias is not None and alias.kind == "name" and alias.text.lower() not in _RESERVED:
            self._malformed(f"unexpected token: '{alias.text}'")
        if self._at("where"):
            query.where = self._any_of(sobject)
        if self._at("order", "by"):
            self._order_by(query)
        if self._at("limit"):
            query.limit = self._whole_number()
        if self._at("offset"):
            query.offset = self._whole_number()
        if (left := self._peek()) is not None:
            self._malformed(f"unexpected token: '{left.text}'")
        return query

    def _select(self, query: Query) -> None:
        while True:
            name = self._name()
            if name.lower() == "count" and self._at("("):
                query.count = True
                if not self._at(")"):
                    query.count_field = self._path(query.sobject, self._name())
                    self._expect(")")
            elif self._at("("):
                self._malformed(f"unexpected token: '{name}('")
            else:
                query.paths.append(self._path(query.sobject, name))
            if not self._at(","):
                break
        if query.count and query.paths:
            self._malformed("Grouped query is not supported by this stand-in: COUNT stands alone")
        self._expect("from")

    def _order_by(self, query: Query) -> None:
        while True:
            path = self._path(query.sobject, self._name())
            descending = self._at("desc")
            if not descending:
                self._at("asc")
            nulls_last = descending  # Salesforce: nulls first when ascending, last when descending
            if self._at("nulls", "last"):
                nulls_last = True
            elif self._at("nulls", "first"):
                nulls_last = False
            query.order.append((path, descending, nulls_last))
            if not self._at(","):
                break

    def _whole_number(self) -> int:
        token = self._next()
        if not token.text.isdigit():
            self._malformed(f"unexpected token: '{token.text}'")
        return int(token.text)

    # --- conditions

    def _any_of(self, sobject: SObject) -> Predicate:
        parts = [self._all_of(sobject)]
        while self._at("or"):
            parts.append(self._all_of(sobject))
        return parts[0] if len(parts) == 1 else lambda r: any(p(r) for p in parts)

    def _all_of(self, sobject: SObject) -> Predicate:
        parts = [self._single(sobject)]
        while self._at("and"):
            parts.append(self._single(sobject))
        return parts[0] if len(parts) == 1 else lambda r: all(p(r) for p in parts)

    def _single(self, sobject: SObject) -> Predicate:
        if self._at("not"):
            inner = self._single(sobject)
            return lambda r: not inner(r)
        if self._at("("):
            inner = self._any_of(sobject)
            self._expect(")")
            return inner
        return self._comparison(sobject)

    def _comparison(self, sobject: SObject) -> Predicate:
        name = self._name()
        path = self._path(sobject, name)
        if not path.field.filterable:
            raise QueryError("INVALID_FIELD", f"field '{path.field.name}' can not be filtered in a query call")
        if self._at("in"):
            return self._membership(path, self._values(path), wanted=True)
        if self._at("not", "in"):
            return self._membership(path, self._values(path), wanted=False)
        if self._at("like"):
            pattern = self._like(self._value(path))
            return lambda r: isinstance(value := path.read(r, self._lookup), str) and pattern.fullmatch(value) is not None
        token = self._next()
        if token.text not in ("=", "!=", "<>", "<", ">", "<=", ">="):
            self._malformed(f"unexpected token: '{token.text}'")
        return self._compare(path, token.text, self._value(path))

    def _membership(self, path: Path, values: Sequence[Literal], wanted: bool) -> Predicate:
        tests = [self._compare(path, "=", value) for value in values]
        return lambda r: any(test(r) for test in tests) == wanted

    def _like(self, literal: Literal) -> re.Pattern[str]:
        if literal.kind != "string":
            self._malformed("LIKE needs a text in quotes")
        pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in literal.value)
        return re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def _compare(self, path: Path, sign: str, literal: Literal) -> Predicate:
        if literal.kind == "days":
            return self._compare_days(path, sign, *literal.value)
        wanted = sort_key(literal.value)
        if path.field.type in ("id", "reference") and isinstance(literal.value, str) and len(literal.value) == 15:
            # a 15-character id means the record whose 18-character id begins with it, case included
            short = literal.value
            return lambda r: (str(path.read(r, self._lookup) or "")[:15] == short) == (sign == "=")
        if sign == "=":
            return lambda r: self._comparable(path, r) == wanted
        if sign in ("!=", "<>"):
            return lambda r: self._comparable(path, r) != wanted
        test: Callable[[Any, Any], bool] = {
            "<": lambda a, b: a < b,
            ">": lambda a, b: a > b,
            "<=": lambda a, b: a <= b,
            ">=": lambda a, b: a >= b,
        }[sign]
        return lambda r: (value := self._comparable(path, r)) is not None and wanted is not None and test(value, wanted)

    def _compare_days(self, path: Path, sign: str, first: date, last: date) -> Predicate:
        def day(record: Record) -> date | None:
            value = path.read(record, self._lookup)
            return datetime.fromisoformat(value).astimezone(UTC).date() if value and "T" in value else value and date.fromisoformat(value)

        tests: dict[str, Callable[[date], bool]] = {
            "=": lambda d: first <= d <= last,
            "!=": lambda d: not first <= d <= last,
            "<>": lambda d: not first <= d <= last,
            "<": lambda d: d < first,
            ">": lambda d: d > last,
            "<=": lambda d: d <= last,
            ">=": lambda d: d >= first,
        }
        return lambda r: (moment := day(r)) is not None and tests[sign](moment)

    def _comparable(self, path: Path, record: Record) -> Any:
        """The record's value in the form literals have: datetimes as moments, texts in lower case."""
        value = path.read(record, self._lookup)
        if path.field.type == "datetime" and value:
            return datetime.fromisoformat(value)
        return sort_key(value)

    # --- values

    def _values(self, path: Path) -> list[Literal]:
        self._expect("(")
        if self._at("select"):
            self._malformed("semi-joins are not supported by this stand-in")
        found = [self._value(path)]
        while self._at(","):
            found.append(self._value(path))
        self._expect(")")
        return found

    def _value(self, path: Path) -> Literal:
        token = self._next()
        literal = self._literal(token)
        kind = path.field.type
        fits = (
            literal.kind == "null"
            or (kind in TEXT and literal.kind == "string")
            or (kind in NUMBERS and literal.kind == "number")
            or (kind == "boolean" and literal.kind == "boolean")
            or (kind == "date" and literal.kind in ("date", "days"))
            or (kind == "datetime" and literal.kind in ("datetime", "days"))
        )
        if not fits:
            quoted = " and should be enclosed in quotes" if kind in TEXT else ""
            quoted = " and should not be enclosed in quotes" if literal.kind == "string" else quoted
            shown = {"datetime": "dateTime"}.get(kind, "string" if kind in TEXT else kind)
            raise QueryError("INVALID_FIELD", f"value of filter criterion for field '{path.field.name}' must be of type {shown}{quoted}")
        return literal

    def _literal(self, token: Token) -> Literal:
        if token.kind == "string":
            return Literal("string", _unescape(token.text[1:-1]))
        if token.kind == "number":
            return Literal("number", float(token.text))
        if token.kind == "date":
            return Literal("date", token.text)
        if token.kind == "datetime":
            return Literal("datetime", datetime.fromisoformat(token.text))
        if token.kind == "literal":
            word, _, days = token.text.upper().partition(":")
            today, span = self._today(), timedelta(days=int(days))
            # LAST_N_DAYS reaches back from today and includes it; NEXT_N_DAYS begins tomorrow
            return Literal("days", (today - span, today) if word == "LAST_N_DAYS" else (today + timedelta(days=1), today + span))
        word = token.text.lower()
        if word in ("true", "false"):
            return Literal("boolean", word == "true")
        if word == "null":
            return Literal("null", None)
        if word in ("today", "yesterday", "tomorrow"):
            day = self._today() + timedelta(days={"yesterday": -1, "today": 0, "tomorrow": 1}[word])
            return Literal("days", (day, day))
        self._malformed(f"unexpected token: '{token.text}'")

    # --- fields

    def _path(self, sobject: SObject, name: str) -> Path:
        *relations, last = name.split(".")
        if relations and relations[0].lower() == sobject.name.lower():
            relations = relations[1:]
        steps, at = [], sobject
        for relation in relations:
            step = at.through(relation)
            if step is None:
                raise QueryError(
                    "INVALID_FIELD", f"Didn't understand relationship '{relation}' in field path. If you are attempting to use a custom "
                    "relationship, be sure to append the '__r' after the custom relationship name."
                )  # fmt: skip
            steps.append(step)
            at = OBJECTS[step.to[0].lower()]
        found = at.field(last)
        if found is None:
            column = self._text.lower().find(last.lower()) + 1
            raise QueryError(
                "INVALID_FIELD",
                f"\n{self._text}\n{' ' * (column - 1)}^\nERROR at Row:1:Column:{column}\nNo such column '{last}' on entity '{at.name}'. "
                "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
                "Please reference your WSDL or the describe call for the appropriate names.",
            )
        return Path(tuple(steps), found)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1].lower(), m[1]), text, flags=re.DOTALL)
