"""The audit: every decision that a person made and every attempt that was refused, in a chain that shows when a row was touched.

Each row's hash is SHA-256 over a canonical encoding of its fields, which include the hash of the row before (64 zeros before the first).
The head keeps how many rows there are and the last hash, so that a tail that was cut off is missed. Whoever may write to the database can
forge all of it, head included, unless the head is also kept elsewhere: ``tenure audit verify`` prints it and takes an earlier one back.

No personal data of outsiders: the address of anybody who is not ours stands as :func:`domain.ids.digest`, wherever it occurs.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection, insert, select

from domain import ids
from domain.base import Value
from domain.provenance import plain
from store.database import as_model, narrowed, put
from store.ledger import Ledger
from store.tables import audit, audit_head

Via = Literal["web", "api", "cli", "webhook", "temporal"]
Outcome = Literal["accepted", "refused", "unknown"]

FIRST = "0" * 64
LONGEST = 500
#: What a database takes of each text of an entry.
_LENGTHS = {
    name: min(getattr(audit.c[name].type, "length", None) or LONGEST, LONGEST)
    for name in ("who", "through", "what", "subject", "reason", "event")
}
_ADDRESS = re.compile(r"[^\s@<>(),;:'\"`]+@[^\s@<>(),;:'\"`]+\.[^\s@<>(),;:'\"`.]+")


class Entry(Value):
    """What happened, before it has its place in the chain.

    ``who`` decided, or tried to, in the role ``role``; ``through`` is the token or the operator that spoke for them. ``subject`` is the
    workflow. ``outcome`` is unknown when nobody could say whether it took effect. ``rule`` is the right that let them or did not, and
    ``rules`` the hash of the table it stands in. ``event`` is the caller's id of the click: accepted twice, it is on the audit once; what
    was sent straight to Temporal, where a worker may meet it again, also when it is refused.
    """

    who: str = Field(max_length=320)
    role: str = ""
    via: Via
    through: str = ""
    what: str
    subject: str = ""
    outcome: Outcome
    reason: str = ""
    rule: str = ""
    rules: str = ""
    event: str = ""


class AuditRow(Entry):
    """A row of the audit."""

    number: int
    at: datetime
    prev: str
    hash: str


class Verdict(Value):
    """What :meth:`Audit.verify` found. ``row`` is the first row at fault, 0 when none is; ``count`` and ``head`` are what stands now."""

    ok: bool
    count: int
    head: str
    row: int = 0
    fault: str = ""


class Audit:
    """The audit in a ledger's database. ``ours`` are the mail domains whose people are ours. Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger, ours: Iterable[str]) -> None:
        self._ledger = ledger
        self._ours = frozenset(domain.lower() for domain in ours)

    def append(self, entry: Entry, at: datetime | None = None) -> AuditRow:
        """Put an entry at the end; the same event again changes nothing and returns its row. One writer at a time, in any process."""
        clean = self._without_outsiders(entry)
        with self._ledger.writing(alone=True) as db:
            if clean.event and (clean.outcome == "accepted" or clean.via == "temporal") and (before := _same(db, clean)):
                return before
            head = db.execute(select(audit_head).where(audit_head.c.id == 1).with_for_update()).one_or_none()
            number, prev = (head.length + 1, head.hash) if head else (1, FIRST)
            fields = {**clean.model_dump(), "number": number, "at": at or datetime.now(UTC), "prev": prev}
            row = AuditRow(**fields, hash=digest_of(fields))
            db.execute(insert(audit).values(row.model_dump()))
            put(db, audit_head, {"id": 1, "length": number, "hash": row.hash})
            return row

    def rows(self, limit: int = 50, *, subject: str = "", who: str = "", outcome: str = "") -> list[AuditRow]:
        """The newest rows, the oldest of them first; of one workflow, one person, one outcome."""
        newest = select(audit).order_by(audit.c.number.desc()).limit(limit)
        about = subject and audit.c.subject == subject, who and audit.c.who == self._shown(who), outcome and audit.c.outcome == outcome
        return self._ledger.models(AuditRow, narrowed(newest, *about))[::-1]

    def verify(self, earlier: tuple[int, str] | None = None) -> Verdict:
        """Walk the chain from its first row to its head. ``earlier`` is a head (count, hash) that was kept elsewhere and must still stand in it."""
        with self._ledger.reading() as db:
            if db.dialect.name == "postgresql":  # SQLite's readers see one moment anyway
                db.execution_options(isolation_level="REPEATABLE READ")
            head = db.execute(select(audit_head).where(audit_head.c.id == 1)).one_or_none()
            rows = [row._mapping for row in db.execute(select(audit).order_by(audit.c.number))]
        count, last = (head.length, head.hash) if head else (0, FIRST)

        def fault(row: int, why: str) -> Verdict:
            return Verdict(ok=False, count=count, head=last, row=row, fault=why)

        if not rows and not count:
            return fault(1, "row 1 is missing: there is nothing on the audit, so nothing stands")
        prev = FIRST
        for place, row in enumerate(rows, start=1):
            number, fields = row["number"], {name: value for name, value in row.items() if name != "hash"}
            if number != place:
                return fault(place, f"row {place} is missing: after row {place - 1} comes row {number}")
            if digest_of(fields) != row["hash"]:
                return fault(place, _why_it_differs(place, row, rows))
            if row["prev"] != prev:
                return fault(place, f"row {place} does not follow row {place - 1}: a row between them was taken out, put in or exchanged")
            prev = row["hash"]
        if len(rows) < count:
            return fault(len(rows) + 1, f"row {len(rows) + 1} is missing: the end was cut off; the head counts {count} rows")
        if len(rows) > count:
            return fault(count + 1, f"row {count + 1} is not counted by the head, which ends at row {count}")
        if prev != last:
            return fault(count, f"the head's hash is not that of row {count}")
        kept_at, kept = earlier or (0, FIRST)
        if kept_at and (kept_at > count or rows[kept_at - 1]["hash"] != kept):
            return fault(kept_at, f"row {kept_at} is not the one whose hash was kept: everything from some row before it was rewritten")
        return Verdict(ok=True, count=count, head=last)

    def _without_outsiders(self, entry: Entry) -> Entry:
        fits = {name: plain(getattr(entry, name), longest) for name, longest in _LENGTHS.items()}
        free = {name: self._cleaned(fits[name])[: _LENGTHS[name]] for name in ("what", "reason", "subject", "through")}
        return entry.model_copy(update={**fits, **free, "who": self._shown(fits["who"])})

    def _shown(self, who: str) -> str:
        """An address of ours as it is; any other text with an @ as its digest."""
        return who.lower() if "@" not in who or self._is_ours(who) else ids.digest(who)

    def _cleaned(self, text: str) -> str:
        return _ADDRESS.sub(lambda found: found[0] if self._is_ours(found[0]) else ids.digest(found[0]), text)

    def _is_ours(self, address: str) -> bool:
        return address.rpartition("@")[2].lower().rstrip(".") in self._ours


def digest_of(fields: dict[str, Any]) -> str:
    """The hash of a row's other fields: of JSON in UTF-8 with its names in order and no white space; the time in UTC with microseconds."""
    plain = {**fields, "at": fields["at"].astimezone(UTC).isoformat(timespec="microseconds")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _why_it_differs(place: int, row: Any, rows: Sequence[Any]) -> str:
    """A row that fits its hash under another number was moved; any other was changed."""
    fields = {name: value for name, value in row.items() if name != "hash"}
    others = (number for number in range(1, len(rows) + 2) if number != place)
    if came_from := next((number for number in others if digest_of({**fields, "number": number}) == row["hash"]), None):
        return f"row {place} was row {came_from}: rows were reordered or taken out"
    return f"row {place} was changed: its content does not fit its hash"


def _same(db: Connection, entry: Entry) -> AuditRow | None:
    same = (audit.c.event == entry.event, audit.c.subject == entry.subject, audit.c.outcome == entry.outcome, audit.c.what == entry.what)
    found = db.execute(select(audit).where(*same).limit(1)).one_or_none()
    return as_model(AuditRow, found) if found else None
