"""Who our people are and what they look after, as the ledger has it at this moment: what the rights are judged by."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from activities.ledger import Ledger
from activities.registry import Registry
from activities.tables import assignments
from domain.people import Owners, Person


class Colleagues:
    """Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._registry = Registry(ledger)

    def roster(self) -> list[Person]:
        """Everybody whom the CRM named at the last copy, those who have left too."""
        return self._registry.roster()

    def owners(self, workflow: str, roster: Iterable[Person] = ()) -> tuple[Person, ...]:
        """Who looks after the trial of that workflow id, in the roles and under the managers that they have now; empty before they are chosen."""
        newest = (
            select(assignments.c.owners)
            .where(assignments.c.subject.startswith(f"{workflow}/", autoescape=True))
            .order_by(assignments.c.as_of.desc())
            .limit(1)
        )
        with self._ledger.reading() as db:
            given = db.execute(newest).scalar()
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
