"""Who looks after a new trial: the SDR, AE and CE whose turn it is, and their manager (A3, A10, gap 16); and who after a customer.

Asked again, a subject keeps its owners, and so does a later subject of a domain that has an instance.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import Connection, bindparam, func, or_, select, update

from domain.account.account import AccountTeam
from domain.effects.effect import Receipt
from domain.effects.registry import AskOwners
from domain.people import Owners, Person, Role, appointed, choose_owners
from store.database import as_model, put
from store.effect_kinds import records
from store.ledger import EffectId, Ledger
from store.tables import assignments, effects, instances, roster


@records("owners.assigned")
def chosen(ledger: Ledger, db: Connection, ask: AskOwners) -> Owners:
    """Choose the owners of a subject, and put the chosen at the end of the round robin.

    Only a role that nobody plays, since ``ce_email`` came later or somebody has left since, is given anew.
    """
    people = [as_model(Person, row) for row in db.execute(_ROSTER)]
    given = {row.subject: row.owners for row in db.execute(_BEFORE, {"of": ask.subject, "domain_of": ask.domain})}
    stands = given.get(ask.subject) or next(iter(given.values()), None)
    before = None if stands is None else Owners.model_validate(stands)
    found = choose(people, ask, before or Owners())
    if found == before:
        return found
    new = {role: person for role, person in _roles(found).items() if before is None or person != _roles(before).get(role)}
    db.execute(_ASSIGNED, {"ids": [person.id for person in new.values()], "at": _later_than(people)})
    row = {"subject": ask.subject, "owners": found.model_dump(mode="json"), "as_of": ask.as_of}
    put(db, assignments, row)
    times = db.execute(_TIMES, {"of": ask.subject}).scalar_one() if ask.subject in given else 0
    summary = ", ".join(f"{role} {person.name}" for role, person in new.items()) or "nobody is eligible"
    effect = EffectId(ask.subject, f"owners-{times + 1}" if times else "owners")
    receipt = Receipt(data={role.lower(): person.id for role, person in new.items()})
    ledger.record(db, effect, act="owners.assigned", summary=summary, as_of=ask.as_of, receipt=receipt)
    return found


_ROSTER = select(roster)
_BEFORE = select(assignments.c.subject, assignments.c.owners).where(
    or_(
        assignments.c.subject == bindparam("of"),
        assignments.c.subject == select(instances.c.subject).where(instances.c.domain == bindparam("domain_of")).scalar_subquery(),
    )
)
_TIMES = select(func.count()).where(effects.c.subject == bindparam("of"), effects.c.act == "owners.assigned")
_ASSIGNED = update(roster).where(roster.c.id.in_(bindparam("ids", expanding=True))).values(last_assigned_at=bindparam("at"))


def _roles(owners: Owners) -> dict[str, Person]:
    named = (("SDR", owners.sdr), ("AE", owners.ae), ("CE", owners.ce))
    return {role: person for role, person in named if person is not None}


def choose(people: list[Person], ask: AskOwners, before: Owners) -> Owners:
    """Those of before who have not left, and for every other role the one whom the process names or whose turn it is.

    A CE whom nobody in the roster is called by is taken at the word of whoever gave the address: the roster is a copy.
    """
    by_hand = appointed(people, ask.appointed)
    email = ask.ce_email.strip().lower()
    ce = next((person for person in people if email and person.email.lower() == email), None)
    stranger = Person(id=email, name=email.partition("@")[0], email=email, role=Role.CE) if email and ce is None else None
    gone = {person.id for person in people if not person.active}
    kept = {name: getattr(before, name) for name in ("sdr", "ae", "ce") if getattr(before, name) and getattr(before, name).id not in gone}
    if kept.keys() >= {"sdr", "ae", "ce"}:
        return before
    on = ask.as_of.date()
    known = [*people, stranger] if stranger else people
    ae = kept["ae"].id if "ae" in kept else ask.ae
    chosen = choose_owners(known, on, named_sdr=ask.named_sdr, account_ae=ae, account_ce=email if stranger else ce.id if ce else ask.ce)
    if stranger and chosen.ce == stranger:
        chosen = chosen.model_copy(update={"ce": stranger.model_copy(update={"id": ""})})  # the CRM knows no such user
    if by_hand:
        chosen = chosen.model_copy(update=by_hand)
    if not kept:
        return chosen
    for_good = {name: getattr(chosen, name) for name in ("sdr", "ae", "ce") if name not in kept}
    if all(getattr(before, name) == person for name, person in for_good.items()):
        return before
    notes = tuple(f"{name.upper()} from now on: {person.name}" for name, person in for_good.items() if person)
    manager = chosen.manager if "ce" in for_good else before.manager
    return Owners(**{**kept, **for_good}, manager=manager, ops=chosen.ops, leader=chosen.leader, notes=(*before.notes, *notes))


def _later_than(people: Iterable[Person]) -> datetime:
    """Now, and later than every assignment so far.

    By the real clock: a workflow whose time runs ahead would put its people at the end of the round robin for months.
    """
    last = max((person.last_assigned_at for person in people if person.last_assigned_at), default=None)
    now = datetime.now(UTC)
    return now if last is None or now > last else last + timedelta(microseconds=1)


class ActivePeople:
    """Our people as the last copy of the CRM has them, and who of them looks after an account.

    Somebody who has left plays no role any more: the ladder asks the next. Where the CRM names no manager, or no leader, it is the first
    by name of those with that role.
    """

    def __init__(self, people: Iterable[Person]) -> None:
        active = [person for person in people if person.active]
        self._by_id = {person.id: person for person in active}
        self._by_email = {person.email.lower(): person for person in active}
        self._first: dict[Role, Person] = {}
        for person in sorted(active, key=lambda person: (person.name, person.id)):
            self._first.setdefault(person.role, person)

    @classmethod
    def read(cls, db: Connection) -> Self:
        """Everybody, in the transaction ``db``."""
        return cls(as_model(Person, row) for row in db.execute(_ROSTER))

    def by_email(self, email: str) -> Person | None:
        """Who has that address."""
        return self._by_email.get(email.strip().lower())

    def manager_of(self, person: Person | None, role: Role) -> Person | None:
        """That person's manager when the CRM names one of that role, else the first of the role."""
        named = self._by_id.get((person.manager if person else None) or "")
        return named if named is not None and named.role is role else self._first.get(role)

    def team(self, account: Mapping[str, Any]) -> AccountTeam:
        """Who looks after a customer; ``account`` is its row."""
        ta, ae, ce = (self._by_id.get(account[name] or "") for name in ("ta", "ae", "ce"))
        return AccountTeam(
            ta=ta,
            ae=ae,
            ce=ce or (self._by_id.get(ae.paired_ce or "") if ae else None),
            ta_manager=self.manager_of(ta, Role.TA_MANAGER),
            ae_manager=self.manager_of(ae, Role.AE_MANAGER),
            ts_leader=self._first.get(Role.TS_LEADERSHIP),
            sales_leader=self._first.get(Role.SALES_LEADERSHIP),
        )
