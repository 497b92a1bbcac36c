"""``python -m bench.fleet STEP DIRECTORY ACCOUNTS …``: a step of the hourly run's measurement in a process of its own, whose peak is its own.

``prepare`` makes a fleet: the warehouse's file, and customers and people in a fresh ledger. ``change`` changes every fiftieth account.
``run HOUR [PORT_OFFSET]`` carries out the hour's run and prints, as JSON, what it took and did. The activities are the worker's own; what
they would send outside is counted, but with a port offset the scores go to the stand-in of Vitally there.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from sqlalchemy import event, insert, text, update
from temporalio.testing import ActivityEnvironment

from activities.health.hourly_run import BUYER, CHAMPION, PULSE, PULSES, RED, Fleet
from activities.vitally.effects import Vitally
from activities.warehouse import Warehouse
from domain import policy
from domain.account.account import AccountFacts
from domain.effects.vitally import ScoresWritten, ScoreWrites
from domain.health.hourly_run import ScoreFleet, TellAccounts, WriteScores
from domain.people import Role
from sandbox.warehouse import write_large
from store.ledger import Ledger
from store.settings import Settings
from store.tables import customers, roster

Result = TypeVar("Result")
_WRITES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")

#: A fixed day, so that every count is the same in every run; its first run is at ten.
TODAY = date(2026, 3, 17)
MORNING = datetime(2026, 3, 17, 10, tzinfo=UTC)
#: One of so many accounts changes, in one of these ways by turns.
EVERY = 50
WAYS = ("pulse", "champion", "use", "contract")
#: Accounts that one person looks after, and rows that are put in at once.
PORTFOLIO, ROWS = 250, 10_000
SEGMENTS = ("Strategic", "Enterprise", "Commercial")


@dataclass
class Hour:
    """What a run took and did. ``took`` is wall and CPU in seconds, ``peaks`` the most memory up to the end, by activity; ``base`` before.

    ``rows`` are those inserted, changed or deleted, by table; ``ledger`` is by how many bytes it grew. ``vitally``: the stand-in took the
    scores.
    """

    base: int
    took: dict[str, tuple[float, float]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    signals: int = 0
    scores: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    ledger: int = 0
    vitally: bool = False

    @property
    def wall(self) -> float:
        """Seconds, all activities."""
        return sum(wall for wall, _ in self.took.values())

    @property
    def cpu(self) -> float:
        """Seconds of this process on all cores, all activities."""
        return sum(cpu for _, cpu in self.took.values())

    @property
    def peak(self) -> int:
        """Bytes."""
        return max(self.peaks.values())


def domain(number: int) -> str:
    """An account's key, as ``sandbox.warehouse.write_large`` names it."""
    return f"customer-{number:06d}.example"


# --- The fleet --------------------------------------------------------------------------------------------------------------------------


def prepare(where: Path, accounts: int) -> None:
    """Make the fleet. Raises ``AssertionError`` when the warehouse's accounts are named otherwise."""
    names = write_large(where / "warehouse.duckdb", accounts, TODAY)
    assert names == [domain(number) for number in range(1, accounts + 1)]
    ledger = _ledger(where)
    ledger.create()
    people = max(accounts // PORTFOLIO, 1)
    with ledger.writing() as db:
        db.execute(insert(roster), list(_people(people)))
        for first in range(1, accounts + 1, ROWS):
            db.execute(insert(customers), [_customer(number, people) for number in range(first, min(first + ROWS, accounts + 1))])
    ledger.close()


def change(where: Path, accounts: int) -> None:
    """Change every fiftieth account: what is in the warehouse and in the ledger; what people set is read anew by every run."""
    ways = {way: [domain(number) for number in range(EVERY, accounts + 1, EVERY) if _way(number) == way] for way in WAYS}
    with duckdb.connect(str(where / "warehouse.duckdb")) as db:
        last = "(SELECT max(month) FROM usage_monthly)"
        db.execute(f"UPDATE usage_monthly SET mau = mau // 3 WHERE month = {last} AND account IN (SELECT unnest(?))", [ways["use"]])
    ledger = _ledger(where)
    with ledger.writing() as book:
        book.execute(update(customers).where(customers.c.domain.in_(ways["contract"])).values(seats=customers.c.seats + 100))
    ledger.close()
    (where / "changed").touch()


def _people(each: int) -> Iterator[dict[str, Any]]:
    for role in (Role.TA, Role.AE, Role.CE):
        for number in range(each):
            yield {
                "id": f"{role}-{number}",
                "name": f"{role} {number}",
                "email": f"{role}-{number}@tenure.example",
                "role": role,
                "active": True,
            }
    for role in (Role.TA_MANAGER, Role.AE_MANAGER, Role.TS_LEADERSHIP, Role.SALES_LEADERSHIP):
        yield {"id": role.value, "name": role.value, "email": f"{role}@tenure.example", "role": role, "active": True}


def _customer(number: int, people: int) -> dict[str, Any]:
    """Since 200 to 1,100 days ago, a term of two years at most; the last activity up to six weeks ago."""
    start = TODAY - timedelta(days=200 + number * 7_919 % 900)
    seats = 40 + number * 101 % 4_000
    return {
        "domain": domain(number),
        "id": f"001{number:015d}",
        "name": f"Customer {number}",
        "segment": SEGMENTS[number % len(SEGMENTS)],
        "arr": 240 * seats,
        "seats": seats,
        "contract_start": start,
        "contract_end": TODAY + timedelta(days=1 + number * 389 % 730),
        "deployed_on": start + timedelta(days=40),
        "last_activity_on": TODAY - timedelta(days=number * 13 % 44),
        "subscription": f"sub-{number}",
        "status": "customer",
        "merged_into": "",
        **{role.value: f"{role}-{number % people}" for role in (Role.TA, Role.AE, Role.CE)},
        "as_of": MORNING,
    }


def _said(accounts: int, changed: bool) -> Iterator[dict[str, Any]]:
    """Every account as Vitally's API gives it, with what people set."""
    pulses, answers = (*PULSES[:1] * 6, *PULSES[1:] * 2), (*("yes",) * 7, *("no",) * 2, None)
    for number in range(1, accounts + 1):
        way = _way(number) if changed and number % EVERY == 0 else ""
        pulse, champion, buyer = pulses[number * 31 // 7 % 10], answers[number * 37 // 7 % 10], answers[number * 41 // 7 % 10]
        if way == "pulse":
            pulse = PULSES[PULSES.index(pulse) - 1]
        elif way == "champion":
            champion = "no" if champion == "yes" else "yes"
        yield {"externalId": domain(number), "traits": {PULSE: pulse, CHAMPION: champion, BUYER: buyer, RED: "no"}}


def _way(number: int) -> str:
    return WAYS[number // EVERY % len(WAYS)]


# --- A run ------------------------------------------------------------------------------------------------------------------------------


async def run(where: Path, accounts: int, hour: int, port_offset: int | None) -> Hour:
    """Carry out the run of that hour: what ``workflows/health.py`` asks for, one activity after the other."""
    as_of, ledger, sent = MORNING + timedelta(hours=hour), _ledger(where), Counter[str]()
    vitally = None if port_offset is None else Vitally(Settings(_env_file=None, data_dir=where, port_offset=port_offset), ledger)

    async def tell(_facts: AccountFacts) -> None:
        sent["signals"] += 1

    def write(writes: ScoreWrites) -> ScoresWritten:
        sent["scores"] += len(writes.scores)
        return vitally.write_scores(writes) if vitally else ScoresWritten(written=len(writes.scores))

    warehouse = Warehouse(f"duckdb:///{where / 'warehouse.duckdb'}")
    fleet = Fleet(ledger, warehouse, lambda: _said(accounts, (where / "changed").exists()), write, tell)
    worker, made = ActivityEnvironment(), Hour(base=_peak(), vitally=vitally is not None)
    before, rows = _size(ledger), _counting(ledger)

    async def measured(name: str, work: Awaitable[Result]) -> Result:
        wall, cpu = time.monotonic(), time.process_time()
        done = await work
        made.took[name], made.peaks[name] = (time.monotonic() - wall, time.process_time() - cpu), _peak()
        return done

    ask = ScoreFleet(as_of=as_of, policy=policy.default_accounts())
    show = WriteScores(subject=f"health-scores/bench.{hour}", as_of=as_of, policy=ask.policy)
    await measured("copy", asyncio.to_thread(lambda: worker.run(fleet.copy_hand_traits)))
    scored = await measured("score", asyncio.to_thread(lambda: worker.run(fleet.score_fleet, ask)))
    await measured("tell", worker.run(fleet.tell_accounts, TellAccounts()))
    written = await measured("write", asyncio.to_thread(lambda: worker.run(fleet.write_scores, show)))
    assert (scored.accounts, scored.to_tell, scored.to_write) == (accounts, sent["signals"], sent["scores"]), (scored, sent)
    assert not written.refused, written
    made.changed, made.signals, made.scores = scored.changed, sent["signals"], sent["scores"]
    made.rows = dict(rows)
    made.ledger = _size(ledger) - before
    ledger.close()
    return made


def _ledger(where: Path) -> Ledger:
    return Ledger(f"sqlite:///{where / 'ledger.db'}")


def _counting(ledger: Ledger) -> Counter[str]:
    """How many rows of which table are written from now on."""
    rows: Counter[str] = Counter()

    @event.listens_for(ledger.engine, "after_cursor_execute")
    def count(_db: object, cursor: Any, statement: str, *_more: object) -> None:
        if written := _WRITES.match(statement):
            rows[written[1]] += cursor.rowcount

    return rows


def _size(ledger: Ledger) -> int:
    """Bytes of the ledger's database that are in use."""
    with ledger.reading() as db:
        pages, free, size = (int(db.execute(text(f"PRAGMA {name}")).scalar_one()) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def _peak() -> int:
    """The most bytes of memory that this process has held so far. Linux counts those of the process that began it into ``ru_maxrss``."""
    if (status := Path("/proc/self/status")).exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(step: str, directory: str, accounts: str, *more: str) -> None:
    """Carry out a step."""
    where, number = Path(directory), int(accounts)
    match step:
        case "prepare":
            prepare(where, number)
        case "change":
            change(where, number)
        case "run":
            offset = int(more[1]) if len(more) > 1 else None
            sys.stdout.write(json.dumps(asdict(asyncio.run(run(where, number, int(more[0]), offset)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
