"""What a watcher sees while the demo plays: a table that lives on a terminal, or a line for each thing that happens."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from starter.local.supervise import elapsed

#: Columns of a name where there is no terminal.
NARROWEST, WIDEST = 10, 24

State = Literal["waits", "plays", "ended", "failed"]

#: The style and the mark of a state; who plays has a spinner.
STATES: dict[State, tuple[str, str]] = {"waits": ("dim", "·"), "plays": ("cyan", ""), "ended": ("green", "✓"), "failed": ("bold red", "✗")}


@dataclass
class Line:
    """One company: where it stands, and the last thing that happened."""

    name: str
    case: str
    state: State = "waits"
    day: int | None = None
    stage: str = ""
    last: str = ""


class Board:
    """A line for each story, and one for the whole. Rich's ``Live`` draws it whenever it likes."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self._width = NARROWEST
        self.plain: Console | None = None
        self._whole = ""
        self._began = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")

    def cast(self, cases: Mapping[str, str]) -> None:
        """Give each of these a line, unless it has one: their cases in words, by their names."""
        self.lines = {name: Line(name, case) for name, case in cases.items()} | self.lines
        self._width = min(max((NARROWEST, *map(len, self.lines))), WIDEST)

    def say(self, whole: str) -> None:
        """What happens to all of them."""
        self._whole = whole
        self._print(whole)

    def _print(self, said: str) -> None:
        if self.plain:
            self.plain.print(f"{elapsed(self._began):>7}  {said}", markup=False, soft_wrap=True)

    def tell(self, name: str, last: str, *, state: State = "plays", day: int | None = None, stage: str = "") -> None:
        """Something happened to a company."""
        line = self.lines[name]
        again, line.state, line.last = last == line.last, state, last
        line.day = line.day if day is None else day
        line.stage = stage or line.stage
        if not again:
            when = "" if line.day is None else f"day {line.day}"
            self._print(f"{name:<{self._width}.{self._width}} {when:<7} {line.stage:<13} {last}")

    def __rich__(self) -> Group:
        """The table, with the time below it."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
        table.add_column("", width=1)
        table.add_column("company", no_wrap=True)
        table.add_column("case", no_wrap=True)
        table.add_column("day", justify="right", width=4)
        table.add_column("stage", no_wrap=True, min_width=13)
        table.add_column("what happened last", no_wrap=True, ratio=1, overflow="ellipsis")
        for line in self.lines.values():
            style, sign = STATES[line.state]
            mark = Text(sign, style=style) if sign else self._spinner
            day = "" if line.day is None else str(line.day)
            name = Text(line.name, style="dim" if line.state == "waits" else "bold")
            table.add_row(mark, name, Text(line.case, style="dim"), day, Text(line.stage, style=style), Text(line.last, style="dim"))
        ended = sum(line.state in ("ended", "failed") for line in self.lines.values())
        foot = f"{ended} of {len(self.lines)} have ended   {elapsed(self._began)}   {self._whole}"
        return Group(table, Text(f"\n  {foot}", style="dim"))


@contextmanager
def shown_on(board: Board, page: Console) -> Iterator[None]:
    """Show the board while the demo plays, and leave nothing of it behind on a terminal."""
    if not page.is_terminal:
        board.plain = page
        yield
        return
    with Live(board, console=page, refresh_per_second=8, transient=True):
        yield
