"""What is done on Google Sheets: the rows of the red-accounts tracker (B17)."""

from __future__ import annotations

from typing import ClassVar

from domain.effects.effect import Effect


class KeepRow(Effect):
    """Write the tracker's row of that ``row`` key, or bring it up to date. ``cells`` are by the header's names; others stay."""

    system: ClassVar[str] = "sheets"
    words: ClassVar[str] = "keep the tracker's row"
    row: str
    cells: dict[str, str]
