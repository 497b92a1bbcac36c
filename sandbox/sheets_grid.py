"""A worksheet: its cells, how a range of them is written (``'Red accounts'!A2:C``), and how values go in and come out.

Not here, since the service refuses or leaves them: formulas, and dates, currencies and percentages, which a typed text would become in
the real thing; a typed ``2030-01-31`` looks the same there, but is a number underneath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float | bool
Row = list[Value]

ROWS, COLUMNS = 1000, 26
_CELL = re.compile(r"\$?([A-Za-z]{1,3})?\$?([1-9][0-9]*)?")
_SHEET = re.compile(r"(?:'((?:[^']|'')*)'|([^'!]+))(?:!(.*))?", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


class Invalid(Exception):
    """A request that is answered with 400 INVALID_ARGUMENT; the text says what is wrong."""


@dataclass
class Worksheet:
    """One worksheet. ``cells`` has no row after the last that holds something, and none is longer than it needs to be."""

    id: int
    title: str
    rows: int = ROWS
    columns: int = COLUMNS
    frozen: int = 0
    cells: list[list[Any]] = field(default_factory=list)

    def at(self, row: int, column: int) -> Value:
        """The value of a cell, counted from 0; the empty text when there is none."""
        held = self.cells[row] if row < len(self.cells) else []
        value: Value = held[column] if column < len(held) else ""
        return value

    def put(self, row: int, column: int, value: Value) -> bool:
        """Set a cell; True if it held something else."""
        if self.at(row, column) == value and type(self.at(row, column)) is type(value):
            return False
        while len(self.cells) <= row:
            self.cells.append([])
        held = self.cells[row]
        held.extend([""] * (column + 1 - len(held)))
        held[column] = value
        while held and held[-1] == "":
            held.pop()
        while self.cells and not self.cells[-1]:
            self.cells.pop()
        return True

    def grow(self, rows: int, columns: int) -> None:
        """Make room for that many, if there is less."""
        self.rows, self.columns = max(self.rows, rows), max(self.columns, columns)

    def resize(self, rows: int, columns: int) -> None:
        """Make the grid that large; what lies beyond is lost."""
        self.rows, self.columns = rows, columns
        self.cells = [row[:columns] for row in self.cells[:rows]]
        self._trim()

    def cut(self, first: int, last: int) -> None:
        """Take rows out, the last excluded; those below move up."""
        self.rows -= last - first
        del self.cells[first:last]
        self._trim()

    def _trim(self) -> None:
        for held in self.cells:
            while held and held[-1] == "":
                held.pop()
        while self.cells and not self.cells[-1]:
            self.cells.pop()

    def filled(self) -> set[tuple[int, int]]:
        """Where there is something."""
        return {(row, column) for row, held in enumerate(self.cells) for column, value in enumerate(held) if value != ""}


@dataclass(frozen=True)
class Area:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a worksheet, from 0, the ends excluded."""

    sheet: Worksheet
    top: int
    left: int
    bottom: int
    right: int

    @property
    def single(self) -> bool:
        """Whether it is one cell, which stands for where writing begins."""
        return self.bottom - self.top == 1 and self.right - self.left == 1

    def __str__(self) -> str:
        first = f"{letters(self.left)}{self.top + 1}"
        last = f"{letters(self.right - 1)}{self.bottom}"
        return f"{quoted(self.sheet.title)}!{first}" + ("" if self.single else f":{last}")


def letters(column: int) -> str:
    """A column's name: 0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def _number(name: str) -> int:
    total = 0
    for letter in name.upper():
        total = total * 26 + ord(letter) - 64
    return total - 1


def quoted(title: str) -> str:
    """A title as it stands in a range: in quotes unless it is a plain word."""
    return title if _PLAIN.fullmatch(title) and not _CELL.fullmatch(title) else "'" + title.replace("'", "''") + "'"


def area(text: str, sheets: Sequence[Worksheet]) -> Area:
    """Read a range in A1 notation: ``Sheet1!A1:B2``, ``'Red accounts'!A2:C``, ``A1``, ``2:5``, or a title alone, which is all of it."""
    refused = Invalid(f"Unable to parse range: {text}")
    found = _SHEET.fullmatch(text)
    if found is None:
        raise refused
    title = found[1].replace("''", "'") if found[1] is not None else found[2]
    cells = found[3]
    if found[1] is None and cells is None and _corners(title):
        title, cells = sheets[0].title, title
    sheet = next((one for one in sheets if one.title == title), None)
    if sheet is None:
        raise refused
    if cells is None:
        return Area(sheet, 0, 0, sheet.rows, sheet.columns)
    corners = _corners(cells)
    if not corners:
        raise refused
    (left, top), (right, bottom) = corners
    rows, columns = _span(top, bottom, sheet.rows), _span(left, right, sheet.columns)
    if rows[0] >= sheet.rows or columns[0] >= sheet.columns:
        raise beyond(text, sheet)
    return Area(sheet, rows[0], columns[0], rows[1], columns[1])


def _span(begin: int | None, end: int | None, size: int) -> tuple[int, int]:
    """One dimension of a range, from 0 and the end excluded; an end that is open, or lies beyond the grid, is the grid's."""
    if begin is not None and end is not None:
        begin, end = sorted((begin, end))
    return begin or 0, size if end is None else min(end + 1, size)


def beyond(text: object, sheet: Worksheet) -> Invalid:
    """The refusal of a range that the worksheet does not have."""
    return Invalid(f"Range ({text}) exceeds grid limits. Max rows: {sheet.rows}, max columns: {sheet.columns}")


def _corners(text: str) -> list[tuple[int | None, int | None]]:
    """The two ends of a range as (column, row), None where one is open; empty when it is no range."""
    first, _, last = text.partition(":")
    corners = []
    for one in (first, last if ":" in text else first):
        found = _CELL.fullmatch(one)
        if found is None or not one:
            return []
        corners.append((_number(found[1]) if found[1] else None, int(found[2]) - 1 if found[2] else None))
    # A lone A or 1 is the name of nothing.
    return [] if ":" not in text and None in corners[0] else corners


# --- values -------------------------------------------------------------------------------------------------------------------


def formatted(value: Value) -> str:
    """A value as it is seen."""
    if isinstance(value, bool):
        return str(value).upper()
    return format(value, ".15g") if isinstance(value, float) else str(value)


def entered(value: Any, typed: bool, where: str) -> Value | None:
    """A value of a request as it is kept, None when the cell is to stay. ``typed`` reads a text as if a person had typed it."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str):
        raise Invalid(f"Invalid {where}: {'struct_value' if isinstance(value, dict) else 'list_value'} is no value of a cell")
    if not typed or not value:
        return value
    if value.startswith("="):
        raise Invalid(f"Invalid {where}: the sandbox works out no formulas; send the value, or valueInputOption=RAW to keep the text")
    if value.upper() in ("TRUE", "FALSE"):
        return value.upper() == "TRUE"
    if _NUMBER.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e15 else number
    return value.removeprefix("'")


def read(where: Area, *, as_seen: bool, by_column: bool) -> list[Row]:
    """The values of a range, row by row or column by column, without what is empty at the ends."""
    rows = [[where.sheet.at(row, column) for column in range(where.left, where.right)] for row in _held_rows(where)]
    if by_column:
        rows = [list(one) for one in zip(*rows, strict=True)]
    for one in rows:
        while one and one[-1] == "":
            one.pop()
    while rows and not rows[-1]:
        rows.pop()
    return [[formatted(value) for value in one] for one in rows] if as_seen else rows


def _held_rows(where: Area) -> range:
    return range(where.top, min(where.bottom, max(where.top, len(where.sheet.cells))))


@dataclass(frozen=True)
class Written:
    """What a write would do: the values by cell, and the range they lie in."""

    where: Area
    cells: tuple[tuple[int, int, Value], ...]

    def carry_out(self) -> bool:
        """Write; True if a cell holds something else now."""
        sheet = self.where.sheet
        return sum(sheet.put(row, column, value) for row, column, value in self.cells) > 0


def plan(where: Area, values: Any, *, typed: bool, by_column: bool, grow: bool = False) -> Written:
    """Check what is to be written into a range, changing nothing. A range of one cell is where writing begins; another is a bound."""
    if not isinstance(values, list) or not all(isinstance(row, list) for row in values):
        raise Invalid("Invalid values: they must be a list of rows, each a list")
    cells = []
    height = width = 0
    for major, row in enumerate(values):
        for minor, value in enumerate(row):
            down, right = (minor, major) if by_column else (major, minor)
            height, width = max(height, down + 1), max(width, right + 1)
            kept = entered(value, typed, f"values[{major}][{minor}]")
            if kept is not None:
                cells.append((where.top + down, where.left + right, kept))
    bottom, right = where.top + max(height, 1), where.left + max(width, 1)
    if not grow and not where.single:
        if bottom > where.bottom:
            raise Invalid(f"Requested writing within range [{where}], but tried writing to row [{where.bottom + 1}]")
        if right > where.right:
            raise Invalid(f"Requested writing within range [{where}], but tried writing to column [{letters(where.right)}]")
    target = Area(where.sheet, where.top, where.left, bottom, right)
    if not grow and (bottom > where.sheet.rows or right > where.sheet.columns):
        raise beyond(target, where.sheet)
    return Written(target, tuple(cells))


def tables(sheet: Worksheet) -> Iterator[Area]:
    """The blocks of cells that touch each other, each as the range around it, from the top down."""
    left = sheet.filled()
    found = []
    while left:
        reached = [left.pop()]
        block = []
        while reached:
            row, column = reached.pop()
            block.append((row, column))
            near = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            reached.extend(near)
        rows, columns = [row for row, _ in block], [column for _, column in block]
        found.append(Area(sheet, min(rows), min(columns), max(rows) + 1, max(columns) + 1))
    yield from sorted(found, key=lambda one: (one.bottom, one.right))


def last_table(where: Area) -> Area | None:
    """The table to which rows are appended: the last that the range touches, None when it touches none."""
    touched = None
    for one in tables(where.sheet):
        if one.top < where.bottom and where.top < one.bottom and one.left < where.right and where.left < one.right:
            touched = one
    return touched
