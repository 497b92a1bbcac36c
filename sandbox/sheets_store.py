"""The spreadsheets behind the Sheets API, what a seed puts into them, and how a test reads them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from sandbox.budget import Budget, per_minute
from sandbox.core import World
from sandbox.sheets_grid import COLUMNS, ROWS, Area, Invalid, Worksheet, formatted, plan

Json = dict[str, Any]

#: Writes a minute and user: the provider's quota.
WRITES = 60
TRACKER = "red-accounts-tracker"
TRACKED = "Red accounts"
HEADER = ("Key", "Account", "Reason", "Source", "Since", "State", "Needs", "Actions", "Owner", "Status", "Resolved")


@dataclass
class Spreadsheet:
    """One spreadsheet and its worksheets, in the order of their tabs."""

    id: str
    title: str
    worksheets: list[Worksheet] = field(default_factory=list)
    following: int = 0

    def add(self, title: str, rows: int = ROWS, columns: int = COLUMNS, index: int = -1) -> Worksheet:
        """Add a worksheet; Invalid when there is one of that title."""
        if any(one.title == title for one in self.worksheets):
            raise Invalid(f'A sheet with the name "{title}" already exists. Please enter another name.')
        made = Worksheet(self.following, title, rows, columns)
        self.following += 1
        self.worksheets.insert(len(self.worksheets) if index < 0 else index, made)
        return made

    def sheet(self, id: int) -> Worksheet:
        """The worksheet of that number; Invalid when there is none."""
        found = next((one for one in self.worksheets if one.id == id), None)
        if found is None:
            raise Invalid(f"No grid with id: {id}")
        return found


@dataclass
class SheetsState:
    """What is kept of the spreadsheets."""

    spreadsheets: dict[str, Spreadsheet]
    writes_per_minute: int = WRITES


class Sheets:
    """The spreadsheets that the token may write to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.spreadsheets: dict[str, Spreadsheet] = {}
        self.budget = Budget(WRITES)
        self.reset()

    def reset(self) -> None:
        """Begin again with an empty tracker of red accounts."""
        self.spreadsheets = {TRACKER: Spreadsheet(TRACKER, "Red accounts tracker")}
        self._fill(self.spreadsheets[TRACKER].add(TRACKED), [list(HEADER)])
        self.budget.reset(WRITES)

    def dump(self) -> SheetsState:
        """What is to be kept."""
        return SheetsState(self.spreadsheets, self.budget.limit)

    def load(self, state: SheetsState) -> None:
        """Go on from what was kept."""
        self.spreadsheets = state.spreadsheets
        self.budget.reset(state.writes_per_minute)

    def seed(self, data: Json) -> None:
        """Add spreadsheets, or replace those of the same id, and set the quota.

        ``{"spreadsheets": {ID: {"title": "…", "worksheets": {TITLE: [[cell, …], …]}}}, "writes_per_minute": N}``, each optional.
        """
        unknown = sorted(set(data) - {"spreadsheets", "writes_per_minute"})
        if unknown:
            raise ValueError(f"a seed of sheets has no {unknown}; it has spreadsheets and writes_per_minute")
        if "writes_per_minute" in data:
            self.budget.reset(per_minute(data["writes_per_minute"], "writes_per_minute"))
        with self.world.lock:
            for id, given in data.get("spreadsheets", {}).items():
                made = Spreadsheet(id, given.get("title", id))
                for title, rows in given.get("worksheets", {"Sheet1": []}).items():
                    self._fill(made.add(title), copy.deepcopy(rows))
                self.spreadsheets[id] = made

    def _fill(self, sheet: Worksheet, rows: list[list[Any]]) -> None:
        sheet.grow(len(rows), max((len(row) for row in rows), default=0))
        plan(Area(sheet, 0, 0, sheet.rows, sheet.columns), rows, typed=False, by_column=False).carry_out()

    def rows(self, spreadsheet: str = TRACKER, worksheet: str = TRACKED) -> list[list[str]]:
        """The rows of a worksheet as they are seen, the header first. KeyError when there is no such worksheet."""
        found = next((one for one in self.spreadsheets[spreadsheet].worksheets if one.title == worksheet), None)
        if found is None:
            raise KeyError(f"no worksheet {worksheet!r} in {spreadsheet!r}")
        return [[formatted(value) for value in row] for row in list(found.cells)]

    def records(self, spreadsheet: str = TRACKER, worksheet: str = TRACKED) -> list[dict[str, str]]:
        """The same, each row after the first by the names of the header; a cell that is empty is the empty text."""
        header, *others = self.rows(spreadsheet, worksheet) or [[]]
        return [{name: row[place] if place < len(row) else "" for place, name in enumerate(header)} for row in others]

    def view(self) -> Json:
        """Return what the page shows: every worksheet as a table."""
        return {
            f"{one.title} · {sheet.title}": self.records(one.id, sheet.title)
            for one in self.spreadsheets.values()
            for sheet in one.worksheets
        }
