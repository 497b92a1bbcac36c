"""Who our people are and what they look after, as the ledger has it at this moment: what the rights are judged by."""

from collections.abc import Callable, Iterable

from sqlalchemy import select

from domain import ids, rights
from domain.people import Owners, Person
from domain.rights import Actor, Right
from store.accounts import Accounts
from store.ledger import LedgerTables
from store.tables import assignments
from store.tables import roster as table

Judge = Callable[[Actor, Iterable[Person]], Right]


class Roster(LedgerTables):
    """Our own people, and whom each looks after."""

    def roster(self) -> list[Person]:
        """Everybody whom the CRM named at the last copy, those who have left too."""
        return self._ledger.models(Person, select(table).order_by(table.c.role, table.c.name))

    def owners(self, workflow: str, roster: Iterable[Person] = ()) -> tuple[Person, ...]:
        """Who looks after the trial or the account of that workflow id, in the roles and under the managers that they have now; empty before they are chosen."""
        if account := ids.account_of(workflow):
            team = Accounts(self._ledger).view(account).team
            return as_of_now((team.ta, team.ae, team.ce, team.ta_manager, team.ae_manager), roster)
        its_own = assignments.c.subject.startswith(f"{workflow}/", autoescape=True)
        given = self._ledger.value(select(assignments.c.owners).where(its_own).order_by(assignments.c.as_of.desc()).limit(1))
        return () if given is None else current(Owners.model_validate(given), roster)


def current(owners: Owners, roster: Iterable[Person]) -> tuple[Person, ...]:
    """The owners of a trial as the roster has them; one whom it does not name stays as they were noted."""
    return as_of_now((owners.sdr, owners.ae, owners.ce, owners.manager), roster)


def as_of_now(people: Iterable[Person | None], roster: Iterable[Person]) -> tuple[Person, ...]:
    """The same people as the roster has them now."""
    now = {person.id: person for person in roster}
    return tuple(now.get(person.id, person) for person in people if person is not None)


def named(email: str, roster: Iterable[Person]) -> Person | None:
    """The person with that address who has not left; None for anybody else."""
    wanted = email.strip().lower()
    return next((person for person in roster if person.active and person.email.lower() == wanted), None) if wanted else None


def judged(wanted: str, roster: list[Person], judge: Judge) -> tuple[str, str, Right]:
    """Who it is that is named, in which role, and whether they may: the one judgement of every way in, and of what comes past them."""
    if not wanted.strip():
        return "", "", Right(allowed=False, rule="by", why='nobody is named who decides: "by" must be your e-mail address')
    person = named(wanted, roster)
    if person is None:
        why = f"{wanted.strip()[:254]} is not among our people, or has left: the CRM's people are copied every quarter of an hour"
        if not roster:
            why = "the CRM's people have not been copied yet: a new stack does so within seconds; `tenure schedules` sees to it"
        return wanted.strip(), "", Right(allowed=False, rule="roster", why=why)
    return person.email, person.role.value, judge(Actor(group=rights.GROUP_OF[person.role], person=person), roster)
