"""The registry: whose instance is whose, who waits for one, and whose turn it is to look after a new trial (A3, A5, A6, A10, A26).

It is the ledger's own database, so each change and its effect are one transaction: these are local activities. They change nothing the
second time, so a retry gets the same answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, delete, exists, func, insert, select, update
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.base import Value
from domain.effects.effect import Receipt
from domain.effects.registry import AskHost, AskOwners, Claimed, ClaimInstance, RegistryAnswer, RegistryChange
from domain.messages import Account
from domain.people import Owners, Person
from store import owners
from store.effect_kinds import OWN_TABLES, records
from store.ledger import EffectId, Ledger
from store.tables import accounts, instances, roster, suppressions, waiting


class InstanceRow(Value):
    """A row of the registry. ``domain`` is empty while the instance is nobody's; ``kind`` is pending, warm, reserved, trial or production.

    ``internal`` is the name of ours that an instance kept when it moved to a host of the customer's.
    """

    host: str
    internal: str | None = None
    domain: str | None
    subject: str
    kind: str
    admin: str
    created_at: datetime
    claimed_at: datetime | None
    confirmed_at: datetime | None = None


class Known(NamedTuple):
    """An account, and when the CRM said so."""

    account: Account
    as_of: datetime


class Registry:
    """The registry in the ledger's database."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # --- Activities ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="claim")
    def claim(self, ask: ClaimInstance) -> Claimed:
        """Claim, and choose the owners with it when ``ask.owners`` says so: one transaction, one step of the history."""
        with self._ledger.writing(alone=True) as db:
            claimed = self._claim(db, ask)
            if claimed.outcome != "claimed" or ask.owners is None:
                return claimed
            return claimed.model_copy(update={"owners": owners.chosen(self._ledger, db, ask.owners)})

    @records("instance.claimed", "instance.reserved")
    def _claim(self, db: Connection, ask: ClaimInstance) -> Claimed:
        """Give the domain a warm instance (the oldest), or reserve room for one that will be made at ``host``.

        A host that another domain already has becomes ``NAME-2.…``: two companies may share a short name.
        Only a claim that succeeded is on record, so a domain that met ``full`` or ``empty`` may ask again.
        """
        now = counts(db)
        taken = now["live"] if ask.warm else sum(now.values())  # a warm one is counted already; a new one is not
        host = self._take(db, ask) if taken < ask.cap else None
        if host is None:
            owned = db.execute(_of_domain(ask.domain)).one_or_none()
            if owned is None:
                return Claimed.model_validate({"outcome": "empty" if taken < ask.cap else "full", **now})
            outcome = "claimed" if owned.subject == ask.subject else "owned"
            return Claimed.model_validate({"outcome": outcome, "host": owned.host, "subject": owned.subject, "kind": owned.kind, **now})
        db.execute(_LEAVES_QUEUE, {"of": ask.domain})
        kind = "trial" if ask.warm else "reserved"
        self._ledger.record(
            db,
            EffectId(ask.subject, f"claim:{host}"),
            system=OWN_TABLES,
            act="instance.claimed" if ask.warm else "instance.reserved",
            summary=f"{host} is {ask.domain}'s" if ask.warm else f"room for {host} is kept for {ask.domain}",
            as_of=ask.as_of,
            receipt=Receipt(ref=host, data={"kind": kind, "domain": ask.domain}),
        )
        now |= {"live": now["live"] + 1, "warm": now["warm"] - ask.warm}
        return Claimed.model_validate({"outcome": "claimed", "host": host, "subject": ask.subject, "kind": kind, **now})

    @staticmethod
    def _take(db: Connection, ask: ClaimInstance) -> str | None:
        """The host that is the domain's from now on; None when it has one already, or no warm one is left."""
        owner = {"domain": ask.domain, "subject": ask.subject, "admin": ask.admin, "claimed_at": ask.as_of}
        if ask.warm:
            return db.execute(_TAKE_WARM, {f"new_{name}": value for name, value in owner.items()}).scalar()
        if db.execute(_of_domain(ask.domain)).one_or_none() is not None:
            return None
        host = _free_host(db, ask.host)
        db.execute(insert(instances).values(host=host, kind="reserved", created_at=ask.as_of, **owner))
        return host

    @activity.defn(name="owners")
    def owners(self, ask: AskOwners) -> Owners:
        """Choose the owners of a subject; see :func:`store.owners.chosen`. A peek assigns nobody."""
        if ask.peek:
            return owners.choose(self.roster(), ask, Owners())
        with self._ledger.writing(alone=True) as db:
            return owners.chosen(self._ledger, db, ask)

    @activity.defn(name="registry")
    @records("instance.released", "instance.converted", "instance.ready", "instance.rehosted", "instance.admin_corrected", "domain.queued")
    @records("domain.left_queue", "mail.stopped", "claim.confirmed", "claim.passed_on")
    def registry(self, change: RegistryChange) -> RegistryAnswer:
        """Record what became of a domain's instance; see :class:`domain.effects.registry.RegistryChange` for the changes."""
        effect = EffectId(change.subject, ":".join(filter(None, (change.change, change.host, str(change.number or "")))))
        with self._ledger.writing(alone=True) as db:
            did = _carry_out(db, change)
            if did is None:  # nothing to change: it was done before, or never stood
                before = self._ledger.receipt(effect, db)
                return RegistryAnswer(waiting=before.data.get("waiting", "") if before else "")
            data = {"domain": change.domain, **({"waiting": did.waiting} if did.waiting else {})}
            receipt = Receipt(ref=did.host, data=data)
            self._ledger.record(db, effect, system=OWN_TABLES, act=did.act, summary=did.summary, as_of=change.as_of, receipt=receipt)
            return RegistryAnswer(waiting=did.waiting)

    @activity.defn(name="instance_host")
    def instance_host(self, ask: AskHost) -> str:
        """Where the instance of a domain is; empty when it has none."""
        owned = self.instance_of(ask.domain)
        return owned.host if owned else ""

    # --- Reading ------------------------------------------------------------------------------------------------------------

    def internal_of(self, host: str) -> str:
        """The name of ours of the instance at a customer's own host; empty when the registry knows none."""
        with self._ledger.reading() as db:
            return db.execute(select(instances.c.internal).where(instances.c.host == host)).scalar() or ""

    def account_of(self, domain: str) -> Known | None:
        """What the CRM knew of a registrable domain at the last sync."""
        with self._ledger.reading() as db:
            return _account_of(db, domain)

    def instance_of(self, domain: str) -> InstanceRow | None:
        """The instance that a domain has, or that is being made for it."""
        with self._ledger.reading() as db:
            return _instance_of(db, domain)

    def company_of(self, domain: str) -> tuple[Known | None, InstanceRow | None]:
        """Both, of one moment."""
        with self._ledger.reading() as db:
            return _account_of(db, domain), _instance_of(db, domain)

    def owners_of(self, domain: str) -> Owners:
        """Who looked after the trial in which a domain got its instance."""
        with self._ledger.reading() as db:
            row = db.execute(_of_domain(domain)).one_or_none()
            return (None if row is None else owners.of_subject(db, row.subject)) or Owners()

    def instances(self) -> list[InstanceRow]:
        """Every instance, oldest first."""
        with self._ledger.reading() as db:
            return [_instance(row) for row in db.execute(select(instances).order_by(instances.c.created_at, instances.c.host))]

    def warm_hosts(self) -> list[str]:
        """The instances that are nobody's yet, in the order in which they will be given away."""
        with self._ledger.reading() as db:
            return list(db.execute(_warm()).scalars())

    def waiting(self) -> list[str]:
        """The domains that wait for capacity, longest first."""
        with self._ledger.reading() as db:
            return list(db.execute(select(waiting.c.domain).order_by(waiting.c.since, waiting.c.domain)).scalars())

    def roster(self) -> list[Person]:
        """Our own people at the last sync."""
        with self._ledger.reading() as db:
            return [owners.person_of(row) for row in db.execute(select(roster).order_by(roster.c.role, roster.c.name))]


# --- The changes ------------------------------------------------------------------------------------------------------------


class _Did(NamedTuple):
    act: str
    summary: str
    host: str = ""
    waiting: str = ""


def _carry_out(db: Connection, change: RegistryChange) -> _Did | None:
    """Make the change; None when there is nothing to change. Raises when it cannot be made."""
    match change.change:
        case "release":
            return _release(db, change)
        case "convert":
            return _convert(db, change)
        case "rehost" | "ready":
            return _settle(db, change)
        case "admin":
            return _correct_admin(db, change)
        case "wait":
            return _wait(db, change)
        case "leave_queue":
            return _leave_queue(db, change)
        case "stop_mail":
            return _stop_mail(db, change)
        case "confirm":
            return _confirm(db, change)
        case "pass_on":
            return _pass_on(db, change)


def _release(db: Connection, change: RegistryChange) -> _Did | None:
    left = _leave_queue(db, change)
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None:
        return left
    db.execute(delete(instances).where(instances.c.host == owned.host))
    return _Did("instance.released", f"{owned.host} is {change.domain}'s no longer", owned.host, _name_next(db, change.as_of))


def _convert(db: Connection, change: RegistryChange) -> _Did | None:
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None:
        raise _none_owned(change)
    if owned.kind == "production":
        return None
    db.execute(update(instances).where(instances.c.host == owned.host).values(kind="production"))
    _stop_mail(db, change)
    return _Did("instance.converted", f"{owned.host} is {change.domain}'s paid instance", owned.host)


def _settle(db: Connection, change: RegistryChange) -> _Did | None:
    """``ready``: the host that the Cloud team made, for which room was kept. ``rehost``: another host for the same instance."""
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None:
        raise _none_owned(change)
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
        raise ApplicationError(
            f"{host} is already {taken.domain or 'a warm instance'}: {change.domain} keeps {owned.host}; choose another host",
            type="HostTaken",
            non_retryable=True,
        )
    db.execute(update(instances).where(instances.c.host == owned.host).values(new))
    if change.change == "ready":
        return _Did("instance.ready", f"{host} is ready for {change.domain}", host)
    return _Did("instance.rehosted", f"{change.domain} moved from {owned.host} to {host}", host)


def _correct_admin(db: Connection, change: RegistryChange) -> _Did | None:
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None or owned.admin == change.admin:
        return None  # whoever has no instance yet gets it under the new address
    db.execute(update(instances).where(instances.c.host == owned.host).values(admin=change.admin, confirmed_at=None))
    return _Did("instance.admin_corrected", f"the admin of {owned.host} has another address", owned.host)


def _confirm(db: Connection, change: RegistryChange) -> _Did | None:
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None or owned.confirmed_at is not None:
        return None
    db.execute(update(instances).where(instances.c.host == owned.host).values(confirmed_at=change.as_of))
    return _Did("claim.confirmed", f"the admin of {owned.host} opened the link in their mail", owned.host)


def _pass_on(db: Connection, change: RegistryChange) -> _Did | None:
    owned = db.execute(_of_domain(change.domain)).one_or_none()
    if owned is None or owned.confirmed_at is not None or owned.admin == change.admin:
        return None
    db.execute(update(instances).where(instances.c.host == owned.host).values(admin=change.admin, claimed_at=change.as_of))
    db.execute(delete(suppressions).where(suppressions.c.subject == change.subject))  # that was the other one's wish
    return _Did("claim.passed_on", f"{owned.host} has another admin: nobody confirmed the claim", owned.host)


def _wait(db: Connection, change: RegistryChange) -> _Did | None:
    if db.execute(select(waiting).where(waiting.c.domain == change.domain)).one_or_none() is not None:
        return None  # it keeps its place
    db.execute(insert(waiting).values(domain=change.domain, subject=change.subject, since=change.as_of))
    return _Did("domain.queued", f"{change.domain} waits for capacity")


def _leave_queue(db: Connection, change: RegistryChange) -> _Did | None:
    left = db.execute(delete(waiting).where(waiting.c.domain == change.domain).returning(waiting.c.named_at)).one_or_none()
    if left is None:
        return None
    # Whoever was told that there is room and goes away leaves that room to the next.
    next_one = _name_next(db, change.as_of) if left.named_at is not None else ""
    return _Did("domain.left_queue", f"{change.domain} waits for capacity no longer", waiting=next_one)


def _stop_mail(db: Connection, change: RegistryChange) -> _Did | None:
    if db.execute(select(suppressions).where(suppressions.c.subject == change.subject)).one_or_none() is not None:
        return None
    why = change.why or "stopped"
    db.execute(insert(suppressions).values(subject=change.subject, why=why, at=change.as_of))
    return _Did("mail.stopped", f"no more campaign mail to {change.domain}: {why}")


def _name_next(db: Connection, at: datetime) -> str:
    """The domain that waits longest; one that was told before, and has not come yet, is told again only when all were told."""
    query = select(waiting.c.domain).order_by(waiting.c.named_at.is_not(None), waiting.c.since, waiting.c.domain).limit(1)
    domain: str | None = db.execute(query).scalar()
    if domain is None:
        return ""
    db.execute(update(waiting).where(waiting.c.domain == domain).values(named_at=at))
    return domain


def _none_owned(change: RegistryChange) -> ApplicationError:
    message = f"{change.domain} has no instance in the registry, so there is none to {change.change}; claim one first"
    return ApplicationError(message, type="NoInstance", non_retryable=True)


# --- Small queries ----------------------------------------------------------------------------------------------------------


# Made once each: a claim is what a sign-up waits for.
_COUNTS = select(
    select(func.count()).select_from(instances).scalar_subquery().label("whole"),
    *(select(func.count()).where(instances.c.kind == kind).scalar_subquery().label(kind) for kind in ("warm", "pending")),
)
_others = instances.alias()
_TAKE_WARM = (
    update(instances)
    .where(
        instances.c.host
        == select(_others.c.host).where(_others.c.kind == "warm").order_by(_others.c.created_at, _others.c.host).limit(1).scalar_subquery(),
        ~exists().where(_others.c.domain == bindparam("new_domain")),
    )
    .values(kind="trial", **{name: bindparam(f"new_{name}") for name in ("domain", "subject", "admin", "claimed_at")})
    .returning(instances.c.host)
)
_LEAVES_QUEUE = delete(waiting).where(waiting.c.domain == bindparam("of"))


def _account_of(db: Connection, domain: str) -> Known | None:
    row = db.execute(select(accounts).where(accounts.c.domain == domain)).one_or_none()
    if row is None:
        return None
    return Known(Account.model_validate({name: row._mapping[name] for name in Account.model_fields}), row.as_of)


def _instance_of(db: Connection, domain: str) -> InstanceRow | None:
    row = db.execute(_of_domain(domain)).one_or_none()
    return None if row is None else _instance(row)


def _of_domain(domain: str) -> Select[Any]:
    return select(instances).where(instances.c.domain == domain)


def _warm() -> Select[Any]:
    return select(instances.c.host).where(instances.c.kind == "warm").order_by(instances.c.created_at, instances.c.host)


def counts(db: Connection) -> dict[str, int]:
    """How many instances are ``warm``, ``pending`` and ``live``: all the rest customers have, or were promised, and count against the cap (A26)."""
    found = db.execute(_COUNTS).one()
    return {"live": found.whole - found.warm - found.pending, "warm": found.warm, "pending": found.pending}


def _free_host(db: Connection, wanted: str) -> str:
    if not wanted:
        raise ApplicationError("a reservation needs the host that will be made", type="HostMissing", non_retryable=True)
    name, dot, rest = wanted.partition(".")
    host, number = wanted, 1
    while db.execute(select(instances.c.host).where(instances.c.host == host)).one_or_none() is not None:
        number += 1
        host = f"{name}-{number}{dot}{rest}"
    return host


def _instance(row: Row[Any]) -> InstanceRow:
    return InstanceRow.model_validate(dict(row._mapping))
