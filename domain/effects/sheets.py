"""What is done on Google Sheets: the rows of the red-accounts tracker (B17)."""

from domain.effects.effect import Effect


class KeepRow(Effect, words="keep the tracker's row"):
    """Write the tracker's row of that ``row`` key, or bring it up to date. ``cells`` are by the header's names; others stay."""

    row: str
    cells: dict[str, str]
