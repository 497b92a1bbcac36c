"""What becomes of instances: of a domain's, and of its place in the queue (:class:`domain.effects.registry.RegistryChange`); of the pool's.

A change gives None when there is nothing to change.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.effects.effect import Receipt
from domain.effects.registry import RegistryChange
from domain.upkeep import AskPool, PoolChange, PoolLevel
from store.effect_kinds import records
from store.ledger import EffectId, LedgerTables
from store.tables import instances, suppressions, waiting


class Did(NamedTuple):
    """What was done, for the record. ``new`` is what is to be written of the instance; ``waiting`` the domain that comes next."""

    act: str
    summary: str
    host: str = ""
    waiting: str = ""
    new: Mapping[str, Any] = {}


def carry_out(db: Connection, change: RegistryChange) -> Did | None:
    """Make the change; None when there is nothing to change. Raises when it cannot be made."""
    match change.change:
        case "wait":
            if db.execute(select(waiting).where(waiting.c.domain == change.domain)).one_or_none() is not None:
                return None  # it keeps its place
            db.execute(insert(waiting).values(domain=change.domain, subject=change.subject, since=change.as_of))
            return Did("domain.queued", f"{change.domain} waits for capacity")
        case "leave_queue":
            return _leave_queue(db, change)
        case "stop_mail":
            return _stop_mail(db, change)
        case "release":
            left = _leave_queue(db, change)
            host = db.execute(delete(instances).where(instances.c.domain == change.domain).returning(instances.c.host)).scalar()
            if host is None:
                return left
            return Did("instance.released", f"{host} is {change.domain}'s no longer", host, _name_next(db, change.as_of))
    owned = db.execute(of_domain(change.domain)).one_or_none()
    if owned is None:
        if change.change in ("convert", "rehost", "ready"):
            message = f"{change.domain} has no instance in the registry, so there is none to {change.change}; claim one first"
            raise ApplicationError(message, type="NoInstance", non_retryable=True)
        return None  # whoever gets one later gets it under the new address
    did = _of_instance(db, change, owned)
    if did is not None:
        db.execute(update(instances).where(instances.c.host == owned.host).values(**did.new))
    return did


def of_domain(domain: str) -> Select[Any]:
    """The instance that a domain has."""
    return select(instances).where(instances.c.domain == domain)


def _of_instance(db: Connection, change: RegistryChange, owned: Row[Any]) -> Did | None:
    """What is to become of the instance that a domain has."""
    host, admin = owned.host, change.admin
    match change.change:
        case "convert" if owned.kind != "production":
            _stop_mail(db, change)
            return Did("instance.converted", f"{host} is {change.domain}'s paid instance", host, new={"kind": "production"})
        case "ready" | "rehost":
            return _settle(db, change, owned)
        case "admin" if owned.admin != admin:
            return Did(
                "instance.admin_corrected", f"the admin of {host} has another address", host, new={"admin": admin, "confirmed_at": None}
            )
        case "confirm" if owned.confirmed_at is None:
            return Did("claim.confirmed", f"the admin of {host} opened the link in their mail", host, new={"confirmed_at": change.as_of})
        case "pass_on" if owned.confirmed_at is None and owned.admin != admin:
            db.execute(delete(suppressions).where(suppressions.c.subject == change.subject))  # that was the other one's wish
            new = {"admin": admin, "claimed_at": change.as_of}
            return Did("claim.passed_on", f"{host} has another admin: nobody confirmed the claim", host, new=new)
    return None


def _settle(db: Connection, change: RegistryChange, owned: Row[Any]) -> Did | None:
    """``ready``: the host that the Cloud team made, for which room was kept. ``rehost``: another host for the same instance."""
    host = change.host or owned.host
    new: dict[str, Any] = {"host": host} | ({"admin": change.admin} if change.admin else {})
    if change.change == "ready" and owned.kind == "reserved":
        new["kind"] = "trial"
    if change.change == "rehost":
        first = owned.internal or owned.host
        new["internal"] = None if first == host else first
    if all(getattr(owned, name) == value for name, value in new.items()):
        return None
    taken = db.execute(select(instances.c.domain).where(instances.c.host == host, instances.c.host != owned.host)).one_or_none()
    if taken is not None:
        message = f"{host} is already {taken.domain or 'a warm instance'}: {change.domain} keeps {owned.host}; choose another host"
        raise ApplicationError(message, type="HostTaken", non_retryable=True)
    if change.change == "ready":
        return Did("instance.ready", f"{host} is ready for {change.domain}", host, new=new)
    return Did("instance.rehosted", f"{change.domain} moved from {owned.host} to {host}", host, new=new)


def _leave_queue(db: Connection, change: RegistryChange) -> Did | None:
    left = db.execute(delete(waiting).where(waiting.c.domain == change.domain).returning(waiting.c.named_at)).one_or_none()
    if left is None:
        return None
    # Whoever was told that there is room and goes away leaves that room to the next.
    next_one = _name_next(db, change.as_of) if left.named_at is not None else ""
    return Did("domain.left_queue", f"{change.domain} waits for capacity no longer", waiting=next_one)


def _stop_mail(db: Connection, change: RegistryChange) -> Did | None:
    if db.execute(select(suppressions).where(suppressions.c.subject == change.subject)).one_or_none() is not None:
        return None
    why = change.why or "stopped"
    db.execute(insert(suppressions).values(subject=change.subject, why=why, at=change.as_of))
    return Did("mail.stopped", f"no more campaign mail to {change.domain}: {why}")


def _name_next(db: Connection, at: datetime) -> str:
    """The domain that waits longest; one that was told before, and has not come yet, is told again only when all were told."""
    first = select(waiting.c.domain).order_by(waiting.c.named_at.is_not(None), waiting.c.since, waiting.c.domain).limit(1)
    named = (
        update(waiting).where(waiting.c.domain == first.correlate(None).scalar_subquery()).values(named_at=at).returning(waiting.c.domain)
    )
    return db.execute(named).scalar() or ""


# --- The pool ----------------------------------------------------------------------------------------------------------------

_COUNTS = select(instances.c.kind, func.count().label("number")).group_by(instances.c.kind)


def counts(db: Connection) -> dict[str, int]:
    """How many instances are ``warm``, ``pending`` and ``live``: all the rest customers have, or were promised, and count against the cap (A26)."""
    found = {row.kind: row.number for row in db.execute(_COUNTS)}
    warm, pending = found.pop("warm", 0), found.pop("pending", 0)
    return {"live": sum(found.values()), "warm": warm, "pending": pending}


class Pool(LedgerTables):
    """The pool of warm instances (A25): how full it is, and which hosts are coming, ready, or lost.

    A host is ``pending`` from before its making is started until the run has ended, so that a refill never counts it twice and never goes
    past the cap. These are local activities on the ledger's own database.
    """

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
            summary = f"{change.host} {words}" + (f": {change.why}" if change.why else "")
            effect, receipt = EffectId(change.subject, f"{change.change}:{change.host}"), Receipt(ref=change.host)
            self._ledger.record(db, effect, act=f"pool.{change.change}", summary=summary, as_of=change.as_of, receipt=receipt)
