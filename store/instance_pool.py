"""The pool of warm instances (A25): how full it is, and which hosts are coming, ready, or lost.

A host is ``pending`` from before its making is started until the run has ended, so that a refill never counts it twice and never goes
past the cap. These are local activities on the ledger's own database.
"""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update
from temporalio import activity

from domain.effects.effect import Receipt
from domain.upkeep import AskPool, PoolChange, PoolLevel
from store.effect_kinds import OWN_TABLES, records
from store.ledger import EffectId, Ledger
from store.registry import counts
from store.tables import instances


class Pool:
    """The pool's rows of the registry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @activity.defn(name="pool_level")
    def pool_level(self, ask: AskPool) -> PoolLevel:
        """How full the pool is. Warm and pending instances take room too, since each becomes a trial."""
        with self._ledger.reading() as db:
            now = counts(db)
            pending = select(instances.c.host).where(instances.c.kind == "pending").order_by(instances.c.created_at, instances.c.host)
            hosts = tuple(db.execute(pending).scalars())
        left = max(0, ask.cap - sum(now.values()))
        return PoolLevel(**now, cap_left=left, pending_hosts=hosts)

    @activity.defn(name="pool_change")
    @records("pool.expected", "pool.ready", "pool.lost")
    def pool_change(self, change: PoolChange) -> None:
        """Record what became of a warm host. A host that is a customer's by now is left alone, and a repetition changes nothing."""
        wanted = {"expected": "pending", "ready": "warm"}.get(change.change)
        with self._ledger.writing(alone=True) as db:
            kind = db.execute(select(instances.c.kind).where(instances.c.host == change.host)).scalar()
            if kind not in (None, "pending", "warm") or kind == wanted or (kind == "warm" and change.change == "expected"):
                return
            if wanted is None:
                db.execute(delete(instances).where(instances.c.host == change.host))
            elif kind is None:
                row = {"host": change.host, "kind": wanted, "subject": change.subject, "created_at": change.as_of}
                db.execute(insert(instances).values(row))
            else:
                db.execute(update(instances).where(instances.c.host == change.host).values(kind=wanted))
            words = {"expected": "is being made", "ready": "is warm", "lost": "is lost"}[change.change]
            self._ledger.record(
                db,
                EffectId(change.subject, f"{change.change}:{change.host}"),
                system=OWN_TABLES,
                act=f"pool.{change.change}",
                summary=f"{change.host} {words}" + (f": {change.why}" if change.why else ""),
                as_of=change.as_of,
                receipt=Receipt(ref=change.host),
            )
