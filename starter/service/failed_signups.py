"""Signups and trial requests that could not be taken, on record in the ledger until somebody looks after them (A21).

A signup waits for its rescue, a CE's request (A28) for being sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, select, update

from domain import ids
from domain.messages import Contact, RescueInput
from domain.policy import Policy
from starter.service.forms import SignupForm, TrialRequestForm
from store.tables import failed_signups

if TYPE_CHECKING:
    from store.ledger import Ledger
    from store.settings import Settings

#: How many are started in one go; the rest is started the next time.
BATCH = 50
LONGEST_PROBLEM = 2_000
#: Characters of an address on record. A longer one is none that mail can be sent to: what is kept of it is no address, and nobody else's.
LONGEST_ADDRESS = 254


@dataclass(frozen=True)
class FailedSignup:
    """One signup that went wrong: whose, what they typed, what went wrong, and when."""

    id: str
    email: str
    first_name: str
    last_name: str
    company: str
    problem: str
    at: datetime
    #: Of a CE's request: all that its form has besides. Of a signup: nothing.
    request: dict[str, str] = field(default_factory=dict)

    def trial_request(self) -> TrialRequestForm | None:
        """The CE's request that it is; None for a signup."""
        if not self.request:
            return None
        names = {"email": self.email, "first_name": self.first_name, "last_name": self.last_name, "company": self.company}
        return TrialRequestForm.model_validate({**names, **self.request})

    def rescue_input(self, policy: Policy, settings: Settings) -> RescueInput:
        """What the rescue's workflow is started with."""
        return RescueInput(
            contact=Contact(email=self.email, first_name=self.first_name, last_name=self.last_name),
            company=self.company,
            error=self.problem,
            at=self.at,
            policy=policy,
            support_email=settings.support_email,
            alerts_channel=settings.slack_alerts_channel,
        )


class FailedSignups:
    """The ledger's table of them. Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @staticmethod
    def row(form: SignupForm, problem: str, at: datetime) -> FailedSignup:
        """The row of a form. Its id follows from the form's event, so that a repeated click is one row."""
        return FailedSignup(
            id=ids.digest(f"failed signup {form.event_id}"),
            email=ids.fitted(form.email, LONGEST_ADDRESS),
            first_name=form.first_name,
            last_name=form.last_name,
            company=form.company,
            problem=problem[:LONGEST_PROBLEM],
            at=at,
        )

    @staticmethod
    def request_row(form: TrialRequestForm, problem: str, at: datetime) -> FailedSignup:
        """The row of a CE's request."""
        more = form.model_dump(mode="json", exclude={"email", "first_name", "last_name", "company"})
        return FailedSignup(
            id=ids.digest(f"trial request {form.event_id}"),
            email=ids.fitted(form.email, LONGEST_ADDRESS),
            first_name=form.first_name,
            last_name=form.last_name,
            company=form.company,
            problem=problem[:LONGEST_PROBLEM],
            at=at,
            request={name: str(value) for name, value in more.items()},
        )

    def keep(self, row: FailedSignup) -> None:
        """Put it on record; again changes nothing."""
        data = {"first_name": row.first_name, "last_name": row.last_name, "company": row.company, **row.request}
        with self._ledger.writing() as db:
            values = {"id": row.id, "email": row.email, "problem": row.problem, "data": data, "at": row.at}
            db.execute(self._ledger.upserting(db, failed_signups).values(values).on_conflict_do_nothing(index_elements=["id"]))

    def waiting(self) -> list[FailedSignup]:
        """Those whose rescue has not been started, oldest first."""
        query = select(failed_signups).where(failed_signups.c.rescued_at.is_(None)).order_by(failed_signups.c.at).limit(BATCH)
        with self._ledger.reading() as db:
            return [_read(row) for row in db.execute(query)]

    def rescued(self, id_: str, at: datetime) -> None:
        """Its rescue has been started."""
        with self._ledger.writing() as db:
            db.execute(update(failed_signups).where(failed_signups.c.id == id_).values(rescued_at=at))


def _read(row: Row[Any]) -> FailedSignup:
    data = {name: str(value) for name, value in row.data.items()}
    typed = {name: data.pop(name, "") for name in ("first_name", "last_name", "company")}
    return FailedSignup(id=row.id, email=row.email, problem=row.problem, at=row.at, **typed, request=data)
