"""Ledgers in which nothing is on record, copied from one: the migrations take ten times as long."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from store.ledger import Ledger


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        made = Ledger(f"sqlite:///{folder}/ledger.db")
        made.create()
        made.close()
        return (Path(folder) / "ledger.db").read_bytes()


def ledger_in(folder: Path) -> Ledger:
    """A fresh ledger in a file of that folder, which may not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ledger.db"
    path.write_bytes(_empty())
    return Ledger(f"sqlite:///{path}")
