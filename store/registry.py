"""The registry: whose instance is whose, who waits for one, and whose turn it is to look after a new trial (A3, A5, A6, A10, A26).

It is the ledger's own database, so each change and its effect are one transaction: these are local activities. They change nothing the
second time, so a retry gets the same answer.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain import ids
from domain.base import Value
from domain.effects.effect import Receipt
from domain.effects.registry import AskHost, AskOwners, Claimed, ClaimInstance, ClaimOutcome, RegistryAnswer, RegistryChange
from domain.messages import Account
from domain.people import Owners
from domain.upkeep import Reopened, ReopenedIssues
from store import owners
from store.database import as_model
from store.effect_kinds import records
from store.instance_changes import carry_out, counts, of_domain
from store.ledger import EffectId, LedgerTables
from store.roster import Roster
from store.tables import accounts, assignments, instances, waiting


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


class Registry(LedgerTables):
    """The registry in the ledger's database."""

    # --- Activities ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="claim")
    def claim(self, ask: ClaimInstance) -> Claimed:
        """Claim, and choose the owners with it when ``ask.owners`` says so: one transaction, one step of the history."""
        with self._ledger.writing(alone=True) as db:
            claimed = self._claim(db, ask)
            if claimed.outcome != ClaimOutcome.CLAIMED or ask.owners is None:
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
            owned = db.execute(of_domain(ask.domain)).one_or_none()
            if owned is None:
                return Claimed.model_validate({"outcome": "empty" if taken < ask.cap else "full", **now})
            outcome = "claimed" if owned.subject == ask.subject else "owned"
            return Claimed.model_validate({"outcome": outcome, "host": owned.host, "subject": owned.subject, "kind": owned.kind, **now})
        db.execute(_LEAVES_QUEUE, {"of": ask.domain})
        kind = "trial" if ask.warm else "reserved"
        act = "instance.claimed" if ask.warm else "instance.reserved"
        summary = f"{host} is {ask.domain}'s" if ask.warm else f"room for {host} is kept for {ask.domain}"
        effect, receipt = EffectId(ask.subject, f"claim:{host}"), Receipt(ref=host, data={"kind": kind, "domain": ask.domain})
        self._ledger.record(db, effect, act=act, summary=summary, as_of=ask.as_of, receipt=receipt)
        now |= {"live": now["live"] + 1, "warm": now["warm"] - ask.warm}
        return Claimed.model_validate({"outcome": "claimed", "host": host, "subject": ask.subject, "kind": kind, **now})

    @staticmethod
    def _take(db: Connection, ask: ClaimInstance) -> str | None:
        """The host that is the domain's from now on; None when it has one already, or no warm one is left."""
        owner = {"domain": ask.domain, "subject": ask.subject, "admin": ask.admin, "claimed_at": ask.as_of}
        if ask.warm:
            return db.execute(_TAKE_WARM, {f"new_{name}": value for name, value in owner.items()}).scalar()
        if db.execute(of_domain(ask.domain)).one_or_none() is not None:
            return None
        host = _free_host(db, ask.host)
        db.execute(insert(instances).values(host=host, kind="reserved", created_at=ask.as_of, **owner))
        return host

    @activity.defn(name="owners")
    def owners(self, ask: AskOwners) -> Owners:
        """Choose the owners of a subject; see :func:`store.owners.chosen`. A peek assigns nobody."""
        if ask.peek:
            return owners.choose(Roster(self._ledger).roster(), ask, Owners())
        with self._ledger.writing(alone=True) as db:
            return owners.chosen(self._ledger, db, ask)

    @activity.defn(name="registry")
    @records("instance.released", "instance.converted", "instance.ready", "instance.rehosted", "instance.admin_corrected", "domain.queued")
    @records("domain.left_queue", "mail.stopped", "claim.confirmed", "claim.passed_on")
    def registry(self, change: RegistryChange) -> RegistryAnswer:
        """Record what became of a domain's instance; see :class:`domain.effects.registry.RegistryChange` for the changes."""
        effect = EffectId(change.subject, ":".join(filter(None, (change.change, change.host, str(change.number or "")))))
        with self._ledger.writing(alone=True) as db:
            did = carry_out(db, change)
            if did is None:  # nothing to change: it was done before, or never stood
                before = self._ledger.receipt(effect, db)
                return RegistryAnswer(waiting=before.data.get("waiting", "") if before else "")
            data = {"domain": change.domain, **({"waiting": did.waiting} if did.waiting else {})}
            receipt = Receipt(ref=did.host, data=data)
            self._ledger.record(db, effect, act=did.act, summary=did.summary, as_of=change.as_of, receipt=receipt)
            return RegistryAnswer(waiting=did.waiting)

    @activity.defn(name="instance_host")
    def instance_host(self, ask: AskHost) -> str:
        """Where the instance of a domain is; empty when it has none."""
        owned = self.instance_of(ask.domain)
        return owned.host if owned else ""

    # --- Reading ------------------------------------------------------------------------------------------------------------

    def internal_of(self, host: str) -> str:
        """The name of ours of the instance at a customer's own host; empty when the registry knows none."""
        return self._ledger.value(select(instances.c.internal).where(instances.c.host == host)) or ""

    def account_of(self, domain: str) -> Known | None:
        """What the CRM knew of a registrable domain at the last sync."""
        return self.company_of(domain)[0]

    def instance_of(self, domain: str) -> InstanceRow | None:
        """The instance that a domain has, or that is being made for it."""
        return self._ledger.model(InstanceRow, of_domain(domain))

    def company_of(self, domain: str) -> tuple[Known | None, InstanceRow | None]:
        """Both, of one moment."""
        with self._ledger.reading() as db:
            account = db.execute(select(accounts).where(accounts.c.domain == domain)).one_or_none()
            instance = db.execute(of_domain(domain)).one_or_none()
        known = None if account is None else Known(as_model(Account, account), account.as_of)
        return known, None if instance is None else as_model(InstanceRow, instance)

    def owners_of(self, domain: str) -> Owners:
        """Who looked after the trial in which a domain got its instance."""
        subject = of_domain(domain).with_only_columns(instances.c.subject).scalar_subquery()
        given = self._ledger.value(select(assignments.c.owners).where(assignments.c.subject == subject))
        return Owners() if given is None else Owners.model_validate(given)

    def reopened(self, marks: Mapping[int, str]) -> ReopenedIssues:
        """Those of these issues that a workflow of ours raised, by the ledger, since a mark alone can be copied.

        ``marks`` has, by the issue's number, the mark in its body.
        """
        issues = []
        for number, mark in marks.items():
            workflow = mark.partition("/")[0]
            raised = self._ledger.find(starts=(f"{workflow}/",), system="github") if workflow else []
            if any(row.receipt and row.receipt.ref == str(number) for row in raised):
                owners = self.owners_of(ids.company_of(workflow))
                issues.append(Reopened(issue=number, workflow=workflow, ce=owners.ce, ae=owners.ae))
        return ReopenedIssues(issues=tuple(issues))

    def instances(self) -> list[InstanceRow]:
        """Every instance, oldest first."""
        return self._ledger.models(InstanceRow, select(instances).order_by(instances.c.created_at, instances.c.host))

    def waiting(self) -> list[str]:
        """The domains that wait for capacity, longest first."""
        return [row.domain for row in self._ledger.rows(select(waiting.c.domain).order_by(waiting.c.since, waiting.c.domain))]


# --- Small queries ----------------------------------------------------------------------------------------------------------


# Made once each: a claim is what a sign-up waits for.
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


def _free_host(db: Connection, wanted: str) -> str:
    if not wanted:
        raise ApplicationError("a reservation needs the host that will be made", type="HostMissing", non_retryable=True)
    name, dot, rest = wanted.partition(".")
    host, number = wanted, 1
    while db.execute(select(instances.c.host).where(instances.c.host == host)).one_or_none() is not None:
        number += 1
        host = f"{name}-{number}{dot}{rest}"
    return host
