"""The people of the process, by role; which of them is next is decided here, purely (A5, A6, A9, A10)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from domain.base import Value

NEVER = datetime.min.replace(tzinfo=UTC)


class Role(StrEnum):
    """Who does a part of the work; the words are the handbook's (section 1)."""

    INBOUND_SDR = "inbound_sdr"
    NAMED_SDR = "named_sdr"
    AE = "ae"
    CE = "ce"
    CE_MANAGER = "ce_manager"
    AE_MANAGER = "ae_manager"
    CLOUD = "cloud"
    SUPPORT = "support"
    GROWTH = "growth"
    TA = "ta"
    TA_MANAGER = "ta_manager"
    TS_LEADERSHIP = "ts_leadership"
    SALES_LEADERSHIP = "sales_leadership"
    EXEC_SPONSOR = "exec_sponsor"
    FINANCE = "finance"
    SALES_OPS = "sales_ops"


class Person(Value):
    """One of our own people as the CRM knows them. ``id`` is the CRM's user id."""

    id: str
    name: str
    email: str
    role: Role
    active: bool = True
    out_of_office_until: date | None = None
    paired_ce: str | None = None
    manager: str | None = None
    last_assigned_at: datetime | None = None

    def eligible(self, on: date) -> bool:
        """Whether new work may be given to this person on that day."""
        return self.active and (self.out_of_office_until is None or self.out_of_office_until <= on)


class Team(Value):
    """Who looks after something: a person a part, each part annotated with the roles that it stands for."""

    def of(self, role: Role) -> Person | None:
        """Who plays ``role`` here, if anybody does."""
        return next((getattr(self, part) for part, field in type(self).model_fields.items() if role in field.metadata), None)

    def email(self, role: Role) -> str:
        """That person's address; empty when there is none."""
        person = self.of(role)
        return person.email if person else ""


class Owners(Team):
    """Who looks after one trial. ``manager`` is the CE's; ``notes`` say in words why somebody was chosen or passed over.

    ``ops`` and ``leader`` are of sales: who assigns somebody where nobody was eligible, and whom that goes up to. Else they are empty.
    """

    sdr: Annotated[Person | None, Role.INBOUND_SDR, Role.NAMED_SDR] = None
    ae: Annotated[Person | None, Role.AE] = None
    ce: Annotated[Person | None, Role.CE] = None
    manager: Annotated[Person | None, Role.CE_MANAGER] = None
    ops: Annotated[Person | None, Role.SALES_OPS] = None
    leader: Annotated[Person | None, Role.SALES_LEADERSHIP] = None
    notes: tuple[str, ...] = ()


def least_recently_assigned(people: Iterable[Person], on: date) -> Person | None:
    """Round robin: the eligible person whose last assignment is the oldest; never assigned comes first, then by name.

    None when nobody is eligible: the work is parked and sales ops is told (gap 16).
    """
    return min(
        (person for person in people if person.eligible(on)),
        key=lambda person: (person.last_assigned_at or NEVER, person.name),
        default=None,
    )


def choose_owners(
    roster: Iterable[Person], on: date, *, named_sdr: str | None = None, account_ae: str | None = None, account_ce: str | None = None
) -> Owners:
    """Owners of a new trial. Ids given are those of a named account; whoever of them left or is away is replaced, a manager too.

    AE and CE are stably paired (handbook 6.5), so the AE brings the CE unless the account says otherwise.
    """
    people = {person.id: person for person in roster}
    notes: list[str] = []

    def named(id_: str | None, what: str) -> Person | None:
        person = people.get(id_ or "")
        if person is None:
            return None
        if person.eligible(on):
            return person
        notes.append(f"{what} {person.name} {'is out of office' if person.active else 'has left'}: replaced")
        return None

    def next_of(role: Role, what: str) -> Person | None:
        chosen = least_recently_assigned((person for person in people.values() if person.role is role), on)
        notes.append(f"{what} by round robin: {chosen.name}" if chosen else f"no eligible {what}: sales ops must assign one")
        return chosen

    sdr_role = Role.NAMED_SDR if named_sdr else Role.INBOUND_SDR
    sdr = named(named_sdr, "named SDR") or next_of(sdr_role, "named SDR" if named_sdr else "inbound SDR")
    ae = named(account_ae, "AE") or next_of(Role.AE, "AE")
    ce = named(account_ce, "CE") or named(ae.paired_ce if ae else None, "paired CE") or next_of(Role.CE, "CE")
    manager = named(ce.manager if ce else None, "CE manager")
    manager = manager or least_recently_assigned((p for p in people.values() if p.role is Role.CE_MANAGER), on)
    found = Owners(sdr=sdr, ae=ae, ce=ce, manager=manager, notes=tuple(notes))
    return found if sdr and ae and ce else found.model_copy(update=who_assigns(people.values(), on))


def who_assigns(roster: Iterable[Person], on: date) -> dict[str, Person | None]:
    """Who of sales ops assigns somebody where nobody is eligible, and the leader that it goes up to (gap 16)."""
    people = list(roster)
    roles = {"ops": Role.SALES_OPS, "leader": Role.SALES_LEADERSHIP}
    return {name: least_recently_assigned((p for p in people if p.role is role), on) for name, role in roles.items()}


#: In which roles of the CRM somebody may be given a part in a trial by hand: a manager may take it themselves.
MAY_BE: Mapping[str, tuple[Role, ...]] = {
    "sdr": (Role.INBOUND_SDR, Role.NAMED_SDR, Role.GROWTH),
    "ae": (Role.AE, Role.AE_MANAGER),
    "ce": (Role.CE, Role.CE_MANAGER),
}


def appointed(roster: Iterable[Person], given: Mapping[str, str]) -> dict[str, Person]:
    """Whom sales ops gave a part by hand, ``sdr``, ``ae`` or ``ce`` by address: those who are among our people, in a role that fits."""
    people = {person.email.lower(): person for person in roster if person.active}
    named = {part: people.get(email.strip().lower()) for part, email in given.items()}
    return {part: person for part, person in named.items() if person is not None and person.role in MAY_BE.get(part, ())}
