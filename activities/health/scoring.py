"""Scoring every customer at once (D12): some thousand accounts at a time, of which only those are written that differ from before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, bindparam, func, select, update

from activities.warehouse import Usage, months_after
from domain.account.account import HealthSnapshot
from domain.health import arrays, hourly_run
from domain.health.hourly_run import FleetScored
from domain.health.score import kept, score
from domain.health.types import SOURCES, Band, Score, Traits
from domain.policy import AccountPolicy
from store.database import AsJson, add, put
from store.ledger import Ledger
from store.tables import customers, hand_traits, health, health_changes, health_news, roster

#: How many accounts are in hand at once: what a run needs of memory, and how long it keeps others from writing.
CHUNK = 2_000
#: What the history of changes keeps of a score: the last one itself is in ``health``.
CHANGE = {"at", "total", "band", "deltas", "policy"}
#: The letters of a colour's code in ``health_news.scored``; the last one is code -1.
LETTERS = "ryg-"
#: The traits that people and the CRM say, and those that the warehouse counts, each with its kind.
SAID = ("pulse", "champion", "buyer_access", "last_activity_on")
USED: dict[str, type[float]] = {
    "versions_behind": int,
    "precise_intel": bool,
    "defect_tickets": int,
    "help_tickets": int,
    "usage_score": float,
    "mau_seats": float,
}


@dataclass(frozen=True)
class Found:
    """What a run finds of one account: plain values, so that of a hundred thousand that did not change none becomes a model."""

    row: Row[Any]
    total: float | None
    band: Band
    colours: str
    traits: dict[str, Any]
    was_at_target: bool
    declining_months: int
    reds: tuple[str, ...]
    hand_red: bool

    @property
    def standing(self) -> dict[str, Any]:
        """How the account stands, as a snapshot and a signal have it."""
        used = {name: self.traits[name] for name in ("mau_seats", "usage_score", "champion")}
        return {"band": self.band, "reds": self.reds, "hand_red": self.hand_red, "was_at_target": self.was_at_target, **used}

    @property
    def seen(self) -> str:
        """Another one when anything that is known of the account is."""
        return hourly_run.digest_of(*self.traits.values(), self.was_at_target, self.declining_months, self.reds, self.hand_red)

    @property
    def scored(self) -> str:
        """Another one when the total, the band, or the colour of any trait is."""
        return f"{self.total!r} {self.band} {self.colours}"


class Scoring:
    """One run over the fleet as of ``as_of``, with what the warehouse said."""

    def __init__(self, ledger: Ledger, policy: AccountPolicy, as_of: datetime, usage: Usage) -> None:
        self._ledger, self._policy, self._as_of, self._usage = ledger, policy, as_of, usage
        self._named = policy.hash
        self._today = as_of.astimezone(UTC).date()
        # The midnight that ends the month of the snapshots, which is given as one of its days.
        ends = months_after(usage.month.replace(day=1), 1) if usage.month else None
        self._month_end = datetime.combine(ends, time(), UTC) if ends else as_of

    def run(self, beat: Callable[[int], None]) -> FleetScored:
        """Score all; ``beat`` hears how many are done. Safe to repeat: what an earlier attempt wrote is as before, and is not written again."""
        with self._ledger.reading() as db:
            active = {row.id for row in db.execute(select(roster.c.id).where(roster.c.active))}
        accounts = unknown = changed = 0
        bands: dict[Band, int] = dict.fromkeys(reversed(arrays.BANDS[:-1]), 0) | {"unknown": 0}
        for rows in self._chunks():
            found = self._find([row for row in rows if row.status == "customer"])
            changed += self._keep(found, [row for row in rows if row.status != "customer"], active)
            accounts += len(found)
            unknown += sum(each.row.domain not in self._usage.accounts for each in found)
            for each in found:
                bands[each.band] += 1
            beat(accounts)
        with self._ledger.reading() as db:
            waiting = select(func.count(health_news.c.facts_at).label("facts"), func.count(health_news.c.score_at).label("scores"))
            left = db.execute(waiting).one()
        return FleetScored(
            accounts=accounts,
            bands={band: number for band, number in bands.items() if number},
            changed=changed,
            to_tell=left.facts,
            to_write=left.scores,
            unknown=unknown,
            snapshot=self._usage.month,
            odd=self._usage.odd,
        )

    def _chunks(self) -> Iterator[Sequence[Row[Any]]]:
        """All accounts by domain, with what people said of them and what the last run saw."""
        hand, news = hand_traits.c, health_news.c
        everything = (
            select(customers, hand.pulse, hand.champion, hand.buyer_access, hand.red.label("hand_red"), hand.as_of.label("hand_as_of"))
            .add_columns(news.seen, news.scored, news.told)
            .outerjoin_from(customers, hand_traits, hand.domain == customers.c.domain)
            .outerjoin(health_news, news.domain == customers.c.domain)
            .order_by(customers.c.domain)
            .limit(CHUNK)
        )
        after = ""
        while True:
            with self._ledger.reading() as db:
                rows = db.execute(everything.where(customers.c.domain > after)).all()
            if not rows:
                return
            yield rows
            after = rows[-1].domain

    def _find(self, rows: Sequence[Row[Any]]) -> list[Found]:
        usage, places = self._usage, np.array([self._usage.accounts.get(row.domain, -1) for row in rows], dtype=np.int64)
        said = {name: [getattr(row, name) for row in rows] for name in SAID}
        known = said | {name: _plain(_pick(getattr(usage, name), places), kind) for name, kind in USED.items()}
        scored = arrays.score(self._policy.health, arrays.columns(self._as_of, **known))
        colours = np.stack([scored.levels[trait] for trait in SOURCES], axis=1).tolist()
        totals, bands = _plain(scored.total), [arrays.BANDS[code] for code in scored.band.tolist()]
        reached, declining = (_pick(array, places) for array in (usage.was_at_target, usage.declining_months))
        found = []
        for at, row in enumerate(rows):
            months = 0 if isnan(declining[at]) else int(declining[at])
            reds = hourly_run.reds(
                self._policy,
                self._today,
                total=totals[at],
                contract_start=row.contract_start,
                deployed_on=row.deployed_on,
                last_activity_on=row.last_activity_on,
                declining_months=months,
                data_errors=row.data_errors or {},
            )
            traits = {name: values[at] for name, values in known.items()}
            letters = "".join(LETTERS[code] for code in colours[at])
            found.append(Found(row, totals[at], bands[at], letters, traits, reached[at] > 0, months, reds, bool(row.hand_red)))
        return found

    def _traits(self, found: Found) -> Traits:
        """The traits as a model, each with the moment that it is of."""
        row, as_of = found.row, dict.fromkeys(("versions_behind", "precise_intel", "mau_seats"), self._month_end)
        as_of["last_activity"] = row.as_of
        if row.hand_as_of is not None:
            as_of |= dict.fromkeys(("pulse", "champion", "buyer_access"), row.hand_as_of)
        return Traits(at=self._as_of, as_of=as_of, **found.traits)

    def _keep(self, found: Sequence[Found], gone: Sequence[Row[Any]], active: set[str]) -> int:
        """Write what differs from the last run, in one transaction; returns how many have another score."""
        scored = [each for each in found if each.scored != each.row.scored]
        seen = [each for each in found if each.scored == each.row.scored and each.seen != each.row.seen]
        news: dict[str, dict[str, Any]] = {each.row.domain: {"seen": each.seen, "scored": each.scored} for each in seen}
        news |= {each.row.domain: {"seen": each.seen, "scored": each.scored, "score_at": self._as_of} for each in scored}
        for row, of in [*((each.row, each) for each in found), *((row, None) for row in gone)]:
            if (told := self._told(row, active, of)) != row.told:
                news.setdefault(row.domain, {})["told"] = told
                # Nobody's process waits for news of an account that was none of ours before, and is none now.
                if row.told or of is not None:
                    news[row.domain]["facts_at"] = self._as_of
        if news:
            before = self._before(scored)
            now = {
                each.row.domain: score(self._policy, self._traits(each), before.get(each.row.domain), named=self._named) for each in scored
            }
            with self._ledger.writing() as db:
                self._write(db, scored, seen, now, before)
                _put(db, health_news, [{"domain": domain, **new} for domain, new in news.items()])
        return len(scored)

    def _told(self, row: Row[Any], active: set[str], found: Found | None = None) -> str:
        """Another one when anything is that the account's processes act on. Who has left is nobody."""
        team = [id_ if (id_ := getattr(row, role)) in active else None for role in ("ta", "ae", "ce")]
        parts = hourly_run.customer_parts(row._asdict())
        if found is None:
            return hourly_run.digest_of(parts, team)
        return hourly_run.digest_of(parts, team, hourly_run.standpoint(self._policy, health=row.health or "", **found.standing))

    def _before(self, scored: Sequence[Found]) -> dict[str, Score]:
        """The scores on record of the accounts that have another one now."""
        query = select(health.c.domain, health.c.score).where(health.c.domain.in_([each.row.domain for each in scored if each.row.scored]))
        with self._ledger.reading() as db:
            return {row.domain: Score.model_validate(row.score) for row in db.execute(query)}

    def _write(
        self, db: Connection, scored: Sequence[Found], seen: Sequence[Found], now: Mapping[str, Score], before: Mapping[str, Score]
    ) -> None:
        changes = []
        for each in scored:
            old, new = before.get(each.row.domain), now[each.row.domain]
            if old is None or (each.total, each.band) != (old.total, old.band):
                moved = AsJson(new.model_dump_json(include=CHANGE, exclude_defaults=True))
                change = {"domain": each.row.domain, "at": self._as_of, "total": each.total, "band": each.band, "score": moved}
                changes.append({**change, "band_before": old.band if old else "unknown"})
        _put(db, health, [{**self._row(each), "score": AsJson(kept(now[each.row.domain])), "traits": {}} for each in scored])
        if seen:
            shown = [self._row(each) | {"traits": AsJson(self._traits(each).model_dump_json(exclude_none=True))} for each in seen]
            rows = [{f"new_{name}": value for name, value in row.items()} for row in shown]
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in ("at", "total", "band", "traits", "standing")}
            db.execute(update(health).where(health.c.domain == bindparam("new_domain")).values(values), rows)
        if changes:
            add(db, health_changes, *changes)

    def _row(self, each: Found) -> dict[str, Any]:
        """What a row of ``health`` says besides the score and the traits, which are the score's evidence until others are seen."""
        snapshot = HealthSnapshot(as_of=self._as_of, score=each.total, declining_months=each.declining_months, **each.standing)
        standing = AsJson(snapshot.model_dump_json(exclude_defaults=True))
        return {"domain": each.row.domain, "at": self._as_of, "total": each.total, "band": each.band, "standing": standing}


def _put(db: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows by domain, or set those of their columns that are given."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault(tuple(sorted(row)), []).append(row)
    for group in alike.values():
        put(db, table, *group)


def _pick(array: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """The entries at those places; not a number where there is none."""
    if not len(array):
        return np.full(len(places), np.nan)
    picked: NDArray[np.float64] = np.where(places >= 0, array[places], np.nan)
    return picked


def _plain(array: NDArray[np.float64], kind: Callable[[float], Any] = float) -> list[Any]:
    """The numbers as Python's own; None where it is not a number."""
    return [None if isnan(value) else kind(value) for value in array.tolist()]
