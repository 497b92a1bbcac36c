"""The ledger: each effect on the world happens once, and is on record (idea 4).

An effect is named by its subject (``<workflow id>/<first 8 of the first run id>.<cycle>``) and its key. What :meth:`Ledger.once`
finds decides (the same database holds the registry, the vault and the read model behind reports; see ``store/tables.py``):

    not recorded    record it as begun, act, record it as done with its receipt: two statements, each a transaction of its own
    done            return the receipt; nothing is called
    begun           an earlier attempt may have acted: ask the remote side, act only when it says no, record it as done
    held            another attempt is at it this moment: :class:`EffectBusy`, which Temporal tries again
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert
from temporalio.exceptions import ApplicationError

from domain.base import Value
from domain.effects.effect import Receipt
from store import metrics
from store.database import Database, add, has_died, narrowed, this_process, upserting
from store.holds import PROBE, Holds
from store.tables import cohorts, effects, holds, suppressions

HOLD = timedelta(minutes=2)
"""How long one attempt may be at an effect; longer than any activity's attempt, since a timed-out attempt's thread may still be running."""

SETTLE = timedelta(seconds=5)
"""What a process that died had sent may still be on its way: nobody asks what came of it before it has arrived."""

BUSY_RETRY = timedelta(seconds=5)
Do = Callable[[], Receipt]
Probe = Callable[[], Receipt | None]

#: The system's name of our own tables, whose changes are on record like any effect.
OWN_TABLES = "registry"
#: What a receipt holds and nobody is shown: the token of a share link opens the secret behind it.
_SECRET = frozenset({"link"})


class NotDone(ApplicationError):
    """Raised by an act when it is certain that nothing happened, so that the next attempt need not ask."""


class EffectBusy(ApplicationError):
    """Another attempt of the same effect is under way; this one did nothing and is to be tried again."""


class EffectId(NamedTuple):
    """The name of an effect; ``str`` of it is the marker that is left with the remote side."""

    subject: str
    key: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.key}"


class EffectRow(Value):
    """One effect on record. ``done_at`` is empty while it is only begun. ``as_of`` is the workflow's time, the others are real ones.

    ``holder`` (``host:pid:life``) is at it until ``held_until``, at the latest.
    """

    number: int
    subject: str
    key: str
    system: str
    act: str
    summary: str
    as_of: datetime
    begun_at: datetime
    done_at: datetime | None
    attempts: int
    receipt: Receipt | None
    holder: str | None = None
    held_until: datetime | None = None

    def public(self) -> Self:
        """The row as people may see it: without the secrets of its receipt."""
        if self.receipt is None or not _SECRET & self.receipt.data.keys():
            return self
        data = {name: "(not shown)" if name in _SECRET else value for name, value in self.receipt.data.items()}
        return self.model_copy(update={"receipt": Receipt(ref=self.receipt.ref, data=data)})


class Begun(NamedTuple):
    """An effect that this attempt holds. The first attempt need not ask whether an earlier one acted."""

    number: int
    attempt: int

    @property
    def first(self) -> bool:
        """Whether nobody tried before."""
        return self.attempt == 1


class Ledger(Database):
    """The ledger in the database at ``url``. One object serves all threads of a process."""

    settle = SETTLE

    def __init__(self, url: str, hold: timedelta = HOLD, probe: timedelta = PROBE) -> None:
        super().__init__(url)
        self._hold = hold
        self.holds = Holds(self, probe)

    # --- Once ---------------------------------------------------------------------------------------------------------------

    def once(
        self, effect: EffectId, *, system: str, act: str, summary: str, as_of: datetime, do: Do, probe: Probe, begun: Begun | None = None
    ) -> Receipt:
        """Carry out ``do`` unless it already happened, and return what it left behind. ``begun`` is what :meth:`begin` gave, if it was asked.

        An error of ``do`` leaves the effect begun, so that the next attempt asks ``probe`` first; :class:`NotDone` leaves no trace of a
        first attempt. Errors of ``do`` and ``probe`` pass through. Raises :class:`EffectBusy` while another attempt is under way.
        """
        if begun is None:
            found = self._begin(effect, system, act, summary, as_of)
            if isinstance(found, timedelta):
                message = f"another attempt of {effect} is under way; this one did nothing and is tried again"
                raise EffectBusy(message, type="EffectBusy", next_retry_delay=min(found, BUSY_RETRY))
            if isinstance(found, Receipt):
                return found
            begun = found
        outcome = "unsure"
        try:
            receipt = None if begun.first else probe()
            outcome = "found"
            if receipt is None:
                outcome, receipt = "unsure", do()
                outcome = "done"
        except NotDone as error:
            outcome = "refused" if error.non_retryable else "put_off"
            self._forget(begun)
            raise
        except BaseException:
            self._let_go(begun)
            raise
        finally:
            metrics.count("tenure_effects", system=system, outcome=outcome)
        self.change(_DONE, {"of": begun.number, "at": datetime.now(UTC), "left": receipt.model_dump(mode="json")})
        return receipt

    def begin(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime, place: str) -> Begun | None:
        """Take hold of an effect that is new, unless ``place`` is held, as a system; None when there is more to see to."""
        with self.stating() as db:
            number = db.execute(self._insert_new, self._new(effect, system, act, summary, as_of, place)).scalar()
        return None if number is None else Begun(number, attempt=1)

    def _new(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime, place: str = "") -> dict[str, Any]:
        now = datetime.now(UTC)
        mine = {"holder": this_process(), "held_until": now + self._hold}
        about = {"system": system, "act": act, "summary": summary, "as_of": as_of, "begun_at": now, "attempts": 1}
        return {**effect._asdict(), **mine, **about, "place": place}

    @cached_property
    def _insert_new(self) -> ReturningInsert[Any]:
        """Made once, since to put a statement together takes longer than to carry it out."""
        names = ("subject", "key", "holder", "held_until", "system", "act", "summary", "as_of", "begun_at", "attempts")
        row = select(*(bindparam(name, type_=effects.c[name].type) for name in names))
        free = row.where(~exists().where(holds.c.system == bindparam("place", type_=holds.c.system.type)))
        new = upserting(self.engine, effects).from_select(names, free)
        return new.on_conflict_do_nothing(index_elements=["subject", "key"]).returning(effects.c.number)

    def record(
        self, db: Connection, effect: EffectId, *, act: str, summary: str, as_of: datetime, receipt: Receipt, system: str = OWN_TABLES
    ) -> None:
        """Record an effect that is itself a change of this database, in the same transaction. Recording it again changes nothing."""
        now = datetime.now(UTC)
        about = {"system": system, "act": act, "summary": summary, "as_of": as_of, "begun_at": now, "done_at": now, "attempts": 1}
        add(db, effects, {**effect._asdict(), **about, "receipt": receipt.model_dump(mode="json")})

    def _begin(self, effect: EffectId, system: str, act: str, summary: str, as_of: datetime) -> Receipt | Begun | timedelta:
        """Take hold of the effect, committed before anything is done; or the receipt, when it is done; or how long it stays another's."""
        row = self._new(effect, system, act, summary, as_of)
        with self.writing() as db:
            if number := db.execute(self._insert_new, row).scalar():
                return Begun(number, attempt=1)
            found = db.execute(_named(effect).with_for_update()).one_or_none()
            if found is None:  # forgotten by another attempt between the two statements
                return timedelta(seconds=1)
            if found.done_at is not None:
                return Receipt.model_validate(found.receipt)
            now = row["begun_at"]
            this = update(effects).where(effects.c.number == found.number)
            left = found.held_until - now if found.holder is not None else timedelta()
            if left > self.settle and has_died(found.holder):
                left = self.settle
                db.execute(this.values(held_until=now + left))
            if left > timedelta():
                return left
            db.execute(this.values(attempts=found.attempts + 1, holder=row["holder"], held_until=row["held_until"]))
            return Begun(found.number, attempt=found.attempts + 1)

    def part(self, effect: EffectId, receipt: Receipt) -> None:
        """Record what the first part of an effect left behind, while the rest is still to be done: it stays on record if that is refused."""
        self.change(update(effects).where(*_is(effect), effects.c.done_at.is_(None)).values(receipt=receipt.model_dump(mode="json")))

    def count_unknown(self, effect: EffectId) -> int:
        """Count one more answer that we do not know; returns how many there were. What may have happened stays begun."""
        tries = func.coalesce(effects.c.unknown, 0) + 1
        with self.stating() as db:
            return db.execute(update(effects).where(*_is(effect)).values(unknown=tries).returning(effects.c.unknown)).scalar() or 1

    def _forget(self, begun: Begun) -> None:
        """Nothing happened. When an earlier attempt, or a first part, happened all the same, the mark stays."""
        if begun.first:
            self.change(delete(effects).where(*_still_held(begun), effects.c.receipt.is_(None)))
        self._let_go(begun)

    def _let_go(self, begun: Begun) -> None:
        self.change(update(effects).where(*_still_held(begun)).values(holder=None, held_until=None))

    # --- What is on record --------------------------------------------------------------------------------------------------

    def receipt(self, effect: EffectId, db: Connection | None = None) -> Receipt | None:
        """The receipt of an effect that is done, or None; within the transaction ``db`` if one is given."""
        row = self.row(_named(effect)) if db is None else db.execute(_named(effect)).one_or_none()
        return Receipt.model_validate(row.receipt) if row is not None and row.done_at is not None else None

    def as_of(self, effect: EffectId) -> datetime:
        """The workflow's time of an effect that was begun."""
        at: datetime = self.value(_named(effect).with_only_columns(effects.c.as_of))
        return at

    def find(
        self,
        *,
        starts: Sequence[str] = (),
        key: str = "",
        number: int | None = None,
        system: str = "",
        open: bool = False,
        since: datetime | None = None,
    ) -> list[EffectRow]:
        """The effects that were begun first come first. Each of the arguments leaves some out.

        ``starts``: only of subjects that begin with one of these; ``open``: only those that are not known to be done; ``since``: only those
        that were begun then or later, by the real clock.
        """
        query = narrowed(
            select(effects).order_by(effects.c.number),
            starts and or_(*(effects.c.subject.startswith(start, autoescape=True) for start in starts)),
            key and effects.c.key == key,
            number is not None and effects.c.number == number,
            system and effects.c.system == system,
            open and effects.c.done_at.is_(None),
            since and effects.c.begun_at >= since,
        )
        return self.models(EffectRow, query)

    def effects(self, subject_prefix: str = "", workflow: str = "") -> list[EffectRow]:
        """What is on record, in the order of the workflows' time; of one workflow, or of the subjects that begin so."""
        found = self.find(starts=[f"{workflow}/" if workflow else subject_prefix])
        return sorted(found, key=lambda row: (row.as_of, row.number))

    def suppressed(self, subject: str) -> str | None:
        """Why the subject's campaign mail is held back; None when it is not."""
        why: str | None = self.value(select(suppressions.c.why).where(suppressions.c.subject == subject))
        return why

    def current_cohort(self) -> Row[Any] | None:
        """The generic trial key that a new instance gets, its row of ``cohorts``; None before the first rotation."""
        return self.row(select(cohorts).order_by(cohorts.c.number.desc()).limit(1))

    def add_cohort(self, effect: EffectId, **cohort: Any) -> None:
        """Make a key the current generic one, as a row of ``cohorts`` says. Adding the same effect's key again changes nothing."""
        with self.writing(alone=True) as db:
            # Looked up rather than left to ON CONFLICT, which would use up a number: cohorts are counted 1, 2, 3.
            mine = select(cohorts.c.number).where(cohorts.c.subject == effect.subject, cohorts.c.key == effect.key)
            if db.execute(mine).one_or_none() is None:
                db.execute(insert(cohorts).values(**effect._asdict(), **cohort))


class LedgerTables:
    """Some tables of a ledger's database. Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger


_DONE = (
    update(effects)
    .where(effects.c.number == bindparam("of"), effects.c.done_at.is_(None))
    .values(done_at=bindparam("at"), receipt=bindparam("left"), holder=None, held_until=None)
)


def _is(effect: EffectId) -> tuple[ColumnElement[bool], ...]:
    return effects.c.subject == effect.subject, effects.c.key == effect.key


def _named(effect: EffectId) -> Select[Any]:
    return select(effects).where(*_is(effect))


def _still_held(begun: Begun) -> tuple[ColumnElement[bool], ...]:
    """That no later attempt took over, which it may once the hold has run out."""
    return effects.c.number == begun.number, effects.c.attempts == begun.attempt, effects.c.done_at.is_(None)
