"""What a trial costs that waits: bytes in the server's database, and memory of the worker that has it in its cache."""

from __future__ import annotations

import sqlite3
from functools import partial

from bench.baseline import model
from bench.harness import Ground
from bench.report import Row, row
from bench.trial import at_once, companies, opened

QUEUE = "bench-rest"
#: Opened before anything is weighed, so that the process has grown what it grows once.
WARM_UP = 20
AT_ONCE = 8


async def rest(ground: Ground, *, number: int) -> list[Row]:
    """Open so many trials on a worker of their own, which has had nothing else, and weigh before and after."""
    await model(ground)  # leaves the receipts that this worker answers with
    await ground.start("rest", "-m", "bench.workers", "offline", QUEUE, queue=QUEUE)
    tenure = ground.tenure_on(QUEUE)
    needed = await companies(ground, WARM_UP + number)
    await at_once([partial(opened, ground, tenure, company) for company in needed[:WARM_UP]], AT_ONCE)
    stored, held = database(ground), ground.rss("rest")
    await at_once([partial(opened, ground, tenure, company) for company in needed[WARM_UP:]], AT_ONCE)
    per_trial = (database(ground) - stored) / number
    memory = (ground.rss("rest") - held) / number
    note = f"{number} trials that have done their first day and wait for the second"
    return [
        row("open trial at rest: database", per_trial / 1000, "kB", goal=30, note=f"{note}; pages in use, visibility and indexes included"),
        row("open trial at rest: worker memory", memory / 1000, "kB", goal=200, note=f"{note}, all in the cache; growth of the process"),
    ]


def database(ground: Ground) -> int:
    """Bytes of the server's database that are in use, those that still stand in the write-ahead log too."""
    path = ground.data / "temporal.db"
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        pages, free, size = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size"))
    finally:
        db.close()
    return (pages - free) * size
